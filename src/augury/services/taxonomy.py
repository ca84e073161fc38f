"""`python -m augury serve taxonomy`: suggests codes for texts, as Annif's REST interface does."""

from pathlib import Path

import click

from augury.predictors.taxonomy import TextClassifier
from augury.services.suggestions.application import create_application
from augury.services.suggestions.settings import read_settings
from augury.services.web.server import address_of, listen, run


@click.command()
@click.option(
    "--model",
    default="data/06_models/taxonomy",
    show_default=True,
    type=click.Path(path_type=Path),
    help="Folder of the trained predictor.",
)
@click.option("--settings", "file", type=click.Path(path_type=Path), help="YAML or JSON file with all settings.")
@click.option("--host", help="Address to listen on.  [default: 127.0.0.1]")
@click.option("--port", type=int, help="Port to listen on; 0: any free one.  [default: 8182]")
@click.option("--backend", help="What computes: torch, onnx or int8.  [default: the predictor's own]")
def command(model: Path, file: Path | None, host: str | None, port: int | None, backend: str | None) -> None:
    """Suggest codes for texts over HTTP: POST /v1/projects/taxonomy/suggest, as Annif."""
    settings = read_settings(file, host=host, port=port, backend=backend)
    predictor = TextClassifier.load(model, "taxonomy")
    facts = model_facts(predictor)
    application = create_application(predictor, settings, facts)
    with listen(settings.host, settings.port) as listener:
        # To the standard output, so that whoever started it with port 0 finds the port
        path = f"/v1/projects/{settings.project or facts['model']}/suggest"
        click.echo(f"Suggesting codes at {address_of(listener)}{path}; stop with Ctrl-C.")
        run(application, listener, settings.limits.connections)


def model_facts(predictor: TextClassifier) -> dict[str, str]:
    """Say what answers: for `/health` and as labels of `/metrics`.

    Args:
        predictor: The model.

    Returns:
        Names and texts.
    """
    metadata = predictor.metadata
    return {
        "model": metadata.predictor,
        "version": metadata.created_at,
        "commit": metadata.git_commit or "",
        "data": metadata.data.fingerprint[:12],
        "kind": "+".join(member.name for member in predictor.specification.members),
        "codes": str(len(predictor.codes)),
    }
