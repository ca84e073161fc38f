"""Sketches: the hash computed another way, exact similarities, estimates without bias, sampling without loss."""

import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from augury.errors import InputError
from augury.predictors import shingle_kernels
from augury.predictors.shingle_sketches import (
    EMPTY,
    SketchRecipe,
    decode,
    distinct_shingles,
    encode,
    estimates,
    exact_jaccard,
    limits_of,
    rates,
    sketch_blocks,
    thinned,
)

from .edited_blocks import edited, random_block

MASK = 2**64 - 1
FIRST, SECOND, THIRD, FOURTH = 0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB, 0xD6E8FEB86659FD93
SMALL = SketchRecipe(hashes=32, sampling=1)


def mix(value, factor):
    return ((value ^ (value >> 32)) * factor) & MASK


def plain_sketch(block, recipe, limit=MASK):
    """The same in plain Python, from the definition."""
    smallest = {}
    for place in range(len(block) - 7):
        window = int.from_bytes(block[place : place + 8], "little")
        hashed = mix(((window ^ recipe.key) * FIRST) & MASK, SECOND)
        if hashed <= limit:
            cell = ((mix(hashed, THIRD) >> 32) * recipe.hashes) >> 32
            smallest[cell] = min(smallest.get(cell, MASK), hashed)
    cells = []
    for cell in range(recipe.hashes):
        if cell not in smallest:
            cells.append(EMPTY)
            continue
        found = smallest[cell]
        level = min(64 - found.bit_length(), 15)
        value = (level << 12) | (mix(found, FOURTH) >> 52)
        cells.append(min(value, EMPTY - 1))
    return cells


def python_jaccard(left, right, width=8):
    one, two = ({block[at : at + width] for at in range(len(block) - width + 1)} for block in (left, right))
    return len(one & two) / len(one | two) if one | two else 0.0


@given(block=st.binary(max_size=300), key=st.integers(0, 2**62))
@settings(max_examples=60, deadline=None)
def test_a_sketch_is_what_its_definition_says(block, key):
    recipe = SketchRecipe(hashes=32, sampling=1, key=key)
    assert sketch_blocks([block], recipe)[0].tolist() == plain_sketch(block, recipe)


def test_pieces_of_a_long_block_meet_without_a_seam():
    block = random_block(3 * 2048 + 11, 1)
    recipe = SketchRecipe(hashes=4096, sampling=1)
    assert sketch_blocks([block], recipe)[0].tolist() == plain_sketch(block, recipe)


def test_a_block_is_sketched_alone_as_among_others():
    blocks = [random_block(size, size) for size in (0, 5, 7, 8, 9, 3000, 20_000)]
    together = sketch_blocks(blocks, SMALL)
    for block, cells in zip(blocks, together, strict=True):
        np.testing.assert_array_equal(sketch_blocks([block], SMALL)[0], cells)


def test_sampling_leaves_out_shingles_and_changes_no_cell_that_keeps_one():
    block = random_block(40_000, 3)
    whole = sketch_blocks([block], SketchRecipe(hashes=256, sampling=1))
    for rate in (4, 16, 64):
        recipe = SketchRecipe(hashes=256, sampling=rate, least_sampling=rate)
        sampled = sketch_blocks([block], recipe)
        np.testing.assert_array_equal(sampled, thinned(whole, 256, rate))
        assert sampled[0].tolist() == plain_sketch(block, recipe, int(limits_of(np.array([rate]))[0]))


def test_keeping_fewer_cells_is_the_same_as_dropping_them():
    block = random_block(5_000, 4)
    recipe = SketchRecipe(hashes=256, keep=64, least_sampling=2)
    whole = sketch_blocks([block], SketchRecipe(hashes=256))
    np.testing.assert_array_equal(sketch_blocks([block], recipe), thinned(whole, 64, 2))


def test_larger_blocks_are_sampled_more_and_no_block_too_much():
    recipe = SketchRecipe(hashes=256, sampling=16, load=8)
    assert rates(np.array([0, 2048, 4096, 10_240, 10**7]), recipe).tolist() == [1, 1, 2, 4, 16]


