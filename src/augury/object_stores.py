"""What object stores say about credentials, buckets and addresses, as a sentence that helps."""

from augury.errors import causes

REMEDY = (
    "Check AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_ENDPOINT_URL, "
    "or the entry's credentials in conf/<environment>/credentials.yml."
)

_UNREACHED = {"NoCredentialsError", "PartialCredentialsError", "EndpointConnectionError", "ConnectTimeoutError"}
_REFUSED = {401, 403}


def store_problem(error: BaseException) -> str | None:
    """Find out whether an error comes from credentials, a bucket or an address of an object store.

    Args:
        error: The error, with the chain of its causes.

    Returns:
        One line: what the store said, and what to check; None if the error has another reason, such as a local file
        that may not be read.
    """
    for link in causes(error):
        said = (str(link).splitlines() or [type(link).__name__])[0].rstrip(".")
        if _is_refusal(link):
            return f"access was refused ({said}). {REMEDY}"
        no_bucket = isinstance(link, FileNotFoundError) and "bucket" in said.lower()
        if type(link).__name__ in _UNREACHED or no_bucket:
            return f"{said}. {REMEDY}"
    return None


def _is_refusal(error: BaseException) -> bool:
    # An operating system's refusal has a number. botocore is not imported: it is there only where S3 is used
    if isinstance(error, PermissionError):
        return error.errno is None
    response = getattr(error, "response", None)
    if type(error).__name__ != "ClientError" or not isinstance(response, dict):
        return False
    return response.get("ResponseMetadata", {}).get("HTTPStatusCode") in _REFUSED
