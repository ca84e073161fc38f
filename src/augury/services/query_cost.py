"""`python -m augury serve query_cost`: answers Trino Gateway where a query shall run."""

from pathlib import Path

import click

from augury.predictors.query_cost import QueryCostPredictor
from augury.predictors.query_routing import QueryRouter
from augury.services.trino_gateway.application import create_application
from augury.services.trino_gateway.completed_queries import Heaviness
from augury.services.trino_gateway.settings import LearningSettings, read_settings
from augury.services.web.server import address_of, listen, run


@click.command()
@click.option(
    "--model",
    default="data/06_models/query_cost",
    show_default=True,
    type=click.Path(path_type=Path),
    help="Folder of the trained predictor.",
)
@click.option("--settings", "file", type=click.Path(path_type=Path), help="YAML or JSON file with all settings.")
@click.option("--host", help="Address to listen on.  [default: 127.0.0.1]")
@click.option("--port", type=int, help="Port to listen on; 0: any free one.  [default: 8181]")
def command(model: Path, file: Path | None, host: str | None, port: int | None) -> None:
    """Route queries for Trino Gateway (rulesType EXTERNAL)."""
    settings = read_settings(file, host=host, port=port)
    predictor = QueryCostPredictor.load(model, "query_cost")
    router = QueryRouter(predictor, settings.routing, predictor.heavy_templates())
    application = create_application(
        router, settings, model_facts(predictor, router), heaviness(predictor, settings.learning)
    )
    with listen(settings.host, settings.port) as listener:
        # To the standard output, so that whoever started it with port 0 finds the port
        click.echo(f"Routing queries at {address_of(listener)}{settings.path}; stop with Ctrl-C.")
        run(application, listener, settings.limits.connections)


def model_facts(predictor: QueryCostPredictor, router: QueryRouter) -> dict[str, str]:
    """Say what answers: for `/health` and as labels of `/metrics`.

    Args:
        predictor: The model.
        router: What it is asked by.

    Returns:
        Names and texts.
    """
    metadata, point = predictor.metadata, router.settings.operating_point or predictor.specification.operating_point
    return {
        "model": metadata.predictor,
        "version": metadata.created_at,
        "commit": metadata.git_commit or "",
        "data": metadata.data.fingerprint[:12],
        "snapshot": predictor.snapshot.as_of or "",
        "operating_point": point,
        "threshold": f"{predictor.operating_points[point]:.6g}",
    }


def heaviness(predictor: QueryCostPredictor, learning: LearningSettings) -> Heaviness:
    """What makes a completed query heavy: the settings, and for what they leave open the training.

    Args:
        predictor: The model.
        learning: The settings.

    Returns:
        Thresholds and errors.
    """
    trained = predictor.specification
    errors = trained.resource_errors if learning.resource_errors is None else learning.resource_errors
    return Heaviness(
        cpu_threshold_seconds=learning.cpu_threshold_seconds or trained.cpu_threshold_s,
        memory_threshold_gb=learning.memory_threshold_gb or trained.memory_threshold_gb,
        errors=frozenset(errors),
    )
