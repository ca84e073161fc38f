"""Rows as if template and tables were new: what is forgotten, what stays, and that nothing else decides."""

import numpy as np
import pandas as pd
import pytest

from augury.pipelines.model_training.forgetting import TABLE_SUMS, TEMPLATE_FEATURES, forget
from augury.predictors.query_features import QueryFeatures, feature_names

NUMBERS = feature_names(QueryFeatures())
TABLE_COLUMNS = (*TABLE_SUMS, "tables_max_heavy_rate", "tables_unseen_share")


@pytest.fixture
def rows():
    """Facts and a matrix, with two columns of terms behind the numbers."""
    random = np.random.default_rng(0)
    matrix = random.uniform(1, 9, (4000, len(NUMBERS) + 2)).astype(np.float32)
    table = pd.DataFrame({"query_id": [f"q{number}" for number in range(len(matrix))]})
    matrix[:, NUMBERS.index("table_count")] = random.integers(0, 5, len(matrix))
    matrix[:, NUMBERS.index("tables_unseen_share")] = 0
    for name in TABLE_SUMS:
        matrix[:, NUMBERS.index(name)] = 1e6
    return table, matrix


def columns(matrix, names):
    return {name: matrix[:, NUMBERS.index(name)] for name in names}


def test_the_template_is_forgotten_and_nothing_else(rows):
    table, matrix = rows
    before = matrix.copy()
    found = forget(table, matrix, NUMBERS, 0.0)
    np.testing.assert_array_equal(matrix, before)
    for name, values in columns(found, TEMPLATE_FEATURES).items():
        assert (values == 0).all() if name == "template_seen" else np.isnan(values).all()
    rest = [
        place for place in range(matrix.shape[1]) if place >= len(NUMBERS) or NUMBERS[place] not in TEMPLATE_FEATURES
    ]
    np.testing.assert_array_equal(found[:, rest], matrix[:, rest])


def test_a_share_of_the_rows_with_tables_loses_some_or_all_of_them(rows):
    table, matrix = rows
    found = columns(forget(table, matrix, NUMBERS, 0.5), TABLE_COLUMNS)
    tables = columns(matrix, ["table_count"])["table_count"]
    share = found["tables_unseen_share"]
    assert not share[tables == 0].any()
    assert (share[tables > 0] > 0).mean() == pytest.approx(0.5, abs=0.03)
    # A number of tables out of all
    np.testing.assert_allclose(share * tables, np.round(share * tables), atol=1e-5)
    for name in TABLE_SUMS:
        values = found[name]
        assert (np.isnan(values) == (share == 1)).all()
        assert (values[share == 0] == 1e6).all()
        part = values[(share > 0) & (share < 1)]
        assert (part < 1e6).all() and (part >= 1e3 - 1).all()
        # Without the largest table little is left, otherwise most
        assert 0.2 < (part < 5e5).mean() < 0.8
    assert (np.isnan(found["tables_max_heavy_rate"]) == (share == 1)).all()


def test_what_is_drawn_depends_on_the_query_alone(rows):
    table, matrix = rows
    whole = forget(table, matrix, NUMBERS, 0.5)
    order = np.random.default_rng(1).permutation(len(table))[:500]
    np.testing.assert_array_equal(forget(table.iloc[order], matrix[order], NUMBERS, 0.5), whole[order])


def test_features_without_history_have_nothing_to_forget():
    numbers = feature_names(QueryFeatures(history_extension=False))
    matrix = np.ones((3, len(numbers)), dtype=np.float32)
    table = pd.DataFrame({"query_id": ["a", "b", "c"]})
    np.testing.assert_array_equal(forget(table, matrix, numbers, 1.0), matrix)
