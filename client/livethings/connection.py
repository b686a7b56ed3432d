"""One connection from login to end: requests are pipelined, replies find their requests, events find their reader.

Callbacks run while the package that causes them is taken in, so whoever has to know what comes after a reply (a watch
that waits for its first state) is in place before the next package is looked at. What a cancelled request gets as its
reply is dropped; nothing else notices.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl as tls
from collections import deque
from collections.abc import Callable
from typing import Any, TypeAlias

from livethings.errors import Closed, ConnectFailed, ConnectionLost, LivethingsError, ProtocolError
from livethings.packages import Event, Protocol, Reply, Request
from livethings.routes import Routes
from livethings.transports import Address, Transport

__all__ = ["Connection", "OnReply", "Unsent"]

OnReply: TypeAlias = Callable[[Any, "Exception | None"], None]

MAX_OUTGOING = 1 << 20
"""Bytes that may wait to be sent before further requests wait themselves."""


class Unsent(LivethingsError):
    """The connection ended before the request left: it may be sent again on another."""


class Connection:
    """A connection with a user. `ended` is done when it is over, with the reason as its result."""

    def __init__(self, transport: Transport, heartbeat: float) -> None:
        loop = asyncio.get_running_loop()
        self.routes = Routes()
        self.ended: asyncio.Future[LivethingsError] = loop.create_future()
        self._transport = transport
        self._protocol = Protocol()
        self._pending: dict[int, OnReply] = {}
        self._outgoing: deque[tuple[int, bytes]] = deque()
        self._outgoing_size = 0
        self._wake = asyncio.Event()
        self._writable = asyncio.Event()
        self._writable.set()
        self._heard = loop.time()
        self._tasks = [
            loop.create_task(self._read(), name="livethings reader"),
            loop.create_task(self._write(), name="livethings writer"),
            loop.create_task(self._keep_alive(heartbeat), name="livethings heartbeat"),
        ]

    @classmethod
    async def open(
        cls,
        address: Address,
        ssl: tls.SSLContext | None,
        credentials: str | list[str],
        timeout: float,
        heartbeat: float,
        options: dict[str, Any],
    ) -> Connection:
        """Connect, log in and state options (docs/protocol.md, "Options"), within `timeout` seconds. Raises
        ConnectFailed, or AuthError for wrong credentials."""
        connection = None
        try:
            async with asyncio.timeout(timeout):
                connection = cls(await address.connect(ssl), heartbeat)
                await connection.ask(Request.AUTH, credentials)
                if options:
                    await connection.ask(Request.OPTIONS, options)
        except TimeoutError as error:
            raise ConnectFailed(f"{address.url} does not answer within {timeout:g} seconds") from error
        except (ConnectionLost, ProtocolError, Unsent) as error:
            raise ConnectFailed(f"{address.url} did not let us in: {error}") from error
        else:
            opened, connection = connection, None
            return opened
        finally:
            if connection is not None:
                connection.abort(Closed("the login failed"))

    # --- requests ----------------------------------------------------------------------------------------------------

    async def writable(self) -> None:
        """Wait until another request may be sent."""
        while not self.ended.done() and (self._outgoing_size > MAX_OUTGOING or self._protocol.full):
            self._writable.clear()
            await self._writable.wait()

    def send(self, kind: int, body: Any, on_reply: OnReply) -> None:
        """Send a request; `on_reply` gets the value, or the error: a ServerError, ConnectionLost or Unsent.

        Raises TypeError, ValueError or OverflowError when the body can't be sent.
        """
        package_id, package = self._protocol.request(kind, body)
        if self.ended.done():
            on_reply(None, Unsent("the connection has ended"))
            return
        self._pending[package_id] = on_reply
        self._outgoing.append((package_id, package))
        self._outgoing_size += len(package)
        self._wake.set()

    def ask(self, kind: int, body: Any) -> asyncio.Future[Any]:
        """Send a request; its value to await. Cancelling the future leaves everything else as it is."""
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

        def settle(value: Any, error: Exception | None) -> None:
            if future.done():
                return
            if error is not None:
                future.set_exception(error)
            else:
                future.set_result(value)

        self.send(kind, body, settle)
        return future

    # --- the end -----------------------------------------------------------------------------------------------------

    async def close(self) -> None:
        """End it in good order."""
        if not self.ended.done():
            with contextlib.suppress(LivethingsError, OSError):
                await self._transport.close()
        self.abort(Closed("the connection has been closed"))

    def abort(self, why: LivethingsError) -> None:
        """End it at once: every request without a reply fails."""
        if self.ended.done():
            return
        self.ended.set_result(why)
        unsent = {package_id for package_id, _ in self._outgoing}
        self._outgoing.clear()
        pending, self._pending = self._pending, {}
        for package_id, on_reply in pending.items():
            if package_id in unsent:
                on_reply(None, Unsent(str(why)))
            else:
                lost = ConnectionLost(f"{why}; whether the request was carried out is unknown")
                lost.__cause__ = why
                on_reply(None, lost)
        self._writable.set()
        current = asyncio.current_task()
        for task in self._tasks:
            if task is not current:
                task.cancel()
        self._transport.abort()

    # --- tasks -------------------------------------------------------------------------------------------------------

    async def _read(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            while True:
                received = await self._transport.read(self._protocol)
                self._heard = loop.time()
                for one in received:
                    if isinstance(one, Reply):
                        self._pending.pop(one.package_id)(one.value, one.error)
                        if not self._writable.is_set():
                            self._writable.set()
                    else:
                        self._event(one)
        except LivethingsError as error:
            self.abort(error)
        except Exception as error:  # nothing here may end the reader without ending the connection
            broken = ProtocolError(f"something came that could not be understood: {error!r}")
            broken.__cause__ = error
            self.abort(broken)

    def _event(self, event: Event) -> None:
        self.routes.deliver(event.kind, event.data)

    async def _write(self) -> None:
        try:
            while True:
                await self._wake.wait()
                self._wake.clear()
                while self._outgoing:
                    packages = [package for _, package in self._outgoing]
                    self._outgoing.clear()
                    self._outgoing_size = 0
                    self._writable.set()
                    await self._transport.write(packages)
        except LivethingsError as error:
            # What the server said before it closed the connection may still be there to be read.
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(1):
                    await asyncio.shield(self.ended)
            self.abort(error)

    async def _keep_alive(self, heartbeat: float) -> None:
        loop = asyncio.get_running_loop()
        while True:
            silent = loop.time() - self._heard
            if silent < heartbeat:
                await asyncio.sleep(heartbeat - silent)
                continue
            self.ask(Request.PING, None).add_done_callback(lambda future: future.cancelled() or future.exception())
            asked = self._heard
            await asyncio.sleep(heartbeat)
            if self._heard == asked:
                self.abort(ConnectionLost(f"the server was silent for {2 * heartbeat:g} seconds"))
                return
