"""Training of `prefetch`: choose among settings by blocks in time, train a GRU where it is asked for, learn it all."""

import time
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
from tqdm import tqdm

from augury.curve_table import curve_table
from augury.errors import UserError
from augury.parameters import with_tuned, with_values
from augury.pipelines.model_training.boosted_trees import fingerprint
from augury.pipelines.model_training.gru_training import fit_gru
from augury.pipelines.model_training.prefetch_models import PrefetchModel
from augury.predictors.access_engine import OnlineMixture
from augury.predictors.access_state import RANKED
from augury.predictors.cache_state import MISSES
from augury.predictors.contract import DataFacts, Metadata
from augury.predictors.gru_proposals import GruProposals
from augury.predictors.prefetch import INPUTS, OUTPUTS, TASK, Prefetcher
from augury.predictors.prefetch_replay import Trace, between, replay, traces_of

PREDICTOR = "prefetch"
TRAIN = "train"
MIXTURE = RANKED.index("mixture")
EXAMPLES = 3


class Judged(NamedTuple):
    """How settings fared on the blocks in time of the training part, the first of which is for warming up."""

    hits: npt.NDArray[Any]
    """hit@1 of each block, all traces together."""
    misses: npt.NDArray[Any]
    """Misses of each block with prefetching, over all caches."""
    plain: npt.NDArray[Any]
    """Misses without."""

    @property
    def saving(self) -> npt.NDArray[Any]:
        """Share of the misses that is saved, of each block."""
        return 1 - self.misses / np.maximum(self.plain, 1)


def train_prefetcher(
    features_accesses: pd.DataFrame,
    primary_accesses: pd.DataFrame,
    report_features: dict[str, Any],
    report_data: dict[str, Any],
    best_params: dict[str, Any],
    model: PrefetchModel,
    seed: int,
    training_checkpoints: Any,
    provenance: dict[str, Any],
) -> tuple[Prefetcher, pd.DataFrame, dict[str, Any]]:
    """Train `prefetch` on the first part of each trace.

    Args:
        features_accesses: All accesses; those of the part ``train`` alone are looked at.
        primary_accesses: For the names of objects.
        report_features: ``parameters`` says which cache sizes are of interest.
        report_data: ``rows_by_origin``.
        best_params: What tuning found; empty if there was none.
        model: Parameters.
        seed: Of the GRU.
        training_checkpoints: See :class:`~augury.checkpointing.Checkpoints`.
        provenance: ``git_commit``, ``created_at`` and ``versions`` for the metadata.

    Returns:
        The predictor, which has learned the whole training part; the curves (``step``, ``epoch``, ``name``, ``value``,
        ``seconds``): of the GRU by step, of the mixture by block in time; and a JSON-ready account.

    Raises:
        UserError: There is no training row, or a candidate does not fit the parameters.
    """
    started = time.process_time()
    model = with_tuned(model, best_params, model.use_tuned, PREDICTOR)
    table = features_accesses[features_accesses["part"] == TRAIN]
    if table.empty:
        raise UserError("prefetch: there is no access to learn from. Check 'prefetch.split.train_share'.")
    folds = training_blocks(table)
    shares = list(report_features["parameters"]["cache_shares"])
    chosen, tried, judged = choose(model, folds, shares)
    network, curves, account = _train_network(chosen, folds, judged, shares, seed, training_checkpoints)
    mixture = chosen.mixture
    if network is not None:
        mixture = mixture.model_copy(update={"experts": (*mixture.experts, "gru")})
    online = OnlineMixture(mixture)
    for trace, _ in folds:
        external = None if network is None else network.propose(trace)
        for _ in online.in_parts(trace.blocks, trace.sessions, trace.spans, external):
            pass
    training_checkpoints.clear()
    objects = primary_accesses.loc[primary_accesses["part"] == TRAIN, "object"].unique().tolist()
    metadata = Metadata(
        predictor=PREDICTOR,
        family=Prefetcher.family,
        task=TASK,
        inputs=INPUTS,
        outputs=OUTPUTS,
        features=("session", "block", "span"),
        parameters=chosen.model_dump(mode="json") | {"mixture": mixture.model_dump(mode="json")},
        data=DataFacts(
            fingerprint=fingerprint(table),
            rows=len(table),
            groups=int(table["trace"].nunique()),
            origin={"recorded": len(table)} | {key: int(value) for key, value in _origin(report_data, table).items()},
        ),
        seed=seed,
        **provenance,
    )
    predictor = Prefetcher(metadata, online, chosen.gate, objects, network)
    predictor.example = _example(predictor, folds[0][0])
    curves = pd.concat([curves, _block_curves(judged)], ignore_index=True)
    return (
        predictor,
        curves,
        {
            "rows": len(table),
            "traces": len(folds),
            "folds": _fold_facts(judged),
            "tried": tried,
            "chosen": chosen.model_dump(mode="json", include={"mixture", "gate"}),
            "gru": account,
            "memory_bytes": online.memory_bytes,
            "cpu_seconds": time.process_time() - started,
        },
    )


def training_blocks(table: pd.DataFrame) -> list[tuple[Trace, npt.NDArray[Any]]]:
    """The traces of the training part, and where their blocks in time begin and end, shape ``(folds + 1,)``."""
    bounds = {
        str(name): np.append(np.flatnonzero(np.diff(rows.to_numpy(), prepend=-1)), len(rows))
        for name, rows in table.sort_values(["trace", "place"]).groupby("trace", sort=True)["fold"]
    }
    return [(trace, bounds[trace.name]) for trace in traces_of(table)]


