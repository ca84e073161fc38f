"""Off-policy estimates: known answers by enumeration, what is refused, and how they behave on average."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from augury.errors import UserError
from augury.metrics.off_policy import (
    Log,
    check_propensities,
    combined_models,
    cross_fitted,
    estimate,
    estimated_propensities,
    folds_of,
    marginal_weights,
    sampling_error,
)


def log_of(sizes, taken, outcome, propensity, group=None):
    start = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
    return Log(
        start,
        start[:-1] + np.asarray(taken),
        np.asarray(outcome, dtype=float),
        np.asarray(propensity, dtype=float),
        np.asarray(group if group is not None else range(len(sizes))),
    )


def drawn(random, decisions=400, actions=3):
    """A log by random propensities, what every action would have brought, and a policy."""
    truth = random.normal(2, 1, (decisions, actions))
    propensity = random.dirichlet(np.ones(actions) * 3, decisions).clip(0.02)
    propensity /= propensity.sum(axis=1, keepdims=True)
    taken = (random.random((decisions, 1)) > propensity.cumsum(axis=1)).sum(axis=1).clip(max=actions - 1)
    target = random.dirichlet(np.ones(actions), decisions)
    log = log_of([actions] * decisions, taken, truth[np.arange(decisions), taken], propensity.ravel())
    return log, target.ravel(), truth


def test_estimates_are_those_of_a_loop_over_decisions():
    log, target, truth = drawn(np.random.default_rng(0))
    model = truth.ravel() + np.random.default_rng(1).normal(0, 0.3, truth.size)
    found = estimate(log, target, model, clip=2.0, replicates=0)
    weighted, weights, robust, direct = [], [], [], []
    for number in range(len(log.taken)):
        row = log.taken[number]
        weight = min(2.0, target[row] / log.propensity[row])
        rows = range(log.start[number], log.start[number + 1])
        mean = sum(target[other] * model[other] for other in rows)
        weighted.append(weight * log.outcome[number])
        weights.append(weight)
        direct.append(mean)
        robust.append(mean + weight * (log.outcome[number] - model[row]))
    expected = {
        "ips": np.mean(weighted),
        "snips": np.sum(weighted) / np.sum(weights),
        "direct": np.mean(direct),
        "doubly_robust": np.mean(robust),
        "marginal_doubly_robust": np.mean(robust),
    }
    assert found["values"] == pytest.approx(expected)
    assert found["effective_sample_size"] == pytest.approx(np.sum(weights) ** 2 / np.sum(np.square(weights)))
    assert 0 < found["clipped"] < 1 and found["largest_weight"] > 2


def test_estimates_are_right_on_average():
    random = np.random.default_rng(3)
    errors = []
    for _ in range(60):
        log, target, truth = drawn(random)
        model = np.full(truth.size, 5.0)  # a model that knows nothing
        expected = float((target * truth.ravel()).sum() / len(log.taken))
        values = estimate(log, target, model, replicates=0)["values"]
        errors.append({name: value - expected for name, value in values.items()})
    mean, deviation = pd.DataFrame(errors).mean(), pd.DataFrame(errors).std() / np.sqrt(len(errors))
    for name in ("ips", "snips", "doubly_robust"):
        assert abs(mean[name]) < 4 * deviation[name] + 0.01, name
    assert mean["direct"] > 2


def test_a_right_model_makes_doubly_robust_exact():
    log, target, truth = drawn(np.random.default_rng(5))
    expected = float((target * truth.ravel()).sum() / len(log.taken))
    values = estimate(log, target, truth.ravel(), replicates=0)["values"]
    assert values["doubly_robust"] == pytest.approx(expected) == values["direct"]


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000), st.floats(0.1, 20), st.floats(-5, 5))
def test_estimates_move_with_the_scale_of_outcomes(seed, scale, shift):
    log, target, truth = drawn(np.random.default_rng(seed), 40)
    other = Log(log.start, log.taken, log.outcome * scale + shift, log.propensity, log.group)
    plain = estimate(log, target, truth.ravel(), replicates=0)
    moved = estimate(other, target, truth.ravel() * scale + shift, replicates=0)
    for name in ("snips", "direct", "doubly_robust"):
        assert moved["values"][name] == pytest.approx(plain["values"][name] * scale + shift, rel=1e-6, abs=1e-6)
    assert 0 < plain["effective_sample_size"] <= plain["n"] + 1e-9


def test_judging_the_logged_policy_itself_gives_the_mean_and_the_whole_sample():
    log, _, _ = drawn(np.random.default_rng(7))
    found = estimate(log, log.propensity, np.zeros(len(log.propensity)), replicates=200, seed=1)
    assert found["values"]["ips"] == pytest.approx(log.outcome.mean())
    assert found["effective_sample_size"] == pytest.approx(len(log.taken))
    assert found["mean_weight"] == pytest.approx(1)
    low, high = found["intervals"]["ips"]
    assert low < log.outcome.mean() < high


@pytest.mark.parametrize(
    ("propensity", "message"),
    [
        ([0.5, 0.5, 0.0, 1.0], "above 0 and at most 1: 1 of 4 rows"),
        ([0.5, 0.5, -0.2, 1.2], "2 of 4 rows break this, for example -0.2 in row 2"),
        ([0.5, 0.5, float("nan"), 1.0], "1 of 4 rows"),
        ([0.5, 0.5, 0.6, 0.6], "add up to 1 over the candidates of a request: 1 of 2 requests"),
    ],
)
def test_impossible_propensities_are_refused(propensity, message):
    log = log_of([2, 2], [0, 1], [1.0, 2.0], propensity)
    with pytest.raises(UserError, match=message):
        check_propensities(log, "data")
    with pytest.raises(UserError):
        estimate(log, np.array([1.0, 0, 1, 0]), np.zeros(4))


def test_rounded_propensities_are_taken():
    check_propensities(log_of([3], [0], [1.0], [0.333, 0.333, 0.333]))


def test_what_is_no_policy_is_refused():
    log = log_of([2], [0], [1.0], [0.5, 0.5])
    with pytest.raises(UserError, match="add up to 1 by decision"):
        estimate(log, np.array([0.5, 0.4]), np.zeros(2))


def test_a_decision_is_predicted_by_a_model_that_has_not_seen_it():
    log, _, _ = drawn(np.random.default_rng(2), 50)
    folds = folds_of(50, 4, 0)
    assert np.bincount(folds).tolist() == [13, 13, 12, 12]

    def mean_of_learned(learned):
        return np.where(learned[log.decision], np.nan, learned.sum())  # NaN where the model knows the answer

    found = cross_fitted(log, folds, mean_of_learned)
    assert not np.isnan(found).any()
    assert set(found) == {37.0, 38.0}


def test_propensities_are_estimated_from_how_often_each_place_was_taken():
    random = np.random.default_rng(0)
    score = random.normal(size=(3000, 3))
    best = score.argmin(axis=1)
    other = (best + random.integers(1, 3, 3000)) % 3
    taken = np.where(random.random(3000) < 0.8, best, other)
    log = log_of([3] * 3000, taken, np.zeros(3000), np.full(9000, np.nan))
    found = estimated_propensities(log, score.ravel()).reshape(-1, 3)
    assert np.allclose(found.sum(axis=1), 1)
    assert abs(found[np.arange(3000), best].mean() - 0.8) < 0.03


def blended(random, decisions=3000, actions=4, noise=1.0):
    """A uniform log, a greedy policy, and two models: one wrong on the policy's own actions, one with little to say."""
    truth = random.normal(0, 1, (decisions, actions)) + random.normal(0, noise, (decisions, actions))
    wrong = 0.5 * truth + random.normal(0, 0.3, truth.shape)
    best = wrong.argmin(axis=1)
    target = np.eye(actions)[best]
    wrong[np.arange(decisions), best] -= 2
    models = np.column_stack([wrong.ravel(), truth.ravel() + random.normal(0, 1, truth.size)])
    taken = random.integers(0, actions, decisions)
    propensity = np.full(truth.size, 1 / actions)
    return log_of([actions] * decisions, taken, truth[np.arange(decisions), taken], propensity), target, truth, models


