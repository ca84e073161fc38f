"""Gradient-boosted trees for a positive quantity: a prior, trees on the log ratio to it, and conformal upper bounds."""

import hashlib
from typing import Annotated, Any, Literal, Self

import numpy as np
import pandas as pd
from pydantic import Field, model_validator

from augury import engines
from augury.errors import UserError
from augury.parameters import Parameters, near_matches, with_tuned
from augury.pipelines.model_training.conformal import fit_margins
from augury.pipelines.model_training.prior import fit_prior
from augury.predictors import DataFacts, Metadata
from augury.predictors.bounded_regression import (
    BoundedRegression,
    Margins,
    Prior,
    Specification,
    feature_matrix,
    mask_ignored,
    one_hot_name,
    output_columns,
    point_prediction,
    prior_values,
)
from augury.predictors.bounded_regression_onnx import export_onnx
from augury.predictors.feature_specification import FeatureSpecification


class PhysicsTrees(Parameters):
    """LightGBM on log(value / prior)."""

    kind: Literal["physics_trees"] = Field(description="prior x exp(LightGBM)")
    n_estimators: int = Field(ge=1, description="boosting rounds")
    learning_rate: float = Field(gt=0, le=1)
    num_leaves: int = Field(ge=2)
    min_child_samples: int = Field(ge=1)
    subsample: float = Field(gt=0, le=1, description="share of the rows per round")
    colsample_bytree: float = Field(gt=0, le=1, description="share of the features per tree")
    reg_lambda: float = Field(ge=0)
    objective: Literal["regression", "regression_l1", "huber"] = Field(description="loss on the log ratio")


class OriginalRecipe(Parameters):
    """The recipe this project replaces: scikit-learn's GradientBoostingRegressor on raw columns and raw MB."""

    kind: Literal["original"] = Field(description="GradientBoostingRegressor, squared error, no prior")
    n_estimators: int = Field(default=100, ge=1)
    learning_rate: float = Field(default=0.1, gt=0, le=1)
    max_depth: int = Field(default=3, ge=1)


Recipe = Annotated[PhysicsTrees | OriginalRecipe, Field(discriminator="kind")]


class BoundedRegressionModel(Parameters):
    """How a bounded regression is trained."""

    recipe: str = Field(description="which of the recipes makes the point model")
    recipes: dict[str, Recipe] = Field(description="recipes by name, so that one word chooses among complete ones")
    risks: tuple[Annotated[float, Field(gt=0, lt=1)], ...] = Field(
        min_length=1, description="accepted shares above each bound"
    )
    folds: int = Field(ge=2, description="folds of the cross-conformal margins, by group")
    bands: int = Field(
        ge=1,
        description="size bands per category with margins of their own, where there are rows enough",
    )
    min_tail_groups: float = Field(
        gt=0, description="groups expected above the bound (groups x risk) in a band with a margin of its own"
    )
    use_tuned: bool = Field(default=False, description="whether to take the parameters that tuning found")

    @model_validator(mode="after")
    def _recipe_exists(self) -> Self:
        if self.recipe not in self.recipes:
            raise ValueError(f"there is no recipe '{self.recipe}'. {near_matches(self.recipe, self.recipes)}")
        return self

    @property
    def chosen(self) -> Recipe:
        """The recipe in force."""
        return self.recipes[self.recipe]


