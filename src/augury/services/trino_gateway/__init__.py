"""The HTTP service that Trino Gateway asks where a query shall run (``rulesType: EXTERNAL``)."""
