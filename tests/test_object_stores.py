"""What object stores refuse is told apart from everything else."""

import pytest

from augury.object_stores import store_problem


class ClientError(Exception):
    """As botocore's: the code of the answer is within."""

    def __init__(self, status):
        super().__init__(f"An error occurred ({status})")
        self.response = {"ResponseMetadata": {"HTTPStatusCode": status}}


class NoCredentialsError(Exception):
    """As botocore's."""


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (PermissionError("Forbidden\nmore"), "access was refused (Forbidden). Check AWS_ACCESS_KEY_ID"),
        (ClientError(403), "access was refused (An error occurred (403)). Check"),
        (ClientError(401), "access was refused"),
        (NoCredentialsError("Unable to locate credentials"), "Unable to locate credentials. Check"),
        (FileNotFoundError("The specified bucket does not exist"), "The specified bucket does not exist. Check"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else "",
)
def test_the_reason_is_found_at_the_root(error, said):
    try:
        try:
            raise error
        except Exception as cause:
            raise RuntimeError("Failed while loading data") from cause
    except RuntimeError as failure:
        problem = store_problem(failure)
    assert problem.startswith(said)
    assert "AWS_ENDPOINT_URL" in problem
    assert "\n" not in problem


@pytest.mark.parametrize(
    "error",
    [
        PermissionError(13, "Permission denied", "/root/jobs.parquet"),
        FileNotFoundError("lake/jobs.parquet"),
        ClientError(500),
        ValueError("Forbidden"),
    ],
)
def test_other_errors_are_left_to_whoever_knows_them(error):
    assert store_problem(error) is None
