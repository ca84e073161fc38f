"""Promotion of classifiers of texts: who wins, who is kept, and what models of different codes have in common."""

import json
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import f1_score

from augury.errors import UserError
from augury.pipelines.promotion.multilabel import MultilabelPromotion, decide_multilabel

from .conftest import Scorer

PROVENANCE = {"created_at": "2026-02-01T03:00:00+00:00"}
RULES = MultilabelPromotion(replicates=200)
NAMES = ("000", "004", "500", "510")


class Classifier:
    """Says of text number n what row n of a matrix says."""

    def __init__(self, answers: np.ndarray, codes: tuple[str, ...] = NAMES) -> None:
        self.answers, self.codes = answers, codes
        self.metadata = SimpleNamespace(
            predictor="toy",
            family="text_classifier",
            created_at="2026-01-01T00:00:00+00:00",
            data=SimpleNamespace(fingerprint="f" * 64),
            git_commit=None,
        )

    def probabilities(self, texts):
        return self.answers[[int(text) for text in texts]]

    def decide(self, probabilities):
        return probabilities >= 0.5


def listed(members: np.ndarray) -> list[list[str]]:
    return [[NAMES[place] for place in np.flatnonzero(row)] for row in members]


@pytest.fixture(scope="module")
def actual() -> np.ndarray:
    random = np.random.default_rng(0)
    members = random.random((900, 4)) < (0.5, 0.3, 0.4, 0.2)
    members[~members.any(axis=1), 0] = True
    return members


@pytest.fixture(scope="module")
def texts(actual) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "sample_id": [f"t{number:03}" for number in range(900)],
            "text": [str(number) for number in range(900)],
            "codes": listed(actual),
            "group": np.arange(900) // 3,
            "split": np.where(np.arange(900) < 300, "train", "test"),
        }
    ).sample(frac=1, random_state=3)


def blurred(actual: np.ndarray, noise: float, seed: int = 1) -> np.ndarray:
    odds = np.where(actual, 2.0, -2.0) + np.random.default_rng(seed).normal(0, noise, actual.shape)
    return 1 / (1 + np.exp(-odds))


def decide(champion, challenger, texts, seed=1, **rules):
    found = decide_multilabel(champion, challenger, texts, PROVENANCE, RULES.model_copy(update=rules), seed)
    json.dumps(found, allow_nan=False)
    return found


def test_a_clearly_better_challenger_is_promoted(version, texts, actual):
    worse, better = blurred(actual, 3.0), blurred(actual, 1.5)
    found = decide(version(3, Classifier(worse)), version(4, Classifier(better)), texts)
    assert found["verdict"] == "promoted"
    assert found["holdout"] == {"rows": 600, "groups": 200}
    loss = {
        name: 1 - f1_score(actual[300:], answers[300:] >= 0.5, average="samples", zero_division=0)
        for name, answers in (("champion", worse), ("challenger", better))
    }
    assert found["main"]["metric"] == "sample_f1_loss"
    assert {name: found["main"][name] for name in loss} == pytest.approx(loss)
    assert 0 < found["main"]["lower"] < found["main"]["improvement"]
    micro = found["metrics"]["micro_f1"]
    assert micro["challenger"] == pytest.approx(f1_score(actual[300:], better[300:] >= 0.5, average="micro"))
    assert found["metrics"]["brier"]["improvement"] > 0


def test_an_equal_challenger_and_a_worse_one_are_kept_out(version, texts, actual):
    good, bad = Classifier(blurred(actual, 1.5)), Classifier(blurred(actual, 3.0))
    equal = decide(version(3, good), version(4, good), texts)
    assert (equal["verdict"], equal["main"]["improvement"]) == ("kept", 0)
    assert decide(version(3, good), version(4, bad), texts)["verdict"] == "kept"


