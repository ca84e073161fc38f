"""Nested parameters and reports as the flat names that MLflow wants."""

import dataclasses
import json
import math
import numbers
import re
from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import BaseModel

INTERVALS = "intervals"
LONGEST_KEY = 250
LONGEST_PARAMETER = 6000
_FORBIDDEN = re.compile(r"[^\w\-. /:]")


def flat_parameters(parameters: Any) -> dict[str, str]:
    """Flatten a predictor's parameters.

    Args:
        parameters: A mapping, possibly nested, of plain values, pydantic models or dataclasses.

    Returns:
        Dotted name -> text of at most 6,000 characters. A list is one value, as JSON.

    Examples:
        >>> flat_parameters({"seed": 42, "model": {"rounds": 5, "levels": [0.9, 0.95]}})
        {'seed': '42', 'model.rounds': '5', 'model.levels': '[0.9, 0.95]'}
    """
    return {flat_key(name): _text(value)[:LONGEST_PARAMETER] for name, value in _leaves(_plain(parameters))}


def flat_metrics(report: Any) -> dict[str, float]:
    """Take the numbers out of a metrics report.

    Args:
        report: A mapping, possibly nested, of numbers, texts and nulls. At any level, the key
            ``intervals`` holds ``{metric: [lower, upper]}``.

    Returns:
        Dotted name -> finite number; interval ends are ``<metric>.lower`` and ``<metric>.upper``.
        Texts, nulls, booleans and numbers that are not finite are left out.

    Examples:
        >>> flat_metrics({"mae": 3, "unit": "MB", "r2": None, "intervals": {"mae": [2.5, 3.5]}})
        {'mae': 3.0, 'mae.lower': 2.5, 'mae.upper': 3.5}
    """
    return {
        flat_key(name): float(value)
        for name, value in _leaves(_with_named_ends(report))
        if isinstance(value, numbers.Real) and not isinstance(value, bool) and math.isfinite(float(value))
    }


def flat_key(name: str) -> str:
    """A name that MLflow takes: without characters that it forbids, and not too long."""
    return _FORBIDDEN.sub("_", name)[:LONGEST_KEY]


def _with_named_ends(report: Any) -> Any:
    if not isinstance(report, Mapping):
        return report
    named = {key: _with_named_ends(value) for key, value in report.items() if key != INTERVALS}
    intervals = report.get(INTERVALS)
    for name, ends in intervals.items() if isinstance(intervals, Mapping) else ():
        match ends:
            case [lower, upper]:
                named[f"{name}.lower"], named[f"{name}.upper"] = lower, upper
    return named


def _leaves(value: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping) and value:
        for key, inner in value.items():
            yield from _leaves(inner, f"{prefix}.{key}" if prefix else str(key))
    elif prefix:
        yield prefix, value


def _plain(value: Any) -> Any:
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return _plain(dataclasses.asdict(value))
    if isinstance(value, Mapping):
        return {key: _plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    return value


def _text(value: Any) -> str:
    return json.dumps(value, default=str) if isinstance(value, list | Mapping) else str(value)
