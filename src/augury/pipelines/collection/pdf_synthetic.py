"""Simulated PDF jobs for a quick try without any PDF engine; every row says that it is simulated."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from augury.predictors.pdf_structure import STRUCTURE

MIB = 1024 * 1024
JOBS_PER_DOCUMENT = 6


def simulate_jobs(documents: int, dpi: Sequence[float], seed: int) -> pd.DataFrame:
    """Draw documents and the peaks that a simple memory model gives them.

    The model: an interpreter's base, two page rasters at four bytes a pixel when rendering, the largest image decoded
    and as RGBA, the largest stream, and log-normal noise of 8 %. Real engines are not that simple: use it to try
    commands, not to judge a model.

    Args:
        documents: Number of documents; each has :data:`JOBS_PER_DOCUMENT` jobs.
        dpi: Resolutions to draw from (dots per inch).
        seed: Seed of the draw.

    Returns:
        A raw table as :func:`~augury.pipelines.collection.pdf_jobs.assemble_jobs` makes it, with ``origin =
        "simulated"``.
    """
    rng = np.random.default_rng(seed)
    structure = _draw_structure(documents, rng)
    row = np.repeat(np.arange(documents), JOBS_PER_DOCUMENT)
    jobs = structure.iloc[row].reset_index(drop=True)
    count = len(jobs)
    operation = np.tile(["text", "rewrite"] + ["render"] * (JOBS_PER_DOCUMENT - 2), documents)
    resolution = np.where(operation == "render", rng.choice(np.asarray(dpi, dtype=float), count), np.nan)
    number = np.tile(np.arange(JOBS_PER_DOCUMENT), documents)
    raster = np.nan_to_num(jobs["page_area_max"] / 72**2 * resolution**2 * 4)
    decoded = np.where(operation == "text", 0.0, jobs["image_decoded_bytes_max"])
    needed = raster * (1 + (jobs["pages"] > 1)) + decoded + jobs["stream_bytes_max"] + jobs["file_bytes"] * 0.5
    noise = rng.lognormal(0.0, 0.08, count)
    file_id = [f"simulated-{seed}-{index:06d}" for index in row]
    return pd.DataFrame(
        {
            "job_id": [f"{name}-{index}" for name, index in zip(file_id, number, strict=True)],
            "file_id": file_id,
            "file_name": [f"{name}.pdf" for name in file_id],
            "operation": operation,
            "dpi": resolution,
            "max_pages": 30,
            **{name: jobs[name] for name in STRUCTURE},
            "engine": "simulation",
            "outcome": "ok",
            "reason": "",
            "cpu_s": np.nan,
            "base_mem_mb": 19.0,
            "peak_mem_mb": (19.0 + needed / MIB) * noise,
            "origin": "simulated",
        }
    )


def _draw_structure(documents: int, rng: np.random.Generator) -> pd.DataFrame:
    def count(mean: float, share: float = 1.0) -> np.ndarray:
        return rng.geometric(1 / (1 + mean), documents) * (rng.random(documents) < share) * 1.0

    def size(median: float, spread: float) -> np.ndarray:
        return np.round(rng.lognormal(np.log(median), spread, documents))

    flag = {name: (rng.random(documents) < share) * 1.0 for name, share in _FLAG_SHARES.items()}
    pages, images = count(6), count(4, 0.6)
    edge = rng.choice([420.0, 612.0, 842.0, 1191.0, 2384.0], documents, p=[0.1, 0.35, 0.4, 0.1, 0.05])
    pixels = np.where(images > 0, size(6e5, 1.4), 0.0)
    stored, fonts = np.round(pixels * rng.uniform(0.05, 1.5, documents)), count(3)
    font_bytes, content = size(3e4, 1.0), size(5e3, 1.3)
    columns = {
        "pdf_version": rng.choice([1.3, 1.4, 1.5, 1.6, 1.7, 2.0], documents),
        "pages": pages,
        "page_area_max": np.round(edge * edge / np.sqrt(2)),
        "page_area_mean": np.round(edge * edge / np.sqrt(2)),
        "page_edge_max": edge,
        "page_content_bytes_max": content,
        "objects": 10 + 4 * pages + images + 3 * fonts,
        "streams": pages + images + fonts,
        "stream_bytes_sum": stored * images + font_bytes * fonts + content * pages,
        "stream_bytes_max": np.maximum(stored, np.maximum(font_bytes, content)),
        "images": images,
        "image_pixels_sum": pixels * images,
        "image_pixels_max": pixels,
        "image_decoded_bytes_sum": pixels * images * 3,
        "image_decoded_bytes_max": pixels * 3,
        "image_stored_bytes_sum": stored * images,
        "images_dct": np.floor(images / 2),
        "images_flate": images - np.floor(images / 2),
        "fonts": fonts,
        "fonts_embedded": fonts,
        "font_bytes_sum": font_bytes * fonts,
        "annotations": count(2, 0.4),
        "form_xobjects": count(2, 0.3),
        **flag,
    }
    columns["file_bytes"] = columns["stream_bytes_sum"] + 80 * columns["objects"]
    zero = np.zeros(documents)
    return pd.DataFrame({name: columns.get(name, zero) for name in STRUCTURE})


_FLAG_SHARES = {
    "object_streams": 0.5, "xref_stream": 0.5, "incremental_update": 0.2,
    "linearized": 0.15, "tagged": 0.2, "outlines": 0.2,
}  # fmt: skip
