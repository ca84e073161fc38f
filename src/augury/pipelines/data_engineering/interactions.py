"""Interactions as pairs of a user and an item, each once, encoded, weighed and split in time."""

from dataclasses import dataclass
from typing import Any

import narwhals.stable.v2 as nw
import numpy as np
import pandas as pd

from augury import engines
from augury.errors import UserError
from augury.pipelines.data_engineering.interaction_report import describe_interactions
from augury.pipelines.data_engineering.interaction_sources import Events, InteractionSource, read_interactions
from augury.pipelines.data_engineering.interaction_split import (
    TRAIN,
    Division,
    InteractionSplit,
    divide,
    tie_breakers,
)
from augury.pipelines.data_engineering.k_core import find_k_core
from augury.predictors import interaction_values as iv

MICROSECONDS = 1_000_000
_DAY = 86_400 * MICROSECONDS
_LIGHTEST = np.float32(1e-9)
"""What decay leaves of the oldest interactions; 0 would say that there was none."""


def prepare_interactions(
    interactions: Any, items: Any, source: InteractionSource, split: InteractionSplit, seed: int
) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame, dict[str, Any]]:
    """Read, weigh, merge, filter, split and encode.

    Times tell the order of a user's items, and ties are broken by ``split.ties``. A user and an item that met several
    times are one pair, at the time of their first meeting (``source.repeats_at``): an item of the test is one that its
    user had never met before. What a training pair weighs depends on no event after the user's training ends, and no
    weight on the time of the test. Nothing depends on the order of the rows, unless ``split.ties`` is ``file``.

    Args:
        interactions: Raw table, pandas or Spark; see :class:`augury.schemas.interactions.Interactions`.
        items: Raw table of the items, ``item_id`` and optionally ``text`` and ``category``; may have no rows.
        source: How to read it.
        split: How it is divided; without times it is ``random``, and the report says so.
        seed: Breaks ties, and draws random splits.

    Returns:
        - Pairs, sorted by user and order: ``user``, ``item`` (int32), ``timestamp`` (int64 seconds since 1970; 0
          where unknown), ``order`` (int64, rank within the user in the order by which pairs are left out),
          ``weight`` (float32 > 0), ``split``. Pairs of the test whose user or item has no training pair are there.
        - Users, row ``user``: ``user``, ``user_id``, ``interactions`` (int64, training pairs).
        - Items, row ``item``: ``item``, ``item_id``, ``interactions`` (int64, training pairs), ``first_seen`` (int64
          seconds, of any split), ``text``, ``category`` (None where unknown).
        - The account of what was read, set aside, merged, filtered and split.

    Raises:
        UserError: A column is missing or not of its type, rows break rules that are to be refused, nothing is left, or
            a split would be empty.
    """
    if split.ties == "file" and engines.is_spark(interactions):
        raise UserError(
            "recommendation.split.ties is 'file', but a Spark table has no order of rows; 'random' breaks ties by a "
            "seeded hash, which is the same on every engine."
        )
    events = read_interactions(interactions, source)
    used = split if events.timed else split.model_copy(update={"kind": "random"})
    timeline = _order_events(events, used, seed)
    pairs = _pairs(timeline, source.repeats_at == "last")
    counted = source.k_core.counts
    rounds: list[dict[str, int]] = []
    if counted == "all":
        kept, rounds = find_k_core(pairs.user, pairs.item, source.k_core)
        pairs = _restricted(pairs, kept)
        _refuse_nothing(pairs, rounds, source)
    division = divide(pairs.user, pairs.time, pairs.position, used)
    if counted == "train":
        training = np.flatnonzero(division.split == TRAIN)
        inside, rounds = find_k_core(pairs.user[training], pairs.item[training], source.k_core)
        kept = np.ones(len(pairs.user), dtype=bool)
        kept[training[~inside]] = False
        pairs = _restricted(pairs, kept)
        division = Division(division.split[kept], division.until[kept[: len(division.until)]], division.moments)
    _refuse_empty_splits(division, rounds, source)
    weight = _weights(timeline, pairs, division, source)
    primary, users, catalogue = _encode(timeline, pairs, division, weight)
    texts, facts = _item_texts(items, catalogue["item_id"])
    catalogue = catalogue.assign(**texts)
    report = describe_interactions(primary, users, catalogue)
    report |= {
        "rows_read": events.rows_read,
        "origin": _origins(interactions, events.rows_read),
        "set_aside": {rule: told[0] for rule, told in events.broken.items()},
        "set_aside_examples": {rule: told[1] for rule, told in events.broken.items()},
        "columns": events.columns,
        "types": _types(events, source),
        "repeated_rows": int((events.table["rows"] - 1).sum()) if events.timed else 0,
        "merged_events": int(len(events.table) - len(np.unique(timeline.pair))),
        "k_core": {**source.k_core.model_dump(), "rounds": rounds},
        "split": {"asked": split.kind, "used": used.kind, "ties": split.ties, **_moments(division)},
        "items_table": facts,
        "notes": _notes(events, split, used, primary, source),
        "parameters": {"source": source.model_dump(mode="json"), "split": split.model_dump(mode="json"), "seed": seed},
    }
    return primary, users, catalogue, report


