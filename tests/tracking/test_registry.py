"""Versions and aliases: what training registers, what promotion and rollback move."""

import logging
import threading
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pandas as pd
import pytest
from kedro.io import MemoryDataset
from kedro.pipeline import Pipeline

from augury.errors import GateFailure, UserError
from augury.predictors import load_predictor
from augury.tracking.registration import gate_summary, gate_verdict, judgement_tags, model_digest, origin_tags
from augury.tracking.registry import ChampionChanged, ModelRegistry, RegistryAddress
from augury.tracking.settings import TrackingSettings, read_settings

from registered import NAME, address, open_registry

MakePipeline = Callable[..., Pipeline]
ROWS = pd.DataFrame({"size": [10, 20], "pages": [1, 2], "kind": ["scan", "text"], "encrypted": [False, True]})


# --- registration, by the hook ---


@pytest.fixture
def training(project: Any, make_pipeline: MakePipeline) -> Pipeline:
    project.parameters = {"pdf_memory": {}, "pdf_memory.factor": 2.0}
    return make_pipeline("pdf_memory")


def test_a_training_registers_its_model_as_the_challenger(project: Any, training: Pipeline, caplog: Any) -> None:
    caplog.set_level(logging.INFO, logger="augury")
    project.run(training)
    registry = open_registry(project.folder)
    (version,) = registry.versions()
    run = project.only_run("pdf_memory")
    assert (version.number, version.aliases, version.run_id) == ("1", ("challenger",), run.info.run_id)
    assert version.source == project.client.get_logged_model(run.outputs.model_outputs[0].model_id).artifact_location
    assert {
        "augury.predictor": "pdf_memory",
        "augury.family": "doubling",
        "augury.data_fingerprint": "f" * 64,
        "augury.gates": "passed",
        "augury.failed_gates": "",
        "augury.metric.mae": "1.5",
    }.items() <= version.tags.items()
    assert "augury.metric.factor" not in version.tags  # neither a main metric nor limited by a gate
    assert "augury.pdf_memory: version 1 is the challenger; gates: passed" in caplog.text


def test_the_newest_version_is_the_challenger(project: Any, training: Pipeline) -> None:
    project.run(training)
    registry = open_registry(project.folder)
    registry.promote("1", None, {})
    project.run(training)
    assert registry.aliases() == {"champion": "1", "challenger": "2"}


def test_a_failed_gate_is_registered_as_such_and_told(
    project: Any, training: Pipeline, make_pipeline: MakePipeline, caplog: pytest.LogCaptureFixture
) -> None:
    def judge(_: Any) -> Any:
        rows = [
            {"metric": "mae", "value": 9.0, "lower": 8.5, "upper": 9.25, "rule": "<= 2", "passed": False},
            {"metric": "r2", "value": 0.9, "rule": ">= 0.8", "passed": True},
            {"metric": "auc", "value": None, "rule": ">= 0.7", "passed": False},
        ]
        return {"mae": 9.0}, rows, {}, ""

    with caplog.at_level("INFO"):
        project.run(make_pipeline("pdf_memory", evaluate=judge))
    (version,) = open_registry(project.folder).versions()
    assert (version.tags["augury.gates"], version.tags["augury.failed_gates"]) == ("failed", "mae, auc")
    told = "gates: failed: mae 9, 8.5 to 9.25 (must be <= 2); auc without a value (must be >= 0.7)"
    assert told in caplog.text


def test_a_model_that_nobody_judged_says_so(project: Any, training: Pipeline) -> None:
    project.run(training.only_nodes("pdf_memory.train"))
    (version,) = open_registry(project.folder).versions()
    assert version.tags["augury.gates"] == "not_judged"
    assert not [key for key in version.tags if key.startswith("augury.metric.")]


def test_a_later_evaluation_judges_the_version(project: Any, training: Pipeline, doubling: ModuleType) -> None:
    model = MemoryDataset()
    project.run(training.only_nodes("pdf_memory.train"), data={"pdf_memory.predictor": model})
    other = doubling.make_metadata("pdf_memory").model_copy(update={"seed": 7})
    foreign = MemoryDataset(doubling.Doubling(other))
    project.run(training.only_nodes("pdf_memory.evaluate"), data={"pdf_memory.predictor": foreign}, run_id="2")
    registry = open_registry(project.folder)
    assert [version.tags["augury.gates"] for version in registry.versions()] == ["not_judged"]  # another model's
    project.run(training.only_nodes("pdf_memory.evaluate"), data={"pdf_memory.predictor": model}, run_id="3")
    (version,) = registry.versions()
    assert (version.tags["augury.gates"], version.tags["augury.metric.mae"]) == ("passed", "1.5")


