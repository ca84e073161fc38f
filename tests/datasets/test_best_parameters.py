"""Tuned parameters as a catalog entry: the round trip, and life beside a predictor that is replaced."""

import multiprocessing

import fsspec
import pytest
from kedro.io import DataCatalog, DatasetError

from augury.datasets.best_parameters import BestParametersDataset
from augury.datasets.predictor_dataset import PredictorDataset
from augury.predictors import load_predictor
from augury.predictors.contract import NEIGHBOURS

from concurrent_writers import SAVES, train, tune

BEST = {"parameters": {"trees.depth": 7, "trees.rate": 0.1 + 0.2, "trees.kind": "dart"}, "score": 0.3591, "trial": 12}


@pytest.fixture
def model(tmp_path):
    """Folder of a predictor."""
    return tmp_path / "06_models" / "pdf_memory"


@pytest.fixture
def predictor(pdf_predictors):
    return pdf_predictors["physics_trees"]


def entry(model):
    return BestParametersDataset(filepath=str(model / "best_params.yml"))


@pytest.mark.parametrize("where", ["local", "store"])
def test_the_round_trip_keeps_every_digit(where, model):
    path = str(model / "best_params.yml") if where == "local" else "memory://models/pdf_memory/best_params.yml"
    dataset = BestParametersDataset(filepath=path)
    assert not dataset.exists()
    assert dataset.load() == {}
    dataset.save(BEST)
    dataset.save(BEST | {"trial": 13})
    assert dataset.exists()
    assert BestParametersDataset(filepath=path).load() == BEST | {"trial": 13}
    fsspec.filesystem("memory").store.clear()


def test_the_catalog_makes_it(model):
    configuration = {
        "type": "augury.datasets.best_parameters.BestParametersDataset",
        "filepath": str(model / "best_params.yml"),
        "metadata": {"kedro-viz": {"layer": "models"}},
    }
    catalog = DataCatalog.from_config({"pdf_memory.best_params": configuration})
    catalog.save("pdf_memory.best_params", BEST)
    assert catalog.load("pdf_memory.best_params") == BEST
    text = (model / "best_params.yml").read_text()
    assert text.startswith("# What tuning found.")
    assert "trees.depth: 7" in text


@pytest.mark.parametrize(
    ("text", "message"), [("{", "is not YAML"), ("- 1", "holds a list"), (b"\xff\xfe\x00", "is not YAML")]
)
def test_what_is_no_mapping_is_refused(model, text, message):
    model.mkdir(parents=True)
    (model / "best_params.yml").write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(DatasetError, match=message):
        entry(model).load()


def test_an_empty_file_is_no_parameters(model):
    model.mkdir(parents=True)
    (model / "best_params.yml").write_text("# nothing\n")
    assert entry(model).load() == {}


# --- beside a predictor ---


def test_a_training_keeps_them(model, predictor, pdf_predictors):
    assert "best_params.yml" in NEIGHBOURS
    entry(model).save(BEST)  # tuned before the first training
    dataset = PredictorDataset(filepath=str(model))
    assert not dataset.exists()
    dataset.save(predictor)
    assert entry(model).load() == BEST
    dataset.save(pdf_predictors["original"])
    assert entry(model).load() == BEST
    assert dataset.load().metadata == pdf_predictors["original"].metadata
    assert sorted(path.name for path in model.parent.iterdir()) == ["pdf_memory"]


def test_other_files_beside_a_predictor_do_not_survive(model, predictor):
    model.mkdir(parents=True)
    (model / "stale.bin").write_bytes(b"of an earlier layout")
    predictor.save(model)
    assert not (model / "stale.bin").exists()


def test_parameters_are_saved_where_a_training_died_between_two_renames(model, predictor):
    predictor.save(model)
    entry(model).save(BEST)
    model.rename(model.with_name(f".{model.name}.old"))
    assert entry(model).load() == BEST
    entry(model).save(BEST | {"trial": 13})
    assert load_predictor(model).metadata == predictor.metadata  # still found
    predictor.save(model)
    assert entry(model).load() == BEST | {"trial": 13}
    assert sorted(path.name for path in model.parent.iterdir()) == ["pdf_memory"]


def test_trainings_and_tunings_at_once_leave_whole_models_and_the_last_parameters(model, pdf_predictors, tmp_path):
    sources = []
    for name, predictor in pdf_predictors.items():
        sources.append(tmp_path / "sources" / name)
        predictor.save(sources[-1])
    pdf_predictors["physics_trees"].save(model)
    processes = multiprocessing.get_context("spawn")
    together = processes.Barrier(3)
    writers = [processes.Process(target=train, args=(source, model, together)) for source in sources]
    writers.append(processes.Process(target=tune, args=(model, together)))
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert [writer.exitcode for writer in writers] == [0, 0, 0]
    loaded = load_predictor(model)  # compares every file with its digest
    assert loaded.metadata in [predictor.metadata for predictor in pdf_predictors.values()]
    assert entry(model).load() == {"parameters": {"trees.depth": 10 * SAVES - 1}}
    assert [path.name for path in model.parent.iterdir()] == ["pdf_memory"]
