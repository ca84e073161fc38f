"""Accesses as numbered blocks in their order, per trace and session, divided in time."""

from typing import Any, Literal

import narwhals.stable.v2 as nw
import numpy as np
import pandas as pd
from pydantic import Field, field_validator

from augury import engines
from augury.errors import UserError
from augury.parameters import Parameters, near_matches
from augury.predictors.access_blocks import block_numbers, numbered_by_appearance, permuted, unit_of
from augury.predictors.access_columns import BLOCK, COLUMNS, DATASET, OBJECT, POSITION, WHOLE, refuse_fractions

TRAIN, HOLDOUT = "train", "holdout"
ONE_TRACE, NO_OBJECT = "all", ""
FEWEST = 200


class AccessSource(Parameters):
    """How to read the raw table."""

    columns: dict[str, str] = Field(default={}, description="canonical name -> name in the file, where they differ")
    ids: Literal["auto", "ordered", "permute"] = Field(
        default="auto",
        description="permute: give plain ids other numbers, so that neighbours say nothing; auto: where they were "
        "numbered by first appearance, because then the next id is what nobody has read yet",
    )
    most: int | None = Field(default=None, ge=FEWEST, description="accesses of each trace that are used; null: all")

    @field_validator("columns")
    @classmethod
    def _must_be_canonical(cls, value: dict[str, str]) -> dict[str, str]:
        for name in value:
            if name not in COLUMNS:
                raise ValueError(f"'{name}' is no canonical column. {near_matches(name, COLUMNS)}")
        return value


class AccessSplit(Parameters):
    """How traces are divided: in time, training first."""

    train_share: float = Field(default=0.6, gt=0, lt=1, description="of each trace, its beginning")
    folds: int = Field(default=5, ge=2, le=100, description="blocks in time of the training part")


