"""Collection measures blocks of real files once each, keeps no bytes of them, and says when it cannot."""

import os

import numpy as np
import pytest

from augury.errors import UserError
from augury.pipelines.collection.block_files import BlockFiles, find_blocks, lineage_of
from augury.pipelines.collection.block_measurement import CompressionCollection, Timing, measure_blocks, shortest_us
from augury.pipelines.collection.dictionary_measurement import DictionaryCollection, measure_dictionaries
from augury.predictors.block_statistics import STATISTICS, sample_bytes


@pytest.fixture
def root(tmp_path):
    rng = np.random.default_rng(1)
    for package in range(12):
        folder = tmp_path / f"package{'abcdefghijkl'[package]}-{package}.0"
        folder.mkdir()
        words = rng.choice(["alpha", "beta", "gamma", "delta", str(package)], 4000)
        (folder / "text.txt").write_text(" ".join(words))
        (folder / "noise.bin").write_bytes(rng.integers(0, 256, 9000, dtype=np.uint8).tobytes())
    (tmp_path / "copy").mkdir()
    (tmp_path / "copy" / "same.txt").write_bytes((tmp_path / "packagea-0.0" / "text.txt").read_bytes())
    (tmp_path / "copy" / "link").symlink_to(tmp_path / "packageb-1.0" / "text.txt")
    return tmp_path


def files(root, **changes):
    return BlockFiles(roots=(str(root),), own_libraries=False, block_sizes=(65536,), **changes)


def test_blocks_are_distinct_repeatable_and_few_of_a_folder(root):
    found = list(find_blocks(files(root), 1))
    assert len(found) == 24 == len({block.content for block in found})
    assert [block.identifier for block in found] == [block.identifier for block in find_blocks(files(root), 1)]
    assert {block.identifier for block in find_blocks(files(root), 2)}.isdisjoint({b.identifier for b in found})
    assert len(list(find_blocks(files(root, per_directory=1), 1))) <= 13
    assert len(list(find_blocks(files(root, per_lineage=1), 1))) <= 13
    assert len(list(find_blocks(files(root, blocks=3), 1))) == 3


@pytest.mark.parametrize(
    ("path", "lineage"),
    [
        ("lib/python3.11/site-packages/numpy/core/a.py", "numpy"),
        ("lib/python3.12/site-packages/numpy-2.1.dist-info/RECORD", "numpy"),
        ("lib/python3.11/json/__pycache__/decoder.cpython-311.pyc", "json"),
        ("doc/x/readme", "doc"),
        ("libfoo.so.1.2", "libfoo"),
        ("2024", "files"),
    ],
)
def test_versions_of_a_package_are_one_lineage(path, lineage):
    assert lineage_of(path) == lineage


def test_every_codec_is_measured_on_every_block_and_no_bytes_are_kept(root):
    settings = CompressionCollection(files=files(root, blocks=4), codecs=("lz4", "zlib-1"), timing=Timing(repeats=1))
    table = measure_blocks(settings, 1)
    assert len(table) == 4 * 3 and table.groupby("block")["codec"].nunique().eq(3).all()
    assert (table.loc[table["codec"] == "none", "stored_bytes"] == table.loc[table["codec"] == "none", "size"]).all()
    assert (table[["compress_us", "decompress_us"]].to_numpy() >= 0).all()
    texts = table.select_dtypes("object")
    assert texts.map(len).max().max() <= 24
    # The statistics are those that serving computes
    contents = {block.identifier: block.content for block in find_blocks(settings.files, 1)}
    served = sample_bytes([contents[name] for name in table["block"]])
    np.testing.assert_allclose(table[list(STATISTICS)], served[list(STATISTICS)], rtol=1e-3)


def test_a_missing_folder_and_a_busy_machine_are_refused(root, monkeypatch):
    with pytest.raises(UserError, match="no folder"):
        list(find_blocks(files(root / "absent"), 1))
    with pytest.raises(UserError, match="no file of"):
        list(find_blocks(files(root, least_bytes=10**9), 1))
    monkeypatch.setattr(os, "getloadavg", lambda: (1000.0, 0.0, 0.0))
    busy = CompressionCollection(files=files(root), codecs=("lz4",), timing=Timing(most_load=0.5, patience_s=0))
    with pytest.raises(UserError, match="most_load"):
        measure_blocks(busy, 1)


def test_the_shortest_time_counts():
    assert shortest_us(lambda: None, Timing(repeats=3)) < 1000


def test_dictionaries_are_measured_on_other_lineages(root):
    settings = DictionaryCollection(
        files=BlockFiles(roots=(str(root),), own_libraries=False, block_sizes=(2048,), least_bytes=512),
        clusters=1, dictionary_bytes=2048, holdout_share=0.4,
    )  # fmt: skip
    found, gains = measure_dictionaries(settings, 3)
    assert len(found.present) == 1 and set(gains) >= {"plain_bytes", "single_bytes", "clustered_bytes", "lineage"}
    with pytest.raises(UserError, match="too few"):
        measure_dictionaries(settings.model_copy(update={"clusters": 50}), 3)
