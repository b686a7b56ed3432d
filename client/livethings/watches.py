"""Watches of things: of some by their ids, or deep ones, with what they contain."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from livethings.connection import Connection, Unsent
from livethings.errors import ConnectionLost, LookupFailed
from livethings.events import Change, Delete, Init, Stop, Update
from livethings.link import Link
from livethings.packages import Request
from livethings.subscriptions import Queued

if TYPE_CHECKING:
    from livethings.routes import Routes

__all__ = ["DeepWatch", "Watch"]


Seen: TypeAlias = "tuple[int, float]"
"""A change, and how many of its jobs are known; all of them (infinity) when a first state shows them."""

ALL: Final = float("inf")


class Watch(Queued[Change]):
    """Things that are watched: their first states (`Init`), then all that happens to them, in order, once.

    It outlives the connection: the server then sends what was missed, or, when it does not keep that any more, fresh
    first states, which are marked (`Init.restart`).

    It ends when none of the things is left. Raises LookupFailed for an id that can't be watched, and EventsLost when
    `limit` events wait, and more than two for each thing; with `lossy`, it goes on from fresh first states then.
    """

    def __init__(
        self,
        link: Link,
        scope: str,
        ids: Iterable[int],
        *,
        limit: int,
        since: int | None = None,
        lossy: bool = False,
        lenient: bool = False,
    ) -> None:
        super().__init__(link, limit)
        self.scope = scope
        ids = list(ids)
        for thing_id in ids:
            if type(thing_id) is not int:
                raise TypeError(f"things are watched by their ids, ints: watch(scope, 3, 4), not {thing_id!r}")
        self._ids = dict.fromkeys(ids)
        self._peak = len(self._ids)  # how many things there were at most
        self._lossy = lossy
        self._lenient = lenient  # may be empty; says of what is not there that it is gone
        self._since = since
        self._change = since or 0
        self._seen: dict[int, Seen] = {}  # of each thing whose first state has come
        if since is not None:
            self._seen = dict.fromkeys(self._ids, (since, ALL))
        self._replayed: dict[int, int] = {}  # of things that are told again: how many jobs of the change last seen
        self._stale: set[int] = set()  # what comes before its next first state is not wanted
        self._routes: Routes | None = None  # of the connection on which everything up to its `change` has come
        self._resuming: Connection | None = None  # on which what was missed may still be to come

    @property
    def ids(self) -> list[int]:
        """The ids of the things that are watched now."""
        return list(self._ids)

    def watches(self, thing_id: int) -> bool:
        """Is the thing watched now?"""
        return thing_id in self._ids

    def knows(self, thing_id: int) -> bool:
        """Has its first state come?"""
        return thing_id in self._seen

    @property
    def change(self) -> int:
        """All that happened up to this change has been given out: to go on from there later, watch with `since`."""
        for event in self._queue:
            if event.change is not None:
                return event.change - 1
        return max(self._change, self._routes.change) if self._routes is not None else self._change

    def add(self, ids: Iterable[int]) -> None:
        """Watch these things too."""
        new = [thing_id for thing_id in dict.fromkeys(ids) if thing_id not in self._ids]
        self._ids.update(dict.fromkeys(new))
        connection = self._link.connection
        if new and self._link.has(self) and connection is not None and not connection.ended.done():
            self._ask(connection, new)

    def discard(self, ids: Iterable[int]) -> None:
        """Watch these things no more; what is waiting to be read stays."""
        gone = [thing_id for thing_id in ids if thing_id in self._ids]
        for thing_id in gone:
            self._forget(thing_id)
        connection = self._link.connection
        if gone and self._link.has(self) and connection is not None and not connection.ended.done():
            self._unwatch(connection, gone)

    # --- the link ----------------------------------------------------------------------------------------------------

    async def _prepare(self) -> None:
        if not self._ids and not self._lenient:
            root = await self._link.request(Request.QUERY, [self.scope, ".id()"], self._link.settings.timeout, True)
            self._ids[root] = None
            if self._since is not None:
                self._seen[root] = (self._since, ALL)

    def attach(self, connection: Connection) -> None:
        if self._routes is not None:
            self._change = max(self._change, self._routes.change)
        self._routes = None
        known = [thing_id for thing_id in self._ids if thing_id in self._seen and thing_id not in self._stale]
        new = [thing_id for thing_id in self._ids if thing_id not in self._seen or thing_id in self._stale]
        self._replayed = dict.fromkeys(known, 0)
        self._resuming = connection if known else None
        if new:
            self._ask(connection, new)
        if known:
            self._resume(connection, known)

            def caught_up(_: Any, error: Exception | None) -> None:
                if error is None and self._resuming is connection:
                    self._resuming = None
                    self._routes = connection.routes

            connection.send(Request.PING, None, caught_up)
        if not self._ids:
            self._is_started()

    def detach(self, connection: Connection) -> None:
        self._unwatch(connection, list(self._ids))

    def _ask(self, connection: Connection, ids: list[int]) -> None:
        """Ask for first states, and what follows."""
        self._claim(connection, ids)

        def entered(_: Any, error: Exception | None) -> None:
            if self._granted(connection, ids, error):
                self._enter(connection, ids, fresh=True)

        connection.send(Request.WATCH, [self.scope, *ids], entered)

    def _resume(self, connection: Connection, ids: list[int]) -> None:
        """Ask for what was missed, and what follows."""
        self._claim(connection, ids)

        def entered(value: Any, error: Exception | None) -> None:
            if self._granted(connection, ids, error):
                if not value["resumed"]:
                    self._replayed.clear()
                self._enter(connection, ids, fresh=not value["resumed"])

        connection.send(Request.WATCH_WITH, [self.scope, {"ids": ids, "since": self._change}], entered)

    def _claim(self, connection: Connection, ids: list[int]) -> None:
        for thing_id in ids:
            connection.routes.claims[thing_id] += 1

    def _granted(self, connection: Connection, ids: list[int], error: Exception | None) -> bool:
        if error is None:
            return True
        if not isinstance(error, ConnectionLost | Unsent):  # after those the link subscribes again
            for thing_id in ids:
                connection.routes.leave(self, thing_id)
            self.fail(error)
        return False

    def _enter(self, connection: Connection, ids: list[int], fresh: bool) -> None:
        """The server watches these things for us; with `fresh`, their first states come next."""
        routes = connection.routes
        if self._resuming is not connection:
            self._routes = routes
        for thing_id in reversed(ids):
            if fresh:
                routes.expected.append((self, thing_id))
            else:
                for other in routes.watches.get(thing_id, ()):
                    other.on_replay(thing_id)
            if thing_id in self._ids and not self._ended:
                routes.enter(self, thing_id)
        self._is_started()

    def _unwatch(self, connection: Connection, ids: list[int]) -> None:
        last = [thing_id for thing_id in ids if connection.routes.leave(self, thing_id)]
        if last:
            connection.send(Request.UNWATCH, [self.scope, *last], lambda value, error: None)

    # --- events ------------------------------------------------------------------------------------------------------

    def on_init(self, thing_id: int, data: dict[str, Any]) -> None:
        """A first state has come."""
        if thing_id not in self._ids or self._ended:
            return
        self._peak = max(self._peak, len(self._ids))
        restart = thing_id in self._seen
        self._seen[thing_id] = (data["event"], ALL)
        self._replayed.pop(thing_id, None)
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
        thing_id = update.id
        if thing_id not in self._ids or thing_id in self._stale or self._ended:
            return
        change, jobs = self._seen.get(thing_id, (0, 0))
        if thing_id in self._replayed:
            if update.change < change:
                return
            if update.change == change:
                replayed = self._replayed[thing_id]
                self._replayed[thing_id] = replayed + len(update.jobs)
                new = update.jobs[max(0, int(min(jobs, replayed + len(update.jobs))) - replayed) :]
                if not new:
                    return
                update = Update(thing_id, update.change, new)
            else:
                del self._replayed[thing_id]
        self._seen[thing_id] = (update.change, len(update.jobs) + (jobs if update.change == change else 0))
        self._put(update)

    def on_replay(self, thing_id: int) -> None:
        """Changes of a thing come again, since another watch of it has missed them."""
        if thing_id in self._seen:
            self._replayed[thing_id] = 0

    def on_end(self, event: Delete | Stop) -> None:
        """A thing is watched no more."""
        if event.id not in self._ids:
            return
        self._forget(event.id)
        self._put(event)
        if not self._ids and not self._lenient:
            self.finish()

    def on_missing(self, thing_id: int, message: str) -> None:
        """A thing can't be watched."""
        if thing_id not in self._ids:
            return
        if thing_id in self._seen or self._lenient:
            self.on_end(Delete(thing_id))
        else:
            self.fail(LookupFailed(message))

    def _forget(self, thing_id: int) -> None:
        self._ids.pop(thing_id, None)
        self._seen.pop(thing_id, None)
        self._replayed.pop(thing_id, None)
        self._stale.discard(thing_id)

    def renew(self, ids: Iterable[int]) -> None:
        """Have fresh first states of these things, instead of what comes before those."""
        ids = [thing_id for thing_id in ids if thing_id in self._ids]
        connection = self._link.connection
        if ids and connection is not None and not connection.ended.done():
            self._stale.update(ids)
            for thing_id in ids:
                connection.routes.claims[thing_id] -= 1  # which asking again adds
            self._ask(connection, ids)

    def _most(self) -> int:
        # At least a first state and an end of each thing, which can come all at once.
        return max(self._limit, 2 * self._peak)

    def _overflow(self) -> None:
        if not self._lossy:
            super()._overflow()
            return
        self._queue.clear()
        self._limit = max(self._limit, 2 * len(self._ids))
        self._stale.update(self._ids)
        self.renew(self._ids)


