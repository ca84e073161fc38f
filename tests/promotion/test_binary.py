"""Promotion of binary predictors: who wins, who is kept, what cannot be compared."""

import json

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import log_loss, roc_auc_score

from augury.errors import GateFailure, UserError
from augury.parameters import Parameters
from augury.pipelines.promotion.binary import decide_binary
from augury.pipelines.promotion.decision import carry_out, enforce_promotion
from augury.pipelines.promotion.rules import BinaryPromotion

from .conftest import Scorer, blurred, exact

PROVENANCE = {"created_at": "2026-02-01T03:00:00+00:00"}
RULES = BinaryPromotion(replicates=200)


def decide(champion, challenger, matrix, report=None, seed=1, **rules):
    found = decide_binary(champion, challenger, matrix, report or {}, PROVENANCE, RULES.model_copy(update=rules), seed)
    json.dumps(found, allow_nan=False)
    return found


def test_a_clearly_better_challenger_is_promoted(version, matrix):
    found = decide(version(3, Scorer(blurred)), version(4, Scorer(exact)), matrix)
    assert found["verdict"] == "promoted"
    rows = matrix[(matrix["split"] == "test") & matrix["target"].notna()]
    worse, better = (log_loss(rows["target"], score(rows)) for score in (blurred, exact))
    assert found["holdout"] == {"rows": len(rows), "groups": rows["group"].nunique()}
    assert found["main"]["improvement"] == pytest.approx(worse - better)
    assert 0 < found["main"]["lower"] < found["main"]["improvement"]
    area = found["metrics"]["roc_auc"]
    assert area["challenger"] == pytest.approx(roc_auc_score(rows["target"], exact(rows)))
    assert (found["champion"]["version"], found["challenger"]["version"]) == ("3", "4")
    assert found["rules"]["min_improvement"] == 0.0
    assert found["decided_at"] == PROVENANCE["created_at"]
    assert found["reason"].startswith("log_loss 0.")


def test_an_equal_challenger_is_never_promoted(version, matrix):
    for seed in range(5):
        found = decide(version(3, Scorer(exact)), version(4, Scorer(exact)), matrix, seed=seed)
        assert found["verdict"] == "kept"
        assert "improvement 0, not above 0" in found["reason"]


def test_a_worse_challenger_is_kept_out(version, matrix):
    found = decide(version(3, Scorer(exact)), version(4, Scorer(blurred)), matrix)
    assert found["verdict"] == "kept"
    assert found["main"]["improvement"] < 0


def test_an_improvement_that_chance_explains_is_inconclusive(version, matrix):
    def nearly(rows):
        return np.clip(exact(rows) + 0.3 * rows["noise"], 0.01, 0.99)

    found = decide(version(3, Scorer(nearly)), version(4, Scorer(exact)), matrix.iloc[:100])
    assert found["main"]["improvement"] > 0
    assert found["main"]["lower"] <= 0
    assert found["verdict"] == "inconclusive"


def test_an_improvement_below_the_one_asked_for(version, matrix):
    pair = version(3, Scorer(blurred)), version(4, Scorer(exact))
    improvement = decide(*pair, matrix)["main"]["improvement"]
    assert decide(*pair, matrix, min_improvement=improvement * 1.01)["verdict"] == "kept"
    assert decide(*pair, matrix, min_improvement=improvement * 0.99)["verdict"] == "inconclusive"


def test_too_few_groups_are_inconclusive(version, matrix):
    found = decide(version(3, Scorer(blurred)), version(4, Scorer(exact)), matrix, min_groups=200)
    assert found["verdict"] == "inconclusive"
    assert "no bound can be given with" in found["reason"]


