"""Who decides, and what becomes of models that fail."""

import json
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from augury.errors import UserError
from augury.rollout import RolledOut, RolloutFile, RolloutSettings, RolloutState
from augury.rollout.fallback_rules import RULES, FastestPeer, rule_of
from augury.rollout.moves import advance, resume, rollback, shortcomings, stop
from augury.rollout.shares import place_of

PASSED = [{"metric": "regret", "passed": True}]
EASY = RolloutSettings(least_decisions=10, least_costs=30, shares=[0.1, 0.5], most_p99_us=1e6)
FORCED = {"force": "test"}


@pytest.fixture
def file(tmp_path: Path) -> RolloutFile:
    return RolloutFile(tmp_path / "rollout" / "compression.json", "compression")


def choose(name: str) -> Any:
    return lambda features: name


def behind(file: RolloutFile, champion: Any = None, challenger: Any = None, **more: Any) -> RolledOut:
    return RolledOut(
        champion or choose("champion"), challenger or choose("challenger"), choose("rule"), file, flush_s=1e9, **more
    )


def to(file: RolloutFile, stage: str, share: float = 0.0, rules: RolloutSettings = EASY) -> None:
    while (file.read().stage, file.read().share) != (stage, share):
        advance(file, gates=PASSED, settings=rules if file.read().stage == "offline" else None, **FORCED)


def choices(rolled_out: RolledOut, units: int = 200) -> list[str]:
    return [rolled_out.decide(f"u{number}", {}).choice for number in range(units)]


def test_the_stages_in_order(file: RolloutFile) -> None:
    """The same object all along: it sees every move at once."""
    rolled_out = behind(file)
    assert set(choices(rolled_out)) == {"champion"}
    inside: list[set[int]] = []
    for stage, share in (("shadow", 0.0), ("canary", 0.1), ("canary", 0.5), ("full", 1.0)):
        to(file, stage, share)
        found = {number for number, choice in enumerate(choices(rolled_out)) if choice == "challenger"}
        salt = bytes.fromhex(file.read().salt)
        assert found == {number for number in range(200) if place_of(f"u{number}", salt) < share}
        inside.append(found)
    assert inside[0] <= inside[1] <= inside[2] <= inside[3]
    assert len(inside[3]) == 200
    with pytest.raises(UserError, match="complete"):
        advance(file)
    rollback(file, "test")
    assert set(choices(rolled_out)) == {"champion"}
    with pytest.raises(UserError, match="nothing to roll back"):
        rollback(file, "test")


@given(shares=st.lists(st.floats(0.001, 0.999), min_size=1, max_size=6, unique=True), unit=st.text(max_size=20))
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_nobody_is_taken_out_of_a_canary_that_grows(shares: list[float], unit: str) -> None:
    state = RolloutState(predictor="compression", settings=RolloutSettings(shares=sorted(shares)))
    salt = bytes.fromhex(state.salt)
    decided = []
    for place in range(len(state.settings.plan)):
        state.place = place
        decided.append(place_of(unit, salt) < state.share)
    assert decided == sorted(decided)
    assert (decided[0], decided[1], decided[-1]) == (False, False, True)


def test_in_shadow_both_decide_and_only_the_champion_counts(file: RolloutFile) -> None:
    to(file, "shadow")
    asked: list[str] = []

    def challenger(features: Any) -> str:
        asked.append("challenger")
        return "champion" if len(asked) % 4 else "other"

    rolled_out = behind(file, challenger=challenger)
    assert choices(rolled_out, 100) == ["champion"] * 100
    rolled_out.flush()
    evidence = file.read().evidence
    assert (len(asked), evidence.compared, evidence.agreed) == (100, 100, 75)
    assert (evidence.champion.decisions, evidence.challenger.decisions) == (100, 100)


