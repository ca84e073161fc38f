"""Feature engineering: splits -> model-ready tables, by the same functions that serving uses."""

from collections.abc import Collection

from kedro.pipeline import Node, Pipeline

from augury.pipelines.assembly import assemble


def create_pipeline(predictors: Collection[str] = ()) -> Pipeline:
    """Feature engineering of all predictors, or of those that are named; one namespace each."""
    return assemble(globals(), predictors)


def pdf_memory() -> Pipeline:
    """Physical features of each job."""
    from augury.pipelines.feature_engineering import pdf_jobs

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
    from augury.pipelines.feature_engineering import feature_parity, query_history, query_keys, query_log

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
    from augury.pipelines.feature_engineering import purchases

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
    from augury.pipelines.feature_engineering import labelled_texts

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
    from augury.pipelines.feature_engineering import interactions

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
    from augury.pipelines.feature_engineering import measured_blocks

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
    """Blocks in the order in which they were stored."""
    from augury.pipelines.feature_engineering import sketched_blocks

    return Pipeline(
        [
            Node(
                sketched_blocks.build_block_features,
                inputs=["primary_blocks", "primary_pairs", "params:sketch"],
                outputs=[
                    "features_train",
                    "features_train_pairs",
                    "features_holdout",
                    "features_pairs",
                    "report_features",
                ],
                name="build_features",
            ),
        ],
        namespace="deduplication",
        tags="feature_engineering",
    )


def prefetch() -> Pipeline:
    """Windows of the held-out part, each a case."""
    from augury.pipelines.feature_engineering import accesses

    return Pipeline(
        [
            Node(
                accesses.build_access_features,
                inputs=["primary_accesses", "params:features"],
                outputs=["features_accesses", "features_holdout", "report_features"],
                name="build_features",
            ),
        ],
        namespace="prefetch",
        tags="feature_engineering",
    )


def peer_selection() -> Pipeline:
    """Held-out requests as cases, with their candidates beside them."""
    from augury.pipelines.feature_engineering import peer_fetches

    return Pipeline(
        [
            Node(
                peer_fetches.build_request_features,
                inputs="primary_fetches",
                outputs=["features_train", "features_holdout", "features_candidates", "report_features"],
                name="build_features",
            ),
        ],
        namespace="peer_selection",
        tags="feature_engineering",
    )


def gossip_tuning() -> Pipeline:
    """Rounds to learn from, and held-out cases."""
    from augury.pipelines.feature_engineering import gossip_rounds

    return Pipeline(
        [
            Node(
                gossip_rounds.build_gossip_tables,
                inputs=["primary_rounds", "primary_states", "primary_outcomes", "params:features"],
                outputs=[
                    "features_rounds",
                    "features_later",
                    "features_states",
                    "features_outcomes",
                    "features_holdout",
                ],
                name="build_tables",
            ),
        ],
        namespace="gossip_tuning",
        tags="feature_engineering",
    )
