"""Fork server that runs one query per child on DuckDB and reports the child's own CPU seconds and peak memory.

Run as a script, not imported: ``python -I query_worker.py``. It reads one JSON job per line from standard input and
answers with one JSON line each. A job either generates the tables of a benchmark (``task: generate``) or runs a query.

One process per query, because DuckDB's peak of the buffer memory never goes down within a process. The limits are
real: DuckDB itself refuses memory beyond ``memory_limit_mb`` (nothing is spilled), the kernel ends the child at
``cpu_limit_s`` of CPU time, and the parent ends it at ``time_limit_s`` of wall-clock time.
"""

import contextlib
import ctypes
import json
import os
import re
import resource
import select
import shutil
import signal
import sys
import time
from typing import Any

import duckdb
import pyarrow  # noqa: F401 (results are read as Arrow batches; imported here, so that no child pays for it)

MIB = 1024 * 1024
PR_SET_PDEATHSIG = 1
BATCH_ROWS = 65_536

NEW_DATABASE: dict[str, str | bool | int | float | list[str]] = {
    "threads": 1,
    "temp_directory": "",
    "autoinstall_known_extensions": False,
    "autoload_known_extensions": False,
    "enable_external_file_cache": False,
}
"""One thread, nothing spilled, nothing downloaded, no file kept in memory between operators."""


def _status(field: str) -> int:
    """Read a memory field (kB) of /proc/self/status in bytes."""
    with open("/proc/self/status", encoding="ascii") as status:  # noqa: PTH123 (keeps pathlib out)
        for line in status:
            if line.startswith(field):
                return int(line.split()[1]) * 1024
    return 0


def _cpu() -> float:
    """CPU seconds of this process so far.

    Not ``time.process_time``: while a CPU timer runs, Linux moves that clock at ticks only, some milliseconds apart.
    """
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def _connect(job: dict[str, Any]) -> duckdb.DuckDBPyConnection:
    """Open an in-memory database with the job's tables as views over parquet, and its setup statements run."""
    connection = duckdb.connect(config=NEW_DATABASE | {"memory_limit": f"{job['memory_limit_mb']:g}MiB"})
    connection.execute(f"CREATE SCHEMA {job['schema']}")
    connection.execute(f"USE {job['schema']}")
    for table in job["tables"]:
        path = f"{job['folder']}/{table}.parquet".replace("'", "''")
        connection.execute(f"CREATE VIEW {table} AS FROM read_parquet('{path}')")
    for statement in job["setup"]:
        connection.execute(statement)
    connection.execute("PRAGMA enable_profiling='no_output'")
    return connection


def _scans(node: dict[str, Any]) -> list[dict[str, Any]]:
    """Collect the scans of parquet files from a profile: table, rows and the columns that were read."""
    found = []
    details = node.get("extra_info") or {}
    files = details.get("Filename(s)")
    if files:
        columns = details.get("Projections") or []
        columns = [columns] if isinstance(columns, str) else list(columns)
        filters = details.get("Filters") or []
        filters = [filters] if isinstance(filters, str) else list(filters)
        columns += re.findall(r"[a-z][a-z0-9_]*", " ".join(re.sub(r"'[^']*'", "", text) for text in filters))
        table = os.path.basename(files).removesuffix(".parquet")  # noqa: PTH119 (keeps pathlib out)
        found.append({"table": table, "rows": node.get("operator_rows_scanned", 0), "columns": sorted(set(columns))})
    for child in node.get("children", []):
        found += _scans(child)
    return found


def _perform(connection: duckdb.DuckDBPyConnection, sql: str) -> dict[str, Any]:
    """Run the statement and read its whole result."""
    rows = 0
    try:
        connection.execute(sql)
        if connection.description:
            reader = connection.to_arrow_reader(BATCH_ROWS)
            rows = sum(batch.num_rows for batch in reader)
    except duckdb.OutOfMemoryException as error:
        return {"outcome": "memory_limit", "reason": str(error)}
    except MemoryError as error:
        return {"outcome": "memory_limit", "reason": str(error)}
    except Exception as error:
        return {"outcome": "error", "reason": f"{type(error).__name__}: {error}"}
    return {"outcome": "ok", "reason": "", "rows_returned": rows}


def _child(job: dict[str, Any], pipe: int) -> None:
    """Measure one query in this process, write two lines to the pipe and leave without clean-up."""
    with contextlib.suppress(OSError):  # a parent that dies takes its running query along
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    # Only a last line of defence: what DuckDB allocates besides its buffer memory is not covered by its own limit
    address_space = _status("VmSize:") + int((4 * job["memory_limit_mb"] + 4096) * MIB)
    resource.setrlimit(resource.RLIMIT_AS, (address_space, address_space))
    silence = os.open(os.devnull, os.O_WRONLY)
    os.dup2(silence, 1)
    os.dup2(silence, 2)
    connection = _connect(job)
    with open("/proc/self/clear_refs", "w", encoding="ascii") as clear_refs:  # noqa: PTH123
        clear_refs.write("5")
    base = {"base_memory": _status("VmRSS:"), "base_cpu": _cpu()}
    os.write(pipe, (json.dumps(base) + "\n").encode())
    signal.setitimer(signal.ITIMER_PROF, job["cpu_limit_s"])  # the default action of SIGPROF ends the process
    start = time.perf_counter()
    answer = _perform(connection, job["sql"])
    answer["cpu_s"] = _cpu() - base["base_cpu"]
    answer["wall_s"] = time.perf_counter() - start
    signal.setitimer(signal.ITIMER_PROF, 0)
    answer["reason"] = answer["reason"].replace(job["folder"], "the lab")[:200]
    answer["peak_resident_bytes"] = max(_status("VmHWM:") - base["base_memory"], 0)
    if answer["outcome"] == "ok":
        with contextlib.suppress(Exception):  # statements without a plan (SET, BEGIN) have no profile
            profile = json.loads(connection.get_profiling_information(format="json"))
            answer["peak_memory_bytes"] = profile["system_peak_buffer_memory"]
            answer["scans"] = _scans(profile)
    os.write(pipe, (json.dumps(answer) + "\n").encode())
    os._exit(0)


