"""The engine primitives: the same numbers on every engine, whatever the rows around."""

import hashlib

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from augury import engines

# No surrogates: neither parquet nor Spark can hold them
TEXTS = st.lists(st.one_of(st.none(), st.text(st.characters(exclude_categories=["Cs"]), max_size=8)), max_size=12)

ODD = [
    "",
    None,
    " ",
    "a",
    "a ",
    "A",
    "ä",
    "a\u0308",
    "日本",
    "👩‍👩‍👧",
    "\n",
    "\t",
    "'",
    '"',
    "\\",
    "%s",
    "NULL",
    "None",
    "nan",
    "\x00",
    "0",
]


def draws(texts, seed=7):
    frame = pd.DataFrame({"key": pd.Series(texts, dtype="object")})
    return engines.hash_uniform(frame, "key", seed, "draw")["draw"].to_numpy()


@pytest.mark.parametrize("seed", [0, 42, -1, 2**40])
def test_a_draw_is_the_first_52_bits_of_md5(seed):
    expected = [(int(hashlib.md5(f"{seed}:{text or ''}".encode()).hexdigest(), 16) >> 76) / 2**52 for text in ODD]
    assert draws(ODD, seed).tolist() == expected


@given(TEXTS)
def test_a_draw_does_not_depend_on_the_other_rows(texts):
    together = draws(texts)
    assert ((together >= 0) & (together < 1)).all()
    assert together.tolist() == [draws([text])[0] for text in texts]
    assert draws(texts[::-1]).tolist() == together[::-1].tolist()


def test_draws_are_uniform_and_seeds_independent():
    from scipy.stats import kstest, pearsonr

    names = [f"file-{number}" for number in range(20_000)]
    first, second = draws(names, 1), draws(names, 2)
    assert kstest(first, "uniform").pvalue > 0.01
    assert kstest(second, "uniform").pvalue > 0.01
    assert pearsonr(first, second).pvalue > 0.01
    assert len(set(first)) == len(names)


def test_draws_are_the_same_on_every_engine(frame_engine):
    random = np.random.default_rng(5)
    texts = ODD + ["".join(chr(code) for code in random.integers(32, 0xD000, 6)) for _ in range(300)]
    frame = pd.DataFrame({"row": range(len(texts)), "key": pd.Series(texts, dtype="object")})
    native = engines.hash_uniform(frame_engine.make(frame), "key", 7, "draw")
    found = frame_engine.collect(native, "row")
    assert found["draw"].to_numpy().tobytes() == draws(texts).tobytes()
    assert found["key"].tolist() == frame["key"].tolist()


def test_hashing_leaves_the_given_frame_alone():
    frame = pd.DataFrame({"key": ["a"]}, index=[5])
    found = engines.hash_uniform(frame, "key", 1, "draw")
    assert list(frame) == ["key"]
    assert found.index.tolist() == [5]


def test_to_pandas_keeps_the_values_of_every_engine(frame_engine):
    frame = pd.DataFrame({"row": [1, 2, 3], "number": [0.1, None, -0.0], "text": ["a", None, "ü"]})
    found = frame_engine.collect(frame_engine.make(frame), "row")
    pd.testing.assert_frame_equal(found, frame, check_dtype=False)
    assert np.signbit(found["number"].iloc[2])


def test_failing_batches_gathers_what_is_reported():
    frame = pd.DataFrame({"number": [1, -2, -3]})

    def negative(batch):
        return pd.DataFrame({"value": batch.loc[batch["number"] < 0, "number"].astype(str)})

    assert engines.failing_batches(frame, negative, ["value"])["value"].tolist() == ["-2", "-3"]


# --- functions on pandas pieces ---

EVERYTHING = {
    "row": "long",
    "text": "string",
    "number": "double",
    "small": "float",
    "count": "int",
    "flag": "boolean",
    "time": "timestamp",
}


def everything():
    """A row per kind of value, the last with everything missing that may be missing."""
    times = ["1969-12-31T23:59:59.999999", "2026-03-29T01:30:00", "2026-10-25T02:30:00.000001", "NaT"]
    return pd.DataFrame(
        {
            "row": [1, 2, 3, 4],
            "text": pd.Series(["a", "", "ü\x00b", None], dtype=object),
            "number": [0.1, -0.0, 1e300, np.nan],
            "small": np.array([0.1, -0.0, 1e-45, np.nan], dtype=np.float32),
            "count": np.array([1, -2, 2**31 - 1, 0], dtype=np.int32),
            "flag": [True, False, True, False],
            "time": np.array(times, dtype="datetime64[us]"),
        }
    )


def assert_same_bits(found, expected):
    assert list(found) == list(expected)
    assert found.dtypes.astype(str).tolist() == expected.dtypes.astype(str).tolist()
    for name in expected:
        if expected[name].dtype == object:
            assert [(type(value), value) for value in found[name]] == [(type(v), v) for v in expected[name]]
        else:
            assert found[name].to_numpy().tobytes() == expected[name].to_numpy().tobytes(), name


def test_values_and_types_survive_a_batch_on_every_engine(frame_engine):
    seen = {"text": "object", "number": "float64", "small": "float32", "time": "datetime64[us]"}

    def check(batch):
        assert batch[list(seen)].dtypes.astype(str).to_dict() == seen
        assert not any(isinstance(value, float) for value in batch["text"])
        # A text column that is all missing, integers where floats are due, another order and a column too many
        return batch[list(batch)[::-1]].assign(nothing=None, whole=1, more=0)

    schema = EVERYTHING | {"nothing": "string", "whole": "double"}
    found = frame_engine.collect(engines.map_batches(frame_engine.make(everything()), check, schema), "row")
    nothing = pd.Series([None] * 4, dtype=object)
    found["time"] = found["time"].astype("datetime64[us]")  # Spark collects nanoseconds
    assert_same_bits(found, everything().assign(nothing=nothing, whole=1.0))


