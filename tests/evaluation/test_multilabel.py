"""A classifier of texts into codes, judged: metrics, slices, codes, confusions, baselines, and what is refused."""

import json

import numpy as np
import pandas as pd
import pytest
from sklearn import metrics as peer

from augury.errors import UserError
from augury.pipelines.evaluation.gates import Gates, judge
from augury.pipelines.evaluation.multilabel import (
    compare_baselines,
    confusion_pairs,
    evaluate_codes,
    evaluate_multilabel,
    evaluate_slices,
)
from augury.pipelines.evaluation.multilabel_holdout import membership
from augury.pipelines.evaluation.multilabel_parameters import MultilabelEvaluation
from augury.pipelines.evaluation.multilabel_predictions import check_text_export, predict_texts_holdout

from .classified_texts import (
    FEATURES_CODES,
    NAMES,
    TREE,
    StagedClassifier,
    answers_to,
    baselines_of,
    labelled_texts,
    listed,
    matrix,
    word_classifier,
    worded,
)

EVALUATION = MultilabelEvaluation(bootstrap_replicates=100)


@pytest.fixture(scope="module")
def texts():
    return labelled_texts()


@pytest.fixture(scope="module")
def classifier(texts):
    return StagedClassifier(answers_to(texts, 1.2))


@pytest.fixture(scope="module")
def predictions(texts, classifier):
    return predict_texts_holdout(classifier, texts, baselines_of(texts), EVALUATION)


@pytest.fixture(scope="module")
def facts(texts, classifier, predictions):
    return check_text_export(classifier, texts, predictions, EVALUATION)


@pytest.fixture(scope="module")
def metrics(predictions, facts):
    return evaluate_multilabel(predictions, FEATURES_CODES, facts, EVALUATION, 7)


def test_held_out_texts_are_predicted_in_the_order_of_their_ids(texts, classifier, predictions):
    held_out = texts[texts["split"] == "test"].sort_values("sample_id")
    assert predictions["sample_id"].tolist() == held_out["sample_id"].tolist()
    assert predictions["text_length"].tolist() == [len(text.split()) for text in held_out["text"]]
    expected = classifier.probabilities(held_out["text"].tolist())
    assert (np.array(predictions["probabilities"].tolist()) == expected).all()
    assert predictions["predicted"].tolist() == listed(classifier.decide(expected))
    assert predictions["unmodelled"].sum() == 0
    assert {"most_frequent_codes", "tfidf_linear_probability", "tfidf_linear_codes"} <= set(predictions.columns)


def test_lists_survive_parquet(predictions, facts, metrics, tmp_path):
    predictions.to_parquet(tmp_path / "p.parquet")
    again = pd.read_parquet(tmp_path / "p.parquet")
    assert evaluate_multilabel(again, FEATURES_CODES, facts, EVALUATION, 7) == metrics


def test_metrics_are_those_of_the_held_out_texts(predictions, metrics):
    json.dumps(metrics, allow_nan=False)
    actual, predicted = matrix(predictions["codes"]), matrix(predictions["predicted"])
    assert metrics["micro_f1"] == pytest.approx(peer.f1_score(actual, predicted, average="micro"))
    assert metrics["macro_f1"] == pytest.approx(peer.f1_score(actual, predicted, average="macro"))
    assert metrics["hierarchical_f1"] == pytest.approx(metrics["micro_f1"])
    assert metrics["specific_f1"] < metrics["micro_f1"]
    assert (metrics["n_train"], metrics["n_test"], metrics["n_codes"], metrics["seed"]) == (900, 400, 7, 7)
    assert metrics["n_test_groups"] == predictions["group"].nunique()
    assert metrics["onnx_int8_flips"] == 0
    assert metrics["onnx_available"] == 1
    assert metrics["onnx_int8_micro_f1_loss"] == pytest.approx(0, abs=1e-9)
    assert not any("threshold" in name for name in metrics)
    lower, upper = metrics["intervals"]["micro_f1"]
    assert lower < metrics["micro_f1"] < upper


