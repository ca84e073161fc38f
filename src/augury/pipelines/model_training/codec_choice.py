"""Train the choice of a codec: regressors, the small tree, and gates from predictions on held-out lineages."""

from typing import Annotated, Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
from pydantic import Field
from tqdm import tqdm

from augury.curve_table import curve_table
from augury.errors import UserError
from augury.parameters import Parameters, with_tuned
from augury.pipelines.model_training.boosted_trees import fingerprint, grouped_folds
from augury.pipelines.model_training.codec_folds import fold_report
from augury.pipelines.model_training.codec_gating import GateSearch, learn_gates
from augury.pipelines.model_training.codec_landmarks import CodecLandmarks, fit_codec_landmarks
from augury.pipelines.model_training.codec_network import CodecNetwork, fit_codec_network
from augury.pipelines.model_training.codec_trees import CodecTrees, fit_codec_trees
from augury.pipelines.model_training.inline_tree import InlineTree, fit_inline_tree
from augury.predictors import DataFacts, Metadata
from augury.predictors.block_statistics import SIZE
from augury.predictors.codec_choice_columns import input_columns, output_columns
from augury.predictors.codec_costs import LINK, SAMPLE_US, Contexts, Floats, outcome_array
from augury.predictors.codec_regressors import CodecLayout, CodecRegressors, outcomes_of, regression_targets
from augury.predictors.compression import CodecChooser, CodecSpecification
from augury.predictors.distilled_tree import DistilledTree

TASK = "policy: codec by predicted cost"
GROUP = "lineage"


class CompressionModel(Parameters):
    """How the chooser is trained."""

    kind: Literal["trees", "neural"] = Field(default="trees", description="what predicts the codecs' outcomes")
    trees: CodecTrees = CodecTrees()
    neural: CodecNetwork = CodecNetwork()
    landmarks: CodecLandmarks | None = Field(
        default=CodecLandmarks(), description="a second opinion, which has to agree with the first; null: none is asked"
    )
    inline: InlineTree = InlineTree()
    gates: GateSearch = GateSearch()
    folds: Annotated[int, Field(ge=2)] = Field(default=5, description="folds by lineage, for gates and their judgement")
    use_tuned: bool = Field(default=False, description="whether to take the parameters that tuning found")


class Blocks(NamedTuple):
    """Training blocks as arrays."""

    matrix: npt.NDArray[np.float64]
    outcomes: Floats
    """Shape ``(rows, codecs, 3)``, none first."""
    sizes: Floats
    groups: npt.NDArray[Any]
    looks: Floats
    """Time of a look at each block (us)."""

    def part(self, rows: npt.NDArray[Any]) -> "Blocks":
        """Some of the rows."""
        return Blocks(*(array[rows] for array in self))


class Fitted(NamedTuple):
    """Regressors and their small tree."""

    regressors: tuple[CodecRegressors, ...]
    tree: DistilledTree
    curves: pd.DataFrame
    facts: dict[str, Any]

    def targets(self, matrix: npt.NDArray[np.float64]) -> tuple[Floats, ...]:
        """Of each of the regressors, and then of the tree."""
        return *(each.targets(matrix) for each in self.regressors), self.tree.targets(matrix)


def train_codec_choice(
    features_train: pd.DataFrame,
    report_features: dict[str, Any],
    best_params: dict[str, Any],
    model: CompressionModel,
    contexts: Contexts,
    seed: int,
    provenance: dict[str, Any],
) -> tuple[CodecChooser, pd.DataFrame, dict[str, Any]]:
    """Train on some blocks.

    Args:
        features_train: One row per block: ``size``, statistics, ``lineage``, and all outcomes.
        report_features: A :class:`~augury.predictors.codec_regressors.CodecLayout` as JSON.
        best_params: What tuning found.
        model: Parameters.
        contexts: The bandwidths that gates are learned for.
        seed: Of folds and fits.
        provenance: For the metadata.

    Returns:
        The predictor; the curves of the network (empty for trees); and a report: the figures of every fold, mean and
        spread, gates, importances.

    Raises:
        UserError: There are fewer lineages than folds, or no blocks.
    """
    model = with_tuned(model, best_params, model.use_tuned, "compression")
    layout = CodecLayout.model_validate(report_features)
    table = features_train.sort_values("block", ignore_index=True)
    blocks = blocks_of(table, layout, model)
    held_out, folds = _out_of_fold(blocks, layout, model, contexts, seed)
    *asked, inline = (_as_outcomes(targets, blocks) for targets in held_out)
    leisurely = np.stack([outcomes for outcomes, _ in asked])
    found = fold_report(
        leisurely, inline[0], blocks.outcomes, blocks.looks, blocks.groups, folds, layout.codecs, contexts,
        model.gates,
    )  # fmt: skip
    totals = blocks.outcomes.sum(axis=0)
    gates = learn_gates(
        leisurely, inline[0], blocks.outcomes, blocks.looks, blocks.groups, totals, contexts, model.gates
    )
    fitted = fit(blocks, layout, model, contexts, seed)
    specification = CodecSpecification(
        layout=layout,
        kinds=tuple(each.kind for each in fitted.regressors),
        totals=tuple(map(tuple, totals.tolist())),
        factors=tuple(tuple(map(tuple, factors.tolist())) for _, factors in asked),
        inline_factors=tuple(map(tuple, inline[1].tolist())),
        gates=gates,
        looks=model.gates.looks,
        look_us=float(blocks.looks.mean()),
        sample_us=model.gates.sample_us,
        decision_us=model.gates.decision_us,
    )
    inputs = input_columns(layout)
    metadata = Metadata(
        predictor="compression",
        family=CodecChooser.family,
        task=TASK,
        inputs=inputs,
        outputs=output_columns(layout.codecs),
        features=layout.features,
        parameters=model.model_dump(mode="json"),
        data=DataFacts(
            fingerprint=fingerprint(table),
            rows=len(table),
            groups=len(np.unique(blocks.groups)),
            origin={"measured": len(table)},
        ),
        seed=seed,
        **provenance,
    )
    predictor = CodecChooser(metadata, specification, fitted.regressors, fitted.tree, _example(table, inputs, contexts))
    report = found | {"gates": [gate.model_dump() for gate in gates], **fitted.facts}
    return predictor, fitted.curves, report


