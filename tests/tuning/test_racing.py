"""The search itself: what it finds, what it stops, and that its course depends on nothing but its inputs."""

import json
import math
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import optuna
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from augury.errors import UserError
from augury.pipelines.tuning.racing import IDENTITY

BOWL = Path(__file__).with_name("bowl.py")
SCORE = b'"intermediate_value":'
"""In a journal, once per score."""


class Table:
    """Scores by trial and fold, written down beforehand: which trial asks is known from the parameter."""

    predictor, metric, direction, fingerprint = "table", "loss", "minimize", {"data": "table"}
    rows = 1

    def __init__(self, scores):
        self.scores = scores
        self.seen = {}

    @property
    def fold_costs(self):
        return [1.0] * len(self.scores[0])

    def evaluate(self, parameters, fold):
        number = self.seen.setdefault(parameters["bowl.x"], len(self.seen))
        return self.scores[number][fold]


def run_table(bowl, scores, **changes):
    space = {"bowl.x": ["float", -5, 5]}
    return bowl.run_search(Table(scores), space=space, trials=len(scores), batch=1, workers=1, **changes)


# --- what it finds ---


@pytest.mark.parametrize("direction", ["minimize", "maximize"])
def test_the_best_point_is_found_and_is_the_best_of_all_that_were_judged_in_full(bowl, direction):
    result = bowl.run_search(bowl.BowlProblem(direction), trials=60)
    sign = 1 if direction == "minimize" else -1
    complete = [trial for trial in result.trials if trial.state == "complete"]
    assert result.best.value == sign * min(sign * trial.value for trial in complete)
    assert sign * result.best.value < 0.2 < sign * result.default.value
    assert result.best.parameters["bowl.kind"] == "round"


def test_the_first_trial_has_the_parameters_as_they_are(bowl):
    result = bowl.run_search(model=bowl.BowlModel(bowl=bowl.Bowl(x=-7.5, y=3)), trials=3)
    assert result.default.parameters == {"bowl.x": -7.5, "bowl.y": 3, "bowl.kind": "round"}  # outside of the range
    assert result.default.state == "complete"
    assert len(result.default.scores) == 5


def test_nothing_better_than_the_defaults_leaves_the_defaults(bowl):
    result = bowl.run_search(
        model=bowl.BowlModel(bowl=bowl.Bowl(x=1.03, y=10)), trials=2, space={"bowl.x": ["float", 4, 5]}
    )
    assert result.best is result.default


# --- the race ---


def test_a_trial_is_stopped_exactly_when_its_mean_gap_is_below_the_limit(bowl):
    result = bowl.run_search(trials=40, delta=0.05)
    order = [4, 3, 2, 1, 0]  # from cheap to dear
    raced = 0
    for trial in result.trials[1:]:
        gaps = [trial.rival.scores[fold] - trial.scores[fold] for fold in order if fold in trial.scores]
        assert set(trial.scores) == set(order[: len(gaps)])
        means = [sum(gaps[:k]) / k for k in range(1, len(gaps) + 1)]
        stops = [k < 5 and mean < -0.05 / math.sqrt(k) for k, mean in enumerate(means, start=1)]
        assert stops == [False] * (len(gaps) - 1) + [trial.state == "raced"]
        if trial.state == "raced":
            raced += 1
            assert trial.value == pytest.approx(trial.rival.value - means[-1])
        else:
            assert len(gaps) == 5
            assert trial.value == pytest.approx(sum(trial.scores.values()) / 5)
    assert raced > 5


def test_the_rival_is_the_best_of_the_trials_up_to_a_batch_before(bowl):
    result = bowl.run_search(trials=30, batch=4, workers=3)
    for trial in result.trials[1:]:
        known = [other for other in result.trials[: max(1, trial.number - 3)] if other.state == "complete"]
        assert trial.rival is min(known, key=lambda other: (other.value, other.number))


@settings(max_examples=40)
@given(st.data())
def test_a_trial_that_is_nowhere_worse_is_never_stopped_whatever_the_limit(bowl, data):
    folds = data.draw(st.integers(1, 6))
    score = st.floats(-3, 3).map(lambda value: round(value, 3))
    default = data.draw(st.lists(score, min_size=folds, max_size=folds))
    better = [value - data.draw(st.sampled_from([0.0, 0.001, 0.5])) for value in default]
    result = run_table(bowl, [default, better], delta=data.draw(st.sampled_from([0.0, 0.001, 1.0])))
    assert result.trials[1].state == "complete"
    assert result.best.number == (0 if better == default else 1)


@settings(max_examples=40)
@given(st.lists(st.lists(st.integers(0, 9), min_size=3, max_size=3), min_size=1, max_size=12), st.sampled_from([0, 2]))
def test_the_best_value_never_gets_worse_and_a_stopped_trial_never_wins(bowl, scores, delta):
    result = run_table(bowl, scores, delta=delta)
    best = math.inf
    for trial in result.trials:
        if trial.rival is not None:
            assert trial.rival.value == best
        if trial.state == "complete":
            best = min(best, trial.value)
    assert result.best.value == best
    assert result.best.state == "complete"


