"""Page content of the generated PDF corpus: text with its fonts, paths, shadings, patterns and groups.

Operators are formatted by one template per page, repeated and filled from one array: 200,000 path operators
take a fraction of a second.
"""

import struct
import zlib
from dataclasses import dataclass
from typing import Any

import numpy as np

from augury.pipelines.collection.pdf_images import ascii85

SHADINGS = ("axial", "radial", "mesh")
_WORDS = (
    "about account after again amount annual approval archive area audit balance because before between budget "
    "calendar change chapter city client column committee common company contract copy cost country customer daily "
    "data date decision delivery department design detail document during early effect engine estimate evidence "
    "example figure final first folder follow format future general group growth harbour history house important "
    "income index industry invoice island item journal kitchen language large law letter level light limit local "
    "machine manager market material measure meeting member memory method minute model month morning nature network "
    "never north notice number object office order organisation other page paper part payment people percent period "
    "person place plan point policy position power price process product program project proposal public quarter "
    "question quality rain rate reason record region report request research result review river road sample "
    "schedule school season second section service seven signature simple small society south standard state "
    "station street summary supply system table technical term test theory thousand time title total town transport "
    "travel under unit university value version village volume water week winter within without word work world "
    "write year yellow young zone"
).split()
_STANDARD_FONTS = (
    "Helvetica Helvetica-Bold Helvetica-Oblique Helvetica-BoldOblique Times-Roman Times-Bold Times-Italic "
    "Times-BoldItalic Courier Courier-Bold Courier-Oblique Courier-BoldOblique Symbol ZapfDingbats"
).split()


@dataclass(frozen=True)
class DrawingRecipe:
    """The drawn properties of everything on the pages that is not an image.

    Attributes:
        words: Words per page.
        standard_fonts: Fonts of the standard 14 that are used.
        font_files: Bytes of each embedded TrueType file before compression.
        type3_font: Whether a font of drawn glyph procedures is used as well.
        operators: Path operators of the whole document.
        concentrated: Whether all paths lie on the first page, instead of spread evenly.
        curves: Share of curves among the segments, 0 to 1.
        extent: Size of one path relative to the page edge.
        decimals: Decimals of the coordinates.
        dashed: Whether paths are stroked with dashes.
        clips: Nested clipping paths per page.
        shadings: Kinds of the shadings, drawn on the first pages.
        tilings: Tiling patterns painted on the first page.
        group_depth: Nested transparency groups over the whole page.
        group_pages: Leading pages that carry the groups.
        luminosity_mask: Whether the outermost group is drawn through a luminosity soft mask.
        blend_mode: Blend mode of the groups.
        transparent: Whether paths and images are painted with constant alpha and the blend mode.
        form_depth: Nested plain form XObjects around the paths.
        layers: Optional-content groups.
    """

    words: int
    standard_fonts: int
    font_files: tuple[int, ...]
    type3_font: bool
    operators: int
    concentrated: bool
    curves: float
    extent: float
    decimals: int
    dashed: bool
    clips: int
    shadings: tuple[str, ...]
    tilings: int
    group_depth: int
    group_pages: int
    luminosity_mask: bool
    blend_mode: str
    transparent: bool
    form_depth: int
    layers: int


