"""What a query says to connections while it runs, in order, apart from its change (spec/watch.md, section 8;
spec/admin-and-protocol.md, section 4). `watch/` turns effects into events."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias

from engine.change import Job

__all__ = ["Effect", "Gone", "InstanceJob", "Log", "Renewed", "RoomEvent", "Unwatch", "Watch"]


@dataclass(slots=True)
class Log:
    """`log()`: a warning event with code 2 to the caller."""

    text: str


@dataclass(slots=True)
class RoomEvent:
    """Something said in a room: to all who joined it, or to all but the caller (`peers`)."""

    scope: str  # @collection:NAME
    room: int
    event: str
    arguments: list[Any]
    peers: bool = False


@dataclass(slots=True)
class Watch:
    """`thing.watch()`: the caller watches the thing from here on; `state` is the data of its first event, true after
    the first `position` mutations of the running change."""

    thing: int
    scope: Any  # the collection
    state: dict[str, Any]
    position: int


@dataclass(slots=True)
class Unwatch:
    """`thing.unwatch()`."""

    thing: int


@dataclass(slots=True)
class InstanceJob:
    """A job that a change of a type sends to the watchers of its instances at once, before every update of the query
    (spec/watch.md, section 7.3). It came after the first `position` mutations of the running change."""

    things: list[int]
    job: Job
    position: int


@dataclass(slots=True)
class Renewed:
    """The thing was filled by something that has no job (`import`): its watchers get its first event again, as for
    `Watch`."""

    thing: int
    state: dict[str, Any]
    position: int


@dataclass(slots=True)
class Gone:
    """A collection was deleted, with these things in it: those who watch them are told before the reply."""

    things: list[int]


Effect: TypeAlias = Log | RoomEvent | Watch | Unwatch | InstanceJob | Renewed | Gone
