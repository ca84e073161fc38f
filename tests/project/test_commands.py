"""The commands of the documentation run; mistakes are answered in one line."""

import json

import pandas as pd
import pytest

from augury.predictors import load_predictor

from workspace import make_project

pytestmark = pytest.mark.slow

RAW = "data/01_raw/pdf_memory/jobs.parquet"


def message(done) -> str:
    """The error that the command printed, without the log lines before it."""
    assert "Traceback" not in done.stderr + done.stdout
    return (done.stderr + done.stdout).split("Error: ", 1)[1]


def test_training_leaves_model_metrics_and_report(trained_project):
    lake = trained_project.folder / "data" / "test"
    metrics = json.loads((lake / "08_reporting/pdf_memory/metrics.json").read_text())
    assert {"mae", "rmse", "r2", "mape_pct", "n_train", "n_test", "seed"} <= set(metrics)
    assert metrics["seed"] == 42
    assert load_predictor(lake / "06_models/pdf_memory").metadata.data.rows == metrics["n_train"]
    assert "<html" in (lake / "08_reporting/pdf_memory/report.html").read_text()
    assert (lake / "06_models/pdf_memory/model.onnx").stat().st_size > 1000


@pytest.mark.parametrize(
    "arguments",
    [
        ("--pipelines=feature_engineering", "--namespaces=pdf_memory"),
        ("--pipelines=model_training,evaluation", "--namespaces=pdf_memory"),
        ("--pipelines=training", "--namespaces=pdf_memory", "--params=pdf_memory.seed=7"),
        (
            "--pipelines=training",
            "--namespaces=pdf_memory",
            "--params=pdf_memory.model.recipe=original",
            "--runner=ThreadRunner",
        ),
    ],
    ids=" ".join,
)
def test_every_slice_runs_alone_after_the_earlier_ones(trained_project, tmp_path, arguments):
    copied = trained_project.copy(tmp_path / "project", "pdf_memory")
    done = copied.kedro("run", "--env=test", *arguments)
    assert done.returncode == 0, done.stderr
    metrics = json.loads((copied.folder / "data/test/08_reporting/pdf_memory/metrics.json").read_text())
    assert metrics["seed"] == (7 if "--params=pdf_memory.seed=7" in arguments else 42)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("--pipeline=trainin",), "There is no pipeline 'trainin'. Did you mean 'training'"),
        (("--namespaces=pdf_memry",), "There is no predictor 'pdf_memry'"),
        (("--env=tst",), "There is no environment 'tst' under conf/. Did you mean 'test'?"),
        (
            ("--params=pdf_memory.sed=7",),
            "Parameter 'pdf_memory.sed' is unknown (value 7). Did you mean 'pdf_memory.seed'",
        ),
        (("--params=pdf_memory.split.holdout_shar=0.1",), "Did you mean 'holdout_share'"),
        (
            ("--params=query_cost.sed=7", "--namespaces=pdf_memory"),
            "Parameter 'query_cost.sed' is unknown (value 7). Did you mean 'query_cost.seed'",
        ),
        (("--params=query_cots.seed=7", "--namespaces=pdf_memory"), "Parameter 'query_cots' is unknown"),
        (("--params=pdf_memory.seed=seven",), "Parameter 'pdf_memory.seed': Input should be a valid integer"),
        (("--params=pdf_memory.split.holdout_share=1.5",), "Parameter 'pdf_memory.split.holdout_share'"),
        (("--params=pdf_memory.model.recipe=orignal",), "Did you mean 'original'"),
        (("--tags=evalution",), "Did you mean 'evaluation'"),
        (("--nodes=pdf_memory.trian",), "Did you mean 'pdf_memory.train'"),
    ],
    ids=lambda value: value[0] if isinstance(value, tuple) else "",
)
def test_mistakes_in_names_and_parameters_are_one_message(project, arguments, expected):
    before = project.files()
    done = project.kedro("run", *arguments)
    assert done.returncode == 1
    assert expected in message(done)
    assert project.files() == before


@pytest.mark.parametrize(
    ("spoil", "expected"),
    [
        (lambda jobs: jobs.drop(columns="peak_mem_mb"), "required column missing: 'peak_mem_mb'"),
        (lambda jobs: jobs.assign(peak_mem_mb=-jobs["peak_mem_mb"]), "column 'peak_mem_mb': must be above 0"),
        (lambda jobs: jobs.assign(pages=["many", *jobs["pages"].astype(str)[1:]]), "column 'pages': must be a number"),
    ],
    ids=["missing column", "negative peak", "text in a number column"],
)
def test_bad_data_is_refused_before_anything_is_written(project, spoil, expected):
    jobs = pd.read_parquet(project.folder / RAW)
    spoil(jobs).to_csv(project.folder / "data" / "bad.csv", index=False)
    catalog = project.folder / "conf" / "local" / "catalog.yml"
    entry = "{type: pandas.CSVDataset, filepath: data/bad.csv, validator: augury.schemas.pdf_jobs.PdfJobs}"
    catalog.write_text(f"pdf_memory.jobs: {entry}\n")
    before = project.files()
    try:
        done = project.kedro("run", "--pipeline=training", "--namespaces=pdf_memory")
    finally:
        catalog.unlink()
    assert done.returncode == 1
    assert expected in message(done)
    assert project.files() == before


def test_an_enforced_gate_that_fails_ends_with_its_own_exit_code(trained_project, tmp_path):
    copied = trained_project.copy(tmp_path / "project", "pdf_memory")
    gates = copied.folder / "conf" / "test" / "gates.yml"
    (copied.folder / "conf/test/parameters/gates.yml").write_text(
        "pdf_memory: {gates: {enforce: true, mae: {max: 0.001}}}\n"
    )
    done = copied.kedro("run", "--pipelines=evaluation", "--namespaces=pdf_memory", "--env=test")
    assert done.returncode == 99, done.stderr
    assert "mae" in message(done)
    assert not gates.exists()
    rows = json.loads((copied.folder / "data/test/08_reporting/pdf_memory/gates.json").read_text())
    assert any(row["metric"] == "mae" and not row["passed"] for row in rows)


def test_synthetic_collection_then_training_without_mlflow(tmp_path):
    project = make_project(tmp_path / "project")
    (project.folder / "conf/test/tracking.yml").write_text("tracking: {enabled: false}\n")
    chosen = "--params=pdf_memory.collection.source=synthetic,pdf_memory.collection.documents=60"
    for arguments in (
        ("--pipelines=collection", chosen),
        ("--pipelines=training", "--params=pdf_memory.split.document_share=1.0"),
    ):
        done = project.kedro("run", "--env=test", "--namespaces=pdf_memory", *arguments)
        assert done.returncode == 0, done.stderr
    assert not list(project.folder.rglob("mlflow.db"))
    metadata = load_predictor(project.folder / "data/test/06_models/pdf_memory").metadata
    assert set(metadata.data.origin) == {"simulated"}
