"""SQL texts per CPU second and core of the token scan, beside sqlglot[c] parse and walk in the same run.

python benchmarks/sql_tokens.py [--corpus FILE.jsonl.gz]: the queries of TPC-H and TPC-DS that DuckDB's extensions come
with, and short texts made here. The scan gives features, template, tables and terms. Every text of a pass is distinct,
and nothing is kept from one pass to the next. A corpus is one JSON object a line, with the text under "sql", "query" or
"text".
"""

import argparse
import gzip
import importlib
import json
import logging
import time
from collections.abc import Callable, Iterable
from importlib.metadata import version
from pathlib import Path

import duckdb
import numpy as np
import sqlglot

from augury.predictors.sql_features import base_features
from augury.predictors.sql_tokens import MAX_CHARS, scan_texts

BARS = {"simple": 40_000, "TPC-H": 10_000, "TPC-DS": 4_000}
MAX_TEXT, P99_BAR, TORTURE_BAR = 20_000, 2.0, 50.0
SHORT = (
    "SELECT * FROM orders WHERE id = {n}",
    "SELECT count(*) FROM hive.sales.events WHERE ds = '2024-01-{n:02}'",
    "SHOW TABLES FROM hive.default_{n}",
    "SELECT {n}",
    "SELECT a, b FROM t{n} LIMIT 10",
    "INSERT INTO t VALUES ({n}, 'a')",
    "SELECT name FROM users WHERE email LIKE '%@{n}.com' ORDER BY name LIMIT 5",
    "SELECT u.id, o.total FROM users_{n} u JOIN orders o ON u.id = o.user_id",
    "DELETE FROM logs WHERE day < DATE '2020-01-{n:02}'",
    "DESCRIBE hive.sales.orders_{n}",
)


def extension_queries(name: str) -> list[str]:
    """The texts that DuckDB's extension for a benchmark comes with."""
    module = importlib.import_module(f"duckdb_extension_{name}")
    path = Path(str(module.__file__)).parent / "extensions" / f"v{duckdb.__version__}" / f"{name}.duckdb_extension"
    with duckdb.connect(config={"autoinstall_known_extensions": False}) as connection:
        connection.execute(f"LOAD '{path}'")
        return [
            row[0] for row in connection.execute(f"SELECT query FROM {name}_queries() ORDER BY query_nr").fetchall()
        ]