def test_the_oracle_stands_beside_the_result(predictions, metrics):
    actual, said = matrix(predictions["codes"]), matrix(predictions["oracle_codes"])
    best = peer.f1_score(actual, said, average="micro")
    assert metrics["oracle_micro_f1"] == pytest.approx(best)
    assert metrics["micro_f1_of_oracle"] == pytest.approx(metrics["micro_f1"] / best)
    assert metrics["micro_f1_of_oracle"] < 1
    assert metrics["support"] == {}
    some = predictions.copy()
    some["oracle_codes"] = [
        codes if origin == "simulated" else []
        for codes, origin in zip(some["oracle_codes"], some["origin"], strict=True)
    ]
    found = evaluate_multilabel(some, FEATURES_CODES, {"n_train": 1}, EVALUATION, 7)
    assert found["support"]["oracle_micro_f1"] == (some["origin"] == "simulated").sum()
    some["oracle_codes"] = [[]] * len(some)
    found = evaluate_multilabel(some, FEATURES_CODES, {"n_train": 1}, EVALUATION, 7)
    assert (found["oracle_micro_f1"], found["micro_f1_of_oracle"]) == (None, None)
    gates = Gates.model_validate({"micro_f1_of_oracle": {"max": 1.05, "optional": True}})
    assert judge(found, gates) == []


def test_gates_can_limit_the_lead_on_a_baseline(metrics):
    gates = Gates.model_validate({"micro_f1": {"min": 0.99}, "macro_f1_above_tfidf_linear": {"min": 0, "on": "lower"}})
    assert [row["verdict"] for row in judge(metrics, gates)] == ["fail", "pass"]


def test_baselines_are_compared_on_the_same_texts(predictions, metrics):
    rows = compare_baselines(predictions, FEATURES_CODES, EVALUATION, 7)
    json.dumps(rows, allow_nan=False)
    assert [(row["model"], row["kind"]) for row in rows] == [
        ("model", "model"),
        ("most_frequent", "baseline"),
        ("tfidf_linear", "baseline"),
    ]
    by_name = {row["model"]: row for row in rows}
    assert by_name["model"]["micro_f1"] == metrics["micro_f1"]
    actual = matrix(predictions["codes"])
    for name in ("most_frequent", "tfidf_linear"):
        own = peer.f1_score(actual, matrix(predictions[f"{name}_codes"]), average="micro")
        assert by_name[name]["micro_f1_above"] == pytest.approx(metrics["micro_f1"] - own)
        assert metrics[f"micro_f1_above_{name}"] == pytest.approx(metrics["micro_f1"] - own)
        assert metrics["intervals"][f"micro_f1_above_{name}"] == pytest.approx(
            [by_name[name]["micro_f1_above_lower"], by_name[name]["micro_f1_above_upper"]]
        )
    assert by_name["most_frequent"]["ece"] is None
    assert by_name["tfidf_linear"]["ece"] > 0


def test_only_the_rivals_that_are_asked_for_become_metrics(predictions, facts):
    one = EVALUATION.model_copy(update={"rivals": ["tfidf_linear"], "bootstrap_replicates": 0})
    found = evaluate_multilabel(predictions, FEATURES_CODES, facts, one, 7)
    assert "micro_f1_above_tfidf_linear" in found
    assert "micro_f1_above_most_frequent" not in found
    assert found["intervals"] == {}


def test_every_code_has_its_row(predictions, facts):
    rows = evaluate_codes(predictions, FEATURES_CODES, facts, EVALUATION)
    json.dumps(rows, allow_nan=False)
    actual, predicted = matrix(predictions["codes"]), matrix(predictions["predicted"])
    probability = np.array(predictions["probabilities"].tolist())
    precision, recall, f1, support = peer.precision_recall_fscore_support(actual, predicted, zero_division=np.nan)
    for place, row in enumerate(rows):
        assert (row["code"], row["support"]) == (NAMES[place], support[place])
        assert [row["precision"], row["recall"], row["f1"]] == pytest.approx(
            [precision[place], recall[place], f1[place]]
        )
        expected = peer.average_precision_score(actual[:, place], probability[:, place])
        assert row["average_precision"] == pytest.approx(expected)
        assert row["threshold"] == 0.5
    assert [rows[0]["parent"], rows[1]["parent"], rows[5]["level"]] == [None, "000", 2]


