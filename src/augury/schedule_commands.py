"""`python -m augury schedule`: continuous training on a single machine."""

import json
import logging
import os
import signal
import sys
import time
from pathlib import Path
from types import FrameType
from typing import Any

import click

from augury.configuration import read_configuration
from augury.errors import UserError
from augury.scheduling.scheduler import Scheduler
from augury.scheduling.settings import Schedule, read_schedule
from augury.scheduling.slots import as_text, next_slot

COLUMNS = ("job", "when", "next", "last", "state", "step", "attempt", "missed", "log")
_STOPPING = (signal.SIGINT, signal.SIGTERM)


@click.command()
@click.option("--env", help="Kedro environment of schedule.yml and of the runs.  [default: KEDRO_ENV or local]")
@click.option("--once", is_flag=True, help="Run what is due now, and return; for cron or a systemd timer.")
@click.option("--run", "name", metavar="NAME", help="Run this job now, due or not, and return.")
@click.option("--list", "--status", "listed", is_flag=True, help="Show all jobs: when they run, and how they ended.")
@click.option("--json", "as_json", is_flag=True, help="With --list: one JSON object per job.")
def schedule(env: str | None, once: bool, name: str | None, listed: bool, as_json: bool) -> None:
    """Train, judge and promote predictors when conf/base/schedule.yml says so.

    Without an option it runs until it is stopped (Ctrl-C or SIGTERM). Any number of schedulers may run at once: each
    job is run by one of them.
    """
    if sum((once, name is not None, listed)) > 1:
        raise UserError("Only one of --once, --run and --list goes at a time.")
    if as_json and not listed:
        raise UserError("--json goes with --list.")
    env = env or os.environ.get("KEDRO_ENV")
    project = Path.cwd()
    settings = read_schedule(read_configuration(project, env, "schedule"))
    scheduler = Scheduler(settings, project, env)
    if listed:
        _show(_status(settings, scheduler, time.time()), as_json)
        return
    _log_progress()
    _stop_at_signals(scheduler)
    code = 0
    if name is not None:
        code = scheduler.run_now(name)
    elif once:
        code = scheduler.run_pending()
    else:
        scheduler.run_forever()
    sys.exit(code)


def _status(settings: Schedule, scheduler: Scheduler, now: float) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    for name, job in sorted(settings.jobs.items(), key=lambda item: (-item[1].priority, item[0])):
        runs = scheduler.table.runs(name)
        run = runs[0] if runs else None
        rows.append(
            {
                "job": name,
                "when": job.words if job.enabled else "by hand",
                "next": as_text(next_slot(job, now)) if job.enabled else None,
                "last": None if run is None else as_text(run.slot),
                "state": None if run is None else run.state,
                "step": None if run is None else [*settings.steps, None][min(run.step, len(settings.steps))],
                "attempt": None if run is None else run.attempt,
                "missed": None if run is None else run.missed,
                "exit_code": None if run is None else run.exit_code,
                "reason": None if run is None else run.reason,
                "log": None if run is None else str(scheduler.log_of(run).relative_to(Path.cwd())),
            }
        )
    return rows


def _show(rows: list[dict[str, Any]], as_json: bool) -> None:
    if as_json:
        for row in rows:
            click.echo(json.dumps(row))
        return
    cells = [COLUMNS, *(tuple("-" if row[name] is None else str(row[name]) for name in COLUMNS) for row in rows)]
    widths = [max(len(line[column]) for line in cells) for column in range(len(COLUMNS))]
    for line in cells:
        click.echo("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())


def _log_progress() -> None:
    logger = logging.getLogger("augury.scheduling")
    logger.setLevel(logging.INFO)
    handler = logging.StreamHandler()
    formatter = logging.Formatter("%(asctime)sZ %(levelname)s %(message)s", "%Y-%m-%dT%H:%M:%S")
    formatter.converter = time.gmtime
    handler.setFormatter(formatter)
    logger.addHandler(handler)
    logger.propagate = False


def _stop_at_signals(scheduler: Scheduler) -> None:
    def stop(number: int, frame: FrameType | None) -> None:
        for each in _STOPPING:
            # A second one is not asked to wait
            signal.signal(each, signal.SIG_DFL)
        scheduler.stop()

    for number in _STOPPING:
        signal.signal(number, stop)
