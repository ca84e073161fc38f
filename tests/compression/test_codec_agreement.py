"""Two kinds of regressors are asked, and a codec other than the table's is chosen at leisure only where they agree."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from augury.errors import UserError
from augury.pipelines.model_training.codec_landmarks import CodecLandmarks, fit_codec_landmarks
from augury.predictors.codec_costs import LINK, costs_of, outcome_array
from augury.predictors.codec_gates import agreed_costs, gated_choice
from augury.predictors.codec_regressors import LandmarkRegressors, similarities
from augury.predictors.compression import complete

MANY, FEATURES = 60, 3
RNG = np.random.default_rng(3)
MATRIX = RNG.normal(size=(MANY, FEATURES)).astype(np.float32).astype(np.float64)
TARGETS = RNG.normal(size=(MANY, 2, 3))
SIZES = np.full(MANY, 4096.0)


def fitted(matrix=MATRIX, sizes=SIZES, **settings):
    return fit_codec_landmarks(matrix, TARGETS, sizes, CodecLandmarks.model_validate(settings), seed=1)


def test_with_every_block_as_a_landmark_it_is_ridge_regression_with_the_kernel_of_gaussian_processes():
    from sklearn.gaussian_process.kernels import Matern
    from sklearn.kernel_ridge import KernelRidge

    kernel = Matern(length_scale=0.7 * np.sqrt(FEATURES), nu=1.5)
    scaled = (MATRIX - MATRIX.mean(axis=0)) / MATRIX.std(axis=0)
    new = MATRIX[:10] + 0.3
    flat = TARGETS.reshape(MANY, -1)
    ridge = KernelRidge(alpha=0.01 * MANY, kernel="precomputed").fit(kernel(scaled), flat - flat.mean(axis=0))
    judged = (new - MATRIX.mean(axis=0)) / MATRIX.std(axis=0)
    expected = ridge.predict(kernel(judged, scaled)) + flat.mean(axis=0)
    found = fitted(width=0.7, penalty=0.01).targets(new).reshape(10, -1)
    np.testing.assert_allclose(found, expected, atol=1e-4)


def test_blocks_may_be_taken_in_any_parts(monkeypatch):
    whole = fitted(landmarks=20)
    expected = whole.targets(MATRIX)
    monkeypatch.setattr("augury.predictors.codec_regressors.ROWS_AT_ONCE", 7)
    monkeypatch.setattr("augury.pipelines.model_training.codec_landmarks.ROWS_AT_ONCE", 7)
    np.testing.assert_allclose(fitted(landmarks=20).targets(MATRIX), expected, rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(whole.targets(MATRIX), expected, rtol=1e-12)
    assert whole.targets(MATRIX[:0]).shape == (0, *expected.shape[1:])


def test_far_from_every_landmark_it_says_the_mean_by_bytes():
    sizes = RNG.uniform(1e3, 1e5, MANY)
    regressors = fitted(sizes=sizes, width=0.05)
    # Nothing is farther than eight deviations
    far = np.tile([[50.0, -50.0, 50.0]], (2, 1))
    expected = np.average(TARGETS, axis=0, weights=sizes)
    np.testing.assert_allclose(regressors.targets(far), np.stack([expected] * 2), atol=1e-6)


def test_large_blocks_are_followed_more_closely():
    sizes = SIZES.copy()
    sizes[0] *= 50
    plain, weighted = (
        np.abs(fitted(sizes=each, penalty=0.05).targets(MATRIX[:1]) - TARGETS[:1]).sum() for each in (SIZES, sizes)
    )
    assert weighted < plain


def test_missing_values_and_constant_columns_do_no_harm():
    matrix = np.column_stack([MATRIX, np.ones(MANY), np.full(MANY, np.nan)])
    matrix[::7, 0] = np.nan
    regressors = fitted(matrix)
    assert np.isfinite(regressors.targets(matrix)).all()
    filled = matrix.copy()
    filled[0, 0] = np.nanmean(matrix[:, 0]).astype(np.float32)
    np.testing.assert_allclose(regressors.targets(filled[:1]), regressors.targets(matrix[:1]), atol=1e-5)


def test_similarities_fall_with_the_distance():
    near = similarities(np.zeros((1, 2)), np.array([[0.0, 0.0], [0.3, 0.4], [3.0, 4.0]]))[0]
    expected = [(1 + np.sqrt(3) * distance) * np.exp(-np.sqrt(3) * distance) for distance in (0.0, 0.5, 5.0)]
    np.testing.assert_allclose(near, expected)


def test_landmarks_are_kept_in_a_file_and_damage_is_told(tmp_path, tables, trained):
    layout = trained.predictor.specification.layout
    second = trained.predictor.regressors[1]
    second.save(tmp_path)
    rows = layout.matrix(complete(tables.holdout.head(5), layout))
    assert np.array_equal(LandmarkRegressors.load(tmp_path, layout).targets(rows), second.targets(rows))
    (tmp_path / "landmarks.safetensors").write_bytes(b"no tensors")
    with pytest.raises(UserError, match="damaged"):
        LandmarkRegressors.load(tmp_path, layout)


# --- agreement ---


@given(st.integers(0, 10_000), st.integers(1, 3))
def test_an_agreed_choice_is_better_than_the_table_in_every_opinion(seed, regressors):
    rng = np.random.default_rng(seed)
    opinions = rng.uniform(1, 100, (regressors, 8, 4, 3))
    table = rng.integers(0, 4, 8)
    chosen = gated_choice(agreed_costs(opinions, table, 10.0, 1.0, 1.0), table, 0.1)
    rows = np.arange(8)
    for outcomes in opinions:
        costs = costs_of(outcomes, 10.0)
        assert ((chosen == table) | (costs[rows, chosen] < 0.9 * costs[rows, table] + 1e-9)).all()
    if regressors == 1:
        assert (chosen == gated_choice(costs_of(opinions[0], 10.0), table, 0.1)).all()


def test_one_that_disagrees_is_enough_for_the_table():
    sure, unsure = (np.zeros((1, 2, 3)) for _ in range(2))
    sure[0, :, 0], unsure[0, :, 0] = (1000, 500), (1000, 1001)
    table = np.zeros(1, dtype=np.intp)
    assert gated_choice(agreed_costs(np.stack([sure, sure]), table, 1.0, 1.0, 1.0), table, 0.0)[0] == 1
    assert gated_choice(agreed_costs(np.stack([sure, unsure]), table, 1.0, 1.0, 1.0), table, 0.0)[0] == 0


def test_choices_at_leisure_are_those_that_both_kinds_prefer(trained, tables):
    predictor = trained.predictor
    assert predictor.specification.kinds == ("trees", "landmarks")
    rows = complete(tables.holdout, predictor.specification.layout)
    answers = predictor.predict(tables.holdout)
    places = {name: place for place, name in enumerate(predictor.codecs)}
    chosen, table = (answers[name].map(places).to_numpy() for name in ("codec_at_leisure", "codec_table"))
    each = np.arange(len(rows))
    assert (chosen != table).any()
    for outcomes in predictor.opinions(rows):
        costs = costs_of(outcomes, rows[LINK].to_numpy())
        assert (costs[each, chosen] <= costs[each, table]).all()
    np.testing.assert_allclose(predictor.outcomes(rows), predictor.opinions(rows).mean(axis=0))


def test_a_second_opinion_can_be_left_out(train_choice, tables):
    alone = train_choice(landmarks=None, folds=2)[0]
    assert alone.specification.kinds == ("trees",) and alone.tolerance == 0
    assert len(alone.opinions(complete(tables.holdout.head(3), alone.specification.layout))) == 1


def test_both_learn_what_codecs_make_of_a_block(trained, tables):
    predictor = trained.predictor
    blocks = tables.holdout.drop_duplicates("block")
    actual = outcome_array(blocks, predictor.codecs)
    spread = ((actual[:, 1:, 0] - actual[:, 1:, 0].mean(axis=0)) ** 2).sum()
    for outcomes in predictor.opinions(complete(blocks, predictor.specification.layout)):
        assert ((outcomes[:, 1:, 0] - actual[:, 1:, 0]) ** 2).sum() < 0.1 * spread
