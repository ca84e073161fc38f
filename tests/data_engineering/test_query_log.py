"""Labels, filters and windows of a query log, compared with a recomputation row by row."""

import itertools
import re

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from augury.errors import UserError
from augury.pipelines.data_engineering.query_log import (
    FILTERS,
    QueryFilters,
    QueryLabel,
    QuerySplit,
    label_log,
)
from augury.predictors import query_columns as qc
from augury.predictors.query_classifier import statement_kind

LABEL = QueryLabel()
FILTERED = QueryFilters(exclude_matching={"column": "client_info", "pattern": "NON-CURATED$"})
SPLIT = QuerySplit(drift_days=7)
SAFE = {"safe": ["SHOW", "LIMIT_0"]}
NOTHING_SAFE = {"safe": []}


def label(log, filters=FILTERED, split=SPLIT, safe=SAFE, **thresholds):
    return label_log(log, safe, LABEL.model_copy(update=thresholds), filters, split)


def collected(frame_engine, native):
    found = frame_engine.collect(native, qc.QUERY_ID)
    return found.astype({qc.CREATE_TIME: "datetime64[us]", qc.END_TIME: "datetime64[us]"})


def naive(log, filters=FILTERED, safe=("SHOW", "LIMIT_0")):
    """What becomes of each row, told one at a time: query_id -> reason, is_heavy, text."""
    best = {}
    for row in log.to_dict("records"):
        cpu = row["cpu_time_s"]
        key = (row["end_time"], -1.0 if np.isnan(cpu) else cpu)
        if row["query_id"] not in best or key > best[row["query_id"]][0]:
            best[row["query_id"]] = (key, row)
    found = {}
    for identifier, (_, row) in best.items():
        text = row["query"]
        if re.match(r"\s*execute\b", text, re.I) and row["prepared_query"]:
            text = row["prepared_query"]
        heavy = row["cpu_time_s"] >= 300 or row["peak_memory_gb"] > 10 or row["error_name"] in LABEL.resource_errors
        if not text.strip():
            reason = "blank_text"
        elif filters.exclude_matching and (row["client_info"] or "").endswith("NON-CURATED"):
            reason = "matching"
        elif (row["query_type"] or "").upper() in filters.exclude_query_types:
            reason = "query_type"
        elif filters.exclude_zero_cost and statement_kind(text) in safe:
            reason = "zero_cost"
        elif heavy:
            reason = "kept"
        elif row["query_state"] == "FAILED" or row["error_name"]:
            reason = "censored"
        elif np.isnan(row["cpu_time_s"]) or np.isnan(row["peak_memory_gb"]):
            reason = "unknown_cost"
        else:
            reason = "kept"
        found[identifier] = (reason, bool(heavy), text, row["date"])
    return found


# --- labels ---


def test_the_label_of_every_combination(query_log):
    whole = query_log[query_log["query"].str.startswith("SELECT a")]
    combinations = list(
        itertools.product(
            [np.nan, 299.999, 300.0],
            [np.nan, 10.0, 10.001],
            [None, "USER_CANCELED", "EXCEEDED_SPILL_LIMIT", "QUERY_QUEUE_FULL"],
            [None, "FINISHED", "FAILED", "RUNNING"],
        )
    )
    probes = whole.head(len(combinations)).assign(query_type=None)
    columns = ["cpu_time_s", "peak_memory_gb", "error_name", "query_state"]
    probes[columns] = pd.DataFrame(combinations, columns=columns, index=probes.index).astype(probes[columns].dtypes)
    labelled, _ = label(pd.concat([probes, whole.iloc[len(probes) :]]), filters=QueryFilters())
    found = dict(zip(labelled["query_id"], labelled["is_heavy"], strict=True))
    for identifier, (cpu, memory, error, state) in zip(probes["query_id"], combinations, strict=True):
        heavy = cpu == 300.0 or memory == 10.001 or error == "EXCEEDED_SPILL_LIMIT"
        unfinished = error is not None or state in ("FAILED", "RUNNING")
        dropped = not heavy and (unfinished or np.isnan(cpu) or np.isnan(memory))
        assert found.get(identifier) == (None if dropped else heavy), (cpu, memory, error, state)


def test_a_cost_that_the_log_does_not_have_is_not_asked_of_any_row(query_log):
    for column in ("cpu_time_s", "peak_memory_gb"):
        labelled, report = label(query_log.assign(**{column: np.nan}))
        other = "peak_memory_gb" if column == "cpu_time_s" else "cpu_time_s"
        assert report["costs_known"] == {column: 0, other: query_log[other].count()}
        # Rows without the other cost that are heavy by their error stay
        assert labelled.loc[~labelled["is_heavy"], other].notna().all()
        assert len(labelled) > 1000


