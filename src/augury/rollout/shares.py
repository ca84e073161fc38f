"""Who belongs to a share: a keyed hash, so that it is the same everywhere and nobody can choose to be in it."""

from hashlib import blake2b

_RANGE = 2.0**64


def place_of(unit: str, salt: bytes) -> float:
    """Give a unit (a block, a client, a network) its place among all of them.

    A share holds the units below it, so whoever is in 1 % is in 25 % too; another salt deals the places anew, so that
    it is not always the same ones that try what is new.

    Args:
        unit: Its id.
        salt: Key of the hash, at most 64 bytes.

    Returns:
        A number in [0, 1), uniform over units.

    Examples:
        >>> place_of("block 1", b"salt") == place_of("block 1", b"salt") != place_of("block 1", b"other")
        True
    """
    digest = blake2b(unit.encode("utf-8", "surrogatepass"), key=salt, digest_size=8).digest()
    # Rounding to a float may reach 1
    return min(int.from_bytes(digest, "big") / _RANGE, 1 - 2.0**-53)
