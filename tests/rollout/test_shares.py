"""Who belongs to a share."""

from hashlib import blake2b

from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import kstest

from augury.rollout.shares import place_of

UNITS = st.text(max_size=40)
SALTS = st.binary(min_size=1, max_size=64)
SHARES = st.floats(0, 1)


@given(unit=UNITS, salt=SALTS, small=SHARES, large=SHARES)
def test_whoever_is_in_a_share_is_in_a_larger_one(unit: str, salt: bytes, small: float, large: float) -> None:
    small, large = sorted((small, large))
    place = place_of(unit, salt)
    assert 0 <= place < 1
    assert place_of(unit, salt) == place
    assert place >= small or place < large


def test_shares_are_as_large_as_they_say_for_ids_of_any_kind() -> None:
    for name in (str, "block-{:08d}".format, lambda number: blake2b(str(number).encode(), digest_size=12).hexdigest()):
        places = [place_of(name(number), b"salt") for number in range(20_000)]
        assert kstest(places, "uniform").pvalue > 1e-4
        share = sum(place < 0.05 for place in places) / len(places)
        assert abs(share - 0.05) < 5 * (0.05 * 0.95 / 20_000) ** 0.5


def test_another_salt_deals_the_places_anew() -> None:
    inside = [{number for number in range(20_000) if place_of(str(number), salt) < 0.1} for salt in (b"a", b"b")]
    assert abs(len(inside[0] & inside[1]) - 200) < 5 * 200**0.5
