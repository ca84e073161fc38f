"""The matrix of purchases, on the committed sample: the same on every engine, labelled rows only, no fate in it."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from augury.errors import UserError
from augury.pipelines.data_engineering.purchase_sources import PurchaseSource
from augury.pipelines.data_engineering.purchases import PurchaseSplit, WasteLabel, prepare_purchases
from augury.pipelines.feature_engineering.purchases import build_features, matrix_schema
from augury.predictors import purchase_columns as pc
from augury.predictors.waste_features import GROUPS, WasteFeatures, feature_names, featurise

SAMPLE = Path(__file__).parents[2] / "data/01_raw/food_waste/purchases.parquet"
HOUSEHOLDS = 40
FEATURES = WasteFeatures(exclude=())


@pytest.fixture(scope="module")
def primary():
    """Purchases of some households of the sample, of which the last months are not labelled yet."""
    raw = pd.read_parquet(SAMPLE)
    raw = raw[raw[pc.HOUSEHOLD_ID].isin(raw[pc.HOUSEHOLD_ID].drop_duplicates()[:HOUSEHOLDS])]
    end = raw[pc.PURCHASED_AT].max()
    source = PurchaseSource(observed_until=end.date())
    return prepare_purchases(raw, source, WasteLabel(max_horizon_days=60), PurchaseSplit())[0]


def test_the_matrix_is_the_same_on_every_engine(frame_engine, primary):
    native, _ = build_features(frame_engine.make(primary), FEATURES)
    found = frame_engine.collect(native, pc.PURCHASE_ID)
    expected, _ = build_features(primary.sample(frac=1, random_state=1), FEATURES)
    expected = expected.sort_values(pc.PURCHASE_ID, ignore_index=True)
    assert len(found) > 1000
    assert list(found) == list(matrix_schema(FEATURES))
    names = list(feature_names(FEATURES))
    assert (found[names].dtypes == np.float32).all()
    assert found[names].to_numpy().tobytes() == expected[names].to_numpy().tobytes()
    times = {name: "datetime64[us]" for name, kind in pc.MATRIX.items() if kind == "timestamp"}
    pd.testing.assert_frame_equal(found.drop(columns=names).astype(times), expected.drop(columns=names))


def test_only_labelled_rows_are_in_it_but_all_are_history(primary):
    matrix, account = build_features(primary, FEATURES)
    judged = primary[primary[pc.SPLIT] != pc.NONE]
    assert len(judged) < len(primary)
    assert matrix[pc.PURCHASE_ID].tolist() == judged[pc.PURCHASE_ID].tolist()
    assert matrix[pc.IS_WASTED].isin([0.0, 1.0]).all()
    fitted = WasteFeatures.model_validate(json.loads(json.dumps(account["parameters"])))
    whole = featurise(primary, fitted)
    np.testing.assert_array_equal(matrix[account["features"]], whole[primary[pc.SPLIT] != pc.NONE])
    alone = featurise(judged, fitted)
    assert (alone["history_purchases"] < whole.loc[judged.index, "history_purchases"]).any()


def test_what_is_usual_is_the_mean_of_all_earlier_months(primary):
    _, account = build_features(primary, FEATURES)
    norms = {(norm["category"], norm["month"]): norm for norm in account["parameters"]["norms"]}
    month = primary[pc.PURCHASED_AT].dt.strftime("%Y-%m")
    for category, now in [("dairy", "2018-02"), ("canned", "2018-07"), ("produce", "2019-12"), ("meat", "2020-01")]:
        past = primary[(primary[pc.CATEGORY] == category) & (month < now)]
        per_head = (past[pc.QUANTITY] / past[pc.HOUSEHOLD_SIZE]).mean()
        assert norms[category, now]["servings_per_head"] == pytest.approx(per_head, rel=1e-5)
        assert norms[category, now]["shelf_life_days"] == pytest.approx(past[pc.SHELF_LIFE_DAYS].mean(), rel=1e-5)
    assert ("dairy", "2018-01") not in norms
    given = build_features(primary, WasteFeatures(norms=account["parameters"]["norms"][:3]))[1]["parameters"]["norms"]
    assert given == account["parameters"]["norms"][:3], "what is given is not learnt again"


def test_no_later_purchase_of_anybody_changes_the_features_of_a_row(primary):
    before, _ = build_features(primary, FEATURES)
    now = pd.Timestamp("2019-03-14")
    later = primary[pc.PURCHASED_AT] >= now
    unknown = ~later & (primary[pc.RESOLVED_AT] >= now)
    changed = primary.assign(
        quantity=primary[pc.QUANTITY].mask(later, 99.0),
        shelf_life_days=primary[pc.SHELF_LIFE_DAYS].mask(later, 1.0),
        household_size=primary[pc.HOUSEHOLD_SIZE].mask(later, 6.0),
        outcome=primary[pc.OUTCOME].mask(later | unknown, pc.WASTED),
        resolved_at=primary[pc.RESOLVED_AT].mask(unknown, pd.Timestamp("2019-12-01")),
    ).drop(primary.index[later][::3])
    after, account = build_features(changed, FEATURES)
    names = account["features"]
    assert after.loc[after[pc.PURCHASED_AT] >= now, names].notna().any(axis=None)
    before, after = (matrix[matrix[pc.PURCHASED_AT] < now].reset_index(drop=True) for matrix in (before, after))
    assert len(before) > 1000
    pd.testing.assert_frame_equal(after[names], before[names], check_exact=True)


def test_fates_and_truths_are_no_features(primary):
    matrix, account = build_features(primary, FEATURES)
    assert not {*pc.FATE, *pc.TRUTH, pc.OBSERVED_UNTIL} & {name.split("_", 1)[1] for name in account["features"]}
    # Nor anything that is one in disguise: no single feature knows the fate
    assert len(account["features"]) >= 50
    wasted = matrix[pc.IS_WASTED] == 1
    ranks = matrix[account["features"]].rank(na_option="top")
    areas = (ranks[wasted].mean() - (wasted.sum() + 1) / 2) / (~wasted).sum()
    assert np.maximum(areas, 1 - areas).max() < 0.85
    leak = matrix[pc.IS_WASTED].rank()
    assert (leak[wasted].mean() - (wasted.sum() + 1) / 2) / (~wasted).sum() == 1


def test_the_account_of_the_features(primary):
    features = WasteFeatures(groups=("item", "history"), windows_days=(7,))
    _, account = build_features(primary, features)
    assert account["features"] == list(feature_names(features))
    assert list(account["groups"]) == ["item", "history"]
    assert [name for names in account["groups"].values() for name in names] == account["features"]
    assert list(account["descriptions"]) == account["features"]
    assert account["parameters"]["windows_days"] == [7]
    assert len(account["code_sha256"]) == 64
    assert set(GROUPS) > set(account["groups"])


def test_an_extra_column_must_be_in_the_table(primary):
    with pytest.raises(UserError, match=r"no column 'store'.*food_waste.source.extra_columns"):
        build_features(primary, WasteFeatures(extra_columns=("store",)))
    matrix, _ = build_features(primary.assign(store=2.0), WasteFeatures(extra_columns=("store",)))
    assert (matrix["item_store"] == 2.0).all()
