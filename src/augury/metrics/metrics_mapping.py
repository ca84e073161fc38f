"""The form of a metrics mapping, which every task's evaluation returns and gates and reports read.

It is JSON-ready: ``name -> number | text | None`` (never NaN or infinite), one nested key
``"intervals": {name: [lower, upper]}`` and, where a task says so, another one ``"support": {name: rows}``: how many
rows a metric rests on, where those are not all held-out rows.
"""

import math
from collections.abc import Mapping
from typing import Any

from augury.errors import UserError

INTERVALS = "intervals"
SUPPORT = "support"
NESTED = (INTERVALS, SUPPORT)


def is_number(value: Any) -> bool:
    """Whether a value is a Python or NumPy number; booleans are none."""
    plain = value.item() if hasattr(value, "item") else value
    return isinstance(plain, int | float) and not isinstance(plain, bool)


def json_number(value: Any) -> int | float | None:
    """Turn a number into what a metrics mapping may hold.

    Args:
        value: A Python or NumPy number, or None.

    Returns:
        The same number as a plain ``int`` or ``float``; None for None, NaN and infinities.

    Examples:
        >>> json_number(float("nan")) is None
        True
    """
    if value is None:
        return None
    plain = value.item() if hasattr(value, "item") else value
    return plain if math.isfinite(plain) else None


def with_facts(
    facts: Mapping[str, Any], computed: Mapping[str, Any], intervals: Mapping[str, list[float]]
) -> dict[str, Any]:
    """Put a metrics mapping together.

    Args:
        facts: What else to record, with ``n_train`` at least; nested mappings become
            ``outer_inner``.
        computed: Metric name -> number, text or None.
        intervals: Metric name -> lower and upper end; those of undefined metrics are left out.

    Returns:
        The metrics mapping, the facts first.

    Raises:
        UserError: ``n_train`` is missing, a fact is neither number nor text, or it contradicts a
            computed value.
    """
    flat: dict[str, Any] = {}
    for name, value in facts.items():
        inner = value.items() if isinstance(value, Mapping) else [(None, value)]
        flat |= {name if key is None else f"{name}_{key}": item for key, item in inner}
    if "n_train" not in flat:
        raise UserError(
            f"Facts: 'n_train', the number of training rows, is missing; there are: {', '.join(flat) or 'none'}."
        )
    for name, value in flat.items():
        if name in NESTED or not (value is None or isinstance(value, str) or is_number(value)):
            raise UserError(f"Facts: '{name}' must be a number or text, but it is {value!r}.")
        if name in computed and value != computed[name]:
            raise UserError(f"Facts: '{name}' is {value!r}, but the evaluation found {computed[name]!r}.")
    recorded = {name: json_number(value) if is_number(value) else value for name, value in flat.items()}
    defined = {name: ends for name, ends in intervals.items() if computed.get(name) is not None}
    return {**recorded, **computed, INTERVALS: defined}
