"""Blocks for training, and cases for judgement: every held-out block in every context."""

from typing import Any

import pandas as pd
from pydantic import Field

from augury.parameters import Parameters
from augury.predictors.codec_costs import LINK, Contexts, crossed
from augury.predictors.codec_regressors import CodecLayout


class BlockFeatures(Parameters):
    """Which features are made of the columns."""

    most_values: int = Field(default=12, ge=0, description="values of a text column that get an indicator")
    least_rows: int = Field(default=20, ge=1, description="training blocks that such a value needs")


def build_block_features(
    primary_blocks: pd.DataFrame, report_data: dict[str, Any], contexts: Contexts, features: BlockFeatures
) -> tuple[pd.DataFrame, pd.DataFrame, dict[str, Any]]:
    """Divide the blocks.

    Args:
        primary_blocks: What data engineering prepared.
        report_data: Names of codecs, numbers and categories.
        contexts: The bandwidths to judge at.
        features: How features are made.

    Returns:
        Training blocks; held-out cases, one row per block and bandwidth, with ``case`` and ``group`` (the lineage); and
        a :class:`~augury.predictors.codec_regressors.CodecLayout` as JSON, from training blocks alone.
    """
    held = primary_blocks["is_holdout"]
    train = primary_blocks[~held].drop(columns="is_holdout").reset_index(drop=True)
    layout = describe_layout(train, report_data, features)
    cases = crossed(primary_blocks[held].drop(columns="is_holdout").reset_index(drop=True), contexts)
    cases.insert(0, "case", cases["block"] + " " + cases[LINK].map("{:g}".format))
    cases.insert(1, "group", cases["lineage"])
    return train, cases, layout.model_dump(mode="json")


def describe_layout(train: pd.DataFrame, report_data: dict[str, Any], features: BlockFeatures) -> CodecLayout:
    """Choose the columns of the matrix.

    Args:
        train: Training blocks.
        report_data: Names of codecs, numbers and categories.
        features: How features are made.

    Returns:
        The layout: numbers with a value in training, and the frequent values of text columns.
    """
    categories = {}
    for name in report_data["categories"]:
        counts = train[name].dropna().value_counts()
        frequent = counts[counts >= features.least_rows].head(features.most_values)
        categories[name] = tuple(sorted(map(str, frequent.index)))
    numbers = tuple(name for name in report_data["numbers"] if train[name].notna().any())
    return CodecLayout(numbers=numbers, categories=categories, codecs=tuple(report_data["codecs"]))