def test_better_probabilities_do_not_pay_for_a_worse_ranking(version, matrix):
    def overconfident(rows):  # ranks perfectly, and is far too sure of itself
        return 1 / (1 + np.exp(-9 * rows["x"]))

    def modest(rows):
        return 1 / (1 + np.exp(-(rows["x"] + 0.4 * rows["noise"])))

    found = decide(version(3, Scorer(overconfident)), version(4, Scorer(modest)), matrix)
    assert found["main"]["lower"] > 0
    assert found["verdict"] == "kept"
    assert "but ROC-AUC" in found["reason"]
    loss = found["metrics"]["roc_auc"]
    assert (
        decide(
            version(3, Scorer(overconfident)), version(4, Scorer(modest)), matrix, epsilon_roc_auc=-loss["lower"] * 1.01
        )["verdict"]
        == "promoted"
    )
    between = -(loss["lower"] + loss["improvement"]) / 2
    found = decide(version(3, Scorer(overconfident)), version(4, Scorer(modest)), matrix, epsilon_roc_auc=between)
    assert (found["verdict"], "lower bound of the difference" in found["reason"]) == ("inconclusive", True)


@pytest.mark.parametrize(
    ("gates", "words"),
    [
        ("failed", "gates of version 4 failed: ece, roc_auc"),
        ("inconclusive", "are inconclusive: ece, roc_auc"),
        ("not_judged", "were never judged; run the pipeline 'evaluation'"),
    ],
)
def test_gates_come_first(version, matrix, gates, words):
    found = decide(version(3, Scorer(blurred)), version(4, Scorer(exact), gates=gates), matrix, enforce=True)
    assert found["verdict"] == "failed_gates"
    assert words in found["reason"]
    assert found["main"]["lower"] > 0  # it is compared all the same
    with pytest.raises(GateFailure, match=words) as failure:
        enforce_promotion(found, {})
    assert failure.value.exit_code == 99
    enforce_promotion(decide(None, version(4, Scorer(exact), gates=gates), matrix), {})
    assert carry_out(found) == found


def test_only_failed_gates_fail_the_run(version, matrix):
    enforce_promotion(decide(version(3, Scorer(exact)), version(4, Scorer(blurred)), matrix, enforce=True), {})


def test_the_first_challenger_has_nobody_to_beat(version, matrix):
    first = version(1, Scorer(blurred))
    found = decide(None, first, matrix)
    assert (found["verdict"], found["champion"], found["main"]) == ("promoted", None, None)
    assert decide(None, first, matrix, on_no_champion="keep")["verdict"] == "no_champion"
    assert decide(None, version(1, Scorer(blurred), gates="failed"), matrix)["verdict"] == "failed_gates"


@pytest.mark.parametrize("number", [None, 3])
def test_without_a_new_version_there_is_no_challenger(version, matrix, number):
    champion = version(3, Scorer(exact))
    found = decide(champion, number and version(number, Scorer(exact)), matrix)
    assert (found["verdict"], found["challenger"], found["champion"]["version"]) == ("no_challenger", None, "3")


def test_a_champion_of_other_columns_is_incompatible(version, matrix):
    old = version(3, Scorer(lambda rows: rows["item_price"]))
    found = decide(old, version(4, Scorer(exact)), matrix)
    assert found["verdict"] == "incompatible"
    assert found["reason"] == (
        "they cannot be compared: the champion asks for features that the table does not have: item_price"
    )
    assert (
        decide(old, version(4, Scorer(exact)), matrix, on_incompatible="promote_if_gates_pass")["verdict"] == "promoted"
    )


class Features(Parameters):
    half_life_days: float = 7.0
    day_parts: int = 1


def with_features(score, **parameters):
    scorer = Scorer(score)
    scorer.features = Features(**parameters)
    return scorer


def test_a_champion_of_other_feature_parameters_is_incompatible(version, matrix):
    report = {"parameters": {"half_life_days": 14.0, "day_parts": 16}}
    new = version(4, with_features(exact, half_life_days=14, day_parts=16))
    found = decide(version(3, with_features(blurred)), new, matrix, report, execution_parameters=["day_parts"])
    assert found["verdict"] == "incompatible"
    assert "half_life_days (7.0 there, 14.0 here)" in found["reason"]
    assert "day_parts" not in found["reason"]
    same = version(3, with_features(blurred, half_life_days=14))
    assert decide(same, new, matrix, report, execution_parameters=["day_parts"])["verdict"] == "promoted"


