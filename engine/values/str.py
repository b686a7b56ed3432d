"""The methods of strings, but for `split` and `replace` (spec/text-and-numbers.md, section 8).

A text that is valid UTF-8 is found in another one as characters just as it is as bytes; only halves of characters need
the bytes themselves.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.functions.registry import method
from engine.values.text import byte_length, decoded, encoded, is_utf8

if TYPE_CHECKING:
    from engine.context import Context

__all__ = ["WHITE_SPACE"]

WHITE_SPACE = " \t\n\v\f\r"


@method("str|bytes", "len", doc="The number of bytes.", example="'house'.len()")
def length(ctx: Context, text: str | bytes) -> int:
    return len(text) if type(text) is bytes else byte_length(text)  # type: ignore[arg-type]


@method("str", "upper", doc="The text with a to z as capital letters.", example="'Hello'.upper()")
def upper(ctx: Context, text: str) -> str:
    return text.upper() if text.isascii() else decoded(encoded(text).upper())


@method("str", "lower", doc="The text with A to Z as small letters.", example="'Hello'.lower()")
def lower(ctx: Context, text: str) -> str:
    return text.lower() if text.isascii() else decoded(encoded(text).lower())


@method("str", "contains", "part: str", doc="Is a text part of the text?", example="'breakfast'.contains('fast')")
def contains(ctx: Context, text: str, part: str) -> bool:
    return part in text if is_utf8(part) else encoded(part) in encoded(text)


@method(
    "str", "starts_with", "start: str", doc="Does the text start with a text?", example="'breakfast'.starts_with('br')"
)
def starts_with(ctx: Context, text: str, start: str) -> bool:
    return text.startswith(start) if is_utf8(start) else encoded(text).startswith(encoded(start))


@method("str", "ends_with", "end: str", doc="Does the text end with a text?", example="'breakfast'.ends_with('fast')")
def ends_with(ctx: Context, text: str, end: str) -> bool:
    return text.endswith(end) if is_utf8(end) else encoded(text).endswith(encoded(end))


@method("str", "trim", doc="The text without white space at both ends.", example="'  hello '.trim()")
def trim(ctx: Context, text: str) -> str:
    return text.strip(WHITE_SPACE)


@method("str", "trim_left", doc="The text without white space at its start.", example="'  hello '.trim_left()")
def trim_left(ctx: Context, text: str) -> str:
    return text.lstrip(WHITE_SPACE)


@method("str", "trim_right", doc="The text without white space at its end.", example="'  hello '.trim_right()")
def trim_right(ctx: Context, text: str) -> str:
    return text.rstrip(WHITE_SPACE)


# --- early names (spec/early-api.md, section 6) ----------------------------------------------------------------------

method(
    "str",
    "startswith",
    "start: str",
    alias=True,
    doc="An early name of starts_with().",
    example="'breakfast'.startswith('br')",
)(starts_with)
method(
    "str",
    "endswith",
    "end: str",
    alias=True,
    doc="An early name of ends_with().",
    example="'breakfast'.endswith('fast')",
)(ends_with)
