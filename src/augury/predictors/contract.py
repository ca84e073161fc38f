"""The contract that every trained predictor keeps: typed metadata, `predict`, `save`, `load`."""

import errno
import hashlib
import importlib
import json
import os
import shutil
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

import narwhals.stable.v2 as nw
import numpy as np
import pandas as pd
from narwhals.stable.v2.typing import IntoDataFrame
from pydantic import BaseModel, ConfigDict, Field

from augury.errors import InputError, UserError
from augury.parameters import near_matches

METADATA_FILE = "metadata.json"
EXAMPLE_FILE = "input_example.json"
CHECKSUMS_FILE = "SHA256SUMS"
"""Digests of all other files, for ``sha256sum -c SHA256SUMS`` too: some engines crash the process on half a file."""

NEIGHBOURS = ("best_params.yml",)
"""Files that live in a predictor's directory without being part of the predictor: saving one keeps them."""

_FLOAT_LIMIT = 2**1023  # JSON has integers that no float64 can hold
_TEXT_OR_NOTHING = {str, type(None)}

REGISTRY: dict[str, str] = {
    "bounded_regression": "augury.predictors.bounded_regression:BoundedRegression",
    "heavy_query": "augury.predictors.query_cost:QueryCostPredictor",
    "waste_pair": "augury.predictors.food_waste:WastePredictor",
    "text_classifier": "augury.predictors.taxonomy:TextClassifier",
    "top_k_recommender": "augury.predictors.recommendation:Recommender",
    "codec_choice": "augury.predictors.compression:CodecChooser",
    "near_duplicate_index": "augury.predictors.deduplication:NearDuplicateIndex",
    "access_predictor": "augury.predictors.prefetch:Prefetcher",
    "peer_selector": "augury.predictors.peer_selection:PeerSelector",
    "gossip_tuner": "augury.predictors.gossip_tuning:GossipTuner",
}
"""Family -> class. Metadata names a family, never a class: loading a model must not import what a file says."""


class ColumnSpec(BaseModel):
    """One column of a predictor's input or output."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    dtype: Literal["integer", "number", "string", "boolean"]
    description: str = ""
    unit: str | None = None
    required: bool = Field(default=True, description="false: a frame without the column counts as all missing")
    nullable: bool = Field(default=False, description="true: missing values (null, NaN) are allowed")
    allowed: tuple[str, ...] | None = Field(default=None, description="the only values of a string column")
    minimum: float | None = Field(default=None, description="smallest allowed value of a number")


class DataFacts(BaseModel):
    """Which rows a predictor was trained on."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    fingerprint: str = Field(description="SHA-256 of the training rows")
    rows: int
    groups: int = Field(description="independent units among the rows, for example files")
    origin: dict[str, int] = Field(description="rows that were measured, replayed, simulated")


