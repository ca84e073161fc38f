"""A search that drops a trial as soon as the folds seen so far speak against it, and gives the same result always.

Trials are proposed by Optuna's TPE. A trial is judged fold by fold, the cheapest first, and stopped when the mean of
its paired gaps to the best trial known when it was proposed falls below a limit that narrows with every fold. What is
still unknown of it is estimated from these gaps, so that the sampler learns from every trial.

The result does not depend on how many workers there are or on which of them is faster: trial ``n`` is proposed from the
results of the trials up to ``n - batch`` and nothing else, with a random state of its own. A run that was killed is
therefore simply repeated, with the scores that the study's journal has already.
"""

import hashlib
import json
import logging
import math
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

import numpy as np
from pydantic import Field
from tqdm import tqdm

from augury.errors import UserError
from augury.parameters import Parameters
from augury.pipelines.tuning.search_space import Scalar, SearchSpace, Space

logger = logging.getLogger(__name__)

Direction = Literal["minimize", "maximize"]

IDENTITY = "augury"
"""Attribute of a stored study: what it was about."""
_CPU = "cpu_seconds"


class SearchSettings(Parameters):
    """How a search proceeds."""

    trials: int = Field(default=100, ge=1, description="the first one has the parameters as they are")
    batch: int = Field(default=4, ge=1, description="trials under way at once: each learns from those before them only")
    workers: int = Field(default=2, ge=1, description="threads, one fit each; the result does not depend on it")
    delta: float | None = Field(
        default=0.001,
        ge=0,
        description="a trial is stopped when its mean gap to the best one after k folds is worse than delta / sqrt(k), "
        "in units of the metric; null: never",
    )
    startup_trials: int = Field(default=10, ge=1, description="trials drawn at random before the sampler learns")
    patience: int | None = Field(
        default=None, ge=1, description="trials without improvement that end the search; null: all trials are made"
    )
    tolerance: float = Field(default=0.0, ge=0, description="smallest gain that counts as improvement for `patience`")
    timeout_s: float | None = Field(default=None, gt=0, description="no trial begins after this many seconds")
    space: Space = Field(description="dotted path of a parameter of the model -> its values")
    fixed: dict[str, Scalar] = Field(
        default_factory=dict, description="dotted path of a parameter of the model -> its value during the search only"
    )


class Problem(Protocol):
    """What is searched: a loss or a gain per fold, as a function of parameters."""

    @property
    def predictor(self) -> str:
        """Name of the predictor."""

    @property
    def metric(self) -> str:
        """Name of the metric."""

    @property
    def direction(self) -> Direction:
        """Whether less or more of it is better."""

    @property
    def rows(self) -> int:
        """How many rows there are."""

    @property
    def fold_costs(self) -> Sequence[float]:
        """How much work each fold is, in any unit."""

    @property
    def fingerprint(self) -> Mapping[str, str]:
        """What the scores depend on beside parameters: data, folds, model, libraries; short name -> digest or text."""

    def evaluate(self, parameters: Mapping[str, Any], fold: int) -> float:
        """Fit on a fold's training rows and score its validation rows; called from several threads at once."""


class Studies(Protocol):
    """Where studies are kept."""

    def open(self) -> AbstractContextManager[Any]:
        """An Optuna storage that is this process's own until it is closed."""


class TransientStudies:
    """Studies that end with the process."""

    @contextmanager
    def open(self) -> Iterator[Any]:
        """See :class:`Studies`."""
        from optuna.storages import InMemoryStorage

        yield InMemoryStorage()


@dataclass
class Trial:
    """A point of the space and what is known of it."""

    number: int
    parameters: dict[str, Any]
    rival: "Trial | None" = None
    """The best trial known when this one was proposed."""
    scores: dict[int, float] = field(default_factory=dict)
    """Fold -> score."""
    cpu_seconds: dict[int, float] = field(default_factory=dict)
    state: Literal["open", "complete", "raced"] = "open"
    value: float = math.nan
    """Mean over the folds; of a trial that was stopped, what its gaps let expect."""
    stored: bool = False
    """Whether all of its scores were in the journal."""
    running: set[int] = field(default_factory=set)


