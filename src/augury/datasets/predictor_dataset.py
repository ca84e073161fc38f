"""Catalog entry for a trained predictor: a directory replaced in one step, local or on any fsspec store."""

import tempfile
import uuid
from copy import deepcopy
from pathlib import Path, PurePosixPath
from typing import Any

import fsspec
from kedro.io.core import (
    AbstractVersionedDataset,
    DatasetError,
    Version,
    get_filepath_str,
    get_protocol_and_path,
)

from augury.predictors import Predictor, load_predictor
from augury.predictors.contract import METADATA_FILE, recover, untrained

POINTER = "CURRENT"
"""On an object store, the file that names the generation in force: the only object that is ever overwritten."""


class PredictorDataset(AbstractVersionedDataset[Predictor, Predictor]):
    """Saves and loads a predictor directory.

    Locally a save writes a sibling and renames it, so that a process killed at any moment leaves the old predictor or
    the new one. Object stores have no rename: there each save is a folder of its own (a generation) and a small pointer
    object, written last, names the one in force.

    Examples:
        .. code-block:: yaml

            pdf_memory.predictor:
              type: augury.datasets.predictor_dataset.PredictorDataset
              filepath: data/06_models/pdf_memory
              predictor: pdf_memory
    """

    def __init__(
        self,
        *,
        filepath: str,
        predictor: str | None = None,
        version: Version | None = None,
        credentials: dict[str, Any] | None = None,
        fs_args: dict[str, Any] | None = None,
        metadata: dict[str, Any] | None = None,
    ) -> None:
        """Create the entry.

        Args:
            filepath: Directory, or URL of a folder (``s3://bucket/...``).
            predictor: Whose it is; where there is none yet, the error says how to train that one.
            version: Kedro's version, if the entry is versioned.
            credentials: Passed to the fsspec file system.
            fs_args: Passed to the fsspec file system.
            metadata: Free; used by kedro-viz for the layer.
        """
        protocol, path = get_protocol_and_path(filepath, version)
        self._predictor = predictor
        self._protocol = protocol
        self._fs = fsspec.filesystem(protocol, **deepcopy(credentials or {}), **deepcopy(fs_args or {}))
        self.metadata = metadata
        super().__init__(
            filepath=PurePosixPath(path),
            version=version,
            exists_function=self._fs.exists,
            glob_function=self._fs.glob,
        )

    def load(self) -> Predictor:
        """Load the predictor; executes no code from the directory."""
        path = get_filepath_str(self._get_load_path(), self._protocol)
        if self._protocol == "file":
            return load_predictor(path, self._predictor)
        with tempfile.TemporaryDirectory() as folder:
            target = Path(folder) / "predictor"
            generation = self._current(path)
            if generation is None:
                raise untrained(path, POINTER, self._predictor)
            self._fs.get(f"{path}/{generation}/", f"{target}/", recursive=True)
            return load_predictor(target, self._predictor)

    def save(self, data: Predictor) -> None:
        """Save a predictor."""
        if not isinstance(data, Predictor):
            raise DatasetError(f"PredictorDataset saves a Predictor, not {type(data).__name__}.")
        path = get_filepath_str(self._get_save_path(), self._protocol)
        if self._protocol == "file":
            data.save(Path(path))
            return
        with tempfile.TemporaryDirectory() as folder:
            source = Path(folder) / "predictor"
            data.save(source)
            generation = uuid.uuid4().hex
            self._fs.put(f"{source}/", f"{path}/{generation}/", recursive=True)
            old = self._current(path)
            self._fs.pipe_file(f"{path}/{POINTER}", generation.encode())
            if old:
                self._fs.rm(f"{path}/{old}", recursive=True)

    def _current(self, path: str) -> str | None:
        pointer = f"{path}/{POINTER}"
        return self._fs.cat_file(pointer).decode().strip() if self._fs.exists(pointer) else None

    def _exists(self) -> bool:
        try:
            path = get_filepath_str(self._get_load_path(), self._protocol)
        except DatasetError:  # versioned, and no version yet
            return False
        if self._protocol == "file":
            return (recover(Path(path)) / METADATA_FILE).exists()
        return bool(self._fs.exists(f"{path}/{POINTER}"))

    def _describe(self) -> dict[str, Any]:
        return {"filepath": self._filepath, "protocol": self._protocol, "version": self._version}

    def _release(self) -> None:
        super()._release()
        self._fs.invalidate_cache(get_filepath_str(self._filepath, self._protocol))
