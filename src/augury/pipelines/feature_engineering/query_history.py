"""History of the keys: what every day added, and what was known at the beginning of each day.

Three rules make the numbers the same on every engine and whatever the machine that computes them:

- Rows are only ever counted, or summed as integers: logarithms in units of 2**-20. Sums of integers do not depend on
  their order.
- A key's state is a sequence of additions in the order of the days, done for many keys at once but elementwise. It does
  not matter which keys are together.
- A day's weight is ``2**(day / half life)``; its whole part is an exponent, and so exact. A state is a sum of weighted
  days, brought to the day of a snapshot by one exact and one rounded factor. The result depends neither on the first
  day of the log nor on its last.
"""

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import narwhals.stable.v2 as nw
import numpy as np
import pandas as pd

from augury import engines
from augury.pipelines.feature_engineering.query_keys import AVAILABLE_DATE
from augury.predictors.query_columns import CPU_TIME_S, DATE, IS_HEAVY, PEAK_MEMORY_GB, QUERY_ID
from augury.predictors.query_features import QueryFeatures
from augury.predictors.query_history import SNAPSHOT, STATE
from augury.predictors.query_keys import (
    ALL,
    CATALOG,
    GLOBAL,
    SCHEMA,
    SEPARATOR,
    SOURCE,
    TABLE,
    TEMPLATE,
    USER,
    USER_TABLES,
)

COST, BYTES, ROWS, MEMBER = "cost", "bytes", "rows", "member"
"""Kinds of daily rows: queries by their CPU time; table reads by bytes, and by rows; who was seen together."""

COUNTS = ("queries", "heavy", "cpu_known", "log_cpu", "memory_known", "log_memory")
DAILY: engines.Schema = {
    "kind": "string",
    "key": "string",
    "measure": "string",
    "bin": "long",
    "member": "string",
    **dict.fromkeys(COUNTS, "long"),
    "max_memory_gb": "double",
    DATE: "string",
}
"""Columns of the daily statistics. ``date`` is the day on which the queries became known."""

_GROUP = ("kind", "key", "measure", "bin", "member", DATE)
PAIRS: engines.Schema = {DATE: "string", "kind": "string", "key": "string"}

UNIT = 2.0**20
UNKNOWN = -1
"""Bin, or memory, of what was not recorded; no amount is negative."""

BINS_PER_OCTAVE = 4
LOWEST_OCTAVE = -10
HIGHEST_OCTAVE = 54
_STEPS = np.array([2.0 ** (step / BINS_PER_OCTAVE) for step in range(1, BINS_PER_OCTAVE)])
EDGES = np.array(
    [0.0]
    + [
        2.0**octave * 2.0 ** (step / BINS_PER_OCTAVE)
        for octave in range(LOWEST_OCTAVE, HIGHEST_OCTAVE)
        for step in range(BINS_PER_OCTAVE)
    ]
    + [2.0**HIGHEST_OCTAVE]
)
"""Bounds of the histograms' bins: quarters of an octave, from a millisecond or a byte on."""

_REBASED = 500
"""Half lives after which weights start again from 1, long before they overflow."""

_CHUNK = 50_000
_EPOCH = np.datetime64("1970-01-01", "D")


# --- what a day added ---


def daily_statistics(features_keys: Any, features: QueryFeatures) -> Any:
    """Count what became known of every key on every day.

    Args:
        features_keys: The keyed log (pandas or Spark).
        features: Parameters.

    Returns:
        Native frame with the columns of :data:`DAILY`: per key and day one row for each bin of CPU time, of bytes and
        of rows, and one for each member (catalogs of a user, users of a catalog).
    """
    partial = engines.map_batches(features_keys, _statistics, DAILY)
    frame = (
        nw.from_native(partial)
        .group_by(*_GROUP)
        .agg(*(nw.col(name).sum() for name in COUNTS), nw.col("max_memory_gb").max())
    )
    return frame.select(*DAILY).to_native()


def bins(amounts: np.ndarray) -> np.ndarray:
    """Number of the bin of each amount; :data:`UNKNOWN` where it is missing.

    Args:
        amounts: float64, not negative.

    Returns:
        int64.
    """
    known = np.isfinite(amounts)
    mantissa, exponent = np.frexp(np.where(known, amounts, 1.0))
    # No logarithm: it may fall on either side of an edge
    steps = np.searchsorted(_STEPS, mantissa * 2.0, side="right")
    number = (exponent.astype(np.int64) - 1 - LOWEST_OCTAVE) * BINS_PER_OCTAVE + steps + 1
    number = np.where(mantissa > 0, np.clip(number, 0, len(EDGES) - 2), 0)
    return np.where(known, number, UNKNOWN)


