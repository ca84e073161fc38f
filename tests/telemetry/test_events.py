import json
import subprocess
import sys

import pydantic
import pytest

from augury.errors import UserError
from augury.telemetry import EVENTS, BlockAccessed, check_features, feature_columns
from augury.telemetry.events import columns, columns_of_role, event_bits

ROLES = {"identifier", "context", "feature", "outcome"}
ACCESS = {
    "ts": 1_000,
    "session": "ab" * 12,
    "object": "",
    "position": 3,
    "size": 65536,
    "hit": 1,
    "prefetched": 0,
    "policy": "rule",
}


@pytest.mark.parametrize("event", EVENTS)
def test_every_column_has_a_role_and_every_event_an_outcome(event):
    assert {column.role for column in columns(event).values()} <= ROLES
    assert columns_of_role(event, "outcome")
    assert columns_of_role(event, "feature") == feature_columns(event)
    assert next(iter(columns(event))) == "ts"


@pytest.mark.parametrize("event", EVENTS)
def test_an_outcome_used_as_a_feature_is_refused(event):
    assert check_features(event, feature_columns(event)) == feature_columns(event)
    for outcome in columns_of_role(event, "outcome"):
        with pytest.raises(UserError, match=f"'{outcome}' of {event} is an outcome"):
            check_features(event, [*feature_columns(event), outcome])


def test_the_answer_of_the_compression_is_no_feature():
    assert {"stored_bytes", "compress_us", "decompress_us"}.isdisjoint(feature_columns("block_stored"))
    with pytest.raises(UserError, match="no column 'compression_ratio'"):
        check_features("block_stored", ["size", "compression_ratio"])


def test_an_unknown_type_is_refused():
    with pytest.raises(UserError, match="There are: block_stored"):
        columns("block_deleted")


def test_a_stored_event_is_frozen_and_knows_no_other_fields():
    event = BlockAccessed(**ACCESS)
    with pytest.raises(pydantic.ValidationError, match="frozen"):
        event.position = 4
    with pytest.raises(pydantic.ValidationError, match="extra"):
        BlockAccessed(**ACCESS, content="x")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("ts", 1_001),
        ("session", "a readable name"),
        ("session", "AB" * 12),
        ("position", 2**24),
        ("position", 1.0),
        ("size", 65537),
        ("hit", 2),
        ("policy", "Some text"),
        ("policy", "x" * 25),
        ("object", b"bytes"),
    ],
)
def test_a_stored_event_lies_on_the_grid_and_a_refusal_does_not_repeat_the_value(field, value):
    with pytest.raises(pydantic.ValidationError) as refusal:
        BlockAccessed(**ACCESS | {field: value})
    assert len(repr(value)) < 3 or repr(value) not in str(refusal.value)


def test_what_an_event_can_tell_is_bounded():
    # The widest statistic is an index in an object; nothing comes near the 64 bits of a float
    bits = {event: event_bits(event) for event in EVENTS}
    assert max(value for found in bits.values() for value in found.values()) < 25
    assert {event: round(sum(found.values())) for event, found in bits.items()} == {
        "block_stored": 165,
        "block_accessed": 67,
        "block_sketched": 77,
        "peer_fetch": 75,
        "gossip_round": 129,
    }


def test_an_application_needs_the_standard_library_and_pydantic_alone():
    code = "import augury.telemetry, sys, json; print(json.dumps(sorted(sys.modules)))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    others = {name.split(".")[0] for name in json.loads(found)} - set(sys.stdlib_module_names)
    assert {name for name in others if not name.startswith("_")} <= {
        "augury",
        "pydantic",
        "pydantic_core",
        "annotated_types",
        "typing_extensions",
        "typing_inspection",
    }
