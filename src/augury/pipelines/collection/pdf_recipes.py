"""The drawn properties of the generated PDF corpus.

The dimensions are drawn mostly on their own and log-uniformly, so that the features of a file are not collinear.
Area, paths and images are held in bounds together: rendering stays a matter of seconds for nearly every document.
"""

from dataclasses import dataclass

import numpy as np

from augury.pipelines.collection.pdf_drawing import DrawingRecipe, draw_drawing, log_uniform
from augury.pipelines.collection.pdf_images import ImageRecipe, draw_images

DAMAGES = ("truncated", "overwritten", "broken_xref", "empty", "header_garbage", "plain_text")
ENCRYPTIONS = ("", "rc4_128", "aes_128", "aes_256")
A4_AREA = 595.0 * 842.0
AREA_BUDGET = 60.0
"""Area in units of A4 that the first thirty pages of a document may have together."""

# Width and height in points, and how often a document has that size.
_PAGE_SIZES = {
    "a4": (595, 842, 0.28),
    "letter": (612, 792, 0.18),
    "legal": (612, 1008, 0.04),
    "a6": (298, 420, 0.05),
    "a5": (420, 595, 0.06),
    "a3": (842, 1191, 0.08),
    "a2": (1191, 1684, 0.05),
    "a1": (1684, 2384, 0.04),
    "a0": (2384, 3370, 0.04),
    "odd": (0, 0, 0.1),
    "tiny": (100, 100, 0.04),
    "strip": (0, 0, 0.04),
}


@dataclass(frozen=True)
class DocumentRecipe:
    """The drawn properties of one document.

    Attributes:
        seed: Seed of the corpus.
        index: Number of the document in the corpus.
        page_sizes: Width and height of each page, points.
        rotation: /Rotate of every second page, degrees; 0 for none.
        user_unit: /UserUnit of the pages; 1 for none.
        inherited: Whether the page tree carries /MediaBox and /Resources (only with one page size).
        cropped: Whether pages have a /CropBox smaller than the /MediaBox.
        images: The images.
        shared_images: Whether pages show the same images again, instead of each image once.
        inline_images: Inline images on the first page.
        drawing: Text, fonts, paths and transparency.
        content_encoding: Filter of the content streams: "flate", "none" or "ascii85".
        split_contents: Whether /Contents is an array of several streams.
        annotations: Annotations other than form fields.
        fields: AcroForm fields.
        javascript: Whether opening the document runs a script.
        attachments: Bytes of each embedded file.
        outlines: Outline entries.
        metadata: Bytes of the XMP packet, 0 for none.
        structure_elements: Elements of the structure tree, 0 for an untagged document.
        spare_objects: Private objects that no page uses.
        object_streams: Whether objects lie in object streams with a cross-reference stream.
        linearised: Whether the file is linearised.
        version: PDF version of the header.
        encryption: One of `ENCRYPTIONS`, "" for none.
        user_password: Whether opening asks for `USER_PASSWORD`.
        incremental_updates: Sections appended after the first %%EOF.
        damage: One of `DAMAGES`, "" for an intact file.
    """

    seed: int
    index: int
    page_sizes: tuple[tuple[int, int], ...]
    rotation: int
    user_unit: float
    inherited: bool
    cropped: bool
    images: tuple[ImageRecipe, ...]
    shared_images: bool
    inline_images: int
    drawing: DrawingRecipe
    content_encoding: str
    split_contents: bool
    annotations: int
    fields: int
    javascript: bool
    attachments: tuple[int, ...]
    outlines: int
    metadata: int
    structure_elements: int
    spare_objects: int
    object_streams: bool
    linearised: bool
    version: str
    encryption: str
    user_password: bool
    incremental_updates: int
    damage: str