def prepare_accesses(
    accesses: Any, source: AccessSource, split: AccessSplit, seed: int
) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Read, order, number and divide.

    Args:
        accesses: Raw table, pandas or Spark; see :class:`augury.schemas.accesses.Accesses`.
        source: How to read it.
        split: How it is divided.
        seed: Of the permutation of ids, where there is one.

    Returns:
        - One row per access, sorted by trace and place: ``trace``, ``place`` (int64, from 0), ``session`` (int64 code
          within all traces), ``object`` (empty where there is none), ``block``, ``span`` (int64, at least 1), ``part``
          (``train``, ``holdout``), ``fold`` (int64; -1 in the holdout).
        - The account of what was read.

    Raises:
        UserError: There is neither a block nor an object with a position, a value breaks its rule, a Spark table has no
            order, or too few accesses are left.
    """
    table, counts = read_accesses(accesses, source)
    parts: list[pd.DataFrame] = []
    traces: dict[str, Any] = {}
    for name, rows in table.groupby("trace", sort=True):
        if source.most is not None:
            rows = rows.head(source.most)
        if len(rows) < FEWEST:
            raise UserError(
                f"{DATASET}: trace '{name}' has {len(rows)} accesses; at least {FEWEST} are needed to learn from some "
                "and judge by others."
            )
        until = int(len(rows) * split.train_share)
        blocks = block_numbers(rows[OBJECT], rows[POSITION])
        plain = (rows[OBJECT] == NO_OBJECT).to_numpy()
        leak = bool(plain.all()) and source.ids != "ordered" and numbered_by_appearance(blocks)
        changed = leak or (source.ids == "permute" and bool(plain.all()))
        spans, unit = _spans(rows, blocks, until)
        if changed:
            blocks, spans = permuted(blocks, seed), np.ones(len(rows), np.int64)
        fold = np.minimum(np.arange(len(rows)) * split.folds // max(until, 1), split.folds)
        parts.append(
            pd.DataFrame(
                {
                    "trace": str(name),
                    "place": np.arange(len(rows), dtype=np.int64),
                    "session": rows["session"].to_numpy(np.int64),
                    OBJECT: rows[OBJECT].to_numpy(),
                    BLOCK: blocks,
                    "span": spans,
                    "part": np.where(np.arange(len(rows)) < until, TRAIN, HOLDOUT),
                    "fold": np.where(np.arange(len(rows)) < until, fold, -1).astype(np.int64),
                }
            )
        )
        traces[str(name)] = {
            "accesses": len(rows),
            "train": until,
            "holdout": len(rows) - until,
            "blocks": len(np.unique(blocks)),
            "sessions": int(rows["session"].nunique()),
            "numbered_by_appearance": leak,
            "ids_permuted": changed,
            "bytes_per_id": unit,
        }
    found = pd.concat(parts, ignore_index=True)
    report = {
        **counts,
        "rows_used": len(found),
        "rows_by_origin": {"recorded": len(found)},
        "traces": traces,
        "parameters": {"source": source.model_dump(mode="json"), "split": split.model_dump(mode="json"), "seed": seed},
    }
    return found, report


def read_accesses(accesses: Any, source: AccessSource) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Read the raw table on its own engine and collect it in the order of the requests.

    Args:
        accesses: pandas or Spark.
        source: How to read it.

    Returns:
        ``trace``, ``session`` (codes), ``object``, ``position``, ``size``, ``nblocks`` (0 where unknown), in order; and
        ``rows_read`` and what was set aside.
    """
    frame = nw.from_native(accesses)
    names = {source.columns.get(name, name): name for name in COLUMNS}
    given = {names[name]: name for name in frame.collect_schema().names() if name in names}
    if BLOCK not in given and not {OBJECT, POSITION} <= set(given):
        found = ", ".join(frame.collect_schema().names())
        raise UserError(
            f"{DATASET}: there must be a column '{BLOCK}', or '{OBJECT}' and '{POSITION}' (or other names, given in "
            f"prefetch.source.columns); there are: {found}."
        )
    if engines.is_spark(accesses) and "req" not in given:
        raise UserError(
            f"{DATASET}: a Spark table has no order of rows, so it needs the column 'req', the number of the request "
            "within its trace (or prefetch.source.columns.req)."
        )
    if not engines.is_spark(accesses):
        for name in WHOLE:
            if name in given:
                refuse_fractions(accesses[given[name]], f"{DATASET}: column '{given[name]}'")
    by_object = BLOCK not in given
    position = nw.col(given[POSITION if by_object else BLOCK]).cast(nw.Int64)
    columns = [
        _text(given, "trace", ONE_TRACE),
        _text(given, "session", ""),
        (_text(given, OBJECT, NO_OBJECT) if by_object else nw.lit(NO_OBJECT).alias(OBJECT)),
        position.alias(POSITION),
        *(_number(given, name) for name in ("ts", "req", "size", "nblocks")),
    ]
    table = engines.to_pandas(frame.select(columns).to_native())
    missing = table[POSITION].isna()
    negative = (table[POSITION] < 0) & (table[OBJECT] != NO_OBJECT)
    kept = table[~(missing | negative)].astype({POSITION: np.int64})
    # The file's order breaks ties where the table does not number its requests
    order = ["trace", "ts", "req"] if "req" in given or "ts" in given else ["trace"]
    kept = kept.sort_values(order, kind="stable", ignore_index=True)
    kept["session"] = pd.factorize(kept["trace"] + "/" + kept["session"])[0]
    counts = {
        "rows_read": len(table),
        "set_aside": {"missing_block": int(missing.sum()), "negative_position": int(negative.sum())},
        "columns": given,
    }
    return kept.drop(columns=["ts", "req"]), counts


def _text(given: dict[str, str], name: str, otherwise: str) -> Any:
    if name not in given:
        return nw.lit(otherwise).alias(name)
    return nw.col(given[name]).cast(nw.String).fill_null(otherwise).alias(name)


def _number(given: dict[str, str], name: str) -> Any:
    if name not in given:
        return nw.lit(0, dtype=nw.Int64).alias(name)
    return nw.col(given[name]).cast(nw.Int64).fill_null(0).alias(name)


def _spans(rows: pd.DataFrame, blocks: np.ndarray, until: int) -> tuple[np.ndarray, int]:
    """How many ids a request covers: said, or from its size where the first part of the trace shows the unit."""
    if (rows["nblocks"] > 0).any():
        return np.maximum(rows["nblocks"].to_numpy(np.int64), 1), 1
    sizes = rows["size"].to_numpy(np.int64)
    if (rows[OBJECT] != NO_OBJECT).any() or not sizes.any():
        return np.ones(len(rows), np.int64), 0
    unit = unit_of(blocks[:until], sizes[:until])
    return (np.maximum(1, sizes // unit) if unit else np.ones(len(rows), np.int64)), unit
