"""Create buckets that are not there yet: python create_buckets.py NAME [NAME ...].

Address and credentials come from AWS_ENDPOINT_URL, AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_DEFAULT_REGION.
"""

import logging
import sys

import boto3
from botocore.exceptions import ClientError

logger = logging.getLogger(__name__)


def create_buckets(names: list[str]) -> list[str]:
    """Create buckets.

    Args:
        names: The buckets that there shall be.

    Returns:
        Those that were not there.

    Raises:
        ClientError: A bucket belongs to somebody else, or the store refuses the credentials.
    """
    client = boto3.client("s3")
    missing = []
    for name in names:
        try:
            client.head_bucket(Bucket=name)
        except ClientError as error:
            if error.response["ResponseMetadata"]["HTTPStatusCode"] != 404:
                raise
            client.create_bucket(Bucket=name)
            missing.append(name)
    return missing


if __name__ == "__main__":
    logging.basicConfig(format="%(message)s")
    logger.setLevel(logging.INFO)
    created = create_buckets(sys.argv[1:])
    logger.info("created: %s", ", ".join(created) or "none, all are there")
