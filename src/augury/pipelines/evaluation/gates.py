"""Gates: the limits that a model has to meet, judged in one place for every task."""

import logging
from collections.abc import Iterable, Mapping
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from augury.errors import GateFailure, UserError
from augury.metrics.metrics_mapping import (
    INTERVALS,
    NESTED,
    SUPPORT,
    is_number,
    json_number,
)
from augury.parameters import Parameters, near_matches

logger = logging.getLogger(__name__)

Verdict = Literal["pass", "fail", "inconclusive"]
RESULTS = {"pass": "pass", "fail": "FAIL", "inconclusive": "INCONCLUSIVE"}


class Gate(Parameters):
    """The limits on one metric; at least one of ``min`` and ``max``, both inclusive."""

    min: float | None = Field(
        default=None,
        allow_inf_nan=False,
        description="The smallest value that passes, in the metric's unit.",
    )
    max: float | None = Field(
        default=None,
        allow_inf_nan=False,
        description="The largest value that passes, in the metric's unit.",
    )
    on: Literal["point", "lower", "upper"] = Field(
        default="point",
        description="What is compared: the metric, or the lower or upper end of its interval.",
    )
    min_support: int | None = Field(
        default=None, ge=1, description="Rows that the metric has to rest on; fewer make the gate inconclusive."
    )
    optional: bool = Field(
        default=False, description="Whether the gate is left out where the metric is undefined, instead of failing."
    )

    @model_validator(mode="before")
    @classmethod
    def _yaml_reads_on_as_true(cls, data: Any) -> Any:
        # In YAML 1.1 a bare `on` is a boolean, also where it is a key
        if isinstance(data, Mapping) and True in data and "on" not in data:
            return {("on" if key is True else key): value for key, value in data.items()}
        return data

    @model_validator(mode="after")
    def _has_a_limit(self) -> Self:
        if self.min is None and self.max is None:
            raise ValueError("a gate needs 'min', 'max' or both")
        if self.min is not None and self.max is not None and self.min > self.max:
            raise ValueError(f"min ({self.min:g}) is larger than max ({self.max:g}): nothing can pass")
        return self

    @property
    def rule(self) -> str:
        """The rule in words, such as ``<= 0.05 on upper bound``."""
        limits = [f">= {self.min:g}"] if self.min is not None else []
        limits += [f"<= {self.max:g}"] if self.max is not None else []
        where = "" if self.on == "point" else f" on {self.on} bound"
        support = "" if self.min_support is None else f" from {self.min_support:,} rows on"
        return " and ".join(limits) + where + support

    def admits(self, value: float) -> bool:
        """Whether a finite value lies within the limits."""
        return (self.min is None or value >= self.min) and (self.max is None or value <= self.max)


class Gates(BaseModel):
    """All gates of one predictor: ``enforce``, ``inconclusive``, and any other key is the name of a metric.

    Examples:
        >>> gates = Gates.model_validate({"enforce": True, "mape_pct": {"max": 20}})
        >>> gates.by_metric["mape_pct"].rule
        '<= 20'
    """

    model_config = ConfigDict(extra="allow", frozen=True)
    __pydantic_extra__: dict[str, Gate] = Field(init=False)

    enforce: bool = Field(default=False, description="Whether a failed gate makes the run fail.")
    inconclusive: Literal["fail", "warn"] = Field(
        default="fail", description="Whether an inconclusive gate makes an enforced run fail, or is only logged."
    )

    @property
    def by_metric(self) -> dict[str, Gate]:
        """The gates by metric name, in the order in which they were written."""
        return dict(self.__pydantic_extra__ or {})


def judge(metrics: dict[str, Any], gates: Gates) -> list[dict[str, Any]]:
    """Compare metrics with their gates.

    Args:
        metrics: A metrics mapping.
        gates: The limits.

    Returns:
        One JSON-ready row per gate, in the gates' order: ``metric, value, lower, upper, rule,
        passed, verdict, reason``. The verdict is ``pass``, ``fail`` or ``inconclusive``: too few
        rows, because the metric meets the limits but the end of its interval does not, or because
        it rests on less than ``min_support``. Only ``pass`` has passed. A metric whose value is
        None or not finite (it could not be computed) fails; where the gate is optional, there is no
        row for it. The reason says what the limits do not.

    Raises:
        UserError: A gate names a metric that does not exist or is not a number, or limits an end of
            an interval where the metric has none, or rows that nobody counted.
    """
    intervals = metrics.get(INTERVALS) or {}
    judged = [_judge_one(name, gate, metrics, intervals) for name, gate in gates.by_metric.items()]
    return [row for row in judged if row is not None]


