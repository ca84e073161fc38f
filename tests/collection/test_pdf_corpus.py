"""The generated PDF corpus: reproducible, varied, readable, resumable."""

import dataclasses
import os
import zlib
from base64 import a85decode
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from augury.pipelines.collection.pdf_corpus import (
    USER_PASSWORD,
    DocumentRecipe,
    document_recipe,
    write_corpus,
    write_document,
)
from augury.pipelines.collection.pdf_drawing import SHADINGS, true_type_file
from augury.pipelines.collection.pdf_images import (
    COLOURS,
    CONTENTS,
    FILTERS,
    LARGEST_DECODED,
    ImageRecipe,
    add_image,
    ascii85,
    draw_images,
)
from augury.pipelines.collection.pdf_recipes import A4_AREA, AREA_BUDGET, DAMAGES, ENCRYPTIONS

pikepdf = pytest.importorskip("pikepdf")

SEED = 42
INDICES = st.integers(0, 10_000)


@pytest.fixture(scope="module")
def recipes() -> list[DocumentRecipe]:
    return [document_recipe(SEED, index) for index in range(300)]


def light(recipe: DocumentRecipe) -> DocumentRecipe:
    """The same document with few operators, words and images, so that writing it takes milliseconds."""
    drawing = dataclasses.replace(
        recipe.drawing,
        operators=min(recipe.drawing.operators, 200),
        words=min(recipe.drawing.words, 60),
        font_files=tuple(min(size, 20_000) for size in recipe.drawing.font_files),
    )
    images = tuple(image for image in recipe.images if image.decoded_bytes < 50_000)[:3]
    return dataclasses.replace(recipe, drawing=drawing, images=images, page_sizes=recipe.page_sizes[:6])


def password(recipe: DocumentRecipe) -> str:
    return USER_PASSWORD if recipe.user_password else ""


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32), index=INDICES)
def test_a_recipe_depends_on_seed_and_index_only_and_keeps_its_bounds(seed: int, index: int) -> None:
    recipe = document_recipe(seed, index)
    assert recipe == document_recipe(seed, index)
    areas = [width * height / A4_AREA for width, height in recipe.page_sizes]
    # A first page beyond the budget stays: a document has at least one page.
    assert 1 <= len(areas) <= 200
    assert len(areas) == 1 or sum(areas[:30]) <= AREA_BUDGET
    assert max(areas) * (1 + recipe.drawing.group_depth) <= 52 or recipe.drawing.group_depth == 0
    assert sum(image.decoded_bytes for image in recipe.images) <= 1.6 * LARGEST_DECODED
    assert all(image.decoded_bytes <= LARGEST_DECODED for image in recipe.images)
    assert not recipe.user_password or recipe.encryption
    assert not recipe.object_streams or recipe.version >= "1.5"


@settings(max_examples=25, deadline=None)
@given(index=INDICES)
def test_an_unencrypted_document_has_the_same_bytes_twice(tmp_path_factory: pytest.TempPathFactory, index: int) -> None:
    folder = tmp_path_factory.mktemp("twice")
    recipe = dataclasses.replace(light(document_recipe(SEED, index)), encryption="", user_password=False)
    write_document(recipe, folder / "first.pdf")
    write_document(recipe, folder / "second.pdf")
    assert (folder / "first.pdf").read_bytes() == (folder / "second.pdf").read_bytes()


@settings(max_examples=40, deadline=None)
@given(index=INDICES)
def test_an_undamaged_document_opens_with_the_pages_and_updates_of_its_recipe(
    tmp_path_factory: pytest.TempPathFactory, index: int
) -> None:
    recipe = dataclasses.replace(light(document_recipe(SEED, index)), damage="")
    path = tmp_path_factory.mktemp("open") / "document.pdf"
    write_document(recipe, path)
    with pikepdf.open(path, password=password(recipe), attempt_recovery=False) as pdf:
        assert [tuple(map(int, page.mediabox[2:])) for page in pdf.pages] == list(recipe.page_sizes)
        assert pdf.is_linearized == (recipe.linearised and not recipe.incremental_updates)
        assert pdf.is_encrypted == bool(recipe.encryption)
        assert pdf.pdf_version >= recipe.version
        assert len(pdf.Root.get("/AcroForm", {"/Fields": []})["/Fields"]) == recipe.fields
        assert ("/StructTreeRoot" in pdf.Root) == (recipe.structure_elements > 0)
        information = pdf.trailer.get("/Info", {})
        assert information.get("/Update", -1) == recipe.incremental_updates - 1
        images = {
            stream.objgen
            for stream in pdf.objects
            if isinstance(stream, pikepdf.Stream) and stream.get("/Subtype") == "/Image"
        }
        assert len(images) <= 2 * len(recipe.images)
    assert path.read_bytes().count(b"%%EOF") >= 1 + recipe.incremental_updates


