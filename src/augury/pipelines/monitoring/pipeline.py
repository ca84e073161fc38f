"""Monitoring: the champion on the last days, as they came -> metrics by day, drift, alarms, report."""

from collections.abc import Collection

from kedro.pipeline import Node, Pipeline

from augury.pipelines.assembly import assemble
from augury.pipelines.monitoring import alarms, feature_drift, replay, replay_plots, replay_report


def create_pipeline(predictors: Collection[str] = ()) -> Pipeline:
    """Monitoring of all predictors, or of those that are named; one namespace each."""
    return assemble(globals(), predictors)


def query_cost() -> Pipeline:
    """Replay of the last days of a query log."""
    return Pipeline(_replay(), namespace="query_cost", tags="monitoring")


def _replay() -> list[Node]:
    """Replay of any binary predictor that scores a feature table; instantiated once per namespace."""
    return [
        Node(
            replay.replay_days,
            inputs=["predictor", "features_matrix", "params:monitoring"],
            outputs="predictions_replay",
            name="replay_days",
        ),
        Node(
            replay.judge_replay,
            inputs=["predictor", "predictions_replay", "params:monitoring", "params:seed"],
            outputs="report_replay",
            name="judge_replay",
        ),
        Node(
            feature_drift.measure_drift,
            inputs=[
                "predictor",
                "features_matrix",
                "report_features",
                "predictions_replay",
                "params:monitoring",
                "params:seed",
            ],
            outputs="report_drift",
            name="measure_drift",
        ),
        Node(
            alarms.raise_alarms,
            inputs=["report_replay", "report_drift", "params:monitoring"],
            outputs="report_alarms",
            name="raise_alarms",
        ),
        Node(
            replay_plots.plot_days,
            inputs=["report_replay", "params:monitoring"],
            outputs="plot_replay_days",
            name="plot_replay_days",
        ),
        Node(
            replay_plots.plot_calibration,
            inputs=["report_replay", "params:monitoring"],
            outputs="plot_replay_calibration",
            name="plot_replay_calibration",
        ),
        Node(replay_plots.plot_drift, inputs="report_drift", outputs="plot_replay_drift", name="plot_replay_drift"),
        Node(replay_plots.plot_score, inputs="report_drift", outputs="plot_replay_score", name="plot_replay_score"),
        Node(
            replay_report.replay_report,
            inputs=[
                "predictor",
                "report_replay",
                "report_drift",
                "report_alarms",
                "params:monitoring",
                "plot_replay_days",
                "plot_replay_calibration",
                "plot_replay_drift",
                "plot_replay_score",
            ],
            outputs="monitoring_report",
            name="monitoring_report",
        ),
    ]
