"""Replay accesses through caches: what a mixture with its gate, and plain rules without one, miss."""

import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from augury.errors import UserError
from augury.predictors.access_engine import GatedCache, OnlineMixture, PlainCache
from augury.predictors.prefetch_settings import GateSettings, MixtureSettings

Array = npt.NDArray[Any]
Setting = tuple[int, int]
"""Blocks that a cache holds, and accesses until a prefetch arrives."""
COLUMNS = ("trace", "place", "session", "block", "span")
PART = 16_384


class Trace(NamedTuple):
    """The accesses of one trace in their order; all of shape ``(n,)`` and int64."""

    name: str
    blocks: Array
    sessions: Array
    spans: Array

    def first(self, accesses: int) -> "Trace":
        """Its beginning."""
        return Trace(self.name, *(values[:accesses] for values in self[1:]))


class Replayed(NamedTuple):
    """What came of a replay."""

    ranks: Array
    """By each of ``RANKED``, shape ``(n, len(RANKED))``; 255: not among the first ten."""
    totals: dict[Setting, Array]
    """Per cache the totals after each access, shape ``(n, 2, len(TOTALS))``: with prefetching, and without."""
    mixture_seconds: float
    cache_seconds: float
    """CPU time of all caches together."""
    policies: dict[Setting, int]
    """In force at the end."""
    mixture: OnlineMixture
    caches: dict[Setting, GatedCache]


def traces_of(accesses: pd.DataFrame) -> Iterator[Trace]:
    """The traces of a table.

    Args:
        accesses: ``trace``, ``place`` (order in the trace), ``session``, ``block``, ``span``.

    Yields:
        Each trace, in the order of the names.

    Raises:
        UserError: A column is missing.
    """
    missing = [name for name in COLUMNS if name not in accesses]
    if missing:
        raise UserError(f"prefetch: the table of accesses has no column '{missing[0]}'.")
    for name, rows in accesses.sort_values(["trace", "place"], kind="stable").groupby("trace", sort=True):
        columns = (rows[column].to_numpy(np.int64) for column in ("block", "session", "span"))
        yield Trace(str(name), *columns)


def replay(
    trace: Trace,
    settings: list[Setting],
    mixture: MixtureSettings,
    gate: GateSettings,
    external: Callable[[Trace], Array] | None = None,
) -> Replayed:
    """Replay a trace from its beginning, with nothing learned before.

    Args:
        trace: Accesses.
        settings: Caches that are run side by side.
        mixture: Parameters.
        gate: Parameters.
        external: Proposals of a model for the access after each, which must not know what comes later.

    Returns:
        Ranks, totals and times.
    """
    online = OnlineMixture(mixture)
    caches = {setting: GatedCache(*setting, gate) for setting in settings}
    ranks: list[Array] = []
    totals: dict[Setting, list[Array]] = {setting: [] for setting in settings}
    seconds, cache_seconds = 0.0, 0.0
    proposals = None if external is None else external(trace)
    for start in range(0, len(trace.blocks), PART):
        part = slice(start, start + PART)
        began = time.process_time()
        observed = online.observe(
            trace.blocks[part], trace.sessions[part], trace.spans[part], None if proposals is None else proposals[part]
        )
        middle = time.process_time()
        for setting, cache in caches.items():
            totals[setting].append(cache.serve(trace.blocks[part], observed)[0])
        seconds += middle - began
        cache_seconds += time.process_time() - middle
        ranks.append(observed.ranks)
    return Replayed(
        np.concatenate(ranks),
        {setting: np.concatenate(parts) for setting, parts in totals.items()},
        seconds,
        cache_seconds,
        {setting: cache.policy for setting, cache in caches.items()},
        online,
        caches,
    )


def replay_plain(
    trace: Trace, settings: list[Setting], proposals: Iterator[tuple[Array, Array]] | None
) -> dict[Setting, Array]:
    """Replay a trace through caches that prefetch every proposal.

    Args:
        trace: Accesses.
        settings: Caches.
        proposals: For each part of ``PART`` accesses the blocks to prefetch after each, and how many; None: none.

    Returns:
        Per cache the totals after each access, shape ``(n, len(TOTALS))``.
    """
    caches = {setting: PlainCache(*setting) for setting in settings}
    totals: dict[Setting, list[Array]] = {setting: [] for setting in settings}
    for start in range(0, len(trace.blocks), PART):
        blocks = trace.blocks[start : start + PART]
        if proposals is None:
            issued, numbers = np.zeros((len(blocks), 1), np.int64), np.zeros(len(blocks), np.int64)
        else:
            issued, numbers = next(proposals)
        for setting, cache in caches.items():
            totals[setting].append(cache.serve(blocks, issued, numbers))
    return {setting: np.concatenate(parts) for setting, parts in totals.items()}


def between(totals: Array, starts: Array, stops: Array) -> Array:
    """What was added to running totals from the access ``start`` until before ``stop``.

    Args:
        totals: After each access, shape ``(n, ...)``.
        starts: Shape ``(m,)``.
        stops: Shape ``(m,)``.

    Returns:
        Shape ``(m, ...)``.
    """
    padded = np.concatenate([np.zeros((1, *totals.shape[1:]), totals.dtype), totals])
    found: Array = padded[stops] - padded[starts]
    return found


def settings_of(cases: pd.DataFrame) -> list[Setting]:
    """The caches that cases of one trace ask for."""
    pairs = cases[["capacity", "delay"]].drop_duplicates().itertuples(index=False)
    return [(int(capacity), int(delay)) for capacity, delay in pairs]


def case_values(cases: pd.DataFrame, totals: Mapping[Setting, Array], column: int) -> Array:
    """One of the totals for each case of one trace: what was added during its window."""
    found = np.zeros(len(cases))
    for setting, history in totals.items():
        own = ((cases["capacity"] == setting[0]) & (cases["delay"] == setting[1])).to_numpy()
        rows = cases[own]
        found[own] = between(history[:, column], rows["start"].to_numpy(), rows["stop"].to_numpy())
    return found
