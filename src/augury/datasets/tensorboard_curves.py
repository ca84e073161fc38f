"""Catalog entry for the curves of a training, in the event files that TensorBoard reads."""

import shutil
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from kedro.io.core import AbstractDataset, DatasetError, get_protocol_and_path

from augury.curve_table import CURVES, curve_table
from augury.errors import UserError
from augury.predictors.contract import replace_directory

SCALE = ["step", "seconds", "epoch"]
_EPOCH = "epoch"
"""The scalar that keeps the epoch of each step: TensorBoard knows steps only."""


class TensorBoardCurvesDataset(AbstractDataset[pd.DataFrame, pd.DataFrame]):
    """Saves a table of curves as TensorBoard's scalars, and reads it again: ``tensorboard --logdir data/08_reporting``.

    The table has a row per curve and step: ``step, epoch, name, value, seconds`` (since the training began). Saving
    replaces the curves of an earlier training. Values are single precision, as in every event file.

    Examples:
        .. code-block:: yaml

            taxonomy.curves:
              type: augury.datasets.tensorboard_curves.TensorBoardCurvesDataset
              filepath: data/08_reporting/taxonomy/tensorboard
    """

    def __init__(self, *, filepath: str, metadata: dict[str, Any] | None = None) -> None:
        """Create the entry.

        Args:
            filepath: Folder, or URL of a folder, of its own.
            metadata: Free; used by kedro-viz for the layer.
        """
        import fsspec

        self._protocol, self._path = get_protocol_and_path(filepath)
        self._fs = fsspec.filesystem(self._protocol)
        self.metadata = metadata

    def load(self) -> pd.DataFrame:
        """Read the curves back, in the order of their names and steps."""
        if not self._exists():
            raise DatasetError(f"'{self._path}' holds no curves.")
        if self._protocol == "file":
            return _read(Path(self._path))
        with tempfile.TemporaryDirectory() as folder:
            self._fs.get(f"{self._path}/", f"{folder}/events/", recursive=True)
            return _read(Path(folder) / "events")

    def save(self, data: pd.DataFrame) -> None:
        """Write the curves in the place of those of an earlier training."""
        missing = [name for name in CURVES if name not in data.columns]
        if missing:
            raise UserError(f"A table of curves needs the columns {', '.join(CURVES)}; '{missing[0]}' is missing.")
        if self._protocol == "file":
            target = Path(self._path)
            target.parent.mkdir(parents=True, exist_ok=True)
            staging = Path(tempfile.mkdtemp(prefix=f".{target.name}.new-", dir=target.parent))
            try:
                _write(data, staging)
                staging.chmod(0o755)
                replace_directory(staging, target)
            finally:
                shutil.rmtree(staging, ignore_errors=True)
            return
        with tempfile.TemporaryDirectory() as folder:
            _write(data, Path(folder))
            if self._fs.exists(self._path):
                self._fs.rm(self._path, recursive=True)
            self._fs.put(f"{folder}/", f"{self._path}/", recursive=True)

    def _exists(self) -> bool:
        if not self._fs.exists(self._path):
            return False
        return any("tfevents" in str(name) for name in self._fs.ls(self._path, detail=False))

    def _describe(self) -> dict[str, Any]:
        return {"filepath": self._path, "protocol": self._protocol}


def _write(curves: pd.DataFrame, folder: Path) -> None:
    from tensorboard.compat.proto.event_pb2 import Event
    from tensorboard.compat.proto.summary_pb2 import Summary
    from tensorboard.summary.writer.event_file_writer import EventFileWriter

    writer = EventFileWriter(str(folder))
    try:
        finite = curves[np.isfinite(curves["value"].to_numpy())].sort_values(["step", "name"], kind="stable")
        epochs = finite.drop_duplicates("step")
        rows = [
            *zip(finite["step"], finite["seconds"], finite["name"], finite["value"], strict=True),
            *(
                (step, seconds, _EPOCH, epoch)
                for step, seconds, epoch in epochs[["step", "seconds", "epoch"]].to_numpy()
            ),
        ]
        for step, seconds, name, value in sorted(rows, key=lambda row: (row[0], row[2])):
            scalar = Summary(value=[Summary.Value(tag=str(name), simple_value=float(value))])
            writer.add_event(Event(step=int(step), wall_time=float(seconds), summary=scalar))
    finally:
        writer.close()


def _read(folder: Path) -> pd.DataFrame:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(folder), size_guidance={"scalars": 0})
    events.Reload()
    tags = sorted(events.Tags()["scalars"])
    epochs = {event.step: event.value for event in events.Scalars(_EPOCH)} if _EPOCH in tags else {}
    rows = [
        (event.step, epochs.get(event.step, np.nan), tag, event.value, event.wall_time)
        for tag in tags
        if tag != _EPOCH
        for event in events.Scalars(tag)
    ]
    return curve_table(rows)
