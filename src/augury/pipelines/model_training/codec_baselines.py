"""The plain rules that a choice of codecs has to beat, fitted to the training blocks and applied to held-out cases."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from pydantic import Field

from augury.errors import UserError
from augury.parameters import Parameters
from augury.predictors.block_statistics import SIZE
from augury.predictors.codec_costs import (
    COMPRESS,
    LINK,
    PRICE,
    READS,
    Contexts,
    Floats,
    costs_of,
    outcome_array,
    outcome_column,
    table_choice,
)
from augury.predictors.codec_regressors import CodecLayout
from augury.predictors.compression import KB

Positions = npt.NDArray[np.intp]


class CodecBaselines(Parameters):
    """The plain rules."""

    entropy: str = Field(default="entropy", description="column of the entropy gate; absent: there is no such rule")
    probe: str = Field(default="lz4", description="codec of the probe; absent: there is no such rule")
    thresholds: int = Field(default=40, ge=1, description="values that the threshold of either is chosen among")


def predict_codec_baselines(
    features_train: pd.DataFrame,
    features_holdout: pd.DataFrame,
    report_features: dict[str, Any],
    contexts: Contexts,
    baselines: CodecBaselines,
) -> pd.DataFrame:
    """Let the plain rules choose.

    Args:
        features_train: Training blocks.
        features_holdout: Held-out cases.
        report_features: A :class:`~augury.predictors.codec_regressors.CodecLayout` as JSON.
        contexts: The bandwidths that thresholds are chosen for.
        baselines: Which rules.

    Returns:
        One row per case: ``case``, and ``cost_baseline_<rule>`` (kB that could have been sent meanwhile) and
        ``choice_baseline_<rule>`` of

        - ``table``: the best codec of each bandwidth on the training blocks, by their size as well in no way;
        - ``one_codec``: the best single codec over all these bandwidths;
        - ``entropy_gate``: none above a threshold of entropy (chosen by bandwidth), else the table's; its look at the
          block costs it nothing here, which favours it;
        - ``probe``: none where a quick codec saves too little (likewise chosen), else the table's; its time counts.

    Raises:
        UserError: There are no cases.
    """
    if features_holdout.empty:
        raise UserError("Dataset 'features_holdout' has no rows; at least one held-out case is needed.")
    layout = CodecLayout.model_validate(report_features)
    train = outcome_array(features_train, layout.codecs)
    totals = train.sum(axis=0)
    link, price, reads = (features_holdout[name].to_numpy(np.float64) for name in (LINK, PRICE, READS))
    costs = costs_of(outcome_array(features_holdout, layout.codecs), link, price, reads)
    table = table_choice(totals, link, price, reads)
    single = _one_codec(totals, contexts)
    found: dict[str, tuple[Positions, Floats | float]] = {
        "table": (table, 0.0),
        "one_codec": (np.full(len(table), single, dtype=np.intp), 0.0),
    }
    rules: dict[str, tuple[Floats, Floats]] = {}
    if baselines.entropy in layout.numbers:
        known = features_train[baselines.entropy], features_holdout[baselines.entropy]
        rules["entropy_gate"] = known[0].fillna(0).to_numpy(np.float64), known[1].fillna(0).to_numpy(np.float64)
    if baselines.probe in layout.codecs:
        place = layout.codecs.index(baselines.probe)
        held = features_holdout[outcome_column(baselines.probe, "stored_bytes")] / features_holdout[SIZE]
        rules["probe"] = train[:, place, 0] / train[:, 0, 0], held.to_numpy(np.float64)
    for name, (scores, asked) in rules.items():
        limits = _limits(scores, train, totals, contexts, baselines.thresholds)
        limit = np.array([limits[min(limits, key=lambda known: abs(np.log(known / each)))] for each in link])
        spent: Floats | float = 0.0
        if name == "probe":
            probed = layout.codecs.index(baselines.probe)
            # Where the table chooses the probe itself, its result is used
            spent = features_holdout[outcome_column(baselines.probe, COMPRESS)].to_numpy(np.float64) * (table != probed)
        found[name] = np.where(asked > limit, 0, table), spent
    rows, names = np.arange(len(costs)), np.array(layout.codecs, dtype=object)
    columns: dict[str, Any] = {"case": features_holdout["case"].to_numpy()}
    for name, (choice, spent) in found.items():
        columns[f"cost_baseline_{name}"] = (costs[rows, choice] + price * spent) * link / KB
        columns[f"choice_baseline_{name}"] = names[choice]
    return pd.DataFrame(columns)


def _one_codec(totals: Floats, contexts: Contexts) -> int:
    """The codec with the least cost over all bandwidths, each counted as what could be sent meanwhile."""
    links = np.asarray(contexts.link_mbps)
    costs = costs_of(np.repeat(totals[None], len(links), axis=0), links, contexts.cpu_price, contexts.reads)
    return int((costs * links[:, None]).sum(axis=0).argmin())


def _limits(scores: Floats, train: Floats, totals: Floats, contexts: Contexts, many: int) -> dict[float, float]:
    """By bandwidth the threshold above which storing training blocks as they are costs least."""
    candidates = np.append(np.unique(np.quantile(scores, np.linspace(0.0, 1.0, many))), np.inf)
    limits = {}
    for link in contexts.link_mbps:
        costs = costs_of(train, link, contexts.cpu_price, contexts.reads)
        table = int(table_choice(totals, link, contexts.cpu_price, contexts.reads)[0])
        sums = [np.where(scores > limit, costs[:, 0], costs[:, table]).sum() for limit in candidates]
        limits[link] = float(candidates[int(np.argmin(sums))])
    return limits
