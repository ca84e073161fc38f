"""Fits of the members of a text classifier: each with the scores of texts that it did not learn from."""

from collections.abc import Callable
from time import monotonic
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import pandas as pd

from augury.checkpointing import Checkpoints, NoCheckpoints
from augury.pipelines.model_training.linear_text import LinearFit, deal_folds, fit_frozen, fit_tfidf, worth_of
from augury.pipelines.model_training.text_augmentation import Augmentation, augment
from augury.pipelines.model_training.text_models import AnyTextModel, Source
from augury.pipelines.model_training.text_rows import TextRows
from augury.pipelines.model_training.transformer_training import FittedTransformer, apply_confidence, fit_transformer
from augury.predictors.encoder_scorer import EncoderScorer
from augury.predictors.taxonomy import MemberName
from augury.predictors.text_encoder import TextFeatures, encode_texts
from augury.predictors.tfidf_scorer import TfidfScorer
from augury.predictors.torch_device import choose_device

PROGRESS = "taxonomy"


class FittedMember(NamedTuple):
    """One member and what it says of texts that it did not learn from."""

    model: TfidfScorer | EncoderScorer
    out_of_fold: np.ndarray | None
    """Scores of the training texts; None where there were no folds."""
    validation: np.ndarray
    """Scores of the validation texts."""
    facts: dict[str, Any]
    curves: pd.DataFrame | None = None


class TrainingTexts(NamedTuple):
    """Everything that members are fitted with."""

    train: TextRows
    validation: TextRows
    codes: pd.DataFrame
    tokenizer: dict[str, Any]
    features: TextFeatures
    seed: int


Fit: TypeAlias = Callable[[TrainingTexts, TextRows, AnyTextModel, bool, Checkpoints], FittedMember]
"""(texts, training texts and their copies behind them, parameters, whether folds are needed, checkpoints) -> member"""


def fit_member(
    name: MemberName, texts: TrainingTexts, model: AnyTextModel, source: Source, checkpoints: Checkpoints
) -> FittedMember:
    """Fit a member, with altered copies of the training texts if that is asked for or worth it.

    Args:
        name: Which one.
        texts: The texts.
        model: Parameters.
        source: What decisions are learned from; a transformer has folds only if they are.
        checkpoints: Where a transformer's training keeps how far it has come.

    Returns:
        The member.
    """
    fit, plain, folded = FIT[name], texts.train, source == "out_of_fold"
    if model.augment == "off":
        return fit(texts, plain, model, folded, checkpoints)
    copied = with_copies(texts, model.augmentation)
    if model.augment == "on":
        return fit(texts, copied, model, folded, checkpoints)
    without, beside = FOLDS[name](texts, plain, model), FOLDS[name](texts, copied, model)
    if without is None or beside is None:
        found = fit(texts, plain, model, folded, checkpoints)
        return found._replace(facts=found.facts | {"augmentation": {"kept": False, "reason": "too few texts"}})
    worth = {"f1_without": worth_of(without, plain.targets), "f1_with": worth_of(beside, plain.targets)}
    kept = worth["f1_with"] > worth["f1_without"]
    found = fit(texts, copied if kept else plain, model, folded, checkpoints)
    return found._replace(facts=found.facts | {"augmentation": {"kept": kept, **worth}})


def with_copies(texts: TrainingTexts, settings: Augmentation) -> TextRows:
    """The training texts and, behind them, altered copies of all of them; a copy belongs to its text's group.

    Args:
        texts: The texts.
        settings: How many copies, and what becomes of them.

    Returns:
        (copies + 1) times as many texts.
    """
    rows, times = texts.train, settings.copies + 1
    made = augment(rows.text, settings, texts.seed)
    tokens = encode_texts(texts.tokenizer, made, texts.features.max_tokens * texts.features.windows)
    return TextRows(
        rows.sample_id * times,
        [*rows.text, *made],
        [*rows.tokens, *tokens],
        np.tile(rows.targets, (times, 1)),
        np.tile(rows.weights, times),
        np.tile(rows.groups, times),
    )