def _statistics(keys: pd.DataFrame) -> pd.DataFrame:
    keys = keys[keys[AVAILABLE_DATE].notna()].reset_index(drop=True)
    cpu = keys[CPU_TIME_S].to_numpy(dtype=np.float64)
    memory = keys[PEAK_MEMORY_GB].to_numpy(dtype=np.float64)
    cost = pd.DataFrame(
        {
            "measure": COST,
            "bin": bins(np.maximum(cpu, 0.0)),
            "member": "",
            "queries": 1,
            "heavy": keys[IS_HEAVY].to_numpy(dtype=np.int64),
            "cpu_known": np.isfinite(cpu).astype(np.int64),
            "log_cpu": _fixed_log1p(cpu),
            "memory_known": np.isfinite(memory).astype(np.int64),
            "log_memory": _fixed_log1p(memory),
            "max_memory_gb": np.where(np.isfinite(memory), memory, UNKNOWN),
            DATE: keys[AVAILABLE_DATE],
        }
    )
    pieces = [_summed(cost.iloc[rows].assign(kind=kind, key=names)) for kind, rows, names in exploded(keys)]
    pieces += [_summed(_reads(keys)), _members(keys, USER, CATALOG), _members(keys, CATALOG, USER)]
    return pd.concat(pieces, ignore_index=True)


def exploded(keys: pd.DataFrame) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    """Go through the keys of queries kind by kind.

    Args:
        keys: Key columns of the keyed log.

    Yields:
        The kind, the numbers of the rows that have such a key, and their keys; a row has as many as it has tables.
    """
    everything = np.arange(len(keys))
    yield GLOBAL, everything, np.full(len(keys), ALL, dtype=object)
    for kind in (USER, CATALOG, SCHEMA, TEMPLATE, USER_TABLES, SOURCE):
        rows = np.flatnonzero(keys[kind].notna())
        yield kind, rows, keys[kind].to_numpy(dtype=object)[rows]
    rows = np.flatnonzero(keys["tables"].notna())
    names = [text.split(SEPARATOR) for text in keys["tables"].iloc[rows]]
    lengths = [len(found) for found in names]
    flat = np.empty(sum(lengths), dtype=object)
    flat[:] = [name for found in names for name in found]
    yield TABLE, np.repeat(rows, lengths), flat


def _reads(keys: pd.DataFrame) -> pd.DataFrame:
    rows = np.flatnonzero(keys["inputs"].notna())
    texts = keys["inputs"].iloc[rows].tolist()
    known = {text: json.loads(text) for text in dict.fromkeys(texts)}
    reads = [known[text] for text in texts]
    flat = [read for found in reads for read in found]
    dates = keys[AVAILABLE_DATE].to_numpy(dtype=object)[np.repeat(rows, [len(found) for found in reads])]
    pieces = []
    for measure, column in ((BYTES, 1), (ROWS, 2)):
        amounts = np.array([read[column] for read in flat], dtype=np.float64)
        piece = pd.DataFrame(
            {
                "kind": TABLE,
                "key": pd.Series([read[0] for read in flat], dtype=object),
                "measure": measure,
                "bin": bins(amounts),
                "member": "",
                **dict.fromkeys(COUNTS, 0),
                "max_memory_gb": float(UNKNOWN),
                DATE: pd.Series(dates, dtype=object),
            }
        )
        pieces.append(piece.assign(queries=1)[~np.isnan(amounts)])
    return pd.concat(pieces, ignore_index=True)


def _members(keys: pd.DataFrame, kind: str, other: str) -> pd.DataFrame:
    found = keys[[kind, other, AVAILABLE_DATE]].dropna().drop_duplicates()
    counts = dict.fromkeys(COUNTS, 0)
    return pd.DataFrame(
        {
            "kind": kind,
            "key": found[kind],
            "measure": MEMBER,
            "bin": UNKNOWN,
            "member": found[other],
            **counts,
            "max_memory_gb": float(UNKNOWN),
            DATE: found[AVAILABLE_DATE],
        }
    )


