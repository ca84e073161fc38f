"""`python -m augury predict peer_selection --client X --candidates A B C`: which peer should serve a client."""

import json
from pathlib import Path
from typing import Any

import click

from augury.errors import UserError
from augury.predictors.peer_rankings import Ranking
from augury.predictors.peer_selection import PeerSelector

DECIMALS = 4


@click.command()
@click.option("--client", help="Who asks; without it, or unknown: a new client.")
@click.option("--candidates", "said", is_flag=True, help="Before the candidates; may be left out.")
@click.argument("candidates", nargs=-1, required=True)
@click.option("--in-flight", multiple=True, metavar="PEER=N", help="Requests that a peer is serving now; repeatable.")
@click.option("--explore", is_flag=True, help="Draw at random with the selector's epsilon, as in service.")
@click.option("--seed", type=int, help="Of that draw.")
@click.option(
    "--model",
    default="data/06_models/peer_selection",
    show_default=True,
    type=click.Path(path_type=Path),
    help="Folder of the trained predictor.",
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object instead of a table.")
def command(
    client: str | None,
    said: bool,
    candidates: tuple[str, ...],
    in_flight: tuple[str, ...],
    explore: bool,
    seed: int | None,
    model: Path,
    as_json: bool,
) -> None:
    """Rank CANDIDATES for a client, the best first, with expected latencies and propensities."""
    if seed is not None and not explore:
        raise UserError("--seed goes with --explore: without a draw there is nothing to seed.")
    loads = _loads(in_flight, candidates)
    import numpy as np

    selector = PeerSelector.load(model, "peer_selection")
    if not explore:
        ranking = selector.rank(client, candidates, {"in_flight": loads})
    else:
        ranking = selector.select(client, candidates, {"in_flight": loads}, np.random.default_rng(seed))
    unknown = [name for name in candidates if name not in selector.peer_index]
    answer = {
        "client": client,
        "known_client": client in selector.client_index,
        "unknown_peers": unknown,
        "probe": ranking.probe,
        "candidates": _rows(ranking),
    }
    click.echo(json.dumps(answer, ensure_ascii=False) if as_json else "\n".join(_table(answer)))


def _loads(given: tuple[str, ...], candidates: tuple[str, ...]) -> dict[str, float]:
    loads: dict[str, float] = {}
    for text in given:
        peer, _, number = text.rpartition("=")
        if peer not in candidates or not number.isdigit():
            raise UserError(f"--in-flight: '{text}' must be PEER=N, a candidate and a whole number.")
        loads[peer] = float(number)
    return loads


def _rows(ranking: Ranking) -> list[dict[str, Any]]:
    return [
        {"rank": rank, "peer": peer, "latency_ms": round(latency, DECIMALS), "propensity": round(propensity, DECIMALS)}
        for rank, (peer, latency, propensity) in enumerate(
            zip(ranking.peers, ranking.latencies_ms, ranking.propensities, strict=True), 1
        )
    ]


def _table(answer: dict[str, Any]) -> list[str]:
    rows = answer["candidates"]
    width = max(len("peer"), *(len(row["peer"]) for row in rows))
    lines = [f"rank  {'peer'.ljust(width)}  expected ms  propensity"]
    lines += [
        f"{row['rank']:>4}  {row['peer'].ljust(width)}  {row['latency_ms']:>11.1f}  {row['propensity']:>10.3f}"
        for row in rows
    ]
    if not answer["known_client"]:
        lines.append("Note: the client is new, so the peers' own latencies decide.")
    if answer["unknown_peers"]:
        lines.append(f"Note: nothing is known yet of {', '.join(answer['unknown_peers'])}.")
    if len(answer["probe"]) > 1:
        lines.append(f"Probe {', '.join(answer['probe'])} and take the fastest.")
    return lines
