"""Catalog entry that knows where and when a run happens, so that nodes need not ask the environment."""

from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, NoReturn

from kedro.io.core import AbstractDataset, DatasetError

from augury.tracking.provenance import git_commit

PACKAGES = (
    "augury",
    "kedro",
    "lightgbm",
    "numpy",
    "onnx",
    "onnxruntime",
    "pandas",
    "scikit-learn",
    "xgboost",
)


class ProvenanceDataset(AbstractDataset[NoReturn, dict[str, Any]]):
    """Loads ``git_commit``, ``created_at`` (UTC, ISO 8601) and ``versions`` of the packages that models depend on."""

    def __init__(self, *, metadata: dict[str, Any] | None = None) -> None:
        """Create the entry.

        Args:
            metadata: Free; used by kedro-viz for the layer.
        """
        self.metadata = metadata

    def load(self) -> dict[str, Any]:
        """Look around."""
        return {
            "git_commit": git_commit(Path.cwd()),
            "created_at": datetime.now(UTC).isoformat(timespec="seconds"),
            "versions": {name: found for name in PACKAGES if (found := _version(name))},
        }

    def save(self, data: NoReturn) -> None:
        """Refused: provenance is observed, not written."""
        raise DatasetError("Provenance can only be loaded.")

    def _describe(self) -> dict[str, Any]:
        return {"packages": PACKAGES}


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
