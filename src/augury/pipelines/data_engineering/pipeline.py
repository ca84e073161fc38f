"""Data engineering: raw -> valid, labelled, filtered, split."""

from kedro.pipeline import Node, Pipeline

from augury.pipelines.data_engineering import pdf_jobs


def create_pipeline() -> Pipeline:
    """Data engineering of all predictors, one namespace each."""
    return pdf_memory()


def pdf_memory() -> Pipeline:
    """Finished jobs, split by file."""
    return Pipeline(
        [
            Node(
                pdf_jobs.prepare_jobs,
                inputs=["jobs", "params:split", "params:seed"],
                outputs=["primary_jobs", "report_data"],
                name="prepare_jobs",
            ),
        ],
        namespace="pdf_memory",
        tags="data_engineering",
    )
