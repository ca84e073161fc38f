"""`python -m augury` lists what there is, and says what is missing."""

import subprocess
import sys

import pytest
from click.testing import CliRunner

from augury.__main__ import cli
from augury.pipelines.assembly import PREDICTORS


@pytest.mark.parametrize(
    ("group", "names"),
    [
        ("predict", set(PREDICTORS)),
        ("serve", {"query_cost", "recommendation", "taxonomy"}),
    ],
)
def test_every_module_is_a_command(group, names):
    listed = CliRunner().invoke(cli, [group, "--help"]).output.split("Commands:")[1]
    assert {line.split()[0] for line in listed.splitlines() if line.startswith("  ") and line[2] != " "} == names


@pytest.mark.parametrize(("group", "kind"), [("predict", "predictor"), ("serve", "service")])
def test_a_mistyped_predictor_is_named_with_the_near_ones(group, kind):
    done = CliRunner().invoke(cli, [group, "query_cst"])
    assert done.exit_code == 1
    assert f"There is no {kind} 'query_cst'. Did you mean 'query_cost'?" in done.output


def test_a_predictor_without_a_service_is_not_denied_itself():
    done = CliRunner().invoke(cli, ["serve", "food_waste"])
    assert done.exit_code == 1
    assert "There is no service 'food_waste'. There are: query_cost, recommendation, taxonomy." in done.output


@pytest.mark.parametrize("module", ["fastapi", "uvicorn", "prometheus_client"])
def test_the_missing_extra_is_named(query_cost_model, module):
    code = f"""
import sys
sys.modules[{module!r}] = None
from augury.__main__ import main
sys.argv = ["augury", "serve", "query_cost", "--port", "0", "--model", {str(query_cost_model)!r}]
main()
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.returncode == 1
    assert "pip install 'augury[serve]'" in done.stderr
    assert "Traceback" not in done.stderr
