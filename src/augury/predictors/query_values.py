"""Cells of query logs as numbers, times and texts, however they are written.

Every reader takes a pandas column of any type and returns its values and a mask of the cells that it could not read.
Missing cells (None, NaN, NaT, blank texts) stay missing and are no failures.
"""

import hashlib
import json
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from typing import Any

import numpy as np
import pandas as pd

GIB = float(2**30)

FIRST_EPOCH = 1e8
"""Smaller numbers are no times (in seconds it would be before 1973), but durations or row numbers."""

_DURATION = re.compile(r"([0-9.]+(?:e[+-]?\d+)?)\s*(ns|us|µs|ms|s|m|h|d)?", re.IGNORECASE)
_ISO_DURATION = re.compile(r"P(?:([0-9.]+)D)?(?:T(?:([0-9.]+)H)?(?:([0-9.]+)M)?(?:([0-9.]+)S)?)?", re.IGNORECASE)
_SECONDS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
# Division keeps 1.5 ms the same number as 0.0015 s; multiplication by 0.001 would not
_PER_SECOND = {"ns": 1e9, "us": 1e6, "µs": 1e6, "ms": 1e3}
_SIZE = re.compile(r"([0-9.]+(?:e[+-]?\d+)?)\s*(B|kB|MB|GB|TB|PB)?", re.IGNORECASE)
_BYTES = {"b": 1.0, "kb": 2.0**10, "mb": 2.0**20, "gb": 2.0**30, "tb": 2.0**40, "pb": 2.0**50}
_OFFSET = r"(?:Z|[+-]\d{2}(?::?\d{2})?)$"
_REGION = re.compile(r"(.*\d)\s+([A-Za-z][A-Za-z0-9_+\-/]*)")
_FINISHED = frozenset({"FINISHED", "SUCCESS", "SUCCEEDED", "OK", "COMPLETED", "DONE", "TRUE", "1"})
_FAILED = frozenset({"FAILED", "FAILURE", "ERROR", "FALSE", "0"})


def read_durations(values: pd.Series, unit: str | None) -> tuple[np.ndarray, np.ndarray]:
    """Durations in seconds.

    Args:
        values: Numbers, timedeltas, or texts such as ``1.23s``, ``2.5m``, ``PT1.5S``, ``0.7``.
        unit: ``seconds`` or ``milliseconds``, of plain numbers; None refuses them.

    Returns:
        Float64 seconds and the mask of failures.
    """
    if values.dtype.kind == "m":
        return values.dt.total_seconds().to_numpy(dtype=np.float64), np.zeros(len(values), dtype=bool)
    millis = unit == "milliseconds"

    def plain(number: float) -> float | None:
        return None if unit is None else number / 1000.0 if millis else number

    def text(value: str) -> float | None:
        found = _DURATION.fullmatch(value)
        if found:
            number = _float(found[1])
            if number is None or not found[2]:
                return None if number is None else plain(number)
            symbol = found[2].lower()
            return number / _PER_SECOND[symbol] if symbol in _PER_SECOND else number * _SECONDS[symbol]
        iso = _ISO_DURATION.fullmatch(value)
        if iso and any(iso.groups()):
            parts = [_float(part) if part else 0.0 for part in iso.groups()]
            if None not in parts:
                return sum(part * size for part, size in zip(parts, (86400.0, 3600.0, 60.0, 1.0), strict=True) if part)
        return None

    return _numbers(values, plain, text)


def read_sizes(values: pd.Series, unit: str | None) -> tuple[np.ndarray, np.ndarray]:
    """Sizes of memory in GiB; Trino's ``GB`` is 2**30 bytes.

    Args:
        values: Numbers or texts such as ``1.5GB``.
        unit: ``B``, ``MB`` or ``GB``, of plain numbers.

    Returns:
        Float64 GiB and the mask of failures.
    """
    factor = _BYTES[(unit or "B").lower()] / GIB

    def text(value: str) -> float | None:
        found = _SIZE.fullmatch(value)
        number = _float(found[1]) if found else None
        if found is None or number is None:
            return None
        return number * (_BYTES[found[2].lower()] / GIB if found[2] else factor)

    return _numbers(values, lambda number: number * factor, text)


