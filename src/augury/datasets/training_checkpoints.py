"""Catalog entry for how far a long training has come: one file, replaced in one step."""

import hashlib
import json
import logging
import os
import struct
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
from kedro.io.core import AbstractDataset, DatasetError, get_protocol_and_path

from augury.checkpointing import Array, Checkpoint
from augury.errors import UserError

logger = logging.getLogger(__name__)

_LENGTH = 8
"""Bytes before a safetensors header, which say how long it is."""


class TrainingCheckpointsDataset(AbstractDataset[NoReturn, "FileCheckpoints"]):
    """Loads a handle on the checkpoint of a training.

    The file is of the safetensors format, so that reading it executes no code; its header says which training it
    belongs to, and carries a digest of the tensors. On an object store nothing is kept, because a training saves after
    every epoch and would wait for each upload: there a training that is killed begins anew.

    Examples:
        .. code-block:: yaml

            taxonomy.training_checkpoints:
              type: augury.datasets.training_checkpoints.TrainingCheckpointsDataset
              filepath: data/07_model_output/taxonomy/checkpoint.safetensors
    """

    def __init__(self, *, filepath: str, metadata: dict[str, Any] | None = None) -> None:
        """Create the entry.

        Args:
            filepath: File; its folder is created.
            metadata: Free; used by kedro-viz for the layer.
        """
        self._protocol, self._path = get_protocol_and_path(filepath)
        self.metadata = metadata

    def load(self) -> "FileCheckpoints":
        """Make the handle; nothing is read or written yet."""
        return FileCheckpoints(Path(self._path) if self._protocol == "file" else None)

    def save(self, data: NoReturn) -> None:
        """Refused: checkpoints are written through the handle."""
        raise DatasetError("Checkpoints are written through the handle that loading gives.")

    def _exists(self) -> bool:
        return self._protocol == "file" and Path(self._path).exists()

    def _describe(self) -> dict[str, Any]:
        return {"filepath": self._path, "protocol": self._protocol}


class FileCheckpoints:
    """One checkpoint in a file, or, without a path, none; see ``checkpointing.Checkpoints``."""

    def __init__(self, path: Path | None) -> None:
        """Keep the path.

        Args:
            path: The file; None: nothing is kept.
        """
        self._path = path

    def load(self, fingerprint: str) -> Checkpoint | None:
        """The last checkpoint of this very training.

        Args:
            fingerprint: Which training it is.

        Returns:
            The checkpoint; None where there is none, or one of another training.

        Raises:
            UserError: The file is damaged.
        """
        from safetensors import SafetensorError
        from safetensors.numpy import load

        if self._path is None or not self._path.exists():
            return None
        content = self._path.read_bytes()
        try:
            header = _header(content)
            tensors = load(content)
            known, digest = header["fingerprint"], header["digest"]
            state = json.loads(header["state"])
        except (SafetensorError, ValueError, KeyError, TypeError, struct.error) as error:
            raise self._damaged(str(error) or type(error).__name__) from None
        if digest != _digest(tensors, header["state"]):
            raise self._damaged("its digest does not fit its content")
        if known != fingerprint:
            logger.info("'%s' is of a training of other data or parameters: training begins anew.", self._path)
            return None
        return Checkpoint(tensors, state)

    def save(self, fingerprint: str, tensors: Mapping[str, Array], state: Mapping[str, Any]) -> None:
        """Replace the checkpoint; a process that is killed meanwhile leaves the old one.

        Args:
            fingerprint: Which training it is.
            tensors: Name -> array of numbers.
            state: JSON.
        """
        if self._path is None:
            return
        from safetensors.numpy import save

        arrays = {name: np.asarray(array, order="C") for name, array in tensors.items()}
        text = json.dumps(state)
        content = save(arrays, {"fingerprint": fingerprint, "state": text, "digest": _digest(arrays, text)})
        self._path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{self._path.name}.", dir=self._path.parent)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            os.replace(name, self._path)
        finally:
            Path(name).unlink(missing_ok=True)

    def clear(self) -> None:
        """Forget the checkpoint: the training is over."""
        if self._path is not None:
            self._path.unlink(missing_ok=True)

    def _damaged(self, reason: str) -> UserError:
        predictor = self._path.parent.name if self._path is not None else "<predictor>"
        return UserError(
            f"'{self._path}', the checkpoint of a training that was interrupted, is damaged: {reason}. To begin that "
            f"training anew, delete the file or run with --params={predictor}.model.resume=false."
        )


def _header(content: bytes) -> Mapping[str, str]:
    """What :meth:`FileCheckpoints.save` wrote beside the tensors."""
    (length,) = struct.unpack("<Q", content[:_LENGTH])
    header = json.loads(content[_LENGTH : _LENGTH + length])
    found: Mapping[str, str] = header["__metadata__"]
    return found


def _digest(tensors: Mapping[str, Array], state: str) -> str:
    digest = hashlib.sha256(state.encode())
    for name in sorted(tensors):
        digest.update(f"{name}:{tensors[name].dtype.str}:{tensors[name].shape}".encode())
        digest.update(np.asarray(tensors[name], order="C").tobytes())
    return digest.hexdigest()
