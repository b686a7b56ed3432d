"""Values as text: `str()`, templates and `log()` (spec/text-and-numbers.md, sections 2 and 5)."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from engine.errors import TypeFailed, ValueFailed
from engine.functions.registry import type_name
from engine.values.closure import Closure
from engine.values.error import Error
from engine.values.thing import Instance, Thing

if TYPE_CHECKING:
    from engine.values.thing import Value

__all__ = ["TEXT", "as_text", "float_text"]

TEXT: dict[type, Callable[[Any], str]] = {}
"""How a value of each class becomes text; classes that are not here don't."""


def as_text(value: Value) -> str:
    """The value as `str()` gives it; TypeError for values that have no text."""
    convert = TEXT.get(type(value))
    if convert is None:
        raise TypeFailed(f"{type_name(value)} can't be converted to str")
    return convert(value)


def float_text(value: float) -> str:
    """Six significant digits, as C's `%g`."""
    if math.isnan(value):
        return "nan"
    return f"{value + 0.0:g}"


def _from_bytes(value: bytes) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError:
        raise ValueFailed("the bytes are no valid UTF-8") from None


TEXT[str] = str
TEXT[bytes] = _from_bytes
TEXT[int] = str
TEXT[float] = float_text
TEXT[type(None)] = lambda value: "nil"
TEXT[bool] = lambda value: "true" if value else "false"
TEXT[Error] = lambda value: value.message
TEXT[Closure] = lambda value: value.code.pretty
TEXT[Thing] = lambda value: f"thing:{value.id or 'nil'}"
TEXT[Instance] = lambda value: f"{value.kind.name}:{value.id or 'nil'}"
