"""`prefetch`: the mixture beside plain counting, its caches beside a dictionary, its gate, its contract, its words."""

import collections
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from augury.errors import InputError, UserError
from augury.predictors import access_lookup
from augury.predictors.access_baselines import read_ahead, static_markov
from augury.predictors.access_blocks import (
    BlockNames,
    block_numbers,
    block_of,
    numbered_by_appearance,
    object_number,
    permuted,
    unit_of,
)
from augury.predictors.access_engine import GatedCache, OnlineMixture, PlainCache
from augury.predictors.access_state import CANDIDATES, RANKED
from augury.predictors.cache_state import ISSUED, LATE, MISSES, USED, WASTED
from augury.predictors.checks import CHECKS
from augury.predictors.plain_traces import trace_of
from augury.predictors.prefetch import ACCESSES, OnlinePrefetcher, Prefetcher
from augury.predictors.prefetch_replay import Trace, between, replay
from augury.predictors.prefetch_settings import GateSettings, MixtureSettings

pytest.importorskip("numba")

SMALL = {"contexts": 1024, "vocabulary": 4096}
MIXTURE = RANKED.index("mixture")


def trace_from(blocks: Any, sessions: Any = None, spans: Any = None) -> Trace:
    values = np.asarray(blocks, np.int64)
    return Trace(
        "t",
        values,
        np.zeros_like(values) if sessions is None else np.asarray(sessions, np.int64),
        np.ones_like(values) if spans is None else np.asarray(spans, np.int64),
    )


def hits(ranks: np.ndarray, name: str, size: int = 1) -> float:
    return float(np.mean(ranks[:, RANKED.index(name)] <= size))


def cyclic(length: int, repeats: int, seed: int = 0) -> np.ndarray:
    """The same random blocks again and again, without neighbours."""
    order = np.random.default_rng(seed).permutation(length) * 7_919 + 10**12
    return np.tile(order, repeats)


# --- the mixture ---


def test_markov_ranks_are_those_of_counting_by_hand():
    blocks = np.random.default_rng(1).integers(0, 5, 400)
    ranks = OnlineMixture(MixtureSettings(experts=("ppm_1",), **SMALL)).observe(blocks).ranks
    # By hand: successors per block with counts; ties are won by the one seen last
    table: dict[int, dict[int, list[int]]] = collections.defaultdict(dict)
    expected = [255]
    for now in range(1, len(blocks)):
        before, block = int(blocks[now - 1]), int(blocks[now])
        order = sorted(table[before].items(), key=lambda item: (-item[1][0], -item[1][1]))
        names = [name for name, _ in order]
        expected.append(names.index(block) + 1 if block in names else 255)
        number = table[before].get(block, [0, 0])[0]
        table[before][block] = [number + 1, now]
    assert ranks[:, RANKED.index("markov_1")].tolist() == expected


def test_a_repeating_sequence_is_foreseen_and_an_unpredictable_one_is_not():
    again = OnlineMixture(MixtureSettings(**SMALL)).observe(cyclic(200, 10)).ranks[1000:]
    assert hits(again, "mixture") > 0.97
    random = np.random.default_rng(0).integers(0, 2**60, 3_000)
    assert hits(OnlineMixture(MixtureSettings(**SMALL)).observe(random).ranks, "mixture", 10) == 0


@pytest.mark.parametrize("stride", [1, 3, -2, 512])
def test_strides_are_foreseen_on_blocks_never_read_before(stride):
    starts = np.random.default_rng(2).permutation(60) * 10**6 + 10**9
    blocks = (starts[:, None] + stride * np.arange(30)).ravel()
    ranks = OnlineMixture(MixtureSettings(ordered="yes", **SMALL)).observe(blocks).ranks[600:]
    assert hits(ranks, "mixture") > 0.85
    blind = OnlineMixture(MixtureSettings(ordered="no", **SMALL)).observe(blocks).ranks
    assert hits(blind, "mixture", 10) == 0