def test_confusions_pair_missed_with_wrong_codes_of_one_level():
    predictions = staged(
        [["000", "004"], ["500", "510", "512"], ["500", "530"]],
        [["000", "005"], ["500", "510"], ["000", "004", "005", "500"]],
    )
    found = confusion_pairs(predictions, FEATURES_CODES, EVALUATION)
    assert [(row["code"], row["instead"], row["texts"], row["share"]) for row in found] == [
        ("004", "005", 1.0, 1.0),
        ("530", "004", 0.5, 0.5),
        ("530", "005", 0.5, 0.5),
    ]
    assert found[0]["label"] == "Data processing"
    assert confusion_pairs(predictions, FEATURES_CODES, EVALUATION.model_copy(update={"confusions": 1})) == found[:1]


def staged(codes, predicted, **more) -> pd.DataFrame:
    rows = len(codes)
    return pd.DataFrame(
        {
            "sample_id": [f"s{number}" for number in range(rows)],
            "group": range(rows),
            "split": "test",
            "origin": "measured",
            "text_length": [5] * rows,
            "codes": codes,
            "oracle_codes": [[]] * rows,
            "probabilities": [[0.5] * len(NAMES)] * rows,
            "predicted": predicted,
            **more,
        }
    )


def test_a_real_predictor_is_judged_in_the_same_way(texts):
    classifier, own = word_classifier(), worded(texts)
    predictions = predict_texts_holdout(classifier, own, baselines_of(texts), EVALUATION)
    facts = check_text_export(classifier, own, predictions, EVALUATION)
    found = evaluate_multilabel(predictions, FEATURES_CODES, facts, EVALUATION, 7)
    said, words = predictions["predicted"].tolist(), predictions["oracle_codes"].tolist()
    # It never says what no word speaks for, but of a text with many words none stands out enough
    assert all(set(codes) <= set(true) for codes, true in zip(said, words, strict=True))
    assert 0.3 < found["micro_f1_of_oracle"] <= 1
    assert found["micro_precision"] == pytest.approx(
        peer.precision_score(matrix(predictions["codes"]), matrix(said), average="micro")
    )
    assert (found["n_train"], facts["thresholds"]["000"]) == (900, 0.5)


def test_codes_that_the_model_does_not_know_count_as_missed():
    predictions = staged([["000", "999"], ["500"]], [["000"], ["500"]])
    found = evaluate_multilabel(predictions, FEATURES_CODES, {"n_train": 1}, EVALUATION, 1)
    assert found["micro_recall"] == pytest.approx(2 / 3)
    assert found["unmodelled_share"] == pytest.approx(1 / 3)
    small = EVALUATION.model_copy(update={"min_slice_rows": 1})
    sizes = {(row["slice"], row["value"]): row["n"] for row in evaluate_slices(predictions, FEATURES_CODES, small, 1)}
    assert (sizes["codes", "1"], sizes["codes", "2"]) == (1, 1)


def test_slices_cover_the_texts_and_are_in_order(predictions, metrics):
    rows = evaluate_slices(predictions, FEATURES_CODES, EVALUATION, 7)
    json.dumps(rows, allow_nan=False)
    for name in ("words", "codes", "origin"):
        assert sum(row["n"] for row in rows if row["slice"] == name) == 400
    lengths = [row["value"] for row in rows if row["slice"] == "words"]
    assert lengths == ["32 to 63", "64 to 127", "128 to 255", "256 and more", "(other)"]
    actual, predicted = matrix(predictions["codes"]), matrix(predictions["predicted"])
    long = (predictions["text_length"] >= 256).to_numpy()
    row = rows[lengths.index("256 and more")]
    assert row["micro_f1"] == pytest.approx(peer.f1_score(actual[long], predicted[long], average="micro"))
    assert row["micro_f1_lower"] < row["micro_f1"] < row["micro_f1_upper"]
    classes = {row["value"]: row["n"] for row in rows if row["slice"] == "class"}
    assert classes == {"000 Computer science": actual[:, 0].sum(), "500 Science": actual[:, 3].sum()}


def test_the_selection_chooses_the_judged_texts(predictions, facts):
    measured = EVALUATION.model_copy(update={"main": {"split": "test", "origin": "measured"}})
    found = evaluate_multilabel(predictions, FEATURES_CODES, facts, measured, 7)
    assert found["n_test"] == (predictions["origin"] == "measured").sum()


