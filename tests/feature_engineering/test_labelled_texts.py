"""Tokens and targets: places of codes, priors of the training texts, and what is left out."""

import numpy as np
import pandas as pd
import pytest

from augury.errors import UserError
from augury.pipelines.feature_engineering.labelled_texts import TextFeatures, build_text_features
from augury.predictors.text_encoder import open_tokenizer

FEATURES = TextFeatures(encoder="scratch", max_tokens=8, windows=2, scratch={"vocabulary": 100})


@pytest.fixture
def texts():
    return pd.DataFrame(
        {
            "sample_id": ["a", "b", "c", "d", "e"],
            "text": ["the sea", "the law of the sea", "", "zebra " * 30, "the law"],
            "codes": [["000", "004"], ["300"], ["000"], ["000", "999"], ["300", "000"]],
            "given_codes": [["004"], ["300"], ["000"], ["999"], ["300"]],
            "confidence": [1.0, 0.5, 1.0, 1.0, 1.0],
            "group": [0, 1, 2, 3, 4],
            "split": ["train", "train", "train", "test", "train"],
        },
        index=[7, 7, 8, 9, 1],
    )


@pytest.fixture
def codes():
    names = ["000", "004", "300", "999"]
    return pd.DataFrame(
        {
            "code": names,
            "label": names,
            "parent": [None, "000", None, None],
            "level": [0, 1, 0, 0],
            "texts": [3, 1, 2, 0],
        }
    )


def test_targets_are_places_in_the_modelled_codes(texts, codes):
    found, modelled, _, report = build_text_features(texts, codes, FEATURES, 1)
    assert modelled["code"].tolist() == ["000", "004", "300"]
    names = modelled["code"].to_numpy()
    expected = [[code for code in sorted(row) if code != "999"] for row in texts["codes"]]
    assert [names[places].tolist() for places in found["targets"]] == expected
    assert all(places.dtype == np.int32 for places in found["targets"])
    assert modelled["prior"].tolist() == [0.75, 0.25, 0.5]
    assert found.columns.tolist() == ["sample_id", "text", "split", "group", "confidence", "targets", "token_ids"]
    assert report["codes_without_support"] == {"count": 1, "examples": ["999"]}
    assert report["texts_without_modelled_code"] == 0


def test_rare_codes_are_not_modelled(texts, codes):
    found, modelled, _, report = build_text_features(texts, codes, FEATURES.model_copy(update={"min_support": 3}), 1)
    assert modelled["code"].tolist() == ["000"]
    assert [len(places) for places in found["targets"]] == [1, 0, 1, 1, 1]
    assert report["texts_without_modelled_code"] == 1
    with pytest.raises(UserError, match=r"min_support' is 4.*has 3 training texts"):
        build_text_features(texts, codes, FEATURES.model_copy(update={"min_support": 4}), 1)


def test_tokens_are_cut_and_the_vocabulary_reads_the_training_texts_only(texts, codes):
    found, _, tokenizer, report = build_text_features(texts, codes, FEATURES, 1)
    names = {number: token for token, number in open_tokenizer(tokenizer).get_vocab().items()}
    read = ["".join(names[number] for number in ids).replace("##", "") for ids in found["token_ids"]]
    assert read[:3] == ["thesea", "thelawofthesea", ""]
    assert len(found["token_ids"][3]) == FEATURES.max_tokens * FEATURES.windows
    assert "z" not in tokenizer["model"]["vocab"]  # a letter of the test text
    assert report["share_cut_off"] == 0.2
    assert 0 < report["share_of_unknown_tokens"] < 1
    changed = texts.assign(text=[*texts["text"][:3], "other words", texts["text"].iloc[4]])
    assert build_text_features(changed, codes, FEATURES, 1)[2] == tokenizer


def test_texts_without_training_split_are_refused(texts, codes):
    with pytest.raises(UserError, match="split 'train'"):
        build_text_features(texts.assign(split="test"), codes, FEATURES, 1)
