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
    cross_fitted,
    estimate,
    estimated_propensities,
    folds_of,
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
