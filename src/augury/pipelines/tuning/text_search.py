"""Tuning of ``taxonomy``: folds of the training texts, near duplicates on one side, every fold with its rare codes."""

import hashlib
import importlib.metadata
import json
import threading
from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
import pandas as pd
from pydantic import Field

from augury.checkpointing import NoCheckpoints
from augury.errors import UserError
from augury.parameters import with_values
from augury.pipelines.model_training.global_threshold import best_micro_f1
from augury.pipelines.model_training.linear_text import FrozenSettings, LinearSettings, deal_folds, fit_frozen
from augury.pipelines.model_training.text_classifier import PREDICTOR, fingerprint
from augury.pipelines.model_training.text_members import TrainingTexts, fit_member
from augury.pipelines.model_training.text_models import MEMBERS, AnyTextModel, TextModel, members_of
from augury.pipelines.model_training.text_rows import TRAIN, TextRows, text_rows
from augury.pipelines.tuning.outcome import TuningOutcome, outcome
from augury.pipelines.tuning.racing import Direction, SearchSettings, Studies, search
from augury.pipelines.tuning.search_space import SearchSpace
from augury.pipelines.tuning.single_values import of_members, stored_value, with_single_values
from augury.pipelines.tuning.training_split import describe_model, refuse_other_rows
from augury.predictors.taxonomy import MemberName
from augury.predictors.text_encoder import TextFeatures
from augury.predictors.tfidf_scorer import TfidfScorer
from augury.predictors.torch_device import choose_device

Metric = Literal["micro_f1", "average_precision"]

LIBRARIES = {
    "tfidf_linear": ("scikit-learn",),
    "frozen": ("torch", "transformers"),
    "transformer": ("torch", "transformers"),
}
PARTS = 100
"""Parts that texts are dealt into where there are too many: so finely a number of texts is met."""


class TextTuning(SearchSettings):
    """How a member of the text classifier is tuned."""

    trials: int = Field(default=25, ge=1, description="the first one has the parameters as they are")
    workers: int = Field(default=1, ge=1, description="of no use here: one text model is fitted at a time")
    delta: float | None = Field(default=0.01, ge=0, description="see SearchSettings")
    kind: MemberName | None = Field(
        default=None, description="which member of a blend is tuned; null: the model's kind, if it is none"
    )
    metric: Metric = Field(
        default="micro_f1",
        description="of the texts that a fold judges: at the one threshold for all codes that is best for them, or the "
        "average precision of all pairs of a text and a code",
    )
    folds: int = Field(default=3, ge=2, description="near duplicates lie in one fold, rare codes in all")
    most_texts: int | None = Field(
        default=400, ge=2, description="training texts that the search looks at, dealt as folds are; null: all"
    )


class TextProblem:
    """How well the codes of texts are found by a member that has learned from the other folds."""

    direction: Direction = "maximize"

    def __init__(
        self,
        rows: TextRows,
        codes: pd.DataFrame,
        tokenizer: dict[str, Any],
        features: TextFeatures,
        model: AnyTextModel,
        kind: MemberName,
        metric: Metric,
        folds: int,
        seed: int,
    ) -> None:
        """Deal the folds.

        Args:
            rows: Training texts.
            codes: The codes that are modelled, in their order.
            tokenizer: JSON of the tokenizer.
            features: How texts become tokens.
            model: Parameters, with this member.
            kind: The member.
            metric: Name of the metric.
            folds: How many.
            seed: Of the folds and the fits.

        Raises:
            UserError: There are too few groups of texts.
        """
        self.predictor = PREDICTOR
        self.metric: str = metric
        self.rows = len(rows.text)
        self._rows, self._codes, self._tokenizer, self._features = rows, codes, tokenizer, features
        self._model, self._kind, self._seed = model, kind, seed
        self._fold = deal_folds(rows.targets, rows.groups, folds, seed)
        if self._fold.max(initial=0) + 1 < folds:
            raise UserError(
                f"{PREDICTOR}: {len(np.unique(rows.groups))} groups of training texts are too few for {folds} folds; "
                f"bring more texts or lower {PREDICTOR}.tuning.folds."
            )
        self.fold_costs = [float((self._fold != part).sum()) for part in range(folds)]
        written = json.dumps([features.model_dump(mode="json"), tokenizer], sort_keys=True)
        self.fingerprint: dict[str, str] = {
            "data": fingerprint(rows, tuple(codes["code"])),
            "groups": hashlib.sha256(self._fold.tobytes()).hexdigest()[:16],
            "tokens": hashlib.sha256(written.encode()).hexdigest()[:16],
            "model": describe_model(model),
            "member": kind,
            **{name: importlib.metadata.version(name) for name in LIBRARIES[kind]},
        }
        # PyTorch and LIBLINEAR draw from one generator per process, which two fits at once would share
        self._turn = threading.Lock()
        self._vectors: np.ndarray | None = None

    def evaluate(self, parameters: Mapping[str, Any], fold: int) -> float:
        """See ``Problem``."""
        model = with_values(self._model, parameters)
        part, rest = np.flatnonzero(self._fold == fold), np.flatnonzero(self._fold != fold)
        with self._turn:
            scores = self._scores(model, part, rest)
        truth = self._rows.targets[part]
        if self.metric == "micro_f1":
            return best_micro_f1(scores, truth)[0]
        from sklearn.metrics import average_precision_score

        return float(average_precision_score(truth.ravel(), scores.ravel())) if truth.any() else 0.0

    def _scores(self, model: AnyTextModel, part: np.ndarray, rest: np.ndarray) -> np.ndarray:
        learned, judged = self._rows.take(rest), self._rows.take(part)
        settings = getattr(model, self._kind)
        if isinstance(settings, LinearSettings) and len(settings.c) == 1:
            # Nothing is left to choose: of a single group there are no folds
            learned = learned._replace(groups=np.zeros_like(learned.groups))
        if isinstance(settings, FrozenSettings) and model.augment == "off":
            vectors = self._embedded(model)
            weight, bias, _ = fit_frozen(
                vectors[rest], learned.targets, learned.weights, learned.groups, settings, self._seed
            )
            found = vectors[part] @ weight.T + bias
        else:
            nothing = self._rows.take(np.zeros(0, dtype=np.intp))
            texts = TrainingTexts(learned, nothing, self._codes, self._tokenizer, self._features, self._seed)
            fitted = fit_member(self._kind, texts, model, "fixed", NoCheckpoints()).model
            found = fitted.logits(judged.text) if isinstance(fitted, TfidfScorer) else fitted.logits(judged.tokens)
        # Other digits depend on which texts are scored together
        return np.round(found.astype(np.float64), 5)

    def _embedded(self, model: AnyTextModel) -> np.ndarray:
        """What the encoder says of all texts: the same in every trial and fold, computed by the first one."""
        if self._vectors is None:
            from augury.predictors.encoder_scorer import EncoderScorer

            device = choose_device(model.device)
            bare = EncoderScorer.pretrained(self._features, self._tokenizer, self._codes, self._seed, device)
            self._vectors = bare.embeddings(self._rows.tokens)
        return self._vectors


