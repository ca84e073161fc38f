"""The routing service under an open-loop load on loopback: latency percentiles and errors.

python benchmarks/query_service.py [--model data/06_models/query_cost] [--rate 180] [--duration 60]

The requests leave at their times whether or not earlier ones were answered, and a latency counts from the time at which
the request was due, so a service that stalls cannot hide it. The load comes from processes of its own.
"""

import argparse
import asyncio
import contextlib
import json
import multiprocessing
import os
import re
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd

ROOT = Path(__file__).parents[1]
LOG = ROOT / "data/01_raw/query_cost/query_log.parquet"
TIMEOUT = 10.0
WARM_UP = 2.0
"""Seconds of load before the measurement."""


def make_requests(log: Path, count: int, seed: int) -> list[bytes]:
    """Requests as Trino Gateway sends them, of queries drawn from a log."""
    columns = ["query", "prepared_query", "user", "source", "catalog", "schema", "client_tags"]
    rows = pd.read_parquet(log, columns=columns).dropna(subset=["query"]).sample(count, replace=True, random_state=seed)
    requests = []
    for row in rows.astype(object).replace({np.nan: None}).to_dict("records"):
        properties: dict[str, object] = {
            "body": row["prepared_query"] or row["query"], "queryType": "Query", "resourceGroupQueryType": "SELECT",
            "tables": [], "defaultCatalog": row["catalog"], "defaultSchema": row["schema"], "catalogs": [],
            "schemas": [], "catalogSchemas": [], "isNewQuerySubmission": True,
            "isQueryParsingSuccessful": True, "errorMessage": None,
        }  # fmt: skip
        body = {
            "trinoQueryProperties": properties, "trinoRequestUser": {"user": row["user"], "userInfo": None},
            "contentType": "application/json", "remoteUser": None, "method": "POST", "requestURI": "/v1/statement",
            "queryString": None, "session": None, "remoteAddr": "127.0.0.1", "remoteHost": "localhost",
        }  # fmt: skip
        content = json.dumps(body).encode()
        head = (
            "POST /route HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json; charset=utf-8\r\n"
            f"X-Trino-Source: {row['source'] or 'unknown'}\r\nX-Trino-Client-Tags: {row['client_tags'] or ''}\r\n"
            f"Content-Length: {len(content)}\r\n\r\n"
        )
        requests.append(head.encode("latin-1", "replace") + content)
    return requests


async def send(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, request: bytes) -> bool:
    """Send one request and read its answer; whether it was a routing group."""
    writer.write(request)
    head = await reader.readuntil(b"\r\n\r\n")
    length = int(re.search(rb"content-length: (\d+)", head.lower())[1])  # type: ignore[index]
    answer = json.loads(await reader.readexactly(length))
    return head.startswith(b"HTTP/1.1 200") and bool(answer["routingGroup"]) and not answer["errors"]


async def load(port: int, requests: list[bytes], start: float, interval: float, connections: int) -> list[float]:
    """Send requests at their times; seconds from when each was due to its answer, NaN for an error."""
    idle: asyncio.Queue[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = asyncio.Queue()
    for _ in range(connections):
        idle.put_nowait(await asyncio.open_connection("127.0.0.1", port))

    async def one(due: float, request: bytes) -> float:
        reader, writer = await idle.get()
        try:
            good = await asyncio.wait_for(send(reader, writer, request), TIMEOUT)
        except (OSError, EOFError, TimeoutError, ValueError):
            writer.close()
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            good = False
        finally:
            idle.put_nowait((reader, writer))
        return time.monotonic() - due if good else float("nan")

    tasks = []
    for number, request in enumerate(requests):
        due = start + number * interval
        await asyncio.sleep(max(0.0, due - time.monotonic()))
        tasks.append(asyncio.create_task(one(due, request)))
    return await asyncio.gather(*tasks)


def client(port: int, requests: list[bytes], start: float, interval: float, connections: int, path: Path) -> None:
    """A process of load; writes its latencies."""
    np.save(path, np.array(asyncio.run(load(port, requests, start, interval, connections))))


@contextlib.contextmanager
def service(model: Path, settings: Path | None) -> Iterator[tuple[int, int]]:
    """Port and process id of a running service."""
    command = [sys.executable, "-m", "augury", "serve", "query_cost", "--model", str(model), "--port", "0"]
    command += ["--settings", str(settings)] if settings else []
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=os.environ | {"PYTHONUNBUFFERED": "1"})
    try:
        line = process.stdout.readline() if process.stdout else ""
        port = re.search(r"http://127\.0\.0\.1:(\d+)", line)
        if port is None:
            sys.exit(f"The service did not start: {line}")
        health = f"http://127.0.0.1:{port[1]}/health"
        for _ in range(100):
            try:
                print(urllib.request.urlopen(health, timeout=5).read().decode())
                break
            except OSError:
                time.sleep(0.1)
        yield int(port[1]), process.pid
    finally:
        process.terminate()
        process.wait(10)


def cpu_seconds(pid: int) -> float:
    """CPU time of a process so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def peak_mb(pid: int) -> float:
    """Largest resident set of a process so far."""
    found = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    return int(found[1]) / 1024 if found else float("nan")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, default=ROOT / "data/06_models/query_cost")
    parser.add_argument("--settings", type=Path)
    parser.add_argument("--data", type=Path, default=LOG, help="query log that the texts are drawn from")
    parser.add_argument("--rate", type=float, default=180.0, help="requests per second")
    parser.add_argument("--duration", type=float, default=60.0, help="seconds")
    parser.add_argument("--connections", type=int, default=32, help="open connections")
    parser.add_argument("--processes", type=int, default=1, help="processes that make the load")
    chosen = parser.parse_args()
    scratch = Path(f"/tmp/query_service_{os.getpid()}")
    scratch.mkdir()
    shares = chosen.processes
    interval = shares / chosen.rate
    count = int(chosen.duration / interval)
    warm = int(WARM_UP / interval)
    with service(chosen.model, chosen.settings) as (port, pid):
        start = time.monotonic() + 3.0
        clients = []
        for share in range(shares):
            requests = make_requests(chosen.data, warm + count, share)
            arguments = (port, requests, start + share * interval / shares, interval, chosen.connections // shares)
            clients.append(multiprocessing.Process(target=client, args=(*arguments, scratch / f"{share}.npy")))
        for process in clients:
            process.start()
        time.sleep(max(0.0, start + WARM_UP - time.monotonic()))
        before = cpu_seconds(pid)
        for process in clients:
            process.join()
        used = cpu_seconds(pid) - before
        metrics = urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics").read().decode()
        peak = peak_mb(pid)
    files = [scratch / f"{share}.npy" for share in range(shares)]
    latencies = 1000 * np.concatenate([np.load(path)[warm:] for path in files])
    for path in files:
        path.unlink()
    scratch.rmdir()
    answered = latencies[~np.isnan(latencies)]
    p50, p90, p99, p999 = np.percentile(answered, [50, 90, 99, 99.9])
    print(
        f"{len(latencies)} requests at {chosen.rate:g}/s for {chosen.duration:g} s, {np.isnan(latencies).sum()} errors"
    )
    print(f"p50 {p50:.2f}  p90 {p90:.2f}  p99 {p99:.2f}  p99.9 {p999:.2f}  max {answered.max():.2f} ms")
    print(f"service: {100 * used / chosen.duration:.0f} % of a core, peak {peak:.0f} MB")
    print("\n".join(line for line in metrics.splitlines() if line.startswith("augury_query_cost_decisions_total")))


if __name__ == "__main__":
    main()
