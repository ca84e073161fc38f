"""Every environment resolves; `spark` and `s3` give what `base` gives."""

import json

import pandas as pd
import pytest

from workspace import make_project, s3_server

pytestmark = pytest.mark.slow

METRICS = "08_reporting/pdf_memory/metrics.json"
QUICK = (
    "--params=pdf_memory.split.document_share=0.4,pdf_memory.model.folds=3,"
    "pdf_memory.model.recipes.physics_trees.n_estimators=120,pdf_memory.evaluation.bootstrap_replicates=100"
)


@pytest.mark.parametrize("env", ["spark", "s3", "prod"])
def test_the_catalog_of_every_environment_resolves(project, env):
    done = project.kedro("catalog", "resolve-patterns", "--env", env)
    assert done.returncode == 0, done.stderr
    assert "pdf_memory.predictor" in done.stdout


@pytest.fixture(scope="module")
def local_metrics(tmp_path_factory):
    project = make_project(tmp_path_factory.mktemp("local"))
    done = project.kedro("run", "--pipelines=training", "--namespaces=pdf_memory", QUICK)
    assert done.returncode == 0, done.stderr
    return json.loads((project.folder / "data" / METRICS).read_text())


@pytest.mark.spark
def test_spark_frames_give_the_same_figures(project, local_metrics):
    # Without the plots, each of which would read the predictions anew
    done = project.kedro(
        "run", "--pipelines=training", "--namespaces=pdf_memory", "--env=spark", "--to-nodes=pdf_memory.evaluate", QUICK
    )
    assert done.returncode == 0, done.stderr
    assert json.loads((project.folder / "data/spark" / METRICS).read_text()) == local_metrics
    assert (project.folder / "data/spark/03_primary/pdf_memory/jobs.parquet").is_dir()


def test_s3_holds_the_whole_lake(project, local_metrics):
    with s3_server() as s3:
        s3.upload(project.folder / "data/01_raw/pdf_memory/jobs.parquet", "01_raw/pdf_memory/jobs.parquet")
        folder = project.folder / "data"
        local_files = {path for path in project.files() if path.parts[1].startswith("0") and path.parts[1] != "01_raw"}
        for pipeline in ("training", "evaluation"):  # the second reads the model back from S3
            done = project.kedro(
                "run",
                f"--pipelines={pipeline}",
                "--namespaces=pdf_memory",
                "--env=s3",
                QUICK,
                **s3.environment,
            )
            assert done.returncode == 0, done.stderr
        filesystem = s3.filesystem()
        assert json.loads(filesystem.cat_file(f"s3://lake/{METRICS}")) == local_metrics
        with filesystem.open("s3://lake/04_feature/pdf_memory/holdout.parquet") as file:
            assert len(pd.read_parquet(file)) == local_metrics["n_test"]
        after = {path for path in project.files() if path.parts[1].startswith("0") and path.parts[1] != "01_raw"}
        assert after == local_files, "nothing of an S3 run stays on the local disk"
        assert folder.exists()
