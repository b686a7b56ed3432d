"""Values as bytes: `bytes()` (spec/text-and-numbers.md, sections 2 and 9)."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from engine.errors import TypeFailed
from engine.functions.registry import type_name
from engine.values.text import encoded

if TYPE_CHECKING:
    from engine.values.thing import Value

__all__ = ["BYTES", "as_bytes"]

BYTES: dict[type, Callable[[Any], bytes]] = {str: encoded, bytes: bytes}
"""How a value of each class becomes bytes; classes that are not here don't."""


def as_bytes(value: Value) -> bytes:
    """The value as `bytes()` gives it; TypeError for values that can't be bytes."""
    convert = BYTES.get(type(value))
    if convert is None:
        raise TypeFailed(f"{type_name(value)} can't be converted to bytes")
    return convert(value)
