"""Raw tables of `gossip_tuning`: observed rounds of gossip, and states in which every action was played."""

from typing import Any

import numpy as np

from augury.predictors.gossip_states import LEAST_PEERS, MESSAGE_CLASSES
from augury.schemas.pandera_import import pa
from augury.schemas.table_validator import TableValidator
from augury.schemas.validation import validate_table

ROUNDS_DATASET, EVALUATED_DATASET = "gossip_tuning.rounds", "gossip_tuning.evaluated"


class GossipRounds(TableValidator):
    """Validator of ``gossip_tuning.rounds``: rows of the event ``gossip_round``, for frames of any engine."""

    DATASET = ROUNDS_DATASET

    @classmethod
    def check(cls, data: Any) -> None:
        """See :class:`~augury.schemas.table_validator.TableValidator`."""
        validate_table(data, _schema({"ts": _number(0), "propensity": _propensity()}), cls.DATASET)


class EvaluatedStates(TableValidator):
    """Validator of ``gossip_tuning.evaluated``: mean outcomes by state, part of the seeds and action."""

    DATASET = EVALUATED_DATASET

    @classmethod
    def check(cls, data: Any) -> None:
        """See :class:`~augury.schemas.table_validator.TableValidator`."""
        further = {
            "state": pa.Column(None, nullable=False),
            "seeds": pa.Column(
                str, pa.Check.isin(["choice", "judge"], error="must be choice or judge"), nullable=False
            ),
        }
        validate_table(data, _schema(further), cls.DATASET)


def _schema(further: dict[str, Any]) -> Any:
    words = pa.Check.isin(MESSAGE_CLASSES, error=f"must be one of {', '.join(MESSAGE_CLASSES)}", ignore_na=True)
    return pa.DataFrameSchema(
        {
            "network": pa.Column(None, nullable=False),
            "peers": _number(LEAST_PEERS),
            "loss": _number(0, 1),
            "churn": _number(0, 1, required=False),
            "rtt_p50_ms": _number(0),
            "rtt_p95_ms": _number(0, required=False),
            "message_class": pa.Column(str, words, nullable=True, required=False),
            "fanout": _number(1),
            "ttl": _number(1),
            "messages": _number(0, missing=True),
            "coverage": _number(0, 1, missing=True),
            "p95_ms": _number(0, missing=True),
            **further,
        },
        strict=False,
    )


def _number(low: float, high: float | None = None, required: bool = True, missing: bool = False) -> Any:
    rule = f"must be at least {low:g}" if high is None else f"must be from {low:g} to {high:g}"
    check = pa.Check(
        lambda values: (values >= low) & (values <= (np.inf if high is None else high)) & np.isfinite(values),
        error=f"{rule} and finite",
        ignore_na=True,
    )
    return pa.Column(float, check, nullable=missing or not required, required=required, coerce=True)


def _propensity() -> Any:
    check = pa.Check(lambda values: (values > 0) & (values <= 1), error="must be above 0 and at most 1", ignore_na=True)
    return pa.Column(float, check, nullable=True, required=False, coerce=True)
