"""Feature engineering: splits -> model-ready tables, by the same functions that serving uses."""

from kedro.pipeline import Node, Pipeline

from augury.pipelines.feature_engineering import (
    feature_parity,
    interactions,
    labelled_texts,
    measured_blocks,
    pdf_jobs,
    purchases,
    query_history,
    query_keys,
    query_log,
)


def create_pipeline() -> Pipeline:
    """Feature engineering of all predictors, one namespace each."""
    return sum((predictor() for predictor in PREDICTORS), Pipeline([]))


def pdf_memory() -> Pipeline:
    """Physical features of each job."""
    return Pipeline(
        [
            Node(
                pdf_jobs.build_features,
                inputs="primary_jobs",
                outputs=["features_train", "features_holdout", "report_features"],
                name="build_features",
            ),
        ],
        namespace="pdf_memory",
        tags="feature_engineering",
    )


def query_cost() -> Pipeline:
    """What each text says, and what was known on its day of its user, tables and template."""
    return Pipeline(
        [
            Node(
                query_keys.fingerprint_log,
                inputs=["primary_labelled", "params:features"],
                outputs="features_keys",
                name="fingerprint_log",
            ),
            Node(
                query_history.daily_statistics,
                inputs=["features_keys", "params:features"],
                outputs="features_daily",
                name="daily_statistics",
            ),
            Node(
                query_history.take_snapshots,
                inputs=["features_daily", "features_keys", "primary_sampled", "params:features"],
                outputs="features_history",
                name="take_snapshots",
            ),
            Node(
                query_log.build_features,
                inputs=["primary_sampled", "features_history", "params:features", "params:seed"],
                outputs=["features_matrix", "report_features"],
                name="build_features",
            ),
            Node(
                feature_parity.check_parity,
                inputs=[
                    "primary_sampled",
                    "features_history",
                    "features_matrix",
                    "report_features",
                    "params:features",
                ],
                outputs="report_parity",
                name="check_parity",
            ),
        ],
        namespace="query_cost",
        tags="feature_engineering",
    )


def food_waste() -> Pipeline:
    """What was known of each item and its household when it was bought."""
    return Pipeline(
        [
            Node(
                purchases.build_features,
                inputs=["primary_purchases", "params:features"],
                outputs=["features_matrix", "report_features"],
                name="build_features",
            ),
        ],
        namespace="food_waste",
        tags="feature_engineering",
    )


def taxonomy() -> Pipeline:
    """Tokens, and the codes that there are texts enough for."""
    return Pipeline(
        [
            Node(
                labelled_texts.build_text_features,
                inputs=["primary_texts", "primary_codes", "params:features", "params:seed"],
                outputs=["features_texts", "features_codes", "tokenizer", "report_features"],
                name="build_features",
            ),
        ],
        namespace="taxonomy",
        tags="feature_engineering",
    )


def recommendation() -> Pipeline:
    """The weighted matrix, and the negatives that the sampled protocol compares with."""
    return Pipeline(
        [
            Node(
                interactions.build_interaction_features,
                inputs=["primary_interactions", "primary_items", "params:features", "params:seed"],
                outputs=["features_matrix", "features_negatives", "report_features"],
                name="build_features",
            ),
        ],
        namespace="recommendation",
        tags="feature_engineering",
    )


def compression() -> Pipeline:
    """Training blocks; and held-out blocks in every context."""
    return Pipeline(
        [
            Node(
                measured_blocks.build_block_features,
                inputs=["primary_blocks", "report_data", "params:contexts", "params:features"],
                outputs=["features_train", "features_holdout", "report_features"],
                name="build_block_features",
            ),
        ],
        namespace="compression",
        tags="feature_engineering",
    )


def deduplication() -> Pipeline:
    """Deduplication: which stored blocks resemble a new one."""
    return Pipeline([])


def prefetch() -> Pipeline:
    """Prefetch: which blocks are read next."""
    return Pipeline([])


def peer_selection() -> Pipeline:
    """Peer selection: which peer serves a block."""
    return Pipeline([])


def gossip_tuning() -> Pipeline:
    """Gossip tuning: which fanout and hop limit for a state of the network."""
    return Pipeline([])


PREDICTORS = (
    pdf_memory,
    query_cost,
    food_waste,
    taxonomy,
    recommendation,
    compression,
    deduplication,
    prefetch,
    peer_selection,
    gossip_tuning,
)
