"""Classes whose objects mirror things."""

from __future__ import annotations

import inspect
import logging
import typing
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar, cast, overload

from livethings.model.shapes import ListShape, MirroredList, MirroredSet, Misfit, New, SetShape, Shape, plain, shape_of

if TYPE_CHECKING:
    from typing import Self

    from livethings.model.mirror import Mirror

__all__ = ["Thing", "ThingMap", "on"]

log = logging.getLogger("livethings.model")

_OWN = frozenset(("_mirror", "_raw", "_misfits", "_loaded", "_gone", "_listeners", "_entries"))

V = TypeVar("V")
D = TypeVar("D")
F = TypeVar("F", bound=Callable[..., Any])

_MISSING: Any = object()


def on(event: str) -> Callable[[F], F]:
    """Have a method called when somebody emits this event on the thing, with the event's arguments. It may be async."""

    def mark(method: F) -> F:
        cast(Any, method).__on__ = (*getattr(method, "__on__", ()), event)
        return method

    return mark


class _Set(dict[int, Any]):
    """A set of the wire: things by their ids."""


class Thing:
    """A thing that is kept as it is on the server. Subclasses annotate the properties they want as attributes:

        class Song(Thing):
            title: str
            likes: int = 0
            tags: list[str]
            author: Author | None

    Fields take bool, int, float, str, bytes, None, datetime, enums (`enum.Enum`, with the names of the collection's),
    other classes of things (which are mirrored too), lists, tuples and sets of these, unions, and Any. A value that the
    annotation does not take is logged and left out: reading it raises AttributeError. A property that is not there is
    the class's default, or None where the annotation takes that.

    Attributes are to be read: `await song.set(likes=3)` writes. Names that begin with `_` are yours.

    Override `on_change`, `on_load` and `on_gone`, or mark methods with `@on("event")`; each may be async. They are
    called in order, when all things that they may look at have come.
    """

    __fields__: ClassVar[dict[str, Shape] | None] = None
    __handlers__: ClassVar[dict[str, list[str]]] = {}

    id: int
    """The thing's id. Not a property of it."""

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        cls.__fields__ = None
        handlers: dict[str, list[str]] = {}
        for name in dir(cls):
            for event in getattr(inspect.getattr_static(cls, name), "__on__", ()):
                handlers.setdefault(event, []).append(name)
        cls.__handlers__ = handlers
        for name in inspect.get_annotations(cls):
            if name in Thing.__annotations__ or hasattr(Thing, name):
                raise TypeError(f"{cls.__name__}.{name}: every thing has a {name} already; read this one in properties")

    def __init__(self, mirror: Mirror[Any], thing_id: int) -> None:
        state = self.__dict__
        state["id"] = thing_id
        state["_mirror"] = mirror
        state["_raw"] = {}
        state["_misfits"] = {}
        state["_loaded"] = False
        state["_gone"] = False
        state["_listeners"] = {}

    # --- for those who use it ----------------------------------------------------------------------------------------

    @property
    def loaded(self) -> bool:
        """Its first state has come."""
        return bool(self.__dict__["_loaded"])

    @property
    def gone(self) -> bool:
        """It is not on the server any more, or not for this user: it stays as it last was."""
        return bool(self.__dict__["_gone"])

    @property
    def properties(self) -> dict[str, Any]:
        """All its properties, also those without a field; things as `Ref`."""
        finder = self.__dict__["_mirror"]
        return {name: plain(_wire(value), finder) for name, value in self.__dict__["_raw"].items()}

    def on_load(self) -> None:
        """Called when its first state has come."""

    def on_change(self, names: frozenset[str]) -> None:
        """Called after a change, with the names of the properties that it changed."""

    def on_gone(self) -> None:
        """Called when it is gone."""

    def subscribe(self, callback: Callable[[Self, frozenset[str]], object]) -> Callable[[], None]:
        """Have a function called after each change, with the thing and the names of what changed (none when it is
        gone); call what is returned to end that."""
        listeners, key = self.__dict__["_listeners"], object()
        listeners[key] = callback
        return lambda: listeners.pop(key, None)

    async def changes(self) -> AsyncIterator[frozenset[str]]:
        """The names of what changed, after each change, until it is gone or the mirror has ended; raises why, if that
        failed. Changes that come while nobody waits are given out together."""
        mirror = self.__dict__["_mirror"]
        waiting: set[str] = set()
        wake = mirror.event()

        def heard(_: Thing, names: frozenset[str]) -> None:
            waiting.update(names)
            wake.set()

        end = self.subscribe(heard)
        try:
            while not self.gone and not mirror.over:
                await wake.wait()
                wake.clear()
                if waiting:
                    names = frozenset(waiting)
                    waiting.clear()
                    yield names
            if mirror.error is not None:
                raise mirror.error
        finally:
            end()

    async def set(self, **properties: Any) -> None:
        """Set properties on the server, all in one change; when it returns, they are set here too. Things, enums,
        datetimes, lists and sets of them can be given as they are read; new things as a dict, or as `Thing.new` makes
        them. Raises as `Database.query`."""
        await self.__dict__["_mirror"].write(self, properties)

    @classmethod
    def new(cls, **properties: Any) -> New:
        """A new instance of the type with the class's name, for `set` and `call`: `Song.new(title="b")`."""
        return New(cls.__name__, properties)

    async def emit(self, event: str, *args: Any) -> None:
        """Tell all who watch this thing, here and elsewhere, of an event."""
        await self.__dict__["_mirror"].call(self, "emit", (event, *args), False)

    async def call(self, method: str, *args: Any, change: bool = True) -> Any:
        """Call a method of the thing on the server, or of something in it: `call("tags.push", "x")`; its result. What
        it changes is here when it returns. One that only reads can do with `change=False`, and then needs no right to
        change."""
        return await self.__dict__["_mirror"].call(self, method, args, change)

    def __repr__(self) -> str:
        if not self.loaded:
            return f"<{type(self).__name__} #{self.id} (not loaded yet)>"
        shown = ", ".join(
            f"{name}={self.__dict__[name]!r}"
            for name, shape in self.fields().items()
            if name in self.__dict__ and not shape.things()
        )
        return f"<{type(self).__name__} #{self.id}{' ' if shown else ''}{shown}>"

    def __setattr__(self, name: str, value: Any) -> None:
        if not name.startswith("_") or name in _OWN:
            what = f"{type(self).__name__}.{name}"
            raise AttributeError(f"{what} follows the server: write it with `await thing.set({name}=…)`")
        self.__dict__[name] = value

    def __delattr__(self, name: str) -> None:
        if not name.startswith("_") or name in _OWN:
            raise AttributeError(f"{type(self).__name__}.{name} follows the server")
        super().__delattr__(name)

    if not TYPE_CHECKING:  # otherwise any name would do

        def __getattr__(self, name: str) -> Any:
            shape = type(self).fields().get(name)
            if name.startswith("__") or shape is None:
                raise AttributeError(f"{type(self).__name__} has no attribute {name}")
            if not self.loaded:
                raise AttributeError(
                    f"{type(self).__name__} #{self.id} has not been loaded yet, so it has no {name}; "
                    "await the mirror's settled() first"
                )
            misfit = self.__dict__["_misfits"].get(name)
            if misfit is None:
                try:
                    return shape.decode(None, self.__dict__["_mirror"])
                except Misfit:
                    misfit = "there is no such property"
            raise AttributeError(f"{self!r} has no {name}: {misfit}")

    @classmethod
    def fields(cls) -> Mapping[str, Shape]:
        """The fields by name. Raises TypeError for annotations that can't be mirrored."""
        if cls.__fields__ is None:
            try:
                hints = typing.get_type_hints(cls)
            except NameError as error:
                raise TypeError(
                    f"{cls.__name__}: {error}; what annotations name is defined at the top of the module, before the "
                    "mirror is opened"
                ) from error
            cls.__fields__ = {
                name: shape_of(hint, f"{cls.__name__}.{name}")
                for name, hint in hints.items()
                if name not in Thing.__annotations__ and not name.startswith("_") and not _is_class_variable(hint)
            }
        return cls.__fields__

    # --- for the mirror ----------------------------------------------------------------------------------------------

    def _load(self, properties: Mapping[str, Any]) -> frozenset[str]:
        """It is as this says. The names of what differs from what was known."""
        state = self.__dict__
        raw: dict[str, Any] = state["_raw"]
        new = {name: self._held(value) for name, value in properties.items() if name != "#"}
        changed = {name for name in raw.keys() | new.keys() if raw.get(name, _MISSING) != new.get(name, _MISSING)}
        state["_loaded"] = True
        for name in [name for name in raw if name not in new]:
            self._delete(name)
        for name, value in new.items():
            if name in changed:
                self._put(name, value)
        return frozenset(changed)

    def _apply(self, kind: str, what: Any) -> list[str]:
        """Do a job that changes properties; the names of those."""
        raw = self.__dict__["_raw"]
        if kind == "set":
            for name, value in what.items():
                self._put(name, self._held(value))
            return list(what)
        if kind == "del":
            self._delete(what)
            return [what]
        if kind == "splice":
            for name, (index, deleted, *new) in what.items():
                items = list(map(self._held, new))
                raw[name][index : index + deleted] = items
                self._splice(name, index, deleted, items)
        elif kind == "add":
            for name, things in what.items():
                raw[name].update((thing["#"], thing) for thing in things)
                self._renew(name)
        elif kind == "remove":
            for name, ids in what.items():
                for thing_id in ids:
                    raw[name].pop(thing_id, None)
                self._renew(name)
        else:
            return []
        return list(what)

    def _put(self, name: str, value: Any) -> None:
        self.__dict__["_raw"][name] = value
        self._renew(name)

    def _delete(self, name: str) -> None:
        self.__dict__["_raw"].pop(name, None)
        self.__dict__["_misfits"].pop(name, None)
        shape, values = self._place(name)
        if shape is not None:
            self.__dict__["_mirror"].linger(values.pop(name, None))

    def _splice(self, name: str, index: int, deleted: int, items: list[Any]) -> None:
        shape, values = self._place(name)
        known = values.get(name)
        if type(shape) is ListShape and type(known) is MirroredList:
            mirror = self.__dict__["_mirror"]
            try:
                decoded = [shape.item.decode(item, mirror) for item in items]
                mirror.linger(known[index : index + deleted])
                known.place(index, deleted, decoded)
                return
            except Misfit:
                pass
        self._renew(name)

    def _renew(self, name: str) -> None:
        """Decode a property anew."""
        shape, values = self._place(name)
        if shape is None:
            return
        state = self.__dict__
        try:
            decoded = shape.decode(_wire(state["_raw"][name]), state["_mirror"])
        except Misfit as misfit:
            state["_mirror"].linger(values.pop(name, None))
            state["_misfits"][name] = str(misfit)
            log.warning("%s #%d: %s does not fit: %s", type(self).__name__, self.id, name, misfit)
            return
        state["_misfits"].pop(name, None)
        known: Any = values.get(name)
        state["_mirror"].linger(known.copy() if isinstance(known, MirroredList | MirroredSet) else known)
        # The same object for as long as it is a list or set: who holds it sees the change.
        if isinstance(shape, ListShape) and type(known) is MirroredList:
            known.place(0, len(known), decoded)
        elif isinstance(shape, SetShape) and type(known) is MirroredSet:
            known.become(decoded)
        else:
            values[name] = decoded

    def _held(self, value: Any) -> Any:
        """A value of the wire in the form in which it is kept: what jobs change can be changed, members are found."""
        if type(value) is list:
            return list(map(self._held, value))
        if type(value) is dict:
            if "$" in value:
                return _Set((thing["#"], thing) for thing in value["$"])
            if "%" in value:
                return self.__dict__["_mirror"].member(*value["%"]) or value
        return value

    def _place(self, name: str) -> tuple[Shape | None, dict[str, Any]]:
        """What a property takes, and where its value is kept."""
        return type(self).fields().get(name), self.__dict__


