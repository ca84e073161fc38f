"""Image streams of the generated PDF corpus: every common filter, colour space and bit depth.

Content and encoding are drawn apart from the pixel count, so that the compressed size of an image says
little about its decoded size: flat, smooth, text-like, grainy and noisy pictures differ by a factor of 300.
"""

import io
import zlib
from dataclasses import dataclass
from typing import Any

import numpy as np

LARGEST_EDGE = 6000
LARGEST_DECODED = 52_000_000
"""Bytes of the largest decoded image of the corpus."""

LOSSLESS = ("flate", "predictor", "lzw", "run_length", "ascii85", "none")
FILTERS = (*LOSSLESS, "dct", "jpx", "ccitt")
COLOURS = ("grey", "rgb", "cmyk", "indexed", "mono", "stencil")
CONTENTS = ("flat", "smooth", "text", "grain", "noise")

_SAMPLES = {"grey": 1, "rgb": 3, "cmyk": 4, "indexed": 1, "mono": 1, "stencil": 1}
# Encoded bytes per decoded byte, measured on 1 megapixel; used to hold the file sizes down only.
_LOSSLESS_RATIO = {"flat": 0.004, "smooth": 0.12, "text": 0.12, "grain": 0.65, "noise": 1.0}
_LOSSY_RATIO = {"flat": 0.01, "smooth": 0.03, "text": 0.3, "grain": 0.1, "noise": 0.5}


@dataclass(frozen=True)
class ImageRecipe:
    """The drawn properties of one image.

    Attributes:
        width: Pixels per row.
        height: Rows.
        colour: One of `COLOURS`.
        bits: Bits per component: 1, 2, 4, 8 or 16.
        encoding: One of `FILTERS`.
        content: One of `CONTENTS`.
        mask: "" for none, "soft" for a soft mask, "key" for a colour key.
    """

    width: int
    height: int
    colour: str
    bits: int
    encoding: str
    content: str
    mask: str

    @property
    def decoded_bytes(self) -> int:
        """Bytes of the decoded samples, soft mask included."""
        row = (self.width * _SAMPLES[self.colour] * self.bits + 7) // 8
        return row * self.height + (self.width * self.height if self.mask == "soft" else 0)

    @property
    def encoded_estimate(self) -> float:
        """Rough number of bytes in the file."""
        if self.encoding in ("dct", "jpx"):
            return self.decoded_bytes * _LOSSY_RATIO[self.content]
        ratio = 1.0 if self.encoding == "none" else _LOSSLESS_RATIO[self.content]
        if self.encoding in ("run_length", "ccitt", "lzw") and self.content in (
            "grain",
            "noise",
            "smooth",
        ):
            ratio = 1.3 if self.encoding == "lzw" else 2.0
        if self.encoding == "run_length" and _SAMPLES[self.colour] > 1 and self.content != "text":
            ratio = 2.0
        return self.decoded_bytes * ratio * (1.25 if self.encoding == "ascii85" else 1.0)


def draw_images(rng: np.random.Generator, count: int, encoded_budget: float) -> tuple[ImageRecipe, ...]:
    """Draw the images of one document.

    Args:
        rng: Source of the draws.
        count: Number of images wanted.
        encoded_budget: Estimated bytes in the file that all images together may take; images beyond are left out.

    Returns:
        At most `count` recipes. Their edges share one scale, log-uniform per document.
    """
    scale = np.exp(rng.uniform(np.log(24), np.log(LARGEST_EDGE)))
    lead_colour = rng.choice(COLOURS, p=[0.22, 0.4, 0.1, 0.12, 0.1, 0.06])
    decoded_budget = 1.6 * LARGEST_DECODED
    images = []
    for _ in range(count):
        colour = lead_colour if rng.random() < 0.6 else rng.choice(COLOURS)
        image = _draw_image(rng, scale * rng.uniform(0.25, 1.0), str(colour))
        if image.encoded_estimate > encoded_budget or image.decoded_bytes > decoded_budget:
            continue
        encoded_budget -= image.encoded_estimate
        decoded_budget -= image.decoded_bytes
        images.append(image)
    return tuple(images)


