"""Numbers: the only method that one of them has, and how values become numbers (spec/text-and-numbers.md, sections 2 to
4)."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from engine.errors import OverflowFailed, TypeFailed
from engine.functions.registry import method, type_name
from engine.limits import INT_MAX, INT_MIN
from engine.values.error import Error

if TYPE_CHECKING:
    from engine.context import Context
    from engine.values.thing import Value

__all__ = ["FLOAT", "INT", "as_float", "as_int", "float_of_text", "int_of_float", "int_of_text"]

INT: dict[type, Callable[[Any], int]] = {}
"""How a value of each class becomes an int; classes that are not here don't."""

FLOAT: dict[type, Callable[[Any], float]] = {}
"""How a value of each class becomes a float; classes that are not here don't."""


def as_int(value: Value) -> int:
    """The value as `int()` gives it; TypeError for values that can't be one, OverflowError outside 64 bits."""
    convert = INT.get(type(value))
    if convert is None:
        raise TypeFailed(f"{type_name(value)} can't be converted to int")
    return convert(value)


def as_float(value: Value) -> float:
    """The value as `float()` gives it; TypeError for values that can't be one."""
    convert = FLOAT.get(type(value))
    if convert is None:
        raise TypeFailed(f"{type_name(value)} can't be converted to float")
    return convert(value)


def int_of_float(value: float) -> int:
    """The float cut towards zero; OverflowError when it is nan, infinite or outside 64 bits."""
    if -9223372036854775808.0 <= value < 9223372036854775808.0:
        return int(value)
    raise OverflowFailed(f"{value:g} can't be an int: it does not fit into 64 bits")


_match_int = re.compile(r"[ \t\n\v\f\r]*([+-]?)(?:0[xX]0*([0-9a-fA-F]+)|0+([0-7]*)|([1-9][0-9]*))").match


def int_of_text(text: str) -> int:
    """The int that a text begins with, after white space: 0 when there is none. `0x` means base 16, another leading 0
    base 8. OverflowError outside 64 bits."""
    if text.isdigit() and text.isascii() and text[0] != "0" and len(text) < 19:
        return int(text)
    found = _match_int(text)
    if found is None:
        return 0
    sign, hexadecimal, octal, decimal = found.groups()
    digits = hexadecimal or octal or decimal or "0"
    if len(digits) <= 22:  # no 64-bit int has more
        value = int(digits, 16 if hexadecimal else 8 if octal else 10)
        if sign == "-":
            value = -value
        if INT_MIN <= value <= INT_MAX:
            return value
    raise OverflowFailed(f"{found[0][:40].strip()} can't be an int: it does not fit into 64 bits")


_match_float = re.compile(
    r"""[ \t\n\v\f\r]*
    (?: ([+-]?0x(?:[0-9a-f]+\.?[0-9a-f]*|\.[0-9a-f]+)(?:p[+-]?[0-9]+)?)
      | ([+-]?(?:(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:e[+-]?[0-9]+)?|inf|nan)) )""",
    re.ASCII | re.IGNORECASE | re.VERBOSE,
).match


_DIGITS = frozenset("0123456789")


def float_of_text(text: str) -> float:
    """The float that a text begins with, after white space: 0.0 when there is none."""
    if text[:1] in _DIGITS and text.isascii() and "_" not in text:
        try:
            return float(text)
        except ValueError:
            pass  # more follows the number
    found = _match_float(text)
    if found is None:
        return 0.0
    hexadecimal, decimal = found.groups()
    if decimal:
        return float(decimal) + 0.0
    try:
        return float.fromhex(hexadecimal) + 0.0
    except OverflowError:
        return -math.inf if hexadecimal[0] == "-" else math.inf


INT[int] = FLOAT[float] = lambda value: value
INT[bool] = int
INT[float] = int_of_float
INT[str] = int_of_text
FLOAT[int] = FLOAT[bool] = float
FLOAT[str] = float_of_text
INT[Error] = lambda value: value.code
FLOAT[Error] = lambda value: float(value.code)


@method("int", "bit_count", doc="The number of one bits of the absolute value.", example="(255).bit_count()")
def bit_count(ctx: Context, value: int) -> int:
    return value.bit_count()
