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
from kedro.framework.cli.project import run as kedro_run

from augury.pipeline_registry import register_pipelines

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


@pytest.fixture(scope="module")
def dags():
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
        before = set(sys.modules)
        runpy.run_path(str(DAGS))
        assert not {name for name in set(sys.modules) - before if name.startswith(("kedro", "augury"))}
    return {dag.dag_id: dag for dag in DAG.made}


def options(task, environment="test"):
    """The options of the task's `kedro run`, read by Kedro's own command."""
    program, subcommand, *arguments = shlex.split(
        task.settings["bash_command"].replace("{{ var.value.get('augury_env', 'prod') }}", environment)
    )
    assert (program, subcommand) == (".venv/bin/kedro", "run")
    return {name: value for name, value in kedro_run.make_context("run", arguments).params.items() if value}


def test_every_predictor_is_retrained_on_sunday_at_three(dags):
    predictors = {node.namespace for node in register_pipelines()["model_training"].nodes}
    assert set(dags) >= {f"augury_{predictor}" for predictor in predictors}
    for dag in dags.values():
        assert dag.settings["schedule"] == "0 3 * * 0"
        assert dag.settings["start_date"].utcoffset() == dt.timedelta(0)
        assert dag.settings["catchup"] is False
        assert dag.settings["max_active_runs"] == 1


def test_one_step_follows_another(dags):
    for dag in dags.values():
        assert list(dag.tasks) == STEPS
        assert [task.followers for task in dag.tasks.values()] == [["train"], ["evaluate"], ["deploy_if_better"], []]


def test_what_is_broken_is_tried_again_and_a_verdict_is_not(dags):
    from augury.errors import GateFailure

    for dag in dags.values():
        for task in dag.tasks.values():
            assert task.settings["retries"] > 0
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


def test_the_example_of_a_crontab_names_every_predictor(dags):
    (line,) = [
        line
        for line in (REPOSITORY / "deploy" / "crontab.example").read_text().splitlines()
        if line and not line.startswith("#") and "=" not in line.split()[0]
    ]
    minute, hour, day, month, weekday, command = line.split(maxsplit=5)
    schedule = " ".join((minute, hour, day, month, weekday))
    assert {dag.settings["schedule"] for dag in dags.values()} == {schedule}
    assert "%" not in command  # cron would end the command there
    words = shlex.split(command.replace("&&", " && ").replace(">>", " >> "))
    called = words[words.index("deploy/retrain.sh") + 1 : words.index(">>")]
    assert [f"augury_{predictor}" for predictor in called] == list(dags)
