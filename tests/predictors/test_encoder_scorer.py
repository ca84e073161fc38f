"""Scores of texts: the same after loading, beside other texts and in ONNX; a directory in Hugging Face format."""

import json

import numpy as np
import onnx
import pandas as pd
import pytest
import torch
from transformers import AutoConfig, AutoModel, AutoTokenizer

from augury.errors import UserError
from augury.predictors.encoder_scorer import EncoderScorer, OnnxScorer
from augury.predictors.text_encoder import TextFeatures, learn_tokenizer, windows_of
from augury.predictors.token_scorer import batches_by_length, padded

WORDS = "ship sea wind law court judge number proof sum river bank stone".split()
FEATURES = TextFeatures(
    encoder="scratch", max_tokens=12, windows=3, scratch={"vocabulary": 150, "hidden": 32, "layers": 2, "heads": 2}
)
CODES = pd.DataFrame({"code": ["000", "004", "1.5"], "label": ["General", "Computing", "Ümlaut"]})


@pytest.fixture(scope="module")
def texts():
    generator = np.random.default_rng(0)
    return [" ".join(generator.choice(WORDS, size)) for size in (1, 40, 3, 9, 25, 10, 11, 2)] + [""]


@pytest.fixture(scope="module")
def scorer(texts):
    tokenizer = learn_tokenizer(texts, 150)
    generator = np.random.default_rng(1)
    blank = EncoderScorer.pretrained(FEATURES, tokenizer, CODES, 3)
    return blank.with_head(generator.normal(size=blank.weight.shape), [0.5, -0.5, 0.0])


@pytest.fixture(scope="module")
def saved(scorer, tmp_path_factory):
    directory = tmp_path_factory.mktemp("scorer") / "text"
    scorer.save(directory)
    scorer.export_onnx(directory)
    return directory


def by_hand(scorer, ids):
    """The definition, without masks, batches and padding."""
    vectors = []
    for window in windows_of(ids, scorer.special, FEATURES.max_tokens, FEATURES.windows):
        with torch.no_grad():
            hidden = scorer.encoder(input_ids=torch.tensor(window[None].astype(np.int64))).last_hidden_state
        vectors.append(hidden[0].numpy().astype(np.float64).mean(axis=0) @ scorer.weight.T + scorer.bias)
    return np.mean(vectors, axis=0)


def test_logits_are_those_of_the_definition(scorer, texts):
    tokens = scorer.tokens(texts)
    expected = [by_hand(scorer, ids) for ids in tokens]
    found = scorer.logits(tokens)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, atol=1e-5)
    assert np.ptp(found, axis=0).min() > 0.01  # texts differ


def test_a_text_scores_the_same_alone_and_beside_others(scorer, texts):
    tokens = scorer.tokens(texts)
    together = scorer.logits(tokens)
    np.testing.assert_allclose(np.concatenate([scorer.logits([ids]) for ids in tokens]), together, atol=1e-5)
    np.testing.assert_allclose(scorer.logits(tokens[::-1])[::-1], together, atol=1e-5)
    assert scorer.logits([]).shape == (0, 3)


def test_a_head_reads_the_embeddings(scorer, texts):
    tokens = scorer.tokens(texts)
    weight = np.eye(3, 32)
    np.testing.assert_allclose(
        scorer.with_head(weight, np.ones(3)).logits(tokens), scorer.embeddings(tokens)[:, :3] + 1, atol=1e-6
    )


def test_a_loaded_scorer_is_the_saved_one_bit_for_bit(scorer, saved, texts, tmp_path):
    loaded = EncoderScorer.load(saved)
    tokens = loaded.tokens(texts)
    np.testing.assert_array_equal(loaded.logits(tokens), scorer.logits(tokens))
    assert loaded.layout == scorer.layout
    loaded.save(tmp_path)
    loaded.export_onnx(tmp_path)
    files = sorted(path.name for path in saved.iterdir())
    assert files == sorted(path.name for path in tmp_path.iterdir())
    assert [(saved / name).read_bytes() for name in files] == [(tmp_path / name).read_bytes() for name in files]


def test_the_directory_is_one_of_hugging_faces(scorer, saved, texts):
    config = AutoConfig.from_pretrained(saved)
    assert config.id2label == {0: "000", 1: "004", 2: "1.5"}
    assert config.problem_type == "multi_label_classification"
    encoder = AutoModel.from_pretrained(saved).eval()
    tokenizer = AutoTokenizer.from_pretrained(saved)
    encoded = tokenizer([texts[0]], return_tensors="pt")
    with torch.no_grad():
        vector = encoder(**encoded).last_hidden_state.mean(1).numpy()
    np.testing.assert_allclose(vector, scorer.embeddings(scorer.tokens(texts[:1])), atol=1e-5)
    vocabulary = (saved / "vocab.txt").read_text().splitlines()
    assert vocabulary == [tokenizer.convert_ids_to_tokens(number) for number in range(len(tokenizer))]
    assert json.loads((saved / "special_tokens_map.json").read_text())["pad_token"] == "[PAD]"
    assert not {"is_local", "local_files_only", "name_or_path"} & set(
        json.loads((saved / "tokenizer_config.json").read_text())
    )


def test_a_pickle_is_written_on_demand_only(scorer, saved, tmp_path):
    assert not (saved / "pytorch_model.bin").exists()
    scorer.save(tmp_path, export_bin=True)
    state = torch.load(tmp_path / "pytorch_model.bin", weights_only=True)
    assert torch.equal(state["embeddings.word_embeddings.weight"], scorer.encoder.get_input_embeddings().weight)


@pytest.mark.parametrize(("int8", "tolerance"), [(False, 1e-4), (True, 0.5)])
def test_onnx_gives_the_same_logits(int8, tolerance, scorer, saved, texts):
    other = OnnxScorer.load(saved, int8=int8, threads=1)
    tokens = other.tokens(texts)
    expected = scorer.logits(tokens)
    np.testing.assert_allclose(other.logits(tokens), expected, atol=tolerance)
    # The tolerance means something only if it is far below how much texts differ
    assert np.abs(other.logits(tokens) - expected).mean() < 0.2 * expected.std(axis=0).mean()
    assert other.logits([]).shape == (0, 3)


def test_int8_multiplies_integers(saved):
    operators = [
        [node.op_type for node in onnx.load(saved / name).graph.node] for name in ("model.onnx", "model.int8.onnx")
    ]
    assert "MatMulInteger" not in operators[0]
    # Query, key, value, output and the two of the feed-forward part, in two layers; the head
    assert operators[1].count("MatMulInteger") >= 13


@pytest.mark.parametrize(
    ("name", "content"), [("head.safetensors", b"x" * 40), ("text_layout.json", b"{}"), ("tokenizer.json", b"{")]
)
def test_damaged_files_are_refused(name, content, scorer, tmp_path):
    scorer.save(tmp_path)
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError):
        EncoderScorer.load(tmp_path)


def test_batches_hold_every_window_once_and_no_more_tokens_than_allowed():
    lengths = np.random.default_rng(2).integers(3, 500, 300)
    batches = list(batches_by_length(lengths))
    assert sorted(np.concatenate(batches)) == list(range(300))
    assert max(len(places) * lengths[places].max() for places in batches) <= 4096
    assert [len(places) for places in batches_by_length([9000, 2])] == [1, 1]


def test_padding():
    ids, mask = padded([np.array([5, 6], dtype=np.int32), np.array([7], dtype=np.int32)], 9)
    assert ids.tolist() == [[5, 6], [7, 9]]
    assert mask.tolist() == [[1, 1], [1, 0]]