def _draw_image(rng: np.random.Generator, edge: float, colour: str) -> ImageRecipe:
    aspect = float(np.exp(rng.normal(0, 0.5)))
    width = int(np.clip(edge * aspect**0.5, 16, LARGEST_EDGE))
    height = int(np.clip(edge / aspect**0.5, 16, LARGEST_EDGE))
    content = str(rng.choice(CONTENTS, p=[0.1, 0.35, 0.25, 0.2, 0.1]))
    lossless = str(rng.choice(LOSSLESS, p=[0.34, 0.26, 0.13, 0.09, 0.09, 0.09]))
    bits = 8
    encoding = lossless
    if colour in ("mono", "stencil"):
        bits = 1
        encoding = "ccitt" if rng.random() < 0.5 else lossless
    elif colour == "indexed":
        bits = int(rng.choice([1, 2, 4, 8]))
    elif rng.random() < 0.45:
        encoding = "dct"
    elif colour != "cmyk" and width * height < 3_000_000 and rng.random() < 0.2:
        encoding = "jpx"
    else:
        bits = int(rng.choice([1, 2, 4, 8, 16], p=[0.05, 0.05, 0.08, 0.72, 0.1]))
    mask = ""
    if colour in ("grey", "rgb", "cmyk"):
        mask = str(rng.choice(["", "soft", "key"], p=[0.78, 0.18, 0.04]))
    image = ImageRecipe(width, height, colour, bits, encoding, content, mask)
    excess = image.decoded_bytes / LARGEST_DECODED
    if excess > 1:
        return ImageRecipe(
            int(width / excess**0.5),
            int(height / excess**0.5),
            colour,
            bits,
            encoding,
            content,
            mask,
        )
    return image


def add_image(pdf: Any, image: ImageRecipe, rng: np.random.Generator) -> Any:
    """Encode one image and add it to a document.

    Args:
        pdf: An open `pikepdf.Pdf`.
        image: What to write.
        rng: Source of the pixel values.

    Returns:
        The indirect image XObject.
    """
    import pikepdf

    pixels = _pixels(rng, image.width, image.height, _SAMPLES[image.colour], image.content)
    data, filters, parameters = _encode(image, pixels)
    stream = pikepdf.Stream(pdf, b"")
    stream.write(data, filter=filters, decode_parms=parameters)
    stream.Type = pikepdf.Name.XObject
    stream.Subtype = pikepdf.Name.Image
    stream.Width, stream.Height = image.width, image.height
    stream.BitsPerComponent = image.bits
    if image.colour == "stencil":
        stream.ImageMask = True
    elif image.colour == "indexed":
        palette = rng.integers(0, 256, size=(1 << image.bits) * 3, dtype=np.uint8).tobytes()
        stream.ColorSpace = pikepdf.Array(
            [
                pikepdf.Name.Indexed,
                pikepdf.Name.DeviceRGB,
                (1 << image.bits) - 1,
                pikepdf.String(palette),
            ]
        )
    else:
        names = {"rgb": "/DeviceRGB", "cmyk": "/DeviceCMYK"}
        stream.ColorSpace = pikepdf.Name(names.get(image.colour, "/DeviceGray"))
    if image.mask == "soft":
        mask = ImageRecipe(image.width, image.height, "grey", 8, "flate", "smooth", "")
        stream.SMask = add_image(pdf, mask, rng)
    elif image.mask == "key" and image.encoding not in ("dct", "jpx"):
        stream.Mask = pikepdf.Array([0, 1] * _SAMPLES[image.colour])
    return pdf.make_indirect(stream)


def inline_image(rng: np.random.Generator, edge: int, x: float, y: float, size: float) -> bytes:
    """Content-stream bytes of one small grey inline image.

    Args:
        rng: Source of the pixel values.
        edge: Pixels per side.
        x: Left edge on the page, points.
        y: Lower edge on the page, points.
        size: Side on the page, points.
    """
    pixels = rng.integers(0, 256, size=edge * edge, dtype=np.uint8).tobytes().hex().encode()
    head = f"q {size:.1f} 0 0 {size:.1f} {x:.1f} {y:.1f} cm BI /W {edge} /H {edge} /CS /G /BPC 8 /F /AHx ID "
    return head.encode() + pixels + b"> EI Q\n"


