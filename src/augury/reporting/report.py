"""The report of a judged model: one HTML page that needs nothing else, whatever the task.

What differs between tasks (which metrics and columns, under which words) is in ``report_layout``.
"""

import base64
import hashlib
import html
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from itertools import pairwise
from typing import Any

from augury.metrics.metrics_mapping import INTERVALS, NESTED
from augury.reporting.layouts import layout_of
from augury.reporting.report_layout import (
    Layout,
    flat,
    format_interval,
    format_value,
    shown,
)
from augury.reporting.report_tables import Section, Table, cell, columns, table_of_rows

MOST_METRICS = 16
"""In a table of metrics; a longer one is divided."""


@dataclass(frozen=True)
class Outcome:
    """How the outcome of a gate is shown."""

    state: str
    mark: str
    text: str


OUTCOMES = {
    "pass": Outcome("", "✓", "pass"),
    "fail": Outcome("failed", "✗", "FAIL"),
    "inconclusive": Outcome("open", "?", "INCONCLUSIVE"),
}


def outcome(gate: Mapping[str, Any]) -> str:
    """The verdict of a judged gate: pass, fail or inconclusive; limits that know but two are shown as those."""
    return str(gate.get("verdict") or ("pass" if gate["passed"] else "fail"))


def report_content(
    title: str,
    metrics: dict[str, Any],
    gates: list[dict[str, Any]],
    baselines: list[dict[str, Any]],
    slices: list[dict[str, Any]],
    metadata: dict[str, Any],
    notes: list[str],
    sections: Sequence[Section] = (),
    gate_word: str = "gate",
) -> dict[str, Any]:
    """Lay out all of a report but its plots.

    Args:
        title: The report's title.
        metrics: A metrics mapping.
        gates: What ``judge`` returned.
        baselines: Rows of a table, the model first; ``x_lower`` and ``x_upper`` are shown as the
            interval of ``x``. May be empty.
        slices: Rows of a table, in the same form. May be empty.
        metadata: The predictor's metadata as JSON; ``task`` chooses the layout. A key that is
            missing is shown as unknown.
        notes: What else the reader should know, a sentence each.
        sections: Further tables.
        gate_word: What the report calls a gate.

    Returns:
        Part of the report -> what it shows; for :func:`render_page` and
        :func:`~augury.reporting.text_report.render_text`.
    """
    layout = layout_of(str(metadata.get("task") or ""))
    unit = str(metrics.get("unit") or "")
    return {
        "title": title,
        "verdict": _verdict(gates, gate_word),
        "tiles": _tiles(metrics, layout, unit),
        "notes": [*_data_notes(metadata), *notes],
        "facts": _facts(metrics, metadata),
        "origin": _origin(metadata),
        "gates": _gate_table(gates, gate_word),
        "gates_title": f"{gate_word}s".capitalize(),
        "metrics": _metric_tables(metrics, layout, unit),
        "confidence": f"{100 * float(metrics.get('confidence') or 0.95):g}",
        "baselines": table_of_rows("Baselines", baselines, layout.baselines, unit, strong_first=True),
        "slices": table_of_rows("Slices", _named_slices(slices), layout.slices, unit),
        "sections": sections,
        "details": _details(metadata),
    }


def render_page(content: Mapping[str, Any], plots: dict[str, Any]) -> str:
    """Write a report as a page.

    Args:
        content: What :func:`report_content` returned.
        plots: Title -> plotly figure, in the order of the page; one without anything drawn in it is left out.

    Returns:
        A self-contained HTML page: styles, scripts and plotly.js are within it, nothing is loaded.
        Everything that comes from data is escaped, and the page's own policy forbids all scripts
        but its two.
    """
    import jinja2

    drawn = [plot for plot in (_plot(name, figure) for name, figure in plots.items()) if plot is not None]
    script = _resource("report_script.js")
    scripts = [_plotly_js(), script] if drawn else []
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    return environment.from_string(_resource("report_template.html")).render(
        **content,
        plots=drawn,
        script_hashes=" ".join(f"'sha256-{_sha256(text)}'" for text in scripts) or "'none'",
        scripts=scripts,
    )


