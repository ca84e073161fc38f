"""How well a recommender's lists hold what users turned to next: places, and the metrics that follow from them.

A held-out item is put in its place among all items that the user has not seen yet (the full ranking), and among a few
sampled ones (the protocol of the NCF paper [1]_, which can order models the other way round [2]_). Items with equal
scores share their places: each metric is its expectation over all orders of the tied ones, so that a model which gives
every item the same score is as good as chance and no better.

.. [1] X. He et al., "Neural Collaborative Filtering", WWW (2017).
.. [2] W. Krichene and S. Rendle, "On Sampled Metrics for Item Recommendation", KDD (2020).
"""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt
import pandas as pd

from augury.errors import InputError

Floats = npt.NDArray[np.float64]
Scores = npt.NDArray[np.float32]
Codes = npt.NDArray[np.integer[Any]]

CELLS_AT_ONCE = 2_000_000
"""Scores held at once: 8 MB of float32, whatever the number of users."""

FULL = "full"
SAMPLED = "sampled"


class Scorer(Protocol):
    """Whatever scores all items for a few users."""

    def score_users(self, users: npt.NDArray[np.int32]) -> Scores:
        """Score.

        Args:
            users: Codes of users, shape ``(b,)``.

        Returns:
            Shape ``(b, items)``, finite; larger comes first. Scores that saturate (a sigmoid) tie what is not equal.
        """


class Places(NamedTuple):
    """Where an item stands among others.

    Attributes:
        above: How many others have a larger score, shape ``(n,)``.
        ties: How many others have the same score, shape ``(n,)``.
    """

    above: npt.NDArray[np.int64]
    ties: npt.NDArray[np.int64]

    @property
    def ranks(self) -> Floats:
        """Expected 0-based rank: ties count half."""
        return self.above + self.ties / 2


def seen_items(users: Codes, items: Codes, n_users: int, n_items: int) -> Any:
    """Put pairs of users and items into a sparse table.

    Args:
        users: Code of each pair's user, shape ``(pairs,)``.
        items: Code of each pair's item, shape ``(pairs,)``.
        n_users: Number of users.
        n_items: Number of items.

    Returns:
        A ``scipy.sparse.csr_array`` of ones, shape ``(n_users, n_items)``, each pair once.
    """
    from scipy.sparse import csr_array

    table = csr_array((np.ones(len(users), dtype=np.float32), (users, items)), shape=(n_users, n_items))
    table.sum_duplicates()
    table.data[:] = 1
    return table


def places(scores: Scores, positives: Codes, excluded: Any = None) -> Places:
    """Find where one item per row stands among all that are not excluded.

    Args:
        scores: Finite, shape ``(b, items)``.
        positives: The item of each row, shape ``(b,)``.
        excluded: CSR table of shape ``(b, items)``: what is no candidate, such as the items that a user has seen.

    Returns:
        The places, shape ``(b,)`` each.

    Raises:
        InputError: A score is not finite, or an item is itself excluded.
    """
    own = scores[np.arange(len(scores)), positives][:, None]
    _refuse_infinite(scores)
    above = np.count_nonzero(scores > own, axis=1).astype(np.int64)
    ties = np.count_nonzero(scores == own, axis=1).astype(np.int64) - 1
    if excluded is not None and len(excluded.indices):
        rows, columns = _coordinates(excluded)
        if (columns == positives[rows]).any():
            hidden = rows[columns == positives[rows]]
            raise InputError(
                f"Ranking: an item to be ranked must not be among the excluded ones; {len(hidden)} of {len(scores)} "
                f"are, for example item {int(positives[hidden[0]])}. Is the same pair in two parts of the split?"
            )
        others = scores[rows, columns]
        above -= np.bincount(rows[others > own[rows, 0]], minlength=len(scores))
        ties -= np.bincount(rows[others == own[rows, 0]], minlength=len(scores))
    return Places(above, ties)


def ranks(scores: Scores, positives: Codes, excluded: Any = None) -> Floats:
    """Expected 0-based rank of one item per row, ties counted half; see :func:`places`."""
    return places(scores, positives, excluded).ranks


def sampled_places(scores: Scores, positives: Codes, negatives: Codes) -> Places:
    """Find where one item per row stands among its sampled negatives.

    Args:
        scores: Finite, shape ``(b, items)``.
        positives: The item of each row, shape ``(b,)``.
        negatives: Items, shape ``(b, most)``; -1 where there are fewer. Repetitions count once, and the item itself
            does not count: published files of negatives have both.

    Returns:
        The places, shape ``(b,)`` each.
    """
    distinct = distinct_negatives(negatives, positives)
    own = scores[np.arange(len(scores)), positives][:, None]
    others = np.take_along_axis(scores, np.maximum(distinct, 0).astype(np.int64), axis=1)
    real = distinct >= 0
    return Places(((others > own) & real).sum(axis=1), ((others == own) & real).sum(axis=1))


