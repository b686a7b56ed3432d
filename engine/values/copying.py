"""Copies of things, and of what holds things (spec/things.md, section 2; spec/lists.md, section 7.1).

`copy` makes plain things of typed and restricted ones, `dup` keeps what they are. Depth counts levels of things; lists,
tuples and sets don't take one.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from engine.errors import OperationError
from engine.language.runtime import checked_deep
from engine.limits import MAX_ARRAY_ITEMS, MAX_COPIED_THINGS
from engine.quota import check_new_thing
from engine.values.list import List
from engine.values.set import Set
from engine.values.storing import SCALARS, own
from engine.values.thing import Instance, SortedProperties, Thing

if TYPE_CHECKING:
    from engine.context import Context
    from engine.values.thing import Value

__all__ = ["COPIES", "Copying", "copied"]

COPIES: dict[type, Callable[[Any, Copying, int], Value]] = {}
"""How a value of a class is copied with so many levels of things, at least one; other classes are shared."""


class Copying:
    """One `copy` or `dup` under way.

    `keep`: copies keep type and restriction. A thing met again inside its own copy refers to the copy, so `path` has
    the copies of the things further up.
    """

    __slots__ = ("ctx", "items", "keep", "made", "path")

    def __init__(self, ctx: Context, *, keep: bool) -> None:
        self.ctx = ctx
        self.keep = keep
        self.items = 0
        self.made = 0
        self.path: dict[Thing, Thing] = {}

    def value(self, value: Value, deep: int) -> Value:
        """The value as it stands in a copy, things in it copied `deep` levels."""
        if deep <= 0 or type(value) in SCALARS:
            return value
        make = COPIES.get(type(value))
        return value if make is None else make(value, self, deep)

    def thing(self, thing: Thing, deep: int) -> Thing:
        """A thing, copied `deep` levels."""
        known = self.path.get(thing)
        if known is not None:
            self.ctx.watch_loose(known)
            return known
        self.made += 1
        if self.made > MAX_COPIED_THINGS:
            raise OperationError(f"a copy can have at most {MAX_COPIED_THINGS} things")
        if self.ctx.scope.quotas:
            check_new_thing(self.ctx.scope, 0)
        if self.keep and type(thing) is Instance:
            copy: Thing = Instance(thing.kind, [None] * len(thing.props))
        else:
            copy = Thing(SortedProperties() if thing.is_sorted else {})
            if self.keep and thing.kind is not None:
                copy.kind = thing.kind.loosened()
        self.path[thing] = copy
        if type(copy) is Instance:
            self._fill_instance(copy, thing, deep - 1)
        else:
            for name, value in thing.items():
                copy.props[name] = value if type(value) in SCALARS else self._held(value, copy, name, None, deep - 1)
        del self.path[thing]
        return copy

    def _fill_instance(self, copy: Instance, thing: Thing, deep: int) -> None:
        type_ = thing.kind
        for place, (name, value) in enumerate(thing.items()):
            definition = type_.row[place]
            if name in type_.relations:
                # Another thing can't have the same relations, and an unstored one none.
                value = own(Set(), copy, name, definition.spec) if type(value) is Set else None
            elif type(value) not in SCALARS:
                value = self._held(value, copy, name, definition.spec, deep)
                if definition.demanded is not None and type(value) is Thing and not value.kind.demanded:
                    value.kind = definition.demanded
            copy.props[place] = value

    def _held(self, value: Value, copy: Thing, name: str, spec: Any, deep: int) -> Value:
        """A property's value as a property of the copy."""
        kind = type(value)
        if kind is List:
            value = own(value, copy, name, spec)
            if deep > 0:
                value[:] = [self.value(item, deep) for item in value]
            return value
        if kind is Set:
            value = own(value, copy, name, spec)
            if deep > 0:
                value.items = {self.thing(thing, deep): None for thing in value.items}
            return value
        return own(self.value(value, deep), copy, name, spec)


def copied(ctx: Context, value: Value, deep: int, *, keep: bool) -> Value:
    """The result of `value.copy(deep)`, or of `dup` with `keep`. ValueError when deep is out of range."""
    return Copying(ctx, keep=keep).value(value, checked_deep(deep))


def _copy_tuple(value: tuple[Value, ...], copying: Copying, deep: int) -> Value:
    if SCALARS.issuperset(map(type, value)):
        return value
    copying.items += len(value)  # what arrays share on many levels is larger than it looks
    if copying.items > MAX_ARRAY_ITEMS:
        raise OperationError(f"a copy can have at most {MAX_ARRAY_ITEMS} items in its arrays")
    return tuple([copying.value(item, deep) for item in value])


COPIES[Thing] = COPIES[Instance] = lambda value, copying, deep: copying.thing(value, deep)
COPIES[tuple] = _copy_tuple
COPIES[List] = lambda value, copying, deep: List([copying.value(item, deep) for item in value])
COPIES[Set] = lambda value, copying, deep: Set([copying.thing(thing, deep) for thing in value.items])
