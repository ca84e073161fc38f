"""Tuning of the text classifier: folds of groups, their scores computed another way, and what training makes of it."""

import json
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pandas as pd
import pytest
import yaml
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.metrics import average_precision_score, f1_score
from sklearn.svm import LinearSVC

from augury.checkpointing import NoCheckpoints
from augury.errors import UserError
from augury.pipelines.feature_engineering.labelled_texts import build_text_features
from augury.pipelines.model_training.linear_text import deal_folds
from augury.pipelines.model_training.text_classifier import train_taxonomy
from augury.pipelines.model_training.text_members import TrainingTexts, fit_member
from augury.pipelines.model_training.text_models import TextModel
from augury.pipelines.model_training.transformer_training import fit_transformer
from augury.pipelines.tuning import text_search
from augury.pipelines.tuning.racing import TransientStudies
from augury.pipelines.tuning.single_values import with_single_values
from augury.pipelines.tuning.text_search import TextProblem, TextTuning, training_texts
from augury.predictors.text_encoder import TextFeatures

FEATURES = TextFeatures(
    encoder="scratch", max_tokens=16, windows=1, scratch={"vocabulary": 100, "hidden": 16, "layers": 1, "heads": 2}
)
WORDS = {"000": "code byte disk", "100": "mind soul truth", "500": "atom star cell", "510": "number proof digit"}
TINY = {"epochs": 1, "min_steps": 0, "body_learning_rate": 0.002, "precision": "float32", "threads": 1}
PROVENANCE = {"git_commit": None, "created_at": "2026-01-01T00:00:00+00:00", "versions": {}}
SPACE = {
    "transformer.batch_size": ["categorical", [8, 16]],
    "transformer.epochs": ["int", 1, 3],
    "tfidf_linear.c": ["float", 0.01, 10, "log"],
    "tfidf_linear.terms.sublinear": ["categorical", [True, False]],
    "frozen.c": ["float", 0.01, 10, "log"],
}


@pytest.fixture(scope="module")
def features():
    """Features of texts of four codes, one below another, some of them near duplicates of others."""
    random = np.random.default_rng(0)
    rows = []
    for number in range(90):
        codes = random.choice(list(WORDS), random.integers(1, 3), replace=False).tolist()
        words = [*" ".join(WORDS[code] for code in codes).split(), "of", "the", "and", "a"]
        text = " ".join(random.choice(words, random.integers(4, 9)))
        codes = sorted({*codes, "500"} if "510" in codes else codes)
        rows.append({"text": text, "codes": codes, "group": number if number % 5 else number + 1})
    split = np.repeat(["train", "validation", "test"], [60, 15, 15])
    texts = pd.DataFrame(rows).assign(
        sample_id=[f"s{number:03d}" for number in range(90)], confidence=1.0, origin="simulated", split=split,
    )  # fmt: skip
    codes = pd.DataFrame({"code": list(WORDS), "label": list(WORDS), "parent": [None, None, None, "500"], "texts": 9})
    return build_text_features(texts, codes, FEATURES, 3)[:3]


def model_of(kind, **settings):
    defaults = {"transformer": TINY, "tfidf_linear": {"c": [0.3, 1.0, 3.0], "folds": 3}, "frozen": {"c": [1.0]}}
    return TextModel.model_validate({"kind": kind, kind: defaults[kind] | settings, "export_onnx": False})


def tune(features, model=None, **changes):
    tuning = TextTuning.model_validate({"trials": 3, "folds": 2, "space": SPACE} | changes)
    model = model or model_of("tfidf_linear")
    return text_search.tune_taxonomy(*features, FEATURES, model, tuning, 3, TransientStudies())


def problem_of(features, kind, metric="micro_f1", **settings):
    texts, codes, tokenizer = features
    rows = training_texts(texts[texts["split"] == "train"], len(codes), None, 3)
    model = with_single_values(model_of(kind, **settings).root)
    return TextProblem(rows, codes, tokenizer, FEATURES, model, kind, metric, 2, 3)


def folds_of(features, folds=2):
    """Training texts, truth and the places of each fold."""
    texts, codes, _ = features
    train = texts[texts["split"] == "train"].sort_values("sample_id")
    truth = np.array([np.isin(np.arange(len(codes)), found) for found in train["targets"]])
    part = deal_folds(truth, train["group"].to_numpy(), folds, 3)
    return train, truth, part


def best_f1(scores, truth):
    """Micro F1 at the best of all thresholds."""
    return max(f1_score(truth, scores >= limit, average="micro") for limit in np.unique(scores))


