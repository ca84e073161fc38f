"""Which slices are worse than the whole by more than chance."""

from collections import Counter
from statistics import NormalDist
from typing import Any

from augury.pipelines.evaluation.binary_parameters import BinaryEvaluation
from augury.pipelines.evaluation.holdout import OTHER

METRIC = "roc_auc"
SIGNIFICANCE = 0.05


def find_weak_slices(
    slices: list[dict[str, Any]], report_classification: dict[str, Any], evaluation: BinaryEvaluation
) -> dict[str, Any]:
    """Compare the ROC-AUC of every slice with that of all main rows.

    Args:
        slices: What ``evaluate_slices`` returned.
        report_classification: The metrics mapping of the main rows.
        evaluation: Coverage of the intervals.

    Returns:
        JSON-ready: ``metrics``: ``worst_slice``, the slice with the smallest ROC-AUC as ``<column> = <value>``, its
        ``worst_slice_roc_auc`` and ``worst_slice_n``, and ``weak_slices``, how many are weak; ``intervals``;
        ``support``; ``slices``, rows of ``slice, value, n, positives, roc_auc, shortfall, p, p_holm, weak``, worst
        first. ``shortfall`` is the whole's ROC-AUC less the slice's, ``p`` the chance of one so large where there is
        none (normal, from the width of the slice's interval, the whole taken as known), ``p_holm`` the same after
        Holm's correction for the number of slices; a slice is weak below 5 %. Merged values, columns of one value
        and slices without an interval are left out.
    """
    whole = report_classification.get(METRIC)
    sizes = Counter(row["slice"] for row in slices)
    judged = [
        row
        for row in slices
        if row["value"] != OTHER and sizes[row["slice"]] > 1 and None not in (row[METRIC], row[f"{METRIC}_lower"])
    ]
    if whole is None or not judged:
        names = ("worst_slice", "worst_slice_roc_auc", "worst_slice_n")
        return {"metrics": dict.fromkeys(names) | {"weak_slices": 0}, "intervals": {}, "support": {}, "slices": []}
    chances = [_chance(row, whole, evaluation.confidence) for row in judged]
    rows = [
        {
            **{name: row[name] for name in ("slice", "value", "n", "positives", METRIC)},
            f"{METRIC}_lower": row[f"{METRIC}_lower"],
            f"{METRIC}_upper": row[f"{METRIC}_upper"],
            "shortfall": whole - row[METRIC],
            "p": chance,
            "p_holm": corrected,
            "weak": corrected < SIGNIFICANCE,
        }
        for row, chance, corrected in zip(judged, chances, holm(chances), strict=True)
    ]
    rows.sort(key=lambda row: (row[METRIC], row["slice"], row["value"]))
    worst = rows[0]
    return {
        "metrics": {
            "worst_slice": f"{worst['slice']} = {worst['value']}",
            "worst_slice_roc_auc": worst[METRIC],
            "worst_slice_n": worst["n"],
            "weak_slices": sum(row["weak"] for row in rows),
        },
        "intervals": {"worst_slice_roc_auc": [worst[f"{METRIC}_lower"], worst[f"{METRIC}_upper"]]},
        "support": {"worst_slice_roc_auc": worst["n"]},
        "slices": rows,
    }


def _chance(row: dict[str, Any], whole: float, confidence: float) -> float:
    width = row[f"{METRIC}_upper"] - row[f"{METRIC}_lower"]
    shortfall = whole - row[METRIC]
    if width == 0:
        return 0.0 if shortfall > 0 else 1.0
    normal = NormalDist()
    error = width / (2 * normal.inv_cdf((1 + confidence) / 2))
    return 1 - normal.cdf(shortfall / error)


def holm(chances: list[float]) -> list[float]:
    """Correct p-values for their number, in the order given.

    Examples:
        >>> holm([0.01, 0.04, 0.03])
        [0.03, 0.06, 0.06]
    """
    corrected = [1.0] * len(chances)
    reached = 0.0
    for place, index in enumerate(sorted(range(len(chances)), key=chances.__getitem__)):
        reached = max(reached, min(1.0, (len(chances) - place) * chances[index]))
        corrected[index] = reached
    return corrected
