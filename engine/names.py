"""The name rule and the words that can't be names of types and enums (spec/language.md, sections 2 and 6)."""

from __future__ import annotations

import re

from engine.errors import ValueFailed

__all__ = ["RESERVED_KEYS", "RESERVED_TYPE_NAMES", "check_key", "check_name", "is_name"]

_matches_name = re.compile(r"[A-Za-z_][0-9A-Za-z_]{0,254}\Z", re.ASCII).match

RESERVED_KEYS = frozenset(chr(code) for code in range(0x20, 0x30))
"""Keys that no property may have: the wire uses them to mark values."""

RESERVED_TYPE_NAMES = frozenset(
    [
        "nil",
        "true",
        "false",
        "if",
        "else",
        "for",
        "in",
        "return",
        "break",
        "continue",
        "bool",
        "int",
        "uint",
        "pint",
        "nint",
        "float",
        "number",
        "str",
        "utf8",
        "raw",
        "bytes",
        "email",
        "url",
        "tel",
        "regex",
        "list",
        "tuple",
        "set",
        "thing",
        "any",
        "ano",
        "type",
        "typed",
        "enum",
        "closure",
        "error",
        "room",
        "task",
        "future",
        "module",
        "mpdata",
        "datetime",
        "timeval",
        "big",
        "catch",
        "date",
        "final",
        "interface",
        "time",
        "timedelta",
        "trait",
        "try",
        "union",
    ]
)

_known: set[str] = set()


def is_name(text: str) -> bool:
    """Is it a name: an ASCII letter or underscore, then up to 254 ASCII letters, digits and underscores?"""
    if text in _known:
        return True
    if _matches_name(text) is None:
        return False
    if len(_known) < 65_536:
        _known.add(text)
    return True


def check_name(text: str, owner: str) -> None:
    """ValueError unless the text is a name; `owner` says what it is to be the name of, such as `a room`."""
    if not is_name(text):
        raise ValueFailed(f"{owner} can't have the name {text[:80]!r}: it must follow the name rule")


def check_key(key: str) -> None:
    """ValueError unless a property can have the key: any that is valid UTF-8 and not reserved."""
    if key in RESERVED_KEYS:
        raise ValueFailed(f"{key!r} is reserved: no property can have that name")
    if not key.isascii():
        try:
            key.encode()
        except UnicodeEncodeError:
            raise ValueFailed("the name of a property must be valid UTF-8") from None
