"""Finding values in an array by the language's `==`, as fast as Python finds them by its own (spec/lists.md,
sections 1 and 7.1).

The two agree on most values. They differ on nan, which equals nothing here; on ints with floats beyond 2 ** 53, which
are compared as floats; on str with bytes, which are equal when their bytes are; and on what has an equality of its own.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from typing import TYPE_CHECKING, Any

from engine.values.equality import EQUAL, equal
from engine.values.list import List
from engine.values.ordering import EXACT
from engine.values.text import decoded

if TYPE_CHECKING:
    from engine.values.thing import Value

__all__ = ["Seen", "count", "has", "position"]

Array = List | tuple[Any, ...]


def _agrees(value: Value, array: Array) -> bool:
    """Does Python's `==` find the value in the array where the language's does?"""
    kind = type(value)
    if kind is str:
        return bytes not in map(type, array)
    if kind is bytes:
        return str not in map(type, array)
    if kind is int or kind is float:
        return bool(-EXACT < value < EXACT)
    return kind not in EQUAL


def has(array: Array, value: Value) -> bool:
    """Is one of the items equal to the value?"""
    if _agrees(value, array):
        return value in array
    return any(equal(item, value) for item in array)


def position(array: Array, value: Value) -> int | None:
    """The index of the first item that is equal to the value."""
    if _agrees(value, array):
        try:
            return array.index(value)
        except ValueError:
            return None
    return next((index for index, item in enumerate(array) if equal(item, value)), None)


def count(array: Array, value: Value) -> int:
    """How many items are equal to the value."""
    if _agrees(value, array):
        return array.count(value)
    return sum(equal(item, value) for item in array)


class Seen:
    """Values seen so far, by the language's `==`.

    Those that Python's `==` and hash know as well are in `known`; the others, which are equal only to one another, are
    looked through one by one.
    """

    __slots__ = ("known", "others")

    def __init__(self, values: Iterable[Value] = ()) -> None:
        self.known: set[Hashable] = set()
        self.others: list[Value] = []
        for value in values:
            self.add(value)

    def add(self, value: Value) -> bool:
        """Add a value; was it new?"""
        if type(value) is float and value != value:
            return True  # nan is equal to nothing
        key = _key(value, 0)
        if key is _NO_KEY:
            if any(equal(value, other) for other in self.others):
                return False
            self.others.append(value)
            return True
        before = len(self.known)
        self.known.add(key)
        return len(self.known) > before


_NO_KEY = object()
_MAX_DEPTH = 2  # of tuples that have a key, and
_MAX_ITEMS = 64  # their length: what is shared on many levels is much larger than it looks


def _key(value: Value, depth: int) -> Any:
    """What is equal, to Python, for values that are equal to the language; `_NO_KEY` where there is nothing such."""
    kind = type(value)
    if kind is int or kind is float:
        return value if -EXACT < value < EXACT else _NO_KEY
    if kind is bytes:
        return decoded(value)
    if kind is tuple and depth < _MAX_DEPTH and len(value) <= _MAX_ITEMS:
        parts = []
        for item in value:
            part = _key(item, depth + 1)
            if part is _NO_KEY:
                return _NO_KEY
            parts.append(part)
        return tuple(parts)
    return _NO_KEY if kind in EQUAL else value
