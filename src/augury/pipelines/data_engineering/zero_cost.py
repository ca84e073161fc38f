"""Which categories of statements are really free: asked of the natural log, before anything is filtered out of it."""

from typing import Any, Literal

import narwhals.stable.v2 as nw
import pandas as pd
from pydantic import Field

from augury import engines
from augury.parameters import Parameters
from augury.pipelines.data_engineering.query_log import CENSORED, HEAVY, UNKNOWN, QueryLabel, log_totals, with_outcome
from augury.predictors import query_columns as qc
from augury.predictors.query_classifier import CATEGORIES, NEVER, executed_text, statement_kind

OTHER = "OTHER"


class ZeroCost(Parameters):
    """When a category counts as free."""

    max_heavy_rate: float = Field(0.01, gt=0, lt=1, description="the rate of heavy queries must be below this")
    confidence: float = Field(0.95, gt=0.5, lt=1, description="of the upper bound of that rate (Clopper-Pearson)")
    rule: Literal["upper_bound", "point"] = Field(
        "upper_bound", description="what must be below: the upper bound, or the rate itself, however few the rows"
    )


def classify_log(primary_log: Any, zero_cost: ZeroCost, label: QueryLabel) -> dict[str, Any]:
    """Judge every category of statements by the log.

    Args:
        primary_log: Canonical log, pandas or Spark; a repeated query counts once.
        zero_cost: The rule.
        label: When a query is heavy.

    Returns:
        ``categories`` (rows, share of the log, rows with a known outcome, heavy ones, rate, upper bound, safe or the
        reason why not), ``never`` (the same figures of statements that are never free), ``other``, totals, and the
        names of the ``safe`` categories.
    """
    totals = log_totals(primary_log)
    columns = [
        qc.QUERY_ID,
        qc.QUERY,
        qc.PREPARED_QUERY,
        qc.QUERY_STATE,
        qc.CPU_TIME_S,
        qc.PEAK_MEMORY_GB,
        qc.ERROR_NAME,
    ]
    read = nw.from_native(primary_log).select(*columns).to_native()
    frame = with_outcome(nw.from_native(engines.map_batches(read, _name_kinds, _NAMED)), label, totals)
    # Of a query that was logged twice the worst is believed, so that the order of rows is of no account
    rank = nw.when(nw.col("outcome") == HEAVY).then(nw.lit(2))
    known = nw.when(nw.col("outcome").is_in([CENSORED, UNKNOWN])).then(nw.lit(0)).otherwise(nw.lit(1))
    frame = frame.with_columns(rank=rank.otherwise(known))
    if totals.repeated:
        frame = frame.group_by([qc.QUERY_ID]).agg(nw.col("kind").min(), nw.col("rank").max())
    counts = engines.to_pandas(frame.group_by(["kind", "rank"]).agg(rows=nw.len()).to_native())
    table = counts.pivot_table(index="kind", columns="rank", values="rows", aggfunc="sum", fill_value=0)
    table = table.reindex(index=[*CATEGORIES, *NEVER, OTHER], columns=[0, 1, 2], fill_value=0).astype(int)
    whole = int(table.to_numpy().sum())
    figures = {str(name): _figures(rows, whole, zero_cost) for name, rows in table.iterrows()}
    categories = {name: _judge(figures[name], zero_cost) for name in CATEGORIES}
    safe = [name for name, judged in categories.items() if judged["safe"]]
    return {
        "rows": whole,
        "heavy_rate": _figures(table.sum(), whole, zero_cost)["rate"],
        "share": int(table.loc[list(CATEGORIES)].to_numpy().sum()) / whole,
        "safe_share": int(table.loc[safe].to_numpy().sum()) / whole,
        "safe_heavy_rate": _figures(table.loc[safe].sum(), whole, zero_cost)["rate"],
        "rule": zero_cost.model_dump(),
        "categories": categories,
        "never": {name: figures[name] for name in NEVER},
        "other": figures[OTHER],
        "safe": safe,
    }


_NAMED: dict[str, engines.ColumnType] = {
    qc.QUERY_ID: "string",
    "kind": "string",
    qc.QUERY_STATE: "string",
    qc.CPU_TIME_S: "double",
    qc.PEAK_MEMORY_GB: "double",
    qc.ERROR_NAME: "string",
}


def _name_kinds(batch: pd.DataFrame) -> pd.DataFrame:
    texts = [executed_text(*pair) for pair in zip(batch[qc.QUERY], batch[qc.PREPARED_QUERY], strict=True)]
    kinds = {text: statement_kind(text) or OTHER for text in dict.fromkeys(texts)}
    return batch.assign(kind=[kinds[text] for text in texts])


def _figures(ranks: pd.Series, whole: int, zero_cost: ZeroCost) -> dict[str, Any]:
    unknown, small, heavy = (int(ranks[rank]) for rank in (0, 1, 2))
    known = small + heavy
    return {
        "rows": unknown + known,
        "share": (unknown + known) / whole,
        "n": known,
        "heavy": heavy,
        "rate": heavy / known if known else None,
        "upper": upper_bound(heavy, known, zero_cost.confidence),
    }


def _judge(figures: dict[str, Any], zero_cost: ZeroCost) -> dict[str, Any]:
    limit = zero_cost.max_heavy_rate
    reason = None
    if not figures["n"]:
        reason = "no row with a known cost"
    elif figures["rate"] >= limit:
        reason = f"{figures['rate']:.2%} of its queries are heavy, which is not below {limit:.2%}"
    elif zero_cost.rule == "upper_bound" and figures["upper"] >= limit:
        reason = (
            f"with {figures['heavy']} heavy of {figures['n']} rows the rate may be {figures['upper']:.2%}, "
            f"which is not below {limit:.2%}: too few rows to tell"
        )
    return {**figures, "safe": reason is None, "reason": reason}


def upper_bound(successes: int, trials: int, confidence: float) -> float:
    """One-sided upper confidence bound of a probability (Clopper-Pearson).

    Args:
        successes: Times that it happened.
        trials: Times that it could have.
        confidence: Probability that the bound is not below the truth.

    Returns:
        The bound; 1 where nothing was tried.
    """
    from scipy.special import betaincinv

    if successes >= trials:
        return 1.0
    return float(betaincinv(successes + 1, trials - successes, confidence))
