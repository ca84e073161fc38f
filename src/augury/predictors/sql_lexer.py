"""SQL text to tokens, and tokens to the form in which texts are compared: literals a ``?``, names in lower case."""

import re
from itertools import islice

from augury.predictors import sql_lexicon as lex

SPACE = " \t\n\r\f\v"
"""White space of SQL; a character beyond ASCII is taken for a letter, so that no name in another script is cut."""

# Letters are spelled as "anything but", which the engine turns into one table look-up a character
_LETTER = r"[^\x00-@\[-^`{-\x7f]"
_INNER = r"[^\x00-#%-/:-@\[-^`{-\x7f]"
_QUOTED = r'"[^"]*+(?:""[^"]*+)*+"|`[^`]*+`'
_FURTHER_PARTS = rf"(?:\.{_INNER}++|[{SPACE}]*+\.[{SPACE}]*+(?:{_LETTER}{_INNER}*+|{_QUOTED}))*+"
_NAME = rf"{_LETTER}{_INNER}*+{_FURTHER_PARTS}"
_QUOTED_NAME = rf"(?:{_QUOTED}){_FURTHER_PARTS}"
_NUMBER = r"\.?[0-9][\w.]*+(?:(?<=e)[+-][0-9]++)?"
_STRING = r"'[^']*+(?:''[^']*+)*+(?:'|\Z)"
_LITERAL = rf"(?:{_STRING}|{_NUMBER})"
_LITERAL_RUN = rf"{_LITERAL}(?:[{SPACE}]*+,[{SPACE}]*+[+-]?{_LITERAL})*+"
_COMMENT = r"--[^\r\n]*+|/\*[^*]*+(?:\*(?!/)[^*]*+)*+(?:\*/|\Z)"
_DOLLAR_STRING = r"\$\$[^$]*+(?:\$(?!\$)[^$]*+)*+(?:\$\$|\Z)"
_UNCLOSED_NAME = r'"[^"]*+(?:""[^"]*+)*+|`[^`]*+'
_OPERATOR = r"<=|>=|<>|!=|\|\||::|->|=>"
_ANY = rf"{_NAME}|[,()=]|{_LITERAL_RUN}|{_COMMENT}|{_DOLLAR_STRING}|{_OPERATOR}|{_QUOTED_NAME}|{_UNCLOSED_NAME}|."

# Every quantifier is possessive, so no text makes the engine go back over what it has read. The one group makes findall
# leave out the space before a token. A run of literals is one token: a long IN list costs the loop one step.
_TOKEN = re.compile(rf"[{SPACE}]*+({_ANY})", re.DOTALL)
_TAG = re.compile(rf"\${_LETTER}\w*+\$")
_TAGGED_TOKEN = re.compile(
    rf"[{SPACE}]*+(\$(?P<tag>{_LETTER}\w*+)\$.*?(?:\$(?P=tag)\$|\Z)|{_ANY})", re.DOTALL
)  # a back reference needs a second group, which costs findall its speed; such texts are rare

_LITERALS = re.compile(_LITERAL)
_PARTS = re.compile(rf"{_QUOTED}|[^.{SPACE}\"`]++")
_NOT_WORD = re.compile(r"\W")

_THEMSELVES = {word: word for word in (*lex.CODES, *lex.RESERVED, *lex.COMPARISONS)}
_MAX_NAMES = 50_000
_MAX_NAME_CHARS = 500


def tokenise(text: str, most: int) -> list[str]:
    """Split a lower-cased text into tokens; comments are tokens too, the space between tokens is dropped.

    Args:
        text: Any text, in lower case and without :data:`SPACE` at its end.
        most: Tokens after which to stop.

    Returns:
        Names (qualified ones whole), literals (runs of them whole), comments, operators and single characters.
    """
    pattern = _TAGGED_TOKEN if "$" in text and _TAG.search(text) else _TOKEN
    if len(text) > most or pattern is _TAGGED_TOKEN:
        return [match[1] for match in islice(pattern.finditer(text), most)]
    return _TOKEN.findall(text)  # twice as fast, but knows no end


def is_comment(token: str) -> bool:
    """Whether a token is a comment."""
    return token[:2] in ("--", "/*")


def is_unclosed(token: str) -> bool:
    """Whether a token is a string, quoted name or comment that misses its end; only the last one of a text can be."""
    first = token[0]
    if first == "/":
        return token[1:2] == "*" and (len(token) < 4 or token[-2:] != "*/")
    if first == "$" and len(token) > 1:
        tag = token[: token.index("$", 1) + 1]
        return len(token) < 2 * len(tag) or not token.endswith(tag)
    if first in '"`':
        return token.count(first) % 2 == 1
    return (first in "'.0123456789") and token.count("'") % 2 == 1


