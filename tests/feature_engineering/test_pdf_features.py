"""Features of PDF jobs: equal on every engine to the last bit, and right by hand."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from augury.pipelines.feature_engineering.pdf_jobs import build_features
from augury.predictors.feature_specification import FeatureSpecification
from augury.predictors.monomials import Monomial, with_monomials
from augury.predictors.pdf_memory import DERIVED, NUMBERS, PRIOR_TERMS
from augury.predictors.pdf_structure import STRUCTURE


def prepared(rows=60, seed=0):
    """Rows of every magnitude, with holes in every column."""
    random = np.random.default_rng(seed)
    frame = pd.DataFrame({name: np.exp(random.uniform(-2, 25, rows)) for name in NUMBERS})
    frame = frame.mask(random.random(frame.shape) < 0.15)
    frame.insert(0, "job_id", [f"job-{number:03d}" for number in range(rows)])
    return frame.assign(
        file_id=[f"file-{number % 20}" for number in range(rows)],
        origin="simulated",
        outcome="ok",
        operation=random.choice(["render", "text"], rows),
        peak_mem_mb=random.uniform(10, 500, rows),
        is_holdout=[number % 20 < 5 for number in range(rows)],
    )


def only(**values):
    """One job whose other numbers are missing."""
    return prepared(1).assign(**dict.fromkeys(NUMBERS, np.nan) | {"is_holdout": False} | values)


def bits(frame):
    return {name: frame[name].to_numpy(dtype="float64").tobytes() for name in (*NUMBERS, *(d.name for d in DERIVED))}


def test_every_engine_gives_the_same_features_bit_for_bit(frame_engine):
    *expected, specification = build_features(prepared())
    *found, found_specification = build_features(frame_engine.make(prepared()))
    assert found_specification == specification
    for right, native in zip(expected, found, strict=True):
        table = frame_engine.collect(native, "job_id")
        assert list(table) == list(right)
        assert table["job_id"].tolist() == right["job_id"].tolist()
        assert bits(table) == bits(right)


def test_the_raster_of_an_a4_page_at_150_dpi():
    # 210 mm x 297 mm; 8.27 in x 11.69 in; 1240.2 x 1753.9 pixels; 4 bytes each
    width, height = 210 / 25.4, 297 / 25.4
    train, _, _ = build_features(only(page_area_max=width * 72 * height * 72, dpi=150.0))
    pixels = (width * 150) * (height * 150)
    assert train["raster_mb"].item() == pytest.approx(4 * pixels / 1024 / 1024, rel=1e-12)
    assert train["raster_mb"].item() == pytest.approx(8.298, abs=5e-4)


def test_amounts_are_in_mebibytes_and_ratios_have_no_unit():
    train, _, _ = build_features(
        only(file_bytes=3 * 2.0**20, pages=4.0, objects=0.0, image_pixels_max=2.0**18, jpx_pixels_max=2.0**19)
    )
    row = train.iloc[0]
    assert row["file_mb"] == 3
    assert row["image_rgba_mb"] == 1
    assert row["jpx_mb"] == 2
    assert row["bytes_per_page"] == 3 * 2.0**20 / 4
    # Divided by at least one: a file without objects is no reason for infinity
    assert row["bytes_per_object"] == 3 * 2.0**20
    assert np.isnan(row["raster_mb"])


def test_rows_go_to_their_side_unchanged():
    jobs = prepared()
    train, holdout, _ = build_features(jobs)
    assert set(train["file_id"]).isdisjoint(holdout["file_id"])
    together = pd.concat([train, holdout]).sort_values("job_id", ignore_index=True)
    pd.testing.assert_frame_equal(
        together[["job_id", *NUMBERS, "peak_mem_mb"]], jobs[["job_id", *NUMBERS, "peak_mem_mb"]]
    )
    assert "is_holdout" not in together


def test_the_specification_asks_for_what_the_table_has():
    jobs = prepared().assign(fonts=np.nan, dpi=np.nan)
    train, _, specification = build_features(jobs)
    features = FeatureSpecification.model_validate(specification)
    inputs = {column.name: column for column in features.inputs}
    assert [name for name, column in inputs.items() if not column.required] == ["dpi", "fonts"]
    assert inputs["operation"].allowed == ("render", "text")
    assert not inputs["file_bytes"].nullable
    assert set(features.prior_terms) <= {item.name for item in features.derived} <= set(train)
    assert set(features.numbers) == {"dpi", *STRUCTURE}


def test_prior_terms_only_grow_with_their_columns():
    derived = {item.name: item for item in DERIVED}
    assert all(not derived[name].denominator and derived[name].factor > 0 for name in PRIOR_TERMS)


NUMBER = st.none() | st.floats(0, 1e15)


@given(st.lists(st.tuples(NUMBER, NUMBER, NUMBER), min_size=1, max_size=8))
def test_a_monomial_is_what_its_name_says(rows):
    frame = pd.DataFrame(rows, columns=["a", "b", "c"], dtype="float64")
    monomial = Monomial(name="m", factor=0.3, numerator=("a", "b"), denominator=("c",))
    found = with_monomials(_wrap(frame), [monomial]).to_native()["m"]
    for (a, b, c), value in zip(rows, found, strict=True):
        if a is None or b is None or c is None:
            assert np.isnan(value)
        else:
            assert value == a * b * 0.3 / max(c, 1.0)


def _wrap(frame):
    import narwhals.stable.v2 as nw

    return nw.from_native(frame)
