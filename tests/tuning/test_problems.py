"""What is searched for each predictor: the same folds and scores as in training, and never a row of the test split."""

from concurrent.futures import ThreadPoolExecutor

import lightgbm
import numpy as np
import pandas as pd
import pytest

from augury.errors import UserError
from augury.parameters import with_values
from augury.pipelines.model_training.boosted_classifier import fold_selections, log_loss
from augury.pipelines.model_training.boosted_pair import PairModel
from augury.pipelines.model_training.boosted_trees import BoundedRegressionModel
from augury.pipelines.model_training.time_series_folds import expanding_folds
from augury.pipelines.model_training.training_rows import FACTS, CollectedRows, RowSettings
from augury.pipelines.tuning import boosted_classifier_search, boosted_pair_search, boosted_trees_search
from augury.pipelines.tuning.lightgbm_folds import bin_fold, fit_and_predict
from augury.pipelines.tuning.racing import TransientStudies
from augury.pipelines.tuning.training_split import training_split
from augury.predictors import purchase_columns as pc
from augury.predictors.probability_calibration import fit_calibration
from augury.predictors.query_features import QueryFeatures, feature_names

FEATURES = tuple(f"item_{number}" for number in range(6))
TREES = {"rounds": 20, "early_stopping_rounds": 0, "learning_rate": 0.2, "num_leaves": 7, "max_bin": 31}
LEAVES = {"classifier.num_leaves": ["int", 3, 15]}


def waste_matrix(rows=1500, seed=0):
    """Purchases over two years, the last fifth of them the test split, with a row of neither between."""
    random = np.random.default_rng(seed)
    values = random.normal(size=(rows, len(FEATURES))).astype(np.float32)
    values[random.random(values.shape) < 0.05] = np.nan
    margin = np.nan_to_num(values[:, 0]) * 1.5 + np.nan_to_num(values[:, 1] * values[:, 2]) - 1
    minutes = np.sort(random.integers(0, 730 * 1440, rows))
    split = np.where(np.arange(rows) < rows * 0.8, "train", "test").astype(object)
    split[int(rows * 0.8)] = "none"
    table = pd.DataFrame(
        {
            pc.PURCHASE_ID: [f"p{number:05d}" for number in range(rows)],
            pc.PURCHASED_AT: np.datetime64("2024-01-01", "us") + minutes.astype("timedelta64[m]"),
            pc.SPLIT: split,
            pc.IS_WASTED: (random.random(rows) < 1 / (1 + np.exp(-margin))).astype(float),
        }
    )
    return pd.concat([table, pd.DataFrame(values, columns=list(FEATURES))], axis=1)


@pytest.fixture(scope="module")
def matrix():
    """A matrix; tests that change it take a copy."""
    return waste_matrix()


def pair_model(**classifier):
    return PairModel.model_validate({"classifier": TREES | classifier, "folds": 3, "gap_days": 20})


def pair_problem(matrix, metric="log_loss", **classifier):
    table = training_split(matrix, [pc.IS_WASTED, *FEATURES], [pc.PURCHASED_AT, pc.PURCHASE_ID], None)
    return boosted_pair_search.BoostedPairProblem(table, FEATURES, pair_model(**classifier), metric, 3)


def tune_waste(matrix, model=None, **changes):
    settings = {"trials": 6, "space": LEAVES, "delta": 0.01} | changes
    tuning = boosted_pair_search.BoostedPairTuning.model_validate(settings)
    return boosted_pair_search.tune_waste(
        matrix, {"features": list(FEATURES)}, model or pair_model(), tuning, 3, TransientStudies()
    )


def untimed(outcome):
    """An outcome without what a clock says."""
    best, trials, report = outcome
    clocks = {"fit_cpu_seconds", "cpu_seconds_per_trial", "wall_seconds"}
    summary = {name: value for name, value in report["summary"].items() if name not in clocks}
    return best, trials.drop(columns="fit_cpu_seconds").to_dict("list"), report | {"summary": summary}


# --- the test rows ---


def test_nothing_in_the_test_rows_changes_anything(matrix):
    changed = matrix.copy()
    others = (changed[pc.SPLIT] != "train").to_numpy()
    changed.loc[others, pc.IS_WASTED] = 1 - changed.loc[others, pc.IS_WASTED]
    changed.loc[others, list(FEATURES)] = 99.0
    with_more = pd.concat([changed, changed[others].assign(purchase_id="another")]).sample(frac=1, random_state=1)
    expected = untimed(tune_waste(matrix))
    assert untimed(tune_waste(with_more)) == expected
    # And the training rows do matter
    first = changed.index[0]
    changed.loc[first, pc.IS_WASTED] = 1 - changed.loc[first, pc.IS_WASTED]
    assert untimed(tune_waste(changed)) != expected


