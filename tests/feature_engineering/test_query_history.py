"""History features: right by an independent computation, blind to the future, equal on every engine."""

import itertools
import math
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from augury import engines
from augury.pipelines.feature_engineering import query_history
from augury.pipelines.feature_engineering.feature_parity import check_parity
from augury.predictors.query_classifier import executed_text
from augury.predictors.query_features import QueryFeatures, feature_names
from augury.predictors.query_history import HISTORY, HISTORY_EXT, STATE
from augury.predictors.sql_tokens import qualified_tables, scan_texts

PLAIN = QueryFeatures(mask_share=0)


# --- an independent computation, row by row and pair by pair ---


def names_of(row):
    """Keys of a row of the log by kind, told apart from the code under test."""

    def clean(value):
        text = "".join(" " if ord(c) < 32 or ord(c) == 127 else c for c in value or "").strip()
        return text or None

    user, source = clean(row["user"]), clean(row["source"])
    catalog, schema = ((clean(row[name]) or "").lower() or None for name in ("catalog", "schema"))
    scanned = scan_texts([row["sql_text"]])
    tables = qualified_tables(scanned.tables[0], catalog, schema)
    return {
        "user": user,
        "source": source,
        "catalog": catalog,
        "schema": (catalog, schema) if catalog and schema else None,
        "template": scanned.templates[0],
        "tables": tables,
        "user_tables": (user, tables) if user and tables else None,
    }


def known_on(row, features):
    end = row["end_time"]
    if pd.isna(end):
        end = row["create_time"] + timedelta(hours=features.unknown_duration_hours)
    return (max(end, row["create_time"]) + timedelta(minutes=features.ingest_delay_minutes)).date()


def quantile(amounts, weights, level):
    """Of a histogram with four bins per factor of two, from 2**-10 on."""
    edges = [0.0] + [2.0 ** (step / 4) for step in range(-40, 54 * 4 + 1)]
    total, below = sum(weights), 0.0
    for low, high in itertools.pairwise(edges):
        inside = sum(w for a, w in zip(amounts, weights, strict=True) if low <= a < high)
        if inside and below + inside >= level * total * (1 - 1e-12):
            return low + (high - low) * (level * total - below) / inside
        below += inside
    return math.nan


def reference(log, features):
    """History features of every row, straight from the definitions."""
    rows = [row | {"keys": names_of(row), "known": known_on(row, features)} for row in log.to_dict("records")]
    return [_reference_row(row, rows, features) for row in rows]


