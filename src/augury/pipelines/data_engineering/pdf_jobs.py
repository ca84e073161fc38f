"""Prepare measured PDF jobs: defaults for what is left out, completed jobs only, one row a job, split by file."""

from typing import Any

import narwhals.stable.v2 as nw
from pydantic import Field

from augury import engines
from augury.errors import UserError
from augury.parameters import Parameters
from augury.predictors.pdf_memory import CATEGORY, DEFAULT_OPERATION, NUMBERS, TARGET

REFUSED = ("encrypted", "invalid", "error")
"""Outcomes of jobs that the engine gave up at once. Their peak says nothing about the work, and would teach a model to
allocate too little to a damaged file that another engine can open; it is used only where the scan could not read the
file either, because then it is all there is to predict. Jobs that were stopped (timeout, memory limit, crash) have no
known peak."""

IDENTITY = ("file_bytes", "pages", "objects", "stream_bytes_sum", "image_pixels_sum")
"""Where a table has no file_id, rows that agree in these are taken for one file."""


class PdfSplit(Parameters):
    """How jobs are divided."""

    holdout_share: float = Field(gt=0, lt=1, description="share of the files held out for evaluation")
    document_share: float = Field(gt=0, le=1, description="share of the files used at all; below 1 for quick tries")


def prepare_jobs(jobs: Any, split: PdfSplit, seed: int) -> tuple[Any, dict[str, Any]]:
    """Clean the raw table and mark the holdout.

    Args:
        jobs: Validated raw table, pandas or Spark; see :mod:`augury.schemas.pdf_jobs`.
        split: Shares.
        seed: Seed of the split; a file's side depends on its `file_id` and the seed alone.

    Returns:
        The table (same engine) with all columns of the schema and `is_holdout`; and the counts of what was kept and
        left out.

    Raises:
        UserError: No completed job is left, or one side of the split would be empty.
    """
    frame = nw.from_native(jobs)
    given = set(frame.collect_schema().names())
    frame = _with_defaults(frame, given)
    frame = frame.with_columns(has_peak=~nw.col(TARGET).is_null())
    counts = _count(frame, ["outcome", "has_peak"])
    outcomes = _by_first(counts)
    foreseen = nw.col("outcome").is_in(REFUSED) & (nw.col("parse_failed").fill_null(0.0) > 0.0)
    frame = frame.filter(((nw.col("outcome") == "ok") | foreseen) & nw.col("has_peak"))
    # Of a repeated job the largest peak is kept, which is the safe one
    frame = frame.unique(subset=["job_id"], keep="last", order_by=[TARGET])
    native = engines.hash_uniform(frame.to_native(), "file_id", seed, "file_draw")
    native = engines.hash_uniform(native, "file_id", seed + 1, "use_draw")
    frame = nw.from_native(native).filter(nw.col("use_draw") < split.document_share)
    frame = frame.with_columns(is_holdout=nw.col("file_draw") < split.holdout_share)
    kept = _count(frame, ["origin", "is_holdout"])
    sides = {side: sum(rows for (_, held), rows in kept.items() if held == side) for side in (True, False)}
    if not all(sides.values()):
        raise UserError(
            f"pdf_memory.jobs: the split leaves {sides[False]} training and {sides[True]} holdout rows. "
            "No side may be empty. "
            f"Rows by outcome: {outcomes}; those with outcome 'ok' and a peak can be used. "
            "Bring more files or change pdf_memory.split.holdout_share."
        )
    report = {
        "rows_read": sum(counts.values()),
        "rows_by_outcome": outcomes,
        "rows_without_peak": sum(rows for (name, has_peak), rows in counts.items() if name == "ok" and not has_peak),
        "rows_train": sides[False],
        "rows_holdout": sides[True],
        "rows_by_origin": _by_first(kept),
        "columns_missing": sorted(set(NUMBERS) - given),
    }
    columns = ["job_id", "file_id", "origin", "outcome", CATEGORY, *NUMBERS, TARGET, "is_holdout"]
    return frame.select(columns).to_native(), report


def _with_defaults(frame: Any, given: set[str]) -> Any:
    texts = {CATEGORY: DEFAULT_OPERATION, "outcome": "ok", "origin": "measured"}
    frame = frame.with_columns(
        *(
            nw.col(name).fill_null(value) if name in given else nw.lit(value).alias(name)
            for name, value in texts.items()
        ),
        *(
            nw.col(name).cast(nw.Float64).fill_nan(None)
            if name in given
            else nw.lit(None, dtype=nw.Float64).alias(name)
            for name in (*NUMBERS, TARGET)
        ),
    )
    identity = nw.concat_str(
        [nw.col(name).fill_null(-1.0).cast(nw.Int64).cast(nw.String) for name in IDENTITY],
        separator="-",
    )
    frame = _with_identifier(frame, "file_id", identity, given)
    # Without identifiers every row is a job of its own, unless it agrees with another in file, operation, resolution
    # and peak
    millis = [nw.col(name).fill_null(-1.0) * 1000.0 for name in ("dpi", TARGET)]
    parts = [
        nw.col("file_id"),
        nw.col(CATEGORY),
        *(value.cast(nw.Int64).cast(nw.String) for value in millis),
    ]
    return _with_identifier(frame, "job_id", nw.concat_str(parts, separator="/"), given)


def _with_identifier(frame: Any, name: str, otherwise: Any, given: set[str]) -> Any:
    if name not in given:
        return frame.with_columns(otherwise.alias(name))
    frame = frame.with_columns(nw.col(name).cast(nw.String))
    return frame.with_columns(nw.when(nw.col(name).is_null()).then(otherwise).otherwise(nw.col(name)).alias(name))


def _count(frame: Any, by: list[str]) -> dict[tuple[Any, ...], int]:
    counted = engines.to_pandas(frame.group_by(by).agg(rows=nw.len()).to_native())
    return {tuple(row[name] for name in by): int(row["rows"]) for row in counted.to_dict("records")}


def _by_first(counts: dict[tuple[Any, ...], int]) -> dict[str, int]:
    """Sum counts over all but the first of their keys."""
    totals: dict[str, int] = {}
    for (name, _), rows in sorted(counts.items()):
        totals[str(name)] = totals.get(str(name), 0) + rows
    return totals
