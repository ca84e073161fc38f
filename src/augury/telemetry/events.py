"""The events of a storage network: their columns, and what each column is to a model."""

from collections.abc import Iterable
from functools import cache
from typing import Annotated, Any, ClassVar, TypeAlias

from pydantic import BaseModel, ConfigDict, model_validator

from augury.errors import UserError
from augury.telemetry.columns import Column
from augury.telemetry.name_columns import Pseudonym, Word
from augury.telemetry.number_columns import Flag, Measure, Time

SECOND_MS = 1_000
MINUTE_MS = 60_000
ACCESS_STEP_MS = 50

CODECS = (
    "none",
    "lz4",
    *(f"lz4hc-{level}" for level in range(1, 13)),
    *(f"zstd-{level}" for level in range(1, 23)),
    *(f"zlib-{level}" for level in range(1, 10)),
    *(f"brotli-{level}" for level in range(12)),
    *(f"lzma-{level}" for level in range(10)),
    *(f"bz2-{level}" for level in range(1, 10)),
    "snappy",
)
"""Names of codecs with their levels."""

MAGIC = ("other", "text", "zeros", "archive", "image", "program", "bytecode", "document")
"""What the first bytes of a block say it is."""

MESSAGE_CLASSES = ("control", "small", "medium", "large")
"""How large gossiped messages are."""

POLICIES = (
    "none",
    "rule",
    "baseline",
    "constant",
    "uniform",
    "explore",
    "model",
    "shadow",
    "canary",
    "fallback",
    "oracle",
    "label",
    "measured",
    "recorded",
    "simulated",
)
"""By what a choice was made; an application declares further names, such as a model's version, with ``policies=``."""

MAX_POLICIES = 64 - len(POLICIES)

# --- The kinds of columns that several events share ---

_size = Measure(role="feature", most=2**40, digits=7, whole=True)
_bytes_after = Measure(role="outcome", most=2**40, digits=7, whole=True)
_microseconds = Measure(role="outcome", most=2**32, per=16, digits=6)
_share = Measure(role="feature", most=1, per=32)
_policy = Word(role="context", words=POLICIES, declared=MAX_POLICIES)
_propensity = Measure(role="context", most=1, per=1000, floor=1)

Text: TypeAlias = str


class Event(BaseModel):
    """A row of telemetry as it is kept: identifiers are pseudonyms, and every number lies on its column's grid.

    An application does not make these: it hands its own identifiers and exact numbers to
    :meth:`augury.telemetry.TelemetryCollector.record`.
    """

    # hide_input_in_errors: what is refused could be content, and messages end up in log files
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, hide_input_in_errors=True)

    event_type: ClassVar[str]

    @model_validator(mode="after")
    def _on_the_grid(self) -> "Event":
        for name, column in columns(self.event_type).items():
            if not column.accepts(getattr(self, name)):
                raise ValueError(f"Column '{name}' holds a value that this column cannot have.")
        return self


class BlockStored(Event):
    """A block was compressed with one codec; a label job tries several on the same block, a row for each."""

    event_type = "block_stored"

    ts: Annotated[int, Time(step_ms=MINUTE_MS)]
    block: Annotated[Text, Pseudonym(kind="block")]
    lineage: Annotated[Text, Pseudonym(kind="lineage", optional=True)]
    size: Annotated[int, _size]
    entropy: Annotated[float, Measure(role="feature", most=8, per=16)]
    match_rate: Annotated[float, _share]
    match_length: Annotated[float, Measure(role="feature", most=2**16, per=4, digits=5)]
    delta_entropy: Annotated[float, Measure(role="feature", most=8, per=16)]
    core_share: Annotated[float, _share]
    zero_share: Annotated[float, _share]
    high_share: Annotated[float, _share]
    ascii_share: Annotated[float | None, Measure(role="feature", most=1, per=32, optional=True)]
    run_share: Annotated[float, _share]
    unique_bytes: Annotated[int, Measure(role="feature", most=256, digits=5, whole=True)]
    magic: Annotated[Text, Word(role="feature", words=MAGIC)]
    sample_us: Annotated[float | None, Measure(role="context", most=2**32, per=16, digits=6, optional=True)]
    codec: Annotated[Text, Word(role="context", words=CODECS)]
    stored_bytes: Annotated[int, _bytes_after]
    compress_us: Annotated[float, _microseconds]
    decompress_us: Annotated[float | None, Measure(role="outcome", most=2**32, per=16, digits=6, optional=True)]
    link_mbps: Annotated[float | None, Measure(role="context", most=2**20, per=4, digits=5, optional=True)]
    cpu_load: Annotated[float | None, Measure(role="context", most=32, per=8, digits=5, optional=True)]
    policy: Annotated[Text, _policy]
    propensity: Annotated[float, _propensity]


