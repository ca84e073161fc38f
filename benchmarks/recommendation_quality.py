"""Quality of recommenders on a data set of the NCF paper's form: both protocols, all members and baselines, intervals.

python benchmarks/recommendation_quality.py <prefix> [--neural] [--seeds 1]: reads <prefix>.train.rating,
<prefix>.test.rating and <prefix>.test.negative. A user's last training interaction is the validation item: settings,
weights and epochs are chosen on it alone, then everything is fitted again on all training interactions and ranked on
the test items, among all items that the user has not seen (full) and among the file's sampled ones. With --neural,
NeuMF from random values and from the factors of iALS, GMF, and a blend that NeuMF takes part in. Intervals: 95 %, of
resampled users.
"""

import argparse
import time
from pathlib import Path

import numpy as np
import pandas as pd

from augury.checkpointing import NoCheckpoints
from augury.metrics.top_k import frame_metrics, judge_scorer
from augury.pipelines.feature_engineering.interactions import InteractionFeatures, sample_negatives
from augury.pipelines.model_training.collaborative_filtering import train_recommender
from augury.pipelines.model_training.recommender_baselines import RecommenderBaselines, rank_recommender_baselines
from augury.pipelines.model_training.recommender_models import RecommenderModel

K = 10
RESAMPLES = 1_000
SEED = 1
COLUMNS = ["user", "item", "rating", "timestamp"]
PLAIN = {name: {"half_life": [None]} for name in ("item_knn", "ease", "ials")}


def read(prefix: str) -> dict[str, pd.DataFrame]:
    """The tables that the nodes of the pipeline would get."""
    rated, held_out = (
        pd.read_csv(f"{prefix}.{part}.rating", sep="\t", header=None, names=COLUMNS) for part in ("train", "test")
    )
    rated = rated.drop_duplicates(["user", "item"]).sort_values(["user", "timestamp"], kind="stable")
    last = ~rated["user"].duplicated(keep="last")
    rated["split"] = np.where(last, "validation", "train")
    held_out["split"] = "test"
    matrix = pd.concat([rated, held_out], ignore_index=True)
    matrix = matrix.assign(weight=np.float32(1)).astype({"user": "int32", "item": "int32"})
    matrix = matrix[["user", "item", "weight", "timestamp", "split"]]
    lines = Path(f"{prefix}.test.negative").read_text(encoding="utf-8").splitlines()
    given = pd.DataFrame(
        {
            "user": held_out["user"].astype("int32"),
            "split": "test",
            "item": held_out["item"].astype("int32"),
            "negatives": [np.array(line.split("\t")[1:], dtype=np.int32) for line in lines],
        }
    )
    users, items = int(matrix["user"].max()) + 1, int(matrix["item"].max()) + 1
    primary_items = pd.DataFrame({"item": range(items), "item_id": [f"item {item}" for item in range(items)]})
    # The file has none for validation; what the user turned to in any part is left out
    drawn = sample_negatives(matrix, primary_items, InteractionFeatures(), SEED)
    drawn = drawn[drawn["split"] == "validation"]
    return {
        "features_matrix": matrix,
        "features_negatives": pd.concat([drawn, given], ignore_index=True),
        "primary_users": pd.DataFrame({"user": range(users), "user_id": [f"user {user}" for user in range(users)]}),
        "primary_items": primary_items,
    }


def row(name: str, judged: pd.DataFrame, seconds: float) -> dict[str, str]:
    """Metrics of both protocols with their intervals."""
    found = {"model": name}
    random = np.random.default_rng(0)
    for protocol in ("full", "sampled"):
        values = frame_metrics(judged, (K,), protocol)
        picks = random.integers(0, len(values), (RESAMPLES, len(values)))
        for metric in (f"hr_at_{K}", f"ndcg_at_{K}"):
            each = values[metric].to_numpy()
            low, high = np.quantile(each[picks].mean(axis=1), [0.025, 0.975])
            found[f"{protocol} {metric}"] = f"{each.mean():.4f} [{low:.4f}, {high:.4f}]"
    return found | {"CPU s": f"{seconds:.0f}"}


def train(tables: dict[str, pd.DataFrame], seed: int, **model: object) -> tuple[pd.DataFrame, float, dict]:
    """Train a recommender and rank the test items."""
    started = time.process_time()
    predictor, _, account = train_recommender(
        **tables, report_data={}, best_params={}, model=RecommenderModel.model_validate(model), seed=seed,
        training_checkpoints=NoCheckpoints(), provenance={"git_commit": None, "created_at": "", "versions": {}},
    )  # fmt: skip
    seconds = time.process_time() - started
    matrix, negatives = tables["features_matrix"], tables["features_negatives"]
    judged = judge_scorer(
        predictor, matrix[matrix["split"] == "test"], predictor.seen, negatives[negatives["split"] == "test"], K
    )
    return judged, seconds, account


def main() -> None:
    """Print one table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("prefix", help="path without .train.rating")
    parser.add_argument("--neural", action="store_true", help="NeuMF and GMF too; minutes")
    parser.add_argument("--epochs", type=int, default=10, help="of the networks")
    parser.add_argument("--seeds", type=int, default=1)
    options = parser.parse_args()
    tables = read(options.prefix)
    rows = []

    def show(found: dict[str, str]) -> None:
        rows.append(found)
        print(" | ".join(found.values()), flush=True)

    started = time.process_time()
    baselines = rank_recommender_baselines(
        tables["features_matrix"], tables["features_negatives"], tables["primary_items"], RecommenderBaselines(), SEED
    )
    seconds = time.process_time() - started
    for name in ("popularity", "item_knn", "ease", "ials"):
        show(row(f"{name} (baseline)", baselines[baselines["baseline"] == name], seconds / 4))
    for seed in range(SEED, SEED + options.seeds):
        for kind in ("item_knn", "ease", "ials", "blend"):
            judged, seconds, account = train(tables, seed, kind=kind)
            show(row(f"{kind}, seed {seed}", judged, seconds))
            print("   ", account["weights"], account["validation"], {
                name: member["chosen"] for name, member in account["members"].items()
            })  # fmt: skip
        if options.neural:
            network = {"epochs": options.epochs}
            for name, model in {
                "neumf cold": {"kind": "neumf", "neumf": network},
                "neumf warm": {"kind": "neumf", "neumf": network | {"warm_start": "ials"}},
                "gmf cold": {"kind": "gmf", "gmf": network},
                "blend with neumf": {
                    "kind": "blend",
                    "members": ["item_knn", "ease", "ials", "neumf"],
                    "neumf": network,
                },
            }.items():
                judged, seconds, account = train(tables, seed, **model)
                show(row(f"{name}, seed {seed}", judged, seconds))
                print("   ", account["weights"], account["validation"], account["best_epoch"])
    print(pd.DataFrame(rows).to_markdown(index=False) if _has_tabulate() else pd.DataFrame(rows).to_string())


def _has_tabulate() -> bool:
    import importlib.util

    return importlib.util.find_spec("tabulate") is not None


if __name__ == "__main__":
    main()
