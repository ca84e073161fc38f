"""Statistics of bytes equal what they are defined as, computed another way; and no block crashes them."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from augury.predictors.block_statistics import MAGIC_CLASSES, STATISTICS, cut, sample_blocks, sample_bytes


def entropy(values):
    counts = np.bincount(values, minlength=256)
    shares = counts[counts > 0] / counts.sum()
    return float(-(shares * np.log2(shares)).sum())


@given(st.binary(min_size=2, max_size=900))
def test_a_block_that_is_read_as_a_whole_has_its_true_shares(content):
    found = sample_bytes([content]).iloc[0]
    values = np.frombuffer(content, np.uint8)
    assert found["size"] == len(content)
    assert found["entropy"] == pytest.approx(entropy(values), abs=1e-3)
    assert found["zero_share"] == pytest.approx((values == 0).mean())
    assert found["high_share"] == pytest.approx((values > 127).mean())
    assert found["run_share"] == pytest.approx((values[1:] == values[:-1]).mean(), abs=1e-6)
    assert found["unique_bytes"] == len(set(content))
    assert 0 <= found["match_rate"] <= 1


@given(st.binary(min_size=1, max_size=40_000), st.integers(1, 40_000))
def test_blocks_are_described_alike_wherever_they_stand(content, length):
    starts, stops = cut(len(content), length)
    together = sample_blocks(np.frombuffer(content, np.uint8), starts, stops)
    alone = sample_bytes([content[start:stop] for start, stop in zip(starts, stops, strict=True)])
    assert together.equals(alone)
    assert together["size"].sum() == len(content)
    assert np.isfinite(together[list(STATISTICS)].to_numpy()).all()


def test_noise_text_and_repetition_are_told_apart():
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 256, 65536, dtype=np.uint8).tobytes()
    text = " ".join(rng.choice(["store", "block", "codec", "a", "the"], 16000)).encode()[:65536]
    found = sample_bytes([noise, text, noise[:512] * 128])
    assert found["entropy"][0] > 7.5 > found["entropy"][1]
    assert found["match_rate"][0] < 0.01 < 0.1 < found["match_rate"][1]
    assert found["match_rate"][2] > 0.2
    assert list(found["magic"]) == ["other", "text", "other"]


@pytest.mark.parametrize(
    ("start", "kind"),
    [(b"PK\x03\x04", "archive"), (b"\x1f\x8b\x08", "archive"), (b"\x89PNG", "image"), (b"\x7fELF", "program"),
     (b"%PDF-1.7", "document"), (b"\xa7\x0d\x0d\x0a", "bytecode")],
    ids=["zip", "gzip", "png", "elf", "pdf", "pyc"],
)  # fmt: skip
def test_first_bytes_give_the_kind_away(start, kind):
    assert sample_bytes([start + bytes(range(200, 256))])["magic"][0] == kind
    assert kind in MAGIC_CLASSES


def test_a_block_beyond_the_data_is_refused():
    for start, stop in ((0, 11), (5, 5), (-1, 3)):
        with pytest.raises(ValueError, match="beyond the data"):
            sample_blocks(np.zeros(10, np.uint8), [start], [stop])
