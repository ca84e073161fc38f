"""What runs when: due, missed, broken, refused, urgent."""

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from augury.errors import UserError
from augury.scheduling.job_table import LOST, JobTable
from augury.scheduling.scheduler import DATABASE
from augury.scheduling.slots import newest_slot

from scheduled_project import DAY, HOUR, MONDAY, STEPS, WEEK, Project

WHOLE = [",".join(pipelines) for pipelines in STEPS.values()]
DAILY = {"every": "daily", "at": "03:00"}


def started(project: Project, jobs: dict[str, Any], **more: Any) -> Any:
    """A scheduler whose jobs are known since Monday, 0:00."""
    scheduler = project.scheduler(jobs, **more)
    assert scheduler.run_pending() == 0
    return scheduler


def test_a_job_runs_its_steps_once_when_it_is_due(project: Project) -> None:
    scheduler = started(project, {"prefetch": DAILY})
    for moment, runs in ((3 * HOUR - 1, 0), (3 * HOUR, 1), (3 * HOUR + 5, 1), (20 * HOUR, 1), (DAY + 3 * HOUR, 2)):
        project.clock.now = MONDAY + moment
        assert scheduler.run_pending() == 0
        assert project.calls == [("prefetch", pipelines) for pipelines in WHOLE] * runs
    newest = scheduler.table.runs("prefetch")[0]
    assert (newest.state, newest.reason, newest.exit_code, newest.missed) == ("succeeded", "time", 0, 0)
    assert newest.slot == MONDAY + DAY + 3 * HOUR


def test_the_environment_is_handed_on(project: Project) -> None:
    scheduler = project.scheduler({"prefetch": DAILY})
    assert scheduler.command_of("prefetch", "train")[2:] == [
        "run",
        "--pipelines=data_engineering,model_training",
        "--namespaces=prefetch",
    ]
    scheduler._env = "prod"
    assert "--env=prod" in scheduler.command_of("prefetch", "train")


def test_missed_runs_are_caught_up_once(project: Project) -> None:
    jobs = {"weekly": {"every": "weekly", "weekday": "sunday", "at": "03:00"}, "hourly": {"every": "hourly"}}
    started(project, jobs)
    project.clock.now += 3 * WEEK + 60
    scheduler = project.scheduler(jobs)  # the machine was off meanwhile
    assert scheduler.run_pending() == 0
    assert scheduler.run_pending() == 0
    missed = {name: [run.missed for run in scheduler.table.runs(name)] for name in jobs}
    assert missed == {"weekly": [2], "hourly": [3 * 168 - 1]}


def test_what_falls_due_while_a_job_waits_is_not_run_twice(project: Project) -> None:
    """The hourly job waits for the long one; then it runs once, not once for every hour."""
    jobs = {"long": DAILY | {"priority": 90}, "hourly": {"every": "hourly", "priority": 10}}
    scheduler = started(project, jobs)
    project.clock.now = MONDAY + 3 * HOUR + 60
    scheduler.table.plan(project.schedule(jobs), {}, project.clock())
    project.clock.now += 5 * HOUR
    scheduler.run_pending()
    scheduler.run_pending()
    assert [job for job, _ in project.calls] == ["long"] * 3 + ["hourly"] * 3
    assert scheduler.table.runs("hourly")[0].missed == 2 + 5


def test_a_failing_job_is_tried_again_later_and_stops_no_other(project: Project) -> None:
    project.behave("*evaluation*--namespaces=first) exit 3;;")
    scheduler = started(project, {"first": DAILY | {"priority": 99}, "second": DAILY})
    project.clock.now = MONDAY + 3 * HOUR
    assert scheduler.run_pending() == 3
    assert [call for call in project.calls if call[0] == "second"] == [("second", pipelines) for pipelines in WHOLE]
    begun = len(project.calls)
    for wait in (600, 1200):  # back-off: 10 minutes, 20 minutes
        project.clock.now += wait - 1
        assert scheduler.run_pending() == 0
        project.clock.now += 1
        assert scheduler.run_pending() == 3
    # Only the step that failed was tried again: its predecessors got through
    assert project.calls[begun:] == [("first", "evaluation")] * 2
    run = scheduler.table.runs("first")[0]
    assert (run.state, run.attempt, run.step, run.exit_code) == ("failed", 3, 1, 3)
    project.clock.now += 12 * HOUR
    assert scheduler.run_pending() == 0
    assert len(project.calls) == begun + 2
    project.clock.now = MONDAY + DAY + 3 * HOUR  # the next day it has another chance
    assert scheduler.run_pending() == 3
    assert project.calls[begun + 2] == ("first", WHOLE[0])


