"""Rooms: channels that queries and clients emit into (spec/admin-and-protocol.md, section 5).

A room has no id (0) until it becomes part of stored data. The collection refers to its rooms weakly, like to its
things: a room is gone when nothing stored refers to it any more.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from engine.effects import RoomEvent
from engine.encoding import leaf
from engine.errors import LookupFailed, NumArgumentsError, OperationError, TypeFailed, ValueFailed
from engine.functions.registry import function, method, register_kind, type_name
from engine.language.runtime import checked_deep
from engine.names import check_name
from engine.replay import Replay, replays
from engine.result import Result, shows
from engine.snapshot import packs
from engine.state import loads, saves
from engine.values.as_text import TEXT
from engine.values.copying import COPIES
from engine.values.text import byte_length

if TYPE_CHECKING:
    from collections.abc import Iterator

    from engine.collection import Collection
    from engine.context import Context
    from engine.engine import Engine
    from engine.values.thing import Value

__all__ = ["Room"]


class Room:
    """A room; equal only to itself."""

    __slots__ = ("__weakref__", "id", "name")

    def __init__(self) -> None:
        self.id = 0
        self.name: str | None = None

    def __bool__(self) -> bool:
        return self.id != 0

    def __str__(self) -> str:
        return f"room:{self.id or 'nil'}"


class RoomRef(weakref.ref[Room]):
    """A weak reference to a stored room that knows its id."""

    __slots__ = ("id",)

    id: int


def admit(home: Collection, room: Room, room_id: int) -> None:
    """Enter a room into a collection under an id."""
    room.id = room_id

    def gone(ref: weakref.ref[Room]) -> None:
        if home.rooms.get(room_id) is ref:
            del home.rooms[room_id]
            home.engine.gone_rooms.append((home.title, room_id))

    ref = RoomRef(room, gone)
    ref.id = room_id
    home.rooms[room_id] = ref


register_kind("room", Room)
COPIES[Room] = lambda value, copying, deep: Room()
TEXT[Room] = str


@shows(Room)
def _show_room(value: Room, made: Result, deep: int) -> str:
    return str(value)


def _read(data: bytes, replay: Replay) -> Room:
    return _room(replay, replay.leaf_id(int.from_bytes(data, "big")))


def _room(replay: Replay, room_id: int) -> Room:
    home: Collection = replay.home
    ref = home.rooms.get(room_id)
    room: Room | None = ref() if ref is not None else None
    if room is None:
        room = Room()
        admit(home, room, room_id)
    replay.kept.append(room)
    return room


def _tell(data: bytes, home: Collection) -> str:
    return f"room:{int.from_bytes(data, 'big') or 'nil'}"


leaf(Room, 2, lambda room: room.id.to_bytes(8, "big"), _read, _tell)


@packs(Room)
def _pack_room(value: Room, home: Collection, depth: int) -> Room:
    if not value.id:
        room_id = home.engine.next_id
        home.engine.next_id = room_id + 1
        admit(home, value, room_id)
    return value


# --- functions and methods -------------------------------------------------------------------------------------------


@function(
    "room",
    "room?: int|str|room",
    doc="A new room, or the stored room with that id or name.",
    example=".lobby = room()",
)
def room(ctx: Context, which: int | str | Room | None = None) -> Room:
    if which is None:
        return Room()
    if isinstance(which, Room):
        return which
    if type(which) is str:
        check_name(which, "a room")
    found: Room | None = ctx.scope.find_room(which) if ctx.scope.kind == "C" else None  # type: ignore[union-attr]
    if found is None:
        raise LookupFailed(f"there is no room {which}")
    return found


@method("room", "id", doc="The id of the room, nil until it is stored.", example=".lobby.id()")
def id_(ctx: Context, value: Room) -> int | None:
    return value.id or None


@method("room", "name", doc="The name of the room, nil when it has none.", example=".lobby.name()")
def name(ctx: Context, value: Room) -> str | None:
    return value.name


@method(
    "room",
    "set_name",
    "name: lazy str|nil",
    doc="Gives the room a name, or takes it away.",
    example=".lobby.set_name('lobby')",
)
def set_name(ctx: Context, value: Room, name: Callable[[], Value]) -> None:
    if not value.id:
        raise OperationError("a room must be stored before it can have a name")
    if ctx.change is None:
        raise OperationError("a stored value can only be changed by a query that is a change: use wse(…)")
    wanted = name()
    if wanted is not None and type(wanted) is not str:
        raise TypeFailed(f"set_name() takes a str or nil as argument 1, not {type_name(wanted)}")
    if wanted is not None:
        check_name(wanted, "a room")
        other = ctx.scope.find_room(wanted)  # type: ignore[union-attr]
        if other is not None and other is not value:
            number = other.id
            del other
            if ctx.journal is None or number not in ctx.journal.removed(Room):
                raise LookupFailed(f"there is a room {wanted} already")
    if ctx.journal is not None:
        ctx.journal.save_attributes(value, "name")
    value.name = wanted
    ctx.scope.record_internal(ctx.root.id, {"name_room": [value.id, wanted]})  # type: ignore[union-attr]


@method(
    "room",
    "emit",
    "arguments*: any",
    doc="Says an event to all who joined the room; leading ints are the deep value and flags for the arguments.",
    example=".lobby.emit('hello', 'world')",
)
def emit(ctx: Context, value: Room, *arguments: Value) -> None:
    deep, flags, rest = ctx.deep, ctx.flags, list(arguments)
    if rest and type(rest[0]) is int:
        deep = checked_deep(rest.pop(0))
        if rest and type(rest[0]) is int:
            flags = rest.pop(0)
    if not rest:
        raise NumArgumentsError("emit() takes the name of an event after deep and flags")
    event, *values = rest
    if type(event) is not str:
        raise TypeFailed(f"the name of an event is a str, not {type_name(event)}")
    if not 1 <= byte_length(event) <= 255:
        raise ValueFailed("the name of an event has 1 to 255 bytes")
    trees = [Result(ctx, flags).show(item, deep) for item in values]
    if value.id:
        ctx.say(RoomEvent(ctx.scope.title, value.id, event, trees))


# --- log and state ---------------------------------------------------------------------------------------------------


@replays("name_room")
def _name_room(replay: Replay, _: Any, named: list[Any]) -> None:
    ref = replay.home.rooms.get(named[0])
    found: Room | None = ref() if ref is not None else None
    if found is not None:
        found.name = named[1]


@saves
def _save(engine: Engine) -> Iterator[tuple[str, int | str, Any]]:
    for collection in engine.collections.values():
        for room_id, ref in collection.rooms.items():
            found = ref()
            if found is not None and found.name is not None:
                yield "room", f"{collection.id}:{room_id}", found.name


@loads("room")
def _load(replay: Replay, key: str, tree: str) -> None:
    room_id = int(key.partition(":")[2])
    _room(replay, room_id).name = tree
