"""The only place that knows dataframe engines: what Narwhals cannot say on every one of them."""

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Literal, TypeAlias

import narwhals.stable.v2 as nw
import numpy as np
import pandas as pd

HEX_DIGITS = 13
"""52 bits of the hash: exactly representable in a float64, so every engine computes the same number."""

ColumnType: TypeAlias = Literal["string", "double", "float", "long", "int", "boolean", "timestamp"]
Schema: TypeAlias = Mapping[str, ColumnType]
"""Columns of a frame in order, for functions that run on pandas pieces of a frame of any engine."""

_SPARK_TYPES: dict[ColumnType, str] = {
    "string": "string",
    "double": "double",
    "float": "float",
    "long": "bigint",
    "int": "int",
    "boolean": "boolean",
    "timestamp": "timestamp_ntz",
}
_PANDAS_TYPES: dict[ColumnType, str] = {
    "double": "float64",
    "float": "float32",
    "long": "int64",
    "int": "int32",
    "boolean": "bool",
    "timestamp": "datetime64[us]",
}

_BUCKET = "__bucket__"


def is_spark(frame: Any) -> bool:
    """Say whether a native or Narwhals frame is a Spark frame."""
    return nw.from_native(frame).implementation.is_pyspark()


def to_pandas(frame: Any) -> pd.DataFrame:
    """Collect any frame to pandas; a pandas frame is returned as it is.

    Args:
        frame: Native or Narwhals frame of any engine.

    Returns:
        A pandas frame. Spark's rows come in no particular order.
    """
    wrapped = nw.from_native(frame)
    if isinstance(wrapped, nw.LazyFrame):
        wrapped = wrapped.collect(backend="pandas")
    return wrapped.to_pandas()


def hash_uniform(frame: Any, column: str, seed: int, name: str) -> Any:
    """Append a number in [0, 1) that depends on a text column and the seed alone.

    It is the first 52 bits of ``md5("<seed>:<value>")`` over 2**52: the same on every engine, in any row order, for any
    subset of rows, which is what a sampling or splitting key must be.

    Args:
        frame: Native frame (pandas or Spark).
        column: Text column; a missing value hashes as the empty text.
        seed: Changes every number.
        name: Name of the new float64 column.

    Returns:
        The native frame with one column more.
    """
    if is_spark(frame):
        from pyspark.sql import functions

        text = functions.concat(functions.lit(f"{seed}:"), functions.coalesce(functions.col(column), functions.lit("")))
        digits = functions.substring(functions.md5(text), 1, HEX_DIGITS)
        number = functions.conv(digits, 16, 10).cast("double")
        return frame.withColumn(name, number / functions.lit(float(16**HEX_DIGITS)))
    texts = frame[column].fillna("").tolist()
    # Not pd.factorize: it takes two texts for one if they agree up to a NUL character
    numbers = {text: _hash(f"{seed}:{text}") for text in dict.fromkeys(texts)}
    return frame.assign(**{name: np.array([numbers[text] for text in texts], dtype=np.float64)})


def failing_batches(frame: Any, check: Callable[[pd.DataFrame], pd.DataFrame], columns: Sequence[str]) -> pd.DataFrame:
    """Run a check on a frame in one pandas piece or, on Spark, partition by partition, and gather what it reports.

    Args:
        frame: Native frame (pandas or Spark).
        check: Takes a pandas frame, returns a frame of text columns; empty if all is well.
        columns: The columns of what `check` returns.

    Returns:
        The concatenated reports.
    """
    if not is_spark(frame):
        return check(frame)

    def per_partition(batches: Any) -> Any:
        for batch in batches:
            yield check(batch)

    schema = ", ".join(f"`{name}` string" for name in columns)
    report: pd.DataFrame = frame.mapInPandas(per_partition, schema=schema).toPandas()
    return report


def time_zones(frame: Any) -> dict[str, str]:
    """Zones in which the times of columns that know theirs come to the functions below, which see times without one.

    Args:
        frame: Native frame (pandas or Spark).

    Returns:
        Column -> zone: UTC on pandas, that of the session on Spark. Columns of times without a zone are left out.
    """
    if not is_spark(frame):
        return {str(name): "UTC" for name, dtype in frame.dtypes.items() if isinstance(dtype, pd.DatetimeTZDtype)}
    zone = frame.sparkSession.conf.get("spark.sql.session.timeZone")
    return {name: zone for name, kind in frame.dtypes if kind == "timestamp"}


