"""The tuner of gossip: theory, surface, choice, corrections, contract; beside Q-learning and fixed pairs."""

import json
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from augury.commands.gossip_tuning import command
from augury.errors import InputError, UserError
from augury.pipelines.collection.gossip_network import simulated_wide
from augury.pipelines.collection.gossip_rounds import GossipCollection, collect_rounds, mean_outcomes
from augury.pipelines.data_engineering.gossip_rounds import GossipSplit, prepare_rounds
from augury.pipelines.evaluation.gossip_costs import GossipJudgement, gossip_facts, predict_gossip_holdout
from augury.pipelines.evaluation.gossip_coverage import judge_corrections, judge_coverage
from augury.pipelines.evaluation.gossip_plots import plot_coverage, plot_learning, plot_surface
from augury.pipelines.evaluation.policies import evaluate_policies
from augury.pipelines.evaluation.policy_parameters import PolicyEvaluation
from augury.pipelines.feature_engineering.gossip_rounds import GossipFeatures, build_gossip_tables
from augury.pipelines.model_training.gossip_baselines import GossipBaselines, best_fixed, choose_gossip_baselines
from augury.pipelines.model_training.gossip_validation import GossipValidation, validate_gossip_tuner
from augury.pipelines.model_training.response_surface import ResponseSurfaceModel, train_gossip_tuner
from augury.pipelines.model_training.surface_calibration import Calibration, calibrate_spread, fewest_iterations
from augury.pipelines.model_training.surface_trees import Observed, SurfaceTrees
from augury.pipelines.model_training.tabular_q_learning import QLearning, greedy_actions, learn_q_table, state_cells
from augury.pipelines.tuning.racing import TransientStudies
from augury.pipelines.tuning.response_surface_search import GossipSearch, tune_gossip
from augury.predictors.checks import CHECKS
from augury.predictors.gossip_choice import StepLimiter, choose
from augury.predictors.gossip_corrections import (
    Corrections,
    CorrectionSettings,
    Effect,
    Evidence,
    corrections_of,
    evidence_of,
    network_effects,
)
from augury.predictors.gossip_differences import FUNCTIONS, PARAMETERS, functions_of
from augury.predictors.gossip_final_size import final_miss, finite_size
from augury.predictors.gossip_mean_field import mean_field
from augury.predictors.gossip_outcomes import JUDGED, floor_oracle_actions, oracle_actions, outcomes_on_grid, reachable
from augury.predictors.gossip_states import STATE, ActionGrid, GossipCost, complete_states
from augury.predictors.gossip_surface import (
    FEATURES,
    Differences,
    Observation,
    Outcomes,
    monotone,
    observe,
    theory_of,
)
from augury.predictors.gossip_tuning import GossipTuner

COLLECTION = GossipCollection(networks=12, rounds=1_800, states=4, repeats=40, promising=0, peers=(12, 120))
MODEL = ResponseSurfaceModel(members=3, miss=SurfaceTrees(rounds=80))
PROVENANCE = {"versions": {}, "git_commit": None, "created_at": "2026-01-01T00:00:00Z"}
EVALUATION = PolicyEvaluation(bootstrap_replicates=50)


@pytest.fixture(scope="module")
def trained():
    raw = collect_rounds(COLLECTION, 11)
    *primary, report = prepare_rounds(*raw, GossipSplit(), 1)
    rounds, later, states, outcomes, cases = build_gossip_tables(*primary, GossipFeatures())
    tuner, curves, account = train_gossip_tuner(rounds, report, {}, MODEL, 3, PROVENANCE)
    baselines = choose_gossip_baselines(rounds, states, outcomes, MODEL, GossipBaselines())
    predictions = predict_gossip_holdout(tuner, cases, outcomes, baselines)
    return SimpleNamespace(
        tuner=tuner, rounds=rounds, later=later, states=states, outcomes=outcomes, cases=cases, report=report,
        account=account, curves=curves, baselines=baselines, predictions=predictions,
    )  # fmt: skip


# --- theory ---


def expected(peers=200, loss=0.1, churn=0.1, p50=80.0, p95=200.0, copy=0.1, fanout=6, ttl=10):
    rows = np.broadcast_arrays(*(np.asarray(v, dtype=float) for v in (peers, loss, churn, p50, p95, copy, fanout, ttl)))
    return mean_field(*(np.atleast_1d(row) for row in rows))


def test_theory_says_what_is_plain():
    nothing_lost = expected(peers=5, loss=0, churn=0, fanout=10)
    assert nothing_lost.miss[0] < 1e-3
    assert nothing_lost.messages[0] == pytest.approx((4 + 4 * 3) / 5, rel=1e-3)
    pair = expected(peers=2, loss=0.25, churn=0, fanout=1)
    assert pair.miss[0] == pytest.approx(0.25 / 2)
    assert expected(ttl=1, fanout=3, loss=0, churn=0, peers=100).miss[0] == pytest.approx(1 - 4 / 100, abs=1e-3)


