"""Catalog entry for an HTML report that kedro-viz can preview."""

import re

from kedro_datasets._typing import HTMLPreview
from kedro_datasets.text import TextDataset

_UNSHOWN = re.compile(r"<(script|figure)\b.*?</\1\s*>", re.DOTALL | re.IGNORECASE)
_STYLE = re.compile(r"<style\b[^>]*>(.*?)</style\s*>", re.DOTALL | re.IGNORECASE)
_BODY = re.compile(r"<body\b[^>]*>(.*)</body\s*>", re.DOTALL | re.IGNORECASE)
_TAG = re.compile(r"(<[^>]*>)")
_WHITE_SPACE = re.compile(r"[ \t\r\n\u2028\u2029]+")
_MARKDOWN = re.compile(r"[_*\]]")

# Kedro-viz takes an HTML preview for Markdown: two underscores in one line become emphasis, "rows_per_page" loses both.
# Its patterns end where a line ends, and U+2028 is the one line end that it does not turn into <br>.
_LINE_END = "\N{LINE SEPARATOR}"
_STOP = f'<wbr data-line="end{_LINE_END}end">'


class HtmlReportDataset(TextDataset):
    """A self-contained HTML page; the preview in kedro-viz shows its text and tables, not its scripts and figures."""

    def preview(self) -> HTMLPreview:
        """The page as kedro-viz can show it: inside kedro-viz's own page, without scripts, safe from its Markdown.

        Returns:
            One line of HTML: the page's styles, confined to the preview, and its body. Figures need scripts, so they
            are left out, and what the page says to readers without scripts is shown.
        """
        page = self.load()
        body = _BODY.search(page)
        content = _UNSHOWN.sub("", body.group(1) if body else page)
        content = re.sub(r"</?noscript>", "", content).replace("<li>", '<li class="item">').replace("`", "'")
        parts = _TAG.split(_WHITE_SPACE.sub(" ", content))
        parts[::2] = [_MARKDOWN.sub(rf"\g<0>{_STOP}", text) for text in parts[::2]]
        parts[1::2] = [tag.replace("_", f"_{_LINE_END}") for tag in parts[1::2]]
        styles = _confined(" ".join(_STYLE.findall(page)))
        return HTMLPreview(f'<div class="page">{styles}{_STOP}{"".join(parts)}</div>')


def _confined(styles: str) -> str:
    """Styles of a page that hold in the preview only, and there before kedro-viz's own."""
    nested = re.sub(r"(?<![\w.#-])(:root|html|body)(?![\w-])", "&", _WHITE_SPACE.sub(" ", styles))
    nested = re.sub(r"\*(?=[^{};]*\{)", ":not(br)", nested).replace("_", r"\5f ")
    return f"<style>.html-renderer .page {{ {nested} }}</style>"
