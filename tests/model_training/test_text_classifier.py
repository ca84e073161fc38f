"""Training of the text classifier: every kind learns, test texts have no part in it, decisions come from others."""

import numpy as np
import pandas as pd
import pytest

from augury.checkpointing import NoCheckpoints
from augury.errors import UserError
from augury.pipelines.feature_engineering.labelled_texts import build_text_features
from augury.pipelines.model_training.text_classifier import fingerprint, threshold_source, train_taxonomy
from augury.pipelines.model_training.text_decisions import choose_calibration, choose_weights, log_loss
from augury.pipelines.model_training.text_members import TrainingTexts, with_copies
from augury.pipelines.model_training.text_models import TextModel, members_of
from augury.pipelines.model_training.text_rows import target_matrix, text_rows
from augury.predictors.label_calibration import sigmoid
from augury.predictors.label_thresholds import f1_scores
from augury.predictors.text_encoder import ScratchEncoder, TextFeatures

FEATURES = TextFeatures(
    encoder="scratch", max_tokens=16, windows=1, scratch=ScratchEncoder(vocabulary=150, layers=1, hidden=16, heads=2)
)
CODES = ["000", "004", "500", "510", "700"]
PARENTS = [None, "000", None, "500", None]
TOPIC = {
    "004": ["computer", "network", "data"],
    "510": ["algebra", "group", "number"],
    "700": ["music", "painting", "theatre"],
    "500": ["nature", "science", "laboratory"],
}
PROVENANCE = {"git_commit": None, "created_at": "2026-01-01", "versions": {"augury": "0"}}
TRANSFORMER = {
    "epochs": 3,
    "min_steps": 90,
    "body_learning_rate": 5e-3,
    "head_learning_rate": 2e-2,
    "frozen_layers": 0,
    "threads": 1,
    "device": "cpu",
    "precision": "float32",
}
CHEAP = {"c": [1.0], "folds": 3}


def draw(rows=330, seed=0):
    """Primary texts: a word or two of a topic among common ones, codes closed upward."""
    random = np.random.default_rng(seed)
    texts, codes = [], []
    for _ in range(rows):
        chosen = random.choice(list(TOPIC), random.integers(1, 3), replace=False)
        words = random.choice(["the", "of", "new", "book", "study"], 4).tolist()
        for topic in chosen:
            words += random.choice(TOPIC[topic], 2).tolist()
        texts.append(" ".join(random.permutation(words)))
        above = {PARENTS[CODES.index(code)] for code in chosen} - {None}
        codes.append(sorted(set(chosen) | above))
    split = np.resize(["train", "train", "train", "validation", "test"], rows)
    return pd.DataFrame(
        {
            "sample_id": [f"s{number:04d}" for number in range(rows)],
            "text": texts,
            "codes": codes,
            "split": split,
            "group": np.arange(rows),
            "confidence": 1.0,
        }
    )


@pytest.fixture(scope="module")
def tables():
    texts = draw()
    codes = pd.DataFrame({"code": CODES, "label": [f"about {code}" for code in CODES], "parent": PARENTS, "level": 0})
    codes["texts"] = [sum(code in found for found in texts["codes"]) for code in CODES]
    return build_text_features(texts, codes, FEATURES, 0)


def train(tables, model, seed=0, best_params=None, checkpoints=None):
    features_texts, features_codes, tokenizer, report = tables
    return train_taxonomy(
        features_texts, features_codes, tokenizer, report, {"origin": {"simulated": 198}}, FEATURES, best_params or {},
        TextModel.model_validate({"export_onnx": False, **model}), seed, checkpoints or NoCheckpoints(), PROVENANCE,
    )  # fmt: skip


def f1_of(predictor, tables):
    test = text_rows(tables[0], "test", len(CODES))
    return f1_scores(predictor.decide(predictor.probabilities(test.text)), test.targets)[0]


KINDS = {
    "tfidf_linear": {"kind": "tfidf_linear", "tfidf_linear": CHEAP},
    "transformer": {"kind": "transformer", "transformer": TRANSFORMER},
    "frozen": {"kind": "frozen", "frozen": CHEAP},
    "blend": {"kind": "blend", "transformer": TRANSFORMER, "frozen": CHEAP, "tfidf_linear": CHEAP},
}


@pytest.fixture(scope="module")
def trained(tables):
    return {name: train(tables, model) for name, model in KINDS.items()}


@pytest.mark.parametrize(("kind", "least"), [("tfidf_linear", 0.97), ("transformer", 0.85), ("blend", 0.97)])
def test_every_kind_learns_what_the_words_say(trained, tables, kind, least):
    assert f1_of(trained[kind][0], tables) > least


