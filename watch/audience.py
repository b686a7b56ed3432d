"""Subscribers, and the audiences that an event goes to."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol, TypeAlias

__all__ = ["Audience", "Channel", "Form", "Say", "Subscriber"]


class Form(Protocol):
    """How events become bytes for one kind of connection. One object a kind, compared by identity."""

    def event(self, kind: int, data: Any) -> bytes:
        """The complete frame of an event: its number in the native protocol and its body as a tree."""
        ...


class Subscriber(Protocol):
    """A connection, hashed and compared by identity. Frames appended to `out` leave with its next write."""

    @property
    def user(self) -> Any: ...

    @property
    def form(self) -> Form: ...

    @property
    def out(self) -> list[bytes]: ...


class Audience:
    """Connections of one form that get the same frame; it never changes, so it can wait with a frame for the disk
    while others come and go. `appends[i]` is `connections[i].out.append`."""

    __slots__ = ("appends", "connections")

    def __init__(self, connections: tuple[Subscriber, ...]) -> None:
        self.connections = connections
        self.appends = tuple(connection.out.append for connection in connections)


Say: TypeAlias = Callable[[Any, bytes], None]
"""Queues a frame for an audience or for one connection, in order of execution."""


class Channel:
    """The subscribers of one thing or room, in order of subscription, each with whatever its subscription needs."""

    __slots__ = ("_audiences", "members")

    def __init__(self) -> None:
        self.members: dict[Subscriber, Any] = {}
        self._audiences: tuple[tuple[Form, Audience], ...] | None = None

    def add(self, subscriber: Subscriber, note: Any) -> bool:
        """Subscribe, or renew the note; False when it was subscribed already."""
        known = subscriber in self.members
        self.members[subscriber] = note
        if not known:
            self._audiences = None
        return not known

    def discard(self, subscriber: Subscriber) -> bool:
        """Unsubscribe; False when it was not subscribed."""
        if self.members.pop(subscriber, self) is self:
            return False
        self._audiences = None
        return True

    def renew(self) -> None:
        """The form of a member has changed."""
        self._audiences = None

    def audiences(self) -> tuple[tuple[Form, Audience], ...]:
        """One audience a form."""
        if self._audiences is None:
            forms: dict[Form, list[Subscriber]] = {}
            for member in self.members:
                forms.setdefault(member.form, []).append(member)
            self._audiences = tuple((form, Audience(tuple(members))) for form, members in forms.items())
        return self._audiences

    def say(self, say: Say, kind: int, data: Any) -> None:
        """Send an event to all members: encoded once a form."""
        for form, audience in self.audiences():
            say(audience, form.event(kind, data))

    def say_except(self, say: Say, left_out: Subscriber | None, kind: int, data: Any) -> None:
        """Send an event to all members but one."""
        if left_out not in self.members:
            self.say(say, kind, data)
            return
        frames: dict[Form, bytes] = {}
        for member in self.members:
            if member is not left_out:
                frame = frames.get(member.form)
                if frame is None:
                    frame = frames[member.form] = member.form.event(kind, data)
                say(member, frame)
