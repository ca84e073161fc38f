"""Encoders and tokenizers: the known weights or none, the same vocabulary every time, windows that cover a text."""

import json
import socket

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from augury.errors import UserError
from augury.predictors import text_encoder
from augury.predictors.text_encoder import (
    MINILM,
    SpecialTokens,
    TextFeatures,
    encode_texts,
    learn_tokenizer,
    load_encoder,
    load_tokenizer,
    mean_pooled,
    new_encoder,
    open_tokenizer,
    resolve_encoder,
    special_tokens,
    windows_of,
)

TEXTS = [
    f"The {colour} {thing} of number {n}, gathered."
    for n, colour in enumerate(("red", "green", "bluish"))
    for thing in ("rivers", "mountains", "readers")
]
SCRATCH = TextFeatures(encoder="scratch", max_tokens=16, scratch={"vocabulary": 200, "hidden": 16, "layers": 1})


@pytest.fixture
def no_network(monkeypatch):
    def refuse(*_):
        raise AssertionError("a connection was tried")

    monkeypatch.setattr(socket.socket, "connect", refuse)


def test_the_package_of_minilm_is_found_without_network(no_network):
    path = resolve_encoder(MINILM)
    assert text_encoder.file_digest(path / "model.safetensors") == text_encoder.MINILM_DIGEST
    tokenizer = load_tokenizer(TextFeatures(), [])
    assert tokenizer["truncation"] is None
    assert tokenizer["padding"] is None
    assert special_tokens(open_tokenizer(tokenizer), 0) == SpecialTokens((101,), (102,), 0)


def test_other_weights_under_the_name_of_minilm_are_refused(tmp_path, monkeypatch):
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "model.safetensors").write_bytes(b"other weights")
    monkeypatch.setattr(text_encoder, "_minilm", lambda: tmp_path)
    with pytest.raises(UserError, match=r"'minilm'.*SHA-256"):
        resolve_encoder(MINILM)
    assert resolve_encoder(str(tmp_path)) == tmp_path


@pytest.mark.parametrize("name", ["nobody/no-such-model", "no such name at all"])
def test_an_unknown_encoder_is_refused_without_network(name, no_network):
    with pytest.raises(UserError, match="neither 'minilm'"):
        resolve_encoder(name)


def test_a_directory_without_weights_is_refused(tmp_path):
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(UserError, match=r"model\.safetensors is missing"):
        resolve_encoder(str(tmp_path))


def test_damaged_weights_are_refused(tmp_path):
    new_encoder(SCRATCH, learn_tokenizer(TEXTS, 200), 1).save_pretrained(tmp_path)
    weights = tmp_path / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    with pytest.raises(UserError, match="no encoder that can be read"):
        load_encoder(tmp_path)


def test_a_vocabulary_depends_on_the_texts_and_not_on_their_order():
    first = learn_tokenizer(TEXTS, 120)
    assert json.dumps(learn_tokenizer(TEXTS[::-1], 120)) == json.dumps(first)
    assert learn_tokenizer(TEXTS[:3], 120) != first
    numbers = sorted(first["model"]["vocab"].values())
    assert numbers == list(range(len(numbers)))
    assert len(numbers) <= 120


def test_known_texts_need_few_tokens_and_unknown_letters_are_unknown():
    tokenizer = open_tokenizer(learn_tokenizer(TEXTS, 200))
    names = {number: token for token, number in tokenizer.get_vocab().items()}
    tokens = encode_texts(tokenizer, ["The RED rivers", "", "Ω"], 9)
    assert "".join(names[number] for number in tokens[0]).replace("##", "") == "theredrivers"
    assert len(tokens[1]) == 0
    assert [names[number] for number in tokens[2]] == ["[UNK]"]
    assert len(encode_texts(tokenizer, [TEXTS[0]], 2)[0]) == 2


@settings(max_examples=30)
@given(length=st.integers(0, 90), max_tokens=st.integers(4, 20), windows=st.integers(1, 4))
def test_windows_cover_what_is_read(length, max_tokens, windows):
    tokens = np.arange(10, 10 + length, dtype=np.int32)
    found = windows_of(tokens, SpecialTokens((1,), (2,), 0), max_tokens, windows)
    assert 1 <= len(found) <= windows
    assert all(len(window) <= max_tokens and window[0] == 1 and window[-1] == 2 for window in found)
    read = tokens[: (max_tokens - 2) * windows]
    assert set(np.concatenate([window[1:-1] for window in found])) == set(read)
    if len(found) > 1:
        assert {len(window) for window in found} == {max_tokens}
    np.testing.assert_array_equal(found[0][1:-1], tokens[: max_tokens - 2])


def test_the_mean_leaves_out_padding():
    hidden = torch.tensor([[[1.0, 2.0], [3.0, 6.0], [100.0, 100.0]], [[1.0, 1.0], [2.0, 2.0], [6.0, 0.0]]])
    mask = torch.tensor([[1, 1, 0], [1, 1, 1]])
    assert mean_pooled(hidden, mask).tolist() == [[2.0, 4.0], [3.0, 1.0]]


def test_new_weights_depend_on_the_seed_alone():
    tokenizer = learn_tokenizer(TEXTS, 200)
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    first, again, other = (new_encoder(SCRATCH, tokenizer, seed) for seed in (1, 1, 2))
    assert torch.equal(torch.rand(3), expected)  # the caller's generator is left alone
    name = "encoder.layer.0.attention.self.query.weight"
    assert torch.equal(first.state_dict()[name], again.state_dict()[name])
    assert not torch.equal(first.state_dict()[name], other.state_dict()[name])


def test_impossible_sizes_are_refused(tmp_path):
    tokenizer = learn_tokenizer(TEXTS, 200)
    uneven = SCRATCH.model_copy(update={"scratch": SCRATCH.scratch.model_copy(update={"hidden": 15})})
    with pytest.raises(UserError, match=r"features\.scratch\.hidden"):
        new_encoder(uneven, tokenizer, 1)
    new_encoder(SCRATCH, tokenizer, 1).save_pretrained(tmp_path)
    with pytest.raises(UserError, match=r"features\.max_tokens' is 17.*16 tokens"):
        new_encoder(TextFeatures(encoder=str(tmp_path), max_tokens=17), tokenizer, 1)
    with pytest.raises(ValidationError, match="max_tokens"):
        TextFeatures(max_tokens=0)