def test_requests_that_begin_where_the_one_before_ended_are_foreseen():
    generator = np.random.default_rng(3)
    spans = generator.integers(2, 9, 900)
    blocks = 10**6 + np.append(0, np.cumsum(spans)[:-1]) + 10**7 * (np.arange(900) // 30)
    ranks = OnlineMixture(MixtureSettings(ordered="yes", **SMALL)).observe(blocks, spans=spans).ranks[300:]
    assert hits(ranks, "mixture") > 0.85
    alone = OnlineMixture(MixtureSettings(ordered="yes", **SMALL)).observe(blocks).ranks[300:]
    assert hits(ranks, "mixture") > hits(alone, "mixture") + 0.2


def test_the_mixture_is_never_far_below_its_best_expert():
    generator = np.random.default_rng(4)
    popular = generator.zipf(1.3, 4_000) % 500
    parts = {
        "repeats": cyclic(300, 12),
        "popular": popular * 104_729,
        "both": np.where(generator.random(3_600) < 0.5, cyclic(300, 12), popular[:3_600] * 104_729),
    }
    for name, blocks in parts.items():
        ranks = OnlineMixture(MixtureSettings(**SMALL)).observe(blocks).ranks[1000:]
        best = max(hits(ranks, other) for other in RANKED if other not in ("mixture", "gru"))
        assert hits(ranks, "mixture") > best - 0.01, name


def test_sessions_that_interleave_are_told_apart():
    one, two = cyclic(100, 10, 1), cyclic(100, 10, 2)
    drawn = np.random.default_rng(5).random(2_000) < 0.5
    blocks = np.zeros(2_000, np.int64)
    for mask, own in ((drawn, one), (~drawn, two)):
        blocks[mask] = np.resize(own, mask.sum())
    apart = OnlineMixture(MixtureSettings(**SMALL)).observe(blocks, drawn.astype(int)).ranks[600:]
    mixed = OnlineMixture(MixtureSettings(**SMALL)).observe(blocks).ranks[600:]
    assert hits(apart, "mixture") > 0.95 > hits(mixed, "mixture") + 0.1


@pytest.mark.parametrize("rule", ["forget", "share"])
def test_a_block_outside_the_vocabulary_is_never_suggested(rule):
    mixture = OnlineMixture(
        MixtureSettings(experts=("ppm_1", "ppm_2", "association"), contexts=1024, vocabulary=16, out_of_vocabulary=rule)
    )
    blocks = cyclic(64, 4)
    assert hits(mixture.observe(blocks).ranks, "mixture") < 0.3
    known = set(mixture.state.known_keys.tolist())
    assert len(known) == 16
    assert known == set(blocks[-16:].tolist() if rule == "forget" else blocks[:16].tolist())
    assert {block for block, _ in mixture.next_blocks(0, 10)} <= known


def test_memory_does_not_grow_and_parts_do_not_matter():
    blocks = np.random.default_rng(6).integers(0, 3_000, 6_000)
    whole, parts = (OnlineMixture(MixtureSettings(**SMALL)) for _ in range(2))
    before = whole.memory_bytes
    at_once = whole.observe(blocks).ranks
    in_parts = np.concatenate([parts.observe(blocks[start : start + 700]).ranks for start in range(0, 6_000, 700)])
    assert whole.memory_bytes == before
    np.testing.assert_array_equal(at_once, in_parts)
    assert int(whole.state.sizes.max()) <= CANDIDATES


def test_the_lookup_without_compiled_code_agrees_with_the_running_mixture():
    mixture = OnlineMixture(MixtureSettings(experts=("ppm_1", "ppm_2", "ppm_3"), ordered="no", **SMALL))
    blocks = cyclic(50, 6)
    mixture.observe(blocks)
    running = mixture.next_blocks(0, 3)
    read_off = access_lookup.propose_next(mixture.state, mixture.rules, blocks[:-4:-1].tolist(), 3)
    assert [block for block, _ in read_off] == [block for block, _ in running]
    np.testing.assert_allclose([p for _, p in read_off], [p for _, p in running], atol=2e-3)


# --- ids that tell the future ---


def test_ids_numbered_by_first_appearance_are_noticed():
    ids = np.random.default_rng(7).integers(0, 2**40, 500).repeat(2)
    numbered = pd.factorize(ids)[0]
    assert numbered_by_appearance(numbered)
    assert numbered_by_appearance(numbered + 1)
    assert not numbered_by_appearance(ids)
    assert not numbered_by_appearance(permuted(numbered, 1))
    assert len(np.unique(permuted(numbered, 1))) == len(np.unique(numbered))


def test_the_mixture_does_not_read_ahead_along_such_ids():
    numbered = np.arange(2_000)  # nothing is ever repeated: only "+1" could foresee it
    ranks = OnlineMixture(MixtureSettings(**SMALL)).observe(numbered).ranks
    assert hits(ranks, "mixture", 10) == 0
    assert hits(OnlineMixture(MixtureSettings(ordered="yes", **SMALL)).observe(numbered).ranks, "mixture") > 0.9


def test_a_plain_trace_with_such_ids_is_permuted():
    trace, facts = trace_of(pd.DataFrame({"block": np.arange(300)}), "t", 1)
    assert facts["permuted"]
    assert not numbered_by_appearance(trace.blocks)
    kept, facts = trace_of(pd.DataFrame({"block": np.arange(300) * 2}), "t", 1)
    assert not facts["permuted"]
    assert kept.blocks.tolist() == list(range(0, 600, 2))


# --- caches ---


def lru_misses(blocks: Any, capacity: int) -> int:
    held: collections.OrderedDict[int, None] = collections.OrderedDict()
    misses = 0
    for block in map(int, blocks):
        if block in held:
            held.move_to_end(block)
            continue
        misses += 1
        if len(held) == capacity:
            held.popitem(last=False)
        held[block] = None
    return misses


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(0, 30), min_size=1, max_size=200), st.integers(1, 20))
def test_without_proposals_the_cache_is_lru(blocks, capacity):
    nothing = np.zeros((len(blocks), 1), np.int64), np.zeros(len(blocks), np.int64)
    totals = PlainCache(capacity, 1).serve(np.array(blocks), *nothing)
    assert totals[-1, MISSES] == lru_misses(blocks, capacity)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(0, 12), min_size=1, max_size=120), st.integers(1, 8), st.integers(1, 8), st.randoms())
