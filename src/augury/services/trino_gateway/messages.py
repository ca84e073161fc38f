"""What Trino Gateway and Trino send, as far as the service reads it.

Fields that the service does not use are not looked at: a later gateway may add some or change their form.
"""

from collections.abc import Callable
from datetime import UTC, datetime

from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel

from augury.predictors import query_columns as columns


class _Message(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True, strict=True, alias_generator=to_camel, populate_by_name=True)


class QueryProperties(_Message):
    """``trinoQueryProperties``: there if the gateway analyses requests (``analyzeRequest: true``)."""

    body: str | None = None
    resource_group_query_type: str | None = None
    default_catalog: str | None = None
    default_schema: str | None = None
    is_new_query_submission: bool | None = None


class RequestUser(_Message):
    """``trinoRequestUser``: whom the gateway found in the client's request."""

    user: str | None = None


class RoutingRequest(_Message):
    """Body of the gateway's question."""

    trino_query_properties: QueryProperties | None = None
    trino_request_user: RequestUser | None = None
    remote_user: str | None = None

    def query_text(self) -> str:
        """The query; empty if the request brings none."""
        properties = self.trino_query_properties
        return "" if properties is None or properties.body is None else properties.body

    def is_query(self) -> bool:
        """Whether a query was submitted, even if the gateway could not read its text."""
        properties = self.trino_query_properties
        return properties is not None and bool(properties.is_new_query_submission)

    def to_request(self, header: Callable[[str], str | None], now: datetime) -> dict[str, str | None]:
        """Bring the request into the columns of the predictor.

        Args:
            header: Finds a header of the client's request, which the gateway passes on; None if it is not there.
            now: Time of the request.

        Returns:
            The columns of ``query_columns.REQUEST``; what the body does not say is taken from Trino's headers.
        """
        properties = self.trino_query_properties or QueryProperties()
        user = self.trino_request_user.user if self.trino_request_user is not None else None
        return {
            columns.QUERY: self.query_text(),
            # The gateway has already put the prepared text in the place of an EXECUTE
            columns.PREPARED_QUERY: None,
            columns.USER: user or header("x-trino-user") or self.remote_user or None,
            columns.SOURCE: header("x-trino-source"),
            columns.CATALOG: properties.default_catalog or header("x-trino-catalog"),
            columns.SCHEMA: properties.default_schema or header("x-trino-schema"),
            columns.CLIENT_INFO: header("x-trino-client-info"),
            columns.CLIENT_TAGS: header("x-trino-client-tags"),
            columns.QUERY_TYPE: properties.resource_group_query_type or None,
            columns.CREATE_TIME: now.astimezone(UTC).replace(tzinfo=None).isoformat(),
        }
