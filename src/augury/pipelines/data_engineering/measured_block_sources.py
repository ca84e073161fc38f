"""Read tables of measured blocks in whatever layout they come: which column is what, and which may be a feature."""

import re
from collections.abc import Iterable, Sequence
from typing import Any, Literal, NamedTuple

import narwhals.stable.v2 as nw
import numpy as np
import pandas as pd
from pydantic import Field

from augury import engines
from augury.errors import UserError
from augury.parameters import Parameters, near_matches
from augury.predictors.codec_costs import COMPRESS, DECOMPRESS, OUTCOMES, STORED, outcome_column
from augury.predictors.codecs import NONE

ROLES: dict[str, tuple[str, ...]] = {
    "block": ("block",),
    "lineage": ("lineage", "file", "package", "group"),
    "size": ("size", "n"),
    "codec": ("codec",),
    STORED: (STORED,),
    COMPRESS: (COMPRESS,),
    DECOMPRESS: (DECOMPRESS,),
    "sample_us": ("sample_us",),
    "cpu_load": ("cpu_load",),
    "content": ("content", "sha1", "sha256"),
}
"""Role -> what the column is called where ``source.columns`` does not say."""

NO_STATISTICS = frozenset("ts link_mbps cpu_price reads propensity policy offset place number index label".split())
"""Numbers of a table that are no statistics of a block's bytes."""

TELLING = re.compile(r"ratio|stored|compress|packed|saved|bytes_out|best|label|target|_us$|_ms$")
"""Names that speak of what a codec made of a block: nothing of the kind may be a feature."""


class BlockSource(Parameters):
    """What the columns of a table of measured blocks are."""

    layout: Literal["auto", "long", "wide"] = Field(
        default="auto", description="long: a row per block and codec; wide: a row per block; auto: long with a 'codec'"
    )
    columns: dict[str, str] = Field(
        default_factory=dict, description="role (block, lineage, size, codec, stored_bytes, ...) -> name in the file"
    )
    numbers: tuple[str, ...] | Literal["auto"] = Field(
        default="auto", description="statistics of the bytes; auto: every number that is nothing else"
    )
    categories: tuple[str, ...] = Field(default=("magic",), description="text columns; absent ones are ignored")
    stored: str = Field(default="{codec}_bytes", description="wide: name of a codec's stored bytes")
    compress: str = Field(default="{codec}_cus", description="wide: of its compression time (us)")
    decompress: str = Field(default="{codec}_dus", description="wide: of its decompression time (us)")
    codecs: tuple[str, ...] | None = Field(default=None, description="those to choose among; null: all that there are")
    strip_digits: bool = Field(default=True, description="whether two versions of a file are one lineage")
    least_share: float = Field(
        default=0.9, gt=0, le=1, description="a codec that was measured on fewer of the blocks is left out"
    )
    most_load: float | None = Field(
        default=None, gt=0, description="rows measured under more load by core are set aside"
    )


class WideBlocks(NamedTuple):
    """One row per block, and what its columns are."""

    table: pd.DataFrame
    codecs: tuple[str, ...]
    numbers: tuple[str, ...]
    categories: tuple[str, ...]
    report: dict[str, Any]


def read_blocks(blocks: Any, source: BlockSource) -> WideBlocks:
    """Bring a table into the one form: a row per block with all its outcomes.

    Args:
        blocks: Long or wide, pandas or Spark; a long one is added up where it is.
        source: What is what.

    Returns:
        ``block``, ``lineage``, ``size``, statistics, ``sample_us``, and ``<codec>:<outcome>``; outcomes may be missing.

    Raises:
        UserError: A column is absent, or a feature would be an outcome.
    """
    frame = nw.from_native(blocks)
    schema = frame.collect_schema()
    names = {role: _column(role, source, schema.names()) for role in ROLES}
    layout = source.layout if source.layout != "auto" else "long" if names["codec"] else "wide"
    numeric = [name for name, dtype in schema.items() if dtype.is_numeric()]
    categories = tuple(name for name in source.categories if name in schema.names())
    if layout == "long":
        _require(names, ("block", "size", "codec", STORED, COMPRESS), "long")
        outcomes = {name for role in OUTCOMES if (name := names[role])}
        numbers, left_out = _statistics(source, numeric, schema.names(), names, outcomes)
        return _from_long(frame, source, names, numbers, categories, left_out)
    _require(names, ("size",), "wide")
    table = engines.to_pandas(blocks)
    codecs, outcomes = _wide_codecs(table.columns, source)
    numbers, left_out = _statistics(source, numeric, schema.names(), names, outcomes)
    return _from_wide(table, source, names, codecs, numbers, categories, left_out)


