"""How far a training has come, as a catalog entry; what trainings make of it is tested in tests/model_training."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from kedro.io import DataCatalog, DatasetError

from augury.checkpointing import NoCheckpoints, fingerprint_of
from augury.datasets.training_checkpoints import FileCheckpoints, TrainingCheckpointsDataset
from augury.errors import UserError

STATE = {"epoch": 2, "best": 0.5, "note": "ä"}
TENSORS = {
    "weight": np.arange(6, dtype="float32").reshape(2, 3),
    "random": np.arange(5, dtype="uint8"),
    "step": np.array(7),
}


@pytest.fixture
def path(tmp_path):
    return tmp_path / "cats" / "checkpoint.safetensors"


def test_the_catalog_makes_it_and_loading_writes_nothing(path):
    configuration = {"type": "augury.datasets.training_checkpoints.TrainingCheckpointsDataset", "filepath": str(path)}
    catalog = DataCatalog.from_config({"cats.training_checkpoints": configuration})
    handle = catalog.load("cats.training_checkpoints")
    assert handle.load("a") is None
    assert not path.parent.exists()
    handle.save("a", TENSORS, STATE)
    assert catalog.exists("cats.training_checkpoints")
    handle.clear()
    handle.clear()
    assert handle.load("a") is None


@settings(max_examples=20, deadline=None)
@given(
    tensor=arrays.arrays(
        st.sampled_from(["float32", "float64", "int64", "uint8"]),
        arrays.array_shapes(min_dims=0, max_dims=3, min_side=0),
    )
)
def test_what_was_saved_comes_back_bit_for_bit(tensor, tmp_path_factory):
    handle = FileCheckpoints(tmp_path_factory.mktemp("round") / "checkpoint.safetensors")
    handle.save("a", {"x": tensor, **TENSORS}, STATE)
    found = handle.load("a")
    assert found.state == STATE
    assert set(found.tensors) == {"x", *TENSORS}
    for name, expected in {"x": tensor, **TENSORS}.items():
        assert found.tensors[name].dtype == expected.dtype
        assert found.tensors[name].shape == expected.shape
        assert found.tensors[name].tobytes() == expected.tobytes()


def test_of_another_training_nothing_is_taken(path):
    handle = FileCheckpoints(path)
    handle.save("a", TENSORS, STATE)
    assert handle.load("b") is None
    assert handle.load("a") is not None


@pytest.mark.parametrize("cut", [0, 4, 20, 200, -1])
def test_half_a_file_is_a_clear_error_that_says_how_to_begin_anew(path, cut):
    handle = FileCheckpoints(path)
    handle.save("a", TENSORS, STATE)
    path.write_bytes(path.read_bytes()[:cut])
    with pytest.raises(UserError, match=r"is damaged: .*delete the file.*--params=cats\.model\.resume=false"):
        handle.load("a")


def test_a_single_changed_byte_is_noticed_whichever_it_is(path):
    handle = FileCheckpoints(path)
    handle.save("a", TENSORS, STATE)
    whole = path.read_bytes()
    for place in range(0, len(whole), 7):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        try:
            found = handle.load("a")
        except UserError:
            continue
        assert found is None  # the byte was in the fingerprint: another training


def test_a_failed_save_leaves_the_old_checkpoint(path):
    handle = FileCheckpoints(path)
    handle.save("a", TENSORS, STATE)
    with pytest.raises(TypeError):
        handle.save("a", TENSORS, {"no json": object()})
    assert handle.load("a").state == STATE
    assert [file.name for file in path.parent.iterdir()] == [path.name]


def test_on_an_object_store_nothing_is_kept():
    handle = TrainingCheckpointsDataset(filepath="memory://models/checkpoint.safetensors").load()
    handle.save("a", TENSORS, STATE)
    assert handle.load("a") is None


def test_nothing_is_saved_through_the_entry_itself(path):
    with pytest.raises(DatasetError, match="through the handle"):
        TrainingCheckpointsDataset(filepath=str(path)).save({})


def test_a_fingerprint_changes_with_data_shape_type_and_settings():
    base = fingerprint_of({"x": np.zeros(4)}, {"seed": 1})
    assert fingerprint_of({"x": np.zeros(4)}, {"seed": 1}) == base
    others = [
        fingerprint_of({"x": np.ones(4)}, {"seed": 1}),
        fingerprint_of({"x": np.zeros((2, 2))}, {"seed": 1}),
        fingerprint_of({"x": np.zeros(8, dtype="float32")}, {"seed": 1}),
        fingerprint_of({"y": np.zeros(4)}, {"seed": 1}),
        fingerprint_of({"x": np.zeros(4)}, {"seed": 2}),
    ]
    assert len({base, *others}) == 6


def test_no_checkpoints_remember_nothing():
    nothing = NoCheckpoints()
    nothing.save("a", TENSORS, STATE)
    assert nothing.load("a") is None
    nothing.clear()
