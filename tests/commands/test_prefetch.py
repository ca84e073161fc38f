import json

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

from augury.__main__ import cli

RNG = np.random.default_rng(3)


@pytest.fixture
def ask(tmp_path):
    def run(table, *options):
        pd.DataFrame(table).to_csv(tmp_path / "trace.csv", index=False)
        command = ["predict", "prefetch", str(tmp_path / "trace.csv"), "--plain", "--json", *options]
        return json.loads(CliRunner().invoke(cli, command, catch_exceptions=False).output)

    return run


@pytest.mark.parametrize(
    ("blocks", "permuted"),
    [
        (np.arange(100), True),
        (np.arange(100) * 7 + 3, False),
        (RNG.integers(-(2**62), 0, 100), False),
        (RNG.integers(2**63, 2**64 - 1, 100, dtype=np.uint64), False),
    ],
    ids=["numbered by appearance", "ordered", "negative", "unsigned"],
)
def test_blocks_are_told_as_the_trace_has_them(ask, blocks, permuted):
    answer = ask({"block": np.tile(blocks, 5)}, "--k", "3")
    assert answer["permuted"] == permuted
    assert answer["next"][0]["block"] == str(blocks[0])
    assert answer["next"][0]["chance"] > 0.9


def test_permuted_ids_are_all_of_the_trace(ask):
    answer = ask({"block": np.tile(np.arange(100), 5)}, "--k", "10")
    assert len(answer["next"]) > 3
    assert {int(row["block"]) for row in answer["next"]} <= set(range(100))


def test_blocks_of_objects_are_told_by_object_and_position(ask):
    answer = ask({"object": ["a"] * 40 + ["b"] * 40, "position": [*range(40)] * 2} | {"session": 1}, "--k", "1")
    assert answer["next"][0]["block"].split(":")[0] in ("a", "b")
