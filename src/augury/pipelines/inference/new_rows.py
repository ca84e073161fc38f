"""Predict a table of new rows with the champion, or with the local predictor where there is none."""

from typing import Any

import pandas as pd
from pydantic import Field

from augury.parameters import Parameters
from augury.predictors import Metadata
from augury.predictors.predictor_version import PredictorVersion

GIVEN = "given_"
"""Before the name of an input column that is also the name of an output."""
MODEL = "model"
VERSION = "model_version"
TIME = "predicted_at"


class Inference(Parameters):
    """How new rows are predicted."""

    batch_rows: int = Field(default=20_000, ge=1, description="About how many rows are predicted at once.")
    progress: bool = Field(default=True, description="Whether a progress bar is shown where there are several batches.")


def predict_new_rows(
    serving: PredictorVersion, new_rows: pd.DataFrame, provenance: dict[str, Any], inference: Inference
) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Predict new rows.

    Args:
        serving: Who predicts.
        new_rows: Columns of the predictor's input schema, where times may be times; further ones are carried along.
        provenance: For the time: ``created_at``.
        inference: Size of the batches.

    Returns:
        The rows as they came with the predictor's outputs, ``model``, ``model_version`` and ``predicted_at`` beside
        them; an input column of such a name comes back as ``given_<name>``. And a report: who predicted how many rows
        when, the missing values of the inputs, a summary of the outputs.

    Raises:
        UserError: The predictor could not be loaded, or a column breaks its input schema.
    """
    from tqdm import tqdm

    predictor = serving.loaded()
    # Not every library that predictors use takes an index with repetitions
    asked = _with_times_as_text(new_rows, predictor.metadata).reset_index(drop=True)
    starts = range(0, max(len(asked), 1), inference.batch_rows)
    shown = tqdm(starts, desc="predict", unit="batch", disable=not inference.progress or len(starts) < 2)
    # A predictor answers each row as if it were the only one
    answers = [predictor.predict(asked.iloc[start : start + inference.batch_rows]) for start in shown]
    outputs = pd.concat(answers).set_axis(new_rows.index)
    at = provenance["created_at"]
    added = {**{name: outputs[name] for name in outputs}, MODEL: serving.model, VERSION: serving.version, TIME: at}
    taken = {name: f"{GIVEN}{name}" for name in new_rows.columns if name in added}
    predictions = new_rows.rename(columns=taken).assign(**added)
    inputs = [column.name for column in predictor.metadata.inputs if column.name in new_rows]
    report = {
        "predictor": predictor.metadata.predictor,
        **serving.facts(),
        "predicted_at": at,
        "rows": len(new_rows),
        "batches": len(starts),
        "missing": {name: int(count) for name, count in new_rows[inputs].isna().sum().items() if count},
        "outputs": {str(name): _summary(outputs[name]) for name in outputs},
    }
    return predictions, report


def _with_times_as_text(rows: pd.DataFrame, metadata: Metadata) -> pd.DataFrame:
    """Parquet has times, but JSON has not, and the predictors' schemas ask for what both can hold: ISO 8601."""
    nothing: Any = None
    texts = {}
    for column in metadata.inputs:
        if column.dtype == "string" and column.name in rows:
            times = rows[column.name]
            if pd.api.types.is_datetime64_any_dtype(times.dtype):
                text = times.dt.strftime("%Y-%m-%dT%H:%M:%S.%f%z")
                texts[column.name] = text.astype(object).where(times.notna(), nothing)
    return rows.assign(**texts)


def _summary(values: pd.Series) -> dict[str, Any]:
    """Mean and range of numbers, counts of anything else."""
    known = values.dropna()
    if pd.api.types.is_numeric_dtype(known) and not pd.api.types.is_bool_dtype(known):
        if known.empty:
            return {"mean": None, "min": None, "max": None}
        return {"mean": float(known.mean()), "min": float(known.min()), "max": float(known.max())}
    counts = known.astype(str).value_counts().head(10)
    return {"counts": {str(value): int(count) for value, count in counts.items()}}