def test_a_better_mean_does_not_pay_for_a_worse_micro_f1(version, texts):
    # Half of the texts have one code, the others all four: what is lost on these weighs more in the micro F1
    whole = np.arange(900) % 2 == 0
    actual = np.ones((900, 4), dtype=bool)
    actual[~whole, 1:] = False
    champion, challenger = actual.astype(float), actual.astype(float)
    champion[~whole, 1] = 1  # one code too many: F1 2/3 in place of 1
    challenger[whole, 3] = 0  # one too few of four: 6/7 in place of 1
    codes = listed(actual)
    own = texts.assign(codes=[codes[int(text)] for text in texts["text"]])
    pair = version(3, Classifier(champion)), version(4, Classifier(challenger))
    found = decide(*pair, own)
    assert found["main"]["improvement"] == pytest.approx(((1 - 2 / 3) - (1 - 6 / 7)) / 2)
    micro = found["metrics"]["micro_f1"]
    assert (micro["champion"], micro["challenger"]) == pytest.approx((10 / 11, 8 / 9))
    assert found["verdict"] == "kept"
    assert "but micro F1 0.909091 -> 0.888889" in found["reason"]
    assert decide(*pair, own, epsilon_micro_f1=0.05)["verdict"] == "promoted"


def test_probabilities_can_be_the_main_metric(version, texts, actual):
    sharp, dull = np.where(actual, 0.9, 0.1), np.where(actual, 0.6, 0.4)
    pair = version(3, Classifier(dull)), version(4, Classifier(sharp))
    assert decide(*pair, texts)["verdict"] == "kept"
    found = decide(*pair, texts, loss="brier")
    assert found["verdict"] == "promoted"
    assert found["main"]["champion"] == pytest.approx(4 * 0.4**2)


def test_a_champion_that_lacks_a_code_is_compared_all_the_same(version, texts, actual):
    answers = blurred(actual, 1.5)
    champion = Classifier(answers[:, :3], NAMES[:3])
    found = decide(version(3, champion), version(4, Classifier(answers)), texts)
    assert found["verdict"] == "promoted"
    missed = answers[300:] >= 0.5
    missed[:, 3] = False
    assert found["metrics"]["micro_f1"]["champion"] == pytest.approx(f1_score(actual[300:], missed, average="micro"))


def test_the_order_of_the_codes_does_not_matter(version, texts, actual):
    answers = blurred(actual, 1.5)
    turned = Classifier(answers[:, ::-1], NAMES[::-1])
    found = decide(version(3, turned), version(4, Classifier(answers)), texts)
    assert (found["main"]["improvement"], found["metrics"]["brier"]["improvement"]) == (0, 0)


def test_another_taxonomy_cannot_be_compared(version, texts, actual):
    other = Classifier(blurred(actual, 1.5), ("A", "B", "C", "D"))
    good = Classifier(blurred(actual, 1.5))
    found = decide(version(3, other), version(4, good), texts)
    assert found["verdict"] == "incompatible"
    assert "it knows 0.0% of those of the held-out texts" in found["reason"]
    assert "'000'" in found["reason"]
    assert decide(version(3, other), version(4, good), texts, on_incompatible="promote_if_gates_pass")["verdict"] == (
        "promoted"
    )
    scorer = version(3, Scorer(lambda matrix: matrix["x"]))
    assert "gives texts no codes" in decide(scorer, version(4, good), texts)["reason"]


def test_too_few_groups_are_inconclusive(version, texts, actual):
    pair = version(3, Classifier(blurred(actual, 3.0))), version(4, Classifier(blurred(actual, 1.5)))
    assert decide(*pair, texts, min_groups=201)["verdict"] == "inconclusive"
    assert decide(*pair, texts, min_groups=200)["verdict"] == "promoted"


def test_the_first_one_needs_its_gates_alone(version, texts, actual):
    good = Classifier(blurred(actual, 1.5))
    assert decide(None, version(1, good), texts)["verdict"] == "promoted"
    assert decide(None, version(1, good, gates="failed"), texts)["verdict"] == "failed_gates"
    assert decide(version(1, good), None, texts)["verdict"] == "no_challenger"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"rows": {"spilt": "test"}}, "the texts have no column 'spilt'. Did you mean 'split'"),
        ({"rows": {"split": "holdout"}}, r"'promotion.rows': no text has \{'split': 'holdout'\}"),
        ({"group_column": "groups"}, "no column 'groups'. Did you mean 'group'"),
    ],
)
def test_parameters_that_name_nothing_are_refused(version, texts, actual, change, message):
    with pytest.raises(UserError, match=message):
        decide(None, version(1, Classifier(blurred(actual, 1.5))), texts, **change)