def test_a_problem_that_is_given_test_rows_refuses(matrix, query_rows):
    message = r"300 of 1500 rows .* are not of the split 'train', for example one of 'none'"
    with pytest.raises(UserError, match=message):
        boosted_pair_search.BoostedPairProblem(matrix, FEATURES, pair_model(), "log_loss", 3)
    queries = query_rows.simulate_matrix(rows=300)
    with pytest.raises(UserError, match=r"query_cost: .* of the split 'train'"):
        boosted_classifier_search.BoostedClassifierProblem(
            queries, query_settings(query_rows), query_rows.small_model(), "log_loss", 3
        )


def test_without_training_rows_there_is_nothing_to_tune(matrix):
    with pytest.raises(UserError, match="there are no training rows to tune on"):
        tune_waste(matrix[matrix[pc.SPLIT] == "test"])


def test_many_rows_are_thinned_out_evenly(matrix):
    whole = training_split(matrix, [pc.IS_WASTED], [pc.PURCHASED_AT], None)
    thinned = training_split(matrix, [pc.IS_WASTED], [pc.PURCHASED_AT], 300)
    assert len(whole) == 1200
    assert len(thinned) == 300
    assert thinned[pc.PURCHASED_AT].iloc[[0, -1]].tolist() == whole[pc.PURCHASED_AT].iloc[[0, -1]].tolist()
    middle = whole[pc.PURCHASED_AT].searchsorted(thinned[pc.PURCHASED_AT].iloc[150])
    assert middle == pytest.approx(600, abs=5)


def test_the_training_rows_are_the_same_from_any_engine(frame_engine, matrix):
    columns, order = [pc.IS_WASTED, *FEATURES], [pc.PURCHASED_AT, pc.PURCHASE_ID]
    expected = training_split(matrix, columns, order, 700)
    found = training_split(frame_engine.make(matrix), columns, order, 700)
    times = {pc.PURCHASED_AT: "datetime64[us]"}
    pd.testing.assert_frame_equal(found.astype(times), expected.astype(times), check_exact=True)
    problems = [
        boosted_pair_search.BoostedPairProblem(table, FEATURES, pair_model(), "log_loss", 3)
        for table in (found, expected)
    ]
    assert problems[0].evaluate({}, 1) == problems[1].evaluate({}, 1)


# --- food_waste ---


@pytest.mark.parametrize("stopping", [0, 5], ids=["all rounds", "early stopping"])
def test_a_fold_of_the_pair_is_scored_as_lightgbm_itself_would(matrix, stopping):
    problem = pair_problem(matrix, early_stopping_rounds=stopping, rounds=60)
    table = matrix[matrix[pc.SPLIT] == "train"]
    values, target = table[list(FEATURES)].to_numpy(), table[pc.IS_WASTED].to_numpy()
    folds = expanding_folds(table[pc.PURCHASED_AT], 3, 20)
    assert len(folds) == len(problem.fold_costs) == 3
    model = pair_model(early_stopping_rounds=stopping, rounds=60)
    params = model.classifier.booster_params("binary", 3) | {"num_leaves": 9, "metric": "binary_logloss"}
    for number, (train, judged) in enumerate(folds):
        if stopping:
            cut = int(len(train) * (1 - model.stopping_share))
            data = lightgbm.Dataset(values[train[:cut]], target[train[:cut]], params=params)
            watched = data.create_valid(values[train[cut:]], target[train[cut:]])
            losses = {}
            lightgbm.train(params, data, 60, valid_sets=[watched], callbacks=[lightgbm.record_evaluation(losses)])
            curve = losses["valid_0"]["binary_logloss"]
            rounds = best_of_every_fifth(curve, stopping)
            fitted = lightgbm.train(params, lightgbm.Dataset(values[train[:cut]], target[train[:cut]]), rounds)
        else:
            fitted = lightgbm.train(params, lightgbm.Dataset(values[train], target[train]), 60)
        probability = fitted.predict(values[judged])
        loss = -np.mean(np.log(np.where(target[judged] > 0, probability, 1 - probability)))
        assert problem.evaluate({"classifier.num_leaves": 9}, number) == pytest.approx(loss, abs=1e-12)


def best_of_every_fifth(curve, patience):
    """Rounds of the least loss among every fifth, up to where patience ends."""
    best = 5
    for rounds in range(5, len(curve) + 1, 5):
        if curve[rounds - 1] < curve[best - 1]:
            best = rounds
        elif rounds - best >= patience:
            break
    return best