def test_a_prefetch_arrives_after_the_delay_and_takes_the_place_of_a_block(blocks, capacity, delay, random):
    issued = np.array([[random.randint(0, 12) for _ in range(2)] for _ in blocks])
    totals = PlainCache(capacity, delay).serve(np.array(blocks), issued, np.full(len(blocks), 2))[-1]
    held: collections.OrderedDict[int, bool] = collections.OrderedDict()
    under_way: list[tuple[int, int]] = []
    found = collections.Counter()

    def make_room():
        if len(held) == capacity:
            _, waiting = held.popitem(last=False)
            found[WASTED] += waiting

    for now, block in enumerate(blocks):
        while under_way and under_way[0][0] <= now:
            _, arrived = under_way.pop(0)
            make_room()
            held[arrived] = True
        if block in held:
            found[USED] += held.pop(block)
        else:
            found[MISSES] += 1
            late = [entry for entry in under_way if entry[1] == block]
            found[LATE] += len(late)
            under_way = [entry for entry in under_way if entry[1] != block]
            make_room()
        held[block] = False
        for other in issued[now].tolist():
            if other not in held and other not in [entry[1] for entry in under_way]:
                under_way.append((now + delay, other))
                found[ISSUED] += 1
    assert {name: int(totals[name]) for name in (MISSES, USED, WASTED, LATE, ISSUED)} == {
        name: found[name] for name in (MISSES, USED, WASTED, LATE, ISSUED)
    }


def test_the_gate_lets_useful_prefetches_through_and_never_holds_more_blocks():
    trace = trace_from(cyclic(400, 8))
    found = replay(trace, [(40, 1), (40, 8)], MixtureSettings(**SMALL), GateSettings())
    for setting, totals in found.totals.items():
        own, plain = between(totals, np.array([1_600]), np.array([3_200]))[0]
        assert plain[MISSES] == 1_600  # a loop that does not fit: LRU misses always
        assert own[MISSES] < (0.1 if setting[1] == 1 else 0.6) * plain[MISSES]
        assert found.caches[setting].real.marks[:, 2].max() <= 40
        assert found.policies[setting] > 0


