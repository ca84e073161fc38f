"""`food_waste` on real purchases: which lines of a retailer's invoices are returned within 60 days, and after how many?

python benchmarks/waste_real.py --data online_retail_returns.parquet [--rows 0]

The table is UCI's Online Retail (CC BY 4.0), one row per line of an invoice: a proxy of the same shape, with a customer
for the household, a country for the category, and a rare event (1.8 %). LightGBM, XGBoost and scikit-learn's
HistGradientBoosting get the same features with their defaults, and the same split by time.
"""

import argparse
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.metrics import average_precision_score, log_loss, roc_auc_score

from augury.pipelines.data_engineering.purchase_sources import PurchaseSource
from augury.pipelines.data_engineering.purchases import PurchaseSplit, WasteLabel, prepare_purchases
from augury.pipelines.feature_engineering.purchases import build_features
from augury.pipelines.model_training.boosted_pair import PairModel, train_waste
from augury.pipelines.model_training.tabular_baselines import TabularBaselines, predict_baselines
from augury.predictors.waste_features import WasteFeatures

HORIZON_DAYS = 60
EXTRA = (
    "UnitPrice", "cust_prev_lines", "cust_days_since_first", "item_prev_lines", "item_mean_price_prev",
    "cust_item_prev", "cust_item_days_since_prev", "basket_lines", "basket_value",
)  # fmt: skip
SEED = 42
PROVENANCE: dict[str, Any] = {"git_commit": None, "created_at": "2026-01-01T00:00:00+00:00", "versions": {}}


def read(path: Path, rows: int) -> pd.DataFrame:
    """Invoice lines as purchases; the last `rows` of them, or all."""
    lines = pd.read_parquet(path)
    lines = lines[lines["observable"] == 1].reset_index(drop=True)
    lines = lines.tail(rows) if rows else lines
    table = pd.DataFrame(
        {
            "purchase_id": [f"{number:07d}" for number in lines.index],
            "household_id": lines["CustomerID"].astype(str),
            "purchased_at": lines["InvoiceDate"],
            "category": lines["Country"].astype(str),
            "quantity": lines["Quantity"].astype(float),
            "price": lines["value"].astype(float),
            "is_wasted": lines["returned_60d"].astype(float),
            "days_to_waste": lines["days_to_return"].where(lines["returned_60d"] == 1),
        }
    )
    return table.join(lines[list(EXTRA)].astype(float)).reset_index(drop=True)


def main() -> None:
    """Train, judge and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--rows", type=int, default=0, help="the last so many lines; 0: all")
    chosen = parser.parse_args()
    raw = read(chosen.data, chosen.rows)
    # What was bought in the last 60 days before the test had its fate only during the test
    source = PurchaseSource(categories=None, extra_columns=EXTRA)
    label = WasteLabel(default_horizon_days=HORIZON_DAYS, max_horizon_days=HORIZON_DAYS)
    purchases, data = prepare_purchases(raw, source, label, PurchaseSplit(gap_days=HORIZON_DAYS))
    largest = purchases["category"].value_counts().index[:5]
    settings = WasteFeatures(categories=tuple(largest), extra_columns=EXTRA, prior_rate=0.02)
    matrix, features = build_features(purchases, settings)
    counts = matrix.groupby("split")["is_wasted"].agg(["size", "sum"])
    print(counts.to_string())
    began = time.perf_counter(), time.process_time()
    model = PairModel(gap_days=HORIZON_DAYS)
    predictor, _, account = train_waste(matrix, purchases, features, data, {}, model, SEED, PROVENANCE)
    print(f"training: {time.perf_counter() - began[0]:.1f} s wall, {time.process_time() - began[1]:.1f} s CPU")
    test = matrix[matrix["split"] == "test"]
    found = predictor.predict_matrix(test)
    rivals = predict_baselines(matrix, features, TabularBaselines(), SEED).set_index("purchase_id")
    rivals = rivals.loc[test["purchase_id"]]
    actual = test["is_wasted"].to_numpy()
    contenders = {"food_waste": found["probability"].to_numpy()}
    contenders |= {
        name.removeprefix("baseline_"): rivals[name].to_numpy() for name in rivals if name.startswith("baseline_")
    }
    for name, scores in contenders.items():
        print(
            f"{name:24} ROC-AUC {roc_auc_score(actual, scores):.4f}  average precision "
            f"{average_precision_score(actual, scores):.4f}  log loss {log_loss(actual, np.clip(scores, 1e-6, 1)):.4f}"
        )
    wasted = ((test["is_wasted"] == 1) & test["days_to_waste"].notna()).to_numpy()
    days = test.loc[wasted, "days_to_waste"].to_numpy()
    print(
        f"days: mean absolute error {np.abs(days - found.loc[wasted, 'days_to_waste']).mean():.2f}, of the median "
        f"{np.abs(days - rivals.loc[wasted, 'days_constant_median']).mean():.2f}"
    )
    print(f"cross-validation: {account['cross_validation']['mean']}")
    print(f"effect of customers: {account['household_effect']}")


if __name__ == "__main__":
    main()
