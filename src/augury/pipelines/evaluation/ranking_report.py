"""The report of a recommender: gathers what the other nodes of the stage produced."""

from typing import Any

from augury.pipelines.evaluation.ranking_parameters import RankingEvaluation
from augury.predictors import Predictor
from augury.reporting.report import render_page, report_content, titled
from augury.reporting.report_tables import section_of_json

PLOT_PREFIX = "plot_"
REPORT_PREFIX = "report_"
PLOT_TITLES = {
    "baselines": "Model and baselines, under both protocols",
    "sizes": "NDCG by length of the list",
    "ranks": "Where the held-out items stand",
    "popularity": "Popularity of what is recommended",
    "slices": "Where it is worse",
    "curves": "Training curves",
}
REPORT_TITLES = {
    "data": "What was kept and what was left out",
    "training": "Training",
}


def ranking_report(
    predictor: Predictor,
    metrics: dict[str, Any],
    gates: list[dict[str, Any]],
    baselines: list[dict[str, Any]],
    slices: list[dict[str, Any]],
    evaluation: RankingEvaluation,
    **parts: Any,
) -> str:
    """Render the report of one recommender.

    Args:
        predictor: For its metadata.
        metrics: A metrics mapping.
        gates: Judged gates.
        baselines: The model beside the baselines.
        slices: Metrics per slice.
        evaluation: How the recommender was judged.
        **parts: ``plot_<name>``: figures; ``report_<name>``: JSON objects of other stages, each of which becomes a
            section. Those that :data:`PLOT_TITLES` and :data:`REPORT_TITLES` name come first, in that order.

    Returns:
        A self-contained HTML page.
    """
    metadata = predictor.metadata.model_dump(mode="json")
    content = report_content(
        metadata["predictor"],
        metrics,
        gates,
        baselines,
        slices,
        metadata,
        _notes(metrics, baselines, evaluation),
        [section_of_json(title, part) for title, part in titled(parts, REPORT_PREFIX, REPORT_TITLES).items()],
    )
    return render_page(content, titled(parts, PLOT_PREFIX, PLOT_TITLES))


def _notes(metrics: dict[str, Any], baselines: list[dict[str, Any]], evaluation: RankingEvaluation) -> list[str]:
    among = metrics["sampled_negatives"]
    notes = [
        "The metrics without a further word are those of the full ranking: every held-out item among all items that "
        "its user had not seen. Items with equal scores share their places, so a constant score is as good as chance. "
        f"All metrics are means over users; intervals: {evaluation.bootstrap_replicates:,} resamples of users.",
    ]
    if among:
        notes.append(
            f"Those 'among sampled negatives' rank it among {among:,} random items, as the NCF paper does; they are "
            "far higher, can order models the other way round, and are here for comparison with the literature only."
        )
    reversals = _reversals(baselines, evaluation.k)
    if reversals:
        notes.append(
            f"By NDCG@{evaluation.k}, the two protocols disagree whether the model is better than "
            f"{' and '.join(reversals)}."
        )
    if metrics["n_cold"]:
        notes.append(
            f"{metrics['n_cold']:,} of {metrics['n_test']:,} held-out pairs have a user or an item without training "
            "interactions. They count in all metrics but that of the other pairs."
        )
    rows, difference = metrics.get("onnx_rows"), metrics.get("onnx_max_difference")
    if rows is not None and difference is not None:
        notes.append(f"The ONNX export was compared on {rows:,} pairs; largest difference {difference:.1g}.")
    return notes


def _reversals(baselines: list[dict[str, Any]], k: int) -> list[str]:
    """Baselines that are behind the model under one protocol, and ahead of it under the other."""
    leads = ((row["model"], row[f"ndcg_at_{k}_above"], row[f"sampled_ndcg_at_{k}_above"]) for row in baselines[1:])
    return [name for name, full, sampled in leads if full and sampled and (full > 0) != (sampled > 0)]
