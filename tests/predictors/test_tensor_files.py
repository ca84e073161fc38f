from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from augury.errors import UserError
from augury.predictors.tensor_files import read_tensors, write_tensors

TENSORS = {
    "numbers": np.arange(7, dtype=np.int64),
    "turned": np.arange(6, dtype=np.float32).reshape(2, 3).T,
    "none": np.empty((0, 4)),
}


@pytest.fixture
def path(tmp_path):
    write_tensors(tmp_path / "some.safetensors", TENSORS)
    return tmp_path / "some.safetensors"


def test_what_is_written_is_read_again_and_by_any_reader_of_the_format(path):
    for found in (read_tensors(path, ["none", "turned"]), load_file(path)):
        assert set(found) == set(TENSORS)
        for name, value in TENSORS.items():
            np.testing.assert_array_equal(found[name], value)
            assert found[name].dtype == value.dtype


def test_what_was_read_is_ones_own(path):
    found = read_tensors(path)
    found["numbers"][0] = 9
    assert read_tensors(path)["numbers"][0] == 0


@pytest.mark.parametrize("content", [b"", b"{}", b"\x10\x00\x00\x00\x00\x00\x00\x00half a file", b"\xff" * 40])
def test_a_damaged_file_is_named(path, content):
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"some\.safetensors' is damaged: "):
        read_tensors(path)


def test_a_file_that_was_cut_off_is_damaged(path):
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(UserError, match="is damaged"):
        read_tensors(path)


def test_a_missing_name_is_told(path):
    with pytest.raises(UserError, match=r"some\.safetensors' is damaged: it holds no 'weight'\."):
        read_tensors(path, ("numbers", "weight", "bias"))


def test_a_missing_file_is_told_apart(tmp_path: Path):
    with pytest.raises(FileNotFoundError, match="absent"):
        read_tensors(tmp_path / "absent.safetensors")
