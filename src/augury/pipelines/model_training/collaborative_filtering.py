"""Training of ``recommendation``: members fitted side by side, chosen and weighted by validation, fitted again."""

import logging
import time
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from augury import engines
from augury.curve_table import curve_table
from augury.errors import UserError
from augury.parameters import with_tuned
from augury.pipelines.model_training.boosted_trees import fingerprint
from augury.pipelines.model_training.item_models import fit_popularity
from augury.pipelines.model_training.recommender_members import Member, fit_member, refit_member
from augury.pipelines.model_training.recommender_models import (
    NEURAL,
    IalsSettings,
    MemberSettings,
    NeuralSettings,
    RecommenderModel,
)
from augury.pipelines.model_training.recommender_validation import Validation, blend_weights, validation_of
from augury.pipelines.model_training.training_stages import TrainingStages
from augury.predictors import DataFacts, Metadata
from augury.predictors.content_map import ContentMap, embed, fit_content_map
from augury.predictors.recommendation import INPUTS, OUTPUTS, SEPARATOR, Recommender, factor_member
from augury.predictors.recommender_scorers import FactorScorer, Mixture, standardised
from augury.predictors.user_histories import Histories

PREDICTOR = "recommendation"
TASK = "ranking: implicit top-k recommendation"
TRAIN, VALIDATION = "train", "validation"
EXAMPLES = 3
CONTENT_ENCODER = "minilm"

logger = logging.getLogger(__name__)


def train_recommender(
    features_matrix: Any,
    features_negatives: Any,
    primary_users: Any,
    primary_items: Any,
    report_data: dict[str, Any],
    best_params: dict[str, Any],
    model: RecommenderModel,
    seed: int,
    training_checkpoints: Any,
    provenance: dict[str, Any],
) -> tuple[Recommender, pd.DataFrame, dict[str, Any]]:
    """Train ``recommendation``.

    Args:
        features_matrix: ``user``, ``item`` (codes), ``weight``, ``timestamp``, ``split``; a user's rows of one moment
            in the order in which they happened.
        features_negatives: ``user``, ``split``, ``item``, ``negatives``; those of validation have a part in what
            settings are chosen by.
        primary_users: ``user``, ``user_id``, in the order of the codes.
        primary_items: ``item``, ``item_id`` and perhaps ``text``, in the order of the codes.
        report_data: What data engineering says; ``origin`` maps origins to interactions.
        best_params: What tuning found; empty if there was none.
        model: Parameters.
        seed: Seed.
        training_checkpoints: See :class:`~augury.checkpointing.Checkpoints`.
        provenance: ``git_commit``, ``created_at`` and ``versions`` for the metadata.

    Returns:
        The predictor; the curves (``step``, ``epoch``, ``name``, ``value``, ``seconds``); and a JSON-ready account.

    Raises:
        UserError: No training rows, more items than a member can hold, or texts asked for that there are none of.
    """
    started = time.perf_counter()
    model = with_tuned(model, best_params, model.use_tuned, PREDICTOR)
    matrix = engines.to_pandas(features_matrix)
    users, items = engines.to_pandas(primary_users), engines.to_pandas(primary_items)
    _check(matrix, items)
    shape = (len(users), len(items))
    learned = matrix[matrix["split"] == TRAIN]
    histories = _histories(learned, shape)
    validation = validation_of(
        matrix[matrix["split"] == VALIDATION],
        features_negatives[features_negatives["split"] == VALIDATION],
        histories,
        model.validation_users,
        model.k,
        seed,
        model.sampled_weight,
    )
    stages = TrainingStages(training_checkpoints, resume=model.resume)

    settings = model.chosen()
    members = _fit_all(settings, histories, validation, seed, stages)
    weights = _weigh(model, members, validation)
    judged = _judged(members, weights, validation)
    kept = {kind: weight for kind, weight in zip(members, weights, strict=True) if weight > 0}
    final = members
    everything = matrix[matrix["split"].isin([TRAIN, VALIDATION])]
    known = _histories(everything, shape)
    if model.refit:
        final = _refit_all({kind: settings[kind] for kind in kept}, members, settings, known, seed, stages)
    stages.clear()
    mixture = Mixture([final[kind].scorer for kind in kept], list(kept.values()))
    rows = everything if model.refit else learned
    metadata = Metadata(
        predictor=PREDICTOR,
        family=Recommender.family,
        task=TASK,
        inputs=INPUTS,
        outputs=OUTPUTS,
        features=("user", "item", "weight", "timestamp"),
        parameters=model.model_dump(mode="json"),
        data=DataFacts(
            fingerprint=fingerprint(rows[["user", "item", "weight", "timestamp"]]),
            rows=len(rows),
            groups=int(rows["user"].nunique()),
            origin=_origin(report_data, len(rows)),
        ),
        seed=seed,
        **provenance,
    )
    user_ids, item_ids = users["user_id"].astype(str).tolist(), items["item_id"].astype(str).tolist()
    predictor = Recommender(
        metadata,
        mixture,
        known,
        fit_popularity(known if model.refit else histories).popularity,
        user_ids,
        item_ids,
        _content_map(items, mixture, model, known),
        example=_example(user_ids, item_ids, known),
    )
    curves = _curves(members)
    account = {
        "rows": len(rows),
        "users": shape[0],
        "items": shape[1],
        "kind": model.kind,
        "weights": kept,
        "parameters": model.model_dump(mode="json"),
        "validation": judged,
        "members": {kind: _account_of(member) for kind, member in members.items()},
        "refit": model.refit,
        "seconds": time.perf_counter() - started,
        **_neural_facts(members),
    }
    logger.info("Trained on %d interactions; validation %s, weights %s.", len(rows), judged, kept)
    return predictor, curves, account


