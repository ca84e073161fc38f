"""Raw tables of `recommendation`: one row per interaction of a user with an item, and one per item."""

from typing import Any

import pandas as pd

from augury.engines import is_spark
from augury.errors import UserError
from augury.predictors import interaction_values as iv
from augury.schemas.pandera_import import pa
from augury.schemas.validation import validate_table


class Interactions:
    """Validator of ``recommendation.interactions``, for frames of any engine.

    Only ``user_id`` and ``item_id`` are required, and neither may be missing in a row. Both are texts; numbers do, too,
    and become texts without a point. A table that lacks one of the two is let through: its columns may be renamed by
    ``recommendation.source.columns``, which a validator does not see; reading it checks the same after the renaming.
    """

    @staticmethod
    def validate(data: Any) -> Any:
        """Check the table.

        Args:
            data: pandas or Spark frame.

        Returns:
            The frame, as it was.

        Raises:
            UserError: See :func:`augury.schemas.validation.validate_table`.
        """
        if not is_spark(data) and data.empty:
            raise UserError(f"{iv.DATASET}: the table has no rows.")
        if set(data.columns).issuperset(iv.REQUIRED):
            validate_table(data, _schema(iv.COLUMNS), iv.DATASET)
        return data


class Items:
    """Validator of ``recommendation.items``, for frames of any engine; a table without rows stands for no file."""

    @staticmethod
    def validate(data: Any) -> Any:
        """Check the table.

        Args:
            data: pandas or Spark frame.

        Returns:
            The frame, as it was.

        Raises:
            UserError: See :func:`augury.schemas.validation.validate_table`.
        """
        if is_spark(data) or len(data):
            validate_table(data, _schema(iv.ITEM_COLUMNS), iv.ITEMS_DATASET)
        return data


def _schema(columns: Any) -> Any:
    return pa.DataFrameSchema(
        {
            name: pa.Column(
                None,
                [_readable(name)],
                nullable=name not in iv.REQUIRED,
                required=name == iv.ITEM_ID,
            )
            for name in columns
        },
        checks=[_not_blank(name) for name in iv.REQUIRED if name in columns],
        strict=False,
    )


def _readable(column: str) -> Any:
    def check(values: pd.Series) -> pd.Series:
        _, failed = iv.read_column(values, column)
        return pd.Series(~failed, index=values.index)

    return pa.Check(check, error=iv.RULES.get(column, "must be text"), ignore_na=True)


def _not_blank(column: str) -> Any:
    """A blank text identifies nobody; Pandera takes it for a value."""

    def check(values: pd.DataFrame) -> pd.Series:
        texts = values[column]
        if texts.dtype.kind in "iuf":
            return pd.Series(True, index=values.index)
        blank = texts.map(lambda text: isinstance(text, str) and not text.strip()).astype(bool)
        return ~blank

    return pa.Check(check, error=f"column '{column}': must not be blank")