def test_the_gate_keeps_harm_away_where_nothing_can_be_foreseen():
    blocks = np.random.default_rng(8).zipf(1.2, 8_000) % 3_000 * 104_729
    found = replay(trace_from(blocks), [(30, 1), (150, 4)], MixtureSettings(**SMALL), GateSettings())
    for totals in found.totals.values():
        assert totals[-1, 0, MISSES] <= 1.003 * totals[-1, 1, MISSES]
        assert totals[-1, 1, MISSES] > 1_000


def test_the_plain_cache_beside_the_gated_one_is_lru():
    blocks = np.random.default_rng(9).integers(0, 300, 3_000)
    observed = OnlineMixture(MixtureSettings(**SMALL)).observe(blocks)
    totals, _ = GatedCache(50, 2, GateSettings()).serve(blocks, observed)
    assert totals[-1, 1, MISSES] == lru_misses(blocks, 50)


# --- plain rules ---


def test_the_static_table_learns_from_the_first_part_alone():
    blocks = np.array([1, 2, 1, 2, 1, 3, 1, 2, 3, 1, 9])
    ranks, _ = static_markov(trace_from(blocks), 5)
    # It knows 1 -> 2 and 2 -> 1 only
    assert [place for place, rank in enumerate(ranks) if rank == 1] == [1, 2, 3, 4, 7]
    large = np.array([2**62 + 1, 2**62 + 3] * 3)
    assert static_markov(trace_from(large), 6)[0].tolist()[1:] == [1] * 5


def test_read_ahead_starts_after_two_neighbours():
    issued, numbers = next(read_ahead(trace_from([5, 6, 9, 10], spans=[1, 1, 1, 1])))
    assert numbers.tolist() == [0, 4, 0, 4]
    assert issued[1].tolist() == [7, 8, 9, 10]


# --- names and traces ---


def test_blocks_have_names_and_neighbours_in_an_object_have_neighbouring_numbers():
    objects, positions = pd.Series(["a", "a", "", "b"]), pd.Series([0, 1, 77, 3])
    numbers = block_numbers(objects, positions)
    assert numbers[1] - numbers[0] == 1
    assert numbers[2] == 77
    assert block_of("a:1") == numbers[1]
    assert [BlockNames(["a", "b"]).text(int(number)) for number in numbers] == ["a:0", "a:1", "77", "b:3"]
    assert object_number("a") != object_number("b")


@pytest.mark.parametrize("text", ["", "a", "1.5", ":3", "a:-1", "9223372036854775808", "a:1048576"])
def test_what_is_no_block_is_refused(text):
    with pytest.raises(InputError, match="is no block"):
        block_of(text)


def test_the_unit_of_ids_is_found_from_sizes():
    sizes = np.random.default_rng(1).integers(2, 20, 500) * 512
    blocks = np.append(0, np.cumsum(sizes // 512)[:-1])
    assert unit_of(blocks, sizes) == 512
    assert unit_of(np.random.default_rng(2).integers(0, 10**9, 500), sizes) == 0


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ({"name": [1]}, "there must be a column 'block'"),
        ({"block": []}, "no rows"),
        ({"block": [1.0, None]}, "must not be missing; 1 of 2"),
        ({"block": [1.5]}, "must be whole numbers"),
        ({"block": ["x"]}, "must be whole numbers"),
    ],
)
def test_a_table_that_is_no_trace_is_refused(table, words):
    with pytest.raises(UserError, match=words):
        trace_of(pd.DataFrame(table), "t", 1)


@pytest.mark.parametrize("blocks", [[7] * 300, [1, 2], [-(2**63), 2**63 - 1] * 200, [0]])
def test_odd_traces_are_replayed(blocks):
    trace, _ = trace_of(pd.DataFrame({"block": np.array(blocks, np.int64)}), "t", 1)
    found = replay(trace, [(1, 1)], MixtureSettings(**SMALL), GateSettings())
    assert np.isfinite(found.totals[1, 1]).all()
    assert found.totals[1, 1][-1, 0, MISSES] <= found.totals[1, 1][-1, 1, MISSES] * 1.01 + 1


# --- the predictor ---


