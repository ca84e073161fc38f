"""How the choices of a policy differ from the best ones: by class, and which is taken for which.

What is wrong by name may cost nothing, so none of this says how good a policy is; it says where to look.
"""

from typing import Any

import numpy as np
import pandas as pd

from augury.metrics.metrics_mapping import json_number
from augury.pipelines.evaluation.holdout import OTHER
from augury.pipelines.evaluation.policy_holdout import MODEL, ORACLE, read_policies
from augury.pipelines.evaluation.policy_parameters import PolicyEvaluation


def judge_choices(predictions: pd.DataFrame, evaluation: PolicyEvaluation) -> dict[str, Any]:
    """Count the choices of the model and, where they are known, those that would have been best.

    Args:
        predictions: The frame that the docstring of ``policy_holdout`` describes.
        evaluation: How many choices are shown.

    Returns:
        ``metrics``: where the best choices are known ``macro_precision, macro_recall, macro_f1`` over those that were
        best in some case; ``tables``: ``choices`` (rows: ``choice, chosen, share``, and where the best ones are known
        ``best, precision, recall, f1``) and ``confusion`` (rows: ``best, chosen, cases, share`` of the best one's
        cases). All are empty where choices have no names.
    """
    holdout = read_policies(predictions)
    if MODEL not in holdout.choices:
        return {"metrics": {}, "intervals": {}, "tables": {}}
    chosen = pd.Series(holdout.choices[MODEL])
    best = pd.Series(holdout.choices[ORACLE]) if ORACLE in holdout.choices else None
    counts = pd.concat([chosen] if best is None else [chosen, best]).value_counts()
    order = sorted(counts.index, key=lambda name: (-counts[name], name))
    kept = order if len(order) <= evaluation.most_choices else order[: evaluation.most_choices - 1]
    names = [*kept, OTHER] if len(kept) < len(order) else kept
    # Rare choices are one class in the tables, but taking one of them for another is still wrong
    right = None if best is None else (chosen == best).to_numpy()
    said = chosen.where(chosen.isin(kept), OTHER).to_numpy(dtype=object)
    if best is None or right is None:
        rows = [_counted(name, int((said == name).sum()), len(said)) for name in names]
        return {"metrics": {}, "intervals": {}, "tables": {"choices": rows}}
    true = best.where(best.isin(kept), OTHER).to_numpy(dtype=object)
    rows = []
    for name in names:
        hits, called, cases = (int(mask.sum()) for mask in ((said == name) & right, said == name, true == name))
        precision, recall = hits / called if called else None, hits / cases if cases else None
        f1 = 2 * hits / (called + cases) if called + cases else None
        rows.append(
            _counted(name, called, len(said)) | {"best": cases, "precision": precision, "recall": recall, "f1": f1}
        )
    judged = [row for row in rows if row["best"]]
    metrics = {
        # A class that is never chosen has no precision; as everywhere, it counts as 0 in the mean
        f"macro_{metric}": json_number(np.mean([row[metric] or 0.0 for row in judged]))
        for metric in ("precision", "recall", "f1")
    }
    confusion = pd.DataFrame({"best": true, "chosen": said}).value_counts()
    table = [
        {
            "best": of,
            "chosen": name,
            "cases": int(confusion.get((of, name), 0)),
            "share": int(confusion.get((of, name), 0)) / int((true == of).sum()),
        }
        for of in names
        if (true == of).any()
        for name in names
    ]
    return {"metrics": metrics, "intervals": {}, "tables": {"choices": rows, "confusion": table}}


def _counted(name: str, called: int, cases: int) -> dict[str, Any]:
    return {"choice": name, "chosen": called, "share": called / cases}
