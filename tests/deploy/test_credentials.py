"""Wrong or missing credentials of a store or a database: one line, whatever kind of dataset was at hand."""

import pytest

from workspace import make_project, s3_server

pytestmark = pytest.mark.slow

READ = ("run", "--pipelines=data_engineering", "--namespaces=pdf_memory", "--env=s3")


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    return make_project(tmp_path_factory.mktemp("project"))


def message(done):
    """What a person reads, in the lines after the log."""
    assert done.returncode == 1, done.stderr
    assert "Traceback" not in done.stderr
    (line,) = [line for line in done.stderr.partition("Error: ")[2].splitlines() if line.strip()]
    return line


def test_a_store_that_refuses_is_explained_for_raw_files(project, monkeypatch):
    from moto import settings

    with s3_server() as s3:
        s3.upload(project.folder / "data/01_raw/pdf_memory/jobs.parquet", "01_raw/pdf_memory/jobs.parquet")
        # From now on the server asks who is there
        monkeypatch.setattr(settings, "INITIAL_NO_AUTH_ACTION_COUNT", 0)
        refused = message(project.kedro(*READ, **s3.environment | {"AWS_ACCESS_KEY_ID": "AKIAWRONG"}))
    assert refused.startswith("pdf_memory.jobs: access was refused (Forbidden). Check AWS_ACCESS_KEY_ID, ")

    nobody = {name: value for name, value in s3.environment.items() if "KEY" not in name}
    lost = message(project.kedro(*READ, **nobody, HOME=str(project.folder), AWS_EC2_METADATA_DISABLED="true"))
    assert lost.startswith("pdf_memory.jobs: Unable to locate credentials. Check AWS_ACCESS_KEY_ID, ")