def draw_drawing(rng: np.random.Generator, pages: int, largest_area: float) -> DrawingRecipe:
    """Draw the page content of one document.

    Args:
        rng: Source of the draws.
        pages: Pages of the document.
        largest_area: Area of the largest page in units of A4.

    Returns:
        The recipe; group depth shrinks with the page area, the words per page with the number of pages.
    """
    chance = rng.random(10)
    words = 0 if chance[0] < 0.15 else log_uniform(rng, 5, min(4000, 60_000 // pages))
    operators = 0 if chance[1] < 0.15 else log_uniform(rng, 4, 200_000)
    # Page-wide groups, nested ones, blend modes and clipping by page-wide polygons are rare in real documents
    depth = 0 if chance[2] < 0.85 else int(rng.choice([1, 2, 3, 4], p=[0.55, 0.25, 0.12, 0.08]))
    depth = min(depth, max(0, int(52 / max(largest_area, 1)) - 1))
    shadings = rng.choice(SHADINGS, size=int(rng.integers(1, 5)), p=[0.45, 0.4, 0.15])
    # Rendering time grows with the painted area of all paths, and with a blend mode once more per path.
    widest = min(0.4, 250 / max(operators, 1) ** 0.8)
    transparent = bool(rng.random() < 0.12)
    blended = rng.random() < 0.25 and not (transparent and operators > 1500)
    blend_modes = ["Multiply", "Screen", "Luminosity"] if blended else ["Normal"]
    font_files = [log_uniform(rng, 6_000, 1_800_000) for _ in range(int(rng.integers(1, 5)))]
    return DrawingRecipe(
        words=words,
        standard_fonts=int(rng.integers(1, 8)),
        font_files=tuple(font_files) if chance[3] < 0.35 else (),
        type3_font=bool(chance[4] < 0.12),
        operators=operators,
        concentrated=bool(chance[5] < 0.4),
        curves=float(rng.choice([0.0, 0.2, 0.7])),
        extent=float(np.exp(rng.uniform(np.log(0.003), np.log(widest)))),
        decimals=int(rng.integers(0, 4)),
        dashed=bool(chance[6] < 0.15),
        clips=int(rng.integers(1, 6)) if chance[7] < 0.06 else 0,
        shadings=tuple(str(kind) for kind in shadings) if chance[8] < 0.22 else (),
        tilings=int(rng.integers(1, 4)) if chance[9] < 0.12 else 0,
        group_depth=depth,
        group_pages=min(pages, log_uniform(rng, 1, 12)) if depth else 0,
        luminosity_mask=bool(depth and rng.random() < 0.25),
        blend_mode=str(rng.choice(blend_modes)),
        transparent=transparent,
        form_depth=int(rng.integers(1, 5)) if rng.random() < 0.2 else 0,
        layers=log_uniform(rng, 1, 40) if rng.random() < 0.12 else 0,
    )


def log_uniform(rng: np.random.Generator, low: float, high: float) -> int:
    """Draw a whole number whose logarithm is uniform between `low` and `high`, both positive."""
    return int(np.exp(rng.uniform(np.log(low), np.log(max(low, high)))))


def path_operators(
    rng: np.random.Generator, operators: int, width: float, height: float, drawing: DrawingRecipe
) -> bytes:
    """Content-stream bytes of about `operators` path operators on a page of `width` x `height` points.

    Returns:
        Nothing for less than two operators; else repeated subpaths of up to 40 segments, each with its colour.
    """
    if operators < 2:
        return b""
    segments = min(int(rng.integers(1, 40)), max(1, operators - 3))
    curved = rng.random(segments) < drawing.curves
    points = 1 + int(np.where(curved, 3, 1).sum())
    paths = max(1, operators // (segments + 3))
    number = f"%.{drawing.decimals}f"
    pair = f"{number} {number} "
    paint = str(rng.choice(["S", "s", "f", "B", "f*"], p=[0.5, 0.15, 0.2, 0.1, 0.05]))
    body = "".join(f"{pair * 3}c\n" if curve else f"{pair}l\n" for curve in curved)
    template = f"%.2f %.2f %.2f RG %.2f 0.5 0.4 rg {pair}m\n{body}{paint}\n"
    edge = max(width, height)
    corner = rng.random((paths, 1, 2)) * [width, height]
    steps = rng.normal(scale=drawing.extent * edge / points**0.5, size=(paths, points, 2))
    places = np.clip(corner + np.cumsum(steps, axis=1), 0, [width, height])
    values = np.concatenate([rng.random((paths, 4)), places.reshape(paths, -1)], axis=1)
    dashes = "[6 3 1 3] 0 d " if drawing.dashed else ""
    line = f"{dashes}{float(rng.choice([0.1, 0.5, 1, 3])):g} w\n"
    return (line + (template * paths) % tuple(values.ravel().tolist())).encode()


def clipping(rng: np.random.Generator, clips: int, width: float, height: float) -> bytes:
    """Nested clipping paths that leave most of the page visible."""
    lines = []
    for _ in range(clips):
        left, bottom = rng.random(2) * 0.05 * [width, height]
        right, top = (1 - rng.random(2) * 0.05) * [width, height]
        lines.append(
            f"{left:.1f} {bottom:.1f} m {right:.1f} {bottom:.1f} l {right:.1f} {top * 0.9:.1f} "
            f"{right * 0.9:.1f} {top:.1f} {left:.1f} {top:.1f} c h W n\n"
        )
    return "".join(lines).encode()


def text_lines(
    rng: np.random.Generator,
    words: int,
    width: float,
    height: float,
    fonts: list[str],
    tagged: bool,
) -> bytes:
    """Content-stream bytes of one page of running text, shrunk until it fits the page.

    Args:
        rng: Source of the words.
        words: Number of words.
        width: Page width, points.
        height: Page height, points.
        fonts: Resource names; the font changes every twenty lines.
        tagged: Whether the text is marked content 0 of its page.
    """
    if not words:
        return b"/P <</MCID 0>> BDC EMC\n" if tagged else b""
    size = float(np.clip((0.8 * width * height / (words * 4.2)) ** 0.5, 1.5, 14))
    per_line = max(1, int(0.9 * width / (size * 3.6)))
    chosen = rng.choice(_WORDS, size=words).tolist()
    lines = [" ".join(chosen[start : start + per_line]) for start in range(0, words, per_line)]
    blocks = []
    first = int(rng.integers(len(fonts)))
    for number, start in enumerate(range(0, len(lines), 20)):
        name = fonts[(first + number) % len(fonts)]
        shown = "".join(f"({line}) Tj T*\n" for line in lines[start : start + 20])
        blocks.append(f"/{name} {size:.2f} Tf\n{shown}")
    text = f"BT 0 g {size * 1.2:.2f} TL {0.05 * width:.1f} {height - size * 2:.1f} Td\n{''.join(blocks)}ET\n"
    return (f"/P <</MCID 0>> BDC\n{text}EMC\n" if tagged else text).encode()


def add_fonts(pdf: Any, rng: np.random.Generator, drawing: DrawingRecipe) -> Any:
    """Add the fonts of a document; returns the /Font resource dictionary with F0, F1 and so on."""
    from pikepdf import Array, Dictionary, Name

    names = rng.permutation(_STANDARD_FONTS[:12])[: drawing.standard_fonts].tolist()
    if rng.random() < 0.1:
        names.append(_STANDARD_FONTS[12 + int(rng.integers(0, 2))])
    fonts = [Dictionary(Type=Name.Font, Subtype=Name.Type1, BaseFont=Name(f"/{name}")) for name in names]
    for number, target in enumerate(drawing.font_files):
        fonts.append(_true_type_font(pdf, rng, target, f"/ABCDEF+Generated{number}"))
    if drawing.type3_font:
        procedures = Dictionary()
        for code in range(97, 123):
            corner = rng.integers(0, 400, size=2)
            shape = f"500 0 0 0 500 700 d1 {corner[0]} {corner[1]} 200 300 re f"
            procedures[f"/g{code}"] = pdf.make_stream(shape.encode())
        differences = Array([97, *(Name(f"/g{code}") for code in range(97, 123))])
        fonts.append(
            Dictionary(
                Type=Name.Font,
                Subtype=Name.Type3,
                FontBBox=[0, 0, 500, 700],
                FontMatrix=[0.001, 0, 0, 0.001, 0, 0],
                CharProcs=procedures,
                Encoding=Dictionary(Type=Name.Encoding, Differences=differences),
                FirstChar=97,
                LastChar=122,
                Widths=[500] * 26,
                Resources=Dictionary(),
            )
        )
    return Dictionary({f"/F{number}": pdf.make_indirect(font) for number, font in enumerate(fonts)})


def _true_type_font(pdf: Any, rng: np.random.Generator, target: int, name: str) -> Any:
    import pikepdf
    from pikepdf import Dictionary, Name

    data = true_type_file(rng, target)
    stream = pikepdf.Stream(pdf, b"")
    stream.write(zlib.compress(data), filter=Name.FlateDecode)
    stream.Length1 = len(data)
    descriptor = Dictionary(
        Type=Name.FontDescriptor,
        FontName=Name(name),
        Flags=32,
        FontBBox=[0, -100, 600, 700],
        ItalicAngle=0,
        Ascent=700,
        Descent=-100,
        CapHeight=700,
        StemV=80,
        FontFile2=pdf.make_indirect(stream),
    )
    return Dictionary(
        Type=Name.Font,
        Subtype=Name.TrueType,
        BaseFont=Name(name),
        FirstChar=32,
        LastChar=126,
        Widths=[500] * 95,
        Encoding=Name.WinAnsiEncoding,
        FontDescriptor=pdf.make_indirect(descriptor),
    )


def true_type_file(rng: np.random.Generator, target: int) -> bytes:
    """Build a valid TrueType font of about `target` bytes whose glyphs are random polygons.

    Codes 32 to 126 map to the glyphs 1 to 95; all further glyphs only carry weight.
    """
    points = 24
    size = 14 + 5 * points + 2
    glyphs = int(np.clip((target - 1500) // (size + 8), 96, 60_000))
    angles = np.linspace(0, 2 * np.pi, points, endpoint=False)
    radius = rng.uniform(120, 260, size=(glyphs, points))
    spots = np.stack([250 + radius * np.cos(angles), 320 + radius * np.sin(angles)]).astype(np.int64)
    steps = np.diff(spots, axis=2, prepend=0)
    glyf = np.zeros((glyphs, size), dtype=np.uint8)
    glyf[:, :14] = np.frombuffer(struct.pack(">7h", 1, 0, 0, 520, 600, points - 1, 0), dtype=np.uint8)
    glyf[:, 14 : 14 + points] = 1
    # The byte order is set last: numpy's concatenate would return native order.
    deltas = np.concatenate([steps[0], steps[1]], axis=1).astype(">i2")
    glyf[:, 14 + points : 14 + 5 * points] = deltas.view(np.uint8)
    codes = bytes([0] * 32 + list(range(1, 96)) + [0] * 129)
    tables = {
        b"cmap": struct.pack(">HHHHIHHH", 0, 1, 1, 0, 12, 0, 262, 0) + codes,
        b"glyf": glyf.tobytes(),
        b"head": struct.pack(">IIIIHH", 0x10000, 0x10000, 0, 0x5F0F3CF5, 3, 1000)
        + struct.pack(">qqhhhhHHhhh", 0, 0, 0, 0, 520, 600, 0, 8, 2, 1, 0),
        b"hhea": struct.pack(">I3hH11hH", 0x10000, 700, -100, 0, 500, 0, 0, 520, 1, *[0] * 7, glyphs),
        b"hmtx": struct.pack(">Hh", 500, 0) * glyphs,
        b"loca": (np.arange(glyphs + 1, dtype=np.int64) * size).astype(">u4").tobytes(),
        b"maxp": struct.pack(">IH13H", 0x10000, glyphs, points, 1, 0, 0, 1, *[0] * 8),
    }
    directory = struct.pack(">IHHHH", 0x10000, len(tables), 64, 2, len(tables) * 16 - 64)
    offset = len(directory) + 16 * len(tables)
    body = b""
    for tag, table in tables.items():
        directory += tag + struct.pack(">III", 0, offset + len(body), len(table))
        body += table + bytes(-len(table) % 4)
    return directory + body


def add_shading(pdf: Any, rng: np.random.Generator, kind: str, width: float, height: float) -> Any:
    """Add one shading over a page; returns the shading dictionary or, for a mesh, its stream."""
    from pikepdf import Array, Dictionary, Name

    ends = [[round(float(value), 3) for value in rng.random(3)] for _ in range(2)]
    if kind == "mesh":
        triangles = log_uniform(rng, 4, 800)
        vertices = np.zeros((triangles * 3, 8), dtype=np.uint8)
        vertices[:, 1:] = rng.integers(0, 256, size=(triangles * 3, 7), dtype=np.uint8)
        stream = pdf.make_stream(vertices.tobytes())
        stream.ShadingType, stream.ColorSpace = 4, Name.DeviceRGB
        stream.BitsPerCoordinate, stream.BitsPerComponent, stream.BitsPerFlag = 16, 8, 8
        stream.Decode = Array([0, round(width, 2), 0, round(height, 2), 0, 1, 0, 1, 0, 1])
        return stream
    function = Dictionary(FunctionType=2, Domain=[0, 1], C0=ends[0], C1=ends[1], N=1)
    middle = [round(width / 2, 2), round(height / 2, 2)]
    axial = [0, 0, round(width, 2), round(height, 2)]
    coordinates = axial if kind == "axial" else [*middle, 0, *middle, round(min(width, height) / 2, 2)]
    return pdf.make_indirect(
        Dictionary(
            ShadingType=2 if kind == "axial" else 3,
            ColorSpace=Name.DeviceRGB,
            Coords=coordinates,
            Function=function,
            Extend=[True, True],
        )
    )


def add_tiling(pdf: Any, rng: np.random.Generator) -> Any:
    """Add one coloured tiling pattern of a few shapes; returns its stream."""
    from pikepdf import Array, Dictionary, Name

    step = int(rng.integers(12, 120))
    colours = rng.random(6)
    shapes = (
        "{:.2f} {:.2f} {:.2f} rg 0 0 {s} {h} re f {:.2f} {:.2f} {:.2f} RG 1 w 0 0 m {h} {s} {s} {h} {s} {s} c S"
    ).format(*colours, s=step, h=step // 2)
    stream = pdf.make_stream(shapes.encode())
    stream.Type, stream.PatternType, stream.PaintType, stream.TilingType = Name.Pattern, 1, 1, 1
    stream.BBox = Array([0, 0, step, step])
    stream.XStep, stream.YStep = step, step
    stream.Resources = Dictionary()
    return stream


def content_stream(pdf: Any, content: bytes, encoding: str) -> Any:
    """Add a content stream encoded as "flate", "ascii85" (over Flate) or "none"; returns the stream."""
    import pikepdf
    from pikepdf import Array, Name

    stream = pikepdf.Stream(pdf, content)
    if encoding == "flate":
        stream.write(zlib.compress(content), filter=Name.FlateDecode)
    elif encoding == "ascii85":
        stream.write(ascii85(zlib.compress(content)), filter=Array([Name.ASCII85Decode, Name.FlateDecode]))
    return pdf.make_indirect(stream)


def add_form(pdf: Any, content: Any, width: float, height: float, resources: Any, grouped: bool) -> Any:
    """Turn a content stream into a form XObject over a page, a transparency group if `grouped`."""
    from pikepdf import Array, Dictionary, Name

    stream = content
    stream.Type, stream.Subtype = Name.XObject, Name.Form
    stream.BBox = Array([0, 0, round(width, 2), round(height, 2)])
    stream.Resources = resources
    if grouped:
        stream.Group = Dictionary(Type=Name.Group, S=Name.Transparency, CS=Name.DeviceRGB, I=True)
    return stream
