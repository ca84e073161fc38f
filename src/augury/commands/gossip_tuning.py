"""`python -m augury predict gossip_tuning --peers 490 --loss 0.1 ...`: which fanout and hop limit for this network?"""

import json
from pathlib import Path
from typing import Any

import click
import pandas as pd

from augury.errors import UserError
from augury.predictors.gossip_states import MESSAGE_CLASSES, OUTPUTS
from augury.predictors.gossip_tuning import GossipTuner

READERS = {".parquet": pd.read_parquet, ".csv": pd.read_csv}


@click.command()
@click.argument("states", required=False, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--peers", type=click.IntRange(min=2), help="Size of the network.")
@click.option("--loss", type=click.FloatRange(0, 1, max_open=True), help="Share of copies that are lost.")
@click.option("--churn", type=click.FloatRange(0, 1, max_open=True), default=0.0, show_default=True, help="Share away.")
@click.option("--rtt-p50-ms", type=click.FloatRange(min=0), help="Median round trip of the links.")
@click.option("--rtt-p95-ms", type=click.FloatRange(min=0), help="Their 95th percentile; else twice the median.")
@click.option(
    "--message-class", type=click.Choice(MESSAGE_CLASSES), default="small", show_default=True, help="How large it is."
)
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), help="File for the answers: parquet or csv.")
@click.option(
    "--model",
    default="data/06_models/gossip_tuning",
    show_default=True,
    type=click.Path(path_type=Path),
    help="Folder of the trained predictor.",
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object per state instead of text.")
def command(
    states: Path | None,
    peers: int | None,
    loss: float | None,
    churn: float,
    rtt_p50_ms: float | None,
    rtt_p95_ms: float | None,
    message_class: str,
    out: Path | None,
    model: Path,
    as_json: bool,
) -> None:
    """Choose fanout and hop limit for one state, or for every row of the file STATES (parquet or csv)."""
    given = {"--peers": peers, "--loss": loss, "--rtt-p50-ms": rtt_p50_ms}
    if states is None:
        missing = [name for name, value in given.items() if value is None]
        if missing:
            raise UserError(
                f"Missing: {', '.join(missing)}. For example: python -m augury predict gossip_tuning --peers 490 "
                "--loss 0.1 --churn 0.05 --rtt-p50-ms 80; or give a file of states."
            )
        row = {"peers": peers, "loss": loss, "churn": churn, "rtt_p50_ms": rtt_p50_ms, "message_class": message_class}
        table = pd.DataFrame([row | ({} if rtt_p95_ms is None else {"rtt_p95_ms": rtt_p95_ms})])
    else:
        if any(value is not None for value in given.values()):
            raise UserError("Give a file of states or one state by options, not both.")
        table = _read(states)
    answers = GossipTuner.load(model, "gossip_tuning").predict(table)
    if out is not None:
        _write(pd.concat([table.drop(columns=list(answers), errors="ignore"), answers], axis=1), out)
        click.echo(f"{len(answers):,} choices are in '{out}'.")
        return
    for answer in answers.to_dict("records"):
        click.echo(json.dumps(answer) if as_json else _line(answer))


def _read(path: Path) -> pd.DataFrame:
    reader: Any = READERS.get(path.suffix.lower())
    if reader is None:
        raise UserError(f"'{path}' must end with one of {', '.join(READERS)}.")
    try:
        table: pd.DataFrame = reader(path)
    except (OSError, ValueError) as error:  # of files, of parsers
        raise UserError(f"'{path}' cannot be read: {error}") from None
    return table


def _write(table: pd.DataFrame, path: Path) -> None:
    if path.suffix.lower() not in READERS:
        raise UserError(f"--out: '{path}' must end with one of {', '.join(READERS)}.")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix.lower() == ".csv":
            table.to_csv(path, index=False)
        else:
            table.to_parquet(path, index=False)
    except OSError as error:
        raise UserError(f"'{path}' cannot be written: {error.strerror or error}") from None


def _line(answer: dict[str, Any]) -> str:
    units = {column.name: column.unit for column in OUTPUTS}
    floor = "" if answer["holds_floor"] else "  (no action is sure to hold the floor: the one that covers most)"
    return (
        f"fanout {answer['fanout']}, ttl {answer['ttl']}: coverage {answer['coverage']:.4f} "
        f"(at least {answer['coverage_lower']:.4f}), {answer['messages_per_node']:.2f} messages per node, "
        f"95 % reached in {answer['p95_ms']:.0f} {units['p95_ms']}{floor}"
    )
