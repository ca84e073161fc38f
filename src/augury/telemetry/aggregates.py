"""What may leave the operator's machines: counts and means of groups that many nodes stand behind, with optional noise.

The unit that is protected is one node in one week. Each unit counts once, however much it recorded: its rows are
weighted so that their weights add up to one over the whole table. A cell is released only if at least ``k`` units stand
behind it; only weeks that are over are counted, so that a repeated export tells nothing new. With noise, a unit changes
the table of weights by at most one in sum, and each table of weighted means by at most one on its scale of 0 to 1; the
budget is divided among these tables and entered in the file of every unit, which refuses to be overdrawn.
"""

import contextlib
import math
import random
import sqlite3
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from augury.errors import UserError
from augury.telemetry.columns import Column
from augury.telemetry.events import columns, columns_of_role
from augury.telemetry.name_columns import Word
from augury.telemetry.number_columns import Measure
from augury.telemetry.pseudonyms import EPOCH_MS, epoch_of
from augury.telemetry.reading import BUSY_S, reading
from augury.telemetry.schema import table_name

LEAST_K = 20
MOST_EPSILON = 1.0
GRID = 2**-10
"""Step of released numbers, so that the last digits of a float say nothing about the sum behind the noise."""

Unit = tuple[str, int]
"""A node in a week."""


@dataclass(frozen=True)
class Release:
    """An aggregated table.

    Attributes:
        cells: One mapping per cell: its words, its range of sizes, how many units stand behind it (without noise only),
            its weight and the means of its outcomes.
        units: How many nodes and weeks were counted.
        withheld: How many cells had too few.
    """

    cells: list[dict[str, Any]]
    units: int
    withheld: int


