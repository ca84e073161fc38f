"""What `pdf_memory` knows of its domain: the columns of a job, and the bytes that physics says a job must take."""

from collections.abc import Collection

from augury.predictors.contract import ColumnSpec
from augury.predictors.monomials import Monomial
from augury.predictors.pdf_structure import STRUCTURE

MIB = 2.0**20
POINTS_PER_INCH = 72.0

TARGET = "peak_mem_mb"
CATEGORY = "operation"
DEFAULT_OPERATION = "render"
NUMBERS = ("dpi", *STRUCTURE)

_PER_PIXEL = 4.0 / (POINTS_PER_INCH**2 * MIB)  # BGRx, what renderers allocate per pixel

DERIVED = (
    Monomial(
        name="raster_mb",
        factor=_PER_PIXEL,
        numerator=("page_area_max", "dpi", "dpi"),
        description="raster of the largest page",
    ),
    Monomial(
        name="raster_mean_mb",
        factor=_PER_PIXEL,
        numerator=("page_area_mean", "dpi", "dpi"),
        description="raster of a mean page",
    ),
    Monomial(
        name="raster_pair_mb",
        factor=_PER_PIXEL,
        numerator=("page_area_pair_max", "dpi", "dpi"),
        description="rasters of two neighbouring pages",
    ),
    Monomial(
        name="group_mb",
        factor=_PER_PIXEL,
        numerator=("group_area_max", "dpi", "dpi"),
        description="nested transparency groups, each a raster",
    ),
    Monomial(
        name="page_images_mb",
        factor=4.0 / MIB,
        numerator=("page_image_pixels_max",),
        description="images of a page at 4 bytes a pixel",
    ),
    Monomial(
        name="image_rgba_mb",
        factor=4.0 / MIB,
        numerator=("image_pixels_max",),
        description="largest image at 4 bytes a pixel",
    ),
    Monomial(
        name="image_decoded_mb",
        factor=1.0 / MIB,
        numerator=("image_decoded_bytes_max",),
        description="largest image, decoded",
    ),
    Monomial(
        name="images_decoded_mb",
        factor=1.0 / MIB,
        numerator=("image_decoded_bytes_sum",),
        description="all images, decoded",
    ),
    Monomial(
        name="jpx_mb",
        factor=4.0 / MIB,
        numerator=("jpx_pixels_max",),
        description="largest JPEG 2000 image at 4 bytes a pixel",
    ),
    Monomial(
        name="soft_mask_mb",
        factor=4.0 / MIB,
        numerator=("soft_mask_pixels_max",),
        description="largest image with a soft mask at 4 bytes a pixel",
    ),
    Monomial(
        name="stream_mb", factor=1.0 / MIB, numerator=("stream_bytes_max",), description="largest stream, as stored"
    ),
    Monomial(
        name="content_mb",
        factor=1.0 / MIB,
        numerator=("page_content_bytes_max",),
        description="largest page content, as stored",
    ),
    Monomial(name="font_mb", factor=1.0 / MIB, numerator=("font_bytes_sum",), description="embedded fonts"),
    Monomial(name="file_mb", factor=1.0 / MIB, numerator=("file_bytes",), description="the file"),
    Monomial(name="objects_mb", factor=100.0 / MIB, numerator=("objects",), description="objects at 100 bytes each"),
    Monomial(name="bytes_per_page", numerator=("file_bytes",), denominator=("pages",)),
    Monomial(name="images_per_page", numerator=("images",), denominator=("pages",)),
    Monomial(name="image_compression", numerator=("image_decoded_bytes_sum",), denominator=("image_stored_bytes_sum",)),
    Monomial(name="image_share", numerator=("image_stored_bytes_sum",), denominator=("file_bytes",)),
    Monomial(name="bytes_per_object", numerator=("file_bytes",), denominator=("objects",)),
)

PRIOR_TERMS = (
    "raster_mb",
    "raster_pair_mb",
    "group_mb",
    "image_rgba_mb",
    "page_images_mb",
    "image_decoded_mb",
    "jpx_mb",
    "soft_mask_mb",
    "stream_mb",
    "content_mb",
    "font_mb",
    "file_mb",
    "objects_mb",
)
"""Bytes that a job may have to hold at once, in MB; how many times over is fitted per operation (never negative)."""


def input_columns(present: Collection[str], operations: Collection[str]) -> tuple[ColumnSpec, ...]:
    """The input schema of a predictor trained on a table.

    Args:
        present: Columns that the training table had; only these can be required later.
        operations: Operations that the training table held.

    Returns:
        One specification per input column.
    """
    columns = [
        ColumnSpec(
            name=CATEGORY,
            dtype="string",
            description="what the job does with the file",
            allowed=tuple(sorted(operations)),
        ),
        ColumnSpec(
            name="dpi", dtype="number", unit="dots per inch", minimum=0, nullable=True, required="dpi" in present,
            description="resolution of a rendering; missing for other operations",
        ),
    ]  # fmt: skip
    for name, description in STRUCTURE.items():
        columns.append(
            ColumnSpec(
                name=name,
                dtype="number",
                description=description,
                minimum=0,
                nullable=name != "file_bytes",
                required=name in present,
            )
        )
    return tuple(columns)
