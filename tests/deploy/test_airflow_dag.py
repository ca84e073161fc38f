"""The DAGs without Airflow: what they would run, when and in which order. deploy/airflow/check.sh runs them really."""

import datetime as dt
import os
import runpy
import shlex
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import ClassVar

import pytest
import yaml
from kedro.framework.cli.project import run as kedro_run

from augury.configuration import read_configuration
from augury.pipeline_registry import register_pipelines
from augury.pipelines.assembly import PREDICTORS
from augury.scheduling.scheduler import Scheduler
from augury.scheduling.settings import WEEKDAYS, read_schedule

REPOSITORY = Path(__file__).parents[2]
DAGS = REPOSITORY / "deploy" / "airflow" / "augury_weekly.py"
STEPS = ["validate_data", "train", "evaluate", "deploy_if_better"]


class DAG:
    """What the file says of a DAG."""

    made: ClassVar[list] = []

    def __init__(self, dag_id, **settings):
        self.dag_id, self.settings, self.tasks = dag_id, settings, {}

    def __enter__(self):
        self.made.append(self)
        return self

    def __exit__(self, *error):
        pass


class BashOperator:
    """What the file says of a task; belongs to the DAG that was begun last, as the file's loop has it."""

    def __init__(self, task_id, **settings):
        self.task_id, self.settings, self.followers = task_id, settings, []
        DAG.made[-1].tasks[task_id] = self

    def __rshift__(self, other):
        self.followers.append(other.task_id)
        return other


def read_dags(file, environment="prod", **more):
    """Read the file as Airflow does, without Airflow."""
    DAG.made = []
    modules = {
        name: ModuleType(name) for name in ("airflow", "airflow.sdk", "airflow.providers.standard.operators.bash")
    }
    modules["airflow.sdk"].DAG = DAG
    modules["airflow.providers.standard.operators.bash"].BashOperator = BashOperator
    for parent in ("airflow.providers", "airflow.providers.standard", "airflow.providers.standard.operators"):
        modules[parent] = ModuleType(parent)
    with pytest.MonkeyPatch.context() as monkeypatch:
        for name, module in modules.items():
            monkeypatch.setitem(sys.modules, name, module)
        monkeypatch.delenv("AIRFLOW_VAR_AUGURY_PROJECT", raising=False)
        for name, value in {"AIRFLOW_VAR_AUGURY_ENV": environment, **more}.items():
            monkeypatch.setenv(name, value)
        before = set(sys.modules)
        runpy.run_path(str(file))
        assert not {name for name in set(sys.modules) - before if name.startswith(("kedro", "augury"))}
    return {dag.dag_id: dag for dag in DAG.made}


@pytest.fixture(scope="module")
def dags():
    return read_dags(DAGS)


@pytest.fixture(scope="module")
def schedule():
    return read_schedule(read_configuration(REPOSITORY, "prod", "schedule"))


def cron(job):
    """A job's times as five fields of a crontab."""
    minute, hour = str(job.minute), "*" if job.every == "hourly" else str(job.hour)
    day = str((WEEKDAYS.index(job.weekday or "monday") + 1) % 7) if job.every == "weekly" else "*"
    return f"{minute} {hour} * * {day}"


def options(task, environment="test"):
    """The options of the task's `kedro run`, read by Kedro's own command."""
    program, subcommand, *arguments = shlex.split(
        task.settings["bash_command"].replace("{{ var.value.get('augury_env', 'prod') }}", environment)
    )
    assert (program, subcommand) == (".venv/bin/kedro", "run")
    return kedro_options(arguments)


def kedro_options(arguments):
    return {name: value for name, value in kedro_run.make_context("run", arguments).params.items() if value}


