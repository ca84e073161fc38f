"""The guided tour runs from its first cell to its last, in a copy of the project at test size."""

import shutil

import pytest

from workspace import REPOSITORY, make_project

NOTEBOOK = "query_cost.ipynb"


@pytest.mark.slow
def test_the_guided_tour_runs(tmp_path):
    nbformat = pytest.importorskip("nbformat")
    nbclient = pytest.importorskip("nbclient")
    project = make_project(tmp_path)
    (project.folder / "notebooks").mkdir()
    # What is tracked is told elsewhere; the notebook's process would import MLflow
    (project.folder / "conf/test/tracking.yml").write_text("tracking: {enabled: false}\n")
    copied = shutil.copy(REPOSITORY / "notebooks" / NOTEBOOK, project.folder / "notebooks")
    notebook = nbformat.read(copied, as_version=4)
    client = nbclient.NotebookClient(
        notebook,
        timeout=600,
        kernel_name="python3",
        resources={"metadata": {"path": str(project.folder / "notebooks")}},
    )
    client.execute(env=project.environment(KEDRO_ENV="test"))
    codes = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert all(cell.execution_count for cell in codes)
    assert (project.folder / "data/test/06_models/query_cost/metadata.json").exists()
    assert not list((project.folder / "notebooks").glob("data*"))  # paths are those of the project


def test_the_notebook_is_committed_without_outputs():
    nbformat = pytest.importorskip("nbformat")
    notebook = nbformat.read(REPOSITORY / "notebooks" / NOTEBOOK, as_version=4)
    nbformat.validate(notebook)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            assert not cell.outputs
            assert cell.execution_count is None
