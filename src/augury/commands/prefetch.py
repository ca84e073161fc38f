"""`python -m augury predict prefetch TRACE`: how well a trace is foreseen, what a cache saves, and what comes next."""

import json
from pathlib import Path
from typing import Any

import click
import numpy as np

from augury.errors import UserError
from augury.predictors.access_state import CANDIDATES, RANKED
from augury.predictors.cache_state import ISSUED, MISSES, USED
from augury.predictors.plain_traces import GivenBlocks, trace_of
from augury.predictors.prefetch import DEFAULT_K, Prefetcher
from augury.predictors.prefetch_replay import replay
from augury.predictors.prefetch_settings import GateSettings, MixtureSettings

SHOWN = ("mixture", "markov_1", "ppm_3_back_off", "sequential", "delta", "association", "recency")
SIZES = (1, 5, 10)


@click.command()
@click.argument("trace", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--k", default=DEFAULT_K, show_default=True, type=click.IntRange(min=1), help="How many suggestions.")
@click.option("--cache", default=0.05, show_default=True, type=float, help="Size: blocks, or below 1 a share of them.")
@click.option("--delay", default=1, show_default=True, type=click.IntRange(1, 64), help="Until a prefetch arrives.")
@click.option("--warm-up", default=0.3, show_default=True, type=click.FloatRange(0, 0.99), help="Share not judged.")
@click.option(
    "--model",
    default="data/06_models/prefetch",
    show_default=True,
    type=click.Path(path_type=Path),
    help="Folder of the trained predictor.",
)
@click.option("--plain", is_flag=True, help="Take the default settings; no trained predictor is needed.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object instead of lines.")
def command(
    trace: Path, k: int, cache: float, delay: int, warm_up: float, model: Path, plain: bool, as_json: bool
) -> None:
    """Replay TRACE (Parquet or CSV: `block`, or `object` and `position`) and say what would be read next.

    The trained predictor gives its settings; of the trace's blocks everything is learned while it runs.
    """
    table = _read(trace)
    own, facts = trace_of(table, trace.stem, 0, warm_up)
    mixture, gate, external = MixtureSettings(), GateSettings(), None
    if not plain:
        predictor = Prefetcher.load(model, "prefetch")
        mixture, gate = predictor.mixture.settings, predictor.gate
        external = None if predictor.network is None else predictor.network.propose
    distinct = len(np.unique(own.blocks))
    if cache <= 0:
        raise UserError(f"--cache must be above 0, not {cache:g}.")
    capacity = max(1, int(cache * distinct) if cache < 1 else int(cache))
    found = replay(own, [(capacity, delay)], mixture, gate, external)
    first = int(warm_up * len(own.blocks))
    ranks = found.ranks[first:]
    totals = found.totals[capacity, delay]
    used, lru = (totals[-1] - totals[first - 1] if first else totals[-1]).astype(float)
    given = GivenBlocks(table, own, facts["permuted"])
    likely = found.mixture.next_blocks(int(own.sessions[-1]), CANDIDATES)
    suggestions = [{"block": text, "chance": chance} for block, chance in likely if (text := given.text(block))]
    answer: dict[str, Any] = {
        "trace": trace.stem,
        "accesses": len(own.blocks),
        "blocks": distinct,
        **facts,
        "hits": {
            name: {f"@{size}": float(np.mean(ranks[:, RANKED.index(name)] <= size)) for size in SIZES} for name in SHOWN
        },
        "cache": capacity,
        "delay": delay,
        "miss_change": used[MISSES] / max(lru[MISSES], 1) - 1,
        "precision": used[USED] / max(used[ISSUED], 1),
        "prefetching": found.policies[capacity, delay] > 0,
        "decision_us": found.mixture_seconds / len(own.blocks) * 1e6,
        "next": suggestions[:k],
    }
    click.echo(json.dumps(answer) if as_json else "\n".join(_lines(answer)))


def _read(path: Path) -> Any:
    import pandas as pd

    if not path.is_file():
        raise UserError(f"There is no file '{path}'.")
    readers: dict[str, Any] = {".parquet": pd.read_parquet, ".csv": pd.read_csv}
    if path.suffix not in readers:
        raise UserError(f"'{path}' must end with one of {', '.join(readers)}.")
    try:
        return readers[path.suffix](path)
    except (ValueError, OSError) as error:
        raise UserError(f"'{path}' cannot be read: {error}") from None


def _lines(answer: dict[str, Any]) -> list[str]:
    permuted = "; ids are numbered by first appearance and were permuted" if answer["permuted"] else ""
    lines = [
        f"{answer['trace']}: {answer['accesses']:,} accesses of {answer['blocks']:,} blocks{permuted}",
        "",
        f"{'foreseen':<16}" + "".join(f"{'@' + str(size):>8}" for size in SIZES),
    ]
    lines += [
        f"{name:<16}" + "".join(f"{hits[f'@{size}']:>8.3f}" for size in SIZES) for name, hits in answer["hits"].items()
    ]
    state = "is on" if answer["prefetching"] else "is off"
    lines += [
        "",
        f"A cache of {answer['cache']:,} blocks misses {answer['miss_change']:+.1%} beside LRU (delay "
        f"{answer['delay']}); {answer['precision']:.0%} of the prefetches were read; prefetching {state} at the end.",
        f"{answer['decision_us']:.1f} us a decision",
        "",
        "Next",
    ]
    return lines + [f"{row['chance']:>8.3f}  {row['block']}" for row in answer["next"]]
