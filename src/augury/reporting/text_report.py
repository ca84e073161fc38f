"""A report as plain text: the same tables as the page's, aligned for a terminal or a mail."""

import textwrap
from collections.abc import Iterable, Mapping
from typing import Any

from augury.reporting.report_tables import Table

WIDTH = 120


def render_text(content: Mapping[str, Any]) -> str:
    """Write a report's content as text.

    Args:
        content: What :func:`~augury.reporting.report.report_content` returned; plots are left out.

    Returns:
        The text, lines of at most 120 characters but for tables that need more.
    """
    blocks = [_heading(content["title"], "="), content["verdict"]["text"] + "."]
    blocks += ["\n".join(_wrapped(note, "- ") for note in content["notes"])] if content["notes"] else []
    if content["gates"]:
        blocks += [_heading(content["gates_title"]), text_table(content["gates"])]
    facts = dict(content["facts"])
    if content["origin"]:
        facts["Rows"] = ", ".join(f"{entry['count']} {entry['kind']} ({entry['share']})" for entry in content["origin"])
    blocks += [_heading("What was measured"), _pairs(facts)]
    interval = f"In brackets: {content['confidence']} % intervals, which take rows of one group as dependent."
    blocks += [_heading("Metrics"), interval, *(text_table(table) for table in content["metrics"])]
    if content["baselines"]:
        blocks += [_heading("Beside the baselines"), text_table(content["baselines"])]
    blocks += _sections(content, "baselines")
    if content["slices"]:
        blocks += [_heading("By slice"), text_table(content["slices"])]
    blocks += _sections(content, "slices")
    for section in content["details"]:
        if list(section["entries"]) != [""]:
            blocks += [_heading(section["title"]), _pairs(section["entries"])]
    return "\n\n".join(blocks) + "\n"


def _sections(content: Mapping[str, Any], place: str) -> list[str]:
    blocks: list[str] = []
    for section in content["sections"]:
        if section.after == place and section.tables:
            blocks += [_heading(section.title), *([_wrapped(section.note)] if section.note else [])]
            for table in section.tables:
                caption = [f"{table['label']}:"] if table.get("caption") else []
                blocks.append("\n".join([*caption, text_table(table)]))
    return blocks


def text_table(table: Table) -> str:
    """Align a table; what stands below a cell's text in the page follows it in brackets."""
    head = [column["text"] for column in table["columns"]]
    body = [[_cell(cell) for cell in row["cells"]] for row in table["rows"]]
    widths = [max(len(line[index]) for line in [head, *body]) for index in range(len(head))]
    numeric = [column["numeric"] for column in table["columns"]]
    rule = ["-" * width for width in widths]
    return "\n".join(_line(line, widths, numeric) for line in [head, rule, *body])


def _cell(cell: Mapping[str, Any]) -> str:
    text = str(cell["text"]).replace("\u00a0", " ")
    small = f" [{cell['small']}]" if cell["small"] else ""
    return " ".join(f"{text}{small}".split())


def _line(cells: list[str], widths: list[int], numeric: list[bool]) -> str:
    aligned = (
        cell.rjust(width) if right else cell.ljust(width)
        for cell, width, right in zip(cells, widths, numeric, strict=True)
    )
    return "  ".join(aligned).rstrip()


def _pairs(entries: Mapping[str, str]) -> str:
    width = max((len(name) for name in entries), default=0)
    return "\n".join(_wrapped(str(value), f"{name.ljust(width)}  ") for name, value in entries.items())


def _wrapped(text: str, start: str = "") -> str:
    lines = textwrap.wrap(" ".join(text.split()), max(40, WIDTH - len(start))) or [""]
    return "\n".join(_indented(lines, start))


def _indented(lines: list[str], start: str) -> Iterable[str]:
    for number, line in enumerate(lines):
        yield (f"{start}{line}" if number == 0 else " " * len(start) + line).rstrip()


def _heading(text: str, line: str = "-") -> str:
    return f"{text}\n{line * len(text)}"