def _summed(rows: pd.DataFrame) -> pd.DataFrame:
    how = dict.fromkeys(COUNTS, "sum") | {"max_memory_gb": "max"}
    return rows.groupby(list(_GROUP), sort=False, as_index=False).agg(how)


def _fixed_log1p(amounts: np.ndarray) -> np.ndarray:
    """``log1p`` in units of 2**-20 as int64; 0 where the amount is missing."""
    known = np.where(np.isfinite(amounts), np.maximum(amounts, 0.0), 0.0)
    logs = np.array([math.log1p(amount) for amount in known.tolist()], dtype=np.float64)
    return np.rint(logs * UNIT).astype(np.int64)


# --- what was known on a day ---


def take_snapshots(features_daily: Any, features_keys: Any, primary_sampled: Any, features: QueryFeatures) -> Any:
    """Take the snapshots that the sampled queries look into, and the complete newest one.

    A snapshot of a day holds exactly what became known before that day. Only those keys are in it that a query of the
    day has; the newest, of the day after everything is known, has all that are not forgotten.

    Args:
        features_daily: Daily statistics (pandas or Spark).
        features_keys: The keyed log.
        primary_sampled: The queries to be featurised.
        features: Parameters.

    Returns:
        Native frame with the columns of :data:`~augury.predictors.query_history.SNAPSHOT`.
    """
    last = engines.to_pandas(nw.from_native(features_daily).select(nw.col(DATE).max()).to_native())[DATE].tolist()
    newest = _day(last[0]) + 1 if last and isinstance(last[0], str) else None
    sampled = nw.from_native(primary_sampled).select(QUERY_ID)
    wanted = nw.from_native(features_keys).join(sampled, on=QUERY_ID, how="semi")
    pairs = engines.map_batches(wanted.to_native(), asked_pairs, PAIRS)
    pairs = nw.from_native(pairs).unique(subset=list(PAIRS)).to_native()

    def snapshots(daily: pd.DataFrame, asked: pd.DataFrame) -> pd.DataFrame:
        return _snapshots(daily, asked, newest, features)

    return engines.map_cobuckets(features_daily, pairs, ["kind", "key"], snapshots, SNAPSHOT)


def asked_pairs(keys: pd.DataFrame) -> pd.DataFrame:
    """What queries ask of the snapshots of their days.

    Args:
        keys: Key columns and ``date`` of the keyed log.

    Returns:
        Distinct rows of the columns of :data:`PAIRS`.
    """
    keys = keys[keys[DATE].notna()]
    dates = keys[DATE].to_numpy(dtype=object)
    pieces = [
        pd.DataFrame({DATE: dates[rows], "kind": kind, "key": names}).drop_duplicates()
        for kind, rows, names in exploded(keys)
    ]
    return pd.concat(pieces, ignore_index=True)


def _snapshots(daily: pd.DataFrame, asked: pd.DataFrame, newest: int | None, features: QueryFeatures) -> pd.DataFrame:
    """The asked states of some keys, in one pass over the days."""
    identity = pd.MultiIndex.from_frame(daily[["kind", "key"]].drop_duplicates())
    if newest is None or not len(identity):
        return pd.DataFrame({name: pd.Series(dtype=object) for name in SNAPSHOT})
    history = _History(daily, identity, features)
    positions = identity.get_indexer(pd.MultiIndex.from_frame(asked[["kind", "key"]]))
    days = _days(asked[DATE])[positions >= 0]
    order = np.lexsort((positions[positions >= 0], days))
    questions = _by_day(days[order], positions[positions >= 0][order])
    questions[newest] = np.arange(len(identity))
    answers, rows, dates = [], [], []
    for day in sorted({*questions, *history.days}):
        if day in questions:
            known = history.known(questions[day], day)
            answers.append(history.states(known, day))
            rows.append(known)
            dates.append(np.full(len(known), str(_EPOCH + day), dtype=object))
        history.add(day)
    at = np.concatenate(rows)
    return pd.DataFrame(np.vstack(answers), columns=list(STATE)).assign(
        **{
            DATE: np.concatenate(dates),
            "kind": identity.get_level_values(0).to_numpy(dtype=object)[at],
            "key": identity.get_level_values(1).to_numpy(dtype=object)[at],
        }
    )


