"""The replay: genuine costs under invented traffic, one row per execution, and a last week that differs."""

import datetime
import json

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from augury.errors import UserError
from augury.pipelines.collection.query_replay import (
    ANALYSIS_ERRORS,
    GIB,
    INTERRUPTIONS,
    LIMIT_ERRORS,
    QueryReplay,
    replay_log,
)
from augury.predictors.query_columns import COLUMNS, NUMBERS, TEXTS

START = datetime.date(2026, 7, 20)  # a Monday
DAYS, DRIFT_DAYS = 28, 7
NEW_TABLE = "inventory"


def queries(templates=60, variants=3, metadata=24, seed=0):
    """Executed queries as the laboratory writes them, whose text says which one it is."""
    rng = np.random.default_rng(seed)
    rows = []
    for template in range(templates):
        base = 10 ** rng.uniform(-2.5, 0.6)
        tables = [f"t{template % 9}", *([NEW_TABLE] if template % 10 == 3 else [])]
        for catalog, scale_factor in (("staging", 0.1), ("lake", 1.0)):
            for variant in range(variants):
                row = {
                    "template": f"aggregate_{template}", "kind": "generated", "catalog": catalog,
                    "scale_factor": scale_factor, "tables": ",".join(sorted(tables)), "query_type": "SELECT",
                    "query": f"SELECT {variant} FROM {catalog}.shop.{tables[0]} WHERE template = {template}",
                    "prepared_query": None, "outcome": "ok",
                    "cpu_s": base * scale_factor * rng.uniform(0.8, 1.2), "qualified": template % 3 == 0,
                }  # fmt: skip
                if template % 8 == 5:
                    row["prepared_query"] = row["query"].replace(str(variant), "?", 1)
                    row["query"] = f"EXECUTE s{template} USING {variant}, '{catalog}'"
                if template % 20 == 7 and catalog == "lake":
                    row |= {"outcome": list(LIMIT_ERRORS)[variant % 3], "cpu_s": 10.0}
                rows.append(row)
    for number in range(metadata):
        table = NEW_TABLE if number % 6 == 0 else f"t{number}"
        rows.append(
            {
                "template": f"metadata_{number % 4}", "kind": "metadata", "catalog": "lake", "scale_factor": 1.0,
                "tables": f"{NEW_TABLE},t1", "query_type": "DESCRIBE", "prepared_query": None,
                "query": f"SHOW COLUMNS FROM {table} -- {number}", "outcome": "ok", "cpu_s": 0.001, "qualified": False,
            }
        )  # fmt: skip
    frame = pd.DataFrame(rows)
    frame["schema"] = "shop"
    frame["wall_s"] = frame["cpu_s"] * 1.1
    frame["peak_memory_bytes"] = np.round(frame["cpu_s"] * 2e8)
    frame["memory_limit_mb"] = 2048.0
    ended = frame["outcome"].ne("ok")
    frame["physical_input_bytes"] = frame["cpu_s"].mul(1e7).round().mask(ended)
    frame["physical_input_rows"] = frame["cpu_s"].mul(1e5).round().mask(ended)
    frame["inputs_json"] = [
        None if kind == "metadata" else json.dumps([{"table": name} for name in tables.split(",")])
        for kind, tables in zip(frame["kind"], frame["tables"], strict=True)
    ]
    return frame


EXECUTED = queries()


def replay(drift=None, **changes):
    defaults = {
        "start_date": START, "days": DAYS, "rows": 20_000, "users": 60, "zipf_exponent": 1.1, "cost_aversion": 0.5,
        "metadata_share": 0.2, "scheduled_share": 0.4, "larger_data_share": 0.3, "cost_noise": 0.06,
        "memory_noise": 0.01, "late_template_share": 0.2, "analysis_error_share": 0.02, "interruption_share": 0.02,
        "lost_statistics_share": 0.002, "non_curated_share": 0.05,
        "drift": {
            "days": DRIFT_DAYS, "new_tables": (NEW_TABLE,), "new_template_share": 0.1, "new_template_rows": 0.25,
            "new_user_share": 0.2, "larger_data_share": 0.5,
        } | (drift or {}),
    }  # fmt: skip
    return QueryReplay.model_validate(defaults | changes)


