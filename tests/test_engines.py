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
