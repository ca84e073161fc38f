"""Deterministic generator of PDF files whose processing needs very different amounts of memory.

A document is drawn in two steps: `document_recipe` draws its properties, `write_document` its pixels, paths and
words. Both depend on the seed and the index only, so the properties of a file are never stored beside it.
"""

import os
import struct
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any, Literal

import numpy as np

from augury.pipelines.collection.pdf_drawing import log_uniform
from augury.pipelines.collection.pdf_pages import add_extras, add_pages
from augury.pipelines.collection.pdf_recipes import DocumentRecipe, document_recipe

__all__ = ["OWNER_PASSWORD", "USER_PASSWORD", "DocumentRecipe", "document_recipe", "write_corpus", "write_document"]

USER_PASSWORD = "augury"
"""Opens the documents whose recipe says `user_password`."""

OWNER_PASSWORD = "augury-owner"
_REVISIONS: dict[str, Literal[3, 4, 6]] = {"rc4_128": 3, "aes_128": 4, "aes_256": 6}


def write_document(recipe: DocumentRecipe, path: Path) -> None:
    """Write one document.

    A killed run leaves the old file or the new one: the bytes go to a sibling that then takes the name.

    Args:
        recipe: What to write. The bytes of an unencrypted document depend on it (and on the library versions) only.
        path: The file; it is replaced if it exists. Its folder must exist.

    Raises:
        OSError: The folder is missing or not writable.
    """
    rng = np.random.default_rng([recipe.seed, recipe.index, 1])
    if recipe.damage == "empty":
        data = b""
    elif recipe.damage == "plain_text":
        data = b"This is a plain text file.\n" * log_uniform(rng, 10, 5000)
    else:
        data = _damaged(recipe, _append_updates(recipe, _document_bytes(recipe, rng)), rng)
    temporary = path.with_name(f".{path.name}.part")
    temporary.write_bytes(data)
    os.replace(temporary, path)


def write_corpus(
    folder: Path, documents: int, seed: int, progress: Callable[[int, int], None] | None = None
) -> list[Path]:
    """Write the first documents of a corpus, leaving files alone that exist already.

    Args:
        folder: Where to write; created if missing.
        documents: Number of documents.
        seed: Seed of the corpus.
        progress: Called with the number of finished documents and their total after each document.

    Returns:
        The paths in the order of the index: doc-00000.pdf, doc-00001.pdf and so on.
    """
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"doc-{index:05d}.pdf" for index in range(documents)]
    for index, path in enumerate(paths):
        if not path.exists():
            write_document(document_recipe(seed, index), path)
        if progress is not None:
            progress(index + 1, documents)
    return paths


def _document_bytes(recipe: DocumentRecipe, rng: np.random.Generator) -> bytes:
    """Build the intact document without incremental updates."""
    import pikepdf

    with pikepdf.new() as pdf:
        add_pages(pdf, recipe, rng)
        add_extras(pdf, recipe, rng)
        # qpdf would turn plain, LZW and ASCII85 streams into Flate; documents with such streams stay as built.
        kept = {"lzw", "ascii85", "none"}
        compress = recipe.content_encoding == "flate" and not kept & {image.encoding for image in recipe.images}
        options: dict[str, Any] = {
            "object_stream_mode": pikepdf.ObjectStreamMode.generate
            if recipe.object_streams
            else pikepdf.ObjectStreamMode.disable,
            "fix_metadata_version": False,
            "compress_streams": compress,
            "linearize": recipe.linearised,
            "min_version": recipe.version,
        }
        if recipe.encryption:
            revision = _REVISIONS[recipe.encryption]
            options["encryption"] = pikepdf.Encryption(
                owner=OWNER_PASSWORD,
                user=USER_PASSWORD if recipe.user_password else "",
                R=revision,
                aes=revision > 3,
                metadata=revision > 3,
            )
        else:
            options["deterministic_id"] = True
            options["stream_decode_level"] = pikepdf.StreamDecodeLevel.none
        buffer = BytesIO()
        pdf.save(buffer, **options)
    return buffer.getvalue()


def _append_updates(recipe: DocumentRecipe, data: bytes) -> bytes:
    """Append sections that each replace the information dictionary, in the file's kind of cross-reference."""
    if not recipe.incremental_updates:
        return data
    import pikepdf

    password = USER_PASSWORD if recipe.user_password else ""
    with pikepdf.open(BytesIO(data), password=password) as pdf:
        size = int(pdf.trailer.Size)
        trailer = f"/Root {pdf.Root.objgen[0]} 0 R "
        if recipe.encryption:
            trailer += f"/Encrypt {pdf.trailer.Encrypt.objgen[0]} 0 R "
        halves = [bytes(half).hex() for half in pdf.trailer.ID.as_list()]
        trailer += f"/ID [<{halves[0]}> <{halves[1]}>]"
    for update in range(recipe.incremental_updates):
        previous = int(data.rsplit(b"startxref", 1)[1].split()[0])
        if not data.endswith(b"\n"):
            data += b"\n"
        # Names and numbers need no encryption, strings would.
        info = f"{size} 0 obj\n<< /Trapped /False /Update {update} >>\nendobj\n".encode()
        offset, position = len(data), len(data) + len(info)
        keys = f"/Info {size} 0 R /Prev {previous} {trailer}"
        if recipe.object_streams:
            entries = struct.pack(">BIHBIH", 1, offset, 0, 1, position, 0)
            section = (
                f"{size + 1} 0 obj\n<< /Type /XRef /Size {size + 2} /Index [{size} 2] /W [1 4 2] "
                f"/Length {len(entries)} {keys} >>\nstream\n"
            ).encode() + (entries + b"\nendstream\nendobj\n")
            size += 2
        else:
            section = (f"xref\n{size} 1\n{offset:010d} 00000 n \ntrailer\n<< /Size {size + 1} {keys} >>\n").encode()
            size += 1
        data += info + section + f"startxref\n{position}\n%%EOF\n".encode()
    return data


def _damaged(recipe: DocumentRecipe, data: bytes, rng: np.random.Generator) -> bytes:
    if recipe.damage == "truncated":
        return data[: int(len(data) * rng.uniform(0.2, 0.98))]
    if recipe.damage == "overwritten":
        start = int(len(data) * rng.uniform(0.1, 0.8))
        length = log_uniform(rng, 10, len(data) * 0.2)
        return data[:start] + rng.bytes(length) + data[start + length :]
    if recipe.damage == "broken_xref":
        head, tail = data.rsplit(b"startxref", 1)
        return head + b"startxref\n" + str(int(tail.split()[0]) + 13).encode() + b"\n%%EOF\n"
    if recipe.damage == "header_garbage":
        return rng.bytes(log_uniform(rng, 10, 3000)) + data
    return data