def _reference_row(row, rows, features):
    day = date.fromisoformat(row["date"])
    past = [
        other | {"weight": 2.0 ** (-(day - other["known"]).days / features.half_life_days)}
        for other in rows
        if other["known"] < day
    ]

    def of(kind, key):
        if key is None:
            return []
        found = [
            other for other in past if (key in other["keys"][kind] if kind == "tables" else other["keys"][kind] == key)
        ]
        alive = any((day - other["known"]).days <= features.forget_days for other in found)
        return found if alive else []

    def values(found, name):
        return [(other[name], other["weight"]) for other in found if not math.isnan(other[name])]

    def shrunk(found, parent, number):
        weight = sum(weight for _, weight in found)
        return (sum(number(value) * w for value, w in found) + features.prior_weight * parent) / (
            weight + features.prior_weight
        )

    def mean(found, number):
        weight = sum(w for _, w in found)
        return sum(number(value) * w for value, w in found) / weight if weight else math.nan

    def rate(found):
        return [(float(other["is_heavy"]), other["weight"]) for other in found]

    def p(found, level, name="cpu_time_s"):
        pairs = values(found, name)
        return quantile([a for a, _ in pairs], [w for _, w in pairs], level) if pairs else math.nan

    alive = any((day - other["known"]).days <= features.forget_days for other in past)
    everything = past if alive else []
    root = (
        mean(rate(everything), float),
        mean(values(everything, "cpu_time_s"), math.log1p),
        mean(values(everything, "peak_memory_gb"), math.log1p),
    )

    def means(found, parents):
        return (
            shrunk(rate(found), parents[0], float),
            shrunk(values(found, "cpu_time_s"), parents[1], math.log1p),
            shrunk(values(found, "peak_memory_gb"), parents[2], math.log1p),
        )

    def count(found):
        return math.log1p(sum(other["weight"] for other in found))

    keys, out, seen = row["keys"], {}, {}
    parents = root
    for kind, other_kind, diversity in (
        ("user", "catalog", "catalog_diversity"),
        ("catalog", "user", "user_diversity"),
    ):
        found = seen[kind] = of(kind, keys[kind])
        heavy, cpu, memory = means(found, root) if found else root
        recent = {
            other["keys"][other_kind] for other in found if (day - other["known"]).days <= features.diversity_days
        } - {None}
        p90 = p(found, 0.9)
        out |= {
            f"{kind}_query_count": count(found),
            f"{kind}_heavy_rate": heavy,
            f"{kind}_avg_cpu_seconds": math.expm1(cpu),
            f"{kind}_p90_cpu_seconds": p(everything, 0.9) if math.isnan(p90) else p90,
            f"{kind}_avg_memory_gb": math.expm1(memory),
            f"{kind}_{diversity}": float(len(recent)),
        }
        if kind == "catalog":
            parents = (heavy, cpu, memory)
    found = seen["schema"] = of("schema", keys["schema"])
    heavy, cpu, memory = means(found, parents) if found else parents
    out |= {
        "schema_query_count": count(found),
        "schema_heavy_rate": heavy,
        "schema_avg_cpu_seconds": math.expm1(cpu),
        "schema_avg_memory_gb": math.expm1(memory),
        "is_cold_start": float(not any(seen.values())),
    }
    found = of("template", keys["template"])
    peaks = [value for value, _ in values(found, "peak_memory_gb")]
    out |= {
        "template_seen": count(found),
        "template_heavy_rate": means(found, root)[0] if found else math.nan,
        "template_p50_cpu": p(found, 0.5),
        "template_p90_cpu": p(found, 0.9),
        "template_max_memory_gb": max(peaks, default=math.nan),
        "days_since_template": min(((day - other["known"]).days for other in found), default=math.nan),
    }
    tables = {name: of("tables", name) for name in keys["tables"]}
    out |= {
        "tables_max_heavy_rate": max((means(found, root)[0] for found in tables.values() if found), default=math.nan),
        "tables_unseen_share": sum(not found for found in tables.values()) / len(tables) if tables else math.nan,
    }
    for kind, name in (("user_tables", "user_tables"), ("source", "source")):
        found = of(kind, keys[name])
        out[f"{kind}_heavy_rate"] = means(found, root)[0] if found else math.nan
    return out


SIZES = {"tables_sum_median_input_bytes", "tables_max_median_input_rows"}


def assert_is_the_reference(query_stage, log, features):
    matrix = query_stage.run(log, features).matrix.set_index("query_id")
    expected = pd.DataFrame(reference(log, features), index=log["query_id"])
    assert set(expected) == {*HISTORY, *HISTORY_EXT} - SIZES
    for name in expected:
        np.testing.assert_allclose(
            matrix[name].reindex(expected.index), expected[name], rtol=2e-6, atol=2e-6, err_msg=name
        )


MOMENTS = st.tuples(st.sampled_from([0, 0, 1, 2, 3, 9, 32, 33, 250, 600]), st.sampled_from([0, 43_200, 86_399]))
RECORDS = st.fixed_dictionaries(
    {
        "moment": MOMENTS,
        "query": st.sampled_from(
            ["select a from t", "select a from t where x = 5", "select 1", "select b from u, c.s.v"]
        ),
        "seconds": st.sampled_from([None, -100_000.0, 0.0, 1.0, 3_600.0, 90_000.0, 500_000.0]),
        "cpu": st.sampled_from([None, 0.0, 0.0007, 1.0, 1.9, 2.0**0.25, 100.0, 1e6]),
        "memory": st.sampled_from([None, 0.0, 0.25, 12.0]),
        "heavy": st.booleans(),
        "user": st.sampled_from([None, "ana", "bo", " "]),
        "source": st.sampled_from([None, "jdbc"]),
        "catalog": st.sampled_from([None, "hive", "Hive", "memory"]),
        "schema": st.sampled_from([None, "s", "raw"]),
    }
)


