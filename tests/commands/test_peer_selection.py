"""`python -m augury predict peer_selection`: a ranking for anybody; mistakes in one line."""

import json

import numpy as np
import pytest
from click.testing import CliRunner

from augury.__main__ import cli
from augury.errors import UserError
from augury.predictors.peer_replay import new_selector
from augury.predictors.peer_selection import SelectorSettings


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    selector = new_selector(SelectorSettings(epsilon=0.2, probes=2))
    for number in range(60):
        for peer, latency in (("A", 50.0), ("B", 10.0), ("C", 200.0)):
            selector.update(peer, {"client": f"X{number % 5}"}, -np.log(latency))
    place = tmp_path_factory.mktemp("peers") / "model"
    selector.save(place)
    return str(place)


def ask(*arguments):
    return CliRunner().invoke(cli, ["predict", "peer_selection", *arguments], catch_exceptions=True)


def test_candidates_are_ranked(model):
    found = ask("--client", "X1", "--candidates", "A", "B", "C", "--model", model)
    assert found.exit_code == 0, found.output
    lines = found.output.splitlines()
    assert [line.split()[1] for line in lines[1:4]] == ["B", "A", "C"]
    assert lines[-1] == "Probe B, A and take the fastest."
    answer = json.loads(ask("A", "B", "C", "--client", "X1", "--json", "--model", model).output)
    assert [row["peer"] for row in answer["candidates"]] == ["B", "A", "C"]
    assert sum(row["propensity"] for row in answer["candidates"]) == pytest.approx(1, abs=1e-3)
    assert answer["known_client"] and answer["unknown_peers"] == []


def test_what_is_not_known_is_said(model):
    found = ask("--candidates", "A", "somebody", "--model", model).output
    assert "the client is new" in found and "nothing is known yet of somebody" in found


def test_load_counts(model):
    answer = json.loads(ask("A", "B", "--client", "X1", "--in-flight", "B=30", "--json", "--model", model).output)
    assert answer["candidates"][0]["peer"] == "A"


def test_a_draw_is_the_same_for_a_seed(model):
    arguments = ("A", "B", "C", "--explore", "--json", "--model", model, "--seed")
    answers = [ask(*arguments, str(seed)).output for seed in (1, 1, *range(2, 30))]
    assert answers[0] == answers[1] and len(set(answers)) > 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["A", "A"], "none twice"),
        (["A", "B", "--in-flight", "D=1"], "must be PEER=N"),
        (["A", "B", "--in-flight", "A=x"], "must be PEER=N"),
        (["A", "--seed", "3"], "--seed goes with --explore"),
    ],
)
def test_mistakes_are_told(model, arguments, message):
    found = ask(*arguments, "--model", model)
    assert isinstance(found.exception, UserError) and message in str(found.exception)


def test_without_a_model_one_is_asked_for(tmp_path):
    assert "holds no trained predictor" in str(ask("A", "--model", str(tmp_path)).exception)