@pytest.mark.parametrize(
    ("model", "reason"),
    [
        pytest.param(lambda features: features["absent"], "KeyError", id="exception"),
        pytest.param(lambda features: None, "inadmissible", id="nothing"),
        pytest.param(lambda features: "rm -rf", "inadmissible", id="refused"),
    ],
)
def test_whatever_a_model_does_the_rule_decides(file: RolloutFile, model: Any, reason: str) -> None:
    to(file, "full", 1.0)
    rolled_out = behind(file, challenger=model, admissible=lambda choice, features: choice != "rm -rf")
    found = rolled_out.decide("u", {})
    assert (found.choice, found.arm, found.fell_back) == ("rule", "challenger", reason)
    rolled_out.flush()
    assert file.read().evidence.challenger.failures == {reason: 1}


def test_a_model_that_hangs_costs_the_limit_once(file: RolloutFile) -> None:
    to(file, "full", 1.0)
    go_on = threading.Event()
    rolled_out = behind(file, challenger=lambda features: go_on.wait(60) and "late", timeout_s=0.05)
    assert [rolled_out.decide("u", {}).fell_back for _ in range(50)] == ["timeout"] * 50
    go_on.set()
    end = time.monotonic() + 60
    while (found := rolled_out.decide("u", {})).fell_back:
        assert time.monotonic() < end
    assert found.choice == "late"
    assert behind(file, challenger=lambda features: 1 / 0, timeout_s=5).decide("u", {}).fell_back == "ZeroDivisionError"


def test_the_kill_switch_is_seen_at_once(file: RolloutFile, monkeypatch: Any) -> None:
    to(file, "full", 1.0)
    rolled_out = behind(file)
    for switch_on, switch_off in (
        (lambda: stop(file, "test"), lambda: resume(file, "test")),
        (lambda: file.stop_file.touch(), lambda: file.stop_file.unlink()),
        (lambda: monkeypatch.setenv("AUGURY_STOP", "prefetch, compression"), lambda: monkeypatch.delenv("AUGURY_STOP")),
        (lambda: monkeypatch.setenv("AUGURY_STOP", "all"), lambda: monkeypatch.setenv("AUGURY_STOP", "prefetch")),
    ):
        assert rolled_out.decide("u", {}).choice == "challenger"
        switch_on()
        found = rolled_out.decide("u", {})
        assert (found.choice, found.arm, found.fell_back) == ("rule", None, "stopped")
        assert file.stopped()
        switch_off()
    assert rolled_out.decide("u", {}).choice == "challenger"
    file.stop_file.touch()
    with pytest.raises(UserError, match="remove it first"):
        resume(file, "test")


def test_without_models_the_rule_is_in_force(file: RolloutFile) -> None:
    rolled_out = RolledOut(None, None, choose("rule"), file, flush_s=1e9)
    to(file, "full", 1.0)
    found = rolled_out.decide("u", {})
    assert (found.choice, found.arm, found.fell_back) == ("rule", "champion", None)


def test_a_damaged_state_leaves_the_last_one_in_force(file: RolloutFile, caplog: Any) -> None:
    to(file, "full", 1.0)
    rolled_out = behind(file)
    assert rolled_out.decide("u", {}).choice == "challenger"
    file.path.write_text("{", encoding="utf-8")
    assert rolled_out.decide("u", {}).choice == "challenger"
    assert "stays in force" in caplog.text
    rolled_out.flush()
    with pytest.raises(UserError, match="not the state of a rollout"):
        file.read()
    other = RolloutFile(file.path, "prefetch")
    file.path.write_text(RolloutState(predictor="compression").model_dump_json(), encoding="utf-8")
    with pytest.raises(UserError, match="rollout of compression, not of prefetch"):
        other.read()


