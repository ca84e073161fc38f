"""Fitting one kind of recommender: its candidates, what validation makes of them, and the chosen one on more rows."""

from collections.abc import Callable, Iterator
from itertools import product
from typing import Any, NamedTuple

import pandas as pd

from augury.checkpointing import Checkpoints
from augury.pipelines.model_training.implicit_als import fit_implicit_als, with_recency
from augury.pipelines.model_training.item_models import fit_ease, fit_item_knn, fit_popularity, item_products
from augury.pipelines.model_training.recommender_models import (
    EaseSettings,
    IalsSettings,
    ItemKnnSettings,
    MemberSettings,
    NeuralSettings,
)
from augury.pipelines.model_training.recommender_validation import Floats, Validation
from augury.predictors.recommender_scorers import FactorScorer, LeastSquares, Scorer
from augury.predictors.user_histories import Histories, Recency

Chosen = dict[str, Any]


class Member(NamedTuple):
    """A fitted kind."""

    scorer: Scorer
    chosen: Chosen
    """Values of the settings that had candidates, and what else a refit needs."""
    value: float | None
    """On validation; None where there is none."""
    scores: Floats | None
    """Of the users of validation."""
    tried: list[dict[str, Any]]
    curves: pd.DataFrame | None = None
    facts: dict[str, Any] | None = None


def fit_member(
    kind: str,
    settings: MemberSettings,
    histories: Histories,
    validation: Validation | None,
    seed: int,
    checkpoints: Checkpoints,
    warm_start: FactorScorer | None = None,
) -> Member:
    """Fit a kind with every candidate and keep the best.

    Args:
        kind: See :data:`~augury.pipelines.model_training.recommender_models.KINDS`.
        settings: Its settings.
        histories: Of all users.
        validation: What decides; None: the first candidates are taken.
        seed: Seed.
        checkpoints: Of long trainings.
        warm_start: Factors for a network's embeddings to begin with.

    Returns:
        The member.
    """
    if isinstance(settings, NeuralSettings):
        return _fit_network(kind, settings, histories, validation, seed, checkpoints, warm_start, None)
    best: Member | None = None
    tried: list[dict[str, Any]] = []
    for scorer, chosen in _candidates(settings, histories, seed, only_first=not validation):
        scores = validation.scores(scorer) if validation else None
        value = validation.value(scores) if validation and scores is not None else None
        tried.append({**chosen, "value": value})
        if best is None or (value is not None and best.value is not None and value > best.value):
            best = Member(scorer, chosen, value, scores, tried)
    assert best is not None, "every setting has at least one candidate"
    return best


def refit_member(
    kind: str,
    settings: MemberSettings,
    chosen: Chosen,
    histories: Histories,
    seed: int,
    checkpoints: Checkpoints,
    warm_start: FactorScorer | None = None,
) -> Member:
    """Fit a kind again, on more rows, with what was chosen.

    Args:
        kind: The kind.
        settings: Its settings.
        chosen: See :class:`Member`.
        histories: Of all users.
        seed: Seed.
        checkpoints: Of long trainings.
        warm_start: See :func:`fit_member`.

    Returns:
        The member.
    """
    if isinstance(settings, NeuralSettings):
        return _fit_network(kind, settings, histories, None, seed, checkpoints, warm_start, chosen["epochs"])
    only = type(settings).model_validate(settings.model_dump() | {name: (value,) for name, value in chosen.items()})
    return fit_member(kind, only, histories, None, seed, checkpoints)


def _candidates(
    settings: MemberSettings, histories: Histories, seed: int, only_first: bool
) -> Iterator[tuple[Scorer, Chosen]]:
    found = _all_candidates(settings, histories, seed)
    if only_first:
        yield next(found)
    else:
        yield from found


def _all_candidates(settings: MemberSettings, histories: Histories, seed: int) -> Iterator[tuple[Scorer, Chosen]]:
    """Scorers and what they were made of; those that differ in the half-life share what was learned."""
    if isinstance(settings, EaseSettings):
        products = item_products(histories)
        for l2 in settings.l2:
            ease = fit_ease(products, l2, settings.most_items)
            for fading in _fading(settings):
                yield ease.with_recency(Recency(**fading)), {"l2": l2, **fading}
    elif isinstance(settings, ItemKnnSettings):
        products = item_products(histories)
        for neighbours, shrinkage in product(settings.neighbours, settings.shrinkage):
            knn = fit_item_knn(products, neighbours, shrinkage)
            for fading in _fading(settings):
                chosen = {"neighbours": neighbours, "shrinkage": shrinkage, **fading}
                yield knn.with_recency(Recency(**fading)), chosen
    elif isinstance(settings, IalsSettings):
        for unobserved, regularisation in product(settings.unobserved_weight, settings.regularisation):
            problem = LeastSquares(unobserved, regularisation, settings.frequency_exponent)
            scorer = fit_implicit_als(
                histories, problem, settings.factors, settings.epochs, seed, settings.conjugate_gradient_steps,
                settings.initial_scale, settings.engine,
            )  # fmt: skip
            for fading in _fading(settings):
                chosen = {"unobserved_weight": unobserved, "regularisation": regularisation, **fading}
                yield with_recency(scorer, histories, Recency(**fading), settings.engine), chosen
    else:
        yield fit_popularity(histories), {}


def _fading(settings: EaseSettings | ItemKnnSettings | IalsSettings) -> Iterator[Chosen]:
    """Candidates of how the past fades; where nothing does, no share lasts any longer."""
    for half_life in settings.half_life:
        for lasting in settings.lasting if half_life is not None else settings.lasting[:1]:
            yield {"half_life": half_life, "lasting": lasting}


def _fit_network(
    kind: str,
    settings: NeuralSettings,
    histories: Histories,
    validation: Validation | None,
    seed: int,
    checkpoints: Checkpoints,
    warm_start: FactorScorer | None,
    epochs: int | None,
) -> Member:
    from augury.pipelines.model_training.neural_collaborative_filtering import fit_network

    judge: Callable[[Scorer], float] | None = validation.part(settings.stopping_users).judge if validation else None
    fitted = fit_network(kind, histories, settings, seed, judge, checkpoints, warm_start, epochs)
    scores = validation.scores(fitted.scorer) if validation else None
    value = validation.value(scores) if validation and scores is not None else None
    return Member(fitted.scorer, {"epochs": fitted.facts["best_epoch"]}, value, scores, [], fitted.curves, fitted.facts)