def test_a_frozen_encoder_without_training_still_beats_the_most_frequent_codes(trained, tables):
    test = text_rows(tables[0], "test", len(CODES))
    constant = np.tile(test.targets.mean(axis=0) >= 0.4, (len(test.text), 1))
    assert f1_of(trained["frozen"][0], tables) > f1_scores(constant, test.targets)[0]


@pytest.mark.parametrize("kind", list(KINDS))
def test_the_account_and_the_metadata_say_what_was_done(trained, kind):
    predictor, curves, report = trained[kind]
    assert predictor.codes == tuple(CODES)
    assert predictor.parents.tolist() == [-1, 0, -1, 2, -1]
    assert predictor.labels[1] == "about 004"
    assert predictor.metadata.data.rows == report["rows"] == 198
    assert predictor.metadata.data.origin == {"simulated": 198}
    assert predictor.metadata.parameters["model"]["kind"] == report["kind"] == kind
    assert set(report["members"]) == {member.name for member in predictor.specification.members}
    assert list(curves.columns) == ["step", "epoch", "name", "value", "seconds"]
    assert bool(len(curves)) == ("transformer" in report["members"])
    assert {"seconds", "device", "parameters", "epochs", "stopped_by", "best_epoch", "validation"} <= set(report)
    assert 0 < report["validation"]["micro"] <= 1


def test_the_same_seed_gives_the_same_answers_whatever_the_order_of_the_rows(trained, tables):
    shuffled = (tables[0].sample(frac=1, random_state=3), *tables[1:])
    again = train(shuffled, KINDS["blend"])[0]
    texts = tables[0]["text"].tolist()[:40]
    assert again.probabilities(texts) == pytest.approx(trained["blend"][0].probabilities(texts), abs=2e-5)
    assert again.metadata.data == trained["blend"][0].metadata.data


def test_test_texts_have_no_part_in_anything(trained, tables):
    changed = tables[0].copy()
    test = (changed["split"] == "test").to_numpy()
    changed["targets"] = [
        np.array([4], dtype=np.int32) if t else v for t, v in zip(test, changed["targets"], strict=True)
    ]
    changed.loc[test, "text"] = "nothing"
    again = train((changed, *tables[1:]), KINDS["tfidf_linear"])[0]
    expected = trained["tfidf_linear"][0]
    assert again.specification == expected.specification
    assert (again.members["tfidf_linear"].weights == expected.members["tfidf_linear"].weights).all()


def test_cheap_kinds_decide_by_folds_and_a_transformer_by_validation(trained):
    sources = {kind: trained[kind][2]["decisions"]["source"] for kind in KINDS}
    assert sources == {
        "tfidf_linear": "out_of_fold",
        "frozen": "out_of_fold",
        "transformer": "validation",
        "blend": "validation",
    }
    rows = trained["tfidf_linear"][2]["decisions"]["thresholds"]["rows"]
    assert (rows, trained["transformer"][2]["decisions"]["thresholds"]["rows"]) == (198, 66)


def test_a_blend_is_weighed_by_what_helps(trained):
    weights = trained["blend"][2]["decisions"]["weights"]
    assert sum(weights.values()) == pytest.approx(1)
    # Vectors of an encoder that was never trained say the least
    assert weights["frozen"] <= min(weights["tfidf_linear"], 0.4)


def test_out_of_fold_scores_of_a_transformer_are_asked_for_by_name(tables):
    short = {**TRANSFORMER, "min_steps": 20}
    model = {"kind": "transformer", "transformer": short, "threshold_source": "out_of_fold", "folds": 2}
    predictor, _, report = train(tables, model)
    assert report["decisions"]["thresholds"]["rows"] == 198
    assert report["decisions"]["calibration"]["transformer"]["rows"] == 198
    assert predictor.metadata.parameters["model"]["folds"] == 2


def test_altered_copies_are_kept_only_if_they_help(tables):
    augmentation = {"copies": 1, "kinds": ["word_dropout"]}
    off = train(tables, KINDS["tfidf_linear"])[2]
    auto = train(tables, {**KINDS["tfidf_linear"], "augment": "auto", "augmentation": augmentation})
    facts = auto[2]["members"]["tfidf_linear"]["augmentation"]
    assert facts["kept"] == (facts["f1_with"] > facts["f1_without"])
    assert "augmentation" not in off["members"]["tfidf_linear"]
    forced = train(tables, {**KINDS["tfidf_linear"], "augment": "on", "augmentation": augmentation})[0]
    plain = train(tables, KINDS["tfidf_linear"])[0]
    assert not np.array_equal(forced.probabilities(["algebra group"]), plain.probabilities(["algebra group"]))
    assert forced.metadata.data == plain.metadata.data


