"""Fetches from peers: valid candidates of valid requests, in the order of time, split by time."""

from typing import Any, Literal

import narwhals.stable.v2 as nw
import numpy as np
import pandas as pd
from pydantic import Field

from augury import engines
from augury.errors import UserError
from augury.parameters import Parameters, near_matches
from augury.predictors import fetch_columns as fc

TIMEOUT_OF_P99 = 3.0
EXAMPLES = 3


class FetchSource(Parameters):
    """How the raw table is read."""

    columns: dict[str, str] = Field(default_factory=dict, description="canonical name -> name in the file")
    outcomes: Literal["auto", "logged", "measured"] = Field(
        default="auto",
        description="logged: the chosen candidate's outcome counts; measured: every candidate was asked, "
        "and one that has no latency was none; auto: measured where most of the others have an outcome too",
    )
    scale_to_ms: float = Field(default=1.0, gt=0, description="1000 where the latencies are in seconds")
    timeout_ms: float | None = Field(
        default=None,
        gt=0,
        description="what a failed fetch costs at least; null: three times the 99th percentile of training",
    )
    invalid: Literal["set_aside", "refuse"] = Field(default="set_aside", description="rows that break a rule")


class FetchSplit(Parameters):
    """How requests are divided."""

    test_share: float = Field(default=0.4, gt=0, lt=1, description="share of the requests, the latest ones")


def prepare_fetches(fetches: Any, source: FetchSource, split: FetchSplit) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Read, check, order and split the candidates.

    Args:
        fetches: Raw table, pandas or Spark; see :mod:`augury.predictors.fetch_columns`.
        source: How to read it.
        split: How it is divided.

    Returns:
        - One row per candidate, requests in the order of time and their candidates in that of their ids: ``case``
          (text), ``ts``, ``client``, ``peer``, ``chosen`` (0, 1), ``propensity`` (missing where not told),
          ``latency_ms`` (missing where not known; of a failure, what it costs), ``ok`` (0, 1), ``in_flight``,
          ``split`` (``train``, ``test``).
        - The account of what was read, set aside and split.

    Raises:
        UserError: A column is missing or not of its type, rows break rules that are to be refused, or nothing is left.
    """
    table, told = read_fetches(fetches, source)
    read = len(table)
    if not read:
        raise UserError(f"{fc.DATASET}: the table has no rows.")
    broken: dict[str, int] = {}
    examples: dict[str, list[str]] = {}

    def keep(wrong: pd.Series, rule: str) -> None:
        nonlocal table
        if wrong.any():
            broken[rule] = int(wrong.sum())
            examples[rule] = table.loc[wrong, fc.REQUEST].head(EXAMPLES).tolist()
            table = table[~wrong]

    blank = (table[list(fc.IDS)] == "").any(axis=1)
    keep(blank, "an id is missing")
    keep(table[fc.CLIENT] == table[fc.PEER], "a client is its own candidate")
    keep(table.duplicated([fc.REQUEST, fc.PEER]), "a candidate is listed twice")
    clients = table.groupby(fc.REQUEST)[fc.CLIENT].transform("nunique")
    keep(clients > 1, "a request has several clients")
    keep(table.groupby(fc.REQUEST)[fc.CHOSEN].transform("sum") > 1, "a request has several chosen candidates")
    outcomes = _outcomes(table, source)
    if outcomes == fc.MEASURED:
        keep(table["latency"].isna() & (table[fc.OK] == 1), "a candidate was not measured")
    else:
        known = (table[fc.CHOSEN] == 1) & (table["latency"].notna() | (table[fc.OK] == 0))
        keep(~known.groupby(table[fc.REQUEST]).transform("any"), "a request has no chosen candidate with an outcome")
    keep(table.groupby(fc.REQUEST)[fc.PEER].transform("size") < 2, "a request has a single candidate")
    if broken and source.invalid == "refuse":
        raise UserError(_refusal(broken, examples))
    if table.empty:
        raise UserError(f"{fc.DATASET}: no request is left. " + _refusal(broken, examples))
    if outcomes == fc.LOGGED:
        table = table.assign(latency=table["latency"].where(table[fc.CHOSEN] == 1))
    table = _ordered(table, told["has_time"])
    table, boundary = _split(table, split.test_share)
    training = table[fc.SPLIT] == fc.TRAIN
    timeout = _timeout(table[training], source)
    failed = table[fc.OK] == 0
    answered = failed & ((table[fc.CHOSEN] == 1) | (outcomes == fc.MEASURED))
    latency = table["latency"].mask(answered, table["latency"].fillna(0.0).clip(lower=timeout))
    primary = pd.DataFrame(
        {
            "case": table[fc.REQUEST],
            "ts": table[fc.TS].astype(np.int64),
            "client": table[fc.CLIENT],
            "peer": table[fc.PEER],
            "chosen": table[fc.CHOSEN].astype(np.int64),
            "propensity": table[fc.PROPENSITY],
            "latency_ms": latency,
            "ok": table[fc.OK].astype(np.int64),
            "in_flight": table[fc.IN_FLIGHT],
            "split": table[fc.SPLIT],
        }
    ).reset_index(drop=True)
    firsts = ~primary["case"].duplicated()
    report = {
        "rows_read": read,
        "rows": len(primary),
        "requests": {name: int(count) for name, count in primary.loc[firsts, "split"].value_counts().items()},
        "clients": int(primary["client"].nunique()),
        "peers": int(primary["peer"].nunique()),
        "outcomes": outcomes,
        "propensities": "told" if primary["propensity"].notna().all() else "missing",
        "failed": int(answered.sum()),
        "timeout_ms": timeout,
        "set_aside": broken,
        "set_aside_examples": examples,
        "origin": {told["origin"]: len(primary)},
        "test_from": boundary,
        "parameters": {"source": source.model_dump(mode="json"), "split": split.model_dump(mode="json")},
    }
    return primary, report


def read_fetches(fetches: Any, source: FetchSource) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Rename, type and collect the raw table.

    Args:
        fetches: Raw table of any engine.
        source: How to read it.

    Returns:
        A pandas frame in the order of its rows (of Spark, in none), ids as text ("" where missing), ``latency`` in ms
        (missing where it is no finite number above 0); and facts: ``has_time``, ``origin``.

    Raises:
        UserError: A column is missing or its values are no numbers.
    """
    frame = nw.from_native(fetches)
    names = frame.collect_schema().names()
    unknown = sorted(set(source.columns) - set(fc.COLUMNS))
    if unknown:
        raise UserError(
            f"Parameter 'peer_selection.source.columns': '{unknown[0]}' is no column of this table. "
            f"{near_matches(unknown[0], fc.COLUMNS)}"
        )
    of_file = {name: source.columns.get(name, name) for name in fc.COLUMNS}
    missing = [
        of_file[name]
        for name in fc.COLUMNS
        if of_file[name] not in names and (name in fc.REQUIRED or name in source.columns)
    ]
    if missing:
        hints = "; ".join(f"'{name}' ({near_matches(name, names)})" for name in missing)
        raise UserError(f"{fc.DATASET}: required column missing: {hints}")
    present = [name for name in fc.COLUMNS if of_file[name] in names]
    if fc.TS not in present and engines.is_spark(fetches):
        raise UserError(f"{fc.DATASET}: column '{fc.TS}' is missing, and a Spark table has no order of rows.")
    selected = frame.select(*(_typed(of_file[name], name) for name in present))
    table = engines.to_pandas(selected.to_native())
    defaults = {fc.TS: 0.0, fc.CHOSEN: 0.0, fc.PROPENSITY: np.nan, fc.OK: 1.0, fc.IN_FLIGHT: 0.0}
    for name, value in defaults.items():
        table[name] = table[name].astype(np.float64) if name in table else value
    for name in fc.IDS:
        table[name] = table[name].fillna("").astype(str).str.strip()
    latency = table[fc.RTT].astype(np.float64) * source.scale_to_ms
    table["latency"] = latency.where(np.isfinite(latency) & (latency > 0))
    # A flag that is missing beside a latency says that the fetch came to its end; 0 is what fails
    table[fc.OK] = (table[fc.OK].fillna(1.0) != 0).astype(np.float64)
    table[fc.CHOSEN] = (table[fc.CHOSEN].fillna(0.0) != 0).astype(np.float64)
    table[fc.IN_FLIGHT] = table[fc.IN_FLIGHT].fillna(0.0).clip(lower=0.0)
    table[fc.TS] = table[fc.TS].fillna(0.0)
    simulated = fc.ORIGIN in table and (table[fc.ORIGIN] == "simulated").all()
    facts = {"has_time": fc.TS in present, "origin": "simulated" if simulated else "measured"}
    return table, facts


