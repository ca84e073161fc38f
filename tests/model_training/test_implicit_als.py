"""Factors against the normal equations, written out in dense numpy."""

import numpy as np
import pytest

from augury.pipelines.model_training.implicit_als import (
    _side,
    fit_implicit_als,
    improve_compiled,
    improve_vectorised,
    with_recency,
)
from augury.predictors.recommender_scorers import LeastSquares
from augury.predictors.user_histories import Histories, Recency

USERS, ITEMS, FACTORS = 30, 20, 5
PROBLEM = LeastSquares(unobserved_weight=0.2, regularisation=0.03, frequency_exponent=0.7)


def histories(seed=0):
    random = np.random.default_rng(seed)
    users, items = np.nonzero(random.random((USERS, ITEMS)) < 0.25)
    return Histories.from_pairs(
        users, items, random.uniform(0.5, 3, len(users)), random.random(len(users)), (USERS, ITEMS)
    )


def solved(table, others, problem):
    """Every row's factors by its own normal equations."""
    rows = []
    for weights in table.toarray():
        penalty = problem.regularisation * (
            ((weights > 0).sum() + problem.unobserved_weight * len(others)) ** problem.frequency_exponent
        )
        left = others.T @ np.diag(problem.unobserved_weight + weights) @ others + penalty * np.eye(FACTORS)
        rows.append(np.linalg.solve(left, others.T @ weights))
    return np.array(rows)


def loss(scorer, table, problem):
    weights, scores = table.toarray(), scorer.users.astype(float) @ scorer.items.T
    observed = weights > 0
    value = (weights * (1 - scores) ** 2)[observed].sum() + problem.unobserved_weight * (scores**2).sum()
    for factors, axis in ((scorer.users, 1), (scorer.items, 0)):
        total = observed.sum(axis) + problem.unobserved_weight * observed.shape[axis]
        value += problem.regularisation * (total**problem.frequency_exponent * (factors**2).sum(1)).sum()
    return value


@pytest.mark.parametrize("improve", [improve_vectorised, improve_compiled])
def test_many_steps_solve_the_normal_equations(improve):
    if improve is improve_compiled:
        pytest.importorskip("numba")
    table = histories().table()
    random = np.random.default_rng(1)
    rows, others = (random.normal(0, 0.3, (size, FACTORS)).astype(np.float32) for size in (USERS, ITEMS))
    improve(_side(table, PROBLEM), rows, others, PROBLEM.unobserved_weight, 3 * FACTORS)
    np.testing.assert_allclose(rows, solved(table, others.astype(float), PROBLEM), atol=2e-4)


def test_few_steps_are_the_same_whoever_computes(monkeypatch):
    pytest.importorskip("numba")
    found = {
        engine: fit_implicit_als(histories(), PROBLEM, FACTORS, 3, 7, engine=engine) for engine in ("numba", "numpy")
    }
    np.testing.assert_allclose(found["numba"].users, found["numpy"].users, atol=1e-4)
    np.testing.assert_allclose(found["numba"].items, found["numpy"].items, atol=1e-4)
    # Neither the threads nor the blocks of rows change a bit of it
    monkeypatch.setattr("augury.pipelines.model_training.implicit_als.os.sched_getaffinity", lambda _: {0})
    alone = fit_implicit_als(histories(), PROBLEM, FACTORS, 3, 7, engine="numba")
    assert (alone.users == found["numba"].users).all()
    monkeypatch.setattr("augury.pipelines.model_training.implicit_als.ROWS_AT_ONCE", 11)
    pieces = fit_implicit_als(histories(), PROBLEM, FACTORS, 3, 7, engine="numpy")
    np.testing.assert_allclose(pieces.items, found["numpy"].items, atol=1e-5)


def test_sweeps_lower_the_loss():
    losses = [
        loss(fit_implicit_als(histories(), PROBLEM, FACTORS, epochs, 0, engine="numpy"), histories().table(), PROBLEM)
        for epochs in (1, 2, 4, 12)
    ]
    assert losses == sorted(losses, reverse=True)


def test_the_seed_decides():
    def run(seed):
        return fit_implicit_als(histories(), PROBLEM, FACTORS, 2, seed, engine="numpy").items

    assert (run(1) == run(1)).all()
    assert not np.allclose(run(1), run(2))


def test_a_row_without_interactions_has_no_taste():
    empty = Histories.from_pairs(np.array([1]), np.array([0]), np.ones(1), np.zeros(1), (3, 4))
    scorer = fit_implicit_als(empty, PROBLEM, FACTORS, 8, 0, steps=8, engine="numpy")
    assert np.isfinite(scorer.users).all()
    np.testing.assert_allclose(scorer.users[[0, 2]], 0, atol=1e-4)


def test_fading_histories_keep_the_items_factors():
    scorer = fit_implicit_als(histories(), PROBLEM, FACTORS, 4, 0, engine="numpy")
    faded = with_recency(scorer, histories(), Recency(2.0, 0.1), "numpy")
    assert faded.items is scorer.items
    expected = solved(histories().table(Recency(2.0, 0.1)), scorer.items.astype(float), PROBLEM)
    np.testing.assert_allclose(faded.users, expected, atol=1e-3)
    np.testing.assert_allclose(faded.fold_in(histories()), faded.users, atol=1e-3)
    assert with_recency(scorer, histories(), Recency(), "numpy") is scorer
