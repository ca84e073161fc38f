"""Assembly of the generated PDF documents: pages with their resources, and what lies beside the pages."""

import zlib
from itertools import pairwise
from typing import Any

import numpy as np

from augury.pipelines.collection.pdf_drawing import (
    add_fonts,
    add_form,
    add_shading,
    add_tiling,
    clipping,
    content_stream,
    path_operators,
    text_lines,
)
from augury.pipelines.collection.pdf_images import add_image, inline_image
from augury.pipelines.collection.pdf_recipes import DocumentRecipe

# Decoded bytes of all image placements of a document together: bounds the time that rendering takes.
_PLACED_BUDGET = 200_000_000
_XMP_HEAD = (
    b'<?xpacket begin="" id="W5M0MpCehiHzreSzNTczkc9d"?><x:xmpmeta xmlns:x="adobe:ns:meta/">'
    b'<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"/></x:xmpmeta>'
)


def add_pages(pdf: Any, recipe: DocumentRecipe, rng: np.random.Generator) -> None:
    """Add the pages of a recipe to an empty document.

    Args:
        pdf: An open `pikepdf.Pdf` without pages.
        recipe: What the pages hold.
        rng: Source of pixels, paths and words.
    """
    from pikepdf import Array, Dictionary, Name, Page

    drawing = recipe.drawing
    images = [add_image(pdf, image, rng) for image in recipe.images]
    states = _states(pdf, recipe)
    shared = Dictionary()
    if drawing.words or drawing.font_files:
        shared.Font = pdf.make_indirect(add_fonts(pdf, rng, drawing))
    if drawing.layers:
        shared.Properties = _layers(pdf, drawing.layers)
    placements = _placements(recipe, rng)
    for number, (width, height) in enumerate(recipe.page_sizes):
        parts, resources = _page_parts(pdf, recipe, rng, number, images, placements[number], shared, states)
        streams = [content_stream(pdf, part, recipe.content_encoding) for part in parts]
        page = Dictionary(
            Type=Name.Page,
            MediaBox=[0, 0, width, height],
            Resources=resources,
            Contents=Array(streams) if len(streams) > 1 else streams[0],
        )
        if recipe.cropped:
            page.CropBox = [round(side * share, 1) for share in (0.04, 0.93) for side in (width, height)]
        if recipe.rotation and number % 2 == 0:
            page.Rotate = recipe.rotation
        if recipe.user_unit != 1:
            page.UserUnit = recipe.user_unit
        if drawing.group_pages > number:
            page.Group = Dictionary(Type=Name.Group, S=Name.Transparency, CS=Name.DeviceRGB)
        pdf.pages.append(Page(pdf.make_indirect(page)))
    if recipe.inherited:
        tree = pdf.Root.Pages
        tree.MediaBox = Array([0, 0, *recipe.page_sizes[0]])
        tree.Resources = pdf.pages[0].obj.Resources
        for page in pdf.pages:
            del page.obj["/MediaBox"]
        if len(recipe.page_sizes) == 1:
            del pdf.pages[0].obj["/Resources"]


def _placements(recipe: DocumentRecipe, rng: np.random.Generator) -> list[list[int]]:
    """Choose the images of each page, until their decoded bytes are used up."""
    pages, count = len(recipe.page_sizes), len(recipe.images)
    placements: list[list[int]] = [[] for _ in range(pages)]
    room = _PLACED_BUDGET
    for step in range(pages if recipe.shared_images and count else count):
        page, image = (step, int(rng.integers(count))) if recipe.shared_images else (step % pages, step)
        room -= recipe.images[image].decoded_bytes
        if room < 0:
            break
        placements[page].append(image)
    return placements


