"""Content is handed to every field in every disguise; none of it may reach the disk or a log."""

import base64
import decimal
import enum
import fractions
import hashlib
import logging
import re
import sqlite3
import struct

import numpy as np
import pytest

from augury.errors import UserError
from augury.telemetry import EVENTS, RefusedEventError
from augury.telemetry.events import columns, event_model
from augury.telemetry.name_columns import Pseudonym
from augury.telemetry.number_columns import Flag, Measure
from augury.telemetry.reading import read_rows, reading

CONTENT = b"patient 4711: HIV+; password=hunter2\x00\xff\xfe"
TEXT = CONTENT.decode("latin-1")


class Chatty(int):
    """A number that says something else when it is written down."""

    said = TEXT

    def __repr__(self):
        return TEXT

    __str__ = __repr__

    def __conform__(self, protocol):
        return TEXT

    def __index__(self):
        return int.from_bytes(CONTENT, "big")

    def bit_length(self):
        return 3

    def __le__(self, other):
        return True

    __lt__ = __ge__ = __gt__ = __le__

    def __add__(self, other):
        return self

    __radd__ = __mul__ = __rmul__ = __rshift__ = __lshift__ = __add__


class ChattyFloat(float):
    def __mul__(self, other):
        return Chatty(1)

    def __int__(self):
        return int.from_bytes(CONTENT, "big")


class ChattyText(str):
    def __hash__(self):
        return hash("rule")

    def __eq__(self, other):
        return True

    def encode(self, *_):
        return CONTENT

    def __len__(self):
        return 4


class ChattyBytes(bytes):
    def __len__(self):
        return 4


class Anything:
    """Passes for a number wherever it is asked."""

    def __int__(self):
        return int.from_bytes(CONTENT, "big")

    __index__ = __int__

    def __float__(self):
        return 0.5

    def __conform__(self, protocol):
        return CONTENT

    def __eq__(self, other):
        return True

    def __hash__(self):
        return hash("rule")

    def __lt__(self, other):
        return False

    __gt__ = __lt__


class Kind(enum.IntEnum):
    SECRET = 1


class TextKind(enum.StrEnum):
    RULE = "rule"


REFUSED_EVERYWHERE = {
    "list": [CONTENT],
    "nested": {"a": [{"b": (TEXT, CONTENT)}]},
    "tuple": (1, TEXT),
    "set": frozenset({TEXT}),
    "bytearray": bytearray(CONTENT),
    "memoryview": memoryview(CONTENT),
    "number subclass": Chatty(1),
    "float subclass": ChattyFloat(0.5),
    "text subclass": ChattyText(TEXT),
    "bytes subclass": ChattyBytes(CONTENT),
    "enum": Kind.SECRET,
    "text enum": TextKind.RULE,
    "object": Anything(),
    "decimal": decimal.Decimal(int.from_bytes(CONTENT, "big")),
    "fraction": fractions.Fraction(1, int.from_bytes(CONTENT, "big")),
    "complex": complex(0.5, 1e9),
    "numpy int": np.int64(1),
    "numpy float": np.float64(0.5),
    "numpy array": np.frombuffer(CONTENT, dtype=np.uint8),
    "numpy text": np.str_(TEXT),
    "exception": ValueError(TEXT),
    "function": lambda: TEXT,
    "type": type(TEXT[:20], (), {}),
    "long text": TEXT * 20,
    "long bytes": CONTENT * 20,
    "generator": (part for part in [TEXT]),
}
"""No field takes any of these."""

NOT_FOR_NUMBERS = {
    "text": TEXT,
    "bytes": CONTENT,
    "one character": "\U0001f4a9",
    "surrogate": "\ud83d",
    "zero byte": "\x00",
    "digits": "42",
    "huge": int.from_bytes(CONTENT, "big"),
    "huge negative": -int.from_bytes(CONTENT, "big"),
    "million digits": 10**5000,
    "nan with a payload": struct.unpack("<d", b"secret\xf8\x7f")[0],
    "infinite": float("inf"),
    "payload in the exponent": struct.unpack("<d", b"hunter2\x66")[0],
}
"""No number and no word is any of these."""


def disguises(content):
    """What content looks like on disk if it is copied, or hidden by a common hash or code."""
    yield from (content, content[::-1], content.hex().encode(), base64.b64encode(content), repr(content).encode())
    for name in ("md5", "sha1", "sha256", "sha512", "sha3_256", "blake2b", "blake2s"):
        digest = hashlib.new(name, content).digest()
        yield from (digest[:12], digest.hex()[:24].encode())
    yield hashlib.blake2b(content, digest_size=12).digest()
    yield from (content.decode("latin-1").encode(code) for code in ("utf-8", "utf-16-le", "utf-16-be"))
    number = int.from_bytes(content, "big")
    yield str(number).encode()


def everything_written(folder, caplog):
    files = [path.read_bytes() for path in folder.rglob("*") if path.is_file()]
    return b"\n".join([*files, caplog.text.encode("utf-8", "surrogatepass")])


def assert_nothing_leaked(folder, caplog, content=CONTENT):
    written = everything_written(folder, caplog)
    for disguise in disguises(content):
        assert disguise not in written
        assert disguise[:16] not in written


