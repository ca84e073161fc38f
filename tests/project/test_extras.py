"""Where an extra is missing, what needs it says which, and the rest works."""

import subprocess
import sys

import fork_server
import pytest

from augury.extras import EXTRAS, missing_extra

pytestmark = pytest.mark.slow

COLLECTION = ("--pipelines=collection", "--namespaces=pdf_memory")


def kedro_without(modules, project, *arguments, **environment):
    variables = project.environment(**environment)
    if len(modules) == 1 and fork_server.serves(variables):  # some of all extras are loaded there
        return fork_server.run("kedro", arguments, project.folder, variables, without=modules)
    code = f"""
import sys
sys.modules.update(dict.fromkeys({modules!r}))
from kedro.framework.cli.cli import main
sys.argv = ["kedro", *{list(arguments)!r}]
main()
"""
    return subprocess.run(
        [sys.executable, "-c", code],
        cwd=project.folder,
        env=variables,
        capture_output=True,
        text=True,
    )


@pytest.mark.parametrize(
    ("module", "arguments"),
    [
        ("pyspark", ("--env=spark", "--namespaces=pdf_memory")),
        ("s3fs", ("--env=s3", "--namespaces=pdf_memory")),
        ("pikepdf", (*COLLECTION, "--params=pdf_memory.collection.corpus_folder=corpus")),
        ("pypdfium2", (*COLLECTION, "--env=test", "--params=pdf_memory.collection.corpus_folder=corpus")),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_the_extra_is_named(project, module, arguments):
    # s3fs is asked for before any connection is made
    done = kedro_without([module], project, "run", *arguments, AWS_ENDPOINT_URL="http://127.0.0.1:9")
    assert done.returncode == 1
    assert f"pip install 'augury[{EXTRAS[module]}]'" in done.stderr
    assert "Traceback" not in done.stderr


def test_training_works_without_any(project):
    done = kedro_without(
        list(EXTRAS), project, "run", "--pipelines=data_engineering", "--namespaces=pdf_memory", "--env=test"
    )
    assert done.returncode == 0, done.stderr


def test_other_import_errors_are_not_blamed_on_an_extra():
    assert missing_extra(ImportError("No module named 'nonsense'")) is None
    assert missing_extra(ValueError("pyspark failed")) is None  # it is installed here
