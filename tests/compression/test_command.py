"""`python -m augury predict compression`: a file in, a codec for each of its blocks out."""

import json

import pytest
from click.testing import CliRunner

from augury.commands.compression import command
from augury.errors import UserError


@pytest.fixture
def model(trained, tmp_path):
    trained.predictor.save(tmp_path / "model")
    return str(tmp_path / "model")


def test_a_file_is_summed_up_and_its_blocks_are_listed(model, tmp_path):
    path = tmp_path / "log.txt"
    path.write_bytes(b"GET /index.html 200\n" * 9000)
    empty = tmp_path / "empty"
    empty.write_bytes(b"")
    found = CliRunner().invoke(command, [str(path), str(empty), "--link-mbps", "10", "--model", model])
    assert found.exit_code == 0, found.output
    assert "log.txt: 3 blocks, 180,000 bytes" in found.output and "empty: empty" in found.output
    listed = CliRunner().invoke(command, [str(path), "--link-mbps", "10", "--model", model, "--json"])
    rows = [json.loads(line) for line in listed.output.splitlines()]
    assert [row["size"] for row in rows] == [65536, 65536, 48928]
    assert all(row["codec"] in ("none", "lz4", "zstd-3", "lzma-6") for row in rows)


def test_a_model_of_other_statistics_is_refused(model, tmp_path, monkeypatch):
    from augury.commands import compression

    monkeypatch.setattr(compression, "STATISTICS", {})
    path = tmp_path / "file"
    path.write_bytes(b"x" * 100)
    found = CliRunner().invoke(command, [str(path), "--link-mbps", "10", "--model", model])
    assert isinstance(found.exception, UserError) and "statistics" in str(found.exception)
