"""`python -m augury store`: the tracking store, made before anybody waits for it."""

import os
from pathlib import Path

import click

from augury.configuration import CONF, read_configuration
from augury.tracking.connection import connect
from augury.tracking.settings import locate_store, read_settings


@click.command()
@click.option(
    "--env", help="Kedro environment whose tracking.yml says where the store is.  [default: KEDRO_ENV or local]"
)
def store(env: str | None) -> None:
    """Make MLflow's tables where there are none yet, so that the first run need not; `make install` does it."""
    project, env = Path.cwd(), env or os.environ.get("KEDRO_ENV")
    raw = read_configuration(project, env, "tracking")
    settings = None if raw is None else read_settings(raw)
    if settings is None or not settings.enabled:
        click.echo(f"Tracking is switched off in {CONF}/{env or 'local'}/tracking.yml: there is no store.")
        return
    found = locate_store(settings, project, env)
    connect(found, [])
    click.echo(f"MLflow's store at {found.shown_uri} is ready.")
