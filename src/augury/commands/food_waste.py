"""`python -m augury predict food_waste FILE`: will these items be wasted, and if so in how many days?"""

import io
import json
from pathlib import Path
from typing import Any

import click
import pandas as pd

from augury.errors import UserError
from augury.parameters import near_matches
from augury.predictors import purchase_columns as columns
from augury.predictors.food_waste import WastePredictor

TEXTS = (columns.PURCHASE_ID, columns.HOUSEHOLD_ID, columns.CATEGORY)
"""What stays text, even if it looks like a number."""

SHOWN = 24
"""Characters of an identifier in the table."""


@click.command()
@click.argument("file", default="-", type=click.Path(exists=True, dir_okay=False, allow_dash=True))
@click.option(
    "--operating-point", help="Threshold to use: half, confident, f1_optimal.  [default: the predictor's own]"
)
@click.option(
    "--model",
    default="data/06_models/food_waste",
    show_default=True,
    type=click.Path(path_type=Path),
    help="Folder of the trained predictor.",
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object per item instead of a table.")
def command(file: str, operating_point: str | None, model: Path, as_json: bool) -> None:
    """Predict what becomes of the items of FILE: CSV, Parquet or JSON; CSV or JSON on standard input."""
    items = _read(file)
    if not len(items):
        raise UserError(f"There is no item in {_name(file)}.")
    predictor = WastePredictor.load(model, "food_waste")
    point = operating_point or predictor.specification.operating_point
    if point not in predictor.operating_points:
        raise UserError(
            f"There is no operating point '{point}'. {near_matches(point, predictor.operating_points)}"
        )  # fmt: skip
    threshold = predictor.operating_points[point]
    found = predictor.predict(items)
    found["is_wasted"] = found["probability"] >= threshold
    answers = [_answer(number, item, found.iloc[number]) for number, item in enumerate(items.to_dict(orient="records"))]
    if as_json:
        for answer in answers:
            click.echo(json.dumps({**answer, "operating_point": point, "threshold": threshold}))
        return
    wasted = int(found["is_wasted"].sum())
    click.echo("\n".join(_table(answers)))
    click.echo(f"\n{wasted} of {len(answers)} are likely to be wasted (probability >= {threshold:.3f}, {point})")


def _name(file: str) -> str:
    return "the standard input" if file == "-" else f"'{file}'"


def _read(file: str) -> pd.DataFrame:
    with click.open_file(file, "rb") as stream:
        content: bytes = stream.read()
    suffix = Path(file).suffix.lower()
    try:
        if suffix in (".parquet", ".pq"):
            table = pd.read_parquet(io.BytesIO(content))
        elif suffix in (".json", ".jsonl") or (file == "-" and content.lstrip()[:1] in (b"[", b"{")):
            table = pd.DataFrame(_records(content.decode("utf-8-sig")))
        else:
            types: Any = dict.fromkeys(TEXTS, str)
            table = (
                pd.read_csv(io.BytesIO(content), dtype=types, encoding="utf-8-sig")
                if content.strip()
                else pd.DataFrame()
            )
    except (ValueError, OSError) as error:  # of JSON, of UTF-8, of pandas, of Arrow
        raise UserError(f"{_name(file)} cannot be read: {str(error).splitlines()[0]}") from None
    for name in TEXTS:
        if name in table:
            present = table[name].notna()
            table[name] = table[name].astype(object).where(~present, table[name].astype(str))
    return table.reset_index(drop=True)


def _records(text: str) -> list[Any]:
    """A list of objects, one object, or one object per line."""
    try:
        found = json.loads(text)
    except json.JSONDecodeError:
        found = [json.loads(line) for line in text.splitlines() if line.strip()]
    return found if isinstance(found, list) else [found]


def _answer(number: int, item: dict[Any, Any], found: pd.Series) -> dict[str, Any]:
    """Everything that is said about one item."""
    days = {name: float(found[name]) for name in ("days_to_waste", "days_lower", "days_upper")}
    return {
        "item": item.get(columns.PURCHASE_ID) or str(number + 1),
        columns.HOUSEHOLD_ID: item[columns.HOUSEHOLD_ID],
        columns.CATEGORY: item[columns.CATEGORY],
        columns.PURCHASED_AT: str(item[columns.PURCHASED_AT]),
        "probability": float(found["probability"]),
        "is_wasted": bool(found["is_wasted"]),
        **{name: None if value != value else value for name, value in days.items()},
    }


def _table(answers: list[dict[str, Any]]) -> list[str]:
    heads = ("item", "household", "category", "bought", "P(waste)", "wasted?", "days if wasted")
    rows = [
        (
            *(
                str(answer[name])[:SHOWN]
                for name in ("item", columns.HOUSEHOLD_ID, columns.CATEGORY, columns.PURCHASED_AT)
            ),
            f"{answer['probability']:.3f}",
            "likely" if answer["is_wasted"] else "-",
            _days(answer),
        )
        for answer in answers
    ]
    widths = [max(len(row[place]) for row in (heads, *rows)) for place in range(len(heads))]
    return [
        "  ".join(text.rjust(width) if place >= 4 else text.ljust(width) for place, (text, width) in enumerate(cells))
        for cells in (list(zip(row, widths, strict=True)) for row in (heads, *rows))
    ]


def _days(answer: dict[str, Any]) -> str:
    if answer["days_to_waste"] is None:
        return "unknown"
    return f"{answer['days_to_waste']:.1f} ({answer['days_lower']:.1f} to {answer['days_upper']:.1f})"
