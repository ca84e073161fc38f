"""The running check stops looks that promise nothing after a few of them, and goes on with those that pay."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from augury.predictors.codec_gates import CodecGate, gate_of
from augury.predictors.codec_looks import LookCheck, LookRule, honesty, looks_in_order

SIZE = 65536
LOOK_US = 3.0
RULE = LookRule()


def gate(**changes):
    settings = {"link_mbps": 100.0, "margin": 0.1, "inline_margin": 0.1, "inline_size": 8192}
    return CodecGate.model_validate(settings | changes)


def looks(promises, sizes=SIZE, rule=RULE, **changes):
    check = LookCheck(gate(**changes), rule, LOOK_US)
    return looks_in_order(check, np.broadcast_to(sizes, len(promises)), promises)


def test_looks_that_pay_go_on():
    assert looks(np.full(500, 10.0)).all()
    assert looks(np.tile([0.0, 0.0, 30.0, 0.0], 200)).all()


def test_looks_that_promise_nothing_end_after_a_few():
    looked = looks(np.zeros(20_000))
    # An advance of four looks is used up after them, each of which has to promise 1.25 times its time
    assert looked[:4].all() and not looked[4:11].any() and looked[11]
    gaps = np.diff(np.flatnonzero(looked[4:]))
    assert (gaps[:7] == RULE.pause * 2 ** np.arange(1, 8)).all() and (gaps <= RULE.longest_pause).all()
    assert looked.sum() < 4 + 15


def test_blocks_that_change_for_the_better_are_found_again_and_for_the_worse_too():
    promises = np.concatenate([np.zeros(1000), np.full(3000, 40.0), np.zeros(1000)])
    looked = looks(promises)
    assert looked[:1000].sum() < 15 and looked[2500:4000].all()
    assert looked[4000:4100].all() and looked[4110:].sum() < 10


def test_what_looks_cost_beyond_what_they_promise_is_bounded_whatever_comes():
    rng = np.random.default_rng(3)
    for share, gain in ((0.0, 0.0), (0.05, 20.0), (0.02, 100.0), (0.3, 8.0), (0.5, 50.0)):
        promises = gain * (rng.random(5000) < share)
        looked = looks(promises)
        lost = looked.sum() * LOOK_US - promises[looked].sum()
        assert lost < 30 * LOOK_US
        if share * gain > 2 * RULE.caution * LOOK_US:
            assert looked.mean() > 0.9


def test_promises_count_for_as_much_as_was_kept_of_them():
    assert looks(np.full(300, 5.0)).all()
    assert looks(np.full(300, 5.0), inline_honesty=0.5).sum() < 30


def test_a_block_too_small_or_a_shut_gate_is_never_looked_at():
    assert not looks(np.full(50, 1e6), sizes=8191).any()
    assert not looks(np.full(50, 1e6), inline_margin=None).any()
    sizes = np.tile([4096, SIZE], 100)
    assert (looks(np.full(200, 10.0), sizes=sizes) == (sizes == SIZE)).all()


def test_a_dearer_look_needs_more():
    promises = np.full(200, 10.0)
    assert looks_in_order(LookCheck(gate(), RULE, 3.0), [SIZE] * 200, promises).all()
    assert looks_in_order(LookCheck(gate(), RULE, 30.0), [SIZE] * 200, promises).sum() < 15


@given(st.lists(st.tuples(st.integers(1, 300_000), st.floats(0, 1e4)), max_size=200))
def test_the_same_blocks_are_looked_at_in_one_go_or_in_two(blocks):
    sizes, promises = [size for size, _ in blocks], [promised for _, promised in blocks]
    whole = looks_in_order(LookCheck(gate(), RULE, LOOK_US), sizes, promises)
    check, half = LookCheck(gate(), RULE, LOOK_US), len(blocks) // 2
    parts = [looks_in_order(check, sizes[part], promises[part]) for part in (slice(half), slice(half, None))]
    assert (whole == np.concatenate(parts)).all()


def test_far_from_every_bandwidth_the_gate_is_shut():
    gates = (gate(), gate(link_mbps=200.0, inline_size=0))
    assert gate_of(gates, 90.0) == gates[0] and gate_of(gates, 390.0) == gates[1]
    assert gate_of(gates, 401.0).inline_margin is None and gate_of(gates, 49.0).margin is None


@pytest.mark.parametrize(("saved", "promised", "share"), [(5, 10, 0.5), (20, 10, 1), (-1, 10, 0), (1, 0, 0)])
def test_honesty_is_a_share(saved, promised, share):
    assert honesty(saved, promised) == share
