"""`python -m augury predict query_cost`: one answer per statement, mistakes in one line."""

import json

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

from augury.__main__ import cli
from augury.errors import UserError
from augury.predictors.query_cost import QueryCostPredictor

from workspace import Project


@pytest.fixture
def ask(query_cost_model):
    """A function that runs the command in this process."""

    def run(script: str | bytes, *arguments: str):
        command = ["predict", "query_cost", "--model", str(query_cost_model), *arguments]
        return CliRunner().invoke(cli, command, input=script, catch_exceptions=False)

    return run


def answers(done) -> list[dict]:
    assert done.exit_code == 0, done.output
    return [json.loads(line) for line in done.output.splitlines()]


SCRIPT = """
-- three statements; one comment
show tables;
select ';' from orders o join lineitem l on o.orderkey = l.orderkey;
insert into t select * from u
"""


def test_statements_are_asked_one_by_one(ask):
    found = answers(ask(SCRIPT, "--json"))
    assert [answer["statement"] for answer in found] == [1, 2, 3]
    assert [answer["query"].split()[-1] for answer in found] == ["tables", "l.orderkey", "u"]
    assert [answer["routing_reason"] for answer in found][::2] == ["zero_cost", "policy"]
    assert found[0]["category"] == "SHOW"
    assert found[0]["probability"] == 0
    assert not found[0]["is_heavy"]
    assert found[2]["routing_group"] == "large"


def test_the_answer_is_that_of_the_predictor(ask, query_cost_model):
    query = "select count(*) from lake.tpch.lineitem"
    session = {"user": "ada", "catalog": "lake", "schema": "tpch", "source": "dbt"}
    options = [part for name, value in session.items() for part in (f"--{name}", value)]
    (answer,) = answers(ask(query, "--json", *options))
    predictor = QueryCostPredictor.load(query_cost_model)
    expected = predictor.predict_one({"query": query, **session})
    assert {name: answer[name] for name in expected} == expected
    assert answer["threshold"] == predictor.threshold
    assert answer["is_heavy"] == (answer["probability"] >= answer["threshold"])
    # The contributions of all features and the bias make up the margin, so the largest ones are among them
    every = predictor.explain({"query": query, **session})
    assert [reason["feature"] for reason in answer["reasons"]] == list(every)[: len(answer["reasons"])]
    sizes = [abs(reason["contribution"]) for reason in answer["reasons"]]
    assert sizes == sorted(sizes, reverse=True)


def test_the_contributions_of_a_query_add_up_to_its_margin(query_cost_model):
    predictor = QueryCostPredictor.load(query_cost_model)
    queries = [
        {"query": "select 1 from t", "user": "ada"},
        {"query": "select * from orders o join lineitem l on true", "catalog": "lake", "schema": "tpch"},
        {"query": "select sum(x) over (partition by y) from a union all select z from b where c in (1, 2, 3)"},
    ]
    rows = predictor.featurise_queries(pd.DataFrame(queries).astype(object).replace({np.nan: None}))
    matrix = pd.DataFrame(rows.numbers, columns=list(predictor.specification.numbers)).assign(terms=rows.terms)
    margins = predictor.predict_matrix(matrix)["margin"]
    sums = [sum(share for _, share in predictor.explain(query).values()) for query in queries]
    # What is left is the bias, one number for all queries
    assert np.ptp(margins - sums) < 1e-4
    assert predictor.explain({"query": "show tables"}) == {}


def test_the_operating_point_can_be_chosen(ask, query_cost_model):
    points = QueryCostPredictor.load(query_cost_model).operating_points
    for name, threshold in points.items():
        (answer,) = answers(ask("select 1 from t", "--json", "--operating-point", name))
        assert (answer["operating_point"], answer["threshold"]) == (name, threshold)
    with pytest.raises(UserError, match="no operating point 'cheapest'"):
        ask("select 1 from t", "--operating-point", "cheapest")


def test_the_text_says_what_where_and_why(ask):
    done = ask(SCRIPT)
    assert done.exit_code == 0
    assert "show tables" in done.output
    assert "zero-cost    SHOW" in done.output
    assert "runs on      small (zero-cost statement)" in done.output
    assert "runs on      large (it writes)" in done.output
    assert "(cost_optimal)" in done.output
    assert "why, in log odds:" in done.output


def test_files_are_read_with_and_without_a_byte_order_mark(ask, tmp_path):
    for number, content in enumerate((b"show tables", b"\xef\xbb\xbfshow tables", "show tables -- é".encode())):
        path = tmp_path / f"{number}.sql"
        path.write_bytes(content)
        (answer,) = answers(ask(b"", "--json", str(path)))
        assert answer["category"] == "SHOW"


@pytest.mark.parametrize(
    ("script", "message"),
    [(b"", "no statement"), (b" ;; -- nothing\n", "no statement"), (b"select '\xff'", "not UTF-8: byte 8 is 0xff")],
)
def test_input_without_statements_or_of_another_encoding_is_refused(ask, script, message):
    with pytest.raises(UserError, match=message):
        ask(script)


@pytest.mark.parametrize("script", ["\x00", "select '\x00", "(" * 5000, "выбрать", "{{ x }}", "'" * 999])
def test_any_text_has_an_answer(ask, script):
    (answer,) = answers(ask(script, "--json"))
    assert 0 <= answer["probability"] <= 1


def test_a_model_of_another_family_or_none_is_one_line(tmp_path, pdf_predictors):
    pdf_predictors["physics_trees"].save(tmp_path / "pdf")
    for model, message in (
        ("pdf", "family 'bounded_regression', not 'heavy_query'"),
        ("none", "holds no trained predictor"),
    ):
        done = Project(tmp_path).augury("predict", "query_cost", "--model", str(tmp_path / model), given="select 1")
        assert done.returncode == 1
        assert done.stderr.startswith("Error: ")
        assert message in done.stderr
        assert "Traceback" not in done.stderr
