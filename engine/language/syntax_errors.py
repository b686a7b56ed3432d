"""What is wrong with a text that does not parse, in one line for whoever wrote it.

Names the line and the column (both from 1, the column in characters), what stands there and what would have fitted.
"""

from __future__ import annotations

import re
from typing import Final

from lark.exceptions import UnexpectedInput, UnexpectedToken

__all__ = ["explain", "line_and_column", "shorten", "skip_blanks"]

_BLANKS = re.compile(r"(?:[ \t\n\x0b\f\r]|//[^\n]*|/\*(?s:.*?)\*/)*+")


def skip_blanks(text: str, offset: int) -> int:
    """Where the blanks and comments that begin at `offset` end."""
    return _BLANKS.match(text, offset).end()  # type: ignore[union-attr]


_FOUND = re.compile(r"[+-]?[0-9][0-9A-Za-z_.]*|[A-Za-z_][0-9A-Za-z_]*|\|\||&&|[=!<>]=|<<|>>|\.\.|(?s:.)")

# What the parser may have been waiting for, in the order in which a message names it. The first of the names in a row
# that is expected stands for all of them.
_EXPECTED: Final = (
    ("NUMBER", "a value"),
    ("NAME", "a name"),
    ("OPERATOR", "an operator"),
    ("IN", "'in'"),
    ("COLON", "':'"),
    ("COMMA", "','"),
    ("SEPARATOR", "';'"),
    ("BAR", "'|'"),
    ("RPAR", "')'"),
    ("RSQB", "']'"),
    ("RBRACE", "'}'"),
    ("BACKQUOTE", "'`'"),
    ("LPAR", "'('"),
    ("$END", "the end"),
)


def line_and_column(text: str, offset: int) -> str:
    """An offset into a text for a reader: `line 3, column 7`."""
    return f"line {text.count(chr(10), 0, offset) + 1}, column {offset - text.rfind(chr(10), 0, offset)}"


def shorten(found: str) -> str:
    """A piece of a text in quotes, cut where it is long."""
    return repr(found if len(found) <= 32 else found[:31] + "…")


def explain(text: str, unexpected: UnexpectedInput) -> str:
    """What is wrong with a text, in one line for whoever wrote it."""
    offset = unexpected.pos_in_stream
    if (isinstance(unexpected, UnexpectedToken) and unexpected.token.type == "$END") or offset is None:
        offset = len(text)
    offset = skip_blanks(text, offset)
    where = line_and_column(text, offset)
    rest = text[offset : offset + 300]
    if rest.startswith("/*") or (rest[:1] == "*" and text[offset - 1 : offset] == "/"):
        where = line_and_column(text, offset - (rest[0] == "*"))
        return f"{where}: a comment begins here and has no '*/'"
    accepted = unexpected.interactive_parser.accepts()  # type: ignore[no-untyped-call]
    value_fits = "NUMBER" in accepted
    if value_fits and rest[:1] in ("'", '"'):
        return f"{where}: a string begins here and has no closing {rest[0]}"
    if "TEMPLATE_TEXT" in accepted:
        if not rest:
            return f"{where}: a template has no closing '`'"
        return f"{where}: found {rest[0]!r} alone in a template, where a brace that is text is written twice"
    if value_fits and rest[:1] == "/":
        return f"{where}: a regular expression begins here and has no closing '/' on its line"
    found = _FOUND.match(rest)
    if found is None:
        what = "the end"
    else:
        what = shorten(found[0])
        if (value_fits or "NAME" in accepted) and re.match("[A-Za-z_]", what[1:]) and len(found[0]) > 255:
            return f"{where}: the name {what} is longer than 255 bytes"
        if value_fits and re.match("[+-]?[0-9]", found[0]):
            return f"{where}: {what} is no number, and no name can begin with a digit"
    expected = [words for terminal, words in _EXPECTED if terminal in accepted and words != what]
    if value_fits:
        expected = [words for words in expected if words not in ("a name", "'in'", "'|'", "'`'", "'('")]
    elif "NAME" in accepted:
        expected = [words for words in expected if words != "'in'"]
    elif "OPERATOR" in accepted:
        expected = [words for words in expected if words != "'('"]
    listed = ", ".join(expected[:-1]) + " or " + expected[-1] if len(expected) > 1 else "".join(expected)
    return f"{where}: found {what} where {listed} was expected"
