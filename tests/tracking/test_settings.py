"""What tracking.yml may say, for each of the project's environments."""

from pathlib import Path
from typing import Any

import pytest
from kedro.config import OmegaConfigLoader
from omegaconf.resolvers import oc

from augury.errors import UserError
from augury.tracking.settings import (
    TrackingSettings,
    locate_store,
    one_line,
    read_settings,
    redact,
)

CONF = Path(__file__).parents[2] / "conf"


def load(env: str) -> TrackingSettings:
    """The committed settings of an environment."""
    loader = OmegaConfigLoader(
        str(CONF),
        env=env,
        base_env="base",
        default_run_env="local",
        config_patterns={"tracking": ["tracking*", "tracking*/**", "**/tracking*"]},
        merge_strategy={"tracking": "soft"},
        custom_resolvers={"oc.env": oc.env},
    )
    return read_settings(loader["tracking"])


def test_base_says_what_the_defaults_are() -> None:
    assert load("base") == TrackingSettings()


def test_trial_runs_have_a_store_of_their_own(tmp_path: Path) -> None:
    store = locate_store(load("test"), tmp_path, "test")
    assert store.database == tmp_path / "data/test/mlflow.db"
    assert store.artifacts == (tmp_path / "data/test/mlartifacts").as_uri()


def test_production_takes_its_server_from_the_environment(monkeypatch: Any) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    assert load("prod").uri == "http://127.0.0.1:5000"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "https://mlflow.example")
    store = locate_store(load("prod"), Path("/srv/augury"), "prod")
    assert (store.uri, store.database, store.artifacts) == ("https://mlflow.example", None, None)


@pytest.mark.parametrize(
    ("tracking", "message"),
    [
        ({"url": "http://x"}, r"tracking\.url: Extra inputs"),
        ({"uri": "mlruns"}, r"tracking\.uri: .*folder.*sqlite:///mlflow\.db"),
        ({"uri": "file:///srv/mlruns"}, r"tracking\.uri: .*folder"),
        ({"uri": "./mlruns"}, r"tracking\.uri: .*folder"),
        ({"experiment": "{model}"}, r"tracking\.experiment: .*\{predictor\}"),
        ({"experiment": "{}"}, r"tracking\.experiment: .*\{predictor\}"),
        ({"experiment": " "}, r"tracking\.experiment: .*name"),
        ({"tags": {"team": ["a"]}}, r"tracking\.tags\.team: "),
    ],
)
def test_mistakes_are_named(tracking: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message) as caught:
        read_settings({"tracking": tracking})
    assert "\n" not in str(caught.value)


def test_an_empty_file_is_a_mistake() -> None:
    with pytest.raises(UserError, match=r"tracking\.yml: tracking: Field required"):
        read_settings({})


@pytest.mark.parametrize(
    ("uri", "database"),
    [
        ("sqlite:///runs/mlflow.db", "/srv/augury/runs/mlflow.db"),
        ("sqlite:////var/mlflow.db", "/var/mlflow.db"),
        ("sqlite:///mlflow.db?timeout=30", "/srv/augury/mlflow.db"),
    ],
)
def test_sqlite_paths_are_relative_to_the_project(uri: str, database: str) -> None:
    store = locate_store(TrackingSettings(uri=uri), Path("/srv/augury"), None)
    assert store.database == Path(database)
    assert store.uri.startswith(f"sqlite:///{database}")
    assert store.uri.endswith("?timeout=30") == ("?" in uri)


@pytest.mark.parametrize(
    ("location", "expected"),
    [("s3://bucket/runs", "s3://bucket/runs"), ("data/runs", "file:///srv/augury/data/runs")],
)
def test_artifact_locations(location: str, expected: str) -> None:
    settings = TrackingSettings(artifact_location=location)
    assert locate_store(settings, Path("/srv/augury"), None).artifacts == expected


@pytest.mark.parametrize(
    "secret",
    [
        "https://ann:s3cret@mlflow.example/x",
        "postgresql+psycopg2://ann:s3cret@db:5432/mlflow",
        "https://s3cret@mlflow.example",
        "mysql://db/mlflow?user=ann&password=s3cret&ssl=1",
    ],
)
def test_credentials_are_hidden(secret: str) -> None:
    shown = redact(f"cannot reach '{secret}' today")
    assert "s3cret" not in shown
    assert shown.startswith("cannot reach '")
    assert shown.endswith("' today")


def test_addresses_without_credentials_stay() -> None:
    assert redact("http://mlflow.example:5000/a@b") == "http://mlflow.example:5000/a@b"


def test_errors_become_one_short_line() -> None:
    assert one_line(ValueError("first\n  second")) == "first second"
    assert one_line(KeyboardInterrupt()) == "KeyboardInterrupt"
    assert len(one_line(ValueError("x" * 1000))) == 300
