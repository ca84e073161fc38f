"""Data engineering: raw -> valid, labelled, filtered, split."""

from kedro.pipeline import Node, Pipeline

from augury.pipelines.data_engineering import (
    boundary_sampling,
    interactions,
    labelled_texts,
    measured_blocks,
    pdf_jobs,
    purchases,
    query_log,
    query_sources,
    zero_cost,
)


def create_pipeline() -> Pipeline:
    """Data engineering of all predictors, one namespace each."""
    return sum((predictor() for predictor in PREDICTORS), Pipeline([]))


def pdf_memory() -> Pipeline:
    """Finished jobs, split by file."""
    return Pipeline(
        [
            Node(
                pdf_jobs.prepare_jobs,
                inputs=["jobs", "params:split", "params:seed"],
                outputs=["primary_jobs", "report_data"],
                name="prepare_jobs",
            ),
        ],
        namespace="pdf_memory",
        tags="data_engineering",
    )


def query_cost() -> Pipeline:
    """One canonical log, labelled, filtered, split by time; only the training days are sampled."""
    return Pipeline(
        [
            Node(
                query_sources.adapt_log,
                inputs=["query_log", "params:source", "params:seed"],
                outputs=["primary_log", "report_source"],
                name="adapt_log",
            ),
            Node(
                zero_cost.classify_log,
                inputs=["primary_log", "params:zero_cost", "params:label"],
                outputs="report_zero_cost",
                name="classify_log",
            ),
            Node(
                query_log.label_log,
                inputs=["primary_log", "report_zero_cost", "params:label", "params:filters", "params:split"],
                outputs=["primary_labelled", "report_data"],
                name="label_log",
            ),
            Node(
                boundary_sampling.sample_train,
                inputs=["primary_labelled", "params:label", "params:sampling", "params:seed"],
                outputs=["primary_sampled", "report_sampling"],
                name="sample_train",
            ),
        ],
        namespace="query_cost",
        tags="data_engineering",
    )


def food_waste() -> Pipeline:
    """Purchases whose fate had time to show, split by time."""
    return Pipeline(
        [
            Node(
                purchases.prepare_purchases,
                inputs=["purchases", "params:source", "params:label", "params:split"],
                outputs=["primary_purchases", "report_data"],
                name="prepare_purchases",
            ),
        ],
        namespace="food_waste",
        tags="data_engineering",
    )


def taxonomy() -> Pipeline:
    """Texts with all codes that follow from theirs, split so that near-duplicates stay together."""
    return Pipeline(
        [
            Node(
                labelled_texts.prepare_texts,
                inputs=["samples", "codes", "params:source", "params:split", "params:seed"],
                outputs=["primary_texts", "primary_codes", "report_data"],
                name="prepare_texts",
            ),
        ],
        namespace="taxonomy",
        tags="data_engineering",
    )


def recommendation() -> Pipeline:
    """Pairs of user and item, weighted, and split by time."""
    return Pipeline(
        [
            Node(
                interactions.prepare_interactions,
                inputs=["interactions", "items", "params:source", "params:split", "params:seed"],
                outputs=["primary_interactions", "primary_users", "primary_items", "report_data"],
                name="prepare_interactions",
            ),
        ],
        namespace="recommendation",
        tags="data_engineering",
    )


def compression() -> Pipeline:
    """Blocks on which every codec was measured, split by lineage."""
    return Pipeline(
        [
            Node(
                measured_blocks.prepare_blocks,
                inputs=["blocks", "params:source", "params:split", "params:seed"],
                outputs=["primary_blocks", "report_data"],
                name="prepare_blocks",
            ),
        ],
        namespace="compression",
        tags="data_engineering",
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