def map_batches(frame: Any, function: Callable[[pd.DataFrame], pd.DataFrame], schema: Schema) -> Any:
    """Apply a function to pieces of a frame, where no row of the result depends on another row.

    Args:
        frame: Native frame (pandas or Spark).
        function: Takes a pandas frame with at least one row (any of its rows in any order on Spark, all of them on
            pandas), returns a frame with the columns of the schema and any number of rows. Missing texts come as None,
            times as naive ``datetime64[us]``. A column of integers or booleans with missing values is as pandas has it
            (float64, object) in those pieces only that miss one.
        schema: Columns and types of the result. Texts, floats and times may be missing (None, NaN, NaT).

    Returns:
        Native frame of the same engine with exactly the columns of the schema; pandas keeps the order of the rows.
    """
    if not is_spark(frame):
        return conform(function(_as_given(frame)), schema) if len(frame) else conform(None, schema)

    def per_partition(batches: Iterator[pd.DataFrame]) -> Iterator[pd.DataFrame]:
        for batch in batches:
            if len(batch):
                yield conform(function(_as_given(batch)), schema)

    return frame.mapInPandas(per_partition, schema=_spark_schema(schema))


def map_groups(
    frame: Any, keys: Sequence[str], function: Callable[[pd.DataFrame], pd.DataFrame], schema: Schema
) -> Any:
    """Apply a function to all rows that agree in some columns, group by group.

    Args:
        frame: Native frame (pandas or Spark).
        keys: Columns; a missing value is a value like any other.
        function: As for :func:`map_batches`, but its piece is a whole group, whose rows come in no particular order.
        schema: Columns and types of the result.

    Returns:
        Native frame of the same engine.
    """
    if not is_spark(frame):
        given = _as_given(frame)
        pieces = [function(given.iloc[rows].reset_index(drop=True)) for rows in _groups(given, keys).values()]
        return _concatenated(pieces, schema)

    def per_group(group: pd.DataFrame) -> pd.DataFrame:
        return conform(function(_as_given(group)), schema)

    return frame.groupBy(*keys).applyInPandas(per_group, schema=_spark_schema(schema))


def map_cogroups(
    left: Any,
    right: Any,
    keys: Sequence[str],
    function: Callable[[pd.DataFrame, pd.DataFrame], pd.DataFrame],
    schema: Schema,
    divided: tuple[str, int] | None = None,
) -> Any:
    """Apply a function to the groups of two frames that belong together.

    Args:
        left: Native frame (pandas or Spark).
        right: Native frame of the same engine.
        keys: Columns of both; every combination that occurs in at least one of the two is a group.
        function: Takes the rows of each frame, one of which may be empty; returns a frame with the schema's columns.
        schema: Columns and types of the result.
        divided: A column and a number of parts, for groups that are large on the left and whose rows there do not
            depend on one another: Spark divides them by the column's hash, and every part meets all rows on the right.

    Returns:
        Native frame of the same engine.
    """
    if not is_spark(left):
        first, second = _as_given(left), _as_given(right)
        rows_first, rows_second = _groups(first, keys), _groups(second, keys)
        nothing = np.array([], dtype=np.intp)
        pieces = [
            function(
                first.iloc[rows_first.get(key, nothing)].reset_index(drop=True),
                second.iloc[rows_second.get(key, nothing)].reset_index(drop=True),
            )
            for key in dict.fromkeys([*rows_first, *rows_second])
        ]
        return _concatenated(pieces, schema)

    def per_group(first: pd.DataFrame, second: pd.DataFrame) -> pd.DataFrame:
        first, second = (_as_given(frame.drop(columns=_BUCKET, errors="ignore")) for frame in (first, second))
        return conform(function(first, second), schema)

    keys = list(keys)
    if divided is not None:
        from pyspark.sql import functions

        column, parts = divided
        left = left.withColumn(_BUCKET, functions.pmod(functions.xxhash64(column), functions.lit(parts)))
        numbers = functions.sequence(functions.lit(0).cast("long"), functions.lit(parts - 1).cast("long"))
        right = right.withColumn(_BUCKET, functions.explode(numbers))
        keys.append(_BUCKET)
    pairs = left.groupBy(*keys).cogroup(right.groupBy(*keys))
    return pairs.applyInPandas(per_group, schema=_spark_schema(schema))


