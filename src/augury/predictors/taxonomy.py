"""Which codes of a taxonomy belong to a text: an encoder, weighted words, or several of them, calibrated."""

import json
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

import numpy as np
import pandas as pd
from pydantic import BaseModel, ConfigDict, Field, model_validator

from augury.errors import UserError
from augury.predictors.contract import ColumnSpec, Metadata, Predictor
from augury.predictors.label_calibration import LabelCalibration, sigmoid
from augury.predictors.label_hierarchy import LabelHierarchy
from augury.predictors.label_thresholds import decide
from augury.predictors.stored_encoder import Backend, StoredEncoder
from augury.predictors.tfidf_scorer import TfidfScorer
from augury.predictors.torch_device import DeviceName

SPECIFICATION_FILE = "specification.json"
LABEL_MAP_FILE = "label_map.json"
LABEL_MAP_VERSION = 1

TEXT = "text"
SEPARATOR = ";"
DECIMALS = 5
"""Of probabilities: the last bits depend on the other texts of a batch, decisions must not."""
SHOWN_DECIMALS = 3

MemberName = Literal["transformer", "frozen", "tfidf_linear"]

INPUTS = (ColumnSpec(name=TEXT, dtype="string", description="what is to be classified, of any length"),)
OUTPUTS = (
    ColumnSpec(name="codes", dtype="string", description="given codes, joined by ';', the most probable first"),
    ColumnSpec(name="labels", dtype="string", description="what they mean, in the same order, joined by '; '"),
    ColumnSpec(name="probabilities", dtype="string", description="of these codes, in the same order, joined by ';'"),
    ColumnSpec(name="top_code", dtype="string", description="the most probable code, given or not"),
    ColumnSpec(name="top_probability", dtype="number", minimum=0, description="its probability"),
)


class Member(BaseModel):
    """One of the models that a classifier consists of."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: MemberName
    weight: float = Field(default=1.0, ge=0, description="share of this member in the probabilities")
    calibration: LabelCalibration = Field(description="from its scores to log odds")


class TextSpecification(BaseModel):
    """Everything of a classifier but the weights of its members."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    codes: tuple[str, ...]
    labels: tuple[str, ...] = Field(description="what the codes mean")
    parents: tuple[int, ...] = Field(description="place of each code's parent; -1: none")
    priors: tuple[float, ...] = Field(description="share of each code among the training texts")
    thresholds: tuple[float, ...] = Field(description="probability from which on a code is given")
    at_least_one: bool = Field(default=True, description="whether a text below all thresholds gets its best code")
    members: tuple[Member, ...]
    uri: str = Field(default="urn:taxonomy:{code}", description="of a code, with its place in braces")

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        columns = {len(self.labels), len(self.parents), len(self.priors), len(self.thresholds)}
        columns |= {len(member.calibration.slopes) for member in self.members}
        if columns != {len(self.codes)} or not self.codes:
            raise ValueError(f"{len(self.codes)} codes need as many labels, parents, priors, thresholds and lines")
        if len(set(self.codes)) < len(self.codes):
            raise ValueError("a code appears twice")
        if not np.isfinite([*self.thresholds, *self.priors]).all():
            raise ValueError("thresholds and priors must be finite")
        names = [member.name for member in self.members]
        if not names or len(set(names)) < len(names) or sum(member.weight for member in self.members) <= 0:
            raise ValueError("a classifier needs members of different names, one of them with a weight")
        return self