@pytest.fixture(scope="module")
def log():
    return replay_log(EXECUTED, replay(), 3)


@pytest.fixture(scope="module")
def asked(log):
    """The executed query behind every row; unfinished statements are found by their beginning."""
    by_text = {(row.query, row.prepared_query): position for position, row in enumerate(EXECUTED.itertuples())}
    found = [by_text.get((row.query, row.prepared_query), -1) for row in log.itertuples()]
    known = pd.Series(found, index=log.index)
    assert (log.loc[known < 0, "error_name"] == "SYNTAX_ERROR").all()
    return EXECUTED.reindex(known.to_numpy()).set_index(log.index)


def drifting(log):
    return log["create_time"] >= pd.Timestamp(START) + pd.Timedelta(days=DAYS - DRIFT_DAYS)


def test_columns_are_canonical(log):
    assert list(log.columns) == list(COLUMNS)
    assert len(log) == 20_000
    assert (log[list(NUMBERS)].dtypes == "float64").all()
    for name in TEXTS:
        assert log[name].map(lambda value: value is None or isinstance(value, str)).all(), name
    assert log[["query", "query_state", "user", "source", "origin", "server_version"]].notna().all(axis=None)
    assert log["create_time"].dt.tz is None
    assert log["create_time"].is_monotonic_increasing
    assert (log["end_time"] >= log["create_time"]).all()
    assert log["date"].eq(log["create_time"].dt.strftime("%Y-%m-%d")).all()
    assert log["create_time"].between(pd.Timestamp(START), pd.Timestamp(START) + pd.Timedelta(days=DAYS)).all()


def test_the_same_seed_gives_the_same_log(log):
    pd.testing.assert_frame_equal(log, replay_log(EXECUTED, replay(), 3))
    assert not log["query"].equals(replay_log(EXECUTED, replay(), 4)["query"])


def test_query_ids_are_trinos(log):
    assert log["query_id"].is_unique
    parts = log["query_id"].str.extract(r"^(\d{8}_\d{6})_(\d{5})_([a-z2-9]{5})$")
    assert parts.notna().all(axis=None)
    assert parts[0].eq(log["create_time"].dt.strftime("%Y%m%d_%H%M%S")).all()
    assert parts[1].astype(int).eq(log.groupby("date").cumcount()).all()


def test_every_executed_query_appears_once_with_its_measured_cost(log):
    once = log[log["origin"] == "executed"].sort_values(["query", "prepared_query"], ignore_index=True)
    expected = EXECUTED.sort_values(["query", "prepared_query"], ignore_index=True)
    assert once["query"].tolist() == expected["query"].tolist()
    assert once["cpu_time_s"].tolist() == expected["cpu_s"].tolist()
    assert once["peak_memory_gb"].tolist() == (expected["peak_memory_bytes"] / GIB).tolist()
    assert once["error_name"].fillna("").tolist() == expected["outcome"].map(LIMIT_ERRORS).fillna("").tolist()
    assert set(log["origin"]) == {"executed", "replayed"}


def test_replayed_costs_are_measured_ones_with_noise(log, asked):
    whole = log["origin"].eq("replayed") & log["query_state"].eq("FINISHED") & log["cpu_time_s"].gt(0.05)
    ratio = np.log(log.loc[whole, "cpu_time_s"] / asked.loc[whole, "cpu_s"])
    assert abs(ratio.mean()) < 0.003
    assert ratio.std() == pytest.approx(0.06, rel=0.05)
    memory = np.log(log.loc[whole, "peak_memory_gb"] * GIB / asked.loc[whole, "peak_memory_bytes"])
    assert memory.std() == pytest.approx(0.01, rel=0.05)
    assert log.loc[whole, "physical_input_bytes"].equals(asked.loc[whole, "physical_input_bytes"])