class Metadata(BaseModel):
    """Everything that a file of weights does not say about itself."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    predictor: str = Field(description="namespace, for example pdf_memory")
    family: str = Field(description="key of REGISTRY")
    task: str
    inputs: tuple[ColumnSpec, ...]
    outputs: tuple[ColumnSpec, ...]
    features: tuple[str, ...]
    parameters: dict[str, Any]
    data: DataFacts
    versions: dict[str, str]
    seed: int
    git_commit: str | None
    created_at: str
    format: int = Field(default=1, description="version of the directory's layout")


class Predictor(ABC):
    """A trained model with everything needed to apply it; knows neither Kedro nor MLflow.

    Subclasses implement :meth:`_predict` (on a validated pandas frame), :meth:`_save` and :meth:`_load`.
    """

    family: ClassVar[str]
    tolerance: ClassVar[float] = 0.0
    """By how much a number may depend on the other rows of a frame: matrix products of neural networks round otherwise
    for another number of rows. Texts and truth values never depend on them."""

    def __init__(self, metadata: Metadata, example: list[dict[str, Any]] | None = None) -> None:
        """Keep the metadata.

        Args:
            metadata: Typed metadata.
            example: A few rows of input that show how to ask, missing values as None.
        """
        self.metadata = metadata
        self.example = example or []

    def predict(self, frame: IntoDataFrame) -> Any:
        """Predict every row of a frame.

        Args:
            frame: pandas, Polars or PyArrow frame with the columns of ``metadata.inputs``, in any order; further
                columns are ignored.

        Returns:
            A frame of the same kind with the columns of ``metadata.outputs``, one row per input row in the same order
            (a pandas index is kept). An empty frame yields an empty frame.

        Raises:
            InputError: A required column is missing or of the wrong type; infinity; a missing value in a column that is
                not nullable; a value below the minimum or not among the allowed ones.
        """
        if isinstance(frame, pd.DataFrame):
            return self._predict_table(frame)
        native = nw.from_native(frame, eager_only=True)
        result = self._predict_table(native.to_pandas())
        arrays = {column.name: result[column.name].to_numpy() for column in self.metadata.outputs}
        return nw.from_dict(arrays, backend=native.implementation).to_native()

    def _predict_table(self, frame: pd.DataFrame) -> pd.DataFrame:
        table = validate_input(frame, self.metadata)
        if len(table):
            return self._predict(table)[[column.name for column in self.metadata.outputs]]
        kinds = {"integer": "int64", "number": "float64", "boolean": "bool", "string": "object"}
        columns = {column.name: pd.Series(dtype=kinds[column.dtype]) for column in self.metadata.outputs}
        return pd.DataFrame(columns, index=table.index)

    def save(self, directory: Path) -> None:
        """Write the predictor into a directory, replacing what an earlier save left there in one step.

        Args:
            directory: Target; its parent is created. A process killed during the save leaves the old predictor or the
                new one (see :func:`recover`).
        """
        directory = Path(directory)
        directory.parent.mkdir(parents=True, exist_ok=True)
        staging = Path(tempfile.mkdtemp(prefix=f".{directory.name}.new-", dir=directory.parent))
        try:
            self._save(staging)
            (staging / METADATA_FILE).write_text(self.metadata.model_dump_json(indent=2) + "\n", encoding="utf-8")
            if self.example:
                (staging / EXAMPLE_FILE).write_text(json.dumps(self.example, indent=1) + "\n", encoding="utf-8")
            lines = [f"{_digest(path)}  {path.relative_to(staging).as_posix()}\n" for path in _files(staging)]
            (staging / CHECKSUMS_FILE).write_text("".join(lines), encoding="utf-8")
            staging.chmod(0o755)
            replace_directory(staging, directory)
        finally:
            shutil.rmtree(staging, ignore_errors=True)

    @classmethod
    def load(cls, directory: Path, predictor: str | None = None) -> Self:
        """Read a predictor that :meth:`save` wrote; executes no code from the directory.

        Args:
            directory: What was given to :meth:`save`.
            predictor: Whose it should be; where there is none, the error says how to train that one.

        Returns:
            A predictor whose predictions equal the saved one's bit for bit.

        Raises:
            UserError: The directory holds no complete and undamaged predictor, or one of another family.
        """
        directory = recover(Path(directory))
        metadata = read_metadata(directory, predictor)
        _check_files(directory)
        if metadata.family != cls.family:
            raise UserError(f"'{directory}' holds a predictor of family '{metadata.family}', not '{cls.family}'.")
        try:
            loaded = cls._load(directory, metadata)
        except FileNotFoundError as error:
            raise UserError(f"'{directory}' holds no complete predictor: {error.filename} is missing.") from None
        example = directory / EXAMPLE_FILE
        if example.exists():
            loaded.example = json.loads(example.read_text(encoding="utf-8"))
        return loaded

    @abstractmethod
    def _predict(self, table: pd.DataFrame) -> pd.DataFrame:
        """Predict a validated, non-empty frame."""

    @abstractmethod
    def _save(self, directory: Path) -> None:
        """Write the model's files, without metadata.json."""

    @classmethod
    @abstractmethod
    def _load(cls, directory: Path, metadata: Metadata) -> Self:
        """Read the model's files."""


def load_predictor(directory: Path | str, predictor: str | None = None) -> Predictor:
    """Load a predictor of any family.

    Args:
        directory: A directory that :meth:`Predictor.save` wrote.
        predictor: See :meth:`Predictor.load`.

    Returns:
        The predictor.

    Raises:
        UserError: There is no complete predictor, or its family is unknown to this version.
    """
    directory = recover(Path(directory))
    metadata = read_metadata(directory, predictor)
    if metadata.family not in REGISTRY:
        raise UserError(
            f"'{directory}' holds a predictor of the unknown family '{metadata.family}'. "
            f"{near_matches(metadata.family, REGISTRY)}"
        )
    module, _, name = REGISTRY[metadata.family].partition(":")
    predictor_class: type[Predictor] = getattr(importlib.import_module(module), name)
    return predictor_class.load(directory)