def test_theory_of_many_hops_is_the_final_size_of_an_epidemic():
    """z = 1 - exp(-R z), solved by bisection."""
    found = final_miss(*(np.array([value]) for value in (1e6, 0.2, 0.1, 6.0)))[0]
    low, high = 0.5, 1.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if 1 - np.exp(-6 * 0.8 * 0.9 * middle) > middle else (low, middle)
    assert found == pytest.approx(1 - low, rel=1e-3)


def test_theory_is_near_the_simulator():
    network = simulated_wide("wide", 300, 40, 0.5, 4)
    states = pd.DataFrame({"peers": 300, "loss": [0.0, 0.2, 0.4], "churn": [0.0, 0.2, 0.3], "message_class": "small"})
    actions = np.array([[6, 12]] * 3)
    played = mean_outcomes(network, states, actions, 150, COLLECTION.copy_ms, np.random.default_rng(0))
    theory = expected(300, states["loss"], states["churn"], network.rtt_p50_ms, network.rtt_p95_ms, 0.1, 6, 12)
    np.testing.assert_allclose(1 - theory.miss, played[:, 2], atol=0.03)
    np.testing.assert_allclose(theory.p95_ms, played[:, 3], rtol=0.5)


@settings(max_examples=30, deadline=None)
@given(st.integers(2, 5_000), st.floats(0, 0.95), st.floats(0, 0.95), st.floats(0.05, 500), st.floats(1, 20))
def test_theory_is_finite_and_rises_with_fanout_and_hops(peers, loss, churn, p50, spread):
    grid = ActionGrid(fanouts=(2, 5, 12), ttls=(4, 8, 16))
    pairs = grid.pairs
    found = expected(peers, loss, churn, p50, p50 * spread, 1.0, pairs[:, 0], pairs[:, 1])
    assert all(np.isfinite(values).all() for values in found)
    assert (found.miss > 0).all() and (found.miss <= 1).all() and (found.p95_ms > 0).all()
    by_ttl = found.miss.reshape(3, 3)
    assert (np.diff(by_ttl, axis=1) <= 1e-9).all()


def test_few_peers_are_followed_one_by_one():
    """Three peers that know one another, by hand: the first sends to both, each of these to the other one."""
    loss, churn = 0.3, 0.2
    arrives, here = 1 - loss, 1 - churn
    alone = here * churn * 2 * loss / 2  # one other is there: of two peers, it is missed
    none, one = loss**2, 2 * loss * arrives
    both = here**2 * (none * 2 + one * loss) / 3
    args = [np.array([value]) for value in (3.0, loss, churn, 2.0)]
    peers, fanout = args[0], args[3]
    plain = 1 - (1 - 0.0) * (1 - final_miss(peers, args[1], args[2], fanout))
    assert (finite_size(*args) * plain)[0] == pytest.approx(alone + both, rel=1e-4)


def test_chance_counts_for_little_in_large_networks():
    peers = np.array([10.0, 64.0, 65.0, 3_000.0])
    found = finite_size(peers, np.full(4, 0.2), np.full(4, 0.3), np.full(4, 7.0))
    assert (found[:3] > 1).all() and found[2] == pytest.approx(found[1], rel=0.1)
    assert found[3] == pytest.approx(1, abs=0.02)


def test_clusters_and_queues_use_up_hops():
    even = mean_field(*(np.array([v]) for v in (400.0, 0.1, 0.0, 80.0, 150.0, 0.1, 8.0, 5.0)), near_share=0)
    clustered = mean_field(*(np.array([v]) for v in (400.0, 0.1, 0.0, 80.0, 150.0, 0.1, 8.0, 5.0)))
    queued = mean_field(*(np.array([v]) for v in (400.0, 0.1, 0.0, 80.0, 150.0, 200.0, 8.0, 5.0)), near_share=0)
    assert clustered.miss[0] > 1.5 * even.miss[0] and queued.miss[0] > 1.5 * even.miss[0]


# --- choice ---

GRID = ActionGrid(fanouts=(2, 4), ttls=(4, 8))


def outcomes_of(miss, upper, messages):
    one = [np.atleast_2d(np.asarray(values, dtype=float)) for values in (miss, upper, messages)]
    return Outcomes(*one, np.zeros_like(one[0]))


