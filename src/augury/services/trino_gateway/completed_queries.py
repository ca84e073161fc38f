"""Completed queries that the service learns from: what Trino's event listeners post, or the columns of a query log."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import pandas as pd
from pydantic import BaseModel, ConfigDict, Field, JsonValue, model_validator
from pydantic.alias_generators import to_camel

from augury.predictors import query_columns as columns
from augury.predictors.query_values import GIB, read_durations


class CompletedQuery(BaseModel):
    """One completed query in the columns of a query log."""

    model_config = ConfigDict(extra="ignore", frozen=True, strict=True)

    query: str
    prepared_query: str | None = None
    catalog: str | None = None
    schema_name: str | None = Field(default=None, alias="schema")
    query_state: str | None = None
    cpu_time_s: float | None = Field(default=None, ge=0, allow_inf_nan=False)
    peak_memory_gb: float | None = Field(default=None, ge=0, allow_inf_nan=False)
    error_name: str | None = None

    @model_validator(mode="before")
    @classmethod
    def _flatten(cls, value: Any) -> Any:
        return _from_event(value) if isinstance(value, dict) and "metadata" in value else value

    def to_request(self) -> dict[str, str | None]:
        """What was known of it before it ran, as far as its template depends on it."""
        return {
            columns.QUERY: self.query,
            columns.PREPARED_QUERY: self.prepared_query,
            columns.CATALOG: self.catalog,
            columns.SCHEMA: self.schema_name,
        }


class _EventPart(BaseModel):
    model_config = ConfigDict(extra="ignore", strict=True, alias_generator=to_camel)


class _Metadata(_EventPart):
    query: str
    prepared_query: str | None = None
    query_state: str | None = None


class _Context(_EventPart):
    catalog: str | None = None
    schema_name: str | None = Field(default=None, alias="schema")


class _Statistics(_EventPart):
    cpu_time: float | str | None = None
    peak_user_memory_bytes: float | None = None


class _ErrorCode(_EventPart):
    name: str | None = None


class _Failure(_EventPart):
    error_code: _ErrorCode | None = None


class _Event(_EventPart):
    """A ``QueryCompletedEvent``."""

    metadata: _Metadata
    context: _Context = _Context()
    statistics: _Statistics = _Statistics()
    failure_info: _Failure | None = None


def _from_event(value: dict[str, JsonValue]) -> dict[str, Any]:
    event = _Event.model_validate(value)
    code = event.failure_info.error_code if event.failure_info is not None else None
    memory = event.statistics.peak_user_memory_bytes
    return {
        "query": event.metadata.query,
        "prepared_query": event.metadata.prepared_query,
        "catalog": event.context.catalog,
        "schema": event.context.schema_name,
        "query_state": event.metadata.query_state,
        "cpu_time_s": _duration_seconds(event.statistics.cpu_time),
        "peak_memory_gb": None if memory is None else memory / GIB,
        "error_name": code.name if code is not None else None,
    }


def _duration_seconds(value: float | str | None) -> float | None:
    """Seconds of a number of seconds or a text such as ``1.23s`` or ``PT1.23S``."""
    if value is None or isinstance(value, float):
        return value
    (seconds,), (failed,) = read_durations(pd.Series([value], dtype=object), unit=None)
    if failed or seconds != seconds:
        raise ValueError(f"{value!r:.40} is no duration such as 1.23s")
    return float(seconds)


@dataclass(frozen=True)
class Heaviness:
    """What makes a completed query heavy, as in training."""

    cpu_threshold_seconds: float
    memory_threshold_gb: float
    errors: Collection[str]

    def judge(self, completed: CompletedQuery) -> tuple[bool, bool] | None:
        """Say how a query turned out.

        Args:
            completed: The query.

        Returns:
            Whether it was heavy, and whether it failed because resources did not suffice; None where that cannot be
            known: it failed or was stopped before it reached a threshold, or its cost is missing.
        """
        exhausted = completed.error_name is not None and completed.error_name in self.errors
        cpu, memory = completed.cpu_time_s, completed.peak_memory_gb
        heavy = (
            exhausted
            or (cpu is not None and cpu >= self.cpu_threshold_seconds)
            or (memory is not None and memory > self.memory_threshold_gb)
        )
        if heavy:
            return True, exhausted
        finished = completed.error_name is None and completed.query_state in (None, "FINISHED")
        return (False, False) if finished and cpu is not None and memory is not None else None
