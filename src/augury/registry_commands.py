"""`python -m augury models` and `python -m augury rollback`: the model registry from a shell."""

import os
from pathlib import Path

import click

from augury.configuration import CONF, read_configuration
from augury.errors import UserError
from augury.parameters import near_matches
from augury.predictors.predictor_version import GATES_TAG
from augury.tracking.registration import MAIN_METRICS, METRIC_PREFIX
from augury.tracking.registry import CHAMPION, ModelRegistry, ModelVersion, RegistryAddress
from augury.tracking.settings import read_settings

SHOWN_METRICS = 6
COLUMNS = ("version", "alias", "trained", "gates", "promotion", "metrics")

_predictor = click.argument("predictor")
_env = click.option(
    "--env", help="Kedro environment whose tracking.yml says where the registry is.  [default: KEDRO_ENV or local]"
)


@click.command()
@_predictor
@_env
@click.option("--limit", default=20, show_default=True, type=click.IntRange(min=1), help="The newest so many.")
def models(predictor: str, env: str | None, limit: int) -> None:
    """List the registered versions of PREDICTOR, the newest first."""
    registry = _open(predictor, env)
    versions = registry.versions()
    if not versions:
        raise UserError(f"{registry.name} has no versions. A tracked training registers one.")
    rows = [COLUMNS, *(_row(version) for version in versions[:limit])]
    widths = [max(len(row[column]) for row in rows) for column in range(len(COLUMNS))]
    for row in rows:
        click.echo("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
    if len(versions) > limit:
        click.echo(f"... and {len(versions) - limit} older ones (--limit)")


@click.command()
@_predictor
@_env
def rollback(predictor: str, env: str | None) -> None:
    """Make the previous champion of PREDICTOR the champion again."""
    registry = _open(predictor, env)
    before, after = registry.rollback()
    click.echo(f"{registry.name}: version {after} is the champion again, instead of version {before}")


def _row(version: ModelVersion) -> tuple[str, ...]:
    tags = version.tags
    names = sorted(key.removeprefix(METRIC_PREFIX) for key in tags if key.startswith(METRIC_PREFIX))
    names.sort(key=lambda name: name not in MAIN_METRICS)
    shown = [f"{name} {tags[METRIC_PREFIX + name]}" for name in names[:SHOWN_METRICS]]
    rolled_back = "augury.rolled_back_at" in tags and CHAMPION not in version.aliases
    return (
        version.number,
        ", ".join(version.aliases) or "-",
        tags.get("augury.trained_at", str(version.created))[:16].replace("T", " "),
        tags.get(GATES_TAG, "-"),
        "rolled back" if rolled_back else tags.get("augury.promotion", "-"),
        ", ".join(shown) or "-",
    )


def _open(predictor: str, env: str | None) -> ModelRegistry:
    """Reach a predictor's registered model from the project in the working directory."""
    project = Path.cwd()
    env = env or os.environ.get("KEDRO_ENV")
    raw = read_configuration(project, env, "tracking")
    predictors = [path.stem for path in (project / CONF / "base" / "parameters").glob("*.yml")]
    if predictor not in predictors:
        raise UserError(f"There is no predictor '{predictor}'. {near_matches(predictor, predictors)}")
    address = None if raw is None else RegistryAddress.of(read_settings(raw), project, env)
    if address is None:
        raise UserError(f"Tracking is switched off in {CONF}/{env or 'local'}/tracking.yml: there is no registry.")
    return ModelRegistry.open(address, predictor)
