"""The structure scan: known answers on hand-made files, and no file that makes it raise."""

import io
import math

import pikepdf
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pikepdf import Array, Dictionary, Name

from augury.predictors import pdf_structure
from augury.predictors.pdf_structure import STRUCTURE, scan_pdf, scan_pdfs

A4 = (595, 842)


def page(document, size=A4, **entries):
    return pikepdf.Page(Dictionary(Type=Name.Page, MediaBox=[0, 0, *size], **entries))


def image(document, width, height, stored=b"x" * 100, **entries):
    """An image XObject; the scan never decodes it, so its bytes may be anything."""
    stream = pikepdf.Stream(document, stored)
    described = {"Subtype": Name.Image, "Width": width, "Height": height, "BitsPerComponent": 8}
    for key, value in (described | entries).items():
        stream[f"/{key}"] = value
    return document.make_indirect(stream)


def scan(document, tmp_path, **options):
    path = tmp_path / "made.pdf"
    # Streams as they were made, unless they are to be encrypted
    kept = {"compress_streams": False, "stream_decode_level": pikepdf.StreamDecodeLevel.none}
    document.save(path, **({} if "encryption" in options else kept), **options)
    facts = scan_pdf(path)
    assert list(facts) == list(STRUCTURE)
    assert facts["file_bytes"] == path.stat().st_size
    return facts


@pytest.fixture
def document():
    return pikepdf.new()


def assert_unread(facts, size):
    known = {"file_bytes": size, "parse_failed": 1.0}
    assert {name: facts[name] for name in known} == known
    assert all(math.isnan(facts[name]) for name in set(STRUCTURE) - set(known) - {"pdf_version"})


# --- pages ---


def test_pages_and_their_areas(document, tmp_path):
    for size in (A4, (100, 200), (1000, 10)):
        document.pages.append(page(document, size))
    facts = scan(document, tmp_path)
    assert facts["pages"] == 3
    assert facts["page_area_max"] == 595 * 842
    assert facts["page_area_mean"] == pytest.approx((595 * 842 + 20_000 + 10_000) / 3)
    assert facts["page_edge_max"] == 1000
    assert facts["parse_failed"] == 0


def test_an_inherited_media_box_counts(document, tmp_path):
    document.pages.append(page(document))
    del document.pages[0].obj["/MediaBox"]
    document.Root.Pages.MediaBox = Array([10, 20, 310, 420])
    assert scan(document, tmp_path)["page_area_max"] == 300 * 400


@pytest.mark.parametrize(
    ("crop", "size"),
    [
        ([100, 100, 200, 300], (100, 200)),
        ([200, 300, 100, 100], (100, 200)),
        ([-1000, -1000, 9000, 100], (595, 100)),
        ([0, 0, 0, 0], A4),
        ([5000, 5000, 6000, 6000], A4),
        ([1, 2], A4),
    ],
    ids=["inside", "corners swapped", "reaches beyond", "empty", "elsewhere", "damaged"],
)
def test_a_crop_box_counts_within_the_media_box(crop, size, document, tmp_path):
    document.pages.append(page(document, CropBox=crop, UserUnit=2))
    facts = scan(document, tmp_path)
    assert facts["page_area_max"] == size[0] * size[1]
    assert facts["page_edge_max"] == max(size)
    assert facts["user_unit_max"] == 2


@pytest.mark.parametrize("box", [[0, 0, 0, 0], [0, 0, 10], ["a", "b", "c", "d"], [842, 595, 0, 0], 7, None])
def test_a_strange_media_box_is_no_reason_to_fail(box, document, tmp_path):
    document.pages.append(page(document))
    document.pages[0].obj["/MediaBox"] = Array(box) if isinstance(box, list) else (box or Dictionary())
    facts = scan(document, tmp_path)
    assert facts["parse_failed"] == 0
    assert facts["page_area_max"] == (842 * 595 if box == [842, 595, 0, 0] else 612 * 792)