def _page_parts(
    pdf: Any,
    recipe: DocumentRecipe,
    rng: np.random.Generator,
    number: int,
    images: list[Any],
    placed: list[int],
    shared: Any,
    states: Any,
) -> tuple[list[bytes], Any]:
    """The content streams and the resources of one page; a graphics state is named only where it is used."""
    from pikepdf import Dictionary

    drawing = recipe.drawing
    width, height = recipe.page_sizes[number]
    resources = Dictionary(shared)
    marks = [_place(rng, image, width, height) for image in placed]
    if number == 0:
        for _ in range(recipe.inline_images):
            edge = int(rng.integers(4, 64))
            left, bottom = (rng.random(2) * [width, height]).tolist()
            marks.append(inline_image(rng, edge, left, bottom, 40.0))
    pages = len(recipe.page_sizes)
    operators = drawing.operators // pages
    if drawing.concentrated:
        operators = drawing.operators if number == 0 else 0
    paths = path_operators(rng, operators, width, height, drawing)
    if drawing.layers and paths:
        paths = f"/OC /L{number % drawing.layers} BDC\n".encode() + paths + b"EMC\n"
    content = b"".join(marks) + paths
    if drawing.transparent:
        content = b"/GS0 gs\n" + content
        resources.ExtGState = Dictionary(GS0=states.GS0)
    if placed:
        resources.XObject = Dictionary({f"/I{image}": images[image] for image in placed})
    grouped = [False] * drawing.form_depth + [True] * (drawing.group_depth if number < drawing.group_pages else 0)
    if content:
        for group in grouped:
            stream = content_stream(pdf, content, recipe.content_encoding)
            form = add_form(pdf, stream, width, height, resources, group)
            resources = Dictionary(shared)
            resources.XObject = Dictionary({"/N": form})
            content = b"q /GS0 gs /N Do Q\n" if group else b"q /N Do Q\n"
            if group:
                resources.ExtGState = Dictionary(GS0=states.GS0)
        if drawing.luminosity_mask and any(grouped):
            content = b"/GS1 gs\n" + content
            resources.ExtGState.GS1 = states.GS1
    background = clipping(rng, drawing.clips, width, height)
    background += _painted(pdf, rng, recipe, number, resources)
    text = text_lines(
        rng,
        drawing.words,
        width,
        height,
        [str(key)[1:] for key in shared.get("/Font", {})],
        recipe.structure_elements > 0,
    )
    parts = [b"q\n" + background, b"q\n" + content + b"Q\n", text + b"Q\n"]
    return (parts if recipe.split_contents else [b"".join(parts)]), resources


def _place(rng: np.random.Generator, image: int, width: float, height: float) -> bytes:
    """Operators that show one image at a random place and size, one in ten turned."""
    across, down = np.exp(rng.uniform(np.log(0.08), 0, size=2)) * [width, height]
    left, bottom = rng.random(2) * [width - across, height - down]
    turn = rng.uniform(-0.5, 0.5) if rng.random() < 0.1 else 0.0
    cosine, sine = np.cos(turn), np.sin(turn)
    matrix = (across * cosine, across * sine, -down * sine, down * cosine, left, bottom)
    return ("q 0.2 0.3 0.6 rg " + " ".join(f"{value:.3f}" for value in matrix) + f" cm /I{image} Do Q\n").encode()


def _painted(pdf: Any, rng: np.random.Generator, recipe: DocumentRecipe, number: int, resources: Any) -> bytes:
    """Operators of the shadings and tilings of one page; their resources are added to `resources`."""
    from pikepdf import Dictionary

    width, height = recipe.page_sizes[number]
    operators = b""
    if recipe.drawing.shadings and number < 3:
        resources.Shading = Dictionary()
        for order, kind in enumerate(recipe.drawing.shadings):
            resources.Shading[f"/S{order}"] = add_shading(pdf, rng, kind, width, height)
            corner = rng.random(2) * 0.5 * [width, height]
            box = f"{corner[0]:.1f} {corner[1]:.1f} {width * 0.4:.1f} {height * 0.4:.1f} re W n"
            operators += f"q {box} /S{order} sh Q\n".encode()
    if recipe.drawing.tilings and number == 0:
        resources.Pattern = Dictionary()
        for order in range(recipe.drawing.tilings):
            resources.Pattern[f"/P{order}"] = add_tiling(pdf, rng)
            corner = rng.random(2) * 0.7 * [width, height]
            box = f"{corner[0]:.1f} {corner[1]:.1f} {width * 0.3:.1f} {height * 0.3:.1f} re f"
            operators += f"q /Pattern cs /P{order} scn {box} Q\n".encode()
    return operators


