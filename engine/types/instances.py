"""Where the instances of types are (spec/types.md, sections 1 and 5).

There is no list of them: what is stored is found in the collection's index, what is not through the variables of the
running query. A change of the layout of a type must also reach the instances that only a value under way refers to, as
in `[T{}, mod_type('T', 'add', …)]`; those, CPython knows.
"""

from __future__ import annotations

import gc
from collections.abc import Container, Iterable, Iterator
from typing import TYPE_CHECKING, Any

from engine.values.list import List
from engine.values.set import Set
from engine.values.storing import SCALARS
from engine.values.thing import Instance, Thing

if TYPE_CHECKING:
    from engine.collection import Collection
    from engine.context import Context
    from engine.types.type import Type

__all__ = ["all_instances", "all_things", "instances_of", "loose_things", "removed_by",
           "stored_instances", "touched"]  # fmt: skip

_HOLDERS = frozenset({Thing, Instance, List, tuple, Set})


def stored_instances(home: Collection, type_: Type) -> list[Instance]:
    """The instances of a type that have an id, those that wait for garbage collection included."""
    known = type_.ids
    if known is None:
        return [thing for thing in home.things() if type(thing) is Instance and thing.kind is type_]
    found = []
    for thing_id in list(known):
        thing = home.find(thing_id)
        if type(thing) is Instance and thing.kind is type_:
            found.append(thing)
        else:
            known.discard(thing_id)
    return found


def instances_of(ctx: Context, type_: Type) -> list[Instance]:
    """The instances of a type that a query sees: the stored ones that it has not removed, then those that its variables
    reach."""
    home: Collection = ctx.scope  # type: ignore[assignment]
    removed = removed_by(ctx)
    found = [thing for thing in stored_instances(home, type_) if thing.id not in removed]
    found += [thing for thing in loose_things(ctx) if type(thing) is Instance and thing.kind is type_]
    return found


def removed_by(ctx: Context) -> Container[int]:
    """The ids of things that are there only because the query is atomic (`engine.journal`). To be asked before the
    things are."""
    return () if ctx.journal is None else ctx.journal.removed()


def loose_things(ctx: Context) -> Iterator[Thing]:
    """The things without an id that the variables of the query reach."""
    waiting: list[Any] = [value for frame in ctx.frames for value in frame.values()]
    seen: set[int] = set()
    while waiting:
        value = waiting.pop()
        kind = type(value)
        if kind in SCALARS or id(value) in seen:
            continue
        seen.add(id(value))
        if kind is Thing or kind is Instance:
            if not value.id:
                yield value
                waiting += value.values()
        elif kind is List or kind is tuple:
            waiting += value
        elif kind is Set:
            waiting += value.items
        else:  # a wrapped thing, a member of an enum, …
            waiting += [held for held in gc.get_referents(value) if type(held) in _HOLDERS]


def all_things(home: Collection) -> list[Thing]:
    """Every thing there is: those of the collection, and all without an id."""
    found = list(home.things())
    found += [thing for thing in gc.get_objects() if (type(thing) is Instance or type(thing) is Thing) and not thing.id]
    return found


def all_instances(home: Collection, type_: Type) -> list[Instance]:
    """Every instance of a type there is, seen by the query or not."""
    found = stored_instances(home, type_)
    width = len(type_.fields)
    found += [
        thing
        for thing in gc.get_objects()
        if type(thing) is Instance and thing.kind is type_ and not thing.id and len(thing.props) == width
    ]  # one that was taken apart, since nothing can reach it, has no values any more
    return found


def touched(home: Collection, things: Iterable[Thing]) -> None:
    """The contents of stored things changed by something that is no mutation of them."""
    ids = [thing.id for thing in things if thing.id]
    home.dirty.update(ids)
    home.engine.garbage.touched(home, ids)