def test_a_batch_may_give_more_or_fewer_rows_and_none_is_called_for_no_rows(frame_engine):
    def repeat(batch):
        assert len(batch)
        return batch.loc[batch.index.repeat(batch["row"] - 1)]

    frame = everything()
    found = frame_engine.collect(engines.map_batches(frame_engine.make(frame), repeat, EVERYTHING), "row")
    assert found["row"].tolist() == [2, 3, 3, 4, 4, 4]
    # A filter that keeps nothing leaves Spark with partitions without rows
    empty = frame_engine.make(frame)
    empty = empty[empty["row"] > 9]
    found = frame_engine.collect(engines.map_batches(empty, repeat, EVERYTHING), "row")
    assert len(found) == 0
    assert list(found) == list(EVERYTHING)
    assert found["small"].dtype == np.float32


KEYED = pd.DataFrame(
    {
        "day": ["b", None, "a", "b", None, "c"],
        "part": pd.Series([1.0, 2.0, np.nan, 1.0, 2.0, 1.0]),
        "value": [1, 2, 4, 8, 16, 32],
    }
)


def test_groups_are_whole_and_missing_keys_are_keys(frame_engine):
    def total(group):
        return group.head(1).assign(value=group["value"].sum(), rows=len(group))

    schema = {"day": "string", "part": "double", "value": "long", "rows": "long"}
    native = engines.map_groups(frame_engine.make(KEYED), ["day", "part"], total, schema)
    found = frame_engine.collect(native, "value")
    assert found["value"].tolist() == [4, 9, 18, 32]
    assert found["rows"].tolist() == [1, 2, 2, 1]
    assert found["day"].tolist() == ["a", "b", None, "c"]
    assert found["part"].isna().tolist() == [True, False, False, False]


def test_cogroups_know_the_keys_of_either_side(frame_engine):
    right = pd.DataFrame({"day": ["b", "d", None], "factor": [10, 20, 30]})

    def join(rows, factors):
        day = [*rows["day"], *factors["day"]][0]
        return pd.DataFrame({"day": [day], "rows": len(rows), "value": rows["value"].sum() * factors["factor"].sum()})

    schema = {"day": "string", "rows": "long", "value": "long"}
    native = engines.map_cogroups(frame_engine.make(KEYED), frame_engine.make(right), ["day"], join, schema)
    found = frame_engine.collect(native, ["day"])
    assert found.to_dict("list") == {
        "day": ["a", "b", "c", "d", None],
        "rows": [1, 2, 1, 0, 2],
        "value": [0, 90, 0, 0, 540],
    }


def test_a_divided_group_meets_all_rows_of_the_other_side(frame_engine):
    left = pd.DataFrame({"day": ["a", "b"] * 50, "row": range(100)})
    right = pd.DataFrame({"day": ["a", "b", "b", "c"], "factor": [1, 10, 20, 40]})

    def scale(rows, factors):
        assert list(rows) == list(left)
        assert list(factors) == list(right)
        return rows.assign(value=rows["row"] * factors["factor"].sum())

    schema = {"row": "long", "value": "long"}
    native = engines.map_cogroups(
        frame_engine.make(left), frame_engine.make(right), ["day"], scale, schema, divided=("row", 5)
    )
    found = frame_engine.collect(native, "row")
    assert found["row"].tolist() == list(range(100))
    assert found["value"].tolist() == [row * (30 if row % 2 else 1) for row in range(100)]


def test_a_small_table_is_brought_to_the_engine_of_another(frame_engine):
    found = engines.like(frame_engine.make(KEYED), everything(), EVERYTHING)
    found = frame_engine.collect(found, "row")
    found["time"] = found["time"].astype("datetime64[us]")
    assert_same_bits(found, everything())


def test_buckets_keep_the_rows_of_a_key_together(frame_engine):
    left = pd.DataFrame({"kind": "k", "key": [f"key {number % 37}" for number in range(200)], "value": range(200)})
    right = pd.DataFrame({"kind": "k", "key": [f"key {number}" for number in range(30, 45)], "wanted": range(15)})

    def sums(rows, wanted):
        assert list(rows) == list(left)
        assert list(wanted) == list(right)
        totals = rows.groupby("key")["value"].sum()
        return wanted[["key", "wanted"]].assign(total=wanted["key"].map(totals).astype("float64"))

    schema = {"wanted": "long", "key": "string", "total": "double"}
    native = engines.map_cobuckets(frame_engine.make(left), frame_engine.make(right), ["kind", "key"], sums, schema)
    found = frame_engine.collect(native, "wanted")
    expected = [sum(range(number, 200, 37)) if number < 37 else np.nan for number in range(30, 45)]
    np.testing.assert_array_equal(found["total"], expected)
    assert found["key"].tolist() == right["key"].tolist()


def test_functions_on_pieces_leave_the_given_frame_alone():
    frame = everything().set_index(pd.Index([4, 3, 2, 1]))
    before = frame.copy()
    found = engines.map_batches(frame, lambda batch: batch.assign(number=0.0), EVERYTHING)
    assert found.index.tolist() == [0, 1, 2, 3]
    pd.testing.assert_frame_equal(frame, before)