@dataclass(frozen=True)
class SearchResult:
    """A finished search."""

    trials: list[Trial]
    best: Trial
    study: Any
    """Optuna study in memory with the values that the sampler saw."""
    study_name: str
    stopped_by: Literal["trials", "patience", "timeout"]
    reused_fits: int
    wall_seconds: float

    @property
    def default(self) -> Trial:
        """The trial with the parameters as they were."""
        return self.trials[0]


def search(
    problem: Problem, space: SearchSpace[Any], settings: SearchSettings, seed: int, studies: Studies
) -> SearchResult:
    """Look for the best parameters.

    Args:
        problem: What is searched.
        space: Where.
        settings: How.
        seed: Seed of the sampler.
        studies: Where trials are kept, so that a search that was killed can go on.

    Returns:
        All trials in order, and the best of those that were judged on all folds.

    Raises:
        UserError: A score is not a finite number.
    """
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    identity = _identity(problem, space, settings, seed)
    with studies.open() as storage:
        journal = _open_journal(storage, problem, identity)
        while True:
            try:
                return _Search(problem, space, settings, seed, journal).run()
            except _OtherTrials as deviation:
                logger.warning(
                    "%s: trial %s of the stored study %s has other parameters than this machine proposes; a new study "
                    "is begun.",
                    problem.predictor,
                    deviation,
                    journal.name,
                )
                journal = _Journal(storage, _next_name(journal.name), problem.direction, identity)


class _OtherTrials(Exception):
    """A stored study has trials that this search would not make."""


class _Journal:
    """A study in a storage: what was asked, and the scores as they come in."""

    def __init__(self, storage: Any, name: str, direction: Direction, identity: Mapping[str, Any]) -> None:
        import optuna

        self.name = name
        self._storage = storage
        self._study = optuna.create_study(storage=storage, study_name=name, direction=direction, load_if_exists=True)
        self._id = storage.get_study_id_from_name(name)
        if IDENTITY not in self._study.user_attrs:
            self._study.set_user_attr(IDENTITY, dict(identity))
        self._stored = {trial.number: trial for trial in self._study.trials}

    def __len__(self) -> int:
        return len(self._stored)

    def begin(self, trial: Trial, shown: Mapping[str, Any], distributions: Mapping[str, Any]) -> None:
        """Find a trial in the study with the scores that it has, or put it there."""
        import optuna

        found = self._stored.get(trial.number)
        if found is None:
            state = optuna.trial.TrialState.RUNNING
            self._study.add_trial(
                optuna.create_trial(state=state, params=dict(shown), distributions=dict(distributions))
            )
            return
        if found.params != dict(shown):
            raise _OtherTrials(trial.number)
        trial.scores = dict(found.intermediate_values)
        trial.cpu_seconds = {int(fold): seconds for fold, seconds in found.user_attrs.get(_CPU, {}).items()}
        trial.stored = found.state.is_finished()

    def score(self, trial: Trial, fold: int) -> None:
        """Keep a score."""
        self._storage.set_trial_intermediate_value(self._trial_id(trial), fold, trial.scores[fold])

    def finish(self, trial: Trial) -> None:
        """Keep what became of a trial."""
        import optuna

        if trial.stored:
            return
        seconds = {str(fold): round(value, 4) for fold, value in trial.cpu_seconds.items()}
        self._storage.set_trial_user_attr(self._trial_id(trial), _CPU, seconds)
        if trial.state == "complete":
            self._study.tell(trial.number, trial.value)
        else:
            self._study.tell(trial.number, state=optuna.trial.TrialState.PRUNED)

    def _trial_id(self, trial: Trial) -> int:
        return int(self._storage.get_trial_id_from_study_id_trial_number(self._id, trial.number))


def _identity(problem: Problem, space: SearchSpace[Any], settings: SearchSettings, seed: int) -> dict[str, Any]:
    """All that the course of a search depends on; how long it may go on is not among it."""
    import optuna

    return {
        **problem.fingerprint,
        "metric": problem.metric,
        "direction": problem.direction,
        "folds": len(problem.fold_costs),
        "space": space.describe(),
        "defaults": space.defaults,
        "seed": seed,
        "race": settings.model_dump(mode="json", include={"batch", "delta", "startup_trials"}),
        "optuna": optuna.__version__,
    }


