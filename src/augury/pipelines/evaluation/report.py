"""The report of a judged model: one HTML page that needs nothing else, whatever the task.

What differs between tasks (which metrics and columns, under which words) is in ``report_layout``.
"""

import base64
import hashlib
import html
import json
from collections.abc import Mapping
from importlib import resources
from typing import Any

from augury.pipelines.evaluation.metrics_mapping import INTERVALS
from augury.pipelines.evaluation.report_layout import (
    Label,
    Layout,
    flat,
    format_interval,
    format_value,
    layout_of,
    shown,
)

Table = dict[str, Any]
END_SUFFIXES = ("_lower", "_upper")


def render_report(
    title: str,
    metrics: dict[str, Any],
    gates: list[dict[str, Any]],
    baselines: list[dict[str, Any]],
    slices: list[dict[str, Any]],
    plots: dict[str, Any],
    metadata: dict[str, Any],
    notes: list[str],
) -> str:
    """Write the report.

    Args:
        title: The page's title.
        metrics: A metrics mapping.
        gates: What ``judge`` returned.
        baselines: Rows of a table, the model first; ``x_lower`` and ``x_upper`` are shown as the
            interval of ``x``. May be empty.
        slices: Rows of a table, in the same form. May be empty.
        plots: Title -> plotly figure, in the order of the page.
        metadata: The predictor's metadata as JSON; ``task`` chooses the layout. A key that is
            missing is shown as unknown.
        notes: What else the reader should know, a sentence each.

    Returns:
        A self-contained HTML page: styles, scripts and plotly.js are within it, nothing is loaded.
        Everything that comes from data is escaped, and the page's own policy forbids all scripts
        but its two.
    """
    import jinja2

    layout = layout_of(str(metadata.get("task") or ""))
    unit = str(metrics.get("unit") or "")
    script = _resource("report_script.js")
    scripts = [_plotly_js(), script] if plots else []
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    return environment.from_string(_resource("report_template.html")).render(
        title=title,
        verdict=_verdict(gates),
        tiles=_tiles(metrics, layout, unit),
        notes=[*_data_notes(metadata), *notes],
        facts=_facts(metrics, metadata),
        origin=_origin(metadata),
        gates=_gate_table(gates),
        metrics=_metric_tables(metrics, layout, unit),
        confidence=f"{100 * float(metrics.get('confidence') or 0.95):g}",
        baselines=_table("Baselines", baselines, layout.baselines, unit, strong_first=True),
        slices=_table("Slices", _named_slices(slices), layout.slices, unit),
        plots=[_plot(name, figure) for name, figure in plots.items()],
        details=_details(metadata),
        script_hashes=" ".join(f"'sha256-{_sha256(text)}'" for text in scripts) or "'none'",
        scripts=scripts,
    )


def _resource(name: str) -> str:
    return resources.files(__package__ or "").joinpath(name).read_text(encoding="utf-8")


def _plotly_js() -> str:
    from plotly.offline import get_plotlyjs

    return str(get_plotlyjs())


def _sha256(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _verdict(gates: list[dict[str, Any]]) -> dict[str, str]:
    failed = [row["metric"] for row in gates if not row["passed"]]
    if not gates:
        return {"state": "open", "mark": "?", "text": "Not judged: no gates were set"}
    if failed:
        text = f"{len(failed)} of {len(gates)} gates failed: {', '.join(failed)}"
        return {"state": "failed", "mark": "✗", "text": text}
    text = "The gate is met" if len(gates) == 1 else f"All {len(gates)} gates are met"
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
    return [name for name in metrics if name != INTERVALS]


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


def _cell(text: str, *, numeric: bool = False, small: str = "") -> dict[str, Any]:
    return {"text": text, "numeric": numeric, "small": small}


def _columns(**numeric: bool) -> list[dict[str, Any]]:
    return [{"text": text, "numeric": number} for text, number in numeric.items()]


def _gate_table(gates: list[dict[str, Any]]) -> Table | None:
    if not gates:
        return None
    rows = [
        {
            "state": "" if row["passed"] else "failed",
            "cells": [
                _cell(
                    f"{'✓' if row['passed'] else '✗'}\u00a0{row['metric']}",
                    small="pass" if row["passed"] else "FAIL",
                ),
                _cell(
                    format_value(row["value"]),
                    numeric=True,
                    small=format_interval((row["lower"], row["upper"]), "number", row["value"]),
                ),
                _cell(row["rule"]),
            ],
        }
        for row in gates
    ]
    columns = _columns(gate=False, value=True, rule=False)
    return {"label": "Gates", "columns": columns, "rows": rows}


def _metric_tables(metrics: Mapping[str, Any], layout: Layout, unit: str) -> list[Table]:
    intervals = metrics.get(INTERVALS) or {}
    sections: dict[str, list[dict[str, Any]]] = {}
    for item in shown(_metric_names(metrics), layout.metrics, unit):
        value = metrics[item.name]
        interval = format_interval(intervals.get(item.name), item.kind, value)
        cells = [
            _cell(item.text),
            _cell(format_value(value, item.kind), numeric=True, small=interval),
        ]
        sections.setdefault(item.section, []).append({"state": "", "cells": cells})
    return [
        {"label": section, "columns": _columns(**{section: False, "value": True}), "rows": rows}
        for section, rows in sections.items()
    ]


def _table(
    label: str,
    rows: list[dict[str, Any]],
    labels: list[Label],
    unit: str,
    *,
    strong_first: bool = False,
) -> Table | None:
    """Lay out rows; the columns are those of the first row, without the ends of intervals."""
    if not rows:
        return None
    names = [name for name in rows[0] if not (name.endswith(END_SUFFIXES) and name.removesuffix(name[-6:]) in rows[0])]
    columns = shown(names, labels, unit)
    numeric = {item.name: all(not isinstance(row.get(item.name), str) for row in rows) for item in columns}
    return {
        "label": label,
        "columns": [{"text": item.text, "numeric": numeric[item.name]} for item in columns],
        "rows": [
            {
                "state": "strong" if strong_first and index == 0 else "",
                "cells": [
                    _cell(
                        format_value(row.get(item.name), item.kind),
                        numeric=numeric[item.name],
                        small=format_interval(
                            (row.get(f"{item.name}_lower"), row.get(f"{item.name}_upper")),
                            item.kind,
                            row.get(item.name),
                        ),
                    )
                    for item in columns
                ],
            }
            for index, row in enumerate(rows)
        ],
    }


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


def _plot(title: str, figure: Any) -> dict[str, str]:
    """Take a figure apart: the page writes its title and note, which then wrap on a phone."""
    tree = json.loads(figure.to_json() if hasattr(figure, "to_json") else json.dumps(figure))
    layout = tree.setdefault("layout", {})
    heading = layout.pop("title", None) or {}
    note = heading.get("subtitle") or {} if isinstance(heading, dict) else {}
    # A finger that moves over the plot scrolls the page.
    layout |= {"dragmode": False, "margin": {**(layout.get("margin") or {}), "t": 16}}
    content = json.dumps({"data": tree.get("data", []), "layout": layout}, ensure_ascii=True)
    for character in "<>&":
        content = content.replace(character, f"\\u{ord(character):04x}")
    return {
        "title": title,
        # Plots need escaped text, and the template escapes again.
        "note": html.unescape(note.get("text") or ""),
        "content": content,
        "height": str(int(layout.get("height") or 400) - 48),
    }
