"""Values as JSON text, and JSON text as values (docs/protocol.md, "Values in JSON").

JSON has less than our values have. Bytes become base64 text; ints beyond ±(2^53 - 1), which a browser would round,
become decimal text; the floats that are no numbers become "NaN", "Infinity" and "-Infinity"; bytes in text that are no
UTF-8 become U+FFFD; a new instance of a type is spelled out by field name.
"""

from __future__ import annotations

import json
import re
from base64 import b64encode
from math import isfinite
from typing import Any

from engine import engine as _engine  # noqa: F401  (registers every kind of value, which `wire` looks up)
from engine.encoding import wire
from engine.errors import EngineError, ResultTooLarge
from server.contracts import Tree

__all__ = ["decode", "encode"]

MAX_SAFE_INT = 2**53 - 1

_long_int = re.compile(r"(?<![\d.eE+])\d{16,}(?![\d.])")
"""Finds each int that may be beyond the safe ones; also digits in text, which costs only the slower way."""


def leaf(value: Any) -> Tree:
    """What the encoder does not know: bytes, and the engine's leaves."""
    if isinstance(value, bytes):
        return b64encode(value).decode("ascii")
    return wire(value)


_fast = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"), check_circular=False, default=leaf)


def encode(tree: Tree) -> str:
    """The tree as JSON text that is valid UTF-8. Raises ResultTooLarge for one that is nested too deep.

    Most trees hold nothing that JSON lacks. So the encoder in C goes first, and a look at its text tells whether the
    tree must be translated.
    """
    try:
        text = _fast.encode(tree)
    except ValueError:  # a float that is no number
        return _encode_translated(tree)
    except RecursionError:
        raise _too_deep() from None
    if '{".":' in text or (len(text) > 15 and _long_int.search(text)):
        return _encode_translated(tree)
    return text if text.isascii() else _valid(text)


def _encode_translated(tree: Tree) -> str:
    try:
        return _valid(_fast.encode(_translated(tree)))
    except RecursionError:
        raise _too_deep() from None


def _too_deep() -> EngineError:
    return ResultTooLarge("the value is nested too deep to be written as JSON")


def _valid(text: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    return text


def _translated(tree: Tree) -> Tree:
    if isinstance(tree, dict):
        names = getattr(tree, "names", None)
        if names is not None:  # {".": type id, "#": id, "": [values in field order]}
            fields = zip(names, tree[""], strict=True)
            return {"#": tree["#"]} | {name: _translated(value) for name, value in fields}
        return {key: _translated(value) for key, value in tree.items()}
    if isinstance(tree, list | tuple):
        return [_translated(item) for item in tree]
    if isinstance(tree, bool):
        return tree
    if isinstance(tree, int):
        return tree if -MAX_SAFE_INT <= tree <= MAX_SAFE_INT else str(tree)
    if isinstance(tree, float) and not isfinite(tree):
        return "NaN" if tree != tree else "Infinity" if tree > 0 else "-Infinity"
    return tree


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON")


_decoder = json.JSONDecoder(parse_constant=_no_constant)


def decode(text: str) -> Any:
    """The value of a JSON text. Raises ValueError for what is no JSON, holds half of a surrogate pair, or is nested
    too deep."""
    try:
        value = _decoder.decode(text)
        if "\\ud" in text or "\\uD" in text:
            # Only an escape can bring in a surrogate without its partner, which is no character.
            json.dumps(value, ensure_ascii=False).encode()
    except RecursionError:
        raise ValueError("nested too deep") from None
    except UnicodeEncodeError:
        raise ValueError("a surrogate without its partner") from None
    return value
