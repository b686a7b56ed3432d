"""`==` of the language (spec/language.md, sections 4 and 5)."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from engine.values.error import Error
from engine.values.list import List
from engine.values.set import Set
from engine.values.storing import SCALARS

if TYPE_CHECKING:
    from engine.values.thing import Value

__all__ = ["EQUAL", "equal"]

_NUMBERS = frozenset({int, float, bool})

EQUAL: dict[type, Callable[[Any, Any], bool]] = {}
"""How values of a class compare with another value, for classes that don't compare by identity."""


def equal(left: Value, right: Value) -> bool:
    """Are the two equal? Never raises."""
    kind, other = type(left), type(right)
    if kind in SCALARS:
        if kind is other:
            return left == right  # type: ignore[no-any-return]
        if kind in _NUMBERS:
            if other not in _NUMBERS:
                return False
            return float(left) == float(right) if kind is float or other is float else left == right
        if kind is str and other is bytes:
            return left.encode("utf-8", "surrogateescape") == right  # type: ignore[no-any-return]
        if kind is bytes and other is str:
            return left == right.encode("utf-8", "surrogateescape")  # type: ignore[no-any-return]
        return False
    compare = EQUAL.get(kind)
    return left is right if compare is None else compare(left, right)


def _equal_arrays(left: Any, right: Any) -> bool:
    if left is right:
        return all(map(equal, left, right))  # nan is unequal to itself
    other = type(right)
    return (other is List or other is tuple) and len(left) == len(right) and all(map(equal, left, right))


def _equal_sets(left: Set, right: Any) -> bool:
    return type(right) is Set and left.items.keys() == right.items.keys()


EQUAL[List] = EQUAL[tuple] = _equal_arrays
EQUAL[Set] = _equal_sets
EQUAL[Error] = Error.__eq__
