"""`python -m augury telemetry`: look into a telemetry file, copy its rows, and release what may leave the house."""

import datetime as dt
from pathlib import Path
from typing import Any

import click

from augury.errors import UserError
from augury.telemetry.events import EVENTS

FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
EVENT = click.Choice(list(EVENTS))


@click.group()
def telemetry() -> None:
    """Files of a TelemetryCollector: what is in them, rows for training, tables for others."""


@telemetry.command()
@click.argument("file", type=FILE)
def status(file: Path) -> None:
    """Say how many events FILE holds, from when to when, and how large it is."""
    from augury.telemetry.reading import reading
    from augury.telemetry.schema import table_name

    with reading(file) as connection:
        click.echo(f"{file}: {_megabytes(file):.1f} MB with its log")
        for event_type in EVENTS:
            query = f"SELECT count(*), min(ts), max(ts) FROM {table_name(event_type)}"
            count, first, last = connection.execute(query).fetchone()
            interval = f"  {_moment(first)} to {_moment(last)}" if count else ""
            click.echo(f"{event_type:<16}{count:>12,}{interval}")
        for epoch, epsilon in connection.execute("SELECT epoch, epsilon FROM privacy_spent ORDER BY epoch"):
            click.echo(f"privacy budget of week {epoch}: {epsilon:g} of 1 spent")


@telemetry.command()
@click.argument("file", type=FILE)
@click.option("--event", required=True, type=EVENT, help="Type of event.")
@click.option("--to", "target", required=True, help="Parquet file to write: a path, or s3://bucket/rows.parquet.")
@click.option("--since", help="First date or time, UTC.")
@click.option("--until", help="First date or time after the rows, UTC.")
def rows(file: Path, event: str, target: str, since: str | None, until: str | None) -> None:
    """Copy the rows of an event to Parquet, for pipelines of the same operator.

    Rows are pseudonymous, not anonymous: they stay with the operator. What is given to others is made by `export`.
    """
    from augury.datasets.telemetry_events import TelemetryEventsDataset

    frame = TelemetryEventsDataset(filepath=str(file), event=event, since=since, until=until).load()
    _write(frame, target)
    click.echo(f"{len(frame):,} rows of {event} -> {target}")


@telemetry.command()
@click.argument("files", nargs=-1, required=True, type=FILE)
@click.option("--event", required=True, type=EVENT, help="Type of event.")
@click.option("--to", "target", required=True, help="Parquet file to write: a path, or s3://bucket/cells.parquet.")
@click.option("--k", default=20, show_default=True, help="Least number of nodes and weeks behind a cell.")
@click.option("--epsilon", type=float, help="Add noise, and take so much of each node's budget of 1 per week.")
def export(files: tuple[Path, ...], event: str, target: str, k: int, epsilon: float | None) -> None:
    """Release counts and means of FILES, of many nodes, in groups that at least 20 nodes and weeks stand behind."""
    import pandas as pd

    from augury.telemetry.aggregates import aggregate

    release = aggregate(files, event, k=k, epsilon=epsilon)
    withheld = f"{release.withheld} groups with fewer than {k} nodes and weeks were withheld"
    if not release.cells:
        raise UserError(
            f"Nothing can be released: {release.units} nodes and weeks that are over were found, and {withheld}."
        )
    _write(pd.DataFrame(release.cells), target)
    click.echo(f"{len(release.cells)} groups from {release.units} nodes and weeks -> {target}; {withheld}")


def _write(frame: Any, target: str) -> None:
    """Write Parquet, on a disk in one step."""
    if "://" in target:
        frame.to_parquet(target, index=False)
        return
    path = Path(target)
    beside = path.with_name(f".{path.name}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        frame.to_parquet(beside, index=False)
        beside.replace(path)
    except OSError as error:
        beside.unlink(missing_ok=True)
        raise UserError(f"{target} cannot be written ({error.strerror}).") from None


def _moment(ts_ms: int) -> str:
    return dt.datetime.fromtimestamp(ts_ms / 1000, dt.UTC).strftime("%Y-%m-%d %H:%M UTC")


def _megabytes(file: Path) -> float:
    found = (file, file.with_name(file.name + "-wal"))
    return sum(path.stat().st_size for path in found if path.exists()) / 1e6
