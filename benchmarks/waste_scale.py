"""Wall time, CPU time, peak memory and quality of `food_waste` as the table grows, node by node.

python benchmarks/waste_scale.py [--rows 10000 100000] [--preset default] [--baselines]

Simulated purchases, 100 a household. A million take some minutes and are measured only when asked for: --rows 1000000.

Every size runs in a process of its own, so that its peak memory is its own. The simulation has another one.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd

ITEMS = 100
SEED = 42
PROVENANCE: dict[str, Any] = {"git_commit": None, "created_at": "2026-01-01T00:00:00+00:00", "versions": {}}


def simulate(rows: int, preset: str, path: Path) -> None:
    """Write simulated purchases."""
    from augury.pipelines.collection.waste_presets import WasteCollection
    from augury.pipelines.collection.waste_simulation import simulate_purchases

    settings = {"households": max(1, rows // ITEMS), "items_per_household": ITEMS, "preset": preset}
    simulate_purchases(WasteCollection.model_validate(settings), SEED)[0].to_parquet(path)


def timed(name: str, node: Callable[..., Any], *arguments: Any) -> Any:
    """Run a node and print what it took."""
    wall, cpu = time.perf_counter(), time.process_time()
    result = node(*arguments)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    print(json.dumps({"node": name, "wall_s": wall, "cpu_s": cpu, "peak_mb": peak}), flush=True)
    return result


def measure(path: Path, with_baselines: bool) -> None:
    """Run the nodes on a table, and judge the predictions of the held-out rows."""
    from sklearn.metrics import log_loss, roc_auc_score

    from augury.metrics.calibration import calibration_metrics
    from augury.pipelines.data_engineering.purchase_sources import PurchaseSource
    from augury.pipelines.data_engineering.purchases import PurchaseSplit, WasteLabel, prepare_purchases
    from augury.pipelines.feature_engineering.purchases import build_features
    from augury.pipelines.model_training.boosted_pair import PairModel, train_waste
    from augury.pipelines.model_training.tabular_baselines import TabularBaselines, predict_baselines
    from augury.predictors.waste_features import WasteFeatures

    raw = timed("read", pd.read_parquet, path)
    purchases, data = timed("prepare", prepare_purchases, raw, PurchaseSource(), WasteLabel(), PurchaseSplit())
    del raw
    matrix, features = timed("features", build_features, purchases, WasteFeatures())
    predictor, _, account = timed(
        "train", train_waste, matrix, purchases, features, data, {}, PairModel(), SEED, PROVENANCE
    )
    test = matrix[matrix["split"] == "test"]
    found = timed("predict", predictor.predict_matrix, test)
    actual, probability = test["is_wasted"].to_numpy(), found["probability"].to_numpy()
    contenders = {"food_waste": probability, "observable oracle": test["observable_probability"].to_numpy()}
    if with_baselines:
        rivals = timed("baselines", predict_baselines, matrix, features, TabularBaselines(), SEED)
        rivals = rivals.set_index("purchase_id").loc[test["purchase_id"]]
        contenders |= {
            name.removeprefix("baseline_"): rivals[name].to_numpy()
            for name in rivals
            if name.startswith("baseline_") and "oracle" not in name
        }
    base = log_loss(actual, [actual.mean()] * len(actual))
    skills = {name: 1 - log_loss(actual, scores) / base for name, scores in contenders.items()}
    for name, scores in contenders.items():
        judged = calibration_metrics(actual > 0, scores, 15)
        print(
            f"  {name:24} ROC-AUC {roc_auc_score(actual, scores):.4f}  log loss {log_loss(actual, scores):.4f}  "
            f"skill of the oracle's {skills[name] / skills['observable oracle']:.4f}  "
            f"debiased ECE {judged['ece_l2_debiased'] or 0:.4f}  slope {judged['calibration_slope'] or 0:.3f}"
        )
    wasted = (test["is_wasted"] == 1) & test["days_to_waste"].notna()
    days = test.loc[wasted, "days_to_waste"]
    errors = {
        "food_waste": (days - found.loc[wasted, "days_to_waste"]).abs().mean(),
        "oracle": (days - test.loc[wasted, "true_median_days"]).abs().mean(),
    }
    print(f"  days: mean absolute error {errors['food_waste']:.3f}, of the oracle {errors['oracle']:.3f}")
    folds = account["cross_validation"]
    print(f"  cross-validation: ROC-AUC {folds['mean']['roc_auc']:.4f} +- {folds['std']['roc_auc']:.4f}")
    print(f"  ONNX: {predictor.compare_onnx(test)}")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, nargs="+", default=[10_000, 100_000])
    parser.add_argument("--preset", default="default")
    parser.add_argument(
        "--baselines", action="store_true", help="also the baselines, with the defaults of their libraries"
    )
    parser.add_argument("--table", type=Path, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.table is not None:
        measure(chosen.table, chosen.baselines)
        return
    for rows in chosen.rows:
        with tempfile.TemporaryDirectory() as folder:
            table = Path(folder) / "purchases.parquet"
            code = "import sys; from pathlib import Path; from waste_scale import simulate as s; "
            code += "s(int(sys.argv[1]), sys.argv[2], Path(sys.argv[3]))"
            here = Path(__file__).parent
            subprocess.run([sys.executable, "-c", code, str(rows), chosen.preset, str(table)], check=True, cwd=here)
            print(f"{rows:,} rows, preset {chosen.preset}", flush=True)
            flags = ["--baselines"] if chosen.baselines else []
            subprocess.run([sys.executable, __file__, "--table", str(table), *flags], check=True)


if __name__ == "__main__":
    main()
