"""What a PDF is made of, read from its objects alone: no stream is decoded, no page is laid out.

The same scan feeds collection (the raw table that models are trained on) and serving (``augury predict pdf_memory
FILE``). Median cost is well under a millisecond a file (see ``docs/benchmarks.md``), which is what makes it usable in a
request path.
"""

import math
import mmap
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pandas as pd

from augury.errors import UserError
from augury.predictors.pdf_page_scan import is_array, scan_pages
from augury.predictors.pdf_resources import amount, number

MAX_OBJECTS = 20_000
"""Objects looked at per file; counts and sums of larger files are extrapolated from these."""

MAX_PAGES = 300
"""Pages measured per file unless a job processes fewer; further pages only count."""

STRUCTURE: dict[str, str] = {
    "file_bytes": "size of the file (bytes)",
    "parse_failed": "1 if the file could not be parsed (damaged, empty, password needed), else 0",
    "repaired": "1 if the parser had to repair something, else 0",
    "pdf_version": "version in the header, for example 1.7",
    "pages": "number of pages",
    "page_area_max": "largest page, crop box (square points)",
    "page_area_mean": "mean page (square points)",
    "page_area_pair_max": "largest two neighbouring pages together, or the only page (square points)",
    "page_edge_max": "longest page edge (points)",
    "user_unit_max": "largest UserUnit of a page; pdfium ignores it, other engines scale by it",
    "page_image_pixels_max": "pixels of all images of a page, for the page with most",
    "page_content_bytes_max": "largest page content, as stored (bytes)",
    "objects": "indirect objects",
    "streams": "streams",
    "stream_bytes_sum": "all streams, as stored (bytes)",
    "stream_bytes_max": "largest stream, as stored (bytes)",
    "images": "image XObjects",
    "image_pixels_sum": "pixels of all images",
    "image_pixels_max": "pixels of the largest image",
    "image_decoded_bytes_sum": "all images, decoded: width x height x bits x components / 8 (bytes)",
    "image_decoded_bytes_max": "largest image, decoded (bytes)",
    "image_stored_bytes_sum": "all images, as stored (bytes)",
    "images_dct": "images with a DCT (JPEG) filter",
    "images_jpx": "images with a JPX (JPEG 2000) filter",
    "images_fax": "images with a CCITT or JBIG2 filter",
    "images_flate": "images with a Flate or LZW filter",
    "jpx_pixels_max": "pixels of the largest JPX image",
    "images_cmyk": "images with four colour components",
    "images_deep": "images with more than 8 bits per component",
    "soft_masks": "images with a soft mask",
    "soft_mask_pixels_max": "pixels of the largest image with a soft mask",
    "fonts": "font dictionaries",
    "fonts_embedded": "embedded font programs",
    "font_bytes_sum": "embedded font programs, as stored (bytes)",
    "form_xobjects": "form XObjects",
    "transparency_groups": "form XObjects with a transparency group",
    "page_groups": "pages that are a transparency group themselves",
    "group_depth_max": "deepest nesting of transparency groups that draw something",
    "group_area_max": "largest sum of areas of nested transparency groups (square points)",
    "blend_states": "graphics states with a blend mode other than Normal",
    "mask_states": "graphics states with a soft mask",
    "alpha_states": "graphics states with constant transparency",
    "patterns": "tiling and shading patterns",
    "shadings": "shading dictionaries",
    "annotations": "annotations",
    "form_fields": "AcroForm fields",
    "xfa": "1 if the form is an XFA form, else 0",
    "javascript": "JavaScript actions",
    "attachments": "embedded files",
    "object_streams": "1 if objects are stored in object streams, else 0",
    "xref_stream": "1 if the cross-reference table is a stream, else 0",
    "incremental_update": "1 if a later revision was appended to the file, else 0",
    "linearized": "1 if linearised, else 0",
    "encryption": "revision of the standard security handler, 0 if not encrypted",
    "tagged": "1 if there is a structure tree, else 0",
    "outlines": "1 if there are bookmarks, else 0",
}
"""Column -> meaning, in the order of the raw table."""

_HEADER = re.compile(rb"%PDF-(\d\.\d)")


