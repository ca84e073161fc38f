"""Feature parity: rows of the matrix are computed again in the way of the service, and compared bit by bit."""

import io
import json
from collections.abc import Iterator
from typing import Any

import narwhals.stable.v2 as nw
import numpy as np
import pandas as pd

from augury import engines
from augury.errors import UserError
from augury.pipelines.feature_engineering.query_history import PAIRS, asked_pairs
from augury.pipelines.feature_engineering.query_keys import keys_table
from augury.predictors.query_classifier import executed_text
from augury.predictors.query_columns import CREATE_TIME, DATE, PREPARED_QUERY, QUERY, QUERY_ID, REQUEST, SQL_TEXT
from augury.predictors.query_features import LABELS, QueryFeatures, TextScanner, featurise
from augury.predictors.query_golden import check_golden
from augury.predictors.query_history import SNAPSHOT, HistorySnapshot

_DRAW_SEED = 20_260_101
_ONE_BY_ONE = 10
_SMALL_BATCH = 7
_SMALL_BATCHES = 3


def check_parity(
    primary_sampled: Any,
    features_history: Any,
    features_matrix: Any,
    report_features: dict[str, Any],
    features: QueryFeatures,
) -> dict[str, Any]:
    """Compute rows of the matrix again, as the service does, and compare every bit.

    What the service has is the request as JSON and a snapshot from a file. So the rows go through JSON, the snapshots
    through parquet, and the batches have other sizes than those of the matrix: of each day, some rows one by one, some
    a few at a time, the others at once.

    Args:
        primary_sampled: The sampled log (pandas or Spark).
        features_history: The snapshots of its days.
        features_matrix: What :func:`~augury.pipelines.feature_engineering.query_log.build_features` made of both.
        report_features: Its account.
        features: Parameters; ``parity_rows`` of the matrix are drawn, masked ones excepted, for the service masks none.

    Returns:
        What was compared, as JSON.

    Raises:
        UserError: One bit differs, or the matrix was made with other parameters.
    """
    if report_features["parameters"] != features.model_dump(mode="json"):
        raise UserError(
            "query_cost.features_matrix: it was made with other parameters than those of query_cost.features now. "
            "Run the feature_engineering stage again from build_features on."
        )
    check_golden(report_features["golden"], features, "this process")
    names = report_features["features"]
    matrix = nw.from_native(features_matrix)
    drawn = engines.hash_uniform(
        matrix.select(QUERY_ID, "masked").filter(~nw.col("masked")).to_native(), QUERY_ID, _DRAW_SEED, "parity_draw"
    )
    chosen = nw.from_native(drawn).sort("parity_draw", QUERY_ID).head(features.parity_rows).select(QUERY_ID)
    # Narrow before wide: the choice is made once, not once for each join
    ids = pd.DataFrame({QUERY_ID: sorted(engines.to_pandas(chosen.to_native())[QUERY_ID])})
    expected = _rows(matrix, ids, [QUERY_ID, *LABELS, *names])
    requests = _rows(nw.from_native(primary_sampled), ids, [QUERY_ID, DATE, *REQUEST])
    requests = _through_json(requests)
    snapshots = _snapshots(requests, features_history)
    pieces, batches = [], {"one_by_one": 0, "few": 0, "whole": 0}
    for date, rows in requests.groupby(DATE, sort=True):
        snapshot = snapshots.get(str(date)) or _through_parquet(pd.DataFrame(columns=list(SNAPSHOT)))
        for kind, batch in _batches(rows):
            pieces.append(featurise(batch, snapshot, features).assign(**{QUERY_ID: batch[QUERY_ID]}))
            batches[kind] += len(batch)
    found = pd.concat(pieces).sort_values(QUERY_ID, ignore_index=True) if pieces else expected
    _compare(expected, found, names)
    return {
        "rows": len(expected),
        "dates": int(requests[DATE].nunique()),
        "features": len(names),
        "rows_by_batch": batches,
        "mismatches": 0,
    }


