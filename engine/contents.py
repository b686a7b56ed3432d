"""What a thing contains: the things that a deep watch of it takes in too."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from engine.types.enum import Member
from engine.values.list import List
from engine.values.set import Set
from engine.values.storing import SCALARS
from engine.values.thing import Instance, Thing
from engine.values.wrapped import Wrapped

if TYPE_CHECKING:
    from engine.change import Job
    from engine.values.thing import Value

__all__ = ["contents", "moves"]


def contents(thing: Thing) -> tuple[dict[int, None], frozenset[str]]:
    """The ids of the stored things that a stored thing contains, in order, and the names of the properties that they
    are in.

    A property contains a thing that is its value, or in a list, tuple or set there, however deep; also one that is
    wrapped or the value of a member of an enum. Rooms, tasks and closures contain nothing.
    """
    found: dict[int, None] = {}
    names: set[str] = set()
    for name, value in thing.items():
        kind = type(value)
        if kind not in SCALARS and _add((value,), found):
            names.add(name)
    return found, frozenset(names)


def _add(values: Iterable[Value], found: dict[int, None]) -> bool:
    """Add the things among the values and in them; are there any?"""
    any_thing = False
    for value in values:
        kind = type(value)
        if kind in SCALARS:
            continue
        if kind is Thing or kind is Instance:
            found[value.id] = None
            any_thing = True
        elif kind is List or kind is tuple:
            any_thing |= _add(value, found)
        elif kind is Set:
            any_thing |= _add(value.items, found)
        elif kind is Wrapped:
            found[value.thing.id] = None
            any_thing = True
        elif kind is Member:
            any_thing |= _add((value.value,), found)
    return any_thing


def moves(job: Job, names: frozenset[str]) -> bool:
    """Can a job have changed what its thing contains, when that was in the properties of these names before?"""
    ((what, argument),) = job.items()
    if what == "set":
        return any(name in names or type(value) not in SCALARS for name, value in argument.items())
    if what == "del":
        return argument in names
    return what != "event"