def test_the_errors_that_make_a_query_heavy_are_parameters(query_log):
    by_error = query_log["error_name"] == "SYNTAX_ERROR"
    labelled, _ = label(query_log, resource_errors=("SYNTAX_ERROR",))
    assert labelled.loc[labelled["error_name"] == "SYNTAX_ERROR", "is_heavy"].all()
    assert by_error.any()
    labelled, _ = label(query_log, resource_errors=())
    cost = (labelled["cpu_time_s"] >= 300) | (labelled["peak_memory_gb"] > 10)
    assert (labelled["is_heavy"] == cost).all()


# --- filters ---


@pytest.mark.parametrize(
    "filters",
    [FILTERED, QueryFilters(exclude_zero_cost=False), QueryFilters(exclude_query_types=("INSERT",))],
    ids=["all", "zero cost stays", "no inserts"],
)
def test_rows_and_counts_are_those_of_a_recomputation(repeated_log, filters):
    labelled, report = label(repeated_log, filters)
    found = labelled.sort_values("query_id", ignore_index=True)
    expected = naive(repeated_log, filters)
    kept = {name: parts for name, parts in expected.items() if parts[0] == "kept"}
    assert found["query_id"].tolist() == sorted(kept)
    assert found["is_heavy"].tolist() == [kept[name][1] for name in found["query_id"]]
    assert found["sql_text"].tolist() == [kept[name][2] for name in found["query_id"]]
    reasons = [parts[0] for parts in expected.values()]
    dropped = {name: reasons.count(name) for name in FILTERS}
    dropped["duplicate"] = len(repeated_log) - len(expected)
    assert report["dropped"] == dropped
    assert min(dropped[name] for name in ("duplicate", "blank_text", "query_type", "censored", "unknown_cost")) > 0
    assert report["rows"] + sum(dropped.values()) == report["rows_read"] == len(repeated_log)


def test_every_engine_gives_the_same_rows_values_and_report(repeated_log, frame_engine):
    expected, counted = label(repeated_log)
    native, report = label(frame_engine.make(repeated_log.sample(frac=1, random_state=9)))
    found = collected(frame_engine, native)
    expected = expected.sort_values(qc.QUERY_ID, ignore_index=True)
    pd.testing.assert_frame_equal(found, expected, check_exact=True)
    assert tuple(found.columns) == qc.LABELLED
    assert report == counted


def test_of_a_repeated_query_the_latest_and_then_the_dearest_is_kept(query_log):
    row = query_log[query_log["query"].str.startswith("SELECT a")].iloc[[0]].assign(query_state="FINISHED")
    row = row.assign(error_name=None, peak_memory_gb=1.0, client_info=None, query_type=None)
    late = row["end_time"] + pd.Timedelta(seconds=1)
    variants = [
        row.assign(cpu_time_s=5_000.0, user="early"),
        row.assign(cpu_time_s=1.0, end_time=late, user="late"),
        row.assign(cpu_time_s=2.0, end_time=late, user="late and dear"),
        row.assign(cpu_time_s=np.nan, end_time=late, user="late and unknown"),
    ]
    for order in itertools.islice(itertools.permutations(range(4)), 0, None, 5):
        log = pd.concat([query_log[query_log["query_id"] != row["query_id"].iloc[0]], *(variants[at] for at in order)])
        labelled, report = label(log)
        found = labelled[labelled["query_id"] == row["query_id"].iloc[0]]
        assert found["user"].tolist() == ["late and dear"]
        assert report["dropped"]["duplicate"] == 3


def test_rows_that_agree_in_time_and_cost_are_told_apart_by_all_that_they_hold(query_log):
    twins = [query_log, query_log.assign(user="x"), query_log.assign(source="y")]
    first, _ = label(pd.concat(twins))
    second, _ = label(pd.concat(twins[::-1]))
    pd.testing.assert_frame_equal(*(frame.sort_values("query_id", ignore_index=True) for frame in (first, second)))


def test_the_given_log_stays_as_it_was(repeated_log):
    before = repeated_log.copy(deep=True)
    label(repeated_log)
    pd.testing.assert_frame_equal(repeated_log, before)


# --- windows ---


def test_windows_are_whole_days_counted_back_from_the_end(query_log):
    labelled, report = label(query_log, split=QuerySplit(train_days=20, validation_days=5, test_days=4, drift_days=3))
    days = pd.to_datetime(labelled["date"])
    last = pd.to_datetime(query_log["date"]).max()
    age = (last - days).dt.days
    expected = np.select([age < 3, age < 7, age < 12, age < 32], ["drift", "test", "validation", "train"], "none")
    assert (labelled["split"] == expected).all()
    assert report["dropped"]["before_train"] > 0
    assert report["notes"] == []
    assert list(report["splits"]) == ["train", "validation", "test", "drift"]
    for name, rows in labelled.groupby("split"):
        figures = report["splits"][name]
        assert (figures["rows"], figures["heavy"]) == (len(rows), rows["is_heavy"].sum())
        assert figures["heavy_share"] == rows["is_heavy"].mean()
        assert figures["from"][:10] == min(rows["date"])