def test_a_model_that_cannot_be_loaded_is_incompatible(version, matrix):
    broken = version(3, None, problem="trained with other features than this version computes")
    found = decide(broken, version(4, Scorer(exact)), matrix)
    assert (found["verdict"], "the champion, version 3, cannot be loaded: trained" in found["reason"]) == (
        "incompatible",
        True,
    )
    found = decide(version(3, Scorer(exact)), version(4, None, problem="damaged"), matrix)
    assert found["reason"] == "the challenger cannot be loaded: damaged"
    assert decide(None, version(4, None, problem="damaged"), matrix)["verdict"] == "incompatible"


def test_a_regression_is_no_binary_predictor(version, matrix, pdf_predictors):
    found = decide(version(3, pdf_predictors["original"]), version(4, Scorer(exact)), matrix)
    assert "family 'bounded_regression', which scores no feature table" in found["reason"]


@pytest.mark.parametrize(
    ("rules", "words"),
    [
        ({"target": "tarjet"}, "no column 'tarjet'. Did you mean 'target'?"),
        ({"group_columns": ["house"]}, "no column 'house'"),
        ({"rows": {"split": "tset"}}, "'promotion.rows': no row of the feature table with an outcome"),
    ],
)
def test_mistakes_are_named(version, matrix, rules, words):
    with pytest.raises(UserError) as refused:
        decide(None, version(4, Scorer(exact)), matrix, **rules)
    assert words in str(refused.value)


def test_the_order_of_the_rows_and_the_engine_change_nothing(version, frame_engine, matrix):
    pair = version(3, Scorer(blurred)), version(4, Scorer(exact))
    found = decide(*pair, frame_engine.make(matrix.reset_index(drop=True)))
    assert found == decide(*pair, matrix.sort_values("noise"))


def test_a_real_predictor_against_itself(version, query_cost_model):
    from augury.predictors import load_predictor

    predictor = load_predictor(query_cost_model)
    numbers = predictor.specification.numbers
    random = np.random.default_rng(0)
    matrix = pd.DataFrame({name: random.integers(0, 5, 300).astype("float32") for name in numbers})
    matrix = matrix.assign(
        terms="", query_id=[str(n) for n in range(300)], split="test", user=random.integers(0, 40, 300),
        is_heavy=random.random(300) < 0.3,
    )  # fmt: skip
    report = {"parameters": predictor.features.model_dump(mode="json")}
    rules = {"row_id": "query_id", "target": "is_heavy", "group_columns": ["user"]}
    found = decide(version(1, predictor), version(2, predictor), matrix, report, **rules)
    assert (found["verdict"], found["main"]["improvement"]) == ("kept", 0.0)
    missing = decide(version(1, predictor), version(2, predictor), matrix.drop(columns=numbers[3]), report, **rules)
    assert missing["verdict"] == "incompatible"
    assert numbers[3] in missing["reason"]


def test_food_waste(version, trained_waste, train_food_waste, waste_tables):
    stunted = {"rounds": 3, "learning_rate": 0.05, "num_leaves": 3, "min_data_in_leaf": 100}
    weak = train_food_waste(classifier=stunted, base=stunted, entity_effect=False).predictor
    rules = {"row_id": "purchase_id", "target": "is_wasted", "group_columns": ["household_id"]}
    tables = waste_tables.matrix, waste_tables.features
    found = decide(version(1, weak), version(2, trained_waste.predictor), *tables, **rules)
    rows = waste_tables.matrix.query("split == 'test'")
    probability = trained_waste.predictor.predict_matrix(rows)["probability"]
    assert found["main"]["challenger"] == pytest.approx(log_loss(rows["is_wasted"], probability))
    assert found["verdict"] == "promoted"
    assert decide(version(2, trained_waste.predictor), version(3, weak), *tables, **rules)["verdict"] == "kept"
    other = tables[1] | {"parameters": tables[1]["parameters"] | {"at_home_days": 3.0}}
    found = decide(version(1, weak), version(2, trained_waste.predictor), tables[0], other, **rules)
    assert "at_home_days (365.0 there, 3.0 here)" in found["reason"]
