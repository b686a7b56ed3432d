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
    from engine.snapshot import Tree
    from engine.values.thing import Value

__all__ = ["added", "contents", "moves"]


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


def added(job: Job) -> tuple[str, list[int]] | None:
    """The property in which a job adds things without taking any away, and their ids; None when it does more than that,
    or when the job alone does not say what it adds."""
    ((what, argument),) = job.items()
    if what == "add":
        ((name, things),) = argument.items()
    elif what == "splice":
        ((name, (_, deleted, *things)),) = argument.items()
        if deleted:
            return None
    else:
        return None
    ids: list[int] = []
    return (name, ids) if _all_named(things, ids) else None


def _all_named(trees: list[Tree], ids: list[int]) -> bool:
    for tree in trees:
        if type(tree) in SCALARS:
            continue
        if isinstance(tree, dict) and "#" in tree:
            ids.append(tree["#"])
        elif not isinstance(tree, list) or not _all_named(tree, ids):
            return False
    return True
