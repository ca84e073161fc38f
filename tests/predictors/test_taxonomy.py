"""The text classifier as it is served: one answer whoever asks, closed upward, in Hugging Face's directory."""

import json

import numpy as np
import pandas as pd
import pytest
from pydantic import ValidationError

from augury.errors import InputError, UserError
from augury.predictors import DataFacts, Metadata, load_predictor
from augury.predictors.checks import check_predictor
from augury.predictors.encoder_scorer import EncoderScorer
from augury.predictors.label_calibration import LabelCalibration
from augury.predictors.label_hierarchy import LabelHierarchy
from augury.predictors.label_thresholds import decide
from augury.predictors.stored_encoder import StoredEncoder
from augury.predictors.taxonomy import (
    INPUTS,
    LABEL_MAP_FILE,
    OUTPUTS,
    SPECIFICATION_FILE,
    Member,
    TextClassifier,
    TextSpecification,
    combined,
)
from augury.predictors.text_encoder import ScratchEncoder, TextFeatures, load_tokenizer
from augury.predictors.tfidf_scorer import TermSettings, TfidfScorer

CODES = ("000", "004", "500", "510")
LABELS = ("Computer science, knowledge", "Computing", "Science", "Mathematics")
PARENTS = (-1, 0, -1, 2)
WORDS = ("computers", "data", "networks", "algebra", "groups", "nature", "biology", "knowledge")
TEXTS = [
    "computers and data networks",
    "algebra of groups",
    "nature and biology, biology and nature",
    "data, knowledge and algebra",
    "nothing that is known",
    "",
    "   ",
    "networks " * 300,
    "Über groups \u6570\u5b66 \U0001f4da",
]
FEATURES = TextFeatures(
    encoder="scratch", max_tokens=12, windows=2, scratch=ScratchEncoder(vocabulary=100, layers=1, hidden=16, heads=2)
)


def tfidf_scorer():
    random = np.random.default_rng(0)
    weights = random.normal(0, 2, (len(WORDS), len(CODES)))
    return TfidfScorer(TermSettings(words=(1, 1)), sorted(WORDS), np.ones(len(WORDS)), weights, np.full(4, -0.5))


def encoder_scorer(seed=0):
    codes = pd.DataFrame({"code": CODES, "label": LABELS})
    scorer = EncoderScorer.pretrained(FEATURES, load_tokenizer(FEATURES, TEXTS), codes, seed)
    return scorer.with_head(np.random.default_rng(seed).normal(0, 0.7, (4, 16)), np.full(4, -0.3))


def classifier(members, weights=None, **changes):
    metadata = Metadata(
        predictor="taxonomy",
        family=TextClassifier.family,
        task="multilabel text classification",
        inputs=INPUTS,
        outputs=OUTPUTS,
        features=("text",),
        parameters={},
        data=DataFacts(fingerprint="0", rows=9, groups=9, origin={"simulated": 9}),
        versions={},
        seed=0,
        git_commit=None,
        created_at="2026-01-01",
    )
    line = LabelCalibration(slopes=(1.0, 0.9, 1.1, 1.0), intercepts=(0.1, 0.0, -0.1, 0.0))
    specification = {
        "codes": CODES,
        "labels": LABELS,
        "parents": PARENTS,
        "priors": (0.5, 0.2, 0.4, 0.3),
        "thresholds": (0.5, 0.45, 0.5, 0.55),
        "members": [Member(name=name, weight=(weights or {}).get(name, 1.0), calibration=line) for name in members],
        **changes,
    }
    example = [{"text": "algebra"}]
    return TextClassifier(metadata, TextSpecification.model_validate(specification), members, example)


@pytest.fixture(scope="module")
def encoder():
    return StoredEncoder.of(encoder_scorer())


@pytest.fixture(scope="module")
def words():
    return classifier({"tfidf_linear": tfidf_scorer()})


@pytest.fixture(scope="module")
def neural(encoder):
    return classifier({"transformer": encoder})


@pytest.fixture(scope="module")
def blend(encoder):
    return classifier({"transformer": encoder, "tfidf_linear": tfidf_scorer()}, {"transformer": 3.0})


def test_the_one_of_words_keeps_the_contract(words, tmp_path):
    check_predictor(words, pd.DataFrame({"text": TEXTS}), tmp_path)


@pytest.mark.slow
def test_the_one_with_an_encoder_keeps_the_contract(blend, tmp_path):
    check_predictor(blend, pd.DataFrame({"text": TEXTS[:6]}), tmp_path)


