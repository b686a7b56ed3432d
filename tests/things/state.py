"""What the tests of things look at: all that an engine stores, as plain data to compare."""

from __future__ import annotations

from typing import Any

from engine.collection import Collection
from engine.engine import Engine
from engine.snapshot import PACK
from engine.values.storing import OWNED, SCALARS
from engine.values.thing import Instance, Thing

__all__ = ["stored"]


def stored(engine: Engine, name: str = "stuff") -> dict[int, Any]:
    """Every thing of a collection by id: its form, its restriction, and its properties in order."""
    collection = engine.collections[name]
    return {thing.id: _described(thing, collection) for thing in collection.things()}


def _described(thing: Thing, collection: Collection) -> Any:
    items = [(name, _packed(value, thing, name, collection)) for name, value in thing.items()]
    if type(thing) is Instance:
        return [thing.kind.name, items]
    return [thing.is_sorted, None if thing.kind is None else thing.kind.packed, items]


def _packed(value: Any, thing: Thing, name: str, collection: Collection) -> Any:
    if type(value) in SCALARS:
        return value
    if type(value) in OWNED:
        assert value.holder() is thing
        assert value.key == name
        assert value.lock == 0
    return [type(value).__name__, PACK[type(value)](value, collection, 1)]