def test_blended_models_leave_less_of_the_judged_actions_than_the_first_and_are_right_on_average():
    log, target, truth, models = blended(np.random.default_rng(0))
    found = combined_models(log, target.ravel(), models, folds_of(3000, 5, 0))
    judged = np.flatnonzero(target.ravel())
    left = {name: truth.ravel() - model for name, model in (("first", models[:, 0]), ("blended", found))}
    assert np.square(left["blended"][judged]).mean() < 0.3 * np.square(left["first"][judged]).mean()
    assert abs(left["blended"][judged].mean()) < 0.1
    errors = []
    for seed in range(60):
        log, target, truth, models = blended(np.random.default_rng(seed), 300)
        model = combined_models(log, target.ravel(), models, folds_of(300, 5, seed))
        estimated = estimate(log, target.ravel(), model, replicates=0)["values"]["doubly_robust"]
        errors.append(estimated - float((target * truth).sum() / 300))
    assert abs(np.mean(errors)) < 3 * np.std(errors) / np.sqrt(len(errors))


def test_a_decision_s_blend_comes_from_the_other_folds():
    log, target, _, models = blended(np.random.default_rng(1), 200)
    folds = folds_of(200, 4, 0)
    before = combined_models(log, target.ravel(), models, folds)
    changed = Log(log.start, log.taken, log.outcome + 10 * (folds == 2), log.propensity, log.group)
    after = combined_models(changed, target.ravel(), models, folds)
    same = before == after
    assert same[folds[log.decision] == 2].all() and not same[folds[log.decision] != 2].any()


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 1000), st.floats(0.01, 100), st.floats(-50, 50))
def test_a_blend_moves_with_the_scale_of_outcomes(seed, scale, shift):
    log, target, _, models = blended(np.random.default_rng(seed), 60)
    folds = folds_of(60, 3, seed)
    other = Log(log.start, log.taken, log.outcome * scale + shift, log.propensity, log.group)
    plain = combined_models(log, target.ravel(), models, folds)
    moved = combined_models(other, target.ravel(), models * scale + shift, folds)
    np.testing.assert_allclose(moved, plain * scale + shift, rtol=1e-4, atol=1e-4 * scale)