def tune_taxonomy(
    features_texts: pd.DataFrame,
    features_codes: pd.DataFrame,
    tokenizer: dict[str, Any],
    features: TextFeatures,
    model: TextModel,
    tuning: TextTuning,
    seed: int,
    studies: Studies,
) -> TuningOutcome:
    """Tune a member of ``taxonomy``.

    Args:
        features_texts: Texts with targets and tokens. Only rows of the split ``train`` are looked at.
        features_codes: The codes that are modelled.
        tokenizer: JSON of the tokenizer.
        features: How texts become tokens.
        model: Parameters as they are: the first trial, with the best of their candidates for ``c``.
        tuning: How to search, and where; of its space, the dimensions of the member that is tuned.
        seed: Seed of folds, fits and sampler.
        studies: Where trials are kept.

    Returns:
        See :data:`~augury.pipelines.tuning.outcome.TuningOutcome`. Paths begin at the model's kind: for example
        ``transformer.body_learning_rate``; the best ``c`` is a list with one element, as in the model.

    Raises:
        UserError: The space or the member does not fit the model, or the texts do not suffice.
    """
    kind = _kind(model.root, tuning)
    where = f"{PREDICTOR}.tuning"
    space = of_members(f"{where}.space", tuning.space, [kind], MEMBERS)
    fixed = of_members(f"{where}.fixed", tuning.fixed, [kind], MEMBERS)
    codes = features_codes.reset_index(drop=True)
    rows = training_texts(features_texts[features_texts["split"] == TRAIN], len(codes), tuning.most_texts, seed)
    chosen = with_single_values(model.root)
    path = f"{kind}.c"
    if path in space:
        texts = TrainingTexts(
            rows, rows.take(np.zeros(0, dtype=np.intp)), codes, tokenizer, features, seed
        )  # fmt: skip
        chosen = with_values(chosen, {path: fit_member(kind, texts, chosen, "fixed", NoCheckpoints()).facts["c"]})
    tuned = SearchSpace(PREDICTOR, chosen, space, fixed)
    tuned.refuse("transformer.patience", "texts of other folds do not stop a training")
    tuning = tuning.model_copy(update={"fixed": fixed})
    problem = TextProblem(rows, codes, tokenizer, features, tuned.model, kind, tuning.metric, tuning.folds, seed)
    best, trials, report = outcome(problem, tuned, tuning, seed, search(problem, tuned, tuning, seed, studies))
    found = with_values(tuned.model, best["parameters"])
    return best | {"parameters": {path: stored_value(found, path) for path in space}}, trials, report


def training_texts(table: pd.DataFrame, labels: int, most_texts: int | None, seed: int) -> TextRows:
    """The training texts, or some of them with near duplicates together and the rare codes among them.

    Args:
        table: Texts with targets and tokens.
        labels: How many codes are modelled.
        most_texts: How many texts at most; None: all.
        seed: Chooses among them.

    Returns:
        The texts in the order of their ids.

    Raises:
        UserError: A text is of another split, there is none, or none has a modelled code.
    """
    refuse_other_rows(PREDICTOR, table)
    rows = text_rows(table, TRAIN, labels)
    if not rows.targets.any():
        raise UserError(
            f"{PREDICTOR}.features_texts: none of {len(rows.text)} training texts has a modelled code (column "
            f"'targets'). Check {PREDICTOR}.split and {PREDICTOR}.features.min_support."
        )
    if most_texts is None or len(rows.text) <= most_texts:
        return rows
    part = deal_folds(rows.targets, rows.groups, PARTS, seed)
    kept = np.cumsum(np.bincount(part)) <= most_texts
    kept[0] = True  # a single group of near duplicates may be larger
    return rows.take(np.flatnonzero(kept[part]))


def _kind(model: AnyTextModel, tuning: TextTuning) -> MemberName:
    members = members_of(model)
    if tuning.kind is None and len(members) == 1:
        return members[0]
    if tuning.kind not in members:
        named = f"is '{tuning.kind}'" if tuning.kind else "is null"
        raise UserError(
            f"Parameter '{PREDICTOR}.tuning.kind' {named}, and '{PREDICTOR}.model' is of the kind '{model.kind}' with "
            f"{', '.join(members)}: name the one to tune."
        )
    return tuning.kind
