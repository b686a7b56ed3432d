"""The face of the package: a database to query, run procedures in and watch."""

from __future__ import annotations

import ssl as tls
from collections.abc import Generator, Iterable
from typing import TYPE_CHECKING, Any, Literal, TypeVar, overload

from livethings.connection import Connection
from livethings.events import NodeStatus, Notice, Unrouted
from livethings.link import Backoff, Link, Settings
from livethings.live import Live
from livethings.packages import Request
from livethings.presence import Presence
from livethings.rooms import Room
from livethings.subscriptions import Queued
from livethings.transports import Address
from livethings.watches import DeepWatch, Watch

if TYPE_CHECKING:
    from typing import Self

    from livethings.model import Mirror, Thing

M = TypeVar("M", bound="Thing")

__all__ = ["Database", "Events", "Requests", "connect"]

QUEUE_LIMIT = 10_000


def connect(
    url: str,
    *,
    user: str | None = None,
    password: str | None = None,
    token: str | None = None,
    ssl: tls.SSLContext | None = None,
    timeout: float | None = 30.0,
    connect_timeout: float = 10.0,
    heartbeat: float = 20.0,
    reconnect: bool = True,
    backoff: Backoff | None = None,
    slow: Literal["disconnect", "refresh"] = "disconnect",
) -> Database:
    """A database at `ws://host:9270`, `wss://…`, `tcp://host:9200`, `tcps://…` or `unix:///file`; the user has a
    password or a token.

        async with connect("ws://127.0.0.1:9270", user="admin", password="pass") as db: ...

    or `db = await connect(…)`, then `await db.close()`. Times are in seconds: `timeout` for a reply (None: no limit),
    `connect_timeout` for connecting and logging in, `heartbeat` of silence until the server is asked for a sign of
    life, and as long again until the connection counts as lost. With `reconnect`, a lost connection comes back (see
    `Backoff`) with all subscriptions; meanwhile requests wait.

    `slow` says what the server does when this program does not read for so long that too much waits for it: it ends the
    connection, which then comes back and resumes; or, with "refresh", it leaves events out and tells fresh state
    later (`Init.restart`, `Emitted.gap`).

    `ssl` is for `wss` and `tcps`, when the system's certificates are not what to trust.

    Raises ValueError for arguments that don't go together; entering or awaiting it raises ConnectFailed or AuthError.
    """
    credentials: str | list[str]
    if token is not None and user is None and password is None:
        credentials = token
    elif token is None and user is not None and password is not None:
        credentials = [user, password]
    else:
        raise ValueError("give either user= and password=, or token=")
    address = Address.parse(url)
    if ssl is not None and address.scheme not in ("wss", "tcps"):
        raise ValueError(f"with ssl= the address begins with wss:// or tcps://, not {address.scheme}://")
    settings = Settings(
        address=address,
        credentials=credentials,
        ssl=ssl,
        timeout=timeout,
        connect_timeout=connect_timeout,
        heartbeat=heartbeat,
        reconnect=reconnect,
        backoff=backoff or Backoff(),
        slow=slow,
    )
    return Database(settings)


class Requests:
    """Queries and procedures, with the same options for each."""

    def __init__(
        self, link: Link, *, timeout: float | None, retry: bool, conditions: dict[str, Any] | None = None
    ) -> None:
        self._link = link
        self._timeout = timeout
        self._retry = retry
        self._conditions = conditions or None

    async def _request(self, kinds: tuple[int, int], body: list[Any], values: Any) -> Any:
        if self._conditions is None:
            body = [*body, values] if values is not None else body
            return await self._link.request(kinds[0], body, self._timeout, self._retry)
        return await self._link.request(kinds[1], [*body, values, self._conditions], self._timeout, self._retry)

    async def query(self, scope: str, code: str, /, **variables: Any) -> Any:
        """Run code in a scope (`//stuff`, `@thingsdb`, `@node`), with variables by name; its result.

        Raises the server's error; ConnectionLost, or NoReply after the timeout: whether it was carried out is unknown
        then, since it is not sent again unless asked for.
        """
        return await self._request((Request.QUERY, Request.QUERY_WITH), [scope, code], variables or None)

    async def run(self, scope: str, procedure: str, /, *args: Any, **named: Any) -> Any:
        """Run a procedure with arguments by position or by name; its result. Raises as `query`."""
        if args and named:
            raise ValueError("the arguments of a procedure go all by position or all by name")
        return await self._request((Request.RUN, Request.RUN_WITH), [scope, procedure], named or list(args))