def test_the_area_under_the_curve_is_a_metric_to_be_raised(matrix):
    from sklearn.metrics import roc_auc_score

    problem = pair_problem(matrix, "roc_auc")
    assert problem.direction == "maximize"
    table = matrix[matrix[pc.SPLIT] == "train"]
    train, judged = expanding_folds(table[pc.PURCHASED_AT], 3, 20)[0]
    values, target = table[list(FEATURES)].to_numpy(), table[pc.IS_WASTED].to_numpy()
    params = pair_model().classifier.booster_params("binary", 3)
    fitted = lightgbm.train(params, lightgbm.Dataset(values[train], target[train], params=params), 20)
    expected = roc_auc_score(target[judged], fitted.predict(values[judged]))
    assert problem.evaluate({}, 0) == pytest.approx(expected, abs=1e-12)
    best, _, report = tune_waste(matrix, metric="roc_auc")
    assert best["score"] >= best["default_score"] > 0.6
    assert report["summary"]["gain"] == pytest.approx(best["score"] - best["default_score"])


def test_shared_bins_are_not_changed_by_the_fits_of_other_threads(matrix):
    problem = pair_problem(matrix)
    leaves = [3, 15, 7, 4, 11, 5, 9, 13] * 2
    points = [{"classifier.num_leaves": count, "classifier.min_data_in_leaf": 2 * count} for count in leaves]
    alone = [problem.evaluate(point, 2) for point in points]
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(lambda point: problem.evaluate(point, 2), points)) == alone


def test_bins_know_the_fitted_rows_only():
    values = np.arange(200, dtype=np.float32).reshape(-1, 1)
    target = (np.arange(200) % 3 == 0).astype(float)
    params = {"max_bin": 15, "min_data_in_bin": 1, "verbosity": -1, "objective": "binary", "num_threads": 1}
    fitted, judged = np.arange(100), np.arange(100, 200)
    plain = bin_fold(values, target, fitted, None, judged, params)
    shifted = np.where(np.arange(200)[:, None] < 100, values, values * 1000).astype(np.float32)
    moved = bin_fold(shifted, target, fitted, None, judged, params)
    # All judged rows lie beyond the fitted ones, in the same last bin
    assert np.array_equal(fit_and_predict(plain, params, 5, 0), fit_and_predict(moved, params, 5, 0))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"space": {"classifier.max_bin": ["int", 15, 63]}}, "'food_waste.tuning.space.classifier.max_bin' cannot be"),
        ({"space": {"classifier.num_leafs": ["int", 3, 9]}}, "Did you mean 'classifier.num_leaves'"),
        ({"space": {"gap_days": ["int", 3, 9]}}, "only parameters under 'classifier' are tuned"),
        ({"fixed": {"classifier.rounds": 0}}, "'food_waste.tuning.fixed': Parameter 'classifier.rounds' of the model"),
    ],
)
def test_a_space_that_the_pair_cannot_have_is_refused(matrix, changes, message):
    with pytest.raises(UserError, match=message):
        tune_waste(matrix, **changes)


def test_a_single_class_cannot_be_tuned(matrix):
    with pytest.raises(UserError, match="none of the 3 folds"):
        tune_waste(matrix.assign(is_wasted=0.0))


def test_what_is_fixed_holds_during_the_search_and_is_not_among_the_best(matrix):
    best, trials, _ = tune_waste(matrix, fixed={"classifier.learning_rate": 0.3})
    assert set(best["parameters"]) == {"classifier.num_leaves"}
    assert best["fixed_during_search"] == {"classifier.learning_rate": 0.3}
    other = pair_problem(matrix, learning_rate=0.3)
    first = trials.iloc[0]
    assert first["fold_1"] == other.evaluate({}, 0) != pair_problem(matrix).evaluate({}, 0)


# --- pdf_memory ---


def pdf_recipe(train_pdf_memory, **changes):
    """Parameters of the small model that the project's tests train."""
    return BoundedRegressionModel.model_validate(train_pdf_memory()[0].metadata.parameters | changes)


def tune_pdf(pdf_features, model, **changes):
    settings = {"trials": 3, "space": {"recipes.physics_trees.num_leaves": ["int", 4, 31]}} | changes
    tuning = boosted_trees_search.BoostedTreesTuning.model_validate(settings)
    return boosted_trees_search.tune_bounded_regression(
        pdf_features.train, pdf_features.specification, model, tuning, 3, TransientStudies()
    )


