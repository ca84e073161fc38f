"""Training of ``taxonomy``: fit the members, learn how to decide, and put the predictor together."""

import hashlib
import logging
import time
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from augury.checkpointing import Checkpoints
from augury.curve_table import curve_table
from augury.errors import UserError
from augury.parameters import with_tuned
from augury.pipelines.model_training.text_decisions import choose_calibration, choose_weights, probabilities_of
from augury.pipelines.model_training.text_members import FittedMember, TrainingTexts, fit_member
from augury.pipelines.model_training.text_models import AnyTextModel, BlendModel, Source, TextModel, members_of
from augury.pipelines.model_training.text_rows import TRAIN, VALIDATION, TextRows, text_rows
from augury.predictors import DataFacts, Metadata
from augury.predictors.encoder_scorer import EncoderScorer
from augury.predictors.label_calibration import LabelCalibration
from augury.predictors.label_hierarchy import LabelHierarchy
from augury.predictors.label_thresholds import fit_thresholds
from augury.predictors.stored_encoder import StoredEncoder
from augury.predictors.taxonomy import (
    INPUTS,
    OUTPUTS,
    TEXT,
    Member,
    MemberName,
    TextClassifier,
    TextSpecification,
)
from augury.predictors.text_encoder import TextFeatures
from augury.predictors.tfidf_scorer import TfidfScorer

PREDICTOR = "taxonomy"
TASK = "multilabel text classification"
EXAMPLES = 3

logger = logging.getLogger(__name__)


def train_taxonomy(
    features_texts: pd.DataFrame,
    features_codes: pd.DataFrame,
    tokenizer: dict[str, Any],
    report_features: dict[str, Any],
    report_data: dict[str, Any],
    features: TextFeatures,
    best_params: dict[str, Any],
    model: TextModel,
    seed: int,
    training_checkpoints: Any,
    provenance: dict[str, Any],
) -> tuple[TextClassifier, pd.DataFrame, dict[str, Any]]:
    """Train ``taxonomy``.

    Args:
        features_texts: ``sample_id``, ``text``, ``split``, ``group``, ``confidence``, ``targets`` (places of the
            codes), ``token_ids``.
        features_codes: ``code``, ``label``, ``parent``, ``prior``: the codes that are modelled, in their order.
        tokenizer: JSON of the tokenizer.
        report_features: What feature engineering says; not needed.
        report_data: What data engineering says: where the texts come from.
        features: How texts become tokens.
        best_params: What tuning found; empty if there was none.
        model: Parameters.
        seed: Seed of folds, order and drop-out.
        training_checkpoints: Where a transformer's training keeps how far it has come.
        provenance: ``git_commit``, ``created_at`` and ``versions`` for the metadata.

    Returns:
        The predictor; the curves of the training (``step``, ``epoch``, ``name``, ``value``, ``seconds``); and a
        JSON-ready account of it.

    Raises:
        UserError: There is no training text with a code; tuned parameters are asked for that there are none of.
    """
    started = time.monotonic()
    chosen: AnyTextModel = with_tuned(model.root, best_params, model.root.use_tuned, PREDICTOR)
    codes = features_codes.reset_index(drop=True)
    train = text_rows(features_texts, TRAIN, len(codes))
    if not train.targets.any():
        raise UserError(
            f"{PREDICTOR}.features_texts: none of {len(train.text)} training texts (split '{TRAIN}') has a modelled "
            f"code (column 'targets'). Check {PREDICTOR}.split and {PREDICTOR}.features.min_support."
        )
    texts = TrainingTexts(train, text_rows(features_texts, VALIDATION, len(codes)), codes, tokenizer, features, seed)
    hierarchy = LabelHierarchy.of_codes(codes["code"].tolist(), codes["parent"].tolist())
    source = threshold_source(chosen, len(texts.validation.text))
    checkpoints = training_checkpoints if chosen.resume else _Afresh(training_checkpoints)
    fitted = {name: fit_member(name, texts, chosen, source, checkpoints) for name in members_of(chosen)}
    members, targets, deciding, account = learn_decisions(fitted, texts, chosen, source)
    if deciding:
        probabilities = probabilities_of(deciding, members, hierarchy)
    else:
        probabilities, targets = np.zeros((0, len(codes))), np.zeros((0, len(codes)), dtype=bool)
    thresholds = fit_thresholds(probabilities, targets, chosen.thresholds, hierarchy.raised)
    specification = TextSpecification(
        codes=tuple(codes["code"]),
        labels=tuple(codes["label"]),
        parents=tuple(hierarchy.parents.tolist()),
        priors=tuple(train.targets.mean(axis=0).tolist()),
        thresholds=tuple(thresholds.values.tolist()),
        at_least_one=chosen.thresholds.at_least_one,
        members=tuple(members),
        uri=chosen.uri,
    )
    metadata = Metadata(
        predictor=PREDICTOR,
        family=TextClassifier.family,
        task=TASK,
        inputs=INPUTS,
        outputs=OUTPUTS,
        features=(TEXT,),
        parameters={"features": features.model_dump(mode="json"), "model": chosen.model_dump(mode="json")},
        data=DataFacts(
            fingerprint=fingerprint(train, specification.codes),
            rows=len(train.text),
            groups=len(np.unique(train.groups)),
            origin=_origin(features_texts, report_data),
        ),
        seed=seed,
        **provenance,
    )
    predictor = TextClassifier(
        metadata,
        specification,
        {name: _published(fit.model, chosen) for name, fit in fitted.items()},
        example=[{TEXT: text[:500]} for text in train.text[:EXAMPLES]],
    )
    curves = next((fit.curves for fit in fitted.values() if fit.curves is not None), curve_table())
    facts = fitted["transformer"].facts if "transformer" in fitted else {}
    report = {
        "kind": chosen.kind,
        "parameters": chosen.model_dump(mode="json"),
        "rows": len(train.text),
        "validation_rows": len(texts.validation.text),
        "labels": len(codes),
        "seconds": time.monotonic() - started,
        "device": facts.get("device", "cpu"),
        "epochs": facts.get("epochs", 0),
        "best_epoch": facts.get("best_epoch", 0),
        "stopped_by": facts.get("stopped_by", "converged"),
        "members": {name: fit.facts for name, fit in fitted.items()},
        "decisions": {
            **account,
            "source": source,
            "thresholds": thresholds.facts,
            "common_threshold": float(np.median(thresholds.values)),
        },
        "validation": facts.get("validation", {}) | thresholds.facts.get("f1", {}).get(thresholds.kind, {}),
    }
    logger.info(
        "Trained '%s' on %d texts with %d codes; thresholds '%s' from '%s'.",
        chosen.kind, len(train.text), len(codes), thresholds.kind, source,
    )  # fmt: skip
    return predictor, curves, report