def _check(matrix: pd.DataFrame, items: pd.DataFrame) -> None:
    count = int((matrix["split"] == TRAIN).sum())
    if not count:
        raise UserError(
            f"{PREDICTOR}.features_matrix: no row has the split '{TRAIN}', so there is nothing to learn from. Check "
            f"{PREDICTOR}.source and {PREDICTOR}.split."
        )
    wrong = items["item_id"].astype(str).str.contains(SEPARATOR, regex=False)
    if wrong.any():
        raise UserError(
            f"{PREDICTOR}.primary_items: column 'item_id' must not contain '{SEPARATOR}', which separates items in "
            f"requests and answers; {int(wrong.sum())} of {len(items)} ids do, for example "
            f"{items.loc[wrong, 'item_id'].iloc[0]!r}."
        )


def _histories(rows: pd.DataFrame, shape: tuple[int, int]) -> Histories:
    return Histories.from_pairs(
        rows["user"].to_numpy(), rows["item"].to_numpy(), rows["weight"].to_numpy(), rows["timestamp"].to_numpy(), shape
    )


def _fit_all(
    settings: Mapping[str, MemberSettings],
    histories: Histories,
    validation: Validation,
    seed: int,
    stages: TrainingStages,
) -> dict[str, Member]:
    decides = validation if validation else None
    members: dict[str, Member] = {}
    for kind, own in settings.items():
        warm = _warm_start(own, members, histories, decides, seed)
        members[kind] = fit_member(kind, own, histories, decides, seed, stages.stage(f"{kind}.choose"), warm)
        logger.info("%s: validation %s with %s", kind, members[kind].value, members[kind].chosen)
    return members


def _refit_all(
    settings: Mapping[str, MemberSettings],
    members: Mapping[str, Member],
    all_settings: Mapping[str, MemberSettings],
    histories: Histories,
    seed: int,
    stages: TrainingStages,
) -> dict[str, Member]:
    found: dict[str, Member] = {}
    for kind, own in settings.items():
        warm = None
        if isinstance(own, NeuralSettings) and own.warm_start == "ials":
            ials = all_settings.get("ials")
            if "ials" in found:
                warm = _factors(found["ials"])
            elif isinstance(ials, IalsSettings):
                warm = _factors(refit_member("ials", ials, members["ials"].chosen, histories, seed, stages.stage("")))
            else:
                warm = _warm_start(own, {}, histories, None, seed)
        found[kind] = refit_member(
            kind, own, members[kind].chosen, histories, seed, stages.stage(f"{kind}.refit"), warm
        )
    return found


