"""Bytes that held-out blocks take when each is stored in its turn: with the index, with plain rules, at the best."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from augury import engines
from augury.predictors import sketched_block_columns as sb
from augury.predictors.deduplication import NearDuplicateIndex
from augury.predictors.delta_replay import DELTA, IDENTICAL, WHOLE, DeltaRules, best_possible, outcomes_of, twins_of
from augury.predictors.delta_replay import replay_deltas as replay

SIZES = (1024, 4096, 16384)


def store_holdout(
    predictor: NearDuplicateIndex, features_holdout: Any, features_pairs: Any
) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Store the held-out blocks in the order of time, under every policy.

    Baselines: ``zstd_alone``; ``exact_dedup`` (identical blocks once, else zstd); ``previous_block`` and
    ``random_block`` (exact, and the delta to the block stored before, or to one drawn from all before, where that is
    smaller, without a limit of the chain, which favours them); ``newest_of_file`` (exact, and the delta to the newest
    whole block of the same lineage by the model's own rules: what a store can do that is told which file a block
    belongs to). The oracle is the best measured reference of each block, without a limit of the chain.

    Args:
        predictor: The index; its settings are used, its blocks are not.
        features_holdout: Blocks in the order of time.
        features_pairs: Measured pairs of them.

    Returns:
        The frame that ``policy_holdout`` describes, in bytes; and the facts, with what was saved for a CPU second.
    """
    cases, pairs = engines.to_pandas(features_holdout), engines.to_pandas(features_pairs)
    stored = predictor.replay_stored(cases, pairs)
    plain = cases[sb.PLAIN_BYTES].to_numpy(dtype=np.float64)
    twins = twins_of(cases[sb.DIGEST].tolist())
    again = np.asarray(twins) >= 0
    outcomes = outcomes_of(cases, pairs)

    def at_most(column: str) -> npt.NDArray[np.float64]:
        return np.where(again, 0, np.minimum(plain, cases[column].to_numpy(dtype=np.float64)))

    newest = _newest_of_lineage(cases, twins, outcomes, predictor.delta)
    best = best_possible(plain.tolist(), twins, outcomes)
    predictions = pd.DataFrame(
        {
            "case": cases[sb.BLOCK].to_numpy(),
            "group": cases[sb.LINEAGE].to_numpy(),
            "cost": stored.bytes,
            "cost_oracle": best,
            "cost_baseline_zstd_alone": plain,
            "cost_baseline_exact_dedup": np.where(again, 0, plain),
            "cost_baseline_previous_block": at_most(sb.PREVIOUS_BYTES),
            "cost_baseline_random_block": at_most(sb.RANDOM_BYTES),
            "cost_baseline_newest_of_file": newest,
            "choice": stored.choices,
            "choice_oracle": np.where(again, IDENTICAL, np.where(best < plain, DELTA, WHOLE)),
            "slice_kind": cases[sb.KIND].to_numpy(),
            "slice_size": _size_names(cases[sb.SIZE].to_numpy()),
        }
    )
    microseconds = float(stored.microseconds.sum() + cases[sb.SKETCH_US].sum())
    saved = float(plain[~again].sum() - stored.bytes[~again].sum())
    facts = {
        "n_train": predictor.metadata.data.rows,
        "deltas_kept": stored.choices.count(DELTA),
        "identical_blocks": stored.choices.count(IDENTICAL),
        "delta_cpu_us": microseconds,
        "bytes_saved_per_cpu_second": saved / microseconds * 1e6 if microseconds else None,
    }
    return predictions, facts


def _newest_of_lineage(
    cases: pd.DataFrame, twins: list[int], outcomes: dict[Any, Any], rules: DeltaRules
) -> npt.NDArray[np.float64]:
    lineages = cases[sb.LINEAGE].tolist()
    newest: dict[str, int] = {}

    def keep(place: int) -> None:
        newest[lineages[place]] = place

    return replay(
        cases[sb.PLAIN_BYTES].tolist(),
        twins,
        lambda place: iter([newest[lineages[place]]] if lineages[place] in newest else []),
        outcomes,
        rules,
        keep,
    ).bytes


def _size_names(sizes: npt.NDArray[np.int64]) -> list[str]:
    names = [f"up to {limit // 1024} KiB" for limit in SIZES] + [f"above {SIZES[-1] // 1024} KiB"]
    return [names[place] for place in np.searchsorted(SIZES, sizes)]