def untimed(outcome):
    """An outcome without what a clock says."""
    best, trials, report = outcome
    clocks = {"fit_cpu_seconds", "cpu_seconds_per_trial", "wall_seconds"}
    summary = {name: value for name, value in report["summary"].items() if name not in clocks}
    table = trials.drop(columns="fit_cpu_seconds").fillna(-1.0).to_dict("list")
    return best, table, report | {"summary": summary}


# --- folds ---


def test_near_duplicates_lie_in_one_fold(features):
    train, truth, part = folds_of(features)
    problem = problem_of(features, "tfidf_linear")
    assert problem.rows == len(train) == 60
    assert problem.fold_costs == [(part != 0).sum(), (part != 1).sum()]
    assert len(train["group"].unique()) < len(train)
    assert (pd.Series(part).groupby(train["group"].to_numpy()).nunique() == 1).all()
    assert all(truth[part == fold].any(axis=0).all() for fold in range(2))


@pytest.mark.parametrize("metric", ["micro_f1", "average_precision"])
def test_a_fold_of_weighted_words_is_scored_as_scikit_learn_would(features, metric):
    train, truth, part = folds_of(features)
    problem = problem_of(features, "tfidf_linear", metric)
    for fold in range(2):
        learned, judged = part != fold, part == fold
        # Below 200 texts every term is kept
        terms = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=False, dtype=np.float64)
        matrix = terms.fit_transform(train["text"][learned])
        scores = np.empty((judged.sum(), truth.shape[1]))
        for label in range(truth.shape[1]):
            line = LinearSVC(C=0.7, random_state=3, tol=1e-3).fit(matrix, truth[learned, label])
            scores[:, label] = line.decision_function(terms.transform(train["text"][judged]))
        expected = best_f1(scores, truth[judged])
        if metric == "average_precision":
            expected = average_precision_score(truth[judged].ravel(), scores.ravel())
        point = {"tfidf_linear.c": 0.7, "tfidf_linear.terms.sublinear": False}
        assert problem.evaluate(point, fold) == pytest.approx(expected, abs=0.005)


def test_a_fold_of_the_transformer_keeps_the_last_epoch(features):
    train, truth, part = folds_of(features)
    problem = problem_of(features, "transformer")
    point = {"transformer.epochs": 2, "transformer.batch_size": 8}
    learned, judged = np.flatnonzero(part != 1), np.flatnonzero(part == 1)
    tokens = train["token_ids"].tolist()
    settings = model_of("transformer", epochs=2, batch_size=8).root.transformer_settings
    fitted = fit_transformer(
        [tokens[row] for row in learned], truth[learned].astype(np.float32), np.ones(len(learned)), None, features[2],
        FEATURES, settings, features[1], 3, NoCheckpoints(),
    )  # fmt: skip
    scores = fitted.scorer.logits([tokens[row] for row in judged]).round(5)
    assert problem.evaluate(point, 1) == pytest.approx(best_f1(scores, truth[judged]), abs=1e-12)


def test_a_fold_of_a_frozen_encoder_is_scored_as_training_would(features):
    _, truth, part = folds_of(features)
    problem = problem_of(features, "frozen", "average_precision")
    rows = training_texts(features[0][features[0]["split"] == "train"], 4, None, 3)
    learned, judged = rows.take(np.flatnonzero(part != 0)), rows.take(np.flatnonzero(part == 0))
    texts = TrainingTexts(learned, judged, features[1], features[2], FEATURES, 3)
    fitted = fit_member("frozen", texts, model_of("frozen", c=[0.2]).root, "fixed", NoCheckpoints())
    expected = average_precision_score(truth[part == 0].ravel(), fitted.validation.ravel())
    assert problem.evaluate({"frozen.c": 0.2}, 0) == pytest.approx(expected, abs=1e-4)


def test_where_candidates_are_left_each_fold_chooses_among_them(features):
    problem = problem_of(features, "tfidf_linear", c=[0.001, 0.01, 1.0])
    single = [problem.evaluate({"tfidf_linear.c": c}, 0) for c in (0.001, 0.01, 1.0)]
    assert problem.evaluate({}, 0) == single[2] > single[0]


# --- the test rows ---


def test_nothing_in_other_rows_changes_anything(features):
    texts, *rest = features
    changed = texts.copy()
    others = (changed["split"] != "train").to_numpy()
    changed.loc[others, "text"] = "other words"
    changed.loc[others, "group"] = 1
    changed["targets"] = [
        np.array([1], dtype=np.int32) if other else own for own, other in zip(texts["targets"], others, strict=True)
    ]
    shuffled = changed.sample(frac=1, random_state=1)
    expected = untimed(tune(features))
    assert untimed(tune((shuffled, *rest))) == expected
    # And the training texts do matter
    changed.loc[0, "text"] = "other words"
    assert untimed(tune((changed, *rest)))[0]["data_fingerprint"] != expected[0]["data_fingerprint"]


