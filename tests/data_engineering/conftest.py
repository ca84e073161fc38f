"""A canonical query log of 60 days with everything that real ones have."""

import numpy as np
import pandas as pd
import pytest

from augury.predictors import query_columns as qc

ROWS = 6_000
START = pd.Timestamp("2026-03-01")
DAYS = 60

STATEMENTS = [
    "SELECT a, count(*) FROM hive.sales.orders WHERE day = {0} GROUP BY a",
    "SELECT * FROM t{0} JOIN u ON t{0}.a = u.a",
    "  \n\t",
    "SHOW TABLES",
    "INSERT INTO t SELECT * FROM u WHERE n = {0}",
    "SELECT * FROM t LIMIT 0",
    "EXPLAIN ANALYZE SELECT {0} FROM t",
    "EXECUTE p",
    "-- ünïcode {0}\nSELECT '日本' FROM \"Tä\"",
]
STATES = ["FINISHED", "FINISHED", "FINISHED", "FINISHED", None, "FAILED"]
ERRORS = [None, "USER_CANCELED", "EXCEEDED_CPU_LIMIT", "SYNTAX_ERROR", None]
TYPES = ["SELECT", "SELECT", "INSERT", None, "EXPLAIN", "select"]
CLIENTS = ["trino-cli", None, "tool NON-CURATED", "{}"]


def make_log(rows: int = ROWS, days: int = DAYS, seed: int = 11) -> pd.DataFrame:
    """Rows of all kinds; each value depends on the seed alone."""
    random = np.random.default_rng(seed)
    created = START + pd.to_timedelta(np.sort(random.integers(0, days * 86_400_000_000, rows)), unit="us")
    number = random.integers(0, 40, rows)
    pick = random.integers(0, len(STATEMENTS), rows)
    log = pd.DataFrame(index=range(rows))
    log[qc.QUERY_ID] = [f"{time:%Y%m%d_%H%M%S}_{row:05d}_abcde" for row, time in enumerate(created)]
    log[qc.QUERY] = [STATEMENTS[kind].format(value) for kind, value in zip(pick, number, strict=True)]
    log[qc.PREPARED_QUERY] = [
        None if kind != 7 or value % 3 == 0 else ["SHOW SCHEMAS", "SELECT * FROM w"][value % 2]
        for kind, value in zip(pick, number, strict=True)
    ]
    failed = random.random(rows) < 0.1
    log[qc.QUERY_STATE] = np.where(failed, "FAILED", random.choice(np.array(STATES[:5], dtype=object), rows))
    log[qc.QUERY_TYPE] = random.choice(np.array(TYPES, dtype=object), rows)
    log[qc.USER] = random.choice(np.array(["ana", "bo", None, "Çelik"], dtype=object), rows)
    log[qc.CLIENT_INFO] = random.choice(np.array(CLIENTS, dtype=object), rows)
    log[qc.CREATE_TIME] = created.astype("datetime64[us]")
    # Costs spread over many powers of ten, some of them exactly at a threshold
    log[qc.CPU_TIME_S] = np.exp(random.normal(2.5, 2.0, rows))
    log[qc.PEAK_MEMORY_GB] = np.exp(random.normal(-1.5, 1.6, rows))
    log.loc[random.choice(rows, 40, replace=False), qc.CPU_TIME_S] = 300.0
    log.loc[random.choice(rows, 40, replace=False), qc.PEAK_MEMORY_GB] = 10.0
    log.loc[random.random(rows) < 0.02, qc.CPU_TIME_S] = np.nan
    log.loc[random.random(rows) < 0.02, qc.PEAK_MEMORY_GB] = np.nan
    seconds = log[qc.CPU_TIME_S].fillna(1.0).clip(upper=5_000)
    log[qc.END_TIME] = (log[qc.CREATE_TIME] + pd.to_timedelta(seconds, unit="s")).astype("datetime64[us]")
    log[qc.ERROR_NAME] = np.where(failed, random.choice(np.array(ERRORS, dtype=object), rows), None)
    log[qc.ORIGIN] = random.choice(np.array(qc.ORIGINS[:2], dtype=object), rows)
    log[qc.DATE] = log[qc.CREATE_TIME].dt.strftime("%Y-%m-%d")
    for name, kind in qc.COLUMNS.items():
        if name not in log:
            log[name] = np.nan if kind == "number" else None
    return log.assign(**{name: log[name].astype(object) for name in (*qc.TEXTS, qc.DATE)})[list(qc.COLUMNS)]


@pytest.fixture(scope="session")
def query_log() -> pd.DataFrame:
    """A canonical log without duplicates; tests that change it take a copy."""
    return make_log()


@pytest.fixture(scope="session")
def repeated_log(query_log: pd.DataFrame) -> pd.DataFrame:
    """The log with rows that were delivered twice, in any order, some with other figures."""
    again = query_log.iloc[::7].copy()
    later = query_log.iloc[::21].assign(
        end_time=lambda rows: rows["end_time"] + pd.Timedelta(seconds=1), cpu_time_s=1e4
    )
    dearer = query_log.iloc[1::21].assign(cpu_time_s=lambda rows: rows["cpu_time_s"].fillna(0.0) + 1.0)
    other = query_log.iloc[2::21].assign(user="zoe")
    return pd.concat([query_log, again, later, dearer, other]).sample(frac=1, random_state=3, ignore_index=True)


@pytest.fixture(scope="session")
def make_query_log():
    """The function that makes such logs."""
    return make_log
