"""Catalog entry for tuned parameters: a small YAML file that a person can read, edit and compare."""

import os
import tempfile
from copy import deepcopy
from pathlib import Path
from typing import Any

import fsspec
import yaml
from kedro.io.core import AbstractDataset, DatasetError, get_protocol_and_path

from augury.predictors.contract import recover, sole_writer

_HEADER = "# What tuning found. Training uses `parameters` where `model.use_tuned` is true.\n"


class BestParametersDataset(AbstractDataset[dict[str, Any], dict[str, Any]]):
    """Saves and loads tuned parameters; a file that does not exist loads as an empty mapping.

    A save replaces the file in one step, and waits for a predictor that is being replaced around it.

    Examples:
        .. code-block:: yaml

            food_waste.best_params:
              type: augury.datasets.best_parameters.BestParametersDataset
              filepath: data/06_models/food_waste/best_params.yml
    """

    def __init__(
        self,
        *,
        filepath: str,
        credentials: dict[str, Any] | None = None,
        fs_args: dict[str, Any] | None = None,
        metadata: dict[str, Any] | None = None,
    ) -> None:
        """Create the entry.

        Args:
            filepath: YAML file, or URL of one.
            credentials: Passed to the fsspec file system.
            fs_args: Passed to the fsspec file system.
            metadata: Free; used by kedro-viz for the layer.
        """
        self._protocol, self._path = get_protocol_and_path(filepath)
        self._fs = fsspec.filesystem(self._protocol, **deepcopy(credentials or {}), **deepcopy(fs_args or {}))
        self.metadata = metadata

    def load(self) -> dict[str, Any]:
        """Read the file."""
        path = self._current()
        if not self._fs.exists(path):
            return {}
        try:
            found = yaml.safe_load(self._fs.cat_file(path).decode())
        except (yaml.YAMLError, UnicodeDecodeError) as error:
            raise DatasetError(f"'{path}' is not YAML: {error}") from None
        if found is None:
            return {}
        if not isinstance(found, dict):
            raise DatasetError(f"'{path}' holds a {type(found).__name__}, not a mapping with the key 'parameters'.")
        return found

    def save(self, data: dict[str, Any]) -> None:
        """Write the file."""
        text = _HEADER + yaml.safe_dump(data, sort_keys=False, allow_unicode=True)
        if self._protocol != "file":
            self._fs.pipe_file(self._path, text.encode())
            return
        directory = Path(self._path).parent
        directory.parent.mkdir(parents=True, exist_ok=True)
        with sole_writer(directory):
            target = recover(directory) / Path(self._path).name
            target.parent.mkdir(exist_ok=True)
            handle, unfinished = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
            try:
                with os.fdopen(handle, "w", encoding="utf-8") as file:
                    file.write(text)
                Path(unfinished).chmod(0o644)
                os.replace(unfinished, target)
            except BaseException:
                Path(unfinished).unlink(missing_ok=True)
                raise

    def _current(self) -> str:
        """The file, also where a process died while it replaced the directory."""
        if self._protocol != "file":
            return self._path
        path = Path(self._path)
        return str(recover(path.parent) / path.name)

    def _exists(self) -> bool:
        return bool(self._fs.exists(self._current()))

    def _describe(self) -> dict[str, Any]:
        return {"filepath": self._path, "protocol": self._protocol}