def _judge_one(
    name: str, gate: Gate, metrics: Mapping[str, Any], intervals: Mapping[str, Any]
) -> dict[str, Any] | None:
    if name not in metrics or name in NESTED:
        numbers = [key for key, value in metrics.items() if is_number(value)]
        raise UserError(f"Gate '{name}': there is no such metric. {near_matches(name, numbers)}")
    raw = metrics[name]
    if raw is not None and not is_number(raw):
        raise UserError(f"Gate '{name}': the metric is not a number but {raw!r}, so it cannot be limited.")
    value = json_number(raw)
    if value is None and gate.optional:
        return None
    lower, upper = (json_number(end) for end in intervals.get(name) or (None, None))
    judged = {"point": value, "lower": lower, "upper": upper}[gate.on]
    if judged is None and value is not None:
        with_interval = ", ".join(sorted(intervals)) or "none"
        raise UserError(
            f"Gate '{name}' limits the {gate.on} bound, but '{name}' has no interval; "
            f"use 'on: point'. Metrics with an interval: {with_interval}."
        )
    verdict, reason = _verdict(name, gate, value, judged, metrics)
    return {
        "metric": name,
        "value": value,
        "lower": lower,
        "upper": upper,
        "rule": gate.rule,
        "passed": verdict == "pass",
        "verdict": verdict,
        "reason": reason,
    }


def _verdict(
    name: str, gate: Gate, value: float | None, judged: float | None, metrics: Mapping[str, Any]
) -> tuple[Verdict, str]:
    if value is None or judged is None:
        return "fail", "could not be computed"
    if gate.min_support is not None:
        rows = _support(name, metrics)
        if rows < gate.min_support:
            return "inconclusive", f"rests on {rows:,} rows"
    if gate.admits(judged):
        return "pass", ""
    if gate.on != "point" and gate.admits(value):
        return "inconclusive", f"the value is within the limit, its {gate.on} bound is not: too few rows"
    return "fail", ""


def _support(name: str, metrics: Mapping[str, Any]) -> int:
    if SUPPORT not in metrics:
        raise UserError(
            f"Gate '{name}' has 'min_support', but the metrics do not say how many rows each rests on; set "
            "'evaluation.support' to true."
        )
    return int(metrics[SUPPORT].get(name, metrics["n_test"]))


def gate_table(rows: list[dict[str, Any]]) -> str:
    """Write judged gates as an aligned text table.

    Args:
        rows: What :func:`judge` returned.

    Returns:
        The table, one line per gate below a header; a sentence if there are no gates.
    """
    if not rows:
        return "No gates were set."
    cells = [("metric", "value", "interval", "rule", "result")]
    for row in rows:
        interval = "-" if row["lower"] is None else f"{_plain(row['lower'])} to {_plain(row['upper'])}"
        result = RESULTS[row["verdict"]] + (f": {row['reason']}" if row["verdict"] == "inconclusive" else "")
        cells.append((row["metric"], _plain(row["value"]), interval, row["rule"], result))
    widths = [max(len(line[column]) for line in cells) for column in range(5)]
    return "\n".join(_aligned(line, widths) for line in cells)


def _plain(value: float | None) -> str:
    return "none" if value is None else f"{value:.4g}" if abs(value) < 1e4 else f"{value:,.0f}"


def _aligned(cells: Iterable[str], widths: list[int]) -> str:
    name, value, interval, rule, result = (
        cell.rjust(width) if column in (1, 2) else cell.ljust(width)
        for column, (cell, width) in enumerate(zip(cells, widths, strict=True))
    )
    return f"{name}  {value}  {interval}  {rule}  {result}".rstrip()


def enforce_gates(rows: list[dict[str, Any]], gates: Gates, *reports: str) -> None:
    """Fail the run if gates are enforced and one failed, or is inconclusive where that counts as failing.

    Args:
        rows: What :func:`judge` returned.
        gates: The limits; only ``enforce`` and ``inconclusive`` are read.
        *reports: The rendered reports. They are not read: taking them makes this step run after
            they were written, so that a failed run can be looked into.

    Raises:
        GateFailure: The readable table of all gates.
    """
    failed, unsure = ([row["metric"] for row in rows if row["verdict"] == kind] for kind in ("fail", "inconclusive"))
    sentences = []
    if failed:
        sentences.append(f"{len(failed)} of {len(rows)} gates failed: {', '.join(failed)}.")
    if unsure:
        sentences.append(f"{len(unsure)} of {len(rows)} gates inconclusive (too few rows): {', '.join(unsure)}.")
    message = "\n".join([*sentences, gate_table(rows)])
    if gates.enforce and (failed or (unsure and gates.inconclusive == "fail")):
        raise GateFailure(message)
    if unsure:
        logger.warning("%s", message)
