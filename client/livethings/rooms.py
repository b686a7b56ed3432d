"""Rooms."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from livethings.connection import Connection, Unsent
from livethings.errors import ConnectionLost, LookupFailed
from livethings.events import Emitted
from livethings.packages import Request
from livethings.subscriptions import Queued

if TYPE_CHECKING:
    from livethings.link import Link

__all__ = ["Room"]


class Room(Queued[Emitted]):
    """A room of a collection: read it to join and get its events; `emit` needs no joining.

    It outlives the connection: the server then sends what was missed. What it does not keep any more is lost, which the
    next event says (`Emitted.gap`).

    It ends when the room is gone. Raises LookupFailed when there is none, and EventsLost when `limit` events wait.
    """

    def __init__(self, link: Link, scope: str, room: int | str, *, limit: int, since: int | None = None) -> None:
        super().__init__(link, limit)
        self.scope = scope
        self.room = room
        self.id: int | None = None
        """The room's id, once it was joined."""
        self.number = since or 0
        """The number of the last event that was given out: to go on from there later, join with `since`."""
        self._since = since  # the highest number that has come
        self._gap = False

    async def emit(self, event: str, *args: Any, peers: bool = False) -> None:
        """Send an event to all in the room; with `peers`, to all but this connection."""
        kind = Request.EMIT_PEER if peers else Request.EMIT
        await self._link.request(kind, [self.scope, self.room, event, *args], self._link.settings.timeout)

    def attach(self, connection: Connection) -> None:
        registered = connection.routes.rooms
        registered.asked()

        def entered(value: Any, error: Exception | None) -> None:
            if error is not None:
                if not isinstance(error, ConnectionLost | Unsent):  # after those the link joins again
                    self.fail(error)
            elif value["rooms"][0] is not None:
                self.id = value["rooms"][0]
                registered.enter(self.id, self)
                if self._since is None:
                    self.number = self._since = value["number"]
                elif not value["resumed"]:
                    self._gap = True
                    self._since = min(
                        self._since, value["number"]
                    )  # which is less when the server's clock was set back
                self._is_started()
                if self._ended:
                    self.detach(connection)
            elif self.id is None:
                self.fail(LookupFailed(f"there is no room {self.room!r} in {self.scope}"))
            else:
                self.on_delete()
            registered.answered()

        options: dict[str, Any] = {"rooms": [self.room if self.id is None else self.id]}
        if self._since is not None:
            options["since"] = self._since
        connection.send(Request.JOIN_FROM, [self.scope, options], entered)

    def detach(self, connection: Connection) -> None:
        if self.id is not None:
            body = [self.scope, self.id]
            connection.routes.rooms.leave(
                self.id, self, lambda: connection.send(Request.LEAVE, body, lambda value, error: None)
            )

    def on_emit(self, event: str, args: list[Any], number: int) -> None:
        """An event has come; or comes again, for another subscription of the same room."""
        if self._since is not None and number > self._since:
            self._since = number
            gap, self._gap = self._gap, False
            self._put(Emitted(event, args, gap, number))

    def _take(self) -> Emitted:
        event = super()._take()
        self.number = event.number
        return event

    def on_gap(self) -> None:
        """Events have been left out."""
        self._gap = True

    def on_delete(self) -> None:
        """The room is gone."""
        self.finish()
