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
    SAMPLE_US,
    STORED,
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
    entropy_share: float = Field(
        default=0.4, ge=0, le=1, description="share of a whole look at a block that its entropy alone takes (measured)"
    )
    sample_us: float = Field(default=3.0, ge=0, description="a whole look, where it was not measured (us)")
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

        - ``table``: the best codec of each bandwidth on the training blocks;
        - ``one_codec``: the best single codec over all these bandwidths;
        - ``entropy_gate``: none above a threshold of entropy (chosen by bandwidth, with the time of the look that it
          needs; where none pays it does not look), else the table's;
        - ``probe``: none where a quick codec saves too little (likewise), else the table's.

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
    for name in _rules(layout, baselines):
        scores, looks = _scores(features_train, name, baselines)
        asked, cost_of_asking = _scores(features_holdout, name, baselines)
        probe = layout.codecs.index(baselines.probe) if name == "probe" else -1
        limits = _limits(scores, looks, train, totals, contexts, baselines.thresholds, probe)
        limit = np.array([limits[min(limits, key=lambda known: abs(np.log(known / each)))] for each in link])
        # Where the table chooses the probe itself, its result is used
        looked = np.isfinite(limit) & ((table != probe) | (asked > limit))
        found[name] = np.where(asked > limit, 0, table), cost_of_asking * looked
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


def _rules(layout: CodecLayout, baselines: CodecBaselines) -> list[str]:
    """The rules that need a look at the block and can be applied to these columns."""
    there = {"entropy_gate": baselines.entropy in layout.numbers, "probe": baselines.probe in layout.codecs}
    return [name for name, possible in there.items() if possible]


def _scores(table: pd.DataFrame, rule: str, baselines: CodecBaselines) -> tuple[Floats, Floats]:
    """What a rule looks at, and what that takes (us); each of shape ``(rows,)``."""
    if rule == "probe":
        stored = table[outcome_column(baselines.probe, STORED)] / table[SIZE]
        took = table[outcome_column(baselines.probe, COMPRESS)]
        return np.asarray(stored, dtype=np.float64), np.asarray(took, dtype=np.float64)
    look = table[SAMPLE_US] if SAMPLE_US in table else pd.Series(np.nan, index=table.index)
    spent = np.asarray(look.fillna(baselines.sample_us), dtype=np.float64) * baselines.entropy_share
    return np.asarray(table[baselines.entropy].fillna(0), dtype=np.float64), spent


def _limits(
    scores: Floats, looks: Floats, train: Floats, totals: Floats, contexts: Contexts, many: int, probe: int
) -> dict[float, float]:
    """By bandwidth the threshold above which storing training blocks as they are costs least; infinite: do not look."""
    candidates = np.append(np.unique(np.quantile(scores, np.linspace(0.0, 1.0, many))), np.inf)
    limits = {}
    for link in contexts.link_mbps:
        costs = costs_of(train, link, contexts.cpu_price, contexts.reads)
        table = int(table_choice(totals, link, contexts.cpu_price, contexts.reads)[0])
        sums = []
        for limit in candidates:
            looked = (looks * ((table != probe) | (scores > limit))).sum() if np.isfinite(limit) else 0.0
            sums.append(np.where(scores > limit, costs[:, 0], costs[:, table]).sum() + contexts.cpu_price * looked)
        limits[link] = float(candidates[int(np.argmin(sums))])
    return limits
