"""What the pages of a PDF draw with: images, and transparency groups, each a bitmap that a renderer holds meanwhile."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

MAX_DEPTH = 16
"""Forms may contain each other in a circle in a hostile file."""

PLACING_BYTES = 40
"""A stored content stream that is no longer only sets a state and places other objects; it draws nothing itself."""


@dataclass(frozen=True)
class Content:
    """What one content stream can draw through its resources.

    Attributes:
        groups: Deepest nesting of transparency groups that draw something.
        group_area: Largest sum of areas along such a nesting (square points).
        image_pixels: Pixels of all images together.
        draws: Whether anything is drawn at all.
    """

    groups: int = 0
    group_area: float = 0.0
    image_pixels: float = 0.0
    draws: bool = False


NOTHING = Content()


class PageResources:
    """Walks the resources of pages (PDF 32000-1, 7.8.3, 11.4, 11.6); what several pages share is visited once."""

    def __init__(self) -> None:
        self.blend_states = 0
        self.mask_states = 0
        self.alpha_states = 0
        self._seen: dict[tuple[int, int], Content] = {}

    def visit(self, resources: Any, level: int = 0) -> Content:
        """Take in the resources of a page or form.

        Args:
            resources: The dictionary (pikepdf), inherited ones included, or None.
            level: Nesting of forms so far.

        Returns:
            What can be drawn with them; graphics states are counted in the attributes of this object.
        """
        if level > MAX_DEPTH or not hasattr(resources, "get"):
            return NOTHING
        key = resources.objgen
        if key[0]:
            if key in self._seen:
                return self._seen[key]
            self._seen[key] = NOTHING  # a circle ends here
        for state in _values(resources, "/ExtGState"):
            self._count_state(state)
        parts = [self._visit_object(item, level) for item in _values(resources, "/XObject")]
        content = Content(
            groups=max((part.groups for part in parts), default=0),
            group_area=max((part.group_area for part in parts), default=0.0),
            image_pixels=sum(part.image_pixels for part in parts),
            draws=any(part.draws for part in parts),
        )
        if key[0]:
            self._seen[key] = content
        return content

    def _visit_object(self, item: Any, level: int) -> Content:
        key = item.objgen
        if key not in self._seen:
            self._seen[key] = NOTHING
            kind = str(item.get("/Subtype"))
            if kind == "/Image":
                pixels = amount(item.get("/Width")) * amount(item.get("/Height"))
                self._seen[key] = Content(image_pixels=pixels, draws=True)
            elif kind == "/Form":
                self._seen[key] = self._visit_form(item, level)
        return self._seen[key]

    def _visit_form(self, form: Any, level: int) -> Content:
        inside = self.visit(form.get("/Resources"), level + 1)
        draws = inside.draws or amount(form.get("/Length")) > PLACING_BYTES
        if not draws or "/Group" not in form:
            return Content(inside.groups, inside.group_area, inside.image_pixels, draws)
        area = inside.group_area + _box_area(form.get("/BBox"))
        return Content(inside.groups + 1, area, inside.image_pixels, draws)

    def _count_state(self, state: Any) -> None:
        mode = state.get("/BM")
        self.blend_states += mode is not None and str(mode) not in ("/Normal", "/Compatible")
        mask = state.get("/SMask")
        self.mask_states += mask is not None and str(mask) != "/None"
        alphas = [state.get(name) for name in ("/ca", "/CA")]
        self.alpha_states += any(alpha is not None and number(alpha) < 1 for alpha in alphas)


def number(value: Any) -> float:
    """A PDF number as a finite float; 0 for anything else."""
    try:
        result = float(value)
    except (TypeError, ValueError, OverflowError):
        return 0.0
    return result if abs(result) < float("inf") else 0.0


def amount(value: Any) -> float:
    """A PDF number that counts something; 0 for a negative one and for anything else."""
    return max(0.0, number(value))


def _values(resources: Any, kind: str) -> Iterator[Any]:
    """The dictionaries and streams of one kind of resource; anything else there is damage."""
    entries = resources.get(kind)
    if entries is None or not hasattr(entries, "keys"):
        return
    for name in entries.keys():  # noqa: SIM118 (iterating a pikepdf dictionary is not iterating its keys)
        value = entries.get(name)
        if hasattr(value, "get"):
            yield value


def rectangle(box: Any) -> tuple[float, float, float, float] | None:
    """A rectangle as left, bottom, right, top; None if it is none or has no area."""
    try:
        left, bottom, right, top = (number(edge) for edge in box)
    except (TypeError, ValueError):
        return None
    if left == right or bottom == top:
        return None
    return min(left, right), min(bottom, top), max(left, right), max(bottom, top)


def _box_area(box: Any) -> float:
    found = rectangle(box)
    return (found[2] - found[0]) * (found[3] - found[1]) if found else 0.0
