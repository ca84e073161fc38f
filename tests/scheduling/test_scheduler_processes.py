"""Schedulers as processes: several at once, one that is killed, one that is stopped."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from augury.errors import UserError

from scheduled_project import HOUR, MONDAY, STEPS, WEEK, Project

PROGRAM = Path(__file__).with_name("scheduler_process.py")
WEEKLY = {"every": "weekly"}
DUE = MONDAY + WEEK
PATIENCE_S = 120


@pytest.fixture
def launch(project: Project) -> Iterator[Callable[..., "subprocess.Popen[str]"]]:
    """Starts a scheduler; all are gone at the end."""
    launched: list[subprocess.Popen[str]] = []

    def start(jobs: dict[str, Any], now: float) -> "subprocess.Popen[str]":
        arguments = [sys.executable, str(PROGRAM), str(project.path), json.dumps(jobs), str(now)]
        launched.append(subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True))
        return launched[-1]

    yield start
    for process in launched:
        process.kill()
        process.communicate()


def known(project: Project, jobs: dict[str, Any]) -> Any:
    """A scheduler that knows the jobs since Monday; the next one is a week later."""
    scheduler = project.scheduler(jobs)
    scheduler.run_pending()
    return scheduler


def until(condition: Callable[[], Any], what: str) -> Any:
    end = time.monotonic() + PATIENCE_S
    while not (found := condition()):
        assert time.monotonic() < end, f"waited too long until {what}"
        time.sleep(0.02)
    return found


def number_in(file: Path) -> int:
    text = file.read_text() if file.exists() else ""
    return int(text) if text.endswith("\n") else 0


def alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    stat = Path(f"/proc/{process}/stat")
    return not stat.exists() or stat.read_text().rpartition(") ")[2][:1] != "Z"


def test_two_schedulers_share_the_jobs(project: Project, launch: Any) -> None:
    """Twelve jobs, three processes: every step of every job runs once."""
    jobs = {f"job_{number}": WEEKLY for number in range(12)}
    known(project, jobs)
    project.behave("*) sleep 0.05;;")
    processes = [launch(jobs, DUE) for _ in range(3)]
    assert [process.communicate(timeout=PATIENCE_S)[0] for process in processes] == ["0\n"] * 3
    assert sorted(project.calls) == sorted((job, ",".join(step)) for job in jobs for step in STEPS.values())


def test_what_a_killed_scheduler_began_ends_with_it_and_is_taken_over(project: Project, launch: Any) -> None:
    jobs = {"prefetch": WEEKLY}
    scheduler = known(project, jobs)
    project.behave(f"*) echo $$ > {project.path}/pid; exec sleep 300;;")
    killed = launch(jobs, DUE)
    step = until(lambda: number_in(project.path / "pid"), "the step runs")
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    until(lambda: not alive(step), "the step has ended with its scheduler")
    project.behave("")
    project.clock.now = DUE + 59
    assert scheduler.run_pending() == 0
    assert len(project.calls) == 1  # its lease still holds
    project.clock.now = DUE + 61
    assert scheduler.run_pending() == 0
    assert len(project.calls) == 1 + 3
    run = scheduler.table.runs("prefetch")[0]
    assert (run.state, len(scheduler.table.runs("prefetch"))) == ("succeeded", 1)


def test_a_step_that_outlives_its_scheduler_is_not_run_twice(project: Project, launch: Any) -> None:
    jobs = {"prefetch": WEEKLY}
    scheduler = known(project, jobs)
    project.behave(f"*) trap '' TERM; echo $$ > {project.path}/pid; while :; do sleep 0.1; done;;")
    killed = launch(jobs, DUE)
    step = until(lambda: number_in(project.path / "pid"), "the step runs")
    try:
        killed.send_signal(signal.SIGKILL)
        killed.wait()
        project.clock.now = DUE + 61
        project.behave("")
        assert scheduler.run_pending() == 0
        with pytest.raises(UserError, match="still runs"):
            scheduler.run_now("prefetch")
        assert len(project.calls) == 1
    finally:
        os.kill(step, signal.SIGKILL)
    until(lambda: not alive(step), "the step has ended")
    project.clock.now += HOUR
    # What the step had started may hold the lock for another moment
    until(lambda: (scheduler.run_pending() == 0 and len(project.calls) == 1 + 3) or _later(project), "it runs again")


def _later(project: Project) -> bool:
    project.clock.now += HOUR
    return False


def test_a_stopped_scheduler_stops_its_step_and_loses_nothing(project: Project, launch: Any) -> None:
    jobs = {"prefetch": WEEKLY}
    scheduler = known(project, jobs)
    project.behave(f"*) echo $$ > {project.path}/pid; sleep 300;;")
    stopped = launch(jobs, DUE)
    step = until(lambda: number_in(project.path / "pid"), "the step runs")
    stopped.send_signal(signal.SIGTERM)
    assert stopped.communicate(timeout=PATIENCE_S)[0] == "0\n"
    assert not alive(step)
    run = scheduler.table.runs("prefetch")[0]
    assert (run.state, run.attempt, run.owner) == ("waiting", 0, None)
    project.behave("")
    project.clock.now = DUE
    assert scheduler.run_pending() == 0  # at once: it does not wait for a lease
    assert scheduler.table.runs("prefetch")[0].state == "succeeded"
