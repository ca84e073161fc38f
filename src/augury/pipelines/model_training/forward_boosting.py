"""LightGBM over expanding-window folds: rows are predicted by models that learned from earlier rows only.

Every fit has one thread, and independent fits run side by side in threads of Python, which LightGBM leaves free.
"""

import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from augury.pipelines.model_training.lightgbm_settings import LightGBMSettings, Objective
from augury.predictors.lightgbm_trees import sums_of_leaves

Fold = tuple[np.ndarray, np.ndarray]
REFIT = -1
FEWEST_IN_BAG = 2
LARGEST_POWER = 0.5
"""Of the number of rows that the number of trees grows with."""

_binning = threading.Lock()
"""LightGBM copies what it bins, in double precision: two matrices at once would be the peak of a whole training."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class BoostingTask:
    """What is learned from which rows, in the order of their time."""

    name: str
    matrix: np.ndarray
    """float32 of shape (rows, features)."""
    target: np.ndarray
    times: np.ndarray
    """Ascending."""
    settings: LightGBMSettings
    objective: Objective
    seed: int
    folds: Sequence[Fold]
    """Positions to train on and to judge, from the oldest fold to the newest."""


@dataclass(frozen=True)
class ForwardPredictions:
    """Predictions by models that had seen only rows that are earlier than the row's fold."""

    sums: np.ndarray
    """Sums of leaves, float64 of shape (rows,); NaN where no fold judged the row."""
    fold: np.ndarray
    """Number of the fold, from 1; 0 where there is none."""
    trained_until: np.ndarray
    """Time of the newest row that the row's model learned from; NaT where no fold judged the row."""
    rounds: tuple[int, ...]
    """Trees by fold; 0 for a fold that could not be trained."""
    fitted: tuple[int, ...]
    """Rows that these trees were fitted to."""


def fit_side_by_side(
    forward: Mapping[str, BoostingTask],
    refits: Mapping[str, tuple[BoostingTask, int]],
    stopping_share: float,
    workers: int,
) -> tuple[dict[str, ForwardPredictions], dict[str, Any]]:
    """Fit to the folds of some tasks, and to all rows of others, in threads.

    Args:
        forward: Tasks whose folds are predicted.
        refits: Tasks that are fitted to all their rows, with the number of trees.
        stopping_share: See :func:`fit_fold`.
        workers: Threads. The result does not depend on it.

    Returns:
        Predictions of the first, and boosters of the second, by name.
    """
    import lightgbm  # noqa: F401, before two threads import it at once

    jobs: dict[tuple[str, int], Callable[[], Any]] = {
        (name, REFIT): partial(fit_booster, task, np.arange(len(task.target)), np.arange(0), rounds)
        for name, (task, rounds) in refits.items()
    }
    sizes = {(name, REFIT): len(task.target) for name, (task, _) in refits.items()}
    for name, task in forward.items():
        for number, fold in enumerate(task.folds):
            jobs[name, number] = partial(fit_fold, task, fold, stopping_share)
            sizes[name, number] = len(fold[0])
    # The longest first, so that no thread is left alone with it at the end
    order = sorted(jobs, key=lambda job: -sizes[job])
    with ThreadPoolExecutor(workers) as pool:
        running = {job: pool.submit(jobs[job]) for job in order}
        done = {job: future.result() for job, future in running.items()}
    predictions = {
        name: _gathered(task, [done[name, number] for number in range(len(task.folds))])
        for name, task in forward.items()
    }
    return predictions, {name: done[name, REFIT] for name in refits}


def fit_fold(task: BoostingTask, fold: Fold, stopping_share: float) -> tuple[np.ndarray, int, int] | None:
    """Fit to a fold's training rows and predict the rows that it judges.

    The newest part of the training rows stops the fit; the judged rows have no say in it.

    Args:
        task: What is learned.
        fold: Positions to train on and to judge.
        stopping_share: Share of the training rows, the newest, that stop the fit.

    Returns:
        Sums of leaves of the judged rows, the number of trees, and that of the rows they were fitted to. None if there
        is nothing to learn: a single class.
    """
    train, judged = fold
    first_of_stop = task.times[train[min(int(len(train) * (1 - stopping_share)), len(train) - 1)]]
    stops = task.times[train] >= first_of_stop
    fitted, stopping = train[~stops], train[stops]
    classes = task.objective == "binary"
    usable = len(fitted) > 0 and not (classes and (_single(task.target[fitted]) or _single(task.target[stopping])))
    if not task.settings.early_stopping_rounds or not usable:
        fitted, stopping = train, train[:0]
    if classes and _single(task.target[fitted]):
        logger.warning("%s: a fold of %d training rows has a single class and is left out.", task.name, len(train))
        return None
    booster = fit_booster(task, fitted, stopping, task.settings.rounds)
    sums = sums_of_leaves(booster, _taken(task.matrix, judged))
    logger.info(
        "%s: %d rows fitted, %d stopped at %d trees, %d judged.",
        task.name, len(fitted), len(stopping), booster.num_trees(), len(judged),
    )  # fmt: skip
    return sums, int(booster.num_trees()), len(fitted)