def _rows(frame: Any, ids: pd.DataFrame, columns: list[str]) -> pd.DataFrame:
    wanted = nw.from_native(engines.like(frame.to_native(), ids, {QUERY_ID: "string"}))
    # Rows before columns: pandas would copy all of these columns first
    found = engines.to_pandas(frame.join(wanted, on=QUERY_ID, how="semi").select(columns).to_native())
    return found.sort_values(QUERY_ID, ignore_index=True)


def _through_json(requests: pd.DataFrame) -> pd.DataFrame:
    """Requests as the service reads them: JSON texts, times in ISO format; then the text that runs."""
    times = requests[CREATE_TIME].astype("datetime64[us]").to_numpy()
    texts = np.datetime_as_string(times, unit="us").astype(object)
    texts[np.isnat(times)] = None
    table = engines.conform(requests.assign(**{CREATE_TIME: texts}), dict.fromkeys(map(str, requests), "string"))
    records = [json.loads(json.dumps(record)) for record in table.to_dict("records")]
    frame = pd.DataFrame(records, columns=list(requests), dtype=object)
    frame[SQL_TEXT] = [executed_text(*pair) for pair in zip(frame[QUERY], frame[PREPARED_QUERY], strict=True)]
    frame[CREATE_TIME] = frame[CREATE_TIME].to_numpy(dtype=object).astype("datetime64[us]")
    return frame


def _snapshots(requests: pd.DataFrame, history: Any) -> dict[str, HistorySnapshot]:
    """Of the requests' days, what of the snapshots the requests can ask for."""
    keys = keys_table(requests, TextScanner()).assign(**{DATE: requests[DATE]})
    wanted = nw.from_native(engines.like(history, asked_pairs(keys), PAIRS))
    frame = nw.from_native(history).select(*SNAPSHOT)
    found = engines.to_pandas(frame.join(wanted, on=list(PAIRS), how="semi").to_native())
    return {str(date): _through_parquet(rows) for date, rows in found.groupby(DATE)}


def _through_parquet(rows: pd.DataFrame) -> HistorySnapshot:
    buffer = io.BytesIO()
    HistorySnapshot.from_frame(rows).to_frame().to_parquet(buffer, index=False)
    return HistorySnapshot.from_frame(pd.read_parquet(io.BytesIO(buffer.getvalue())))


def _batches(rows: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame]]:
    start = min(_ONE_BY_ONE, len(rows))
    for at in range(start):
        yield "one_by_one", rows.iloc[[at]]
    stop = min(start + _SMALL_BATCH * _SMALL_BATCHES, len(rows))
    for at in range(start, stop, _SMALL_BATCH):
        yield "few", rows.iloc[at : min(at + _SMALL_BATCH, stop)]
    if stop < len(rows):
        yield "whole", rows.iloc[stop:]


def _compare(expected: pd.DataFrame, found: pd.DataFrame, names: list[str]) -> None:
    if expected[QUERY_ID].tolist() != found[QUERY_ID].tolist():
        missing = sorted(set(expected[QUERY_ID]) ^ set(found[QUERY_ID]))
        raise UserError(
            f"query_cost.features_matrix: it does not belong to query_cost.primary_sampled; for example query "
            f"{missing[:1]} is in one of the two only. Run the feature_engineering stage again."
        )
    for name in LABELS:
        differing = np.flatnonzero((expected[name] != found[name]).to_numpy())
        if len(differing):
            _refuse(name, expected, found, int(differing[0]))
    left, right = (np.ascontiguousarray(table[names].to_numpy(dtype=np.float32)) for table in (expected, found))
    rows, columns = np.nonzero(left.view(np.int32) != right.view(np.int32))
    if len(rows):
        _refuse(names[columns[0]], expected, found, int(rows[0]), len(rows))


def _refuse(name: str, expected: pd.DataFrame, found: pd.DataFrame, row: int, count: int = 1) -> None:
    raise UserError(
        f"query_cost.features_matrix: feature '{name}' of query '{expected[QUERY_ID].iloc[row]}' is "
        f"{expected[name].iloc[row]!r} in the matrix, but the serving path computes {found[name].iloc[row]!r} "
        f"({count} values differ). The matrix must be computed by the code that serves: run the feature_engineering "
        "stage again from fingerprint_log on, with the same library versions everywhere."
    )