@pytest.mark.parametrize("event", EVENTS)
def test_content_in_any_field_is_refused(tmp_path, open_collector, example, event, caplog):
    caplog.set_level(logging.DEBUG)
    collector = open_collector()
    tried = 0
    for name, column in columns(event).items():
        hidden = REFUSED_EVERYWHERE | ({} if isinstance(column, Pseudonym) else NOT_FOR_NUMBERS)
        if isinstance(column, Pseudonym):
            hidden = hidden | {"number": 7, "fraction of one": 0.5}
        for value in hidden.values():
            assert collector.record(event, **example(event, **{name: value}))
            tried += 1
    collector.close()
    assert collector.stats().refused == tried
    with reading(tmp_path / "events.db") as connection:
        assert read_rows(connection, event) == []
    assert_nothing_leaked(tmp_path, caplog)


@pytest.mark.parametrize("event", EVENTS)
def test_strict_collectors_say_what_is_wrong_without_repeating_it(open_collector, example, event):
    collector = open_collector(strict=True)
    for name in columns(event):
        for value in (REFUSED_EVERYWHERE["list"], REFUSED_EVERYWHERE["text subclass"], [TEXT]):
            with pytest.raises(RefusedEventError, match=name if name != "ts" else "does not know") as refusal:
                collector.record(event, **example(event, **{name: value}))
            assert "hunter2" not in str(refusal.value)
            assert refusal.value.__cause__ is None
    assert collector.record(event, **example(event))


def test_content_as_a_name_is_refused(tmp_path, open_collector, example, caplog):
    caplog.set_level(logging.DEBUG)
    collector = open_collector()
    access = example("block_accessed")
    collector.record("block_accessed", **access, **{TEXT: 1})
    collector.record("block_accessed", **access, ts=int.from_bytes(CONTENT, "big"))
    collector.record("block_accessed", **{name: value for name, value in access.items() if name != "size"})
    collector.record(TEXT, **access)
    collector.record(CONTENT, **access)  # type: ignore[arg-type]
    collector.record([TEXT], **access)  # type: ignore[arg-type]
    collector.record(Anything(), **access)  # type: ignore[arg-type]
    collector.record(ChattyText("block_accessed"), **access)
    collector.close()
    assert collector.stats().refused == 8
    assert collector.stats().written == 0
    assert_nothing_leaked(tmp_path, caplog)
    for action in (event_model, columns):
        with pytest.raises(UserError) as refusal:
            action(TEXT)
        assert "hunter2" not in str(refusal.value)
    with pytest.raises(UserError, match="at most"):
        open_collector("other.db", policies=[TEXT])
    with pytest.raises(UserError, match="at most"):
        open_collector("other.db", policies=[f"p{number}" for number in range(50)])


@pytest.mark.parametrize("event", EVENTS)
def test_content_as_an_identifier_leaves_only_a_keyed_hash(tmp_path, open_collector, example, event, caplog):
    caplog.set_level(logging.DEBUG)
    names = [name for name, column in columns(event).items() if isinstance(column, Pseudonym)]
    with open_collector() as collector:
        for value in (CONTENT, TEXT, hashlib.sha256(CONTENT).digest(), hashlib.sha256(CONTENT).hexdigest()):
            assert collector.record(event, **example(event, **dict.fromkeys(names, value)))
    assert collector.stats().written == 4
    assert_nothing_leaked(tmp_path, caplog)
    assert_nothing_leaked(tmp_path, caplog, hashlib.sha256(CONTENT).digest())
    with sqlite3.connect(tmp_path / "events.db") as connection:
        for row in connection.execute(f"SELECT {', '.join(names)} FROM {event}"):
            assert all(re.fullmatch("[0-9a-f]{24}", value) for value in row)


@pytest.mark.parametrize("event", EVENTS)
def test_what_numbers_can_tell_is_what_their_columns_allow(tmp_path, open_collector, example, event):
    """Content cut into numbers of the allowed range: at most the documented states of each column arrive."""
    payload = np.random.default_rng(5)
    measures = {name: column for name, column in columns(event).items() if isinstance(column, Measure | Flag)}
    with open_collector() as collector:
        for _ in range(400):
            share = payload.random()
            fields = {}
            for name, column in measures.items():
                if isinstance(column, Flag):
                    fields[name] = bool(share < 0.5)
                else:
                    value = column.most * 2 ** (-40 * payload.random()) * share
                    fields[name] = int(value) if column.whole else float(value)
            assert collector.record(event, **example(event, **fields))
    assert collector.stats().refused == 0
    with reading(tmp_path / "events.db") as connection:
        rows = read_rows(connection, event)
    assert len(rows) == 400
    for name, values in zip(columns(event), zip(*rows, strict=True), strict=True):
        column = columns(event)[name]
        assert all(column.accepts(value) for value in values)
        assert len(set(values)) <= column.states


@pytest.mark.parametrize("event", EVENTS)
def test_the_file_has_no_place_for_anything_else(tmp_path, open_collector, example, event):
    with open_collector() as collector:
        collector.record(event, **example(event))
    with sqlite3.connect(tmp_path / "events.db") as connection:
        kinds = {row[2] for row in connection.execute(f"PRAGMA table_info({event}_rows)")}
        assert kinds <= {"INTEGER", "BLOB"}
        sql = connection.execute("SELECT sql FROM sqlite_master WHERE name = ?", (f"{event}_rows",)).fetchone()[0]
        assert sql.endswith("STRICT")
        row = connection.execute(f"SELECT * FROM {event}_rows").fetchone()
        assert all(type(value) is int or (type(value) is bytes and len(value) == 12) for value in row)
        with pytest.raises(sqlite3.IntegrityError):
            connection.execute(f"UPDATE {event}_rows SET size = ?" if "size" in columns(event) else
                               f"UPDATE {event}_rows SET peers = ?", (TEXT,))  # fmt: skip
