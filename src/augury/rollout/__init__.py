"""Bringing a new model into force step by step: shadow, a growing share, everyone; and out again in one move.

What a predictor says is a hint. Beside every model stands a rule that needs none, and whatever a model does (an
exception, no answer in time, a choice that cannot be), the rule decides instead, and it is counted.
"""

from augury.rollout.rolled_out import Decision, RolledOut
from augury.rollout.state import RolloutFile, RolloutSettings, RolloutState

__all__ = ["Decision", "RolledOut", "RolloutFile", "RolloutSettings", "RolloutState"]
