"""What ``schedule.yml`` may say."""

import re
from collections.abc import Mapping
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from augury.errors import UserError
from augury.parameters import near_matches

WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_TIME = re.compile(r"([01]\d|2[0-3]):([0-5]\d)")
_NAME = re.compile(r"[a-z][a-z0-9_]*")


class _Settings(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class NewRows(_Settings):
    """Rows that make a job due before its time."""

    file: str = Field(
        description="Parquet, CSV or JSON-lines file, or 'file.db#table' of SQLite; relative to the project."
    )
    rows: int = Field(ge=1, description="So many rows more than when the job ran last.")


class Job(_Settings):
    """When one predictor is trained anew."""

    every: Literal["hourly", "daily", "weekly"] = Field(description="How often.")
    at: str = Field(default="00:00", description="Time of day, UTC, as HH:MM; of an hourly job 00:MM.")
    weekday: Literal["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"] | None = Field(
        default=None, description="Day of a weekly job; by default Monday."
    )
    priority: int = Field(default=50, ge=0, le=1000, description="Of jobs that are due at once, the higher is first.")
    retries: int | None = Field(default=None, ge=0, description="Instead of the schedule's.")
    backoff_minutes: float | None = Field(default=None, ge=0, description="Instead of the schedule's.")
    enabled: bool = Field(default=True, description="false: only `--run` runs it.")
    new_rows: NewRows | None = Field(default=None, description="What makes it due before its time.")

    @field_validator("at", mode="before")
    @classmethod
    def _yaml_reads_times_as_numbers(cls, value: Any) -> Any:
        # In YAML 1.1 a bare 13:30 is a number to the base of 60
        return f"{value // 60:02d}:{value % 60:02d}" if isinstance(value, int) and 0 <= value < 1440 else value

    @field_validator("at")
    @classmethod
    def _is_a_time(cls, value: str) -> str:
        if not _TIME.fullmatch(value):
            raise ValueError(f"'{value}' is no time of day; an example is '03:00'")
        return value

    @model_validator(mode="after")
    def _says_only_what_counts(self) -> Self:
        if self.every == "hourly" and self.hour:
            raise ValueError(f"an hourly job is due at a minute of every hour: at '00:{self.minute:02d}'")
        if self.every != "weekly" and self.weekday is not None:
            raise ValueError(f"a weekday ({self.weekday}) goes with every: weekly")
        return self

    @property
    def hour(self) -> int:
        """Hour of the day."""
        return int(self.at[:2])

    @property
    def minute(self) -> int:
        """Minute of the hour."""
        return int(self.at[3:])

    @property
    def day(self) -> int:
        """Day of the week, Monday is 0."""
        return WEEKDAYS.index(self.weekday or WEEKDAYS[0])

    @property
    def words(self) -> str:
        """When it is due, such as ``weekly, sunday 03:00``."""
        when = {"hourly": f"minute {self.minute:02d}", "daily": self.at}.get(self.every)
        return f"{self.every}, {when or f'{self.weekday or WEEKDAYS[0]} {self.at}'}"


class Schedule(_Settings):
    """The ``schedule:`` block of ``schedule.yml``."""

    steps: dict[str, list[str]] = Field(min_length=1, description="Step -> pipelines of its `kedro run`, in order.")
    retries: int = Field(default=2, ge=0, description="How often a step that is broken is tried again.")
    backoff_minutes: float = Field(default=10, ge=0, description="Wait before the first of them; it doubles.")
    most_backoff_minutes: float = Field(default=120, ge=0, description="The longest wait.")
    timeout_hours: float = Field(default=6, gt=0, description="A step that takes longer is stopped, and is broken.")
    directory: str = Field(default="data/schedule", description="Of job table and logs; relative to the project.")
    lease_seconds: float = Field(default=60, ge=1, description="Silence after which a scheduler counts as dead.")
    poll_seconds: float = Field(default=15, gt=0, description="How often the loop looks what is due.")
    keep_logs: int = Field(default=30, ge=1, description="Logs and finished runs that are kept of each job.")
    jobs: dict[str, Job] = Field(min_length=1, description="Predictor -> when.")

    @field_validator("steps")
    @classmethod
    def _steps_run_something(cls, steps: dict[str, list[str]]) -> dict[str, list[str]]:
        for step, pipelines in steps.items():
            if not pipelines or not all(_NAME.fullmatch(name) for name in (step, *pipelines)):
                raise ValueError(f"step '{step}': a name and a list of pipelines, such as train: [model_training]")
        return steps

    @field_validator("jobs")
    @classmethod
    def _jobs_are_predictors(cls, jobs: dict[str, Job]) -> dict[str, Job]:
        # Names become arguments of commands and names of folders
        wrong = [name for name in jobs if not _NAME.fullmatch(name)]
        if wrong:
            raise ValueError(f"'{wrong[0]}' is no name of a predictor")
        return jobs

    def job(self, name: str) -> Job:
        """A job by its name.

        Raises:
            UserError: There is no such job.
        """
        if name not in self.jobs:
            raise UserError(f"There is no job '{name}' in schedule.yml. {near_matches(name, self.jobs)}")
        return self.jobs[name]

    def retries_of(self, name: str) -> int:
        """How often a step of the job is tried again."""
        own = self.jobs[name].retries
        return self.retries if own is None else own

    def wait_before(self, name: str, attempt: int) -> float:
        """Seconds before another attempt.

        Args:
            name: The job.
            attempt: Number of the attempt that failed, from 1.
        """
        own = self.jobs[name].backoff_minutes
        first = self.backoff_minutes if own is None else own
        # 2.0**1024 would be too large for a float
        return 60 * min(first * 2.0 ** min(attempt - 1, 100), self.most_backoff_minutes)


class _ScheduleFile(BaseModel):
    model_config = ConfigDict(extra="forbid")

    schedule: Schedule


def read_schedule(raw: Mapping[str, Any] | None) -> Schedule:
    """Validate the merged content of ``schedule*.yml``.

    Args:
        raw: What the configuration says for the key ``schedule``; None where there is no such file.

    Returns:
        The schedule.

    Raises:
        UserError: There is none, a key is unknown, or a value breaks its rule.
    """
    if raw is None:
        raise UserError("There is no conf/base/schedule.yml, which says when predictors are trained anew.")
    try:
        return _ScheduleFile.model_validate(dict(raw)).schedule
    except ValidationError as error:
        problems = "; ".join(
            f"{'.'.join(map(str, problem['loc']))}: {problem['msg']}" for problem in error.errors(include_url=False)
        )
        raise UserError(f"schedule.yml: {problems}") from None
