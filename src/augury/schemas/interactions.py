"""Raw tables of `recommendation`: one row per interaction of a user with an item, and one per item."""

from typing import Any

import pandas as pd

from augury.engines import is_spark
from augury.predictors import interaction_values as iv
from augury.schemas.pandera_import import pa
from augury.schemas.table_validator import TableValidator
from augury.schemas.validation import validate_table


class Interactions(TableValidator):
    """Validator of ``recommendation.interactions``, for frames of any engine.

    Only ``user_id`` and ``item_id`` are required, and neither may be missing in a row. Both are texts; numbers do, too,
    and become texts without a point.
    """

    DATASET = iv.DATASET
    NEEDED = iv.REQUIRED

    @classmethod
    def check(cls, data: Any) -> None:
        """See :class:`~augury.schemas.table_validator.TableValidator`."""
        validate_table(data, _schema(iv.COLUMNS), cls.DATASET)


class Items(TableValidator):
    """Validator of ``recommendation.items``, for frames of any engine; a table without rows stands for no file."""

    DATASET = iv.ITEMS_DATASET

    @classmethod
    def validate(cls, data: Any) -> Any:
        """See :class:`~augury.schemas.table_validator.TableValidator`."""
        return super().validate(data) if is_spark(data) or len(data) else data

    @classmethod
    def check(cls, data: Any) -> None:
        """See :class:`~augury.schemas.table_validator.TableValidator`."""
        validate_table(data, _schema(iv.ITEM_COLUMNS), cls.DATASET)


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
