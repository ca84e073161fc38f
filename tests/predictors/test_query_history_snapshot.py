"""Snapshots: what is looked up, what stands in for the unknown, and files that keep every bit."""

import io
import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from augury.predictors import query_keys as qk
from augury.predictors.query_history import (
    HISTORY,
    HISTORY_EXT,
    SNAPSHOT,
    STATE,
    HistorySnapshot,
    description,
    history_features,
    newest_snapshot,
)

NAMES = (*HISTORY, *HISTORY_EXT)


def state(kind, key, **values):
    return {"date": "2026-01-05", "kind": kind, "key": key} | dict.fromkeys(STATE, math.nan) | {
        "queries": 0.0, "heavy": 0.0, "cpu_known": 0.0, "log_cpu": 0.0, "memory_known": 0.0, "log_memory": 0.0,
        "members": 0.0,
    } | values  # fmt: skip


def snapshot(*records):
    return HistorySnapshot.from_frame(pd.DataFrame(records, columns=list(SNAPSHOT)))


def keys(**given):
    """Keys of one query."""
    one = dict.fromkeys(("user", "source", "catalog", "schema", "template", "user_tables"))
    tables = [given.pop("tables", ())]
    return qk.QueryKeys(tables=tables, **{name: [given.get(name)] for name in one})


def look_up(found, weight=20.0, **given):
    return dict(zip(NAMES, history_features(keys(**given), found, weight, True)[0], strict=True))


ROOT = state(
    "global", "", queries=100.0, heavy=4.0, cpu_known=80.0, log_cpu=160.0, memory_known=50.0, log_memory=25.0,
    p90_cpu_seconds=33.0,
)  # fmt: skip


def test_what_was_never_seen_gets_the_values_of_all_queries_or_none():
    found = look_up(snapshot(ROOT), user="ana", catalog="hive", schema="hive.s", tables=("a", "b"))
    for kind in ("user", "catalog", "schema"):
        assert found[f"{kind}_query_count"] == 0
        assert found[f"{kind}_heavy_rate"] == 0.04
        assert found[f"{kind}_avg_cpu_seconds"] == pytest.approx(math.expm1(2))
        assert found[f"{kind}_avg_memory_gb"] == pytest.approx(math.expm1(0.5))
    assert found["user_p90_cpu_seconds"] == found["catalog_p90_cpu_seconds"] == 33
    assert found["is_cold_start"] == 1
    assert found["template_seen"] == 0
    assert found["tables_unseen_share"] == 1
    rest = [name for name in HISTORY_EXT if name not in ("template_seen", "tables_unseen_share")]
    assert all(math.isnan(found[name]) for name in rest)


def test_without_any_history_only_counts_are_known():
    found = look_up(snapshot(), user="ana", tables=())
    known = {name for name, value in found.items() if not math.isnan(value)}
    assert known == {
        "user_query_count", "catalog_query_count", "schema_query_count", "user_catalog_diversity",
        "catalog_user_diversity", "is_cold_start", "template_seen",
    }  # fmt: skip


def test_rates_lean_towards_the_parent_by_its_weight():
    records = [
        ROOT,
        state("catalog", "hive", queries=60.0, heavy=30.0, cpu_known=10.0, log_cpu=50.0),
        state("schema", "hive.s", queries=5.0, heavy=5.0, cpu_known=5.0, log_cpu=0.0),
        state("schema", "other.s", queries=5.0, heavy=5.0),
        state("user", "ana", queries=20.0, heavy=0.0),
    ]
    found = look_up(snapshot(*records), user="ana", catalog="hive", schema="hive.s")
    catalog_rate = (30 + 20 * 0.04) / 80
    assert found["user_heavy_rate"] == (0 + 20 * 0.04) / 40
    assert found["catalog_heavy_rate"] == catalog_rate
    assert found["schema_heavy_rate"] == pytest.approx((5 + 20 * catalog_rate) / 25)
    catalog_log = (50 + 20 * 2) / 30
    assert found["schema_avg_cpu_seconds"] == pytest.approx(math.expm1((0 + 20 * catalog_log) / 25))
    # No memory of its own: its catalog's, which has none either: that of all
    assert found["schema_avg_memory_gb"] == pytest.approx(math.expm1(0.5))
    assert found["user_p90_cpu_seconds"] == 33
    assert found["is_cold_start"] == 0
    # A new schema of a known catalog; a known schema of a catalog that is not known
    assert look_up(snapshot(*records), catalog="hive", schema="hive.new")["schema_heavy_rate"] == catalog_rate
    other = look_up(snapshot(*records), catalog="other", schema="other.s")
    assert other["schema_heavy_rate"] == pytest.approx((5 + 20 * 0.04) / 25)
    light = look_up(snapshot(*records), weight=1.0, user="ana")
    assert light["user_heavy_rate"] == 0.04 / 21


