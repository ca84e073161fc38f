"""Catalog entry for a table of records in whatever form a person has them: JSON, CSV, Parquet, ratings and others."""

import contextlib
import gzip
import io
import json
import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from copy import deepcopy
from pathlib import Path, PurePosixPath
from typing import Any

import fsspec
import numpy as np
import pandas as pd
from kedro.io.core import AbstractDataset, DatasetError, get_protocol_and_path

from augury.errors import UserError
from augury.object_stores import store_problem
from augury.predictors.labelled_text_columns import is_missing, is_number, split_codes

RATING_COLUMNS = ("user_id", "item_id", "implicit_rating", "timestamp")
"""Columns of a rating file of the paper on neural collaborative filtering: between tabs, without a header."""

_SEPARATORS = {".csv": ",", ".tsv": "\t", ".rating": "\t"}
_LINES = (".jsonl", ".ndjson")
FORMATS = (".json", *_LINES, ".csv", ".tsv", ".rating", ".parquet")


class RecordsDataset(AbstractDataset[pd.DataFrame, pd.DataFrame]):
    """Loads and saves a pandas frame in the form that the file's name says.

    - ``.json``: a list of objects, or an object with the list under ``key`` and anything else beside it, which is kept
      in ``frame.attrs["metadata"]`` and written again if ``metadata`` is all there is;
    - ``.jsonl``, ``.ndjson``: one object a line;
    - ``.csv``, ``.tsv``: with a header;
    - ``.rating``: user, item, rating, time, between tabs, without a header;
    - ``.parquet``.

    A further ``.gz`` is understood of all forms but Parquet. The columns named in ``strings``, and the items of those
    in ``lists``, are texts: "000" stays what it is. Where a file has numbers there, as JSON and Parquet can, nobody
    knows how many zeros they had, so the file is refused. In columns named in ``identifiers`` whole numbers become
    texts: they are names, in which nobody reads anything.

    Examples:
        .. code-block:: yaml

            taxonomy.samples:
              type: augury.datasets.records.RecordsDataset
              filepath: data/01_raw/taxonomy/samples.json
              key: samples
              strings: [text]
              identifiers: [sample_id]
              lists: [taxonomy_codes]
    """

    def __init__(
        self,
        *,
        filepath: str,
        key: str = "samples",
        strings: Sequence[str] = (),
        lists: Sequence[str] = (),
        identifiers: Sequence[str] = (),
        columns: Sequence[str] = (),
        optional: bool = False,
        credentials: dict[str, Any] | None = None,
        fs_args: dict[str, Any] | None = None,
        metadata: dict[str, Any] | None = None,
    ) -> None:
        """Create the entry.

        Args:
            filepath: File, or URL of one (``s3://bucket/...``).
            key: Where a JSON object has its records.
            strings: Columns that are text in every form.
            lists: Columns that hold lists of texts; in CSV between ``;`` or ``,``, or as JSON.
            identifiers: Columns that are text; whole numbers are taken for texts.
            columns: Columns of the empty frame that stands for a missing file.
            optional: Whether the file may be missing.
            credentials: Passed to the fsspec file system.
            fs_args: Passed to the fsspec file system.
            metadata: Free; used by kedro-viz for the layer.
        """
        self._url = filepath
        self._protocol, self._path = get_protocol_and_path(filepath)
        self._fs = fsspec.filesystem(self._protocol, **deepcopy(credentials or {}), **deepcopy(fs_args or {}))
        self._form, self._zipped = _form(filepath)
        self._key = key
        self._strings, self._lists, self._identifiers = tuple(strings), tuple(lists), tuple(identifiers)
        self._texts_of_file = frozenset([*self._strings, *self._lists, *self._identifiers])
        self._columns = tuple(columns) or tuple(dict.fromkeys([*self._identifiers, *self._strings, *self._lists]))
        self._optional = optional
        self.metadata = metadata

    def load(self) -> pd.DataFrame:
        """Read the file."""
        with _answered(self._url):
            self._fs.invalidate_cache()
            if not self._fs.exists(self._path):
                if self._optional:
                    return pd.DataFrame(columns=list(self._columns), dtype=object)
                raise UserError(
                    f"'{self._url}' is missing. Put the file there, or name another one ({', '.join(FORMATS)}) in "
                    "conf/local/catalog.yml."
                )
            content = self._fs.cat_file(self._path)
        if self._zipped:
            try:
                content = gzip.decompress(content)
            except (OSError, EOFError) as error:
                raise UserError(f"'{self._url}' is not a whole gzip file: {error}") from None
        return self._parse(content)

    def save(self, data: pd.DataFrame) -> None:
        """Write the file in one step: whoever reads it meanwhile gets the old one or the new one."""
        if not isinstance(data, pd.DataFrame):
            raise DatasetError(f"RecordsDataset saves a pandas frame, not {type(data).__name__}.")
        content = self._encode(data)
        if self._zipped:
            content = gzip.compress(content, mtime=0)
        with _answered(self._url):
            if self._protocol != "file":
                self._fs.pipe_file(self._path, content)
                self._fs.invalidate_cache()
                return
            target = Path(self._path)
            target.parent.mkdir(parents=True, exist_ok=True)
            handle, unfinished = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
            try:
                with os.fdopen(handle, "wb") as file:
                    file.write(content)
                Path(unfinished).chmod(0o644)
                os.replace(unfinished, target)
            except BaseException:
                Path(unfinished).unlink(missing_ok=True)
                raise

    # --- reading ---

    def _parse(self, content: bytes) -> pd.DataFrame:
        if self._form == ".parquet":
            frame = self._read_parquet(content)
        elif self._form in _SEPARATORS:
            frame = self._read_separated(content)
        else:
            frame = self._read_json(content)
        for name in self._strings:
            if name in frame:
                frame[name] = self._texts(frame[name])
        for name in self._identifiers:
            if name in frame:
                frame[name] = self._texts(_named(frame[name]))
        for name in self._lists:
            if name in frame:
                frame[name] = self._read_lists(frame[name])
        return frame

    def _read_parquet(self, content: bytes) -> pd.DataFrame:
        import pyarrow as pa

        try:
            return pd.read_parquet(io.BytesIO(content))
        except (pa.ArrowException, OSError) as error:
            raise UserError(f"'{self._url}' is not a Parquet file: {_first_line(error)}") from None

    def _read_separated(self, content: bytes) -> pd.DataFrame:
        layout: dict[str, Any] = {"sep": _SEPARATORS[self._form], "encoding": "utf-8-sig"}
        texts = set(self._texts_of_file)
        if self._form == ".rating":
            layout |= {"header": None, "names": list(RATING_COLUMNS), "index_col": False}
            texts |= {"user_id", "item_id"}
        try:
            # "NA", "null" and "None" are words in a column of texts; only an empty field is a missing one there
            frame = pd.read_csv(
                io.BytesIO(content),
                dtype=dict.fromkeys(texts, str),
                na_values={name: [""] for name in texts},
                keep_default_na=False,
                **layout,
            )
        except pd.errors.EmptyDataError:
            raise UserError(f"'{self._url}' is empty: it has not even a header.") from None
        except (pd.errors.ParserError, UnicodeDecodeError) as error:
            raise UserError(f"'{self._url}' cannot be read as {self._form[1:].upper()}: {_first_line(error)}") from None
        return _with_numbers(frame, texts)

    def _read_json(self, content: bytes) -> pd.DataFrame:
        try:
            text = content.decode("utf-8-sig")
            found = _read_lines(text) if self._form in _LINES else json.loads(text)
        except UnicodeDecodeError as error:
            raise UserError(f"'{self._url}' is not UTF-8: {error}") from None
        except ValueError as error:
            raise UserError(f"'{self._url}' is not JSON: {error}") from None
        beside: dict[str, Any] = {}
        if isinstance(found, Mapping):
            if self._key not in found:
                raise UserError(f"'{self._url}' has no key '{self._key}'. There are: {', '.join(map(str, found))}.")
            beside = dict(found.get("metadata") or {}) if isinstance(found.get("metadata"), Mapping) else {}
            found = found[self._key]
        if not isinstance(found, list):
            raise UserError(f"'{self._url}' must hold a list of records, not a {type(found).__name__}.")
        wrong = [place for place, record in enumerate(found, start=1) if not isinstance(record, Mapping)]
        if wrong:
            raise UserError(
                f"'{self._url}': {len(wrong)} record(s) are no objects, for example record {wrong[0]}: "
                f"{found[wrong[0] - 1]!r}"
            )
        names = list(dict.fromkeys(name for record in found for name in record))
        cells = {name: pd.Series([record.get(name) for record in found], dtype=object) for name in names}
        frame = pd.DataFrame(cells, columns=names or list(self._columns))
        plain = [name for name in names if name not in self._texts_of_file]
        frame = frame.assign(**{name: frame[name].infer_objects() for name in plain})
        if beside:
            frame.attrs["metadata"] = beside
        return frame

    def _texts(self, values: pd.Series) -> pd.Series:
        if pd.api.types.infer_dtype(values, skipna=True) in ("string", "empty"):
            return _or_none(values)
        self._refuse_numbers(values.name, [(place, cell) for place, cell in enumerate(values) if _numeric(cell)])
        cells = [None if is_missing(cell) else str(cell) for cell in values]
        return pd.Series(cells, index=values.index, dtype=object, name=values.name)

    def _read_lists(self, values: pd.Series) -> pd.Series:
        lists: list[Any] = []
        numeric = []
        for place, cell in enumerate(values):
            if isinstance(cell, str):
                items = split_codes(cell)
            elif isinstance(cell, list | tuple | np.ndarray):
                items = list(cell)
            elif is_missing(cell):
                items = []
            else:
                items = [cell]
            if any(_numeric(item) for item in items):
                numeric.append((place, cell))
            texts = [str(item).strip() for item in items if not is_missing(item)]
            lists.append([text for text in texts if text])
        self._refuse_numbers(values.name, numeric)
        return pd.Series(lists, index=values.index, dtype=object, name=values.name)

    def _refuse_numbers(self, column: Any, numeric: Sequence[tuple[int, Any]]) -> None:
        if numeric:
            place, cell = numeric[0]
            raise UserError(
                f"'{self._url}': column '{column}' must be text, but it holds numbers, which have lost their leading "
                f"zeros ('004' became 4): {len(numeric)} record(s), for example record {place + 1} (counted from 1): "
                f"{_plain(cell)!r}. Write them in quotation marks, or as text."
            )

    # --- writing ---

    def _encode(self, data: pd.DataFrame) -> bytes:
        texts = [name for name in self._strings if name in data]
        for name in texts:
            self._refuse_numbers(name, [(place, cell) for place, cell in enumerate(data[name]) if _numeric(cell)])
        lists = [name for name in self._lists if name in data]
        data = data.assign(**{name: self._read_lists(data[name]) for name in lists})
        if self._form == ".parquet":
            return _to_parquet(data)
        if self._form in _SEPARATORS:
            return self._to_separated(data, lists)
        records = _records(data)
        if self._form in _LINES:
            return "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records).encode()
        beside = data.attrs.get("metadata")
        content = {"metadata": beside, self._key: records} if beside else {self._key: records}
        return (json.dumps(content, ensure_ascii=False, indent=1) + "\n").encode()

    def _to_separated(self, data: pd.DataFrame, lists: Sequence[str]) -> bytes:
        if self._form == ".rating":
            if missing := [name for name in RATING_COLUMNS if name not in data]:
                raise DatasetError(f"'{self._url}': a rating file needs the column {', '.join(missing)}.")
            data = data[list(RATING_COLUMNS)]
        written = {name: data[name].map(_joined) for name in lists if name in data}
        text = data.assign(**written).to_csv(
            index=False, sep=_SEPARATORS[self._form], header=self._form != ".rating", lineterminator="\n"
        )
        return text.encode()

    def _exists(self) -> bool:
        with _answered(self._url):
            self._fs.invalidate_cache()
            return bool(self._fs.exists(self._path))

    def _release(self) -> None:
        self._fs.invalidate_cache()

    def _describe(self) -> dict[str, Any]:
        return {"filepath": self._url, "protocol": self._protocol, "form": self._form, "optional": self._optional}


