"""Replay a chooser of codecs on held-out blocks in every context, beside the plain rules and the oracle."""

import time
from typing import Any

import numpy as np
import pandas as pd

from augury.errors import UserError
from augury.predictors.block_statistics import SIZE
from augury.predictors.codec_costs import LINK, PRICE, READS, costs_of, outcome_array
from augury.predictors.compression import KB, CodecChooser, complete
from augury.predictors.policy import replayed

SIZE_EDGES = (8192, 16384, 32768, 65536, 131072)
TIMED_ROWS = 2000


def replay_codecs(
    predictor: CodecChooser, features_holdout: pd.DataFrame, predictions_baselines: pd.DataFrame
) -> pd.DataFrame:
    """Make the frame that policies are judged on.

    Args:
        predictor: The trained chooser.
        features_holdout: Cases: held-out blocks in every context, with all outcomes.
        predictions_baselines: What the plain rules chose, and what it cost.

    Returns:
        See ``policy_holdout``; besides ``cost_at_leisure`` and ``choice_at_leisure`` (the time of the decision not
        counted), ``looked``, ``slice_link_mbps`` and ``slice_size``.

    Raises:
        UserError: The baselines are those of other cases.
    """
    if not predictions_baselines["case"].equals(features_holdout["case"]):
        raise UserError("compression: the baselines were made for other held-out cases; run model_training again.")
    found = replayed(predictor, features_holdout)
    link, price, reads = (features_holdout[name].to_numpy(np.float64) for name in (LINK, PRICE, READS))
    costs = costs_of(outcome_array(features_holdout, predictor.codecs), link, price, reads)
    names = np.array(predictor.codecs, dtype=object)
    edges = np.array([0, *SIZE_EDGES])
    band = np.searchsorted(edges, features_holdout[SIZE].to_numpy(), side="left") - 1
    labels = np.array([f"above {edge // 1024} KiB" for edge in edges], dtype=object)
    return pd.DataFrame(
        {
            "case": features_holdout["case"],
            "group": features_holdout["group"],
            **found[["cost", "choice", "cost_at_leisure", "choice_at_leisure", "looked"]].to_dict("series"),
            "cost_oracle": costs.min(axis=1) * link / KB,
            "choice_oracle": names[costs.argmin(axis=1)],
            **{name: predictions_baselines[name] for name in predictions_baselines if name != "case"},
            "slice_link_mbps": features_holdout[LINK].map("{:g}".format),
            "slice_size": labels[np.maximum(band, 0)],
        }
    )


def check_codec_export(predictor: CodecChooser, features_holdout: pd.DataFrame) -> dict[str, Any]:
    """Compare the ONNX export with the regressors on the held-out blocks, and time decisions.

    Args:
        predictor: The trained chooser.
        features_holdout: Held-out cases.

    Returns:
        ``n_train``, ``n_train_groups``; ``onnx`` with ``rows`` and ``max_difference``; ``decision`` with microseconds
        by block of the small tree and of the regressors, in a batch of held-out blocks on this machine.
    """
    layout = predictor.specification.layout
    blocks = complete(features_holdout.drop_duplicates("block"), layout)
    matrix = layout.matrix(blocks)
    facts = predictor.metadata.data
    return {
        "n_train": facts.rows,
        "n_train_groups": facts.groups,
        "onnx": predictor.compare_onnx(matrix),
        "decision": {
            "tree_us": _us(lambda rows: predictor.decide(rows, 400.0), matrix[:TIMED_ROWS]),
            "regressors_us": _us(
                lambda rows: [each.targets(rows) for each in predictor.regressors], matrix[:TIMED_ROWS]
            ),
        },
    }


def _us(action: Any, matrix: Any) -> float:
    action(matrix[:1])
    action(matrix)  # compiled, and in the cache
    begun = time.thread_time()
    action(matrix)
    return 1e6 * (time.thread_time() - begun) / max(len(matrix), 1)