def test_documents_with_a_user_password_do_not_open_without_it(tmp_path: Path, recipes: list[DocumentRecipe]) -> None:
    locked = [recipe for recipe in recipes if recipe.user_password and not recipe.damage]
    assert 1 <= len(locked) <= 0.05 * len(recipes)
    write_document(light(locked[0]), tmp_path / "locked.pdf")
    with pytest.raises(pikepdf.PasswordError):
        pikepdf.open(tmp_path / "locked.pdf")


def test_sixty_recipes_hold_every_filter_colour_and_structure() -> None:
    recipes = [document_recipe(SEED, index) for index in range(60)]
    images = [image for recipe in recipes for image in recipe.images]
    assert {image.encoding for image in images} == set(FILTERS)
    assert {image.colour for image in images} == set(COLOURS)
    assert {image.content for image in images} == set(CONTENTS)
    assert {image.bits for image in images} == {1, 2, 4, 8, 16}
    assert {image.mask for image in images} == {"", "soft", "key"}
    assert {kind for recipe in recipes for kind in recipe.drawing.shadings} == set(SHADINGS)
    for field in ("object_streams", "linearised", "split_contents", "shared_images", "inherited", "cropped"):
        assert {getattr(recipe, field) for recipe in recipes} == {False, True}, field
    for field in ("images", "annotations", "fields", "attachments", "outlines", "metadata", "incremental_updates"):
        assert {bool(getattr(recipe, field)) for recipe in recipes} == {False, True}, field
    for field in ("words", "operators", "font_files", "group_depth", "tilings", "clips", "form_depth", "layers"):
        assert {bool(getattr(recipe.drawing, field)) for recipe in recipes} == {False, True}, field
    assert {recipe.content_encoding for recipe in recipes} == {"flate", "none", "ascii85"}


def test_the_drivers_of_memory_spread_widely_and_apart(recipes: list[DocumentRecipe]) -> None:
    area = np.array([max(width * height for width, height in recipe.page_sizes) for recipe in recipes])
    image = np.array([max((image.decoded_bytes for image in recipe.images), default=1) for recipe in recipes])
    operators = np.array([recipe.drawing.operators + 1 for recipe in recipes])
    pages = np.array([len(recipe.page_sizes) for recipe in recipes])
    assert area.max() / area.min() > 500
    assert image.max() > 2e7
    assert operators.max() > 1e5
    assert pages.max() >= 100
    correlation = np.corrcoef(np.log([area, image, operators, pages]))
    # The area budget shortens documents of large pages, so these two may hang together a little.
    assert np.abs(correlation - np.eye(4)).max() < 0.5
    assert {recipe.encryption for recipe in recipes} == set(ENCRYPTIONS)
    assert 0.01 <= np.mean([bool(recipe.damage) for recipe in recipes]) <= 0.06


@pytest.mark.parametrize("damage", DAMAGES)
def test_damaged_documents_are_written_without_an_error_and_are_damaged(damage: str, tmp_path: Path) -> None:
    for index in range(4):
        whole = dataclasses.replace(light(document_recipe(SEED, index)), damage="", encryption="", user_password=False)
        write_document(whole, tmp_path / "whole.pdf")
        write_document(dataclasses.replace(whole, damage=damage), tmp_path / "damaged.pdf")
        assert (tmp_path / "whole.pdf").read_bytes() != (tmp_path / "damaged.pdf").read_bytes()


