"""What is asked of ``peer_selection``, and what it answers: columns, rankings, propensities."""

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from augury.errors import InputError
from augury.predictors.contract import ColumnSpec
from augury.predictors.peer_requests import PREDICTOR

SEPARATOR = ";"

INPUTS = (
    ColumnSpec(name="client", dtype="string", nullable=True, description="who asks; missing or unknown: a new client"),
    ColumnSpec(name="candidates", dtype="string", description=f"peers to choose among, joined by '{SEPARATOR}'"),
    ColumnSpec(
        name="in_flight",
        dtype="string",
        required=False,
        nullable=True,
        description=f"requests that each candidate is serving now, joined by '{SEPARATOR}'; missing: none",
    ),
)
OUTPUTS = (
    ColumnSpec(name="peer", dtype="string", description="the best candidate"),
    ColumnSpec(name="latency_ms", dtype="number", unit="ms", minimum=0, description="its expected latency"),
    ColumnSpec(name="ranked", dtype="string", description="all candidates, the best first"),
    ColumnSpec(name="latencies_ms", dtype="string", description="their expected latencies, in that order"),
    ColumnSpec(name="propensities", dtype="string", description="with which each is chosen first, in that order"),
    ColumnSpec(name="known_client", dtype="boolean", description="whether the client has been met before"),
)


class Ranking(NamedTuple):
    """An answer to one request."""

    peers: list[str]
    """Best first; after a random draw, the drawn one first."""
    latencies_ms: list[float]
    """Expected, in that order."""
    propensities: list[float]
    """With which each was to be the first, in that order; they add up to 1."""
    probe: list[str]
    """The peers to measure, of which the fastest is to be taken; one: there is nothing to measure."""


def candidates_of(text: str) -> list[str]:
    """Read the candidates of a row to be predicted: ids joined by :data:`SEPARATOR`."""
    return [name for part in text.split(SEPARATOR) if (name := part.strip())]


def loads_of(text: str | None, count: int) -> list[float]:
    """Read the requests in flight of a row to be predicted.

    Args:
        text: Numbers joined by :data:`SEPARATOR`; None: there are none in flight.
        count: Of candidates.

    Raises:
        InputError: It is anything else.
    """
    if text is None:
        return [0.0] * count
    try:
        loads = [float(part) for part in text.split(SEPARATOR)]
    except ValueError:
        loads = []
    if len(loads) != count or not all(0 <= load < math.inf for load in loads):
        raise InputError(
            f"{PREDICTOR}: column 'in_flight' must hold a number >= 0 for each of the {count} candidates, joined by "
            f"'{SEPARATOR}', not {text!r}."
        )
    return loads


def greedy_propensities(count: int, epsilon: float) -> npt.NDArray[np.float64]:
    """With which probability each of some ranked candidates is the first: the best, unless one is drawn at random.

    Args:
        count: How many candidates there are, at least 1.
        epsilon: Share of random draws.

    Examples:
        >>> greedy_propensities(4, 0.2).round(2).tolist()
        [0.85, 0.05, 0.05, 0.05]
    """
    found = np.full(count, epsilon / count)
    found[0] += 1 - epsilon
    return found
