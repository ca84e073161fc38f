import pandas as pd

from augury.curve_table import CURVES, curve_table

POINTS = [[1, 0.5, "loss", 2, 0], [2, 1, "loss", 1.5, 3], [2, 1, "validation_f1", 0.75, 3]]


def test_points_are_laid_out_in_their_order():
    table = curve_table(iter(POINTS))
    assert table.to_numpy().tolist() == POINTS
    assert table.dtypes.astype(str).to_dict() == CURVES


def test_a_model_that_is_fitted_in_one_go_has_a_table_of_the_same_kind():
    empty = curve_table()
    assert not len(empty)
    assert empty.dtypes.to_dict() == curve_table(POINTS).dtypes.to_dict()
    assert pd.concat([empty, curve_table(POINTS)], ignore_index=True).equals(curve_table(POINTS))