def train_bounded_regression(
    features_train: Any,
    features: dict[str, Any],
    best_params: dict[str, Any],
    model: BoundedRegressionModel,
    seed: int,
    provenance: dict[str, Any],
) -> tuple[BoundedRegression, dict[str, Any]]:
    """Train the point model and its bounds.

    Args:
        features_train: Training rows, any engine; collected here.
        features: A :class:`~augury.predictors.feature_specification.FeatureSpecification` as JSON.
        best_params: What tuning found; empty if there was none.
        model: Recipe, risks and folds.
        seed: Seed of the folds and of the trees.
        provenance: ``git_commit``, ``created_at`` and ``versions`` for the metadata.

    Returns:
        The predictor, and a JSON-ready account of the training (out-of-fold errors, prior, importances).

    Raises:
        UserError: Fewer groups than folds; tuned parameters asked for that there are none of.
    """
    specification = FeatureSpecification.model_validate(features)
    model = with_tuned(model, best_params, model.use_tuned, specification.predictor)
    table = engines.to_pandas(features_train).sort_values(specification.row_id, ignore_index=True)
    groups = table[specification.group].to_numpy()
    if len(set(groups)) < model.folds:
        raise UserError(
            f"{specification.predictor}: {len(set(groups))} training groups ({specification.group}) are too few for "
            f"{model.folds} folds; bring more data or lower {specification.predictor}.model.folds."
        )
    layout = training_layout(table, specification, model)
    codes = pd.Categorical(table[specification.category], categories=list(layout.categories)).codes.astype(np.intp)
    table = mask_ignored(table, layout, codes)
    target = table[specification.target].to_numpy(dtype=np.float64)

    out_of_fold = np.empty(len(table))
    for inner, outer in grouped_folds(groups, model.folds, seed):
        fitted = _fit(table.iloc[inner], codes[inner], target[inner], layout, model.chosen, seed)
        out_of_fold[outer] = point_prediction(*fitted, table.iloc[outer], codes[outer])
    margins = fit_margins(
        target,
        out_of_fold,
        codes,
        groups,
        len(layout.categories),
        model.risks,
        model.bands,
        model.min_tail_groups,
    )
    final, trees = _fit(table, codes, target, layout, model.chosen, seed)
    final = final.model_copy(update={"margins": margins})
    metadata = Metadata(
        predictor=specification.predictor,
        family=BoundedRegression.family,
        task="regression with a safe upper bound",
        inputs=specification.inputs,
        outputs=output_columns(model.risks, specification.unit),
        features=final.features,
        parameters=model.model_dump(mode="json"),
        data=DataFacts(
            fingerprint=fingerprint(table),
            rows=len(table),
            groups=len(set(groups)),
            origin={str(name): int(count) for name, count in table[specification.origin].value_counts().items()},
        ),
        seed=seed,
        **provenance,
    )
    rows = table.groupby(specification.category).head(1)[[column.name for column in specification.inputs]]
    example = [
        {str(name): None if pd.isna(value) else value for name, value in row.items()} for row in rows.to_dict("records")
    ]
    predictor = BoundedRegression(metadata, final, trees, export_onnx(final, trees), example)
    return predictor, _account(predictor, target, out_of_fold)


def fingerprint(table: pd.DataFrame) -> str:
    """SHA-256 of a table's rows, whatever their order.

    Args:
        table: Any frame.

    Returns:
        Hexadecimal digest.
    """
    hashes = np.sort(pd.util.hash_pandas_object(table[sorted(table.columns)], index=False).to_numpy())
    return hashlib.sha256(hashes.tobytes()).hexdigest()


def training_layout(
    table: pd.DataFrame, specification: FeatureSpecification, model: BoundedRegressionModel
) -> Specification:
    """Everything of the specification that does not depend on a fit.

    Args:
        table: Training rows.
        specification: What the columns are.
        model: With the recipe in force.

    Returns:
        A specification without prior and margins.
    """
    categories = tuple(sorted(table[specification.category].astype(str).unique()))
    present = table.groupby(specification.category)[list(specification.numbers)].count()
    ignored = tuple(
        tuple(name for name in specification.numbers if not present.loc[value, name]) for value in categories
    )
    physics = isinstance(model.chosen, PhysicsTrees)
    derived = [item.name for item in specification.derived] if physics else []
    used = [name for name in [*specification.numbers, *derived] if table[name].notna().any()]
    return Specification(
        category=specification.category,
        categories=categories,
        numbers=specification.numbers,
        ignored=ignored,
        derived=specification.derived,
        features=(*used, *(one_hot_name(specification.category, value) for value in categories)),
        target="log_ratio" if physics else "raw",
        missing=None if physics else -1.0,
        floor=float(table[specification.target].min()) / 2,
        prior=Prior(
            terms=specification.prior_terms,
            base=(1.0,) * len(categories),
            coefficients=((0.0,) * len(specification.prior_terms),) * len(categories),
        ),
        margins=Margins(risks=(), edges=((),) * len(categories), log_margins=()),
        trees="lightgbm" if physics else "onnx",
    )  # fmt: skip