@dataclass
class _Cells:
    """Weights of what is counted apart for a key (bins, members), all cells of a key side by side."""

    starts: np.ndarray
    ends: np.ndarray
    bin: np.ndarray
    weight: np.ndarray
    last: np.ndarray
    events: dict[int, tuple[np.ndarray, np.ndarray]]
    """By day: cells, counts."""

    def ragged(self, keys: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """All cells of some keys: the key's number among them, the cell's number within its key, the cell."""
        lengths = self.ends[keys] - self.starts[keys]
        rows = np.repeat(np.arange(len(keys)), lengths)
        within = np.arange(lengths.sum()) - np.repeat(np.cumsum(lengths) - lengths, lengths)
        return rows, within, np.repeat(self.starts[keys], lengths) + within

    def quantiles(self, keys: np.ndarray, levels: tuple[float, ...]) -> np.ndarray:
        """Quantiles of the weighted histogram of each key, by linear interpolation within a bin; NaN if it is empty."""
        found = np.full((len(levels), len(keys)), np.nan)
        for start in range(0, len(keys), _CHUNK):
            part = keys[start : start + _CHUNK]
            rows, within, cells = self.ragged(part)
            if not len(cells):
                continue
            weights = np.zeros((len(part), within.max() + 1))
            numbers = np.zeros(weights.shape, dtype=np.int64)
            weights[rows, within] = self.weight[cells]
            numbers[rows, within] = self.bin[cells]
            # From left to right within a key: the cells of other keys do not matter
            below = np.cumsum(weights, axis=1)
            total = below[:, -1]
            each = np.arange(len(part))
            for at, level in enumerate(levels):
                target = total * level
                column = np.argmax(below >= target[:, None], axis=1)
                inside = weights[each, column]
                before = np.where(column > 0, below[each, column - 1], 0.0)
                low, high = EDGES[numbers[each, column]], EDGES[numbers[each, column] + 1]
                with np.errstate(invalid="ignore", divide="ignore"):
                    value = low + (high - low) * ((target - before) / inside)
                found[at, start : start + len(part)] = np.where(total > 0, value, np.nan)
        return found


class _History:
    """States of some keys, advanced day by day."""

    def __init__(self, daily: pd.DataFrame, identity: pd.MultiIndex, features: QueryFeatures) -> None:
        self._features = features
        half_life = features.half_life_days
        self._grown = [2.0 ** (rest / half_life) for rest in range(half_life)]
        self._shrunk = [2.0 ** (-rest / half_life) for rest in range(half_life)]
        code = identity.get_indexer(pd.MultiIndex.from_frame(daily[["kind", "key"]]))
        day = _days(daily[DATE])
        self.days = sorted(set(day.tolist()))
        self._base = self.days[0] // half_life
        size = len(identity)
        self._last = np.full(size, np.iinfo(np.int64).min // 2)
        self._sums = np.zeros((len(COUNTS), size))
        self._max_memory = np.full(size, float(UNKNOWN))
        measure = daily["measure"].to_numpy(dtype=object)
        number = daily["bin"].to_numpy(dtype=np.int64)
        queries = daily["queries"].to_numpy(dtype=np.int64)
        binned = number != UNKNOWN
        cost = measure == COST
        self._events = self._daily_sums(daily[cost], code[cost], day[cost])
        self._seen = _by_day(day, code)
        self._histograms = {}
        for name in (COST, BYTES, ROWS):
            rows = (measure == name) & binned
            self._histograms[name] = _cells(size, code[rows], number[rows], day[rows], queries[rows])
        rows = measure == MEMBER
        member = pd.factorize(daily["member"].to_numpy(dtype=object)[rows])[0]
        self._members = _cells(size, code[rows], member, day[rows], queries[rows])

    @staticmethod
    def _daily_sums(cost: pd.DataFrame, code: np.ndarray, day: np.ndarray) -> dict[int, tuple[Any, ...]]:
        """By day: keys, sums over the bins, largest memory."""
        order = np.lexsort((code, day))
        code, day = code[order], day[order]
        if not len(code):
            return {}
        starts = np.flatnonzero(np.r_[True, (np.diff(code) != 0) | (np.diff(day) != 0)])
        counts = np.add.reduceat(cost[list(COUNTS)].to_numpy(dtype=np.int64)[order], starts, axis=0)
        memory = np.maximum.reduceat(cost["max_memory_gb"].to_numpy(dtype=np.float64)[order], starts)
        bounds = np.flatnonzero(np.r_[True, np.diff(day[starts]) != 0])
        stops = np.r_[bounds[1:], len(starts)]
        return {
            int(day[starts[first]]): (code[starts[first:stop]], counts[first:stop].T, memory[first:stop])
            for first, stop in zip(bounds, stops, strict=True)
        }

    def known(self, keys: np.ndarray, day: int) -> np.ndarray:
        """Those keys of which anything is known on a day, and not forgotten."""
        return keys[self._last[keys] >= day - self._features.forget_days]

    def states(self, keys: np.ndarray, day: int) -> np.ndarray:
        """States of keys at the beginning of a day, float64 of shape (keys, columns of STATE)."""
        age, rest = divmod(day, self._features.half_life_days)
        # Two factors, because only the first is exact: states then do not depend on the base
        sums = np.ldexp(self._sums[:, keys], self._base - age) * self._shrunk[rest]
        state = dict(zip(COUNTS, sums, strict=True))
        for name in ("log_cpu", "log_memory"):
            state[name] = state[name] / UNIT
        memory = self._max_memory[keys]
        state["max_memory_gb"] = np.where(memory >= 0, memory, np.nan)
        state["p50_cpu_seconds"], state["p90_cpu_seconds"] = self._histograms[COST].quantiles(keys, (0.5, 0.9))
        (state["median_input_bytes"],) = self._histograms[BYTES].quantiles(keys, (0.5,))
        (state["median_input_rows"],) = self._histograms[ROWS].quantiles(keys, (0.5,))
        rows, _, cells = self._members.ragged(keys)
        recent = self._members.last[cells] >= day - self._features.diversity_days
        state["members"] = np.bincount(rows[recent], minlength=len(keys)).astype(np.float64)
        state["days_since"] = (day - self._last[keys]).astype(np.float64)
        return np.column_stack([state[name] for name in STATE])

    def add(self, day: int) -> None:
        """Add what became known on a day."""
        age, rest = divmod(day, self._features.half_life_days)
        if age - self._base > _REBASED:
            self._rebase(age)
        weight = math.ldexp(self._grown[rest], age - self._base)
        if day in self._events:
            keys, counts, memory = self._events[day]
            self._sums[:, keys] += counts * weight
            self._max_memory[keys] = np.maximum(self._max_memory[keys], memory)
        for cells in (*self._histograms.values(), self._members):
            if day in cells.events:
                at, counts = cells.events[day]
                cells.weight[at] += counts * weight
                cells.last[at] = day
        if day in self._seen:
            self._last[self._seen[day]] = day

    def _rebase(self, base: int) -> None:
        shift = self._base - base
        self._sums = np.ldexp(self._sums, shift)
        for cells in self._histograms.values():
            cells.weight = np.ldexp(cells.weight, shift)
        self._base = base


def _cells(size: int, code: np.ndarray, number: np.ndarray, day: np.ndarray, count: np.ndarray) -> _Cells:
    width = int(number.max()) + 1 if len(number) else 1
    cell, inverse = np.unique(code * width + number, return_inverse=True)
    owner = cell // width
    keys = np.arange(size)
    order = np.lexsort((inverse, day))
    inverse, day, count = inverse[order], day[order], count[order]
    bounds = np.flatnonzero(np.r_[True, np.diff(day) != 0]) if len(day) else np.array([], dtype=np.intp)
    stops = np.append(bounds, len(day))[1:]
    return _Cells(
        starts=np.searchsorted(owner, keys, side="left"),
        ends=np.searchsorted(owner, keys, side="right"),
        bin=cell % width,
        weight=np.zeros(len(cell)),
        last=np.full(len(cell), np.iinfo(np.int64).min // 2),
        events={
            int(day[first]): (inverse[first:stop], count[first:stop]) for first, stop in zip(bounds, stops, strict=True)
        },
    )


def _by_day(day: np.ndarray, code: np.ndarray) -> dict[int, np.ndarray]:
    """Distinct codes of each day, in order."""
    order = np.lexsort((code, day))
    day, code = day[order], code[order]
    if not len(day):
        return {}
    bounds = np.flatnonzero(np.r_[True, np.diff(day) != 0])
    pieces = np.split(code, bounds[1:])
    return {int(day[first]): np.unique(piece) for first, piece in zip(bounds, pieces, strict=True)}


def _day(date: str) -> int:
    return int((np.datetime64(date, "D") - _EPOCH).astype(np.int64))


def _days(dates: pd.Series) -> np.ndarray:
    """Days since 1970 of texts."""
    days: np.ndarray = dates.to_numpy(dtype=object).astype("datetime64[D]").astype(np.int64)
    return days
