"""Baselines of a feature table: libraries as they come out of the box, fitted to the training rows alone."""

import numpy as np
import pandas as pd
import pytest

from augury.errors import UserError
from augury.pipelines.model_training.tabular_baselines import TabularBaselines, predict_baselines

ROLES = {
    "row_id": "id", "target": "hit", "category": "kind", "days": "days", "scale": "life",
    "oracles": {"oracle": "truth", "leaky": "no such column"},
}  # fmt: skip
FEATURES = {"features": ["a", "b", "c"]}
ALL = TabularBaselines.model_validate(ROLES)


def table(rows=500, seed=0):
    random = np.random.default_rng(seed)
    found = pd.DataFrame(
        {
            "id": [f"r{number:04d}" for number in random.permutation(rows)],
            "split": random.choice(["train", "test"], rows, p=[0.7, 0.3]),
            "kind": random.choice(["x", "y"], rows),
            "a": random.normal(size=rows).astype(np.float32),
            "b": random.normal(size=rows).astype(np.float32),
            "c": np.float32(np.nan),
            "life": random.uniform(1, 20, rows),
        }
    )
    found["truth"] = 1 / (1 + np.exp(-2 * found["a"] - (found["kind"] == "x")))
    found["hit"] = (random.random(rows) < found["truth"]).astype(float)
    found["days"] = (found["life"] * 0.5 + random.normal(size=rows)).where(found["hit"] == 1)
    found.loc[random.random(rows) < 0.2, "b"] = np.nan
    return found


def test_the_libraries_are_untouched():
    import lightgbm
    import xgboost
    from sklearn.ensemble import HistGradientBoostingClassifier

    frame = table().sort_values("id")
    train, test = (frame[frame["split"] == name] for name in ("train", "test"))
    found = predict_baselines(frame, FEATURES, ALL, 7)
    for name, model in {
        "lightgbm": lightgbm.LGBMClassifier(random_state=7, n_jobs=1, verbose=-1),
        "xgboost": xgboost.XGBClassifier(random_state=7, n_jobs=1),
        "hist_gradient_boosting": HistGradientBoostingClassifier(random_state=7),
    }.items():
        matrices = [part[["a", "b"]].to_numpy(dtype=np.float32) for part in (train, test)]
        model.fit(matrices[0], train["hit"] > 0)
        assert found[f"baseline_{name}"].to_numpy() == pytest.approx(model.predict_proba(matrices[1])[:, 1], abs=1e-7)
        assert found[f"decision_{name}"].tolist() == model.predict(matrices[1]).astype(int).tolist()


def test_rules_and_the_oracle():
    frame = table()
    train, test = (frame[frame["split"] == name] for name in ("train", "test"))
    found = test.merge(predict_baselines(frame, FEATURES, ALL, 1), on="id")
    rates = train.groupby("kind")["hit"].mean()
    assert found["baseline_category_rate"].tolist() == pytest.approx(found["kind"].map(rates).tolist())
    assert found["baseline_oracle"].tolist() == found["truth"].tolist()
    assert "baseline_leaky" not in found
    hits = train[train["hit"] == 1]
    assert (found["days_constant_median"] == hits["days"].median()).all()
    share = (hits["days"] / hits["life"]).median()
    assert found["days_scale_rule"].tolist() == pytest.approx((found["life"] * share).tolist())
    logistic = found["baseline_logistic_regression"]
    assert np.corrcoef(logistic, found["truth"])[0, 1] > 0.85


def test_held_out_labels_order_and_workers_change_nothing():
    frame = table()
    other = frame.copy()
    test = other["split"] == "test"
    other.loc[test, ["hit", "days"]] = [1.0, 99.0]
    other = other.sample(frac=1, random_state=3)[sorted(other)]
    pd.testing.assert_frame_equal(
        predict_baselines(frame, FEATURES, ALL, 1),
        predict_baselines(other, FEATURES, ALL.model_copy(update={"workers": 1}), 1),
    )


def test_an_incomplete_truth_is_no_oracle_and_what_is_missing_has_a_rule():
    frame = table(200)
    frame.loc[frame.index[frame["split"] == "test"][:1], "truth"] = np.nan
    frame.loc[frame["split"] == "test", "kind"] = "new"
    frame.loc[frame["split"] == "test", "life"] = np.nan
    few = ALL.model_copy(update={"models": ("category_rate",)})
    found = predict_baselines(frame, FEATURES, few, 1)
    train = frame[frame["split"] == "train"]
    assert list(found) == [
        "id", "baseline_category_rate", "decision_category_rate", "days_constant_median", "days_scale_rule",
    ]  # fmt: skip
    assert found["baseline_category_rate"].tolist() == pytest.approx([train["hit"].mean()] * len(found))
    assert (found["days_scale_rule"] == found["days_constant_median"]).all()


def test_a_single_class_is_refused():
    with pytest.raises(UserError, match="need both classes"):
        predict_baselines(table().assign(hit=1.0), FEATURES, ALL, 1)


def test_the_defaults_fit_the_matrix_of_purchases(waste_tables):
    few = TabularBaselines(models=("category_rate",))
    found = predict_baselines(waste_tables.matrix, waste_tables.features, few, 1)
    assert found["purchase_id"].nunique() == (waste_tables.matrix["split"] == "test").sum()
    assert found["baseline_oracle"].between(0, 1).all()
    assert "baseline_observable_oracle" not in found  # was not computed
