"""What pushed the probabilities of held-out rows up and down: SHAP values, as a table and as a plot."""

from typing import Any, Protocol, runtime_checkable

import numpy as np
import pandas as pd

from augury import engines
from augury.errors import UserError
from augury.metrics.bootstrap import Floats
from augury.parameters import near_matches
from augury.pipelines.evaluation.binary_holdout import selected
from augury.pipelines.evaluation.binary_parameters import BinaryEvaluation
from augury.predictors.matrix_predictor import held_out_rows
from augury.reporting.plot_style import MUTED, literal, new_figure, shortened

BIAS = "bias"
CONTRIBUTION, VALUE = "shap_", "value_"
MOST_FEATURES = 20
MOST_POINTS = 300
"""Per feature: twenty times as many are drawn."""
BEESWARM_BINS = 40
SEED = 20_240_229
SCALE = [[0.0, "#2C85C7"], [0.5, "#B9A8B0"], [1.0, "#D55E00"]]


class ExplainedPredictor(Protocol):
    """A predictor that can say what each feature adds to a row's score."""

    def contributions(self, matrix: pd.DataFrame) -> pd.DataFrame:
        """Columns of the feature table in, one column per feature and ``bias`` out, in log-odds."""


@runtime_checkable
class ValuedPredictor(Protocol):
    """A predictor that computes further features from those of the table, such as the effect of an entity."""

    def feature_values(self, matrix: pd.DataFrame) -> pd.DataFrame:
        """Columns of the feature table in, one column per feature that ``contributions`` names out."""


def explain_holdout(predictor: ExplainedPredictor, features_matrix: Any, evaluation: BinaryEvaluation) -> pd.DataFrame:
    """Compute the contributions of all features to a sample of the main rows.

    Args:
        predictor: The trained predictor.
        features_matrix: The feature table with its ``split``, any engine.
        evaluation: Names the row id and the main rows, and says how many are explained.

    Returns:
        In the order of the row ids: ``row_id``, ``bias``, and of every feature ``shap_<feature>``, what it adds to the
        log-odds, and ``value_<feature>``, NaN where neither the table nor the predictor tells it. The rows are drawn by
        their ids, the same ones every time.

    Raises:
        UserError: The feature table lacks the row id.
    """
    table = engines.to_pandas(held_out_rows(features_matrix))
    if evaluation.row_id not in table.columns:
        raise UserError(
            f"Parameter 'evaluation.row_id': the feature table has no column '{evaluation.row_id}'. "
            f"{near_matches(evaluation.row_id, map(str, table.columns))}"
        )
    table = table[selected(table, evaluation.main)]
    drawn = engines.hash_uniform(table.astype({evaluation.row_id: str}), evaluation.row_id, SEED, "explained_draw")
    chosen = np.argsort(drawn["explained_draw"].to_numpy(), kind="stable")[: evaluation.explained_rows]
    rows = table.iloc[chosen].sort_values(evaluation.row_id, ignore_index=True)
    found = predictor.contributions(rows)
    features = [str(name) for name in found.columns if name != BIAS]
    known = predictor.feature_values(rows) if isinstance(predictor, ValuedPredictor) else rows
    values = known.reset_index(drop=True).reindex(columns=features)
    return pd.concat(
        [
            rows[evaluation.row_id].rename("row_id"),
            found[BIAS].astype(np.float64).reset_index(drop=True),
            found[features].astype(np.float64).add_prefix(CONTRIBUTION).reset_index(drop=True),
            values.astype(np.float64).add_prefix(VALUE),
        ],
        axis=1,
    )


def mean_contributions(predictions_shap: pd.DataFrame) -> pd.Series:
    """Mean size of every feature's contribution, the largest first."""
    columns = [name for name in map(str, predictions_shap.columns) if name.startswith(CONTRIBUTION)]
    sizes = predictions_shap[columns].abs().mean().rename(lambda name: name.removeprefix(CONTRIBUTION))
    order = sorted(sizes.index, key=lambda name: (-sizes[name], name))
    return sizes[order]


