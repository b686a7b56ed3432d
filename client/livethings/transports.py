"""How packages travel: TCP, a Unix socket or WebSocket, the first and the last with TLS if asked for. Each carries
bytes and knows nothing of what they say."""

from __future__ import annotations

import asyncio
import ssl as tls
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol as Interface
from urllib.parse import urlsplit

from websockets.asyncio.client import ClientConnection
from websockets.asyncio.client import connect as connect_websocket
from websockets.exceptions import ConnectionClosed, WebSocketException

from livethings.errors import ConnectFailed, ConnectionLost, ProtocolError
from livethings.packages import MAX_LENGTH, Event, Protocol, Reply

__all__ = ["Address", "Transport"]

_HEADER_SIZE = 8
_READ_SIZE = 1 << 18
_PORTS = {"ws": 9270, "wss": 9270, "tcp": 9200, "tcps": 9200}
_UNIX = "unix"


class Transport(Interface):
    """Carries the packages of one connection."""

    async def write(self, packages: list[bytes]) -> None:
        """Send packages; returns when the transport takes more. Raises ConnectionLost."""

    async def read(self, protocol: Protocol) -> Iterable[Reply | Event]:
        """What came next. Raises ConnectionLost when the connection has ended, ProtocolError for nonsense."""

    async def close(self) -> None:
        """End it in good order."""

    def abort(self) -> None:
        """End it at once."""


@dataclass(frozen=True, slots=True)
class Address:
    """Where a server is and how to talk to it: `ws`, `wss`, `tcp`, `tcps`, or `unix`, whose `host` is a file."""

    scheme: str
    host: str
    port: int
    url: str

    @classmethod
    def parse(cls, url: str) -> Address:
        """From `ws://host:9270`, `wss://…`, `tcp://host:9200`, `tcps://…` (TCP with TLS) or `unix:///file`. Raises
        ValueError."""
        parts = urlsplit(url)
        if parts.scheme == _UNIX:
            path = url.removeprefix("unix://")
            if not path.startswith("/") or "\0" in path:
                raise ValueError(f"an address of a Unix socket is unix:// and the whole path of a file, unlike {url!r}")
            return cls(_UNIX, path, 0, url)
        if parts.scheme not in _PORTS:
            raise ValueError(f"an address begins with {'://, '.join((*_PORTS, _UNIX))}://, unlike {url!r}")
        if not parts.hostname:
            raise ValueError(f"the address {url!r} names no host")
        if parts.username is not None or parts.password is not None:
            raise ValueError("the user and the password are arguments of their own, not part of the address")
        port = parts.port or _PORTS[parts.scheme]
        host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        return cls(parts.scheme, parts.hostname, port, f"{parts.scheme}://{host}:{port}{path}")

    async def connect(self, ssl: tls.SSLContext | None = None) -> Transport:
        """Connect. Raises ConnectFailed. Bound the time from outside."""
        secure = self.scheme in ("wss", "tcps")
        context = (ssl or tls.create_default_context()) if secure else None
        try:
            if self.scheme in ("ws", "wss"):
                socket = await connect_websocket(
                    self.url,
                    ssl=context,
                    compression=None,
                    max_size=MAX_LENGTH + _HEADER_SIZE,
                    ping_interval=None,  # the connection asks for signs of life itself, on every transport
                    open_timeout=None,
                    close_timeout=2,
                )
                return _WebSocket(socket)
            if self.scheme == _UNIX:
                reader, writer = await asyncio.open_unix_connection(self.host)
            else:
                reader, writer = await asyncio.open_connection(self.host, self.port, ssl=context)
            return _TCP(reader, writer)
        except (OSError, WebSocketException, EOFError) as error:
            raise ConnectFailed(f"{self.url} does not answer: {error or type(error).__name__}") from error


class _TCP:
    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def write(self, packages: list[bytes]) -> None:
        try:
            self._writer.write(b"".join(packages))
            await self._writer.drain()
        except OSError as error:
            raise ConnectionLost(f"the connection broke: {error}") from error

    async def read(self, protocol: Protocol) -> Iterable[Reply | Event]:
        try:
            data = await self._reader.read(_READ_SIZE)
        except OSError as error:
            raise ConnectionLost(f"the connection broke: {error}") from error
        if not data:
            raise ConnectionLost("the server ended the connection")
        return protocol.receive(data)

    async def close(self) -> None:
        self._writer.close()

    def abort(self) -> None:
        self._writer.transport.abort()


class _WebSocket:
    def __init__(self, socket: ClientConnection) -> None:
        self._socket = socket

    async def write(self, packages: list[bytes]) -> None:
        try:
            for package in packages:
                await self._socket.send(package)
        except ConnectionClosed as error:
            raise _ended(error) from error

    async def read(self, protocol: Protocol) -> Iterable[Reply | Event]:
        try:
            message = await self._socket.recv()
        except ConnectionClosed as error:
            raise _ended(error) from error
        if isinstance(message, str):
            raise ProtocolError("a text message came where packages were expected")
        return protocol.receive_message(message)

    async def close(self) -> None:
        await self._socket.close()

    def abort(self) -> None:
        self._socket.transport.abort()


def _ended(error: ConnectionClosed) -> ConnectionLost:
    reason = error.rcvd.reason if error.rcvd is not None else ""
    return ConnectionLost(f"the server ended the connection{f': {reason}' if reason else ''}")
