"""The index against a search through everything, however rows came in; on disk and without those that were removed."""

import numpy as np
import pytest

from augury.errors import InputError, UserError
from augury.predictors.band_index import TAIL, BandIndex, Banding
from augury.predictors.block_index import BlockIndex, IndexSettings, digest_of
from augury.predictors.shingle_sketches import SketchRecipe, estimates, sketch_blocks

from .edited_blocks import edited, family, random_block

RECIPE = SketchRecipe(hashes=64)
BANDING = Banding(bands=16, rows=4)
SETTINGS = IndexSettings(sketch=RECIPE, banding=BANDING, threshold=0.3)


@pytest.fixture(scope="module")
def cells():
    """Families of versions, some tiny blocks, and blocks without a shingle."""
    blocks = [block for seed in range(110) for block in family(900, 6, 0.12, seed)]
    blocks += [random_block(size, 1000 + size) for size in range(40)]
    return sketch_blocks(blocks, RECIPE)


def searched_through(index, cells, threshold, removed=()):
    """For every row those that share a key and are similar enough, the best first, of equals the newest."""
    keys = index.keys(cells)
    rows = np.arange(len(cells))
    found = []
    for row in rows:
        shares = (keys == keys[row]).any(axis=1) & (keys[row, 0] != 0)
        shares[list(removed)] = False
        similarity = estimates(cells, np.full(len(cells), row), rows)
        good = np.flatnonzero(shares & (similarity >= np.float32(threshold)))
        found.append(sorted(good.tolist(), key=lambda other: (-similarity[other], -other)))
    return found


def lists(found):
    return [[row for row in rows if row >= 0] for rows in found.rows.tolist()]


def by_ones(cells):
    index = BandIndex(BANDING, 64)
    for row in range(len(cells)):
        index.add(cells[row : row + 1])
    return index


def at_once(cells):
    index = BandIndex(BANDING, 64)
    index.add(cells)
    return index


def in_batches(cells):
    index = BandIndex(BANDING, 64)
    for start in range(0, len(cells), 90):
        index.add(cells[start : start + 90])
    index.compact()
    return index


@pytest.mark.parametrize("build", [by_ones, at_once, in_batches])
def test_the_index_finds_what_a_search_through_everything_finds(build, cells):
    index = build(cells)
    assert len(index) == len(cells)
    found = index.search(cells, 50, 0.3)
    assert lists(found) == searched_through(index, cells, 0.3)
    assert (np.diff(found.similarities, axis=1) <= 0).all()


def test_fewer_results_are_the_first_of_more(cells):
    index = by_ones(cells)
    many, few = index.search(cells, 20, 0.3), index.search(cells, 3, 0.3)
    np.testing.assert_array_equal(many.rows[:, :3], few.rows)


def test_many_small_segments_become_few_large_ones(cells):
    index = BandIndex(BANDING, 64)
    for _ in range(40):
        index.add(cells[:TAIL])
    assert len(index.segments) < 16
    assert len(index) == 40 * TAIL


def test_removed_rows_are_found_no_more_also_after_a_merge(cells, tmp_path):
    removed = {3, 300, len(cells) - 1}
    index = by_ones(cells)
    for row in removed:
        index.remove(row)
    expected = searched_through(index, cells, 0.3, removed)
    assert lists(index.search(cells, 50, 0.3)) == expected
    index.save(tmp_path / "index")
    assert lists(BandIndex.load(tmp_path / "index", BANDING, 64, len(cells)).search(cells, 50, 0.3)) == expected
    index.compact()
    assert lists(index.search(cells, 50, 0.3)) == expected


def test_blocks_with_a_common_key_are_compared_up_to_the_limit_the_newest_first(cells):
    index = BandIndex(Banding(bands=16, rows=4, bucket_limit=5), 64)
    same = np.repeat(cells[:1], 400, axis=0)
    index.add(same)
    found = index.search(cells[:1], 10, 0.5)
    assert found.rows[0].tolist()[:5] == [399, 398, 397, 396, 395]
    assert found.candidates.tolist() == [5]


def test_a_pair_is_found_as_often_as_the_curve_says():
    """Against chance: 300 pairs of one similarity, and bands that find it sometimes."""
    recipe, banding = SketchRecipe(hashes=256), Banding(bands=8, rows=4)
    blocks = [
        block
        for seed in range(300)
        for block in (random_block(2000, seed), edited(random_block(2000, seed), 0.3, seed))
    ]
    cells = sketch_blocks(blocks, recipe)
    keys = BandIndex(banding, 256).keys(cells)
    share = (keys[::2] == keys[1::2]).any(axis=1).mean()
    jaccard = 0.7 / 1.3
    expected = float(banding.probability(jaccard))
    assert share == pytest.approx(expected, abs=5 * np.sqrt(expected * (1 - expected) / 300))