def _read(reader: int, deadline: float) -> tuple[list[dict[str, Any]], bool]:
    """Read the child's lines until it closes the pipe; say whether the deadline came first."""
    payload = b""
    while (left := deadline - time.monotonic()) > 0:
        ready, _, _ = select.select([reader], [], [], left)
        if not ready:
            break
        piece = os.read(reader, 1 << 16)
        if not piece:
            return [json.loads(line) for line in payload.splitlines()], False
        payload += piece
    return [json.loads(line) for line in payload[: payload.rfind(b"\n") + 1].splitlines()], True


def run_query(job: dict[str, Any]) -> dict[str, Any]:
    """Fork, run one query under its limits, and return its measurements.

    Args:
        job: ``schema``, ``folder``, ``tables``, ``setup``, ``sql``, ``time_limit_s``, ``cpu_limit_s``,
            ``memory_limit_mb``.

    Returns:
        ``outcome`` (ok, time_limit, cpu_limit, memory_limit, error, crashed), ``reason``, ``cpu_s``, ``wall_s``,
        ``peak_memory_bytes`` (DuckDB's buffer memory; the resident growth where there is no profile),
        ``peak_resident_bytes``, ``rows_returned``, ``scans``.
    """
    reader, writer = os.pipe()
    start = time.monotonic()
    pid = os.fork()
    if pid == 0:
        os.close(reader)
        try:
            _child(job, writer)
        finally:
            os._exit(70)
    os.close(writer)
    lines, late = _read(reader, start + job["time_limit_s"])
    os.close(reader)
    if late:
        os.kill(pid, signal.SIGKILL)
    _, status, usage = os.wait4(pid, 0)
    wall = time.monotonic() - start
    answer: dict[str, Any] = {"rows_returned": None, "peak_memory_bytes": None, "scans": []}
    if len(lines) == 2:
        answer |= lines[1]
        if answer["peak_memory_bytes"] is None:
            answer["peak_memory_bytes"] = answer["peak_resident_bytes"]
        return answer
    code = os.waitstatus_to_exitcode(status)
    base = lines[0] if lines else {"base_memory": 0, "base_cpu": 0.0}
    # ru_maxrss may start at the parent's mark, which a query that runs into a limit exceeds by far
    resident = max(usage.ru_maxrss * 1024 - base["base_memory"], 0)
    answer |= {
        "cpu_s": max(usage.ru_utime + usage.ru_stime - base["base_cpu"], 0.0),
        "wall_s": wall,
        "peak_memory_bytes": resident,
        "peak_resident_bytes": resident,
    }
    if late:
        return answer | {"outcome": "time_limit", "reason": f"still running after {job['time_limit_s']:g} s"}
    if code == -signal.SIGPROF:
        return answer | {"outcome": "cpu_limit", "reason": f"used {job['cpu_limit_s']:g} s of CPU time"}
    reason = f"killed by {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
    return answer | {"outcome": "crashed", "reason": reason}


def _generate(job: dict[str, Any]) -> None:
    connection = duckdb.connect(config=NEW_DATABASE)
    connection.execute(f"LOAD '{job['extension']}'")
    connection.execute(f"CALL {job['function']}(sf={job['scale_factor']:g})")
    unfinished = f"{job['folder']}.{os.getpid()}.tmp"
    os.makedirs(unfinished)  # noqa: PTH103
    for (table,) in connection.execute("SELECT table_name FROM information_schema.tables ORDER BY 1").fetchall():
        target = f"{unfinished}/{table}.parquet".replace("'", "''")
        connection.execute(f"COPY {table} TO '{target}' (FORMAT parquet, COMPRESSION zstd)")
    try:
        os.rename(unfinished, job["folder"])  # noqa: PTH104
    except OSError:  # another run was faster
        shutil.rmtree(unfinished, ignore_errors=True)


def generate_tables(job: dict[str, Any]) -> dict[str, Any]:
    """Generate the tables of a benchmark in a child, whose memory is given back, and write them as parquet.

    Args:
        job: ``extension`` (path), ``function`` (dbgen or dsdgen), ``scale_factor``, ``folder`` (appears when complete).

    Returns:
        ``outcome``: ok or error, and the ``reason``.
    """
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(reader)
        reason = "the process was killed"
        try:
            _generate(job)
            reason = ""
        except BaseException as error:
            reason = f"{type(error).__name__}: {error}"
        finally:
            os.write(writer, (reason or "ok").encode())
            os._exit(0)
    os.close(writer)
    reason = b"".join(iter(lambda: os.read(reader, 65_536), b"")).decode() or "the process was killed"
    os.close(reader)
    os.waitpid(pid, 0)
    return {"outcome": "ok", "reason": ""} if reason == "ok" else {"outcome": "error", "reason": reason}


def main() -> None:
    """Answer jobs from standard input until it ends."""
    tasks = {"generate": generate_tables, "query": run_query}
    for line in sys.stdin:
        job = json.loads(line)
        sys.stdout.write(json.dumps(tasks[job["task"]](job)) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