def dated(records):
    start = np.datetime64("2026-01-01T00:00:00", "s")
    return [
        {name: value for name, value in record.items() if name != "moment"}
        | {"created": str(start + record["moment"][0] * 86_400 + record["moment"][1])}
        for record in records
    ]


@settings(max_examples=15)
@given(st.lists(RECORDS, min_size=1, max_size=14), st.sampled_from([1, 7, 30]), st.sampled_from([3, 30]))
def test_features_are_what_the_definitions_say(query_stage, records, half_life, window):
    features = QueryFeatures(mask_share=0, half_life_days=half_life, diversity_days=window)
    assert_is_the_reference(query_stage, query_stage.labelled(dated(records)), features)


def test_features_are_what_the_definitions_say_on_a_busier_log(query_stage):
    assert_is_the_reference(query_stage, query_stage.random_log(300, days=12), PLAIN)


def test_values_by_hand(query_stage):
    day = "2026-01-{:02d}T10:00:00".format
    common = {"user": "ana", "catalog": "hive", "schema": "sales", "query": "select a from t"}
    log = query_stage.labelled(
        [
            common
            | {
                "created": day(1),
                "cpu": 3.0,
                "memory": 1.0,
                "heavy": True,
                "inputs": [query_stage.read("t", 1024, 10)],
            },
            common
            | {"created": day(8), "cpu": 7.0, "memory": 3.0, "user": "bo", "inputs": [query_stage.read("t", 1024, 12)]},
            common | {"created": day(15)},
        ]
    )
    row = query_stage.run(log).matrix.set_index("query_id").loc["q00002"]
    # Known one day later at the earliest: 14 days ago, which is two half lives, and 7 days ago
    assert row["catalog_query_count"] == np.float32(math.log1p(0.25 + 0.5))
    assert row["user_query_count"] == np.float32(math.log1p(0.25))
    everyone = 0.25 / 0.75
    assert row["user_heavy_rate"] == np.float32((0.25 + 20 * everyone) / 20.25)
    # A catalog with all queries in it: shrinking towards its own mean changes nothing
    assert row["catalog_heavy_rate"] == pytest.approx(everyone, rel=1e-6)
    assert row["schema_avg_cpu_seconds"] == pytest.approx(4 ** (1 / 3) * 8 ** (2 / 3) - 1, rel=1e-5)
    assert row["catalog_user_diversity"] == 2
    assert row["template_max_memory_gb"] == 3
    assert row["days_since_template"] == 7
    # 1024 is the lower end of a bin that ends at 1024 * 2**0.25; the median is its middle, in whole bytes
    assert row["tables_sum_median_input_bytes"] == round(1024 * (1 + 2**0.25) / 2)
    # Median of 10 (once, of weight 1/4) and 12 (of weight 1/2): a quarter into the bin of 12, which begins at 2**3.5
    assert row["tables_max_median_input_rows"] == round(2**3.5 + (2**3.75 - 2**3.5) * 0.25)
    assert row["tables_unseen_share"] == 0


def test_bins_have_the_edges_that_they_say():
    edges = query_history.EDGES
    assert query_history.bins(edges[:-1]).tolist() == list(range(len(edges) - 1))
    below = np.nextafter(edges[1:], 0)
    assert query_history.bins(below).tolist() == list(range(len(edges) - 1))
    odd = np.array([np.nan, np.inf, 0.0, 1e-300, 1e300])
    assert query_history.bins(odd).tolist() == [-1, -1, 0, 0, len(edges) - 2]


# --- what a query must not know ---


def own_columns(log, rows):
    """Change all that is known only after a query, of some rows."""
    changed = log.copy()
    changed.loc[rows, "is_heavy"] = ~changed.loc[rows, "is_heavy"]
    changed.loc[rows, "cpu_time_s"] = 12_345.0
    changed.loc[rows, "peak_memory_gb"] = np.nan
    changed.loc[rows, "inputs_json"] = '[{"catalogName":"hive","schema":"s","table":"t","physicalInputBytes":9}]'
    return changed


