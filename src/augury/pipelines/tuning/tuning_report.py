"""The page of a search."""

from typing import Any

import pandas as pd

from augury.pipelines.tuning.outcome import PARAMETER
from augury.reporting.report import render_page, report_content
from augury.reporting.report_layout import format_value
from augury.reporting.report_tables import Section, section_of_json, table_of_rows

MOST_TRIALS = 15


def tuning_report(
    best_params: dict[str, Any],
    tuning_trials: pd.DataFrame,
    report_tuning: dict[str, Any],
    history: Any,
    importance: Any,
    slices: Any,
    seed: int,
    provenance: dict[str, Any],
) -> str:
    """Render the report of a search.

    Args:
        best_params: What was found.
        tuning_trials: Table of trials.
        report_tuning: Account of the search.
        history: Figure, course of the search.
        importance: Figure, importance of the parameters.
        slices: Figure, values over each parameter.
        seed: Of the search.
        provenance: ``git_commit``, ``created_at`` and ``versions``.

    Returns:
        A self-contained HTML page.
    """
    predictor = best_params["predictor"]
    metadata = {
        "predictor": predictor,
        "task": "tuning",
        "data": {"fingerprint": report_tuning["data_fingerprint"], "rows": report_tuning["rows"]},
        "seed": seed,
        **provenance,
    }
    sections = [
        _search(report_tuning),
        _parameters(report_tuning),
        _folds(report_tuning),
        _trials(tuning_trials, report_tuning),
    ]
    content = report_content(
        f"{predictor}: tuning", {}, [], [], [], metadata, _notes(report_tuning, predictor), sections
    )  # fmt: skip
    # A search has no model and no held-out rows
    known = [(name, value) for name, value in content["facts"] if value != "unknown"]
    plots = {"Course of the search": history, "Parameter importance": importance, "Where the good values are": slices}
    return render_page(content | {"facts": known, "verdict": _verdict(report_tuning)}, plots)


def _verdict(report: dict[str, Any]) -> dict[str, str]:
    summary, metric = report["summary"], report["metric"]
    gain, error = summary["gain"], summary["gain_standard_error"]
    if gain <= 0:
        return {"state": "open", "mark": "?", "text": "Nothing better than the defaults was found"}
    better = f"Better than the defaults by {format_value(gain)} ({metric})"
    if error is not None and gain > 2 * error:
        return {"state": "passed", "mark": "✓", "text": better}
    return {"state": "open", "mark": "?", "text": f"{better}, which may be chance"}


def _notes(report: dict[str, Any], predictor: str) -> list[str]:
    summary = report["summary"]
    stopped = {"trials": "all trials were made", "patience": "no progress any more", "timeout": "the time was over"}
    notes = [
        f"{summary['trials']} trials on {len(report['fold_costs'])} folds of the training rows; the test rows had no "
        f"part in it. {summary['raced_away']} trials were stopped before their last fold, which saved "
        f"{format_value(summary['fits_saved_share'], 'share')} of the fits. The search ended because "
        f"{stopped[report['stopped_by']]}.",
        "The score of the best of many trials is a little too good: judge the tuned model on the test rows.",
        f"Training uses these parameters with --params={predictor}.model.use_tuned=true",
    ]
    error = summary["gain_standard_error"]
    if error is not None and 0 < summary["gain"] < 2 * error:
        notes.insert(1, "The gain over the defaults is within two standard errors of nothing.")
    if report["fixed"]:
        fixed = ", ".join(f"{path} = {value}" for path, value in report["fixed"].items())
        notes.append(f"During the search only: {fixed}.")
    return notes


def _search(report: dict[str, Any]) -> Section:
    return section_of_json(
        "The search", report["summary"] | {"metric": report["metric"]}, "Scores are means over folds."
    )


def _parameters(report: dict[str, Any]) -> Section:
    rows = [
        {
            "parameter": path,
            "default": _shown(report["default"]["parameters"][path]),
            "best": _shown(report["best"]["parameters"][path]),
            "values": _values(dimension),
            "importance": report["importances"].get(path),
        }
        for path, dimension in report["space"].items()
    ]
    table = table_of_rows("Parameters", rows, [], "")
    return Section("Parameters", [] if table is None else [table])


def _shown(value: Any) -> Any:
    return value if isinstance(value, int | float) and not isinstance(value, bool) else str(value)


def _values(dimension: dict[str, Any]) -> str:
    if dimension["type"] == "categorical":
        return ", ".join(str(choice) for choice in dimension["choices"])
    return f"{dimension['low']:g} to {dimension['high']:g}" + (", logarithmic" if dimension["log"] else "")


def _folds(report: dict[str, Any]) -> Section:
    rows = [
        {"fold": str(number + 1), "rows": int(cost), "default": default, "best": best, "gain": gap}
        for number, (cost, default, best, gap) in enumerate(
            zip(
                report["fold_costs"],
                report["default"]["folds"],
                report["best"]["folds"],
                report["gain"]["by_fold"],
                strict=True,
            )
        )
    ]
    table = table_of_rows("Folds", rows, [], "")
    return Section("Fold by fold", [] if table is None else [table], f"{report['metric']}; a gain above 0 is better")


def _trials(trials: pd.DataFrame, report: dict[str, Any]) -> Section:
    complete = trials[trials["state"] == "complete"]
    ranked = complete.sort_values(["value", "trial"], ascending=[report["direction"] == "minimize", True])
    names = ["trial", "value", *(name for name in trials.columns if name.startswith(PARAMETER))]
    rows = [
        {str(name).removeprefix(PARAMETER).rpartition(".")[2]: value for name, value in row.items()}
        for row in ranked[names].head(MOST_TRIALS).to_dict("records")
    ]
    table = table_of_rows("Trials", rows, [], "", strong_first=True)
    note = f"The best {len(rows)} of {len(complete)} that were judged on all folds."
    return Section("Best trials", [] if table is None else [table], note)
