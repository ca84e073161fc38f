"""Raw table of `prefetch`: one row per access of a block, with its object and position, or with a block's number."""

from typing import Any

from augury.engines import is_spark
from augury.predictors.access_columns import DATASET, WHOLE, refuse_fractions
from augury.schemas.table_validator import TableValidator


class Accesses(TableValidator):
    """Validator of ``prefetch.accesses``: ids, positions and sizes are whole numbers.

    Columns may have other names (``prefetch.source.columns``), so nothing is required here; reading checks again.
    """

    DATASET = DATASET

    @classmethod
    def check(cls, data: Any) -> None:
        """See :class:`~augury.schemas.table_validator.TableValidator`."""
        if not is_spark(data):
            for name in WHOLE:
                if name in data:
                    refuse_fractions(data[name], f"{DATASET}: column '{name}'")
