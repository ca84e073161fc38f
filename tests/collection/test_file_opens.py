"""Real programs are recorded: their files as pseudonyms, block by block, and nothing that could name them."""

import re

import pytest

from augury.errors import UserError
from augury.pipelines.collection.file_opens import AccessCollection, pseudonym, record_accesses


def collection(program, **changes):
    return AccessCollection(workloads={"w": [program]}, **({"runs": 2, "parallel": 1, "block_bytes": 1024} | changes))


def test_the_files_of_a_program_are_recorded_in_order(tmp_path):
    for name, size in (("one", 2_500), ("two", 10)):
        (tmp_path / name).write_bytes(b"x" * size)
    code = "\n".join(
        [f"open({str(tmp_path / name)!r}, 'rb').read()" for name in ("one", "two", "one")]
        + [f"open({str(tmp_path / 'new')!r}, 'w')"]
    )
    table = record_accesses(collection(["-c", code]), 1)
    assert list(table) == ["trace", "ts", "req", "session", "object", "position", "size"]
    for _, rows in table.groupby("session", sort=False):
        last = rows.tail(7)  # what is written is no access
        assert last["position"].tolist() == [0, 1, 2, 0, 0, 1, 2]
        assert last["size"].tolist() == [1024, 1024, 452, 10, 1024, 1024, 452]
        assert last["object"].nunique() == 2
    assert table["session"].nunique() == 2
    assert all(re.fullmatch("[0-9a-f]{24}", name) for name in {*table["object"], *table["session"]})
    assert table["req"].tolist() == list(range(len(table)))


def test_pseudonyms_depend_on_the_key():
    assert pseudonym("path", b"a" * 32) != pseudonym("path", b"b" * 32)


@pytest.mark.parametrize(
    ("code", "changes", "words"),
    [("raise ValueError('no')", {}, "ValueError: no"), ("while True: pass", {"timeout_s": 0.5}, "ran longer than")],
)
def test_a_program_that_fails_is_named(code, changes, words):
    with pytest.raises(UserError, match=words):
        record_accesses(collection(["-c", code], runs=1, **changes), 1)