def test_the_cheapest_action_above_the_floor_is_chosen():
    found = choose(outcomes_of([0.05, 0.004, 0.003, 0], [0.1, 0.02, 0.009, 0.001], [1, 2, 3, 4]), GRID, GossipCost())
    assert found.action.tolist() == [2]  # the second is cheaper and expected to hold the floor, but not sure to
    assert found.coverage_lower[0] == pytest.approx(0.991)


def test_where_none_holds_the_floor_the_surest_is_chosen():
    found = choose(outcomes_of([0.2, 0.1, 0.1, 0.05], [0.4, 0.3, 0.3, 0.2], [1, 2, 3, 4]), GRID, GossipCost())
    assert found.action.tolist() == [3] and found.coverage_lower[0] < 0.99


@given(st.lists(st.floats(0, 1), min_size=8, max_size=8))
def test_coverage_never_falls_with_fanout_and_hops(values):
    given_miss = np.array(values).reshape(2, 4)
    table = monotone(given_miss, GRID).reshape(2, 2, 2)
    assert (np.diff(table, axis=1) <= 0).all() and (np.diff(table, axis=2) <= 0).all()
    assert (table.reshape(2, 4) >= given_miss).all()  # and it errs on the safe side


def test_pairs_know_their_places():
    grid = ActionGrid()
    assert grid.pairs.shape == (77, 2) and grid.pairs[grid.nearest(6, 10)].tolist() == [6, 10]
    np.testing.assert_array_equal(grid.place(grid.pairs[:, 0], grid.pairs[:, 1]), np.arange(77))
    with pytest.raises(UserError, match=r"\(6, 11\)"):
        grid.place([6], [11])


def test_steps_are_of_one_and_a_minute_apart():
    limiter = StepLimiter(6, 10)
    assert [limiter.follow(9, 4, now) for now in (0, 30, 60, 120, 180)] == [(7, 9), (7, 9), (8, 8), (9, 7), (9, 6)]
    assert limiter.follow(9, 6, 181) == (9, 6)
    with pytest.raises(UserError):
        StepLimiter(most=0)


# --- how many trees, and what is left between networks ---


def test_no_more_trees_than_folds_ask_for():
    better, noise = np.linspace(0, -1, 11), np.array([[0.0], [0.1], [-0.1], [0.05]])
    assert fewest_iterations(better + noise) == 10
    assert fewest_iterations(-better + noise) == 0  # every tree harms
    flat = np.zeros((4, 5))
    flat[:, 2] = [-0.3, 0.2, 0.2, -0.2]  # the least, but not for sure
    assert fewest_iterations(flat) == 0


def test_the_spread_between_networks_is_measured():
    random = np.random.default_rng(3)
    codes = np.repeat(np.arange(60), 60)
    expected = random.uniform(0.005, 0.1, len(codes))
    found = []
    for spread in (0.1, 0.8):
        mean = np.minimum(expected * np.exp(0.5 * spread * random.normal(size=60)[codes]), 1)
        values = random.binomial(200, mean) / 200
        matrix = np.zeros((len(codes), len(FEATURES)))
        observed = Observed(matrix, values, expected, 1 / (expected + 0.02))
        trees = SurfaceTrees(rounds=2)
        near, given = np.full(len(codes), True), differences(len(codes), 0.5)
        settings_ = Calibration(), CorrectionSettings()
        found.append(calibrate_spread(observed, near, codes, given, trees, *settings_, 0))
    assert found[0].scale < 0.5 and found[1].scale == pytest.approx(0.8, rel=0.25)
    assert all(0.5 < calibrated.residual_scale <= 1 for calibrated in found)  # nothing speaks of it: the prior stays


def test_a_network_of_its_own_measures_its_function():
    """Rounds of one network, whose misses lie as far from theory as its function says."""
    random = np.random.default_rng(5)
    rows = 1_500
    coordinates = np.column_stack(
        [np.log(random.uniform(0.003, 0.05, rows)), random.uniform(0, 3, rows), random.uniform(0, 6, rows),
         random.uniform(3, 12, rows)]
    )  # fmt: skip
    columns, rest = functions_of(coordinates)
    given = Differences(np.column_stack([np.full(rows, 0.1), 0.15 * columns]), 0.15**2 * rest)
    expected, trees = np.exp(coordinates[:, 0]), SurfaceTrees(rounds=2)
    found = []
    for spread in (0.0, 0.6):
        effect = spread * random.normal(size=FUNCTIONS)
        values = random.binomial(400, np.minimum(expected * np.exp(columns @ effect), 1)) / 400
        observed = Observed(np.zeros((rows, len(FEATURES))), values, expected, 1 / (expected + 0.02))
        calibrated = calibrate_spread(
            observed,
            np.full(rows, True),
            np.zeros(rows, dtype=int),
            given,
            trees,
            Calibration(),
            CorrectionSettings(),
            0,
        )
        assert calibrated.iterations == 0 and calibrated.scale == 1  # its rounds say nothing of other networks
        found.append(calibrated.residual_scale)
    assert found[0] < 0.9 and 2 < found[1] < 6  # 0.6 is four times the parameter