def _train(
    texts: TrainingTexts, rows: TextRows, model: AnyTextModel, checkpoints: Checkpoints, progress: str, *, judge: bool
) -> FittedTransformer:
    settings = model.transformer_settings
    targets, weights = apply_confidence(rows.targets, rows.weights, settings)
    judged = texts.validation
    return fit_transformer(
        rows.tokens, targets, weights, (judged.tokens, judged.targets) if judge and judged.text else None,
        texts.tokenizer, texts.features, settings, texts.codes, texts.seed, checkpoints, progress,
    )  # fmt: skip


def _transformer_folds(texts: TrainingTexts, rows: TextRows, model: AnyTextModel) -> np.ndarray | None:
    """Scores of the training texts by trainings on the other folds, with the copies of these."""
    plain = texts.train
    fold = deal_folds(plain.targets, plain.groups, model.folds, texts.seed)
    count = int(fold.max(initial=0)) + 1
    if count < 2:
        return None
    found = np.empty(plain.targets.shape)
    for part in range(count):
        rest = np.flatnonzero(np.tile(fold, len(rows.text) // len(plain.text)) != part)
        progress = f"{PROGRESS}: fold {part + 1} of {count}"
        trained = _train(texts, rows.take(rest), model, NoCheckpoints(), progress, judge=False)
        own = np.flatnonzero(fold == part)
        found[own] = trained.scorer.logits(plain.take(own).tokens)
    return found


def _fit_transformer(
    texts: TrainingTexts, rows: TextRows, model: AnyTextModel, folded: bool, checkpoints: Checkpoints
) -> FittedMember:
    out_of_fold = _transformer_folds(texts, rows, model) if folded else None
    found = _train(texts, rows, model, checkpoints, PROGRESS, judge=True)
    validation = found.scorer.logits(texts.validation.tokens)
    return FittedMember(found.scorer, out_of_fold, validation, found.facts, found.curves)


def _fit_frozen(
    texts: TrainingTexts, rows: TextRows, model: AnyTextModel, folded: bool, checkpoints: Checkpoints
) -> FittedMember:
    started = monotonic()
    device = choose_device(model.device)
    bare = EncoderScorer.pretrained(texts.features, texts.tokenizer, texts.codes, texts.seed, device)
    vectors = bare.embeddings(rows.tokens)
    embedded = monotonic() - started
    settings = model.frozen_settings
    weight, bias, fit = fit_frozen(vectors, rows.targets, rows.weights, rows.groups, settings, texts.seed)
    scorer = bare.with_head(weight, bias)
    facts = fit.facts | {"seconds_embedding": embedded, "seconds": monotonic() - started}
    return FittedMember(scorer, _folds(fit, texts), scorer.logits(texts.validation.tokens), facts)


def _fit_tfidf(
    texts: TrainingTexts, rows: TextRows, model: AnyTextModel, folded: bool, checkpoints: Checkpoints
) -> FittedMember:
    started = monotonic()
    settings = model.tfidf_settings
    scorer, fit = fit_tfidf(rows.text, rows.targets, rows.weights, rows.groups, settings, texts.seed)
    facts = fit.facts | {"seconds": monotonic() - started}
    return FittedMember(scorer, _folds(fit, texts), scorer.logits(texts.validation.text), facts)


def _folds(fit: LinearFit, texts: TrainingTexts) -> np.ndarray | None:
    """The out-of-fold scores of the texts themselves, which lie before their copies."""
    found = fit.out_of_fold[: len(texts.train.text)]
    return None if np.isnan(found).any() else found


def _cheap_folds(fit: Fit) -> Callable[[TrainingTexts, TextRows, AnyTextModel], np.ndarray | None]:
    return lambda texts, rows, model: fit(texts, rows, model, True, NoCheckpoints()).out_of_fold


FIT: dict[MemberName, Fit] = {
    "transformer": _fit_transformer,
    "frozen": _fit_frozen,
    "tfidf_linear": _fit_tfidf,
}
FOLDS: dict[MemberName, Callable[[TrainingTexts, TextRows, AnyTextModel], np.ndarray | None]] = {
    "transformer": _transformer_folds,
    "frozen": _cheap_folds(_fit_frozen),
    "tfidf_linear": _cheap_folds(_fit_tfidf),
}
