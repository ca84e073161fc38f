"""What cross-validation by lineage says of a choice of codecs: fold by fold, mean and spread."""

from typing import Any

import numpy as np
import numpy.typing as npt

from augury.metrics.metrics_mapping import json_number
from augury.pipelines.model_training.codec_gating import GateSearch, learn_gates
from augury.predictors.codec_accuracy import incompressible_auc, share_r2
from augury.predictors.codec_costs import Contexts, Floats, costs_of, table_choice
from augury.predictors.codec_gates import agreed_costs, gate_of, gated_choice, gates_of
from augury.predictors.codec_looks import LookCheck, LookRule, looks_in_order


def fold_report(
    leisurely: Floats,
    inline: Floats,
    actual: Floats,
    looks: Floats,
    groups: npt.NDArray[Any],
    folds: npt.NDArray[np.intp],
    codecs: tuple[str, ...],
    contexts: Contexts,
    search: GateSearch,
) -> dict[str, Any]:
    """Judge every fold with a table and gates that were learned on the others.

    Args:
        leisurely: Outcomes predicted by each of the regressors for blocks whose lineage was held out, shape
            ``(regressors, rows, codecs, 3)``.
        inline: Likewise, by the small tree, shape ``(rows, codecs, 3)``.
        actual: The measured ones.
        looks: Time of a look with the decision (us), shape ``(rows,)``.
        groups: Lineage of each block.
        folds: Number of each block's fold.
        codecs: Names, none first.
        contexts: The bandwidths.
        search: How gates are learned.

    Returns:
        ``folds``: figures by fold; ``mean`` and ``spread`` (standard deviation over folds) of each; ``links``: by
        bandwidth the regret of the table, at leisure and inline, over all folds together.
    """
    rows: list[dict[str, float | None]] = []
    mean = leisurely.mean(axis=0)
    sums = {link: np.zeros(4) for link in sorted(contexts.link_mbps)}
    for fold in np.unique(folds):
        inside, others = folds == fold, folds != fold
        totals = actual[others].sum(axis=0)
        gates = learn_gates(
            leisurely[:, others],
            inline[others],
            actual[others],
            looks[others],
            groups[others],
            totals,
            contexts,
            search,
        )
        figures: dict[str, float | None] = {"fold": int(fold) + 1, "blocks": int(inside.sum())}
        figures |= {f"r2_{name}": value for name, value in share_r2(mean[inside], actual[inside], codecs).items()}
        figures["incompressible_auc"] = incompressible_auc(mean[inside], actual[inside])
        for link, total in sums.items():
            costs = _costs(
                leisurely[:, inside], inline[inside], actual[inside], looks[inside], totals, gates, link, contexts,
                search.looks, float(looks[others].mean()),
            )  # fmt: skip
            total += costs
            figures |= {
                f"{name}_{link:g}": json_number(cost / costs[0] - 1)
                for name, cost in zip(("regret_table", "regret_at_leisure", "regret"), costs[1:], strict=True)
            }
        rows.append(figures)
    names = [name for name in rows[0] if name not in ("fold", "blocks")]
    values = {name: np.array([np.nan if row[name] is None else row[name] for row in rows]) for name in names}
    known = {name: each[~np.isnan(each)] for name, each in values.items()}
    return {
        "folds": rows,
        "mean": {name: json_number(each.mean()) if len(each) else None for name, each in known.items()},
        "spread": {name: json_number(each.std(ddof=1)) if len(each) > 1 else None for name, each in known.items()},
        "links": [
            {
                "link_mbps": link,
                "regret_table": float(total[1] / total[0] - 1),
                "regret_at_leisure": float(total[2] / total[0] - 1),
                "regret": float(total[3] / total[0] - 1),
            }
            for link, total in sums.items()
        ],
    }


def _costs(
    leisurely: Floats,
    inline: Floats,
    actual: Floats,
    looks: Floats,
    totals: Floats,
    gates: Any,
    link: float,
    contexts: Contexts,
    rule: LookRule,
    look_us: float,
) -> Floats:
    """Sums over blocks: of the oracle, the table, the choice at leisure, the inline choice with its own time."""
    price, reads = contexts.cpu_price, contexts.reads
    true = costs_of(actual, link, price, reads)
    rows = np.arange(len(true))
    table = np.repeat(table_choice(totals, link, price, reads), len(true))
    links = np.full(len(true), link * price)
    free, _ = gates_of(gates, links, inline=False)
    bound, _ = gates_of(gates, links, inline=True)
    at_leisure = gated_choice(agreed_costs(leisurely, table, link, price, reads), table, free)
    predicted = costs_of(inline, link, price, reads)
    quick = gated_choice(predicted, table, bound)
    check = LookCheck(gate_of(gates, link * price), rule, look_us)
    looked = looks_in_order(check, actual[:, 0, 0], (predicted[rows, table] - predicted[rows, quick]) / price)
    quick = np.where(looked, quick, table)
    return np.array(
        [
            true.min(axis=1).sum(),
            true[rows, table].sum(),
            true[rows, at_leisure].sum(),
            (true[rows, quick] + np.where(looked, price * looks, 0.0)).sum(),
        ]
    )
