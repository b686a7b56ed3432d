"""The operators (spec/language.md, section 4): what generated code calls for `a + b`, `a[i]` and the like."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NoReturn

from engine.errors import OperationError, OverflowFailed, TypeFailed, ZeroDivisionFailed
from engine.functions.registry import type_name
from engine.limits import INT_MAX, INT_MIN, MAX_TEXT_BYTES
from engine.values.equality import equal
from engine.values.set import Set
from engine.values.text import encoded, joined

if TYPE_CHECKING:
    from engine.values.thing import Value

__all__ = ["BINARY", "ORDERED", "UNARY", "as_int", "integer", "less", "less_equal"]

NUMBERS = frozenset({int, float, bool})
INTEGERS = frozenset({int, bool})
TEXTS = frozenset({str, bytes})

ORDERED: dict[type, tuple[frozenset[type], Callable[[Any], Any]]] = {}
"""Other classes that `<` orders: the classes it is ordered with, and the key to compare."""


def integer(value: int) -> int:
    """The int, or OverflowError outside 64 bits."""
    if INT_MIN <= value <= INT_MAX:
        return value
    raise OverflowFailed("the result does not fit into a 64-bit int")


def _floating(value: float) -> float:
    return value + 0.0  # a negative zero becomes zero


def as_int(value: float) -> int:
    """A number cut towards zero; OverflowError when it is nan, infinite or outside 64 bits."""
    if type(value) is float:
        if not math.isfinite(value):
            raise OverflowFailed(f"{value} can't be an int")
        return integer(int(value))
    return int(value)


def unsupported(operator: str, left: Value, right: Value) -> NoReturn:
    raise TypeFailed(f"the operator {operator} is not defined for {type_name(left)} and {type_name(right)}")


def add(left: Value, right: Value) -> Value:
    kind, other = type(left), type(right)
    if kind is int and other is int:
        result = left + right
        return result if INT_MIN <= result <= INT_MAX else integer(result)
    if kind in NUMBERS and other in NUMBERS:
        return _floating(left + right) if kind is float or other is float else integer(left + right)
    if kind is str and other is str:
        return joined(left + right)
    if kind in TEXTS and other in TEXTS:
        whole = (encoded(left) if kind is str else left) + (encoded(right) if other is str else right)
        if len(whole) > MAX_TEXT_BYTES:
            raise OperationError(f"bytes can be at most {MAX_TEXT_BYTES} long")
        return whole
    unsupported("+", left, right)


def subtract(left: Value, right: Value) -> Value:
    kind, other = type(left), type(right)
    if kind is int and other is int:
        result = left - right
        return result if INT_MIN <= result <= INT_MAX else integer(result)
    if kind in NUMBERS and other in NUMBERS:
        return _floating(left - right) if kind is float or other is float else integer(left - right)
    if kind is Set and other is Set:
        return Set(thing for thing in left.items if thing not in right.items)
    unsupported("-", left, right)


def multiply(left: Value, right: Value) -> Value:
    kind, other = type(left), type(right)
    if kind is int and other is int:
        result = left * right
        return result if INT_MIN <= result <= INT_MAX else integer(result)
    if kind in NUMBERS and other in NUMBERS:
        return _floating(left * right) if kind is float or other is float else integer(left * right)
    unsupported("*", left, right)


def divide(left: Value, right: Value) -> Value:
    kind, other = type(left), type(right)
    if kind not in NUMBERS or other not in NUMBERS:
        unsupported("/", left, right)
    if right == 0:
        raise ZeroDivisionFailed("division by zero")
    if kind is float or other is float:
        return _floating(left / right)
    quotient = abs(left) // abs(right)
    return integer(quotient if (left < 0) == (right < 0) else -quotient)


def modulo(left: Value, right: Value) -> Value:
    kind, other = type(left), type(right)
    if kind not in NUMBERS or other not in NUMBERS:
        unsupported("%", left, right)
    dividend, divisor = as_int(left), as_int(right)
    if divisor == 0:
        raise ZeroDivisionFailed("modulo by zero: the right side is zero once cut to an int")
    remainder = abs(dividend) % abs(divisor)
    return -remainder if dividend < 0 else remainder


def shift_left(left: Value, right: Value) -> Value:
    if type(left) not in INTEGERS or type(right) not in INTEGERS:
        unsupported("<<", left, right)
    bits = (int(left) << (right & 63)) & 0xFFFF_FFFF_FFFF_FFFF
    return bits - 2**64 if bits > INT_MAX else bits


def shift_right(left: Value, right: Value) -> Value:
    if type(left) not in INTEGERS or type(right) not in INTEGERS:
        unsupported(">>", left, right)
    return int(left) >> (right & 63)


def bit_and(left: Value, right: Value) -> Value:
    kind, other = type(left), type(right)
    if kind in INTEGERS and other in INTEGERS:
        return int(left & right)
    if kind is Set and other is Set:
        return Set(thing for thing in left.items if thing in right.items)
    unsupported("&", left, right)


def bit_xor(left: Value, right: Value) -> Value:
    kind, other = type(left), type(right)
    if kind in INTEGERS and other in INTEGERS:
        return int(left ^ right)
    if kind is Set and other is Set:
        only_left = [thing for thing in left.items if thing not in right.items]
        return Set(only_left + [thing for thing in right.items if thing not in left.items])
    unsupported("^", left, right)


def bit_or(left: Value, right: Value) -> Value:
    kind, other = type(left), type(right)
    if kind in INTEGERS and other in INTEGERS:
        return int(left | right)
    if kind is Set and other is Set:
        return Set([*left.items, *right.items])
    unsupported("|", left, right)


def not_equal(left: Value, right: Value) -> bool:
    return not equal(left, right)


def less(left: Value, right: Value, operator: str = "<") -> bool:
    kind, other = type(left), type(right)
    if kind is int and other is int:
        return left < right  # type: ignore[no-any-return]
    if kind in NUMBERS and other in NUMBERS:
        return (float(left) < float(right)) if kind is float or other is float else left < right
    if kind in TEXTS and other in TEXTS:
        if kind is other and (kind is bytes or (left.isascii() and right.isascii())):
            return left < right  # type: ignore[no-any-return]
        return (encoded(left) if kind is str else left) < (encoded(right) if other is str else right)
    if kind is Set and other is Set:
        return left.items.keys() < right.items.keys()  # type: ignore[no-any-return]
    order = ORDERED.get(kind)
    if order is not None and other in order[0]:
        return order[1](left) < order[1](right)  # type: ignore[no-any-return]
    unsupported(operator, left, right)


def less_equal(left: Value, right: Value, operator: str = "<=") -> bool:
    kind, other = type(left), type(right)
    if kind is int and other is int:
        return left <= right  # type: ignore[no-any-return]
    if kind in NUMBERS and other in NUMBERS:
        return (float(left) <= float(right)) if kind is float or other is float else left <= right
    if kind in TEXTS and other in TEXTS:
        if kind is other and (kind is bytes or (left.isascii() and right.isascii())):
            return left <= right  # type: ignore[no-any-return]
        return (encoded(left) if kind is str else left) <= (encoded(right) if other is str else right)
    if kind is Set and other is Set:
        return left.items.keys() <= right.items.keys()  # type: ignore[no-any-return]
    order = ORDERED.get(kind)
    if order is not None and other in order[0]:
        return order[1](left) <= order[1](right)  # type: ignore[no-any-return]
    unsupported(operator, left, right)


def greater(left: Value, right: Value) -> bool:
    if type(left) is int and type(right) is int:
        return left > right
    return less(right, left, ">")


def greater_equal(left: Value, right: Value) -> bool:
    if type(left) is int and type(right) is int:
        return left >= right
    return less_equal(right, left, ">=")


def plus(operand: Value) -> Value:
    if type(operand) in NUMBERS:
        return +operand
    raise TypeFailed(f"the prefix + is not defined for {type_name(operand)}")


def minus(operand: Value) -> Value:
    kind = type(operand)
    if kind is float:
        return _floating(-operand)
    if kind in INTEGERS:
        return integer(-operand)
    raise TypeFailed(f"the prefix - is not defined for {type_name(operand)}")


def invert(operand: Value) -> Value:
    if type(operand) in INTEGERS:
        return ~int(operand)
    raise TypeFailed(f"the prefix ~ is not defined for {type_name(operand)}")


BINARY: dict[str, Callable[[Value, Value], Value]] = {
    "+": add,
    "-": subtract,
    "*": multiply,
    "/": divide,
    "%": modulo,
    "<<": shift_left,
    ">>": shift_right,
    "&": bit_and,
    "^": bit_xor,
    "|": bit_or,
    "==": equal,
    "!=": not_equal,
    "<": less,
    "<=": less_equal,
    ">": greater,
    ">=": greater_equal,
}

UNARY: dict[str, Callable[[Value], Value]] = {"+": plus, "-": minus, "~": invert}
