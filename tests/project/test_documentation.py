"""The documentation keeps up with the code."""

import re
from pathlib import Path

import pytest

from augury.pipeline_registry import register_pipelines
from augury.predictors.pdf_structure import STRUCTURE

REPOSITORY = Path(__file__).parents[2]


@pytest.mark.parametrize("column", [*STRUCTURE, "peak_mem_mb", "operation", "dpi", "file_id", "outcome", "origin"])
def test_every_raw_column_is_documented(column):
    assert f"| `{column}` |" in (REPOSITORY / "docs" / "pdf_memory.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", [name for name in register_pipelines() if name != "__default__"])
def test_every_pipeline_is_in_the_readme(name):
    assert f"`{name}`" in (REPOSITORY / "README.md").read_text(encoding="utf-8")


PAGES = (
    "pdf_memory query_cost food_waste taxonomy recommendation compression deduplication prefetch peer_selection "
    "gossip_tuning telemetry continuous_training registry deployment results benchmarks serving adding_a_predictor"
).split()


@pytest.mark.parametrize("page", ["README.md", "conf/README.md", *(f"docs/{name}.md" for name in PAGES)])
def test_links_lead_somewhere(page):

    path = REPOSITORY / page
    for link in re.findall(r"\]\(([^)#]+)", path.read_text(encoding="utf-8")):
        assert link.startswith("http") or (path.parent / link).exists(), link
