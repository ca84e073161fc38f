"""A command in a fork says and does what it says and does in an interpreter of its own."""

import os
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import fork_server
import pytest

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="there are no forks of loaded libraries elsewhere"),
]

CLOCK = re.compile(r"\d\d:\d\d:\d\d")


@pytest.mark.parametrize(
    "arguments",
    [
        ("--help",),
        ("run", "--env=test", "--params=pdf_memory.sed=7"),
        ("catalog", "describe-datasets", "--env=nowhere"),
    ],
    ids=" ".join,
)
def test_exit_code_and_output_are_those_of_a_new_interpreter(project, arguments):
    forked, new = project.kedro(*arguments), project.new_kedro(*arguments)
    assert forked.returncode == new.returncode
    for found, expected in ((forked.stdout, new.stdout), (forked.stderr, new.stderr)):
        assert CLOCK.sub("", without_frames(found)) == CLOCK.sub("", without_frames(expected))


def without_frames(said: str) -> str:
    """Where a traceback passed through differs by what called the command."""
    return re.sub(r"^ +File .*\n( {4}.*\n)*", "", said, flags=re.MULTILINE)


def test_a_command_sees_its_own_folder_environment_and_input(tmp_path):
    environment = fork_server.read_once(os.environ) | {"HOME": str(tmp_path)}
    given = ("augury", ["predict", "query_cost", "--model=here"], tmp_path, environment)
    assert fork_server.serves(environment)
    forked = fork_server.run(*given, given="select 1")
    new = subprocess.run(
        [sys.executable, "-m", "augury", *given[1]],
        input="select 1", cwd=tmp_path, env=environment, capture_output=True, text=True,
    )  # fmt: skip
    assert (forked.returncode, forked.stdout, forked.stderr) == (new.returncode, new.stdout, new.stderr)
    assert forked.returncode == 1
    assert "here" in forked.stderr


def test_a_command_leaves_nothing_to_the_next(project):
    catalog = ("catalog", "resolve-patterns", "--env=s3")
    elsewhere = project.kedro(*catalog, AUGURY_LAKE="s3://elsewhere")
    default = project.kedro(*catalog)
    assert "s3://elsewhere" in elsewhere.stdout
    assert "elsewhere" not in default.stdout + default.stderr
    assert default.returncode == elsewhere.returncode == 0


def test_threads_of_the_tests_may_ask_at_once(project):
    with ThreadPoolExecutor(2) as threads:
        asked = threads.map(lambda name: project.kedro("run", f"--pipeline={name}"), ("trainin", "tunin"))
    assert ["'trainin'" in done.stderr for done in asked] == [True, False]


def test_what_is_read_when_an_interpreter_starts_is_not_for_a_fork(project):
    variables = project.environment()
    assert fork_server.serves(variables)
    assert not fork_server.serves(variables | {"PYTHONHASHSEED": "1"})
    assert not fork_server.serves(variables | {"LC_ALL": "tr_TR"})