def _origins(interactions: Any, rows: int) -> dict[str, int]:
    """Rows by where they come from, where a column says so; else they were measured."""
    frame = nw.from_native(interactions)
    if iv.ORIGIN not in frame.collect_schema().names():
        return {iv.MEASURED: rows}
    counted = engines.to_pandas(frame.group_by(iv.ORIGIN).agg(rows=nw.len()).to_native())
    named = counted.assign(name=counted[iv.ORIGIN].fillna(iv.MEASURED).astype(str)).groupby("name")["rows"].sum()
    return {str(name): int(count) for name, count in named.items()}


# --- events and pairs ---


@dataclass(frozen=True)
class _Timeline:
    """Events ordered by user and, within a user, as the split wants them; all arrays of shape ``(events,)``.

    Attributes:
        user: Code of the user.
        item: Code of the item.
        pair: ``user * items + item``.
        time: Microseconds.
        weight: Before any decay.
        user_ids: Texts, by code.
        item_ids: Texts, by code.
        timed: Whether times are known.
    """

    user: np.ndarray
    item: np.ndarray
    pair: np.ndarray
    time: np.ndarray
    weight: np.ndarray
    user_ids: np.ndarray
    item_ids: np.ndarray
    timed: bool


@dataclass(frozen=True)
class _Pairs:
    """Pairs of a user and an item, each once, ascending in position; all arrays of shape ``(pairs,)``.

    Attributes:
        user: Code of the user.
        item: Code of the item.
        time: Microseconds of the event that counts.
        position: Place of that event in the timeline.
    """

    user: np.ndarray
    item: np.ndarray
    time: np.ndarray
    position: np.ndarray


def _order_events(events: Events, split: InteractionSplit, seed: int) -> _Timeline:
    table = events.table
    (user, user_ids), (item, item_ids) = (_encoded(table[name]) for name in (iv.USER_ID, iv.ITEM_ID))
    time = table["time"].to_numpy()
    if split.ties == "file" and split.kind != "random":
        tie = table["row"].to_numpy()
    else:
        tie = tie_breakers(user, item, (user_ids, item_ids), seed)
    kind = pd.factorize(table["kind"], sort=True)[0]
    first = np.zeros_like(time) if split.kind == "random" else time
    # Whatever the split, the events of one pair stay in the order of time
    order = np.lexsort([kind, time, tie, first, user])
    user, item = user[order].astype(np.int64), item[order].astype(np.int64)
    return _Timeline(
        user,
        item,
        user * len(item_ids) + item,
        time[order],
        table["weight"].to_numpy()[order],
        user_ids,
        item_ids,
        events.timed,
    )


def _encoded(texts: pd.Series) -> tuple[np.ndarray, np.ndarray]:
    """Codes, and the distinct texts in ascending order."""
    codes, distinct = pd.factorize(texts, sort=True)
    return codes, np.asarray(distinct, dtype=object)