def _states(pdf: Any, recipe: DocumentRecipe) -> Any:
    """The graphics states: GS0 for alpha and blend mode, GS1 for a luminosity soft mask."""
    from pikepdf import Dictionary, Name

    mode = Name(f"/{recipe.drawing.blend_mode}")
    states = Dictionary({"/GS0": pdf.make_indirect(Dictionary(Type=Name.ExtGState, ca=0.7, CA=0.8, BM=mode))})
    if recipe.drawing.luminosity_mask:
        width, height = np.max(recipe.page_sizes, axis=0).tolist()
        stream = content_stream(pdf, f"0.8 g 0 0 {width} {height} re f".encode(), "none")
        mask = add_form(pdf, stream, width, height, Dictionary(), True)
        states.GS1 = pdf.make_indirect(
            Dictionary(Type=Name.ExtGState, SMask=Dictionary(Type=Name.Mask, S=Name.Luminosity, G=mask))
        )
    return states


def _layers(pdf: Any, layers: int) -> Any:
    """Add optional-content groups, every third hidden by default; returns the /Properties dictionary."""
    from pikepdf import Array, Dictionary, Name, String

    groups = [pdf.make_indirect(Dictionary(Type=Name.OCG, Name=String(f"Layer {number}"))) for number in range(layers)]
    pdf.Root.OCProperties = Dictionary(
        OCGs=Array(groups),
        D=Dictionary(BaseState=Name.ON, OFF=Array(groups[2::3]), Order=Array(groups)),
    )
    return Dictionary({f"/L{number}": group for number, group in enumerate(groups)})


def add_extras(pdf: Any, recipe: DocumentRecipe, rng: np.random.Generator) -> None:
    """Add what lies beside the page content: annotations, fields, files, outlines, metadata, structure."""
    from pikepdf import Array, Dictionary, Name, String

    root = pdf.Root
    for number in range(recipe.annotations):
        _append_annotation(pdf, number % min(20, len(pdf.pages)), _annotation(pdf, rng, recipe, number))
    if recipe.fields:
        _add_fields(pdf, recipe, rng)
    if recipe.javascript:
        root.OpenAction = Dictionary(S=Name.JavaScript, JS=String("var total = 0; total = total + 1;"))
    if recipe.attachments:
        root.Names = Dictionary(EmbeddedFiles=Dictionary(Names=_attachments(pdf, recipe, rng)))
    if recipe.outlines:
        _add_outlines(pdf, recipe.outlines)
    if recipe.metadata:
        stream = pdf.make_stream(_XMP_HEAD + b" " * recipe.metadata + b'<?xpacket end="w"?>')
        stream.Type, stream.Subtype = Name.Metadata, Name.XML
        root.Metadata = stream
    if recipe.structure_elements:
        _add_structure(pdf, recipe.structure_elements)
    if recipe.spare_objects:
        spare = [pdf.make_indirect(Dictionary(Number=number)) for number in range(recipe.spare_objects)]
        root.PieceInfo = Dictionary(Generated=Dictionary(Private=Array(spare)))


def _append_annotation(pdf: Any, page: int, annotation: Any) -> None:
    from pikepdf import Array

    target = pdf.pages[page].obj
    if "/Annots" not in target:
        target.Annots = Array()
    target.Annots.append(pdf.make_indirect(annotation))


def _box(recipe: DocumentRecipe, rng: np.random.Generator, page: int, width: float, height: float) -> list[float]:
    """A rectangle of at most `width` x `height` points on a page."""
    sides = recipe.page_sizes[page]
    left, bottom = (round(float(value), 1) for value in rng.random(2) * [sides[0] * 0.8, sides[1] * 0.9])
    return [
        left,
        bottom,
        round(left + min(width, sides[0] * 0.2), 1),
        round(bottom + min(height, sides[1] * 0.1), 1),
    ]


def _annotation(pdf: Any, rng: np.random.Generator, recipe: DocumentRecipe, number: int) -> Any:
    from pikepdf import Array, Dictionary, Name, String

    kind = str(rng.choice(["Link", "Text", "Square", "Highlight"], p=[0.5, 0.2, 0.2, 0.1]))
    box = _box(recipe, rng, number % min(20, len(recipe.page_sizes)), 120, 30)
    annotation = Dictionary(Type=Name.Annot, Subtype=Name(f"/{kind}"), Rect=box)
    if kind == "Link":
        annotation.A = Dictionary(S=Name.URI, URI=String(f"https://example.org/{number}"))
    elif kind == "Square":
        stream = content_stream(pdf, b"0.9 0.6 0.2 rg 0 0 60 20 re f", "none")
        annotation.AP = Dictionary(N=add_form(pdf, stream, 60, 20, Dictionary(), False))
    elif kind == "Highlight":
        left, bottom, right, top = box
        annotation.QuadPoints = Array([left, top, right, top, left, bottom, right, bottom])
    else:
        annotation.Contents = String(f"Note {number} of the review")
    return annotation


