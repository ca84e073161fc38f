"""Collection: measure or simulate raw data where a team has none yet."""

from kedro.pipeline import Node, Pipeline

from augury.pipelines.collection import pdf_jobs


def create_pipeline() -> Pipeline:
    """Collection of all predictors, one namespace each."""
    return pdf_memory()


def pdf_memory() -> Pipeline:
    """Run real PDF jobs and record their peak memory."""
    return Pipeline(
        [
            Node(
                pdf_jobs.find_documents,
                inputs=["params:collection", "params:seed"],
                outputs="documents",
                name="find_documents",
            ),
            Node(
                pdf_jobs.measure_jobs,
                inputs=["documents", "measured", "params:collection", "params:seed"],
                outputs="measurements",
                name="measure_jobs",
            ),
            Node(
                pdf_jobs.assemble_jobs,
                inputs=["documents", "measurements", "params:collection", "params:seed"],
                outputs="jobs",
                name="assemble_jobs",
            ),
        ],
        namespace="pdf_memory",
        tags="collection",
    )
