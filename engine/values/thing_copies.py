"""Copying and comparing things, and searching in them (spec/things.md, section 2)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from engine.errors import TypeFailed, ValueFailed
from engine.functions.registry import method, type_name
from engine.language.runtime import checked_deep, make_thing
from engine.values.copying import copied
from engine.values.equality import equal
from engine.values.list import List
from engine.values.set import Set
from engine.values.storing import SCALARS
from engine.values.thing import Thing

if TYPE_CHECKING:
    from engine.context import Context
    from engine.values.thing import Value

__all__: list[str] = []

MAX_FOUND = 255  # the largest limit of a search


@method(
    "thing",
    "copy",
    "deep?: int",
    doc="A new plain thing with the same properties; with a deep of more than 1, things in it are copied too.",
    example="{name: 'Iris', dog: {name: 'Rex'}}.copy(2)",
)
def copy(ctx: Context, thing: Thing, deep: int = 1) -> Value:
    return copied(ctx, thing, deep, keep=False)


@method(
    "thing",
    "dup",
    "deep?: int",
    doc="As copy(), but of the same type and with the same restriction.",
    example="{name: 'Iris', dog: {name: 'Rex'}}.dup(2)",
)
def dup(ctx: Context, thing: Thing, deep: int = 1) -> Value:
    return copied(ctx, thing, deep, keep=True)


# --- comparing -------------------------------------------------------------------------------------------------------


@method(
    "thing",
    "equals",
    "other: any, deep?: int",
    doc="Does another thing have the same properties with equal values, where things in them are compared in the same"
    " way as far as deep (1) reaches?",
    example="{name: 'Iris'}.equals({name: 'Iris'})",
)
def equals(ctx: Context, thing: Thing, other: Value, deep: int = 1) -> bool:
    deep = checked_deep(deep)
    return isinstance(other, Thing) and _same(thing, other, deep, set())


def _same(one: Thing, other: Thing, deep: int, known: set[tuple[int, int, int]]) -> bool:
    """Do the two have equal properties? `known` are the pairs that are being compared, or were found to be the same,
    each with the depth."""
    if deep == 0:
        return True
    if len(one.props) != len(other.props):
        return False
    pair = (id(one), id(other), deep)
    if pair in known:
        return True
    known.add(pair)
    for name, value in one.items():
        if not other.has(name):
            return False
        against = other.get(name)
        if isinstance(value, Thing):
            if not isinstance(against, Thing) or not _same(value, against, deep - 1, known):
                return False
        elif not equal(value, against):
            return False
    return True


# --- searching -------------------------------------------------------------------------------------------------------


@method(
    "thing",
    "search",
    "needle: thing, options?: thing",
    doc="A list of the places where another thing is found, each with parent, parent_type, key and key_type, with the"
    " options deep (1) and limit (1).",
    example=".search({}, {deep: 3, limit: 10})",
)
def search(ctx: Context, thing: Thing, needle: Thing, options: Thing | None = None) -> List:
    deep, limit = 1, 1
    for name, value in () if options is None else options.items():
        if name not in ("deep", "limit"):
            raise ValueFailed(f"search() has the options deep and limit, not {name[:80]!r}")
        if type(value) is not int:
            raise TypeFailed(f"the option {name} is an int, not {type_name(value)}")
        if name == "deep":
            deep = checked_deep(value)
        elif 0 <= value <= MAX_FOUND:
            limit = value
        else:
            raise ValueFailed(f"the option limit is between 0 and {MAX_FOUND}, not {value}")
    found = List()
    if deep and limit:
        for parent, key, value in _Search(needle).places(thing, deep):
            found.append(
                make_thing(
                    ctx,
                    {"parent": parent, "parent_type": type_name(parent), "key": key, "key_type": type_name(value)},
                )
            )
            if len(found) == limit:
                break
    return found


class _Search:
    """A search under way. Each place is found once, however many ways lead to it, and cycles are entered once."""

    __slots__ = ("needle", "told", "walked")

    def __init__(self, needle: Thing) -> None:
        self.needle = needle
        self.walked: dict[Thing, int] = {}  # how many levels the walk from a thing went, where it went furthest
        self.told: set[Thing] = set()  # the things whose own places were given

    def places(self, parent: Thing, levels: int) -> Iterator[tuple[Thing, str, Value]]:
        """Where the needle is found: the thing, the key, and what holds it there: the property's value, or an array in
        that."""
        if self.walked.get(parent, 0) >= levels:
            return
        self.walked[parent] = levels
        fresh = parent not in self.told
        self.told.add(parent)
        for key, value in parent.items():
            if type(value) in SCALARS:
                continue
            for held, container in _things_in(value, value):
                if fresh and held is self.needle:
                    yield parent, key, container
                if levels > 1:
                    yield from self.places(held, levels - 1)


def _things_in(value: Value, container: Value) -> Iterator[tuple[Thing, Value]]:
    """The things in a property's value, those in arrays and sets included, each with what holds it."""
    if isinstance(value, Thing):
        yield value, container
    elif type(value) is Set:
        for thing in value.items:
            yield thing, value
    elif type(value) in (List, tuple):
        for item in value:
            yield from _things_in(item, value)