def test_copies_lie_behind_the_texts_and_belong_to_their_groups(tables):
    rows = text_rows(tables[0], "train", len(CODES))
    texts = TrainingTexts(rows, rows.take(np.arange(0)), tables[1], tables[2], FEATURES, 0)
    found = with_copies(texts, TextModel.model_validate({"kind": "transformer"}).root.augmentation)
    count = len(rows.text)
    assert found.text[:count] == rows.text
    assert len(found.text) == len(found.tokens) == 2 * count
    assert (found.groups[count:] == rows.groups).all()
    assert (found.targets[count:] == rows.targets).all()


def test_tuned_parameters_are_taken_where_they_are_asked_for(tables):
    tuned = {"parameters": {"tfidf_linear.c": [0.3]}}
    model = {**KINDS["tfidf_linear"], "use_tuned": True}
    report = train(tables, model, best_params=tuned)[2]
    assert report["members"]["tfidf_linear"]["c"] == 0.3
    with pytest.raises(UserError, match="no tuned parameters"):
        train(tables, model)


def test_texts_without_a_code_are_refused(tables):
    empty = tables[0].assign(targets=[np.zeros(0, dtype=np.int32)] * len(tables[0]))
    with pytest.raises(UserError, match="none of 198 training texts"):
        train((empty, *tables[1:]), KINDS["tfidf_linear"])


class Remembering:
    """Checkpoints that say what they were asked."""

    def __init__(self):
        self.calls = []

    def load(self, fingerprint):
        self.calls.append("load")

    def save(self, fingerprint, tensors, state):
        self.calls.append("save")

    def clear(self):
        self.calls.append("clear")


def test_resume_can_be_switched_off(tables):
    short = {**TRANSFORMER, "epochs": 1, "min_steps": 0}
    with_resume, without = Remembering(), Remembering()
    train(tables, {"kind": "transformer", "transformer": short}, checkpoints=with_resume)
    train(tables, {"kind": "transformer", "transformer": short, "resume": False}, checkpoints=without)
    assert with_resume.calls == ["load", "save", "clear"]
    assert without.calls == ["clear", "save", "clear"]


# --- decisions ---


@pytest.mark.parametrize(
    ("model", "validation", "expected"),
    [
        ({"kind": "transformer"}, 50, "validation"),
        ({"kind": "transformer"}, 49, "fixed"),
        ({"kind": "transformer", "threshold_source": "validation"}, 0, "fixed"),
        ({"kind": "tfidf_linear"}, 0, "out_of_fold"),
        ({"kind": "blend", "transformer": None}, 0, "out_of_fold"),
        ({"kind": "blend"}, 0, "fixed"),
    ],
)
def test_what_decisions_are_learned_from(model, validation, expected):
    assert threshold_source(TextModel.model_validate(model).root, validation) == expected


def test_a_blend_without_members_is_refused():
    with pytest.raises(ValueError, match="needs a member"):
        TextModel.model_validate({"kind": "blend", "transformer": None, "tfidf_linear": None})
    assert members_of(TextModel.model_validate({"kind": "blend"}).root) == ("transformer", "tfidf_linear")


def noisy(rows, slope, seed=0):
    random = np.random.default_rng(seed)
    log_odds = random.normal(-1, 2, (rows, 3))
    return log_odds / slope, random.random((rows, 3)) < sigmoid(log_odds)


def test_log_odds_that_are_right_already_are_left_alone():
    assert choose_calibration(*noisy(3000, 1.0), "auto").facts["kind"] == "none"
    found = choose_calibration(*noisy(3000, 4.0), "auto")
    assert found.facts["kind"] == "common"
    assert found.calibration.slopes[0] == pytest.approx(4, rel=0.1)


def test_weights_minimise_the_log_loss():
    right, targets = noisy(2000, 1.0)
    noise = np.random.default_rng(9).normal(0, 2, right.shape)
    assert choose_weights({"transformer": right, "tfidf_linear": noise}, targets, 10)["transformer"] >= 0.9
    halves = {"transformer": right + noise, "tfidf_linear": right - noise}
    assert choose_weights(halves, targets, 10) == {"transformer": 0.5, "tfidf_linear": 0.5}


def test_log_loss_is_that_of_scikit_learn():
    from sklearn.metrics import log_loss as expected

    scores, targets = noisy(200, 1.0)
    assert log_loss(scores, targets) == pytest.approx(expected(targets.ravel(), sigmoid(scores).ravel()))


def test_a_target_that_is_no_code_is_refused():
    with pytest.raises(UserError, match="1 targets are none of the 3 codes"):
        target_matrix([[0], [3]], 3)


def test_the_fingerprint_is_of_the_rows_and_not_of_their_order(tables):
    rows = text_rows(tables[0], "train", len(CODES))
    expected = fingerprint(rows, tuple(CODES))
    assert fingerprint(rows.take(np.arange(len(rows.text))[::-1]), tuple(CODES)) == expected
    assert fingerprint(rows.take(np.arange(len(rows.text) - 1)), tuple(CODES)) != expected