def read_counts(values: pd.Series, unit: str | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Plain numbers.

    Args:
        values: Numbers or texts.
        unit: Not used.

    Returns:
        Float64 numbers and the mask of failures.
    """
    return _numbers(values, lambda number: number, _float)


def read_times(values: pd.Series, zone: str) -> tuple[np.ndarray, np.ndarray]:
    """Points in time, in UTC and without a zone.

    Args:
        values: Times with or without a zone, ISO texts, texts with a zone's name (as Trino prints them), or seconds,
            milliseconds, microseconds or nanoseconds since 1970, told apart by their size.
        zone: Zone of what has none.

    Returns:
        ``datetime64[us]`` and the mask of failures.
    """
    if values.dtype.kind == "M":
        if isinstance(values.dtype, pd.DatetimeTZDtype):
            utc = values.dt.tz_convert("UTC").dt.tz_localize(None)
        else:
            utc = _localised(values, zone)
        return utc.astype("datetime64[us]").to_numpy(), np.zeros(len(values), dtype=bool)
    if values.dtype.kind in "iuf":
        return _epochs(values.astype("float64").to_numpy(), values.notna().to_numpy())
    texts = read_texts(values)
    given = np.array([text is not None for text in texts], dtype=bool)
    distinct = list(dict.fromkeys(text for text in texts if text is not None))
    known = dict(zip(distinct, _parsed_times(pd.Series(distinct, dtype=object), zone), strict=True))
    unknown = np.datetime64("NaT", "us")
    found = np.array([unknown if text is None else known[text] for text in texts], dtype="datetime64[us]")
    return found, given & np.isnat(found)


def read_texts(values: pd.Series) -> list[str | None]:
    """Texts; None where missing or blank.

    Args:
        values: Anything; lists are joined by commas, mappings become JSON.

    Returns:
        One text per cell.
    """
    # Most cells are texts already, or the whole column is empty
    if values.isna().all():
        return [None] * len(values)
    return [
        value if type(value) is str and value and not value.isspace() else _text(value) for value in values.tolist()
    ]


def read_states(values: pd.Series) -> list[str | None]:
    """Trino's query states, from a text or from a column that says whether all went well.

    Args:
        values: Texts or booleans.

    Returns:
        ``FINISHED``, ``FAILED``, or another state of Trino in upper case.
    """

    def state(text: str | None) -> str | None:
        if text is None:
            return None
        upper = text.strip().upper()
        return "FINISHED" if upper in _FINISHED else "FAILED" if upper in _FAILED else upper

    texts = read_texts(values)
    known = {text: state(text) for text in dict.fromkeys(texts)}
    return [known[text] for text in texts]


def read_lists(values: pd.Series, separator: str) -> list[str | None]:
    """Lists, or JSON texts of lists, as one text each.

    Args:
        values: Lists or texts.
        separator: Put between the items.

    Returns:
        One text per cell; a text that is no JSON list stays as it is.
    """

    def joined(value: Any) -> str | None:
        if value is None:
            return None
        if isinstance(value, str) and value.lstrip().startswith("["):
            try:
                value = json.loads(value)
            except ValueError:
                return value
        if isinstance(value, list | tuple | np.ndarray):
            items = [text for text in map(_text, value) if text is not None]
            return separator.join(items) or None
        return _text(value)

    return [joined(value) for value in values.tolist()]


def read_json(values: pd.Series) -> list[str | None]:
    """Structures as JSON; texts stay as they are.

    Args:
        values: Texts, lists or mappings.

    Returns:
        One JSON text per cell.
    """

    def encoded(value: Any) -> str | None:
        if type(value) is str:
            return value or None
        if isinstance(value, list | tuple | np.ndarray | Mapping) and len(value):
            return json.dumps(plain(value), ensure_ascii=False, separators=(",", ":"), sort_keys=True)
        return None if isinstance(value, list | tuple | np.ndarray | Mapping) else _text(value)

    return [encoded(value) for value in values.tolist()]


def plain(value: Any) -> Any:
    """A nested value of any engine as dictionaries, lists and scalars.

    Args:
        value: Anything; Spark's rows become dictionaries, its maps may come as lists of pairs.

    Returns:
        The value in Python's own types.
    """
    if hasattr(value, "asDict"):
        value = value.asDict(recursive=True)
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | np.ndarray):
        return [plain(item) for item in value]
    if isinstance(value, np.generic):
        return value.item()
    return value if isinstance(value, str | int | float | bool | None) else str(value)


def is_missing(value: Any) -> bool:
    """Say whether a cell is empty: None, NaN, NaT."""
    return value is None or (not isinstance(value, str | list | tuple | np.ndarray | Mapping) and bool(pd.isna(value)))


def writable(text: str) -> str:
    """The text with half characters (lone surrogates, which JSON can spell but no file can hold) replaced."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text


def row_digests(columns: Sequence[pd.Series]) -> list[str]:
    """The md5 of each row: equal for rows that agree in all columns, on every engine.

    Args:
        columns: Texts (None where missing), float64 numbers and ``datetime64[us]`` times of one length.

    Returns:
        32 hexadecimal digits per row.
    """
    plain_columns = [(column.astype("int64") if column.dtype.kind == "M" else column).tolist() for column in columns]
    rows = zip(*plain_columns, strict=True)
    return [hashlib.md5(repr(row).encode(errors="replace"), usedforsecurity=False).hexdigest() for row in rows]


def _text(value: Any) -> str | None:
    if type(value) is str:
        return value if value and not value.isspace() else None
    if is_missing(value):
        return None
    if isinstance(value, bytes | bytearray):
        return _text(bytes(value).decode(errors="replace"))
    if isinstance(value, list | tuple | np.ndarray):
        return ",".join(item for item in map(_text, value) if item is not None) or None
    if isinstance(value, Mapping):
        return json.dumps(plain(value), ensure_ascii=False, sort_keys=True)
    # An identifier that pandas made a float because another one was missing
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def _float(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _numbers(
    values: pd.Series, plain_number: Callable[[float], float | None], text: Callable[[str], float | None]
) -> tuple[np.ndarray, np.ndarray]:
    """Apply one rule to numbers, another to texts."""
    if values.dtype.kind in "iufb":
        numbers = values.astype("float64").to_numpy()
        probe = plain_number(1.0)
        if probe is None:
            return np.full(len(numbers), np.nan), ~np.isnan(numbers)
        # All rules for numbers are one multiplication or division
        converted = plain_number(numbers)  # type: ignore[arg-type]
        return np.asarray(converted, dtype=np.float64), np.zeros(len(numbers), dtype=bool)
    found = np.full(len(values), np.nan)
    failed = np.zeros(len(values), dtype=bool)
    known: dict[str, float | None] = {}
    for row, value in enumerate(values.tolist()):
        if is_missing(value):
            continue
        if isinstance(value, str):
            stripped = value.strip()
            if not stripped:
                continue
            if stripped not in known:
                sign = -1.0 if stripped.startswith("-") else 1.0
                size = text(stripped[1:] if stripped[0] in "+-" else stripped)
                known[stripped] = None if size is None else sign * size
            number = known[stripped]
        elif isinstance(value, timedelta):
            number = value.total_seconds()
        else:
            number = plain_number(float(value)) if _is_number(value) else None
        failed[row] = number is None
        found[row] = np.nan if number is None else number
    return found, failed


def _is_number(value: Any) -> bool:
    try:
        float(value)
    except (TypeError, ValueError):
        return False
    return True


def _epochs(numbers: np.ndarray, given: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    size = np.abs(np.where(given, numbers, 0.0))
    to_micros = np.select([size < 1e11, size < 1e14, size < 1e17], [1e6, 1e3, 1.0], 1e-3)
    readable = given & (numbers >= FIRST_EPOCH) & (numbers < 1e20)
    micros = np.rint(np.where(readable, numbers, 0.0) * to_micros).astype(np.int64)
    times = micros.astype("datetime64[us]")
    times[~readable] = np.datetime64("NaT", "us")
    return times, given & ~readable


def _parsed_times(texts: pd.Series, zone: str) -> np.ndarray:
    """Times of distinct texts; NaT where a text is none."""
    times = np.full(len(texts), np.datetime64("NaT", "us"), dtype="datetime64[us]")
    if texts.empty:
        return times
    stripped = texts.str.strip()
    digits = stripped.str.fullmatch(r"\d{9,}(?:\.\d+)?(?:[eE]\+?\d+)?").to_numpy(dtype=bool)
    if digits.any():
        times[digits] = _epochs(stripped[digits].astype(float).to_numpy(), np.ones(digits.sum(), dtype=bool))[0]
    zoned = stripped.str.contains(_OFFSET).to_numpy(dtype=bool) & ~digits
    times[zoned] = _iso(stripped[zoned])
    bare = ~zoned & ~digits
    times[bare] = _localised(pd.Series(_iso(stripped[bare])), zone).to_numpy().astype("datetime64[us]")
    # Trino prints the zone's name: 2024-03-04 05:06:07.123 Europe/Berlin
    left = [int(row) for row in np.flatnonzero(np.isnat(times) & ~digits)]
    regions: dict[str, list[int]] = {}
    bodies: dict[int, str] = {}
    for row in left:
        found = _REGION.fullmatch(stripped.iloc[row])
        if found:
            regions.setdefault(found[2], []).append(row)
            bodies[row] = found[1]
    for region, rows in regions.items():
        try:
            local = _localised(pd.Series(_iso(pd.Series([bodies[row] for row in rows], dtype=object))), region)
        except (KeyError, ValueError):  # no such zone
            continue
        times[rows] = local.to_numpy().astype("datetime64[us]")
    return times


def _iso(texts: pd.Series) -> np.ndarray:
    parsed = pd.to_datetime(texts, format="ISO8601", utc=True, errors="coerce")
    return parsed.dt.tz_localize(None).astype("datetime64[us]").to_numpy()


def _localised(times: pd.Series, zone: str) -> pd.Series:
    if zone.upper() in {"UTC", "Z", "ETC/UTC", "GMT"}:
        return times
    # In the hour that a clock repeats it was the first; a time that a clock skips is the moment after
    first = np.ones(len(times), dtype=bool)
    local = times.dt.tz_localize(zone, ambiguous=first, nonexistent="shift_forward")
    return local.dt.tz_convert("UTC").dt.tz_localize(None)
