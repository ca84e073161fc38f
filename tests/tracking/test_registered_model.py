"""Catalog entries of the registry: a predictor by its alias, a decision that moves one."""

import logging
import shutil
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pandas as pd
import pytest
from kedro.config import MissingConfigException
from kedro.io import DataCatalog
from kedro.io.core import DatasetError

from augury.datasets.registered_model import PromotionDataset, RegisteredModelDataset
from augury.errors import UserError
from augury.tracking import MlflowTracking
from augury.tracking.registry import ChampionChanged, ModelRegistry

from registered import NAME, address

ROWS = pd.DataFrame({"size": [10, 20], "pages": [1, 2], "kind": ["scan", "text"], "encrypted": [False, True]})
ENTRIES = {
    "pdf_memory.champion": {
        "type": "augury.datasets.registered_model.RegisteredModelDataset",
        "predictor": "pdf_memory",
        "alias": "champion",
    },
    "pdf_memory.promotion": {
        "type": "augury.datasets.registered_model.PromotionDataset",
        "predictor": "pdf_memory",
    },
    "pdf_memory.report_metrics": {"type": "json.JSONDataset", "filepath": "metrics.json"},
}


@pytest.fixture
def entry(tmp_path: Path) -> Callable[..., Any]:
    """A function that makes an entry which knows where the registry is."""

    def make(kind: type = RegisteredModelDataset, **arguments: Any) -> Any:
        dataset = kind(predictor="pdf_memory", **arguments)
        dataset.registry = address(tmp_path)
        return dataset

    return make


@pytest.fixture
def local(tmp_path: Path, doubling: ModuleType) -> Path:
    """Folder of a predictor that no registry knows; its factor is 9."""
    doubling.Doubling(doubling.make_metadata("pdf_memory"), 9.0).save(tmp_path / "models")
    return tmp_path / "models"


def cause(error: BaseException) -> str:
    """The user error within Kedro's."""
    while not isinstance(error, UserError):
        assert error.__cause__ is not None
        error = error.__cause__
    return str(error)


# --- loading ---


def test_an_alias_is_loaded_bit_by_bit(registry: ModelRegistry, entry: Any, doubling: ModuleType) -> None:
    registry.promote("2", None, {})
    champion, challenger = entry().load(), entry(alias="challenger").load()
    assert (champion.model, champion.version, champion.gates) == (NAME, "2", "passed")
    assert (challenger.version, challenger.tags["augury.family"]) == ("3", "doubling")
    expected = doubling.Doubling(doubling.make_metadata("pdf_memory"), 3.0)
    pd.testing.assert_frame_equal(champion.loaded().predict(ROWS), expected.predict(ROWS), check_exact=True)
    assert champion.loaded().metadata == expected.metadata
    assert champion.facts()["trained_at"] == "2026-01-01T00:00:00Z"


def test_an_alias_that_nobody_has_is_none(registry: ModelRegistry, entry: Any) -> None:
    assert entry().load() is None


def test_without_a_champion_the_local_predictor_serves(
    registry: ModelRegistry, entry: Any, local: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger="augury")
    serving = entry(filepath=str(local)).load()
    assert (serving.model, serving.version) == ("local", "2026-01-01T00:00:00Z")
    assert serving.loaded().factor == 9.0
    assert f"{NAME} has no champion; the local predictor of 2026-01-01T00:00:00Z is used" in caplog.text
    registry.promote("1", None, {})
    assert entry(filepath=str(local)).load().loaded().factor == 2.0
    assert f"{NAME}: version 1 (champion)" in caplog.text


def test_without_a_registry_the_local_predictor_serves(local: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger="augury")
    dataset = RegisteredModelDataset(predictor="pdf_memory", filepath=str(local))
    assert dataset.load().loaded().factor == 9.0
    assert "pdf_memory: no model registry is set; the local predictor" in caplog.text


def test_reading_does_not_create_a_store(entry: Any, local: Path, tmp_path: Path) -> None:
    assert entry(filepath=str(local)).load().model == "local"
    assert entry().load() is None
    entry(PromotionDataset).save(decision("no_challenger", challenger=None))
    assert entry(PromotionDataset).load() == {}
    assert not (tmp_path / "mlflow.db").exists()


@pytest.mark.parametrize("kind", [RegisteredModelDataset, PromotionDataset])
def test_promotion_needs_a_registry(kind: type) -> None:
    with pytest.raises(DatasetError) as refused:
        kind(predictor="pdf_memory").load()
    assert cause(refused.value).startswith("Promotion of pdf_memory needs a model registry: switch tracking on")


