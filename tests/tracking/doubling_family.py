"""A predictor family small enough to see through: twice the size, plus an optional surcharge."""

import json
from pathlib import Path
from typing import Any, ClassVar, Self

import pandas as pd

from augury.predictors import ColumnSpec, DataFacts, Metadata, Predictor

INPUTS = (
    ColumnSpec(name="size", dtype="integer", minimum=0, unit="MB"),
    ColumnSpec(name="pages", dtype="integer", nullable=True),
    ColumnSpec(name="kind", dtype="string", allowed=("scan", "text")),
    ColumnSpec(name="encrypted", dtype="boolean", nullable=True),
    ColumnSpec(name="surcharge", dtype="number", nullable=True, required=False),
)


def make_metadata(predictor: str) -> Metadata:
    """Metadata of a doubling predictor."""
    return Metadata(
        predictor=predictor,
        family="doubling",
        task="regression",
        inputs=INPUTS,
        outputs=(ColumnSpec(name="peak", dtype="number", unit="MB"),),
        features=("size",),
        parameters={},
        data=DataFacts(fingerprint="f" * 64, rows=3, groups=2, origin={"measured": 3}),
        versions={"python": "3.11", "numpy": "0.0.1", "augury": "0.1.0"},
        seed=42,
        git_commit=None,
        created_at="2026-01-01T00:00:00Z",
    )


class Doubling(Predictor):
    """Predicts ``factor * size``, plus the surcharge; 1 more where a document is not encrypted."""

    family: ClassVar[str] = "doubling"

    def __init__(self, metadata: Metadata, factor: float = 2.0, example: Any = None) -> None:
        super().__init__(metadata)
        self.factor = factor
        self.example = example

    def _predict(self, table: pd.DataFrame) -> pd.DataFrame:
        peak = self.factor * table["size"] + table["surcharge"].fillna(0)
        return pd.DataFrame({"peak": peak + (table["encrypted"] == 0)})

    def _save(self, directory: Path) -> None:
        (directory / "model.json").write_text(json.dumps({"factor": self.factor}))
        if self.example is not None:
            (directory / "input_example.json").write_text(json.dumps(self.example))

    @classmethod
    def _load(cls, directory: Path, metadata: Metadata) -> Self:
        return cls(metadata, **json.loads((directory / "model.json").read_text()))