def test_tables_are_taken_together():
    records = [
        ROOT,
        state("table", "a", queries=20.0, heavy=20.0, median_input_bytes=1000.4, median_input_rows=7.0),
        state("table", "b", queries=20.0, heavy=0.0, median_input_bytes=24.0),
        state("table", "c", queries=20.0),
    ]
    found = look_up(snapshot(*records), tables=("a", "b", "c", "new"))
    assert found["tables_max_heavy_rate"] == (20 + 0.8) / 40
    assert found["tables_sum_median_input_bytes"] == 1024
    assert found["tables_max_median_input_rows"] == 7
    assert found["tables_unseen_share"] == 0.25
    only = look_up(snapshot(*records), tables=("c",))
    assert math.isnan(only["tables_sum_median_input_bytes"])
    assert only["tables_unseen_share"] == 0


NUMBERS = st.one_of(st.just(math.nan), st.floats(0, 1e12))
RECORDS = st.lists(
    st.builds(
        lambda kind, key, values: (
            {"date": "2026-01-05", "kind": kind, "key": key} | dict(zip(STATE, values, strict=True))
        ),
        st.sampled_from([kind for kind in qk.KINDS if kind != "global"]),
        st.sampled_from(["a", "b", "a.b", "ü", "日本 '\""]),
        st.lists(NUMBERS, min_size=len(STATE), max_size=len(STATE)),
    ),
    max_size=12,
    unique_by=lambda record: (record["kind"], record["key"]),
)


@settings(max_examples=15)
@given(RECORDS, st.randoms(use_true_random=False))
def test_tables_and_files_keep_every_bit_in_any_order(records, random):
    first = snapshot(ROOT, *records)
    shuffled = [ROOT, *records]
    random.shuffle(shuffled)
    buffer = io.BytesIO()
    snapshot(*shuffled).to_frame().to_parquet(buffer, index=False)
    second = HistorySnapshot.from_frame(pd.read_parquet(io.BytesIO(buffer.getvalue())))
    assert second.as_of == first.as_of == "2026-01-05"
    assert second.size == first.size == len(records) + 1
    assert second.positions == first.positions
    for kind, table in first.lookups(20.0).items():
        assert second.lookups(20.0)[kind].tobytes() == table.tobytes()


def test_an_empty_snapshot_survives_its_table():
    table = snapshot().to_frame()
    assert list(table) == list(SNAPSHOT)
    again = HistorySnapshot.from_frame(table)
    assert again.as_of is None
    assert again.size == 0


def test_a_snapshot_is_of_one_date_and_has_a_key_once():
    with pytest.raises(ValueError, match="one date"):
        snapshot(ROOT, state("user", "ana") | {"date": "2026-01-06"})
    with pytest.raises(ValueError, match="twice"):
        snapshot(state("user", "ana"), state("user", "ana"))


def test_the_newest_snapshot_is_that_of_the_last_date():
    history = pd.DataFrame([ROOT, ROOT | {"date": "2026-01-09", "heavy": 9.0}, ROOT | {"date": "2025-12-31"}])
    found = newest_snapshot(history)
    assert found.as_of == "2026-01-09"
    assert look_up(found)["user_heavy_rate"] == 0.09
    assert newest_snapshot(history.head(0)).size == 0


def test_every_feature_is_described():
    assert all(description(name) for name in NAMES)
    assert np.unique([description(name) for name in NAMES]).size == len(NAMES)