def _pixels(rng: np.random.Generator, width: int, height: int, samples: int, content: str) -> np.ndarray:
    """Draw 8-bit samples of shape (height, width, samples)."""
    shape = (height, width, samples)
    if content == "flat":
        return np.broadcast_to(rng.integers(40, 256, size=samples, dtype=np.uint8), shape)
    if content == "noise":
        return np.frombuffer(rng.bytes(height * width * samples), dtype=np.uint8).reshape(shape)
    if content == "text":
        return _text_like(rng, width, height, samples)
    pixels = np.empty(shape, dtype=np.uint8)
    for channel in range(samples):
        waves = rng.uniform(0.5, 4.0, size=2)
        across = 60 * (1 + np.sin(np.linspace(0, 2 * np.pi * waves[0], width)))
        down = 60 * (1 + np.cos(np.linspace(0, 2 * np.pi * waves[1], height)))
        np.add(
            down.astype(np.uint8)[:, None],
            across.astype(np.uint8)[None, :],
            out=pixels[:, :, channel],
        )
    if content == "grain":
        pixels += np.frombuffer(rng.bytes(pixels.size), dtype=np.uint8).reshape(shape) & 15
    return pixels


def _text_like(rng: np.random.Generator, width: int, height: int, samples: int) -> np.ndarray:
    """Black glyph-like blocks in lines with gaps between words, on white."""
    tile_rows, tile_columns = min(height, 384), min(width, 1536)
    ink = rng.random((tile_rows // 2 + 1, tile_columns // 2 + 1)) < 0.55
    ink[np.arange(ink.shape[0]) % 8 >= 5] = False
    ink[:, np.arange(ink.shape[1]) % 4 == 3] = False
    words = rng.random((ink.shape[0] // 8 + 1, ink.shape[1] // 4 + 1)) < 0.82
    ink &= np.repeat(np.repeat(words, 8, axis=0), 4, axis=1)[: ink.shape[0], : ink.shape[1]]
    tile = np.where(np.repeat(np.repeat(ink, 2, axis=0), 2, axis=1), 0, 255).astype(np.uint8)
    repeats = (height // tile.shape[0] + 1, width // tile.shape[1] + 1)
    page = np.tile(tile, repeats)[:height, :width, None]
    return np.ascontiguousarray(np.broadcast_to(page, (height, width, samples)))


def _encode(image: ImageRecipe, pixels: np.ndarray) -> tuple[bytes, Any, Any]:
    """Encode samples: the stream bytes, the /Filter and the /DecodeParms."""
    from pikepdf import Array, Dictionary, Name

    if image.encoding in ("dct", "jpx"):
        return (
            _encode_with_pillow(image, pixels),
            Name.DCTDecode if image.encoding == "dct" else Name.JPXDecode,
            None,
        )
    samples = _SAMPLES[image.colour]
    packed = _pack(pixels.reshape(image.height, image.width * samples), image.bits)
    if image.encoding == "ccitt":
        parameters = Dictionary(K=-1, Columns=image.width, Rows=image.height, BlackIs1=True)
        return _group4(packed, image.width), Name.CCITTFaxDecode, parameters
    level = 6 if packed.size < 2_000_000 else 1
    if image.encoding == "predictor":
        parameters = Dictionary(Predictor=15, Colors=samples, BitsPerComponent=image.bits, Columns=image.width)
        return zlib.compress(_predict_up(packed), level), Name.FlateDecode, parameters
    if image.encoding == "flate":
        return zlib.compress(packed.tobytes(), level), Name.FlateDecode, None
    if image.encoding == "lzw":
        return _lzw(packed), Name.LZWDecode, None
    if image.encoding == "run_length":
        return _run_length(packed.ravel()), Name.RunLengthDecode, None
    if image.encoding == "ascii85":
        text = ascii85(zlib.compress(packed.tobytes(), level))
        return text, Array([Name.ASCII85Decode, Name.FlateDecode]), None
    return packed.tobytes(), None, None


def _pack(rows: np.ndarray, bits: int) -> np.ndarray:
    """Pack 8-bit samples of shape (rows, samples) to `bits` per sample, rows padded to whole bytes."""
    if bits == 8:
        return rows
    if bits == 16:
        # The low byte repeats the high one, so that 16 bits stay as compressible as 8.
        return np.repeat(rows, 2, axis=1)
    if bits == 1:
        return np.packbits(rows > 127, axis=1)
    per_byte = 8 // bits
    padding = -rows.shape[1] % per_byte
    values = np.pad(rows >> (8 - bits), ((0, 0), (0, padding))).reshape(rows.shape[0], -1, per_byte)
    shifts = np.arange(8 - bits, -1, -bits, dtype=np.uint8)
    return np.bitwise_or.reduce(values << shifts, axis=2).astype(np.uint8)


def _predict_up(packed: np.ndarray) -> bytes:
    """PNG "Up" prediction: each row preceded by its tag, as the difference to the row above."""
    predicted = np.empty((packed.shape[0], packed.shape[1] + 1), dtype=np.uint8)
    predicted[:, 0] = 2
    predicted[0, 1:] = packed[0]
    np.subtract(packed[1:], packed[:-1], out=predicted[1:, 1:])
    return predicted.tobytes()


def _run_length(data: np.ndarray) -> bytes:
    """Run-length encode bytes as runs of at most 128, vectorised (no literal sections)."""
    starts = np.flatnonzero(np.concatenate(([True], data[1:] != data[:-1])))
    lengths = np.diff(np.append(starts, data.size))
    pieces = (lengths + 127) // 128
    values = np.repeat(data[starts], pieces)
    sizes = np.full(values.size, 128, dtype=np.int64)
    last = np.cumsum(pieces) - 1
    sizes[last] = lengths - 128 * (pieces - 1)
    codes = np.where(sizes == 1, 0, 257 - sizes).astype(np.uint8)
    return np.stack([codes, values], axis=1).tobytes() + b"\x80"


def ascii85(data: bytes) -> bytes:
    """ASCII85-encode bytes with the end marker, vectorised; zero groups stay five letters."""
    padding = -len(data) % 4
    groups = np.frombuffer(data + bytes(padding), dtype=">u4").astype(np.uint32)
    digits = groups[:, None] // np.array([52_200_625, 614_125, 7_225, 85, 1], dtype=np.uint32) % 85
    text = (digits + 33).astype(np.uint8).tobytes()
    return (text[: len(text) - padding] if padding else text) + b"~>"


def _encode_with_pillow(image: ImageRecipe, pixels: np.ndarray) -> bytes:
    from PIL import Image

    modes = {"grey": "L", "rgb": "RGB", "cmyk": "CMYK"}
    samples = np.ascontiguousarray(pixels[:, :, 0] if image.colour == "grey" else pixels)
    picture = Image.frombytes(modes[image.colour], (image.width, image.height), samples.tobytes())
    buffer = io.BytesIO()
    if image.encoding == "dct":
        picture.save(buffer, "JPEG", quality=35 + (image.width * 7 + image.height) % 60)
    else:
        picture.save(buffer, "JPEG2000", quality_mode="rates", quality_layers=[20])
    return buffer.getvalue()


def _tiff_strip(picture: Any, compression: str) -> bytes:
    """The bytes of the one strip of a TIFF that Pillow writes."""
    from PIL import Image

    buffer = io.BytesIO()
    picture.save(buffer, "TIFF", compression=compression, tiffinfo={278: picture.height}, strip_size=1 << 30)
    tiff = Image.open(buffer)
    tags: Any = tiff.tag_v2  # type: ignore[attr-defined]
    offsets, counts = tags[273], tags[279]
    if len(offsets) != 1:
        raise AssertionError(f"Pillow wrote {len(offsets)} strips, one was expected")
    return buffer.getvalue()[offsets[0] : offsets[0] + counts[0]]


def _group4(packed: np.ndarray, width: int) -> bytes:
    from PIL import Image

    picture = Image.frombytes("1", (width, packed.shape[0]), packed.tobytes())
    return _tiff_strip(picture, "group4")


def _lzw(packed: np.ndarray) -> bytes:
    from PIL import Image

    # The strip of a grey picture is the plain code sequence: what the bytes mean does not matter to it.
    picture = Image.frombytes("L", (packed.shape[1], packed.shape[0]), np.ascontiguousarray(packed).tobytes())
    return _tiff_strip(picture, "tiff_lzw")
