"""How a value changes when it is put somewhere (spec/language.md, section 5; spec/lists.md, sections 1 and 2).

Things, and what is immutable, are shared. A list or set that becomes a property is copied, and belongs to that
property from then on; put into an array it becomes a tuple.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from engine.values.closure import Closure
from engine.values.list import List
from engine.values.set import Set

if TYPE_CHECKING:
    from engine.types.restriction import Restriction
    from engine.values.thing import Thing, Value

__all__ = ["AS_ITEM", "AS_PROPERTY", "OWNED", "SCALARS", "nested", "nested_items", "own", "release"]

SCALARS = frozenset({int, str, float, bool, bytes, type(None)})
"""Values that mean the same wherever they are put and go over the wire as they are."""

OWNED = frozenset({List, Set})
"""Values that belong to the property that holds them."""


def _item_list(value: List) -> tuple[Value, ...]:
    # A list may hold lists, which belong to the properties of a thing, when it came from that thing's values().
    return tuple(value if SCALARS.issuperset(map(type, value)) else [nested(item) for item in value])


def _item_set(value: Set) -> tuple[Value, ...]:
    return tuple(value.items)


def _detached(value: Closure) -> Closure:
    value.detach()
    return value


AS_ITEM: dict[type, Callable[[Any], Value]] = {List: _item_list, Set: _item_set, Closure: _detached}
"""What a value of a class becomes inside an array; classes that are not here stay as they are."""


def _own_list(value: List | tuple[Value, ...], thing: Thing, key: str, spec: Restriction | None) -> List:
    mine = List(value if SCALARS.issuperset(map(type, value)) else [nested(item) for item in value])
    mine.owner = weakref.ref(thing)
    mine.key = key
    mine.spec = spec
    return mine


def _own_set(value: Set, thing: Thing, key: str, spec: Restriction | None) -> Set:
    mine = Set(value.items)
    mine.owner = weakref.ref(thing)
    mine.key = key
    mine.spec = spec
    return mine


def _own_closure(value: Closure, thing: Thing, key: str, spec: Restriction | None) -> Closure:
    value.store()
    return value


AS_PROPERTY: dict[type, Callable[[Any, Any, str, Any], Value]] = {
    List: _own_list,
    tuple: _own_list,
    Set: _own_set,
    Closure: _own_closure,
}
"""What a value of a class becomes as a property; classes that are not here stay as they are."""


def nested(value: Value) -> Value:
    """The value as an item of an array."""
    convert = AS_ITEM.get(type(value))
    return value if convert is None else convert(value)


def nested_items(values: list[Value] | tuple[Value, ...]) -> List:
    """A new list of the values, each as an item."""
    convert = AS_ITEM
    if not convert.keys().isdisjoint(map(type, values)):
        return List([convert[type(item)](item) if type(item) in convert else item for item in values])
    return List(values)


def own(value: Value, thing: Thing, key: str, spec: Restriction | None = None) -> Value:
    """The value as the property `key` of a thing; `spec` restricts the items of a list or set there."""
    convert = AS_PROPERTY.get(type(value))
    return value if convert is None else convert(value, thing, key, spec)


def release(value: Value) -> None:
    """A property no longer holds the value."""
    if type(value) in OWNED:
        value.release()