def plot_contributions(predictions_shap: pd.DataFrame) -> Any:
    """Draw what features add to the log-odds of single rows.

    Args:
        predictions_shap: What :func:`explain_holdout` returned.

    Returns:
        A plotly figure: a row of points for each of the 20 features with the largest mean contribution, piled up where
        many rows have the same one; blue where the feature's value is small, red where it is large, grey where it is
        unknown. At most 300 rows are drawn.
    """
    import plotly.graph_objects as go

    sizes = mean_contributions(predictions_shap)[:MOST_FEATURES]
    rows = predictions_shap
    if len(rows) > MOST_POINTS:
        kept = np.random.default_rng(SEED).choice(len(rows), MOST_POINTS, replace=False)
        rows = rows.iloc[np.sort(kept)]
    places: list[Floats] = []
    for index, name in enumerate(sizes.index):
        places.append(index + _beeswarm(rows[f"{CONTRIBUTION}{name}"].to_numpy(np.float64)))
    x, y, values, ranks = (
        np.concatenate([np.empty(0), *parts])
        for parts in (
            [rows[f"{CONTRIBUTION}{name}"].to_numpy(np.float64) for name in sizes.index],
            places,
            [rows[f"{VALUE}{name}"].to_numpy(np.float64) for name in sizes.index],
            # Ranks within all rows: the drawn ones would hide how rare a value is
            [
                predictions_shap[f"{VALUE}{name}"].rank(pct=True).loc[rows.index].to_numpy(np.float64)
                for name in sizes.index
            ],
        )
    )
    figure = new_figure(
        "What moves single probabilities",
        f"SHAP values of {len(rows):,} of {len(predictions_shap):,} rows; blue: small value of the feature, red: large",
        height=130 + 26 * max(len(sizes), 4),
        xaxis={"title": {"text": "added to the log-odds"}, "zeroline": True, "zerolinecolor": MUTED, "nticks": 5},
        yaxis={
            "range": [len(sizes) - 0.4, -0.6],
            "tickvals": list(range(len(sizes))),
            "ticktext": [shortened(name, 24) for name in sizes.index],
            "showgrid": False,
            "ticks": "",
        },
        showlegend=False,
    )
    known = np.isfinite(ranks)
    texts = np.repeat([literal(name) for name in sizes.index], len(rows)) if len(sizes) else np.empty(0, dtype=str)
    for inside, marker in (
        (~known, {"color": MUTED}),
        (known, {"color": ranks[known].round(3).tolist(), "colorscale": SCALE, "cmin": 0, "cmax": 1}),
    ):
        figure.add_trace(
            go.Scatter(
                x=x[inside].round(4).tolist(),
                y=y[inside].round(3).tolist(),
                mode="markers",
                marker={"size": 4, "opacity": 0.75, **marker},
                text=[
                    f"{name}: {'unknown' if np.isnan(value) else f'{value:.4g}'}"
                    for name, value in zip(texts[inside], values[inside], strict=True)
                ],
                hovertemplate="%{text}<br>%{x:+.3f}<extra></extra>",
            )
        )
    return figure


def _beeswarm(values: Floats) -> Floats:
    """Offsets within a row of points, so that those with about the same value stand on one another."""
    if not len(values) or np.ptp(values) == 0:
        bins = np.zeros(len(values), dtype=np.int64)
    else:
        bins = np.minimum(
            (BEESWARM_BINS * (values - values.min()) / np.ptp(values)).astype(np.int64), BEESWARM_BINS - 1
        )
    order = np.argsort(bins, kind="stable")
    counts = np.bincount(bins, minlength=BEESWARM_BINS)
    within = np.empty(len(values))
    within[order] = np.arange(len(values)) - np.repeat(np.cumsum(counts) - counts, counts)
    # 0, 1, -1, 2, -2, ... from the middle outwards
    side = np.where(within % 2 == 1, 1, -1) * np.ceil(within / 2)
    return 0.42 * side / max(1.0, float(np.abs(side).max(initial=0)))