def test_bands_that_need_more_cells_than_there_are_are_refused():
    with pytest.raises(UserError, match="20 bands of 4 rows need 80 cells, but a sketch has 64"):
        BandIndex(Banding(bands=20, rows=4), 64)


# --- blocks by name ---


@pytest.fixture
def versions():
    return {f"v{number}": block for number, block in enumerate(family(3000, 5, 0.05, 1))}


def test_an_identical_block_comes_first_and_says_so(versions):
    index = BlockIndex.build(versions.items(), SETTINGS)
    matches = index.find_similar(versions["v2"], 3)
    assert matches[0].block == "v2"
    assert [match.identical for match in matches] == [True, False, False]
    assert index.find_similar(random_block(3000, 99)) == []


def test_a_block_without_a_shingle_is_found_by_its_digest_alone():
    index = BlockIndex.build([("empty", b""), ("tiny", b"abc")], SETTINGS)
    assert [match.block for match in index.find_similar(b"abc")] == ["tiny"]
    assert index.find_similar(b"abcd") == []


def test_a_block_that_repeats_one_byte_resembles_a_longer_one_without_being_it():
    index = BlockIndex.build([("zeros", bytes(5000))], SETTINGS)
    assert index.find_similar(bytes(9000)) == [("zeros", 1.0, False)]


def test_adding_one_by_one_equals_building(versions):
    built = BlockIndex.build(versions.items(), SETTINGS)
    added = BlockIndex(SETTINGS)
    for name, block in versions.items():
        added.add([name], [block])
    for block in versions.values():
        assert added.find_similar(block) == built.find_similar(block)


def test_of_identical_blocks_one_remains_when_the_other_is_removed():
    index = BlockIndex.build([("one", bytes(100)), ("two", bytes(100))], SETTINGS)
    index.remove("two")
    assert [match.block for match in index.find_similar(bytes(100))] == ["one"]
    assert "two" not in index
    assert len(index) == 1
    with pytest.raises(InputError, match="no block 'two'"):
        index.remove("two")
    index.add(["two"], [b"something else"])
    assert "two" in index


def test_a_name_is_given_once(versions):
    index = BlockIndex.build(versions.items(), SETTINGS)
    with pytest.raises(InputError, match="'v1' is there already"):
        index.add(["v1"], [b"other"])
    with pytest.raises(InputError, match="'w' is there already"):
        index.add(["w", "w"], [b"1", b"2"])


def test_an_index_on_disk_answers_the_same_and_grows_without_being_rewritten(versions, tmp_path):
    place = tmp_path / "index"
    index = BlockIndex.build(versions.items(), SETTINGS)
    index.remove("v0")
    index.save(place)
    first = {path: path.stat().st_mtime_ns for path in place.rglob("cells.npy")}
    loaded = BlockIndex.load(place)
    assert isinstance(loaded.bands.segments[0].cells, np.memmap)
    more = random_block(3000, 50)
    loaded.add(["more"], [more])
    loaded.save(place)
    assert {path: path.stat().st_mtime_ns for path in first} == first
    again = BlockIndex.load(place)
    assert len(again) == 5
    assert "v0" not in again
    assert again.find_similar(more)[0] == ("more", 1.0, True)
    assert again.find_similar(versions["v1"]) == index.find_similar(versions["v1"])


def test_merged_segments_leave_the_disk(versions, tmp_path):
    index = BlockIndex(SETTINGS)
    for name, block in versions.items():
        index.add([name], [block])
        index.save(tmp_path / "index")
    index.bands.compact()
    index.save(tmp_path / "index")
    assert len(list((tmp_path / "index").glob("segment-*"))) == 1
    assert len(BlockIndex.load(tmp_path / "index").find_similar(versions["v1"])) == 5


@pytest.mark.parametrize("name", ["index.json", "names.jsonl", "digests.npy", "removed.npy", "keys.npy", "cells.npy"])
def test_half_an_index_is_refused(name, versions, tmp_path):
    BlockIndex.build(versions.items(), SETTINGS).save(tmp_path / "index")
    (path,) = (tmp_path / "index").rglob(name)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(UserError, match="index"):
        BlockIndex.load(tmp_path / "index")
    path.unlink()
    with pytest.raises(UserError, match="missing"):
        BlockIndex.load(tmp_path / "index")


def test_a_digest_depends_on_the_key():
    assert digest_of(b"content", 1) != digest_of(b"content", 2)
    assert len(digest_of(b"")) == 24