def test_every_predictor_is_retrained_when_the_schedule_says_so(dags, schedule):
    predictors = [*PREDICTORS]
    assert set(dags) == {f"augury_{predictor}" for predictor in predictors}
    for predictor in predictors:
        settings, job = dags[f"augury_{predictor}"].settings, schedule.jobs[predictor]
        assert settings["schedule"] == cron(job)
        assert settings["start_date"].utcoffset() == dt.timedelta(0)
        assert settings["catchup"] is False
        assert settings["max_active_runs"] == 1
        assert settings["default_args"] == {
            "execution_timeout": dt.timedelta(hours=schedule.timeout_hours),
            "priority_weight": job.priority,
            "retries": schedule.retries_of(predictor),
            "retry_delay": dt.timedelta(seconds=schedule.wait_before(predictor, 1)),
            "retry_exponential_backoff": 2.0,
            "max_retry_delay": dt.timedelta(minutes=schedule.most_backoff_minutes),
        }


def test_those_of_before_stay_on_sunday_at_three(dags):
    for predictor in ("food_waste", "pdf_memory", "query_cost", "recommendation", "taxonomy"):
        assert dags[f"augury_{predictor}"].settings["schedule"] == "0 3 * * 0"


def test_the_schedule_is_plain(schedule):
    """Airflow reads it without the interpolations that Kedro knows."""
    text = (REPOSITORY / "conf" / "base" / "schedule.yml").read_text(encoding="utf-8")
    assert read_schedule(yaml.safe_load(text)) == read_schedule(read_configuration(REPOSITORY, "test", "schedule"))


def test_a_copied_file_finds_the_project_and_its_environment(tmp_path, schedule):
    for name in ("base", "prod"):
        (tmp_path / "project" / "conf" / name).mkdir(parents=True)
    conf = tmp_path / "project" / "conf"
    base = (REPOSITORY / "conf" / "base" / "schedule.yml").read_text(encoding="utf-8")
    (conf / "base" / "schedule.yml").write_text(base, encoding="utf-8")
    new_rows = {"file": "data/events.db#rows", "rows": 9}
    jobs = {"taxonomy": {"enabled": False}, "prefetch": {"at": 810}, "compression": {"new_rows": new_rows}}
    change = {"retries": 5, "jobs": jobs}
    (conf / "prod" / "schedule.yml").write_text(yaml.safe_dump({"schedule": change}), encoding="utf-8")
    copied = tmp_path / "airflow" / "dags" / "augury_weekly.py"
    copied.parent.mkdir(parents=True)
    copied.write_bytes(DAGS.read_bytes())
    with pytest.raises(FileNotFoundError, match="AIRFLOW_VAR_AUGURY_PROJECT"):
        read_dags(copied, AIRFLOW_VAR_AUGURY_PROJECT=str(tmp_path))
    found = read_dags(copied, AIRFLOW_VAR_AUGURY_PROJECT=str(tmp_path / "project"))
    own = read_schedule(read_configuration(tmp_path / "project", "prod", "schedule"))
    assert found["augury_taxonomy"].settings["schedule"] is None
    assert found["augury_prefetch"].settings["schedule"] == cron(own.jobs["prefetch"]) == "30 13 * * *"
    assert found["augury_prefetch"].settings["default_args"]["retries"] == own.retries_of("prefetch") == 5
    assert set(found) == {f"augury_{name}" for name in schedule.jobs}
    assert own.jobs["compression"].new_rows is not None
    told = [name for name, dag in found.items() if "new_rows is not watched" in dag.settings["description"]]
    assert told == ["augury_compression"]


def test_the_single_machine_runs_the_same_commands(dags, schedule, tmp_path):
    scheduler = Scheduler(schedule, tmp_path, "test")
    for predictor in schedule.jobs:
        commands = [shlex.join(scheduler.command_of(predictor, step)) for step in schedule.steps]
        tasks = dags[f"augury_{predictor}"].tasks
        assert list(tasks) == list(schedule.steps)
        for command, task in zip(commands, tasks.values(), strict=True):
            assert kedro_options(shlex.split(command)[4:]) == options(task)


def test_one_step_follows_another(dags):
    for dag in dags.values():
        assert list(dag.tasks) == STEPS
        assert [task.followers for task in dag.tasks.values()] == [["train"], ["evaluate"], ["deploy_if_better"], []]


