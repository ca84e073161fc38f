"""Parameters of LightGBM: what may be chosen and tuned, and what is fixed because anything else goes wrong."""

from typing import Any, Literal, Self

from pydantic import Field, model_validator

from augury.parameters import Parameters

Objective = Literal["binary", "regression_l1"]

METRICS: dict[str, str] = {"binary": "binary_logloss", "regression_l1": "l1"}

EARLIER: dict[str, Any] = {
    "learning_rate": 0.05,
    "num_leaves": 31,
    "max_depth": -1,
    "min_data_in_leaf": 20,
    "feature_fraction": 1.0,
    "bagging_fraction": 0.8,
    "bagging_freq": 0,
    "lambda_l1": 0.0,
    "lambda_l2": 0.0,
    "min_gain_to_split": 0.0,
    "max_bin": 255,
    "rounds": 200,
    "early_stopping_rounds": 0,
}
"""The earlier scripts' parameters: a bagging that never happens (LightGBM wants a frequency), and no early stopping."""


class LightGBMSettings(Parameters):
    """One boosted model.

    Quantised gradients cannot be chosen: together with bagging they abort the process (LightGBM 4.7). Nor can the
    number of threads of a fit, which is one: a stolen core makes LightGBM's barriers ten times slower. Independent fits
    run side by side instead.
    """

    preset: Literal["ours", "earlier"] = Field(
        default="ours",
        description="earlier: parameters that are not given are those of the earlier scripts, and classes are weighted",
    )
    learning_rate: float = Field(default=0.08, gt=0, le=1)
    num_leaves: int = Field(default=10, ge=2)
    max_depth: int = Field(default=-1, ge=-1, description="-1: no limit")
    min_data_in_leaf: int = Field(default=60, ge=1)
    feature_fraction: float = Field(default=0.4, gt=0, le=1, description="share of the features per tree")
    bagging_fraction: float = Field(default=0.8, gt=0, le=1, description="share of the rows per tree")
    bagging_freq: int = Field(default=1, ge=0, description="trees after which other rows are drawn; 0: no bagging")
    lambda_l1: float = Field(default=0.0, ge=0)
    lambda_l2: float = Field(default=10.0, ge=0)
    min_gain_to_split: float = Field(default=0.0, ge=0)
    max_bin: int = Field(default=127, ge=2, le=65_535)
    rounds: int = Field(default=600, ge=1, description="trees at most")
    early_stopping_rounds: int = Field(default=50, ge=0, description="rounds without progress that end a fit; 0: never")

    @model_validator(mode="before")
    @classmethod
    def _fill_preset(cls, values: Any) -> Any:
        if isinstance(values, dict) and values.get("preset") == "earlier":
            return EARLIER | values
        return values

    @model_validator(mode="after")
    def _bagging_happens(self) -> Self:
        if self.preset == "ours" and self.bagging_fraction < 1 and self.bagging_freq == 0:
            raise ValueError("bagging_fraction has no effect with bagging_freq 0; use 1")
        return self

    def booster_params(self, objective: Objective, seed: int) -> dict[str, Any]:
        """Parameters for ``lightgbm.train`` and ``lightgbm.Dataset``, without the number of rounds.

        Args:
            objective: What is minimised.
            seed: Of bagging and of the choice of features.

        Returns:
            A new dictionary. `feature_pre_filter` is off, so that data sets binned once serve any `min_data_in_leaf`.
        """
        tuned = {"preset", "rounds", "early_stopping_rounds"}
        fixed = {
            "objective": objective,
            "metric": METRICS[objective],
            "seed": seed,
            "num_threads": 1,
            "deterministic": True,
            # LightGBM would time both layouts and choose; the results of both differ by rounding
            "force_row_wise": True,
            "feature_pre_filter": False,
            "verbosity": -1,
        }
        if self.preset == "earlier" and objective == "binary":
            fixed["is_unbalance"] = True
        return self.model_dump(exclude=tuned) | fixed