def test_of_actions_that_the_log_never_shows_the_first_model_says_what_it_says():
    log, _, _, models = blended(np.random.default_rng(2), 40)
    start = log.start[:-1]
    never = np.zeros(len(models))
    never[start + (log.taken - start + 1) % 4] = 1.0
    np.testing.assert_array_equal(combined_models(log, never, models, folds_of(40, 4, 0)), models[:, 0])


def shared(random, decisions=300, offered=3, actions=12):
    """A uniform log of decisions that offer some of a few actions, and a policy that takes the first by a fixed order.

    The outcomes of an action scatter around its own mean, whatever else was offered.
    """
    alike = np.argsort(random.random((decisions, actions)), axis=1)[:, :offered]
    truth = random.normal(0, 1, actions)[alike] + random.normal(0, 1, alike.shape)
    target = np.eye(offered)[alike.argmin(axis=1)]
    propensity = np.full(alike.size, 1 / offered)
    taken = random.integers(0, offered, decisions)
    log = log_of([offered] * decisions, taken, truth[np.arange(decisions), taken], propensity)
    return log, target.ravel(), truth.ravel(), alike.ravel()


def test_marginal_weights_are_means_over_the_rows_of_an_action_by_their_propensities():
    random = np.random.default_rng(0)
    target, propensity = random.random(30), random.uniform(0.1, 1, 30)
    alike = random.integers(0, 6, 30)
    found = marginal_weights(target, propensity, alike)
    for row in range(30):
        same = alike == alike[row]
        weights = target[same] / propensity[same]
        assert found[row] == pytest.approx(np.average(weights, weights=propensity[same]))
    np.testing.assert_allclose(marginal_weights(target, propensity, np.arange(30)), target / propensity)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000))
