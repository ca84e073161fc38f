"""Several trainings one after the other, in one checkpoint: what is finished, and how far the current one has come."""

from collections.abc import Mapping
from typing import Any

from augury.checkpointing import Array, Checkpoint, Checkpoints

COMMON = "stages"
"""The checkpoint's fingerprint; each stage keeps its own beside its state."""


class TrainingStages:
    """Gives every stage of a training a view of the one checkpoint."""

    def __init__(self, checkpoints: Checkpoints | None, *, resume: bool) -> None:
        """Read what there is.

        Args:
            checkpoints: Where the checkpoint is kept; None: nowhere.
            resume: Whether to go on from it.

        Raises:
            UserError: It is damaged.
        """
        self._checkpoints = checkpoints
        found = checkpoints.load(COMMON) if checkpoints is not None and resume else None
        self._tensors: dict[str, dict[str, Array]] = {}
        self._states: dict[str, dict[str, Any]] = {} if found is None else dict(found.state)
        for name in self._states:
            start = f"{name}/"
            self._tensors[name] = {
                key.removeprefix(start): value
                for key, value in (found.tensors if found else {}).items()
                if key.startswith(start)
            }

    def stage(self, name: str) -> "Stage":
        """The view of one stage, which is itself a :class:`~...checkpointing.Checkpoints`."""
        return Stage(self, name)

    def load(self, name: str, fingerprint: str) -> Checkpoint | None:
        """The last state of a stage; None where it is that of another training."""
        state = self._states.get(name)
        if state is None or state["fingerprint"] != fingerprint:
            return None
        return Checkpoint(self._tensors[name], state["state"])

    def save(self, name: str, fingerprint: str, tensors: Mapping[str, Array], state: Mapping[str, Any]) -> None:
        """Replace the state of a stage and keep those of the others."""
        if self._checkpoints is None:
            return
        self._tensors[name] = dict(tensors)
        self._states[name] = {"fingerprint": fingerprint, "state": dict(state)}
        together = {f"{stage}/{key}": value for stage, own in self._tensors.items() for key, value in own.items()}
        self._checkpoints.save(COMMON, together, self._states)

    def clear(self) -> None:
        """Forget all stages: the training is over."""
        if self._checkpoints is not None:
            self._checkpoints.clear()


class Stage:
    """One stage's view, see :class:`TrainingStages`."""

    def __init__(self, stages: TrainingStages, name: str) -> None:
        """Keep both."""
        self._stages = stages
        self._name = name

    def load(self, fingerprint: str) -> Checkpoint | None:
        """See :class:`~...checkpointing.Checkpoints`."""
        return self._stages.load(self._name, fingerprint)

    def save(self, fingerprint: str, tensors: Mapping[str, Array], state: Mapping[str, Any]) -> None:
        """See :class:`~...checkpointing.Checkpoints`."""
        self._stages.save(self._name, fingerprint, tensors, state)

    def clear(self) -> None:
        """A finished stage stays until the whole training is over."""
