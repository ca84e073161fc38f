"""`pdf_memory` on measured jobs of real PDFs, beside the recipe it replaces, over several splits by file.

python benchmarks/pdf_memory_real.py TABLE.parquet [--seeds 5]

The table has a row per real file (see `RENAMED` for its columns) with peaks of one rendering at 150 dpi and one text
extraction.
"""

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml

from augury.pipelines.data_engineering.pdf_jobs import PdfSplit, prepare_jobs
from augury.pipelines.evaluation.regression import point_metrics
from augury.pipelines.feature_engineering.pdf_jobs import build_features
from augury.pipelines.model_training.boosted_trees import BoundedRegressionModel, train_bounded_regression

PARAMETERS = Path(__file__).parents[1] / "conf" / "base" / "parameters" / "pdf_memory.yml"
RENAMED = {
    "sha256": "file_id", "file_bytes": "file_bytes", "pages": "pages", "objects": "objects", "n_images": "images",
    "image_pixels": "image_pixels_sum", "max_image_pixels": "image_pixels_max", "image_bytes": "image_stored_bytes_sum",
    "n_jpeg": "images_dct", "n_jpx_jbig2": "images_jpx", "n_smask": "soft_masks", "n_fonts": "fonts",
    "n_embedded_fonts": "fonts_embedded", "embedded_font_bytes": "font_bytes_sum", "n_streams": "streams",
    "n_form_xobjects": "form_xobjects", "max_page_area_pt2": "page_area_max", "mean_page_area_pt2": "page_area_mean",
    "n_annots": "annotations", "content_bytes": "page_content_bytes_max",
}  # fmt: skip
PROVENANCE: dict[str, Any] = {"git_commit": None, "created_at": "", "versions": {}}


def jobs_of(table: pd.DataFrame, operation: str, target: str) -> pd.DataFrame:
    """One job per file in the raw schema of `pdf_memory`."""
    jobs = table[list(RENAMED)].rename(columns=RENAMED)
    return jobs.assign(
        operation=operation,
        dpi=150.0 if operation == "render" else np.nan,
        parse_failed=(~table["feat_ok"]).astype(float),
        outcome=np.where(table[f"{operation}_ok"], "ok", "invalid"),
        peak_mem_mb=table[target],
    )


def evaluate(jobs: pd.DataFrame, recipe: str, seed: int) -> dict[str, float]:
    """Train on three quarters of the files, judge on the rest."""
    configured = yaml.safe_load(PARAMETERS.read_text(encoding="utf-8"))["pdf_memory"]
    prepared, _ = prepare_jobs(jobs, PdfSplit(**configured["split"]), seed)
    train, holdout, features = build_features(prepared)
    model = BoundedRegressionModel(**configured["model"] | {"recipe": recipe})
    predictor, _ = train_bounded_regression(train, features, {}, model, seed, PROVENANCE)
    answer = predictor.predict(holdout)
    actual = holdout["peak_mem_mb"].to_numpy()
    found = point_metrics(actual, answer["predicted"].to_numpy())
    metrics = {name: float(found[name] or 0.0) for name in ("mae", "mape_pct", "median_ape_pct", "r2")}
    for name in answer.columns[1:]:
        level = name.removeprefix("upper_")
        metrics[f"under_pct_{level}"] = 100 * float((actual > answer[name]).mean())
        metrics[f"ratio_{level}"] = float(answer[name].sum() / actual.sum())
    return metrics


def main() -> None:
    """Print a table per target."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("table", type=Path)
    parser.add_argument("--seeds", type=int, default=5)
    arguments = parser.parse_args()
    table = pd.read_parquet(arguments.table)
    for operation in ("render", "text"):
        for target in (f"{operation}_peak_mb", f"{operation}_delta_mb"):
            jobs = jobs_of(table, operation, target)
            rows = {
                recipe: pd.DataFrame([evaluate(jobs, recipe, seed) for seed in range(arguments.seeds)]).mean()
                for recipe in ("physics_trees", "original")
            }
            print(f"{target}: mean over {arguments.seeds} splits by file")
            print(pd.DataFrame(rows).T.round(3).to_string(), "\n")


if __name__ == "__main__":
    main()