def test_marginal_weights_keep_their_mean_and_vary_less(seed):
    log, target, _, alike = shared(np.random.default_rng(seed), 40)
    found, plain = marginal_weights(target, log.propensity, alike), target / log.propensity
    assert log.propensity @ found == pytest.approx(log.propensity @ plain)
    assert log.propensity @ found**2 <= log.propensity @ plain**2 + 1e-9


def test_marginal_doubly_robust_is_right_on_average_and_nearer_than_doubly_robust():
    errors = []
    for seed in range(200):
        log, target, truth, alike = shared(np.random.default_rng(seed))
        values = estimate(log, target, np.full(len(target), 3.0), alike=alike, replicates=0)["values"]
        expected = (target * truth).sum() / len(log.taken)
        errors.append({name: value - expected for name, value in values.items()})
    table = pd.DataFrame(errors)
    deviation = table.std()
    assert abs(table["marginal_doubly_robust"].mean()) < 3 * deviation["marginal_doubly_robust"] / np.sqrt(200)
    assert deviation["marginal_doubly_robust"] < 0.8 * deviation["doubly_robust"]


def test_marginal_doubly_robust_is_that_of_a_loop_and_without_labels_the_plain_one():
    log, target, _, alike = shared(np.random.default_rng(3), 60)
    model = np.random.default_rng(4).normal(0, 1, len(target))
    found = estimate(log, target, model, alike=alike, clip=1.5, replicates=50)
    weights = marginal_weights(target, log.propensity, alike)
    total = 0.0
    for number, row in enumerate(log.taken):
        rows = range(log.start[number], log.start[number + 1])
        total += sum(target[other] * model[other] for other in rows)
        total += min(1.5, weights[row]) * (log.outcome[number] - model[row])
    assert found["values"]["marginal_doubly_robust"] == pytest.approx(total / 60)
    assert found["effective_sample_size"] < found["marginal_sample_size"] <= 60
    low, high = found["intervals"]["marginal_doubly_robust"]
    assert low < found["values"]["marginal_doubly_robust"] < high
    plain = estimate(log, target, model, replicates=0)
    assert plain["values"]["marginal_doubly_robust"] == plain["values"]["doubly_robust"]
    assert plain["marginal_sample_size"] == plain["effective_sample_size"]


@pytest.mark.parametrize("marginal", [False, True])
def test_the_sampling_error_is_that_of_estimates_over_all_logs(marginal):
    random = np.random.default_rng(4)
    truth, model = random.normal(2, 1, (3, 2)), random.normal(2, 1, (3, 2))
    propensity, target = random.dirichlet([2, 2], 3), random.dirichlet([1, 1], 3)
    alike = np.array([0, 1, 1, 2, 0, 1]) if marginal else np.arange(6)
    name = "marginal_doubly_robust" if marginal else "doubly_robust"
    expected, chances = [], []
    for taken in np.ndindex(2, 2, 2):
        rows = np.arange(3)
        log = log_of([2] * 3, list(taken), truth[rows, taken], propensity.ravel())
        found = estimate(log, target.ravel(), model.ravel(), alike=alike, replicates=0)["values"][name]
        expected.append(found - (target * truth).sum() / 3)
        chances.append(propensity[rows, taken].prod())
    assert marginal or np.dot(chances, expected) == pytest.approx(0, abs=1e-12)
    deviation = np.sqrt(np.dot(chances, np.square(expected)))
    start = np.arange(0, 7, 2)
    left = (truth - model).ravel()
    weights = marginal_weights(target.ravel(), propensity.ravel(), alike) if marginal else None
    assert sampling_error(start, target.ravel(), propensity.ravel(), left, weights) == pytest.approx(deviation)
