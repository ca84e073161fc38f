"""Tuning of ``recommendation``: each fold holds out one item of every user, an earlier one than the fold before."""

import importlib.metadata
import threading
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
from pydantic import Field

from augury import engines
from augury.checkpointing import NoCheckpoints
from augury.errors import UserError
from augury.metrics.top_k import judge_scorer, mean_metrics
from augury.parameters import with_values
from augury.pipelines.model_training.boosted_trees import fingerprint
from augury.pipelines.model_training.collaborative_filtering import PREDICTOR, TRAIN, VALIDATION
from augury.pipelines.model_training.recommender_members import Member, fit_member, refit_member
from augury.pipelines.model_training.recommender_models import (
    KINDS,
    NEURAL,
    IalsSettings,
    Kind,
    MemberSettings,
    NeuralSettings,
    PopularitySettings,
    RecommenderModel,
)
from augury.pipelines.model_training.recommender_validation import Validation, blend_weights, validation_of
from augury.pipelines.tuning.outcome import TuningOutcome, outcome
from augury.pipelines.tuning.racing import Direction, SearchSettings, Studies, search
from augury.pipelines.tuning.search_space import SearchSpace
from augury.pipelines.tuning.single_values import of_members, stored_value, with_single_values
from augury.pipelines.tuning.training_split import describe_model
from augury.predictors.recommender_scorers import FactorScorer, Mixture
from augury.predictors.user_histories import Histories

Metric = Literal["ndcg_at_10", "hr_at_10", "mrr"]

SIZE = 10
COLUMNS = ["user", "item", "weight", "timestamp", "split"]


class RecommenderTuning(SearchSettings):
    """How the recommender is tuned."""

    trials: int = Field(default=25, ge=1, description="the first one has the parameters as they are")
    delta: float | None = Field(default=0.004, ge=0, description="see SearchSettings")
    kind: Kind | None = Field(
        default=None, description="what is tuned: the model's kind or a member of its blend; null: the model as a whole"
    )
    metric: Metric = Field(default="ndcg_at_10", description="of the full ranking of the items that a fold holds out")
    folds: int = Field(
        default=2, ge=1, description="the first holds out the last item of each user, the second the one before it ..."
    )
    most_users: int = Field(default=2_000, ge=1, description="users that judge a fold, drawn by the seed")


class RecommenderFold(NamedTuple):
    """What a fold learns from and what it is judged by."""

    histories: Histories
    """Of all users, before the held-out items."""
    positives: pd.DataFrame
    """``user`` and ``item``, held out."""
    earlier: Histories
    """Without the last item of each user."""
    choice: Validation
    """This last item: it stops networks and weighs the members of a blend."""


def recommender_folds(table: pd.DataFrame, items: int, folds: int, most_users: int, seed: int) -> list[RecommenderFold]:
    """Hold out the last item of every user, then the one before it, and so on.

    Args:
        table: ``user``, ``item``, ``weight``, ``timestamp``, ``split``; the rows of training and of validation.
        items: How many items there are.
        folds: How many.
        most_users: Users that judge a fold.
        seed: Of their draw.

    Returns:
        The folds. What comes later than a fold's held-out items is no part of it. A user with a single item left keeps
        it and does not judge.

    Raises:
        UserError: A row is of another split, there is none, or a fold has nothing to be judged by.
    """
    _check_rows(table)
    # Of one moment, validation comes after training; the other rows are in the order in which they happened
    order = np.lexsort((np.arange(len(table)), table["split"] == VALIDATION, table["timestamp"], table["user"]))
    rest = table.iloc[order].reset_index(drop=True)
    shape = (int(table["user"].max()) + 1, items)
    parts: list[tuple[Histories, Validation]] = []
    for _ in range(folds + 1):
        rest, held_out = hold_out_last(rest)
        user, item, weight, time = (rest[name].to_numpy() for name in ("user", "item", "weight", "timestamp"))
        histories = Histories.from_pairs(user, item, weight, time, shape)
        parts.append((histories, validation_of(held_out, None, histories, most_users, SIZE, seed)))
    found = [
        RecommenderFold(
            histories,
            pd.DataFrame({"user": judged.users[judged.pair_users], "item": judged.pair_items}),
            *parts[number + 1],
        )
        for number, (histories, judged) in enumerate(parts[:folds])
    ]
    empty = [number + 1 for number, fold in enumerate(found) if fold.positives.empty]
    if empty:
        raise UserError(
            f"{PREDICTOR}: fold {empty[0]} of {folds} has no user with an item to hold out and one before it that "
            f"others know too. Bring more interactions or lower {PREDICTOR}.tuning.folds."
        )
    return found