def _form(filepath: str) -> tuple[str, bool]:
    """What the end of a name says, and whether it is compressed."""
    suffixes = [suffix.lower() for suffix in PurePosixPath(filepath).suffixes]
    zipped = suffixes[-1:] == [".gz"]
    form = suffixes[-2 if zipped else -1] if len(suffixes) > int(zipped) else ""
    if form not in FORMATS or (zipped and form == ".parquet"):
        raise DatasetError(
            f"'{filepath}': the end of the name must say what is in the file: {', '.join(FORMATS)}, all but the last "
            "also with a further .gz."
        )
    return form, zipped


def _read_lines(text: str) -> list[Any]:
    records = []
    # Not splitlines(): a text may hold other characters that it takes for the end of a line
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            try:
                records.append(json.loads(line))
            except ValueError as error:
                raise ValueError(f"line {number}: {error}") from None
    return records


def _with_numbers(frame: pd.DataFrame, texts: set[str]) -> pd.DataFrame:
    """The other columns as numbers where they are nothing else; an empty field is a missing one."""
    found = {}
    for name in frame.columns:
        if name in texts:
            found[name] = _or_none(frame[name])
        elif frame[name].dtype == object:
            filled = _or_none(frame[name].replace("", None))
            numbers = pd.to_numeric(filled, errors="coerce")
            found[name] = filled if numbers.isna().ne(filled.isna()).any() else numbers
    return frame.assign(**found)