class BlockAccessed(Event):
    """A block of an object was read."""

    event_type = "block_accessed"

    ts: Annotated[int, Time(step_ms=ACCESS_STEP_MS)]
    session: Annotated[Text, Pseudonym(kind="session")]
    object: Annotated[Text, Pseudonym(kind="object", optional=True)]
    position: Annotated[int, Measure(role="feature", most=2**24 - 1, whole=True)]
    size: Annotated[int, _size]
    hit: Annotated[int, Flag(role="outcome")]
    prefetched: Annotated[int, Flag(role="outcome")]
    policy: Annotated[Text, _policy]


class BlockSketched(Event):
    """A block was compared with the sketches of those stored before it; the sketches themselves stay where they are."""

    event_type = "block_sketched"

    ts: Annotated[int, Time(step_ms=MINUTE_MS)]
    block: Annotated[Text, Pseudonym(kind="block")]
    lineage: Annotated[Text, Pseudonym(kind="lineage", optional=True)]
    size: Annotated[int, _size]
    candidates: Annotated[int, Measure(role="feature", most=2**16, digits=4, whole=True)]
    best_similarity: Annotated[float, _share]
    delta_bytes: Annotated[float | None, Measure(role="outcome", most=2**40, digits=7, whole=True, optional=True)]
    plain_bytes: Annotated[int, _bytes_after]
    age_s: Annotated[float | None, Measure(role="feature", most=2**30, digits=4, optional=True)]
    elapsed_us: Annotated[float, _microseconds]


class PeerFetch(Event):
    """A candidate for a request for a block; one row for each, whether it was chosen or not."""

    event_type = "peer_fetch"

    ts: Annotated[int, Time(step_ms=SECOND_MS)]
    request: Annotated[Text, Pseudonym(kind="request")]
    client: Annotated[Text, Pseudonym(kind="node")]
    peer: Annotated[Text, Pseudonym(kind="node")]
    chosen: Annotated[int, Flag(role="context")]
    propensity: Annotated[float, _propensity]
    size: Annotated[int, _size]
    rtt_ms: Annotated[float | None, Measure(role="outcome", most=2**20, per=16, digits=7, optional=True)]
    throughput_mbps: Annotated[float | None, Measure(role="outcome", most=2**20, per=16, digits=6, optional=True)]
    ok: Annotated[float | None, Flag(role="outcome", optional=True)]
    in_flight: Annotated[int, Measure(role="feature", most=2**10, digits=4, whole=True)]
    policy: Annotated[Text, _policy]


