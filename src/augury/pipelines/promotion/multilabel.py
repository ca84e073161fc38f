"""Champion against challenger: a classifier of texts into codes on the held-out texts of the present data."""

import itertools
from collections.abc import Mapping
from functools import partial
from typing import Any, Literal

import numpy as np
import pandas as pd
from pydantic import Field

from augury.errors import UserError
from augury.metrics.bootstrap import Floats, bootstrap_samples, percentile_intervals
from augury.metrics.multilabel import f1_of, row_f1
from augury.metrics.ranking import Bools
from augury.parameters import near_matches
from augury.pipelines.promotion.decision import Comparison, Incompatible, decide
from augury.pipelines.promotion.paired_comparison import CHALLENGER, CHAMPION, IMPROVEMENT, compare_losses
from augury.pipelines.promotion.rules import PromotionRules
from augury.predictors.predictor_version import PredictorVersion

LOSSES = {"sample_f1": "sample_f1_loss", "brier": "brier"}
MICRO_F1 = "micro_f1"


class MultilabelPromotion(PromotionRules):
    """Rules for a classifier of texts into several codes."""

    rows: dict[str, bool | int | float | str | list[str]] = Field(
        default={"split": "test"}, description="Which texts both predict: column -> value, or list of values."
    )
    group_column: str = Field(default="group", description="Texts that agree in this column are drawn together.")
    loss: Literal["sample_f1", "brier"] = Field(
        default="sample_f1",
        description="Main metric, by text. sample_f1: 1 less the F1 of its codes; brier: squared error of its "
        "probabilities, over all codes that anybody knows.",
    )
    epsilon_micro_f1: float = Field(
        default=0.005,
        ge=0,
        allow_inf_nan=False,
        description="By how much the lower bound of the micro F1's improvement may lie below 0.",
    )
    min_known_codes: float = Field(
        default=0.5,
        ge=0,
        le=1,
        description="Of the codes of the texts, each counted as often as it occurs, the share that a model has to "
        "know; below it, models of different taxonomies are not compared.",
    )


def decide_multilabel(
    champion: PredictorVersion | None,
    challenger: PredictorVersion | None,
    primary_texts: pd.DataFrame,
    provenance: dict[str, Any],
    rules: MultilabelPromotion,
    seed: int,
) -> dict[str, Any]:
    """Compare both on the same texts, and decide.

    Args:
        champion: The version in force; None if there is none.
        challenger: The newest version; None if there is none.
        primary_texts: All texts with their codes and their split.
        provenance: For the time: ``created_at``.
        rules: Which texts, and when the challenger takes the champion's place.
        seed: Seed of the resampling.

    Returns:
        The decision, see :func:`~augury.pipelines.promotion.decision.decide`.

    Raises:
        UserError: A parameter names a column that does not exist, or selects no text.
    """
    texts = held_out(primary_texts, rules)
    compare = partial(compare_multilabel, texts=texts, rules=rules, seed=seed)
    return decide(champion, challenger, compare, rules, provenance["created_at"])


def held_out(primary_texts: pd.DataFrame, rules: MultilabelPromotion) -> pd.DataFrame:
    """Take the texts that both predict, in the order of their ids.

    Raises:
        UserError: A parameter names a column that does not exist, or selects no text.
    """
    present = [str(name) for name in primary_texts.columns]
    inside = np.ones(len(primary_texts), dtype=bool)
    for name in ("sample_id", "text", "codes", rules.group_column, *rules.rows):
        if name not in present:
            raise UserError(
                f"Parameters of 'promotion': the texts have no column '{name}'. {near_matches(name, present)}"
            )
    for name, value in rules.rows.items():
        inside &= primary_texts[name].isin(value if isinstance(value, list) else [value]).to_numpy(dtype=bool)
    texts = primary_texts[inside].sort_values("sample_id", ignore_index=True)
    if texts.empty:
        raise UserError(f"Parameter 'promotion.rows': no text has {rules.rows}.")
    return texts