def test_without_noise_costs_are_the_measured_ones():
    quiet = replay(cost_noise=0, memory_noise=0, analysis_error_share=0, interruption_share=0, lost_statistics_share=0)
    log = replay_log(EXECUTED, quiet, 1)
    cost = EXECUTED.set_index(["query", EXECUTED["prepared_query"].fillna("")])["cpu_s"]
    expected = cost.loc[list(zip(log["query"], log["prepared_query"].fillna(""), strict=True))].to_numpy()
    assert np.abs(log["cpu_time_s"] - expected).max() <= 0.5e-4 + 1e-12
    assert set(log["error_name"].dropna()) == set(LIMIT_ERRORS.values())


def test_errors_are_trinos(log, asked):
    types = {name: kind for name, kind, _ in INTERRUPTIONS}
    types |= dict.fromkeys(ANALYSIS_ERRORS, "USER_ERROR") | dict.fromkeys(
        LIMIT_ERRORS.values(), "INSUFFICIENT_RESOURCES"
    )
    failed = log["error_name"].notna()
    assert set(log.loc[failed, "error_name"]) == set(types)
    assert log.loc[failed, "error_name"].map(types).eq(log.loc[failed, "error_type"]).all()
    assert log["error_type"].notna().eq(failed).all()
    assert log["query_state"].eq("FAILED").eq(failed).all()
    limited = log["error_type"].eq("INSUFFICIENT_RESOURCES")
    assert log.loc[limited, "error_name"].eq(asked.loc[limited, "outcome"].map(LIMIT_ERRORS)).all()
    assert asked.loc[~limited & asked["outcome"].notna(), "outcome"].eq("ok").all()


def test_what_was_cancelled_cost_less(log, asked):
    cancelled = log["error_name"].isin([name for name, _, _ in INTERRUPTIONS]) & log["cpu_time_s"].notna()
    assert cancelled.sum() > 100
    share = log.loc[cancelled, "cpu_time_s"] / asked.loc[cancelled, "cpu_s"]
    assert share[asked.loc[cancelled, "cpu_s"] > 0.1].lt(1.2).all()
    assert 0.3 < share.median() < 0.7
    # People cancel what takes long
    assert asked.loc[cancelled, "cpu_s"].mean() > 2 * asked["cpu_s"].mean()


def test_errors_of_analysis_read_nothing(log):
    wrong = log[log["error_name"].isin(ANALYSIS_ERRORS)]
    assert len(wrong) > 100
    assert wrong["inputs_json"].isna().all()
    for name in NUMBERS:
        assert wrong[name].dropna().eq(0).all(), name


def test_unfinished_statements_begin_like_executed_ones(log):
    broken = log[log["error_name"].eq("SYNTAX_ERROR")]
    assert broken["query_type"].isna().all()
    unfinished = broken[broken["prepared_query"].isna()]
    assert len(unfinished) > 10
    for text in unfinished["query"]:
        assert EXECUTED["query"].str.startswith(text).any()
        assert text not in set(EXECUTED["query"])


def test_new_tables_templates_and_users_are_there_in_the_drift_only(log, asked):
    late = drifting(log)
    text = log["query"] + " " + log["inputs_json"].fillna("")
    about = text.str.contains(rf"\b{NEW_TABLE}\b")
    assert about[late].sum() > 50
    assert not about[~late].any()
    templates = asked["template"].fillna("")
    fresh = set(templates[late]) - set(templates[~late])
    of_new_tables = set(
        EXECUTED.loc[EXECUTED["kind"].ne("metadata") & EXECUTED["tables"].str.contains(NEW_TABLE), "template"]
    )
    assert of_new_tables < fresh
    assert templates[late].isin(fresh).mean() > 0.1
    users = set(log.loc[late, "user"]) - set(log.loc[~late, "user"])
    assert len(users) >= 6


def test_the_drift_asks_for_larger_data(log, asked):
    late = drifting(log)
    data = asked["kind"].ne("metadata") & asked["catalog"].notna()
    large = asked["catalog"].eq("lake")
    assert large[late & data].mean() > large[~late & data].mean() + 0.2
    assert log.loc[late, "cpu_time_s"].gt(1).mean() > 1.3 * log.loc[~late, "cpu_time_s"].gt(1).mean()


