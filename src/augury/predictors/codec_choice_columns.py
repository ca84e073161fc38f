"""Columns that a chooser of codecs reads and answers with."""

from augury.predictors.block_statistics import SIZE, STATISTICS
from augury.predictors.codec_costs import LINK, PRICE, READS
from augury.predictors.codec_regressors import CodecLayout
from augury.predictors.contract import ColumnSpec

LEAST_LINK = 1e-3


def input_columns(layout: CodecLayout) -> tuple[ColumnSpec, ...]:
    """The input schema."""
    texts = {**STATISTICS}
    numbers = [
        ColumnSpec(name=name, dtype="number", required=False, nullable=True, description=texts.get(name, ""))
        for name in layout.numbers
    ]
    categories = [
        ColumnSpec(name=name, dtype="string", required=False, nullable=True, description="kind of the first bytes")
        for name in layout.categories
    ]
    return (
        ColumnSpec(name=SIZE, dtype="integer", minimum=1, unit="bytes", description="of the block"),
        *numbers,
        *categories,
        ColumnSpec(name=LINK, dtype="number", minimum=LEAST_LINK, unit="MB/s", description="bandwidth of the link"),
        ColumnSpec(
            name=PRICE, dtype="number", required=False, nullable=True, minimum=LEAST_LINK,
            description="what a microsecond of CPU costs beside one of the link; 1 where it is missing",
        ),
        ColumnSpec(
            name=READS, dtype="number", required=False, nullable=True, minimum=0,
            description="how often the stored block will be decompressed; 1 where it is missing",
        ),
    )  # fmt: skip


def output_columns(codecs: tuple[str, ...]) -> tuple[ColumnSpec, ...]:
    """The output schema."""
    return (
        ColumnSpec(name="codec", dtype="string", allowed=codecs, description="the choice, its own time counted"),
        ColumnSpec(name="looked", dtype="boolean", description="whether the block's statistics are worth their time"),
        ColumnSpec(
            name="codec_at_leisure", dtype="string", allowed=codecs,
            description="the choice where the time of the decision does not count, as when old blocks are packed anew",
        ),
        ColumnSpec(name="codec_table", dtype="string", allowed=codecs, description="the rule that needs no statistics"),
        ColumnSpec(name="cost_us", dtype="number", minimum=0, unit="us", description="predicted, of codec_at_leisure"),
        ColumnSpec(name="cost_table_us", dtype="number", minimum=0, unit="us", description="predicted, of codec_table"),
        ColumnSpec(name="stored_share", dtype="number", minimum=0, description="predicted bytes by byte of that codec"),
        ColumnSpec(
            name="least_share", dtype="number", minimum=0,
            description="the smallest share that any codec is predicted to reach: near 1 nothing can be saved",
        ),
    )  # fmt: skip
