"""Data engineering: raw -> valid, labelled, filtered, split."""

from collections.abc import Collection

from kedro.pipeline import Node, Pipeline

from augury.pipelines.assembly import assemble


def create_pipeline(predictors: Collection[str] = ()) -> Pipeline:
    """Data engineering of all predictors, or of those that are named; one namespace each."""
    return assemble(globals(), predictors)


def pdf_memory() -> Pipeline:
    """Finished jobs, split by file."""
    from augury.pipelines.data_engineering import pdf_jobs

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
    from augury.pipelines.data_engineering import boundary_sampling, query_log, query_sources, zero_cost

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
    from augury.pipelines.data_engineering import purchases

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
    from augury.pipelines.data_engineering import labelled_texts

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
    from augury.pipelines.data_engineering import interactions

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
    from augury.pipelines.data_engineering import measured_blocks

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
    """Sketched blocks and measured pairs, split by lineage."""
    from augury.pipelines.data_engineering import sketched_blocks

    return Pipeline(
        [
            Node(
                sketched_blocks.prepare_blocks,
                inputs=["sketches", "pairs", "params:source", "params:split", "params:seed"],
                outputs=["primary_blocks", "primary_pairs", "report_data"],
                name="prepare_blocks",
            ),
        ],
        namespace="deduplication",
        tags="data_engineering",
    )


def prefetch() -> Pipeline:
    """Accesses as numbered blocks in their order, divided in time."""
    from augury.pipelines.data_engineering import accesses

    return Pipeline(
        [
            Node(
                accesses.prepare_accesses,
                inputs=["accesses", "params:source", "params:split", "params:seed"],
                outputs=["primary_accesses", "report_data"],
                name="prepare_accesses",
            ),
        ],
        namespace="prefetch",
        tags="data_engineering",
    )


def peer_selection() -> Pipeline:
    """Candidates of valid requests, split by time."""
    from augury.pipelines.data_engineering import peer_fetches

    return Pipeline(
        [
            Node(
                peer_fetches.prepare_fetches,
                inputs=["fetches", "params:source", "params:split"],
                outputs=["primary_fetches", "report_data"],
                name="prepare_fetches",
            ),
        ],
        namespace="peer_selection",
        tags="data_engineering",
    )


def gossip_tuning() -> Pipeline:
    """Observed rounds and evaluated states, split by network."""
    from augury.pipelines.data_engineering import gossip_rounds

    return Pipeline(
        [
            Node(
                gossip_rounds.prepare_rounds,
                inputs=["rounds", "evaluated", "params:split", "params:seed"],
                outputs=["primary_rounds", "primary_states", "primary_outcomes", "report_data"],
                name="prepare_rounds",
            ),
        ],
        namespace="gossip_tuning",
        tags="data_engineering",
    )
