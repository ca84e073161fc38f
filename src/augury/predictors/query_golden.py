"""Golden vectors: queries whose features are recorded with a model and computed again wherever it goes.

Another NumPy, another regular expression engine or another version of the code may compute other features without any
error. Every Spark executor and every service therefore computes the recorded queries first, and refuses to start when
one bit differs.
"""

import hashlib
import itertools
import json
from collections.abc import Iterable
from typing import Any

import numpy as np
import pandas as pd

from augury.errors import UserError
from augury.predictors import query_keys as qk
from augury.predictors.query_columns import CREATE_TIME, DATE, SQL_TEXT
from augury.predictors.query_features import (
    QueryFeatures,
    feature_names,
    featurise_rows,
    keys_of,
    library_versions,
)
from augury.predictors.query_history import SNAPSHOT, STATE, HistorySnapshot

TEXTS = (
    "SELECT 1",
    "select * from orders",
    "SELECT count(*) FROM hive.sales.orders WHERE ds = '2026-01-01'",
    "SELECT o.custkey, sum(l.extendedprice * (1 - l.discount)) AS revenue FROM orders o JOIN lineitem l ON "
    "o.orderkey = l.orderkey WHERE o.orderdate BETWEEN DATE '1995-01-01' AND DATE '1995-03-31' GROUP BY 1 "
    "HAVING sum(l.extendedprice) > 1e6 ORDER BY revenue DESC LIMIT 20",
    "WITH RECURSIVE t(n) AS (VALUES (1) UNION ALL SELECT n + 1 FROM t WHERE n < 100) SELECT sum(n) FROM t",
    "SELECT a.x FROM a LEFT JOIN b ON a.id = b.id RIGHT JOIN c USING (id) FULL OUTER JOIN d ON c.id = d.id "
    "CROSS JOIN e NATURAL JOIN f, g WHERE NOT EXISTS (SELECT 1 FROM h WHERE h.id = a.id)",
    "SELECT x FROM t WHERE y IN (1, 2, 3, 4, 5) AND z NOT IN ('a', 'b') OR w LIKE '%q%' AND v IS NULL",
    "SELECT rank() OVER (PARTITION BY a ORDER BY b ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW), "
    "approx_distinct(c), try_cast(d AS bigint), transform(e, i -> i + 1) FROM t TABLESAMPLE BERNOULLI (10)",
    "INSERT INTO hive.tmp.t_20260101 SELECT DISTINCT a || b || 'c' FROM iceberg.raw.events EXCEPT SELECT a FROM u",
    "CREATE TABLE memory.default.t AS SELECT regexp_extract(a, '[0-9]+'), json_extract_scalar(b, '$.c') FROM v",
    "DELETE FROM t WHERE date < date_add('day', -30, current_date)",
    "SELECT CASE WHEN a > 0 THEN 'WITH JOIN UNION' ELSE coalesce(b, nullif(c, '')) END FROM t -- JOIN JOIN\n",
    "/* SELECT */ SELECT a, b, count(DISTINCT c) FROM t GROUP BY GROUPING SETS ((a, b), ROLLUP (a), CUBE (b))",
    "SELECT * FROM (SELECT * FROM (SELECT * FROM t OFFSET 5 LIMIT 10) UNION SELECT * FROM u INTERSECT SELECT 1)",
    "SELECT \"Größe\", 'Straße ''x''' FROM \"my table\" WHERE 名前 = '日本' AND \U0001f4a7 > .5e-3",
    "SELECT * FROM t CROSS JOIN UNNEST(a, b) WITH ORDINALITY AS u(x, y) WHERE hour = 7 AND event_date >= '2026-01-02'",
    "EXPLAIN ANALYZE SELECT * FROM t; SELECT 2;",
    "MERGE INTO t USING s ON t.id = s.id WHEN MATCHED THEN UPDATE SET a = s.a WHEN NOT MATCHED THEN INSERT VALUES (1)",
    "SELECT {{ column }} FROM {% if x %} t {% endif %} WHERE",
    "SELECT ((((1))))) FROM t WHERE a = 'never closed",
    "SELECT * FROM t MATCH_RECOGNIZE (PARTITION BY a ORDER BY b PATTERN (X Y+) DEFINE Y AS Y.c > 0)",
    "EXECUTE report USING 1, 'a'",
    "\u0000 \u3000 ￿ ' -- /*",
    "",
    "SELECT " + ", ".join(f"c{number}" for number in range(300)) + " FROM wide_2024_01 WHERE id IN ("
    + ", ".join(map(str, range(400))) + ")",
)  # fmt: skip

_CONTEXTS: tuple[dict[str, Any], ...] = (
    {
        "user": "etl",
        "source": "airflow",
        "catalog": "hive",
        "schema": "sales",
        "client_info": '{"dag": "daily"}',
        "client_tags": "etl,nightly",
        "query_type": "SELECT",
        CREATE_TIME: "2026-01-05T23:59:59.999999",
    },
    {
        "user": "Ana Ünal",
        "source": None,
        "catalog": None,
        "schema": None,
        "client_info": None,
        "client_tags": None,
        "query_type": None,
        CREATE_TIME: None,
    },
)

_DAY = "2026-01-05"


