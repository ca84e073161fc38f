"""Requests of the training period, and the held-out ones as cases with their candidates."""

from typing import Any

import pandas as pd

from augury.predictors import fetch_columns as fc
from augury.predictors.peer_requests import CASE, CLIENT, COLUMNS, PEER


def build_request_features(
    primary_fetches: pd.DataFrame,
) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame, dict[str, Any]]:
    """Divide candidates into training and holdout, and describe the held-out requests.

    A selector learns from ids and latencies alone, so there is little to compute: what of a held-out request is new.

    Args:
        primary_fetches: See ``peer_fetches.prepare_fetches``.

    Returns:
        - Candidates of the training period, columns as in :mod:`augury.predictors.peer_requests`.
        - One row per held-out request: ``case``, ``group`` and ``client`` (the client), ``ts``, ``slice_client``
          (``known`` or ``new``), ``slice_candidates`` (how many there are), ``slice_new_peers`` (how many of them the
          training never saw).
        - Candidates of the held-out requests.
        - JSON-ready facts.
    """
    training = primary_fetches[primary_fetches[fc.SPLIT] == fc.TRAIN]
    holdout = primary_fetches[primary_fetches[fc.SPLIT] == fc.TEST]
    new_peer = ~holdout[PEER].isin(training[PEER].unique())
    by_case = holdout.assign(new_peer=new_peer).groupby(CASE, sort=False)
    cases = by_case.agg(
        client=(CLIENT, "first"), ts=("ts", "first"), candidates=(PEER, "size"), new_peers=("new_peer", "sum")
    ).reset_index()
    known = cases[CLIENT].isin(training[CLIENT].unique())
    features_holdout = pd.DataFrame(
        {
            CASE: cases[CASE],
            "group": cases[CLIENT],
            CLIENT: cases[CLIENT],
            "ts": cases["ts"],
            "slice_client": known.map({True: "known", False: "new"}),
            "slice_candidates": cases["candidates"].astype(str),
            "slice_new_peers": cases["new_peers"].astype(int).astype(str),
        }
    )
    columns = list(COLUMNS)
    report = {
        "train_requests": int(training[CASE].nunique()),
        "holdout_requests": len(cases),
        "holdout_new_clients": int((~known).sum()),
        "holdout_new_peers": int((cases["new_peers"] > 0).sum()),
        "candidates_by_request": float(len(primary_fetches) / primary_fetches[CASE].nunique()),
    }
    return (
        training[columns].reset_index(drop=True),
        features_holdout,
        holdout[columns].reset_index(drop=True),
        report,
    )
