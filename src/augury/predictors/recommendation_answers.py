"""What a recommender answers to one question, and what the answer rests on: for the command line and services."""

from collections.abc import Collection, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from augury.metrics.top_k import places
from augury.parameters import near_matches
from augury.predictors.recommendation import DEFAULT_K, USERS_AT_ONCE, Recommendations, Recommender, factor_member

HISTORY = "history"
POPULARITY = "popularity"
MOST_NAMED = 3

Answer = dict[str, Any]


def answer_user(
    recommender: Recommender,
    user_id: str,
    k: int = DEFAULT_K,
    allow: Collection[str] | None = None,
    deny: Collection[str] = (),
    include_seen: bool = False,
) -> Answer:
    """Recommend items to a user, known or not.

    Args:
        recommender: The model.
        user_id: Any text.
        k: Length of the list.
        allow: The only items to choose among; None: all.
        deny: Items to leave out.
        include_seen: Whether items that the user has turned to may be on the list.

    Returns:
        JSON-ready: ``user_id``, ``known_user``, ``based_on`` (``history``, or ``popularity`` where nothing is known of
        the user), ``items`` (``item_id`` and ``score``, the best first), ``notes`` (a sentence each: what the reader
        would not expect).
    """
    code = recommender.user_index.get(user_id)
    new = code is None or (recommender.mixture.folds_in and not len(recommender.histories.row(code)))
    notes = []
    if new:
        what = "did not know the user" if code is None else "knew no item of the user"
        notes.append(f"Training {what} {user_id!r}: these are the most popular items.")
    found = recommender.recommend([user_id], k, allow, deny, filter_seen=not include_seen)[0]
    notes += _filter_notes(recommender, allow, deny, found, k)
    return _answer(user_id, code is not None, POPULARITY if new else HISTORY, found, notes)


def answer_history(
    recommender: Recommender,
    history: Sequence[str],
    k: int = DEFAULT_K,
    allow: Collection[str] | None = None,
    deny: Collection[str] = (),
) -> Answer:
    """Recommend items to somebody whom training did not know, by what they have turned to.

    Args:
        recommender: The model.
        history: Items, the oldest first; unknown ones do not count.
        k: Length of the list.
        allow: The only items to choose among; None: all.
        deny: Items to leave out.

    Returns:
        As :func:`answer_user`, with ``user_id`` None.
    """
    notes = _unknown(recommender, history, "the history")
    usable = recommender.mixture.folds_in and any(item in recommender.item_index for item in history)
    if not usable:
        why = "No item of the history is known" if recommender.mixture.folds_in else "This model takes in no new users"
        notes.append(f"{why}: these are the most popular items.")
    found = recommender.fold_in(history, k, allow, deny)
    notes += _filter_notes(recommender, allow, deny, found, k)
    return _answer(None, False, HISTORY if usable else POPULARITY, found, notes)


def answer_new_item(recommender: Recommender, text: str, k: int = DEFAULT_K) -> Answer:
    """Say who would want an item that training did not know, and which items resemble it.

    Args:
        recommender: The model, with a map from texts to factors.
        text: The item's text.
        k: Length of both lists.

    Returns:
        JSON-ready: ``users`` (``user_id`` and ``place``: the item's place, from 1, among all that the user has not
        turned to; the best first) and ``similar_items`` (``item_id`` and ``similarity``, the cosine of the factors).

    Raises:
        UserError: There is no map from texts.
    """
    name = _unused_name(recommender)
    extended = recommender.with_items({name: text})
    seen, code = extended.seen, extended.item_index[name]
    active = np.flatnonzero(np.diff(seen.indptr) > 0).astype(np.int32)
    ranks = np.empty(len(active))
    for start in range(0, len(active), USERS_AT_ONCE):
        users = active[start : start + USERS_AT_ONCE]
        scores = extended.score_users(users)
        ranks[start : start + len(users)] = places(scores, np.full(len(users), code), seen[users]).ranks
    factors = factor_member(extended.mixture).items
    assert extended.content is not None
    vector = extended.content.vectors([text])[0]
    lengths = np.linalg.norm(factors, axis=1) * np.linalg.norm(vector)
    cosines = np.divide(factors @ vector, lengths, out=np.zeros(len(factors), dtype=np.float32), where=lengths > 0)
    eager = [(str(recommender.user_ids[active[row]]), int(ranks[row]) + 1) for row in _first(ranks, k)]
    similar = [(str(recommender.item_ids[item]), float(cosines[item])) for item in _first(-cosines, k)]
    return {
        "users": [{"user_id": user, "place": place} for user, place in eager],
        "similar_items": [{"item_id": item, "similarity": similarity} for item, similarity in similar],
    }


def _first(values: npt.NDArray[Any], k: int) -> list[int]:
    """Where the smallest values are, the smallest first."""
    return [int(place) for place in np.argsort(values, kind="stable")[:k]]


def _answer(user_id: str | None, known: bool, based_on: str, found: Recommendations, notes: list[str]) -> Answer:
    items = [{"item_id": str(item), "score": float(score)} for item, score in found]
    return {"user_id": user_id, "known_user": known, "based_on": based_on, "items": items, "notes": notes}


def _filter_notes(
    recommender: Recommender,
    allow: Collection[str] | None,
    deny: Collection[str],
    found: Recommendations,
    k: int,
) -> list[str]:
    notes = [*_unknown(recommender, allow or (), "the allowed items"), *_unknown(recommender, deny, "the denied items")]
    if len(found) < k:
        notes.append(f"There are only {len(found):,} candidates for {k:,} places.")
    return notes


def _unknown(recommender: Recommender, items: Collection[str], where: str) -> list[str]:
    missing = [item for item in items if item not in recommender.item_index]
    if not missing:
        return []
    hint = near_matches(missing[0], recommender.item_index) if len(recommender.item_index) <= 20 else ""
    named = ", ".join(repr(item) for item in missing[:MOST_NAMED]) + (", ..." if len(missing) > MOST_NAMED else "")
    return [f"{len(missing):,} of {len(items):,} of {where} are unknown and do not count: {named}. {hint}".rstrip()]


def _unused_name(recommender: Recommender) -> str:
    name = "new item"
    while name in recommender.item_index:
        name += "'"
    return name
