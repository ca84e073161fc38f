"""Where a long training keeps how far it has come: what the training asks of it, and the one that remembers nothing."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]


class Checkpoint(NamedTuple):
    """Everything that a training needs to go on as if it had never been interrupted."""

    tensors: dict[str, Array]
    """Weights, moments of the optimiser, states of random number generators."""
    state: dict[str, Any]
    """JSON: the epoch, the step, the best score so far."""


class Checkpoints(Protocol):
    """Keeps one checkpoint of one training."""

    def load(self, fingerprint: str) -> Checkpoint | None:
        """The last checkpoint of this very training.

        Args:
            fingerprint: See :func:`fingerprint_of`.

        Returns:
            The checkpoint; None where there is none, or one of a training of other data or other parameters.

        Raises:
            UserError: The file is damaged.
        """

    def save(self, fingerprint: str, tensors: Mapping[str, Array], state: Mapping[str, Any]) -> None:
        """Replace the checkpoint in one step: a process that is killed leaves the old one or the new one."""

    def clear(self) -> None:
        """Forget it: the training is over."""


class NoCheckpoints:
    """Remembers nothing, for trainings that are short or are repeated anyway."""

    def load(self, fingerprint: str) -> Checkpoint | None:
        """See :class:`Checkpoints`."""
        return None

    def save(self, fingerprint: str, tensors: Mapping[str, Array], state: Mapping[str, Any]) -> None:
        """See :class:`Checkpoints`."""

    def clear(self) -> None:
        """See :class:`Checkpoints`."""


def fingerprint_of(arrays: Mapping[str, Array], settings: Mapping[str, Any]) -> str:
    """Tell one training from every other.

    Args:
        arrays: Name -> data that the training reads, of any shape and numeric type.
        settings: Parameters, seed, versions of libraries; JSON.

    Returns:
        SHA-256 of both, as hexadecimal digits.

    Examples:
        >>> fingerprint_of({"x": np.zeros(2)}, {"seed": 1}) == fingerprint_of({"x": np.zeros(2)}, {"seed": 2})
        False
    """
    digest = hashlib.sha256(json.dumps(settings, sort_keys=True, default=str).encode())
    for name in sorted(arrays):
        array = np.asarray(arrays[name], order="C")
        digest.update(f"{name}:{array.dtype.str}:{array.shape}".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()
