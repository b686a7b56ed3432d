"""Things: mutable objects of named values, held by reference (spec/things.md).

A `Thing` has no id (0) until it becomes part of a collection's stored data. An `Instance` is a thing whose
properties are the fields of its type, kept as a list by field position. The two have the same layout, so that
`to_type` and `to_thing` change the class of a thing in place and every reference sees it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, TypeAlias

from engine.functions.registry import KINDS, register_kind
from engine.names import is_name

if TYPE_CHECKING:
    from engine.types.restriction import Restriction
    from engine.types.type import Type

__all__ = ["Instance", "SortedProperties", "SwappedProperties", "Thing", "Unsettled", "Value"]

Value: TypeAlias = Any
"""Any value of the language."""

LARGE = 64
"""From so many properties on, deleting one must not walk over the others."""


class Unsettled(dict[str, Value]):
    """Properties that are in an order other than that of their arrival. They are brought into it when they are
    walked, not at each change."""

    __slots__ = ("disordered",)

    disordered: bool

    def settle(self) -> None:
        """Bring the keys into order."""
        if self.disordered:
            items = [(name, self[name]) for name in self.order()]
            dict.clear(self)
            dict.update(self, items)
            self.disordered = False

    def order(self) -> Iterable[str]:
        """The keys in order."""
        raise NotImplementedError


class SortedProperties(Unsettled):
    """The properties of a thing in dictionary form: walked in the order of the keys' bytes.

    A thing takes this form when a key that is no name is set, and keeps it (spec/things.md, section 1.3).
    """

    __slots__ = ()

    def __init__(self, properties: Iterable[tuple[str, Value]] | dict[str, Value] = ()) -> None:
        super().__init__(properties)
        self.disordered = True

    def order(self) -> Iterable[str]:
        return sorted(self, key=lambda name: name.encode("utf-8", "surrogateescape"))

    def __setitem__(self, key: str, value: Value) -> None:
        if key not in self:
            self.disordered = True
        super().__setitem__(key, value)


class SwappedProperties(Unsettled):
    """The properties of a large thing in list form from which keys were deleted: the last key fills a gap without
    a walk over all of them."""

    __slots__ = ("names", "places")

    def __init__(self, properties: dict[str, Value]) -> None:
        super().__init__(properties)
        self.disordered = False
        self.names = list(properties)
        self.places = {name: place for place, name in enumerate(self.names)}

    def order(self) -> Iterable[str]:
        return self.names

    def __setitem__(self, key: str, value: Value) -> None:
        if key not in self.places:
            self.places[key] = len(self.names)
            self.names.append(key)
        super().__setitem__(key, value)

    def drop(self, key: str) -> Value:
        """Remove a key and give its value; the last key takes its place."""
        value = self.pop(key)
        place = self.places.pop(key)
        last = self.names.pop()
        if place < len(self.names):
            self.names[place] = last
            self.places[last] = place
            self.disordered = True
        return value


class Thing:
    """A plain thing.

    `props` is a dict or `SwappedProperties` in list form, `SortedProperties` in dictionary form; `kind` is its
    restriction, or None; `lock` counts the walks and assignments that forbid changing it.
    """

    __slots__ = ("__weakref__", "id", "kind", "lock", "props")

    id: int
    props: Any
    kind: Any
    lock: int

    def __init__(self, props: dict[str, Value]) -> None:
        self.id = 0
        self.lock = 0
        self.kind: Restriction | None = None
        self.props = props

    def __bool__(self) -> bool:
        return bool(self.props)

    def items(self) -> Iterable[tuple[str, Value]]:
        """Names and values, in order."""
        props = self.props
        if type(props) is not dict:
            props.settle()
        return props.items()  # type: ignore[no-any-return]

    def keys(self) -> Iterable[str]:
        props = self.props
        if type(props) is not dict:
            props.settle()
        return props.keys()  # type: ignore[no-any-return]

    def values(self) -> Iterable[Value]:
        props = self.props
        if type(props) is not dict:
            props.settle()
        return props.values()  # type: ignore[no-any-return]

    def get(self, key: str, default: Value = None) -> Value:
        return self.props.get(key, default)

    def has(self, key: str) -> bool:
        return key in self.props

    def put(self, key: str, value: Value) -> None:
        """Set a property as it is: the value already in the form in which it is stored, nothing checked or told."""
        props = self.props
        if key not in props and type(props) is not SortedProperties and not is_name(key):
            self.sort()
            props = self.props
        props[key] = value

    def drop(self, key: str) -> Value:
        """Remove a property and give its value; in list form the last key takes its place."""
        props = self.props
        if type(props) is SwappedProperties:
            return props.drop(key)
        if type(props) is SortedProperties:
            return props.pop(key)
        last = next(reversed(props))
        if last == key:
            return props.pop(key)
        if len(props) >= LARGE:
            self.props = props = SwappedProperties(props)
            return props.drop(key)
        last_value = props.pop(last)
        value = props[key]
        items = [(last, last_value) if name == key else (name, held) for name, held in props.items()]
        props.clear()
        props.update(items)
        return value

    def empty(self) -> None:
        """Remove all properties; the form stays."""
        self.props = SortedProperties() if self.is_sorted else {}

    @property
    def is_sorted(self) -> bool:
        """Is it in dictionary form?"""
        return type(self.props) is SortedProperties

    def sort(self) -> None:
        """Bring it into dictionary form."""
        self.props = SortedProperties(self.props)


class Instance(Thing):
    """An instance of a type: `kind` is the type, `props` the list of values in field order."""

    __slots__ = ()

    def __init__(self, type_: Type, values: list[Value]) -> None:
        self.id = 0
        self.lock = 0
        self.kind = type_
        self.props = values

    def items(self) -> Iterator[tuple[str, Value]]:
        return zip(self.kind.positions, self.props, strict=True)

    def keys(self) -> Iterable[str]:
        return self.kind.positions  # type: ignore[no-any-return]

    def values(self) -> Iterable[Value]:
        return self.props  # type: ignore[no-any-return]

    def get(self, key: str, default: Value = None) -> Value:
        position = self.kind.positions.get(key)
        return default if position is None else self.props[position]

    def has(self, key: str) -> bool:
        return key in self.kind.positions

    def put(self, key: str, value: Value) -> None:
        self.props[self.kind.positions[key]] = value

    def drop(self, key: str) -> Value:
        raise NotImplementedError("the fields of an instance are those of its type")


register_kind("thing", Thing)
register_kind("instance", Instance, names=lambda instance: instance.kind.name)
KINDS["plain"] = frozenset({Thing})  # things that are no instances
KINDS["thing"] = frozenset({Thing, Instance})