def distinct_negatives(negatives: Codes, positives: Codes) -> Codes:
    """Drop repeated negatives, and those that are the positive itself.

    Args:
        negatives: Items, shape ``(b, most)``; -1 where there are fewer.
        positives: Shape ``(b,)``.

    Returns:
        Sorted items, shape ``(b, most)``; -1 in place of what was dropped.
    """
    ordered = np.sort(negatives, axis=1)
    repeated = np.zeros(ordered.shape, dtype=bool)
    repeated[:, 1:] = ordered[:, 1:] == ordered[:, :-1]
    return np.where(repeated | (ordered == positives[:, None]), -1, ordered)


def top_items(scores: Scores, k: int, excluded: Any = None) -> npt.NDArray[np.int32]:
    """Take the items with the largest scores.

    Args:
        scores: Finite, shape ``(b, items)``; left as they are.
        k: How many.
        excluded: CSR table of shape ``(b, items)``: what is not taken.

    Returns:
        Shape ``(b, k)``: the largest score first, of equal scores the item with the smaller code first, whatever the
        machine; -1 where there are fewer candidates.

    Raises:
        InputError: A score is not finite.
    """
    _refuse_infinite(scores)
    masked = scores
    if excluded is not None and len(excluded.indices):
        masked = scores.copy()
        masked[_coordinates(excluded)] = -np.inf
    taken = min(k, masked.shape[1])
    found = np.full((len(masked), k), -1, dtype=np.int32)
    if not taken:
        return found
    chosen = np.sort(np.argpartition(masked, masked.shape[1] - taken, axis=1)[:, -taken:], axis=1)
    values = np.take_along_axis(masked, chosen, axis=1)
    # Partitioning takes any of those that tie with the last one taken
    last = values.min(axis=1, keepdims=True)
    cut = np.count_nonzero(masked == last, axis=1) > np.count_nonzero(values == last, axis=1)
    for row in np.flatnonzero(cut & np.isfinite(last[:, 0])):
        better = chosen[row, values[row] > last[row]]
        tied = np.flatnonzero(masked[row] == last[row])[: taken - len(better)]
        chosen[row] = np.sort(np.concatenate([better, tied]))
        values[row] = masked[row, chosen[row]]
    order = np.argsort(-values, axis=1, kind="stable")
    values = np.take_along_axis(values, order, axis=1)
    found[:, :taken] = np.where(np.isneginf(values), -1, np.take_along_axis(chosen, order, axis=1))
    return found