def test_codes_stay_texts():
    found, outside = membership([["000", "7"], [], None, ["004"]], NAMES)
    assert (found.sum(axis=1).tolist(), outside.tolist()) == ([1, 0, 0, 1], [1, 0, 0, 0])
    assert found[0, 0]


def test_the_oracle_gets_the_ancestors_of_its_codes(texts, classifier):
    leaves = texts.assign(oracle_codes=listed(TREE.specific(matrix(texts["oracle_codes"]))))
    found = predict_texts_holdout(classifier, leaves, baselines_of(texts), EVALUATION)
    full = predict_texts_holdout(classifier, texts, baselines_of(texts), EVALUATION)
    assert found["oracle_codes"].tolist() == full["oracle_codes"].tolist()


# --- what is refused ---


def test_a_text_without_baselines_is_named(texts, classifier):
    with pytest.raises(UserError, match=r"'predictions_baselines': 1 of 400 held-out texts are missing.*'t0100'"):
        predict_texts_holdout(classifier, texts, baselines_of(texts).iloc[1:], EVALUATION)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"main": {"split": "tset"}}, r"'evaluation.main': no held-out text has \{'split': 'tset'\}"),
        ({"main": {"spilt": "test"}}, "column 'spilt' is missing. Did you mean 'split'"),
        ({"rivals": ["tfidf"]}, "'evaluation.rivals': there is no baseline 'tfidf'. There are: most_frequent, tfidf"),
    ],
)
def test_parameters_that_name_nothing_are_refused(predictions, change, message):
    with pytest.raises(UserError, match=message):
        compare_baselines(predictions, FEATURES_CODES, EVALUATION.model_copy(update=change), 1)


def test_probabilities_of_other_codes_are_refused(predictions):
    with pytest.raises(UserError, match=r"'probabilities' must hold 6 probabilities.*sample_id 't0100': 7"):
        compare_baselines(predictions, FEATURES_CODES.iloc[:6], EVALUATION, 1)
    wrong = predictions.assign(probabilities=[np.full(7, np.nan)] * len(predictions))
    with pytest.raises(UserError, match="must lie between 0 and 1; 400 of 400 rows"):
        compare_baselines(wrong, FEATURES_CODES, EVALUATION, 1)
    with pytest.raises(UserError, match="'features_codes': column 'parent' is missing"):
        compare_baselines(predictions, FEATURES_CODES.drop(columns="parent"), EVALUATION, 1)


def test_an_export_that_says_something_else_is_an_error(texts, predictions, classifier):
    with pytest.raises(ValueError, match=r"ONNX export differs from the model by up to 0.1"):
        check_text_export(StagedClassifier(classifier.answers, noise=0.1), texts, predictions, EVALUATION)


def test_the_export_is_compared_on_so_many_texts(texts, predictions, classifier):
    few = check_text_export(classifier, texts, predictions, EVALUATION.model_copy(update={"export_texts": 10}))
    assert few["onnx_rows"] == 10
    whole = check_text_export(classifier, texts, predictions, EVALUATION.model_copy(update={"export_texts": None}))
    assert whole["onnx_rows"] == 400
    assert whole["thresholds"] == dict.fromkeys(NAMES, 0.5)


def test_a_predictor_without_an_export_has_nothing_to_compare(texts, predictions, classifier, monkeypatch):
    monkeypatch.setattr(classifier, "compare_onnx", lambda texts: {"available": False, "max_difference": 0.0})
    found = check_text_export(classifier, texts, predictions, EVALUATION)
    assert {name: value for name, value in found.items() if name.startswith("onnx")} == {
        "onnx_available": 0,
        "onnx_max_difference": None,
        "onnx_int8_micro_f1_loss": None,
    }


def test_nothing_held_out_is_refused(texts, classifier):
    with pytest.raises(UserError, match="no text whose split is 'test'"):
        predict_texts_holdout(classifier, texts.assign(split="train"), baselines_of(texts), EVALUATION)
    with pytest.raises(UserError, match="the texts have no column 'group'"):
        predict_texts_holdout(classifier, texts.drop(columns="group"), baselines_of(texts), EVALUATION)


@pytest.mark.parametrize("sizes", [[], [0], [3, 1], [1, 1]])
def test_sizes_ascend(sizes):
    with pytest.raises(ValueError, match="precision_at"):
        MultilabelEvaluation(precision_at=sizes)
