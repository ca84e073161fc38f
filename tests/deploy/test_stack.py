"""The stack of deploy/compose.yml without containers: PostgreSQL, S3 and MLflow, on loopback and sockets only."""

from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest
import yaml
from test_serving import post, serving

from augury.predictors import load_predictor
from augury.tracking.connection import connect
from augury.tracking.model import log_model
from augury.tracking.registry import ModelRegistry, RegistryAddress
from augury.tracking.settings import TrackingSettings

from workspace import s3_server

pytestmark = pytest.mark.slow

SERVICE = yaml.safe_load((Path(__file__).parents[2] / "deploy" / "compose.yml").read_text())["services"]["mlflow"]
PREDICTOR = "pdf_memory"


def server_command() -> list[str]:
    """The container's own command, with one worker; where it listens is the caller's."""
    program, *arguments = SERVICE["command"]
    assert program == "mlflow"
    options = dict(zip(arguments[1::2], arguments[2::2], strict=True))
    assert {options.pop("--host"), options.pop("--port")} == {"0.0.0.0", "5000"}
    return [arguments[0], *(part for option in (options | {"--workers": "1"}).items() for part in option)]


@pytest.fixture(scope="module")
def stack(postgresql, tmp_path_factory):
    """The running stack: address of the server, URI of its database, and the environment of its clients."""
    database = postgresql.create("tracking")
    with s3_server() as s3, pytest.MonkeyPatch.context() as monkeypatch:
        s3.filesystem().mkdir("mlflow")
        for name, value in s3.environment.items():
            monkeypatch.setenv(name, value)
        environment = SERVICE["environment"] | {
            **s3.environment,
            "MLFLOW_BACKEND_STORE_URI": database.sqlalchemy_uri,
            "MLFLOW_S3_ENDPOINT_URL": s3.endpoint,
            "PGPASSWORD": "",
        }
        folder = tmp_path_factory.mktemp("stack") / "server"
        with serving(folder, *server_command(), **environment) as address:
            yield SimpleNamespace(address=address, database=database, bucket=s3)


def put_in_force(settings: TrackingSettings, predictor, folder: Path) -> tuple[ModelRegistry, str]:
    """Log a run with a model, register it, promote it; returns the registry and the number of the version."""
    address = RegistryAddress.of(settings, folder, "prod")
    name = settings.experiment.format(predictor=PREDICTOR)
    client, experiments = connect(address.store, [name])
    run = client.create_run(experiments[name])
    client.log_metric(run.info.run_id, "mae", 1.5)
    model = log_model(client, experiments[name], run.info.run_id, predictor, {"seed": "3"})
    client.set_terminated(run.info.run_id)
    registry = ModelRegistry.open(address, PREDICTOR)
    champion = registry.version("champion")
    version = registry.register(model, run.info.run_id, {"augury.predictor": PREDICTOR})
    assert registry.version("challenger").number == version.number
    registry.promote(version.number, champion.number if champion else None, {"reason": "better"})
    return registry, version.number


def test_a_model_is_logged_registered_promoted_loaded_and_served(stack, pdf_predictors, simulated_jobs, tmp_path):
    predictor = pdf_predictors["physics_trees"]
    registry, number = put_in_force(TrackingSettings(uri=stack.address), predictor, tmp_path)
    assert registry.aliases() == {"champion": number}

    rows = stack.database.query(
        "SELECT key, value FROM metrics UNION SELECT alias, version FROM registered_model_aliases"
    )
    assert set(rows) == {("mae", 1.5), ("champion", float(number))}
    assert any(path.endswith("artifacts/predictor/metadata.json") for path in stack.bucket.filesystem().find("mlflow"))

    table = simulated_jobs[[spec.name for spec in predictor.metadata.inputs]].head(5)
    expected = predictor.predict(table)
    loaded = load_predictor(registry.download(registry.version("champion"), tmp_path))
    pd.testing.assert_frame_equal(loaded.predict(table), expected, check_exact=True)

    command = ("models", "serve", "-m", f"models:/{registry.name}@champion", "--env-manager", "local")
    with serving(tmp_path / "scorer", *command, MLFLOW_TRACKING_URI=stack.address) as scorer:
        records = yaml.safe_load(table.to_json(orient="records"))
        answer = post(f"{scorer}/invocations", {"dataframe_records": records})
    pd.testing.assert_frame_equal(
        pd.DataFrame(answer["predictions"])[list(expected.columns)], expected.reset_index(drop=True), check_exact=True
    )


def test_the_database_and_the_store_are_used_without_a_server(stack, pdf_predictors, tmp_path):
    # An experiment of its own: the artifacts of the server's experiments are behind the server
    settings = TrackingSettings(
        uri=stack.database.sqlalchemy_uri, artifact_location="s3://mlflow/direct", experiment="{predictor}-direct"
    )
    before = ModelRegistry.open(RegistryAddress.of(settings, tmp_path, "prod"), PREDICTOR).version("champion")
    registry, number = put_in_force(settings, pdf_predictors["original"], tmp_path)
    version = registry.version("champion")
    assert version.number == number
    assert registry.rollback() == (number, before.number)
    assert load_predictor(registry.download(version, tmp_path)).metadata == pdf_predictors["original"].metadata


def test_other_hosts_are_turned_away(stack):
    import urllib.error
    import urllib.request

    path = "/api/2.0/mlflow/experiments/get?experiment_id=0"
    with urllib.request.urlopen(stack.address + path, timeout=30) as response:
        assert response.status == 200
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(
            urllib.request.Request(stack.address + path, headers={"Host": "evil.example"}), timeout=30
        )
    assert refused.value.code == 403