def aggregate(
    paths: Sequence[Path | str],
    event_type: str,
    *,
    k: int = LEAST_K,
    epsilon: float | None = None,
    now_ms: int | None = None,
    rng: random.Random | None = None,
) -> Release:
    """Add up the telemetry of many nodes.

    Args:
        paths: Their files.
        event_type: Such as ``block_stored``.
        k: Least number of nodes and weeks behind a cell.
        epsilon: Noise: the budget that this release takes of each node and week; None: no noise.
        now_ms: Milliseconds since 1970; weeks that are not over by then are left out.
        rng: Source of the noise; None: the system's.

    Returns:
        The cells.

    Raises:
        UserError: ``k`` is too small, the budget is too large or already spent, a file cannot be read or names no node.
    """
    if k < LEAST_K:
        raise UserError(f"k must be at least {LEAST_K}, not {k}: fewer nodes and weeks in a cell can be told apart.")
    if epsilon is not None and not 0 < epsilon <= MOST_EPSILON:
        raise UserError(f"epsilon must lie above 0 and be at most {MOST_EPSILON:g} per node and week, not {epsilon}.")
    this_week = epoch_of(time.time_ns() // 1_000_000 if now_ms is None else now_ms)
    known, keys, outcomes = columns(event_type), _keys(event_type), _outcomes(event_type)
    sums: dict[Unit, dict[tuple[Any, ...], list[float]]] = defaultdict(dict)
    rows: dict[Unit, int] = defaultdict(int)
    holders: dict[Path, list[int]] = {}
    for path in dict.fromkeys(Path(path).resolve() for path in paths):
        node, found = _file_sums(path, event_type, keys, outcomes, this_week)
        holders[path] = sorted({epoch for epoch, *_ in found})
        for epoch, cell, count, totals in found:
            unit = (node, epoch)
            rows[unit] += count
            before = sums[unit].get(cell, [0.0] * (2 * len(outcomes) + 1))
            sums[unit][cell] = [a + b for a, b in zip(before, [count, *totals], strict=True)]
    if epsilon is not None:
        _spend(holders, epsilon)
    cells: dict[tuple[Any, ...], list[float]] = {}
    behind: dict[tuple[Any, ...], int] = defaultdict(int)
    for unit, own in sums.items():
        for cell, values in own.items():
            behind[cell] += 1
            before = cells.get(cell, [0.0] * len(values))
            cells[cell] = [a + b / rows[unit] for a, b in zip(before, values, strict=True)]
    released = {cell: values for cell, values in cells.items() if behind[cell] >= k}
    noise = None if epsilon is None else _Noise(epsilon / (1 + 2 * len(outcomes)), rng or random.SystemRandom())
    table = [
        _described(keys, outcomes, known, cell, released[cell], behind[cell], noise)
        for cell in sorted(released, key=lambda cell: [str(part) for part in cell])
    ]
    return Release([row for row in table if row], len(sums), len(cells) - len(released))


class _Noise:
    """Laplace noise of scale ``1 / epsilon``, rounded to a grid."""

    def __init__(self, epsilon: float, rng: random.Random) -> None:
        self._epsilon, self._rng = epsilon, rng

    def add(self, value: float) -> float:
        exponentials = [-math.log(1.0 - self._rng.random()) for _ in range(2)]
        return round((value + (exponentials[0] - exponentials[1]) / self._epsilon) / GRID) * GRID


def _keys(event_type: str) -> dict[str, str]:
    """The columns that make a cell: words, and the size by its power of four. Column -> SQL."""
    known = columns(event_type)
    found = {name: column.sql(name) for name, column in known.items() if isinstance(column, Word) and name != "policy"}
    found |= {name: name for name in ("fanout", "ttl") if name in known}
    for name in ("size", "peers"):
        if name in known:
            edges = " ".join(f"WHEN {name} < {4**power} THEN {4**power}" for power in range(3, 20))
            found[f"{name}_below"] = f"CASE {edges} ELSE {4**20} END"
    return found


def _outcomes(event_type: str) -> dict[str, float]:
    """The outcomes whose means are released -> largest value of their scale."""
    known = columns(event_type)
    return {
        name: float(column.limit) if isinstance(column := known[name], Measure) else 1.0
        for name in columns_of_role(event_type, "outcome")
    }


def _scaled(name: str, limit: float) -> str:
    """An outcome on a scale of 0 to 1, by its logarithm if it is large."""
    if limit <= 2**12:
        return f"{name} / {limit}"
    return f"ln(1.0 + {name}) / {math.log1p(limit)}"


def _unscaled(column: Column, limit: float, value: float) -> float:
    value = min(max(value, 0.0), 1.0)
    code = value * limit if limit <= 2**12 else math.expm1(value * math.log1p(limit))
    return code / getattr(column, "per", 1)


def _file_sums(
    path: Path, event_type: str, keys: Mapping[str, str], outcomes: Mapping[str, float], this_week: int
) -> tuple[str, list[tuple[int, tuple[Any, ...], int, list[float]]]]:
    """Add up one file: for each week and cell, how many rows and, per outcome, how many values and their sum."""
    with reading(path) as connection:
        nodes = [row[0] for row in connection.execute("SELECT name FROM node ORDER BY name")]
        if not nodes:
            raise UserError(f"{path} does not say which node wrote it.")
        connection.create_function("ln", 1, math.log, deterministic=True)
        totals = ", ".join(f"count({name}), total({_scaled(name, limit)})" for name, limit in outcomes.items())
        parts = ", ".join(str(place + 1) for place in range(len(keys) + 1))
        query = (
            f"SELECT ts / {EPOCH_MS}, {', '.join(keys.values())}, count(*), {totals} FROM {table_name(event_type)} "
            f"WHERE ts < {this_week * EPOCH_MS} GROUP BY {parts}"
        )
        width = len(keys)
        # A file that was written under several names of nodes still counts as one
        return nodes[0], [
            (row[0], tuple(row[1 : 1 + width]), row[1 + width], list(row[2 + width :]))
            for row in connection.execute(query)
        ]


def _described(
    keys: Mapping[str, str],
    outcomes: Mapping[str, float],
    known: Mapping[str, Column],
    cell: tuple[Any, ...],
    values: Sequence[float],
    behind: int,
    noise: _Noise | None,
) -> dict[str, Any] | None:
    """The released row of a cell; with noise, none if the noisy weight is not positive."""
    exact = [round(value / GRID) * GRID for value in values]
    weight, *totals = exact if noise is None else [noise.add(value) for value in values]
    if weight <= 0 and noise is not None:
        return None
    row: dict[str, Any] = dict(zip(keys, cell, strict=True))
    if noise is None:
        row["units"] = behind
    row["weight"] = weight
    for place, (name, limit) in enumerate(outcomes.items()):
        number, total = totals[2 * place : 2 * place + 2]
        row[f"{name}_mean"] = _unscaled(known[name], limit, total / number) if number > 0 else None
    return row


def _spend(holders: Mapping[Path, Sequence[int]], epsilon: float) -> None:
    """Enter a release in the accounts of all files, or in none."""
    with contextlib.ExitStack() as stack:
        accounts: list[sqlite3.Connection] = []
        try:
            for path, epochs in holders.items():
                account = stack.enter_context(
                    contextlib.closing(sqlite3.connect(path, timeout=BUSY_S, isolation_level=None))
                )
                account.execute("BEGIN IMMEDIATE")
                accounts.append(account)
                account.executemany(
                    "INSERT INTO privacy_spent VALUES (?, ?) ON CONFLICT (epoch) DO UPDATE SET "
                    "epsilon = epsilon + excluded.epsilon",
                    [(epoch, epsilon) for epoch in epochs],
                )
                largest = account.execute("SELECT max(epsilon) FROM privacy_spent").fetchone()[0]
                if largest is not None and largest > MOST_EPSILON + 1e-9:
                    raise UserError(
                        f"{path} has given {largest - epsilon:g} of its budget of {MOST_EPSILON:g} per week already; "
                        f"a release with epsilon {epsilon:g} would overdraw it."
                    )
            for account in accounts:
                account.execute("COMMIT")
        except sqlite3.Error as error:
            raise UserError(
                f"The privacy budget cannot be entered in the files ({error}), so nothing is released."
            ) from None