def test_curves_tell_the_loss_of_every_iteration(trained):
    rounds = MODEL.miss.rounds
    counts = trained.curves.groupby("name").size()
    assert counts.to_dict() == {"training_loss": rounds + 1, "validation_loss": rounds + 1}
    training = trained.curves[trained.curves["name"] == "training_loss"].set_index("step")["value"]
    assert training.iloc[-1] < training.iloc[0] and trained.account["iterations"] <= rounds


def test_own_rounds_make_the_bound_narrower(trained):
    states = trained.cases.head(6)
    known = trained.rounds["network"].iloc[0]
    ours, others = (trained.tuner.outcomes(states.assign(network=name)) for name in (known, "unknown"))
    ratio = np.log(ours.miss_upper / ours.miss), np.log(others.miss_upper / others.miss)
    assert (ratio[0] <= ratio[1] + 1e-9).mean() > 0.95 and ratio[0].mean() < ratio[1].mean()


# --- corrections ---


def differences(rows, between):
    """One number of a network counts, its own function does not."""
    columns = np.zeros((rows, PARAMETERS))
    columns[:, 0] = between
    return Differences(columns, np.zeros(rows))


def evidence(rounds, expected, between=0.5):
    everything = np.full(len(rounds), True)
    observed = Observation(1 - rounds["coverage"].to_numpy(), everything, everything)
    return evidence_of(observed, np.full(len(rounds), expected), differences(len(rounds), between))


def effects(rounds, expected, between=0.5, **more):
    return corrections_of(rounds, evidence(rounds, expected, between), SETTINGS, **more)


def first(effect):
    return effect.mean[0], effect.deviations[0]


SETTINGS = CorrectionSettings(half_life_min=60)


def test_few_rounds_correct_little_and_old_ones_less():
    random = np.random.default_rng(0)
    missed = random.binomial(100, 0.04, 200) / 100  # twice what is expected: an effect of log(2) / 0.5
    rounds = pd.DataFrame({"ts": 0, "network": "a", "coverage": 1 - missed})
    few, some, many = (effects(rounds.head(rows), 0.02).networks["a"] for rows in (2, 10, 200))
    assert 0 < few.mean[0] < some.mean[0] < many.mean[0] == pytest.approx(np.log(2) / 0.5, abs=0.15)
    assert 1 > few.deviations[0] > some.deviations[0] > many.deviations[0]
    assert many.mean[1:] == (0.0,) * FUNCTIONS and (many.deviations[1:] == 1).all()  # no round speaks of these
    later = effects(rounds.head(10), 0.02, now_ms=3_600_000).networks["a"]  # an hour later: half
    assert few.mean < later.mean < some.mean and later.deviations[0] > some.deviations[0]
    assert effects(rounds.head(0), 0.02) == Corrections()


def test_an_effect_is_the_most_probable_one():
    """By bisection of the slope of log posterior, rounds that all miss the same."""
    rounds = pd.DataFrame({"ts": 0, "network": "a", "coverage": [0.95] * 30})
    settings_ = CorrectionSettings(prior_rounds=1e-9, prior_networks=1e12)
    found = corrections_of(rounds, evidence(rounds, 0.03), settings_).networks["a"]
    # Two steps: the dispersion of what was expected, then that at the first effect, less what every round has
    own = settings_.misfit**2
    dispersion = (0.05 - 0.03) ** 2 / 0.03
    effect = 0.0
    for _ in range(2):
        low, high = -4.0, 4.0
        for _ in range(80):
            effect = (low + high) / 2
            slope = 30 * 0.5 * (0.05 - 0.03 * np.exp(0.5 * effect)) / (dispersion + own * 0.03) - effect
            low, high = (effect, high) if slope > 0 else (low, effect)
        now = 0.03 * np.exp(0.5 * effect)
        dispersion = max((0.05 - now) ** 2 / now - own * now, 1e-4)
    assert found.mean[0] == pytest.approx(effect, abs=1e-4)