def bits(matrix, ids):
    return matrix.set_index("query_id").loc[ids, [*HISTORY, *HISTORY_EXT]].to_numpy(dtype="float32").tobytes()


@settings(max_examples=12)
@given(st.data(), st.lists(RECORDS, min_size=2, max_size=12), st.lists(RECORDS, max_size=4))
def test_no_feature_knows_what_was_not_known_before_its_day(query_stage, data, records, added):
    log = query_stage.labelled(dated(records))
    day = date.fromisoformat(log["date"][data.draw(st.integers(0, len(log) - 1))])
    later = np.array([known_on(row, PLAIN) >= day for row in log.to_dict("records")])
    # All rows up to the day ask; of what became known since, some is another, some is gone, some is new
    fate = np.array(
        data.draw(st.lists(st.sampled_from(["other", "gone", "same"]), min_size=len(log), max_size=len(log)))
    )
    changed = own_columns(log, later)
    changed.loc[later & (fate == "other"), "user"] = "someone else"
    more = query_stage.labelled(dated(added)) if added else log.head(0)
    more = more[np.array([known_on(row, PLAIN) >= day for row in more.to_dict("records")], dtype=bool)]
    changed = changed[~later | (fate != "gone")]
    changed = pd.concat([changed, more.assign(query_id="x" + more["query_id"])], ignore_index=True)
    asking = log.loc[(log["date"] <= str(day)) & (~later | (fate == "same")), "query_id"]
    assert bits(query_stage.run(changed).matrix, asking) == bits(query_stage.run(log).matrix, asking)


def test_of_a_busy_log_no_day_knows_its_future(query_stage):
    log = query_stage.random_log(300, days=12)
    whole = query_stage.run(log).matrix
    for day in ("2026-01-04", "2026-01-09"):
        later = np.array([str(known_on(row, PLAIN)) >= day for row in log.to_dict("records")])
        changed = own_columns(log, later)
        asking = log.loc[log["date"] <= day, "query_id"]
        assert later[log["date"] <= day].sum() > 10
        assert bits(query_stage.run(changed).matrix, asking) == bits(whole, asking)
        assert bits(query_stage.run(changed).matrix, log["query_id"]) != bits(whole, log["query_id"])


def test_a_query_is_not_known_before_it_has_ended_and_was_stored(query_stage):
    first = {"created": "2026-01-01T10:00:00", "user": "ana"}
    asks = {"created": "2026-01-03T00:00:00", "user": "ana"}

    def count(seconds, **features):
        log = query_stage.labelled([first | {"seconds": seconds}, asks])
        parameters = QueryFeatures(mask_share=0, **features)
        return query_stage.run(log, parameters).matrix.set_index("query_id").loc["q00001", "user_query_count"]

    until_midnight = 14 * 3600.0 + 24 * 3600.0
    assert count(until_midnight - 3601) > 0
    assert count(until_midnight - 3600) == 0
    assert count(until_midnight - 3600, ingest_delay_minutes=59) > 0
    assert count(until_midnight, ingest_delay_minutes=0) == 0
    # Its end is not known: a day is assumed
    assert count(None) > 0
    assert count(None, unknown_duration_hours=37) == 0


def test_the_future_of_a_long_log_changes_no_bit(query_stage):
    """Weights start again after hundreds of half lives; nothing of that may be seen."""
    early = [
        {"created": f"2020-0{month}-11T01:00:00", "user": "ana", "cpu": cpu, "catalog": "hive"}
        for month, cpu in ((1, 0.3), (2, 5.7), (3, 11.0), (4, 0.1))
    ]
    late = [{"created": f"{year}-01-05T00:00:00", "user": "ana", "cpu": 77.0} for year in (2021, 2024, 2027)]
    features = QueryFeatures(mask_share=0, half_life_days=1, forget_days=400)
    alone = query_stage.run(query_stage.labelled(early), features).matrix
    together = query_stage.run(query_stage.labelled(early + late), features).matrix
    names = list(feature_names(features))
    found = together.set_index("query_id").loc[alone["query_id"], names]
    assert found.to_numpy().tobytes() == alone[names].to_numpy().tobytes()
    last = together.set_index("query_id").loc["q00006"]
    assert last["user_query_count"] == 0  # forgotten
    assert math.isnan(last["user_heavy_rate"])


