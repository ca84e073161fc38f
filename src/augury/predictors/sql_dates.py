"""How many days a query asks for, as far as literals tell: ``day BETWEEN DATE '..' AND DATE '..'`` and the like."""

from collections.abc import Sequence
from datetime import date

_BEFORE_DATE = frozenset(
    "( date timestamp cast try_cast to_date date_parse from_iso8601_date from_iso8601_timestamp".split()
)
_AFTER_DATE = frozenset(") as date timestamp".split())
_DAYS = {"day": 1, "days": 1, "week": 7, "weeks": 7, "month": 30, "months": 30, "year": 365, "years": 365}


def date_range_days(tokens: Sequence[str], normal: Sequence[str], places: Sequence[int]) -> int:
    """Find the longest range of days that two literals bound.

    Args:
        tokens: The tokens of a text, lower case.
        normal: The same, normalised, with empty strings after the last.
        places: Where the tokens are that look like dates.

    Returns:
        Days, the last included for BETWEEN; 1 for an equality; 0 if no range is given by literals.
    """
    longest = 0
    lower: dict[str, int] = {}
    upper: dict[str, int] = {}
    between = ""
    for place in places:
        day = _day_number(tokens[place])
        if day is None:
            continue
        before = place - 1
        while normal[before] in _BEFORE_DATE:
            before -= 1
        day += _interval(tokens, normal, place + 1)
        operator, column = normal[before], normal[before - 1]
        if operator == "between":
            between, lower[column] = column, day
        elif operator == "and" and between:
            longest = max(longest, day - lower[between] + 1)
            between = ""
        elif operator == "=":
            longest = max(longest, 1)
        elif operator in (">", ">="):
            lower[column] = day
            longest = max(longest, upper.pop(column, day) - day)
        elif operator in ("<", "<="):
            upper[column] = day
            longest = max(longest, day - lower.pop(column, day))
    return longest


def _day_number(token: str) -> int | None:
    """Days since year 1 of ``'2024-01-31...``, ``'20240131'`` or ``20240131``, None if there is no such day."""
    digits = token.strip("'").replace("-", "")[:8]
    if len(digits) < 8 or not (digits.isascii() and digits.isdecimal()):
        return None
    try:
        return date(int(digits[:4]), int(digits[4:6]), int(digits[6:])).toordinal()
    except ValueError:
        return None


def _interval(tokens: Sequence[str], normal: Sequence[str], place: int) -> int:
    """Days that ``+ interval '30' day`` adds behind a date literal, about 30 for a month."""
    last = place + 4
    while normal[place] in _AFTER_DATE and place < last:
        place += 1
    if normal[place] not in ("+", "-") or normal[place + 1] != "interval":
        return 0
    words = f"{tokens[place + 2]} {normal[place + 3]}".replace("'", " ").split()
    if len(words) < 2 or not (words[0].isascii() and words[0].isdecimal()) or len(words[0]) > 6:
        return 0
    days = int(words[0]) * _DAYS.get(words[1], 0)
    return days if normal[place] == "+" else -days
