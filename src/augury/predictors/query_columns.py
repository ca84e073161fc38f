"""Names and kinds of the columns of a query log: one vocabulary for adapters, features, training and serving.

The names are Trino's own (``QueryCompletedEvent``) in snake case. Costs are in seconds and GiB; times are UTC without a
time zone, because neither parquet nor Spark brings a zone back as it was.
"""

from typing import Literal, TypeAlias

Kind: TypeAlias = Literal["text", "time", "number"]

QUERY_ID = "query_id"
QUERY = "query"
PREPARED_QUERY = "prepared_query"
QUERY_STATE = "query_state"
QUERY_TYPE = "query_type"
USER = "user"
SOURCE = "source"
CATALOG = "catalog"
SCHEMA = "schema"
CLIENT_INFO = "client_info"
CLIENT_TAGS = "client_tags"
RESOURCE_GROUP_ID = "resource_group_id"
SESSION_PROPERTIES = "session_properties"
SERVER_VERSION = "server_version"
CREATE_TIME = "create_time"
END_TIME = "end_time"
CPU_TIME_S = "cpu_time_s"
PEAK_MEMORY_GB = "peak_memory_gb"
PHYSICAL_INPUT_BYTES = "physical_input_bytes"
PHYSICAL_INPUT_ROWS = "physical_input_rows"
ERROR_NAME = "error_name"
ERROR_TYPE = "error_type"
INPUTS_JSON = "inputs_json"
ORIGIN = "origin"
DATE = "date"

COLUMNS: dict[str, Kind] = {
    QUERY_ID: "text",
    QUERY: "text",
    PREPARED_QUERY: "text",
    QUERY_STATE: "text",
    QUERY_TYPE: "text",
    USER: "text",
    SOURCE: "text",
    CATALOG: "text",
    SCHEMA: "text",
    CLIENT_INFO: "text",
    CLIENT_TAGS: "text",
    RESOURCE_GROUP_ID: "text",
    SESSION_PROPERTIES: "text",
    SERVER_VERSION: "text",
    CREATE_TIME: "time",
    END_TIME: "time",
    CPU_TIME_S: "number",
    PEAK_MEMORY_GB: "number",
    PHYSICAL_INPUT_BYTES: "number",
    PHYSICAL_INPUT_ROWS: "number",
    ERROR_NAME: "text",
    ERROR_TYPE: "text",
    INPUTS_JSON: "text",
    ORIGIN: "text",
    DATE: "text",
}
"""The canonical log, in order. ``date`` (``YYYY-MM-DD`` of ``create_time``) is last, as in any table that is
partitioned by it. Texts are None, numbers NaN (null on Spark), times NaT (null) where unknown."""

TEXTS = tuple(name for name, kind in COLUMNS.items() if kind == "text" and name != DATE)
TIMES = tuple(name for name, kind in COLUMNS.items() if kind == "time")
NUMBERS = tuple(name for name, kind in COLUMNS.items() if kind == "number")

REQUEST = (
    QUERY,
    PREPARED_QUERY,
    USER,
    SOURCE,
    CATALOG,
    SCHEMA,
    CLIENT_INFO,
    CLIENT_TAGS,
    QUERY_TYPE,
    CREATE_TIME,
)
"""What is known before a query runs: all that a prediction may look at."""

OUTCOME = (
    QUERY_STATE,
    END_TIME,
    CPU_TIME_S,
    PEAK_MEMORY_GB,
    PHYSICAL_INPUT_BYTES,
    PHYSICAL_INPUT_ROWS,
    ERROR_NAME,
    ERROR_TYPE,
    INPUTS_JSON,
)
"""What is known only when a query is over: for labels and for the history of later queries, never for its own row."""

SQL_TEXT = "sql_text"
IS_HEAVY = "is_heavy"
SPLIT = "split"
WEIGHT = "weight"

LABELLED = (*(name for name in COLUMNS if name != DATE), SQL_TEXT, IS_HEAVY, SPLIT, WEIGHT, DATE)
"""Columns of the labelled log, in order. ``sql_text`` is the text that runs: the prepared one of an EXECUTE. Training
rows that were sampled weigh ``1 / probability of being kept``, all others 1."""

TRAIN = "train"
VALIDATION = "validation"
TEST = "test"
DRIFT = "drift"
SPLITS = (TRAIN, VALIDATION, TEST, DRIFT)

EXECUTED = "executed"
REPLAYED = "replayed"
MEASURED = "measured"
ORIGINS = (EXECUTED, REPLAYED, MEASURED)
"""Where a row comes from: run for the log, drawn from runs by a replay, or logged by a cluster (the default)."""