class TextClassifier(Predictor):
    """Gives texts their codes. May be shared by threads."""

    family: ClassVar[str] = "text_classifier"
    tolerance: ClassVar[float] = 2e-5

    def __init__(
        self,
        metadata: Metadata,
        specification: TextSpecification,
        members: Mapping[str, TfidfScorer | StoredEncoder],
        example: list[dict[str, Any]] | None = None,
    ) -> None:
        """Assemble a predictor.

        Args:
            metadata: Typed metadata.
            specification: Codes, thresholds, weights of the members.
            members: Name -> model, one for each member of the specification.
            example: A few rows of input that show how to ask.

        Raises:
            UserError: The members are not those of the specification.
        """
        super().__init__(metadata, example)
        if set(members) != {member.name for member in specification.members}:
            raise UserError(f"{metadata.predictor} needs other models than {', '.join(members) or 'none'}.")
        self.specification = specification
        self.members = dict(members)
        self.backend: Backend = "torch"
        self.threads: int | None = None
        self.device: DeviceName = "cpu"
        self._hierarchy = LabelHierarchy(specification.parents)
        self._thresholds = np.array(specification.thresholds, dtype=np.float64)
        self._priors = np.array(specification.priors, dtype=np.float64)

    @property
    def codes(self) -> tuple[str, ...]:
        """The codes, in the order of the columns of :meth:`probabilities`."""
        return self.specification.codes

    @property
    def labels(self) -> tuple[str, ...]:
        """What the codes mean."""
        return self.specification.labels

    @property
    def parents(self) -> np.ndarray:
        """Place of each code's parent, int32 of shape (labels,); -1 where it has none."""
        return self._hierarchy.parents

    @property
    def levels(self) -> np.ndarray:
        """Depth of each code, int32 of shape (labels,); 0 for one without a parent."""
        return self._hierarchy.levels

    @property
    def thresholds(self) -> np.ndarray:
        """Probability from which on each code is given, float64 of shape (labels,)."""
        return self._thresholds

    @property
    def hierarchy(self) -> LabelHierarchy:
        """Which code lies below which."""
        return self._hierarchy

    def member_scores(self, texts: Sequence[str], backend: Backend | None = None) -> dict[str, np.ndarray]:
        """What each member says, before calibration.

        Args:
            texts: Any texts.
            backend: See :meth:`probabilities`.

        Returns:
            Name -> float32 of shape (texts, labels).
        """
        clean = [_encodable(text) for text in texts]
        found = {}
        for name, member in self.members.items():
            if isinstance(member, TfidfScorer):
                found[name] = member.logits(clean)
            else:
                found[name] = member.logits(clean, backend or self.backend, self.threads, self.device)
        return found

    def probabilities(self, texts: Sequence[str], backend: Backend | None = None) -> np.ndarray:
        """Calibrated probabilities of all codes; none is less probable than one below it.

        Args:
            texts: Any texts. An empty one has the shares of the training texts.
            backend: ``torch``, ``onnx`` or ``int8``; None: the attribute ``backend``.

        Returns:
            float32 of shape (texts, labels), rounded to 5 decimals.
        """
        scores = self.member_scores(texts, backend) if len(texts) else {}
        found = self.combine(scores, len(texts))
        blank = np.array([not text.strip() for text in texts], dtype=bool)
        found[blank] = np.round(self._hierarchy.raised(self._priors[None, :]), DECIMALS)
        return found

    def combine(self, scores: Mapping[str, np.ndarray], rows: int) -> np.ndarray:
        """Probabilities from the members' scores, see :func:`combined`."""
        if not rows:
            return np.zeros((0, len(self.codes)), dtype=np.float32)
        return combined(scores, self.specification.members, self._hierarchy)

    def decide(self, probabilities: np.ndarray) -> np.ndarray:
        """Say which codes are given.

        Args:
            probabilities: Shape (texts, labels), see :meth:`probabilities`.

        Returns:
            bool of the same shape; with a code those above it are given too.
        """
        rounded = np.round(np.asarray(probabilities, dtype=np.float64), DECIMALS)
        return decide(
            rounded, self._thresholds, at_least_one=self.specification.at_least_one, close=self._hierarchy.raised
        )  # fmt: skip

    def suggest(
        self, texts: Sequence[str], limit: int = 10, threshold: float = 0.0, backend: Backend | None = None
    ) -> list[list[dict[str, Any]]]:
        """The most probable codes of texts, in the words of Annif's interface.

        Args:
            texts: Any texts; an empty one gets no suggestion.
            limit: The largest number of codes per text.
            threshold: The least probability of a code.
            backend: See :meth:`probabilities`.

        Returns:
            For each text ``notation``, ``label``, ``score`` and ``uri`` of its codes, the most probable first.
        """
        probabilities = np.round(self.probabilities(texts, backend).astype(np.float64), DECIMALS)
        order = np.argsort(-probabilities, axis=1, kind="stable")[:, : max(limit, 0)]
        uri = self.specification.uri
        return [
            [
                {
                    "notation": self.codes[place],
                    "label": self.labels[place],
                    "score": float(row[place]),
                    "uri": uri.replace("{code}", self.codes[place]),
                }
                for place in places
                if text.strip() and row[place] >= threshold and row[place] > 0
            ]
            for text, row, places in zip(texts, probabilities, order, strict=True)
        ]

    def compare_onnx(self, texts: Sequence[str]) -> dict[str, Any]:
        """Compare what both ONNX models say with what PyTorch says.

        Args:
            texts: Any texts; some that nobody sends are added to them.

        Returns:
            ``rows``, ``strange_rows``, and for the float32 model and (with the prefix ``int8_``) the one of 8 bits:
            ``max_difference`` and ``mean_difference`` (of probabilities), ``flips`` (texts that get other codes).
            All 0 for a classifier without an encoder; ``available`` is false for one that was saved without ONNX.
        """
        encoders = [member for member in self.members.values() if isinstance(member, StoredEncoder)]
        asked = [*texts, *STRANGE]
        facts: dict[str, Any] = {
            "rows": len(texts),
            "strange_rows": len(STRANGE),
            "available": all(member.has_onnx for member in encoders),
            "max_difference": 0.0,
        }
        backends: tuple[Backend, ...] = ("onnx", "int8")
        expected = self.probabilities(asked, "torch") if encoders and facts["available"] else None
        for backend in backends:
            prefix = "" if backend == "onnx" else "int8_"
            found = expected if expected is None else self.probabilities(asked, backend)
            apart = np.zeros((1, 1)) if found is None or expected is None else np.abs(found - expected)
            flips = (
                0
                if found is None or expected is None
                else int((self.decide(found) != self.decide(expected)).any(axis=1).sum())
            )
            facts |= {
                f"{prefix}max_difference": float(apart.max()),
                f"{prefix}mean_difference": float(apart.mean()),
                f"{prefix}flips": flips,
            }
        return facts

    def _predict(self, table: pd.DataFrame) -> pd.DataFrame:
        texts = table[TEXT].tolist()
        probabilities = np.round(self.probabilities(texts).astype(np.float64), DECIMALS)
        given = self.decide(probabilities)
        rows, places = np.nonzero(given)
        order = np.lexsort((places, -probabilities[rows, places], rows))
        rows, places = rows[order], places[order]
        cuts = np.searchsorted(rows, np.arange(1, len(texts)))
        parts = np.split(places, cuts)
        shown = [f"{value:.{SHOWN_DECIMALS}f}" for value in probabilities[rows, places].tolist()]
        starts = np.concatenate([[0], cuts, [len(rows)]]).tolist()
        best = probabilities.argmax(axis=1)
        found = {
            "codes": [SEPARATOR.join(self.codes[place] for place in part) for part in parts],
            "labels": [f"{SEPARATOR} ".join(self.labels[place] for place in part) for part in parts],
            "probabilities": [SEPARATOR.join(shown[first:last]) for first, last in pairwise(starts)],
            "top_code": [self.codes[place] for place in best],
        }
        columns: dict[str, Any] = {
            name: pd.Series(values, index=table.index, dtype=object) for name, values in found.items()
        }
        columns["top_probability"] = probabilities[np.arange(len(texts)), best]
        return pd.DataFrame(columns, index=table.index)

    def _save(self, directory: Path) -> None:
        text = self.specification.model_dump_json(indent=1)
        (directory / SPECIFICATION_FILE).write_text(text + "\n", encoding="utf-8")
        (directory / LABEL_MAP_FILE).write_text(
            json.dumps(label_map(self.specification), indent=1, ensure_ascii=False) + "\n", encoding="utf-8"
        )
        for name, folder in member_folders(self.specification).items():
            member = self.members[name]
            if isinstance(member, TfidfScorer):
                member.save(directory)
            else:
                member.write(directory / folder)

    @classmethod
    def _load(cls, directory: Path, metadata: Metadata) -> Self:
        path = directory / SPECIFICATION_FILE
        try:
            specification = TextSpecification.model_validate_json(path.read_text(encoding="utf-8"))
        except ValueError as error:  # of JSON, of UTF-8, of pydantic
            raise UserError(f"'{path}' is damaged: {error}") from None
        members: dict[str, TfidfScorer | StoredEncoder] = {}
        for name, folder in member_folders(specification).items():
            if name == "tfidf_linear":
                members[name] = TfidfScorer.load(directory)
            else:
                members[name] = StoredEncoder.read(directory / folder)
        return cls(metadata, specification, members)