def test_a_run_that_failed_at_the_gates_still_registers(
    project: Any, training: Pipeline, make_pipeline: MakePipeline
) -> None:
    def refuse(_: Any) -> Any:
        raise GateFailure("1 of 1 gates failed: mae.")

    with pytest.raises(GateFailure):
        project.run(make_pipeline("pdf_memory", evaluate=refuse))
    assert project.only_run("pdf_memory").info.status == "FAILED"
    assert open_registry(project.folder).aliases() == {"challenger": "1"}


@pytest.mark.parametrize("settings", [{"register_model": False}, {"log_model": False}])
def test_registration_can_be_switched_off(project: Any, training: Pipeline, settings: dict[str, Any]) -> None:
    project.tracking = settings
    project.run(training)
    assert open_registry(project.folder).versions() == []
    assert "tracking.missing" not in project.only_run("pdf_memory").data.tags


def test_a_registration_that_fails_costs_a_warning(
    project: Any, training: Pipeline, monkeypatch: pytest.MonkeyPatch, caplog: Any
) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise UserError("no room")

    monkeypatch.setattr(ModelRegistry, "register", refuse)
    project.run(training)
    run = project.only_run("pdf_memory")
    assert (run.info.status, run.data.tags["tracking.missing"]) == ("FINISHED", "registration")
    assert "MLflow did not record 'registration' of pdf_memory: no room" in caplog.text