def test_estimates_of_blocks_of_any_sizes_have_no_bias():
    """Among them blocks that are sampled at different rates."""
    recipe = SketchRecipe(hashes=256)
    blocks, truth = [], []
    for seed in range(120):
        block = random_block(int(np.random.default_rng(seed).integers(400, 30_000)), seed)
        other = edited(block, 0.3, seed) if seed % 2 else block[: len(block) // 2]
        blocks += [block, other]
        truth.append(python_jaccard(block, other))
    rows = np.arange(len(truth))
    error = estimates(sketch_blocks(blocks, recipe), 2 * rows, 2 * rows + 1) - truth
    deviation = np.sqrt(np.mean(np.array(truth) * (1 - np.array(truth))) / 256)
    assert abs(error.mean()) < 4 * deviation / np.sqrt(len(truth))
    assert error.std() < 1.6 * deviation


def test_two_kinds_of_tiny_block():
    cells = sketch_blocks([b"", b"1234567", b"12345678", b"a" * 8, b"a" * 5000], SMALL)
    assert (cells[:2] == EMPTY).all()
    assert ((cells[2:] != EMPTY).sum(axis=1) == 1).all()
    np.testing.assert_array_equal(cells[3], cells[4])  # one shingle, however often
    assert estimates(cells, np.array([0, 3, 2]), np.array([1, 4, 3])).tolist() == [0, 1, 0]


WORD = re.compile(rb"\w+|[^\w\s]", re.ASCII)


@given(
    text=st.lists(st.sampled_from(["alpha", "b_2", "(", "+", " ", "\n", "\t", "Z9", "ü"]), max_size=60).map("".join),
    words=st.integers(1, 6),
)
@settings(max_examples=80, deadline=None)
def test_shingles_of_words_are_those_of_a_regular_expression(text, words):
    block = text.encode()
    tokens = WORD.findall(block)
    expected = {tuple(tokens[at : at + words]) for at in range(len(tokens) - words + 1)}
    found = shingle_kernels.sampled_shingles(np.frombuffer(block, np.uint8), np.uint64(MASK), np.uint64(0), words)
    assert len(found) == max(len(tokens) - words + 1, 0)
    assert len(set(found.tolist())) == len(expected)


def test_layout_does_not_count_in_shingles_of_words():
    recipe = SketchRecipe(words=3, hashes=32, sampling=1)
    one, other = sketch_blocks([b"if (a == b) { return c; }", b"if(a==b)\n{\n\treturn c;\n}\n"], recipe)
    np.testing.assert_array_equal(one, other)


def test_exact_similarities_are_those_of_sets():
    blocks = [b"", b"short", b"a" * 40, *(edited(random_block(600, 7), share, 7) for share in (0, 0.2, 0.6)), b"a" * 99]
    for width in (5, 8):
        found = exact_jaccard(blocks, width)
        for later in range(len(blocks)):
            for earlier in range(len(blocks)):
                expected = python_jaccard(blocks[later], blocks[earlier], width) if earlier < later else 0
                assert found[later, earlier] == pytest.approx(expected, abs=1e-6)


def test_distinct_shingles_count_once():
    assert distinct_shingles(b"abcabcabcabc", 3).size == 3
    assert distinct_shingles(b"ab", 3).size == 0


@given(st.lists(st.binary(max_size=60), min_size=1, max_size=5))
@settings(max_examples=30, deadline=None)
def test_a_sketch_survives_its_way_through_text(blocks):
    cells = sketch_blocks(blocks, SMALL)
    np.testing.assert_array_equal(decode(encode(cells), 32), cells)


def test_what_is_no_sketch_is_refused():
    text = encode(sketch_blocks([b"content of a block"], SMALL))
    with pytest.raises(InputError, match=r"'sketch' must be base64.*row 1"):
        decode([*text, "no sketch!"], 32)
    with pytest.raises(InputError, match=r"must have 64 cells.*has 64 bytes"):
        decode(text, 64)


@pytest.mark.parametrize(
    "wrong", [{"sampling": 3}, {"sampling": 2, "least_sampling": 4}, {"hashes": 32, "keep": 33}, {"colour": 1}]
)
def test_a_recipe_that_makes_no_sense_is_refused(wrong):
    with pytest.raises(ValidationError):
        SketchRecipe(**wrong)


def test_another_key_makes_other_sketches():
    block = random_block(4_000, 5)
    one, other = (sketch_blocks([block], SketchRecipe(hashes=256, key=key))[0] for key in (1, 2))
    assert (one == other).mean() < 0.02
