"""Baselines: trained on training texts alone, answers for test texts alone, each by its own rule."""

import numpy as np
import pandas as pd
import pytest

from augury.errors import UserError
from augury.pipelines.model_training.text_baselines import (
    OriginalRecipe,
    TextBaselines,
    code_lists,
    most_frequent,
    predict_text_baselines,
)
from augury.pipelines.model_training.text_rows import text_rows
from augury.predictors.label_hierarchy import LabelHierarchy
from augury.predictors.label_thresholds import f1_scores
from augury.predictors.text_encoder import ScratchEncoder, TextFeatures, encode_texts, load_tokenizer

CODES = ["000", "500", "510", "900"]
FEATURES = TextFeatures(
    encoder="scratch", max_tokens=12, windows=1, scratch=ScratchEncoder(vocabulary=80, layers=1, hidden=8, heads=2)
)
WORDS = {0: "computer", 1: "nature", 2: "algebra", 3: "history"}
PARENTS = [None, None, "500", None]


@pytest.fixture(scope="module")
def tables():
    random = np.random.default_rng(0)
    texts, targets = [], []
    for _ in range(150):
        topic = int(random.choice(4, p=[0.5, 0.2, 0.2, 0.1]))
        texts.append(" ".join(random.permutation(["the", "book", "of", WORDS[topic], WORDS[topic]])))
        targets.append(np.array([1, 2] if topic == 2 else [topic], dtype=np.int32))
    tokenizer = load_tokenizer(FEATURES, texts)
    frame = pd.DataFrame(
        {
            "sample_id": [f"{number:03d}" for number in range(150)],
            "text": texts,
            "split": np.resize(["train", "train", "test"], 150),
            "group": np.arange(150),
            "confidence": 1.0,
            "targets": targets,
            "token_ids": encode_texts(tokenizer, texts, 12),
        }
    )
    return frame, pd.DataFrame({"code": CODES, "label": CODES, "parent": PARENTS}), tokenizer


@pytest.fixture(scope="module")
def found(tables):
    baselines = TextBaselines(original_recipe=OriginalRecipe(samples=32, epochs=1), device="cpu")
    return predict_text_baselines(*tables, FEATURES, baselines, 0)


def truth(tables):
    return text_rows(tables[0], "test", 4).targets


def answers(found, name):
    return np.array([[code in codes for code in CODES] for codes in found[f"{name}_codes"]])


def test_every_test_text_is_answered_by_every_baseline(found, tables):
    test = tables[0][tables[0]["split"] == "test"]
    assert found["sample_id"].tolist() == test["sample_id"].tolist()
    for name in ("most_frequent", "tfidf_linear", "original_recipe"):
        probabilities = np.array(found[f"{name}_probability"].tolist())
        assert probabilities.shape == (50, 4)
        assert probabilities.dtype == np.float32
        assert ((probabilities >= 0) & (probabilities <= 1)).all()


def test_the_most_frequent_codes_are_as_many_as_serve_the_training_texts_best(tables):
    train, test = (text_rows(tables[0], split, 4) for split in ("train", "test"))
    probability, given = most_frequent(train, test, LabelHierarchy.of_codes(CODES, PARENTS))
    shares = train.targets.mean(axis=0)
    assert probability[0] == pytest.approx(shares)
    order = np.argsort(-shares)
    by_count = []
    for count in range(1, 5):
        constant = np.zeros(train.targets.shape, dtype=bool)
        constant[:, order[:count]] = True
        by_count.append(f1_scores(constant, train.targets)[0])
    assert given[0].sum() == 1 + int(np.argmax(by_count))
    assert (given == given[0]).all()


def test_weighted_words_find_what_the_words_say(found, tables):
    assert f1_scores(answers(found, "tfidf_linear"), truth(tables))[0] > 0.97


def test_a_step_or_two_of_the_usual_recipe_teach_little(found, tables):
    given = answers(found, "original_recipe")
    probabilities = np.array(found["original_recipe_probability"].tolist())
    assert (given == (probabilities >= 0.5)).all()
    assert f1_scores(given, truth(tables))[0] < 0.9
    # It did compute something for each text
    assert len(np.unique(probabilities[:, 0])) > 4


def test_the_same_seed_gives_the_same_answers_and_test_labels_have_no_part(found, tables):
    changed = tables[0].copy()
    test = changed["split"] == "test"
    changed["targets"] = [
        np.array([3], dtype=np.int32) if t else v for t, v in zip(test, changed["targets"], strict=True)
    ]
    baselines = TextBaselines(original_recipe=OriginalRecipe(samples=32, epochs=1), device="cpu")
    again = predict_text_baselines(changed, *tables[1:], FEATURES, baselines, 0)
    for name in found:
        assert all(np.array_equal(one, other) for one, other in zip(found[name], again[name], strict=True)), name


def test_only_what_is_asked_for_is_fitted(tables):
    found = predict_text_baselines(*tables, FEATURES, TextBaselines(models=("most_frequent",)), 0)
    assert list(found) == ["sample_id", "most_frequent_probability", "most_frequent_codes"]


def test_no_training_text_with_a_code_is_refused(tables):
    empty = tables[0].assign(split="test")
    with pytest.raises(UserError, match="none of 0 training texts"):
        predict_text_baselines(empty, *tables[1:], FEATURES, TextBaselines(), 0)


def test_decisions_become_lists_in_the_order_of_the_columns():
    assert code_lists(np.array([[1, 0, 1], [0, 0, 0], [0, 1, 0]], dtype=bool), ["a", "b", "c"]) == [
        ["a", "c"],
        [],
        ["b"],
    ]
    assert code_lists(np.zeros((0, 3), dtype=bool), ["a", "b", "c"]) == []