def read_metadata(directory: Path, predictor: str | None = None) -> Metadata:
    """Read a predictor's metadata without its model.

    Args:
        directory: What was given to :meth:`Predictor.save`.
        predictor: See :meth:`Predictor.load`.

    Raises:
        UserError: The file is missing or broken.
    """
    path = Path(directory) / METADATA_FILE
    try:
        return Metadata.model_validate_json(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        raise untrained(directory, METADATA_FILE, predictor) from None
    except ValueError as error:  # of JSON, of UTF-8, of pydantic
        raise UserError(f"'{path}' is not the metadata of a predictor: {error}") from None


def untrained(directory: Path | str, missing: str, predictor: str | None) -> UserError:
    """What to tell where there is no predictor yet.

    Args:
        directory: Where it should be.
        missing: The file that every predictor has.
        predictor: Whose it should be, as far as it is known.
    """
    return UserError(
        f"'{directory}' holds no trained predictor ({missing} is missing). "
        f"Train one first: kedro run --pipelines=training --namespaces={predictor or '<predictor>'}"
    )


def _files(directory: Path) -> list[Path]:
    return sorted(path for path in directory.rglob("*") if path.is_file())


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _check_files(directory: Path) -> None:
    """Refuse a directory one of whose files is missing or is not as it was saved."""
    sums = directory / CHECKSUMS_FILE
    if not sums.exists():  # a directory that was put together by hand
        return
    for line in sums.read_text(encoding="utf-8", errors="replace").splitlines():
        digest, _, name = line.partition("  ")
        path = directory / name
        if not name or not path.is_file():
            raise UserError(f"'{directory}' holds no complete predictor: {name or CHECKSUMS_FILE} is missing.")
        if _digest(path) != digest:
            raise UserError(f"'{path}' is damaged, {CHECKSUMS_FILE} says. Copy it or train the predictor again.")


def replace_directory(staging: Path, target: Path) -> None:
    """Put a finished directory in the place of another.

    POSIX can rename a directory over an empty one only, so the old one steps aside first. Between the two renames the
    target is missing for a moment; :func:`recover` then finds the old one under its other name.

    Neighbours of the old one are carried over, see :data:`NEIGHBOURS`.

    Args:
        staging: The finished directory, on the same file system.
        target: Where it belongs.
    """
    aside = target.with_name(f".{target.name}.old")
    with sole_writer(target):
        current = recover(target)
        for name in NEIGHBOURS:
            if (current / name).is_file() and not (staging / name).exists():
                shutil.copy2(current / name, staging / name)
        if target.exists():
            shutil.rmtree(aside, ignore_errors=True)
            os.replace(target, aside)
        os.replace(staging, target)
        shutil.rmtree(aside, ignore_errors=True)


@contextmanager
def sole_writer(directory: Path) -> Iterator[None]:
    """Wait until no other process replaces a predictor's directory or changes a neighbour in it.

    Args:
        directory: A predictor's directory; its parent exists. The parent is what is locked: the directory itself is
            renamed, and a file beside it would be left behind.
    """
    import fcntl  # POSIX only, unlike loading a predictor

    handle = os.open(directory.parent, os.O_RDONLY)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
        except OSError as error:
            # Some network file systems lock no directories: as safe as without
            if error.errno not in (errno.ENOLCK, errno.EOPNOTSUPP, errno.EBADF):
                raise
        yield
    finally:
        os.close(handle)


def recover(directory: Path) -> Path:
    """Find the last complete state of a directory, in case a process died in :func:`replace_directory`."""
    aside = directory.with_name(f".{directory.name}.old")
    return aside if not directory.exists() and aside.exists() else directory


def validate_input(frame: pd.DataFrame, metadata: Metadata) -> pd.DataFrame:
    """Check a frame against a predictor's input schema and bring it into its form.

    Args:
        frame: Any pandas frame.
        metadata: The predictor's metadata.

    Returns:
        A new frame with exactly the schema's columns in order: object (str or None) for strings, else float64.

    Raises:
        InputError: See :meth:`Predictor.predict`.
    """
    if frame.columns.duplicated().any():
        names = sorted(set(frame.columns[frame.columns.duplicated()]))
        raise InputError(f"{metadata.predictor}: the column {names[0]!r} appears more than once.")
    missing = [column.name for column in metadata.inputs if column.required and column.name not in frame.columns]
    if missing:
        hints = " ".join(
            f"'{name}'" + (f" ({near_matches(name, close)})" if (close := _close(name, frame.columns)) else "")
            for name in missing
        )
        raise InputError(f"{metadata.predictor}: required column missing: {hints}.")
    columns = {}
    for column in metadata.inputs:
        if column.name not in frame.columns:
            empty: Any = None if column.dtype == "string" else np.nan
            columns[column.name] = pd.Series(
                [empty] * len(frame), index=frame.index, dtype="object" if empty is None else float
            )
        else:
            columns[column.name] = _check_column(frame[column.name], column, metadata.predictor)
    return pd.DataFrame(columns, index=frame.index)


def validate_row(row: Mapping[str, Any], metadata: Metadata) -> dict[str, Any]:
    """Check a single row as :func:`validate_input` checks a frame of that row, but without the price of a frame.

    Args:
        row: Values by column; further columns are ignored.
        metadata: The predictor's metadata.

    Returns:
        Exactly the schema's columns in order: str or None for strings, else float (NaN where missing).

    Raises:
        InputError: See :meth:`Predictor.predict`.
    """
    checked: dict[str, Any] = {}
    for column in metadata.inputs:
        value = row.get(column.name)
        plain = value is None or type(value) is str
        if not plain or column.dtype != "string" or column.allowed is not None or (value is None and column.required):
            # Not a plain text: the frame knows all the rules, and how to say which one is broken
            frame = validate_input(pd.DataFrame({name: pd.Series([row[name]]) for name in row}), metadata)
            return {str(name): values.iloc[0] for name, values in frame.items()}
        checked[column.name] = value
    return checked


def _close(name: str, columns: pd.Index) -> list[str]:
    import difflib

    return difflib.get_close_matches(name, [str(column) for column in columns], n=2, cutoff=0.7)


def _check_column(values: pd.Series, column: ColumnSpec, predictor: str) -> pd.Series:
    checked = (
        _check_strings(values, column, predictor)
        if column.dtype == "string"
        else _check_numbers(values, column, predictor)
    )
    if not column.nullable:
        _refuse(checked, checked.isna(), column, predictor, "must not be missing")
    return checked


def _check_strings(values: pd.Series, column: ColumnSpec, predictor: str) -> pd.Series:
    if values.dtype == "object" and column.allowed is None and set(map(type, values.tolist())) <= _TEXT_OR_NOTHING:
        return values  # a dozen operations less where nothing is to be done, which is what counts for a single row
    present = values.notna()
    nothing: Any = None
    text = values.astype("object").where(present, nothing)
    wrong = ~text.map(lambda value: value is None or isinstance(value, str)).astype(bool)
    _refuse(values, present & wrong, column, predictor, "must be text")
    if column.allowed is not None:
        rule = f"must be one of {', '.join(column.allowed)}"
        _refuse(values, present & ~text.isin(column.allowed), column, predictor, rule)
    return text


def _check_numbers(values: pd.Series, column: ColumnSpec, predictor: str) -> pd.Series:
    rule = {
        "integer": "must be a whole number",
        "number": "must be a number",
        "boolean": "must be true or false",
    }[column.dtype]
    if pd.api.types.is_numeric_dtype(values.dtype):  # bool included
        numbers = (
            values.astype("float64")
            if not values.hasnans
            else pd.Series(values.to_numpy("float64", na_value=np.nan), index=values.index)
        )
    elif pd.api.types.is_object_dtype(values.dtype):
        # None among numbers makes a column of objects; a text that looks like a number is still a text
        wrong = ~values.map(_is_number_or_missing)
        _refuse(values, wrong.astype(bool), column, predictor, rule)
        numbers = pd.to_numeric(values, errors="coerce").astype("float64")
    else:
        _refuse(values, pd.Series(True, index=values.index), column, predictor, rule)
        numbers = pd.Series(np.nan, index=values.index)
    _refuse(values, np.isinf(numbers), column, predictor, "must be finite")
    if column.dtype == "integer":
        _refuse(values, numbers.notna() & (numbers != numbers.round()), column, predictor, rule)
    if column.dtype == "boolean":
        _refuse(values, numbers.notna() & ~numbers.isin((0.0, 1.0)), column, predictor, rule)
    if column.minimum is not None:
        _refuse(
            values,
            numbers < column.minimum,
            column,
            predictor,
            f"must be at least {column.minimum:g}",
        )
    return numbers


def _is_number_or_missing(value: Any) -> bool:
    if isinstance(value, int):
        return abs(value) < _FLOAT_LIMIT
    return value is None or value is pd.NA or isinstance(value, (float, np.number, np.bool_))


def _refuse(values: pd.Series, wrong: Any, column: ColumnSpec, predictor: str, rule: str) -> None:
    mask = np.asarray(wrong, dtype=bool)
    if mask.any():
        at = int(mask.argmax())
        value = values.iloc[at]
        example = repr(value.item() if isinstance(value, np.generic) else value)
        raise InputError(
            f"{predictor}: column '{column.name}' {rule}: {int(mask.sum())} of {len(mask)} rows break this, "
            f"for example {example:.80} in row {at}."
        )
