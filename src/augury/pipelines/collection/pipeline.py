"""Collection: measure or simulate raw data where a team has none yet."""

from collections.abc import Collection

from kedro.pipeline import Node, Pipeline

from augury.pipelines.assembly import assemble


def create_pipeline(predictors: Collection[str] = ()) -> Pipeline:
    """Collection of all predictors, or of those that are named; one namespace each."""
    return assemble(globals(), predictors)


def pdf_memory() -> Pipeline:
    """Run real PDF jobs and record their peak memory."""
    from augury.pipelines.collection import pdf_jobs

    return Pipeline(
        [
            Node(
                pdf_jobs.find_documents,
                inputs=["params:collection", "params:seed"],
                outputs="documents",
                name="find_documents",
            ),
            Node(
                pdf_jobs.measure_jobs,
                inputs=["documents", "measured", "params:collection", "params:seed"],
                outputs="measurements",
                name="measure_jobs",
            ),
            Node(
                pdf_jobs.assemble_jobs,
                inputs=["documents", "measurements", "params:collection", "params:seed"],
                outputs="jobs",
                name="assemble_jobs",
            ),
        ],
        namespace="pdf_memory",
        tags="collection",
    )


def query_cost() -> Pipeline:
    """Execute real queries and record their cost; then replay them as the traffic of some weeks."""
    from augury.pipelines.collection import query_lab, query_replay

    return Pipeline(
        [
            Node(
                query_lab.execute_queries,
                inputs=["executed_so_far", "params:collection", "params:seed"],
                outputs="executed_parts",
                name="execute_queries",
            ),
            Node(
                query_lab.assemble_queries,
                inputs=["executed_parts", "params:collection", "params:seed"],
                outputs="executed",
                name="assemble_queries",
            ),
            Node(
                query_replay.replay_log,
                inputs=["executed", "params:replay", "params:seed"],
                outputs="query_log",
                name="replay_log",
            ),
        ],
        namespace="query_cost",
        tags="collection",
    )


def food_waste() -> Pipeline:
    """Simulate households that buy, eat and waste, with the probability that nature used."""
    from augury.pipelines.collection import waste_simulation

    return Pipeline(
        [
            Node(
                waste_simulation.simulate_purchases,
                inputs=["params:collection", "params:seed"],
                outputs=["purchases", "report_simulation"],
                name="simulate_purchases",
            ),
        ],
        namespace="food_waste",
        tags="collection",
    )


def taxonomy() -> Pipeline:
    """Invent texts about the subjects of a classification, with codes that are wrong at a known rate."""
    from augury.pipelines.collection import labelled_text_simulation

    return Pipeline(
        [
            Node(
                labelled_text_simulation.create_labelled_texts,
                inputs=["params:collection", "params:seed"],
                outputs=["samples", "codes"],
                name="create_texts",
            ),
        ],
        namespace="taxonomy",
        tags="collection",
    )


def recommendation() -> Pipeline:
    """Simulate users whose taste drifts among items that come and are popular or not."""
    from augury.pipelines.collection import interaction_simulation

    return Pipeline(
        [
            Node(
                interaction_simulation.create_synthetic_interactions,
                inputs=["params:collection", "params:seed"],
                outputs=["interactions", "items"],
                name="create_interactions",
            ),
        ],
        namespace="recommendation",
        tags="collection",
    )


def compression() -> Pipeline:
    """Run real codecs on blocks of real files; and train dictionaries for small ones."""
    from augury.pipelines.collection import block_measurement, dictionary_measurement

    return Pipeline(
        [
            Node(
                block_measurement.measure_blocks,
                inputs=["params:collection", "params:seed"],
                outputs="blocks",
                name="measure_blocks",
            ),
            Node(
                dictionary_measurement.measure_dictionaries,
                inputs=["params:dictionaries", "params:seed"],
                outputs=["dictionaries", "dictionary_gains"],
                name="measure_dictionaries",
            ),
        ],
        namespace="compression",
        tags="collection",
    )


def deduplication() -> Pipeline:
    """Make versions of real files, and measure what deltas between them take; their content is not kept."""
    from augury.pipelines.collection import block_sketches

    return Pipeline(
        [
            Node(
                block_sketches.collect_blocks,
                inputs=["params:collection", "params:sketch", "params:seed"],
                outputs=["sketches", "pairs"],
                name="collect_blocks",
            ),
        ],
        namespace="deduplication",
        tags="collection",
    )


def prefetch() -> Pipeline:
    """Run real programs and record which files they open."""
    from augury.pipelines.collection import file_opens

    return Pipeline(
        [
            Node(
                file_opens.record_accesses,
                inputs=["params:collection", "params:seed"],
                outputs="accesses",
                name="record_accesses",
            ),
        ],
        namespace="prefetch",
        tags="collection",
    )


def peer_selection() -> Pipeline:
    """Simulate a network of low rank with noise, drift, time-outs, and nodes that come and go."""
    from augury.pipelines.collection import peer_simulation

    return Pipeline(
        [
            Node(
                peer_simulation.simulate_fetches,
                inputs=["params:collection", "params:seed"],
                outputs="fetches",
                name="simulate_fetches",
            ),
        ],
        namespace="peer_selection",
        tags="collection",
    )


def gossip_tuning() -> Pipeline:
    """Play gossip in simulated networks: logged rounds, and states in which every action is played."""
    from augury.pipelines.collection import gossip_rounds

    return Pipeline(
        [
            Node(
                gossip_rounds.collect_rounds,
                inputs=["params:collection", "params:seed"],
                outputs=["rounds", "evaluated"],
                name="collect_rounds",
            ),
        ],
        namespace="gossip_tuning",
        tags="collection",
    )