def test_a_version_that_cannot_be_loaded_says_why(
    registry: ModelRegistry, registered_template: Path, entry: Any, tmp_path: Path
) -> None:
    version = registry.version("challenger")
    source = Path(version.source.removeprefix("file://"))
    broken = tmp_path / "broken"
    shutil.copytree(source, broken)
    (broken / "artifacts/predictor/model.json").write_text('{"factor": 5.0}')  # not what its checksum says
    moved = registry.client.create_model_version(
        NAME, broken.as_uri(), version.run_id, tags={"augury.gates": "passed"}, await_creation_for=0
    )
    registry.client.set_registered_model_alias(NAME, "champion", moved.version)
    loaded = entry().load()
    assert loaded.predictor is None
    assert "damaged" in loaded.problem
    with pytest.raises(UserError, match=rf"Version 4 of {NAME} cannot be used: .*damaged"):
        loaded.loaded()


def test_a_registered_model_is_not_saved(entry: Any) -> None:
    with pytest.raises(DatasetError, match="can only be loaded"):
        entry().save("anything")


# --- decisions ---


def decision(verdict: str, champion: str | None = None, challenger: str | None = "3") -> dict[str, Any]:
    """What the nodes of `promotion` return."""
    compared = champion is not None and challenger is not None
    return {
        "verdict": verdict,
        "reason": "log_loss 0.4 -> 0.3",
        "decided_at": "2026-02-01T03:00:00+00:00",
        "challenger": None if challenger is None else {"version": challenger},
        "champion": None if champion is None else {"version": champion},
        "main": {"metric": "log_loss", "improvement": 0.1, "lower": 0.05} if compared else None,
    }


def test_a_promotion_moves_the_aliases_and_is_remembered(
    registry: ModelRegistry, entry: Any, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger="augury")
    registry.promote("1", None, {})
    promotion = entry(PromotionDataset)
    promotion.save(decision("promoted", champion="1"))
    assert promotion.load() == {"champion": "3", "previous": "1"}
    assert {
        "augury.promotion": "promoted",
        "augury.promotion_reason": "log_loss 0.4 -> 0.3",
        "augury.promotion_at": "2026-02-01T03:00:00+00:00",
        "augury.compared_with": "1",
        "augury.promotion_metric": "log_loss",
        "augury.promotion_improvement": "0.1",
        "augury.promotion_lower": "0.05",
    }.items() <= registry.version("champion").tags.items()
    assert f"{NAME}: version 3 promoted: log_loss 0.4 -> 0.3" in caplog.text


@pytest.mark.parametrize("verdict", ["kept", "inconclusive", "failed_gates", "incompatible", "no_champion"])
def test_any_other_decision_is_remembered_only(registry: ModelRegistry, entry: Any, verdict: str) -> None:
    registry.promote("1", None, {})
    entry(PromotionDataset).save(decision(verdict, champion="1"))
    assert registry.aliases() == {"champion": "1", "challenger": "3"}
    assert registry.version("challenger").tags["augury.promotion"] == verdict


def test_without_a_challenger_there_is_a_log_line(
    registry: ModelRegistry, entry: Any, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger="augury")
    entry(PromotionDataset).save(decision("no_challenger", challenger=None))
    assert registry.aliases() == {"challenger": "3"}
    assert f"{NAME}: no_challenger: log_loss 0.4 -> 0.3" in caplog.text


def test_a_champion_that_changed_meanwhile_stays(registry: ModelRegistry, entry: Any) -> None:
    registry.promote("1", None, {})
    registry.promote("2", "1", {})  # by somebody else, while 3 was compared with 1
    with pytest.raises(DatasetError) as refused:
        entry(PromotionDataset).save(decision("promoted", champion="1"))
    assert isinstance(refused.value.__cause__, ChampionChanged)
    assert registry.aliases() == {"champion": "2", "previous": "1", "challenger": "3"}


# --- where they learn the address ---


def hook(folder: Path, tracking: dict[str, Any] | None) -> MlflowTracking:
    """A hook whose project has these settings."""

    class Loader:
        def __getitem__(self, key: str) -> dict[str, Any]:
            if tracking is None:
                raise MissingConfigException("no files")
            return {key: tracking}

    made = MlflowTracking()
    made.after_context_created(SimpleNamespace(config_loader=Loader(), project_path=folder, env="test", params={}))
    return made


def test_the_hook_hands_the_address_to_those_who_need_it(tmp_path: Path) -> None:
    catalog = DataCatalog.from_config(ENTRIES)
    hook(tmp_path, {"registered_model": "{env}.{predictor}"}).after_catalog_created(catalog, ENTRIES)
    for name in ("pdf_memory.champion", "pdf_memory.promotion"):
        told = catalog.get(name).registry
        assert told.store.uri == f"sqlite:///{tmp_path}/mlflow.db"
        assert told.name_of("pdf_memory") == "test.pdf_memory"


@pytest.mark.parametrize("tracking", [None, {"enabled": False}])
def test_without_tracking_there_is_no_address(tmp_path: Path, tracking: dict[str, Any] | None) -> None:
    catalog = DataCatalog.from_config(ENTRIES)
    hook(tmp_path, tracking).after_catalog_created(catalog, ENTRIES)
    assert catalog.get("pdf_memory.champion").registry is None