def test_gates_and_evidence_are_asked_for(file: RolloutFile) -> None:
    with pytest.raises(UserError, match="never judged"):
        advance(file)
    with pytest.raises(UserError, match="not passed: auc"):
        advance(file, gates=[*PASSED, {"metric": "auc", "passed": False}])
    assert not file.path.exists() or file.read().stage == "offline"
    assert advance(file, gates=PASSED, settings=EASY, champion="3", challenger="4").words == "shadow"
    with pytest.raises(UserError, match="0 of 10 decisions"):
        advance(file)
    rolled_out = behind(file)
    choices(rolled_out, 10)
    rolled_out.flush()
    assert advance(file).words == "canary 10 %"
    decisions = [rolled_out.decide(f"u{number}", {}) for number in range(1000)]
    rolled_out.flush()
    with pytest.raises(UserError, match="0 of 30 costs"):
        advance(file)
    for number, decision in enumerate(decisions):
        rolled_out.observe(decision, 1.0 + 0.01 * (number % 7))
    rolled_out.flush()
    state = advance(file)
    assert (state.words, state.champion, state.challenger) == ("canary 50 %", "3", "4")
    assert [move.after for move in state.history] == ["shadow", "canary 10 %", "canary 50 %"]
    assert state.history[-1].evidence.champion.costs.n > 800
    assert state.evidence.champion.decisions == 0


def test_a_challenger_that_costs_more_is_rolled_back_by_itself(file: RolloutFile) -> None:
    to(file, "canary", 0.5)
    rolled_out = behind(file)
    for number in range(600):
        decision = rolled_out.decide(f"u{number}", {})
        rolled_out.observe(decision, (1.5 if decision.arm == "challenger" else 1.0) + 0.1 * (number % 5))
    rolled_out.flush()
    state = file.read()
    assert (state.stage, state.history[-1].move) == ("offline", "rollback")
    assert "costs at least" in state.history[-1].reason
    assert set(choices(rolled_out)) == {"champion"}


@pytest.mark.parametrize("kind", ["failures", "times"])
def test_a_challenger_that_breaks_a_guardrail_is_rolled_back_by_itself(file: RolloutFile, kind: str) -> None:
    to(file, "shadow", rules=EASY.model_copy(update={"most_p99_us": 1e6 if kind == "failures" else 1e-3}))
    rolled_out = behind(file, challenger=(lambda features: 1 / 0) if kind == "failures" else None)
    choices(rolled_out, 199)
    rolled_out.flush()
    assert file.read().stage == "shadow"  # too few to judge
    assert shortcomings(file.read())
    choices(rolled_out, 1)
    rolled_out.flush()
    assert file.read().stage == "offline"
    assert ("step in" if kind == "failures" else "took more") in file.read().history[-1].reason


def test_a_single_failure_is_no_alarm(file: RolloutFile) -> None:
    to(file, "shadow", rules=EASY)
    rolled_out = behind(file, challenger=lambda features: features["value"])
    for number in range(400):
        rolled_out.decide("u", {} if number == 7 else {"value": "champion"})
    rolled_out.flush()
    assert file.read().stage == "shadow"
    assert "step in" in shortcomings(file.read())[0]  # but it is no reason to go on either


def test_costs_of_an_earlier_stage_do_not_count(file: RolloutFile) -> None:
    to(file, "canary", 0.5)
    rolled_out = behind(file)
    early = rolled_out.decide("u", {})
    to(file, "full", 1.0)
    rolled_out.decide("u", {})
    rolled_out.observe(early, 5.0)
    rolled_out.flush()
    evidence = file.read().evidence
    assert (evidence.champion.costs.n, evidence.challenger.costs.n) == (0, 0)
    assert evidence.challenger.decisions == 1


def test_another_rollout_deals_the_canary_anew(file: RolloutFile) -> None:
    to(file, "full", 1.0)
    first = file.read().salt
    advance(file, gates=PASSED, champion="4", challenger="5")
    assert file.read().words == "shadow"
    assert file.read().salt != first


