import hashlib
import stat

import pytest
from hypothesis import given
from hypothesis import strategies as st

from augury.errors import UserError
from augury.telemetry.pseudonyms import EPOCH_MS, NodeSecret, default_secret_path, epoch_of


@pytest.fixture(scope="module")
def secret(tmp_path_factory):
    return NodeSecret(tmp_path_factory.mktemp("secret") / "node.secret", 100)


@given(st.binary(max_size=300), st.binary(max_size=300))
def test_same_identifier_same_pseudonym_and_no_other(secret, first, second):
    assert (secret.pseudonym("block", first) == secret.pseudonym("block", second)) == (first == second)
    assert secret.pseudonym("block", first) != secret.pseudonym("node", first)
    assert len(secret.pseudonym("block", first)) == 12


@given(st.binary(max_size=64))
def test_a_pseudonym_is_the_keyed_hash_and_no_plain_one(secret, identifier):
    key = secret._held.key
    expected = hashlib.blake2b(identifier, key=key, digest_size=12, person=b"block").digest()
    assert secret.pseudonym("block", identifier) == expected
    for name in ("sha256", "sha1", "md5", "blake2b", "sha3_256"):
        assert secret.pseudonym("block", identifier) != hashlib.new(name, identifier).digest()[:12]


def test_the_file_is_only_its_owners(tmp_path):
    path = tmp_path / "deep" / "node.secret"
    NodeSecret(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert {found.name for found in path.parent.iterdir()} == {"node.secret", "node.secret.lock"}
    path.chmod(0o640)
    with pytest.raises(UserError, match="chmod 600"):
        NodeSecret(path)


@pytest.mark.parametrize(
    "content", ["", "{}", "[]", '{"epoch": 1, "key": "00", "node": "00"}', '{"epoch": 1, "key": 5}']
)
def test_a_damaged_file_is_named(tmp_path, content):
    path = tmp_path / "node.secret"
    path.write_text(content)
    path.chmod(0o600)
    with pytest.raises(UserError, match="damaged"):
        NodeSecret(path)


def test_two_processes_of_a_node_agree_also_after_rotation(tmp_path):
    one = NodeSecret(tmp_path / "s", 100)
    two = NodeSecret(tmp_path / "s", 100)
    assert one.pseudonym("block", b"x") == two.pseudonym("block", b"x")
    one.rotate(101)
    two.rotate(102)
    one.rotate(102)
    assert one.pseudonym("block", b"x") == two.pseudonym("block", b"x")
    assert NodeSecret(tmp_path / "s", 102).pseudonym("block", b"x") == one.pseudonym("block", b"x")
    assert one.node == two.node


def test_weeks_cannot_be_linked_not_even_with_the_file(tmp_path):
    secret = NodeSecret(tmp_path / "s", 100)
    old, key = secret.pseudonym("block", b"x"), secret._held.key
    secret.rotate(101)
    assert secret.pseudonym("block", b"x") != old
    assert key.hex() not in (tmp_path / "s").read_text()
    later = NodeSecret(tmp_path / "s", 101)
    later.rotate(100)  # an event that waited over midnight gets the new week's pseudonym
    assert later.pseudonym("block", b"x") != old


def test_two_nodes_have_nothing_in_common(tmp_path):
    one, two = NodeSecret(tmp_path / "1", 100), NodeSecret(tmp_path / "2", 100)
    assert one.pseudonym("block", b"x") != two.pseudonym("block", b"x")
    assert one.node != two.node


@pytest.mark.parametrize("epoch", [50, 100_000])
def test_after_a_wrong_clock_a_new_key_begins(tmp_path, epoch):
    secret = NodeSecret(tmp_path / "s", 100)
    old = secret.pseudonym("block", b"x")
    secret.rotate(epoch)
    assert secret.epoch == epoch
    assert secret.pseudonym("block", b"x") != old
    assert NodeSecret(tmp_path / "s", epoch).pseudonym("block", b"x") == secret.pseudonym("block", b"x")


def test_rotation_holds_in_memory_if_it_cannot_be_written(tmp_path):
    secret = NodeSecret(tmp_path / "s", 100)
    old = secret.pseudonym("block", b"x")
    secret.path = tmp_path / "s" / "impossible"
    secret.rotate(101)
    assert secret.pseudonym("block", b"x") != old


def test_a_place_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="secret_path="):
        NodeSecret(tmp_path / "file" / "node.secret")


def test_the_secret_lies_in_the_folder_of_states(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    assert default_secret_path() == tmp_path / "augury" / "node.secret"


@given(st.integers(0, 10**13))
def test_an_epoch_is_seven_days(ts):
    assert epoch_of(ts) * EPOCH_MS <= ts < (epoch_of(ts) + 1) * EPOCH_MS