def test_a_step_that_recovers_lets_the_rest_follow(project: Project) -> None:
    project.behave("*evaluation*) exit 1;;")
    scheduler = started(project, {"prefetch": DAILY})
    project.clock.now = MONDAY + 3 * HOUR
    scheduler.run_pending()
    project.behave("")
    project.clock.now += 600
    assert scheduler.run_pending() == 0
    assert [pipelines for _, pipelines in project.calls] == [WHOLE[0], WHOLE[1], WHOLE[1], WHOLE[2]]
    log = scheduler.log_of(scheduler.table.runs("prefetch")[0]).read_text(encoding="utf-8")
    assert "judge, attempt 2" in log
    assert "deploy ended with exit code 0" in log


def test_a_gate_that_was_not_passed_is_a_verdict(project: Project) -> None:
    project.behave("*evaluation*) exit 99;;")
    scheduler = started(project, {"prefetch": DAILY})
    project.clock.now = MONDAY + 3 * HOUR
    assert scheduler.run_pending() == 99
    project.clock.now += 12 * HOUR
    assert scheduler.run_pending() == 0
    assert [pipelines for _, pipelines in project.calls] == WHOLE[:2]
    assert scheduler.table.runs("prefetch")[0].state == "gate_failed"


def test_the_most_urgent_comes_first(project: Project) -> None:
    jobs = {f"job_{priority}": DAILY | {"priority": priority} for priority in (10, 90, 50)}
    scheduler = started(project, jobs)
    project.clock.now = MONDAY + 4 * HOUR
    scheduler.run_pending()
    assert [job for job, _ in project.calls[::3]] == ["job_90", "job_50", "job_10"]


def test_a_step_that_takes_too_long_is_stopped(project: Project) -> None:
    project.behave("*evaluation*) sleep 60;;")
    clock = iter(range(int(MONDAY) + 4 * HOUR, 2**40, 100))  # every look at the clock is 100 s later
    scheduler = started(project, {"prefetch": DAILY}, timeout_hours=0.25, lease_seconds=100_000)
    scheduler._clock = lambda: next(clock)
    assert scheduler.run_next().exit_code == 124
    assert scheduler.table.runs("prefetch")[0].state == "waiting"


def test_jobs_that_are_switched_off_run_by_hand_only(project: Project) -> None:
    scheduler = started(project, {"prefetch": DAILY | {"enabled": False}})
    project.clock.now += WEEK
    assert scheduler.run_pending() == 0
    assert not project.calls
    assert scheduler.run_now("prefetch") == 0
    assert len(project.calls) == 3
    assert scheduler.table.runs("prefetch")[0].reason == "by_hand"
    with pytest.raises(UserError, match=r"no job 'prefech'.*'prefetch'"):
        scheduler.run_now("prefech")


def test_by_hand_nothing_runs_twice(project: Project) -> None:
    first, second = (project.scheduler({"prefetch": DAILY}) for _ in range(2))
    first.table.order("prefetch", 1, project.clock())
    assert first._take() is not None
    with pytest.raises(UserError, match=f"runs already, started by {first.owner}"):
        second.run_now("prefetch")


@pytest.mark.parametrize("kind", ["parquet", "csv", "jsonl", "sqlite"])
def test_enough_new_rows_make_a_job_due(project: Project, kind: str) -> None:
    file = {"sqlite": "events.db#events"}.get(kind, f"rows.{kind}")

    def write(rows: int) -> None:
        frame = pd.DataFrame({"ts": range(rows)})
        match kind:
            case "parquet":
                frame.to_parquet(project.path / file)
            case "csv":
                frame.to_csv(project.path / file, index=False)
            case "jsonl":
                frame.to_json(project.path / file, orient="records", lines=True)
            case "sqlite":
                import sqlite3
                from contextlib import closing

                with closing(sqlite3.connect(project.path / "events.db")) as database:
                    frame.to_sql("events", database, if_exists="replace", index=False)

    scheduler = started(project, {"prefetch": DAILY | {"new_rows": {"file": file, "rows": 10}}})
    for rows, runs in ((9, 0), (10, 1), (19, 1), (20, 2), (5, 2), (12, 3)):
        write(rows)
        assert scheduler.run_pending() == 0
        assert len(project.calls) == 3 * runs, rows
    assert {run.reason for run in scheduler.table.runs("prefetch")} == {"new_rows"}


def test_a_file_that_cannot_be_counted_makes_nothing_due(project: Project, caplog: Any) -> None:
    (project.path / "rows.parquet").write_text("no parquet")
    scheduler = started(project, {"prefetch": DAILY | {"new_rows": {"file": "rows.parquet", "rows": 1}}})
    assert "cannot be counted" in caplog.text
    project.clock.now = MONDAY + 3 * HOUR
    assert scheduler.run_pending() == 0
    assert len(project.calls) == 3


