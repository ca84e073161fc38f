"""MLflow in a process of its own, which imports it and talks to its store while the run goes on.

Importing MLflow, opening its store and logging a model take some three seconds, in which a small training is over.
``kedro run`` therefore forks a process as the first thing it does; what there is to track is sent to it through a pipe
and never waited for, but for two things: nothing is written before the store is known to work, and a run ends only
when everything of it is recorded. Elsewhere (a notebook, an application that runs pipelines) MLflow stays in the
process that runs the nodes.
"""

import logging
import os
import pickle
import queue
import shutil
import signal
import sys
import tempfile
import threading
from contextlib import suppress
from multiprocessing.connection import Connection, Pipe
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

from augury.errors import UserError
from augury.light_imports import collection_paused, hidden
from augury.tracking.run import MODEL
from augury.tracking.settings import Store, one_line
from augury.tracking.tracker import LocalTracker, RunEnd, RunRequest, Tracker

logger = logging.getLogger(__name__)

LONGEST_WORK_S = 60
"""That the process takes to finish what it was doing when the run ended."""

_started: "TrackingProcess | None" = None


def start_tracking_process() -> None:
    """Fork the process of which :func:`tracker` will speak, where that is safe: on Linux, before there are threads."""
    global _started
    if _started is None and sys.platform.startswith("linux") and threading.active_count() == 1:
        _started = TrackingProcess.fork()


def tracker() -> Tracker:
    """Give the tracker of a run: the process that was started for it, or MLflow in this process."""
    global _started
    process, _started = _started, None
    return process or LocalTracker()


class StoredPredictor(NamedTuple):
    """A predictor on its way: its files and what it says of itself."""

    files: Path
    metadata: Any

    def save(self, directory: Path) -> None:
        """Copy the files."""
        shutil.copytree(self.files, directory, dirs_exist_ok=True)


class TrackingProcess:
    """What the run's process holds of the other one; a :class:`~augury.tracking.tracker.Tracker`."""

    def __init__(self, connection: Connection, process: int) -> None:
        """Take the near end of the pipe and the id of the process at the far end."""
        self._connection = connection
        self._process = process
        self._connected = False
        self._problem: UserError | None = None
        self._is_new = False
        self._requests: dict[str, RunRequest] = {}
        self._unsent: dict[str, list[str]] = {}

    @classmethod
    def fork(cls) -> "TrackingProcess":
        """Start the process."""
        near, far = Pipe()
        process = os.fork()
        if process == 0:
            near.close()
            _serve(far)
        far.close()
        return cls(near, process)

    def connect(self, store: Store, experiments: list[str]) -> None:
        """See :class:`~augury.tracking.tracker.Tracker`."""
        from augury.tracking.connection import knock

        self._connected, self._problem = False, None
        # A database that is not there yet works if its file can be made; nobody waits for its tables
        self._is_new = store.database is not None and not store.database.exists()
        if self._is_new:
            knock(store)
        with suppress(OSError):  # ready() says so
            self._ask("connect", store, experiments)

    def ready(self, wait: bool = True) -> None:
        """See :class:`~augury.tracking.tracker.Tracker`."""
        self._look(wait and not self._is_new)

    def _look(self, wait: bool) -> None:
        if not self._connected and self._problem is None and (wait or self._connection.poll()):
            self._problem = self._answer()
            self._connected = self._problem is None
        if self._problem is not None:
            raise self._problem

    def begin(self, request: RunRequest) -> None:
        """See :class:`~augury.tracking.tracker.Tracker`."""
        self._requests[request.predictor] = request
        self._unsent[request.predictor] = []
        with suppress(OSError):  # a process that has ended: end() says so
            self._ask("begin", request)

    def record(self, predictor: str, dataset: str, data: Any) -> None:
        """See :class:`~augury.tracking.tracker.Tracker`."""
        request = self._requests.get(predictor)
        if request is None or (dataset == MODEL and not request.log_model):
            return
        sent = data
        try:
            if dataset == MODEL:
                sent = _stored(data)
            self._ask("record", predictor, dataset, sent)
        except Exception as error:
            _discard(sent)
            self._unsent[predictor].append(dataset)
            logger.warning("MLflow did not record '%s' of %s: %s", dataset, predictor, one_line(error))

    def judges(self, predictor: str, trained: Any) -> None:
        """See :class:`~augury.tracking.tracker.Tracker`."""
        with suppress(OSError):
            self._ask("judges", predictor, SimpleNamespace(metadata=getattr(trained, "metadata", None)))

    def end(self, predictor: str, status: str, error: str | None) -> RunEnd | None:
        """See :class:`~augury.tracking.tracker.Tracker`."""
        if self._requests.pop(predictor, None) is None:
            return None
        try:
            self._look(wait=True)
        except UserError as problem:
            if self._is_new:
                logger.warning("MLflow does not track %s: %s", predictor, one_line(problem))
            return None  # otherwise the run has been told why
        try:
            self._ask("end", predictor, status, error)
            ended: RunEnd | None = self._answer()
        except (UserError, OSError) as problem:
            logger.warning("MLflow: the run of %s was not ended: %s", predictor, one_line(problem))
            return None
        return ended and ended._replace(missing=[*self._unsent.pop(predictor), *ended.missing])

    def close(self) -> None:
        """See :class:`~augury.tracking.tracker.Tracker`."""
        self._connection.close()
        with suppress(ChildProcessError):  # a fork of this process speaks of its parent's child
            os.waitpid(self._process, 0)

    def _ask(self, name: str, *arguments: Any) -> None:
        self._connection.send_bytes(pickle.dumps((name, arguments), protocol=pickle.HIGHEST_PROTOCOL))

    def _answer(self) -> Any:
        try:
            return self._connection.recv()
        except (EOFError, OSError):
            raise UserError("The process that talks to MLflow has ended; what it said is above. Run again.") from None


