"""Parameters of LightGBM: what cannot be chosen, and what the earlier scripts chose."""

import numpy as np
import pytest
from pydantic import ValidationError

from augury.pipelines.model_training.lightgbm_settings import LightGBMSettings


def test_fits_are_repeatable_and_have_one_thread():
    params = LightGBMSettings().booster_params("binary", 7)
    assert (params["num_threads"], params["deterministic"], params["seed"]) == (1, True, 7)
    assert params["bagging_freq"] == 1
    assert "is_unbalance" not in params
    assert "use_quantized_grad" not in params


def test_quantised_gradients_cannot_be_asked_for():
    with pytest.raises(ValidationError, match="use_quantized_grad"):
        LightGBMSettings.model_validate({"use_quantized_grad": True})


def test_a_bagging_that_never_happens_is_refused():
    with pytest.raises(ValidationError, match="bagging_freq"):
        LightGBMSettings(bagging_fraction=0.5, bagging_freq=0)


def test_the_earlier_parameters_are_kept_whole_and_may_be_changed_one_by_one():
    earlier = LightGBMSettings.model_validate({"preset": "earlier", "num_leaves": 63})
    params = earlier.booster_params("binary", 1)
    assert (params["bagging_fraction"], params["bagging_freq"], params["is_unbalance"]) == (0.8, 0, True)
    assert (earlier.rounds, earlier.early_stopping_rounds, earlier.num_leaves) == (200, 0, 63)
    assert LightGBMSettings.model_validate(earlier.model_dump()) == earlier
    assert "is_unbalance" not in earlier.booster_params("regression_l1", 1)


def test_the_share_of_the_bagging_matters_with_ours_and_not_with_the_earlier_ones():
    import lightgbm

    random = np.random.default_rng(0)
    matrix = random.normal(size=(400, 4))
    target = (matrix[:, 0] + random.normal(size=400) > 0).astype(float)

    def trees(preset: str, share: float) -> np.ndarray:
        settings = LightGBMSettings.model_validate({"preset": preset, "bagging_fraction": share, "rounds": 5})
        params = settings.booster_params("binary", 1)
        return lightgbm.train(params, lightgbm.Dataset(matrix, target, params=params), 5).predict(matrix)

    assert (trees("earlier", 0.5) == trees("earlier", 0.9)).all()
    assert (trees("ours", 0.5) != trees("ours", 0.9)).any()
