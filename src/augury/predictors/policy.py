"""Predictors that choose, and are judged by what their choices cost."""

from abc import abstractmethod
from typing import Any

import numpy as np
import pandas as pd

from augury.errors import UserError
from augury.predictors.contract import Predictor

COST = "cost"
CHOICE = "choice"


class PolicyPredictor(Predictor):
    """A predictor whose output is a choice: a codec, a peer, what to fetch ahead.

    Such a predictor is not judged by how often it names the best choice, which is worth nothing where the second best
    costs the same, but by what its choices cost on cases of which the outcome under every choice is known.
    """

    @abstractmethod
    def replay(self, cases: pd.DataFrame, **tables: pd.DataFrame) -> pd.DataFrame:
        """Choose for every case, and look up what that costs.

        Args:
            cases: One row per held-out case, with what is known when the choice is made and what came of every choice.
                The former alone may decide.
            **tables: Further tables, where one row per case cannot say all.

        Returns:
            One row per case in their order: ``cost`` (float, in the predictor's unit of cost, lower is better) and,
            where choices have names, ``choice`` (text).
        """


def replayed(policy: Any, cases: pd.DataFrame, **tables: pd.DataFrame) -> pd.DataFrame:
    """Replay a policy, and check what it says.

    Args:
        policy: A :class:`PolicyPredictor`.
        cases: The held-out cases.
        **tables: Further tables.

    Returns:
        What :meth:`PolicyPredictor.replay` returned, with the cases' index.

    Raises:
        UserError: It has not one row per case, no ``cost``, or a cost that is no finite number >= 0.
    """
    found = policy.replay(cases, **tables)
    family = policy.metadata.family
    if len(found) != len(cases):
        raise UserError(f"The policy '{family}' answers {len(cases):,} cases with {len(found):,} rows.")
    if COST not in found:
        raise UserError(f"The policy '{family}' says no '{COST}', only: {', '.join(map(str, found)) or 'nothing'}.")
    costs = found[COST].to_numpy(dtype=np.float64, na_value=np.nan)
    wrong = ~(np.isfinite(costs) & (costs >= 0))
    if wrong.any():
        row = int(np.flatnonzero(wrong)[0])
        raise UserError(
            f"The policy '{family}': a cost must be a finite number >= 0; {int(wrong.sum()):,} of {len(costs):,} are "
            f"not, for example in row {row}: {costs[row]}."
        )
    return found.set_index(cases.index)
