"""A predictor as a catalog entry: local, versioned, on an object store, and after a crash."""

import fsspec
import pandas as pd
import pytest
from kedro.io import DataCatalog, DatasetError
from kedro.io.core import Version

from augury.datasets.predictor_dataset import POINTER, PredictorDataset
from augury.predictors.contract import METADATA_FILE


@pytest.fixture
def predictor(pdf_predictors):
    return pdf_predictors["physics_trees"]


@pytest.fixture
def other(pdf_predictors):
    return pdf_predictors["original"]


@pytest.fixture
def store():
    """A folder of the in-memory store, which all tests of a process share."""
    yield "memory://models/pdf_memory"
    fsspec.filesystem("memory").store.clear()


@pytest.fixture(params=["local", "store"])
def filepath(request, tmp_path):
    return request.getfixturevalue("store") if request.param == "store" else str(tmp_path / "06_models" / "pdf_memory")


def assert_same(loaded, predictor, pdf_features):
    assert loaded.metadata == predictor.metadata
    rows = pdf_features.holdout.head(5)
    pd.testing.assert_frame_equal(loaded.predict(rows), predictor.predict(rows), check_exact=True)


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_a_predictor_survives_the_round_trip(filepath, predictor, pdf_features):
    dataset = PredictorDataset(filepath=filepath)
    assert not dataset.exists()
    dataset.save(predictor)
    assert dataset.exists()
    assert_same(PredictorDataset(filepath=filepath).load(), predictor, pdf_features)


def test_a_second_save_replaces_the_first(filepath, predictor, other, pdf_features):
    dataset = PredictorDataset(filepath=filepath)
    dataset.save(predictor)
    dataset.save(other)
    assert_same(dataset.load(), other, pdf_features)


def test_the_catalog_makes_it(tmp_path, predictor, pdf_features):
    entry = {
        "type": "augury.datasets.predictor_dataset.PredictorDataset",
        "filepath": str(tmp_path / "model"),
        "metadata": {"kedro-viz": {"layer": "models"}},
    }
    catalog = DataCatalog.from_config({"pdf_memory.predictor": entry})
    catalog.save("pdf_memory.predictor", predictor)
    assert_same(catalog.load("pdf_memory.predictor"), predictor, pdf_features)


# --- versions ---


def test_versions_live_side_by_side(filepath, predictor, other, pdf_features):
    assert not PredictorDataset(filepath=filepath, version=Version(None, None)).exists()
    for when, saved in (("2026-01-01T00.00.00.000Z", predictor), ("2026-01-02T00.00.00.000Z", other)):
        PredictorDataset(filepath=filepath, version=Version(None, when)).save(saved)
    newest = PredictorDataset(filepath=filepath, version=Version(None, None))
    assert newest.exists()
    assert_same(newest.load(), other, pdf_features)
    first = PredictorDataset(filepath=filepath, version=Version("2026-01-01T00.00.00.000Z", None))
    assert_same(first.load(), predictor, pdf_features)


def test_a_version_is_written_once(tmp_path, predictor):
    version = Version(None, "2026-01-01T00.00.00.000Z")
    PredictorDataset(filepath=str(tmp_path / "model"), version=version).save(predictor)
    with pytest.raises(DatasetError, match=r"must not exist|already exists"):
        PredictorDataset(filepath=str(tmp_path / "model"), version=version).save(predictor)


# --- what a crash leaves ---


def test_a_replacement_that_was_interrupted_still_loads(tmp_path, predictor, other, pdf_features):
    dataset = PredictorDataset(filepath=str(tmp_path / "model"))
    dataset.save(predictor)
    (tmp_path / "model").rename(tmp_path / ".model.old")  # killed after the first of two renames
    assert dataset.exists()
    assert_same(dataset.load(), predictor, pdf_features)
    dataset.save(other)
    assert_same(dataset.load(), other, pdf_features)
    assert names(tmp_path) == ["model"]


def test_what_killed_saves_left_is_ignored(tmp_path, predictor, other, pdf_features):
    dataset = PredictorDataset(filepath=str(tmp_path / "model"))
    dataset.save(predictor)
    other.save(tmp_path / ".model.old")  # killed before the clean-up
    (tmp_path / ".model.new-abc").mkdir()  # killed while writing
    (tmp_path / ".model.new-abc" / METADATA_FILE).write_text("{")
    assert_same(dataset.load(), predictor, pdf_features)
    dataset.save(predictor)
    assert_same(dataset.load(), predictor, pdf_features)


def test_only_a_half_written_sibling_is_no_predictor(tmp_path):
    (tmp_path / ".model.new-abc").mkdir()
    (tmp_path / ".model.new-abc" / METADATA_FILE).write_text("{}")
    assert not PredictorDataset(filepath=str(tmp_path / "model")).exists()


def test_on_a_store_the_pointer_says_which_generation_is_whole(store, predictor, other, pdf_features):
    dataset = PredictorDataset(filepath=store)
    dataset.save(predictor)
    filesystem = fsspec.filesystem("memory")
    (pointer,) = [path for path in filesystem.find("/") if path.endswith(f"/{POINTER}")]
    folder = pointer.removesuffix(f"/{POINTER}")
    # Killed while it uploaded the next generation: the pointer still names the old one
    filesystem.pipe_file(f"{folder}/0123456789abcdef/{METADATA_FILE}", b"{")
    assert_same(dataset.load(), predictor, pdf_features)
    dataset.save(other)
    current = filesystem.cat_file(pointer).decode()
    kept = {path.removeprefix(f"{folder}/").split("/")[0] for path in filesystem.find(folder)}
    # The generation that was replaced is gone
    assert kept == {POINTER, current, "0123456789abcdef"}


# --- mistakes ---


@pytest.mark.parametrize("data", [{"a": 1}, pd.DataFrame({"a": [1]}), "predictor"], ids=["dict", "frame", "text"])
def test_anything_else_is_refused(tmp_path, data):
    with pytest.raises(DatasetError, match=f"saves a Predictor, not {type(data).__name__}"):
        PredictorDataset(filepath=str(tmp_path / "model")).save(data)
    assert names(tmp_path) == []


@pytest.mark.parametrize("prepare", [lambda path: None, lambda path: path.mkdir()], ids=["absent", "empty"])
def test_what_is_not_there_is_said_in_one_clear_message(tmp_path, prepare):
    prepare(tmp_path / "model")
    with pytest.raises(DatasetError) as caught:
        PredictorDataset(filepath=str(tmp_path / "model"), predictor="prefetch").load()
    message = str(caught.value)
    assert "holds no trained predictor" in message
    assert "kedro run --pipelines=training --namespaces=prefetch" in message
    assert "Traceback" not in message
    assert len(message.splitlines()) <= 4


def test_an_empty_store_is_said_in_one_clear_message(store):
    with pytest.raises(DatasetError, match="holds no trained predictor"):
        PredictorDataset(filepath=store).load()