def test_folds_of_a_recipe_give_the_errors_of_training(pdf_features, train_pdf_memory):
    best, trials, report = tune_pdf(pdf_features, pdf_recipe(train_pdf_memory))
    first = trials.iloc[0]
    account = train_pdf_memory()[1]
    scores, costs = np.array(report["default"]["folds"]), np.array(report["fold_costs"])
    judged = len(pdf_features.train) - costs
    assert np.average(scores, weights=judged) == pytest.approx(account["out_of_fold_mape_pct"], rel=1e-12)
    assert first["value"] == pytest.approx(scores.mean())
    assert best["default_score"] == first["value"]


def test_another_recipe_or_too_few_groups_are_refused(pdf_features, train_pdf_memory):
    model = pdf_recipe(train_pdf_memory)
    with pytest.raises(UserError, match=r"only recipes of the kind 'physics_trees' are tuned.*'original'"):
        space = {"recipes.original.max_depth": ["int", 2, 5]}
        tune_pdf(pdf_features, pdf_recipe(train_pdf_memory, recipe="original"), space=space)
    with pytest.raises(UserError, match=r"training groups .* too few for 500 folds; .*pdf_memory.tuning.folds"):
        tune_pdf(pdf_features, model, folds=500)
    with pytest.raises(UserError, match=r"only parameters under 'recipes.physics_trees' are tuned"):
        tune_pdf(pdf_features, model, space={"folds": ["int", 2, 5]})


# --- query_cost ---


def query_settings(query_rows):
    model, names = query_rows.small_model(), tuple(feature_names(QueryFeatures()))
    return RowSettings(names, query_rows.UNIT, model.positive_weight, model.new_template_share, model.new_table_share)


def test_folds_of_the_classifier_give_the_losses_of_training(query_rows):
    model, settings = query_rows.small_model(), query_settings(query_rows)
    matrix = query_rows.simulate_matrix()
    columns = [*FACTS, "terms", *settings.numbers]
    table = training_split(matrix, columns, ["date", "query_id"], None)
    problem = boosted_classifier_search.BoostedClassifierProblem(table, settings, model, "log_loss", 3)
    rows = CollectedRows(matrix, settings, 1)
    rows.fit_vocabulary(model.vocabulary)
    changed = {"classifier.max_depth": 3, "classifier.subsample": 0.6}
    trees = with_values(model, changed).classifier
    selections = fold_selections(rows.dates(), model)
    assert len(selections) == len(problem.fold_costs) == 3
    for number, (train, stop, judged) in enumerate(selections):
        fitted = {"classifier": rows.fit("classifier", trees, train, stop, 3)}
        past, future = rows.score(fitted, stop), rows.score(fitted, judged)
        names = ("classifier", "is_heavy", "weight")
        calibration = fit_calibration(*(past[name].to_numpy() for name in names), "platt")
        score, heavy, weight = (future[name].to_numpy() for name in names)
        expected = log_loss(calibration.probability(score), heavy, weight)
        assert problem.evaluate(changed, number) == pytest.approx(expected, rel=1e-6)


def test_shared_quantiles_are_not_changed_by_the_fits_of_other_threads(query_rows):
    settings = query_settings(query_rows)
    columns = [*FACTS, "terms", *settings.numbers]
    table = training_split(query_rows.simulate_matrix(), columns, ["date", "query_id"], None)
    problem = boosted_classifier_search.BoostedClassifierProblem(
        table, settings, query_rows.small_model(), "pr_auc", 3
    )  # fmt: skip
    points = [{"classifier.max_depth": depth} for depth in (2, 5, 3, 4)]
    alone = [problem.evaluate(point, 2) for point in points]
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(lambda point: problem.evaluate(point, 2), points)) == alone


def test_the_classifier_of_queries_is_tuned(query_rows):
    settings = query_settings(query_rows)
    tuning = boosted_classifier_search.BoostedClassifierTuning.model_validate(
        {"trials": 4, "folds": 3, "metric": "pr_auc", "space": {"classifier.max_depth": ["int", 2, 6]}}
    )
    reports = {"features": list(settings.numbers)}, {"thresholds": {"cpu_seconds": 2.0, "memory_gb": 0.5}}
    matrix = query_rows.simulate_matrix()
    best, trials, report = boosted_classifier_search.tune_query_cost(
        matrix, *reports, query_rows.small_model(), tuning, 3, TransientStudies()
    )
    assert best["score"] == trials.loc[trials["state"] == "complete", "value"].max()
    assert len(report["fold_costs"]) == 3
    few = matrix[matrix["date"] < "2026-01-04"]
    with pytest.raises(UserError, match="no block of days after another"):
        boosted_classifier_search.tune_query_cost(
            few, *reports, query_rows.small_model(), tuning, 3, TransientStudies()
        )
