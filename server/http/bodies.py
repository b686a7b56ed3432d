"""The bodies of API requests and replies, in JSON and MessagePack; no sockets.

The JSON of this API is stricter than that of JSON-RPC: what JSON lacks is an error, not translated, and all ints stand
as they are (specification, page on administration and protocol, section 7).
"""

from __future__ import annotations

import json
import re
from typing import Any

from engine.encoding import wire
from engine.errors import BadDataError, EngineError, ResultTooLarge, TypeFailed
from server.contracts import Tree
from server.forms import pack
from server.packages import value_of

__all__ = ["JSON", "MSGPACK", "Malformed", "decode", "encode", "media_type"]

JSON = "application/json"
MSGPACK = "application/msgpack"

_TYPES = {JSON: JSON, "text/json": JSON, MSGPACK: MSGPACK, "application/x-msgpack": MSGPACK}


def media_type(header: str | None) -> str | None:
    """`JSON` or `MSGPACK`; None for a Content-Type that is neither, or says more."""
    return _TYPES.get((header or "").lower())


class Malformed(ValueError):
    """The text is no JSON, or holds a number that does not fit."""


# --- requests --------------------------------------------------------------------------------------------------------


def _integer(text: str) -> int:
    value = int(text) if len(text) < 21 else 1 << 64
    if not -(1 << 63) <= value < 1 << 63:
        raise Malformed("an int beyond 64 bits")
    return value


def _fraction(text: str) -> float:
    value = float(text)
    if value in (float("inf"), float("-inf")):
        raise Malformed("a number that is too large")
    return value


def _constant(name: str) -> Any:
    raise Malformed(f"{name} is no JSON")


_decoder = json.JSONDecoder(parse_int=_integer, parse_float=_fraction, parse_constant=_constant)

_cut_end = re.compile(r"(-|t|tr|tru|f|fa|fal|fals|n|nu|nul|\.|[eE][+-]?)\Z")
"""What may be left when the text ends within a word, or after a number that was about to go on."""


def decode(media: str, body: bytes) -> Any:
    """The value of a body. Raises Malformed for what can't become JSON, and EngineError for the rest: a body that is
    empty or cut off, and what is no MessagePack."""
    if not body:
        raise BadDataError("the request has no body")
    return _decode_json(body) if media == JSON else _decode_msgpack(body)


def _decode_json(body: bytes) -> Any:
    try:
        text = body.decode()
    except UnicodeDecodeError as error:
        if error.reason == "unexpected end of data":
            raise BadDataError("the JSON of the body is cut off") from None
        raise Malformed("no UTF-8") from None
    try:
        value = _decoder.decode(text)
        if "\\ud" in text or "\\uD" in text:
            # Only an escape can bring in a surrogate without its partner, which is no character.
            json.dumps(value, ensure_ascii=False).encode()
    except json.JSONDecodeError as error:
        if _is_cut_off(error, text[error.pos :]):
            raise BadDataError("the JSON of the body is cut off") from None
        raise Malformed(error.msg) from None
    except RecursionError:
        raise Malformed("nested too deep") from None
    except UnicodeEncodeError:
        raise Malformed("a surrogate without its partner") from None
    return value


def _is_cut_off(error: json.JSONDecodeError, left: str) -> bool:
    """Whether the text could go on, given what is left of it at the error."""
    return (
        not left.strip()
        or error.msg.startswith("Unterminated")
        or (error.msg.startswith("Invalid \\u") and len(left) < 6)
        or _cut_end.match(left) is not None
    )


def _decode_msgpack(body: bytes) -> Any:
    try:
        return value_of(body)
    except EngineError:
        raise
    except TypeError:
        raise TypeFailed("a map's keys must be str") from None
    except Exception:
        raise BadDataError("the body is no complete MessagePack") from None


# --- replies ---------------------------------------------------------------------------------------------------------


def _leaf(value: Any) -> Tree:
    if isinstance(value, bytes):
        raise TypeFailed("JSON has no form for bytes; ask in MessagePack, or for base64_encode(…)")
    return wire(value)


_encoder = json.JSONEncoder(
    ensure_ascii=False, allow_nan=False, separators=(",", ":"), check_circular=False, default=_leaf
)


def encode(media: str, tree: Tree) -> bytes:
    """A result as a body. Raises TypeFailed for what JSON lacks and ResultTooLarge for what is nested too deep."""
    if media == MSGPACK:
        return pack(tree)
    try:
        text = _encoder.encode(tree)
    except ValueError:
        raise TypeFailed("JSON has no form for nan and inf; ask in MessagePack, or for str(…)") from None
    except RecursionError:
        raise ResultTooLarge("the value is nested too deep to be written as JSON") from None
    try:
        return text.encode()
    except UnicodeEncodeError:
        # Bytes in text that are no UTF-8, each replaced by U+FFFD, as in JSON-RPC.
        return text.encode("utf-8", "surrogateescape").decode("utf-8", "replace").encode()