def document_recipe(seed: int, index: int) -> DocumentRecipe:
    """Draw the properties of one document.

    Args:
        seed: Seed of the corpus, not negative.
        index: Number of the document, not negative.

    Returns:
        The recipe; the same one for the same arguments.
    """
    rng = np.random.default_rng([seed, index])
    page_sizes = _draw_page_sizes(rng)
    largest_area = max(width * height for width, height in page_sizes) / A4_AREA
    drawing = draw_drawing(rng, len(page_sizes), largest_area)
    image_count = 0 if rng.random() < 0.35 else log_uniform(rng, 1, 41)
    # Most documents get little room for images, some a lot: file sizes then spread over five decades.
    images = draw_images(rng, image_count, encoded_budget=log_uniform(rng, 2e4, 1.2e7))
    encryption = str(rng.choice(ENCRYPTIONS, p=[0.89, 0.03, 0.04, 0.04]))
    object_streams = bool(rng.random() < 0.5)
    minimum = {"rc4_128": 4, "aes_128": 6, "aes_256": 7}.get(encryption, 3)
    minimum = max(minimum, 5 if object_streams else 3)
    version = str(rng.choice([f"1.{minor}" for minor in range(minimum, 8)] + ["2.0"]))
    chance = rng.random(12)
    return DocumentRecipe(
        seed=seed,
        index=index,
        page_sizes=page_sizes,
        rotation=int(rng.choice([90, 180, 270])) if chance[0] < 0.12 else 0,
        user_unit=float(rng.choice([1.5, 2.0])) if chance[1] < 0.015 else 1.0,
        inherited=bool(chance[2] < 0.2 and len(set(page_sizes)) == 1),
        cropped=bool(chance[3] < 0.1),
        images=images,
        shared_images=bool(rng.random() < 0.3),
        inline_images=int(rng.integers(1, 20)) if chance[4] < 0.06 else 0,
        drawing=drawing,
        content_encoding=str(rng.choice(["flate", "none", "ascii85"], p=[0.82, 0.13, 0.05])),
        split_contents=bool(rng.random() < 0.15),
        annotations=log_uniform(rng, 1, 200) if chance[5] < 0.25 else 0,
        fields=log_uniform(rng, 1, 301) if chance[6] < 0.15 else 0,
        javascript=bool(chance[7] < 0.04),
        attachments=_draw_attachments(rng) if chance[8] < 0.07 else (),
        outlines=log_uniform(rng, 1, 300) if chance[9] < 0.2 else 0,
        metadata=log_uniform(rng, 400, 30_000) if chance[10] < 0.4 else 0,
        structure_elements=log_uniform(rng, 1, 1500) if chance[11] < 0.2 else 0,
        spare_objects=log_uniform(rng, 1, 3000) if rng.random() < 0.15 else 0,
        object_streams=object_streams,
        linearised=bool(rng.random() < 0.15),
        version=version,
        encryption=encryption,
        user_password=bool(encryption and rng.random() < 0.14),
        incremental_updates=log_uniform(rng, 1, 9) if rng.random() < 0.15 else 0,
        damage=str(rng.choice(DAMAGES)) if rng.random() < 0.03 else "",
    )


def _draw_page_sizes(rng: np.random.Generator) -> tuple[tuple[int, int], ...]:
    """Draw the pages: at least one, and no more of them than the area budget has room for."""
    pages = log_uniform(rng, 100, 201) if rng.random() < 0.025 else log_uniform(rng, 1, 61)
    mixed = rng.random() < 0.15
    size = _draw_page_size(rng)
    sizes = [_draw_page_size(rng) if mixed else size for _ in range(pages)]
    areas = np.cumsum([width * height / A4_AREA for width, height in sizes[:30]])
    room = int(np.searchsorted(areas, AREA_BUDGET, side="right"))
    return tuple(sizes if room >= min(pages, 30) else sizes[: max(1, room)])


def _draw_page_size(rng: np.random.Generator) -> tuple[int, int]:
    weights = np.array([share for _, _, share in _PAGE_SIZES.values()])
    family = str(rng.choice(list(_PAGE_SIZES), p=weights / weights.sum()))
    width, height, _ = _PAGE_SIZES[family]
    if family == "odd":
        width, height = (log_uniform(rng, 60, 1800) for _ in range(2))
    elif family == "strip":
        width, height = log_uniform(rng, 40, 500), log_uniform(rng, 3000, 14_000)
    return (height, width) if rng.random() < 0.2 else (width, height)


def _draw_attachments(rng: np.random.Generator) -> tuple[int, ...]:
    return tuple(log_uniform(rng, 100, 700_000) for _ in range(int(rng.integers(1, 4))))
