"""Presence: who is in a room, or watches a thing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from livethings.connection import Connection, Unsent
from livethings.errors import ConnectionLost, LookupFailed
from livethings.events import Joined, Left
from livethings.packages import Request
from livethings.subscriptions import Queued

if TYPE_CHECKING:
    from livethings.link import Link

__all__ = ["Presence"]


class Presence(Queued[Joined | Left]):
    """Who is in a room or watches a thing: first those who are there already, then who comes and goes.

    Each connection counts, so a user with two is there twice. `present` and `users` say who is there now. It outlives
    the connection, and then tells what has become different: at least our own connection, which has another number.

    It ends when the room or thing is gone, or the right to see it. Raises LookupFailed when there is none,
    ForbiddenError without the right to join or watch, and EventsLost when `limit` events wait.
    """

    def __init__(self, link: Link, scope: str, subject: dict[str, int | str], *, limit: int) -> None:
        super().__init__(link, limit)
        self.scope = scope
        self.id: int | None = None
        """The id of the room or thing, once it has begun."""
        self.connection: int | None = None
        """The number of our own connection."""
        self._subject = subject
        self._present: dict[int, str] = {}

    @property
    def present(self) -> dict[int, str]:
        """Who is there now: the names of users by the numbers of their connections."""
        return dict(self._present)

    @property
    def users(self) -> list[str]:
        """The names of the users who are there now, each once, in order."""
        return sorted(set(self._present.values()))

    def attach(self, connection: Connection) -> None:
        registered = connection.routes.presence
        registered.asked()

        def entered(value: Any, error: Exception | None) -> None:
            if error is None:
                (word,) = self._subject
                self.id = value[word]
                self._subject[word] = self.id  # it is the same, whatever it is called when we come back
                self.connection = value["connection"]
                registered.enter(self.id, self)
                self._are_there({entry["connection"]: entry["user"] for entry in value["present"]})
                self._is_started()
                if self._ended:
                    self.detach(connection)
            elif isinstance(error, LookupFailed) and self.id is not None:
                self.finish()
            elif not isinstance(error, ConnectionLost | Unsent):  # after those the link asks again
                self.fail(error)
            registered.answered()

        connection.send(Request.PRESENCE, [self.scope, self._subject], entered)

    def detach(self, connection: Connection) -> None:
        if self.id is not None:
            body = [self.scope, self._subject]
            connection.routes.presence.leave(
                self.id, self, lambda: connection.send(Request.UNPRESENCE, body, lambda value, error: None)
            )

    def on_join(self, connection: int, user: str) -> None:
        """Somebody has come, or a connection belongs to another user now."""
        self._present[connection] = user
        self._put(Joined(connection, user))

    def on_leave(self, connection: int, user: str) -> None:
        """Somebody has gone."""
        if self._present.pop(connection, None) is not None:
            self._put(Left(connection, user))

    def on_end(self) -> None:
        """The server tells no more of it."""
        self.finish()

    def _are_there(self, present: dict[int, str]) -> None:
        """These are there, as the server's list says."""
        known, self._present = self._present, present
        for connection, user in known.items():
            if present.get(connection) != user:
                self._put(Left(connection, user))
        for connection, user in present.items():
            if known.get(connection) != user:
                self._put(Joined(connection, user, already=True))
