"""What a search leaves: parameters that training can use, the table of trials, the account, plots and the page."""

import json
import math
import re
import statistics

import pandas as pd
import pytest

from augury.datasets.best_parameters import BestParametersDataset
from augury.errors import UserError
from augury.parameters import with_tuned, with_values
from augury.pipelines.tuning import tuning_plots
from augury.pipelines.tuning.outcome import PARAMETER, outcome
from augury.pipelines.tuning.search_space import SearchSpace
from augury.pipelines.tuning.tuning_report import tuning_report
from augury.tracking.flattening import flat_metrics

PROVENANCE = {"git_commit": None, "created_at": "2026-01-01T00:00:00+00:00", "versions": {"optuna": "5"}}


def leave(bowl, direction="minimize", **changes):
    """A search and what it leaves."""
    problem, settings = bowl.BowlProblem(direction), bowl.make_settings(**changes)
    space = SearchSpace("bowls", bowl.BowlModel(), settings.space, settings.fixed, "bowl.")
    result = bowl.run_search(problem, **changes)
    return result, *outcome(problem, space, settings, 3, result)


@pytest.fixture(scope="module", params=["minimize", "maximize"])
def left(bowl, request):
    return leave(bowl, request.param)


@pytest.fixture
def figures(left):
    _, _, trials, report = left
    return (
        tuning_plots.plot_history(trials, report),
        tuning_plots.plot_parameter_importance(report),
        tuning_plots.plot_slices(trials, report),
    )


def test_the_best_parameters_say_where_they_come_from(left):
    result, best, _, _ = left
    assert best["parameters"] == result.best.parameters
    assert (best["score"], best["default_score"]) == (result.best.value, result.default.value)
    assert (best["trial"], best["trials"], best["seed"]) == (result.best.number, 30, 3)
    assert (best["predictor"], best["metric"], best["data_fingerprint"]) == ("bowls", "depth", "rows")


def test_every_trial_is_a_row(left):
    result, _, trials, _ = left
    assert trials["trial"].tolist() == list(range(30))
    for row, trial in zip(trials.to_dict("records"), result.trials, strict=True):
        scores = {fold: row[f"fold_{fold + 1}"] for fold in range(5) if not math.isnan(row[f"fold_{fold + 1}"])}
        assert scores == trial.scores
        assert (row["state"], row["value"], row["folds_judged"]) == (trial.state, trial.value, len(scores))
        assert {path: row[f"{PARAMETER}{path}"] for path in trial.parameters} == trial.parameters


def test_the_gain_is_the_paired_gap_to_the_defaults(left):
    result, _, _, report = left
    sign = 1 if report["direction"] == "maximize" else -1
    gaps = [sign * (result.best.scores[fold] - result.default.scores[fold]) for fold in range(5)]
    assert report["gain"]["by_fold"] == gaps
    assert report["summary"]["gain"] == pytest.approx(sign * (result.best.value - result.default.value))
    assert report["summary"]["gain"] > 0
    assert report["summary"]["gain_standard_error"] == pytest.approx(statistics.stdev(gaps) / math.sqrt(5))


def test_the_account_counts_what_was_done(left):
    _, _, trials, report = left
    summary = report["summary"]
    assert summary["trials"] == summary["complete"] + summary["raced_away"] == 30
    assert summary["raced_away"] == (trials["state"] == "raced").sum() > 0
    assert summary["fits"] == trials["folds_judged"].sum()
    assert summary["fits_saved_share"] == pytest.approx(1 - summary["fits"] / 150)
    assert summary["fit_cpu_seconds"] == pytest.approx(trials["fit_cpu_seconds"].sum())
    assert json.loads(json.dumps(report)) == report
    assert set(flat_metrics(summary)) == set(summary)


def test_importances_find_the_parameter_that_matters_most(left):
    shares = left[3]["importances"]
    assert sum(shares.values()) == pytest.approx(1)
    assert max(shares, key=shares.get) == "bowl.x"


def test_after_few_trials_nothing_is_said_about_importance(bowl):
    report = leave(bowl, trials=3)[3]
    assert report["importances"] == {}
    assert "too few trials" in tuning_plots.plot_parameter_importance(report).layout.title.subtitle.text