def compare_multilabel(
    champion: Any, challenger: Any, texts: pd.DataFrame, rules: MultilabelPromotion, seed: int
) -> Comparison:
    """Compare what two classifiers say of the same texts, also where they know different codes.

    A code that a model does not know has the probability 0 and is never assigned: its texts count as missed.

    Args:
        champion: The predictor in force.
        challenger: The new one.
        texts: What :func:`held_out` returned.
        rules: When the challenger takes the champion's place.
        seed: Seed of the resampling.

    Returns:
        The comparison.

    Raises:
        Incompatible: One of them classifies no texts, or by another taxonomy.
    """
    predictors = {CHAMPION: champion, CHALLENGER: challenger}
    codes = [list(map(str, row)) for row in texts["codes"]]
    for role, predictor in predictors.items():
        _require_known(predictor, role, codes, rules)
    names = sorted({*itertools.chain.from_iterable(codes), *champion.codes, *challenger.codes})
    actual = _members(codes, names)
    answers = {role: _answer(predictor, role, texts, names) for role, predictor in predictors.items()}
    groups = texts[rules.group_column]
    losses = {
        "sample_f1_loss": {role: 1 - row_f1(actual, given) for role, (_, given) in answers.items()},
        "brier": {role: ((found - actual) ** 2).sum(axis=1) for role, (found, _) in answers.items()},
    }
    compared = {name: compare_losses(loss, groups, rules, seed) for name, loss in losses.items()}
    micro = _micro_f1(actual, {role: given for role, (_, given) in answers.items()}, groups, rules, seed)
    worse: dict[str, str] = {}
    perhaps_worse: dict[str, str] = {}
    for sentences, end in ((worse, IMPROVEMENT), (perhaps_worse, "lower")):
        value = micro[end]
        if value is not None and value < -rules.epsilon_micro_f1:
            sentences[MICRO_F1] = (
                f"but micro F1 {micro[CHAMPION]:.6g} -> {micro[CHALLENGER]:.6g}, "
                f"{'difference' if end == IMPROVEMENT else 'lower bound of the difference'} {value:.3g}, "
                f"below {-rules.epsilon_micro_f1:g}"
            )
    main = LOSSES[rules.loss]
    return Comparison(
        rows=len(texts),
        groups=groups.nunique(),
        metric=main,
        main=compared[main],
        metrics={main: compared[main], **compared, MICRO_F1: micro},
        worse=worse,
        perhaps_worse=perhaps_worse,
    )


def _require_known(predictor: Any, role: str, codes: list[list[str]], rules: MultilabelPromotion) -> None:
    if not all(hasattr(predictor, name) for name in ("codes", "probabilities", "decide")):
        raise Incompatible(f"the {role} is of family '{predictor.metadata.family}', which gives texts no codes")
    known = set(predictor.codes)
    counted = pd.Series(list(itertools.chain.from_iterable(codes)), dtype=object)
    inside = counted.isin(known)
    share = float(inside.mean()) if len(counted) else 0.0
    if share < rules.min_known_codes:
        unknown = counted[~inside].value_counts()
        raise Incompatible(
            f"the {role} was trained with other codes: it knows {share:.1%} of those of the held-out texts (at least "
            f"{rules.min_known_codes:.1%}), and not for example {unknown.index[0]!r}, which {unknown.iloc[0]:,} texts "
            "have"
        )


def _members(codes: list[list[str]], names: list[str]) -> Bools:
    rows = np.repeat(np.arange(len(codes)), [len(row) for row in codes])
    matrix = np.zeros((len(codes), len(names)), dtype=bool)
    matrix[rows, pd.Index(names).get_indexer(pd.Index(list(itertools.chain.from_iterable(codes)), dtype=object))] = True
    return matrix


def _answer(predictor: Any, role: str, texts: pd.DataFrame, names: list[str]) -> tuple[Floats, Bools]:
    """Probabilities and assigned codes, with a column for every code that anybody knows."""
    try:
        own = np.asarray(predictor.probabilities(texts["text"].astype(str).tolist()), dtype=np.float64)
    except UserError as error:
        raise Incompatible(f"the {role} cannot predict the held-out texts: {error}") from error
    places = pd.Index(names).get_indexer(pd.Index(predictor.codes))
    found = np.zeros((len(texts), len(names)))
    given = np.zeros((len(texts), len(names)), dtype=bool)
    found[:, places], given[:, places] = own, predictor.decide(own)
    return found, given


def _micro_f1(
    actual: Bools, given: Mapping[str, Bools], groups: pd.Series, rules: MultilabelPromotion, seed: int
) -> dict[str, float | None]:
    """The micro F1 of both in the same resamples; larger is better."""
    sums: dict[str, Floats] = {"true": actual.sum(axis=1).astype(np.float64)}
    for role, members in given.items():
        sums[f"{role} found"] = (actual & members).sum(axis=1).astype(np.float64)
        sums[f"{role} called"] = members.sum(axis=1).astype(np.float64)

    def f1(totals: Mapping[str, Floats], role: str) -> Floats:
        return f1_of(totals[f"{role} found"], totals[f"{role} called"], totals["true"])

    samples = bootstrap_samples(
        sums,
        {IMPROVEMENT: lambda totals: f1(totals, CHALLENGER) - f1(totals, CHAMPION)},
        groups,
        replicates=rules.replicates,
        seed=seed,
    )
    totals = {name: np.array([values.sum()]) for name, values in sums.items()}
    found = {role: float(f1(totals, role)[0]) for role in given}
    enough = groups.nunique() >= rules.min_groups
    bound = percentile_intervals(samples, 2 * rules.confidence - 1).get(IMPROVEMENT) if enough else None
    return {
        **found,
        IMPROVEMENT: found[CHALLENGER] - found[CHAMPION],
        "lower": None if bound is None else bound[0],
    }
