"""Learn from predictions on held-out folds when a predicted codec is worth following, and when a look at a block is."""

import math
from collections.abc import Sequence
from statistics import NormalDist

import numpy as np
import numpy.typing as npt
from pydantic import Field

from augury.parameters import Parameters
from augury.predictors.codec_costs import Contexts, Floats, costs_of, table_choice
from augury.predictors.codec_gates import CodecGate, gated_choice


class GateSearch(Parameters):
    """Among which gates the best is looked for."""

    margins: tuple[float, ...] = Field(
        default=(0.0, 0.02, 0.05, 0.1, 0.2), min_length=1, description="shares of the table's cost to be promised"
    )
    sizes: tuple[int, ...] = Field(
        default=(0, 8192, 16384, 32768, 65536, 131072), min_length=1, description="smallest blocks looked at (bytes)"
    )
    certainty: float = Field(
        default=0.95, ge=0.5, lt=1, description="that a gate saves anything at all, or else the table decides"
    )
    sample_us: float = Field(default=3.0, ge=0, description="a look at a block, where it was not measured (us)")
    decision_us: float = Field(default=0.3, ge=0, description="an inline decision after the look (us)")


def learn_gates(
    leisurely: Floats,
    inline: Floats,
    actual: Floats,
    looks: Floats,
    groups: npt.ArrayLike,
    totals: Floats,
    contexts: Contexts,
    search: GateSearch,
) -> tuple[CodecGate, ...]:
    """Choose a gate for every bandwidth.

    Args:
        leisurely: Outcomes that the regressors predicted for blocks they were not fitted to, shape ``(rows, codecs, 3)``.
        inline: Likewise, by the small tree.
        actual: The measured ones.
        looks: Time of a look at each block with the decision that follows (us), shape ``(rows,)``.
        groups: Lineage of each block.
        totals: What the table is made of, see ``table_choice``.
        contexts: The bandwidths.
        search: Among which.

    Returns:
        By rising bandwidth.
    """
    sizes = actual[:, 0, 0]
    _, codes = np.unique(np.asarray(groups).astype(str), return_inverse=True)
    price, reads = contexts.cpu_price, contexts.reads
    gates = []
    for link in sorted(contexts.link_mbps):
        table = np.repeat(table_choice(totals, link, price, reads), len(sizes))
        true = costs_of(actual, link, price, reads)
        by_margin = {}
        for kind, predicted in (("leisurely", leisurely), ("inline", inline)):
            costs = costs_of(predicted, link, price, reads)
            by_margin[kind] = {
                margin: _saved(true, table, gated_choice(costs, table, margin)) for margin in search.margins
            }
        margin = _best({(margin, 0): saved for margin, saved in by_margin["leisurely"].items()}, codes, search.certainty)
        inline_gate = _best(
            {
                (margin, least): (saved - price * looks) * (sizes >= least)
                for margin, saved in by_margin["inline"].items()
                for least in search.sizes
            },
            codes,
            search.certainty,
        )
        gates.append(
            CodecGate(
                link_mbps=link * price,
                margin=None if margin is None else margin[0],
                inline_margin=None if inline_gate is None else inline_gate[0],
                inline_size=0 if inline_gate is None else int(inline_gate[1]),
            )
        )
    return tuple(gates)


def _saved(true: Floats, table: npt.NDArray[np.intp], chosen: npt.NDArray[np.intp]) -> Floats:
    rows = np.arange(len(true))
    return np.asarray(true[rows, table] - true[rows, chosen])


def _best(
    savings: dict[tuple[float, int], Floats], groups: npt.NDArray[np.intp], certainty: float
) -> tuple[float, int] | None:
    """The gate that saves most; None where it is not certain enough that it saves anything."""
    best = max(savings, key=lambda gate: (float(savings[gate].sum()), gate))
    return best if lower_bound(savings[best], groups, certainty) > 0 else None


def lower_bound(saved: Floats, groups: npt.NDArray[np.intp], certainty: float) -> float:
    """The least that a sum over blocks amounts to, with some certainty, if lineages are what is drawn.

    Args:
        saved: By block, shape ``(rows,)``.
        groups: Number of each block's lineage.
        certainty: One-sided, such as 0.95.

    Returns:
        The lower end; minus infinity with fewer than two lineages.
    """
    sums: Sequence[float] | Floats = np.bincount(groups, weights=saved)
    many = len(sums)
    if many < 2:
        return -math.inf
    return float(np.sum(sums) - NormalDist().inv_cdf(certainty) * np.std(sums, ddof=1) * math.sqrt(many))
