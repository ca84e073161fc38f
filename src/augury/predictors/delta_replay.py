"""What deltas between blocks would have saved: blocks in the order of time, each against what was stored before it."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
from pydantic import Field

from augury.parameters import Parameters

WHOLE = "whole"
DELTA = "delta"
IDENTICAL = "identical"


class DeltaRules(Parameters):
    """When a block is stored as the difference to another one."""

    least_similarity: float = Field(default=0.35, ge=0, le=1, description="estimate from which a delta is tried")
    least_saving: float = Field(
        default=0.5, ge=0, lt=1, description="share of its compressed size that a delta has to save to be kept"
    )
    drift_limit: float | None = Field(
        default=1.0,
        gt=0,
        description="a block is stored whole when the deltas to its reference have taken so many times its own "
        "compressed size more than the smallest of them each time; null: never for that",
    )
    chain_limit: int = Field(default=1, ge=1, le=16, description="references to read before a block can be read")
    tries: int = Field(default=1, ge=1, le=16, description="references that are tried for a block; the best is kept")


class Outcome(NamedTuple):
    """What a delta took."""

    bytes: int
    microseconds: float


Outcomes = Mapping[tuple[int, int], Outcome]
"""(place of the block, place of the reference) -> what was measured; a delta that was not measured counts as no use."""


class Stored(NamedTuple):
    """What became of blocks, in their order."""

    bytes: npt.NDArray[np.float64]
    choices: list[str]
    """``whole``, ``delta`` or ``identical``."""
    references: npt.NDArray[np.int64]
    """Places; -1 where there is none."""
    microseconds: npt.NDArray[np.float64]
    """CPU time of the deltas that were tried."""


def outcomes_of(cases: pd.DataFrame, pairs: pd.DataFrame) -> dict[tuple[int, int], Outcome]:
    """Measured deltas by places.

    Args:
        cases: ``block``, in the order of time.
        pairs: ``block``, ``reference``, ``delta_bytes``, ``delta_us``; missing bytes: not measured.
    """
    places = pd.Series(np.arange(len(cases)), index=cases["block"].to_numpy())
    measured = pairs[pairs["delta_bytes"].notna()]
    row = places.reindex(measured["block"]).to_numpy(dtype=np.float64)
    reference = places.reindex(measured["reference"]).to_numpy(dtype=np.float64)
    known = ~(np.isnan(row) | np.isnan(reference)) & (reference < row)
    return {
        (int(block), int(other)): Outcome(int(size), float(taken))
        for block, other, size, taken in zip(
            row[known],
            reference[known],
            measured["delta_bytes"].to_numpy(dtype=np.float64)[known],
            measured["delta_us"].fillna(0).to_numpy(dtype=np.float64)[known],
            strict=True,
        )
    }


def twins_of(digests: Sequence[str | None]) -> list[int]:
    """Place of the first block with the same digest, or -1 where there is none before."""
    first: dict[str, int] = {}
    return [
        -1 if not digest or (seen := first.setdefault(digest, place)) == place else seen
        for place, digest in enumerate(digests)
    ]


def replay_deltas(
    plain: Sequence[float],
    twins: Sequence[int],
    candidates: Callable[[int], Iterator[int]],
    outcomes: Outcomes,
    rules: DeltaRules,
    stored_whole: Callable[[int], None] | None = None,
) -> Stored:
    """Store blocks one after another: what is kept of one decides what the next can refer to.

    Args:
        plain: Bytes of each block compressed by itself, in the order of time.
        twins: What :func:`twins_of` returned: an identical block takes nothing and is nobody's reference.
        candidates: Place -> places of earlier blocks that it may refer to, the best first; those that are at the end of
            a chain are passed over.
        outcomes: What deltas take.
        rules: When one is kept.
        stored_whole: Called with the place of each block that others may refer to, before the next one comes.

    Returns:
        What became of them.
    """
    count = len(plain)
    found = Stored(np.asarray(plain, dtype=np.float64).copy(), [WHOLE] * count, np.full(count, -1), np.zeros(count))
    depth = [0] * count
    smallest: dict[int, float] = {}
    drift: dict[int, float] = {}
    for place in range(count):
        if twins[place] >= 0:
            found.bytes[place], found.choices[place], found.references[place] = 0, IDENTICAL, twins[place]
            depth[place] = rules.chain_limit
            continue
        tried = 0
        whole = found.bytes[place]
        for reference in candidates(place):
            if depth[reference] >= rules.chain_limit:
                continue
            tried += 1
            outcome = outcomes.get((place, reference))
            if outcome is not None:
                found.microseconds[place] += outcome.microseconds
                if outcome.bytes <= (1 - rules.least_saving) * whole and outcome.bytes < found.bytes[place]:
                    found.bytes[place], found.references[place] = outcome.bytes, reference
            if tried == rules.tries:
                break
        chosen = int(found.references[place])
        if chosen >= 0:
            taken = found.bytes[place]
            smallest[chosen] = min(smallest.get(chosen, taken), taken)
            drift[chosen] = drift.get(chosen, 0.0) + taken - smallest[chosen]
            if rules.drift_limit is not None and drift[chosen] > rules.drift_limit * whole:
                # What comes next will resemble this block more than what it was compared with
                found.bytes[place], found.references[place] = whole, -1
                drift[chosen] = 0.0
            else:
                found.choices[place], depth[place] = DELTA, depth[chosen] + 1
        if depth[place] < rules.chain_limit and stored_whole is not None:
            stored_whole(place)
    return found


def best_possible(plain: Sequence[float], twins: Sequence[int], outcomes: Outcomes) -> npt.NDArray[np.float64]:
    """The fewest bytes of each block: against its best measured reference, whatever became of that one.

    No policy can store less with these references; with a limit of the chain, none may reach it.
    """
    found = np.asarray(plain, dtype=np.float64).copy()
    for (place, _), outcome in outcomes.items():
        found[place] = min(found[place], outcome.bytes)
    found[np.asarray(twins) >= 0] = 0
    return found