def fit_booster(task: BoostingTask, fitted: np.ndarray, stopping: np.ndarray, rounds: int) -> Any:
    """Fit a booster.

    Args:
        task: What is learned.
        fitted: Positions of the rows to fit to.
        stopping: Positions of the rows that stop the fit; none: all rounds are made.
        rounds: Trees at most.

    Returns:
        A ``Booster`` with the trees up to the best round.
    """
    import lightgbm

    params = task.settings.booster_params(task.objective, task.seed)
    if len(fitted) * task.settings.bagging_fraction < FEWEST_IN_BAG:
        params["bagging_freq"] = 0  # LightGBM fails on an empty bag
    data = lightgbm.Dataset(_taken(task.matrix, fitted), task.target[fitted], params=params)
    watched = None
    if len(stopping):
        watched = data.create_valid(_taken(task.matrix, stopping), task.target[stopping], params=params)
    with _binning:
        (data if watched is None else watched).construct()
    if watched is None:
        return lightgbm.train(params, data, rounds)
    stop = lightgbm.early_stopping(task.settings.early_stopping_rounds, verbose=False)
    booster = lightgbm.train(params, data, rounds, valid_sets=[watched], callbacks=[stop])
    # Without the trees after the best round, which every reader would have to be told about
    return lightgbm.Booster(model_str=booster.model_to_string(num_iteration=booster.best_iteration))


def rounds_for_all(predictions: ForwardPredictions, settings: LightGBMSettings, rows: int) -> int:
    """Trees for a fit to all rows: what the folds needed on average, for as many rows.

    More rows bear more trees before they overfit, about as a power of their number. The folds had fewer rows than there
    are, so their plain average would stop too early and leave the probabilities too timid. The power is fitted to the
    folds, within bounds.

    Args:
        predictions: With the trees and rows of each fold.
        settings: With the largest number of trees, which is the answer where nothing stops early.
        rows: Rows to fit to.

    Returns:
        At least 1.
    """
    found = np.array(
        [pair for pair in zip(predictions.rounds, predictions.fitted, strict=True) if all(pair)], dtype=float
    )
    if not len(found) or not settings.early_stopping_rounds:
        return settings.rounds
    trees, sizes = np.log(found.T)
    spread = sizes - sizes.mean()
    power = float(np.clip(spread @ trees / (spread @ spread), 0.0, LARGEST_POWER)) if spread.any() else 0.0
    expected = np.exp(trees.mean() + power * (np.log(rows) - sizes.mean()))
    return int(np.clip(np.rint(expected), 1, settings.rounds))


def _taken(matrix: np.ndarray, positions: np.ndarray) -> np.ndarray:
    """Some rows; without a copy where they follow each other, as those of windows of time do."""
    if len(positions) and (np.diff(positions) == 1).all():
        return matrix[positions[0] : positions[-1] + 1]
    return matrix[positions]


def _single(target: np.ndarray) -> bool:
    return len(target) == 0 or bool((target == target[0]).all())


def _gathered(task: BoostingTask, results: Sequence[tuple[np.ndarray, int, int] | None]) -> ForwardPredictions:
    """Put the predictions of all folds in their places."""
    rows = len(task.target)
    sums, number = np.full(rows, np.nan), np.zeros(rows, dtype=np.int64)
    trained_until = np.full(rows, np.datetime64("NaT", "us"))
    rounds, fitted = [0] * len(task.folds), [0] * len(task.folds)
    for index, ((train, judged), found) in enumerate(zip(task.folds, results, strict=True)):
        if found is not None:
            sums[judged], rounds[index], fitted[index] = found
            number[judged], trained_until[judged] = index + 1, task.times[train].max()
    return ForwardPredictions(sums, number, trained_until, tuple(rounds), tuple(fitted))
