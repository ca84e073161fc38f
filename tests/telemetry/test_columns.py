import hashlib
import math
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from augury.telemetry import EVENTS, RefusedEventError
from augury.telemetry.columns import Naming
from augury.telemetry.events import columns
from augury.telemetry.name_columns import Pseudonym, Word
from augury.telemetry.number_columns import Measure, Time

NAMING = Naming(lambda kind: hashlib.blake2b(digest_size=12))
MEASURES = sorted(
    {column for event in EVENTS for column in columns(event).values() if isinstance(column, Measure)}, key=repr
)
KEPT = Measure(role="feature", most=2**40, digits=7, whole=True)


def encode(column, value):
    return column.encode("x", [value], NAMING)[0]


@given(st.sampled_from(MEASURES), st.floats(0, 1))
def test_a_measure_is_kept_to_half_a_step_and_so_many_digits(column, share):
    value = int(share * column.most) if column.whole else share * column.most
    code = encode(column, value)
    exact = value * column.per
    # First to a step, then to the leading digits
    error = 0.5 if column.digits is None else 0.5 + 2**-column.digits * (exact + 0.5)
    assert abs(code - exact) <= error + 1e-9 or code == column.floor
    assert encode(column, code // column.per if column.whole else code / column.per) == code
    assert column.accepts(None if value is None else code / column.per if not column.whole else code // column.per)


@given(st.sampled_from(MEASURES), st.floats(0, 1), st.floats(0, 1))
def test_a_larger_measure_is_never_stored_as_a_smaller_one(column, first, second):
    low, high = sorted((first * column.most, second * column.most))
    if column.whole:
        low, high = int(low), int(high)
    assert encode(column, low) <= encode(column, high)


@pytest.mark.parametrize("column", [c for c in MEASURES if c.limit <= 2**16], ids=str)
def test_the_number_of_states_is_what_counting_them_gives(column):
    steps = range(column.limit + 1)
    values = [step if column.whole else step / column.per for step in steps]
    found = set(column.encode("x", values, NAMING))
    assert len(found) + column.optional == column.states
    assert column.bits == math.log2(column.states)


def test_the_number_of_states_of_a_wide_measure():
    # 2^7 short numbers, 2^6 for each binary place beyond, and 2^40 itself
    assert KEPT.states == 2**7 + (40 - 7) * 2**6 + 1


@given(st.binary(min_size=8, max_size=8), st.sampled_from(MEASURES))
def test_the_payload_bits_of_a_float_do_not_arrive(payload, column):
    value = struct.unpack("<d", payload)[0]
    try:
        code = encode(column, value)
    except RefusedEventError:
        return
    assert type(code) is int
    assert column.floor <= code <= column.limit


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, -1, 1e300, 10**400, -(10**400)])
def test_what_is_no_number_of_the_range_is_refused(value):
    for column in MEASURES:
        with pytest.raises(RefusedEventError):
            encode(column, value)
        # also beside good values, which NaN could hide from a comparison
        if type(value) is float:
            with pytest.raises(RefusedEventError):
                column.encode("x", [0, value, 1, value], NAMING)
            with pytest.raises(RefusedEventError):
                column.encode("x", [value, column.most * 4], NAMING)


@given(st.integers(0, 2**60))
def test_a_time_is_rounded_down(ts):
    column = Time(step_ms=50)
    code = encode(column, ts)
    assert code % 50 == 0 and 0 <= ts - code < 50


def test_half_a_step_beyond_the_range_is_rounding():
    share = Measure(role="feature", most=1, per=32)
    assert encode(share, 1.0000000000000002) == 32
    assert encode(share, -1e-17) == 0


def test_a_limit_that_cannot_be_stored_is_refused():
    with pytest.raises(ValueError, match="binary digits"):
        Measure(role="feature", most=1000, digits=3)


def test_words_and_identifiers_have_their_rules():
    word = Word(role="context", words=("a", "b"))
    assert word.encode("x", ["b", "a"], NAMING) == [1, 0]
    with pytest.raises(RefusedEventError, match="one of the words a, b"):
        encode(word, "c")
    identifier = Pseudonym(kind="k", optional=True)
    assert identifier.encode("x", ["", b"", None, "\ud800"], NAMING) == [
        None,
        None,
        None,
        hashlib.blake2b("\ud800".encode("utf-8", "surrogatepass"), digest_size=12).digest(),
    ]
    for value in ("x" * 257, b"x" * 257, 7, bytearray(b"x")):
        with pytest.raises(RefusedEventError):
            encode(identifier, value)
