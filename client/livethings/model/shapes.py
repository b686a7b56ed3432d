"""What a field's annotation takes, and how a value of the wire becomes one of it (docs/protocol.md, "Events").

`shape_of` reads an annotation once. A shape then decodes values, with the mirror finding things and enum members.
"""

from __future__ import annotations

import datetime
import enum
import types
import typing
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NoReturn, Protocol

from livethings.errors import server_error

if TYPE_CHECKING:
    from livethings.model.thing import Thing

__all__ = [
    "Closure",
    "Finder",
    "ListShape",
    "Member",
    "MirroredList",
    "MirroredSet",
    "Misfit",
    "New",
    "Ref",
    "Regex",
    "SetShape",
    "Shape",
    "plain",
    "shape_of",
]


@dataclass(frozen=True, slots=True)
class Ref:
    """A thing that is known by its id alone."""

    id: int


@dataclass(frozen=True, slots=True)
class New:
    """A new instance of a type, by the type's name, to be written: `Thing.new` makes it."""

    type: str
    properties: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Closure:
    """A closure, as its text."""

    text: str


@dataclass(frozen=True, slots=True)
class Regex:
    """A regular expression, as `/pattern/flags`."""

    text: str


@dataclass(frozen=True, slots=True)
class Member:
    """A member of an enum, with the name and the value that it had when it came: its place may change later."""

    name: str
    value: Any


def _follows(self: Any, *arguments: Any, **named: Any) -> NoReturn:
    raise TypeError("this follows the server: write it there, as `await thing.set(…)` or `await thing.call(…)` do")


class MirroredList(list[Any]):
    """A list that is as it is on the server. Only the mirror changes it."""

    append = clear = extend = insert = pop = remove = reverse = sort = _follows
    __setitem__ = __delitem__ = __iadd__ = __imul__ = _follows

    def __reduce__(self) -> tuple[Any, ...]:
        return list, (list(self),)  # a copy is nobody's but its maker's

    def place(self, index: int, deleted: int, items: list[Any]) -> None:
        """From the index on, have these items where so many were."""
        super().__setitem__(slice(index, index + deleted), items)


class MirroredSet(set[Any]):
    """A set that is as it is on the server. Only the mirror changes it."""

    add = clear = discard = pop = remove = update = _follows
    difference_update = intersection_update = symmetric_difference_update = _follows
    __iand__ = __ior__ = __isub__ = __ixor__ = _follows

    def __reduce__(self) -> tuple[Any, ...]:
        return set, (list(self),)

    def become(self, things: set[Any]) -> None:
        """Have these things in it."""
        super().clear()
        super().update(things)


class Misfit(Exception):
    """A value that the annotation does not take."""


class Finder(Protocol):
    """Knows the things of a mirror, and the members of enums."""

    def find(self, thing_id: int, cls: type[Thing]) -> Thing:
        """The mirrored thing."""

    def member(self, enum_id: int, index: int) -> Member | None:
        """The member; None when it is not known."""


class Shape(ABC):
    """What an annotation takes."""

    @abstractmethod
    def decode(self, value: Any, finder: Finder) -> Any:
        """The value as the annotation has it. Raises Misfit."""

    def things(self) -> frozenset[type[Thing]]:
        """The classes of things in it."""
        return frozenset()

    def enums(self) -> frozenset[type[enum.Enum]]:
        """The enums in it."""
        return frozenset()


class _Any(Shape):
    def decode(self, value: Any, finder: Finder) -> Any:
        return plain(value, finder)


class _Scalar(Shape):
    def __init__(self, kind: type) -> None:
        self._kind = kind

    def decode(self, value: Any, finder: Finder) -> Any:
        if type(value) is self._kind:
            return value
        if self._kind is float and type(value) is int:
            return float(value)
        raise Misfit(f"{_shown(value)} is no {self._kind.__name__}")


class _Moment(Shape):
    def decode(self, value: Any, finder: Finder) -> datetime.datetime:
        if type(value) is dict:
            found = plain(value, finder)
            if isinstance(found, datetime.datetime):
                return found
        raise Misfit(f"{_shown(value)} is no datetime")


class _Member(Shape):
    def __init__(self, cls: type[enum.Enum]) -> None:
        self._cls = cls

    def decode(self, value: Any, finder: Finder) -> enum.Enum:
        if type(value) is Member:
            if value.name in self._cls.__members__:
                return self._cls[value.name]
            value = value.value
        try:
            return self._cls(value)
        except ValueError:
            raise Misfit(f"{_shown(value)} is no member of {self._cls.__name__}") from None

    def enums(self) -> frozenset[type[enum.Enum]]:
        return frozenset((self._cls,))


