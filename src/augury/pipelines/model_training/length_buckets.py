"""Batches of texts of like lengths, in an order that depends on a seed and the epoch and on nothing else."""

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from augury.pipelines.model_training.transformer_settings import TransformerSettings

POOL = 16
"""Batches among whose texts those of like lengths are looked for."""

JITTER = 0.15
"""Lengths are blurred by so much, so that the same texts do not meet in every epoch."""


def epoch_batches(
    lengths: Sequence[int] | npt.NDArray[np.int64], batch_size: int, seed: int, epoch: int
) -> list[npt.NDArray[np.intp]]:
    """Divide one epoch into batches.

    Texts are shuffled, sorted by length within pools of 16 batches, cut, and the batches shuffled. Because the order
    follows from its arguments alone, a training that goes on in the middle of an epoch needs no state of a generator.

    Args:
        lengths: Tokens of each text.
        batch_size: Texts of a batch; the last one of a pool may have fewer.
        seed: Seed of the training.
        epoch: Number of the epoch, from 0.

    Returns:
        Places of the texts of each batch; together each text once.
    """
    generator = np.random.default_rng([seed, epoch])
    order = generator.permutation(len(lengths))
    blurred = np.asarray(lengths)[order] * generator.uniform(1 - JITTER, 1 + JITTER, len(order))
    batches: list[npt.NDArray[np.intp]] = []
    for start in range(0, len(order), POOL * batch_size):
        pool = slice(start, start + POOL * batch_size)
        by_length = order[pool][np.argsort(blurred[pool], kind="stable")]
        batches += [by_length[first : first + batch_size] for first in range(0, len(by_length), batch_size)]
    return [batches[place] for place in generator.permutation(len(batches))]


def steps_per_epoch(texts: int, batch_size: int) -> int:
    """The number of batches that :func:`epoch_batches` makes."""
    full, rest = divmod(texts, POOL * batch_size)
    return full * POOL + -(-rest // batch_size)


def planned_epochs(texts: int, settings: TransformerSettings) -> int:
    """How many epochs a training has.

    Args:
        texts: Training texts.
        settings: Parameters.

    Returns:
        ``epochs``; more where these are fewer than ``min_steps``; fewer, but two, where they exceed ``enough_steps``.

    Examples:
        >>> settings = TransformerSettings(epochs=3, batch_size=16, min_steps=100, enough_steps=1000)
        >>> [planned_epochs(texts, settings) for texts in (200, 1000, 100_000)]
        [8, 3, 2]
    """
    steps = steps_per_epoch(texts, settings.batch_size)
    enough = max(2, settings.enough_steps // steps)
    return max(math.ceil(settings.min_steps / steps), min(settings.epochs, enough))