def threshold_source(model: AnyTextModel, validation: int) -> Source:
    """Where thresholds, calibration and weights are learned.

    Args:
        model: Parameters.
        validation: How many validation texts there are.

    Returns:
        The source; ``fixed`` where the validation texts that are asked for do not exist.
    """
    if model.threshold_source == "auto":
        if "transformer" not in members_of(model):
            return "out_of_fold"
        return "validation" if validation >= model.fewest_validation else "fixed"
    if model.threshold_source == "validation" and not validation:
        logger.warning("There are no validation texts: thresholds and weights are the fixed ones.")
        return "fixed"
    return model.threshold_source


def learn_decisions(
    fitted: Mapping[MemberName, FittedMember], texts: TrainingTexts, model: AnyTextModel, source: Source
) -> tuple[list[Member], np.ndarray, dict[str, np.ndarray], dict[str, Any]]:
    """Learn calibrations and weights.

    Args:
        fitted: The members.
        texts: The texts.
        model: Parameters.
        source: What to learn from.

    Returns:
        The members as they are stored; truth and scores of the texts that thresholds may be learned from (no scores:
        there are none); an account.
    """
    deciding: dict[str, np.ndarray] = {}
    targets = texts.train.targets if source == "out_of_fold" else texts.validation.targets
    calibrations: dict[MemberName, LabelCalibration] = {}
    account: dict[str, Any] = {"calibration": {}}
    for name, fit in fitted.items():
        folded = fit.out_of_fold is not None and not np.isnan(fit.out_of_fold).any()
        if source == "out_of_fold" and folded:
            deciding[name] = np.asarray(fit.out_of_fold)
        elif source == "validation":
            deciding[name] = fit.validation
        # A margin is no log odds: a cheap member that has folds is calibrated by them where nothing else is there
        known, truth = deciding.get(name), targets
        if name not in deciding and folded:
            known, truth = fit.out_of_fold, texts.train.targets
        if known is None:
            calibrations[name] = LabelCalibration.none(len(texts.codes))
            continue
        found = choose_calibration(known, truth, model.calibration)
        calibrations[name], account["calibration"][name] = found.calibration, found.facts
    if len(deciding) < len(fitted):
        deciding = {}
    weights: dict[MemberName, float] = dict.fromkeys(fitted, 1.0)
    if isinstance(model, BlendModel) and len(fitted) > 1:
        if deciding:
            log_odds = {name: calibrations[name].log_odds(deciding[name]) for name in fitted}
            weights = choose_weights(log_odds, targets, model.steps)
        else:
            weights = {name: model.weights.get(name, 0.0) for name in fitted}
    account["weights"] = weights
    members = [Member(name=name, weight=weights[name], calibration=calibrations[name]) for name in fitted]
    return members, targets, deciding, account


class _Afresh:
    """Checkpoints of which the first look finds nothing."""

    def __init__(self, checkpoints: Checkpoints) -> None:
        self._checkpoints = checkpoints

    def load(self, fingerprint: str) -> None:
        self._checkpoints.clear()

    def save(self, fingerprint: str, tensors: Mapping[str, np.ndarray], state: Mapping[str, Any]) -> None:
        self._checkpoints.save(fingerprint, tensors, state)

    def clear(self) -> None:
        self._checkpoints.clear()


def _published(fitted: TfidfScorer | EncoderScorer, model: AnyTextModel) -> TfidfScorer | StoredEncoder:
    """The member as its files: what is judged afterwards is what is published."""
    if isinstance(fitted, TfidfScorer):
        return fitted
    return StoredEncoder.of(fitted, onnx=model.export_onnx, export_bin=model.export_bin)


def fingerprint(rows: TextRows, codes: tuple[str, ...]) -> str:
    """SHA-256 of the training texts and their codes, whatever their order."""
    table = pd.DataFrame({"sample_id": rows.sample_id, "text": rows.text, "confidence": rows.weights})
    table["targets"] = [np.packbits(row).tobytes().hex() for row in rows.targets]
    hashes = np.sort(pd.util.hash_pandas_object(table, index=False).to_numpy())
    return hashlib.sha256("\n".join(codes).encode() + hashes.tobytes()).hexdigest()


def _origin(features_texts: pd.DataFrame, report_data: Mapping[str, Any]) -> dict[str, int]:
    """Where the training texts come from, as far as somebody says so."""
    train = features_texts[features_texts["split"] == TRAIN]
    if "origin" in train:
        return {str(name): int(count) for name, count in train["origin"].value_counts().items()}
    said = report_data.get("origin")
    if isinstance(said, Mapping) and all(isinstance(count, int) for count in said.values()):
        return {str(name): int(count) for name, count in said.items()}
    return {"unknown": len(train)}