def _wire(value: Any) -> Any:
    return {"$": list(value.values())} if type(value) is _Set else value


def _is_class_variable(hint: Any) -> bool:
    return hint is ClassVar or typing.get_origin(hint) is ClassVar


class ThingMap(Thing, Generic[V]):
    """A thing whose properties all have values of one kind, as a mapping by name: `users: ThingMap[User]`."""

    @classmethod
    def of(cls, kind: Any) -> type[ThingMap[Any]]:
        """The class for values of a kind."""
        known = _MAPS.get((cls, kind))
        if known is None:
            known = _MAPS[cls, kind] = type(cls.__name__, (cls,), {"__kind__": kind, "__shape__": None})
        return known

    __kind__: ClassVar[Any] = Any
    __shape__: ClassVar[Shape | None] = None

    def _place(self, name: str) -> tuple[Shape | None, dict[str, Any]]:
        shape, values = super()._place(name)
        if shape is not None:
            return shape, values
        return type(self).shape(), self._values()

    @classmethod
    def shape(cls) -> Shape:
        """What its properties take. Raises TypeError when that can't be mirrored."""
        if cls.__shape__ is None:
            cls.__shape__ = shape_of(cls.__kind__, cls.__name__)
        return cls.__shape__

    def _values(self) -> dict[str, V]:
        found = self.__dict__.get("_entries")
        if found is None:
            found = self.__dict__["_entries"] = {}
        return cast("dict[str, V]", found)

    def __getitem__(self, name: str) -> V:
        return self._values()[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values())

    def __len__(self) -> int:
        return len(self._values())

    def __contains__(self, name: object) -> bool:
        return name in self._values()

    @overload
    def get(self, name: str, /) -> V | None: ...

    @overload
    def get(self, name: str, default: V | D, /) -> V | D: ...

    def get(self, name: str, default: Any = None, /) -> Any:
        """The value of this name, or the default when there is none."""
        return self._values().get(name, default)

    def keys(self) -> typing.KeysView[str]:
        """The names."""
        return self._values().keys()

    def values(self) -> typing.ValuesView[V]:
        """The values."""
        return self._values().values()

    def items(self) -> typing.ItemsView[str, V]:
        """Names and values."""
        return self._values().items()


_MAPS: dict[tuple[type, Any], type[ThingMap[Any]]] = {}
