"""`python -m augury rollout PREDICTOR ...`: bring a new model into force step by step, or out again at once."""

import json
from pathlib import Path
from typing import Any

import click

from augury.configuration import CONF
from augury.errors import UserError
from augury.parameters import near_matches
from augury.rollout.fallback_rules import RULES
from augury.rollout.moves import advance, alarms, cost_interval, resume, rollback, shortcomings, stop
from augury.rollout.state import RolloutFile, RolloutSettings, RolloutState

ACTIONS = ("status", "advance", "rollback", "stop", "resume")
_MOVES = {"rollback": rollback, "stop": stop, "resume": resume}
MOST_SHOWN = 5


@click.command()
@click.argument("predictor")
@click.argument("action", type=click.Choice(ACTIONS))
@click.option(
    "--directory",
    default="data/rollout",
    show_default=True,
    type=click.Path(path_type=Path, file_okay=False),
    help="Where the states are; applications read them there.",
)
@click.option("--reason", default="by hand", show_default=True, help="Kept in the history.")
@click.option("--force", is_flag=True, help="With advance: move on whatever was shown; say why by --reason.")
@click.option(
    "--gates",
    type=click.Path(path_type=Path, dir_okay=False),
    help="To begin: the judged gates.  [default: data/08_reporting/PREDICTOR/gates.json]",
)
@click.option("--champion", help="To begin: the version that decides until now.")
@click.option("--challenger", help="To begin: the version that is rolled out.")
@click.option(
    "--set", "values", multiple=True, metavar="NAME=VALUE", help="To begin: what has to be shown, such as margin=0.01."
)
@click.option("--json", "as_json", is_flag=True, help="The whole state as JSON.")
def rollout(
    predictor: str,
    action: str,
    directory: Path,
    reason: str,
    force: bool,
    gates: Path | None,
    champion: str | None,
    challenger: str | None,
    values: tuple[str, ...],
    as_json: bool,
) -> None:
    """Look after the rollout of PREDICTOR: offline, shadow, canary, full.

    `advance` moves one stage on where the challenger has shown what it has to; `rollback` lets the champion decide for
    everyone again; `stop` is the kill switch: the rule decides until `resume`.
    """
    known = {path.stem for path in (Path(CONF) / "base" / "parameters").glob("*.yml")} | set(RULES)
    if predictor not in known:
        raise UserError(f"There is no predictor '{predictor}'. {near_matches(predictor, known)}")
    file = RolloutFile(directory / f"{predictor}.json", predictor)
    begins = any(given for given in (gates, champion, challenger, values))
    if begins and (action != "advance" or file.read().stage not in ("offline", "full")):
        raise UserError("--gates, --champion, --challenger and --set go with the advance that begins a rollout.")
    if action == "status":
        state = file.read()
    elif action == "advance":
        state = advance(
            file,
            gates=_read_gates(gates or Path("data/08_reporting") / predictor / "gates.json"),
            champion=champion,
            challenger=challenger,
            settings=_settings(values),
            force=reason if force else None,
        )
    else:
        state = _MOVES[action](file, reason)
    if as_json:
        click.echo(json.dumps(state.model_dump(mode="json"), indent=1))
    else:
        click.echo("\n".join(_lines(state, file)))


def _read_gates(path: Path) -> list[dict[str, Any]] | None:
    try:
        return list(json.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise UserError(f"'{path}' does not hold judged gates: {error}") from None


def _settings(values: tuple[str, ...]) -> RolloutSettings | None:
    given: dict[str, Any] = {}
    for value in values:
        name, separator, text = value.partition("=")
        if not separator or name not in RolloutSettings.model_fields:
            raise UserError(f"--set {value}: {near_matches(name, RolloutSettings.model_fields)}")
        try:
            given[name] = json.loads(text)
        except ValueError:
            raise UserError(f"--set {value}: '{text}' is no number, list or truth value.") from None
    try:
        return RolloutSettings.model_validate(given) if given else None
    except ValueError as error:
        raise UserError(f"--set: {error}") from None


def _lines(state: RolloutState, file: RolloutFile) -> list[str]:
    lines = [f"{state.predictor}: {state.words}"]
    if state.champion or state.challenger:
        lines.append(f"champion {state.champion or 'unnamed'}, challenger {state.challenger or 'unnamed'}")
    if file.stopped():
        lines.append("STOPPED: the rule decides for everyone")
    evidence = state.evidence
    for name, side in (("champion", evidence.champion), ("challenger", evidence.challenger)):
        p99 = side.quantile_us(0.99)
        if side.decisions:
            lines.append(
                f"{name}: {side.decisions:,} decisions, rule stepped in {sum(side.failures.values()):,} times, "
                f"p99 {p99:,.0f} us, {side.costs.n:,} costs" + (f", mean {side.costs.mean:.6g}" if side.costs.n else "")
            )
    if evidence.compared:
        lines.append(f"in shadow they agreed on {evidence.agreed:,} of {evidence.compared:,} decisions")
    interval = cost_interval(state)
    if interval is not None:
        lines.append(
            f"challenger less champion: {interval[0]:.4g} to {interval[1]:.4g} by decision, however often one looks"
        )
    if state.stage not in ("offline", "full"):
        lines.append(f"next stage: {'; '.join(shortcomings(state)) or 'ready'}")
        lines += [f"ALARM: {alarm}" for alarm in alarms(state)]
    lines += [
        f"{move.at} {move.move}: {move.before} -> {move.after}, {move.reason}" for move in state.history[-MOST_SHOWN:]
    ]
    return lines
