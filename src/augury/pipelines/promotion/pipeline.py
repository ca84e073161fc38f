"""Promotion: champion and challenger on the present holdout -> a decision, and the aliases that follow from it."""

from collections.abc import Collection

from kedro.pipeline import Node, Pipeline

from augury.pipelines.assembly import assemble


def create_pipeline(predictors: Collection[str] = ()) -> Pipeline:
    """Promotion of all predictors, or of those that are named; one namespace each."""
    return assemble(globals(), predictors)


def pdf_memory() -> Pipeline:
    """Which model's memory estimates are closer."""
    from augury.pipelines.promotion import regression

    nodes = [
        Node(
            regression.decide_regression,
            inputs=[
                "champion",
                "challenger",
                "features_holdout",
                "report_features",
                "provenance",
                "params:promotion",
                "params:seed",
            ],
            outputs="report_promotion",
            name="decide_promotion",
        ),
        *_carry_out(),
    ]
    return Pipeline(nodes, inputs={"provenance"}, namespace="pdf_memory", tags="promotion")


def query_cost() -> Pipeline:
    """Which model knows heavy queries better."""
    return _binary("query_cost")


def food_waste() -> Pipeline:
    """Which model knows better what will be wasted."""
    return _binary("food_waste")


def taxonomy() -> Pipeline:
    """Which model gives texts better codes."""
    from augury.pipelines.promotion import multilabel

    nodes = [
        Node(
            multilabel.decide_multilabel,
            inputs=["champion", "challenger", "primary_texts", "provenance", "params:promotion", "params:seed"],
            outputs="report_promotion",
            name="decide_promotion",
        ),
        *_carry_out(),
    ]
    return Pipeline(nodes, inputs={"provenance"}, namespace="taxonomy", tags="promotion")


def recommendation() -> Pipeline:
    """Which model puts what users turn to higher on their lists."""
    from augury.pipelines.promotion import ranking

    nodes = [
        Node(
            ranking.decide_ranking,
            inputs=[
                "champion",
                "challenger",
                "features_matrix",
                "features_negatives",
                "primary_users",
                "primary_items",
                "provenance",
                "params:promotion",
                "params:seed",
            ],
            outputs="report_promotion",
            name="decide_promotion",
        ),
        *_carry_out(),
    ]
    return Pipeline(nodes, inputs={"provenance"}, namespace="recommendation", tags="promotion")


def compression() -> Pipeline:
    """Which chooser's codecs cost less."""
    return _policy_promotion("compression")


def deduplication() -> Pipeline:
    """Which index lets blocks take fewer bytes."""
    return _policy_promotion("deduplication", ("features_pairs",))


def prefetch() -> Pipeline:
    """Which model leaves a cache with fewer misses."""
    return _policy_promotion("prefetch", ("features_accesses",))


def peer_selection() -> Pipeline:
    """Which selector's peers answer faster."""
    return _policy_promotion("peer_selection", ("features_candidates",))


def gossip_tuning() -> Pipeline:
    """Which tuner's choices cost less in held-out networks."""
    return _policy_promotion("gossip_tuning", ("features_outcomes",))


def _binary(predictor: str) -> Pipeline:
    """Promotion of any binary predictor that scores a feature table."""
    from augury.pipelines.promotion import binary

    nodes = [
        Node(
            binary.decide_binary,
            inputs=[
                "champion",
                "challenger",
                "features_matrix",
                "report_features",
                "provenance",
                "params:promotion",
                "params:seed",
            ],
            outputs="report_promotion",
            name="decide_promotion",
        ),
        *_carry_out(),
    ]
    return Pipeline(nodes, inputs={"provenance"}, namespace=predictor, tags="promotion")


def _policy_promotion(predictor: str, tables: tuple[str, ...] = ()) -> Pipeline:
    """Promotion of any policy, by what its choices cost on ``features_holdout``.

    Args:
        predictor: Its namespace.
        tables: Further datasets that ``replay`` takes under their own names.
    """
    from augury.pipelines.promotion import policies

    nodes = [
        Node(
            policies.decide_policies,
            inputs={
                "champion": "champion",
                "challenger": "challenger",
                "features_holdout": "features_holdout",
                "provenance": "provenance",
                "rules": "params:promotion",
                "seed": "params:seed",
                **{name: name for name in tables},
            },
            outputs="report_promotion",
            name="decide_promotion",
        ),
        *_carry_out(),
    ]
    return Pipeline(nodes, inputs={"provenance"}, namespace=predictor, tags="promotion")


def _carry_out() -> list[Node]:
    from augury.pipelines.promotion import decision

    return [
        Node(decision.carry_out, inputs="report_promotion", outputs="promotion", name="carry_out_promotion"),
        Node(
            decision.enforce_promotion,
            inputs=["report_promotion", "promotion"],
            outputs=None,
            name="enforce_promotion",
        ),
    ]
