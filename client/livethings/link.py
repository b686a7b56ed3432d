"""A connection that comes back: it reconnects, logs in again, and takes up its subscriptions where they were."""

from __future__ import annotations

import asyncio
import logging
import random
import ssl as tls
from collections.abc import Awaitable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from livethings.connection import Connection, Unsent
from livethings.errors import Closed, ConnectFailed, ConnectionLost, LivethingsError, NodeError, NoReply, ServerError
from livethings.events import NodeStatus, Notice, Unrouted
from livethings.subscriptions import Subscription
from livethings.transports import Address

if TYPE_CHECKING:
    from livethings.database import Events

__all__ = ["Backoff", "Link", "Settings"]

log = logging.getLogger("livethings")

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Backoff:
    """How long to wait before each attempt to reconnect, in seconds: from `first`, `factor` times as long each, up to
    `longest`; each wait is cut by a random part of up to `jitter` of it, so that many clients don't come at once."""

    first: float = 0.2
    factor: float = 2.0
    longest: float = 30.0
    jitter: float = 0.5

    def delays(self) -> Iterator[float]:
        """The waits, without end."""
        delay = self.first
        while True:
            yield delay * (1 - random.random() * self.jitter)
            delay = min(delay * self.factor, self.longest)


@dataclass(frozen=True, slots=True)
class Settings:
    """How to reach a server; times in seconds."""

    address: Address
    credentials: str | list[str] = field(repr=False)
    ssl: tls.SSLContext | None
    timeout: float | None
    connect_timeout: float
    heartbeat: float
    reconnect: bool
    backoff: Backoff
    slow: Literal["disconnect", "refresh"]


class Link:
    """A user's connection to a server, over any number of connections one after the other."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.connection: Connection | None = None
        self._subscriptions: dict[Subscription[Any], None] = {}
        self._changed = asyncio.Event()
        self._over: LivethingsError | None = Closed("the database is not open: enter it with `async with`, or await it")
        self._supervisor: asyncio.Task[None] | None = None
        self.listeners: dict[Events, None] = {}
        self.children: dict[Link, None] = {}
        """Connections of subscriptions that need one of their own; they close with this one."""

    async def open(self, patient: bool = False) -> None:
        """Connect and log in. Raises ConnectFailed, unless it is patient and tries again, or AuthError."""
        if self._supervisor is not None:
            raise RuntimeError("it is open already")
        connection = await (self._reconnect(at_once=True) if patient else self._connect())
        self._over = None
        self._supervisor = asyncio.get_running_loop().create_task(self._supervise(connection), name="livethings link")
        self._up(connection)

    async def close(self) -> None:
        """End the connection and all subscriptions; requests without a reply fail with ConnectionLost."""
        supervisor, self._supervisor = self._supervisor, None
        if supervisor is None:
            return
        for child in list(self.children):
            await child.close()
        self.children.clear()
        supervisor.cancel()
        self._end(Closed("the database has been closed"), None)
        connection, self.connection = self.connection, None
        if connection is not None:
            await connection.close()
        await asyncio.wait([supervisor])

    # --- requests ----------------------------------------------------------------------------------------------------

    async def request(self, kind: int, body: Any, timeout: float | None, retry: bool = False) -> Any:
        """Send a request when there is a connection; the reply's value.

        Raises the server's error; ConnectionLost when the connection ends before the reply, unless `retry` says to send
        it again then (and after NodeError); NoReply after `timeout` seconds (None: no limit).
        """
        sent = False
        delays = self.settings.backoff.delays()
        try:
            async with asyncio.timeout(timeout):
                while True:
                    connection = await self.up()
                    await connection.writable()
                    reply = connection.ask(kind, body)
                    sent = True
                    try:
                        return await reply
                    except Unsent:
                        sent = False
                    except ConnectionLost:
                        if not retry or self._over is not None:
                            raise
                    except NodeError:
                        if not retry:
                            raise
                        await asyncio.sleep(next(delays))
        except TimeoutError as error:
            what = "no reply came" if sent else "there was no connection"
            told = "; whether the request was carried out is unknown" if sent else "; nothing was sent"
            raise NoReply(f"{what} within {timeout:g} seconds{told}", sent) from error

    async def up(self) -> Connection:
        """The connection, when there is one. Raises why there is none any more."""
        while self.connection is None or self.connection.ended.done():
            if self._over is not None:
                raise self._over
            self._changed.clear()
            await self._changed.wait()
        return self.connection

    async def wait(self, awaitable: Awaitable[T]) -> T:
        """What the awaitable gives, within the time for a reply. Raises NoReply."""
        timeout = self.settings.timeout
        try:
            async with asyncio.timeout(timeout):
                return await awaitable
        except TimeoutError as error:
            raise NoReply(f"no reply came within {timeout:g} seconds", True) from error

    # --- subscriptions -----------------------------------------------------------------------------------------------

    def add(self, subscription: Subscription[Any]) -> None:
        """Have it subscribed now, or when there is a connection, and again on each new one."""
        if self._over is not None:
            raise self._over
        self._subscriptions[subscription] = None
        if self.connection is not None and not self.connection.ended.done():
            subscription.attach(self.connection)

    def has(self, subscription: Subscription[Any]) -> bool:
        """Has it begun, and not ended?"""
        return subscription in self._subscriptions

    def remove(self, subscription: Subscription[Any]) -> None:
        """It is not wanted any more."""
        if subscription not in self._subscriptions:
            return
        del self._subscriptions[subscription]
        if self.connection is not None and not self.connection.ended.done():
            subscription.detach(self.connection)

    # --- connections -------------------------------------------------------------------------------------------------

    async def _connect(self) -> Connection:
        settings = self.settings
        return await Connection.open(
            settings.address,
            settings.ssl,
            settings.credentials,
            settings.connect_timeout,
            settings.heartbeat,
            {"slow": settings.slow} if settings.slow != "disconnect" else {},
        )

    def _up(self, connection: Connection) -> None:
        connection.routes.rest = self._tell
        connection.routes.may_leave_out = self.settings.slow == "refresh"
        self.connection = connection
        for subscription in list(self._subscriptions):
            subscription.attach(connection)
        self._changed.set()

    def _tell(self, event: NodeStatus | Notice | Unrouted) -> None:
        for listener in list(self.listeners):
            listener.on_event(event)

    async def _supervise(self, connection: Connection) -> None:
        try:
            while True:
                why = await asyncio.shield(connection.ended)
                log.info("disconnected from %s: %s", self.settings.address.url, why)
                self.connection = None
                if not self.settings.reconnect:
                    self._end(why, why)
                    return
                connection = await self._reconnect()
                log.info("connected to %s again", self.settings.address.url)
                self._up(connection)
        except LivethingsError as error:
            self._end(error, error)
        except Exception as error:  # a mistake here must not leave everybody waiting
            log.exception("reconnecting failed")
            failed = ConnectFailed(f"reconnecting failed: {error!r}")
            self._end(failed, failed)

    async def _reconnect(self, at_once: bool = False) -> Connection:
        for delay in self.settings.backoff.delays():
            if not at_once:
                await asyncio.sleep(delay)
            at_once = False
            try:
                return await self._connect()
            except (ConnectFailed, NodeError) as error:
                log.debug("%s", error)
            except ServerError as error:
                log.warning("%s does not let us in any more: %s", self.settings.address.url, error)
                raise
        raise AssertionError("the waits have no end")

    def _end(self, over: LivethingsError, error: LivethingsError | None) -> None:
        self._over = over
        self._changed.set()
        for subscription in list(self._subscriptions):
            if error is None:
                subscription.finish()
            else:
                subscription.fail(error)
