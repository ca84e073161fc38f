"""Search spaces: the forms in which they are written, and what is refused."""

import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from pydantic import Field, TypeAdapter, ValidationError

from augury.errors import UserError
from augury.parameters import Parameters, find_problems
from augury.pipelines.tuning.racing import SearchSettings
from augury.pipelines.tuning.search_space import SearchSpace, Space


class Trees(Parameters):
    depth: int = 6
    rate: float = 0.1
    penalty: float = 0.0
    kind: str = "gbdt"
    bagging: bool = True


class Model(Parameters):
    trees: Trees = Trees()
    named: dict[str, Trees] = Field(default_factory=lambda: {"small": Trees(depth=2)})


def parse(space):
    return TypeAdapter(Space).validate_python(space)


def make(space, fixed=None, model=None, tunable=""):
    return SearchSpace("forecast", model or Model(), parse(space), fixed or {}, tunable)


@pytest.mark.parametrize(
    ("short", "long", "distribution"),
    [
        (["float", 1e-4, 1e-2, "log"], {"type": "float", "low": 1e-4, "high": 1e-2, "log": True},
         FloatDistribution(1e-4, 1e-2, log=True)),
        (["float", "1e-4", "1e-2"], {"type": "float", "low": 1e-4, "high": 1e-2}, FloatDistribution(1e-4, 1e-2)),
        (["float", 0, 1, 0.25], {"type": "float", "low": 0, "high": 1, "step": 0.25},
         FloatDistribution(0, 1, step=0.25)),
        (["int", 4, 64], {"type": "int", "low": 4, "high": 64}, IntDistribution(4, 64)),
        (["int", 4, 64, "log"], {"type": "int", "low": 4, "high": 64, "log": True}, IntDistribution(4, 64, log=True)),
        (["int", 4, 64, 10], {"type": "int", "low": 4, "high": 64, "step": 10}, IntDistribution(4, 64, step=10)),
        (["categorical", ["a", 1, True, None]], {"type": "categorical", "choices": ["a", 1, True, None]},
         CategoricalDistribution(("a", 1, True, None))),
    ],
)  # fmt: skip
def test_both_forms_are_the_same_distribution(short, long, distribution):
    space = parse({"short": short, "long": long})
    assert space["short"] == space["long"]
    assert space["short"].distribution() == distribution


@pytest.mark.parametrize(
    ("dimension", "message"),
    [
        (["float", 1, 0], r"low \(1\) must be below high \(0\)"),
        (["float", 1, "inf"], "must be below"),
        (["int", 3, 3], "must be below"),
        (["int", 0, 5, "log"], "above 0"),
        ({"type": "float", "low": 1, "high": 2, "log": True, "step": 0.5}, "not both"),
        (["int", 1, 5, 9], "longer than the range"),
        (["int", 1.5, 5], "valid integer"),
        (["int", 1, 5, True], "short form"),
        (["float", 1], "short form"),
        (["loguniform", 1, 2], "short form"),
        (["categorical", []], "at least 1 item"),
        (["categorical", ["a", "a"]], "twice"),
        ({"type": "uniform", "low": 1, "high": 2}, "does not match any of the expected tags"),
        ({"type": "int", "low": 1, "high": 2, "base": 2}, "Extra inputs"),
        (5, "valid dictionary"),
    ],
)
def test_what_is_no_dimension_is_refused(dimension, message):
    with pytest.raises(ValidationError, match=message):
        parse({"trees.depth": dimension})


def test_a_wrong_dimension_is_told_by_its_path():
    tree = {"forecast": {"tuning": {"space": {"trees.depth": ["int", 9, 3]}}}}
    (problem,) = find_problems(tree, {"forecast.tuning": SearchSettings})
    assert problem.startswith("Parameter 'forecast.tuning.space.trees.depth")
    assert "low (9) must be below high (3)" in problem


def test_a_dimension_of_another_environment_can_be_taken_out():
    space = make({"trees.depth": ["int", 2, 9], "trees.rate": None})
    assert list(space.dimensions) == ["trees.depth"]


@pytest.mark.parametrize(
    ("space", "fixed", "message"),
    [
        ({}, {}, "'forecast.tuning.space' is empty"),
        ({"trees.depth": None}, {}, "is empty"),
        ({"trees.dept": ["int", 2, 9]}, {}, r"space.trees.dept'.* no parameter 'trees.dept'.*'trees.depth'"),
        ({"tree.depth": ["int", 2, 9]}, {}, "Did you mean 'trees'"),
        ({"trees.depth.more": ["int", 2, 9]}, {}, "no parameter 'trees.depth.more'"),
        ({"trees.depth": ["int", 2, 9]}, {"trees.depth": 3}, "tune it or fix it"),
        ({"trees.depth": ["int", 2, 9]}, {"trees.rat": 3}, r"tuning.fixed'.*'trees.rate'"),
        ({"trees.depth": ["float", 2.5, 9]}, {}, r"space.trees.depth'.*'trees.depth' of the model.*2.5"),
        ({"trees.kind": ["categorical", ["dart", "goss"]]}, {}, "default 'gbdt' is not among the choices"),
        ({"named.small.depth": ["int", 2, 9]}, {}, "only parameters under 'trees' are tuned"),
    ],
)
def test_a_space_that_does_not_fit_the_model_is_refused(space, fixed, message):
    with pytest.raises(UserError, match=message):
        make(space, fixed, tunable="trees." if "named" in str(space) else "")


def test_defaults_are_those_of_the_model_with_what_is_fixed():
    space = make({"trees.depth": ["int", 2, 9], "named.small.rate": ["float", 0, 1]}, {"trees.rate": 0.3})
    assert space.defaults == {"trees.depth": 6, "named.small.rate": 0.1}
    assert space.model.trees.rate == 0.3
    assert Model().trees.rate == 0.1


def test_a_default_outside_of_its_range_is_brought_in_for_the_sampler_only():
    space = make({"trees.penalty": ["float", 1e-3, 10, "log"], "trees.depth": ["int", 8, 20, 4]})
    assert space.defaults == {"trees.penalty": 0.0, "trees.depth": 6}
    assert space.nearest(space.defaults) == {"trees.penalty": 1e-3, "trees.depth": 8}


def test_a_dimension_can_be_refused_by_a_kind_of_search():
    space = make({"trees.depth": ["int", 2, 9]})
    space.refuse("trees.rate", "no reason")
    with pytest.raises(UserError, match=r"'forecast.tuning.space.trees.depth' cannot be tuned: bins. Set it in"):
        space.refuse("trees.depth", "bins")
