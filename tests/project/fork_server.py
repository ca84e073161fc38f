"""Runs the project's commands in forks of one process that has imported what they need.

A Python that starts anew spends 2 to 5 seconds on imports before `kedro run` begins. :func:`run` asks a server instead,
which forks: the child takes over folder, environment, arguments and standard streams of the command, calls the same
function as the installed script, and ends as a process of its own. One server serves all processes of pytest-xdist; it
ends with the last of them.

What depends on how an interpreter starts is not for it: tests of what is imported and when, of missing packages, of
signals. :func:`serves` says whether an environment can be given to a child at all.
"""

import array
import atexit
import gc
import importlib
import inspect
import json
import os
import random
import selectors
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import compile_once
from filelock import FileLock

REPOSITORY = Path(__file__).parents[2]
HEADER = 8
"""Bytes that hold the length of a message."""
STREAMS = 3

PRELOADED = (
    *("kedro.framework.cli.cli", "kedro.framework.session", "kedro.runner", "kedro_viz.launchers.cli.main"),
    *("kedro_datasets.pandas", "kedro_datasets.json", "kedro_datasets.plotly", "kedro_datasets.yaml"),
    *("augury.cli", "augury.__main__", "augury.hooks", "augury.tracking", "augury.pipeline_registry"),
    *("augury.tracking.connection", "augury.schemas.pandera_import", "augury.reporting.plot_style"),
    *("pandas", "pyarrow.parquet", "narwhals", "pydantic", "fsspec.implementations.local"),
    *("sklearn.ensemble", "sklearn.linear_model", "sklearn.isotonic", "lightgbm", "xgboost", "onnx", "plotly.express"),
)  # fmt: skip
"""Modules whose import depends neither on the folder nor on the environment that a command is started in."""

STARTUP = ("PYTHON", "LD_", "LC_", "LANG", "TZ", "MALLOC_", "OMP_", "OPENBLAS_", "MKL_", "KMP_", "NUMEXPR_", "ARROW_")
STARTUP += ("KEDRO_", "COV_", "COVERAGE_", "COLUMNS", "LINES", "NO_COLOR", "FORCE_COLOR", "TERM")
"""Beginnings of variables that are read once, by the interpreter, a library's import or the loader."""

NO_THREADS = {"OPENBLAS_NUM_THREADS": "1", "JE_ARROW_MALLOC_CONF": "background_thread:false"}
"""OpenBLAS and Arrow's allocator start threads when they are loaded, and those would not be there after a fork."""


def read_once(environment: Mapping[str, str]) -> dict[str, str]:
    """The variables that a running process no longer looks at."""
    return {name: value for name, value in environment.items() if name.startswith(STARTUP)}


# --- the side of the tests ---


def serves(environment: Mapping[str, str]) -> bool:
    """Whether a command with this environment can be a fork: on Linux, and where nothing differs that is read once.

    What counts is how it differs from this process's present one: Kedro and the project's settings add to that.
    """
    return sys.platform == "linux" and read_once(environment) == read_once(os.environ)


def run(
    program: str,
    arguments: Sequence[str],
    cwd: Path,
    environment: Mapping[str, str],
    given: str = "",
    without: Sequence[str] = (),
) -> subprocess.CompletedProcess[str]:
    """Run a command to its end, as ``subprocess.run(..., capture_output=True, text=True)`` does.

    Args:
        program: ``kedro``, or ``augury`` for ``python -m augury``.
        arguments: What follows on the command line.
        cwd: The folder it runs in.
        environment: All of its variables; :func:`serves` must hold.
        given: What it finds on its standard input.
        without: Modules that cannot be imported, as if they were not installed.
    """
    with tempfile.TemporaryFile() as stdin, tempfile.TemporaryFile() as stdout, tempfile.TemporaryFile() as stderr:
        stdin.write(given.encode())
        stdin.seek(0)
        request = {"program": program, "arguments": arguments, "cwd": str(cwd), "environment": dict(environment)}
        request["without"] = without
        returncode = _CLIENT.ask(request, [stream.fileno() for stream in (stdin, stdout, stderr)])
        for stream in (stdout, stderr):
            stream.seek(0)
        said = [stream.read().decode().replace("\r\n", "\n") for stream in (stdout, stderr)]
    return subprocess.CompletedProcess([program, *arguments], returncode, *said)


