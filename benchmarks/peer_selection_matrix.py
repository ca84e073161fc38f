"""Peers on measured round-trip times: cost over the oracle's, gain on a simulated low-rank network, off-policy error.

Run it on any cube of round-trip times, in any unit:

    python benchmarks/peer_selection_matrix.py --data seattle_rtt_s.npz [--key rtt_s] [--decisions decisions.parquet]

A cube is an ``.npz`` or ``.npy`` of shape (rounds, clients, peers) or (clients, peers), square or not; what is not a
finite number above 0 was not measured. Decisions are a table with one row per decision and candidate.
"""

import argparse
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from augury.errors import UserError
from augury.metrics.off_policy import ESTIMATORS, marginal_weights, sampling_error
from augury.pipelines.collection.peer_simulation import latency_cube
from augury.pipelines.data_engineering.peer_fetches import FetchSource, FetchSplit, prepare_fetches
from augury.pipelines.evaluation.peer_off_policy import (
    drawing_propensities,
    errors_of_estimates,
    same_fetches,
    target_of,
)
from augury.pipelines.evaluation.peer_parameters import PeerJudgement
from augury.predictors.peer_replay import compare_policies, new_selector
from augury.predictors.peer_requests import Requests, requests_of_cube, requests_of_table
from augury.predictors.peer_selection import SelectorSettings

COLUMNS = {"request": "decision", "ts": "t"}
EWMA = "ewma_greedy"
DOUBLY_ROBUST, MARGINAL = "doubly_robust", "marginal_doubly_robust"


