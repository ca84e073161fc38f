"""When to look at a block at all, and when to follow what the look says: learned per bandwidth, on folds held out."""

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field

from augury.predictors.codec_costs import Floats, costs_of

FAR = math.log(2.0)
"""Beyond the bandwidths that gates were learned for by more than this factor (as a logarithm), the table decides."""


class CodecGate(BaseModel):
    """What was learned for one bandwidth."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    link_mbps: float = Field(gt=0, description="MB/s, for a CPU price of 1: what counts is their product")
    margin: float | None = Field(
        description="share of the table's cost that a choice must promise to save; null: the table decides"
    )
    inline_margin: float | None = Field(description="the same where the time of the decision counts")
    inline_size: int = Field(ge=0, description="smaller blocks are then not looked at (bytes)")
    inline_honesty: float = Field(
        default=1.0, ge=0, le=1, description="share of the promised savings that was kept at held-out lineages"
    )


class Choices(NamedTuple):
    """What is chosen for every row."""

    codec: npt.NDArray[np.intp]
    looked: npt.NDArray[np.bool_]
    """Whether the block's bytes had to be looked at for it."""
    promised: Floats
    """By how much it is predicted to cost less than the table's codec (us)."""


def gate_of(gates: tuple[CodecGate, ...], link: float) -> CodecGate:
    """The gate of the nearest bandwidth; one that is shut where all are far.

    Args:
        gates: By rising bandwidth.
        link: Bandwidth times the price of CPU.

    Returns:
        The gate.
    """
    nearest, far = _nearest(gates, np.array([link]))
    gate = gates[int(nearest[0])]
    return gate.model_copy(update={"margin": None, "inline_margin": None}) if far[0] else gate


def gates_of(gates: tuple[CodecGate, ...], link: Floats, inline: bool) -> tuple[Floats, Floats]:
    """The gate of every row: that of the nearest bandwidth.

    Args:
        gates: By rising bandwidth.
        link: Bandwidth times the price of CPU, shape ``(rows,)``.
        inline: Whether the time of the decision counts.

    Returns:
        Margins (infinite where the table decides) and least sizes, each of shape ``(rows,)``.
    """
    nearest, far = _nearest(gates, link)
    margins = np.array(
        [math.inf if (found := gate.inline_margin if inline else gate.margin) is None else found for gate in gates]
    )[nearest]
    margins[far] = math.inf
    sizes = np.array([gate.inline_size if inline else 0 for gate in gates], dtype=np.float64)[nearest]
    return margins, sizes


def _nearest(gates: tuple[CodecGate, ...], link: Floats) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.bool_]]:
    """Position of the nearest bandwidth, as a ratio; and whether even that is far."""
    distances = np.abs(np.log(link)[:, None] - np.log([gate.link_mbps for gate in gates]))
    nearest = distances.argmin(axis=1)
    return nearest, distances[np.arange(len(link)), nearest] > FAR


def agreed_costs(
    opinions: Floats, table: npt.NDArray[np.intp], link: Floats | float, price: Floats | float, reads: Floats | float
) -> Floats:
    """What codecs cost beside the table's, by whichever regressors think least of them.

    Where regressors of different kinds agree that a codec is better, it mostly is; on blocks unlike those that they
    were fitted to they differ, and then nothing looks better than the table's codec.

    Args:
        opinions: Outcomes by each of the regressors, shape ``(regressors, rows, codecs, 3)``.
        table: The table's codec, shape ``(rows,)``.
        link: See ``costs_of``.
        price: Likewise.
        reads: Likewise.

    Returns:
        Shares of the table's cost, shape ``(rows, codecs)``; 1 for the table's codec.
    """
    rows = np.arange(opinions.shape[1])
    each = (costs_of(outcomes, link, price, reads) for outcomes in opinions)
    return np.asarray(np.max([costs / costs[rows, table][:, None] for costs in each], axis=0))


def gated_choice(costs: Floats, table: npt.NDArray[np.intp], margins: Floats | float) -> npt.NDArray[np.intp]:
    """The codec of the lowest predicted cost, where it promises enough; else the table's.

    Args:
        costs: Predicted, shape ``(rows, codecs)``.
        table: The table's codec, shape ``(rows,)``.
        margins: Share of the table's predicted cost that must be saved, shape ``(rows,)``.

    Returns:
        Positions, shape ``(rows,)``.
    """
    rows = np.arange(len(costs))
    best = costs.argmin(axis=1)
    promised = costs[rows, table] - costs[rows, best]
    return np.where(promised > margins * costs[rows, table], best, table)
