"""The journal of studies as a catalog entry; what searches make of it is tested in tests/tuning."""

import optuna
import pytest
from kedro.io import DataCatalog, DatasetError

from augury.datasets.optuna_journal import OptunaJournalDataset

optuna.logging.set_verbosity(optuna.logging.WARNING)


def test_the_catalog_makes_it_and_loading_writes_nothing(tmp_path):
    path = tmp_path / "deep" / "tuning.journal"
    configuration = {"type": "augury.datasets.optuna_journal.OptunaJournalDataset", "filepath": str(path)}
    catalog = DataCatalog.from_config({"bowls.tuning_studies": configuration})
    handle = catalog.load("bowls.tuning_studies")
    assert not catalog.exists("bowls.tuning_studies")
    assert not path.parent.exists()
    with handle.open() as storage:
        optuna.create_study(study_name="first", storage=storage)
    assert catalog.exists("bowls.tuning_studies")
    with handle.open() as storage:
        assert optuna.get_all_study_names(storage) == ["first"]


def test_an_entry_that_was_cut_off_is_dropped(tmp_path):
    path = tmp_path / "tuning.journal"
    handle = OptunaJournalDataset(filepath=str(path)).load()
    with handle.open() as storage:
        optuna.create_study(study_name="first", storage=storage)
    whole = path.read_bytes()
    path.write_bytes(whole + b'{"op_code": 0, "study_na')
    with handle.open() as storage:
        assert path.read_bytes() == whole
        optuna.create_study(study_name="second", storage=storage)
    with handle.open() as storage:
        assert optuna.get_all_study_names(storage) == ["first", "second"]


def test_on_an_object_store_studies_end_with_the_process(caplog):
    handle = OptunaJournalDataset(filepath="memory://models/tuning.journal").load()
    with handle.open() as storage:
        optuna.create_study(study_name="first", storage=storage)
    assert "cannot be kept on an object store" in caplog.text
    with handle.open() as storage:
        assert optuna.get_all_study_names(storage) == []


def test_nothing_is_saved(tmp_path):
    with pytest.raises(DatasetError, match="through the handle"):
        OptunaJournalDataset(filepath=str(tmp_path / "tuning.journal")).save({})