def test_absurd_and_negative_numbers_yield_nothing_that_a_predictor_refuses(document, tmp_path):
    images = [image(document, -40, 30), image(document, 7777, 7777), image(document, 5, 6, BitsPerComponent=-8)]
    resources = Dictionary(XObject=Dictionary({f"/I{number}": item for number, item in enumerate(images)}))
    document.pages.append(page(document, (7777, 7777), Resources=resources, UserUnit=-3))
    scan(document, tmp_path)
    path = tmp_path / "made.pdf"
    # The square of this overflows, and no library writes it
    path.write_bytes(path.read_bytes().replace(b"7777", b"1" + b"0" * 300 + b".5"))
    facts = scan_pdf(path)
    assert facts["parse_failed"] == 0
    assert facts["images"] == 3
    assert math.isnan(facts["image_pixels_max"])
    known = [value for value in facts.values() if not math.isnan(value)]
    assert all(0 <= value < math.inf for value in known)


def test_page_contents_count_as_stored(document, tmp_path):
    short, long = (document.make_indirect(pikepdf.Stream(document, b" " * size)) for size in (100, 250))
    document.pages.append(page(document, Contents=short))
    document.pages.append(page(document, Contents=Array([short, long])))
    facts = scan(document, tmp_path)
    assert facts["page_content_bytes_max"] == 350
    assert (facts["streams"], facts["stream_bytes_sum"], facts["stream_bytes_max"]) == (2, 350, 250)


# --- images and fonts ---


def test_images_by_filter_pixels_and_decoded_size(document, tmp_path):
    profile = document.make_indirect(pikepdf.Stream(document, b"icc", N=4))
    images = [
        image(document, 100, 50, ColorSpace=Name.DeviceRGB, Filter=Name.DCTDecode),
        image(document, 10, 10, ColorSpace=Name.DeviceGray, Filter=Array([Name.ASCII85Decode, Name.FlateDecode])),
        image(document, 300, 200, Filter=Name.JPXDecode),
        image(document, 80, 8, ImageMask=True, BitsPerComponent=1, Filter=Name.CCITTFaxDecode),
        image(document, 20, 20, ColorSpace=Array([Name.ICCBased, profile]), BitsPerComponent=16),
        image(document, 7, 7, ColorSpace=Array([Name.Indexed, Name.DeviceRGB, 1, b"abcdef"]), BitsPerComponent=4),
        image(document, 9, 9, ColorSpace=Array([Name.DeviceN, Array([Name.A, Name.B]), Name.DeviceGray, Dictionary()])),
    ]
    images[0]["/SMask"] = images[1]
    resources = Dictionary(XObject=Dictionary({f"/I{number}": item for number, item in enumerate(images)}))
    document.pages.append(page(document, Resources=resources))
    facts = scan(document, tmp_path)
    decoded = [100 * 50 * 3, 100, 300 * 200 * 3, 80 * 8 / 8, 400 * 4 * 2, 49 / 2, 81 * 2]
    assert facts["images"] == 7
    assert facts["image_pixels_sum"] == 5000 + 100 + 60_000 + 640 + 400 + 49 + 81
    assert facts["image_pixels_max"] == facts["jpx_pixels_max"] == 60_000
    assert facts["image_decoded_bytes_sum"] == sum(decoded)
    assert facts["image_decoded_bytes_max"] == 180_000
    assert facts["image_stored_bytes_sum"] == 700
    counted = {name: facts[name] for name in ("images_dct", "images_jpx", "images_fax", "images_flate", "soft_masks")}
    assert counted == {"images_dct": 1, "images_jpx": 1, "images_fax": 1, "images_flate": 1, "soft_masks": 1}