class DeepWatch(Watch):
    """Things that are watched with what they contain, to a depth. What comes into reach later has its first state told
    then (`Init`), what leaves it is told as `Stop`; each among the changes that caused it.

    It has a connection of its own, since events name the thing they are about and not the watch that it is in reach of.

    Raises OperationError when it reaches more things than the server allows, at first or later.
    """

    def __init__(
        self,
        link: Link,
        scope: str,
        ids: Iterable[int],
        deep: int,
        *,
        limit: int,
        since: int | None = None,
        known: Iterable[int] = (),
    ) -> None:
        super().__init__(Link(link.settings), scope, ids, limit=limit, since=since)
        self._parent = link
        self._deep = deep
        self._roots = list(self._ids)
        self._known = list(known)
        self._closing: asyncio.Task[None] | None = None

    async def _prepare(self) -> None:
        self._parent.children[self._link] = None
        await self._link.wait(self._link.open(patient=True))
        await super()._prepare()
        self._roots = list(self._ids)
        if self._since is not None:
            self._ids.update(dict.fromkeys(self._known))
            self._seen.update(dict.fromkeys(self._known, (self._since, ALL)))

    def attach(self, connection: Connection) -> None:
        if self._routes is not None:
            self._change = max(self._change, self._routes.change)
        self._routes = None
        options: dict[str, Any] = {"ids": self._roots, "deep": self._deep}
        if self._seen:
            options |= {"since": self._change, "known": list(self._seen)}
        self._replayed = dict.fromkeys(self._seen, 0)

        def entered(value: Any, error: Exception | None) -> None:
            if not self._granted(connection, [], error):
                return
            routes = connection.routes
            routes.sole = {self: None}
            if "since" not in options:  # so there is nothing to catch up with
                self._routes = routes
            if not value.get("resumed"):
                self._replayed.clear()
                routes.expected.extend((self, thing_id) for thing_id in reversed(self._roots))
            self._is_started()

        def caught_up(_: Any, error: Exception | None) -> None:
            if error is None:
                self._routes = connection.routes

        connection.send(Request.WATCH_WITH, [self.scope, options], entered)
        connection.send(Request.PING, None, caught_up)

    def detach(self, connection: Connection) -> None:
        """The connection ends with it."""

    def on_init(self, thing_id: int, data: dict[str, Any]) -> None:
        """A first state has come: of a root, or of what has come into reach."""
        self._ids[thing_id] = None
        super().on_init(thing_id, data)

    def _finish(self, error: Exception | None) -> None:
        super()._finish(error)
        if self._closing is None and self._parent.children.pop(self._link, self) is None:
            self._closing = asyncio.get_running_loop().create_task(self._link.close(), name="livethings closing")

    async def close(self) -> None:
        """End it, and its connection."""
        await super().close()
        if self._closing is not None:
            await asyncio.shield(self._closing)