def hold_out_last(table: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Divide rows into the last one of each user and the others.

    Args:
        table: Sorted by ``user``, then by time.

    Returns:
        The others and the last ones; the only row of a user is among the others.
    """
    users = table["user"].to_numpy()
    follows = users[1:] == users[:-1]
    last = np.append(~follows, True) & np.append(False, follows)
    return table[~last], table[last]


class RecommenderProblem:
    """How high a fold's held-out items stand among all that their users had not turned to.

    A trial does what training does: members are weighed, and networks stopped, by the items before the held-out ones.
    """

    direction: Direction = "maximize"

    def __init__(
        self,
        folds: list[RecommenderFold],
        model: RecommenderModel,
        kinds: tuple[str, ...],
        metric: Metric,
        seed: int,
        data: str,
    ) -> None:
        """Keep the folds.

        Args:
            folds: What :func:`recommender_folds` returned.
            model: Parameters, in which every list of candidates of these kinds has one element.
            kinds: What is fitted: one kind, or the members of a blend.
            metric: Name of the metric.
            seed: Of the fits.
            data: Digest of the rows.
        """
        self.predictor = PREDICTOR
        self.metric: str = metric
        self.rows = sum(len(part) for part in (folds[0].histories.indices, folds[0].positives))
        self.fold_costs = [float(len(fold.histories.indices)) for fold in folds]
        self.fingerprint: dict[str, str] = {
            "data": data,
            "judged": str([len(fold.positives) for fold in folds]),
            "model": describe_model(model),
            "kinds": ",".join(kinds),
            "numpy": np.__version__,
        }
        networks = any(kind in NEURAL for kind in kinds)
        if networks:
            self.fingerprint["torch"] = importlib.metadata.version("torch")
        # A network sets the threads of the whole process
        self._turn: AbstractContextManager[Any] = threading.Lock() if networks else nullcontext()
        self._folds, self._model, self._kinds, self._seed = folds, model, kinds, seed

    def evaluate(self, parameters: Mapping[str, Any], fold: int) -> float:
        """See ``Problem``."""
        model, rows = with_values(self._model, parameters), self._folds[fold]
        settings: dict[str, MemberSettings] = {kind: getattr(model, kind) for kind in self._kinds}
        with self._turn:
            scorer = _fit(settings, rows, model.steps, self._seed)
        judged = judge_scorer(_Known(scorer, rows.histories), rows.positives, rows.histories.table(), None, SIZE)
        return mean_metrics(judged, (SIZE,))[self.metric]


def tune_recommender(
    features_matrix: Any,
    primary_items: Any,
    model: RecommenderModel,
    tuning: RecommenderTuning,
    seed: int,
    studies: Studies,
) -> TuningOutcome:
    """Tune ``recommendation``: one kind, or all members of a blend together.

    Args:
        features_matrix: ``user``, ``item``, ``weight``, ``timestamp``, ``split``. Rows of the split ``test`` are not
            looked at; those of ``validation`` are the last ones of their users.
        primary_items: One row per item.
        model: Parameters as they are: the first trial, with the best of their candidates.
        tuning: How to search, and where; of its space, the dimensions of what is tuned.
        seed: Seed of folds, fits and sampler.
        studies: Where trials are kept.

    Returns:
        See :data:`~augury.pipelines.tuning.outcome.TuningOutcome`. What is a list of candidates in the model is a list
        with one element among the best parameters.

    Raises:
        UserError: The space or the kind does not fit the model, or the rows do not suffice.
    """
    kinds = _kinds(model, tuning)
    where = f"{PREDICTOR}.tuning"
    space = of_members(f"{where}.space", tuning.space, kinds, KINDS)
    fixed = of_members(f"{where}.fixed", tuning.fixed, kinds, KINDS)
    matrix = engines.to_pandas(features_matrix)
    table = matrix.loc[matrix["split"].isin([TRAIN, VALIDATION]), COLUMNS]
    folds = recommender_folds(table, len(engines.to_pandas(primary_items)), tuning.folds, tuning.most_users, seed)
    model = with_best_candidates(with_single_values(model), kinds, folds[-1], seed)
    tuned = SearchSpace(PREDICTOR, model, space, fixed)
    tuning = tuning.model_copy(update={"fixed": fixed})
    problem = RecommenderProblem(folds, tuned.model, kinds, tuning.metric, seed, fingerprint(table))
    best, trials, report = outcome(problem, tuned, tuning, seed, search(problem, tuned, tuning, seed, studies))
    found = with_values(tuned.model, best["parameters"])
    return best | {"parameters": {path: stored_value(found, path) for path in space}}, trials, report


def with_best_candidates(
    model: RecommenderModel, kinds: tuple[str, ...], fold: RecommenderFold, seed: int
) -> RecommenderModel:
    """Put the best candidate in the place of each list of them, so that a trial is one fit.

    Args:
        model: Parameters, as :func:`~augury.pipelines.tuning.single_values.with_single_values` returns them.
        kinds: Whose lists.
        fold: The last one: the item before its held-out ones decides, which no fold is judged by.
        seed: Seed.

    Returns:
        The parameters.
    """
    values: dict[str, Any] = {}
    for kind in kinds:
        settings: MemberSettings = getattr(model, kind)
        if not isinstance(settings, NeuralSettings | PopularitySettings):
            chosen = fit_member(kind, settings, fold.earlier, fold.choice or None, seed, NoCheckpoints()).chosen
            values |= {f"{kind}.{name}": value for name, value in chosen.items()}
    return with_values(model, values)


class _Known:
    """A scorer of users by their codes, as :func:`~augury.metrics.top_k.judge_scorer` asks."""

    def __init__(self, scorer: Any, histories: Histories) -> None:
        self._scorer, self._histories = scorer, histories

    def score_users(self, users: npt.NDArray[np.int32]) -> npt.NDArray[np.float32]:
        found: npt.NDArray[np.float32] = self._scorer.scores(users, self._histories.take(users))
        return found


def _fit(settings: Mapping[str, MemberSettings], fold: RecommenderFold, steps: int, seed: int) -> Any:
    """Fit one kind, or several and their weights."""
    if len(settings) == 1 and not any(isinstance(own, NeuralSettings) for own in settings.values()):
        ((kind, own),) = settings.items()
        return fit_member(kind, own, fold.histories, None, seed, NoCheckpoints()).scorer
    members: dict[str, Member] = {}
    for kind, own in settings.items():
        warm = _warm_start(own, fold.earlier, fold.choice, seed)
        members[kind] = fit_member(kind, own, fold.earlier, fold.choice or None, seed, NoCheckpoints(), warm)
    if len(members) == 1:
        # Stopped by each user's last item, which a second training of the same length would learn from as well
        return next(iter(members.values())).scorer
    weights = [1 / len(members)] * len(members)
    if fold.choice:
        scores = [member.scores for member in members.values() if member.scores is not None]
        weights = blend_weights(fold.choice, scores, steps)[0]
    kept = {kind: weight for kind, weight in zip(members, weights, strict=True) if weight > 0}
    scorers = []
    for kind in kept:
        warm = _warm_start(settings[kind], fold.histories, None, seed)
        again = refit_member(kind, settings[kind], members[kind].chosen, fold.histories, seed, NoCheckpoints(), warm)
        scorers.append(again.scorer)
    return Mixture(scorers, list(kept.values()))


def _warm_start(
    settings: MemberSettings, histories: Histories, choice: Validation | None, seed: int
) -> FactorScorer | None:
    if not isinstance(settings, NeuralSettings) or settings.warm_start == "none":
        return None
    factors = IalsSettings(factors=settings.embedding)
    scorer = fit_member("ials", factors, histories, choice or None, seed, NoCheckpoints()).scorer
    assert isinstance(scorer, FactorScorer)
    return scorer


def _kinds(model: RecommenderModel, tuning: RecommenderTuning) -> tuple[str, ...]:
    fitted = tuple(model.chosen())
    if tuning.kind is None:
        return fitted
    if tuning.kind not in fitted:
        raise UserError(
            f"Parameter '{PREDICTOR}.tuning.kind' is '{tuning.kind}', which '{PREDICTOR}.model' does not fit: its kind "
            f"is '{model.kind}'" + (f" of {', '.join(fitted)}." if model.kind == "blend" else ".")
        )
    return (tuning.kind,)


def _check_rows(table: pd.DataFrame) -> None:
    others = ~table["split"].isin([TRAIN, VALIDATION])
    if others.any():
        raise UserError(
            f"{PREDICTOR}: {int(others.sum())} of {len(table)} rows given to tuning are not of the splits '{TRAIN}' "
            f"and '{VALIDATION}', for example one of '{table.loc[others, 'split'].iloc[0]}'. Tuning must not see the "
            "test rows."
        )
    if table.empty:
        raise UserError(f"{PREDICTOR}: there are no training rows to tune on. Check '{PREDICTOR}.split'.")