def test_fonts_forms_and_what_else_a_page_can_hold(document, tmp_path):
    program = document.make_indirect(pikepdf.Stream(document, b"f" * 500, Length1=500))
    compact = document.make_indirect(pikepdf.Stream(document, b"g" * 70, Subtype=Name.Type1C))
    fonts = [
        document.make_indirect(Dictionary(Type=Name.Font, FontDescriptor=Dictionary(FontFile2=program))),
        document.make_indirect(Dictionary(Type=Name.Font, FontDescriptor=Dictionary(FontFile3=compact))),
        document.make_indirect(Dictionary(Type=Name.Font, BaseFont=Name.Helvetica)),
    ]
    form = document.make_indirect(
        pikepdf.Stream(document, b"q Q", Subtype=Name.Form, Group=Dictionary(S=Name.Transparency))
    )
    shading = document.make_indirect(Dictionary(ShadingType=2))
    pattern = document.make_indirect(pikepdf.Stream(document, b"", PatternType=1))
    note = document.make_indirect(Dictionary(Type=Name.Annot, Subtype=Name.Text))
    field = document.make_indirect(Dictionary(FT=Name.Tx, T=b"name"))
    script = document.make_indirect(Dictionary(S=Name.JavaScript, JS=b"app.alert(1)"))
    resources = Dictionary(
        Font=Dictionary({f"/F{number}": font for number, font in enumerate(fonts)}),
        XObject=Dictionary(X=form), Shading=Dictionary(S=shading), Pattern=Dictionary(P=pattern),
    )  # fmt: skip
    document.pages.append(page(document, Resources=resources, Annots=Array([note]), AA=Dictionary(O=script)))
    document.Root.AcroForm = Dictionary(Fields=Array([field]), XFA=b"<xdp/>")
    document.Root.StructTreeRoot = document.make_indirect(Dictionary(Type=Name.StructTreeRoot))
    document.Root.Outlines = document.make_indirect(Dictionary(Type=Name.Outlines, Count=0))
    document.attachments["a.txt"] = b"attached"
    facts = scan(document, tmp_path)
    once = "form_xobjects transparency_groups shadings patterns annotations form_fields javascript attachments"
    once = [*once.split(), "xfa", "tagged", "outlines"]
    assert {name: facts[name] for name in once} == dict.fromkeys(once, 1.0)
    assert (facts["fonts"], facts["fonts_embedded"], facts["font_bytes_sum"]) == (3, 2, 570)


# --- how the file is written ---


def test_object_streams_versions_and_linearisation(document, tmp_path):
    document.pages.append(page(document))
    plain = scan(document, tmp_path, object_stream_mode=pikepdf.ObjectStreamMode.disable, force_version="1.4")
    packed = scan(document, tmp_path, object_stream_mode=pikepdf.ObjectStreamMode.generate)
    linear = scan(document, tmp_path, linearize=True)
    assert (plain["object_streams"], plain["xref_stream"], plain["pdf_version"]) == (0, 0, 1.4)
    assert (packed["object_streams"], packed["xref_stream"]) == (1, 1)
    assert packed["pdf_version"] >= 1.5
    assert (plain["linearized"], linear["linearized"]) == (0, 1)
    assert linear["incremental_update"] == 0


def test_an_appended_revision_is_seen(document, tmp_path):
    document.pages.append(page(document))
    path = tmp_path / "revised.pdf"
    document.save(path)
    first = path.read_bytes()
    start = first.rindex(b"startxref") + len(b"startxref")
    offset = int(first[start:].split()[0])
    update = b"\nxref\n0 0\ntrailer\n<< /Root 1 0 R /Size %d /Prev %d >>\nstartxref\n%d\n%%%%EOF\n" % (
        9,
        offset,
        len(first) + 1,
    )
    assert scan_pdf(path)["incremental_update"] == 0
    path.write_bytes(first + update)
    facts = scan_pdf(path)
    assert (facts["incremental_update"], facts["parse_failed"], facts["pages"]) == (1, 0, 1)


@pytest.mark.parametrize("revision", [3, 4, 6])
def test_encryption_is_seen_where_no_password_is_needed(revision, document, tmp_path):
    document.pages.append(page(document))
    facts = scan(
        document,
        tmp_path,
        encryption=pikepdf.Encryption(owner="secret", user="", R=revision, aes=revision > 3, metadata=revision > 3),
    )
    assert (facts["encryption"], facts["pages"], facts["parse_failed"]) == (revision, 1, 0)


