"""Which categories the log shows to be free."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import beta, binom

from augury.pipelines.data_engineering.query_log import QueryLabel
from augury.pipelines.data_engineering.zero_cost import ZeroCost, classify_log, upper_bound
from augury.predictors.query_classifier import CATEGORIES, NEVER, executed_text, statement_kind

LABEL = QueryLabel()
RULE = ZeroCost()


@pytest.fixture
def show(query_log):
    """A log of SHOW statements and one other: number of rows, of heavy ones -> log."""

    def make(rows, heavy=0):
        free = query_log.iloc[:rows].assign(query="SHOW TABLES", prepared_query=None, query_state="FINISHED")
        free = free.assign(
            error_name=None, peak_memory_gb=0.1, cpu_time_s=np.where(np.arange(rows) < heavy, 300.0, 0.1)
        )
        return pd.concat([free, query_log.iloc[[-1]].assign(query="SELECT * FROM t")])

    return make


def test_the_bound_is_that_of_clopper_and_pearson():
    for successes, trials in ((0, 1), (0, 299), (3, 500), (499, 500)):
        bound = upper_bound(successes, trials, 0.95)
        assert bound == pytest.approx(beta.ppf(0.95, successes + 1, trials - successes))
        # At the bound, so few successes have the probability that is left
        assert binom.cdf(successes, trials, bound) == pytest.approx(0.05)
    assert upper_bound(0, 0, 0.95) == upper_bound(5, 5, 0.95) == 1.0


@pytest.mark.parametrize(
    ("rows", "heavy", "rule", "safe", "reason"),
    [
        (298, 0, "upper_bound", False, "too few rows to tell"),
        (299, 0, "upper_bound", True, None),
        (299, 1, "upper_bound", False, "the rate may be 1.58%"),
        (1000, 4, "upper_bound", True, None),
        (1000, 5, "upper_bound", False, "which is not below 1.00%"),
        (1000, 10, "point", False, "1.00% of its queries are heavy"),
        (1000, 9, "point", True, None),
        (3, 0, "point", True, None),
    ],
)
def test_a_category_is_safe_when_the_log_proves_it(show, rows, heavy, rule, safe, reason):
    report = classify_log(show(rows, heavy), RULE.model_copy(update={"rule": rule}), LABEL)
    figures = report["categories"]["SHOW"]
    assert (figures["rows"], figures["n"], figures["heavy"], figures["safe"]) == (rows, rows, heavy, safe)
    assert figures["rate"] == heavy / rows
    assert figures["share"] == rows / (rows + 1)
    assert report["safe"] == (["SHOW"] if safe else [])
    assert (reason is None) if safe else reason in figures["reason"]


def test_categories_without_rows_are_never_safe(show):
    report = classify_log(show(400), RULE.model_copy(update={"rule": "point"}), LABEL)
    for name in set(CATEGORIES) - {"SHOW"}:
        assert not report["categories"][name]["safe"]
        assert report["categories"][name]["reason"] == "no row with a known cost"
    assert report["safe_share"] == report["share"] == 400 / 401
    assert report["safe_heavy_rate"] == 0.0


def test_rows_whose_cost_is_not_known_prove_nothing(show):
    log = show(400)
    log.iloc[:150, log.columns.get_loc("query_state")] = "FAILED"
    log.iloc[150:200, log.columns.get_loc("cpu_time_s")] = np.nan
    figures = classify_log(log, RULE, LABEL)["categories"]["SHOW"]
    assert (figures["rows"], figures["n"], figures["safe"]) == (400, 200, False)


def test_the_never_list_is_reported_but_never_safe(query_log):
    free = query_log.assign(query="INSERT INTO t VALUES 1", cpu_time_s=0.1, peak_memory_gb=0.1, error_name=None)
    report = classify_log(free.assign(query_state=None), RULE, LABEL)
    assert report["never"]["INSERT"]["upper"] < RULE.max_heavy_rate
    assert report["safe"] == []
    assert set(report["never"]) == set(NEVER)
    assert report["share"] == 0.0


def test_counts_are_those_of_a_recomputation(query_log):
    report = classify_log(query_log, RULE, LABEL)
    kinds = [
        statement_kind(executed_text(*pair)) or "OTHER"
        for pair in zip(query_log["query"], query_log["prepared_query"], strict=True)
    ]
    counts = pd.Series(kinds).value_counts()
    found = {**report["categories"], **report["never"], "OTHER": report["other"]}
    assert {name: figures["rows"] for name, figures in found.items() if figures["rows"]} == counts.to_dict()
    assert report["rows"] == len(query_log)
    assert {"SHOW", "LIMIT_0", "INSERT", "EXECUTE", "EXPLAIN_ANALYZE", "OTHER"} <= set(counts.index)
    heavy = sum(figures["heavy"] for figures in found.values())
    assert report["heavy_rate"] == heavy / sum(figures["n"] for figures in found.values())


def test_every_engine_gives_the_same_report_and_repeated_rows_count_once(repeated_log, query_log, frame_engine):
    expected = classify_log(repeated_log, RULE, LABEL)
    found = classify_log(frame_engine.make(repeated_log.sample(frac=1, random_state=4)), RULE, LABEL)
    assert found == expected
    assert found["rows"] == len(query_log)