def _typed(of_file: str, name: str) -> Any:
    column = nw.col(of_file)
    kind = nw.String if name in (*fc.IDS, fc.ORIGIN) else nw.Float64
    return column.cast(kind).alias(name)


def _outcomes(table: pd.DataFrame, source: FetchSource) -> str:
    others = table[table[fc.CHOSEN] == 0]
    if source.outcomes != "auto":
        return source.outcomes
    return fc.MEASURED if len(others) and others["latency"].notna().mean() > 0.5 else fc.LOGGED


def _ordered(table: pd.DataFrame, has_time: bool) -> pd.DataFrame:
    """Requests by time, those of a moment by their ids; without times in the order of the file."""
    if not has_time:
        place, _ = pd.factorize(table[fc.REQUEST])
        table = table.assign(**{fc.TS: place.astype(np.float64)})
    else:
        table = table.assign(**{fc.TS: table.groupby(fc.REQUEST)[fc.TS].transform("min")})
    return table.sort_values([fc.TS, fc.REQUEST, fc.PEER], ignore_index=True)


def _split(table: pd.DataFrame, test_share: float) -> tuple[pd.DataFrame, int]:
    """The latest requests are the test; those of one moment stay together."""
    times = table.loc[~table[fc.REQUEST].duplicated(), fc.TS].to_numpy()
    boundary = times[int(np.ceil(len(times) * (1 - test_share))) - 1] if len(times) > 1 else times[0]
    later = times[times > boundary]
    if not len(later):
        earlier = times[times < boundary]
        if not len(earlier):
            raise UserError(
                f"{fc.DATASET}: all requests are of one moment, so they cannot be split by time; 'ts' must tell at "
                "least two apart."
            )
        later = times[times == boundary]
    first = float(later.min())
    return table.assign(**{fc.SPLIT: np.where(table[fc.TS] >= first, fc.TEST, fc.TRAIN)}), int(first)


def _timeout(training: pd.DataFrame, source: FetchSource) -> float:
    if source.timeout_ms is not None:
        return source.timeout_ms
    latencies = training.loc[training[fc.OK] == 1, "latency"].dropna()
    if latencies.empty:
        raise UserError(
            f"{fc.DATASET}: no fetch of the training period came to its end, so nothing says what a latency is. Check "
            f"'{fc.RTT}' and '{fc.OK}'."
        )
    return TIMEOUT_OF_P99 * float(latencies.quantile(0.99))


def _refusal(broken: dict[str, int], examples: dict[str, list[str]]) -> str:
    lines = [f"{rule}: {count:,} rows, for example of request {examples[rule][0]!r}" for rule, count in broken.items()]
    return f"{fc.DATASET} breaks its rules:\n" + "\n".join(f"- {line}" for line in lines)
