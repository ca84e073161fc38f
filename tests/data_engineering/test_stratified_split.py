"""Every side gets its share of every code."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from iterstrat.ml_stratifiers import IterativeStratification
from scipy.sparse import csr_array

from augury.pipelines.data_engineering.stratified_split import stratified_sides

SHARES = (0.7, 0.1, 0.2)


def random_labels(rows, codes, seed):
    rng = np.random.default_rng(seed)
    rate = 0.4 / (1 + np.arange(codes))
    labels = rng.random((rows, codes)) < rate
    labels[np.arange(rows), rng.integers(0, codes, rows)] = True
    return labels


def deviation(labels, sides):
    counts = np.stack([labels[sides == side].sum(axis=0) for side in range(len(SHARES))])
    return np.abs(counts - np.outer(SHARES, labels.sum(axis=0)))


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_it_is_as_even_as_the_package_for_it(seed):
    labels = random_labels(400, 12, seed)
    sides = stratified_sides(csr_array(labels.astype(int)), SHARES, seed)
    theirs = IterativeStratification(labels, np.array(SHARES), np.random.RandomState(seed))
    assert deviation(labels, sides).mean() <= 1.5 * deviation(labels, theirs).mean()
    assert (
        deviation(labels, sides).mean() < deviation(labels, np.random.default_rng(seed).permutation(sides)).mean() / 2
    )
    assert np.abs(np.bincount(sides) - 400 * np.array(SHARES)).max() < 12


@given(
    labels=st.lists(st.lists(st.booleans(), min_size=4, max_size=4), min_size=1, max_size=15),
    train=st.sampled_from([0.05, 0.5, 0.8]),
    seed=st.integers(0, 5),
)
@settings(max_examples=30, deadline=None)
def test_every_code_has_a_training_row(labels, train, seed):
    labels = np.array(labels, dtype=int)
    sides = stratified_sides(csr_array(labels), (train, (1 - train) / 4, 3 * (1 - train) / 4), seed)
    assert sides.shape == (len(labels),)
    assert set(sides) <= {0, 1, 2}
    assert (labels[sides == 0].any(axis=0) == labels.any(axis=0)).all()


def test_the_seed_decides():
    labels = csr_array(random_labels(100, 5, 0).astype(int))
    assert (stratified_sides(labels, SHARES, 3) == stratified_sides(labels, SHARES, 3)).all()
    assert (stratified_sides(labels, SHARES, 3) != stratified_sides(labels, SHARES, 4)).any()