def test_two_trainings_at_once_register_two_versions(registry: ModelRegistry, tmp_path: Path) -> None:
    logged = registry.version("challenger")
    model_id = next(part for part in logged.source.split("/") if part.startswith("m-"))
    meeting, numbers = threading.Barrier(2, timeout=60), []

    def register() -> None:
        mine = open_registry(tmp_path)
        meeting.wait()
        numbers.append(mine.register(model_id, logged.run_id, {"augury.gates": "passed"}).number)

    threads = [threading.Thread(target=register) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sorted(numbers) == ["4", "5"]
    assert registry.aliases() == {"challenger": "5"}


# --- what tags say ---


def test_a_digest_tells_models_apart(doubling: ModuleType) -> None:
    facts = doubling.make_metadata("pdf_memory")
    assert model_digest(facts) == model_digest(doubling.make_metadata("pdf_memory"))
    assert model_digest(facts) != model_digest(facts.model_copy(update={"created_at": "2026-01-01T00:00:01Z"}))
    assert "augury.git_commit" not in origin_tags(facts)
    committed = facts.model_copy(update={"git_commit": "abc"})
    assert origin_tags(committed)["augury.git_commit"] == "abc"


@pytest.mark.parametrize(
    ("rows", "verdict"),
    [
        (None, "not_judged"),
        ([], "passed"),
        ([{"metric": "a", "passed": True}], "passed"),
        ([{"metric": "a", "passed": True}, {"metric": "b", "passed": False}], "failed"),
        (
            [{"metric": "a", "passed": True}, {"metric": "b", "passed": False, "verdict": "inconclusive"}],
            "inconclusive",
        ),
        ([{"metric": "a", "passed": False}, {"metric": "b", "passed": False, "verdict": "inconclusive"}], "failed"),
    ],
)
def test_the_verdict_of_all_gates(rows: Any, verdict: str) -> None:
    assert gate_verdict(rows) == verdict


def test_gates_in_one_line() -> None:
    unsure = {"metric": "b", "value": 0.1, "rule": ">= 0 on lower bound", "passed": False, "verdict": "inconclusive"}
    assert gate_summary(None) == "not judged"
    assert gate_summary([{"metric": "a", "passed": True}]) == "passed"
    assert gate_summary([unsure]) == "inconclusive: b 0.1 (inconclusive, must be >= 0 on lower bound)"


def test_metrics_limited_by_a_gate_become_tags() -> None:
    tags = judgement_tags([{"metric": "ece", "passed": True}], {"ece": 0.0123456789, "brier": 0.1, "unit": "MB"})
    assert tags == {"augury.metric.ece": "0.0123457", "augury.gates": "passed", "augury.failed_gates": ""}
    assert judgement_tags(None, None) == {}


# --- aliases ---


def test_promotions_leave_the_previous_champion(registry: ModelRegistry) -> None:
    registry.promote("2", None, {"augury.promotion": "promoted"})
    assert registry.aliases() == {"champion": "2", "challenger": "3"}
    registry.promote("3", "2", {})
    assert registry.aliases() == {"champion": "3", "previous": "2"}
    assert registry.version("champion").aliases == ("champion",)
    assert {version.number: version.aliases for version in registry.versions()} == {
        "3": ("champion",),
        "2": ("previous",),
        "1": (),
    }
    assert registry.versions()[1].tags["augury.promotion"] == "promoted"


@pytest.mark.parametrize("compared", [None, "1"])
def test_a_champion_that_changed_meanwhile_is_not_replaced(registry: ModelRegistry, compared: str | None) -> None:
    registry.promote("2", None, {})
    with pytest.raises(ChampionChanged, match=r"is version 2 now\. Nothing was promoted") as refused:
        registry.promote("3", compared, {"augury.promotion": "promoted"})
    assert refused.value.exit_code == 1  # unlike a gate, worth a retry
    assert registry.aliases() == {"champion": "2", "challenger": "3"}
    assert "augury.promotion" not in registry.version("challenger").tags


def test_rollback_gives_the_previous_champion_its_place_back_once(registry: ModelRegistry) -> None:
    registry.promote("1", None, {})
    registry.promote("2", "1", {})
    assert registry.rollback() == ("2", "1")
    assert registry.aliases() == {"champion": "1", "challenger": "3"}
    assert "augury.rolled_back_at" in next(v for v in registry.versions() if v.number == "2").tags
    with pytest.raises(UserError, match="no previous champion to go back to; the champion is version 1"):
        registry.rollback()


def test_a_promotion_that_was_cut_off_leaves_nothing_to_roll_back(registry: ModelRegistry) -> None:
    registry.promote("1", None, {})
    registry.client.set_registered_model_alias(NAME, "previous", "1")  # and then somebody pulled the plug
    with pytest.raises(UserError, match="no previous champion"):
        registry.rollback()
    assert registry.aliases()["champion"] == "1"


def test_a_version_is_downloaded_as_it_was(registry: ModelRegistry, tmp_path: Path, doubling: ModuleType) -> None:
    for version in registry.versions():
        folder = registry.download(version, tmp_path / version.number)
        loaded = load_predictor(folder)
        assert loaded.factor == int(version.number) + 1
        expected = doubling.Doubling(loaded.metadata, loaded.factor).predict(ROWS)
        pd.testing.assert_frame_equal(loaded.predict(ROWS), expected)


def test_another_tracking_uri_in_the_process_changes_nothing(
    registry: ModelRegistry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("MLFLOW_TRACKING_URI", "MLFLOW_REGISTRY_URI"):
        monkeypatch.setenv(name, f"sqlite:///{tmp_path}/elsewhere.db")
    other = open_registry(tmp_path)
    version = other.version("challenger")
    assert load_predictor(other.download(version, tmp_path / "files")).factor == 4.0
    assert not (tmp_path / "elsewhere.db").exists()


def test_nothing_is_registered_under_an_unknown_name(registry: ModelRegistry, tmp_path: Path) -> None:
    unknown = ModelRegistry.open(address(tmp_path), "query_cost")
    assert (unknown.aliases(), unknown.versions(), unknown.version("champion")) == ({}, [], None)
    with pytest.raises(UserError, match="no previous champion to go back to; the champion is none"):
        unknown.rollback()


def test_a_store_that_is_gone_is_one_line(tmp_path: Path) -> None:
    settings = TrackingSettings(uri="http://ann:secret@127.0.0.1:9/")
    gone = RegistryAddress.of(settings, tmp_path, None)
    with pytest.raises(UserError, match=r"MLflow at http://\*\*\*@127\.0\.0\.1:9/ cannot be used: ") as caught:
        ModelRegistry.open(gone, "pdf_memory")
    assert "secret" not in str(caught.value)
    assert "\n" not in str(caught.value)


# --- settings ---


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("augury", r"tracking\.registered_model: .*lacks \{predictor\}"),
        ("{predictor}/{env}", "no '/'"),
        ("{predictor}-{model}", r"placeholder \{model\}"),
    ],
)
def test_names_that_cannot_be(name: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        read_settings({"tracking": {"registered_model": name}})


def test_the_address_follows_the_settings(tmp_path: Path) -> None:
    named = TrackingSettings(registered_model="{env}.{predictor}")
    assert RegistryAddress.of(named, tmp_path, None).name_of("pdf_memory") == "local.pdf_memory"
    assert RegistryAddress.of(TrackingSettings(enabled=False), tmp_path, "prod") is None
