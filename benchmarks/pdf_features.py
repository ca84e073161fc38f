"""Files per second and core of the structure scan, beside counting page objects with pypdfium2 in the same run.

python benchmarks/pdf_features.py [FOLDER]: without a folder, 90 files of the generated corpus and 10 damaged ones.
"""

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pypdfium2

from augury.pipelines.collection.pdf_corpus import document_recipe, write_document
from augury.predictors.pdf_structure import scan_pdf

FILES, DAMAGED, REPEATS = 100, 10, 5


def make_folder(folder: Path) -> list[Path]:
    """Write 100 files of the corpus and cut every tenth in half."""
    paths = []
    for index in range(FILES):
        path = folder / f"doc-{index:05d}.pdf"
        write_document(document_recipe(42, index), path)
        if index % (FILES // DAMAGED) == 0:
            path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
        paths.append(path)
    return paths


def count_page_objects(path: Path) -> int:
    """The peer: open, and count the objects of every page; what it cannot open counts as 0."""
    try:
        document = pypdfium2.PdfDocument(path)
        return sum(1 for page in document for _ in page.get_objects())
    except pypdfium2.PdfiumError:
        return 0


def measure(task: Callable[[Path], object], paths: list[Path]) -> np.ndarray:
    """CPU milliseconds per file, the best of some repeats; shape (files,)."""
    best = np.full(len(paths), np.inf)
    for _ in range(REPEATS):
        for index, path in enumerate(paths):
            start = time.process_time()
            task(path)
            best[index] = min(best[index], 1000 * (time.process_time() - start))
    return best


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", nargs="?", type=Path)
    folder = parser.parse_args().folder
    with tempfile.TemporaryDirectory() as scratch:
        paths = sorted(folder.rglob("*.pdf")) if folder else make_folder(Path(scratch))
        failed = sum(scan_pdf(path)["parse_failed"] for path in paths)
        print(f"{len(paths)} files, {failed:.0f} could not be parsed, no exception")
        rates = {}
        tasks: dict[str, Callable[[Path], object]] = {
            "augury scan_pdf": scan_pdf,
            "pypdfium2 page objects": count_page_objects,
        }
        for name, task in tasks.items():
            cost = measure(task, paths)
            rates[name] = 1000 * len(cost) / cost.sum()
            p50, p90, p99 = np.percentile(cost, [50, 90, 99])
            print(f"{name:24} {rates[name]:8.0f} files/s   p50 {p50:6.2f}  p90 {p90:6.2f}  p99 {p99:6.2f} ms CPU")
        print(f"ratio {rates['augury scan_pdf'] / rates['pypdfium2 page objects']:.1f}")


if __name__ == "__main__":
    main()
