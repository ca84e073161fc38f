"""The paired bootstrap gives what drawing groups one by one gives."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from augury.pipelines.promotion.paired_comparison import compare_losses, compare_rankings
from augury.pipelines.promotion.rules import PromotionRules

RULES = PromotionRules(replicates=200, confidence=0.9, min_groups=2)


@pytest.fixture(scope="module")
def rows():
    random = np.random.default_rng(2)
    groups = random.integers(0, 25, 300)
    actual = random.random(300) < 0.4
    scores = {
        "champion": np.round(random.random(300) + 0.3 * actual, 2),
        "challenger": np.round(random.random(300) + 0.5 * actual, 2),
    }
    return groups, actual, scores


def drawn(groups, replicates, seed):
    """Rows of each resample, drawn group by group with the generator's own numbers."""
    labels = np.unique(groups)
    members = [np.flatnonzero(groups == label) for label in labels]
    picks = np.random.default_rng(seed).integers(0, len(labels), size=(replicates, len(labels)), dtype=np.int64)
    return [np.concatenate([members[pick] for pick in line]) for line in picks]


def test_losses_against_brute_force(rows):
    groups, _, scores = rows
    found = compare_losses(scores, groups, RULES, seed=4)
    means = [(scores["champion"][part] - scores["challenger"][part]).mean() for part in drawn(groups, 200, 4)]
    assert found["lower"] == pytest.approx(np.quantile(means, 0.1), rel=1e-12)
    assert found["improvement"] == pytest.approx(scores["champion"].mean() - scores["challenger"].mean(), rel=1e-12)


def test_rankings_against_brute_force(rows):
    groups, actual, scores = rows
    found = compare_rankings(actual, scores, groups, RULES, seed=4)
    areas = [
        roc_auc_score(actual[part], scores["challenger"][part]) - roc_auc_score(actual[part], scores["champion"][part])
        for part in drawn(groups, 200, 4)
    ]
    assert found["lower"] == pytest.approx(np.quantile(areas, 0.1), rel=1e-9)
    assert found["challenger"] == pytest.approx(roc_auc_score(actual, scores["challenger"]), rel=1e-12)


@given(st.integers(0, 10_000), st.integers(2, 60), st.floats(0.55, 0.99))
def test_a_model_does_not_improve_on_itself(seed, groups, confidence):
    random = np.random.default_rng(seed)
    losses = random.exponential(size=200)
    rules = PromotionRules(replicates=100, confidence=confidence, min_groups=2)
    found = compare_losses({"champion": losses, "challenger": losses}, random.integers(0, groups, 200), rules, seed)
    assert (found["improvement"], found["lower"]) == (0.0, 0.0)


def test_the_lower_bound_holds_as_often_as_it_says():
    """Two models that are equally good on the whole: the bound lies above zero in one tenth of the samples."""
    random = np.random.default_rng(0)
    wrong = 0
    for sample in range(400):
        group = np.repeat(np.arange(60), 5)
        gain = random.normal(size=60)[group] + random.normal(size=300)
        losses = {"champion": 2 + gain / 2, "challenger": 2 - gain / 2}
        wrong += compare_losses(losses, group, RULES, seed=sample)["lower"] > 0
    assert 0.05 < wrong / 400 < 0.16


def test_too_few_groups_give_no_bound(rows):
    groups, actual, scores = rows
    rules = RULES.model_copy(update={"min_groups": 26})
    assert compare_losses(scores, groups, rules, seed=4)["lower"] is None
    assert compare_rankings(actual, scores, groups, rules, seed=4)["lower"] is None
    everywhere = np.zeros(len(groups))
    assert compare_losses(scores, everywhere, RULES, seed=4)["lower"] is None


def test_one_class_has_no_area(rows):
    groups, actual, scores = rows
    found = compare_rankings(np.ones_like(actual), scores, groups, RULES, seed=4)
    assert (found["improvement"], found["lower"]) == (None, None)