def test_a_single_trial_has_an_account_too(bowl):
    result, best, trials, report = leave(bowl, trials=1)
    assert best["parameters"] == result.default.parameters
    assert report["summary"]["gain"] == 0
    assert report["summary"]["gain_standard_error"] is None
    plots = tuning_plots.plot_history(trials, report), tuning_plots.plot_slices(trials, report)
    page = tuning_report(best, trials, report, plots[0], tuning_plots.plot_parameter_importance(report), plots[1], 3,
                         PROVENANCE)  # fmt: skip
    assert "Nothing better than the defaults was found" in page


# --- plots and page ---


def test_the_history_shows_every_trial_and_the_best_so_far(left, figures):
    report = left[3]
    raced, complete, line = figures[0].data
    assert len(raced.x) + len(complete.x) == 30
    best = list(line.y)
    assert best == sorted(best, reverse=report["direction"] == "minimize")
    assert best[-1] == report["best"]["score"]
    low, high = figures[0].layout.yaxis.range
    assert low < report["best"]["score"] < high
    assert low < report["default"]["score"] < high


def test_slices_have_a_panel_for_each_parameter(left, figures):
    _, _, trials, report = left
    figure = figures[2]
    points = [trace for trace in figure.data if trace.mode == "markers"]
    assert len(points) == len(report["space"]) == 3
    assert [axis.type for axis in (figure.layout.xaxis, figure.layout.xaxis2, figure.layout.xaxis3)] == [
        "linear",
        "log",
        "category",
    ]
    assert list(points[1].x) == trials[f"{PARAMETER}bowl.y"].tolist()


def test_the_page_tells_what_was_found(left, figures):
    _, best, trials, report = left
    page = tuning_report(best, trials, report, *figures, 3, PROVENANCE)
    text = re.sub(r"\s+", " ", re.sub(r"<script.*?</script>", "", page, flags=re.DOTALL))
    assert "bowls: tuning" in text
    assert "Better than the defaults by" in text
    assert "unknown" not in text
    assert "30 trials on 5 folds" in text
    assert f"{report['summary']['raced_away']} trials were stopped" in text
    assert "--params=bowls.model.use_tuned=true" in text
    for path in report["space"]:
        assert path in text
    assert "src=" not in text.replace("data:", "")  # nothing is loaded


# --- use_tuned ---


def test_what_was_tuned_comes_back_through_the_file_into_the_model(left, bowl, tmp_path):
    _, best, _, _ = left
    dataset = BestParametersDataset(filepath=str(tmp_path / "bowls" / "best_params.yml"))
    dataset.save(best)
    model = bowl.BowlModel(use_tuned=True)
    tuned = with_tuned(model, dataset.load(), model.use_tuned, "bowls")
    assert tuned.bowl == bowl.Bowl(**{path.removeprefix("bowl."): value for path, value in best["parameters"].items()})
    assert tuned.use_tuned
    assert with_tuned(model, dataset.load(), False) is model


def test_tuned_parameters_that_are_not_there_are_asked_for(bowl):
    with pytest.raises(UserError, match=r"'bowls.model.use_tuned' is true.*--pipelines=tuning --namespaces=bowls"):
        with_tuned(bowl.BowlModel(), {}, True, "bowls")


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"bowl.z": 1}, r"do not fit this model any more. The model has no parameter 'bowl.z'"),
        ({"bowl.y": 1.5}, r"Parameter 'bowl.y' of the model: .*integer.*\(value 1.5\)"),
        ({"bowl.kind": None}, r"Parameter 'bowl.kind' of the model: .*string"),
    ],
)
def test_tuned_parameters_of_another_model_are_refused(bowl, parameters, message):
    with pytest.raises(UserError, match=message):
        with_tuned(bowl.BowlModel(), {"parameters": parameters}, True, "bowls")


def test_values_are_changed_by_their_paths_and_nothing_else_is(bowl):
    model = bowl.BowlModel()
    changed = with_values(model, {"bowl.x": 2})
    assert changed.model_dump() == model.model_dump() | {"bowl": model.bowl.model_dump() | {"x": 2.0}}
    assert model.bowl.x == 4.0


def test_tables_survive_parquet(left, tmp_path):
    trials = left[2]
    trials.to_parquet(tmp_path / "trials.parquet", index=False)
    pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / "trials.parquet"), trials)
