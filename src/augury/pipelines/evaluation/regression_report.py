"""The report of a bounded regression: gathers what the other nodes of the stage produced."""

from typing import Any

from augury.predictors import Predictor
from augury.reporting.plot_style import plot_importances
from augury.reporting.report import render_report


def regression_report(
    predictor: Predictor,
    data: dict[str, Any],
    metrics: dict[str, Any],
    gates: list[dict[str, Any]],
    baselines: list[dict[str, Any]],
    slices: list[dict[str, Any]],
    actual: Any,
    bounds: Any,
    residuals: Any,
    models: Any,
    importances: Any,
    by_slice: Any,
) -> str:
    """Render the report of one predictor.

    Args:
        predictor: For its metadata.
        data: What data engineering kept and left out.
        metrics: A metrics mapping.
        gates: Judged gates.
        baselines: The model beside naive rules.
        slices: Metrics per slice.
        actual: Figure, predicted over actual.
        bounds: Figure, price of safety.
        residuals: Figure, distribution of the error factor.
        models: Figure, model and baselines.
        importances: Figure, what the trees look at.
        by_slice: Figure, error per slice.

    Returns:
        A self-contained HTML page.
    """
    metadata = predictor.metadata.model_dump(mode="json")
    plots = {
        "Predicted and actual": actual,
        "The price of safety": bounds,
        "Error factor": residuals,
        "Model and baselines": models,
        "What the trees look at": importances,
        "Where it is worse": by_slice,
    }
    return render_report(
        metadata["predictor"],
        metrics,
        gates,
        baselines,
        slices,
        plots,
        metadata,
        _notes(data, metrics),
    )


def _notes(data: dict[str, Any], metrics: dict[str, Any]) -> list[str]:
    outcomes = ", ".join(f"{name} {rows:,}" for name, rows in data["rows_by_outcome"].items())
    notes = [
        f"Of {data['rows_read']:,} rows read (by outcome: {outcomes}), {data['rows_train']:,} were used for training "
        f"and {data['rows_holdout']:,} held out; no group has rows on both sides.",
        f"The ONNX export was compared on all {metrics['onnx_rows']:,} held-out rows; "
        f"largest relative difference {metrics['onnx_max_relative_difference']:.1g}.",
    ]
    if data["columns_missing"]:
        notes.append(f"Columns that the raw table does not have: {', '.join(data['columns_missing'])}.")
    return notes


def plot_trained_importances(training: dict[str, Any]) -> Any:
    """Draw the importances that training recorded.

    Args:
        training: The training's account.

    Returns:
        A plotly figure.
    """
    return plot_importances(training["importances"])