def _stored(predictor: Any) -> StoredPredictor:
    """Save a predictor where the other process, which then owns the folder, finds it."""
    files = Path(tempfile.mkdtemp(prefix="augury-tracked-"))
    try:
        predictor.save(files)
    except BaseException:
        shutil.rmtree(files, ignore_errors=True)
        raise
    return StoredPredictor(files, predictor.metadata)


def _discard(data: Any) -> None:
    """Remove the files of a predictor that was on its way."""
    if isinstance(data, StoredPredictor):
        shutil.rmtree(data.files, ignore_errors=True)


def _serve(connection: Connection) -> None:
    """The life of the other process; it ends with the pipe, and never returns."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the run, which then says how its runs end
    messages: queue.SimpleQueue[bytes] = queue.SimpleQueue()
    at_work = threading.Lock()
    threading.Thread(target=_receive, args=(connection, messages, at_work), daemon=True).start()
    local = LocalTracker()
    try:
        _warm_up()
        while True:
            name, arguments = pickle.loads(messages.get())  # noqa: S301  (from the process that forked this one)
            with at_work:
                if name == "connect":
                    connection.send(_problem_of(local, *arguments))
                    _import_plotly()  # while the run computes what is drawn
                elif name == "record":
                    _record(local, *arguments)
                else:
                    answer = getattr(local, name)(*arguments)
                    if name == "end":
                        connection.send(answer)
    except BaseException:
        logger.debug("The process that talks to MLflow failed", exc_info=True)
    finally:
        os._exit(1)


def _receive(connection: Connection, messages: "queue.SimpleQueue[bytes]", at_work: threading.Lock) -> None:
    """Empty the pipe at once, so that the run never waits; without the run there is nothing left to do.

    What has been begun is finished: a store whose tables are half made could not be used any more.
    """
    try:
        while True:
            messages.put(connection.recv_bytes())
    except (EOFError, OSError):
        pass
    at_work.acquire(timeout=LONGEST_WORK_S)
    while not messages.empty():  # what a run that was killed left behind
        name, arguments = pickle.loads(messages.get())  # noqa: S301
        if name == "record":
            _discard(arguments[2])
    os._exit(0)


def _warm_up() -> None:
    """Import what a run with a local store will need; what is missing is reported when the run asks for it."""
    from augury.tracking.connection import quieten_mlflow

    quieten_mlflow()
    try:
        with collection_paused(), hidden("pyspark"):
            import mlflow.pyfunc
            import mlflow.store.tracking.sqlalchemy_store  # noqa: F401
    except Exception:
        logger.debug("MLflow could not be imported", exc_info=True)


def _import_plotly() -> None:
    with hidden("IPython"):  # see augury.reporting.plot_style
        import plotly.graph_objects
        import plotly.offline  # noqa: F401


def _problem_of(local: LocalTracker, store: Store, experiments: list[str]) -> UserError | None:
    try:
        local.connect(store, experiments)
    except UserError as error:
        return error
    except Exception as error:
        return UserError(one_line(error))
    return None


def _record(local: LocalTracker, predictor: str, dataset: str, data: Any) -> None:
    try:
        local.record(predictor, dataset, data)
    finally:
        _discard(data)
