"""Codecs restore what they packed; dictionaries help on small blocks, and none that is needed can be deleted."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from augury.errors import UserError
from augury.predictors.codecs import open_codec
from augury.predictors.zstd_dictionaries import INDEX_FILE, DictionarySet, train_dictionaries

CODECS = ("none", "lz4", "zstd-1", "zlib-6", "brotli-5", "lzma-1", "bz2-1")


@given(st.binary(max_size=2000), st.sampled_from(CODECS))
def test_every_codec_restores_every_block(content, name):
    codec = open_codec(name)
    assert codec.decompress(codec.compress(content)) == content


@pytest.mark.parametrize("name", ["zstd", "zstd-99", "zstd-x", "snap", "lz4-3"])
def test_an_unknown_codec_or_level_is_refused(name):
    with pytest.raises(UserError, match=name):
        open_codec(name)


def records(kind, many, seed):
    rng = np.random.default_rng(seed)
    line = {"json": '{{"user": {}, "action": "open", "size": {}}}\n', "log": "INFO store.block[{}]: kept {} bytes\n"}[
        kind
    ]
    return ["".join(line.format(*rng.integers(0, 9999, 2)) for _ in range(20)).encode() for _ in range(many)]


@pytest.fixture(scope="module")
def dictionaries():
    blocks = records("json", 60, 1) + records("log", 60, 2)
    return train_dictionaries(blocks, clusters=2, level=3, dictionary_bytes=4096, seed=1)


def test_dictionaries_by_kind_make_unseen_small_blocks_smaller(dictionaries):
    unseen = records("json", 20, 3) + records("log", 20, 4)
    packed = [dictionaries.compress(block) for block in unseen]
    plain = open_codec("zstd-3")
    assert sum(map(len, packed)) < 0.8 * sum(len(plain.compress(block)) for block in unseen)
    assert [dictionaries.decompress(each) for each in packed] == unseen
    assert len(set(dictionaries.present)) == 2


def test_a_later_version_unpacks_what_an_earlier_one_packed(dictionaries, tmp_path):
    block = records("json", 1, 9)[0]
    packed = dictionaries.compress(block)
    dictionaries.save(tmp_path)
    later = train_dictionaries(records("log", 80, 7), clusters=1, level=3, dictionary_bytes=4096, seed=1)
    with pytest.raises(UserError, match="has not"):
        later.decompress(packed)
    later.save(tmp_path)
    loaded = DictionarySet.load(tmp_path)
    assert loaded.decompress(packed) == block
    assert loaded.present == later.present
    kept = loaded.without([dictionaries.present[0]], referenced=[dictionaries.present[1]])
    assert dictionaries.present[0] not in kept.contents
    for number in (dictionaries.present[1], later.present[0]):
        with pytest.raises(UserError, match="must not be deleted"):
            loaded.without([number], referenced=[dictionaries.present[1]])


def test_a_damaged_or_absent_set_is_refused(dictionaries, tmp_path):
    with pytest.raises(UserError, match="no dictionaries"):
        DictionarySet.load(tmp_path)
    dictionaries.save(tmp_path)
    (tmp_path / f"{dictionaries.present[0]}.zdict").write_bytes(b"other")
    with pytest.raises(UserError, match="damaged"):
        DictionarySet.load(tmp_path)
    (tmp_path / INDEX_FILE).write_text("{")
    with pytest.raises(UserError, match="complete"):
        DictionarySet.load(tmp_path)
