"""Tables of measured blocks come in several layouts, and nothing that a codec made of a block becomes a feature."""

import numpy as np
import pandas as pd
import pytest

from augury.errors import UserError
from augury.pipelines.data_engineering.measured_block_sources import BlockSource, read_blocks
from augury.pipelines.data_engineering.measured_blocks import LineageSplit, clean_blocks, prepare_blocks
from augury.schemas.measured_blocks import MeasuredBlocks

from .conftest import SEED, simulate_blocks

SPLIT = LineageSplit(holdout_share=0.3)


def prepared(table, **source):
    return prepare_blocks(table, BlockSource(**source), SPLIT, SEED)


def wide_table(long):
    """The same blocks, one row each, with the names that other tables have."""
    once = long.drop_duplicates("block").rename(columns={"size": "n", "entropy": "entropy2_cond"})
    table = once[["block", "lineage", "n", "entropy2_cond", "match_rate"]].rename(columns={"lineage": "file"})
    table["uniq_bytes"], table["sha1"] = np.arange(len(table)) % 7, [f"{n:040x}" for n in range(len(table))]
    for codec, rows in long[long["codec"] != "none"].groupby("codec"):
        own = rows.set_index("block").loc[table["block"]]
        names = ("stored_bytes", "bytes"), ("compress_us", "cus"), ("decompress_us", "dus")
        for column, suffix in names:
            table[f"{codec.replace('-', '')}_{suffix}"] = own[column].to_numpy()
    return table.assign(best_cold="zlib6")


def test_every_engine_prepares_the_same_blocks(measured, frame_engine):
    expected, report = prepared(measured)
    found, other = prepared(frame_engine.make(measured))
    pd.testing.assert_frame_equal(found, expected, check_exact=False, rtol=1e-12)
    assert {**other} == {**report}


def test_preparing_keeps_every_complete_block_once_and_whole_lineages_on_one_side(measured):
    table, report = prepared(pd.concat([measured, measured.head(40)]).sample(frac=1, random_state=1))
    assert len(table) == measured["block"].nunique() == report["blocks_train"] + report["blocks_holdout"]
    assert table.groupby("lineage")["is_holdout"].nunique().max() == 1
    assert report["codecs"] == ["none", "lz4", "lzma-6", "zstd-3"]
    assert report["numbers"] == ["entropy", "match_rate", "zero_share"]
    assert (table["none:stored_bytes"] == table["size"]).all()


def test_of_several_measurements_the_shortest_counts(measured):
    slower = measured[measured["codec"] == "lz4"].assign(compress_us=lambda rows: rows["compress_us"] + 100)
    pd.testing.assert_frame_equal(prepared(pd.concat([measured, slower]))[0], prepared(measured)[0])


def test_a_wide_table_says_the_same_under_other_names(measured):
    found, report = prepared(wide_table(measured))
    assert report["codecs"][0] == "none" and set(report["codecs"]) == {"none", "lz4", "lzma6", "zstd3"}
    assert report["numbers"] == ["entropy2_cond", "match_rate", "uniq_bytes"]  # no codec: it has no time
    assert len(found) == measured["block"].nunique()


def test_outcomes_of_codecs_that_are_not_chosen_among_are_no_features_either(measured):
    _, report = prepared(wide_table(measured), codecs=["lz4", "zstd3"])
    assert report["codecs"] == ["none", "lz4", "zstd3"]
    assert not [name for name in report["numbers"] if "lzma" in name]
    _, report = prepared(measured.assign(compression_ratio=0.5))
    assert report["columns_that_tell_of_codecs"] == ["compression_ratio"]
    assert "compression_ratio" not in report["numbers"]


@pytest.mark.parametrize("name", ["stored_bytes", "compress_us", "compression_ratio", "sample_us"])
def test_an_outcome_that_is_asked_for_as_a_feature_is_refused(measured, name):
    table = measured.assign(compression_ratio=0.5)
    with pytest.raises(UserError, match=name):
        prepared(table, numbers=["entropy", name])


@pytest.mark.parametrize(
    ("change", "source", "message"),
    [
        (lambda table: table.drop(columns="size"), {}, "size"),
        (lambda table: table.drop(columns="compress_us"), {}, "compress_us"),
        (lambda table: table, {"columns": {"size": "length"}}, "length"),
        (lambda table: table, {"numbers": ["entropi"]}, "entropy"),
        (lambda table: table, {"codecs": ["zstd-9"]}, "zstd-9"),
        (lambda table: table[table["codec"] == "none"], {}, "nothing to choose among"),
        (lambda table: table.assign(lineage="one"), {}, "1 lineages"),
        (lambda table: table.assign(compress_us=np.nan), {}, "nothing to choose among"),
    ],
    ids=["no size", "no time", "unknown name", "unknown statistic", "unknown codec", "only none", "one lineage", "nan"],
)
def test_what_cannot_be_used_is_refused_with_a_reason(measured, change, source, message):
    with pytest.raises(UserError, match=message):
        prepared(change(measured), **source)


def test_incomplete_blocks_rare_codecs_and_odd_values_are_set_aside():
    table = simulate_blocks(10, 10)
    rare = (table["codec"] == "lzma-6") & (table["block"] < f"{60:024x}")
    table.loc[rare, "stored_bytes"] = np.nan
    table.loc[(table["codec"] == "lz4") & (table["block"] == f"{3:024x}"), "compress_us"] = np.nan
    table["zero_share"] = np.nan
    table["constant"] = 1.0
    blocks, codecs, report = clean_blocks(read_blocks(table, BlockSource()), BlockSource())
    assert codecs == ("none", "lz4", "zstd-3") and report["codecs_set_aside"] == ["lzma-6"]
    assert report["blocks_set_aside"] == 1 == 100 - len(blocks)
    assert report["numbers_without_values"] == ["zero_share"] and "constant" in report["numbers"]


def test_without_decompression_times_they_cost_nothing(measured):
    table, report = prepared(measured.drop(columns="decompress_us"))
    assert set(report["codecs_without_decompression_time"]) == {"lz4", "zstd-3", "lzma-6"}
    assert (table["lz4:decompress_us"] == 0).all()


def test_the_schema_names_what_makes_no_sense(measured):
    MeasuredBlocks.validate(measured)
    MeasuredBlocks.validate(wide_table(measured))
    with pytest.raises(UserError, match=r"stored_bytes.*at least 1"):
        MeasuredBlocks.validate(measured.assign(stored_bytes=-1))