class Names(dict[str, str]):
    """Token -> normalised token, filled as tokens come, so that a name is normalised once in a batch of texts.

    Keywords and operators are their own normal form. Names lose their quotes and the number or date at their end; a
    quoted name that reads like a keyword keeps its quotes. Literals are collected as they come, and never kept.

    Attributes:
        codes: Normalised token -> code of :mod:`augury.predictors.sql_lexicon`; grows by the qualified names.
        written: Token -> name without quotes and inner space, where that is not the token itself.
        strings: String literals since :meth:`restart`, with their quotes.
        numbers: Count of numeric literals since then.
        sizes: Items of each run of literals, in order.
    """

    def __init__(self) -> None:
        super().__init__(_THEMSELVES)
        self.codes: dict[str, int] = dict(lex.CODES)
        self.written: dict[str, str] = {}
        self._is_full = False  # keeps a very long name, which is to be forgotten with its text
        self.restart()

    def restart(self) -> None:
        """Forget the literals of the previous text, and the names too once they have become many."""
        self.strings: list[str] = []
        self.sizes: list[int] = []
        self.numbers = 0
        if self._is_full or len(self) > _MAX_NAMES:
            self._is_full = False
            self.clear()
            self.update(_THEMSELVES)
            self.written.clear()
            self.codes = dict(lex.CODES)

    def literal_bytes(self) -> int:
        """Bytes of the strings since :meth:`restart` (UTF-8), their quotes left out."""
        text = "".join(self.strings)
        size = len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))
        return max(0, size - 2 * len(self.strings))  # the last one may miss a quote

    def __missing__(self, token: str) -> str:
        if token.isidentifier() and token[-1] not in "0123456789_" and token.isascii():
            normal = token
        else:
            first = token[0]
            if first == "'":
                if token[-1] != "'" or token.count("'") != 2:
                    return self._literals(token)
                self.strings.append(token)
                # Like '2024-01-31... or '20240131'; whether there is such a day is found out later
                if token[5:9:3] == "--" or (len(token) == 10 and "'1900" < token < "'2101" and token[1:9].isdecimal()):
                    return lex.DATE_MARK
                return "?"
            if first in "0123456789":
                if "," in token:
                    return self._literals(token)
                self.numbers += 1
                return lex.DATE_MARK if len(token) == 8 and "1900" < token < "2101" and token.isdecimal() else "?"
            if first in lex.PUNCTUATION:
                if len(token) > 1 and first in ".$":
                    return self._literals(token)
                normal = token
            elif not token.isascii():
                normal = self._compound(token)
            elif token.isidentifier():
                normal = _without_number(token)
            elif token.count(".") == 1 and token.replace(".", "").isidentifier():
                qualifier, _, name = token.partition(".")
                name = _without_number(name)
                normal = f"{_without_number(qualifier)}.{name}"
                self.codes[normal] = lex.PARTITION if name in lex.PARTITION_COLUMNS else lex.DOTTED
            else:
                normal = self._compound(token)
        if len(token) > _MAX_NAME_CHARS:
            self._is_full = True
        self[token] = normal
        return normal

    def _literals(self, token: str) -> str:
        """A run of literals, or one of a kind that is rare."""
        if token[0] == "$":
            self.strings.append(token)
            return "?"
        if "'" in token:
            literals = _LITERALS.findall(token)
            strings = [literal for literal in literals if literal[0] == "'"]
            items = len(literals)
            self.strings += strings
            self.numbers += items - len(strings)
        else:
            items = token.count(",") + 1
            self.numbers += items
        if items == 1:
            return "?"
        self.sizes.append(items)
        return lex.LIST_MARK

    def _compound(self, token: str) -> str:
        """Normalise a name that is qualified, quoted, not ASCII, or has a dollar sign."""
        written, normal = [], []
        for part in _PARTS.findall(token[:_MAX_NAME_CHARS]):
            content = part[1:-1].replace('""', '"') if part[0] in '"`' else part
            if not content.isascii():
                # A lone surrogate could not be stored in any file
                content = content.encode("utf-8", "replace").decode("utf-8")
            written.append(content.replace(".", "_") or "_")
            word = _NOT_WORD.sub("_", content) or "_"
            # Alone, a quoted keyword is a name only as long as its quotes are on
            keep = part[0] in '"`' and (content in lex.RESERVED or lex.CODES.get(content, lex.DOTTED) < lex.DOTTED)
            normal.append(f'"{word}"' if keep else _without_number(word))
        if not written:
            return '"'
        name = ".".join(written[-3:])
        if name != token:
            self.written[token] = name
        joined = ".".join(normal)
        if len(normal) > 1:
            self.codes[joined] = lex.PARTITION if normal[-1] in lex.PARTITION_COLUMNS else lex.DOTTED
        return joined


def _without_number(name: str) -> str:
    """The name with the digits and underscores at its end as one ``#``, if there is a digit among them."""
    if name[-1] not in "0123456789_":
        return name
    stem = name.rstrip("0123456789_")
    return f"{stem}#" if name[len(stem) :].strip("_") else name
