"""The pages of a PDF: sizes, contents and what they draw with, from their dictionaries alone."""

from collections.abc import Collection
from typing import Any

from augury.predictors.pdf_resources import PageResources, amount, rectangle

DEFAULT_PAGE = (612.0, 792.0)  # US Letter, what PDF viewers assume for a page without a MediaBox


def scan_pages(document: Any, limit: int) -> dict[str, float]:
    """Describe the pages of an open document.

    Args:
        document: A ``pikepdf.Pdf``.
        limit: Pages to look at; further ones only count.

    Returns:
        The columns of the structure that are about pages.
    """
    pages = document.pages
    total = len(pages)
    measured = min(total, limit)
    areas = []
    edge_max = content_max = image_pixels = group_area = 0.0
    unit_max = 1.0
    groups = depth = 0
    tree, resources = _PageTree(), PageResources()
    for index in range(measured):
        page = pages[index].obj
        keys = page.keys()  # one crossing into C++ instead of one per question
        width, height = tree.size(page, keys)
        areas.append(width * height)
        edge_max = max(edge_max, width, height)
        if "/UserUnit" in keys:
            unit_max = max(unit_max, amount(page.get("/UserUnit")))
        content_max = max(content_max, _content_bytes(page.get("/Contents")))
        groups += "/Group" in keys
        content = resources.visit(tree.get(page, "/Resources"))
        image_pixels = max(image_pixels, content.image_pixels)
        depth = max(depth, content.groups)
        # A group larger than its page is clipped to it
        group_area = max(group_area, min(content.group_area, areas[-1] * content.groups))
    return {
        "pages": float(total),
        "page_area_max": max(areas, default=0.0),
        "page_area_mean": sum(areas) / measured if measured else 0.0,
        "page_area_pair_max": max((sum(areas[index : index + 2]) for index in range(measured)), default=0.0),
        "page_edge_max": edge_max,
        "user_unit_max": unit_max,
        "page_content_bytes_max": content_max,
        "page_image_pixels_max": image_pixels,
        "page_groups": float(groups),
        "group_depth_max": float(depth),
        "group_area_max": group_area,
        "blend_states": float(resources.blend_states),
        "mask_states": float(resources.mask_states),
        "alpha_states": float(resources.alpha_states),
    }


class _PageTree:
    """Looks up page attributes, in the ancestors if need be (PDF 32000-1, 7.7.3.4); each ancestor is asked once."""

    def __init__(self) -> None:
        self._inherited: dict[tuple[tuple[int, int], str], Any] = {}
        self._boxes: dict[bytes, tuple[float, float, float, float] | None] = {}

    def size(self, page: Any, keys: Collection[str]) -> tuple[float, float]:
        """Width and height in points of what a renderer draws: the crop box within the media box."""
        media = self._box(page, "/MediaBox", keys) or (0.0, 0.0, *DEFAULT_PAGE)
        crop = self._box(page, "/CropBox", keys)
        if crop:
            left, bottom = max(media[0], crop[0]), max(media[1], crop[1])
            right, top = min(media[2], crop[2]), min(media[3], crop[3])
            if left < right and bottom < top:
                return right - left, top - bottom
        return media[2] - media[0], media[3] - media[1]

    def _box(self, page: Any, key: str, keys: Collection[str]) -> tuple[float, float, float, float] | None:
        box = page.get(key) if key in keys else self._above(page, key)
        if box is None or not is_array(box):
            return None
        text = box.unparse(resolved=True)
        if text not in self._boxes:  # most pages of a file are of one size
            self._boxes[text] = rectangle(box)
        return self._boxes[text]

    def get(self, page: Any, key: str) -> Any:
        value = page.get(key)
        return self._above(page, key) if value is None else value

    def _above(self, page: Any, key: str) -> Any:
        parent = page.get("/Parent")
        if not hasattr(parent, "objgen"):
            return None
        where = (parent.objgen, key)
        if where not in self._inherited:
            self._inherited[where] = None  # a malformed tree may be circular
            self._inherited[where] = self.get(parent, key)
        return self._inherited[where]


def _content_bytes(contents: Any) -> float:
    if contents is None:
        return 0.0
    parts = list(contents) if is_array(contents) else [contents]
    return sum(amount(part.get("/Length")) for part in parts if hasattr(part, "get"))


def is_array(value: Any) -> bool:
    """Whether a pikepdf value is an array."""
    return getattr(value, "_type_name", "") == "array"
