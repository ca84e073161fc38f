"""Every trained predictor keeps the whole contract; what the contract says to a user's mistake."""

import json
import shutil
import subprocess
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from augury.errors import InputError, UserError
from augury.predictors import ColumnSpec, load_predictor, read_metadata
from augury.predictors.bounded_regression import BoundedRegression
from augury.predictors.checks import CHECKS
from augury.predictors.contract import CHECKSUMS_FILE, METADATA_FILE, validate_input

ROWS = 30


@pytest.fixture(params=["physics_trees", "original", "query_cost", "food_waste"])
def predictor(request: pytest.FixtureRequest) -> Any:
    if request.param == "query_cost":
        return request.getfixturevalue("trained_query_cost").predictor
    if request.param == "food_waste":
        return request.getfixturevalue("trained_waste").predictor
    return request.getfixturevalue("pdf_predictors")[request.param]


@pytest.fixture
def frame(predictor: Any, request: pytest.FixtureRequest) -> pd.DataFrame:
    if predictor.metadata.predictor == "query_cost":
        table = request.getfixturevalue("trained_query_cost").requests
    elif predictor.metadata.predictor == "food_waste":
        purchases = request.getfixturevalue("waste_tables").purchases
        table = purchases.tail(ROWS).assign(purchased_at=purchases["purchased_at"].dt.strftime("%Y-%m-%dT%H:%M:%S"))
        table.loc[table.index[:5], "household_id"] = "somebody new"
    else:
        table = request.getfixturevalue("pdf_features").holdout
    # Fewer rows than the whole holdout: some checks predict once per column
    return table[[column.name for column in predictor.metadata.inputs]].head(ROWS)


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__.removeprefix("check_"))
def test_a_trained_predictor_keeps_the_contract(check, predictor, frame, tmp_path):
    check(predictor, frame, tmp_path / "check")


# --- what is said to a user ---


@pytest.fixture
def physics(pdf_predictors: dict[str, BoundedRegression]) -> BoundedRegression:
    return pdf_predictors["physics_trees"]


@pytest.fixture
def jobs(physics: Any, pdf_features: SimpleNamespace) -> pd.DataFrame:
    return pdf_features.holdout[[column.name for column in physics.metadata.inputs]].head(10)


def message_of(error, action, *arguments):
    with pytest.raises(error) as caught:
        action(*arguments)
    return str(caught.value)


def test_a_refusal_names_predictor_column_rule_count_and_example(physics, jobs):
    values = jobs["file_bytes"].to_list()
    values[3:5] = [-1.0, -2.0]
    message = message_of(InputError, physics.predict, jobs.assign(file_bytes=values))
    assert message == (
        "pdf_memory: column 'file_bytes' must be at least 0: 2 of 10 rows break this, for example -1.0 in row 3."
    )


def test_a_missing_column_comes_with_its_near_match(physics, jobs):
    message = message_of(InputError, physics.predict, jobs.rename(columns={"file_bytes": "filebytes"}))
    assert "required column missing: 'file_bytes' (Did you mean 'filebytes'?)" in message


def test_an_unknown_operation_is_refused_with_those_that_there_are(physics, jobs):
    message = message_of(InputError, physics.predict, jobs.assign(operation="print"))
    assert "column 'operation' must be one of render, rewrite, text" in message


def schema(**changes):
    column = ColumnSpec(name="x", **({"dtype": "number", "nullable": True} | changes))
    return SimpleNamespace(inputs=(column,), predictor="toy")


@pytest.mark.parametrize(
    ("dtype", "value"),
    [
        ("number", "1.5"),
        ("number", b"1.5"),
        pytest.param("number", 10**400, id="number-huge"),
        ("number", [1.0]),
        ("number", pd.Timestamp("2026-01-01")),
        ("integer", 0.5),
        ("boolean", 2),
        ("boolean", "true"),
        ("string", b"text"),
        ("string", True),
    ],
)
@pytest.mark.parametrize("company", [[], [None]], ids=["alone", "beside a missing one"])
def test_a_value_of_another_type_is_an_input_error(dtype, value, company):
    frame = pd.DataFrame({"x": pd.Series([value, *company], dtype="object")})
    assert "'x'" in message_of(InputError, validate_input, frame, schema(dtype=dtype))


