"""The exported graph: the predictor's own numbers, at every threshold, for one row as for many."""

import lightgbm
import numpy as np
import onnxruntime
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from augury.pipelines.collection.pdf_synthetic import simulate_jobs
from augury.predictors.bounded_regression import Margins, Prior, Specification, point_prediction, tree_engine
from augury.predictors.bounded_regression_onnx import _floor32, export_onnx
from augury.predictors.monomials import Monomial
from augury.predictors.pdf_structure import STRUCTURE

TOLERANCE = 1e-6


def run(graph, specification, table):
    """Every output of the graph, columns by name."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1  # several add up trees in an order that depends on the number of rows
    session = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    inputs = {
        specification.category: table[[specification.category]].to_numpy(dtype=object),
        "numbers": table[list(specification.numbers)].to_numpy(dtype=np.float64),
    }
    names = [output.name for output in session.get_outputs()]
    return pd.DataFrame({name: value[:, 0] for name, value in zip(names, session.run(names, inputs), strict=True)})


@pytest.fixture(scope="module")
def rows():
    """Jobs that training never saw: whole, with holes, and with nothing but a size."""
    jobs = simulate_jobs(60, (50, 96, 150, 600), 99)
    random = np.random.default_rng(1)
    numbers = [name for name in STRUCTURE if name != "file_bytes"]
    holes = jobs.copy()
    holes[numbers] = jobs[numbers].mask(random.random((len(jobs), len(numbers))) < 0.3)
    unread = jobs.assign(**dict.fromkeys(numbers, np.nan) | {"parse_failed": 1.0})
    # A resolution that a job without rendering does not use, or none where it would
    odd = jobs.assign(dpi=np.where(jobs["operation"] == "render", np.nan, 300.0))
    huge = jobs.assign(**{name: jobs[name] * 1e6 for name in ("page_area_max", "stream_bytes_max", "file_bytes")})
    zero = jobs.assign(**dict.fromkeys(STRUCTURE, 0.0))
    return pd.concat([jobs, holes, unread, odd, huge, zero], ignore_index=True)


@pytest.fixture(params=["physics_trees", "original"])
def predictor(request, pdf_predictors):
    return pdf_predictors[request.param]


def test_the_graph_predicts_what_the_predictor_predicts(predictor, rows):
    expected = predictor.predict(rows)
    found = run(predictor.onnx, predictor.specification, rows)
    assert list(found) == list(expected)
    np.testing.assert_allclose(found, expected, rtol=TOLERANCE)


def test_the_graph_predicts_a_row_alone_as_among_others(predictor, rows):
    together = run(predictor.onnx, predictor.specification, rows)
    for row in range(0, len(rows), 97):
        alone = run(predictor.onnx, predictor.specification, rows.iloc[[row]])
        # To the last bit but one: the runtime's vectorised exp and its scalar one may round differently
        np.testing.assert_allclose(alone.to_numpy(), together.iloc[[row]].to_numpy(), rtol=1e-12)


def test_the_graph_needs_standard_operators_only(predictor):
    import onnx

    model = onnx.load_from_string(predictor.onnx)
    assert {item.domain: item.version for item in model.opset_import} == {"": 15, "ai.onnx.ml": 3}
    assert model.ir_version <= 8
    assert {node.domain for node in model.graph.node} <= {"", "ai.onnx.ml"}


FLOATS = st.floats(width=32, allow_nan=False, allow_infinity=False)


@given(st.floats(allow_nan=False, allow_infinity=False), FLOATS)
@pytest.mark.filterwarnings("ignore:overflow")
def test_a_rounded_threshold_keeps_every_decision(threshold, value):
    assert (value <= threshold) == (value <= _floor32(threshold))


@given(FLOATS, st.integers(-3, 3))
@pytest.mark.filterwarnings("ignore:overflow")
def test_decisions_at_the_threshold_itself(value, steps):
    threshold = float(value)
    for _ in range(abs(steps)):
        threshold = float(np.nextafter(threshold, np.inf * np.sign(steps)))
    rounded = _floor32(threshold)
    assert rounded == float(np.float32(rounded))
    for near in (value, float(np.nextafter(np.float32(value), np.float32(np.inf)))):
        if np.isfinite(near):
            assert (near <= threshold) == (near <= rounded)


def specification_of(names, missing_allowed=True):
    """Trees alone: no prior to speak of, no margins."""
    return Specification(
        category="kind", categories=("a", "b"), numbers=names, ignored=((), ()),
        derived=(Monomial(name="product", numerator=names[:2], denominator=names[2:3]),),
        features=(*names, "product", "kind_is_a", "kind_is_b"), target="log_ratio",
        missing=None if missing_allowed else -1.0, floor=1e-9, trees="lightgbm",
        prior=Prior(terms=("product",), base=(1.0, 2.0), coefficients=((0.0,), (0.5,))),
        margins=Margins(risks=(0.1,), edges=((1.5,), (1e300,)), log_margins=(((0.1, 0.2), (0.3, 0.4)),)),
    )  # fmt: skip


@pytest.mark.parametrize("holes", [0.0, 0.3], ids=["no holes in training", "holes in training"])
def test_lightgbm_trees_agree_on_their_own_thresholds_and_on_missing_values(holes):
    random = np.random.default_rng(2)
    names = ("u", "v", "w")
    specification = specification_of(names)
    matrix = random.normal(0, 2, (500, 6)).round(2).astype(np.float32).astype(float)
    matrix[random.random(matrix.shape) < holes] = np.nan
    target = np.nan_to_num(matrix[:, 0]) + np.isnan(matrix[:, 1]) * 2 + np.nan_to_num(matrix[:, 2] * matrix[:, 1])
    settings = {"verbosity": -1, "num_leaves": 15, "min_data_in_leaf": 3, "num_threads": 1}
    # Logarithms of ratios are small; float32 sums of larger numbers would differ by more
    booster = lightgbm.train(settings, lightgbm.Dataset(matrix, target / 10), 30)
    trees = booster.model_to_string()
    splits = booster.trees_to_dataframe().dropna(subset="threshold")
    # Beyond float32 stands for "every value, but not a missing one", and within 1e-35 for zero: neither is a value of a
    # job's
    thresholds = splits[splits["threshold"].abs().between(1e-30, 1e38)].groupby("split_feature")["threshold"].unique()
    probe = pd.DataFrame(
        {
            # Float32 values at and beside the thresholds of the trees, and nothing at all
            name: random.choice([*np.float32(thresholds[f"Column_{place}"]), np.nan, 0.0, -0.0, 1e30], 400)
            for place, name in enumerate(names)
        }
    ).assign(kind=random.choice(["a", "b"], 400))
    found = run(export_onnx(specification, trees), specification, probe)
    codes = (probe["kind"] == "b").to_numpy().astype(int)
    table = probe.assign(product=probe["u"] * probe["v"] / probe["w"].where(~(probe["w"] < 1), 1.0))
    expected = point_prediction(specification, tree_engine(trees), table, codes)
    np.testing.assert_allclose(found["predicted"], expected, rtol=TOLERANCE)
