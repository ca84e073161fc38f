"""`python -m augury serve recommendation`: recommendations over HTTP."""

from pathlib import Path

import click

from augury.predictors.recommendation import Recommender
from augury.services.recommendations.application import create_application
from augury.services.web.request_limits import RequestLimits
from augury.services.web.server import address_of, listen, run


@click.command()
@click.option(
    "--model",
    default="data/06_models/recommendation",
    show_default=True,
    type=click.Path(path_type=Path),
    help="Folder of the trained predictor.",
)
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", default=8183, show_default=True, type=click.IntRange(0, 65_535), help="Port; 0: any free one.")
def command(model: Path, host: str, port: int) -> None:
    """Answer GET /v1/users/{id}/recommendations?k= and POST /v1/recommendations."""
    limits = RequestLimits()
    application = create_application(Recommender.load(model, "recommendation"), limits)
    with listen(host, port) as listener:
        # To the standard output, so that whoever started it with port 0 finds the port
        click.echo(f"Recommending at {address_of(listener)}/v1; stop with Ctrl-C.")
        run(application, listener, limits.connections)