def render_report(
    title: str,
    metrics: dict[str, Any],
    gates: list[dict[str, Any]],
    baselines: list[dict[str, Any]],
    slices: list[dict[str, Any]],
    plots: dict[str, Any],
    metadata: dict[str, Any],
    notes: list[str],
    sections: Sequence[Section] = (),
    gate_word: str = "gate",
) -> str:
    """Lay out a report and write it as a page; see :func:`report_content` and :func:`render_page`."""
    content = report_content(title, metrics, gates, baselines, slices, metadata, notes, sections, gate_word)
    return render_page(content, plots)


def titled(parts: Mapping[str, Any], prefix: str, titles: Mapping[str, str]) -> dict[str, Any]:
    """Give the parts of a report their titles.

    Args:
        parts: Name -> part; those whose name begins with the prefix are taken.
        prefix: For example ``plot_``.
        titles: Name without the prefix -> title, in the order of the page.

    Returns:
        Title -> part: those that `titles` names first, in its order; then the others under their own names.
    """
    given = {name.removeprefix(prefix): part for name, part in parts.items() if name.startswith(prefix)}
    order = [*(name for name in titles if name in given), *(name for name in given if name not in titles)]
    return {titles.get(name, name.replace("_", " ").capitalize()): given[name] for name in order}


def _resource(name: str) -> str:
    return resources.files(__package__ or "").joinpath(name).read_text(encoding="utf-8")


def _plotly_js() -> str:
    from plotly.offline import get_plotlyjs

    return str(get_plotlyjs())


