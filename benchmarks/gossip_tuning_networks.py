"""The tuner of gossip on your own networks: trained on 2,000 logged rounds, judged in unseen networks by other seeds.

python benchmarks/gossip_tuning_networks.py --edges EDGES.parquet [--rtt MATRIX.npz] [--simulated 490]
    [--own-rounds] [--low-rank 490] [--rounds 2000] [--networks 60] [--states 2] [--repeats 60] [--judge 300] [--seed 0]

--edges takes a table of network maps: `net`, `u`, `v`, `rtt_prop_ms` (NaN where unknown; loops, parallel edges and
networks in several parts do), as of the Internet Topology Zoo. Its networks are divided: one half logs rounds, the
other judges. --rtt takes a square or rectangular matrix of round-trip times (npz or npy; in seconds if the file's name
ends in `_s`), or a cube of which the median over the first axis is taken; --simulated the size of a simulated
wide-area network, as PlanetLab's 490 peers. A single network is judged in states of its own that were not logged.

What is printed, with 95 % intervals of a bootstrap over networks (states where there is one network): coverage at the
floor in states with loss up to 0.3 (bar: 0.95), cost over the oracle (bar: 1.08), saving over the best fixed pair of
the training networks (bar: 0.10), over the best of those that hold the floor in 95 % of such states (as the tuner has
to), and over the pair that is best in hindsight. Two oracles are shown: the cheapest pair, and
the cheapest that holds the floor, as the tuner has to. `without_floor` is the tuner's surface without the floor: the
pair of least expected cost. `bound holds`: states whose coverage is not below its lower bound.

--own-rounds: one network learns from its own rounds with random actions in a grid of 7 losses x 4 churns (small
messages) and is judged in that grid, every state once. For --rtt, --simulated and --low-rank, each on its own. The
oracle chooses by seeds that do not judge, and by more rounds of its most promising
actions; every choice is judged by `--judge` fresh rounds, the same for all policies.
"""

import argparse
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from augury.pipelines.collection.gossip_network import (
    Network,
    network_of_matrix,
    networks_of_maps,
    simulated_wide,
)
from augury.pipelines.collection.gossip_rounds import (
    MINUTE_MS,
    START_MS,
    GossipCollection,
    draw_states,
    evaluate_states,
    log_rounds,
    mean_outcomes,
    play,
)
from augury.pipelines.collection.peer_simulation import latency_cube
from augury.pipelines.model_training.gossip_baselines import best_fixed
from augury.pipelines.model_training.response_surface import ResponseSurfaceModel, fit_tuner
from augury.pipelines.model_training.tabular_q_learning import ORIGINAL, QLearning, greedy_actions, learn_q_table
from augury.predictors.contract import DataFacts
from augury.predictors.gossip_outcomes import (
    CHOSEN_BY,
    JUDGED,
    floor_oracle_actions,
    messages_per_node,
    oracle_actions,
    outcomes_on_grid,
)
from augury.predictors.gossip_states import present_peers

PROVENANCE: dict[str, Any] = {"versions": {}, "git_commit": None, "created_at": ""}
MOST_LOSS, FLOOR_SHARE = 0.3, 0.95
LOSSES, CHURNS = (0.0, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4), (0.0, 0.1, 0.2, 0.3)
"""States of a network that is judged by its own rounds."""

HINDSIGHT_PAIRS = 8
CANDIDATE = "candidate "

POLICIES = (
    "model",
    "corrected",
    "without_floor",
    "oracle",
    "floor_oracle",
    "best_fixed",
    "best_fixed_at_floor",
    "best_in_hindsight",
    "default",
    "q_learning",
    "q_learning_original",
)