def _open_journal(storage: Any, problem: Problem, identity: Mapping[str, Any]) -> _Journal:
    """The study that fits this search, or a new one; says what it found."""
    digest = hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:12]
    name = f"{problem.predictor}-{digest}"
    others = [study for study in storage.get_all_studies() if study.study_name.startswith(f"{problem.predictor}-")]
    names = {study.study_name for study in others}
    while _next_name(name) in names:  # begun anew because the one before could not be continued
        name = _next_name(name)
    journal = _Journal(storage, name, problem.direction, identity)
    if len(journal):
        logger.info("%s: study %s goes on; it has %d trials.", problem.predictor, name, len(journal))
    elif others:
        last = others[-1]
        before = last.user_attrs.get(IDENTITY, {})
        known = json.loads(json.dumps(identity))
        changed = [key for key in known if before.get(key) != known[key]]
        logger.info(
            "%s: study %s is new; the last one, %s, differs in: %s.",
            problem.predictor,
            name,
            last.study_name,
            ", ".join(changed) or "nothing",
        )
    else:
        logger.info("%s: study %s is new.", problem.predictor, name)
    return journal


def _next_name(name: str) -> str:
    start, _, number = name.partition("+")
    return f"{start}+{int(number or 1) + 1}"


class _Search:
    """One search under way."""

    def __init__(
        self, problem: Problem, space: SearchSpace[Any], settings: SearchSettings, seed: int, journal: _Journal
    ) -> None:
        import optuna

        self._problem = problem
        self._space = space
        self._settings = settings
        self._seed = seed
        self._journal = journal
        self._sign = 1.0 if problem.direction == "maximize" else -1.0
        costs = problem.fold_costs
        self._order = sorted(range(len(costs)), key=lambda fold: (costs[fold], fold))
        self._distributions = space.distributions()
        self._study = optuna.create_study(direction=problem.direction)
        self._trials: list[Trial] = []
        self._told = 0
        self._best: Trial | None = None
        self._mark: float | None = None
        """The value that the next improvement has to beat, and the trial that set it."""
        self._marked_at = 0
        self._stopped_by: Literal["trials", "patience", "timeout"] | None = None
        self._begun = time.monotonic()
        self._reused = 0

    def run(self) -> SearchResult:
        """Make all trials."""
        settings, futures = self._settings, dict[Future[tuple[float, float]], tuple[Trial, int]]()
        name = self._problem.predictor
        with (
            ThreadPoolExecutor(settings.workers) as pool,
            tqdm(total=settings.trials, desc=f"{name} trials", unit="trial", mininterval=2) as bar,
        ):
            try:
                while True:
                    self._ask()
                    self._tell(bar)
                    for trial, fold in self._ready(settings.workers - len(futures)):
                        trial.running.add(fold)
                        futures[pool.submit(self._fit, trial, fold)] = trial, fold
                    if not futures:
                        break
                    for done in wait(futures, return_when=FIRST_COMPLETED).done:
                        trial, fold = futures.pop(done)
                        self._record(trial, fold, *done.result())
            except BaseException:
                pool.shutdown(wait=True, cancel_futures=True)
                raise
        assert self._best is not None
        return SearchResult(
            trials=self._trials,
            best=self._best,
            study=self._study,
            study_name=self._journal.name,
            stopped_by=self._stopped_by or "trials",
            reused_fits=self._reused,
            wall_seconds=time.monotonic() - self._begun,
        )

    def _ask(self) -> None:
        """Propose as many trials as may be under way."""
        settings = self._settings
        while len(self._trials) < settings.trials and self._stopped_by is None:
            number = len(self._trials)
            # The first trial goes alone: all others are measured by it
            if number and self._told < max(1, number - settings.batch + 1):
                return
            if settings.timeout_s is not None and number and time.monotonic() - self._begun > settings.timeout_s:
                self._stopped_by = "timeout"
                return
            trial = Trial(number, self._propose(number), rival=self._best)
            shown = self._space.nearest(trial.parameters) if number == 0 else trial.parameters
            self._journal.begin(trial, shown, self._distributions)
            self._reused += len(trial.scores)
            self._trials.append(trial)
            self._settle(trial)

    def _propose(self, number: int) -> dict[str, Any]:
        if number == 0:
            return dict(self._space.defaults)
        import optuna

        seed = int(np.random.SeedSequence((self._seed, number)).generate_state(1)[0])
        self._study.sampler = optuna.samplers.TPESampler(
            seed=seed, n_startup_trials=self._settings.startup_trials, multivariate=True
        )
        return dict(self._study.ask(self._distributions).params)

    def _ready(self, free: int) -> list[tuple[Trial, int]]:
        """Fits that can begin now: of the oldest trials first, because the others wait for these."""
        fits: list[tuple[Trial, int]] = []
        for trial in self._trials[self._told :]:
            if len(fits) >= free:
                break
            if trial.state != "open":
                continue
            missing = [fold for fold in self._order if fold not in trial.scores]
            if not self._raced(trial):
                fits += [(trial, fold) for fold in missing if fold not in trial.running]
            elif not trial.running:
                fits.append((trial, missing[0]))
        return fits[:free]

    def _raced(self, trial: Trial) -> bool:
        """Whether a trial can be stopped before its last fold."""
        return trial.rival is not None and self._settings.delta is not None

    def _fit(self, trial: Trial, fold: int) -> tuple[float, float]:
        begun = time.thread_time()
        try:
            score = float(self._problem.evaluate(trial.parameters, fold))
        except Exception as error:
            error.add_note(f"In trial {trial.number} of tuning {self._problem.predictor}: {trial.parameters}")
            raise
        return score, time.thread_time() - begun

    def _record(self, trial: Trial, fold: int, score: float, seconds: float) -> None:
        if not math.isfinite(score):
            raise UserError(
                f"{self._problem.predictor}: {self._problem.metric} of trial {trial.number} is {score} on fold "
                f"{fold + 1}, with {trial.parameters}. Narrow '{self._problem.predictor}.tuning.space'."
            )
        trial.running.discard(fold)
        trial.scores[fold], trial.cpu_seconds[fold] = score, seconds
        self._journal.score(trial, fold)
        self._settle(trial)

    def _settle(self, trial: Trial) -> None:
        """Decide whether a trial is finished, from its scores in the order of the folds alone."""
        rival, gaps = trial.rival, list[float]()
        for position, fold in enumerate(self._order, start=1):
            if fold not in trial.scores:
                return
            if rival is None:
                continue
            gaps.append(self._sign * (trial.scores[fold] - rival.scores[fold]))
            mean = math.fsum(gaps) / position
            limit = self._settings.delta
            if limit is not None and position < len(self._order) and mean < -limit / math.sqrt(position):
                trial.state, trial.value = "raced", rival.value + self._sign * mean
                self._journal.finish(trial)
                return
        trial.state = "complete"
        trial.value = math.fsum(trial.scores.values()) / len(self._order)
        self._journal.finish(trial)

    def _tell(self, bar: Any) -> None:
        """Tell the sampler what became of the trials, in their order."""
        while self._told < len(self._trials) and self._trials[self._told].state != "open":
            trial = self._trials[self._told]
            self._told += 1
            if trial.number == 0:
                self._tell_default(trial)
            else:
                self._study.tell(trial.number, trial.value)
            if trial.state == "complete" and (self._best is None or self._gain(trial.value, self._best.value) > 0):
                self._best = trial
            self._be_patient(trial)
            bar.update()
            assert self._best is not None
            raced = sum(other.state == "raced" for other in self._trials[: self._told])
            bar.set_postfix({f"best {self._problem.metric}": f"{self._best.value:.5g}", "raced": raced}, refresh=False)
            self._ask()

    def _tell_default(self, trial: Trial) -> None:
        import optuna

        parameters = self._space.nearest(trial.parameters)
        self._study.add_trial(
            optuna.create_trial(params=parameters, distributions=self._distributions, value=trial.value)
        )

    def _be_patient(self, trial: Trial) -> None:
        assert self._best is not None
        if self._mark is None or self._gain(self._best.value, self._mark) > self._settings.tolerance:
            self._mark, self._marked_at = self._best.value, trial.number
        patience = self._settings.patience
        if patience is not None and trial.number - self._marked_at >= patience and self._stopped_by is None:
            self._stopped_by = "patience"

    def _gain(self, value: float, other: float) -> float:
        return self._sign * (value - other)