def _add_fields(pdf: Any, recipe: DocumentRecipe, rng: np.random.Generator) -> None:
    from pikepdf import Array, Dictionary, Name, String

    fields = Array()
    spread = min(5, len(pdf.pages))
    stream = content_stream(pdf, b"0.9 0.95 1 rg 0 0 90 16 re f", "none")
    appearance = add_form(pdf, stream, 90, 16, Dictionary(), False)
    kinds = rng.choice(["Tx", "Btn", "Ch"], size=recipe.fields, p=[0.6, 0.25, 0.15]).tolist()
    for number, kind in enumerate(kinds):
        field = Dictionary(
            Type=Name.Annot,
            Subtype=Name.Widget,
            FT=Name(f"/{kind}"),
            T=String(f"field{number}"),
            Rect=_box(recipe, rng, number % spread, 90, 16),
            F=4,
        )
        if kind == "Tx":
            field.V, field.DA = String(f"value {number}"), String("/Helv 10 Tf 0 g")
            field.AP = Dictionary(N=appearance)
        elif kind == "Ch":
            field.Opt = Array([String("north"), String("south")])
        _append_annotation(pdf, number % spread, field)
        fields.append(pdf.pages[number % spread].obj.Annots[-1])
    helvetica = pdf.make_indirect(Dictionary(Type=Name.Font, Subtype=Name.Type1, BaseFont=Name.Helvetica))
    pdf.Root.AcroForm = Dictionary(Fields=fields, DR=Dictionary(Font=Dictionary(Helv=helvetica)))


def _attachments(pdf: Any, recipe: DocumentRecipe, rng: np.random.Generator) -> Any:
    import pikepdf
    from pikepdf import Array, Dictionary, Name, String

    names = Array()
    for number, size in enumerate(recipe.attachments):
        # Half noise, half zeros: the file shrinks by half.
        stream = pikepdf.Stream(pdf, b"")
        stream.write(zlib.compress(rng.bytes(size // 2) + bytes(size - size // 2)), filter=Name.FlateDecode)
        stream.Type, stream.Params = Name.EmbeddedFile, Dictionary(Size=size)
        name = String(f"attachment{number}.bin")
        specification = Dictionary(Type=Name.Filespec, F=name, UF=name, EF=Dictionary(F=pdf.make_indirect(stream)))
        names.append(name)
        names.append(pdf.make_indirect(specification))
    return names


def _add_outlines(pdf: Any, entries: int) -> None:
    from pikepdf import Array, Dictionary, Name, String

    outlines = pdf.make_indirect(Dictionary(Type=Name.Outlines, Count=entries))
    items = []
    for number in range(entries):
        target = pdf.pages[number % len(pdf.pages)].obj
        title = String(f"Chapter {number + 1}")
        items.append(pdf.make_indirect(Dictionary(Title=title, Parent=outlines, Dest=Array([target, Name.Fit]))))
    for earlier, later in pairwise(items):
        earlier.Next, later.Prev = later, earlier
    outlines.First, outlines.Last = items[0], items[-1]
    pdf.Root.Outlines = outlines


def _add_structure(pdf: Any, elements: int) -> None:
    """Add a structure tree: one paragraph per page that owns its text, the other elements empty."""
    from pikepdf import Array, Dictionary, Name

    tree = pdf.make_indirect(Dictionary(Type=Name.StructTreeRoot))
    document = pdf.make_indirect(Dictionary(Type=Name.StructElem, S=Name.Document, P=tree))
    kids, parents = Array(), Array()
    for number in range(max(elements, len(pdf.pages))):
        element = pdf.make_indirect(Dictionary(Type=Name.StructElem, S=Name.P, P=document))
        if number < len(pdf.pages):
            page = pdf.pages[number].obj
            element.Pg, element.K = page, 0
            page.StructParents = number
            parents.append(number)
            parents.append(Array([element]))
        kids.append(element)
    document.K, tree.K = kids, document
    tree.ParentTree = pdf.make_indirect(Dictionary(Nums=parents))
    pdf.Root.StructTreeRoot = tree
    pdf.Root.MarkInfo = Dictionary(Marked=True)