def test_times_and_categories_of_numbers_are_no_numbers():
    for values in (pd.to_datetime(["2026-01-01"]), pd.Categorical([1.5]), pd.to_timedelta(["1s"])):
        assert "must be a number" in message_of(InputError, validate_input, pd.DataFrame({"x": values}), schema())


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([1, 2], [1.0, 2.0]),
        (pd.array([1, None], dtype="Int64"), [1.0, np.nan]),
        (pd.array([1.5, None], dtype="float64[pyarrow]"), [1.5, np.nan]),
        (pd.Series([None, True, np.float32(0.5), pd.NA], dtype="object"), [np.nan, 1.0, 0.5, np.nan]),
        (np.array([3, 4], dtype="uint8"), [3.0, 4.0]),
        ([True, False], [1.0, 0.0]),
        ([2**70, None], [2.0**70, np.nan]),
    ],
)
def test_numbers_of_any_kind_become_float64(values, expected):
    found = validate_input(pd.DataFrame({"x": values}), schema())["x"]
    assert found.dtype == "float64"
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("dtype", ["object", "string", "category", "string[pyarrow]"])
def test_text_of_any_kind_becomes_str_or_none(dtype):
    frame = pd.DataFrame({"x": pd.Series(["a", None, "ü"], dtype=dtype)})
    assert validate_input(frame, schema(dtype="string"))["x"].tolist() == ["a", None, "ü"]


# --- directories ---


def test_the_checksums_are_those_of_sha256sum(physics, tmp_path):
    physics.save(tmp_path / "model")
    subprocess.run(["sha256sum", "--check", "--strict", "--quiet", CHECKSUMS_FILE], cwd=tmp_path / "model", check=True)


def test_a_save_that_fails_leaves_the_old_predictor_and_no_litter(physics, jobs, tmp_path, monkeypatch):
    physics.save(tmp_path / "model")
    with monkeypatch.context() as patch:
        patch.setattr(BoundedRegression, "_save", lambda self, directory: (directory / "half").write_text("") and 1 / 0)
        patch.setattr("augury.predictors.contract.replace_directory", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            physics.save(tmp_path / "model")
    assert [path.name for path in tmp_path.iterdir()] == ["model"]
    pd.testing.assert_frame_equal(load_predictor(tmp_path / "model").predict(jobs), physics.predict(jobs))


def test_a_predictor_whose_replacement_was_interrupted_is_found(physics, jobs, tmp_path):
    physics.save(tmp_path / "model")
    (tmp_path / "model").rename(tmp_path / ".model.old")  # killed between the two renames
    pd.testing.assert_frame_equal(load_predictor(tmp_path / "model").predict(jobs), physics.predict(jobs))
    physics.save(tmp_path / "model")
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_a_truncated_model_is_refused_before_its_engine_sees_it(physics, tmp_path):
    physics.save(tmp_path / "model")
    model = tmp_path / "model" / "model.txt"
    model.write_bytes(model.read_bytes()[:-2000])
    assert "model.txt' is damaged" in message_of(UserError, load_predictor, tmp_path / "model")


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff\xfe\x00", b'{"family": "bounded_regression"}'])
def test_broken_metadata_are_a_user_error(content, tmp_path):
    (tmp_path / METADATA_FILE).write_bytes(content)
    assert "is not the metadata of a predictor" in message_of(UserError, load_predictor, tmp_path)


@pytest.mark.parametrize("content", ["", "{", "[]", "{}"])
def test_a_broken_specification_is_a_user_error(physics, content, tmp_path):
    physics.save(tmp_path / "model")
    (tmp_path / "model" / CHECKSUMS_FILE).unlink()
    (tmp_path / "model" / "specification.json").write_text(content)
    assert "specification.json' is damaged" in message_of(UserError, load_predictor, tmp_path / "model")


def test_an_unknown_family_comes_with_its_near_match(physics, tmp_path):
    physics.save(tmp_path)
    metadata = json.loads((tmp_path / METADATA_FILE).read_text())
    (tmp_path / METADATA_FILE).write_text(json.dumps(metadata | {"family": "bounded_regresion"}))
    assert "Did you mean 'bounded_regression'?" in message_of(UserError, load_predictor, tmp_path)


def test_metadata_can_be_read_without_the_model(physics, tmp_path):
    physics.save(tmp_path / "model")
    shutil.copy(tmp_path / "model" / METADATA_FILE, tmp_path)
    assert read_metadata(tmp_path) == physics.metadata


@pytest.mark.parametrize(("predictor", "named"), [("query_cost", "query_cost"), (None, "<predictor>")])
def test_a_folder_without_a_model_tells_how_to_train_the_one_that_was_asked_for(predictor, named, tmp_path):
    with pytest.raises(UserError, match=rf"--namespaces={named}$"):
        load_predictor(tmp_path / "06_models" / "pdf_memory", predictor)
