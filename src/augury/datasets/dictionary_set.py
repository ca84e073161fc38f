"""Catalog entry for a versioned set of zstd dictionaries."""

from pathlib import Path
from typing import Any

from kedro.io.core import AbstractDataset

from augury.predictors.zstd_dictionaries import INDEX_FILE, DictionarySet


class DictionarySetDataset(AbstractDataset[DictionarySet, DictionarySet]):
    """Reads and writes a :class:`~augury.predictors.zstd_dictionaries.DictionarySet` in a local folder.

    Saving a new version never deletes a dictionary of an earlier one: stored blocks may need it.

    Examples:
        .. code-block:: yaml

            compression.dictionaries:
              type: augury.datasets.dictionary_set.DictionarySetDataset
              filepath: data/06_models/compression_dictionaries
    """

    def __init__(self, *, filepath: str, metadata: dict[str, Any] | None = None) -> None:
        """Create the entry.

        Args:
            filepath: Folder of its own.
            metadata: Free; used by kedro-viz for the layer.
        """
        self._path = Path(filepath)
        self.metadata = metadata

    def load(self) -> DictionarySet:
        """Read the set, with the dictionaries of all versions."""
        return DictionarySet.load(self._path)

    def save(self, data: DictionarySet) -> None:
        """Write the set beside the dictionaries of earlier versions."""
        data.save(self._path)

    def _exists(self) -> bool:
        return (self._path / INDEX_FILE).is_file()

    def _describe(self) -> dict[str, Any]:
        return {"filepath": str(self._path)}
