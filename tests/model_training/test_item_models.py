"""Closed solutions against the same, written out in dense numpy."""

import numpy as np
import pytest

from augury.errors import UserError
from augury.pipelines.model_training import item_models
from augury.pipelines.model_training.item_models import fit_ease, fit_item_knn, fit_popularity, item_products
from augury.predictors.user_histories import Histories

USERS, ITEMS = 40, 25


@pytest.fixture
def histories():
    random = np.random.default_rng(0)
    users, items = np.nonzero(random.random((USERS, ITEMS)) < 0.2)
    weights = random.uniform(0.5, 2, len(users))
    return Histories.from_pairs(users, items, weights, np.zeros(len(users)), (USERS, ITEMS))


def test_popularity(histories):
    found = fit_popularity(histories)
    np.testing.assert_allclose(found.popularity, (histories.table().toarray() > 0).mean(axis=0), rtol=1e-6)


@pytest.mark.parametrize("l2", [0.5, 20.0])
def test_ease_is_its_closed_form(histories, l2):
    dense = histories.table().toarray().astype(float)
    inverse = np.linalg.inv(dense.T @ dense + l2 * np.eye(ITEMS))
    expected = inverse / -np.diag(inverse)
    np.fill_diagonal(expected, 0)
    products = item_products(histories)
    before = products.copy()
    found = fit_ease(products, l2)
    np.testing.assert_allclose(found.weights, expected, atol=2e-5)
    assert (products == before).all()
    np.testing.assert_allclose(found.scores(None, histories), dense @ expected, atol=1e-4)


def test_ease_minimises_the_error_without_explaining_an_item_by_itself(histories):
    dense = histories.table().toarray().astype(float)
    weights = fit_ease(item_products(histories), 3.0).weights.astype(float)

    def loss(table):
        return ((dense - dense @ table) ** 2).sum() + 3.0 * (table**2).sum()

    random = np.random.default_rng(1)
    for _ in range(5):
        step = random.normal(0, 1e-2, weights.shape)
        np.fill_diagonal(step, 0)
        assert loss(weights + step) > loss(weights)


def test_ease_in_blocks(monkeypatch):
    random = np.random.default_rng(2)
    table = random.random((30, 700)).astype(np.float32)  # more items than a block has
    products = table.T @ table
    found = fit_ease(products, 50.0).weights
    inverse = np.linalg.inv(products.astype(float) + 50.0 * np.eye(700))
    expected = inverse / -np.diag(inverse)
    np.fill_diagonal(expected, 0)
    np.testing.assert_allclose(found, expected, atol=1e-4)


def test_too_many_items_are_refused(histories):
    with pytest.raises(UserError, match=r"25 items are more than 'most_items' allows \(24"):
        fit_ease(item_products(histories), 1.0, most_items=24)


def test_item_knn_by_brute_force(histories):
    dense = histories.table().toarray().astype(float)
    norms = np.sqrt((dense**2).sum(axis=0))
    similar = dense.T @ dense / (np.outer(norms, norms) + 2.0)
    np.fill_diagonal(similar, 0)
    expected = np.zeros_like(similar)
    for candidate in range(ITEMS):
        for neighbour in sorted(range(ITEMS), key=lambda other: (-similar[candidate, other], other))[:6]:
            expected[neighbour, candidate] = similar[candidate, neighbour]
    found = fit_item_knn(item_products(histories), 6, 2.0)
    np.testing.assert_allclose(found.similarities.toarray(), expected, atol=1e-6)
    np.testing.assert_allclose(found.scores(None, histories), dense @ expected, atol=1e-5)


def test_an_item_that_nobody_chose(monkeypatch):
    lonely = Histories.from_pairs(np.array([0, 0]), np.array([0, 2]), np.ones(2), np.zeros(2), (1, 4))
    for scorer in (
        fit_item_knn(item_products(lonely), 3),
        fit_ease(item_products(lonely), 1.0),
        fit_popularity(lonely),
    ):
        scores = scorer.scores(None, lonely)
        assert np.isfinite(scores).all()
        assert (scores[0, [1, 3]] == 0).all()
    assert item_models.fit_popularity(lonely).popularity.tolist() == [1, 0, 1, 0]