def test_a_second_run_rewrites_nothing_and_fills_the_gaps(tmp_path: Path) -> None:
    calls: list[tuple[int, int]] = []
    paths = write_corpus(tmp_path / "corpus", 4, SEED, lambda done, total: calls.append((done, total)))
    assert [path.name for path in paths] == [f"doc-{index:05d}.pdf" for index in range(4)]
    assert calls == [(1, 4), (2, 4), (3, 4), (4, 4)]
    missing = paths[2].read_bytes()
    paths[2].unlink()
    (tmp_path / "corpus" / ".doc-00002.pdf.part").write_bytes(b"left by a killed run")
    for path in paths[:2] + paths[3:]:
        os.utime(path, ns=(1_000, 1_000))
    assert write_corpus(tmp_path / "corpus", 4, SEED) == paths
    assert [path.stat().st_mtime_ns for path in paths[:2] + paths[3:]] == [1_000] * 3
    assert paths[2].read_bytes() == missing
    assert sorted(path.name for path in (tmp_path / "corpus").iterdir()) == [path.name for path in paths]


@settings(max_examples=60, deadline=None)
@given(
    width=st.integers(16, 60),
    height=st.integers(16, 60),
    colour=st.sampled_from(["grey", "rgb", "cmyk", "indexed", "mono"]),
    bits=st.sampled_from([1, 2, 4, 8, 16]),
    encoding=st.sampled_from(["flate", "predictor", "lzw", "run_length", "ascii85", "none"]),
    content=st.sampled_from(CONTENTS),
)
def test_every_lossless_filter_decodes_to_the_same_samples(
    width: int, height: int, colour: str, bits: int, encoding: str, content: str
) -> None:
    if colour == "mono":
        bits = 1
    elif colour == "indexed":
        bits = min(bits, 8)
    image = ImageRecipe(width, height, colour, bits, encoding, content, "")
    plain = dataclasses.replace(image, encoding="none")
    pdf = pikepdf.new()
    decoded, expected = (add_image(pdf, one, np.random.default_rng(3)) for one in (image, plain))
    assert len(expected.read_raw_bytes()) == image.decoded_bytes
    if encoding != "run_length":
        assert decoded.read_bytes() == expected.read_raw_bytes()
    else:
        assert run_length_decoded(decoded.read_raw_bytes()) == expected.read_raw_bytes()


def run_length_decoded(data: bytes) -> bytes:
    """Decode as the PDF specification words it (section 7.4.5), one code at a time."""
    decoded, position = b"", 0
    while data[position] != 128:
        code = data[position]
        if code < 128:
            decoded += data[position + 1 : position + 2 + code]
            position += 2 + code
        else:
            decoded += data[position + 1 : position + 2] * (257 - code)
            position += 2
    assert position == len(data) - 1
    return decoded


@given(data=st.binary(max_size=200))
def test_ascii85_is_read_back_by_the_standard_library(data: bytes) -> None:
    text = ascii85(data)
    assert text.endswith(b"~>")
    assert a85decode(text[:-2]) == data


def test_image_budgets_hold() -> None:
    for seed in range(30):
        images = draw_images(np.random.default_rng(seed), 40, encoded_budget=300_000)
        assert sum(image.encoded_estimate for image in images) <= 300_000


def test_generated_fonts_draw_glyphs_and_have_the_size_asked_for() -> None:
    from io import BytesIO

    from PIL import ImageFont

    data = true_type_file(np.random.default_rng(0), 60_000)
    assert 55_000 < len(data) < 65_000
    # Random outlines hardly compress: the file weighs in memory and on disk.
    assert len(zlib.compress(data)) > len(data) / 4
    mask = ImageFont.truetype(BytesIO(data), 40).getmask("abc")
    assert mask.size[0] >= 40
    assert 0.2 < np.mean(np.array(mask) > 127) < 0.9


def test_rendered_pages_show_their_content(tmp_path: Path) -> None:
    pdfium = pytest.importorskip("pypdfium2")
    opened = drawn = 0
    for index in range(24):
        recipe = light(document_recipe(SEED, index))
        write_document(recipe, tmp_path / "page.pdf")
        try:
            document = pdfium.PdfDocument(tmp_path / "page.pdf")
        except pdfium.PdfiumError:
            assert recipe.damage or recipe.user_password, index
            continue
        opened += 1
        pixels = document[0].render(scale=30 / 72).to_numpy()
        drawn += bool(pixels.min() < 250)
        document.close()
    assert opened >= 22
    assert drawn >= 18