def blocks_of(table: pd.DataFrame, layout: CodecLayout, model: CompressionModel) -> Blocks:
    """Take a table apart.

    Args:
        table: One row per block.
        layout: Columns and codecs.
        model: For what a look takes where it was not measured.

    Returns:
        The arrays.

    Raises:
        UserError: Too few blocks or lineages.
    """
    groups = table[GROUP].to_numpy()
    if len(np.unique(groups.astype(str))) < model.folds:
        raise UserError(
            f"compression: {len(np.unique(groups.astype(str)))} training lineages are too few for {model.folds} folds; "
            "bring blocks of more files or lower 'compression.model.folds'."
        )
    looks = table[SAMPLE_US] if SAMPLE_US in table else pd.Series(np.nan, index=table.index)
    return Blocks(
        layout.matrix(table),
        outcome_array(table, layout.codecs),
        table[SIZE].to_numpy(np.float64),
        groups,
        np.asarray(looks.fillna(model.gates.sample_us), dtype=np.float64) + model.gates.decision_us,
    )


def fit(blocks: Blocks, layout: CodecLayout, model: CompressionModel, contexts: Contexts, seed: int) -> Fitted:
    """Fit the regressors, and the tree to what they predict on average."""
    regressors, curves, facts = fit_regressors(blocks, layout, model, seed)
    predicted = np.mean([_as_outcomes(each.targets(blocks.matrix), blocks)[0] for each in regressors], axis=0)
    tree = fit_inline_tree(blocks.matrix, predicted, blocks.outcomes, blocks.sizes, contexts, model.inline, seed)
    return Fitted(regressors, tree, curves, facts)


def fit_regressors(
    blocks: Blocks, layout: CodecLayout, model: CompressionModel, seed: int
) -> tuple[tuple[CodecRegressors, ...], pd.DataFrame, dict[str, Any]]:
    """Fit the regressors of the kind in force and their second opinion; with curves, and what there is to say."""
    targets = regression_targets(blocks.outcomes[:, 1:], blocks.sizes)
    first: CodecRegressors
    if model.kind == "neural":
        first, curves, facts = fit_codec_network(
            blocks.matrix, targets, blocks.sizes, blocks.groups, model.neural, seed
        )
    else:
        trees = fit_codec_trees(blocks.matrix, targets, blocks.sizes, layout.predicted, model.trees, seed)
        first, curves, facts = trees, curve_table(), {"importances": trees.importances(layout.features)}
    if model.landmarks is None:
        return (first,), curves, facts
    second = fit_codec_landmarks(blocks.matrix, targets, blocks.sizes, model.landmarks, seed)
    return (first, second), curves, facts


def _out_of_fold(
    blocks: Blocks, layout: CodecLayout, model: CompressionModel, contexts: Contexts, seed: int
) -> tuple[Floats, npt.NDArray[np.intp]]:
    """Targets predicted for every block by a fit that did not see its lineage; and the fold of each block.

    The targets have the shape ``(regressors + 1, rows, codecs, 3)``: last come those of the tree.
    """
    many = 2 + (model.landmarks is not None)
    found = np.zeros((many, len(blocks.sizes), len(layout.predicted), blocks.outcomes.shape[2]))
    number = np.zeros(len(blocks.sizes), dtype=np.intp)
    folds = grouped_folds(blocks.groups.astype(str), model.folds, seed)
    for fold, (inner, outer) in enumerate(tqdm(folds, desc="compression folds", unit="fold", mininterval=2)):
        fitted = fit(blocks.part(inner), layout, model, contexts, seed)
        found[:, outer] = fitted.targets(blocks.matrix[outer])
        number[outer] = fold
    return found, number


def _as_outcomes(targets: Floats, blocks: Blocks) -> tuple[Floats, Floats]:
    """Targets as outcomes, and the factors that make their times right on average."""
    plain = outcomes_of(targets, blocks.sizes, np.ones((targets.shape[1], 2)))
    said, true = plain[:, 1:, 1:].sum(axis=0), blocks.outcomes[:, 1:, 1:].sum(axis=0)
    factors = np.divide(true, said, out=np.ones_like(true), where=said > 0)
    factors = np.clip(factors, 0.25, 4.0)
    return outcomes_of(targets, blocks.sizes, factors), factors


def _example(table: pd.DataFrame, inputs: Any, contexts: Contexts) -> list[dict[str, Any]]:
    names = [column.name for column in inputs if column.name in table]
    rows = table.head(3)[names].assign(**{LINK: contexts.link_mbps[len(contexts.link_mbps) // 2]})
    return [
        {
            str(name): None if pd.isna(value) else value.item() if isinstance(value, np.generic) else value
            for name, value in row.items()
        }
        for row in rows.to_dict("records")
    ]
