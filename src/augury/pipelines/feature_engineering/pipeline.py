"""Feature engineering: splits -> model-ready tables, by the same functions that serving uses."""

from kedro.pipeline import Node, Pipeline

from augury.pipelines.feature_engineering import pdf_jobs


def create_pipeline() -> Pipeline:
    """Feature engineering of all predictors, one namespace each."""
    return pdf_memory()


def pdf_memory() -> Pipeline:
    """Physical features of each job."""
    return Pipeline(
        [
            Node(
                pdf_jobs.build_features,
                inputs="primary_jobs",
                outputs=["features_train", "features_holdout", "report_features"],
                name="build_features",
            ),
        ],
        namespace="pdf_memory",
        tags="feature_engineering",
    )
