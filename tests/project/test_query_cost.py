"""`query_cost` through the project's commands: trained, continued, replayed, on Spark frames and on S3."""

import json
import shutil

import pandas as pd
import pytest

from augury.datasets.daily_parquet import DailyParquetDataset
from augury.predictors import load_predictor

from workspace import RAW, Project, make_project, s3_server

pytestmark = pytest.mark.slow

LOG = next(path for path in RAW if path.name == "query_log.parquet")
SHORT = (
    "--params=query_cost.source.row_share=0.4,query_cost.features.parity_rows=500,"
    "query_cost.split.validation_days=2,query_cost.split.test_days=2,query_cost.split.drift_days=2"
)
FEATURES = ("--pipelines=data_engineering,feature_engineering", SHORT)
NODES = ["run", "--namespaces=query_cost", "--env=test"]


def message(done) -> str:
    assert "Traceback" not in done.stderr + done.stdout
    return (done.stderr + done.stdout).split("Error: ", 1)[1]


def completed(done) -> set[str]:
    """Names of the nodes that a run completed."""
    lines = (done.stderr + done.stdout).splitlines()
    return {line.rsplit(".", 1)[1].strip() for line in lines if "Completed node: query_cost." in line}


@pytest.fixture
def copied(trained_project, tmp_path) -> Project:
    return trained_project.copy(tmp_path / "project", "query_cost")


def test_training_leaves_model_metrics_and_report(trained_project):
    lake = trained_project.folder / "data" / "test"
    metrics = json.loads((lake / "08_reporting/query_cost/metrics.json").read_text())
    assert {"roc_auc", "pr_auc", "ece", "nec_cost_optimal", "drift_roc_auc", "seen_recall_recall_98"} <= set(metrics)
    assert metrics["roc_auc"] > 0.9
    assert metrics["onnx_max_difference"] <= 1e-6
    assert metrics["onnx_flips_cost_optimal"] == metrics["onnx_flips_recall_98"] == 0
    assert json.loads((lake / "08_reporting/query_cost/parity.json").read_text())["mismatches"] == 0
    assert load_predictor(lake / "06_models/query_cost").metadata.data.rows == metrics["n_train"]
    assert "<html" in (lake / "08_reporting/query_cost/report.html").read_text()