def test_many_objects_are_extrapolated(document, tmp_path, monkeypatch):
    for _ in range(40):
        content = document.make_indirect(pikepdf.Stream(document, b" " * 10))
        document.pages.append(page(document, Contents=content))
    whole = scan(document, tmp_path)
    monkeypatch.setattr(pdf_structure, "MAX_OBJECTS", 30)
    monkeypatch.setattr(pdf_structure, "MAX_PAGES", 5)
    part = scan(document, tmp_path)
    assert part["objects"] == whole["objects"]
    assert part["pages"] == 40
    assert part["page_area_mean"] == whole["page_area_mean"]
    assert part["streams"] == pytest.approx(whole["streams"], rel=0.5)
    assert part["stream_bytes_max"] == 10


# --- files that cannot be read ---


def valid_pdf():
    document = pikepdf.new()
    content = document.make_indirect(pikepdf.Stream(document, b"BT ET"))
    document.pages.append(page(document, Contents=content))
    resources = Dictionary(XObject=Dictionary(I=image(document, 4, 4, ColorSpace=Name.DeviceRGB)))
    document.pages.append(page(document, (200, 300), Resources=resources))
    buffer = io.BytesIO()
    document.save(buffer, object_stream_mode=pikepdf.ObjectStreamMode.disable)
    return buffer.getvalue()


VALID = valid_pdf()


@pytest.mark.parametrize(
    ("content", "version"),
    [
        (b"", math.nan),
        (b"just a letter, dear reader\n" * 50, math.nan),
        (b"%PDF-1.7\n", 1.7),
        (b"\x00" * 5000, math.nan),
        (VALID[:60], 1.3),
        (b"PK\x03\x04" + b"\x00" * 100, math.nan),
    ],
    ids=["empty", "text", "header only", "zeros", "cut off", "another format"],
)
def test_what_is_no_pdf_yields_its_size(content, version, tmp_path):
    path = tmp_path / "strange.pdf"
    path.write_bytes(content)
    facts = scan_pdf(path)
    assert_unread(facts, len(content))
    assert facts["pdf_version"] == pytest.approx(version, nan_ok=True)


def test_a_file_that_needs_a_password_yields_its_size(document, tmp_path):
    document.pages.append(page(document))
    path = tmp_path / "locked.pdf"
    document.save(path, encryption=pikepdf.Encryption(owner="secret", user="secret", R=6))
    assert_unread(scan_pdf(path), path.stat().st_size)
    assert scan_pdf(path)["pdf_version"] > 1


def test_a_file_that_is_not_there_is_an_os_error(tmp_path):
    with pytest.raises(FileNotFoundError):
        scan_pdf(tmp_path / "absent.pdf")


def test_many_files_give_a_row_each(tmp_path):
    (tmp_path / "a.pdf").write_bytes(VALID)
    (tmp_path / "b.pdf").write_bytes(b"no")
    table = scan_pdfs([tmp_path / "a.pdf", str(tmp_path / "b.pdf")])
    assert list(table) == ["path", *STRUCTURE]
    assert table["parse_failed"].tolist() == [0, 1]
    assert table["pages"].iloc[0] == 2
    assert (table[list(STRUCTURE)].dtypes == "float64").all()
    assert list(scan_pdfs([])) == list(table)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("damaged")


@given(
    changes=st.lists(st.tuples(st.integers(0, len(VALID) - 1), st.binary(min_size=1, max_size=12)), max_size=12),
    cut=st.integers(0, len(VALID)),
    truncate=st.booleans(),
)
@settings(max_examples=150)
def test_no_damage_makes_the_scan_raise(changes, cut, truncate, folder):
    content = bytearray(VALID)
    for place, replacement in changes:
        content[place : place + len(replacement)] = replacement
    path = folder / "damaged.pdf"
    path.write_bytes(content[:cut] if truncate else content)
    facts = scan_pdf(path)
    assert list(facts) == list(STRUCTURE)
    assert facts["file_bytes"] == path.stat().st_size
    assert facts["parse_failed"] in (0.0, 1.0)
    known = [value for value in facts.values() if not math.isnan(value)]
    assert all(isinstance(value, float) and 0 <= value < math.inf for value in known)
    if facts["parse_failed"]:
        assert_unread(facts, facts["file_bytes"])
    else:
        assert len(known) >= len(STRUCTURE) - 1  # the header may have lost its version