def _column(role: str, source: BlockSource, present: Sequence[str]) -> str | None:
    given = source.columns.get(role)
    if given is not None:
        if given not in present:
            raise UserError(
                f"compression.blocks: 'compression.source.columns.{role}' names the column '{given}', which is not "
                f"there. {near_matches(given, present)}"
            )
        return given
    return next((name for name in ROLES[role] if name in present), None)


def _require(names: dict[str, str | None], roles: Iterable[str], layout: str) -> None:
    for role in roles:
        if names[role] is None:
            raise UserError(
                f"compression.blocks: a {layout} table needs the column '{ROLES[role][0]}'. If yours is called "
                f"otherwise, say so: --params=compression.source.columns.{role}=<name>"
            )


def _statistics(
    source: BlockSource, numeric: list[str], present: list[str], names: dict[str, str | None], outcomes: set[Any]
) -> tuple[tuple[str, ...], list[str]]:
    """The numbers that describe a block's bytes; and those that were left out because they tell of a codec.

    Raises:
        UserError: A column is asked for that is absent, no number, or an outcome.
    """
    roles = {name for name in names.values() if name}
    if source.numbers == "auto":
        free = [name for name in numeric if name not in roles | outcomes and name not in NO_STATISTICS]
        telling = [name for name in free if TELLING.search(name)]
        return tuple(name for name in free if name not in telling), telling
    for name in source.numbers:
        if name not in present:
            raise UserError(
                f"compression.blocks: the statistic '{name}' (compression.source.numbers) is not there. "
                f"{near_matches(name, numeric)}"
            )
        if name not in numeric:
            raise UserError(f"compression.blocks: the statistic '{name}' (compression.source.numbers) is no number.")
        if name in outcomes or name in roles - {names["size"]} or TELLING.search(name):
            raise UserError(
                f"compression.blocks: '{name}' is known only after a codec ran on the block, or says nothing of its "
                "bytes; it cannot be a feature (compression.source.numbers)."
            )
    return tuple(name for name in source.numbers if name != names["size"]), []


def _wide_codecs(columns: Iterable[Any], source: BlockSource) -> tuple[tuple[str, ...], set[str]]:
    """The codecs of a wide table; and all its outcomes, also of codecs that are not asked for."""
    present = [str(name) for name in columns]

    def matches(template: str) -> dict[str, str]:
        before, _, after = template.partition("{codec}")
        pattern = re.compile(f"{re.escape(before)}(.+){re.escape(after)}")
        return {found.group(1): name for name in present if (found := pattern.fullmatch(name))}

    stored, compress, decompress = matches(source.stored), matches(source.compress), matches(source.decompress)
    # 'unique_bytes' has the form of an outcome too: a codec is what has a time beside its bytes
    codecs = tuple(name for name in stored if name in compress)
    outcomes = {stored[name] for name in codecs} | set(compress.values()) | set(decompress.values())
    if not codecs:
        raise UserError(
            f"compression.blocks: no codec has both a column '{source.stored}' and '{source.compress}'. If yours are "
            "called otherwise, set compression.source.stored, .compress and .decompress."
        )
    return codecs, outcomes


def _chosen_codecs(found: Iterable[str], source: BlockSource) -> tuple[str, ...]:
    names = [name for name in dict.fromkeys(found) if name != NONE]
    if source.codecs is None:
        return (NONE, *names)
    for name in source.codecs:
        if name not in (*names, NONE):
            raise UserError(
                f"compression.blocks: the codec '{name}' (compression.source.codecs) was not measured. "
                f"{near_matches(name, names)}"
            )
    return (NONE, *(name for name in source.codecs if name != NONE))


