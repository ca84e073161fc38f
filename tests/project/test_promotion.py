"""Promotion and inference from the command line, on what a training left behind."""

import json

import pandas as pd
import pytest

pytestmark = pytest.mark.slow

NEW_ROWS = {"pdf_memory": "jobs", "query_cost": "query_log", "food_waste": "purchases"}


def test_promotion_and_inference_after_a_training(trained_project, tmp_path):
    copied = trained_project.copy(tmp_path / "project", *NEW_ROWS)
    raw, lake = copied.folder / "data/01_raw", copied.folder / "data/test"
    for predictor, table in NEW_ROWS.items():
        pd.read_parquet(raw / predictor / f"{table}.parquet").head(50).to_parquet(raw / predictor / "new.parquet")
    done = copied.kedro(
        "run", "--pipelines=promotion,inference", f"--namespaces={','.join(NEW_ROWS)}", "--env=test",
        "--params=pdf_memory.promotion.on_no_champion=keep",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    for predictor in NEW_ROWS:
        decision = json.loads((lake / f"08_reporting/{predictor}/promotion.json").read_text())
        assert decision["verdict"] in {"promoted", "no_champion", "failed_gates"}
        assert decision["challenger"]["version"] == "1"
        predictions = pd.read_parquet(lake / f"07_model_output/{predictor}/new.parquet")
        assert len(predictions) == 50
        assert predictions["model_version"].nunique() == 1
        report = json.loads((lake / f"08_reporting/{predictor}/inference.json").read_text())
        assert (report["rows"], report["predictor"]) == (50, predictor)