def test_logs_and_runs_are_kept_up_to_a_number(project: Project) -> None:
    scheduler = started(project, {"prefetch": {"every": "hourly"}}, keep_logs=3)
    for _ in range(6):
        project.clock.now += HOUR
        scheduler.run_pending()
    assert len(scheduler.table.runs("prefetch")) == 3
    logs = sorted((project.path / "data/schedule/logs/prefetch").glob("*.log"))
    assert logs[-1] == scheduler.log_of(scheduler.table.runs("prefetch")[0])
    assert len(logs) == 3


def test_a_lease_that_ran_out_belongs_to_somebody_else(project: Project) -> None:
    first, second = (started(project, {"prefetch": DAILY}) for _ in range(2))
    project.clock.now = MONDAY + 3 * HOUR
    first.table.plan(first._schedule, {}, project.clock())
    run = first._take()
    assert second._take() is None
    project.clock.now += 59
    assert first.table.renew(run, first.owner, 60, project.clock())
    project.clock.now += 61
    taken = second._take()
    assert (taken.id, taken.attempt) == (run.id, 2)
    assert not first.table.renew(run, first.owner, 60, project.clock())
    assert not first.table.advance(run, first.owner)
    assert not first.table.end(run, first.owner, "succeeded", 0, project.clock())
    project.clock.now += 61
    second._take()
    project.clock.now += 61
    assert second._take() is None  # the job kills every scheduler: no retries are left
    assert (second.table.run(run.id).state, second.table.run(run.id).exit_code) == ("failed", LOST)


def test_a_newer_table_is_refused(project: Project) -> None:
    import sqlite3
    from contextlib import closing

    started(project, {"prefetch": DAILY})
    file = project.path / "data/schedule" / DATABASE
    with closing(sqlite3.connect(file)) as database:
        database.execute("PRAGMA user_version = 99")
    with pytest.raises(UserError, match="newer version"):
        JobTable(file)
    with pytest.raises(UserError, match="cannot be used"):
        JobTable(project.path / "kedro" / "jobs.db")


@given(
    naps=st.lists(st.integers(1, 3 * DAY), min_size=1, max_size=12),
    failures=st.lists(st.booleans(), min_size=12, max_size=12),
)
@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_happens_the_last_slot_is_seen_to_once(naps: list[int], failures: list[bool], tmp_path: Any) -> None:
    """Any naps, any failures: one run per slot at most, and after a run nothing is due before the next slot."""
    import tempfile

    with tempfile.TemporaryDirectory(dir=tmp_path) as folder:
        table = JobTable(Path(folder) / "jobs.db")
        schedule = Project(Path(folder)).schedule({"job": {"every": "hourly"}}, retries=1, backoff_minutes=30)
        now, slots = MONDAY, []
        table.plan(schedule, {}, now)
        for nap, fails in zip(naps, failures, strict=False):
            now += nap
            table.plan(schedule, {}, now)
            run = table.claim(schedule, "me", {}, now)
            if run is None:
                assert (
                    newest_slot(schedule.jobs["job"], now) in slots
                    or table.runs("job")[:1] == []
                    or (table.runs("job")[0].state == "waiting")
                )
                continue
            slots.append(newest_slot(schedule.jobs["job"], now))
            again = fails and run.attempt <= 1
            table.end(run, "me", "waiting" if again else "failed" if fails else "succeeded", 1, now, now + 1800)
            table.plan(schedule, {}, now)
            assert table.claim(schedule, "me", {}, now) is None
        runs = table.runs("job")
        assert len({run.slot for run in runs}) == len(runs)
        assert sum(1 + run.missed for run in runs) <= (now - MONDAY) // HOUR + 1
        assert sum(run.state in ("waiting", "running") for run in runs) <= 1


def test_the_status_is_a_table_or_json(project: Project, monkeypatch: Any) -> None:
    import yaml
    from click.testing import CliRunner

    from augury.__main__ import cli

    (project.path / "conf" / "base").mkdir(parents=True)
    (project.path / "conf" / "local").mkdir()
    content = {"schedule": {"steps": STEPS, "jobs": {"prefetch": DAILY, "taxonomy": {"every": "weekly"}}}}
    (project.path / "conf" / "base" / "schedule.yml").write_text(yaml.safe_dump(content))
    project.scheduler(content["schedule"]["jobs"]).run_now("prefetch")
    monkeypatch.chdir(project.path)
    monkeypatch.delenv("KEDRO_ENV", raising=False)
    shown = CliRunner().invoke(cli, ["schedule", "--list"])
    assert "prefetch  daily, 03:00" in shown.output
    rows = [json.loads(line) for line in CliRunner().invoke(cli, ["schedule", "--list", "--json"]).output.splitlines()]
    assert {row["job"]: row["state"] for row in rows} == {"prefetch": "succeeded", "taxonomy": None}
    assert Path(rows[0]["log"]).exists()
    refused = CliRunner().invoke(cli, ["schedule", "--list", "--once"])
    assert "at a time" in str(refused.exception)