@pytest.fixture(scope="module")
def trained() -> SimpleNamespace:
    from augury.checkpointing import NoCheckpoints
    from augury.pipelines.data_engineering.accesses import AccessSource, AccessSplit, prepare_accesses
    from augury.pipelines.feature_engineering.accesses import AccessFeatures, build_access_features
    from augury.pipelines.model_training.online_mixture import train_prefetcher
    from augury.pipelines.model_training.prefetch_models import PrefetchModel

    blocks = np.tile(np.random.default_rng(0).permutation(60), 50)
    raw = pd.DataFrame({"object": [f"file{block % 7}" for block in blocks], "position": blocks, "req": range(3_000)})
    primary, data = prepare_accesses(raw, AccessSource(), AccessSplit(), 1)
    features = AccessFeatures(window=200, windows_per_group=1, delays=[1])
    accesses, cases, account = build_access_features(primary, features)
    model = PrefetchModel.model_validate(
        {"mixture": {"contexts": 64, "vocabulary": 128, "sessions": 1}, "candidates": [{"gate.price": 0.1}]}
    )
    provenance = {"git_commit": None, "created_at": "2026-01-01T00:00:00+00:00", "versions": {}}
    predictor, curves, report = train_prefetcher(
        accesses, primary, account, data, {}, model, 1, NoCheckpoints(), provenance
    )
    return SimpleNamespace(
        predictor=predictor, curves=curves, report=report, accesses=accesses, cases=cases, account=account, data=data
    )


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__.removeprefix("check_"))
def test_it_keeps_the_contract(check, trained, tmp_path):
    frame = pd.DataFrame(trained.predictor.example * 2)
    frame.loc[1, "before"] = None
    frame.loc[2, "block"] = "unknown:5"
    check(trained.predictor, frame, tmp_path / "check")


def test_predictions_name_what_follows(trained):
    rows = trained.accesses.sort_values("place")["block"].to_numpy()[-4:]
    names = [trained.predictor.names.text(int(block)) for block in rows]
    answer = trained.predictor.predict(
        pd.DataFrame({"block": [names[2]], "before": [names[1]], "earlier": [names[0]], "k": [1]})
    )
    assert answer["next"].tolist() == [names[3]]
    assert answer["known"].tolist() == [True]


def test_replay_costs_are_the_misses_of_the_windows(trained):
    costs = trained.predictor.replay(trained.cases, **{ACCESSES: trained.accesses})["cost"]
    assert len(costs) == len(trained.cases)
    assert (costs <= (trained.cases["stop"] - trained.cases["start"])).all()
    again = trained.predictor.replay(trained.cases.iloc[::-1], **{ACCESSES: trained.accesses})["cost"]
    assert again.tolist() == costs.tolist()[::-1]
    with pytest.raises(UserError, match=ACCESSES):
        trained.predictor.replay(trained.cases)
    with pytest.raises(UserError, match="no access of trace 'other'"):
        trained.predictor.replay(trained.cases.assign(trace="other"), **{ACCESSES: trained.accesses})


def test_training_chooses_by_blocks_in_time_and_says_so(trained):
    assert [row["changes"] for row in trained.report["tried"]] == [{}, {"gate.price": 0.1}]
    assert len(trained.report["folds"]["hit_at_1"]["values"]) == 4
    assert set(trained.curves["name"]) == {"mixture_hit_at_1", "saved_misses"}
    assert trained.predictor.metadata.data.rows == 1_800


def test_an_application_observes_and_is_told_what_to_fetch(trained, tmp_path):
    trained.predictor.save(tmp_path / "model")
    online = Prefetcher.load(tmp_path / "model").online(capacity=6)
    fetched = [online.observe(block) for block in trained.accesses["block"].tolist()[:1_200]]
    assert online.is_on
    totals = online.cache.real.totals[0]
    assert sum(map(len, fetched)) == totals[ISSUED]
    assert totals[USED] > 600
    following = online.suggest(3)
    assert following[0][1] > 0.5
    assert len(following) == 3
    with pytest.raises(InputError, match="'k' must be at least 1"):
        online.suggest(0)
    with pytest.raises(InputError, match="capacity and delay"):
        OnlinePrefetcher(online.mixture, capacity=0)


def test_the_trained_state_is_not_touched_by_serving(trained):
    before = trained.predictor.mixture.state.counters.copy()
    trained.predictor.online(capacity=4).observe(5)
    np.testing.assert_array_equal(trained.predictor.mixture.state.counters, before)
