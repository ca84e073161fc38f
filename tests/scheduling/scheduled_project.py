"""A project whose `kedro` notes how it is called, and a clock that is set by hand."""

import shlex
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from augury.scheduling.scheduler import Scheduler
from augury.scheduling.settings import Schedule

MONDAY = datetime(2026, 7, 6, tzinfo=UTC).timestamp()
HOUR, DAY, WEEK = 3_600, 86_400, 604_800
STEPS = {"train": ["data_engineering", "model_training"], "judge": ["evaluation"], "deploy": ["promotion"]}


class Clock:
    """Seconds since the epoch; sleeping passes the time."""

    def __init__(self, now: float = MONDAY) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


class Project:
    """Jobs in a folder of their own, run by a shell script in the place of Kedro."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.clock = Clock()
        self.script = path / "kedro"
        self.behave("")

    def behave(self, cases: str) -> None:
        """What the script does beyond noting its arguments: branches of a `case` of them."""
        text = f'echo "$*" >> "{self.path}/calls"\ncase "$*" in {cases or "nothing) ;;"}\nesac\n'
        self.script.write_text(text, encoding="utf-8")

    @property
    def calls(self) -> list[tuple[str, str]]:
        """Job and pipelines of every call."""
        file = self.path / "calls"
        found = []
        for line in file.read_text(encoding="utf-8").splitlines() if file.exists() else []:
            options = dict(word.removeprefix("--").split("=", 1) for word in shlex.split(line)[1:])
            found.append((options["namespaces"], options["pipelines"]))
        return found

    def schedule(self, jobs: dict[str, Any], **settings: Any) -> Schedule:
        return Schedule.model_validate({"steps": STEPS, "jobs": jobs, **settings})

    def scheduler(self, jobs: dict[str, Any], clock: Callable[[], float] | None = None, **settings: Any) -> Scheduler:
        return Scheduler(
            self.schedule(jobs, **settings),
            self.path,
            command=("/bin/sh", str(self.script)),
            clock=clock or self.clock,
            sleep=self.clock.sleep,
        )
