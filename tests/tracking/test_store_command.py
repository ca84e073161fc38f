"""`python -m augury store` makes the tracking store before a run needs it."""

import sqlite3

import pytest
from click.testing import CliRunner

from augury.__main__ import cli


@pytest.fixture
def ask(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("KEDRO_ENV", raising=False)

    def asked(settings: str):
        for env in ("base", "local"):
            (tmp_path / "conf" / env).mkdir(parents=True, exist_ok=True)
        (tmp_path / "conf/base/tracking.yml").write_text(settings)
        return CliRunner().invoke(cli, ["store"])

    return asked


def test_the_tables_are_made_and_what_is_there_stays(ask, tmp_path):
    settings = "tracking: {uri: 'sqlite:///runs.db'}\n"
    done = ask(settings)
    assert done.exit_code == 0, done.output
    with sqlite3.connect(tmp_path / "runs.db") as database:
        database.execute("INSERT INTO experiments (name, lifecycle_stage) VALUES ('mine', 'active')")
    assert ask(settings).exit_code == 0
    with sqlite3.connect(tmp_path / "runs.db") as database:
        assert ("mine",) in database.execute("SELECT name FROM experiments").fetchall()


def test_nothing_is_made_where_tracking_is_switched_off(ask, tmp_path):
    done = ask("tracking: {enabled: false}\n")
    assert done.exit_code == 0
    assert "switched off" in done.output
    assert [path.name for path in tmp_path.iterdir()] == ["conf"]


def test_a_store_that_cannot_be_used_is_one_line(ask, tmp_path):
    (tmp_path / "runs.db").write_text("no database")
    done = ask("tracking: {uri: 'sqlite:///runs.db'}\n")
    assert done.exit_code == 1
    assert "Traceback" not in done.output
    assert "runs.db" in str(done.exception or done.output)
