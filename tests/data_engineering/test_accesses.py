"""Accesses: the same on pandas and Spark, in order, divided in time, refused with words."""

import numpy as np
import pandas as pd
import pytest

from augury.errors import UserError
from augury.pipelines.data_engineering.accesses import AccessSource, AccessSplit, prepare_accesses
from augury.pipelines.feature_engineering.accesses import AccessFeatures, build_access_features
from augury.schemas.accesses import Accesses


def raw(rows: int = 500) -> pd.DataFrame:
    generator = np.random.default_rng(0)
    return pd.DataFrame(
        {
            "trace": np.where(np.arange(rows) % 2 == 0, "a", "b"),
            "ts": np.arange(rows) // 7,
            "req": np.arange(rows),
            "session": [f"s{number}" for number in generator.integers(0, 3, rows)],
            "object": [f"o{number}" for number in generator.integers(0, 20, rows)],
            "position": generator.integers(0, 5, rows),
            "size": 4096,
        }
    )


def test_accesses_are_the_same_on_every_engine_and_in_any_order(frame_engine):
    table = raw()
    table.loc[[3, 4], "object"] = None
    shuffled = frame_engine.make(table.sample(frac=1, random_state=1, ignore_index=True))
    found, report = prepare_accesses(shuffled, AccessSource(), AccessSplit(), 1)
    expected, _ = prepare_accesses(table, AccessSource(), AccessSplit(), 1)
    pd.testing.assert_frame_equal(found, expected)
    assert report["rows_used"] == 500
    assert list(report["traces"]) == ["a", "b"]


def test_training_comes_first_and_its_blocks_are_in_time():
    found, _ = prepare_accesses(raw(), AccessSource(), AccessSplit(train_share=0.6, folds=5), 1)
    for _, rows in found.groupby("trace"):
        assert rows["place"].tolist() == list(range(250))
        assert (rows["part"] == "train").sum() == 150
        assert rows.loc[rows["part"] == "train", "fold"].is_monotonic_increasing
        assert rows.loc[rows["part"] == "train", "fold"].value_counts().tolist() == [30] * 5


def test_a_plain_trace_has_blocks_alone_and_large_ids_stay_exact():
    ids = np.array([2**63 - 1, -(2**63), 5] * 100)
    found, report = prepare_accesses(pd.DataFrame({"number": ids}), AccessSource(columns={"block": "number"}), AccessSplit(), 1)  # fmt: skip  # noqa: E501
    assert found["block"].tolist() == ids.tolist()
    assert report["columns"] == {"block": "number"}


def test_ids_that_tell_the_future_are_permuted_unless_they_must_not_be():
    table = pd.DataFrame({"block": np.arange(400)})
    found, report = prepare_accesses(table, AccessSource(), AccessSplit(), 1)
    assert report["traces"]["all"]["ids_permuted"]
    assert (np.diff(found["block"]) != 1).all()
    kept, report = prepare_accesses(table, AccessSource(ids="ordered"), AccessSplit(), 1)
    assert not report["traces"]["all"]["ids_permuted"]
    assert kept["block"].tolist() == list(range(400))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda table: table.drop(columns="position"), "there must be a column 'block'"),
        (lambda table: table.head(100), "at least 200 are needed"),
        (lambda table: table.head(0), "no rows"),
        (lambda table: table.assign(position=0.5), "must be whole numbers"),
    ],
)
def test_a_table_that_does_not_do_is_refused(change, words):
    with pytest.raises(UserError, match=words):
        prepare_accesses(Accesses.validate(change(raw())), AccessSource(), AccessSplit(), 1)


def test_an_unknown_canonical_column_comes_with_its_near_match():
    with pytest.raises(ValueError, match="Did you mean 'object'"):
        AccessSource(columns={"objekt": "x"})


def test_cases_are_windows_of_the_holdout_for_each_cache_and_delay():
    primary, _ = prepare_accesses(raw(1_000), AccessSource(), AccessSplit(), 1)
    features = AccessFeatures(window=60, cache_shares=[0.1, 0.5], delays=[1, 8])
    accesses, cases, report = build_access_features(primary, features)
    assert len(accesses) == 1_000
    # 200 held-out accesses a trace: three full windows, and a last one that is less than half full
    assert len(cases) == 2 * 3 * 2 * 2
    assert cases["case"].is_unique
    assert (cases["start"] >= 300).all()
    assert ((cases["stop"] - cases["start"]) == 60).all()
    assert report["cases"] == len(cases)
    with pytest.raises(UserError, match="no window"):
        build_access_features(primary, AccessFeatures(window=1_000))
    with pytest.raises(UserError, match="cache_shares"):
        build_access_features(primary, AccessFeatures(cache_shares=[0.0]))
