"""Deltas: blocks come back as they were; a replay does what a store does, and never better than the best possible."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from augury.errors import InputError, UserError
from augury.predictors.band_index import Banding
from augury.predictors.block_index import IndexSettings
from augury.predictors.delta_compression import delta, plain, restore
from augury.predictors.delta_replay import (
    DELTA,
    IDENTICAL,
    WHOLE,
    DeltaRules,
    Outcome,
    best_possible,
    outcomes_of,
    replay_deltas,
    twins_of,
)
from augury.predictors.delta_store import DeltaStore
from augury.predictors.shingle_sketches import SketchRecipe

from .edited_blocks import edited, family, random_block

SETTINGS = IndexSettings(sketch=SketchRecipe(hashes=64), banding=Banding(bands=16, rows=4), threshold=0.3)
RULES = DeltaRules(least_similarity=0.2, least_saving=0.2, drift_limit=None)


@given(block=st.binary(max_size=2000), reference=st.binary(max_size=2000))
@settings(max_examples=60, deadline=None)
def test_a_block_comes_back_as_it_was(block, reference):
    assert restore(plain(block)) == block
    assert restore(delta(block, reference), reference) == block


def test_a_small_edit_takes_few_bytes_wherever_it_is_in_a_large_block():
    block = random_block(300_000, 1)
    for seed in range(3):
        assert len(delta(edited(block, 0.001, seed), block)) < 2_000


def test_another_reference_restores_nothing():
    block = random_block(3_000, 2)
    packed = delta(edited(block, 0.1, 1), block)
    try:
        found = restore(packed, random_block(3_000, 3))
    except UserError as error:
        assert "cannot be restored" in str(error)
    else:  # no checksum is stored: what comes out is at least not taken for the block
        assert found != edited(block, 0.1, 1)
    with pytest.raises(UserError, match="cannot be restored"):
        restore(b"no zstd")


def test_identical_blocks_are_known_by_their_digest():
    assert twins_of(["a", "b", "a", "", None, "", "a"]) == [-1, -1, 0, -1, -1, -1, 0]


def newest_first(place):
    return iter(range(place - 1, -1, -1))


def test_a_reference_is_stored_whole_itself():
    outcomes = {(later, earlier): Outcome(10, 1.0) for later in range(4) for earlier in range(later)}
    stored = replay_deltas([100] * 4, [-1] * 4, newest_first, outcomes, RULES)
    assert stored.choices == [WHOLE, DELTA, DELTA, DELTA]
    assert stored.references.tolist() == [-1, 0, 0, 0]
    longer = RULES.model_copy(update={"chain_limit": 2})
    assert replay_deltas([100] * 4, [-1] * 4, newest_first, outcomes, longer).references.tolist() == [-1, 0, 1, 1]


def test_what_saves_too_little_is_stored_whole_and_refers_others():
    outcomes = {(1, 0): Outcome(85, 2.0), (2, 0): Outcome(90, 2.0), (2, 1): Outcome(20, 2.0)}
    stored = replay_deltas([100] * 3, [-1] * 3, newest_first, outcomes, RULES)
    assert stored.choices == [WHOLE, WHOLE, DELTA]
    assert stored.references.tolist() == [-1, -1, 1]
    assert stored.microseconds.tolist() == [0, 2, 2]


def test_identical_blocks_take_nothing_and_are_nobodys_reference():
    outcomes = {(2, 1): Outcome(1, 1.0), (2, 0): Outcome(30, 1.0)}
    stored = replay_deltas([100] * 3, [-1, 0, -1], newest_first, outcomes, RULES)
    assert stored.bytes.tolist() == [100, 0, 30]
    assert stored.choices == [WHOLE, IDENTICAL, DELTA]


def test_a_delta_that_was_not_measured_is_of_no_use():
    stored = replay_deltas([100, 100], [-1, -1], newest_first, {}, RULES)
    assert stored.bytes.tolist() == [100, 100]


def test_drift_brings_a_new_whole_block():
    """Versions move away from the first one step by step; the sum of what that costs is limited."""
    count = 30
    outcomes = {
        (later, earlier): Outcome(10 * (later - earlier), 1.0) for later in range(count) for earlier in range(later)
    }

    def total(limit):
        rules = DeltaRules(least_similarity=0, least_saving=0, drift_limit=limit)
        return replay_deltas([500] * count, [-1] * count, newest_first, outcomes, rules)

    assert total(None).choices.count(WHOLE) == 1
    assert total(1.0).bytes.sum() < 0.75 * total(None).bytes.sum()
    same = {pair: Outcome(50, 1.0) for pair in outcomes}  # no drift, however many
    rules = DeltaRules(least_similarity=0, least_saving=0, drift_limit=0.1)
    assert replay_deltas([500] * count, [-1] * count, newest_first, same, rules).choices.count(WHOLE) == 1


@given(st.data())
@settings(max_examples=80, deadline=None)
def test_no_policy_stores_less_than_the_best_possible(data):
    count = data.draw(st.integers(1, 12))
    sizes = data.draw(st.lists(st.integers(1, 100), min_size=count, max_size=count))
    digests = data.draw(st.lists(st.sampled_from(["a", "b", "c", "", None]), min_size=count, max_size=count))
    pairs = [(later, earlier) for later in range(count) for earlier in range(later)]
    chosen = data.draw(st.lists(st.sampled_from(pairs), unique=True)) if pairs else []
    outcomes = {pair: Outcome(data.draw(st.integers(1, 120)), 1.0) for pair in chosen}
    rules = DeltaRules(
        least_similarity=0,
        least_saving=data.draw(st.sampled_from([0, 0.3])),
        drift_limit=data.draw(st.sampled_from([None, 0.5])),
        chain_limit=data.draw(st.integers(1, 3)),
        tries=data.draw(st.integers(1, 3)),
    )
    twins = twins_of(digests)
    stored = replay_deltas(sizes, twins, newest_first, outcomes, rules)
    assert (stored.bytes <= sizes).all()
    assert (stored.bytes >= best_possible(sizes, twins, outcomes)).all()
    for place, (choice, reference) in enumerate(zip(stored.choices, stored.references, strict=True)):
        assert (choice == WHOLE) == (reference == -1)
        assert reference < place
        length, at = 0, place
        while stored.choices[at] == DELTA:
            length, at = length + 1, stored.references[at]
        assert length <= rules.chain_limit


def test_outcomes_are_of_earlier_blocks_that_are_there():
    cases = pd.DataFrame({"block": ["a", "b", "c"]})
    pairs = pd.DataFrame(
        {
            "block": ["b", "c", "c", "a", "c"],
            "reference": ["a", "b", "x", "b", "a"],
            "delta_bytes": [5, None, 6, 7, 8],
            "delta_us": [1.0, 2.0, 3.0, 4.0, None],
        }
    )
    assert outcomes_of(cases, pairs) == {(1, 0): (5, 1.0), (2, 0): (8, 0.0)}


# --- the store ---


def stored_versions(count=8):
    store = DeltaStore(SETTINGS, RULES)
    blocks = {f"v{number}": block for number, block in enumerate(family(4000, count, 0.05, 3))}
    return store, blocks, [store.put(name, block) for name, block in blocks.items()]


def test_a_store_keeps_versions_in_few_bytes_and_gives_them_back():
    store, blocks, how = stored_versions()
    assert how[0] == WHOLE
    assert how.count(DELTA) >= 5
    assert store.stored_bytes < 0.5 * sum(len(plain(block)) for block in blocks.values())
    assert all(store.get(name) == block for name, block in blocks.items())


def test_blocks_that_refer_to_a_deleted_one_stay():
    store, blocks, _ = stored_versions()
    assert store.put("twin", blocks["v0"]) == IDENTICAL
    store.put("twin of a delta", blocks["v3"])
    for name in ("v0", "twin", "v3"):
        store.delete(name)
    left = {name: block for name, block in blocks.items() if name not in ("v0", "v3")}
    left["twin of a delta"] = blocks["v3"]
    assert len(store) == len(left)
    assert all(store.get(name) == block for name, block in left.items())
    for name in left:
        store.delete(name)
    assert (len(store), store.stored_bytes, len(store.index)) == (0, 0, 0)
    with pytest.raises(InputError, match="no block 'v0'"):
        store.get("v0")


def test_random_blocks_take_no_more_than_alone():
    store = DeltaStore(SETTINGS, RULES)
    blocks = [random_block(3000, seed) for seed in range(20)] + [b"", b"abc", bytes(9)]
    for number, block in enumerate(blocks):
        store.put(str(number), block)
    assert store.stored_bytes == sum(len(plain(block)) for block in blocks)
    with pytest.raises(InputError, match="'0' is there already"):
        store.put("0", b"")


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 7)), max_size=25))
@settings(max_examples=25, deadline=None)
def test_whatever_is_put_and_deleted_what_is_there_can_be_read(steps):
    versions = family(600, 8, 0.1, 9)
    store, there = DeltaStore(SETTINGS, RULES), {}
    for name, version in steps:
        if str(name) in there:
            store.delete(str(name))
            del there[str(name)]
        else:
            store.put(str(name), versions[version])
            there[str(name)] = versions[version]
        assert {key: store.get(key) for key in there} == there
    assert np.isclose(len(store), len(there))
