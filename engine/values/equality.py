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
    if (type(right) is not List and type(right) is not tuple) or len(left) != len(right):
        return False
    if tuple in map(type, left):
        return _equal_nested(left, right, set())
    return all(map(equal, left, right))


def _equal_nested(left: Any, right: Any, known: set[tuple[int, int]]) -> bool:
    """Are two arrays with arrays in them equal? `known` are pairs that were found equal: what is shared on many levels
    is compared once. An array is not always equal to itself, because nan is not."""
    for mine, theirs in zip(left, right, strict=True):
        if type(mine) is not tuple:
            if not equal(mine, theirs):
                return False
        elif (id(mine), id(theirs)) not in known:
            if type(theirs) not in (tuple, List) or len(mine) != len(theirs) or not _equal_nested(mine, theirs, known):
                return False
            if len(mine) > _SMALL or tuple in map(type, mine):
                known.add((id(mine), id(theirs)))
    return True


_SMALL = 32  # an array of so many items that are no arrays is compared again rather than remembered


def _equal_sets(left: Set, right: Any) -> bool:
    return type(right) is Set and left.items.keys() == right.items.keys()


EQUAL[List] = EQUAL[tuple] = _equal_arrays
EQUAL[Set] = _equal_sets
EQUAL[Error] = Error.__eq__
