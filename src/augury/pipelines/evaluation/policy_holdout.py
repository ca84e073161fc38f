"""The frame of replayed cases that a policy is judged on.

One row per held-out case of which the outcome under every policy is known:

- ``case``: text, unique; ``group``: text, cases that resemble each other (the blocks of one package, the windows of
  one trace) and are therefore drawn together;
- ``cost``: what the model's choice cost, >= 0, lower is better; ``cost_baseline_<name>``: that of a plain rule, at
  least one; ``cost_oracle`` (optional): what the best choice would have cost;
- ``choice``, ``choice_baseline_<name>``, ``choice_oracle`` (optional, text): which choice that was;
- ``slice_<name>`` (optional): by whose values the metrics are broken down.
"""

import re
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from augury.errors import UserError
from augury.metrics.bootstrap import Floats
from augury.pipelines.evaluation.holdout import group_codes, numeric_column, require_columns
from augury.predictors.policy import CHOICE, COST

MODEL = "model"
ORACLE = "oracle"
BEST_BASELINE = "best_baseline"
SLICE_PREFIX = "slice_"
_BASELINE = re.compile(rf"{COST}_baseline_(?P<name>\w+)")


@dataclass(frozen=True)
class Holdout:
    """The replayed cases, in the order of their names."""

    frame: pd.DataFrame
    costs: dict[str, Floats]
    """``model``, the baselines in the frame's order, and where it is known ``oracle`` -> cost of every case."""
    choices: dict[str, npt.NDArray[np.object_]]
    """The same of choices; of those alone whose choices are known."""
    baselines: list[str]
    groups: npt.NDArray[np.int64]

    @property
    def best_baseline(self) -> str:
        """The baseline that costs least on these very cases, which nobody could have known before."""
        return min(self.baselines, key=lambda name: (self.costs[name].sum(), name))

    def part(self, inside: npt.NDArray[np.bool_]) -> "Holdout":
        """Some of the cases."""
        return Holdout(
            self.frame[inside],
            {name: values[inside] for name, values in self.costs.items()},
            {name: values[inside] for name, values in self.choices.items()},
            self.baselines,
            self.groups[inside],
        )


def read_policies(predictions: pd.DataFrame) -> Holdout:
    """Read and check the frame that this module's docstring describes.

    Args:
        predictions: The frame.

    Returns:
        The replayed cases.

    Raises:
        UserError: A column is missing, there is no baseline, a case appears twice, or a cost is no finite number >= 0.
    """
    require_columns(predictions, ["case", "group", COST])
    twice = predictions["case"][predictions["case"].duplicated()]
    if len(twice):
        raise UserError(
            f"Predictions: column 'case' must be unique; {len(twice)} of {len(predictions)} rows repeat one, for "
            f"example {twice.iloc[0]!r}."
        )
    baselines = [match["name"] for match in map(_BASELINE.fullmatch, map(str, predictions.columns)) if match]
    if not baselines:
        raise UserError(
            f"Predictions: there is no column '{COST}_baseline_<name>'; a policy is judged beside at least one plain "
            "rule."
        )
    reserved = sorted({MODEL, ORACLE, BEST_BASELINE, "rows"} & set(baselines))
    if reserved:
        raise UserError(f"Predictions: a baseline must not be called '{reserved[0]}'.")
    # Sums of floats depend on their order in the last digit, and the order of the cases says nothing
    frame = predictions.sort_values("case", ignore_index=True)
    columns = {MODEL: "", **{name: f"_baseline_{name}" for name in baselines}, ORACLE: f"_{ORACLE}"}
    return Holdout(
        frame,
        {
            name: numeric_column(frame, f"{COST}{suffix}", minimum=0)
            for name, suffix in columns.items()
            if f"{COST}{suffix}" in frame
        },
        {
            name: frame[f"{CHOICE}{suffix}"].astype(str).to_numpy(dtype=object)
            for name, suffix in columns.items()
            if f"{CHOICE}{suffix}" in frame
        },
        baselines,
        group_codes(frame),
    )
