"""`python -m augury models` and `rollback`, as people type them."""

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from augury.__main__ import cli
from augury.errors import UserError
from augury.tracking.registry import ModelRegistry

from workspace import Project

CONF = Path(__file__).parents[2] / "conf"


@pytest.fixture
def augury(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """A function that runs a command in the folder of a project."""
    for name in ("base/parameters", "base/tracking.yml", "local", "test/tracking.yml", "prod/tracking.yml"):
        (tmp_path / "conf" / name).parent.mkdir(parents=True, exist_ok=True)
        if name.endswith(".yml"):
            shutil.copy(CONF / name, tmp_path / "conf" / name)
    (tmp_path / "conf/local").mkdir()
    (tmp_path / "conf/base/parameters").mkdir()
    for predictor in ("pdf_memory", "query_cost"):
        (tmp_path / f"conf/base/parameters/{predictor}.yml").write_text("")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("KEDRO_ENV", raising=False)
    return lambda *arguments: CliRunner().invoke(cli, arguments)


def test_versions_are_listed(registry: ModelRegistry, augury: Callable[..., Result]) -> None:
    registry.promote("1", None, {"augury.promotion": "promoted"})
    registry.promote("2", "1", {"augury.promotion": "promoted"})
    registry.tag("3", {"augury.metric.roc_auc": "0.871", "augury.metric.ece": "0.01", "augury.gates": "failed"})
    lines = augury("models", "pdf_memory").output.splitlines()
    assert [line.split() for line in lines] == [
        ["version", "alias", "trained", "gates", "promotion", "metrics"],
        ["3", "challenger", "2026-01-01", "00:00", "failed", "-", "roc_auc", "0.871,", "ece", "0.01"],
        ["2", "champion", "2026-01-01", "00:00", "passed", "promoted", "-"],
        ["1", "previous", "2026-01-01", "00:00", "passed", "promoted", "-"],
    ]
    lines = augury("models", "pdf_memory", "--limit", "1").output.splitlines()
    assert (len(lines), lines[-1]) == (3, "... and 2 older ones (--limit)")


def test_rollback(registry: ModelRegistry, augury: Callable[..., Result]) -> None:
    registry.promote("1", None, {})
    registry.promote("3", "1", {})
    done = augury("rollback", "pdf_memory")
    assert done.output == "augury.pdf_memory: version 1 is the champion again, instead of version 3\n"
    assert registry.aliases() == {"champion": "1"}
    assert "rolled back" in augury("models", "pdf_memory").output.splitlines()[1]
    refused = augury("rollback", "pdf_memory")
    assert isinstance(refused.exception, UserError)
    assert "no previous champion to go back to; the champion is version 1" in str(refused.exception)


@pytest.mark.parametrize("command", ["models", "rollback"])
@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["pdf_memry"], "There is no predictor 'pdf_memry'. Did you mean 'pdf_memory'?"),
        (["pdf_memory", "--env", "prd"], "There is no environment 'prd' under conf/. Did you mean 'prod'?"),
    ],
)
def test_mistakes_are_one_line(augury: Callable[..., Result], command: str, arguments: list[str], words: str) -> None:
    assert str(augury(command, *arguments).exception) == words


def test_the_environment_says_where(
    registry: ModelRegistry, augury: Callable[..., Result], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "data/test").mkdir(parents=True)
    shutil.copy(tmp_path / "mlflow.db", tmp_path / "data/test/mlflow.db")
    registry.promote("1", None, {})
    assert "champion" in augury("models", "pdf_memory").output
    assert "champion" not in augury("models", "pdf_memory", "--env", "test").output
    monkeypatch.setenv("KEDRO_ENV", "test")
    assert "champion" not in augury("models", "pdf_memory").output


def test_without_tracking_there_is_no_registry(augury: Callable[..., Result], tmp_path: Path) -> None:
    (tmp_path / "conf/local/tracking.yml").write_text("tracking: {enabled: false}")
    assert "switched off in conf/local/tracking.yml" in str(augury("models", "pdf_memory").exception)
    (tmp_path / "conf/base/tracking.yml").unlink()
    (tmp_path / "conf/local/tracking.yml").unlink()
    assert "there is no registry" in str(augury("models", "pdf_memory").exception)


def test_nothing_is_registered_yet(registry: ModelRegistry, augury: Callable[..., Result]) -> None:
    assert str(augury("models", "query_cost").exception) == (
        "augury.query_cost has no versions. A tracked training registers one."
    )


def test_elsewhere_it_says_so(tmp_path: Path) -> None:
    done = Project(tmp_path).augury("models", "pdf_memory")
    assert done.returncode == 1
    assert (
        done.stderr == f"Error: '{tmp_path}' is not the folder of the project: it has no conf/base. Go there first.\n"
    )


def test_asking_a_predictor_does_not_wait_for_kedro() -> None:
    code = "import sys, augury.__main__ as m; m.cli.get_command(None, 'predict'); print('kedro' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