def _pairs(timeline: _Timeline, at_last: bool) -> _Pairs:
    events = len(timeline.pair)
    if at_last:
        found = events - 1 - np.unique(timeline.pair[::-1], return_index=True)[1]
    else:
        found = np.unique(timeline.pair, return_index=True)[1]
    position = np.sort(found)
    return _Pairs(timeline.user[position], timeline.item[position], timeline.time[position], position)


def _restricted(pairs: _Pairs, kept: np.ndarray) -> _Pairs:
    return _Pairs(*(values[kept] for values in vars(pairs).values()))


def _weights(timeline: _Timeline, pairs: _Pairs, division: Division, source: InteractionSource) -> np.ndarray:
    """Weight of each pair, from its events before the end of its split."""
    codes = timeline.user[pairs.position] * len(timeline.item_ids) + timeline.item[pairs.position]
    by_code = np.argsort(codes)
    place = np.minimum(np.searchsorted(codes[by_code], timeline.pair), len(codes) - 1)
    of_pair = by_code[place]
    known = codes[of_pair] == timeline.pair
    if division.moments is not None:
        ends = np.array([*division.moments, np.iinfo(np.int64).max])
        known &= timeline.time < ends[division.split[of_pair]]
    else:
        known &= np.arange(len(timeline.pair)) < division.until[of_pair]
    weight = timeline.weight
    if source.half_life_days is not None and timeline.timed:
        last = timeline.time[known & (division.split[of_pair] == TRAIN)].max()
        age = np.maximum(last - timeline.time, 0) / (source.half_life_days * _DAY)
        weight = weight * np.exp2(-age)
    of_pair, weight = of_pair[known], weight[known]
    if source.merge == "sum":
        total = np.bincount(of_pair, weight, minlength=len(codes)).astype(np.float64)
    else:
        total = np.zeros(len(codes), dtype=np.float64)
        if source.merge == "max":
            np.maximum.at(total, of_pair, weight)
        else:
            # Events come in the order of time, and the last value that is written stays
            total[of_pair] = weight
    return np.maximum(total.astype(np.float32), _LIGHTEST)


def _encode(
    timeline: _Timeline, pairs: _Pairs, division: Division, weight: np.ndarray
) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    users, user = np.unique(pairs.user, return_inverse=True)
    items, item = np.unique(pairs.item, return_inverse=True)
    # Floor division also below 1970; without times they are all 0
    seconds = pairs.time // MICROSECONDS
    starts = np.searchsorted(user, np.arange(len(users)))
    primary = pd.DataFrame(
        {
            "user": user.astype(np.int32),
            "item": item.astype(np.int32),
            "timestamp": seconds,
            "order": np.arange(len(user), dtype=np.int64) - starts[user],
            "weight": weight,
            "split": np.array(iv.SPLITS, dtype=object)[division.split],
        }
    )
    training = division.split == TRAIN
    first_seen = np.full(len(items), np.iinfo(np.int64).max)
    np.minimum.at(first_seen, item, seconds)
    user_table = pd.DataFrame(
        {
            "user": np.arange(len(users), dtype=np.int32),
            "user_id": timeline.user_ids[users],
            "interactions": np.bincount(user[training], minlength=len(users)).astype(np.int64),
        }
    )
    item_table = pd.DataFrame(
        {
            "item": np.arange(len(items), dtype=np.int32),
            "item_id": timeline.item_ids[items],
            "interactions": np.bincount(item[training], minlength=len(items)).astype(np.int64),
            "first_seen": first_seen,
        }
    )
    return primary, user_table, item_table


# --- items ---


