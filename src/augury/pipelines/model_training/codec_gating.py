"""Learn from predictions on held-out folds when a predicted codec is worth following, and when a look at a block is."""

import math
from collections.abc import Sequence
from statistics import NormalDist

import numpy as np
import numpy.typing as npt
from pydantic import Field

from augury.parameters import Parameters
from augury.predictors.codec_costs import Contexts, Floats, costs_of, table_choice
from augury.predictors.codec_gates import CodecGate, agreed_costs, gated_choice
from augury.predictors.codec_looks import LookRule, honesty


class GateSearch(Parameters):
    """Among which gates the best is looked for."""

    margins: tuple[float, ...] = Field(
        default=(0.0, 0.02, 0.05, 0.1, 0.2, 0.3), min_length=1, description="shares of the table's cost to be promised"
    )
    inline_margins: tuple[float, ...] = Field(
        default=(0.05, 0.1, 0.2, 0.3),
        min_length=1,
        description="the same for the small tree: on data of another kind it errs by more than a few percent",
    )
    sizes: tuple[int, ...] = Field(
        default=(0, 8192, 16384, 32768, 65536, 131072), min_length=1, description="smallest blocks looked at (bytes)"
    )
    certainty: float = Field(
        default=0.95, ge=0.5, lt=1, description="that an inline gate saves anything at all, or else the table decides"
    )
    leisure_certainty: float = Field(
        default=0.8,
        ge=0.5,
        lt=1,
        description="the same at leisure, where a look costs nothing and regressors have to agree anyway",
    )
    least_saving: float = Field(
        default=0.001, ge=0, description="share of the table's cost that a gate must save on all blocks together"
    )
    keep: float = Field(
        default=0.97,
        gt=0,
        le=1,
        description="of what the best gate saves, the most cautious one that saves this share is taken",
    )
    looks: LookRule = LookRule()
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
        leisurely: Outcomes predicted by each of the regressors, none fitted to these blocks, shape
            ``(regressors, rows, codecs, 3)``.
        inline: Likewise, by the small tree, shape ``(rows, codecs, 3)``.
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
        usual = float(true[:, table[0]].sum())
        agreed = agreed_costs(leisurely, table, link, price, reads)
        at_leisure = {
            (0, margin): _saved(true, table, gated_choice(agreed, table, margin)) for margin in search.margins
        }
        margin = _best(at_leisure, codes, search, usual, search.leisure_certainty)
        costs = costs_of(inline, link, price, reads)
        chosen = {margin: gated_choice(costs, table, margin) for margin in search.inline_margins}
        savings = {margin: _saved(true, table, choice) for margin, choice in chosen.items()}
        inline_gate = _best(
            {
                (least, margin): (saved - search.looks.caution * price * looks) * (sizes >= least)
                for margin, saved in savings.items()
                for least in search.sizes
            },
            codes,
            search,
            usual,
            search.certainty,
        )
        gate = CodecGate(
            link_mbps=link * price,
            margin=None if margin is None else margin[1],
            inline_margin=None if inline_gate is None else inline_gate[1],
            inline_size=0 if inline_gate is None else inline_gate[0],
        )
        if inline_gate is not None:
            inside = sizes >= inline_gate[0]
            promised = float(_saved(costs, table, chosen[inline_gate[1]])[inside].sum())
            saved = float(savings[inline_gate[1]][inside].sum())
            gate = gate.model_copy(update={"inline_honesty": honesty(saved, promised)})
        gates.append(gate)
    return tuple(gates)


def _saved(true: Floats, table: npt.NDArray[np.intp], chosen: npt.NDArray[np.intp]) -> Floats:
    rows = np.arange(len(true))
    return np.asarray(true[rows, table] - true[rows, chosen])


def _best(
    savings: dict[tuple[int, float], Floats],
    groups: npt.NDArray[np.intp],
    search: GateSearch,
    usual: float,
    certainty: float,
) -> tuple[int, float] | None:
    """The most cautious gate that saves almost as much as the best; None where it may save nothing."""
    sums = {gate: float(saved.sum()) for gate, saved in savings.items()}
    if max(sums.values()) <= search.least_saving * usual:
        return None
    enough = search.keep * max(sums.values())
    cautious = max(gate for gate, saved in sums.items() if saved >= enough)
    return cautious if lower_bound(savings[cautious], groups, certainty) > 0 else None


def lower_bound(saved: Floats, groups: npt.NDArray[np.intp], certainty: float) -> float:
    """The least that a sum over blocks amounts to, with some certainty, if lineages are what is drawn.

    Args:
        saved: By block, shape ``(rows,)``.
        groups: Number of each block's lineage.
        certainty: One-sided, such as 0.95.

    Returns:
        The lower end; minus infinity with fewer than two lineages.
    """
    sums: Sequence[float] | Floats = np.bincount(groups, weights=saved).astype(np.float64)
    many = len(sums)
    if many < 2:
        return -math.inf
    return float(np.sum(sums) - NormalDist().inv_cdf(certainty) * np.std(sums, ddof=1) * math.sqrt(many))