def judge(
    model: PrefetchModel,
    folds: list[tuple[Trace, npt.NDArray[Any]]],
    shares: list[float],
    external: Callable[[Trace], npt.NDArray[Any]] | None = None,
) -> Judged:
    """Replay the training part, and judge all but its first block in time.

    Args:
        model: Parameters.
        folds: What :func:`training_blocks` returned.
        shares: Cache sizes as shares of the different blocks of each trace's training part.
        external: Proposals of a GRU.

    Returns:
        Figures per block.
    """
    sums = []
    for trace, bounds in folds:
        distinct = len(np.unique(trace.blocks))
        settings = [(max(1, int(share * distinct)), model.delay) for share in shares]
        found = replay(trace, settings, model.mixture, model.gate, external)
        starts, stops = bounds[1:-1], bounds[2:]
        hits = between(np.cumsum(found.ranks[:, MIXTURE] == 1), starts, stops)
        misses = sum(between(history[:, :, MISSES], starts, stops) for history in found.totals.values())
        sums.append(np.column_stack([hits, stops - starts, misses]))
    fewest = min(len(part) for part in sums)
    total = np.asarray(np.stack([part[:fewest] for part in sums]).sum(axis=0), np.float64)
    return Judged(total[:, 0] / np.maximum(total[:, 1], 1), total[:, 2], total[:, 3])


def choose(
    model: PrefetchModel, folds: list[tuple[Trace, npt.NDArray[Any]]], shares: list[float]
) -> tuple[PrefetchModel, list[dict[str, Any]], Judged]:
    """Try the candidates on the training part.

    Args:
        model: Parameters as they are.
        folds: The training part.
        shares: Cache sizes.

    Returns:
        The parameters as they are, or those of the candidate that saves the most misses, if it saves more than they do
        by more than the standard error of that difference; what was tried; how the chosen one fared.
    """
    changes: list[dict[str, Any]] = [{}, *model.candidates]
    models = [with_values(model, change) for change in changes]
    judged = [judge(own, folds, shares) for own in tqdm(models, desc="candidates", disable=len(models) == 1)]
    tried: list[dict[str, Any]] = []
    best = 0
    for number, (change, found) in enumerate(zip(changes, judged, strict=True)):
        gain = found.saving - judged[0].saving
        error = float(gain.std(ddof=1) / np.sqrt(len(gain))) if len(gain) > 1 else 0.0
        tried.append(
            {
                "changes": change,
                "saving": float(found.saving.mean()),
                "hit_at_1": float(found.hits.mean()),
                "gain": float(gain.mean()),
                "gain_standard_error": error,
            }
        )
        if gain.mean() > max(error, tried[best]["gain"]):
            best = number
    return models[best], tried, judged[best]


def _train_network(
    model: PrefetchModel,
    folds: list[tuple[Trace, npt.NDArray[Any]]],
    judged: Judged,
    shares: list[float],
    seed: int,
    checkpoints: Any,
) -> tuple[GruProposals | None, pd.DataFrame, dict[str, Any]]:
    """A GRU, if it is asked for and, with ``auto``, earns its weight."""
    if model.gru.use == "off":
        return None, curve_table(), {"use": "off", "kept": False}
    # Judged by the last block in time, which neither its weights nor its early stopping see
    early = [(trace.first(int(bounds[-2])), bounds[:-1]) for trace, bounds in folds]
    fit = fit_gru([trace for trace, _ in early], model.gru, seed, checkpoints)
    mixture = model.mixture.model_copy(update={"experts": (*model.mixture.experts, "gru")})
    with_it = judge(model.model_copy(update={"mixture": mixture}), folds, shares, fit.network.propose)
    gain = float(with_it.hits[-1] - judged.hits[-1])
    kept = model.gru.use == "on" or gain > model.gru.least_gain
    account = {
        "use": model.gru.use,
        "kept": kept,
        "hit_at_1_gain": gain,
        "saving_gain": float(with_it.saving[-1] - judged.saving[-1]),
        **fit.facts,
    }
    return (fit.network if kept else None), fit.curves, account


def _origin(report_data: dict[str, Any], table: pd.DataFrame) -> dict[str, int]:
    origins = report_data.get("rows_by_origin") or {}
    return {str(name): len(table) for name in origins} if len(origins) == 1 else {}


def _block_curves(judged: Judged) -> pd.DataFrame:
    parts = {"mixture_hit_at_1": judged.hits, "saved_misses": judged.saving}
    return curve_table(
        (number + 1, number + 1, name, value, 0)
        for name, values in parts.items()
        for number, value in enumerate(values)
    )


def _fold_facts(judged: Judged) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, values in {"hit_at_1": judged.hits, "saving": judged.saving}.items():
        found[name] = {
            "values": [float(value) for value in values],
            "mean": float(values.mean()),
            "standard_deviation": float(values.std(ddof=1)) if len(values) > 1 else 0.0,
        }
    return found


def _example(predictor: Prefetcher, trace: Trace) -> list[dict[str, Any]]:
    texts = [predictor.names.text(int(block)) for block in trace.blocks[: EXAMPLES + 2]]
    return [
        {"block": texts[row + 2], "before": texts[row + 1], "earlier": texts[row], "k": 3}
        for row in range(len(texts) - 2)
    ]
