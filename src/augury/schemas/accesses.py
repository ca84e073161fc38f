"""Raw table of `prefetch`: one row per access of a block, with its object and position, or with a block's number."""

from typing import Any

from augury.engines import is_spark
from augury.errors import UserError
from augury.predictors.access_columns import DATASET, WHOLE, refuse_fractions


class Accesses:
    """Validator of ``prefetch.accesses``, for frames of any engine.

    A table whose columns have other names is let through where ``prefetch.source.columns`` may rename them: reading it
    checks the same again after the renaming.
    """

    @staticmethod
    def validate(data: Any) -> Any:
        """Check the table.

        Args:
            data: pandas or Spark frame.

        Returns:
            The frame, as it was.

        Raises:
            UserError: It has no rows, or an id, position or size is no whole number.
        """
        if not is_spark(data) and data.empty:
            raise UserError(f"{DATASET}: the table has no rows.")
        if not is_spark(data):
            for name in WHOLE:
                if name in data:
                    refuse_fractions(data[name], f"{DATASET}: column '{name}'")
        return data
