"""Versions of files: edits like those of people, measured without keeping content; the committed sample."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from augury.errors import UserError
from augury.pipelines.collection.block_sketches import DeduplicationCollection, collect_blocks
from augury.pipelines.collection.file_versions import EDITS, edited_versions
from augury.predictors.delta_compression import plain
from augury.predictors.shingle_sketches import SketchRecipe, decode, estimates

RAW = Path(__file__).parents[2] / "data" / "01_raw" / "deduplication"
SKETCH = SketchRecipe()
WORDS = ["alpha", "beta", "gamma", "delta", "epsilon", "value", "result", "index"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Eight small modules in two folders; two of them are the same."""
    place = tmp_path_factory.mktemp("files")
    random = np.random.default_rng(0)
    for number in range(8):
        lines = [f"{random.choice(WORDS)}_{random.integers(99)} = {random.integers(9999)}\n" for _ in range(80)]
        target = place / f"part{number % 2}" / f"module{number}.py"
        target.parent.mkdir(exist_ok=True)
        target.write_text("SECRET = 'confidential'\n" + "".join(lines))
    (place / "part0" / "copy.py").write_bytes((place / "part0" / "module0.py").read_bytes())
    return place


def collection(folder, **changes):
    settings = {
        "folder": str(folder), "suffixes": (".py",), "least_bytes": 0, "most_bytes": 10_000, "lineages": 5,
        "most_versions": 6, "folders": 2, "files_per_folder": 8,
    }  # fmt: skip
    return DeduplicationCollection(**settings | changes)


@pytest.fixture(scope="module")
def measured(folder):
    return collect_blocks(collection(folder), SKETCH, 3)


def test_the_same_seed_makes_the_same_blocks_and_another_one_others(folder, measured):
    columns = ["block", "lineage", "ts", "size", "digest", "sketch", "plain_bytes", "previous_bytes"]
    again = collect_blocks(collection(folder), SKETCH, 3)[0]
    pd.testing.assert_frame_equal(measured[0][columns], again[columns])
    assert collect_blocks(collection(folder), SKETCH, 4)[0]["digest"].tolist() != measured[0]["digest"].tolist()


def test_no_content_is_kept(measured, folder):
    blocks, pairs = measured
    told = json.dumps([blocks.to_dict("list"), pairs.astype(object).where(pairs.notna(), None).to_dict("list")])
    for word in ("confidential", "SECRET", "alpha", "module", "part0", str(folder)):
        assert word not in told


def test_blocks_and_pairs_say_what_they_should(measured):
    blocks, pairs = measured
    assert blocks["ts"].is_monotonic_increasing
    assert blocks["ts"].is_unique
    assert blocks["digest"].duplicated().any()  # of the copy
    places = pd.Series(range(len(blocks)), index=blocks["block"])
    rows, references = places.loc[pairs["block"]].to_numpy(), places.loc[pairs["reference"]].to_numpy()
    assert (references < rows).all()
    cells = decode(blocks["sketch"].tolist(), SKETCH.cells)
    assert np.abs(estimates(cells, rows, references) - pairs["jaccard"]).mean() < 0.05
    same = blocks["digest"].to_numpy()[rows] == blocks["digest"].to_numpy()[references]
    assert (pairs["jaccard"][same] == 1).all()
    close = pairs[pairs["jaccard"] > 0.9].merge(blocks[["block", "plain_bytes"]], on="block")
    assert (close["delta_bytes"] < 0.6 * close["plain_bytes"]).all()


def test_versions_change_step_by_step_and_stay_related(folder):
    path, donor = sorted(folder.rglob("*.py"))[:2]
    versions = list(edited_versions(path, donor, 12, np.random.default_rng(1)))
    texts = [version.content for version in versions if version.kind == "source"]
    assert texts[0] == path.read_bytes()
    assert len(set(texts)) > 8
    together = len(plain(b"".join(texts)))
    assert together < 0.6 * sum(len(plain(text)) for text in texts)


@pytest.mark.parametrize("edit", EDITS, ids=lambda edit: edit.__name__.strip("_"))
def test_an_edit_keeps_most_lines_of_a_long_text_and_survives_an_empty_one(edit):
    lines = [f"name_{number} = {number}\n" for number in range(100)]
    found = edit(lines, ["other\n"] * 50, 5, np.random.default_rng(2))
    assert len(set(lines) & set(found)) >= 90
    edit([], [], 3, np.random.default_rng(2))


def test_files_that_are_not_there_are_a_mistake(folder):
    with pytest.raises(UserError, match=r"collection.folder': there is no folder 'nowhere'"):
        collect_blocks(collection("nowhere"), SKETCH, 1)
    with pytest.raises(UserError, match=r"no file that ends in .exe"):
        collect_blocks(collection(folder, suffixes=(".exe",)), SKETCH, 1)


def test_the_committed_sample_is_of_the_recipe_in_force_and_small():
    blocks, pairs = (pd.read_parquet(RAW / f"{name}.parquet") for name in ("sketches", "pairs"))
    decode(blocks["sketch"].tolist(), SKETCH.cells)
    assert len(blocks) > 2000
    assert set(pairs["block"]) | set(pairs["reference"]) <= set(blocks["block"])
    assert sum(path.stat().st_size for path in RAW.glob("*.parquet")) < 1_500_000
    assert blocks["block"].str.fullmatch("[0-9a-f]{24}").all()
