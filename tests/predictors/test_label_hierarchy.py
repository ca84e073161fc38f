"""Labels below labels: closed upward, never less probable than one below, whatever the order of the columns."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from augury.errors import UserError
from augury.predictors.label_hierarchy import LabelHierarchy

CODES = ["000", "004", "004.6", "500", "510"]
PARENTS = [None, "000", "004", float("nan"), "500"]


@st.composite
def forests(draw):
    """Parents of up to 12 labels whose columns are in any order."""
    labels = draw(st.integers(1, 12))
    parents = [draw(st.integers(-1, place - 1)) for place in range(labels)]
    order = draw(st.permutations(range(labels)))
    shuffled = [-1] * labels
    for place, parent in enumerate(parents):
        shuffled[order[place]] = -1 if parent < 0 else order[parent]
    return shuffled


def ancestors(parents, label):
    while parents[label] >= 0:
        label = parents[label]
        yield label


def test_levels_and_places_follow_the_codes():
    hierarchy = LabelHierarchy.of_codes(CODES, PARENTS)
    assert hierarchy.parents.tolist() == [-1, 0, 1, -1, 3]
    assert hierarchy.levels.tolist() == [0, 1, 2, 0, 1]
    assert hierarchy.parents.dtype == np.int32


def test_a_parent_that_is_not_modelled_counts_as_none():
    hierarchy = LabelHierarchy.of_codes(["004", "510"], ["000", "500"])
    assert hierarchy.is_flat
    scores = np.array([[0.2, 0.7]])
    assert hierarchy.raised(scores) is scores


def test_probabilities_rise_through_all_levels_and_the_argument_stays():
    hierarchy = LabelHierarchy.of_codes(CODES, PARENTS)
    scores = np.array([[0.1, 0.2, 0.9, 0.5, 0.3]], dtype=np.float32)
    before = scores.copy()
    found = hierarchy.raised(scores)
    assert found.tolist() == np.array([[0.9, 0.9, 0.9, 0.5, 0.3]], dtype=np.float32).tolist()
    assert (scores == before).all()
    assert found.dtype == np.float32


@settings(max_examples=60, deadline=None)
@given(forests(), st.integers(0, 1000))
def test_a_label_gets_the_largest_score_of_all_that_lie_below_it(parents, seed):
    random = np.random.default_rng(seed)
    scores = random.random((4, len(parents)))
    expected = scores.copy()
    for label in range(len(parents)):
        for above in ancestors(parents, label):
            expected[:, above] = np.maximum(expected[:, above], scores[:, label])
    hierarchy = LabelHierarchy(parents)
    assert (hierarchy.raised(scores) == expected).all()
    given_labels = scores > 0.7
    closed = hierarchy.raised(given_labels)
    assert closed.dtype == bool
    for row, label in zip(*np.nonzero(closed), strict=True):
        assert all(closed[row, above] for above in ancestors(parents, label))
    assert (hierarchy.raised(closed) == closed).all()
    assert hierarchy.levels.tolist() == [len(list(ancestors(parents, label))) for label in range(len(parents))]


@pytest.mark.parametrize("parents", [[1, 0], [0], [-1, 2, 3, 1]])
def test_a_circle_is_refused(parents):
    with pytest.raises(UserError, match="its own ancestor"):
        LabelHierarchy(parents)


@pytest.mark.parametrize("parents", [[-1, 5], [-2]])
def test_a_parent_that_does_not_exist_is_refused(parents):
    with pytest.raises(UserError, match=r"is none of \d labels"):
        LabelHierarchy(parents)
