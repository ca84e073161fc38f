"""`python -m augury predict query_cost FILE`: is this query heavy, where would it run, and why?"""

import json
from pathlib import Path
from typing import Any

import click

from augury.errors import UserError
from augury.predictors import query_columns as columns
from augury.predictors.query_cost import MODEL, QueryCostPredictor
from augury.predictors.query_routing import QueryRouter, RoutingSettings
from augury.predictors.query_statements import split_statements

TOP = 5
SHOWN = 72
"""Characters of a statement in its heading."""

REASONS = {
    "zero_cost": "zero-cost statement",
    "policy": "it writes",
    "cache": "earlier queries of this template",
    "model": "the model",
    "fallback": "the model could not answer",
    "no_query": "no query",
}


@click.command()
@click.argument("file", default="-", type=click.Path(exists=True, dir_okay=False, allow_dash=True))
@click.option("--user", help="Who asks.")
@click.option("--catalog", help="Catalog of the session.")
@click.option("--schema", help="Schema of the session.")
@click.option("--source", help="Client, for example superset.")
@click.option("--operating-point", help="Threshold to use: cost_optimal, recall_98.  [default: the predictor's own]")
@click.option(
    "--model",
    default="data/06_models/query_cost",
    show_default=True,
    type=click.Path(path_type=Path),
    help="Folder of the trained predictor.",
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object per statement instead of text.")
def command(
    file: str,
    user: str | None,
    catalog: str | None,
    schema: str | None,
    source: str | None,
    operating_point: str | None,
    model: Path,
    as_json: bool,
) -> None:
    """Predict whether the statements of FILE (default: standard input) are heavy, and where they would run."""
    name = "the standard input" if file == "-" else f"'{file}'"
    statements = split_statements(_read(file, name))
    if not statements:
        raise UserError(f"There is no statement in {name}.")
    predictor = QueryCostPredictor.load(model, "query_cost")
    router = QueryRouter(predictor, RoutingSettings(operating_point=operating_point), predictor.heavy_templates())
    session = {columns.USER: user, columns.CATALOG: catalog, columns.SCHEMA: schema, columns.SOURCE: source}
    for number, statement in enumerate(statements, start=1):
        answer = _ask(predictor, router, {columns.QUERY: statement, **session})
        click.echo(json.dumps({"statement": number, **answer}) if as_json else "\n".join(_lines(statement, answer)))


def _read(file: str, name: str) -> str:
    with click.open_file(file, "rb") as stream:
        content: bytes = stream.read()
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        byte = f"byte {error.start} is {content[error.start]:#04x}"
        raise UserError(f"The text of {name} is not UTF-8: {byte}.") from None


def _ask(predictor: QueryCostPredictor, router: QueryRouter, request: dict[str, str | None]) -> dict[str, Any]:
    """Everything that is said about one statement."""
    answer = predictor.predict_one(request)
    decision = router.route(request)
    point = router.settings.operating_point or predictor.specification.operating_point
    threshold = predictor.operating_points[point]
    return {
        "query": request[columns.QUERY],
        "is_heavy": bool(answer["probability"] >= threshold),
        "probability": answer["probability"],
        "cpu_seconds": answer["cpu_seconds"],
        "category": answer["category"],
        "routing_group": decision.group,
        "routing_reason": decision.reason,
        "operating_point": point,
        "threshold": threshold,
        "reasons": [
            {"feature": name, "value": value, "contribution": contribution}
            for name, (value, contribution) in list(predictor.explain(request).items())[:TOP]
        ],
    }


def _lines(statement: str, answer: dict[str, Any]) -> list[str]:
    shown = " ".join(statement.split())
    lines = [shown if len(shown) <= SHOWN else f"{shown[:SHOWN]} ..."]
    if answer["category"] != MODEL:
        lines.append(f"  zero-cost    {answer['category']}: needs no model")
    else:
        verdict = "heavy" if answer["is_heavy"] else "not heavy"
        sign = ">=" if answer["is_heavy"] else "<"
        threshold = f"{answer['threshold']:.4f} ({answer['operating_point']})"
        lines.append(f"  {verdict:12} probability {answer['probability']:.4f} {sign} {threshold}")
        lines.append(f"  CPU          about {answer['cpu_seconds']:,.2f} s")
    lines.append(f"  runs on      {answer['routing_group']} ({REASONS[answer['routing_reason']]})")
    if answer["reasons"]:
        lines.append("  why, in log odds:")
    for reason in answer["reasons"]:
        value = "unknown" if reason["value"] is None else f"= {reason['value']:,.6g}"
        lines.append(f"    {reason['contribution']:+8.2f}  {reason['feature']} {value}")
    return lines