def test_rows_of_other_splits_are_refused(features):
    with pytest.raises(UserError, match=r"taxonomy: 30 of 90 rows .* for example one of 'validation'"):
        training_texts(features[0], 4, None, 3)
    with pytest.raises(UserError, match="no training rows to tune on"):
        tune((features[0][features[0]["split"] == "test"], *features[1:]))


def test_of_many_texts_a_part_is_taken_with_whole_groups(features):
    texts = features[0][features[0]["split"] == "train"]
    few = training_texts(texts, 4, 30, 3)
    assert 25 <= len(few.text) <= 30
    chosen = texts["sample_id"].isin(few.sample_id)
    assert chosen.groupby(texts["group"]).nunique().max() == 1
    assert few.targets.any(axis=0).all()
    assert training_texts(texts, 4, 60, 3).sample_id == texts["sample_id"].tolist()


# --- the search ---


def test_the_transformer_is_tuned(features):
    best, trials, report = tune(features, model_of("transformer"), trials=2)
    assert list(best["parameters"]) == ["transformer.batch_size", "transformer.epochs"]
    assert report["default"]["parameters"] == {"transformer.batch_size": 16, "transformer.epochs": 1}
    assert trials["value"].iloc[0] == pytest.approx(
        np.mean([problem_of(features, "transformer").evaluate({}, fold) for fold in range(2)])
    )
    json.dumps(report)


def test_a_frozen_encoder_and_a_member_of_a_blend_are_tuned(features):
    blend = TextModel.model_validate({"kind": "blend", "tfidf_linear": {"c": [1.0]}, "frozen": {"c": [0.1, 1.0]}})
    best = tune(features, blend, kind="frozen", trials=2)[0]
    assert list(best["parameters"]) == ["frozen.c"]
    assert best["default_score"] > 0


def test_fits_at_once_do_not_disturb_each_other(features):
    for kind, points in {
        "transformer": [{"transformer.batch_size": size} for size in (8, 16, 10, 12)],
        "tfidf_linear": [{"tfidf_linear.c": c} for c in (0.1, 30.0, 1.0, 3.0)],
    }.items():
        problem = problem_of(features, kind, "average_precision")
        alone = [problem.evaluate(point, 0) for point in points]
        with ThreadPoolExecutor(4) as pool:
            assert list(pool.map(lambda point, of=problem: of.evaluate(point, 0), points)) == alone


@pytest.mark.parametrize(
    ("model", "changes", "message"),
    [
        ({"kind": "blend"}, {}, "'taxonomy.tuning.kind' is null, .* transformer, tfidf_linear: name the one"),
        ({}, {"kind": "frozen"}, "'taxonomy.tuning.kind' is 'frozen'"),
        ({}, {"space": {"epochs": ["int", 1, 2]}}, "'taxonomy.tuning.space.epochs': only parameters under"),
        ({}, {"space": {"transformer.epoch": ["int", 1, 2]}}, "Did you mean 'transformer.epochs'"),
        ({}, {"space": {"transformer.patience": ["categorical", [None, 2]]}}, "cannot be tuned"),
        ({}, {"folds": 80}, r"groups of training texts are too few for 80 folds"),
    ],
)  # fmt: skip
def test_what_cannot_be_tuned_is_refused(features, model, changes, message):
    with pytest.raises(UserError, match=message):
        tune(features, TextModel.model_validate({"kind": "transformer"} | model), **changes)


# --- training with what was found ---


def train(features, model, best_params):
    root = model.root.model_copy(update={"use_tuned": True})
    return train_taxonomy(
        *features, {}, {}, FEATURES, best_params, TextModel.model_validate(root.model_dump()), 3, NoCheckpoints(),
        PROVENANCE,
    )  # fmt: skip


def test_training_takes_the_tuned_penalty(features):
    best = yaml.safe_load(yaml.safe_dump(tune(features, trials=6, delta=None)[0]))
    assert list(best["parameters"]) == ["tfidf_linear.c", "tfidf_linear.terms.sublinear"]
    (c,) = best["parameters"]["tfidf_linear.c"]
    predictor, _, report = train(features, model_of("tfidf_linear"), best)
    assert report["members"]["tfidf_linear"]["c"] == c
    assert predictor.metadata.parameters["model"]["tfidf_linear"]["c"] == [c]
    with pytest.raises(UserError, match=r"'taxonomy\.model\.use_tuned' is true.*--namespaces=taxonomy"):
        train(features, model_of("tfidf_linear"), {})


def test_training_takes_the_tuned_transformer(features):
    best = {"parameters": {"transformer.epochs": 2, "transformer.batch_size": 8}}
    report = train(features, model_of("transformer"), best)[2]
    assert report["epochs"] == 2
    assert report["parameters"]["transformer"]["batch_size"] == 8