def test_without_drift_the_last_week_is_like_the_others():
    log = replay_log(EXECUTED, replay(drift={"days": 0, "new_tables": (), "new_template_share": 0}), 3)
    late = drifting(log)
    share = log["catalog"].eq("lake")
    assert abs(share[late].mean() - share[~late].mean()) < 0.1
    assert not set(log.loc[late, "user"]) - set(log["user"][~late]) - set(log["user"].tail(1))


def test_templates_appear_over_time(log, asked):
    first = log["create_time"].groupby(asked["template"]).min()
    first = first[~first.index.str.startswith("metadata")]
    before = first < pd.Timestamp(START) + pd.Timedelta(days=DAYS - DRIFT_DAYS)
    assert (first[before] > pd.Timestamp(START) + pd.Timedelta(days=5)).sum() >= 3
    assert (first < pd.Timestamp(START) + pd.Timedelta(days=2)).mean() > 0.4


PLAIN = {
    "users": 600, "scheduled_share": 0, "late_template_share": 0, "rows": 25_000, "metadata_share": 0,
    "drift": {"days": 0, "new_tables": (), "new_template_share": 0},
}  # fmt: skip


@pytest.mark.parametrize("seed", [1, 2])
def test_popularity_follows_zipf(seed):
    """Without habits of few users the counts of the templates fall like a power of their rank."""
    slopes = []
    for exponent in (0.0, 0.7, 1.4):
        log = replay_log(EXECUTED, replay(**PLAIN, zipf_exponent=exponent, cost_aversion=0), seed)
        template = (log["prepared_query"].fillna(log["query"])).str.extract(r"template = (\d+)")[0]
        counts = np.sort(template.value_counts().to_numpy())[::-1]
        ranks = np.arange(1, len(counts) + 1)
        slopes.append(np.polyfit(np.log(ranks[:40]), np.log(counts[:40]), 1)[0])
    assert slopes[0] > slopes[1] > slopes[2]
    assert slopes[2] == pytest.approx(-1.4, abs=0.35)


def test_costly_templates_are_rarer_where_asked_for():
    means = [
        replay_log(EXECUTED, replay(**PLAIN, cost_aversion=aversion), 8)["cpu_time_s"].mean() for aversion in (0.0, 3.0)
    ]
    assert means[1] < 0.6 * means[0]


def test_shares_are_kept(log, asked):
    assert log["query"].str.startswith("SHOW").mean() == pytest.approx(0.2, abs=0.005)
    assert log["error_name"].isin(ANALYSIS_ERRORS).mean() == pytest.approx(0.02 * 0.8, rel=0.25)
    interrupted = log["error_name"].isin([name for name, _, _ in INTERRUPTIONS])
    assert interrupted.mean() == pytest.approx(0.02, rel=0.3)
    unknown = log["cpu_time_s"].isna()
    assert 0 < unknown.mean() < 0.006
    assert log.loc[unknown, "origin"].eq("replayed").all()


def test_people_work_by_day_and_in_the_week(log):
    days = log.groupby("date").size()
    weekend = pd.to_datetime(days.index).dayofweek >= 5
    assert days[weekend].mean() < 0.7 * days[~weekend].mean()
    people = log[log["resource_group_id"].str.startswith("global.adhoc")]
    hours = people["create_time"].dt.hour
    assert hours.between(9, 18).mean() > 2 * (~hours.between(6, 21)).mean()
    jobs = log[log["resource_group_id"].eq("global.etl")]
    assert jobs["create_time"].dt.hour.lt(8).mean() > 0.4


def test_schedules_repeat_a_template_with_other_literals(log):
    dashboards = log[log["client_info"].fillna("").str.contains("dashboard")]
    assert len(dashboards) > 300
    assert dashboards["client_info"].map(json.loads).map(lambda info: set(info) == {"dashboard"}).all()
    largest = dashboards.groupby(["user", "client_info"])["query"]
    assert largest.nunique().max() > 1
    assert (largest.size() / largest.nunique()).max() > 5


