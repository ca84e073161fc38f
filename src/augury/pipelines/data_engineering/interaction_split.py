"""Divide the pairs of a user and an item into training, validation and test, each in time after the one before."""

import hashlib
from dataclasses import dataclass
from typing import Literal

import numpy as np
from pydantic import Field, model_validator

from augury.errors import UserError
from augury.parameters import Parameters
from augury.predictors.interaction_values import DATASET

TRAIN, VALIDATION, TEST = 0, 1, 2
"""Places of the splits in :data:`augury.predictors.interaction_values.SPLITS`."""

LEAST_TO_SPLIT = 3
"""Items that a user needs to have one each for training, validation and test."""


class InteractionSplit(Parameters):
    """How interactions are divided."""

    kind: Literal["leave_last_out", "global_time", "random"] = Field(
        default="leave_last_out",
        description=(
            "leave_last_out: each user's last item is the test, the second last the validation; global_time: two "
            "moments for all users, so that nobody's future is learnt from; random: any two items of each user"
        ),
    )
    ties: Literal["random", "file"] = Field(
        default="random",
        description=(
            "which of a user's items of one moment comes last: any, but always the same one for a seed; or the last "
            "one in the file, as the files of the NCF paper have it (not on Spark, whose rows have no order)"
        ),
    )
    validation_share: float = Field(default=0.1, gt=0, lt=1, description="of the pairs, for global_time")
    test_share: float = Field(default=0.1, gt=0, lt=1, description="of the pairs, the last ones, for global_time")

    @model_validator(mode="after")
    def _leaves_training(self) -> "InteractionSplit":
        if self.validation_share + self.test_share >= 1:
            raise ValueError(
                f"validation_share ({self.validation_share}) and test_share ({self.test_share}) leave no training"
            )
        return self


@dataclass(frozen=True)
class Division:
    """Which pair is in which split, and until when its events may be known.

    Attributes:
        split: Of each pair, :data:`TRAIN`, :data:`VALIDATION` or :data:`TEST`, int8, shape ``(pairs,)``.
        until: Of each pair, the position in the order of events that ends its split for its user; an event of the pair
            at or after it lies in the future of that split, int64, shape ``(pairs,)``.
        moments: First microsecond of validation and of test, for ``global_time``.
    """

    split: np.ndarray
    until: np.ndarray
    moments: tuple[int, int] | None = None


def tie_breakers(
    users: np.ndarray, items: np.ndarray, identifiers: tuple[np.ndarray, np.ndarray], seed: int
) -> np.ndarray:
    """A number for each pair that depends on the texts of its identifiers and the seed alone.

    Args:
        users: Code of each pair's user, shape ``(n,)``.
        items: Code of each pair's item, shape ``(n,)``.
        identifiers: Identifiers of the users and of the items, in the order of their codes.
        seed: Changes every number.

    Returns:
        uint64, shape ``(n,)``.
    """
    of_user, of_item = (_digests(texts, f"{seed}:{name}:") for name, texts in zip("ui", identifiers, strict=True))
    # The finaliser of splitmix64 (Steele et al. 2014) over both
    mixed = of_user[users] + of_item[items] * np.uint64(0x9E3779B97F4A7C15)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.asarray(mixed ^ (mixed >> np.uint64(31)))


def _digests(texts: np.ndarray, prefix: str) -> np.ndarray:
    digests = b"".join(
        hashlib.md5(f"{prefix}{text}".encode(), usedforsecurity=False).digest()[:8] for text in texts.tolist()
    )
    return np.frombuffer(digests, dtype="<u8").astype(np.uint64)


def divide(users: np.ndarray, times: np.ndarray, positions: np.ndarray, split: InteractionSplit) -> Division:
    """Divide pairs.

    Args:
        users: Code of each pair's user, ascending, shape ``(pairs,)``.
        times: Microseconds of each pair, shape ``(pairs,)``.
        positions: Place of each pair among all events, which are ordered by user, then in the order in which pairs are
            left out; ascending, shape ``(pairs,)``.
        split: How; with kind ``random`` the order is not that of time, and no event is in the future of another.

    Returns:
        The division.

    Raises:
        UserError: A split would be empty.
    """
    if split.kind == "global_time":
        return _by_moments(times, split)
    counts = np.bincount(users)
    starts = np.cumsum(counts) - counts
    from_end = counts[users] - 1 - (np.arange(len(users)) - starts[users])
    enough = counts[users] >= LEAST_TO_SPLIT
    codes = np.full(len(users), TRAIN, dtype=np.int8)
    codes[enough & (from_end == 1)] = VALIDATION
    codes[enough & (from_end == 0)] = TEST
    never = np.iinfo(np.int64).max
    # A training pair ends where its user's validation begins, a validation pair where the test begins
    ends = np.full((2, len(counts)), never, dtype=np.int64)
    for name in (VALIDATION, TEST):
        ends[name - 1, users[codes == name]] = positions[codes == name]
    until = np.full(len(users), never, dtype=np.int64)
    if split.kind == "leave_last_out":
        for name in (TRAIN, VALIDATION):
            until[codes == name] = ends[name, users[codes == name]]
    if not enough.any():
        raise UserError(
            f"{DATASET}: no user has {LEAST_TO_SPLIT} different items, which it takes to split them with "
            f"recommendation.split.kind '{split.kind}'; the most is {counts.max(initial=0)}."
        )
    return Division(codes, until)


def _by_moments(times: np.ndarray, split: InteractionSplit) -> Division:
    ascending = np.sort(times)
    test_from = int(ascending[int(np.floor(len(times) * (1 - split.test_share)))])
    validation_from = int(ascending[int(np.floor(len(times) * (1 - split.test_share - split.validation_share)))])
    codes = np.where(times >= test_from, TEST, np.where(times >= validation_from, VALIDATION, TRAIN)).astype(np.int8)
    for name, word in ((TRAIN, "training"), (VALIDATION, "validation")):
        if not (codes == name).any():
            raise UserError(
                f"{DATASET}: split by time, no pair of a user and an item is left for {word}: too many lie in one "
                "moment. See recommendation.split.validation_share and test_share, or take another kind."
            )
    return Division(codes, np.zeros(0, dtype=np.int64), (validation_from, test_from))