def test_without_a_number_of_days_training_has_all_that_is_before(query_log):
    labelled, report = label(query_log)
    assert report["dropped"]["before_train"] == 0
    train = labelled[labelled["split"] == "train"]
    assert train["date"].nunique() == 60 - 21
    without, report = label(query_log, split=QuerySplit(drift_days=0))
    assert set(without["split"]) == {"train", "validation", "test"} == set(report["splits"])


def test_the_report_counts_days_and_origins(query_log):
    labelled, report = label(query_log)
    days = labelled.groupby("date").agg(rows=("is_heavy", "size"), heavy=("is_heavy", "sum"))
    assert [day["date"] for day in report["days"]] == days.index.tolist()
    assert [(day["rows"], day["heavy"]) for day in report["days"]] == [tuple(row) for row in days.to_numpy().tolist()]
    for origin, splits in report["origins"].items():
        for name, figures in splits.items():
            assert figures["rows"] == ((labelled["origin"] == origin) & (labelled["split"] == name)).sum()
    assert set(report["origins"]) == {"executed", "replayed"}
    assert (labelled["weight"] == 1.0).all()


@given(days=st.integers(1, 25), seed=st.integers(0, 5))
@settings(max_examples=10)
def test_a_short_log_is_divided_in_proportion_to_the_windows(make_query_log, days, seed):
    log = make_query_log(rows=900, days=days, seed=seed)
    split = QuerySplit(train_days=14, validation_days=7, test_days=5)
    labelled, report = label(log, filters=QueryFilters(exclude_zero_cost=False), split=split)
    assert f"The log covers {days} day(s), the windows need 26" in report["notes"][0]
    begin, end = log["create_time"].min(), log["create_time"].max()
    share = (labelled["create_time"] - begin) / (end - begin)
    expected = np.select([share < 14 / 26, share < 21 / 26], ["train", "validation"], "test")
    # A microsecond beside a border either way is rounding
    clear = ((share - 14 / 26).abs() > 1e-9) & ((share - 21 / 26).abs() > 1e-9)
    assert (labelled["split"] == expected)[clear].all()
    assert report["dropped"]["before_train"] == 0


def test_a_short_log_is_divided_alike_on_every_engine(make_query_log, frame_engine):
    log = make_query_log(rows=600, days=3)
    expected, counted = label(log)
    native, report = label(frame_engine.make(log))
    found = collected(frame_engine, native)
    assert found["split"].tolist() == expected.sort_values(qc.QUERY_ID)["split"].tolist()
    assert report == counted
    assert len(set(found["split"])) == 4


# --- refusals ---


def test_without_heavy_training_rows_the_quantiles_help_to_find_thresholds(query_log):
    with pytest.raises(UserError) as caught:
        label(query_log, cpu_threshold_seconds=1e9, memory_threshold_gb=1e9, resource_errors=())
    message = str(caught.value)
    assert "no training row is heavy" in message
    assert "query_cost.label.cpu_threshold_seconds" in message
    median, most = query_log["cpu_time_s"].median(), query_log["cpu_time_s"].max()
    assert f"Quantiles of CPU seconds: 50.0% {median:.4g}" in message
    assert f"100.0% {most:.4g}." in message
    assert "Quantiles of GiB of memory" in message


def test_an_empty_split_is_refused_with_figures(query_log):
    gap = query_log[(query_log["date"] < "2026-04-09") | (query_log["date"] >= "2026-04-17")]
    with pytest.raises(UserError, match=r"the split leaves no row for validation\. Rows: train \d+ \(\d+ heavy\)"):
        label(gap)
    with pytest.raises(UserError, match=r"left out: blank_text \d+"):
        label(query_log.assign(query=" ", prepared_query=None))
    with pytest.raises(UserError, match="the log has no rows"):
        label(query_log.head(0))


@pytest.mark.parametrize(
    ("changes", "clue"),
    [
        ({"column": "query_text", "pattern": "x"}, "must be one of query_id"),
        ({"column": "user", "pattern": "("}, "no regular"),
    ],
)
def test_a_pattern_that_cannot_be_used_is_refused_before_the_run(changes, clue):
    with pytest.raises(ValidationError, match=clue):
        QueryFilters(exclude_matching=changes)
