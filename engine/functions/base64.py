"""Base64 (spec/text-and-numbers.md, section 9)."""

from __future__ import annotations

import base64
import re
from typing import TYPE_CHECKING

from engine.errors import OperationError, ValueFailed
from engine.functions.registry import function
from engine.limits import MAX_TEXT_BYTES
from engine.values.as_bytes import as_bytes

if TYPE_CHECKING:
    from engine.context import Context
    from engine.values.mpdata import Mpdata

__all__: list[str] = []

_is_base64 = re.compile(rb"[A-Za-z0-9+/]*={0,2}\Z").match
_URL_SAFE = bytes.maketrans(b"-_", b"+/")


@function(
    "base64_encode", "value: str|bytes|mpdata", doc="Bytes as text in base64.", example="base64_encode('any text')"
)
def base64_encode(ctx: Context, value: str | bytes | Mpdata) -> str:
    data = as_bytes(value)
    if len(data) > MAX_TEXT_BYTES // 4 * 3:
        raise OperationError(f"a text can be at most {MAX_TEXT_BYTES} bytes long")
    return base64.b64encode(data).decode()


@function(
    "base64_decode",
    "value: str|bytes|mpdata",
    doc="The bytes of a text in base64, with either alphabet and with or without padding.",
    example="base64_decode('aGVsbG8')",
)
def base64_decode(ctx: Context, value: str | bytes | Mpdata) -> bytes:
    data = as_bytes(value).translate(_URL_SAFE)
    digits = data.rstrip(b"=")
    if _is_base64(data) is None or len(digits) % 4 == 1:
        raise ValueFailed("base64_decode() takes base64: letters, digits, + and / (or - and _), with = only at the end")
    return base64.b64decode(digits + b"=" * (-len(digits) % 4))