def judge_scorer(
    scorer: Scorer,
    positives: pd.DataFrame,
    seen: Any,
    negatives: pd.DataFrame | None = None,
    k: int = 10,
) -> pd.DataFrame:
    """Rank every held-out item, under both protocols, in blocks of users.

    Args:
        scorer: What is judged.
        positives: ``user`` and ``item``, a row per held-out pair; several of one user are ranked beside each other.
        seen: CSR table, shape ``(users, items)``: items that are no candidates, those of training (and of validation,
            where the test is ranked).
        negatives: ``user``, ``item`` (the held-out one) and ``negatives`` (its sampled items); None, or no row for a
            pair: no sampled rank there.
        k: Length of the lists.

    Returns:
        One row per pair in the order given: ``user`` and ``item`` (int32), ``full_rank`` (float64, 0-based, ties
        counted half), ``full_ties`` (int64), ``sampled_rank`` (float64, NaN where there are no negatives),
        ``sampled_ties`` and ``sampled_negatives`` (int64: how many distinct ones), ``top`` (int32 array: the user's
        list, seen items left out).

    Raises:
        InputError: Scores are not finite or not of the right shape, or a pair is itself among the seen ones.
    """
    users = positives["user"].to_numpy(dtype=np.int32)
    items = positives["item"].to_numpy(dtype=np.int32)
    sampled = _negatives_of(positives, negatives)
    n_items = int(seen.shape[1])
    # Scores are computed once per user, in ascending order, whatever the order of the pairs
    distinct, place = np.unique(users, return_inverse=True)
    order = np.argsort(place, kind="stable")
    ends = np.searchsorted(place[order], np.arange(len(distinct) + 1))
    above, ties = np.zeros((2, len(users)), dtype=np.int64)
    sampled_above, sampled_ties = np.zeros((2, len(users)), dtype=np.int64)
    tops = np.empty((len(distinct), k), dtype=np.int32)
    for part in _blocks(len(distinct), max(1, CELLS_AT_ONCE // max(n_items, 1))):
        block = distinct[part]
        scores = np.asarray(scorer.score_users(block), dtype=np.float32)
        if scores.shape != (len(block), n_items):
            raise InputError(
                f"Ranking: the scores of {len(block)} users and {n_items} items have the shape {scores.shape}."
            )
        hidden = seen[block]
        tops[part] = top_items(scores, k, hidden)
        pairs = order[ends[part.start] : ends[part.stop]]
        for few in _blocks(len(pairs), max(1, CELLS_AT_ONCE // max(n_items, 1))):
            chosen = pairs[few]
            rows = place[chosen] - part.start
            whole = len(rows) == len(block) and bool((rows == np.arange(len(block))).all())
            own_scores = scores if whole else scores[rows]
            above[chosen], ties[chosen] = places(own_scores, items[chosen], hidden if whole else hidden[rows])
            if sampled is not None:
                found = sampled_places(own_scores, items[chosen], sampled[chosen])
                sampled_above[chosen], sampled_ties[chosen] = found
    counted = (
        np.zeros(len(users), dtype=np.int64)
        if sampled is None
        else np.count_nonzero(distinct_negatives(sampled, items) >= 0, axis=1)
    )
    lists = pd.Series([row[row >= 0] for row in tops], dtype=object)
    return pd.DataFrame(
        {
            "user": users,
            "item": items,
            "full_rank": Places(above, ties).ranks,
            "full_ties": ties,
            "sampled_rank": np.where(counted > 0, Places(sampled_above, sampled_ties).ranks, np.nan),
            "sampled_ties": sampled_ties,
            "sampled_negatives": counted.astype(np.int64),
            "top": lists.to_numpy()[place] if len(users) else pd.Series(dtype=object),
        },
        index=positives.index,
    )


def user_metrics(
    users: Codes, rank: Floats, ties: Codes | None, sizes: Sequence[int], *, apart: bool = False
) -> dict[str, Floats]:
    """Metrics of each user's ranked items; a mean over users is the metric of the model.

    Args:
        users: User of each ranked item, shape ``(pairs,)``.
        rank: Expected 0-based ranks, ties counted half, shape ``(pairs,)``.
        ties: How many others tie with each; None: unknown, a rank that is no whole number ties with one other.
        sizes: Lengths of lists.
        apart: Whether each item was ranked on its own, as among sampled negatives: metrics are then averaged over the
            user's items. Otherwise the user's items compete for the same places.

    Returns:
        Name -> value per user, users ascending, shape ``(users,)``: for every size ``hr_at_<k>`` (the chance that the
        list holds one of the items), ``ndcg_at_<k>``, ``recall_at_<k>`` (the share of the items that it holds), and
        ``mrr`` (of the first one). Of a user with a single item, ``hr`` and ``recall`` are the same.
    """
    values = np.asarray(rank, dtype=np.float64)
    tied = 2.0 * np.mod(values, 1) if ties is None else np.asarray(ties, dtype=np.float64)
    above = np.rint(values - tied / 2).astype(np.int64)
    span = np.rint(tied).astype(np.int64) + 1
    distinct, codes = np.unique(users, return_inverse=True)
    counts = np.bincount(codes, minlength=len(distinct))
    furthest = int((above + span).max(initial=0))
    positions = np.arange(1, max([furthest, *sizes]) + 1)
    discounts = np.concatenate([[0.0], np.cumsum(1 / np.log2(positions + 1.0))])
    harmonics = np.concatenate([[0.0], np.cumsum(1.0 / positions)])
    single = apart or bool((counts == 1).all())
    found: dict[str, Floats] = {}
    for size in sizes:
        start, stop = np.minimum(above, size), np.minimum(above + span, size)
        within = (stop - start) / span
        gained = (discounts[stop] - discounts[start]) / span
        ideal = discounts[1] if apart else discounts[np.minimum(counts, size)]
        share = np.bincount(codes, weights=within, minlength=len(distinct)) / counts
        gain = np.bincount(codes, weights=gained, minlength=len(distinct)) / (counts if apart else 1)
        found[f"hr_at_{size}"] = share if single else _any_within(codes, above, span, size, len(distinct))
        found[f"ndcg_at_{size}"] = gain / ideal
        found[f"recall_at_{size}"] = share
    if single:
        reciprocal = (harmonics[above + span] - harmonics[above]) / span
        found["mrr"] = np.bincount(codes, weights=reciprocal, minlength=len(distinct)) / counts
    else:
        found["mrr"] = _first_reciprocal(codes, above, span, harmonics, len(distinct))
    return found


def frame_metrics(judged: pd.DataFrame, sizes: Sequence[int], protocol: str = FULL, prefix: str = "") -> pd.DataFrame:
    """The metrics of every user of a frame that :func:`judge_scorer` made.

    Args:
        judged: ``user``, ``<prefix><protocol>_rank`` and, where it is known, ``<prefix><protocol>_ties``.
        sizes: Lengths of lists.
        protocol: ``full`` or ``sampled``.
        prefix: What stands before the columns' names, such as ``popularity_``.

    Returns:
        One row per user with a rank, users ascending in the index, and one column per metric of :func:`user_metrics`.
    """
    column = f"{prefix}{protocol}_rank"
    ranked = judged[judged[column].notna()]
    users = ranked["user"].to_numpy()
    ties = ranked[f"{prefix}{protocol}_ties"].to_numpy() if f"{prefix}{protocol}_ties" in ranked else None
    values = user_metrics(users, ranked[column].to_numpy(), ties, sizes, apart=protocol == SAMPLED)
    return pd.DataFrame(values, index=pd.Index(np.unique(users), name="user"))


def mean_metrics(judged: pd.DataFrame, sizes: Sequence[int], protocol: str = FULL) -> dict[str, float]:
    """Means over users of :func:`frame_metrics`, such as ``ndcg_at_10``; NaN where no user has a rank."""
    return {str(name): float(value) for name, value in frame_metrics(judged, sizes, protocol).mean().items()}


def _refuse_infinite(scores: Scores) -> None:
    finite = np.isfinite(scores)
    if finite.all():
        return
    rows, columns = np.nonzero(~finite)
    raise InputError(
        f"Ranking: scores must be finite; {len(rows):,} of {scores.size:,} are not, for example item {columns[0]} in "
        f"row {rows[0]}: {scores[rows[0], columns[0]]}."
    )


def _coordinates(table: Any) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    rows = np.repeat(np.arange(table.shape[0], dtype=np.int64), np.diff(table.indptr))
    return rows, table.indices.astype(np.int64)


def _blocks(rows: int, size: int) -> Iterator[slice]:
    for start in range(0, rows, size):
        yield slice(start, min(start + size, rows))


def _negatives_of(positives: pd.DataFrame, negatives: pd.DataFrame | None) -> npt.NDArray[np.int32] | None:
    """The sampled items of each pair, -1 where there are fewer; shape ``(pairs, most)``."""
    if negatives is None or negatives.empty:
        return None
    lists = negatives["negatives"].to_list()
    sizes = np.array([len(items) for items in lists], dtype=np.int64)
    table = np.full((len(lists) + 1, int(sizes.max(initial=0))), -1, dtype=np.int32)
    rows = np.repeat(np.arange(len(lists)), sizes)
    columns = np.arange(len(rows)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    table[rows, columns] = np.concatenate([np.asarray(items, dtype=np.int32) for items in lists])
    index = pd.MultiIndex.from_frame(negatives[["user", "item"]])
    if index.has_duplicates:
        user, item = index[index.duplicated()][0]
        raise InputError(
            f"recommendation.features_negatives: each held-out pair must have one row; {int(index.duplicated().sum())} "
            f"are repeated, for example user {user}, item {item}. Are two parts of the split mixed?"
        )
    # A pair without negatives finds the last row, which is empty
    return table[index.get_indexer(pd.MultiIndex.from_frame(positives[["user", "item"]]))]


def _any_within(codes: Codes, above: Codes, span: Codes, size: int, users: int) -> Floats:
    """The chance that one of a user's items is among the first ``size``."""
    # Only one group of ties can reach over the end of the list. It has `size - above` places there, and its m items of
    # interest all miss them with the chance of drawing none of m, without replacement.
    places_left = np.clip(size - above, 0, span)
    before = pd.DataFrame({"user": codes, "above": above}).groupby(["user", "above"]).cumcount().to_numpy()
    remaining = np.maximum(span - before, 1)
    missed = np.clip((span - places_left - before) / remaining, 0.0, 1.0)
    product = np.ones(users)
    np.multiply.at(product, codes, missed)
    return 1 - product


def _first_reciprocal(codes: Codes, above: Codes, span: Codes, harmonics: Floats, users: int) -> Floats:
    """The expected reciprocal rank of a user's first item."""
    best = np.full(users, np.iinfo(np.int64).max)
    np.minimum.at(best, codes, above)
    leading = above == best[codes]
    count = np.bincount(codes[leading], minlength=users)
    width = np.zeros(users, dtype=np.int64)
    width[codes[leading]] = span[leading]
    found = np.divide(
        harmonics[np.minimum(best + width, len(harmonics) - 1)] - harmonics[best],
        width,
        where=width > 0,
        out=np.zeros(users),
    )
    for user in np.flatnonzero((count > 1) & (width > 1)):
        ties, items = int(width[user]), int(count[user])
        start = np.arange(ties - items + 2)
        # The chance that all of the items stand at or behind each place of the tied ones
        behind = np.prod([np.maximum(ties - start - i, 0) / (ties - i) for i in range(items)], axis=0)
        found[user] = ((behind[:-1] - behind[1:]) / (best[user] + 1 + start[:-1])).sum()
    return found