def _sha256(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _verdict(gates: list[dict[str, Any]], word: str) -> dict[str, str]:
    failed, unsure = ([row["metric"] for row in gates if outcome(row) == kind] for kind in ("fail", "inconclusive"))
    if not gates:
        return {"state": "open", "mark": "?", "text": f"Not judged: no {word}s were set"}
    sentences = []
    if failed:
        sentences.append(f"{len(failed)} of {len(gates)} {word}s failed: {', '.join(failed)}")
    if unsure:
        sentences.append(f"{len(unsure)} of {len(gates)} {word}s inconclusive, too few rows: {', '.join(unsure)}")
    if sentences:
        state, mark = ("failed", "✗") if failed else ("open", "?")
        return {"state": state, "mark": mark, "text": "; ".join(sentences)}
    text = f"The {word} is met" if len(gates) == 1 else f"All {len(gates)} {word}s are met"
    return {"state": "passed", "mark": "✓", "text": text}


def _tiles(metrics: Mapping[str, Any], layout: Layout, unit: str) -> list[dict[str, str]]:
    intervals = metrics.get(INTERVALS) or {}
    return [
        {
            "label": item.headline,
            "value": format_value(metrics[item.name], item.kind),
            "interval": format_interval(intervals.get(item.name), item.kind, metrics[item.name]),
        }
        for item in shown(_metric_names(metrics), layout.metrics, unit)
        if item.headline
    ]


def _metric_names(metrics: Mapping[str, Any]) -> list[str]:
    return [name for name in metrics if name not in NESTED]


def _data_notes(metadata: Mapping[str, Any]) -> list[str]:
    counts = dict((metadata.get("data") or {}).get("origin") or {})
    simulated, total = counts.get("simulated", 0), sum(counts.values())
    if not simulated:
        return []
    share = format_value(simulated / total, "share")
    return [f"{share} of the training rows are simulated, not measured."]


def _facts(metrics: Mapping[str, Any], metadata: Mapping[str, Any]) -> list[tuple[str, str]]:
    data = metadata.get("data") or {}
    commit = metadata.get("git_commit")
    entries = {
        "Predictor": metadata.get("predictor"),
        "Task": metadata.get("task"),
        "Model family": metadata.get("family"),
        "Training rows": metrics.get("n_train", data.get("rows")),
        "Training groups": metrics.get("n_train_groups", data.get("groups")),
        "Held-out rows": metrics.get("n_test"),
        "Held-out groups": metrics.get("n_test_groups"),
        "Data fingerprint": data.get("fingerprint"),
        "Trained at": metadata.get("created_at"),
        "Git commit": commit,
    }
    facts = [(name, "unknown" if value is None else format_value(value)) for name, value in entries.items()]
    return [*facts, ("Seed", str(metrics.get("seed", metadata.get("seed", "unknown"))))]


def _origin(metadata: Mapping[str, Any]) -> list[dict[str, str]]:
    counts = dict((metadata.get("data") or {}).get("origin") or {})
    total = sum(counts.values()) or 1
    return [
        {
            "kind": str(kind),
            "count": format_value(count),
            "share": format_value(count / total, "share"),
        }
        for kind, count in counts.items()
    ]


def _gate_table(gates: list[dict[str, Any]], word: str) -> Table | None:
    if not gates:
        return None
    rows = [
        {
            "state": OUTCOMES[outcome(row)].state,
            "cells": [
                cell(f"{OUTCOMES[outcome(row)].mark}\u00a0{row['metric']}", small=OUTCOMES[outcome(row)].text),
                cell(
                    format_value(row["value"]),
                    numeric=True,
                    small=format_interval((row["lower"], row["upper"]), "number", row["value"]),
                ),
                cell(row["rule"], small=row.get("reason", "")),
            ],
        }
        for row in gates
    ]
    return {"label": "Gates", "columns": columns(**{word: False, "value": True, "rule": False}), "rows": rows}


def _metric_tables(metrics: Mapping[str, Any], layout: Layout, unit: str) -> list[Table]:
    intervals = metrics.get(INTERVALS) or {}
    sections: dict[str, list[dict[str, Any]]] = {}
    for item in shown(_metric_names(metrics), layout.metrics, unit):
        value = metrics[item.name]
        interval = format_interval(intervals.get(item.name), item.kind, value)
        cells = [
            cell(item.text),
            cell(format_value(value, item.kind), numeric=True, small=interval),
        ]
        sections.setdefault(item.section, []).append({"state": "", "cells": cells})
    return [
        {"label": title, "columns": columns(**{title: False, "value": True}), "rows": part}
        for section, rows in sections.items()
        for title, part in _parts(section, rows)
    ]


def _parts(title: str, rows: list[dict[str, Any]]) -> list[tuple[str, list[dict[str, Any]]]]:
    """Divide a long table into parts of about equal length, which stand beside each other."""
    count = -(-len(rows) // MOST_METRICS)
    if count < 2:
        return [(title, rows)]
    bounds = [len(rows) * part // count for part in range(count + 1)]
    return [
        (f"{title}, {part + 1} of {count}", rows[start:stop]) for part, (start, stop) in enumerate(pairwise(bounds))
    ]


def _named_slices(slices: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Put column and value into one cell, which stays in sight when the table scrolls."""
    return [
        {"slice": f"{row['slice']} = {row['value']}"}
        | {name: value for name, value in row.items() if name not in ("slice", "value")}
        for row in slices
    ]


def _details(metadata: Mapping[str, Any]) -> list[dict[str, Any]]:
    features = [str(name) for name in metadata.get("features") or []]
    sections = [
        ("Model parameters", flat(metadata.get("parameters") or {})),
        ("Library versions", flat(metadata.get("versions") or {})),
        (f"Features ({len(features)})", {"": ", ".join(features)} if features else {}),
    ]
    return [{"title": title, "entries": entries} for title, entries in sections if entries]


def _plot(title: str, figure: Any) -> dict[str, str] | None:
    """Take a figure apart: the page writes its title and note, which then wrap on a phone; None for an empty one."""
    tree = json.loads(figure.to_json() if hasattr(figure, "to_json") else json.dumps(figure))
    if not tree.get("data"):
        return None
    layout = tree.setdefault("layout", {})
    heading = layout.pop("title", None) or {}
    note = heading.get("subtitle") or {} if isinstance(heading, dict) else {}
    # A finger that moves over the plot scrolls the page.
    layout |= {"dragmode": False, "margin": {**(layout.get("margin") or {}), "t": 16}}
    content = json.dumps({"data": tree["data"], "layout": layout}, ensure_ascii=True)
    for character in "<>&":
        content = content.replace(character, f"\\u{ord(character):04x}")
    return {
        "title": title,
        # Plots need escaped text, and the template escapes again.
        "note": html.unescape(note.get("text") or ""),
        "content": content,
        "height": str(int(layout.get("height") or 400) - 48),
    }