class _Client:
    """This process's connection to the server, made when it is first needed; its end is the server's."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._connection: socket.socket | None = None
        self._owner = 0

    def ask(self, request: dict[str, Any], streams: list[int]) -> int:
        with self._lock:
            if self._connection is None or self._owner != os.getpid():
                self._connection, self._owner = _connect(), os.getpid()
            message = json.dumps(request).encode()
            socket.send_fds(self._connection, [len(message).to_bytes(HEADER, "big")], streams)
            self._connection.sendall(message)
            answer = _receive(self._connection, HEADER)
            if not answer:
                raise RuntimeError("the fork server has ended; its own output is above")
            return int.from_bytes(answer, "big", signed=True)


_CLIENT = _Client()


def _connect() -> socket.socket:
    # One per run of the tests, whichever process needs it first
    run_id = os.environ.get("PYTEST_XDIST_TESTRUNUID") or str(os.getpid())
    name = f"augury-tests-{os.getuid()}-{run_id}"
    with FileLock(Path(tempfile.gettempdir()) / f"{name}.lock") as lock:
        try:
            return _dial(name)
        except ConnectionRefusedError:
            pass
        server = subprocess.Popen(
            [sys.executable, __file__, name], cwd=REPOSITORY, env=os.environ | NO_THREADS,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, start_new_session=True,
        )  # fmt: skip
        assert server.stdout is not None
        if server.stdout.readline() != b"ready\n":
            raise RuntimeError("the fork server did not start")
        atexit.register(Path(lock.lock_file).unlink, missing_ok=True)
        return _dial(name)


def _dial(name: str) -> socket.socket:
    connection = socket.socket(socket.AF_UNIX)
    try:
        connection.connect(f"\0{name}")
    except OSError:
        connection.close()
        raise
    return connection


def _receive(connection: socket.socket, length: int) -> bytes:
    """Exactly so many bytes, or none where the other side has ended."""
    found = b""
    while len(found) < length:
        piece = connection.recv(length - len(found))
        if not piece:
            return b""
        found += piece
    return found


# --- the side of the server ---


@dataclass(frozen=True)
class _Child:
    pid: int
    pidfd: int
    connection: socket.socket


def _preload() -> dict[str, str]:
    """Import everything; returns the environment variables that the imports have set."""
    before = dict(os.environ)
    for module in PRELOADED:
        importlib.import_module(module)
    sys.modules["augury.pipeline_registry"].register_pipelines()
    _load_tracking()
    compile_once.install()
    inspect.stack()  # Kedro's settings ask for it, and the first time looks up the file of every module
    threads = len(list(Path("/proc/self/task").iterdir()))
    if threads > 1:
        sys.exit(f"{threads} threads are alive after the imports: a fork would have only one of them")
    # What the collector would look at, and thereby copy, in every child
    gc.collect()
    gc.freeze()
    return {name: value for name, value in os.environ.items() if before.get(name) != value}


def _load_tracking() -> None:
    """Import MLflow and what its database store needs, as a tracked run does."""
    from augury.tracking.connection import import_mlflow
    from augury.tracking.settings import TrackingSettings, locate_store

    import_mlflow(locate_store(TrackingSettings(), REPOSITORY, None))
    importlib.import_module("mlflow.store.tracking.sqlalchemy_store")


def _serve(name: str) -> Callable[[], int | None]:
    """Fork a child per request until nobody is connected any more; return what a child has to do, in the child."""
    made = _preload()
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(f"\0{name}")
    listener.listen()
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    selector = selectors.DefaultSelector()
    selector.register(listener, selectors.EVENT_READ)
    connected: set[socket.socket] = set()
    children: dict[int, _Child] = {}
    while True:
        for key, _ in selector.select():
            if key.fileobj is listener:
                connection, _ = listener.accept()
                if _user_of(connection) == os.getuid():
                    connected.add(connection)
                    selector.register(connection, selectors.EVENT_READ)
                else:
                    connection.close()
            elif isinstance(key.data, _Child):
                child = children.pop(key.data.pid)
                selector.unregister(child.pidfd)
                os.close(child.pidfd)
                _, status = os.waitpid(child.pid, 0)
                if child.connection in connected:
                    code = os.waitstatus_to_exitcode(status)
                    child.connection.sendall(code.to_bytes(HEADER, "big", signed=True))
            else:
                connection = next(each for each in connected if each is key.fileobj)
                header, streams, *_ = socket.recv_fds(connection, HEADER, STREAMS)
                if header:
                    request = json.loads(_receive(connection, int.from_bytes(header, "big")))
                    pid = os.fork()
                    if not pid:
                        selector.close()
                        for each in (listener, *connected):
                            each.close()
                        return _become(request, streams, made)
                    for stream in streams:
                        os.close(stream)
                    children[pid] = _Child(pid, os.pidfd_open(pid), connection)
                    selector.register(children[pid].pidfd, selectors.EVENT_READ, children[pid])
                    continue
                # Who asked has ended, by Ctrl-C perhaps
                connected.remove(connection)
                selector.unregister(connection)
                connection.close()
                for child in children.values():
                    if child.connection is connection:
                        with suppress(ProcessLookupError):
                            os.killpg(child.pid, signal.SIGKILL)
                if not connected:
                    sys.exit()


def _user_of(connection: socket.socket) -> int:
    size = array.array("i", [0, 0, 0])
    found = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, size.itemsize * len(size))
    return array.array("i", found)[1]


def _become(request: dict[str, Any], streams: list[int], made: dict[str, str]) -> Callable[[], int | None]:
    """Take over what makes this process that command."""
    os.setsid()
    for target, stream in enumerate(streams):
        os.dup2(stream, target)
        os.close(stream)
    os.chdir(request["cwd"])
    os.environ.clear()
    os.environ.update(request["environment"])
    for key, value in made.items():
        os.environ.setdefault(key, value)
    if loaded := sys.modules.keys() & set(request["without"]):
        sys.exit(f"{', '.join(loaded)} cannot be missing in a fork: loaded before")
    sys.modules.update(dict.fromkeys(request["without"]))
    random.seed()
    sys.modules["numpy"].random.seed()
    # As the interpreter finds it: the folder of the script, or the current one for `-m`
    script = Path(sys.executable).with_name("kedro")
    augury = request["program"] == "augury"
    sys.path[0] = request["cwd"] if augury else str(script.parent)
    sys.argv = [sys.modules["augury.__main__"].__file__ if augury else str(script), *request["arguments"]]
    if augury:
        return sys.modules["augury.__main__"].main
    # It reads conf/logging.yml of the current folder when it is imported
    sys.modules["kedro.framework.project"].LOGGING.__init__()
    return sys.modules["kedro.framework.cli"].main


def _finish(job: Callable[[], int | None]) -> NoReturn:
    """Do a child's work and end as the interpreter would, but without taking every loaded module apart (0.2 s)."""
    status: Any = 1
    try:
        try:
            sys.exit(job())
        except SystemExit as end:
            status = end.code
            if status is None or isinstance(status, str):
                sys.stderr.write(f"{status}\n" if status else "")
                status = int(status is not None)
        except BaseException:
            sys.excepthook(*sys.exc_info())
        threading._shutdown()  # type: ignore[attr-defined]  # waits for threads, which only the interpreter does
        atexit._run_exitfuncs()
        sys.stdout.flush()
        sys.stderr.flush()
    finally:
        os._exit(status)


def main() -> NoReturn:
    """Serve, and in a child run its command."""
    _finish(_serve(sys.argv[1]))


if __name__ == "__main__":
    main()
