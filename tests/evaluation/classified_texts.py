"""Texts in a small tree of codes, and a classifier whose answers are known in advance."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd

from augury.metrics.multilabel import LabelTree
from augury.predictors.contract import DataFacts, Metadata
from augury.predictors.label_calibration import LabelCalibration
from augury.predictors.taxonomy import INPUTS, OUTPUTS, Member, TextClassifier, TextSpecification
from augury.predictors.tfidf_scorer import TermSettings, TfidfScorer

NAMES = ("000", "004", "005", "500", "510", "512", "530")
LABELS = ("Computer science", "Data processing", "Programs", "Science", "Mathematics", "Algebra", "Physics")
PARENTS = np.array([-1, 0, 0, -1, 3, 4, 3], dtype=np.int32)
LEVELS = np.array([0, 1, 1, 0, 1, 2, 1], dtype=np.int32)
TREE = LabelTree(PARENTS.astype(np.int64), LEVELS.astype(np.int64))
BASELINES = ("most_frequent", "tfidf_linear")


class StagedClassifier:
    """Says of a text what its number says; the exports say nearly the same."""

    family = "text_classifier"

    def __init__(self, answers: np.ndarray, noise: float = 1e-6) -> None:
        self.answers, self.noise = answers.astype(np.float32), noise
        self.codes, self.labels, self.parents, self.levels = NAMES, LABELS, PARENTS, LEVELS
        self.thresholds = np.full(len(NAMES), 0.5)
        self.metadata = SimpleNamespace(
            predictor="taxonomy",
            family=self.family,
            created_at="2026-01-01T00:00:00+00:00",
            git_commit=None,
            data=SimpleNamespace(rows=900, groups=800, fingerprint="f" * 64, origin={"simulated": 900}),
            model_dump=self._metadata,
        )

    def _metadata(self, **_: Any) -> dict[str, Any]:
        return {
            "predictor": "taxonomy",
            "task": "multilabel text classification",
            "family": self.family,
            "data": {"rows": 900, "groups": 800, "fingerprint": "f" * 64, "origin": {"simulated": 900}},
            "parameters": {"kind": "staged"},
            "created_at": "2026-01-01T00:00:00+00:00",
        }

    def probabilities(self, texts, backend=None) -> np.ndarray:
        found = self.answers[[int(text.split()[0]) for text in texts]]
        return np.clip(found + (self.noise if backend else 0), 0, 1)

    def decide(self, probabilities: np.ndarray) -> np.ndarray:
        return TREE.closed(probabilities >= 0.5)

    def compare_onnx(self, texts) -> dict[str, Any]:
        return {"rows": len(texts), "available": True, "max_difference": self.noise, "int8_flips": np.int64(0)}


def labelled_texts(rows: int = 500, seed: int = 0) -> pd.DataFrame:
    """Texts whose true codes an oracle knows; one code in twelve is wrong."""
    random = np.random.default_rng(seed)
    truth = np.zeros((rows, len(NAMES)), dtype=bool)
    truth[np.arange(rows), random.choice(len(NAMES), rows, p=[0.1, 0.25, 0.1, 0.1, 0.1, 0.3, 0.05])] = True
    truth |= random.random(truth.shape) < 0.05
    noisy = truth ^ (random.random(truth.shape) < 0.04)
    noisy[~noisy.any(axis=1), 0] = True
    words = random.integers(3, 300, rows)
    return pd.DataFrame(
        {
            "sample_id": [f"t{number:04}" for number in range(rows)],
            "text": [f"{number} " + "word " * (count - 1) for number, count in enumerate(words)],
            "codes": listed(TREE.closed(noisy)),
            "oracle_codes": listed(TREE.closed(truth)),
            "group": random.integers(0, rows * 2 // 3, rows),
            "split": np.where(np.arange(rows) < rows // 5, "train", "test"),
            "origin": random.choice(["simulated", "measured"], rows, p=[0.8, 0.2]),
        }
    ).sample(frac=1, random_state=1, ignore_index=True)


def listed(members: np.ndarray) -> list[list[str]]:
    return [[NAMES[place] for place in np.flatnonzero(row)] for row in members]


def matrix(lists) -> np.ndarray:
    return np.array([[name in row for name in NAMES] for row in lists])


def answers_to(texts: pd.DataFrame, blur: float, seed: int = 0) -> np.ndarray:
    """Probabilities by the number of a text: the oracle's codes, blurred."""
    random = np.random.default_rng(seed)
    truth = matrix(texts.sort_values("sample_id")["oracle_codes"])
    odds = np.where(truth, 2.5, -2.5) + random.normal(0, blur, truth.shape)
    return np.round(1 / (1 + np.exp(-odds)), 5)


def baselines_of(texts: pd.DataFrame) -> pd.DataFrame:
    held_out = texts[texts["split"] == "test"].sort_values("sample_id")
    worse = answers_to(texts, 3.0, 5)[[int(name[1:]) for name in held_out["sample_id"]]]
    return pd.DataFrame(
        {
            "sample_id": held_out["sample_id"].to_numpy(),
            "most_frequent_codes": [["500"]] * len(held_out),
            "tfidf_linear_probability": list(worse.astype(np.float32)),
            "tfidf_linear_codes": listed(TREE.closed(worse >= 0.5)),
        }
    )


FEATURES_CODES = pd.DataFrame(
    {
        "code": NAMES,
        "label": LABELS,
        "parent": [None if place < 0 else NAMES[place] for place in PARENTS],
        "level": LEVELS,
        "texts": [300, 160, 70, 420, 260, 200, 3],
        "prior": [0.3, 0.2, 0.1, 0.5, 0.3, 0.2, 0.01],
    }
)


WORDS = ("knowledge", "computer", "software", "nature", "number", "algebra", "energy")
"""Of each code, the word that speaks for it."""


def word_classifier() -> TextClassifier:
    """A real predictor without training: every code has its word."""
    size = len(NAMES)
    scorer = TfidfScorer(
        TermSettings(), WORDS, np.ones(size), 8 * np.eye(size, dtype=np.float32), np.full(size, -3, dtype=np.float32)
    )
    specification = TextSpecification(
        codes=NAMES,
        labels=LABELS,
        parents=tuple(map(int, PARENTS)),
        priors=(0.1,) * size,
        thresholds=(0.5,) * size,
        members=(Member(name="tfidf_linear", calibration=LabelCalibration.none(size)),),
    )
    metadata = Metadata(
        predictor="taxonomy",
        family="text_classifier",
        task="multilabel text classification",
        inputs=INPUTS,
        outputs=OUTPUTS,
        features=("text",),
        parameters={},
        data=DataFacts(fingerprint="f" * 64, rows=900, groups=800, origin={"measured": 900}),
        versions={},
        seed=1,
        git_commit=None,
        created_at="2026-01-01T00:00:00+00:00",
    )
    return TextClassifier(metadata, specification, {"tfidf_linear": scorer})


def worded(texts: pd.DataFrame) -> pd.DataFrame:
    """The texts with the words of their codes in place of numbers."""
    words = dict(zip(NAMES, WORDS, strict=True))
    return texts.assign(text=[" ".join(words[code] for code in codes) for codes in texts["oracle_codes"]])