def main() -> None:
    """Run what is asked for, and print tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="cube of round-trip times, .npz or .npy")
    parser.add_argument("--key", help="name of the array in the .npz; without it the first one")
    parser.add_argument("--decisions", type=Path, help="parquet: decision, t, client, peer, rtt_ms")
    parser.add_argument("--candidates", type=int, default=5, help="peers that a request may choose among")
    parser.add_argument("--per-round", type=int, default=1, help="requests by round and client")
    parser.add_argument("--seeds", type=int, default=3, help="draws of requests, and simulated networks")
    parser.add_argument("--logs", type=int, default=10_000, help="decisions of the logs of the off-policy estimates")
    parser.add_argument("--draws", type=int, default=20, help="logs")
    parser.add_argument("--simulate", action="store_true", help="the low-rank network, too (490 x 490 x 18)")
    parser.add_argument("--odd", action="store_true", help="simulated networks that are odd or say little")
    arguments = parser.parse_args()
    if arguments.data:
        cube = read_cube(arguments.data, arguments.key)
        print(f"\n{arguments.data.name}: {cube.shape}, {100 * np.mean(np.isfinite(cube) & (cube > 0)):.2f} % measured")
        drawn = [
            requests_of_cube(cube, arguments.candidates, seed, arguments.per_round) for seed in range(arguments.seeds)
        ]
        show(drawn)
        show_off_policy(drawn, [cube] * len(drawn), arguments.logs, arguments.draws)
    if arguments.simulate:
        print("\nA simulated low-rank network, 490 x 490 x 18, noise 0.016")
        cubes = [latency_cube(490, 490, 18, seed=seed) for seed in range(arguments.seeds)]
        for per_round in (1, 4):
            networks = [requests_of_cube(cube, 5, seed, per_round) for seed, cube in enumerate(cubes)]
            print(f"{per_round} request(s) by round and client")
            show(networks)
        show_off_policy(networks, cubes, arguments.logs, arguments.draws)
    if arguments.odd:
        show_odd()
    if arguments.decisions:
        table = pd.read_parquet(arguments.decisions)
        primary, report = prepare_fetches(table, FetchSource(columns=COLUMNS), FetchSplit())
        print(f"\n{arguments.decisions.name}: {report['requests']}, set aside {report['set_aside']}")
        show([requests_of_table(primary)])


def read_cube(path: Path, key: str | None) -> Any:
    """Read an array.

    Raises:
        UserError: There is none of that name.
    """
    found = np.load(path, allow_pickle=False)
    if isinstance(found, np.ndarray):
        return found
    names = list(found)
    if key is not None and key not in names:
        raise UserError(f"'{path}' has no array '{key}'; there are: {', '.join(names)}.")
    return found[key or names[0]]


def show(drawn: list[Requests]) -> None:
    """Print means over the draws, the spread of the first column and the gain over the exponential mean."""
    found = [compare_policies(requests, seed=number) for number, requests in enumerate(drawn)]
    mean = pd.concat(found).groupby(level=0, sort=False).mean()
    ratios = np.column_stack([table["cost_over_oracle"].to_numpy(dtype=np.float64) for table in found])
    plain = ratios[list(mean.index).index(EWMA)]
    mean.insert(1, "sd", ratios.std(axis=1, ddof=1) if len(found) > 1 else np.nan)
    mean.insert(2, f"saved_of_{EWMA}", 1 - (ratios / plain).mean(axis=1))
    print(mean.round(3).to_string())


def show_odd() -> None:
    """Print costs on networks with one round, gaps, wild answers, time-outs, many peers or no structure."""
    random = np.random.default_rng(0)
    plain = latency_cube(300, 300, 12, rank=4, noise=0.05, seed=71)
    wild = plain * np.where(random.random(plain.shape) < 0.01, 100, 1)
    gaps = np.where(random.random(plain.shape[1:]) < 0.3, np.nan, plain)
    alike = np.sqrt(plain * plain.transpose(0, 2, 1))
    unrelated = np.exp(random.normal(4, 0.8, (60, 60)) + random.normal(0, 0.3, (100, 60, 60)))
    drawn = {
        "as it is": requests_of_cube(plain, per_round=2),
        "one round, 20 requests": requests_of_cube(plain[0], per_round=20),
        "30 % of the pairs missing": requests_of_cube(gaps, per_round=2),
        "both directions alike": requests_of_cube(alike, per_round=2),
        "1 % of the answers take 100 times as long": requests_of_cube(wild, per_round=2),
        "2,000 peers of 300 clients": requests_of_cube(latency_cube(300, 2000, 4, rank=4, seed=72), per_round=6),
        "60 x 60 x 100, no structure, one request": requests_of_cube(unrelated),
    }
    some = drawn["as it is"]
    fails = random.random(len(some.peer)) < np.where(random.random(len(some.peers)) < 0.15, 0.5, 0.01)[some.peer]
    late = np.where(fails, 10 * some.latency.max(), some.latency)
    drawn["15 % of the peers fail half of the time"] = some._replace(ok=~fails, latency=late)
    rows = {
        name: compare_policies(requests, probes=(1, 2), rules=(EWMA, "lin_ucb")) for name, requests in drawn.items()
    }
    print(pd.DataFrame({name: table["cost_over_oracle"] for name, table in rows.items()}).T.round(3).to_string())


def show_off_policy(drawn: list[Requests], cubes: list[Any], logs: int, draws: int) -> None:
    """Print the errors of off-policy estimates of selectors that learned from the first half of the requests.

    Beside what the drawn logs show stands the root mean square over all logs that could be drawn: with the outcome
    models that were used; and with one that no log can teach, every pair's mean over all other rounds of the cube.
    """
    started = time.process_time()
    found, floors = [], []
    for requests, cube in zip(drawn, cubes, strict=True):
        count = len(requests.client)
        half = count // 2
        selector = new_selector(SelectorSettings(epsilon=0.0))
        selector.learn_requests(requests.part(0, half))
        later = requests.part(half, min(half + logs, count))
        found.append(errors_of_estimates(later, selector, PeerJudgement(draws=draws), seed=0))
        outcome = np.log(later.latency)
        left = outcome - means_of_other_rounds(cube, later, outcome)
        target, propensity = target_of(later, selector), drawing_propensities(later)
        weights = {DOUBLY_ROBUST: None, MARGINAL: marginal_weights(target, propensity, same_fetches(later))}
        floors.append(
            {name: sampling_error(later.start, target, propensity, left, weight) for name, weight in weights.items()}
        )
    errors = pd.concat(found)
    print(
        f"off-policy estimates of the mean log latency, {len(later.client):,} uniformly logged decisions in a row, "
        f"{len(drawn)} draws of requests, {draws} logs of each ({time.process_time() - started:.1f} CPU s):"
    )
    print(pd.DataFrame({name: _spread(errors[name]) for name in ESTIMATORS}).T.round(4).to_string())
    floor = pd.DataFrame(floors)
    for name in (DOUBLY_ROBUST, MARGINAL):
        print(f"{name} over all logs, root mean square: {_root_mean_square(errors[f'expected_{name}']):.4f}")
        if floor[name].notna().all():  # each pair was measured more than once
            print(f"  if the model knew every pair's mean over all other rounds: {_root_mean_square(floor[name]):.4f}")


def _spread(errors: Any) -> dict[str, float]:
    """What the errors of an estimate are on average."""
    return {
        "mean_absolute_error": errors.abs().mean(),
        "standard_error_of_that": errors.abs().std() / np.sqrt(len(errors)),
        "root_mean_square": _root_mean_square(errors),
        "mean_error": errors.mean(),
    }


def _root_mean_square(values: Any) -> float:
    return float(np.sqrt((values**2).mean()))


def means_of_other_rounds(cube: Any, requests: Requests, outcome: Any) -> Any:
    """Mean log round-trip time of each candidate's pair over a cube's other rounds; NaN: there is none."""
    usable = np.isfinite(cube) & (cube > 0)
    logs = np.log(np.where(usable, cube, 1.0)).reshape(-1, *cube.shape[-2:])
    pair = (requests.client[requests.request], requests.peer)
    count = usable.reshape(logs.shape).sum(axis=0)[pair] - 1
    return np.where(count > 0, (logs.sum(axis=0)[pair] - outcome) / np.maximum(count, 1), np.nan)


if __name__ == "__main__":
    main()