def _from_long(
    frame: Any,
    source: BlockSource,
    names: dict[str, str | None],
    numbers: tuple[str, ...],
    categories: tuple[str, ...],
    left_out: list[str],
) -> WideBlocks:
    block, size, codec = (str(names[role]) for role in ("block", "size", "codec"))
    rows = frame
    if source.most_load is not None and names["cpu_load"]:
        rows = rows.filter(nw.col(str(names["cpu_load"])).fill_null(0.0) <= source.most_load)
    listed = engines.to_pandas(rows.select(nw.col(codec)).unique().to_native())[codec]
    codecs = _chosen_codecs(sorted(str(name) for name in listed.dropna()), source)
    kept = [name for name in (size, names["lineage"], names["sample_us"], *numbers, *categories) if name]
    measured: dict[str, Any] = {}
    for each in codecs[1:]:
        own = nw.col(codec) == each
        for outcome in OUTCOMES:
            column = names[outcome]
            if column is None:
                continue
            value = nw.when(own).then(nw.col(column).cast(nw.Float64)).otherwise(None)
            measured[outcome_column(each, outcome)] = value
    # What is said of a block is the same in all its rows; of a codec that was measured twice the shorter time counts
    spread = rows.select(block, *kept, *(value.alias(name) for name, value in measured.items()))
    smallest = (nw.col(name).min() for name in (*kept, *measured))
    table = engines.to_pandas(spread.group_by(block).agg(*smallest).to_native())
    renamed = {block: "block", size: "size"} | {
        str(names[role]): role for role in ("lineage", "sample_us") if names[role]
    }
    return _complete(table.rename(columns=renamed), codecs, numbers, categories, source, left_out, "long")


def _from_wide(
    table: pd.DataFrame,
    source: BlockSource,
    names: dict[str, str | None],
    found: tuple[str, ...],
    numbers: tuple[str, ...],
    categories: tuple[str, ...],
    left_out: list[str],
) -> WideBlocks:
    codecs = _chosen_codecs(found, source)
    if source.most_load is not None and names["cpu_load"]:
        table = table[table[names["cpu_load"]].fillna(0.0) <= source.most_load]
    content = names["content"]
    if content is not None:
        table = table.drop_duplicates(content)
    table = table.reset_index(drop=True)
    columns: dict[str, Any] = {
        "block": table[content].astype(str) if content else [f"row {number:08d}" for number in range(len(table))],
        "size": table[names["size"]],
    }
    for role in ("lineage", "sample_us"):
        if names[role]:
            columns[role] = table[names[role]]
    columns |= {name: table[name] for name in (*numbers, *categories)}
    for codec in codecs[1:]:
        for outcome, template in zip(OUTCOMES, (source.stored, source.compress, source.decompress), strict=True):
            name = template.format(codec=codec)
            if name in table:
                columns[outcome_column(codec, outcome)] = table[name]
    return _complete(pd.DataFrame(columns), codecs, numbers, categories, source, left_out, "wide")


def _complete(
    table: pd.DataFrame,
    codecs: tuple[str, ...],
    numbers: tuple[str, ...],
    categories: tuple[str, ...],
    source: BlockSource,
    left_out: list[str],
    layout: str,
) -> WideBlocks:
    """Fill in what may be left out, and give every column its type."""
    absent = []
    for codec in codecs[1:]:
        column = outcome_column(codec, DECOMPRESS)
        if column not in table or table[column].isna().all():
            table[column] = 0.0
            absent.append(codec)
    for name in table.columns:
        if name in categories or name in ("block", "lineage"):
            continue
        values = pd.to_numeric(table[name], errors="coerce").astype("float64")
        table[name] = values.where(np.isfinite(values))
    nothing: Any = None
    for name in categories:
        texts = table[name].astype(object)
        table[name] = texts.where(texts.notna(), nothing).map(lambda value: None if value is None else str(value))
    table["block"] = table["block"].astype(str)
    lineage = table["lineage"] if "lineage" in table else table["block"]
    lineage = lineage.where(lineage.notna(), table["block"]).astype(str)
    # Pseudonyms are hexadecimal: their digits are no version
    hidden = lineage.str.fullmatch(r"[0-9a-f]{16,64}")
    table["lineage"] = lineage.where(hidden | (not source.strip_digits), lineage.str.replace(r"\d+", "", regex=True))
    report = {
        "layout": layout,
        "columns_that_tell_of_codecs": left_out,
        "codecs_without_decompression_time": absent,
        "lineages_known": "lineage" in table.columns,
    }
    return WideBlocks(table, codecs, numbers, categories, report)
