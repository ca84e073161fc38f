"""Wall time and peak memory of `training` for `query_cost` as the log grows.

python benchmarks/query_scale.py [--rows 60000 200000 600000] [--env base] [--scratch /tmp]

Every log is replayed from the committed executed queries with that many rows, in a copy of the project; its processes
are sampled five times a second, children included.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]
KEDRO = Path(sys.executable).with_name("kedro")
NAMESPACE = "--namespaces=query_cost"
PAGE_MB = os.sysconf("SC_PAGE_SIZE") / 2**20
INTERVAL = 0.2


def copy_project(folder: Path) -> None:
    """Copy what `kedro` needs: configuration, the package's settings, the executed queries."""
    shutil.copytree(ROOT / "conf", folder / "conf", ignore=shutil.ignore_patterns("local"))
    (folder / "conf" / "local").mkdir()
    (folder / "src").mkdir()
    for name in ("pyproject.toml", ".telemetry"):
        shutil.copy(ROOT / name, folder / name)
    raw = Path("data/01_raw/query_cost")
    (folder / raw).mkdir(parents=True)
    shutil.copy(ROOT / raw / "executed.parquet", folder / raw)


def process_tree(root: int) -> list[int]:
    """A process and its descendants."""
    parents: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            except (OSError, IndexError):  # it has just ended
                continue
            parents.setdefault(parent, []).append(int(entry.name))
    found, waiting = [], [root]
    while waiting:
        found.append(waiting.pop())
        waiting += parents.get(found[-1], [])
    return found


def resident_mb(processes: list[int]) -> float:
    """Resident memory of some processes together; pages that they share count each time."""
    total = 0.0
    for process in processes:
        try:
            total += int(Path(f"/proc/{process}/statm").read_text().split()[1]) * PAGE_MB
        except (OSError, IndexError):
            continue
    return total


def run(folder: Path, *arguments: str) -> tuple[float, float]:
    """Run `kedro` in a project; seconds and peak memory in MB."""
    start = time.monotonic()
    log = folder / "run.log"
    with log.open("w") as output:
        process = subprocess.Popen(
            [str(KEDRO), "run", *arguments],
            cwd=folder,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=os.environ | {"DO_NOT_TRACK": "1"},
        )
        peak = 0.0
        while process.poll() is None:
            peak = max(peak, resident_mb(process_tree(process.pid)))
            time.sleep(INTERVAL)
    if process.returncode not in (0, 99):  # 99: a gate was not met, which is no failure of the run
        sys.exit(f"kedro run {' '.join(arguments)} ended with {process.returncode}:\n{log.read_text()[-4000:]}")
    return time.monotonic() - start, peak


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, nargs="+", default=[60_000, 200_000, 600_000])
    parser.add_argument("--env", default="base")
    parser.add_argument("--scratch", type=Path, default=Path(tempfile.gettempdir()))
    chosen = parser.parse_args()
    print(f"{'rows':>9} {'seconds':>9} {'peak MB':>9} {'log MB':>8}  s and MB per 1,000 rows more")
    before: tuple[int, float, float] | None = None
    for rows in chosen.rows:
        with tempfile.TemporaryDirectory(dir=chosen.scratch, prefix="query_scale_") as name:
            folder = Path(name)
            copy_project(folder)
            run(
                folder,
                "--pipeline=collection",
                NAMESPACE,
                "--nodes=query_cost.replay_log",
                f"--params=query_cost.replay.rows={rows}",
            )
            size = (folder / "data/01_raw/query_cost/query_log.parquet").stat().st_size / 2**20
            seconds, peak = run(folder, "--pipeline=training", NAMESPACE, f"--env={chosen.env}")
        growth = ""
        if before is not None:
            more = (rows - before[0]) / 1000
            growth = f"{(seconds - before[1]) / more:6.2f} {(peak - before[2]) / more:6.2f}"
        print(f"{rows:>9,} {seconds:>9.1f} {peak:>9.0f} {size:>8.1f}  {growth}", flush=True)
        before = (rows, seconds, peak)


if __name__ == "__main__":
    main()
