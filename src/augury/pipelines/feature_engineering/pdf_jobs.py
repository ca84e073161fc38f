"""Features of PDF jobs: the raw structure plus the bytes that physics says a job must hold."""

from typing import Any

import narwhals.stable.v2 as nw

from augury import engines
from augury.predictors.feature_specification import FeatureSpecification
from augury.predictors.monomials import with_monomials
from augury.predictors.pdf_memory import (
    CATEGORY,
    DERIVED,
    NUMBERS,
    PRIOR_TERMS,
    TARGET,
    input_columns,
)


def build_features(jobs: Any) -> tuple[Any, Any, dict[str, Any]]:
    """Add the derived features and divide the table.

    Args:
        jobs: Prepared jobs (pandas or Spark) with `is_holdout`.

    Returns:
        Training rows, holdout rows (same engine, same columns), and the
        :class:`~augury.predictors.feature_specification.FeatureSpecification` as JSON.
    """
    frame = with_monomials(nw.from_native(jobs), DERIVED)
    counted = engines.to_pandas(
        frame.group_by(CATEGORY).agg(*(nw.col(name).count().alias(name) for name in NUMBERS)).to_native()
    )
    present = [name for name in NUMBERS if counted[name].sum() > 0]
    specification = FeatureSpecification(
        predictor="pdf_memory",
        target=TARGET,
        unit="MB",
        row_id="job_id",
        group="file_id",
        origin="origin",
        category=CATEGORY,
        numbers=tuple(NUMBERS),
        derived=DERIVED,
        prior_terms=PRIOR_TERMS,
        size="file_bytes",
        inputs=input_columns(present, counted[CATEGORY].astype(str).tolist()),
    )
    columns = [
        "job_id",
        "file_id",
        "origin",
        CATEGORY,
        *NUMBERS,
        *(item.name for item in DERIVED),
        TARGET,
    ]
    train = frame.filter(~nw.col("is_holdout")).select(columns)
    holdout = frame.filter(nw.col("is_holdout")).select(columns)
    return train.to_native(), holdout.to_native(), specification.model_dump(mode="json")