def torture_texts() -> dict[str, str]:
    """Texts that are long, deep, broken, or made to be slow."""
    many = 100_000
    return {
        "IN list of 100,000 numbers": f"select * from t where a in ({', '.join(map(str, range(many)))})",
        "IN list of 100,000 digits": f"select * from t where a in ({','.join('1' * many)})",
        "IN list of 100,000 strings": "select * from t where a in (" + ",".join(["'a'"] * many) + ")",
        "IN list of 50,000 columns": f"select * from t where a in ({', '.join('b' for _ in range(many // 2))})",
        "IN list with 50,000 comments": f"select * from t where a in ({','.join(['1/**/'] * (many // 2))})",
        "INSERT of 30,000 rows": "insert into t values " + ",".join(f"({n},'a')" for n in range(30_000)),
        "20,000 nested brackets": "select " + "(" * 20_000 + "1" + ")" * 20_000,
        f"{MAX_CHARS:,} open brackets": "(" * MAX_CHARS,
        "100,000 brackets of two kinds": "[" * many + ")" * many,
        "20,000 nested queries": "(select " * 20_000 + ")" * 20_000,
        "10,000 CTEs": "with " + ", ".join(f"c{n} as (select * from c{n - 1})" for n in range(10_000)) + " select 1",
        "10,000 operands of UNION ALL": " union all ".join(["select 1"] * 10_000),
        "10,000 conditions": "select * from t where " + " or ".join(f"a.x{n} = {n}" for n in range(10_000)),
        "25,000 qualified names": " ".join(f"a.n{n}" for n in range(25_000)),
        "40,000 terms of ||": "select " + "||".join(["'a'"] * 40_000),
        "unclosed quotes": "'" * (MAX_CHARS - 1),
        "comments begun": "/*" * (MAX_CHARS // 2),
        "unclosed tags": "".join(f"$a{n}$ " for n in range(30_000)),
        "NULs": "\0" * MAX_CHARS,
        "lone surrogates": "\ud800" * MAX_CHARS,
        "another script": "選択 " * 60_000,
        "Jinja": "select {{ a }} {% if b %} from t {% endif %} " * 4_000,
        "random characters": "".join(map(chr, np.random.default_rng(0).integers(0, 0x3000, MAX_CHARS))),
        "truncated TPC-DS, all queries": " union all ".join(extension_queries("tpcds"))[: MAX_CHARS - 7],
    }


def composed_texts(queries: list[str]) -> list[str]:
    """Queries joined by UNION ALL until the text is nearly as long as the longest that the bar for p99 is about."""
    texts, parts, length = [], list[str](), 0
    for query in queries:
        part = query.strip().rstrip(";")
        if length + len(part) + 11 > MAX_TEXT:
            texts.append("\nunion all\n".join(parts))
            parts, length = [], 0
        parts.append(part)
        length += len(part) + 11
    return texts


def cpu_seconds(task: Callable[[], object], seconds: float) -> float:
    """CPU time of a task, the best of as many repeats as fit."""
    best, end = np.inf, time.perf_counter() + seconds
    while time.perf_counter() < end:
        start = time.process_time()
        task()
        best = min(best, time.process_time() - start)
    return best


def latencies(texts: Iterable[str], repeats: int) -> np.ndarray:
    """CPU milliseconds of each text scanned alone, the best of some repeats."""
    return np.array([1000 * min(_once(text) for _ in range(repeats)) for text in texts])


def _once(text: str) -> float:
    start = time.process_time()
    scan_texts([text])
    return time.process_time() - start


def parse_and_walk(texts: list[str], dialect: str) -> int:
    """The peer: a syntax tree for each text, and one walk over it; a text that does not parse counts as an error."""
    errors = 0
    for text in texts:
        try:
            for _ in sqlglot.parse_one(text, read=dialect).walk():
                pass
        except (sqlglot.errors.SqlglotError, RecursionError):
            errors += 1
    return errors


def features_of(texts: list[str]) -> None:
    """Scan, and put the feature frame together."""
    import pandas as pd

    frame = pd.DataFrame({"sql_text": texts})
    base_features(frame, scan_texts(frame["sql_text"].tolist()))


def read_corpus(path: Path) -> list[str]:
    """The distinct texts of a corpus."""
    opener = gzip.open if path.suffix == ".gz" else open
    with opener(path, "rt", encoding="utf-8") as lines:
        records = (json.loads(line) for line in lines if line.strip())
        found = (next((record[key] for key in ("sql", "query", "text") if record.get(key)), None) for record in records)
        return list(dict.fromkeys(text for text in found if text))


def verdict(met: bool) -> str:
    """How a bar is marked."""
    return "yes" if met else "NO"


def main() -> None:
    """Measure and print Markdown tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--corpus", type=Path, help="further texts, one JSON object a line, may be gzipped")
    parser.add_argument("--seconds", type=float, default=2.0, help="time for each measured cell")
    chosen = parser.parse_args()
    logging.getLogger("sqlglot").setLevel(logging.CRITICAL)

    groups = {
        "simple": [text.format(n=n) for n in range(1, 29) for text in SHORT],
        "TPC-H": extension_queries("tpch"),
        "TPC-DS": extension_queries("tpcds"),
    }
    print(f"CPU time, one core; sqlglot {version('sqlglot')} with sqlglotc {version('sqlglotc')}\n")
    print("| texts | n | mean chars | scan, q/s | bar | met | with base_features, q/s | sqlglot[c], q/s | ratio |")
    print("|---|--:|--:|--:|--:|---|--:|--:|--:|")
    for name, texts in groups.items():
        count = len(texts)

        def scan(texts: list[str] = texts) -> object:
            return scan_texts(texts)

        def featurise(texts: list[str] = texts) -> None:
            features_of(texts)

        def parse(texts: list[str] = texts) -> object:
            return parse_and_walk(texts, "duckdb")

        ours, whole, peer = (count / cpu_seconds(task, chosen.seconds) for task in (scan, featurise, parse))
        chars = np.mean([len(text) for text in texts])
        bar = BARS[name]
        print(
            f"| {name} | {count} | {chars:.0f} | {ours:,.0f} | {bar:,} | {verdict(ours >= bar)} | {whole:,.0f} "
            f"| {peer:,.0f} | {ours / peer:.1f} |"
        )

    sets = {
        "all of these": [text for texts in groups.values() for text in texts],
        f"TPC-DS joined to {MAX_TEXT // 1000} kB": composed_texts(groups["TPC-DS"]),
    }
    if chosen.corpus:
        sets["corpus"] = read_corpus(chosen.corpus)
    print(f"\nOne text a call, texts of up to {MAX_TEXT:,} characters, CPU ms\n")
    print("| texts | n | p50 | p99 | most | p99 within 2 ms |\n|---|--:|--:|--:|--:|---|")
    for name, texts in sets.items():
        cost = latencies([text for text in texts if len(text) <= MAX_TEXT], repeats=5)
        p50, p99 = np.percentile(cost, [50, 99])
        print(f"| {name} | {len(cost)} | {p50:.3f} | {p99:.3f} | {cost.max():.3f} | {verdict(p99 <= P99_BAR)} |")

    print("\n| torture | chars | CPU ms | within 50 ms |\n|---|--:|--:|---|")
    for name, text in torture_texts().items():
        cost = latencies([text], repeats=5)[0]
        print(f"| {name} | {len(text):,} | {cost:.1f} | {verdict(cost <= TORTURE_BAR)} |")


if __name__ == "__main__":
    main()