def test_what_is_broken_is_tried_again_and_a_verdict_is_not(dags):
    from augury.errors import GateFailure

    for dag in dags.values():
        assert dag.settings["default_args"]["retries"] > 0
        for task in dag.tasks.values():
            assert task.settings["skip_on_exit_code"] == GateFailure.exit_code


def test_the_commands_run_what_exists(dags):
    pipelines = register_pipelines()
    for dag_id, dag in dags.items():
        seen = []
        for task in dag.tasks.values():
            said = options(task)
            assert said == {
                "env": "test",
                "pipelines": said["pipelines"],
                "namespaces": [dag_id.removeprefix("augury_")],
            }
            seen += said["pipelines"]
            for name in said["pipelines"]:
                nodes = pipelines[name].nodes
                assert any(node.namespace == said["namespaces"][0] for node in nodes), (dag_id, name)
        assert seen == ["data_engineering", "feature_engineering", "model_training", "evaluation", "promotion"]


# --- the same from cron ---


def retrain(tmp_path, exit_codes, *predictors, **environment):
    """Run the script in a project whose `kedro` notes how it is called; a call ends as its first known word says."""
    deploy = tmp_path / "deploy"
    program = tmp_path / ".venv" / "bin" / "kedro"
    deploy.mkdir()
    program.parent.mkdir(parents=True)
    (deploy / "retrain.sh").write_bytes((REPOSITORY / "deploy" / "retrain.sh").read_bytes())
    cases = "".join(f"*'{word}'*) exit {code};; " for word, code in exit_codes.items())
    program.write_text(f'#!/bin/bash\necho "$*" >> "$PWD/calls"\ncase "$*" in {cases}esac\n')
    program.chmod(0o755)
    done = subprocess.run(
        ["bash", deploy / "retrain.sh", *predictors], capture_output=True, text=True, env={**os.environ, **environment}
    )
    calls = [shlex.split(line) for line in (tmp_path / "calls").read_text().splitlines()]
    return done, [{name: value for name, _, value in (word.partition("=") for word in call[1:])} for call in calls]


def test_cron_runs_the_commands_of_the_dags(dags, tmp_path):
    done, calls = retrain(tmp_path, {}, "food_waste", "pdf_memory", AUGURY_ENV="test")
    assert done.returncode == 0
    expected = [
        {"--env": "test", "--pipelines": ",".join(said["pipelines"]), "--namespaces": predictor}
        for predictor in ("food_waste", "pdf_memory")
        for said in map(options, dags[f"augury_{predictor}"].tasks.values())
    ]
    assert calls == expected


def test_a_predictor_that_does_not_get_through_does_not_stop_the_others(tmp_path):
    done, calls = retrain(
        tmp_path, {"=evaluation --namespaces=food_waste": 99}, "food_waste", "pdf_memory", AUGURY_ENV=""
    )
    assert done.returncode == 99
    assert "food_waste: evaluation ended with exit code 99" in done.stdout
    steps = [(call["--namespaces"], call["--pipelines"].split(",")[0]) for call in calls]
    assert ("food_waste", "promotion") not in steps
    assert ("pdf_memory", "promotion") in steps
    assert {call["--env"] for call in calls} == {"prod"}


def test_the_example_of_a_crontab_says_the_same(schedule):
    lines = [
        line
        for line in (REPOSITORY / "deploy" / "crontab.example").read_text().splitlines()
        if line and not line.startswith("#") and "=" not in line.split()[0]
    ]
    times, locks = {}, []
    for line in lines:
        minute, hour, day, month, weekday, command = line.split(maxsplit=5)
        assert "%" not in command  # cron would end the command there
        words = shlex.split(command.replace("&&", " && ").replace(">>", " >> "))
        locks.append(words[words.index("flock") + 2])
        for predictor in words[words.index("deploy/retrain.sh") + 1 : words.index(">>")]:
            assert predictor not in times
            times[predictor] = " ".join((minute, hour, day, month, weekday))
    assert times == {predictor: cron(job) for predictor, job in schedule.jobs.items()}
    assert len(set(locks)) == len(lines)
    assert "CRON_TZ=UTC" in (REPOSITORY / "deploy" / "crontab.example").read_text()
