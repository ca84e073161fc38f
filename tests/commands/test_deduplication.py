"""`python -m augury predict deduplication`: files among each other and in an index that grows and shrinks."""

import json

import pytest
from click.testing import CliRunner

from augury.commands import deduplication
from augury.errors import UserError
from augury.predictors.block_index import BlockIndex

from ..predictors.edited_blocks import family, random_block


@pytest.fixture
def files(tmp_path):
    place = tmp_path / "files"
    place.mkdir()
    for number, block in enumerate(family(5000, 3, 0.05, 4)):
        (place / f"v{number}").write_bytes(block)
    (place / "w copy of v2").write_bytes((place / "v2").read_bytes())
    (place / "x alone").write_bytes(random_block(3000, 5))
    (place / "y empty").write_bytes(b"")
    return place


@pytest.fixture(autouse=True)
def _default_settings(monkeypatch):
    """No model needs to be trained: the settings are the defaults."""
    monkeypatch.setattr(deduplication, "_settings", lambda model: None)


def run(*arguments):
    result = CliRunner().invoke(deduplication.command, [str(part) for part in arguments], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


def answers(*arguments):
    return {line["file"].rsplit("/", 1)[-1]: line for line in map(json.loads, run(*arguments, "--json").splitlines())}


def test_files_are_looked_up_among_those_before_them(files):
    found = answers(files)
    assert [len(answer["matches"]) for answer in found.values()] == [0, 1, 2, 3, 0, 0]
    best = found["v1"]["matches"][0]
    assert best["block"].endswith("/v0")
    assert 0.8 < best["similarity"] < 1
    assert best["delta_bytes"] < 0.2 * found["v1"]["zstd_bytes"]
    assert found["w copy of v2"]["matches"][0] | {"block": ""} == {
        "block": "", "similarity": 1.0, "identical": True, "delta_bytes": 0,
    }  # fmt: skip


def test_an_index_is_made_asked_and_changed(files, tmp_path):
    index = tmp_path / "index"
    assert "identical" in run(files, "--index", index, "--add")
    assert len(BlockIndex.load(index)) == 6
    asked = answers(files / "v1", "--index", index, "--top-k", 1)["v1"]
    assert len(asked["matches"]) == 1
    assert not asked["matches"][0]["block"].endswith("/v1")
    (files / "v1").write_bytes(random_block(4000, 9))
    run(files / "v1", "--index", index, "--add")  # another content in its place
    assert len(BlockIndex.load(index)) == 6
    assert not answers(files / "v1", "--index", index)["v1"]["matches"]
    (files / "v0").unlink()
    assert "5 are left" in run(files / "v0", "--index", index, "--remove")
    table = run(files / "v2", "--index", index)
    assert "w copy of v2: identical, 0 bytes as a difference" in table
    assert "resembles nothing" in run(files / "y empty", "--index", index)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["missing file"], "no file 'missing file'"),
        ([".", "--add"], "go with --index"),
        ([".", "--index", "none"], "holds no index"),
        ([".", "--index", "none", "--add", "--remove"], "exclude each other"),
    ],
)
def test_mistakes_are_answered_in_a_line(arguments, message):
    with pytest.raises(UserError, match=message):
        run(*arguments)
