"""What decides between recommenders: full-ranking NDCG of the validation items of some users."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from augury.metrics.top_k import places, sampled_places, user_metrics
from augury.predictors.recommender_scorers import Scorer, standardised
from augury.predictors.user_histories import Histories

Floats = npt.NDArray[np.float32]
USERS_AT_ONCE = 512


class Validation(NamedTuple):
    """Held-out pairs, and how far the users had come before them."""

    users: npt.NDArray[np.int32]
    """Distinct, ascending, shape ``(v,)``."""
    histories: Histories
    """Of these users, before their held-out items."""
    pair_users: npt.NDArray[np.int64]
    """Place in ``users`` of each held-out pair."""
    pair_items: npt.NDArray[np.int32]
    negatives: npt.NDArray[np.int32] | None
    """Sampled items of each pair, -1 where there are fewer; None: there are none."""
    k: int
    sampled_weight: float = 0.0

    def __bool__(self) -> bool:
        """Whether there is anything to decide by."""
        return len(self.users) > 0

    def scores(self, scorer: Scorer) -> Floats:
        """Scores of all items for the users of validation, shape ``(v, items)``."""
        found = np.empty((len(self.users), self.histories.items), dtype=np.float32)
        for start in range(0, len(self.users), USERS_AT_ONCE):
            block = np.arange(start, min(start + USERS_AT_ONCE, len(self.users)))
            found[block] = scorer.scores(self.users[block], self.histories.take(block))
        return found

    def ndcg(self, scores: Floats) -> float:
        """Mean NDCG of the held-out items among all that the users had not turned to.

        Args:
            scores: Shape ``(v, items)``.

        Returns:
            Within 0 and 1; ties count half.
        """
        above, ties = np.empty(len(self.pair_users), np.int64), np.empty(len(self.pair_users), np.int64)
        own = self.histories.table()
        for start in range(0, len(self.pair_users), USERS_AT_ONCE):
            part = slice(start, start + USERS_AT_ONCE)
            rows = self.pair_users[part]
            above[part], ties[part] = places(scores[rows], self.pair_items[part], own[rows])
        found = user_metrics(self.pair_users, above + ties / 2, ties, (self.k,))
        return float(found[f"ndcg_at_{self.k}"].mean())

    def sampled_ndcg(self, scores: Floats) -> float:
        """Mean NDCG of the held-out items among their sampled negatives; see :meth:`ndcg`."""
        if self.negatives is None:
            return float("nan")
        above, ties = sampled_places(scores[self.pair_users], self.pair_items, self.negatives)
        found = user_metrics(self.pair_users, above + ties / 2, ties, (self.k,), apart=True)
        return float(found[f"ndcg_at_{self.k}"].mean())

    def value(self, scores: Floats) -> float:
        """What settings and weights are chosen by: the NDCG of the full ranking, and a part of the sampled one."""
        if self.negatives is None or not self.sampled_weight:
            return self.ndcg(scores)
        return self.ndcg(scores) + self.sampled_weight * self.sampled_ndcg(scores)

    def metrics(self, scores: Floats) -> dict[str, float | None]:
        """Both, by name."""
        sampled = self.sampled_ndcg(scores)
        return {
            f"ndcg_at_{self.k}": self.ndcg(scores),
            f"sampled_ndcg_at_{self.k}": None if np.isnan(sampled) else sampled,
        }

    def judge(self, scorer: Scorer) -> float:
        """See :meth:`ndcg`."""
        return self.ndcg(self.scores(scorer))

    def part(self, most_users: int) -> "Validation":
        """Only every so-maniest user, for what is judged often."""
        if len(self.users) <= most_users:
            return self
        chosen = np.unique(np.linspace(0, len(self.users) - 1, most_users).astype(np.int64))
        kept = np.isin(self.pair_users, chosen)
        return self._replace(
            users=self.users[chosen],
            histories=self.histories.take(chosen),
            pair_users=np.searchsorted(chosen, self.pair_users[kept]),
            pair_items=self.pair_items[kept],
            negatives=None if self.negatives is None else self.negatives[kept],
        )


def validation_of(
    pairs: pd.DataFrame,
    negatives: pd.DataFrame | None,
    histories: Histories,
    most_users: int,
    k: int,
    seed: int,
    sampled_weight: float = 0.0,
) -> Validation:
    """Choose the users whose validation decides.

    Args:
        pairs: ``user`` and ``item`` of validation.
        negatives: ``user``, ``item`` and ``negatives`` of pairs; None: there are none.
        histories: Of all users, from the training rows alone.
        most_users: More are not needed; they are drawn by the seed.
        k: Length of the lists.
        seed: Of the draw.
        sampled_weight: Of the NDCG among the negatives.

    Returns:
        Users who have a validation item that training knows, and a history.
    """
    counts = np.bincount(histories.indices, minlength=histories.items)
    users, items = pairs["user"].to_numpy(), pairs["item"].to_numpy()
    usable = (np.diff(histories.indptr)[users] > 0) & (counts[items] > 0)
    distinct = np.unique(users[usable])
    if len(distinct) > most_users:
        distinct = np.sort(np.random.default_rng(seed).choice(distinct, most_users, replace=False))
    kept = usable & np.isin(users, distinct)
    order = np.lexsort((items[kept], users[kept]))
    users, items = users[kept][order], items[kept][order].astype(np.int32)
    return Validation(
        distinct.astype(np.int32),
        histories.take(distinct),
        np.searchsorted(distinct, users),
        items,
        _negatives_of(users, items, negatives),
        k,
        sampled_weight,
    )


def _negatives_of(
    users: npt.NDArray[Any], items: npt.NDArray[Any], negatives: pd.DataFrame | None
) -> npt.NDArray[np.int32] | None:
    """The sampled items of each pair; None unless every pair has some."""
    if negatives is None or negatives.empty or not len(users):
        return None
    index = pd.MultiIndex.from_frame(negatives[["user", "item"]])
    found = index.get_indexer(pd.MultiIndex.from_arrays([users, items]))
    if (found < 0).any():
        return None
    lists = [np.asarray(values, dtype=np.int32) for values in negatives["negatives"].to_numpy()[found]]
    table = np.full((len(lists), max(map(len, lists))), -1, dtype=np.int32)
    for row, values in zip(table, lists, strict=True):
        row[: len(values)] = values
    return table


def blend_weights(validation: Validation, scores: Sequence[Floats], steps: int) -> tuple[list[float], float]:
    """Choose the weights of a blend, greedily: each step adds the member once more that helps most.

    Args:
        validation: What decides.
        scores: Per member, shape ``(v, items)``; left as they are.
        steps: How many.

    Returns:
        A weight per member, their sum 1, 0 where a member does not help; and the blend's value by which it was chosen.

    References:
        R. Caruana et al., "Ensemble Selection from Libraries of Models", ICML (2004).
    """
    parts = [standardised(part.copy()) for part in scores]
    counts = np.zeros(len(parts), dtype=np.int64)
    total = np.zeros_like(parts[0])
    best_counts, best = counts.copy(), -1.0
    for _ in range(steps):
        found = [validation.value(total + part) for part in parts]
        chosen = int(np.argmax(found))
        total += parts[chosen]
        counts[chosen] += 1
        if found[chosen] > best + 1e-9:
            best, best_counts = found[chosen], counts.copy()
    return (best_counts / best_counts.sum()).tolist(), best