class _Thing(Shape):
    def __init__(self, cls: type[Thing]) -> None:
        self._cls = cls

    def decode(self, value: Any, finder: Finder) -> Thing:
        if type(value) is dict:
            if "&" in value:
                value = value["&"][1]
            if "#" in value:
                return finder.find(value["#"], self._cls)
        raise Misfit(f"{_shown(value)} is no thing")

    def things(self) -> frozenset[type[Thing]]:
        return frozenset((self._cls,))


class _Many(Shape):
    def __init__(self, item: Shape) -> None:
        self.item = item

    def things(self) -> frozenset[type[Thing]]:
        return self.item.things()

    def enums(self) -> frozenset[type[enum.Enum]]:
        return self.item.enums()


class ListShape(_Many):
    """A list, whose items can be decoded one by one."""

    def decode(self, value: Any, finder: Finder) -> list[Any]:
        if type(value) is list:
            return MirroredList(self.item.decode(item, finder) for item in value)
        raise Misfit(f"{_shown(value)} is no list")


class _Tuple(_Many):
    def decode(self, value: Any, finder: Finder) -> tuple[Any, ...]:
        if type(value) is list:
            return tuple(self.item.decode(item, finder) for item in value)
        raise Misfit(f"{_shown(value)} is no list")


class SetShape(_Many):
    """A set of things."""

    def decode(self, value: Any, finder: Finder) -> set[Any]:
        if type(value) is dict and "$" in value:
            return MirroredSet(self.item.decode(item, finder) for item in value["$"])
        raise Misfit(f"{_shown(value)} is no set")


class _Union(Shape):
    def __init__(self, shapes: list[Shape]) -> None:
        self._shapes = shapes

    def decode(self, value: Any, finder: Finder) -> Any:
        for shape in self._shapes:
            try:
                return shape.decode(value, finder)
            except Misfit:
                continue
        raise Misfit(f"{_shown(value)} is none of the kinds that the annotation names")

    def things(self) -> frozenset[type[Thing]]:
        return frozenset().union(*(shape.things() for shape in self._shapes))

    def enums(self) -> frozenset[type[enum.Enum]]:
        return frozenset().union(*(shape.enums() for shape in self._shapes))


_UNIONS = (typing.Union, types.UnionType)
_SCALARS = (bool, int, float, str, bytes, types.NoneType)


def shape_of(annotation: Any, where: str) -> Shape:
    """The shape of an annotation. Raises TypeError, naming `where` it is, for what can't be mirrored."""
    from livethings.model.thing import Thing, ThingMap

    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if annotation is Any or annotation is object:
        return _Any()
    if annotation in _SCALARS:
        return _Scalar(annotation)
    if annotation is datetime.datetime:
        return _Moment()
    if isinstance(annotation, type) and origin is None:
        if issubclass(annotation, enum.Enum):
            return _Member(annotation)
        if issubclass(annotation, Thing):
            return _Thing(annotation)
    if isinstance(origin, type) and issubclass(origin, ThingMap):
        return _Thing(origin.of(*arguments))
    if origin in _UNIONS:
        union = _Union([shape_of(one, where) for one in arguments])
        if len(union.things()) > 1:
            raise TypeError(f"{where}: what comes does not tell one class of things from another; name one of them")
        return union
    if origin is list or annotation is list:
        return ListShape(shape_of(arguments[0], where) if arguments else _Any())
    if origin is tuple and len(arguments) == 2 and arguments[1] is ...:
        return _Tuple(shape_of(arguments[0], where))
    if origin in (set, frozenset):
        item = shape_of(arguments[0], where)
        if not isinstance(item, _Thing):
            raise TypeError(f"{where}: sets hold things, so annotate it as set[…] of a class of things")
        return SetShape(item)
    raise TypeError(
        f"{where}: values of {annotation!r} can't be mirrored; for things, name a class derived from Thing, or Any"
    )


def plain(value: Any, finder: Finder) -> Any:
    """A value of which nothing is known, as Python has it: things as `Ref`, sets of them as frozensets, datetimes and
    timevals as aware datetimes, members of enums as their values, wrapped things as the things."""
    if type(value) is list:
        return [plain(item, finder) for item in value]
    if type(value) is Member:
        return plain(value.value, finder)
    if type(value) is not dict:
        return value
    if "#" in value:
        return Ref(value["#"])
    if "$" in value:
        return frozenset(plain(item, finder) for item in value["$"])
    if "&" in value:
        return plain(value["&"][1], finder)
    if "/" in value:
        return Closure(value["/"])
    if "*" in value:
        return Regex(value["*"])
    if "!" in value:
        return server_error(value["error_code"], value["error_msg"])
    for key in ("'", '"'):
        if key in value:
            seconds, offset = value[key][0], value[key][1]
            zone = datetime.timezone(datetime.timedelta(minutes=offset)) if offset else datetime.UTC
            return datetime.datetime.fromtimestamp(seconds, zone)
    return value


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "..."