def test_rounds_tell_actions_like_theirs_and_no_others():
    """The same as the regression of a Gaussian process on working responses, in the function space."""
    near = np.array([[np.log(0.01), 0.5, 2.0, 6.0]] * 40)
    asked = np.vstack([near[:1], [[np.log(0.012), 0.6, 2.0, 7.0]], [[np.log(0.05), 3.5, -2.0, 2.0]]])
    columns, rest = functions_of(np.vstack([near, asked]))
    np.testing.assert_allclose((columns**2).sum(axis=1) + rest, 1)
    designed = np.column_stack([np.full(len(columns), 0.1), 0.3 * columns])
    missed = np.full(40, 0.02)
    rounds = Evidence(missed, np.full(40, 0.01), designed[:40], 0.09 * rest[:40], np.full(40, True))
    settings_ = CorrectionSettings(prior_rounds=1e-9)
    mean, covariance = network_effects(
        rounds, np.ones(40), np.zeros(40, dtype=int), np.zeros((1, PARAMETERS)), np.eye(PARAMETERS)[None], settings_
    )
    shift = designed[40:] @ mean[0]
    left = np.einsum("rp,pq,rq->r", designed[40:], covariance[0], designed[40:]) / (designed[40:] ** 2).sum(axis=1)
    assert 0.3 < shift[0] < np.log(2) and shift[0] > shift[1] > shift[2]
    assert left[0] < left[1] < 0.5 < left[2] <= 1
    now = 0.01 * np.exp(shift[0])
    kernel = designed @ designed.T
    dispersion = max((0.02 - now) ** 2 / now - settings_.misfit**2 * now, 1e-4)
    noise = (dispersion + (settings_.misfit**2 + 0.09 * rest[0]) * 0.01) / now
    weights = np.linalg.inv(kernel[:40, :40] + noise * np.eye(40))
    response = np.log(now / 0.01) + (0.02 - now) / now
    np.testing.assert_allclose(kernel[40:, :40] @ weights @ np.full(40, response), shift, rtol=0.02)


def test_rounds_that_end_at_their_start_are_told_apart():
    states = pd.DataFrame({"peers": [200, 200, 10] + [200] * 20, "loss": 0.3, "churn": 0.2, "rtt_p50_ms": 80.0})
    fanout, networks = np.array([8, 2, 8] + [8] * 20), np.array(["a", "b", "c"] + ["a"] * 20)
    theory = theory_of(complete_states(states), fanout, np.full(23, 12), MODEL.copy_ms)
    found = observe(np.array([0.995, 0.9, 0.9] + [0.01] * 20), theory, networks)
    # The first is one that is expected to miss hardly anybody; the second misses many anyhow; the third has few peers
    assert found.counts.tolist() == [False] + [True] * 22 and found.near.tolist() == [False, False] + [True] * 21
    success = 0.7 * 0.8
    assert theory.dies[0] == pytest.approx((1 - success) ** 8, rel=0.1) and theory.dies[2] == 0
    one = theory_of(complete_states(states.head(1)), np.array([8]), np.array([12]), MODEL.copy_ms)
    assert observe(np.array([0.01]), one, np.array(["a"])).missed[0] == pytest.approx(0.01 * (1 - one.dies[0]))
    assert one.spread[0] + one.dies[0] == one.miss[0]


def test_rounds_that_miss_most_peers_count_where_chance_does_not_explain_them(trained):
    """Half of the peers cannot be reached: rounds that miss them do not count as ones that chance ended."""
    states = pd.DataFrame({"peers": [200] * 60, "loss": 0.1, "churn": 0.1, "rtt_p50_ms": 80.0})
    theory = theory_of(complete_states(states), np.full(60, 8), np.full(60, 12), MODEL.copy_ms)
    missed = np.where(np.arange(60) % 2, 0.6, 0.01)
    found = observe(missed, theory, np.full(60, "cut"))
    assert found.counts.all() and found.near.all()
    rounds = states.assign(ts=0, network="cut", fanout=8, ttl=12, coverage=1 - missed)
    asked = states.head(1).assign(network="cut")
    before, after = (tuner.outcomes(asked).miss for tuner in (trained.tuner, trained.tuner.corrected(rounds)))
    place = int(MODEL.actions.place(8, 12)[0])
    assert after[0, place] > 1.2 * before[0, place]


def test_all_networks_move_what_is_thought_of_a_new_one():
    rounds = pd.DataFrame({"ts": 0, "network": np.repeat([f"n{k}" for k in range(12)], 30), "coverage": 0.95})
    found = effects(rounds, 0.03)
    assert 0 < found.everywhere.mean[0] < found.networks["n0"].mean[0] and found.everywhere.deviations[0] == 1
    mean, factor = found.of(pd.Series(["n3", "unknown"]), 2)
    np.testing.assert_array_equal(mean, [found.networks["n3"].mean, found.everywhere.mean])
    np.testing.assert_array_equal(factor, [found.networks["n3"].triangle, np.eye(PARAMETERS)])
    assert found.networks["n3"].deviations[0] < 1