def test_processes_share_a_state(file: RolloutFile) -> None:
    """Four processes decide and flush at once, while a fifth stops and resumes: nothing is lost."""
    to(file, "shadow", rules=EASY)
    code = """
import sys
from pathlib import Path
from augury.rollout import RolledOut, RolloutFile
choose = lambda features: "x"
rolled_out = RolledOut(choose, choose, choose, RolloutFile(Path(sys.argv[1]), "compression"), flush_s=1e9)
for part in range(20):
    for number in range(50):
        rolled_out.decide(f"u{number}", {})
    rolled_out.flush()
"""
    processes = [subprocess.Popen([sys.executable, "-c", code, str(file.path)]) for _ in range(4)]
    assert [process.wait(timeout=300) for process in processes] == [0] * 4
    evidence = file.read().evidence
    assert (evidence.champion.decisions, evidence.challenger.decisions, evidence.agreed) == (4000, 4000, 4000)
    assert not [path for path in file.path.parent.iterdir() if path.name.startswith(".")]


def test_threads_share_an_object(file: RolloutFile) -> None:
    to(file, "shadow", rules=EASY)
    rolled_out = behind(file, challenger=choose("champion"), timeout_s=60)
    with rolled_out:
        threads = [threading.Thread(target=choices, args=(rolled_out, 200)) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert file.read().evidence.agreed == 800


def test_every_predictor_of_the_storage_network_has_a_rule() -> None:
    assert set(RULES) == {"compression", "deduplication", "prefetch", "peer_selection", "gossip_tuning"}
    codec = rule_of("compression")
    speeds = (None, float("nan"), 10, 79, 80, 399, 400, 5000)
    assert [codec({"link_mbps": speed}) for speed in speeds] == ["zstd-3"] * 4 + ["lz4"] * 2 + ["none"] * 2
    assert codec({}) == "zstd-3"
    assert rule_of("deduplication")({}) == rule_of("prefetch")({}) == ()
    assert rule_of("gossip_tuning")({}) == (6, 10)
    with pytest.raises(UserError, match="no rule of its own"):
        rule_of("taxonomy")


def test_the_fastest_peer_is_the_one_that_was_fast() -> None:
    rule = FastestPeer(weight=0.5)
    assert rule({"candidates": ["a", "b"]}) == "a"
    for peer, times in {"a": [100, 200], "b": [50, 60]}.items():
        for time_ms in times:
            rule.update(peer, time_ms)
    assert rule({"candidates": ["a", "b"]}) == "b"
    assert rule({"candidates": ["a", "new"]}) == "a"  # unknown ones count as average, and the first is preferred
    rule.update("c", 10_000)
    assert rule({"candidates": ["c", "new", "b"]}) == "b"


def test_the_command_line(file: RolloutFile, monkeypatch: Any, tmp_path: Path) -> None:
    from click.testing import CliRunner

    from augury.__main__ import cli

    monkeypatch.chdir(tmp_path)

    def run(*words: str) -> Any:
        return CliRunner().invoke(cli, ["rollout", "compression", *words, "--directory", str(file.path.parent)])

    assert "compression: offline" in run("status").output
    assert "never judged" in str(run("advance").exception)
    gates = tmp_path / "data" / "08_reporting" / "compression" / "gates.json"
    gates.parent.mkdir(parents=True)
    gates.write_text(json.dumps(PASSED))
    begun = run("advance", "--champion", "3", "--challenger", "4", "--set", "margin=0.01", "--set", "shares=[0.2]")
    assert "champion 3, challenger 4" in begun.output
    assert file.read().settings.margin == 0.01
    assert "stays in stage 'shadow'" in str(run("advance").exception)
    assert "go with the advance that begins" in str(run("advance", "--challenger", "5").exception)
    assert "canary 20 %" in run("advance", "--force", "--reason", "a drill").output
    assert "STOPPED" in run("stop").output
    assert "STOPPED" not in run("resume").output
    assert json.loads(run("rollback", "--json").output)["history"][-1]["move"] == "rollback"
    assert "a drill" in run("status").output
    assert "Did you mean 'margin'" in str(run("advance", "--set", "margn=1").exception)
    unknown = CliRunner().invoke(cli, ["rollout", "compresion", "status"])
    assert "Did you mean 'compression'" in str(unknown.exception)
