"""Curves of a training as TensorBoard's event files."""

import numpy as np
import pandas as pd
import pytest
from kedro.io import DataCatalog, DatasetError

from augury.datasets.tensorboard_curves import TensorBoardCurvesDataset
from augury.errors import UserError

CURVES = pd.DataFrame(
    {
        "step": [1, 2, 2, 4, 4],
        "epoch": [0.25, 0.5, 0.5, 1.0, 1.0],
        "name": ["loss", "loss", "validation_f1", "loss", "validation_f1"],
        "value": [1.0, 0.5, 0.25, 0.125, 0.75],
        "seconds": [0.5, 1.0, 1.0, 2.0, 2.0],
    }
)


def expected(curves):
    return curves.sort_values(["name", "step"]).reset_index(drop=True)


@pytest.fixture(params=["file", "memory"])
def dataset(request, tmp_path):
    path = str(tmp_path / "reporting" / "tensorboard") if request.param == "file" else "memory://curves/tensorboard"
    configuration = {"type": "augury.datasets.tensorboard_curves.TensorBoardCurvesDataset", "filepath": path}
    return DataCatalog.from_config({"cats.curves": configuration})["cats.curves"]


def test_curves_come_back_and_a_second_save_replaces_the_first(dataset):
    if "memory" not in str(dataset._describe()):
        assert not dataset.exists()
        with pytest.raises(DatasetError, match="holds no curves"):
            dataset.load()
    dataset.save(CURVES)
    assert dataset.exists()
    pd.testing.assert_frame_equal(dataset.load(), expected(CURVES))
    later = CURVES[CURVES["name"] == "loss"]
    dataset.save(later)
    pd.testing.assert_frame_equal(dataset.load(), expected(later))


def test_undefined_values_are_left_out(tmp_path):
    dataset = TensorBoardCurvesDataset(filepath=str(tmp_path / "tensorboard"))
    dataset.save(CURVES.assign(value=[np.nan, 0.5, np.inf, 0.125, 0.75]))
    assert dataset.load()["value"].tolist() == [0.5, 0.125, 0.75]


def test_another_table_is_refused_and_nothing_is_lost(tmp_path):
    dataset = TensorBoardCurvesDataset(filepath=str(tmp_path / "tensorboard"))
    dataset.save(CURVES)
    with pytest.raises((UserError, DatasetError), match="'epoch' is missing"):
        dataset.save(CURVES.drop(columns="epoch"))
    assert len(dataset.load()) == len(CURVES)