def run(
    training: list[Network],
    judging: list[Network],
    collection: GossipCollection,
    model: ResponseSurfaceModel,
    judge_rounds: int,
    seed: int,
    own_rounds: bool = False,
) -> pd.DataFrame:
    """Log rounds, train, choose, and play the choices.

    Args:
        training: Networks with logged rounds; the best fixed pair is chosen in states of them, too.
        judging: Networks to judge in.
        collection: Rounds, states, repeats, ranges.
        model: Parameters of the tuner.
        judge_rounds: Fresh rounds of every chosen action.
        seed: Of everything.
        own_rounds: States are those of a grid, the same for logs and judgement.

    Returns:
        One row per state and policy: the state, ``policy``, ``fanout``, ``ttl``, ``coverage``, ``messages_per_node``,
        ``p95_ms``, ``cost``, ``reachable``, ``lower`` (the tuner's bound of its own choice).
    """
    seeds = iter(
        np.random.SeedSequence(seed).generate_state(4 * (len(training) + len(judging)) + 4, np.uint64).tolist()
    )
    counts = np.diff(np.linspace(0, collection.rounds, len(training) + 1).round().astype(int))
    log, draw = (log_grid, grid_states) if own_rounds else (log_rounds, drawn_states)
    logs = [log(net, int(n), collection, next(seeds)) for net, n in zip(training, counts, strict=True) if n]
    rounds = with_messages_per_node(pd.concat(logs, ignore_index=True))
    facts = DataFacts(fingerprint="", rows=len(rounds), groups=len(training), origin={"simulated": len(rounds)})
    started = time.process_time()
    tuner, _ = fit_tuner(rounds, model, seed, facts, PROVENANCE)
    print(
        f"trained on {len(rounds):,} rounds of {len(training)} network(s) in {time.process_time() - started:.1f} s CPU"
    )
    few = collection.model_copy(update={"promising": 0, "repeats": max(collection.repeats // 2, 1)})
    known, _ = evaluated(training, few, draw, seeds)
    grid, cost = model.actions, model.cost
    cases = known.drop_duplicates("case")
    fixed = best_fixed(cases, known, grid, cost)
    at_floor = best_fixed(cases, known, grid, cost, FLOOR_SHARE, MOST_LOSS)
    later = [log(net, 100, collection, next(seeds)) for net in judging]
    corrected = tuner.corrected(with_messages_per_node(pd.concat(later, ignore_index=True)))
    outcomes, states = evaluated(judging, collection, draw, seeds)
    best = outcomes.groupby("case")["coverage"].max()
    default = grid.nearest(6, 10)
    tables = {name: learn_q_table(rounds, grid, cost, settings) for name, settings in Q_SETTINGS.items()}
    choice, expected = tuner.choose(states), tuner.outcomes(states)
    by_expectation = cost.of(1 - expected.miss, expected.messages, expected.p95_ms).argmin(axis=1)
    chosen = {
        "model": choice.action,
        "without_floor": by_expectation,
        "corrected": corrected.choose(states).action,
        "oracle": oracle_actions(outcomes, states["case"], grid, cost),
        "floor_oracle": floor_oracle_actions(outcomes, states["case"], grid, cost),
        "best_fixed": np.full(len(states), fixed),
        "best_fixed_at_floor": np.full(len(states), at_floor),
        "default": np.full(len(states), default),
        **{name: greedy_actions(tables[name], states, settings, default) for name, settings in Q_SETTINGS.items()},
    }
    # Hindsight is what the rounds that judge say; only pairs that have a chance are played by so many
    by_pair = np.mean(
        [
            cost.of(*np.moveaxis(outcomes_on_grid(outcomes, states["case"], grid, part), 2, 0)).mean(axis=0)
            for part in (CHOSEN_BY, JUDGED)
        ],
        axis=0,
    )
    promising = {fixed, *np.argsort(by_pair, kind="stable")[:HINDSIGHT_PAIRS].tolist()}
    chosen |= {f"{CANDIDATE}{pair}": np.full(len(states), pair) for pair in sorted(promising)}
    found = []
    for number, network in enumerate(judging):
        inside = (states["network"] == network.name).to_numpy()
        part = states[inside].reset_index(drop=True)
        pairs = pd.DataFrame({name: rows[inside] for name, rows in chosen.items()})
        # An action that several policies chose is played once: they must not differ by luck
        asked = pairs.melt(ignore_index=False, value_name="action").reset_index(names="row")
        unique = asked.drop_duplicates(["row", "action"])
        played = mean_outcomes(
            network,
            part.iloc[unique["row"]].reset_index(drop=True),
            grid.pairs[unique["action"]],
            judge_rounds,
            collection.copy_ms,
            np.random.default_rng([seed, 7, number]),
        )
        values = unique[["row", "action"]].assign(messages=played[:, 0], coverage=played[:, 2], p95_ms=played[:, 3])
        merged = asked.merge(values, on=["row", "action"])
        found.append(part.loc[merged["row"]].reset_index(drop=True).join(merged.rename(columns={"variable": "policy"})))
    table = pd.concat(found, ignore_index=True)
    table["fanout"], table["ttl"] = grid.pairs[table["action"], 0], grid.pairs[table["action"], 1]
    table["messages_per_node"] = table["messages"] / present_peers(table["peers"], table["churn"])
    outcome = (table[name].to_numpy(dtype=np.float64) for name in ("coverage", "messages_per_node", "p95_ms"))
    table["cost"] = cost.of(*outcome)
    candidates = table["policy"].str.startswith(CANDIDATE)
    best_pair = table[candidates].groupby("policy")["cost"].mean().idxmin()
    table = table[~candidates | (table["policy"] == best_pair)].replace({"policy": {best_pair: "best_in_hindsight"}})
    table["lower"] = table["case"].map(pd.Series(choice.coverage_lower, index=states["case"]))
    table["reachable"] = table["case"].map(best) >= cost.floor
    return table


Q_SETTINGS = {"q_learning": QLearning(), "q_learning_original": ORIGINAL}


def drawn_states(network: Network, collection: GossipCollection, seed: int) -> pd.DataFrame:
    """Some states of a network."""
    return draw_states(network, collection.states, collection, seed)


def grid_states(network: Network, collection: GossipCollection, seed: int) -> pd.DataFrame:
    """Every loss with every churn, messages small."""
    grid = pd.MultiIndex.from_product([LOSSES, CHURNS], names=["loss", "churn"]).to_frame(index=False)
    one = draw_states(network, 1, collection, seed).drop(columns=["state", "loss", "churn"])
    states = grid.join(pd.concat([one] * len(grid), ignore_index=True)).assign(message_class="small")
    return states.assign(state=[f"{network.name}-{row}" for row in range(len(states))])


def log_grid(network: Network, rounds: int, collection: GossipCollection, seed: int) -> pd.DataFrame:
    """Random actions in random states of the grid, a minute apart."""
    random = np.random.default_rng(seed)
    states = grid_states(network, collection, seed).drop(columns="state")
    table = states.iloc[random.integers(0, len(states), rounds)].reset_index(drop=True)
    pairs = collection.actions.pairs[random.integers(0, len(collection.actions.pairs), rounds)]
    found = play(network, table, pairs, collection.copy_ms, random)
    return table.assign(
        ts=START_MS + MINUTE_MS * np.arange(rounds),
        fanout=pairs[:, 0],
        ttl=pairs[:, 1],
        messages=found[:, 0],
        coverage=found[:, 2],
        p95_ms=found[:, 3],
    )


def evaluated(
    networks: list[Network], collection: GossipCollection, draw: Any, seeds: Any
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Play all actions in states of networks; outcomes, and the states themselves."""
    from tqdm import tqdm

    parts = []
    for network in tqdm(networks, desc="states", unit="network"):
        states = draw(network, collection, next(seeds))
        parts.append(evaluate_states(network, states, collection, next(seeds)))
    table = with_messages_per_node(pd.concat(parts, ignore_index=True)).rename(columns={"state": "case"})
    columns = ["case", "network", "peers", "loss", "churn", "rtt_p50_ms", "rtt_p95_ms", "message_class"]
    return table, table.drop_duplicates("case")[columns].reset_index(drop=True)


def with_messages_per_node(rows: pd.DataFrame) -> pd.DataFrame:
    """Add the copies per present peer."""
    return rows.assign(messages_per_node=messages_per_node(rows["messages"], rows["peers"], rows["churn"]))


def report(table: pd.DataFrame, floor: float, group: str) -> None:
    """Print the figures of every policy."""
    wide = {name: table[table["policy"] == name].set_index("case") for name in POLICIES}
    cases = wide["oracle"].index
    groups = wide["oracle"][group].to_numpy() if group != "case" else cases.to_numpy()
    _, codes = np.unique(groups.astype(str), return_inverse=True)
    drawn = np.random.default_rng(0).integers(0, codes.max() + 1, (2_000, codes.max() + 1))

    def ratio(top: Any, bottom: Any) -> str:
        top, bottom = (np.bincount(codes, weights=np.asarray(value, dtype=float)) for value in (top, bottom))
        if not bottom.sum():
            return "-"
        found = top[drawn].sum(axis=1) / np.maximum(bottom[drawn].sum(axis=1), 1e-12)
        low, high = np.quantile(found, [0.025, 0.975])
        return f"{top.sum() / bottom.sum():.3f} [{low:.3f}, {high:.3f}]"

    def column(name: str, what: str) -> Any:
        return wide[name].loc[cases, what].to_numpy()

    judged = column("oracle", "loss") <= MOST_LOSS
    can = judged & column("oracle", "reachable")
    print(f"{len(cases)} states, {judged.sum()} with loss <= {MOST_LOSS:g}, of which {can.sum()} can be covered at all")
    rules = ("best_fixed", "best_fixed_at_floor", "best_in_hindsight")
    heads = ("cost / oracle", "/ floor_oracle", *(f"saved / {rule}" for rule in rules), "at floor", "where possible")
    print(f"{'policy':20} {'cost':>7}  " + " ".join(f"{head:27}" for head in heads))
    for name in POLICIES:
        cost = column(name, "cost")
        held = column(name, "coverage") >= floor
        saved = [ratio(column(rule, "cost") - cost, column(rule, "cost")) for rule in rules]
        print(
            f"{name:20} {cost.mean():7.3f}  "
            + " ".join(
                f"{one:27}"
                for one in (
                    *(ratio(cost, column(oracle, "cost")) for oracle in ("oracle", "floor_oracle")),
                    *saved,
                    ratio(held & judged, judged),
                    ratio(held & can, can),
                )
            )
        )
    held = column("model", "coverage") >= column("model", "lower")
    print(f"bound holds: {ratio(held, np.ones(len(held)))}")
    calm = (column("oracle", "loss") <= 0.1) & (column("oracle", "churn") <= 0.1)
    if calm.any():
        ours, default = (column(name, "messages_per_node")[calm].sum() for name in ("model", "default"))
        print(
            f"copies saved over the default in {calm.sum()} calm states (loss, churn <= 0.1): {1 - ours / default:.3f}"
        )


def read_matrix(path: Path) -> Any:
    """A matrix in milliseconds."""
    data = np.load(path, allow_pickle=False)
    values = np.asarray(data if isinstance(data, np.ndarray) else data[data.files[0]], dtype=np.float64)
    if values.ndim == 3:
        import warnings

        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # a pair without any time has no median
            values = np.nanmedian(values, axis=0)
    return values * (1_000 if path.stem.endswith("_s") else 1)


def main() -> None:
    """Read the arguments and run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--edges", type=Path)
    parser.add_argument("--rtt", type=Path)
    parser.add_argument("--simulated", type=int, help="peers of a simulated wide-area network")
    parser.add_argument("--rounds", type=int, default=2_000)
    parser.add_argument("--networks", type=int, default=60, help="of --edges, drawn at random; 0: all")
    parser.add_argument("--states", type=int, default=2, help="per judged network")
    parser.add_argument("--repeats", type=int, default=60)
    parser.add_argument("--own-rounds", action="store_true")
    parser.add_argument("--low-rank", type=int)
    parser.add_argument("--judge", type=int, default=300)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    model = ResponseSurfaceModel()
    collection = GossipCollection(rounds=arguments.rounds, states=arguments.states, repeats=arguments.repeats)
    links, spread = collection.links, collection.loss_spread
    if arguments.edges is not None:
        networks = list(networks_of_maps(pd.read_parquet(arguments.edges), links, spread, arguments.seed))
        order = np.random.default_rng(arguments.seed).permutation(len(networks))
        networks = [networks[place] for place in order[: arguments.networks or None]]
        print(f"{len(networks)} networks of {min(n.peers for n in networks)} to {max(n.peers for n in networks)} peers")
        table = run(networks[::2], networks[1::2], collection, model, arguments.judge, arguments.seed)
        report(table, model.cost.floor, "network")
    single: list[Network] = []
    if arguments.rtt is not None:
        matrix = read_matrix(arguments.rtt)
        single.append(network_of_matrix(arguments.rtt.stem, matrix, links, spread, arguments.seed))
    if arguments.simulated is not None:
        single.append(simulated_wide("simulated", arguments.simulated, links, spread, arguments.seed))
    if arguments.low_rank is not None:
        matrix = latency_cube(arguments.low_rank, arguments.low_rank, 1, seed=arguments.seed)[0]
        single.append(network_of_matrix("low_rank", matrix, links, spread, arguments.seed))
    for network in single:
        print(
            f"{network.name}: {network.peers} peers, RTT p50 {network.rtt_p50_ms:.1f} p95 {network.rtt_p95_ms:.1f} ms"
        )
        table = run([network], [network], collection, model, arguments.judge, arguments.seed, arguments.own_rounds)
        report(table, model.cost.floor, "case")


if __name__ == "__main__":
    main()
