"""Strings are sequences of bytes (spec/text-and-numbers.md, section 8).

A str of the language is a Python `str`; bytes that are no UTF-8 are carried as surrogate escapes. ASCII text, which is
most of it, counts and cuts the same in both.
"""

from __future__ import annotations

from engine.errors import OperationError
from engine.limits import MAX_TEXT_BYTES

__all__ = ["byte_length", "decoded", "encoded", "is_utf8", "joined"]


def encoded(text: str) -> bytes:
    """The bytes of a str."""
    return text.encode("utf-8", "surrogateescape")


def decoded(data: bytes) -> str:
    """The str with those bytes."""
    return data.decode("utf-8", "surrogateescape")


def byte_length(text: str) -> int:
    return len(text) if text.isascii() else len(encoded(text))


def joined(text: str) -> str:
    """Text made by joining strs: halves of a character that meet become that character again.

    OperationError when it is larger than a text may be.
    """
    if len(text) > MAX_TEXT_BYTES:
        raise OperationError(f"a text can be at most {MAX_TEXT_BYTES} bytes long")
    if text.isascii():
        return text
    try:
        text.encode()
    except UnicodeEncodeError:
        return decoded(encoded(text))
    return text


def is_utf8(text: str) -> bool:
    """Is it valid UTF-8?"""
    if text.isascii():
        return True
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