def test_probabilities_are_the_mean_of_the_calibrated_log_odds_raised_to_the_parents(blend):
    scores = blend.member_scores(TEXTS)
    line = blend.specification.members[0].calibration
    log_odds = {name: line.log_odds(values) for name, values in scores.items()}
    mean = 1 / (1 + np.exp(-(0.75 * log_odds["transformer"] + 0.25 * log_odds["tfidf_linear"])))
    mean[:, 0] = np.maximum(mean[:, 0], mean[:, 1])
    mean[:, 2] = np.maximum(mean[:, 2], mean[:, 3])
    found = blend.probabilities(TEXTS)
    written = [bool(text.strip()) for text in TEXTS]
    assert found[written] == pytest.approx(mean[written], abs=1e-5)
    assert found.dtype == np.float32


def test_a_text_of_nothing_has_the_shares_of_the_training_texts(blend):
    assert blend.probabilities(["", " \n\t"]).tolist() == np.float32([[0.5, 0.2, 0.4, 0.3]] * 2).tolist()
    assert blend.suggest([""]) == [[]]
    assert blend.probabilities([]).shape == (0, 4)


def test_a_member_without_weight_says_nothing():
    scores = {"transformer": np.zeros((1, 4)), "tfidf_linear": np.full((1, 4), 9.0)}
    none = LabelCalibration.none(4)
    members = [
        Member(name="transformer", weight=1, calibration=none),
        Member(name="tfidf_linear", weight=0, calibration=none),
    ]
    assert (combined(scores, members, LabelHierarchy(PARENTS)) == 0.5).all()


def test_the_table_says_what_was_decided(blend):
    frame = blend.predict(pd.DataFrame({"text": TEXTS}))
    probabilities = blend.probabilities(TEXTS).astype(np.float64).round(5)
    given = blend.decide(probabilities)
    assert (given == decide(probabilities, blend.thresholds, at_least_one=True, close=blend.hierarchy.raised)).all()
    for row, (_, answer) in enumerate(frame.iterrows()):
        codes = answer["codes"].split(";")
        places = [CODES.index(code) for code in codes]
        assert set(places) == set(np.flatnonzero(given[row]))
        ordered = probabilities[row, places]
        assert (np.diff(ordered) <= 0).all()
        assert answer["probabilities"] == ";".join(f"{value:.3f}" for value in ordered)
        assert answer["labels"] == "; ".join(LABELS[place] for place in places)
        assert answer["top_code"] == CODES[probabilities[row].argmax()]
        assert answer["top_probability"] == probabilities[row].max()


def test_without_a_least_one_a_text_may_have_no_code(words):
    strict = classifier(words.members, thresholds=(1.0,) * 4, at_least_one=False)
    found = strict.predict(pd.DataFrame({"text": ["algebra"]}))
    assert found["codes"].tolist() == [""]
    assert found["top_code"].iloc[0] in CODES


def test_suggestions_are_in_the_words_of_annif(blend):
    all_of_them = blend.suggest(["algebra of groups"], limit=9)[0]
    assert [set(found) for found in all_of_them] == [{"notation", "label", "score", "uri"}] * 4
    assert [found["score"] for found in all_of_them] == sorted((found["score"] for found in all_of_them), reverse=True)
    assert {found["notation"]: found["label"] for found in all_of_them} == dict(zip(CODES, LABELS, strict=True))
    assert all_of_them[0]["uri"] == f"urn:taxonomy:{all_of_them[0]['notation']}"
    assert blend.suggest(["algebra of groups"], limit=2)[0] == all_of_them[:2]
    threshold = all_of_them[1]["score"]
    assert [f["score"] >= threshold for f in blend.suggest(["algebra of groups"], 9, threshold)[0]].count(False) == 0
    assert blend.suggest(["algebra"], limit=0) == [[]]


def test_half_of_a_character_is_no_reason_to_fail(blend):
    assert blend.predict(pd.DataFrame({"text": ["algebra \ud800 of groups"]}))["codes"].iloc[0]


def test_texts_must_be_texts(words):
    with pytest.raises(InputError, match="'text'"):
        words.predict(pd.DataFrame({"text": [None]}))
    with pytest.raises(InputError, match="'text'"):
        words.predict(pd.DataFrame({"txt": ["a"]}))


# --- the directory ---