def grouped_folds(groups: np.ndarray, folds: int, seed: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Divide rows so that a group is in one fold only.

    Args:
        groups: Group of each row.
        folds: Number of folds.
        seed: Of the order of the groups.

    Returns:
        Per fold: positions of the rows to fit to, and of the rows to predict.
    """
    from sklearn.model_selection import GroupKFold

    splitter = GroupKFold(folds, shuffle=True, random_state=seed)
    return list(splitter.split(np.zeros(len(groups)), groups=groups))


def _fit(
    table: pd.DataFrame,
    codes: np.ndarray,
    target: np.ndarray,
    layout: Specification,
    recipe: PhysicsTrees | OriginalRecipe,
    seed: int,
) -> tuple[Specification, str | bytes]:
    """Fit prior and trees on some rows."""
    matrix = feature_matrix(table, layout, codes)
    if isinstance(recipe, OriginalRecipe):
        return layout, _fit_original(matrix, target, recipe, seed)
    prior = fit_prior(table, codes, target, layout.prior.terms, len(layout.categories), layout.floor)
    log_ratio = np.log(target / prior_values(table, prior, codes))
    return layout.model_copy(update={"prior": prior}), fit_physics_trees(matrix, log_ratio, recipe, seed)


def fit_physics_trees(matrix: np.ndarray, target: np.ndarray, recipe: PhysicsTrees, seed: int) -> str:
    """Fit LightGBM with one thread.

    Args:
        matrix: Shape (rows, features).
        target: Log ratio of each row to its prior.
        recipe: Parameters.
        seed: Of the choice of rows and features.

    Returns:
        The trees in LightGBM's own format.
    """
    import lightgbm

    parameters = recipe.model_dump(exclude={"kind", "n_estimators"}) | {
        "subsample_freq": 1,
        "seed": seed,
        "deterministic": True,
        "force_row_wise": True,
        # Tables are small here: more threads wait for each other longer than they work
        "num_threads": 1,
        "verbosity": -1,
    }
    data = lightgbm.Dataset(matrix, target, free_raw_data=True, params={"verbosity": -1})
    return str(lightgbm.train(parameters, data, num_boost_round=recipe.n_estimators).model_to_string())


def _fit_original(matrix: np.ndarray, target: np.ndarray, recipe: OriginalRecipe, seed: int) -> bytes:
    from skl2onnx import to_onnx
    from skl2onnx.common.data_types import FloatTensorType
    from sklearn.ensemble import GradientBoostingRegressor

    regressor = GradientBoostingRegressor(**recipe.model_dump(exclude={"kind"}), random_state=seed).fit(matrix, target)
    types = [("features", FloatTensorType([None, matrix.shape[1]]))]
    return bytes(to_onnx(regressor, initial_types=types, target_opset={"": 15, "ai.onnx.ml": 3}).SerializeToString())


def _account(predictor: BoundedRegression, target: np.ndarray, out_of_fold: np.ndarray) -> dict[str, Any]:
    ratio = np.abs(out_of_fold - target) / target
    return {
        "out_of_fold_mape_pct": float(100 * ratio.mean()),
        "out_of_fold_median_ape_pct": float(100 * np.median(ratio)),
        "out_of_fold_mae": float(np.abs(out_of_fold - target).mean()),
        "prior": predictor.specification.prior.model_dump(mode="json"),
        "margins": predictor.specification.margins.model_dump(mode="json"),
        "categories": list(predictor.specification.categories),
        "importances": predictor.importances(),
    }
