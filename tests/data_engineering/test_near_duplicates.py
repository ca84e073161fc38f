"""Groups of nearly equal texts: those that comparing all pairs gives."""

import re
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from augury.pipelines.data_engineering.near_duplicates import NearDuplicates, near_duplicate_groups


def by_comparing_all(texts, threshold, words):
    """The same, pair by pair."""

    def sequences(text):
        found = re.findall(r"\w+", text.casefold()) or [text]
        return {tuple(found[at : at + words]) for at in range(max(1, len(found) - words + 1))}

    sets = [sequences(text) for text in texts]
    group = list(range(len(texts)))
    for a, b in combinations(range(len(texts)), 2):
        if len(sets[a] & sets[b]) / len(sets[a] | sets[b]) >= threshold:
            old, new = max(group[a], group[b]), min(group[a], group[b])
            group = [new if number == old else number for number in group]
    first = {}
    return [first.setdefault(number, len(first)) for number in group]


@given(
    texts=st.lists(st.lists(st.sampled_from("abc"), max_size=6).map(" ".join), max_size=12),
    threshold=st.sampled_from([0.3, 0.5, 0.75, 1.0]),
    words=st.integers(1, 3),
)
@settings(max_examples=30, deadline=None)
def test_any_texts_are_grouped_as_by_comparing_all_pairs(texts, threshold, words):
    found = near_duplicate_groups(texts, NearDuplicates(threshold=threshold, words=words))
    assert found.tolist() == by_comparing_all(texts, threshold, words)


def test_a_changed_word_is_found_among_a_thousand_others():
    rng = np.random.default_rng(5)
    words = np.array([f"w{number}" for number in range(3_000)])
    texts = [" ".join(rng.choice(words, 40)) for _ in range(1_000)]
    copies = [text.split() for text in texts[:100]]
    for copy in copies:
        copy[20] = "other"
    groups = near_duplicate_groups(texts + [" ".join(copy) for copy in copies], NearDuplicates(threshold=0.8))
    assert groups[:1_000].tolist() == list(range(1_000))
    assert groups[1_000:].tolist() == list(range(100))


def test_large_groups_do_not_need_all_their_pairs():
    assert near_duplicate_groups(["the same text of some words"] * 400, NearDuplicates()).max() == 0


def test_case_and_signs_make_no_difference():
    texts = ["Dogs, and CATS!", "dogs and cats", "dogs or cats", "", "???"]
    assert near_duplicate_groups(texts, NearDuplicates(threshold=1.0)).tolist() == [0, 0, 1, 2, 3]
    assert len(near_duplicate_groups([], NearDuplicates())) == 0


@pytest.mark.parametrize("threshold", [0.0, 0.2, 1.1])
def test_thresholds_that_cannot_be_meant_are_refused(threshold):
    with pytest.raises(ValueError, match="threshold"):
        NearDuplicates(threshold=threshold)
