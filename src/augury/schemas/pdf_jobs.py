"""Raw table of `pdf_memory`: one row per PDF job with the structure of its file and the measured peak."""

from typing import Any

import numpy as np

from augury.predictors.pdf_memory import CATEGORY, TARGET
from augury.predictors.pdf_structure import STRUCTURE
from augury.schemas.pandera_import import pa
from augury.schemas.table_validator import TableValidator
from augury.schemas.validation import validate_table

REQUIRED = ("file_bytes", TARGET)
IDENTIFIERS = ("job_id", "file_id")
TEXTS = (CATEGORY, "outcome", "origin")


class PdfJobs(TableValidator):
    """Validator of ``pdf_memory.jobs``, for frames of any engine.

    Only ``file_bytes`` and ``peak_mem_mb`` are required. Every other column may be left out: a model is then trained
    without it.
    """

    DATASET = "pdf_memory.jobs"

    @classmethod
    def check(cls, data: Any) -> None:
        """See :class:`~augury.schemas.table_validator.TableValidator`."""
        validate_table(data, _schema(), cls.DATASET)


def _schema() -> Any:
    def at_least(low: float) -> Any:
        return pa.Check(lambda values: values >= low, error=f"must be at least {low:g}", ignore_na=True)

    def above(low: float) -> Any:
        return pa.Check(lambda values: values > low, error=f"must be above {low:g}", ignore_na=True)

    finite = pa.Check(np.isfinite, error="must be finite", ignore_na=True)
    numbers = {
        name: pa.Column(
            float,
            [at_least(0), finite],
            nullable=name != "file_bytes",
            required=name in REQUIRED,
            coerce=True,
        )
        for name in STRUCTURE
    }
    texts = {name: pa.Column(str, nullable=True, required=False) for name in TEXTS}
    # Numbers identify as well as texts do
    identifiers = {name: pa.Column(None, nullable=True, required=False) for name in IDENTIFIERS}
    complete = pa.Check(
        lambda frame: frame[TARGET].notna() | (frame["outcome"].fillna("ok") != "ok" if "outcome" in frame else False),
        error=f"column '{TARGET}': must not be missing where the outcome is ok",
    )
    with_resolution = pa.Check(
        lambda frame: (
            frame["dpi"].notna() | (frame[CATEGORY] != "render") if {"dpi", CATEGORY} <= set(frame.columns) else True
        ),
        error=f"column 'dpi': must not be missing where the {CATEGORY} is render",
    )
    return pa.DataFrameSchema(
        {
            **numbers,
            **texts,
            **identifiers,
            "dpi": pa.Column(float, [above(0), finite], nullable=True, required=False, coerce=True),
            TARGET: pa.Column(float, [above(0), finite], nullable=True, required=True, coerce=True),
        },
        checks=[complete, with_resolution],
        strict=False,
    )