def test_users_have_habits(log):
    data = log[~log["query"].str.startswith("SHOW")]
    text = data["prepared_query"].fillna(data["query"]).str.replace(r"\d", "#", n=1, regex=True)
    of_user = text.groupby(data["user"]).agg(lambda texts: texts.value_counts(normalize=True).iloc[0])
    assert of_user.median() > 3 * text.value_counts(normalize=True).iloc[0]
    assert (
        log.groupby("user")["source"].agg(lambda sources: sources.value_counts(normalize=True).iloc[0]).median() > 0.8
    )


def test_context_is_what_trino_logs(log):
    prepared = log["prepared_query"].notna()
    assert prepared.sum() > 100
    assert log.loc[prepared, "query"].str.startswith("EXECUTE").all()
    assert log.loc[prepared, "source"].eq("trino-jdbc").all()
    assert log["client_info"].fillna("").str.contains("NON-CURATED").mean() > 0.005
    assert log.groupby("server_version")["create_time"].min().is_monotonic_increasing
    assert log["server_version"].nunique() == 3
    assert log["catalog"].isna().eq(log["schema"].isna()).all()
    assert 0.02 < log["catalog"].isna().mean() < 0.4
    for text in log["session_properties"].dropna().unique():
        assert isinstance(json.loads(text), dict)


@settings(max_examples=15, deadline=None)
@given(
    seed=st.integers(0, 2**31),
    rows=st.integers(1_500, 3_000),
    days=st.integers(4, 30),
    users=st.integers(5, 80),
    shares=st.tuples(*[st.floats(0, 0.9)] * 4),
    drift_days=st.sampled_from([0, 3, 4, 7, 12]),
)
def test_any_traffic_holds_every_execution_once(seed, rows, days, users, shares, drift_days):
    metadata, scheduled, late, new = shares
    drift = {"days": min(drift_days, days - 1), "new_template_share": new * 0.3, "new_template_rows": metadata}
    settings_ = replay(
        drift, rows=rows, days=days, users=users, metadata_share=metadata * 0.5, scheduled_share=scheduled,
        late_template_share=late,
    )  # fmt: skip
    executed = queries(templates=20, variants=2, metadata=8)
    log = replay_log(executed, settings_, seed)
    assert len(log) == rows
    once = log[log["origin"] == "executed"]
    assert sorted(once["query"]) == sorted(executed["query"])
    assert log["query_id"].is_unique
    start = pd.Timestamp(START) + pd.Timedelta(days=days - drift["days"])
    early = log[log["create_time"] < start]
    if drift["days"]:
        assert not (early["query"] + early["inputs_json"].fillna("")).str.contains(rf"\b{NEW_TABLE}\b").any()


def test_no_place_in_the_drift_is_refused():
    crowded = replay(drift={"days": 1, "new_template_share": 0.8}, rows=1_200)
    with pytest.raises(UserError, match=r"query_cost\.replay\.rows.*last days"):
        replay_log(EXECUTED, crowded, 1)


def test_too_few_rows_are_refused():
    with pytest.raises(UserError, match=r"query_cost\.replay\.rows.*--params"):
        replay_log(EXECUTED, replay(rows=500), 1)


def test_a_drift_as_long_as_the_log_is_refused():
    with pytest.raises(UserError, match=r"query_cost\.replay\.drift\.days"):
        replay_log(EXECUTED, replay(drift={"days": DAYS}), 1)


def test_nothing_left_for_the_time_before_the_drift_is_refused():
    with pytest.raises(UserError, match=r"new_tables"):
        replay_log(EXECUTED, replay(drift={"new_tables": tuple(f"t{i}" for i in range(9))}), 1)


def test_metadata_alone_is_refused():
    with pytest.raises(UserError, match=r"query_cost\.executed"):
        replay_log(EXECUTED[EXECUTED["kind"] == "metadata"], replay(), 1)