def _or_none(values: pd.Series) -> pd.Series:
    """Any values as objects, with None where one is missing."""
    cells = values.to_numpy(dtype=object, copy=True)
    cells[values.isna().to_numpy()] = None
    return pd.Series(cells, index=values.index, dtype=object, name=values.name)


def _named(values: pd.Series) -> pd.Series:
    """Names with whole numbers as texts, those that pandas made floats because another one is missing among them."""
    if pd.api.types.infer_dtype(values, skipna=True) in ("string", "empty"):
        return values
    whole = [_numeric(cell) and not isinstance(cell, bool | np.bool_) and cell == int(cell) for cell in values]
    cells = [str(int(cell)) if number else cell for cell, number in zip(values, whole, strict=True)]
    return pd.Series(cells, index=values.index, dtype=object, name=values.name)


def _numeric(cell: Any) -> bool:
    return is_number(cell) and not is_missing(cell)


def _records(data: pd.DataFrame) -> list[dict[str, Any]]:
    columns = {str(name): [_plain(cell) for cell in data[name].tolist()] for name in data.columns}
    return [dict(zip(columns, cells, strict=True)) for cells in zip(*columns.values(), strict=True)]


def _plain(cell: Any) -> Any:
    """A cell as JSON can say it."""
    if isinstance(cell, list | tuple | np.ndarray):
        return [_plain(item) for item in cell]
    if is_missing(cell):
        return None
    if isinstance(cell, np.generic):
        return cell.item()
    return cell.isoformat() if hasattr(cell, "isoformat") else cell


def _joined(items: Sequence[str]) -> str:
    plain = all(";" not in item and "," not in item and not item.startswith("[") for item in items)
    return ";".join(items) if plain else json.dumps(list(items), ensure_ascii=False)


def _to_parquet(data: pd.DataFrame) -> bytes:
    buffer = io.BytesIO()
    data.to_parquet(buffer, index=False, compression="zstd")
    return buffer.getvalue()


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]


@contextlib.contextmanager
def _answered(url: str) -> Iterator[None]:
    """Turn what a store says about credentials and buckets into one line."""
    try:
        yield
    except Exception as error:
        problem = store_problem(error)
        if problem is None:
            raise
    else:
        return
    raise UserError(f"'{url}': {problem}")
