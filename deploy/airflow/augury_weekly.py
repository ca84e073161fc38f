"""Airflow 3: retrain predictors when the project's schedule.yml says so, and put a new model in force if it is better.

Link this file into the folder of DAGs, or copy it. It imports nothing of the project, which has an environment of its
own, but reads `conf/base/schedule.yml` and, over it, that of the environment. Airflow variables say where that is:

- `augury_project`: the project's folder, with its `.venv`; by default /opt/augury.
- `augury_env`: the Kedro environment; by default prod.

The schedule is read whenever Airflow reads this file, where variables of its database cost a query: a copy finds it by
AIRFLOW_VAR_AUGURY_PROJECT and AIRFLOW_VAR_AUGURY_ENV in the environment of the DAG processor, or by the defaults; a
linked file is in its project already. What the Kedro environment wants to know (MLFLOW_TRACKING_URI, AWS_*,
AUGURY_DATABASE ...) the tasks inherit from the worker.

DAGs run at their times alone. A job's `new_rows` needs `python -m augury schedule`, which remembers how many rows it
has seen; a DAG whose job has it says so in its description.
"""

import datetime as dt
import os
from pathlib import Path
from typing import Any

import yaml
from airflow.providers.standard.operators.bash import BashOperator
from airflow.sdk import DAG

FILE = "schedule.yml"
PROJECT = "{{ var.value.get('augury_project', '/opt/augury') }}"
ENVIRONMENT = "{{ var.value.get('augury_env', 'prod') }}"
WEEKDAYS = ("sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday")
"""As cron counts them."""


def merged(base: Any, over: Any) -> Any:
    """Override single values of a tree, as Kedro merges this file."""
    if not isinstance(base, dict) or not isinstance(over, dict):
        return over
    return base | {name: merged(base.get(name), value) for name, value in over.items()}


def read_schedule() -> dict[str, Any]:
    """The schedule of the project."""
    folders = [Path(__file__).resolve().parents[2], Path(os.environ.get("AIRFLOW_VAR_AUGURY_PROJECT", "/opt/augury"))]
    conf = next((folder / "conf" for folder in folders if (folder / "conf" / "base" / FILE).is_file()), None)
    if conf is None:
        raise FileNotFoundError(
            f"There is no conf/base/{FILE} in {' or '.join(map(str, folders))}: link this file instead of copying it, "
            "or set AIRFLOW_VAR_AUGURY_PROJECT for the DAG processor."
        )
    own = conf / os.environ.get("AIRFLOW_VAR_AUGURY_ENV", "prod") / FILE
    contents = [
        yaml.safe_load(path.read_text(encoding="utf-8")) for path in (conf / "base" / FILE, own) if path.exists()
    ]
    schedule: dict[str, Any] = {}
    for content in contents:
        schedule = merged(schedule, (content or {}).get("schedule") or {})
    return schedule


def cron_of(job: dict[str, Any]) -> str | None:
    """When a job is due, as cron says it; None for one that is switched off."""
    at = job.get("at", "00:00")
    # In YAML 1.1 a bare 13:30 is a number to the base of 60
    hour, minute = divmod(at, 60) if isinstance(at, int) else map(int, at.split(":"))
    if not job.get("enabled", True):
        return None
    if job["every"] == "hourly":
        return f"{minute} * * * *"
    day = WEEKDAYS.index(job.get("weekday") or "monday") if job["every"] == "weekly" else "*"
    return f"{minute} {hour} * * {day}"


def words_of(predictor: str, job: dict[str, Any]) -> str:
    """What a DAG does, and what of its job it leaves undone."""
    words = f"Retrain {predictor}, judge it, and promote it if it is better"
    if job.get("new_rows"):
        words += "; at its times only: new_rows is not watched here, but by `python -m augury schedule`"
    return words


schedule = read_schedule()
for predictor, job in schedule["jobs"].items():
    with DAG(
        dag_id=f"augury_{predictor}",
        description=words_of(predictor, job),
        schedule=cron_of(job),
        start_date=dt.datetime(2026, 1, 1, tzinfo=dt.UTC),
        # What was missed is caught up by the next run, which reads all data anyway
        catchup=False,
        max_active_runs=1,
        default_args={
            "execution_timeout": dt.timedelta(hours=schedule.get("timeout_hours", 6)),
            "priority_weight": job.get("priority", 50),
            "retries": job.get("retries", schedule.get("retries", 2)),
            "retry_delay": dt.timedelta(minutes=job.get("backoff_minutes", schedule.get("backoff_minutes", 10))),
            "retry_exponential_backoff": 2.0,
            "max_retry_delay": dt.timedelta(minutes=schedule.get("most_backoff_minutes", 120)),
        },
        tags=["augury"],
    ):
        earlier = None
        for step, pipelines in schedule["steps"].items():
            task = BashOperator(
                task_id=step,
                bash_command=(
                    f".venv/bin/kedro run --env={ENVIRONMENT} --pipelines={','.join(pipelines)} "
                    f"--namespaces={predictor}"
                ),
                cwd=PROJECT,
                # A gate that was not passed is a verdict, no failure: what follows is skipped, nothing is tried again
                skip_on_exit_code=99,
            )
            if earlier is not None:
                earlier >> task
            earlier = task
