"""Validate a raw table with Pandera, on pandas or Spark, and say what is wrong in words."""

from typing import Any

import pandas as pd

from augury.engines import failing_batches
from augury.errors import UserError
from augury.parameters import near_matches

EXAMPLES = 3
REPORT_COLUMNS = ("column", "rule", "value")
WHOLE_ROW = "(row)"


def validate_table(frame: Any, schema: Any, dataset: str) -> None:
    """Check a raw table.

    Args:
        frame: pandas or Spark frame, with rows.
        schema: ``pandera.pandas.DataFrameSchema``; only its row-wise checks are run on Spark, partition by partition.
        dataset: Name for the message.

    Raises:
        UserError: One line per broken rule: column, rule, number of rows, examples.
    """
    names = list(frame.columns)
    missing = [name for name, column in schema.columns.items() if column.required and name not in names]
    if missing:
        hints = "; ".join(f"'{name}' ({near_matches(name, names)})" for name in missing)
        raise UserError(f"{dataset}: required column missing: {hints}")
    report = failing_batches(frame, lambda batch: _failures(batch, schema), REPORT_COLUMNS)
    if len(report):
        raise UserError(f"{dataset} breaks its schema:\n" + "\n".join(_lines(report)))


def _failures(batch: pd.DataFrame, schema: Any) -> pd.DataFrame:
    from pandera.errors import SchemaErrors

    batch = batch.reset_index(drop=True)
    try:
        schema.validate(batch, lazy=True)
    except SchemaErrors as error:
        cases = error.failure_cases
        whole_row = cases["schema_context"] == "DataFrameSchema"
        return pd.concat([_column_failures(cases[~whole_row]), _row_failures(cases[whole_row], batch)])
    return pd.DataFrame(columns=list(REPORT_COLUMNS), dtype="object")


def _column_failures(cases: pd.DataFrame) -> pd.DataFrame:
    # Pandera lists them in no order that a reader would expect
    cases = cases.sort_values("index", key=lambda index: pd.to_numeric(index, errors="coerce"), kind="stable")
    rule = cases["check"].astype(str)
    values = cases["failure_case"].map(lambda value: "missing" if pd.isna(value) else repr(value))
    report = pd.DataFrame({"column": cases["column"].astype(str), "rule": rule, "value": values})
    coerced = rule.str.startswith("coerce_dtype")
    # Where a column is not of its type, its other checks can only stumble over the same cells
    report = report[coerced | ~report["column"].isin(report.loc[coerced, "column"])]
    # A whole-column dtype failure is reported beside its cells; the cells say more
    cells = ~report["rule"].str.startswith("dtype(")
    return report[cells] if cells.any() else report


def _row_failures(cases: pd.DataFrame, batch: pd.DataFrame) -> pd.DataFrame:
    """Count each row once, named by its first column: Pandera lists a rule about whole rows once per column."""
    once = cases.drop_duplicates(["check", "index"]).sort_values("index")
    first = batch.columns[0]
    values = [f"{first} {batch.at[index, first]!r}" for index in once["index"]]
    return pd.DataFrame({"column": WHOLE_ROW, "rule": once["check"].astype(str).to_numpy(), "value": values})


def _lines(report: pd.DataFrame) -> list[str]:
    lines = []
    for (column, rule), cases in report.groupby(["column", "rule"], sort=False)["value"]:
        examples = ", ".join(cases.drop_duplicates().head(EXAMPLES))
        # A rule about whole rows names its columns itself
        where = "" if column == WHOLE_ROW else f"column '{column}': "
        lines.append(f"- {where}{_words(str(rule))}: {len(cases)} row(s), for example {examples}")
    return lines


def _words(rule: str) -> str:
    """Pandera's name of a check in plain words."""
    if rule.startswith("coerce_dtype") or rule.startswith("dtype"):
        return f"must be {_type_name(rule)}"
    if rule == "not_nullable":
        return "must not be missing"
    return rule


def _type_name(rule: str) -> str:
    return "a number" if "float" in rule or "int" in rule else "text"
