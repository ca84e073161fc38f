"""Conformal margins: exact on hand examples, and as safe as they promise."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom

from augury.pipelines.model_training.conformal import UNREACHED, conformal_quantile, fit_margins
from augury.predictors.bounded_regression import size_band


def alone(count):
    return np.arange(count)


@pytest.mark.parametrize(
    ("risk", "expected"),
    # 10 groups: the level is 11 (1 - risk) / 10 of the weight, and every residual carries a tenth
    [(0.5, 0.6), (0.2, 0.9), (0.19, 0.9), (0.18, 1.0), (0.1, 1.0), (0.01, 1.0)],
)
def test_the_quantile_of_ten_residuals_by_hand(risk, expected):
    residual = np.arange(1, 11) / 10
    assert conformal_quantile(residual[::-1], alone(10), risk) == expected


def test_a_group_counts_once_however_many_rows_it_has():
    # Group a: 0, 0, 9 at a ninth each; b: 1 and c: 2 at a third each. The level is 4/3 x 0.65 = 0.867 of the weight
    residual, groups = np.array([0.0, 0.0, 9.0, 1.0, 2.0]), np.array(list("aaabc"))
    assert conformal_quantile(residual, groups, 0.35) == 2.0  # at 8/9; of five equal rows it would be the last, 9


@pytest.mark.parametrize("risk", [0.2, 0.05])
def test_a_new_row_exceeds_the_bound_no_more_often_than_promised(risk):
    random = np.random.default_rng(11)
    trials, groups = 1500, 60
    exceeded = 0
    for _ in range(trials):
        sizes = random.integers(1, 6, groups + 1)
        # Rows of a group share most of their error
        shared = random.standard_t(3, groups + 1)
        residual = np.repeat(shared, sizes) + random.normal(0, 0.5, sizes.sum())
        group = np.repeat(np.arange(groups + 1), sizes)
        new = group == groups
        exceeded += residual[new][0] > conformal_quantile(residual[~new], group[~new], risk)
    assert exceeded <= binom.ppf(0.999, trials, risk)
    # Not by being useless either: a bound that is never exceeded is too wide
    assert exceeded >= binom.ppf(0.001, trials, risk * 0.5)


RESIDUALS = st.lists(st.tuples(st.floats(-3, 3), st.integers(0, 5)), min_size=1, max_size=30)


@given(RESIDUALS, st.floats(0.01, 0.99), st.floats(0.01, 0.99))
def test_a_smaller_risk_never_has_the_smaller_quantile(rows, first, second):
    residual, groups = (np.array(column) for column in zip(*rows, strict=True))
    low, high = sorted((first, second))
    assert conformal_quantile(residual, groups, low) >= conformal_quantile(residual, groups, high)


@given(RESIDUALS, st.floats(0.01, 0.99), st.randoms())
def test_the_quantile_is_a_residual_and_ignores_the_row_order(rows, risk, random):
    shuffled = random.sample(rows, len(rows))
    values = []
    for order in (rows, shuffled):
        residual, groups = (np.array(column) for column in zip(*order, strict=True))
        values.append(conformal_quantile(residual, groups, risk))
    assert values[0] == values[1]
    assert values[0] in [residual for residual, _ in rows]


def margins_of(seed=0, rows=600, groups=200, categories=2, risks=(0.2, 0.05), bands=3, min_tail_groups=3):
    random = np.random.default_rng(seed)
    codes = random.integers(0, categories, rows)
    point = np.exp(random.normal(4, 1, rows))
    # Large jobs are harder to predict, and the second category more so
    noise = np.where(point > np.median(point), 0.5, 0.05) * (1 + codes)
    target = point * np.exp(random.normal(0, noise))
    group = random.integers(0, groups, rows)
    margins = fit_margins(target, point, codes, group, categories, risks, bands, min_tail_groups)
    return margins, target, point, codes


@pytest.mark.parametrize("order", [(0.2, 0.05), (0.05, 0.2)])
def test_margins_are_ordered_by_risk_and_never_negative(order):
    margins, *_ = margins_of(risks=order, rows=150, groups=40, min_tail_groups=1)
    log_margins = dict(zip(margins.risks, np.asarray(margins.log_margins), strict=True))
    assert (log_margins[0.05] >= log_margins[0.2]).all()
    assert (log_margins[0.2] >= 0).all()


def test_every_category_and_band_keeps_its_risk_on_its_own_rows():
    margins, target, point, codes = margins_of()
    band = size_band(point, margins, codes)
    for risk, log_margins in zip(margins.risks, np.asarray(margins.log_margins), strict=True):
        above = target > point * np.exp(log_margins[codes, band])
        for code in (0, 1):
            for index in range(3):
                cell = (codes == code) & (band == index)
                assert cell.sum() > 60
                # Groups weigh the same, rows do not: hence a little slack
                assert above[cell].mean() <= risk + 0.03
    # What is harder to predict gets the wider margin
    log_margins = np.asarray(margins.log_margins)
    assert (log_margins[:, :, 2] > 2 * log_margins[:, :, 0]).all()


def test_too_few_groups_share_one_margin():
    margins, _, point, codes = margins_of(rows=90, groups=40, min_tail_groups=8.2)
    assert np.asarray(margins.edges).tolist() == [[UNREACHED] * 2] * 2
    assert (size_band(point, margins, codes) == 0).all()
    assert all(len(set(cells)) == 1 for risk in margins.log_margins for cells in risk)


def test_a_risk_too_strict_for_a_band_takes_the_margin_of_the_category():
    margins, *_ = margins_of(min_tail_groups=6)
    strict = np.asarray(margins.log_margins)[margins.risks.index(0.05)]
    loose = np.asarray(margins.log_margins)[margins.risks.index(0.2)]
    assert all(len(set(loose[code])) == 3 for code in (0, 1))
    # What the looser risk asks of a band is still met
    assert (strict >= loose).all()
    assert all(len(set(strict[code])) <= 2 for code in (0, 1))


def test_fewer_bands_are_used_where_three_are_too_many():
    margins, *_ = margins_of(rows=200, groups=100, categories=1, min_tail_groups=10)
    (edges,) = margins.edges
    assert edges[0] < UNREACHED
    assert edges[1] == UNREACHED


def test_one_band_needs_no_edges():
    margins, _, point, codes = margins_of(bands=1)
    assert margins.edges == ((), ())
    assert (size_band(point, margins, codes) == 0).all()


def test_a_category_without_rows_borrows_from_the_others():
    random = np.random.default_rng(0)
    target = np.exp(random.normal(0, 1, 50))
    margins = fit_margins(target, np.ones(50), np.zeros(50, dtype=int), alone(50), 2, (0.1,), 1, 5)
    assert margins.log_margins[0][1] == margins.log_margins[0][0]


@given(st.lists(st.sampled_from([1.0, 2.0, 3.0, 4.0]), min_size=12, max_size=40))
def test_predictions_on_an_edge_belong_to_the_band_they_were_calibrated_in(points):
    point = np.array(points)
    # The error says which size it comes from, so a band's margin is the largest error of its rows
    target = point * np.exp(point)
    codes = np.zeros(len(point), dtype=int)
    margins = fit_margins(target, point, codes, alone(len(point)), 1, (0.001,), 3, 2)
    band = size_band(point, margins, codes)
    for index in set(band):
        assert margins.log_margins[0][0][index] == pytest.approx(point[band == index].max())