STRANGE = ("", "   ", "?", "x", "\u2603 \u0416 \u6f22", "1234567890 " * 40, "a" * 3000, "word " * 3000)
"""Texts that nobody sends, for the comparison of engines."""


def combined(scores: Mapping[str, np.ndarray], members: Sequence[Member], hierarchy: LabelHierarchy) -> np.ndarray:
    """Blend what members say: the weighted mean of their calibrated log odds.

    Args:
        scores: Member's name -> its scores, shape (rows, labels).
        members: Weights and calibrations.
        hierarchy: Which label lies below which.

    Returns:
        Probabilities, float32 of the same shape, rounded to 5 decimals; parents are at least as probable as children.
    """
    total = sum(member.weight for member in members)
    parts = [
        member.calibration.log_odds(scores[member.name]) * (member.weight / total)
        for member in members
        if member.weight
    ]
    mean = parts[0] if len(parts) == 1 else np.sum(parts, axis=0)
    return np.round(hierarchy.raised(sigmoid(mean)), DECIMALS).astype(np.float32)


def label_map(specification: TextSpecification) -> dict[str, Any]:
    """What ``label_map.json`` says: codes by place, and what applies to them.

    Args:
        specification: Codes and thresholds.

    Returns:
        JSON; codes stay texts, so that "000" never becomes 0.
    """
    codes = specification.codes
    return {
        "version": LABEL_MAP_VERSION,
        "labels": {str(place): code for place, code in enumerate(codes)},
        "names": dict(zip(codes, specification.labels, strict=True)),
        "thresholds": dict(zip(codes, specification.thresholds, strict=True)),
        "parents": {
            code: codes[parent] if parent >= 0 else None
            for code, parent in zip(codes, specification.parents, strict=True)
        },
        "at_least_one": specification.at_least_one,
    }


def member_folders(specification: TextSpecification) -> dict[MemberName, str]:
    """Folder of each member: the first encoder's files lie at the top, where Hugging Face's tools look for them."""
    encoders = [member.name for member in specification.members if member.name != "tfidf_linear"]
    return {
        member.name: "" if member.name in ("tfidf_linear", *encoders[:1]) else member.name
        for member in specification.members
    }


def _encodable(text: str) -> str:
    """A text without halves of characters, which no UTF-8 can hold."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode("utf-8")
