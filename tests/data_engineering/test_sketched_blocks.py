"""Sketched blocks: each once, lineages whole, pairs of what is there in the order of time; the same on every engine."""

import numpy as np
import pandas as pd
import pytest

from augury.errors import UserError
from augury.pipelines.data_engineering.sketched_blocks import BlockSource, BlockSplit, prepare_blocks
from augury.predictors.sketched_block_columns import OPTIONAL_NUMBERS, OPTIONAL_TEXTS
from augury.schemas.sketched_blocks import BlockPairs, SketchedBlocks

SPLIT = BlockSplit(holdout_share=0.4)


def raw_blocks(count=40):
    numbers = np.arange(count)
    return pd.DataFrame(
        {
            "block": [f"b{number:02d}" for number in numbers],
            "ts": 60_000 * (numbers // 2),  # two at a time
            "lineage": [f"l{number % 8}" if number % 9 else None for number in numbers],
            "size": numbers * 100,
            "digest": [f"d{number}" if number % 5 else None for number in numbers],
            "sketch": [f"s{number}" for number in numbers],
            "plain_bytes": numbers * 30,
            "random_bytes": [float(number) if number % 3 else np.nan for number in numbers],
        }
    )


def raw_pairs(count=40):
    rows = [
        (f"b{later:02d}", f"b{earlier:02d}") for later in range(count) for earlier in range(count) if later != earlier
    ]
    pairs = pd.DataFrame(rows, columns=["block", "reference"])
    return pairs.assign(jaccard=0.5, delta_bytes=[number if number % 4 else np.nan for number in range(len(pairs))])


@pytest.mark.parametrize("optional", [False, True], ids=["required columns", "all columns"])
def test_every_engine_cleans_alike(frame_engine, optional):
    doubled = pd.concat([raw_blocks(), raw_blocks().head(5).assign(ts=10**9)], ignore_index=True)
    measured = raw_pairs()
    if optional:
        absent = {name: 1.0 for name in OPTIONAL_NUMBERS if name not in doubled}
        absent["previous_bytes"] = doubled["plain_bytes"].astype(float)
        doubled, measured = doubled.assign(kind="text", **absent), measured.assign(delta_us=2.0)
        assert {*OPTIONAL_TEXTS, *OPTIONAL_NUMBERS} <= set(doubled)
    made = frame_engine.make(doubled), frame_engine.make(measured)
    for validator, table in zip((SketchedBlocks, BlockPairs), made, strict=True):
        validator.validate(table)
    blocks, pairs, report = prepare_blocks(*made, BlockSource(), SPLIT, 7)
    expected_blocks, expected_pairs, expected_report = prepare_blocks(doubled, measured, BlockSource(), SPLIT, 7)
    pd.testing.assert_frame_equal(blocks, expected_blocks)
    pd.testing.assert_frame_equal(pairs, expected_pairs)
    assert report == expected_report

    assert blocks["block"].is_unique
    assert len(blocks) == 40
    assert blocks["ts"].max() < 10**9  # the earliest of a name
    assert report["left_out"] == 5
    assert blocks.groupby("lineage")["split"].nunique().max() == 1
    alone = blocks[blocks["block"].str[1:].astype(int) % 9 == 0]
    assert (alone["lineage"] == alone["block"]).all()
    np.testing.assert_array_equal(blocks["previous_bytes"], blocks["plain_bytes"])
    moments = blocks.set_index("block")
    own, other = moments.loc[pairs["block"]], moments.loc[pairs["reference"]]
    both = zip(zip(other["ts"], other.index, strict=True), zip(own["ts"], own.index, strict=True), strict=True)
    assert all(reference < block for reference, block in both)
    assert (own["split"].to_numpy() == other["split"].to_numpy()).all()
    assert pairs["delta_bytes"].isna().any()


def test_pairs_are_those_of_earlier_references_in_one_split():
    blocks, pairs, _ = prepare_blocks(raw_blocks(), raw_pairs(), BlockSource(), SPLIT, 7)
    expected = 0
    for _, part in blocks.groupby("split"):
        expected += len(part) * (len(part) - 1) // 2  # one order of every pair: ties go by name
    assert len(pairs) == expected


def test_a_share_of_the_lineages_can_be_read_and_late_blocks_alone():
    everything = prepare_blocks(raw_blocks(), raw_pairs(), BlockSource(), SPLIT, 7)[0]
    some = prepare_blocks(raw_blocks(), raw_pairs(), BlockSource(share=0.6), SPLIT, 7)[0]
    assert set(some["lineage"]) < set(everything["lineage"])
    assert len(some) == everything["lineage"].isin(some["lineage"]).sum()
    late = prepare_blocks(raw_blocks(), raw_pairs(), BlockSource(since_ms=600_000), SPLIT, 7)[0]
    assert late["ts"].min() == 600_000


def test_a_split_without_lineages_is_refused():
    one = raw_blocks().assign(lineage="the only one")
    with pytest.raises(UserError, match="no lineage is in the split"):
        prepare_blocks(one, raw_pairs(), BlockSource(), SPLIT, 7)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"size": -1}, r"'size'.*>= 0"),
        ({"plain_bytes": "many"}, r"'plain_bytes'.*number"),
        ({"block": None}, r"'block'.*missing"),
        ({"sketch": 5}, r"'sketch'.*text"),
    ],
)
def test_bad_blocks_are_refused(change, message):
    with pytest.raises(UserError, match=message):
        SketchedBlocks.validate(raw_blocks().assign(**change))
    with pytest.raises(UserError, match=r"required column missing.*'ts'"):
        SketchedBlocks.validate(raw_blocks().drop(columns="ts"))


def test_bad_pairs_are_refused():
    with pytest.raises(UserError, match=r"'jaccard'.*\[0, 1\]"):
        BlockPairs.validate(raw_pairs().assign(jaccard=1.2))
