"""The k-core of interactions: nobody and nothing in it has fewer than so many interactions with the rest of it."""

from typing import Literal

import numpy as np
from pydantic import Field

from augury.parameters import Parameters


class KCore(Parameters):
    """Which users and items have too few interactions to be learnt about."""

    users: int = Field(default=5, ge=1, description="least number of different items of a user; 1 keeps all")
    items: int = Field(default=5, ge=1, description="least number of different users of an item; 1 keeps all")
    counts: Literal["all", "train"] = Field(
        default="all",
        description=(
            "all: before the split, users and items below leave altogether, as the literature does it; train: only "
            "training rows are counted and leave, and what remains of a user or an item in the test is cold"
        ),
    )


def find_k_core(users: np.ndarray, items: np.ndarray, core: KCore) -> tuple[np.ndarray, list[dict[str, int]]]:
    """Remove users and items with too few interactions until all that are left have enough.

    Args:
        users: Code of each interaction's user, 0 and up, shape ``(n,)``; no pair of user and item twice.
        items: Code of each interaction's item, shape ``(n,)``.
        core: The least numbers.

    Returns:
        Which interactions are in the core, shape ``(n,)``; and per round how many users, items and interactions went
        (rounds in which nothing went are left out).
    """
    kept = np.ones(len(users), dtype=bool)
    rounds: list[dict[str, int]] = []
    while kept.any():
        per_user = np.bincount(users[kept], minlength=int(users.max()) + 1)
        per_item = np.bincount(items[kept], minlength=int(items.max()) + 1)
        few_users, few_items = per_user < core.users, per_item < core.items
        staying = kept & ~few_users[users] & ~few_items[items]
        gone = int(kept.sum() - staying.sum())
        if not gone:
            break
        rounds.append(
            {
                "users": int((few_users & (per_user > 0)).sum()),
                "items": int((few_items & (per_item > 0)).sum()),
                "interactions": gone,
            }
        )
        kept = staying
    return kept, rounds
