"""Raw table of `food_waste`: one row per purchased item, with what became of it."""

from typing import Any

import pandas as pd

from augury.predictors import purchase_columns as pc
from augury.predictors.purchase_values import canonical_schema, read_column, rule_of
from augury.schemas.pandera_import import pa
from augury.schemas.table_validator import TableValidator
from augury.schemas.validation import validate_table

FATES = (pc.OUTCOME, pc.IS_WASTED)


class Purchases(TableValidator):
    """Validator of ``food_waste.purchases``, for frames of any engine.

    It checks whether the cells are of their types, in any spelling that can be read (texts of a CSV file included).
    Values that make no sense, such as negative prices, are the business of ``food_waste.source.invalid``.
    """

    DATASET = pc.DATASET
    NEEDED = tuple(name for name in pc.REQUIRED if name != pc.PURCHASE_ID)

    @classmethod
    def check(cls, data: Any) -> None:
        """See :class:`~augury.schemas.table_validator.TableValidator`."""
        if set(data.columns) & set(FATES):  # as with a column that is needed
            validate_table(data, _schema(), cls.DATASET)


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