def map_cobuckets(
    left: Any,
    right: Any,
    keys: Sequence[str],
    function: Callable[[pd.DataFrame, pd.DataFrame], pd.DataFrame],
    schema: Schema,
) -> Any:
    """Apply a function that treats keys independently of one another to as many of them at once as is convenient.

    Args:
        left: Native frame (pandas or Spark).
        right: Native frame of the same engine.
        keys: Text columns of both frames; all rows of a key are in the same piece.
        function: As for :func:`map_cogroups`. It is called once on pandas, and once for each of
            ``spark.sql.shuffle.partitions`` pieces on Spark.
        schema: Columns and types of the result.

    Returns:
        Native frame of the same engine.
    """
    if not is_spark(left):
        if not len(left) and not len(right):
            return conform(None, schema)
        return conform(function(_as_given(left), _as_given(right)), schema)
    from pyspark.sql import functions

    buckets = int(left.sparkSession.conf.get("spark.sql.shuffle.partitions"))
    number = functions.pmod(functions.xxhash64(*keys), functions.lit(buckets))

    left, right = left.withColumn(_BUCKET, number), right.withColumn(_BUCKET, number)
    return map_cogroups(left, right, [_BUCKET], function, schema)


def like(frame: Any, table: pd.DataFrame, schema: Schema) -> Any:
    """Bring a small pandas frame to the engine of another frame, for a join with it.

    Args:
        frame: Native frame (pandas or Spark).
        table: The rows.
        schema: Columns and types of the result.

    Returns:
        Native frame of the engine of `frame`.
    """
    table = conform(table, schema)
    if not is_spark(frame):
        return table
    return frame.sparkSession.createDataFrame(table, schema=_spark_schema(schema))


def conform(frame: pd.DataFrame | None, schema: Schema) -> pd.DataFrame:
    """Bring a pandas frame into the form that a schema names: the form in which frames come back from every engine.

    Args:
        frame: Has the schema's columns; None stands for no rows.
        schema: Columns and types.

    Returns:
        Frame with these columns in this order and a fresh index.
    """
    if frame is None:
        frame = pd.DataFrame({name: pd.Series(dtype=object) for name in schema})
    table = frame[list(schema)].reset_index(drop=True)
    for name, dtype in table.dtypes.items():
        kind = schema[str(name)]
        if kind == "string":
            values = table[name]
            texts = _texts(values)
            if texts is not values:
                table[name] = texts
        elif dtype != _PANDAS_TYPES[kind]:
            values = pd.to_datetime(table[name]) if kind == "timestamp" else table[name]
            table[name] = values.astype(np.dtype(_PANDAS_TYPES[kind]))
    return table


def _as_given(frame: pd.DataFrame) -> pd.DataFrame:
    """The frame with a fresh index, None for missing texts, and times in microseconds, as Spark has them."""
    table = frame.reset_index(drop=True)
    for name, dtype in table.dtypes.items():
        if isinstance(dtype, pd.DatetimeTZDtype):
            table[name] = table[name].dt.tz_convert("UTC").dt.tz_localize(None).astype("datetime64[us]")
        elif dtype.kind == "M" and dtype != "datetime64[us]":
            table[name] = table[name].astype("datetime64[us]")
        elif dtype.kind == "O" or isinstance(dtype, pd.StringDtype):
            values = table[name]
            texts = _texts(values)
            if texts is not values:
                table[name] = texts
    return table


def _texts(values: pd.Series) -> pd.Series:
    """Objects as they are, but None for whatever else means missing."""
    missing = values.isna().to_numpy()
    if values.dtype == object and all(value is None for value in values[missing]):
        return values
    objects = values.to_numpy(dtype=object, copy=True)
    objects[missing] = None
    return pd.Series(objects, index=values.index, dtype=object)


def _groups(frame: pd.DataFrame, keys: Sequence[str]) -> dict[Any, np.ndarray]:
    """Row numbers by key; sorted keys, the missing ones last."""
    if not len(frame):
        return {}
    numbers = frame.groupby(list(keys), sort=True, dropna=False).ngroup().to_numpy()
    order = np.argsort(numbers, kind="stable")
    pieces = np.split(order, np.flatnonzero(np.diff(numbers[order])) + 1)
    first = frame[list(keys)].iloc[[rows[0] for rows in pieces]].itertuples(index=False, name=None)
    # NaN is no key that can be found again
    return {
        tuple(None if pd.isna(part) else part for part in key): rows for key, rows in zip(first, pieces, strict=True)
    }


def _concatenated(pieces: list[pd.DataFrame], schema: Schema) -> pd.DataFrame:
    if not pieces:
        return conform(None, schema)
    return pd.concat([conform(piece, schema) for piece in pieces], ignore_index=True)


def _spark_schema(schema: Schema) -> str:
    return ", ".join(f"`{name}` {_SPARK_TYPES[kind]}" for name, kind in schema.items())


def _hash(text: str) -> float:
    return int(hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()[:HEX_DIGITS], 16) / 16**HEX_DIGITS
