"""What a report shows of a recommender's metrics, under which words."""

from augury.reporting.report_layout import Label, Layout

_FULL = "Full ranking: among all items that the user has not seen"
_SAMPLED = "Sampled negatives (the 99-negatives protocol): for comparison with the literature only"
_COLD = "Users and items without training interactions"
_LISTS = "What the lists hold"
_HIT = "HR@{k}, users with a held-out item on the list"
_AMONG = "NDCG@{k} among sampled negatives"
_ONNX = "ONNX export"
_RIVAL = r"(?P<rival>\w+)"
_RIVALS = "Beside other models"
_K = r"(?P<k>\d+)"
_TEN = r"(?P<k>10)"
_OTHER = r"(?P<k>(?!10$)\d+)"

RANKING = Layout(
    metrics=[
        Label(f"ndcg_at_{_TEN}", "NDCG@{k}", "score", section=_FULL, headline="NDCG@{k}, full ranking"),
        Label(f"ndcg_at_{_OTHER}", "NDCG@{k}", "score", section=_FULL),
        Label(f"hr_at_{_TEN}", _HIT, "score", section=_FULL, headline="HR@{k}, full ranking"),
        Label(f"hr_at_{_OTHER}", _HIT, "score", section=_FULL),
        Label(f"recall_at_{_K}", "Recall@{k}, held-out items on the list", "score", section=_FULL),
        Label("mrr", "Mean reciprocal rank", "score", section=_FULL),
        Label("median_rank", "Median rank of a held-out item (1: first)", section=_FULL),
        Label(f"sampled_ndcg_at_{_TEN}", _AMONG, "score", section=_SAMPLED, headline="NDCG@{k}, sampled negatives"),
        Label(f"sampled_ndcg_at_{_OTHER}", _AMONG, "score", section=_SAMPLED),
        Label(f"sampled_hr_at_{_K}", "HR@{k} among sampled negatives", "score", section=_SAMPLED),
        Label("sampled_mrr", "Mean reciprocal rank among sampled negatives", "score", section=_SAMPLED),
        Label("sampled_negatives", "Sampled negatives per held-out item (median)", section=_SAMPLED),
        Label(
            f"ndcg_at_{_K}_above_{_RIVAL}",
            "NDCG@{k} less that of {rival}, full ranking",
            "score",
            section=_RIVALS,
        ),
        Label(
            f"sampled_ndcg_at_{_K}_above_{_RIVAL}",
            "NDCG@{k} less that of {rival}, sampled negatives",
            "score",
            section=_RIVALS,
        ),
        Label(f"coverage_at_{_K}", "Items on some list@{k}", "share", section=_LISTS, headline="coverage@{k}"),
        Label(f"gini_at_{_K}", "Gini coefficient of exposure@{k} (0: even)", "score", section=_LISTS),
        Label(
            f"popularity_of_recommended_at_{_K}",
            "Popularity percentile of recommended items@{k}",
            "share",
            section=_LISTS,
        ),
        Label("popularity_of_consumed", "Popularity percentile of held-out items", "share", section=_LISTS),
        Label(
            f"popularity_bias_at_{_K}",
            "Popularity bias@{k}, recommended less held out",
            "score",
            section=_LISTS,
            headline="popularity bias@{k}",
        ),
        Label("n_items", "Items", section=_LISTS),
        Label("n_cold", "Held-out pairs with one of them", section=_COLD),
        Label("n_cold_users", "Users", section=_COLD),
        Label("n_cold_items", "Items", section=_COLD),
        Label(f"warm_ndcg_at_{_K}", "NDCG@{k} of all other pairs", "score", section=_COLD),
        Label("onnx_rows", "Pairs compared", section=_ONNX),
        Label("onnx_max_difference", "Largest difference / largest score", section=_ONNX),
        Label(r"onnx_max_difference_(?P<kind>\w+)", "Largest difference / largest score, {kind}", section=_ONNX),
    ],
    baselines=[
        Label("model", "model", "text"),
        Label(f"ndcg_at_{_K}", "NDCG@{k}", "score"),
        Label(f"ndcg_at_{_K}_above", "model's lead", "score"),
        Label(f"hr_at_{_K}", "HR@{k}", "score"),
        Label("mrr", "MRR", "score"),
        Label(f"sampled_ndcg_at_{_K}", "NDCG@{k}, sampled", "score"),
        Label(f"sampled_ndcg_at_{_K}_above", "model's lead, sampled", "score"),
        Label(f"sampled_hr_at_{_K}", "HR@{k}, sampled", "score"),
        Label(f"coverage_at_{_K}", "coverage", "share"),
        Label(f"popularity_bias_at_{_K}", "popularity bias", "score"),
        Label(f"gini_at_{_K}", "Gini", "score"),
    ],
    slices=[
        Label("slice", "slice", "text"),
        Label("n", "held-out pairs"),
        Label("groups", "{unit}"),
        Label(f"ndcg_at_{_K}", "NDCG@{k}", "score"),
        Label(f"hr_at_{_K}", "HR@{k}", "score"),
        Label("mrr", "MRR", "score"),
        Label(f"sampled_ndcg_at_{_K}", "NDCG@{k}, sampled", "score"),
        Label(f"sampled_hr_at_{_K}", "HR@{k}, sampled", "score"),
    ],
)
"""Recommenders: task ``ranking: ...``."""