def _item_texts(items: Any, item_ids: pd.Series) -> tuple[dict[str, np.ndarray], dict[str, int]]:
    """Text and category of each item, and how far the table of items and the interactions agree."""
    table = engines.to_pandas(items)
    if len(table) and iv.ITEM_ID not in table:
        raise UserError(f"{iv.ITEMS_DATASET}: required column missing: '{iv.ITEM_ID}'. There are: {list(table)}.")
    if not len(table):
        empty = {name: np.full(len(item_ids), None, dtype=object) for name in (iv.TEXT, iv.CATEGORY)}
        return empty, {"rows": 0, "repeated": 0, "without_interactions": 0, "interactions_without_row": len(item_ids)}
    known = {
        name: iv.read_column(table[name], name)[0] if name in table else np.full(len(table), None, dtype=object)
        for name in iv.ITEM_COLUMNS
    }
    rows = pd.DataFrame(known).dropna(subset=[iv.ITEM_ID])
    first = rows.drop_duplicates(iv.ITEM_ID).set_index(iv.ITEM_ID)
    found = engines.conform(first.reindex(item_ids), {iv.TEXT: "string", iv.CATEGORY: "string"})
    texts = {str(name): found[name].to_numpy() for name in found}
    matched = int(item_ids.isin(first.index).sum())
    facts = {
        "rows": len(table),
        "repeated": len(rows) - len(first),
        "without_interactions": len(first) - matched,
        "interactions_without_row": len(item_ids) - matched,
    }
    return texts, facts


# --- report ---


def _types(events: Events, source: InteractionSource) -> dict[str, dict[str, Any]]:
    """Rows of each type, and the weight that it has."""
    rows = events.table.groupby("kind", sort=True)["rows"].sum().sort_values(ascending=False, kind="stable")
    return {
        kind or "(none)": {
            "rows": int(count),
            "weight": source.type_weights.get(kind, source.default_weight) if kind else None,
            "known": not kind or kind in source.type_weights,
        }
        for kind, count in zip(rows.index.astype(str), rows, strict=True)
    }


def _moments(division: Division) -> dict[str, str]:
    if division.moments is None:
        return {}
    names = ("validation_from", "test_from")
    return {
        name: str(np.datetime64(moment, "us").astype("datetime64[s]"))
        for name, moment in zip(names, division.moments, strict=True)
    }


def _notes(
    events: Events, asked: InteractionSplit, used: InteractionSplit, primary: pd.DataFrame, source: InteractionSource
) -> list[str]:
    notes = []
    if asked.kind != used.kind:
        notes.append(
            f"No times tell an order, so the split is random instead of {asked.kind}: of each user any two items, "
            "drawn by a seeded hash. What users did later may be learnt from, so figures flatter the models."
        )
        if source.half_life_days is not None:
            notes.append("recommendation.source.half_life_days has no effect, because there are no times.")
    if used.kind == "leave_last_out":
        held = primary[primary["split"] == iv.TEST].set_index("user")["timestamp"]
        same = primary["timestamp"].eq(primary["user"].map(held)) & primary["split"].ne(iv.TEST)
        if tied := primary.loc[same, "user"].nunique():
            how = "the last one in the file" if used.ties == "file" else "drawn by a seeded hash"
            notes.append(
                f"The last moment of {tied} of {len(held)} users has several items, such as those of one basket: "
                f"their test item is {how}, and the others are known when it is predicted."
            )
    unknown = [kind for kind, told in _types(events, source).items() if not told["known"]]
    if unknown:
        notes.append(
            f"{len(unknown)} interaction type(s), such as {unknown[0]!r}, are not in recommendation.source.type_weights"
            f" and weigh the default of {source.default_weight:g}."
        )
    return notes


def _refuse_nothing(pairs: _Pairs, rounds: list[dict[str, int]], source: InteractionSource) -> None:
    if not len(pairs.user):
        core = source.k_core
        raise UserError(
            f"{iv.DATASET}: nothing is left of {sum(of['interactions'] for of in rounds)} pairs of a user and an item "
            f"after recommendation.source.k_core (users: {core.users}, items: {core.items}). Lower them."
        )


def _refuse_empty_splits(division: Division, rounds: list[dict[str, int]], source: InteractionSource) -> None:
    counts = np.bincount(division.split, minlength=len(iv.SPLITS))
    empty = [name for name, count in zip(iv.SPLITS, counts, strict=True) if not count]
    if empty:
        raise UserError(
            f"{iv.DATASET}: there is no pair of a user and an item for {' and '.join(empty)}. Pairs: "
            + ", ".join(f"{name} {count}" for name, count in zip(iv.SPLITS, counts.tolist(), strict=True))
            + f"; recommendation.source.k_core removed {sum(of['interactions'] for of in rounds)}."
        )