def scan_pdf(path: Path | str, max_pages: int = MAX_PAGES) -> dict[str, float]:
    """Describe a PDF file by the columns of :data:`STRUCTURE`.

    Never raises for what is inside the file: a damaged, empty or password-protected file yields its size, what its
    header says, ``parse_failed = 1`` and missing values (NaN) for the rest.

    Args:
        path: The file.
        max_pages: Pages that the job will process; the columns about pages describe these.

    Returns:
        One float per column of :data:`STRUCTURE`; NaN where the file does not tell.

    Raises:
        OSError: If the file does not exist or cannot be read.
        UserError: If pikepdf is not installed.
    """
    try:
        import pikepdf
    except ImportError as error:
        raise UserError("Reading PDF files needs the extra 'pdf': pip install 'augury[pdf]'.") from error

    path = Path(path)
    facts = dict.fromkeys(STRUCTURE, math.nan)
    facts["file_bytes"] = float(path.stat().st_size)
    facts["parse_failed"] = 1.0
    try:
        with pikepdf.open(path, inherit_page_attributes=False, suppress_warnings=True) as document:
            scanned = _scan(document, pikepdf, min(max_pages, MAX_PAGES))
    except Exception:
        # pikepdf raises many kinds (PdfError, PasswordError, ValueError, RuntimeError ...) on hostile files; each means
        # the same here: nothing more is known of this file.
        return facts | {"pdf_version": _header_version(path)}
    # Numbers of a hostile file can be so large that their products overflow
    known = {name: value for name, value in scanned.items() if math.isfinite(value)}
    return facts | known | {"parse_failed": 0.0}


def scan_pdfs(paths: Iterable[Path | str], max_pages: int = MAX_PAGES) -> pd.DataFrame:
    """Scan many files.

    Args:
        paths: The files.
        max_pages: See :func:`scan_pdf`.

    Returns:
        One row per file, columns ``path`` and :data:`STRUCTURE` (float64).
    """
    rows = [{"path": str(path), **scan_pdf(path, max_pages)} for path in paths]
    return pd.DataFrame(rows, columns=["path", *STRUCTURE])


def _header_version(path: Path) -> float:
    if not path.stat().st_size:
        return math.nan
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        found = _HEADER.search(content[:1024])
    return float(found[1]) if found else math.nan


def _scan(document: Any, pikepdf: Any, max_pages: int) -> dict[str, float]:
    root, trailer = document.Root, document.trailer
    objects = document.objects
    total = len(objects)
    facts = _scan_objects(objects, min(total, MAX_OBJECTS), pikepdf)
    if total > MAX_OBJECTS:
        for name in _EXTENSIVE:
            facts[name] *= total / MAX_OBJECTS
    facts |= scan_pages(document, max_pages)
    facts["pdf_version"] = number(document.pdf_version)
    facts["objects"] = float(total)
    facts["repaired"] = float(bool(document.get_warnings()))
    facts["linearized"] = float(document.is_linearized)
    facts["encryption"] = float(document.encryption.R) if document.is_encrypted else 0.0
    facts["xref_stream"] = float(str(trailer.get("/Type")) == "/XRef")
    facts["incremental_update"] = float("/Prev" in trailer and not document.is_linearized)
    facts["xfa"] = float("/AcroForm" in root and "/XFA" in root.get("/AcroForm"))
    facts["tagged"] = float("/StructTreeRoot" in root)
    facts["outlines"] = float("/Outlines" in root)
    return facts


_EXTENSIVE = (
    "streams stream_bytes_sum images image_pixels_sum image_decoded_bytes_sum image_stored_bytes_sum "
    "images_dct images_jpx images_fax images_flate images_cmyk images_deep soft_masks fonts "
    "fonts_embedded font_bytes_sum form_xobjects transparency_groups patterns shadings annotations "
    "form_fields javascript attachments"
).split()

_FILTER_COLUMN = {
    "/DCTDecode": "images_dct",
    "/JPXDecode": "images_jpx",
    "/CCITTFaxDecode": "images_fax",
    "/JBIG2Decode": "images_fax",
    "/FlateDecode": "images_flate",
    "/LZWDecode": "images_flate",
}

_COMPONENTS = {
    "/DeviceGray": 1, "/CalGray": 1, "/G": 1, "/Indexed": 1, "/Separation": 1, "/I": 1,
    "/DeviceRGB": 3, "/CalRGB": 3, "/Lab": 3, "/RGB": 3,
    "/DeviceCMYK": 4, "/CMYK": 4,
}  # fmt: skip

_UNTYPED_COLUMN = {
    "/PatternType": "patterns",
    "/ShadingType": "shadings",
    "/FT": "form_fields",
    "/JS": "javascript",
}

_DICTIONARY_COLUMN = {
    "/Font": "fonts",
    "/Pattern": "patterns",
    "/Annot": "annotations",
    "/Filespec": "attachments",
}


