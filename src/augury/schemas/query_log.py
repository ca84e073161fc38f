"""Raw table of `query_cost`: one row per query that ran, in any shape in which Trino users have their log."""

from typing import Any

import pandas as pd

from augury.engines import failing_batches, is_spark
from augury.errors import UserError
from augury.predictors.query_shapes import DATASET, read_shape, refusal, to_canonical
from augury.schemas.table_validator import TableValidator

REPORT_COLUMNS = ("column", "rule", "rows", "examples")


class QueryLog(TableValidator):
    """Validator of ``query_cost.query_log``, for frames of any engine.

    Required are the text of the queries and their time, under any of the names that
    :mod:`augury.predictors.query_shapes` knows; every other column may be left out. Whether the log says what queries
    cost is checked where a model is to be trained.
    """

    DATASET = DATASET

    @classmethod
    def check(cls, data: Any) -> None:
        """See :class:`~augury.schemas.table_validator.TableValidator`."""
        # Whether plain numbers are seconds is a parameter, which a validator does not see: any unit will do here
        shape = read_shape(list(data.columns), duration_unit="seconds")

        def check(batch: pd.DataFrame) -> pd.DataFrame:
            _, problems = to_canonical(batch, shape)
            return pd.DataFrame(problems.found, columns=list(REPORT_COLUMNS)).astype(str)

        needed = data[list(shape.needed)] if not is_spark(data) else data.select(*shape.needed)
        report = failing_batches(needed, check, REPORT_COLUMNS)
        if len(report):
            report = report.astype({"rows": int})
            raise UserError(refusal(report[list(REPORT_COLUMNS)].itertuples(index=False, name=None)))
