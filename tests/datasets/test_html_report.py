"""The HTML report as a catalog entry: kept as written, previewed without what kedro-viz cannot show."""

from augury.datasets.html_report import HtmlReportDataset

PAGE = """<!doctype html>
<html><head><meta charset="utf-8"><style>p { color: red; }</style>
<script>var data = "<p>not text</p>";</script></head>
<body><h1>Report ä</h1>
<SCRIPT type="module">
alert("two\\nlines");
</SCRIPT >
<p>rows_per_page</p></body></html>
"""


def test_the_page_is_kept_as_it_was_written(tmp_path):
    dataset = HtmlReportDataset(filepath=str(tmp_path / "report.html"))
    assert not dataset.exists()
    dataset.save(PAGE)
    assert (tmp_path / "report.html").read_text(encoding="utf-8") == PAGE
    assert HtmlReportDataset(filepath=str(tmp_path / "report.html")).load() == PAGE


def test_the_preview_has_the_text_and_no_script(tmp_path):
    dataset = HtmlReportDataset(filepath=str(tmp_path / "report.html"))
    dataset.save(PAGE)
    preview = str(dataset.preview())
    assert "Report ä" in preview
    assert "color: red" in preview
    assert "script" not in preview.lower()
    assert "alert" not in preview
    assert "not text" not in preview