def _warm_start(
    settings: MemberSettings,
    members: Mapping[str, Member],
    histories: Histories,
    validation: Validation | None,
    seed: int,
) -> FactorScorer | None:
    """Factors for the embeddings of a network to begin with: those of the member ``ials``, or of one of its own."""
    if not isinstance(settings, NeuralSettings) or settings.warm_start == "none":
        return None
    if "ials" in members and _factors(members["ials"]).items.shape[1] == settings.embedding:
        return _factors(members["ials"])
    own = IalsSettings(factors=settings.embedding)
    return _factors(fit_member("ials", own, histories, validation, seed, TrainingStages(None, resume=False).stage("")))


def _factors(member: Member) -> FactorScorer:
    assert isinstance(member.scorer, FactorScorer)
    return member.scorer


def _weigh(model: RecommenderModel, members: Mapping[str, Member], validation: Validation) -> list[float]:
    if len(members) == 1:
        return [1.0]
    if not validation:
        return [1 / len(members)] * len(members)
    scores = [member.scores for member in members.values() if member.scores is not None]
    return blend_weights(validation, scores, model.steps)[0]


def _judged(members: Mapping[str, Member], weights: list[float], validation: Validation) -> dict[str, Any]:
    """Metrics of validation of the mixture."""
    scores = [member.scores for member in members.values() if member.scores is not None]
    if not validation or not scores:
        return {"users": 0}
    total = scores[0]
    if len(scores) > 1:
        total = sum(
            (weight * standardised(part.copy()) for weight, part in zip(weights, scores, strict=True) if weight),
            start=np.zeros_like(scores[0]),
        )
    return {**validation.metrics(total), "users": len(validation.users)}


def _content_map(
    items: pd.DataFrame, mixture: Mixture, model: RecommenderModel, histories: Histories
) -> ContentMap | None:
    if model.content == "none":
        return None
    texts = items["text"] if "text" in items else pd.Series([None] * len(items), dtype=object)
    present = texts.notna().to_numpy() & (np.bincount(histories.indices, minlength=len(items)) > 0)
    if not present.any():
        raise UserError(
            f"Parameter '{PREDICTOR}.model.content' is 'text', but no item has one: {PREDICTOR}.items needs the "
            "column 'text'. Give the texts, or set it to 'none'."
        )
    factors = factor_member(mixture).items
    counts = np.bincount(histories.indices, minlength=len(items))[present]
    embeddings = embed(CONTENT_ENCODER, texts[present].astype(str).tolist())
    return fit_content_map(CONTENT_ENCODER, embeddings, factors[present], np.log1p(counts), model.content_l2)


def _example(user_ids: list[str], item_ids: list[str], histories: Histories) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = [
        {"user_id": user_ids[user], "history": None, "k": 10} for user in range(min(EXAMPLES, len(user_ids)))
    ]
    liked = [item_ids[item] for item in histories.row(0)[:EXAMPLES]]
    return [*rows, {"user_id": None, "history": SEPARATOR.join(liked), "k": 5}]


def _origin(report_data: Mapping[str, Any], rows: int) -> dict[str, int]:
    origin = report_data.get("origin")
    if isinstance(origin, Mapping):
        return {str(name): int(count) for name, count in origin.items()}
    return {str(origin or "unknown"): rows}


def _curves(members: Mapping[str, Member]) -> pd.DataFrame:
    parts = [
        member.curves.assign(name=f"{kind}_" + member.curves["name"]) if len(_neural(members)) > 1 else member.curves
        for kind, member in _neural(members).items()
        if member.curves is not None
    ]
    return pd.concat(parts, ignore_index=True) if parts else curve_table()


def _neural(members: Mapping[str, Member]) -> dict[str, Member]:
    return {kind: member for kind, member in members.items() if kind in NEURAL}


def _neural_facts(members: Mapping[str, Member]) -> dict[str, Any]:
    """Facts of the network, where there is one; else those of a training that has no epochs."""
    for member in _neural(members).values():
        if member.facts is not None:
            return {name: member.facts[name] for name in ("device", "epochs", "best_epoch", "stopped_by")}
    return {"device": "cpu", "epochs": 0, "best_epoch": None, "stopped_by": "closed form"}


def _account_of(member: Member) -> dict[str, Any]:
    return {"value": member.value, "chosen": member.chosen, "tried": member.tried, **(member.facts or {})}
