"""The check of a whole parameter tree: what a mistyped key or a wrong value is told."""

from types import SimpleNamespace
from typing import Annotated, Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import Field, ValidationError

from augury.parameters import Parameters, declared_parameters, find_problems, near_matches


class Trees(Parameters):
    kind: Literal["trees"]
    depth: int = Field(ge=1)


class Linear(Parameters):
    kind: Literal["linear"]
    penalty: float = 0.0


class Model(Parameters):
    recipe: Annotated[Trees | Linear, Field(discriminator="kind")]
    risks: tuple[Annotated[float, Field(gt=0, lt=1)], ...] = (0.1,)
    named: dict[str, Linear] = Field(default_factory=dict)


DECLARED = {"forecast.seed": int, "forecast.model": Model, "forecast.split.share": float, "gates": Any}


def tree(**model):
    recipe = {"kind": "trees", "depth": 3}
    return {
        "forecast": {"seed": 1, "model": {"recipe": recipe} | model, "split": {"share": 0.5}},
        "gates": {"anything": ["goes"]},
    }


def test_a_right_tree_has_no_problems():
    assert find_problems(tree(), DECLARED) == []


def test_an_unknown_key_comes_with_its_near_match():
    parameters = tree()
    parameters["forecast"]["sed"] = 7
    assert find_problems(parameters, DECLARED) == [
        "Parameter 'forecast.sed' is unknown (value 7). Did you mean 'forecast.seed'?"
    ]


def test_an_unknown_key_without_a_near_match_lists_its_neighbours():
    parameters = tree()
    parameters["forecast"]["xyz"] = 7
    (problem,) = find_problems(parameters, DECLARED)
    assert problem.endswith("There are: forecast.model, forecast.seed, forecast.split.")


def test_an_unknown_predictor_comes_with_its_near_match():
    (problem,) = find_problems(tree() | {"forecasts": {"seed": 7}}, DECLARED)
    assert problem == "Parameter 'forecasts' is unknown (value {'seed': 7}). Did you mean 'forecast'?"


def test_an_unknown_key_inside_a_model_comes_with_its_near_match():
    (problem,) = find_problems(tree(risk=[0.1]), DECLARED)
    assert problem.startswith("Parameter 'forecast.model.risk' is unknown (value [0.1]). Did you mean 'risks'")


def test_a_key_of_the_wrong_depth_is_found():
    parameters = tree()
    parameters["forecast"]["split"] = 0.5
    problems = find_problems(parameters, DECLARED)
    assert any("'forecast.split' is unknown (value 0.5)" in problem for problem in problems)
    assert any("'forecast.split.share' is missing" in problem for problem in problems)


def test_a_wrong_type_names_parameter_rule_and_value():
    parameters = tree()
    parameters["forecast"]["seed"] = "seven"
    (problem,) = find_problems(parameters, DECLARED)
    assert problem.startswith("Parameter 'forecast.seed': ")
    assert "valid integer" in problem
    assert "(value 'seven')" in problem


def test_a_missing_parameter_is_named():
    parameters = tree()
    del parameters["forecast"]["seed"]
    (problem,) = find_problems(parameters, DECLARED)
    assert problem.startswith("Parameter 'forecast.seed' is missing")


def test_a_missing_field_is_named():
    assert find_problems(tree(recipe={"kind": "trees"}), DECLARED) == [
        "Parameter 'forecast.model.recipe.depth' is missing."
    ]


def test_in_a_union_only_the_chosen_kind_is_judged():
    (problem,) = find_problems(tree(recipe={"kind": "linear", "depth": 3}), DECLARED)
    assert problem.startswith("Parameter 'forecast.model.recipe.depth' is unknown (value 3).")
    (problem,) = find_problems(tree(recipe={"kind": "trees", "depth": 0}), DECLARED)
    assert problem.startswith("Parameter 'forecast.model.recipe.depth': ")
    assert "greater than or equal to 1" in problem


def test_an_unknown_kind_is_told_the_kinds():
    (problem,) = find_problems(tree(recipe={"kind": "tree", "depth": 3}), DECLARED)
    assert "'forecast.model.recipe'" in problem
    assert "'trees'" in problem
    assert "'linear'" in problem


def test_places_in_lists_and_dictionaries_are_named():
    problems = find_problems(tree(risks=[0.1, 2], named={"mild": {"kind": "linear", "penalty": "x"}}), DECLARED)
    assert [problem.split(":")[0] for problem in problems] == [
        "Parameter 'forecast.model.risks.1'",
        "Parameter 'forecast.model.named.mild.penalty'",
    ]


def test_every_problem_is_listed_at_once():
    parameters = tree(risks=[2])
    parameters["forecast"] |= {"seed": None, "sed": 1}
    assert len(find_problems(parameters, DECLARED)) == 3


@given(
    st.dictionaries(
        st.sampled_from(["seed", "model", "split", "gates", "x.y", ""]), st.none() | st.integers() | st.text()
    )
)
def test_no_tree_breaks_the_check(branch):
    for problem in find_problems({"forecast": branch, **branch}, DECLARED):
        assert problem.startswith("Parameter '")


def test_near_matches_suggests_or_lists_everything():
    assert near_matches("trainin", ["training", "evaluation"]) == "Did you mean 'training'?"
    assert near_matches("recal", ["recall", "recall_95", "f1"]) == "Did you mean 'recall' or 'recall_95'?"
    assert near_matches("xyz", ["b", "a", "a"]) == "There are: a, b."
    assert near_matches("xyz", []) == "There are none."


@given(st.text(), st.lists(st.text(min_size=1)))
def test_near_matches_names_candidates_only(name, candidates):
    sentence = near_matches(name, candidates)
    assert any(candidate in sentence for candidate in candidates) or sentence == "There are none."


def test_declared_parameters_reads_the_annotations():
    def train(table: Any, model: Model, seed: int, free) -> None: ...

    def score(seed: int) -> None: ...

    nodes = [
        SimpleNamespace(func=train, inputs=["table", "params:f.model", "params:f.seed", "params:f.free"]),
        SimpleNamespace(func=score, inputs=["params:f.seed"], _inputs={"seed": "params:f.seed"}),
        SimpleNamespace(func=len, inputs=["table"]),
    ]
    assert declared_parameters(nodes) == {"f.model": Model, "f.seed": int, "f.free": Any}


def test_parameters_are_closed_and_frozen():
    with pytest.raises(ValidationError):
        Linear(kind="linear", penalti=1.0)
    with pytest.raises(ValidationError):
        Linear(kind="linear").penalty = 1.0
