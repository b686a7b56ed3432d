"""Watches of things."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from livethings.connection import Connection, Unsent
from livethings.errors import ConnectionLost, LookupFailed
from livethings.events import Change, Delete, Init, Stop, Update
from livethings.packages import Request
from livethings.subscriptions import Queued

if TYPE_CHECKING:
    from livethings.link import Link

__all__ = ["Watch"]


class Watch(Queued[Change]):
    """Things that are watched: their first states (`Init`), then all that happens to them, in order, once.

    It ends when none of them is left. Raises LookupFailed for an id that can't be watched, and EventsLost when `limit`
    events wait; with `lossy`, it goes on from fresh states then, which are marked (`Init.restart`).
    """

    def __init__(
        self, link: Link, scope: str, ids: Iterable[int], *, limit: int, lossy: bool = False, lenient: bool = False
    ) -> None:
        super().__init__(link, limit)
        self.scope = scope
        self._ids = dict.fromkeys(ids)
        self._lossy = lossy
        self._lenient = lenient  # may be empty; says of what is not there that it is gone
        self._known: set[int] = set()  # a first state of it has been given out
        self._stale: set[int] = set()  # what comes before its next first state is not wanted

    @property
    def ids(self) -> list[int]:
        """The ids of the things that are watched now."""
        return list(self._ids)

    def add(self, ids: Iterable[int]) -> None:
        """Watch these things too."""
        new = [thing_id for thing_id in dict.fromkeys(ids) if thing_id not in self._ids]
        self._ids.update(dict.fromkeys(new))
        connection = self._link.connection
        if new and self._started is not None and connection is not None and not connection.ended.done():
            self._ask(connection, new)

    def discard(self, ids: Iterable[int]) -> None:
        """Watch these things no more; what is waiting to be read stays."""
        gone = [thing_id for thing_id in ids if thing_id in self._ids]
        for thing_id in gone:
            self._forget(thing_id)
        connection = self._link.connection
        if connection is not None and not connection.ended.done():
            self._unwatch(connection, gone)

    # --- the link ----------------------------------------------------------------------------------------------------

    async def _prepare(self) -> None:
        if not self._ids and not self._lenient:
            root = await self._link.request(Request.QUERY, [self.scope, ".id()"], self._link.settings.timeout, True)
            self._ids[root] = None

    def attach(self, connection: Connection) -> None:
        self._stale.clear()
        if self._ids:
            self._ask(connection, list(self._ids))
        else:
            self._is_started()

    def detach(self, connection: Connection) -> None:
        self._unwatch(connection, list(self._ids))

    def _ask(self, connection: Connection, ids: list[int]) -> None:
        routes = connection.routes
        for thing_id in ids:
            routes.claims[thing_id] += 1

        def entered(_: Any, error: Exception | None) -> None:
            if isinstance(error, ConnectionLost | Unsent):
                return  # the link subscribes again
            if error is not None:
                for thing_id in ids:
                    routes.leave(self, thing_id)
                self.fail(error)
                return
            for thing_id in reversed(ids):
                routes.expected.append((self, thing_id))
                if thing_id in self._ids and not self._ended:
                    routes.enter(self, thing_id)
            self._is_started()

        connection.send(Request.WATCH, [self.scope, *ids], entered)

    def _unwatch(self, connection: Connection, ids: list[int]) -> None:
        last = [thing_id for thing_id in ids if connection.routes.leave(self, thing_id)]
        if last:
            connection.send(Request.UNWATCH, [self.scope, *last], lambda value, error: None)

    # --- events ------------------------------------------------------------------------------------------------------

    def on_init(self, thing_id: int, data: dict[str, Any]) -> None:
        """A first state has come."""
        if thing_id not in self._ids or self._ended:
            return
        restart = thing_id in self._known
        self._known.add(thing_id)
        self._stale.discard(thing_id)
        self._put(
            Init(
                thing_id,
                data["event"],
                data["thing"],
                data["collection"],
                restart,
                data.get("types"),
                data.get("enums"),
                data.get("procedures"),
            )
        )

    def on_update(self, update: Update) -> None:
        """A change of a thing has come."""
        if update.id in self._ids and update.id not in self._stale:
            self._put(update)

    def on_end(self, event: Delete | Stop) -> None:
        """A thing is watched no more."""
        if event.id not in self._ids:
            return
        self._forget(event.id)
        self._put(event)
        self._check_left()

    def on_missing(self, thing_id: int, message: str) -> None:
        """A thing can't be watched."""
        if thing_id not in self._ids:
            return
        if thing_id in self._known or self._lenient:
            self.on_end(Delete(thing_id))
        else:
            self.fail(LookupFailed(message))

    def _forget(self, thing_id: int) -> None:
        self._ids.pop(thing_id, None)
        self._known.discard(thing_id)
        self._stale.discard(thing_id)

    def _check_left(self) -> None:
        if not self._ids and not self._lenient:
            self.finish()

    def _overflow(self) -> None:
        connection = self._link.connection
        if not self._lossy:
            super()._overflow()
        elif connection is not None:
            self._queue.clear()
            ids = list(self._ids)
            self._limit = max(self._limit, 2 * len(ids))
            self._stale.update(ids)
            for thing_id in ids:
                connection.routes.claims[thing_id] -= 1  # which asking again adds
            self._ask(connection, ids)
