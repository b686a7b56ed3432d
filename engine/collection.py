"""A collection: a tree of things under a root, with the definitions that go with it."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from engine.change import Internal, Job
from engine.snapshot import initial
from engine.values.thing import Instance, Thing

if TYPE_CHECKING:
    from engine.change import Change
    from engine.engine import Engine
    from engine.types.enum import Enum
    from engine.types.type import Type
    from engine.values.closure import Closure

__all__ = ["Collection", "Procedure", "ThingRef"]


class ThingRef(weakref.ref[Thing]):
    """A weak reference to a stored thing that knows its id, so that the index can forget it."""

    __slots__ = ("id",)

    id: int


def _ignore(ref: ThingRef) -> None:
    """A thing of a collection that is deleted has gone."""


class Procedure:
    """A named closure of a scope; `created_at` in whole seconds since 1970."""

    __slots__ = ("closure", "created_at", "name")

    def __init__(self, name: str, closure: Closure, created_at: int) -> None:
        self.name = name
        self.closure = closure
        self.created_at = created_at

    def described(self) -> dict[str, Any]:
        """What watchers of the root are told of it."""
        code = self.closure.code
        return {
            "doc": code.doc,
            "name": self.name,
            "created_at": self.created_at,
            "with_side_effects": code.has_effects,
            "arguments": list(code.params),
        }


class Collection:
    """One collection.

    The index refers to things weakly: a thing lives as long as stored data or a running query refers to it, and the
    moment it goes it is noted in `engine.gone`. Ids come from the engine's counter, so that they are unique on the
    whole server.
    """

    kind = "C"

    def __init__(self, engine: Engine, collection_id: int, name: str, created_at: int) -> None:
        self.engine = engine
        self.id = collection_id
        self.name = name
        self.created_at = created_at
        self.deep = 1
        self.time_zone = "UTC"
        self.access: dict[int, int] = {}  # user id -> mask
        self.index: dict[int, ThingRef] = {}
        self.types: dict[str, Type] = {}
        self.types_by_id: dict[int, Type] = {}
        self.enums: dict[str, Enum] = {}
        self.reserved_type_ids: dict[str, int] = {}  # by name, those of deleted types too
        self.next_type_id = 0
        self.procedures: dict[str, Procedure] = {}
        self.rooms: dict[int, Any] = {}  # room id -> weak reference to the room
        self.tasks: dict[int, Any] = {}
        self.history: list[Any] | None = None  # commit history; None: off
        self.quotas: dict[str, int] = {}
        self.dirty: set[int] = set()  # ids of things that differ from the state on disk
        self.saving = False  # its things are being packed for the state on disk
        self.change: Change | None = None  # the change that is being made in it
        self.fresh: list[Thing] = []  # things that got an id while a value is being packed
        self.unfilled: list[Thing] = []  # those of them that lie too deep in it to be packed with it
        self.root: Thing = Thing({})
        # One bound method for all things: each making its own would cost 64 bytes a thing.
        self._on_gone: Callable[[ThingRef], None] = self._gone

    @property
    def title(self) -> str:
        """The scope as events name it."""
        return f"@collection:{self.name}"

    # --- things by id --------------------------------------------------------------------------------------------

    def adopt(self, thing: Thing) -> int:
        """Give a thing an id and keep it in the index; its id."""
        engine = self.engine
        thing_id = engine.next_id
        engine.next_id = thing_id + 1
        self.admit(thing, thing_id)
        self.fresh.append(thing)
        return thing_id

    @property
    def noted(self) -> int:
        """How many mutations the running change has so far."""
        return 0 if self.change is None else len(self.change.mutations)

    def reject(self, noted: int) -> None:
        """A value could not be packed: what got an id by that loses it, and mutations noted since are dropped."""
        for thing in self.fresh:
            del self.index[thing.id]
            thing.id = 0
        self.fresh.clear()
        self.unfilled.clear()
        if self.change is not None:
            del self.change.mutations[noted:]

    def admit(self, thing: Thing, thing_id: int) -> None:
        """Enter a thing under an id it already had."""
        thing.id = thing_id
        ref = ThingRef(thing, self._on_gone)
        ref.id = thing_id
        self.index[thing_id] = ref
        self.dirty.add(thing_id)
        if type(thing) is Instance:
            thing.kind.enter(thing)

    def _gone(self, ref: ThingRef) -> None:
        if self.index.get(ref.id) is ref:
            del self.index[ref.id]
            self.dirty.add(ref.id)
            self.engine.gone.append(ref.id)

    def find(self, thing_id: int) -> Thing | None:
        """The stored thing with that id."""
        ref = self.index.get(thing_id)
        return None if ref is None else ref()

    def things(self) -> Iterator[Thing]:
        """Every stored thing, those of unreachable cycles included."""
        for ref in list(self.index.values()):
            thing = ref()
            if thing is not None:
                yield thing

    def find_room(self, which: int | str) -> Any:
        """The stored room with that id or name, None when there is none."""
        if type(which) is int:
            found = self.rooms.get(which)
            return None if found is None else found()
        for ref in self.rooms.values():
            room = ref()
            if room is not None and room.name == which:
                return room
        return None

    def initial_event(self, thing: Thing, change_id: int) -> dict[str, Any]:
        """The first event of a watch: the thing as it is after a change; with the root come the definitions."""
        from engine.types.info import described

        event = {"event": change_id, "thing": initial(thing, self), "collection": self.name}
        if thing is self.root:
            event["enums"] = [enum.described(self) for enum in sorted(self.enums.values(), key=lambda enum: enum.id)]
            event["types"] = [described(type_) for type_ in sorted(self.types.values(), key=lambda type_: type_.id)]
            event["procedures"] = [self.procedures[name].described() for name in sorted(self.procedures)]
        return event

    def enum_by_id(self, enum_id: int) -> Enum:
        """The enum with that id; it must exist."""
        return next(enum for enum in self.enums.values() if enum.id == enum_id)

    def type_by_id(self, type_id: int) -> Type:
        """The type with that id; it must exist."""
        return self.types_by_id[type_id]

    def clear(self) -> None:
        """Let go of everything: the collection is deleted. What held its things is told by the caller."""
        for ref in list(self.index.values()):
            thing = ref()
            if thing is not None:
                thing.id = 0
        self.index.clear()
        self.types.clear()
        self.types_by_id.clear()
        self.enums.clear()
        self.procedures.clear()
        self.rooms.clear()
        self.tasks.clear()
        self.root = Thing({})
        self._on_gone = _ignore  # the method refers to the collection, and nothing collects cycles

    # --- recording -----------------------------------------------------------------------------------------------

    def record(self, job: Job) -> None:
        """Note a mutation of the collection's definitions: watchers of the root see it."""
        assert self.change is not None
        self.change.mutations.append((self.root.id, job))

    def record_internal(self, thing_id: int, job: Job) -> None:
        """Note a mutation that the log needs and watchers don't see."""
        if self.change is not None:
            self.change.mutations.append((thing_id, job if type(job) is Internal else Internal(job)))