# --- what is stored ---


def test_the_newest_snapshot_is_complete_and_the_others_hold_what_is_asked(query_stage):
    log = query_stage.random_log(200, days=9)
    stage = query_stage.run(log, sampled=log[log["split"] == "test"])
    history, keys = stage.history, stage.keys
    newest = history[history["date"] == history["date"].max()]
    last_known = keys["available_date"].dropna().max()
    assert newest["date"].iloc[0] == str(date.fromisoformat(last_known) + timedelta(days=1))
    for kind in ("user", "catalog", "schema", "template", "source", "user_tables"):
        assert set(newest.loc[newest["kind"] == kind, "key"]) == set(keys[kind].dropna())
    asked = set(log.loc[log["split"] == "test", "date"])
    assert set(history["date"]) <= asked | {newest["date"].iloc[0]}
    assert not history.duplicated(["date", "kind", "key"]).any()
    whole = query_stage.run(log).history.merge(history, on=["date", "kind", "key"], suffixes=("", "_asked"))
    assert len(whole) == len(history)
    for name in STATE:
        assert whole[name].to_numpy().tobytes() == whole[f"{name}_asked"].to_numpy().tobytes(), name


def test_the_newest_snapshot_is_what_a_query_of_that_day_would_ask_for(query_stage):
    records = [{"created": f"2026-01-0{day}T10:00:00", "user": user} for day, user in ((1, "ana"), (2, "bo"))]
    newest = query_stage.run(query_stage.labelled(records)).history
    newest = newest[newest["date"] == "2026-01-03"].set_index(["kind", "key"])
    asking = [*records, {"created": "2026-01-03T00:00:00", "user": "ana"}]
    asked = query_stage.run(query_stage.labelled(asking)).history
    asked = asked[asked["date"] == "2026-01-03"].set_index(["kind", "key"])
    assert ("user", "bo") in newest.index
    assert ("user", "bo") not in asked.index
    pd.testing.assert_frame_equal(newest.loc[asked.index], asked)


def test_daily_statistics_are_whole_numbers_that_add_up(query_stage):
    log = query_stage.random_log(400, days=9)
    stage = query_stage.run(log)
    daily = stage.daily
    known = stage.keys[stage.keys["available_date"].notna()]
    everything = daily[daily["kind"] == "global"]
    assert everything["queries"].sum() == len(known)
    assert everything["heavy"].sum() == known["is_heavy"].sum()
    assert everything["cpu_known"].sum() == known["cpu_time_s"].notna().sum()
    assert everything["log_cpu"].sum() == pytest.approx(2**20 * np.log1p(known["cpu_time_s"]).sum(), rel=1e-6)
    users = daily[(daily["kind"] == "user") & (daily["measure"] == "cost")]
    assert users.groupby("key")["queries"].sum().to_dict() == known.groupby("user").size().to_dict()
    assert not daily.duplicated(["date", "kind", "key", "measure", "bin", "member"]).any()


# --- odd logs ---


@pytest.mark.parametrize("column", ["user", "source", "catalog", "schema", "inputs_json"])
def test_what_a_log_does_not_have_is_no_key(query_stage, column):
    log = query_stage.random_log(60, days=5).assign(**{column: None})
    stage = query_stage.run(log)
    kinds = set(stage.history["kind"])
    assert column not in kinds
    if column == "user":
        assert "user_tables" not in kinds
        assert stage.matrix["cold_user"].all()
        assert (stage.matrix["user_query_count"] == 0).all()
        warm = stage.matrix["user_heavy_rate"].notna()
        assert warm.any()
    assert "template" in kinds


