"""What subscriptions give out. Values in things and jobs are written as docs/protocol.md, "Events", says."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, TypeAlias

__all__ = [
    "Change", "Delete", "Emitted", "Init", "Joined", "Left", "NodeStatus", "Notice", "Stop", "Unrouted", "Update",
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Init:
    """The thing as it is at a change: `thing` holds its properties by name, and its id under `#`.

    `restart` is true when what happened since the last event of this thing may have been missed: forget what was known.
    For the root of a collection `types`, `enums` and `procedures` are its definitions, for other things None.
    """

    id: int
    change: int
    thing: dict[str, Any]
    collection: str
    restart: bool = False
    types: list[dict[str, Any]] | None = None
    enums: list[dict[str, Any]] | None = None
    procedures: list[dict[str, Any]] | None = None


@dataclass(frozen=True, slots=True)
class Update:
    """What a change did to the thing: jobs in order, each a map with one key, such as `{"set": {"likes": 3}}`."""

    id: int
    change: int
    jobs: list[dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Delete:
    """The thing is gone; it is watched no more."""

    id: int
    change: int | None = None


@dataclass(frozen=True, slots=True)
class Stop:
    """The thing is watched no more: the right to it was lost, or it left the reach of a deep watch."""

    id: int
    change: int | None = None


Change: TypeAlias = "Init | Update | Delete | Stop"
"""What a watch gives out."""


@dataclass(frozen=True, slots=True)
class Emitted:
    """An event of a room. `gap` is true when others before it have been missed. Numbers grow with time."""

    event: str
    args: list[Any]
    gap: bool = False
    number: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class Joined:
    """A connection of a user is there; `already` is true when it was before we asked, or came while we were away."""

    connection: int
    user: str
    already: bool = False


@dataclass(frozen=True, slots=True)
class Left:
    """A connection of a user is not there any more."""

    connection: int
    user: str


@dataclass(frozen=True, slots=True)
class NodeStatus:
    """The server's status: SHUTTING_DOWN before it stops, then OFFLINE."""

    status: str


@dataclass(frozen=True, slots=True)
class Notice:
    """A warning: what `log()` says in a query of this connection (2), why the server is about to disconnect (3), or
    that it has left out what users emitted, since this program was too slow (5)."""

    code: int
    message: str


@dataclass(frozen=True, slots=True)
class Unrouted:
    """An event that belongs to no subscription: of a thing that code watched, or of a kind that is not known here."""

    kind: int
    data: Any