def test_what_training_knows_of_a_network_stays():
    mean, covariance = np.zeros(PARAMETERS), np.eye(PARAMETERS)
    known = {}
    for name, mean[0], deviation in (("a", 2.0, 0.1), ("b", -1.0, 0.2)):
        covariance[0, 0] = deviation**2
        known[name] = Effect.of(mean, covariance)
        assert first(known[name]) == pytest.approx((mean[0], deviation))
    rounds = pd.DataFrame({"ts": 0, "network": "a", "coverage": [0.97, 0.97]})
    found = effects(rounds, 0.03, known=known).networks
    mean, deviation = first(found["a"])
    assert found["b"] == known["b"] and 1 < mean < 2 and 0.1 < deviation <= np.hypot(0.1, SETTINGS.drift)


def test_a_network_that_misses_more_gets_more(trained):
    state = trained.cases.iloc[[0]]
    worse = trained.later[trained.later["network"] == state["network"].iloc[0]].assign(coverage=0.5)
    corrected = trained.tuner.corrected(worse)
    before, after = trained.tuner.outcomes(state).miss, corrected.outcomes(state).miss
    assert (after >= before).all() and np.median(after / before) > 1.2
    assert trained.tuner.corrected(worse.head(0)).specification.corrections.everywhere == Effect()


# --- the trained tuner ---


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__.removeprefix("check_"))
def test_the_tuner_keeps_the_contract(check, trained, tmp_path):
    frame = trained.cases[list(STATE)].astype({"peers": int}).head(8)
    check(trained.tuner, frame, tmp_path / "check")


def test_the_exported_surface_says_the_same(trained):
    facts = gossip_facts(trained.tuner, trained.cases)
    assert facts["onnx"]["rows"] >= 77 and facts["onnx"]["max_difference"] < 1e-9
    assert facts["n_train"] == len(trained.rounds)


def test_training_is_deterministic(trained):
    again, _, _ = train_gossip_tuner(trained.rounds, trained.report, {}, MODEL, 3, PROVENANCE)
    assert again.surface.trees == trained.tuner.surface.trees


def test_missing_optional_columns_count_as_their_words(trained):
    state = pd.DataFrame({"peers": [50], "loss": [0.1], "rtt_p50_ms": [40.0]})
    full = state.assign(churn=0.0, rtt_p95_ms=80.0, message_class="small")
    pd.testing.assert_frame_equal(trained.tuner.predict(state), trained.tuner.predict(full))


@pytest.mark.parametrize("peers", [2, 4, 6_000])
@pytest.mark.parametrize("loss", [0.0, 0.3, 0.99])
def test_networks_of_any_size_get_an_answer(trained, peers, loss):
    answer = trained.tuner.predict(pd.DataFrame({"peers": [peers], "loss": [loss], "rtt_p50_ms": [0.0]}))
    assert (
        2 <= answer["fanout"].iloc[0] <= 12 and 0 <= answer["coverage_lower"].iloc[0] <= answer["coverage"].iloc[0] <= 1
    )


def test_a_loss_of_all_is_refused(trained):
    with pytest.raises(InputError, match="must be below 1"):
        trained.tuner.predict(pd.DataFrame({"peers": [9], "loss": [1.0], "rtt_p50_ms": [1.0]}))


def test_states_are_completed():
    found = complete_states(pd.DataFrame({"peers": [9], "loss": [0.99], "rtt_p50_ms": [0.0], "rtt_p95_ms": [0.0]}))
    assert found.iloc[0].to_dict() == {
        "peers": 9.0, "loss": 0.95, "churn": 0.0, "rtt_p50_ms": 0.05, "rtt_p95_ms": 0.05, "message_class": "small",
    }  # fmt: skip


# --- rules beside it, and judgement ---


def test_q_learning_learns_the_mean_and_looks_ahead():
    grid = ActionGrid(fanouts=(2, 3), ttls=(4,))
    log = pd.DataFrame(
        {
            "network": "a", "ts": range(4), "peers": 10, "churn": 0.0, "loss": [0.0, 0.35, 0.0, 0.35],
            "fanout": [2, 3, 2, 3], "ttl": 4, "coverage": [1.0, 1.0, 0.5, 0.5], "messages_per_node": 2.0, "p95_ms": 0.0,
        }
    )  # fmt: skip
    mean = QLearning(gamma=0, learning_rate=0, sweeps=1)
    table = learn_q_table(log, grid, GossipCost(), mean)
    calm, lossy = state_cells(log.head(2), mean)
    assert table.values[calm, 0] == pytest.approx(-(0.5 + (0.5 + 0.5 * 49)) / 2)
    assert table.visits[calm].tolist() == [2, 0]
    ahead = learn_q_table(log, grid, GossipCost(), QLearning(gamma=0.5, learning_rate=1, sweeps=1))
    # Of the last visit: its own reward, and half of what the lossy state was worth then
    assert ahead.values[calm, 0] == pytest.approx(-25 + 0.5 * (-0.5 + 0.5 * -0.5))
    assert greedy_actions(table, log.head(2).assign(loss=[0.0, 0.15]), mean, 1).tolist() == [0, 1]
    assert table.values[lossy, 1] < 0