def test_without_a_limit_every_trial_is_judged_in_full(bowl):
    problem = bowl.BowlProblem()
    result = bowl.run_search(problem, trials=12, delta=None)
    assert len(problem.calls) == 60
    assert all(trial.state == "complete" for trial in result.trials)


def test_fits_that_no_result_needs_are_not_made(bowl):
    problem = bowl.BowlProblem()
    result = bowl.run_search(problem, trials=40, workers=3)
    assert len(problem.calls) == sum(len(trial.scores) for trial in result.trials) < 200


# --- the same course, always ---


@pytest.mark.parametrize(("workers", "batch"), [(1, 4), (2, 4), (5, 4), (3, 1), (1, 1)])
def test_the_course_does_not_depend_on_workers_or_their_speed(bowl, workers, batch):
    class Uneven(bowl.BowlProblem):
        def evaluate(self, parameters, fold):
            time.sleep(random.random() * 0.004)
            return super().evaluate(parameters, fold)

    expected = bowl.course(bowl.run_search(workers=1, batch=batch, trials=25))
    assert bowl.course(bowl.run_search(Uneven(), workers=workers, batch=batch, trials=25)) == expected


def test_another_seed_is_another_course(bowl):
    assert bowl.course(bowl.run_search(seed=1)) != bowl.course(bowl.run_search(seed=2))


# --- when it ends ---


def test_patience_ends_a_search_without_progress(bowl):
    whole = bowl.run_search(trials=200, patience=12, tolerance=0.01)
    assert whole.stopped_by == "patience"
    assert len(whole.trials) < 200
    mark, marked_at, stop = whole.default.value, 0, None
    best = mark
    for trial in whole.trials[1:]:
        best = min(best, trial.value) if trial.state == "complete" else best
        if mark - best > 0.01:
            mark, marked_at = best, trial.number
        if trial.number - marked_at >= 12:
            stop = trial.number
            break
    # Besides the last trial that counted, those are there that were under way
    assert len(whole.trials) == stop + 4
    again = bowl.run_search(trials=200, patience=12, tolerance=0.01, workers=1)
    assert bowl.course(again) == bowl.course(whole)


def test_a_time_limit_ends_a_search_with_what_it_has(bowl):
    result = bowl.run_search(bowl.BowlProblem(seconds=0.005), trials=10_000, timeout_s=0.2)
    assert result.stopped_by == "timeout"
    assert 1 <= len(result.trials) < 10_000
    assert result.best.state == "complete"


# --- a journal ---


def test_a_search_that_broke_off_goes_on_and_ends_the_same(bowl, journal):
    expected = bowl.course(bowl.run_search())

    class Breaking(bowl.BowlProblem):
        def evaluate(self, parameters, fold):
            if len(self.calls) == 31:
                raise KeyboardInterrupt
            return super().evaluate(parameters, fold)

    with pytest.raises(KeyboardInterrupt):
        bowl.run_search(Breaking(), journal())
    problem = bowl.BowlProblem()
    result = bowl.run_search(problem, journal(), workers=1)
    assert bowl.course(result) == expected
    assert result.reused_fits >= 29  # at most the other worker's fit was lost
    assert len(problem.calls) + result.reused_fits == sum(len(trial.scores) for trial in result.trials)


def test_more_trials_continue_a_finished_search(bowl, journal):
    bowl.run_search(studies=journal(), trials=12)
    problem = bowl.BowlProblem()
    longer = bowl.run_search(problem, journal(), trials=20)
    assert bowl.course(longer) == bowl.course(bowl.run_search(trials=20))
    assert longer.reused_fits == sum(len(trial.scores) for trial in longer.trials[:12])


@pytest.mark.parametrize(
    ("changes", "difference"),
    [
        ({"problem": {"data": "other rows"}}, "data"),
        ({"problem": {"folds": 4}}, "folds"),
        ({"problem": {"metric": "height"}}, "metric"),
        ({"seed": 4}, "seed"),
        ({"delta": 0.1}, "race"),
        ({"space": {"bowl.x": ["float", -4, 5]}}, "space, defaults"),
        ({"model": {"bowl": {"x": 3.0}}}, "defaults"),
    ],
)
def test_a_study_that_does_not_fit_is_left_alone(bowl, journal, caplog, changes, difference):
    bowl.run_search(studies=journal(), trials=5)
    made = {
        "problem": bowl.BowlProblem(**changes.get("problem", {})),
        "model": bowl.BowlModel.model_validate(changes.get("model", {})),
    }
    other = {name: value for name, value in changes.items() if name not in made}
    with caplog.at_level("INFO", "augury"):
        result = bowl.run_search(studies=journal(), trials=5, **made, **other)
    assert result.reused_fits == 0
    assert "is new; the last one, bowls-" in caplog.text
    assert f"differs in: {difference}." in caplog.text


