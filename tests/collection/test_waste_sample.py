"""The committed purchases: what their parameters make, of the promised size and difficulty."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from augury.metrics.oracle import oracle_metrics
from augury.pipelines.collection.waste_presets import WasteCollection
from augury.pipelines.collection.waste_simulation import simulate_purchases
from augury.schemas.purchases import Purchases

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "data" / "01_raw" / "food_waste"


@pytest.fixture(scope="module")
def sample():
    return pd.read_parquet(FOLDER / "purchases.parquet")


def test_the_parameters_make_the_committed_purchases(sample):
    parameters = yaml.safe_load((ROOT / "conf/base/parameters/food_waste.yml").read_text())["food_waste"]
    again, _ = simulate_purchases(WasteCollection.model_validate(parameters["collection"]), parameters["seed"])
    pd.testing.assert_frame_equal(again, sample, check_exact=True)


def test_it_is_a_valid_table_of_20000_purchases(sample):
    Purchases.validate(sample)
    assert len(sample) == 20_000
    assert sample["household_id"].nunique() == 200
    assert (FOLDER / "purchases.parquet").stat().st_size < 1.5e6


def test_the_oracles_are_those_of_the_readme(sample):
    text = (FOLDER / "README.md").read_text()
    recent = sample.tail(4_000)
    for rows in (sample, recent):
        for column in ("true_probability", "observable_probability"):
            metrics = oracle_metrics(rows[column].to_numpy())
            shown = [f"{metrics[name]:.4f}" for name in ("roc_auc", "log_loss", "log_loss_skill", "brier")]
            assert f"| {' | '.join(shown)} |" in text


def test_outcomes_fit_the_truth(sample):
    wasted = sample["outcome"].eq("wasted")
    p = sample["true_probability"]
    assert abs((wasted - p).sum()) < 3 * np.sqrt((p * (1 - p)).sum())