def test_the_original_reward_prefers_few_messages(trained):
    chosen = trained.baselines.set_index(["policy", "case"])
    assert chosen.loc["q_learning_original", "fanout"].mean() < chosen.loc["best_fixed", "fanout"].mean()


def test_the_tuner_costs_less_than_every_learned_or_default_rule(trained):
    costs = trained.predictions.filter(like="cost").sum()
    rules = ("default", "q_learning", "q_learning_original")
    assert all(costs["cost"] < costs[f"cost_baseline_{name}"] for name in rules)
    assert costs["cost"] < 1.05 * costs["cost_baseline_best_fixed"]
    assert costs["cost"] < 1.15 * costs["cost_oracle"]


def test_the_tuner_covers_more_states_than_the_default(trained):
    report = judge_coverage(trained.predictions, trained.tuner, GossipJudgement(), EVALUATION, 0)
    metrics = report["metrics"]
    assert metrics["coverage_share"] >= 0.8 > metrics["coverage_share_default"]
    low, high = report["intervals"]["coverage_share"]
    assert low <= metrics["coverage_share"] <= high
    assert [row["states"] for row in report["tables"][next(iter(report["tables"]))]] != []


def test_the_oracle_chooses_by_other_seeds_than_those_that_judge(trained):
    choice = trained.outcomes[trained.outcomes["seeds"] == "choice"]
    changed = pd.concat([choice, trained.outcomes[trained.outcomes["seeds"] == JUDGED].assign(coverage=0.5)])
    for table in (trained.outcomes, changed):
        found = oracle_actions(table, trained.cases["case"], MODEL.actions, MODEL.cost)
        floor = floor_oracle_actions(table, trained.cases["case"], MODEL.actions, MODEL.cost)
        np.testing.assert_array_equal(
            floor, floor_oracle_actions(choice, trained.cases["case"], MODEL.actions, MODEL.cost)
        )
        np.testing.assert_array_equal(found, oracle_actions(choice, trained.cases["case"], MODEL.actions, MODEL.cost))


def test_replay_looks_outcomes_up(trained):
    played = trained.tuner.replay(trained.cases, features_outcomes=trained.outcomes)
    np.testing.assert_array_equal(played["cost"], trained.predictions["cost"])
    assert (played["choice"] == trained.predictions["choice"]).all()
    action = trained.outcomes["fanout"].astype(str) + "/" + trained.outcomes["ttl"].astype(str)
    chosen = (trained.outcomes["seeds"] == JUDGED) & (action == played["choice"].iloc[0])
    known = trained.outcomes[chosen & (trained.outcomes["case"] == trained.cases["case"].iloc[0])]
    assert known["coverage"].iloc[0] == played["coverage"].iloc[0]
    with pytest.raises(UserError, match="is not known"):
        outcomes_on_grid(trained.outcomes.head(1), trained.cases["case"], MODEL.actions, JUDGED)
    assert reachable(trained.outcomes, trained.cases["case"], MODEL.actions, 0.0).all()


def test_the_best_fixed_pair_is_the_cheapest_of_all_states(trained):
    states = trained.states[trained.states["split"] == "train"]
    chosen = best_fixed(states, trained.outcomes, MODEL.actions, MODEL.cost)
    table = trained.outcomes[trained.outcomes["case"].isin(states["case"])]
    means = table.groupby(["case", "fanout", "ttl"])[["coverage", "messages_per_node", "p95_ms"]].mean()
    means["cost"] = MODEL.cost.of(*(means[name].to_numpy() for name in ("coverage", "messages_per_node", "p95_ms")))
    assert tuple(MODEL.actions.pairs[chosen]) == means.groupby(["fanout", "ttl"])["cost"].sum().idxmin()
    total = means.groupby(["fanout", "ttl"])["cost"].sum()
    holds = (means["coverage"] >= MODEL.cost.floor).reset_index()
    can = holds.groupby("case")["coverage"].any()
    asked = can.index[can & (states.set_index("case")["loss"].reindex(can.index) <= 0.3)]
    share = holds[holds["case"].isin(asked)].groupby(["fanout", "ttl"])["coverage"].mean()
    careful = best_fixed(states, trained.outcomes, MODEL.actions, MODEL.cost, 0.8, 0.3)
    assert tuple(MODEL.actions.pairs[careful]) == total[share >= min(0.8, share.max())].idxmin()
    most = best_fixed(states, trained.outcomes, MODEL.actions, MODEL.cost, 1.0, 0.3)
    assert share[tuple(MODEL.actions.pairs[most])] == share.max()
    with pytest.raises(UserError, match="training network"):
        best_fixed(states.head(0), trained.outcomes, MODEL.actions, MODEL.cost)


