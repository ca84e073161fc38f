"""The only place that knows dataframe engines: what Narwhals cannot say on every one of them."""

import hashlib
from collections.abc import Callable, Sequence
from typing import Any

import narwhals.stable.v2 as nw
import numpy as np
import pandas as pd

HEX_DIGITS = 13
"""52 bits of the hash: exactly representable in a float64, so every engine computes the same number."""


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


def _hash(text: str) -> float:
    return int(hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()[:HEX_DIGITS], 16) / 16**HEX_DIGITS