class GossipRound(Event):
    """A message was gossiped through a network with a chosen fanout and time to live."""

    event_type = "gossip_round"

    ts: Annotated[int, Time(step_ms=SECOND_MS)]
    network: Annotated[Text, Pseudonym(kind="network")]
    peers: Annotated[int, Measure(role="feature", most=2**24, digits=5, whole=True)]
    loss: Annotated[float, Measure(role="feature", most=1, per=128)]
    churn: Annotated[float, Measure(role="feature", most=1, per=128)]
    rtt_p50_ms: Annotated[float, Measure(role="feature", most=2**16, per=4, digits=5)]
    rtt_p95_ms: Annotated[float, Measure(role="feature", most=2**16, per=4, digits=5)]
    message_class: Annotated[Text, Word(role="feature", words=MESSAGE_CLASSES)]
    fanout: Annotated[int, Measure(role="context", most=64, whole=True)]
    ttl: Annotated[int, Measure(role="context", most=64, whole=True)]
    messages: Annotated[int, Measure(role="outcome", most=2**36, digits=7, whole=True)]
    duplicates: Annotated[int, Measure(role="outcome", most=2**36, digits=7, whole=True)]
    coverage: Annotated[float, Measure(role="outcome", most=1, per=1024)]
    p95_ms: Annotated[float, Measure(role="outcome", most=2**20, per=4, digits=6)]
    policy: Annotated[Text, _policy]
    propensity: Annotated[float, _propensity]


EVENTS: dict[str, type[Event]] = {
    model.event_type: model for model in (BlockStored, BlockAccessed, BlockSketched, PeerFetch, GossipRound)
}
"""Event type -> its model."""


def event_model(event_type: str) -> type[Event]:
    """Find the model of an event type.

    Args:
        event_type: Such as ``block_stored``.

    Returns:
        The model.

    Raises:
        UserError: There is no such type; the message does not repeat it.
    """
    model = EVENTS.get(event_type) if type(event_type) is str else None
    if model is None:
        raise UserError(f"There is no such event type. There are: {', '.join(EVENTS)}.")
    return model


@cache
def columns(event_type: str) -> dict[str, Column]:
    """The columns of an event type in order.

    Args:
        event_type: Such as ``block_stored``.

    Returns:
        Name -> what the column may hold. Read-only by convention.

    Raises:
        UserError: There is no such type.
    """
    return {
        name: next(item for item in field.metadata if isinstance(item, Column))
        for name, field in event_model(event_type).model_fields.items()
    }


def columns_of_role(event_type: str, role: str) -> list[str]:
    """Name the columns with a role.

    Args:
        event_type: Such as ``block_stored``.
        role: ``identifier``, ``context``, ``feature`` or ``outcome``.

    Returns:
        Their names in order.

    Examples:
        >>> columns_of_role("block_stored", "outcome")
        ['stored_bytes', 'compress_us', 'decompress_us']
    """
    return [name for name, column in columns(event_type).items() if column.role == role]


def feature_columns(event_type: str) -> list[str]:
    """Name the columns that are known before the choice, hence may be the input of a model.

    Args:
        event_type: Such as ``block_stored``.

    Returns:
        Their names in order.

    Examples:
        >>> feature_columns("block_sketched")
        ['size', 'candidates', 'best_similarity', 'age_s']
    """
    return columns_of_role(event_type, "feature")


def check_features(event_type: str, names: Iterable[str]) -> list[str]:
    """Refuse a list of model inputs that has an outcome in it: such a model would be told the answer.

    Args:
        event_type: Such as ``block_stored``.
        names: Columns of the event that a model is to be trained on: features, contexts and, for models of sequences,
            identifiers.

    Returns:
        The names as a list.

    Raises:
        UserError: A column is an outcome, or the event has no such column.
    """
    known = columns(event_type)
    names = list(names)
    for name in names:
        if name not in known:
            raise UserError(f"{event_type} has no column '{name}'. There are: {', '.join(known)}.")
        if known[name].role == "outcome":
            raise UserError(
                f"Column '{name}' of {event_type} is an outcome: it is known only after the choice, so a model that is "
                f"trained on it is told the answer. Features are: {', '.join(feature_columns(event_type))}."
            )
    return names


def event_bits(event_type: str) -> dict[str, Any]:
    """Say how much one event can tell at most, apart from its pseudonyms.

    Args:
        event_type: Such as ``block_stored``.

    Returns:
        Column -> bits, rounded up to a tenth; pseudonyms are left out.
    """
    return {
        name: round(column.bits + 0.05, 1)
        for name, column in columns(event_type).items()
        if not isinstance(column, Pseudonym)
    }
