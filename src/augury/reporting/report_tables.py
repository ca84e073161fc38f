"""Tables of a report, laid out for its template, and whole sections made of any JSON."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from augury.metrics.metrics_mapping import is_number
from augury.reporting.report_layout import Kind, Label, format_interval, format_value, shown

Table = dict[str, Any]
END_SUFFIXES = ("_lower", "_upper")
MOST_ROWS = 60
MOST_ITEMS = 12
LONGEST_WORDS = 60
FULL_ENOUGH = 0.6
"""Of the cells of a table that is made of objects; objects that have less in common are listed value by value."""
# Names of fractions, which are read more easily in percent; an R2 of shares is none, nor is the step of a training
SHARE = re.compile(r"(^|[_ ])(?<!r2[_ ])(?<!learning[_ ])(share|rate)$")


@dataclass(frozen=True)
class Section:
    """A part of a report with tables of its own.

    Attributes:
        title: Its heading.
        tables: What :func:`table_of_rows` and its siblings laid out.
        note: A line below the heading; may be empty.
        after: Behind which part of the page it stands.
    """

    title: str
    tables: list[Table] = field(default_factory=list)
    note: str = ""
    after: Literal["baselines", "slices"] = "slices"


def cell(text: str, *, numeric: bool = False, small: str = "") -> dict[str, Any]:
    """A cell; `small` stands below its text. A sentence gets room to wrap in."""
    sentence = len(text) > LONGEST_WORDS
    return {"text": text, "numeric": numeric and not sentence, "sentence": sentence, "small": small}


def columns(**numeric: bool) -> list[dict[str, Any]]:
    """Headings by name, with whether their column holds numbers."""
    return [{"text": text, "numeric": number} for text, number in numeric.items()]


def table_of_rows(
    label: str,
    rows: list[dict[str, Any]],
    labels: list[Label],
    unit: str,
    *,
    strong_first: bool = False,
) -> Table | None:
    """Lay out rows.

    Args:
        label: Name of the table, for readers that do not see it.
        rows: Rows; the columns are those of the first, without the ends of intervals.
        labels: Which columns are shown, in which order and under which words; without any, all of them. A column
            without any value is left out.
        unit: Fills ``{unit}`` in labels.
        strong_first: Whether the first row stands out.

    Returns:
        The table; None without rows.
    """
    if not rows:
        return None
    names = [name for name in rows[0] if not (name.endswith(END_SUFFIXES) and name.removesuffix(name[-6:]) in rows[0])]
    filled = [name for name in names if any(row.get(name) is not None for row in rows)]
    chosen = shown(filled or names, labels, unit)
    numeric = {item.name: all(not isinstance(row.get(item.name), str) for row in rows) for item in chosen}
    return {
        "label": label,
        "columns": [{"text": item.text, "numeric": numeric[item.name]} for item in chosen],
        "rows": [
            {
                "state": "strong" if strong_first and index == 0 else "",
                "cells": [
                    cell(
                        format_value(row.get(item.name), item.kind),
                        numeric=numeric[item.name],
                        small=format_interval(
                            (row.get(f"{item.name}_lower"), row.get(f"{item.name}_upper")),
                            item.kind,
                            row.get(item.name),
                        ),
                    )
                    for item in chosen
                ],
            }
            for index, row in enumerate(rows)
        ],
    }


def section_of_json(title: str, content: Mapping[str, Any], note: str = "") -> Section:
    """Show any JSON object: what a stage says about its work.

    Args:
        title: Heading of the section.
        content: Values and lists of values go into one table of names and values; an object of objects, or a list of
            objects, is a table of its own, with a row for each; an object of values is one with two columns, and so is
            an object of objects that have little in common.
        note: A line below the heading.

    Returns:
        The section; a table shows its first 60 rows.
    """
    plain = {name: value for name, value in content.items() if not _is_nested(value)}
    tables = [_table_of_values("in all", plain)] if plain else []
    for name, value in content.items():
        if _is_nested(value) and value:
            tables.append(_nested_table(_words(name), value))
    return Section(title, tables, note)


def _is_nested(value: Any) -> bool:
    return isinstance(value, Mapping) or (isinstance(value, list) and any(isinstance(item, Mapping) for item in value))


def _nested_table(name: str, value: Any) -> Table:
    if isinstance(value, Mapping):
        if not any(isinstance(inner, Mapping) for inner in value.values()):
            return _table_of_values(name, value)
        rows = [{name: str(key), **_flat_row(inner)} for key, inner in value.items()]
        if sum(len(row) - 1 for row in rows) < FULL_ENOUGH * len(rows) * (len(set().union(*rows)) - 1):
            return _table_of_values(name, _flat_row(value))
    else:
        rows = [_flat_row(item) for item in value]
    names = list(dict.fromkeys(column for row in rows for column in row))
    complete = [{column: row.get(column) for column in names} for row in rows[:MOST_ROWS]]
    labels = [
        Label(re.escape(column), _braced(_words(column)), _kind(column, [row[column] for row in complete]))
        for column in names
    ]
    table = table_of_rows(_counted(name, len(rows)), complete, labels, "")
    assert table is not None
    # The first column of an object of objects is named after it already
    return table | {"caption": not isinstance(value, Mapping)}


def _flat_row(item: Any, path: str = "") -> dict[str, Any]:
    if not isinstance(item, Mapping):
        return {path or "value": _plain(item)}
    found: dict[str, Any] = {}
    for key, value in item.items():
        name = f"{path} {key}" if path else str(key)
        found |= _flat_row(value, name) if isinstance(value, Mapping) else {name: _plain(value)}
    return found


def _table_of_values(name: str, values: Mapping[str, Any]) -> Table:
    pairs = list(values.items())
    return {
        "label": _counted(name, len(pairs)),
        "columns": [{"text": _counted(name, len(pairs)), "numeric": False}, {"text": "value", "numeric": True}],
        "rows": [
            {
                "state": "",
                "cells": [
                    cell(_words(str(key))),
                    cell(format_value(_plain(value), _kind(str(key), [value])), numeric=True),
                ],
            }
            for key, value in pairs[:MOST_ROWS]
        ],
    }


def _kind(name: str, values: list[Any]) -> Kind:
    fractions = all(value is None or (isinstance(value, float) and 0 <= value <= 1) for value in values)
    return "share" if fractions and SHARE.search(name) else "number"


def _braced(text: str) -> str:
    """Text as a label takes it literally."""
    return text.replace("{", "{{").replace("}", "}}")


def _counted(name: str, rows: int) -> str:
    return name if rows <= MOST_ROWS else f"{name} (first {MOST_ROWS} of {rows:,})"


def _words(name: str) -> str:
    return name.replace("_", " ")


def _plain(value: Any) -> Any:
    """A value as a cell shows it: numbers and None stay what they are."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return _listed(value) if value else "none"
    if isinstance(value, Mapping):
        return ", ".join(f"{_words(str(key))} {format_value(_plain(inner))}" for key, inner in value.items()) or "none"
    return value if value is None or is_number(value) else str(value)


def _listed(items: Iterable[Any]) -> str:
    texts = [format_value(_plain(item)) for item in items]
    more = len(texts) - MOST_ITEMS
    between = "; " if any(", " in text for text in texts) else ", "
    return between.join(texts[:MOST_ITEMS]) + (f" and {more} more" if more > 0 else "")