class Database(Requests):
    """A user's connection to a server. Any number of tasks of one event loop may use it at once."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(Link(settings), timeout=settings.timeout, retry=False)

    async def open(self) -> None:
        """Connect and log in. Raises ConnectFailed or AuthError."""
        await self._link.open()

    async def close(self) -> None:
        """End the connection and all subscriptions."""
        await self._link.close()

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(self, *exception: object) -> None:
        await self.close()

    def __await__(self) -> Generator[Any, None, Self]:
        return self.__aenter__().__await__()

    @property
    def connected(self) -> bool:
        """There is a connection at the moment."""
        return self._link.connection is not None and not self._link.connection.ended.done()

    def using(
        self,
        *,
        timeout: float | None = None,
        retry: bool = False,
        atomic: bool = False,
        decided_at: int | None = None,
        things: Iterable[int] | None = None,
    ) -> Requests:
        """Queries and procedures with other options:

            await db.using(retry=True).query("//stuff", ".songs.len()")

        `timeout`: seconds for the reply (None: the database's). `retry`: send it again when the connection was lost
        before the reply, and after NodeError; for what may be carried out twice. `atomic`: when it fails, nothing has
        changed. `decided_at`: it is refused with ChangedError when one of the `things` (ids) has changed after that
        change; without `things`, when anything in the scope has. Retried with `decided_at`, a request is carried out
        once, and refused when that had happened the first time.
        """
        conditions: dict[str, Any] = {}
        if atomic:
            conditions["atomic"] = True
        if decided_at is not None:
            conditions["decided_at"] = decided_at
        if things is not None:
            if decided_at is None:
                raise ValueError("things= goes with decided_at=")
            conditions["things"] = list(things)
        timeout = self._timeout if timeout is None else timeout
        return Requests(self._link, timeout=timeout, retry=retry, conditions=conditions)

    async def ping(self) -> None:
        """Ask for a sign of life."""
        await self._link.request(Request.PING, None, self._timeout, True)

    def watch(
        self,
        scope: str,
        *ids: int,
        deep: int = 0,
        since: int | None = None,
        known: Iterable[int] | None = None,
        limit: int = QUEUE_LIMIT,
        lossy: bool = False,
    ) -> Watch:
        """Watch things of a collection by their ids; the root when none is given. See `Watch`.

            async for event in db.watch("//stuff", 3): ...

        `deep` watches what they contain too, to that depth (see `DeepWatch`). `since` goes on from a change that was
        seen earlier (`Watch.change`), with what happened since; with `deep`, `known` says what was in reach then
        (`Watch.ids`). `limit` bounds the events that wait to be read.
        """
        if deep:
            if lossy:
                raise ValueError("a deep watch can't be lossy")
            if (since is None) != (known is None):
                raise ValueError("a deep watch goes on with since= and known=, the ids of what was in its reach")
            return DeepWatch(self._link, scope, ids, deep, limit=limit, since=since, known=known or ())
        if known is not None:
            raise ValueError("known= is for deep watches")
        return Watch(self._link, scope, ids, limit=limit, since=since, lossy=lossy)

    def live(self, scope: str, code: str, /, **variables: Any) -> Live:
        """The result of code without side effects, and the new one whenever it is another. See `Live`.

        async for count in db.live("//stuff", ".songs.len()"): ...
        """
        return Live(self._link, scope, {"code": code} | ({"vars": variables} if variables else {}))

    def live_run(self, scope: str, procedure: str, /, *args: Any, **named: Any) -> Live:
        """The same of a procedure, with arguments by position or by name."""
        if args and named:
            raise ValueError("the arguments of a procedure go all by position or all by name")
        return Live(self._link, scope, {"procedure": procedure, "args": named or list(args)})

    def room(self, scope: str, room: int | str, *, since: int | None = None, limit: int = QUEUE_LIMIT) -> Room:
        """A room of a collection by its id or name. See `Room`.

            async for event in db.room("//stuff", "chat"): ...

        `since` goes on from an event that was seen earlier (`Room.number`), with those that the server has kept; 0
        begins with all of them.
        """
        return Room(self._link, scope, room, limit=limit, since=since)

    @overload
    def presence(self, scope: str, *, room: int | str, limit: int = QUEUE_LIMIT) -> Presence: ...

    @overload
    def presence(self, scope: str, *, thing: int, limit: int = QUEUE_LIMIT) -> Presence: ...

    def presence(
        self, scope: str, *, room: int | str | None = None, thing: int | None = None, limit: int = QUEUE_LIMIT
    ) -> Presence:
        """Who is in a room, by its id or name, or watches a thing. See `Presence`.

        async for event in db.presence("//stuff", room="chat"): ...
        """
        if room is not None and thing is None:
            return Presence(self._link, scope, {"room": room}, limit=limit)
        if thing is not None and room is None:
            return Presence(self._link, scope, {"thing": thing}, limit=limit)
        raise ValueError("give either room= or thing=")

    def events(self, *, limit: int = QUEUE_LIMIT) -> Events:
        """What the server says that belongs to no subscription: its status, warnings, events of things that code
        watched."""
        return Events(self._link, limit)

    def mirror(self, scope: str, cls: type[M], thing: int | None = None) -> Mirror[M]:
        """A thing of a collection, by default the root, and what its class reaches, kept as they are on the server.

            async with db.mirror("//stuff", Music) as music: ...

        See `livethings.model.Thing` for the classes.
        """
        from livethings.model.mirror import Mirror

        return Mirror(self, self._link, scope, cls, thing)


class Events(Queued[NodeStatus | Notice | Unrouted]):
    """Events that belong to no subscription."""

    def attach(self, connection: Connection) -> None:
        """Listen, on whatever connection."""
        self._link.listeners[self] = None
        self._is_started()

    def detach(self, connection: Connection) -> None:
        """Nothing has to be said to the server."""

    def on_event(self, event: NodeStatus | Notice | Unrouted) -> None:
        """An event has come."""
        self._put(event)

    def _finish(self, error: Exception | None) -> None:
        self._link.listeners.pop(self, None)
        super()._finish(error)