def test_judgement_plots_and_folds_are_complete(trained):
    facts = gossip_facts(trained.tuner, trained.cases)
    metrics = evaluate_policies(trained.predictions, facts, EVALUATION, 0)
    assert metrics["best_baseline"] == "best_fixed"
    corrected = judge_corrections(trained.tuner, trained.later, trained.cases, trained.outcomes, GossipJudgement())
    assert 0.7 < corrected["metrics"]["corrected_cost_ratio"] < 1.3
    folds = validate_gossip_tuner(
        trained.rounds, trained.states, trained.outcomes, {}, MODEL.model_copy(update={"members": 1}),
        GossipValidation(folds=2, sizes=(200,)), 0,
    )  # fmt: skip
    assert {"cv_regret_mean", "cv_regret_sd", "cv_coverage_share_mean"} <= set(folds["metrics"])
    assert len(folds["tables"]["Folds of training networks"]) == 2
    json.dumps([corrected, folds, facts], allow_nan=False)
    for figure in (
        plot_surface(trained.tuner, trained.cases, trained.outcomes, GossipJudgement()),
        plot_coverage(trained.predictions, trained.tuner),
        plot_learning(folds),
        plot_learning({"tables": {}}),
    ):
        assert figure.to_json()


def test_no_folds_are_no_metrics(trained):
    found = validate_gossip_tuner(
        trained.rounds, trained.states, trained.outcomes, {}, MODEL, GossipValidation(folds=0), 0
    )
    assert found == {"metrics": {}, "tables": {}}


def test_tuning_finds_parameters_that_the_model_takes(trained):
    tuning = GossipSearch(trials=2, folds=2, space={"miss.rounds": ("int", 5, 40)})
    best, trials, _ = tune_gossip(trained.rounds, MODEL, tuning, 0, TransientStudies())
    assert set(best["parameters"]) == {"miss.rounds"} and len(trials) == 2


@pytest.mark.parametrize("rows", [0, 10])
def test_too_few_rounds_are_refused(trained, rows):
    with pytest.raises(UserError, match="too few"):
        train_gossip_tuner(trained.rounds.head(rows), trained.report, {}, MODEL, 3, PROVENANCE)


def test_a_class_without_a_time_is_refused(trained):
    with pytest.raises(UserError, match="copy_ms"):
        train_gossip_tuner(
            trained.rounds, trained.report, {}, MODEL.model_copy(update={"copy_ms": {"small": 1.0}}), 3, PROVENANCE
        )


# --- the command ---


def test_the_command_answers_a_state_and_a_file(trained, tmp_path):
    trained.tuner.save(tmp_path / "model")
    asked = ["--model", str(tmp_path / "model")]
    state = ["--peers", "50", "--loss", "0.1", "--rtt-p50-ms", "40"]
    one = CliRunner().invoke(command, [*state, *asked, "--json"], catch_exceptions=False)
    answer = json.loads(one.output)
    assert {"fanout", "ttl", "coverage", "coverage_lower", "messages_per_node"} <= set(answer)
    assert f"fanout {answer['fanout']}" in CliRunner().invoke(command, [*state, *asked]).output
    pd.DataFrame({"peers": [50, 9], "loss": [0.1, 0.2], "rtt_p50_ms": [40.0, 2]}).to_csv(
        tmp_path / "s.csv", index=False
    )
    out = tmp_path / "answers.parquet"
    CliRunner().invoke(command, [str(tmp_path / "s.csv"), *asked, "--out", str(out)], catch_exceptions=False)
    found = pd.read_parquet(out)
    assert found["fanout"].iloc[0] == answer["fanout"] and len(found) == 2


def test_the_command_says_what_is_missing():
    with pytest.raises(UserError, match="--loss, --rtt-p50-ms"):
        CliRunner().invoke(command, ["--peers", "4"], catch_exceptions=False)


def test_a_damaged_specification_is_refused(trained, tmp_path):
    trained.tuner.save(tmp_path / "model")
    (tmp_path / "model" / "SHA256SUMS").unlink()
    (tmp_path / "model" / "specification.json").write_text("{")
    with pytest.raises(UserError, match=r"specification\.json' is damaged"):
        GossipTuner.load(tmp_path / "model")
