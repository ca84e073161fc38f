"""Raw table of `food_waste`: one row per purchased item, with what became of it."""

from typing import Any

import pandas as pd

from augury.engines import is_spark
from augury.errors import UserError
from augury.predictors import purchase_columns as pc
from augury.predictors.purchase_values import canonical_schema, read_column, rule_of
from augury.schemas.pandera_import import pa
from augury.schemas.validation import validate_table

NEEDED = tuple(name for name in pc.REQUIRED if name != pc.PURCHASE_ID)
FATES = (pc.OUTCOME, pc.IS_WASTED)


class Purchases:
    """Validator of ``food_waste.purchases``, for frames of any engine.

    It checks whether the cells are of their types, in any spelling that can be read (texts of a CSV file included).
    A table that lacks a required column is let through: its columns may be renamed by ``food_waste.source.columns``,
    which a validator does not see; reading it checks the same after the renaming. Values that make no sense, such as
    negative prices, are the business of ``food_waste.source.invalid``.
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
        names = set(data.columns)
        if not is_spark(data) and data.empty:
            raise UserError(f"{pc.DATASET}: the table has no rows.")
        if names.issuperset(NEEDED) and names.intersection(FATES):
            validate_table(data, _schema(), pc.DATASET)
        return data


def _schema() -> Any:
    return pa.DataFrameSchema(
        {
            name: pa.Column(None, [_readable(name)], nullable=name != pc.PURCHASE_ID, required=False)
            for name in canonical_schema()
        },
        strict=False,
    )


def _readable(column: str) -> Any:
    def check(values: pd.Series) -> pd.Series:
        _, failed = read_column(values, column)
        return pd.Series(~failed, index=values.index)

    return pa.Check(check, error=rule_of(column), ignore_na=True)
