"""Catalog entry for a table that grows part by part, so that long collections can be interrupted and continued."""

import time
import uuid
from copy import deepcopy
from typing import Any

import fsspec
import pandas as pd
from kedro.io.core import AbstractDataset, get_protocol_and_path


class ParquetPartsDataset(AbstractDataset[pd.DataFrame, pd.DataFrame]):
    """A folder of parquet parts: saving appends a part, loading returns all parts in the order they were written.

    A folder that does not exist yet loads as an empty frame. A part appears under its name only when it is complete.

    Examples:
        .. code-block:: yaml

            pdf_memory.measurements:
              type: augury.datasets.parquet_parts.ParquetPartsDataset
              path: data/01_raw/pdf_memory/measurements
    """

    def __init__(
        self,
        *,
        path: str,
        credentials: dict[str, Any] | None = None,
        metadata: dict[str, Any] | None = None,
    ) -> None:
        """Create the entry.

        Args:
            path: Folder, or URL of a folder.
            credentials: Passed to the fsspec file system.
            metadata: Free; used by kedro-viz for the layer.
        """
        self._protocol, self._path = get_protocol_and_path(path)
        self._fs = fsspec.filesystem(self._protocol, **deepcopy(credentials or {}))
        self.metadata = metadata

    def load(self) -> pd.DataFrame:
        """Read all parts."""
        frames = []
        for part in self._parts():
            with self._fs.open(part, "rb") as file:
                frames.append(pd.read_parquet(file))
        return pd.concat(frames, ignore_index=True) if frames else pd.DataFrame()

    def save(self, data: pd.DataFrame) -> None:
        """Append a part; an empty frame adds nothing."""
        if data.empty:
            return
        self._fs.makedirs(self._path, exist_ok=True)
        name = f"part-{time.time_ns():020d}-{uuid.uuid4().hex[:8]}.parquet"
        unfinished = f"{self._path}/.{name}.tmp"
        with self._fs.open(unfinished, "wb") as file:
            data.to_parquet(file, index=False)
        self._fs.mv(unfinished, f"{self._path}/{name}")

    def _parts(self) -> list[str]:
        self._fs.invalidate_cache()
        return sorted(self._fs.glob(f"{self._path}/part-*.parquet"))

    def _exists(self) -> bool:
        return bool(self._parts())

    def _describe(self) -> dict[str, Any]:
        return {"path": self._path, "protocol": self._protocol}