def test_codes_with_leading_zeros_stay_texts_in_the_label_map(blend, tmp_path):
    blend.save(tmp_path / "model")
    found = json.loads((tmp_path / "model" / LABEL_MAP_FILE).read_text(encoding="utf-8"))
    assert found["labels"] == {"0": "000", "1": "004", "2": "500", "3": "510"}
    assert found["thresholds"]["004"] == 0.45
    assert found["parents"] == {"000": None, "004": "000", "500": None, "510": "500"}
    config = json.loads((tmp_path / "model" / "config.json").read_text(encoding="utf-8"))
    assert config["id2label"] == found["labels"]


def test_hugging_face_loads_encoder_and_tokenizer_from_the_top(blend, tmp_path):
    from transformers import AutoModel, AutoTokenizer

    blend.save(tmp_path / "model")
    model = AutoModel.from_pretrained(tmp_path / "model", local_files_only=True)
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "model", local_files_only=True)
    hidden = model(**tokenizer("algebra", return_tensors="pt")).last_hidden_state
    vector = hidden.mean(1).detach().numpy()
    scorer = blend.members["transformer"].open("torch")
    assert scorer.embeddings(scorer.tokens(["algebra"])) == pytest.approx(vector, abs=1e-5)


def test_a_second_encoder_lies_in_a_folder_of_its_own(encoder, tmp_path):
    both = classifier({"transformer": encoder, "frozen": StoredEncoder.of(encoder_scorer(1), onnx=False)})
    both.save(tmp_path / "model")
    assert (tmp_path / "model" / "frozen" / "model.safetensors").is_file()
    again = load_predictor(tmp_path / "model")
    assert (again.probabilities(TEXTS) == both.probabilities(TEXTS)).all()


def test_a_model_that_is_replaced_while_it_serves_still_answers(blend, words, tmp_path):
    blend.save(tmp_path / "model")
    serving = load_predictor(tmp_path / "model")
    words.save(tmp_path / "model")
    assert (serving.probabilities(TEXTS) == blend.probabilities(TEXTS)).all()


@pytest.mark.parametrize("content", ["", "{", "{}"])
def test_a_broken_specification_is_a_user_error(words, content, tmp_path):
    words.save(tmp_path)
    (tmp_path / "SHA256SUMS").unlink()
    (tmp_path / SPECIFICATION_FILE).write_text(content)
    with pytest.raises(UserError, match=r"specification.json' is damaged"):
        load_predictor(tmp_path)


# --- ONNX ---


def test_onnx_says_what_pytorch_says_and_eight_bits_about_that(blend):
    facts = blend.compare_onnx(TEXTS)
    assert facts["rows"] == len(TEXTS)
    assert facts["available"]
    assert facts["max_difference"] < 1e-4
    assert facts["flips"] == 0
    assert 0 < facts["int8_max_difference"] < 0.05
    torch, int8 = (blend.probabilities(TEXTS, backend) for backend in ("torch", "int8"))
    assert np.abs(torch - int8).max() <= facts["int8_max_difference"]


def test_the_engine_can_be_chosen_once_for_all(encoder):
    served = classifier({"transformer": encoder})
    served.backend, served.threads = "int8", 1
    expected = served.probabilities(TEXTS, "int8")
    assert (served.probabilities(TEXTS) == expected).all()
    assert not (served.probabilities(TEXTS, "torch") == expected).all()


def test_words_alone_need_no_engine(words):
    facts = words.compare_onnx(TEXTS)
    assert (facts["max_difference"], facts["int8_flips"], facts["available"]) == (0.0, 0, True)


def test_a_model_saved_without_onnx_says_so():
    bare = classifier({"transformer": StoredEncoder.of(encoder_scorer(), onnx=False)})
    assert bare.compare_onnx(TEXTS)["available"] is False
    with pytest.raises(UserError, match="export_onnx"):
        bare.probabilities(["algebra"], "int8")


# --- what does not fit together ---


@pytest.mark.parametrize(
    "changes",
    [
        {"labels": LABELS[:3]},
        {"codes": ("000", "000", "500", "510")},
        {"thresholds": (0.5, 0.5, 0.5, float("nan"))},
        {"parents": (-1, 0)},
    ],
)
def test_a_specification_that_does_not_fit_is_refused(words, changes):
    with pytest.raises(ValidationError):
        classifier(words.members, **changes)


def test_other_members_than_the_specification_names_are_refused(words):
    with pytest.raises(UserError, match="needs other models"):
        TextClassifier(words.metadata, words.specification, {})