def test_a_stored_trial_that_this_search_would_not_propose_begins_a_new_study(bowl, journal, caplog):
    first = bowl.run_search(studies=journal(), trials=8)
    with journal().open() as storage:
        study = optuna.load_study(study_name=first.study_name, storage=storage)
        identity, trials = study.user_attrs[IDENTITY], study.trials
        optuna.delete_study(study_name=first.study_name, storage=storage)
        forged = optuna.create_study(study_name=first.study_name, storage=storage, direction="minimize")
        forged.set_user_attr(IDENTITY, identity)
        for trial in trials:
            parameters = trial.params | ({"bowl.x": 0.123} if trial.number == 5 else {})
            forged.add_trial(
                optuna.create_trial(
                    params=parameters, distributions=trial.distributions, intermediate_values=trial.intermediate_values,
                    state=trial.state, value=0.0,
                )
            )  # fmt: skip
    result = bowl.run_search(studies=journal(), trials=8)
    assert "trial 5 of the stored study" in caplog.text
    assert result.study_name == f"{first.study_name}+2"
    assert bowl.course(result) == bowl.course(first)
    # And from then on it is the one that goes on
    again = bowl.run_search(studies=journal(), trials=8)
    assert again.study_name == f"{first.study_name}+2"
    assert again.reused_fits == sum(len(trial.scores) for trial in again.trials)


def test_other_tools_can_read_the_journal(bowl, journal):
    result = bowl.run_search(studies=journal())
    with journal().open() as storage:
        study = optuna.load_study(study_name=result.study_name, storage=storage)
        assert study.best_trial.number == result.best.number
        assert study.best_value == pytest.approx(result.best.value)
        states = {"complete": optuna.trial.TrialState.COMPLETE, "raced": optuna.trial.TrialState.PRUNED}
        assert [trial.state for trial in study.trials] == [states[trial.state] for trial in result.trials]


def start(journal_path, trials=30, seconds=0.0):
    environment = {**os.environ, "PYTHONWARNINGS": "ignore"}
    return subprocess.Popen(
        [sys.executable, str(BOWL), str(journal_path), str(trials), str(seconds)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment,
    )  # fmt: skip


def test_killing_a_search_half_way_keeps_its_trials_and_its_end(bowl, tmp_path):
    path = tmp_path / "tuning.journal"
    process = start(path, seconds=0.05)
    try:
        deadline = time.monotonic() + 60
        # Scores come in: some trials are finished, some are half done
        while time.monotonic() < deadline and (not path.exists() or path.read_bytes().count(SCORE) < 25):
            time.sleep(0.01)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    kept = path.read_bytes().count(SCORE)
    assert kept >= 25
    path.open("ab").write(b'{"op_code": 6, "worker_id"')  # as if the kernel had died with a half-written entry
    output, _ = start(path).communicate()
    found = json.loads(output)
    expected = bowl.run_search()
    assert found["course"] == json.loads(json.dumps(bowl.course(expected)))
    assert found["best"] == expected.best.number
    assert kept <= found["reused"] < sum(len(trial.scores) for trial in expected.trials)


def test_two_searches_at_once_do_not_mix(bowl, tmp_path):
    path = tmp_path / "tuning.journal"
    expected = json.loads(json.dumps(bowl.course(bowl.run_search(trials=15))))
    processes = [start(path, trials=15, seconds=0.02) for _ in range(2)]
    answers = [process.communicate() for process in processes]
    found = [json.loads(output) for output, _ in answers]
    assert [answer["course"] for answer in found] == [expected, expected]
    # One of them did the work, the other waited, said so, and took it over
    fits = sum(len(scores) for _, _, scores, _, _ in expected)
    assert sorted(answer["reused"] for answer in found) == [0, fits]
    waiting = [errors for answer, (_, errors) in zip(found, answers, strict=True) if answer["reused"]]
    assert "Another run is tuning with" in waiting[0]


# --- mistakes ---


def test_a_score_that_is_no_number_is_told_with_its_parameters(bowl):
    problem = SimpleNamespace(
        predictor="bowls", metric="depth", direction="minimize", rows=1, fold_costs=[1.0], fingerprint={},
        evaluate=lambda parameters, fold: math.nan,
    )  # fmt: skip
    with pytest.raises(UserError, match=r"depth of trial 0 is nan on fold 1, with \{'bowl.x': 4.0.*bowls.tuning.space"):
        bowl.run_search(problem)


def test_an_error_of_a_fit_says_in_which_trial_it_was(bowl):
    class Failing(bowl.BowlProblem):
        def evaluate(self, parameters, fold):
            if parameters["bowl.x"] != 4.0:
                raise RuntimeError("no memory")
            return super().evaluate(parameters, fold)

    with pytest.raises(RuntimeError, match="no memory") as caught:
        bowl.run_search(Failing(), workers=1)
    assert caught.value.__notes__[0].startswith("In trial 1 of tuning bowls: {'bowl.x': ")
