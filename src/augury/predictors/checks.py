"""The contract test of every predictor, after scikit-learn's ``check_estimator``: one small check per promise."""

import contextlib
import importlib.util
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import narwhals.stable.v2 as nw
import numpy as np
import pandas as pd

from augury.errors import InputError, UserError
from augury.predictors.contract import CHECKSUMS_FILE, METADATA_FILE, REGISTRY, Metadata, Predictor, load_predictor
from augury.predictors.executed_code import code_files, executed_code

Check = Callable[[Predictor, pd.DataFrame, Path], None]

OUTPUT_DTYPES = {"integer": "int64", "number": "float64", "boolean": "bool", "string": "object"}
SINGLE_ROWS = 12


def check_predictor(predictor: Predictor, frame: pd.DataFrame, directory: Path) -> None:
    """Check that a predictor keeps the whole contract.

    Args:
        predictor: A trained predictor whose family is in :data:`~augury.predictors.contract.REGISTRY`.
        frame: At least three rows that fit ``predictor.metadata.inputs``; a few dozen are plenty.
        directory: An empty folder to write in.

    Raises:
        AssertionError: A promise is broken; the message names it.
    """
    for check in CHECKS:
        check(predictor, frame, Path(directory) / check.__name__)


def check_metadata(predictor: Predictor, frame: pd.DataFrame, directory: Path) -> None:
    """Metadata name a registered family, no column twice, and survive JSON."""
    metadata = predictor.metadata
    _require(metadata.family in REGISTRY, f"the family '{metadata.family}' is not in REGISTRY")
    for role, columns in (("input", metadata.inputs), ("output", metadata.outputs)):
        names = [column.name for column in columns]
        _require(len(names) > 0, f"the metadata name no {role} column")
        _require(len(names) == len(set(names)), f"the metadata name an {role} column twice: {names}")
    again = Metadata.model_validate_json(metadata.model_dump_json())
    _require(again == metadata, "the metadata change on their way through JSON")


def check_output(predictor: Predictor, frame: pd.DataFrame, directory: Path) -> None:
    """Predictions have the declared columns and types, a row per input row, and no missing or infinite value."""
    _check_output(_predict(predictor, frame), predictor, len(frame))


def check_example(predictor: Predictor, frame: pd.DataFrame, directory: Path) -> None:
    """The input example that travels with the predictor can be predicted."""
    if predictor.example:
        found = _predict(predictor, pd.DataFrame(predictor.example))
        _check_output(found, predictor, len(predictor.example))


def check_index(predictor: Predictor, frame: pd.DataFrame, directory: Path) -> None:
    """A pandas index is kept, whatever its labels, and changes no value."""
    expected = _predict(predictor, frame)
    for index in (
        frame.index,
        pd.Index([f"row {number}" for number in range(len(frame))], name="label"),
        pd.Index([7] * len(frame)),
    ):
        found = _predict(predictor, frame.set_axis(index))
        _require(found.index.equals(index), f"the predictions do not keep the index {index[:3].tolist()} ...")
        _same(expected.set_axis(index), found, f"with the index {index[:3].tolist()} ...")


