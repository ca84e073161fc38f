"""The vocabulary: which terms are chosen, and that their indicators are the same in every way of asking."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from augury.errors import UserError
from augury.predictors.query_vocabulary import QueryVocabulary, VocabularyBounds

ALL = VocabularyBounds(min_share=0.0, max_share=1.0, min_rows=1, merge_equal=False)

WORDS = st.sampled_from(["select", "from", "orders", "join", "a~b", "select~from", "x", "sum", "where", "é"])
ROWS = st.lists(st.one_of(st.none(), st.lists(WORDS, unique=True, max_size=6).map(" ".join)), min_size=1, max_size=30)


def frequencies(texts):
    words = sorted({word for text in texts for word in (text or "").split()})
    return {word: sum(word in (text or "").split() for text in texts) for word in words}


@given(ROWS, st.integers(1, 4), st.integers(1, 5))
def test_the_vocabulary_holds_the_most_frequent_words(texts, rows, size):
    expected = {word: count for word, count in frequencies(texts).items() if count >= rows}
    bounds = ALL.model_copy(update={"min_rows": rows, "max_terms": size})
    if not expected:
        with pytest.raises(UserError, match="none of the"):
            QueryVocabulary.fit(texts, bounds)
        return
    found = QueryVocabulary.fit(texts, bounds).terms
    assert list(found) == sorted(found)
    assert len(found) == min(size, len(expected))
    assert min(expected[word] for word in found) >= max(
        [count for word, count in expected.items() if word not in found], default=0
    )


@given(ROWS, st.randoms(use_true_random=False))
def test_the_order_of_the_rows_does_not_matter(texts, random):
    if not frequencies(texts):
        return
    shuffled = random.sample(texts, len(texts))
    bounds = VocabularyBounds(min_share=0.0, max_share=1.0, min_rows=1, max_terms=4)
    assert QueryVocabulary.fit(texts, bounds) == QueryVocabulary.fit(shuffled, bounds)


@given(ROWS, ROWS)
def test_indicators_say_which_words_a_row_holds(fitted, asked):
    if not frequencies(fitted):
        return
    vocabulary = QueryVocabulary.fit(fitted, ALL)
    found = vocabulary.indicators(asked)
    assert found.shape == (len(asked), len(vocabulary)) and found.dtype == np.uint8
    expected = [[term in (text or "").split() for term in vocabulary.terms] for text in asked]
    np.testing.assert_array_equal(found, np.array(expected, dtype=np.uint8))
    for text, row in zip(asked, found, strict=True):
        single = np.zeros(len(vocabulary), dtype=np.float32)
        vocabulary.set_indicators(text, single)
        np.testing.assert_array_equal(single, row)


def test_words_that_are_rare_or_everywhere_are_left_out():
    texts = [f"select {'orders' if number < 40 else 'lineitem'} rare{number}" for number in range(100)]
    bounds = VocabularyBounds(min_share=0.05, max_share=0.9, min_rows=1)
    assert QueryVocabulary.fit(texts, bounds).terms == ("lineitem", "orders")


def test_of_words_with_the_same_rows_the_short_single_word_is_kept():
    texts = ["orders from~orders o_orderkey", "lineitem", "lineitem tax"] * 3
    bounds = VocabularyBounds(min_share=0.0, max_share=1.0, min_rows=1)
    assert QueryVocabulary.fit(texts, bounds).terms == ("lineitem", "orders", "tax")
    assert len(QueryVocabulary.fit(texts, bounds.model_copy(update={"merge_equal": False}))) == 5


def test_words_with_equally_many_but_other_rows_are_not_merged():
    bounds = VocabularyBounds(min_share=0.0, max_share=1.0, min_rows=1)
    assert QueryVocabulary.fit(["a", "b", "a b", "c"] * 2, bounds).terms == ("a", "b", "c")


def test_no_eligible_word_is_a_user_error_that_names_the_parameters():
    with pytest.raises(UserError, match=r"none of the 2 terms in the 3 training rows .* lower query_cost\.model"):
        QueryVocabulary.fit(["a", "b", None], VocabularyBounds())


def test_json_brings_the_vocabulary_back():
    vocabulary = QueryVocabulary(["a", "b~c", "é"])
    assert QueryVocabulary.from_json(vocabulary.to_json()) == vocabulary


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"terms": "abc"}', '{"terms": [1]}', '{"terms": ["a", "a"]}'])
def test_other_json_is_refused(text):
    with pytest.raises(ValueError):
        QueryVocabulary.from_json(text)


def test_bounds_that_contradict_each_other_are_refused():
    with pytest.raises(ValueError, match=r"min_share \(0\.5\) must be below max_share \(0\.5\)"):
        VocabularyBounds(min_share=0.5, max_share=0.5)