def golden_vectors(features: QueryFeatures) -> dict[str, Any]:
    """Record the golden vectors of this installation.

    Args:
        features: Parameters.

    Returns:
        Plain data for JSON: a snapshot, and queries with their template, a digest of their terms, and the bits of their
        float32 features as hexadecimal digits (little endian).
    """
    queries = [{SQL_TEXT: text} | context for text, context in itertools.product(TEXTS, _CONTEXTS)]
    snapshot = _snapshot(_frame(queries))
    rows = featurise_rows(_frame(queries), snapshot, features)
    vectors = [
        {"query": query, "template": template, "terms": _digest(terms), "numbers": numbers.tobytes().hex()}
        for query, template, terms, numbers in zip(
            queries, rows.template, rows.terms, rows.numbers.astype("<f4"), strict=True
        )
    ]
    return {"snapshot": _records(snapshot.to_frame()), "vectors": vectors}


def check_golden(golden: dict[str, Any], features: QueryFeatures, where: str) -> None:
    """Compute golden vectors again; in one process each set of them only once.

    Args:
        golden: What :func:`golden_vectors` returned, as it comes back from JSON.
        features: The parameters that they were recorded with.
        where: Who asks, for the message.

    Raises:
        UserError: A feature differs.
    """
    identity = _digest(json.dumps(golden, sort_keys=True) + features.model_dump_json())
    if identity in _CHECKED:
        return
    frame = pd.DataFrame([{DATE: _DAY} | record for record in golden["snapshot"]], columns=list(SNAPSHOT))
    frame[list(STATE)] = frame[list(STATE)].astype("float64")
    snapshot = HistorySnapshot.from_frame(frame)
    vectors = golden["vectors"]
    rows = featurise_rows(_frame([vector["query"] for vector in vectors]), snapshot, features)
    names = feature_names(features)
    for at, vector in enumerate(vectors):
        expected = np.frombuffer(bytes.fromhex(vector["numbers"]), dtype="<f4")
        found = rows.numbers[at].astype("<f4")
        differing: tuple[str, Any, Any] | None = None
        if len(expected) != len(found):
            differing = ("the number of features", len(expected), len(found))
        elif found.tobytes() != expected.tobytes():
            at_feature = int(np.flatnonzero(found.view("<i4") != expected.view("<i4"))[0])
            differing = (f"feature '{names[at_feature]}'", expected[at_feature], found[at_feature])
        elif rows.template[at] != vector["template"]:
            differing = ("the template", vector["template"], rows.template[at])
        elif _digest(rows.terms[at]) != vector["terms"]:
            differing = ("the digest of the terms", vector["terms"], _digest(rows.terms[at]))
        if differing:
            name, recorded, computed = differing
            versions = ", ".join(f"{library} {version}" for library, version in library_versions().items())
            raise UserError(
                f"query_cost: {where} computes other features than those that were recorded: {name} of "
                f"{vector['query'][SQL_TEXT][:60]!r} is {computed}, recorded is {recorded}. Install the versions that "
                f"are recorded with the features (here: {versions}), or build the features and train again."
            )
    _CHECKED.add(identity)


_CHECKED: set[str] = set()


def _frame(queries: list[dict[str, Any]]) -> pd.DataFrame:
    frame = pd.DataFrame(queries, dtype=object)
    times = [np.datetime64(value if isinstance(value, str) else "NaT", "us") for value in frame[CREATE_TIME]]
    return frame.assign(**{CREATE_TIME: np.array(times, dtype="datetime64[us]")})


def _snapshot(queries: pd.DataFrame) -> HistorySnapshot:
    """A past in which most keys of the queries occur, with numbers of every magnitude."""
    keys = keys_of(queries)
    found: dict[str, Iterable[str | None]] = {
        qk.GLOBAL: [qk.ALL],
        qk.USER: keys.user[:1],
        qk.CATALOG: keys.catalog,
        qk.SCHEMA: keys.schema,
        qk.TEMPLATE: keys.template[::3],
        qk.TABLE: [name for names in keys.tables[::4] for name in names],
        qk.USER_TABLES: keys.user_tables[::2],
        qk.SOURCE: keys.source,
    }
    pairs = [
        (kind, key) for kind, names in found.items() for key in sorted({name for name in names if name is not None})
    ]
    records = []
    for number, (kind, key) in enumerate(pairs):
        queries_known = 1.0 + number * 1.7
        state = dict.fromkeys(STATE, 0.0) | {
            "queries": queries_known * (1000.0 if kind == qk.GLOBAL else 1.0),
            "heavy": queries_known * (0.013 + 0.07 * (number % 13)),
            "cpu_known": queries_known * 0.9,
            "log_cpu": queries_known * (0.3 + 0.11 * (number % 29)),
            "memory_known": queries_known * 0.8,
            "log_memory": queries_known * (0.05 + 0.013 * (number % 31)),
            "max_memory_gb": 0.1 * number,
            "p50_cpu_seconds": 0.37 * number,
            "p90_cpu_seconds": 1.9 * number if number % 7 else float("nan"),
            "members": float(number % 5),
            "days_since": float(1 + number % 40),
            "median_input_bytes": 1.0e6 * number / 3.0 if number % 5 else float("nan"),
            "median_input_rows": 1.0e3 * number / 7.0,
        }
        records.append({DATE: _DAY, "kind": kind, "key": key} | state)
    return HistorySnapshot.from_frame(pd.DataFrame(records))


def _records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """Rows for JSON, which has no NaN."""
    columns = [name for name in SNAPSHOT if name != DATE]
    return [
        {str(name): None if value != value else value for name, value in record.items()}
        for record in frame[columns].to_dict("records")
    ]


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]