def check_no_memory(predictor: Predictor, frame: pd.DataFrame, directory: Path) -> None:
    """Predictions depend on the argument alone, which stays as it was."""
    original = frame.copy(deep=True)
    first = _predict(predictor, frame)
    expected = first.copy(deep=True)
    _require(frame.equals(original) and list(frame) == list(original), "predict changed the frame it was given")
    for name in first:
        first[name] = first[name].iloc[0]  # the caller owns the result
    _same(expected, _predict(predictor, frame), "the second time")
    _predict(predictor, frame.iloc[::-1].head(len(frame) // 2))
    with contextlib.suppress(InputError):
        predictor.predict(frame.assign(**{column.name: np.inf for column in predictor.metadata.inputs}))
    _same(expected, _predict(predictor, frame), "after predictions of other frames")


def check_row_order(predictor: Predictor, frame: pd.DataFrame, directory: Path) -> None:
    """A row's prediction does not depend on its place."""
    expected = _predict(predictor, frame)
    for order in (np.arange(len(frame))[::-1], np.random.default_rng(0).permutation(len(frame))):
        found = _predict(predictor, frame.iloc[order])
        _same(expected.iloc[order], found, "in another row order", predictor.tolerance)


def check_single_rows(predictor: Predictor, frame: pd.DataFrame, directory: Path) -> None:
    """A single row gets the prediction that it gets within a batch, bit for bit or within the predictor's tolerance."""
    expected = _predict(predictor, frame)
    for row in np.unique(np.linspace(0, len(frame) - 1, SINGLE_ROWS).astype(int)):
        found = _predict(predictor, frame.iloc[[row]])
        _same(expected.iloc[[row]], found, f"as a single row (row {row})", predictor.tolerance)


def check_columns(predictor: Predictor, frame: pd.DataFrame, directory: Path) -> None:
    """Neither the order of the columns nor further columns matter; a repeated column is refused."""
    expected = _predict(predictor, frame)
    _same(expected, _predict(predictor, frame[list(frame)[::-1]]), "with the columns in another order")
    outputs = [column.name for column in predictor.metadata.outputs]
    further = {name: "further" for name in ["a further column", *outputs] if name not in frame}
    _same(expected, _predict(predictor, frame.assign(**further)), "with further columns")
    name = next(column.name for column in predictor.metadata.inputs if column.name in frame)
    _refuses(predictor, pd.concat([frame, frame[[name]]], axis=1), name, "a repeated column")


def check_missing_columns(predictor: Predictor, frame: pd.DataFrame, directory: Path) -> None:
    """A missing required column is refused by its name; any other counts as all missing."""
    for column in predictor.metadata.inputs:
        without = frame.drop(columns=column.name, errors="ignore")
        if column.required:
            _refuses(predictor, without, column.name, "a frame without it")
        else:
            expected = _predict(predictor, _with(frame, column.name, None))
            _same(expected, _predict(predictor, without), f"without the optional column '{column.name}'")


def check_types(predictor: Predictor, frame: pd.DataFrame, directory: Path) -> None:
    """Text in a column of numbers and a number in a column of text are refused, in one row or in all."""
    wrong: dict[str, tuple[Any, ...]] = {
        "string": (7, 7.5, True),
        "number": ("a lot", "12.5", pd.Timestamp("2026-01-01")),
        "integer": ("a lot", "12", 1.5),
        "boolean": ("true", 2, 0.5),
    }
    for column in predictor.metadata.inputs:
        for value in wrong[column.dtype]:
            for row in (None, len(frame) // 2):
                where = "all rows" if row is None else "a row"
                _refuses(predictor, _with(frame, column.name, value, row), column.name, f"{value!r} in {where}")


def check_missing_values(predictor: Predictor, frame: pd.DataFrame, directory: Path) -> None:
    """A missing value is allowed in a nullable column and touches no other row; elsewhere it is refused."""
    row = len(frame) // 2
    others = np.arange(len(frame)) != row
    expected = _predict(predictor, frame)
    for column in predictor.metadata.inputs:
        changed = _with(frame, column.name, None if column.dtype == "string" else np.nan, row)
        if column.nullable:
            found = _predict(predictor, changed)
            _check_output(found, predictor, len(frame))
            beside = f"beside a row without '{column.name}'"
            _same(expected[others], found[others], beside, predictor.tolerance)
        else:
            _refuses(predictor, changed, column.name, "a missing value in a column that is not nullable")
    nothing = frame
    for column in predictor.metadata.inputs:
        nothing = _with(nothing, column.name, None) if column.nullable else nothing
    _check_output(_predict(predictor, nothing), predictor, len(frame))


def check_infinity(predictor: Predictor, frame: pd.DataFrame, directory: Path) -> None:
    """Infinity is refused."""
    for column in predictor.metadata.inputs:
        for value in (np.inf, -np.inf) if column.dtype != "string" else ():
            _refuses(predictor, _with(frame, column.name, value, len(frame) // 2), column.name, f"{value}")


def check_ranges(predictor: Predictor, frame: pd.DataFrame, directory: Path) -> None:
    """The minimum and every allowed value are taken; what lies outside is refused."""
    row = len(frame) // 2
    lowest = frame
    for column in predictor.metadata.inputs:
        for value in column.allowed or ():
            _check_output(_predict(predictor, _with(frame, column.name, value, row)), predictor, len(frame))
        if column.allowed is not None:
            strange = "".join(column.allowed) + "?"
            _refuses(predictor, _with(frame, column.name, strange, row), column.name, f"the value {strange!r}")
        if column.minimum is not None:
            below = column.minimum - 1
            _refuses(predictor, _with(frame, column.name, below, row), column.name, f"{below:g}, below the minimum")
            lowest = _with(lowest, column.name, column.minimum, row)
    _check_output(_predict(predictor, lowest), predictor, len(frame))


def check_empty_frame(predictor: Predictor, frame: pd.DataFrame, directory: Path) -> None:
    """A frame without rows yields a frame without rows, with all columns in their types."""
    columns = [column.name for column in predictor.metadata.inputs]
    for empty in (frame.iloc[:0], pd.DataFrame(columns=columns), pd.DataFrame(columns=columns, dtype="float64")):
        _check_output(_predict(predictor, empty), predictor, 0)


def check_nullable_dtypes(predictor: Predictor, frame: pd.DataFrame, directory: Path) -> None:
    """The types of pandas with missing values (Int64, Float64, boolean, string) change nothing."""
    _same(_predict(predictor, frame), _predict(predictor, frame.convert_dtypes()), "with pandas' nullable types")


def check_other_frames(predictor: Predictor, frame: pd.DataFrame, directory: Path) -> None:
    """PyArrow and Polars frames get the same values, in a frame of their own kind."""
    known = [column.name for column in predictor.metadata.inputs if column.name in frame]
    expected = _predict(predictor, frame).reset_index(drop=True)
    for library in ("pyarrow", "polars"):
        if importlib.util.find_spec(library) is None:
            continue
        for rows in (len(frame), 0):
            native = _native(frame[known].head(rows), library)
            found = _predict(predictor, native)
            _require(type(found) is type(native), f"a {library} frame in, a {type(found).__name__} out")
            values = nw.from_native(found, eager_only=True).to_pandas()
            _require(list(values) == list(expected), f"a {library} frame in, the columns {list(values)} out")
            _require(len(values) == rows, f"a {library} frame of {rows} rows in, {len(values)} rows out")
            if rows:
                _same(expected, values, f"from a {library} frame")


def check_round_trip(predictor: Predictor, frame: pd.DataFrame, directory: Path) -> None:
    """A saved and loaded predictor has the same metadata and predicts the same, bit for bit; so does its own copy."""
    expected = _predict(predictor, frame)
    original = predictor
    for generation in (1, 2):
        place = directory / "not yet there" / f"generation {generation}"
        predictor.save(place)
        for predictor in (type(original).load(place), load_predictor(place)):
            _require(type(predictor) is type(original), f"saved {type(original)}, loaded {type(predictor)}")
            for name in ("metadata", "example"):
                kept = getattr(predictor, name) == getattr(original, name)
                _require(kept, f"the {name} changes on its way through the directory")
            _same(expected, _predict(predictor, frame), f"after {generation} round trip(s)")


def check_second_save(predictor: Predictor, frame: pd.DataFrame, directory: Path) -> None:
    """A save replaces an earlier one altogether and leaves nothing beside it."""
    place = directory / "place"
    predictor.save(place)
    before = _contents(place)
    (place / "left behind").write_text("by an earlier version")
    predictor.save(place)
    _require(set(_contents(place)) == set(before), f"after a second save: {sorted(_contents(place))}")
    beside = sorted(path.name for path in directory.iterdir())
    _require(beside == ["place"], f"a save leaves something beside its directory: {beside}")
    _same(_predict(predictor, frame), _predict(load_predictor(place), frame), "after a second save")


def check_absent_directory(predictor: Predictor, frame: pd.DataFrame, directory: Path) -> None:
    """What is no predictor's directory is refused with a UserError."""
    (directory / "empty").mkdir(parents=True)
    (directory / "file").write_text("not a directory")
    predictor.save(directory / "only metadata")
    for name in _contents(directory / "only metadata"):
        if name != METADATA_FILE:
            (directory / "only metadata" / name).unlink()
    for name in ("absent", "empty", "file", "only metadata"):
        _load_refuses(predictor, directory / name, f"what is {name}")


def check_damaged_directory(predictor: Predictor, frame: pd.DataFrame, directory: Path) -> None:
    """Without one of its files, or with half of it, a directory is refused; or the file was not needed at all."""
    expected = _predict(predictor, frame)
    predictor.save(directory / "whole")
    for name, content in _contents(directory / "whole").items():
        for damage, rest in (("without", b""), ("with half of", content[: len(content) // 2])):
            place = directory / "damaged"
            shutil.copytree(directory / "whole", place)
            (place / name).unlink()
            if rest:
                (place / name).write_bytes(rest)
            if _error_of(load_predictor, place, UserError) is None:
                _same(expected, _predict(load_predictor(place), frame), f"{damage} '{name}'")
            shutil.rmtree(place)


def check_files_hold_no_code(predictor: Predictor, frame: pd.DataFrame, directory: Path) -> None:
    """No file is a pickle, a script, compiled code or an array of Python objects."""
    predictor.save(directory)
    found = code_files(directory)
    _require(not found, f"files that are loaded by executing them: {found}")


def check_loading_executes_nothing(predictor: Predictor, frame: pd.DataFrame, directory: Path) -> None:
    """Loading and predicting unpickle nothing, start no process and execute nothing that a file holds."""
    predictor.save(directory)
    load_predictor(directory).predict(frame)  # libraries may do what they like while they are imported
    found = executed_code(lambda: load_predictor(directory).predict(frame), directory)
    _require(not found, f"loading executes code: {found}")


def check_family_is_no_path(predictor: Predictor, frame: pd.DataFrame, directory: Path) -> None:
    """A family that names a module is refused without looking at that module."""
    predictor.save(directory)
    (directory / CHECKSUMS_FILE).unlink()  # which would refuse the changed metadata first
    metadata = json.loads((directory / METADATA_FILE).read_text(encoding="utf-8"))
    for family in ("os:system", "os.system", f"{type(predictor).__module__}:{type(predictor).__name__}"):
        (directory / METADATA_FILE).write_text(json.dumps(metadata | {"family": family}), encoding="utf-8")
        _load_refuses(predictor, directory, f"metadata of the family '{family}'")


CHECKS: tuple[Check, ...] = (
    check_metadata, check_output, check_example, check_index, check_no_memory, check_row_order, check_single_rows,
    check_columns, check_missing_columns, check_types, check_missing_values, check_infinity, check_ranges,
    check_empty_frame, check_nullable_dtypes, check_other_frames, check_round_trip, check_second_save,
    check_absent_directory, check_damaged_directory, check_files_hold_no_code, check_loading_executes_nothing,
    check_family_is_no_path,
)  # fmt: skip
"""Every check takes (predictor, frame, directory) and can be run alone."""


def _require(condition: Any, message: str) -> None:
    # Not `assert`: these checks must also hold under python -O
    if not condition:
        raise AssertionError(message)


def _predict(predictor: Predictor, frame: Any) -> Any:
    try:
        return predictor.predict(frame)
    except Exception as error:
        raise AssertionError(f"predict refuses a {type(frame).__name__} of {len(frame)} rows: {error!r}") from error


def _check_output(found: pd.DataFrame, predictor: Predictor, rows: int) -> None:
    outputs = predictor.metadata.outputs
    names = [column.name for column in outputs]
    _require(list(found.columns) == names, f"the predictions have the columns {list(found.columns)}, not {names}")
    _require(len(found) == rows, f"{rows} rows in, {len(found)} rows out")
    for column in outputs:
        values = found[column.name]
        dtype = OUTPUT_DTYPES[column.dtype]
        _require(str(values.dtype) == dtype, f"the output '{column.name}' is of type {values.dtype}, not {dtype}")
        _require(column.nullable or values.notna().all(), f"the output '{column.name}' has missing values")
        if dtype == "float64":
            _require(not np.isinf(values).any(), f"the output '{column.name}' is infinite")
        if column.minimum is not None:
            _require(not (values < column.minimum).any(), f"the output '{column.name}' is below its minimum")
        if column.allowed is not None:
            _require(values.dropna().isin(column.allowed).all(), f"the output '{column.name}' has a value not allowed")


def _same(expected: pd.DataFrame, found: pd.DataFrame, when: str, tolerance: float = 0.0) -> None:
    """Compare two frames bit for bit, or numbers up to a tolerance."""
    _require(list(found.columns) == list(expected.columns), f"{when}: the columns are {list(found.columns)}")
    _require(found.index.equals(expected.index), f"{when}: the rows' labels differ")
    for name in expected:
        left, right = expected[name].to_numpy(), found[name].to_numpy()
        _require(left.dtype == right.dtype, f"{when}: '{name}' is of type {right.dtype}, not {left.dtype}")
        if tolerance and left.dtype.kind == "f":
            equal = np.isclose(left, right, rtol=0, atol=tolerance, equal_nan=True)
        else:
            equal = left == right if left.dtype == object else left.view(np.uint8) == right.view(np.uint8)
        _require(bool(np.all(equal)), f"{when}: '{name}' is {right[:5]}, not {left[:5]} (first rows)")


def _with(frame: pd.DataFrame, name: str, value: Any, row: int | None = None) -> pd.DataFrame:
    """The frame with another value in a column: in one row, or in all."""
    values = list(frame[name]) if name in frame else [None] * len(frame)
    for position in range(len(values)) if row is None else (row,):
        values[position] = value
    return frame.assign(**{name: pd.Series(values, index=frame.index)})


def _refuses(predictor: Predictor, frame: pd.DataFrame, column: str, what: str) -> None:
    error = _error_of(predictor.predict, frame, InputError)
    _require(error is not None, f"column '{column}': {what} is not refused")
    _require(f"'{column}'" in str(error), f"column '{column}': {what} is refused without naming it: {error}")


def _load_refuses(predictor: Predictor, directory: Path, what: str) -> None:
    for load in (load_predictor, type(predictor).load):
        _require(_error_of(load, directory, UserError) is not None, f"loading {what} raises no UserError")


def _error_of(action: Callable[[Any], Any], argument: Any, expected: type[Exception]) -> Exception | None:
    try:
        action(argument)
    except expected as error:
        return error
    except Exception as error:
        raise AssertionError(f"{type(error).__name__} instead of {expected.__name__}: {error}") from error
    return None


def _contents(directory: Path) -> dict[str, bytes]:
    files = (path for path in directory.rglob("*") if path.is_file())
    return {path.relative_to(directory).as_posix(): path.read_bytes() for path in files}


def _native(frame: pd.DataFrame, library: str) -> Any:
    import pyarrow

    table = pyarrow.Table.from_pandas(frame, preserve_index=False)
    return table if library == "pyarrow" else importlib.import_module(library).from_arrow(table)