def test_without_end_times_history_still_grows(query_stage):
    log = query_stage.random_log(60, days=6).assign(end_time=np.datetime64("NaT", "us"))
    stage = query_stage.run(log)
    assert (stage.keys["available_date"] > stage.keys["date"]).all()
    assert (stage.matrix["template_seen"] > 0).any()


def test_the_first_day_knows_nothing(query_stage):
    log = query_stage.labelled([{"user": "ana", "catalog": "hive", "schema": "s"}] * 3)
    log["query_id"] = ["a", "b", "c"]
    stage = query_stage.run(log)
    row = stage.matrix.iloc[0]
    assert stage.matrix["is_cold_start"].tolist() == [1, 1, 1]
    assert row[["user_query_count", "catalog_query_count", "schema_query_count", "template_seen"]].tolist() == [0] * 4
    assert row[["user_heavy_rate", "schema_avg_cpu_seconds", "catalog_p90_cpu_seconds"]].isna().all()
    assert not stage.matrix["seen_template"].any()
    assert set(stage.history["date"]) == {"2026-01-02"}


def test_a_log_of_which_nothing_is_ever_known_has_no_snapshot(query_stage):
    log = query_stage.labelled([{"user": "ana"}]).assign(
        create_time=np.datetime64("NaT"), end_time=np.datetime64("NaT")
    )
    for name in ("create_time", "end_time"):
        log[name] = log[name].astype("datetime64[us]")
    stage = query_stage.run(log)
    assert len(stage.daily) == len(stage.history) == 0
    assert len(stage.matrix) == 1
    assert stage.matrix["is_cold_start"].tolist() == [1]


# --- engines ---


def assert_same(found, expected, keys):
    """Bit for bit, whatever the order of the rows."""
    found, expected = (table.sort_values(keys, ignore_index=True) for table in (found, expected))
    assert list(found) == list(expected)
    for name in expected:
        left, right = found[name], expected[name]
        if right.dtype == object:
            assert left.tolist() == right.tolist(), name
        else:
            assert left.to_numpy(dtype=right.dtype).tobytes() == right.to_numpy().tobytes(), name


KEYS = {
    "keys": ["query_id"],
    "daily": ["date", "kind", "key", "measure", "bin", "member"],
    "history": ["date", "kind", "key"],
    "matrix": ["query_id"],
}


@pytest.mark.spark
def test_spark_gives_the_same_tables_bit_for_bit(query_stage, frame_engine):
    log = query_stage.random_log(400, days=8)
    sampled = log[log.index % 3 > 0]
    features = QueryFeatures(day_parts=3)
    expected = query_stage.run(log, features, sampled=sampled)
    found = query_stage.run(frame_engine.make(log), features, sampled=frame_engine.make(sampled))
    assert found.account == expected.account
    for name, keys in KEYS.items():
        assert_same(engines.to_pandas(getattr(found, name)), getattr(expected, name), keys)


SAMPLE = Path(__file__).parents[2] / "data/01_raw/query_cost/query_log.parquet"


@pytest.mark.slow
@pytest.mark.spark
def test_ten_thousand_rows_of_the_sample_are_the_same_on_spark_and_in_the_service(query_stage, spark):
    raw = pd.read_parquet(SAMPLE)
    raw = raw[raw["date"] >= sorted(raw["date"].unique())[-12]].reset_index(drop=True)
    texts = [executed_text(*pair) for pair in zip(raw["query"], raw["prepared_query"], strict=True)]
    last = raw["date"].max()
    log = raw.assign(
        sql_text=texts,
        is_heavy=raw["cpu_time_s"] >= 1.0,
        split=np.where(raw["date"] < last, "train", "test"),
        weight=1.0,
    )
    features = QueryFeatures(day_parts=2)
    native = spark.createDataFrame(pyarrow.Table.from_pandas(log, preserve_index=False)).localCheckpoint()
    expected, found = query_stage.run(log, features), query_stage.run(native, features)
    assert len(expected.matrix) >= 10_000
    for name, keys in KEYS.items():
        assert_same(engines.to_pandas(getattr(found, name)), getattr(expected, name), keys)
    report = check_parity(log, expected.history, expected.matrix, expected.account, features)
    assert report["rows"] == 10_000
