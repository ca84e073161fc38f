"""Catalog entry for the studies of a search: an Optuna journal that one process writes at a time."""

import fcntl
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

from kedro.io.core import AbstractDataset, DatasetError, get_protocol_and_path

logger = logging.getLogger(__name__)


class OptunaJournalDataset(AbstractDataset[NoReturn, "StudyJournal"]):
    """Loads a handle on the studies of a predictor.

    The file is Optuna's own (``optuna.storages.journal.JournalFileBackend``), so that ``optuna-dashboard`` reads it. A
    journal is appended to, which object stores cannot do: there the studies end with the process.

    Examples:
        .. code-block:: yaml

            food_waste.tuning_studies:
              type: augury.datasets.optuna_journal.OptunaJournalDataset
              filepath: data/07_model_output/food_waste/tuning.journal
    """

    def __init__(self, *, filepath: str, metadata: dict[str, Any] | None = None) -> None:
        """Create the entry.

        Args:
            filepath: Journal file; its folder is created.
            metadata: Free; used by kedro-viz for the layer.
        """
        self._protocol, self._path = get_protocol_and_path(filepath)
        self.metadata = metadata

    def load(self) -> "StudyJournal":
        """Make the handle; nothing is read or written yet."""
        return StudyJournal(Path(self._path) if self._protocol == "file" else None)

    def save(self, data: NoReturn) -> None:
        """Refused: studies are written through the handle."""
        raise DatasetError("Studies are written through the handle that loading gives.")

    def _exists(self) -> bool:
        return self._protocol == "file" and Path(self._path).exists()

    def _describe(self) -> dict[str, Any]:
        return {"filepath": self._path, "protocol": self._protocol}


class StudyJournal:
    """The studies of a predictor, in a journal or, without a path, in memory."""

    def __init__(self, path: Path | None) -> None:
        """Keep the path.

        Args:
            path: The journal; None: studies end with the process.
        """
        self._path = path

    @contextmanager
    def open(self) -> Iterator[Any]:
        """Open the storage; another process that has it open is waited for.

        Yields:
            An Optuna storage. The lock is the kernel's: it ends with the process, however that ends.
        """
        if self._path is None:
            from optuna.storages import InMemoryStorage

            logger.warning("Studies cannot be kept on an object store: a search that is killed begins anew.")
            yield InMemoryStorage()
            return
        from optuna.storages import JournalStorage
        from optuna.storages.journal import JournalFileBackend

        self._path.parent.mkdir(parents=True, exist_ok=True)
        with self._path.open("ab") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                logger.warning("Another run is tuning with %s; waiting for it, its trials will be used.", self._path)
                fcntl.flock(file, fcntl.LOCK_EX)
            _drop_unfinished_line(self._path)
            lock: Any = _HeldLock()
            yield JournalStorage(JournalFileBackend(str(self._path), lock))


class _HeldLock:
    """Optuna's lock of a single entry, which the lock of the whole journal makes needless.

    Optuna's own are files, which a killed process leaves behind.
    """

    def acquire(self) -> bool:
        return True

    def release(self) -> None:
        return None


def _drop_unfinished_line(path: Path) -> None:
    """Remove what a process that died while writing left: the next entry would be appended to it."""
    with path.open("r+b") as file:
        content = file.read()
        whole = content.rfind(b"\n") + 1
        if whole < len(content):
            file.truncate(whole)
            file.flush()
            os.fsync(file.fileno())
