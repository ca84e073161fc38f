"""The pipelines are what the documentation says, and keep the rules of the house."""

import re
import typing
from itertools import chain
from pathlib import Path

import pytest
import yaml

from augury.parameters import declared_parameters
from augury.pipeline_registry import STAGES, TRAINING, register_pipelines

PIPELINES = register_pipelines()
NODES = list(
    {node.name: node for node in chain.from_iterable(pipeline.nodes for pipeline in PIPELINES.values())}.values()
)
BASE = Path(__file__).parents[2] / "conf" / "base"


def test_the_registered_names():
    assert set(PIPELINES) == {*STAGES, "training", "__default__"}


def test_training_is_the_sum_of_its_stages():
    stages = {node.name for stage in TRAINING for node in PIPELINES[stage].nodes}
    assert {node.name for node in PIPELINES["training"].nodes} == stages
    assert PIPELINES["__default__"].nodes == PIPELINES["training"].nodes


@pytest.mark.parametrize("node", NODES, ids=lambda node: node.name)
def test_every_node_is_named_namespaced_and_typed(node):
    assert node.namespace, "every node belongs to a predictor"
    # Kedro drops validation of a whole function in silence where one annotation cannot be resolved
    hints = typing.get_type_hints(node.func)
    assert set(node.func.__code__.co_varnames[: node.func.__code__.co_argcount]) <= set(hints)


@pytest.mark.parametrize("node", NODES, ids=lambda node: node.name)
def test_node_modules_are_pure(node):
    source = Path(node.func.__code__.co_filename).read_text(encoding="utf-8")
    assert not re.search(r"^\s*(from|import) (kedro|mlflow)|os\.environ|getenv", source, re.MULTILINE)


def test_every_parameter_is_declared_by_a_typed_node():
    declared = declared_parameters(NODES)
    assert all(hint is not typing.Any for hint in declared.values())
    trees = [yaml.safe_load(path.read_text(encoding="utf-8")) for path in (BASE / "parameters").glob("*.yml")]
    keys = {f"{predictor}.{key}" for tree in trees for predictor, block in tree.items() for key in block}
    assert keys == set(declared)


def test_at_most_six_dataset_factories_and_no_catch_all():
    patterns = yaml.safe_load((BASE / "catalog" / "patterns.yml").read_text(encoding="utf-8"))
    assert len(patterns) <= 6
    assert all(re.fullmatch(r"\{predictor\}\.[a-z]+(_\{[a-z]+\})?", pattern) for pattern in patterns)


def test_what_crosses_stages_is_persisted(project):
    from kedro.framework.session import KedroSession
    from kedro.framework.startup import bootstrap_project

    bootstrap_project(project.folder)
    with KedroSession.create(project.folder) as session:
        catalog = session.load_context().catalog
        for stage in (*TRAINING, "monitoring"):
            for name in PIPELINES[stage].inputs():
                if not name.startswith("params:"):
                    assert name in catalog, name
                    assert type(catalog[name]).__name__ != "MemoryDataset", name