def _scan_objects(objects: Any, limit: int, pikepdf: Any) -> dict[str, float]:
    """Count what the indirect objects are; one pass, at most `limit` of them."""
    stream_type = pikepdf.ObjectType.stream
    dictionary_type = pikepdf.ObjectType.dictionary
    facts = dict.fromkeys(_EXTENSIVE, 0.0)
    largest = (
        "stream_bytes_max image_pixels_max image_decoded_bytes_max jpx_pixels_max soft_mask_pixels_max object_streams"
    )
    facts |= dict.fromkeys(largest.split(), 0.0)
    total = len(objects)
    # Evenly spaced: writers group objects by kind, so that the first ones would not do as a sample
    chosen = objects if limit == total else (objects[step * total // limit] for step in range(limit))
    for item in chosen:
        kind = getattr(item, "_type_code", None)  # numbers and texts come as plain Python values
        if kind is dictionary_type:
            _count_dictionary(item, facts)
        elif kind is stream_type:
            _count_stream(item, facts)
    return facts


def _count_stream(item: Any, facts: dict[str, float]) -> None:
    length = amount(item.get("/Length"))
    facts["streams"] += 1
    facts["stream_bytes_sum"] += length
    facts["stream_bytes_max"] = max(facts["stream_bytes_max"], length)
    subtype = item.get("/Subtype")
    name = "" if subtype is None else str(subtype)
    if name == "/Image":
        _count_image(item, length, facts)
    elif name == "/Form":
        facts["form_xobjects"] += 1
        facts["transparency_groups"] += "/Group" in item
    elif name in _FONT_PROGRAMS:
        _count_font_program(length, facts)
    elif not name:
        _count_plain_stream(item, length, facts)


def _count_font_program(length: float, facts: dict[str, float]) -> None:
    facts["fonts_embedded"] += 1
    facts["font_bytes_sum"] += length


def _count_plain_stream(item: Any, length: float, facts: dict[str, float]) -> None:
    keys = item.keys()  # one crossing into C++ instead of one per question
    if "/Length1" in keys:
        _count_font_program(length, facts)
    elif "/Type" in keys and str(item.get("/Type")) == "/ObjStm":
        facts["object_streams"] = 1.0
    elif "/PatternType" in keys:
        facts["patterns"] += 1
    elif "/ShadingType" in keys:
        facts["shadings"] += 1


_FONT_PROGRAMS = {"/Type1C", "/CIDFontType0C", "/OpenType"}


def _count_image(item: Any, length: float, facts: dict[str, float]) -> None:
    pixels = amount(item.get("/Width")) * amount(item.get("/Height"))
    filters = item.get("/Filter")
    if filters is None:
        last = ""
    else:
        # The last filter of a chain is the image codec; those before it (ASCII85 ...) are wrappers
        last = str(filters[len(filters) - 1]) if is_array(filters) and len(filters) else str(filters)
    facts["images"] += 1
    facts["image_pixels_sum"] += pixels
    facts["image_pixels_max"] = max(facts["image_pixels_max"], pixels)
    facts["image_stored_bytes_sum"] += length
    column = _FILTER_COLUMN.get(last)
    if column:
        facts[column] += 1
    if last == "/JPXDecode":
        facts["jpx_pixels_max"] = max(facts["jpx_pixels_max"], pixels)
    if "/SMask" in item:
        facts["soft_masks"] += 1
        facts["soft_mask_pixels_max"] = max(facts["soft_mask_pixels_max"], pixels)
    mask = "/ImageMask" in item and bool(item.get("/ImageMask"))
    bits = 1.0 if mask else (number(item.get("/BitsPerComponent")) or 8.0)
    components = 1 if mask else _components(item.get("/ColorSpace"))
    facts["images_cmyk"] += components == 4
    facts["images_deep"] += bits > 8
    decoded = pixels * bits * components / 8
    facts["image_decoded_bytes_sum"] += decoded
    facts["image_decoded_bytes_max"] = max(facts["image_decoded_bytes_max"], decoded)


def _components(space: Any) -> int:
    """Number of colour components of a colour space object; 3 where it cannot be told (JPX may carry its own)."""
    if space is None:
        return 3
    if not is_array(space):
        return _COMPONENTS.get(str(space), 3)
    if not len(space):
        return 3
    family = str(space[0])
    if family == "/ICCBased" and len(space) > 1:
        return int(amount(space[1].get("/N"))) or 3
    if family == "/DeviceN" and len(space) > 1 and is_array(space[1]):
        return len(space[1]) or 3
    return _COMPONENTS.get(family, 3)


def _count_dictionary(item: Any, facts: dict[str, float]) -> None:
    # Every look into an object crosses into C++, so most dictionaries are done with after one or two
    kind = item.get("/Type")
    if kind is None:
        for name in item.keys() & _UNTYPED_COLUMN.keys():
            facts[_UNTYPED_COLUMN[name]] += 1
        return
    name = str(kind)
    column = _DICTIONARY_COLUMN.get(name)
    if column:
        facts[column] += 1
    if name == "/Annot" and "/FT" in item:
        facts["form_fields"] += 1
    elif name == "/Action" and "/JS" in item:
        facts["javascript"] += 1