def test_a_text_can_be_asked(trained_project):
    done = trained_project.augury(
        "predict", "query_cost", "-", "--json", "--model=data/test/06_models/query_cost",
        given="select count(*) from lake.tpcds.store_sales; show tables",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(answers) == 2
    assert 0 <= answers[0]["probability"] <= 1


def test_the_last_days_are_replayed(copied):
    done = copied.kedro("run", "--pipelines=monitoring", "--env=test")
    assert done.returncode == 0, done.stderr
    reports = copied.folder / "data/test/08_reporting/query_cost"
    assert "<html" in (reports / "monitoring.html").read_text()
    assert json.loads((reports / "drift.json").read_text())
    assert json.loads((reports / "replay.json").read_text())


def test_an_interrupted_stage_is_repeated_and_finished_ones_are_not(copied):
    tables = copied.folder / "data/test/04_feature/query_cost"
    before = pd.read_parquet(tables / "matrix")
    shutil.rmtree(tables / "matrix")
    (tables / "history/_SUCCESS").unlink()  # as a run leaves it that dies while it writes
    next((tables / "history").glob("date=*/*.parquet")).unlink()
    done = copied.kedro(*NODES, "--pipelines=feature_engineering", "--only-missing-outputs")
    assert done.returncode == 0, done.stderr
    assert {"take_snapshots", "build_features"} <= completed(done)
    assert not {"fingerprint_log", "daily_statistics"} & completed(done)
    after = pd.read_parquet(tables / "matrix")
    keys = ["query_id"]
    pd.testing.assert_frame_equal(
        after.sort_values(keys, ignore_index=True), before.sort_values(keys, ignore_index=True), check_like=True
    )


@pytest.mark.parametrize(
    ("spoil", "expected"),
    [
        (lambda log: log.assign(cpu_time_s=-1.0), "cpu_time_s"),
        (lambda log: log.drop(columns=["query", "prepared_query"]), "'query'"),
        (
            lambda log: pd.DataFrame(
                {
                    "query_id": log["query_id"],
                    "state": "FINISHED",
                    "user": "ann",
                    "source": "cli",
                    "query": log["query"],
                    "queued_time_ms": 1,
                    "analysis_time_ms": 1,
                    "planning_time_ms": 1,
                    "created": log["create_time"],
                    "started": log["create_time"],
                    "end": log["end_time"],
                }
            ),
            "system.runtime.queries",
        ),
    ],
    ids=["negative cost", "no text", "a table without costs"],
)
def test_bad_logs_are_refused_before_anything_is_written(project, spoil, expected):
    spoil(pd.read_parquet(project.folder / LOG).head(500)).to_parquet(project.folder / "data" / "bad.parquet")
    catalog = project.folder / "conf" / "local" / "catalog.yml"
    validator = "augury.schemas.query_log.QueryLog"
    catalog.write_text(
        f"query_cost.query_log: {{type: pandas.ParquetDataset, filepath: data/bad.parquet, validator: {validator}}}\n"
    )
    before = project.files()
    try:
        done = project.kedro("run", "--pipeline=training", "--namespaces=query_cost")
    finally:
        catalog.unlink()
    assert done.returncode == 1
    assert expected in message(done)
    assert project.files() == before


def test_thresholds_that_no_query_reaches_are_explained(project):
    done = project.kedro(*NODES, "--pipelines=data_engineering", "--params=query_cost.label.cpu_threshold_seconds=5000,"
                         "query_cost.label.memory_threshold_gb=5000,query_cost.label.resource_errors=[]")  # fmt: skip
    assert done.returncode == 1
    assert "cpu_threshold_seconds" in message(done)


@pytest.fixture(scope="module")
def short_log(tmp_path_factory) -> Project:
    """A project whose log has 12 days: Spark and S3 take their time per day and file, not per row."""
    made = make_project(tmp_path_factory.mktemp("short") / "project")
    log = pd.read_parquet(made.folder / LOG)
    log[log["date"] >= sorted(log["date"].unique())[-12]].to_parquet(made.folder / LOG)
    return made


@pytest.fixture(scope="module")
def local_matrix(short_log):
    done = short_log.kedro("run", "--namespaces=query_cost", *FEATURES, "--env=test")
    assert done.returncode == 0, done.stderr
    return pd.read_parquet(short_log.folder / "data/test/04_feature/query_cost/matrix")


@pytest.mark.spark
@pytest.mark.usefixtures("local_matrix")
def test_spark_frames_give_the_same_sample_bit_for_bit(short_log):
    """The features are compared in tests/feature_engineering, in one session: every node of a run costs seconds."""
    done = short_log.kedro("run", "--namespaces=query_cost", "--pipelines=data_engineering", SHORT, "--env=spark")
    assert done.returncode == 0, done.stderr
    found, expected = (
        _sorted(pd.read_parquet(short_log.folder / f"data/{env}/03_primary/query_cost/sampled"))
        for env in ("spark", "test")
    )
    # Dates of a folder that Spark wrote have another type, the values are the same to the last bit
    pd.testing.assert_frame_equal(found, expected, check_like=True, check_exact=True, check_dtype=False)


def test_s3_holds_the_whole_lake(short_log, local_matrix):
    with s3_server() as s3:
        s3.upload(short_log.folder / LOG, f"01_raw/query_cost/{LOG.name}")
        done = short_log.kedro("run", "--namespaces=query_cost", *FEATURES, "--env=s3", **s3.environment)
        assert done.returncode == 0, done.stderr
        table = DailyParquetDataset(filepath="s3://lake/04_feature/query_cost/matrix", credentials=s3.credentials)
        assert table.exists()
        pd.testing.assert_frame_equal(_sorted(table.load()), _sorted(local_matrix), check_like=True, check_exact=True)
    assert not (short_log.folder / "data/04_feature").exists()


def _sorted(matrix: pd.DataFrame) -> pd.DataFrame:
    matrix = matrix.assign(date=matrix["date"].astype(str))
    return matrix.sort_values("query_id", ignore_index=True)
