"""A client of the load: prepared bytes out, frames cut by their length in, nothing decoded that needs not be.

It speaks native packages, on TCP or in binary WebSocket frames (docs/protocol.md).
"""

from __future__ import annotations

import socket
from collections.abc import Iterator
from struct import Struct
from typing import Any

import msgpack

from bench.processes import Target

__all__ = ["Client", "Wire", "native_package", "websocket_package"]

HEADER = Struct("<IHBB")
AUTH, QUERY, WATCH, JOIN = 33, 34, 35, 38
OK, DATA, ERROR = 17, 18, 19
EVENT_ID = 0xFFFF
INIT, UPDATE, ROOM_JOIN, ROOM_EMIT = 1, 2, 6, 8
WAIT = 30.0
"""Seconds to wait for an answer."""


def native_package(kind: int, data: Any, package_id: int = 1) -> bytes:
    """A package."""
    body: bytes = msgpack.packb(data)
    return HEADER.pack(len(body), package_id, kind, kind ^ 0xFF) + body


def websocket_package(kind: int, data: Any, package_id: int = 1) -> bytes:
    """A package in a binary frame, as a client sends it: masked, with the key 0, which leaves the bytes as they are."""
    package = native_package(kind, data, package_id)
    size = len(package)
    if size < 126:
        head = bytes((0x82, 0x80 | size))
    elif size < 65536:
        head = b"\x82\xfe" + size.to_bytes(2, "big")
    else:
        head = b"\x82\xff" + size.to_bytes(8, "big")
    return head + bytes(4) + package


class Wire:
    """Cuts what a server sends into frames: offsets only."""

    def __init__(self, websocket: bool) -> None:
        self.websocket = websocket
        self._rest = b""

    @property
    def waiting(self) -> int:
        """Bytes of a frame that is not complete yet."""
        return len(self._rest)

    def feed(self, data: bytes) -> Iterator[tuple[int, int, bytes]]:
        """(package id, type, body) of the packages that the data completes."""
        data = self._rest + data
        at = 0
        while True:
            start = at
            if self.websocket:
                start += _frame_head(data, at)
            if start + 8 > len(data):
                break
            length, package_id, kind, _ = HEADER.unpack_from(data, start)
            end = start + 8 + length
            if end > len(data):
                break
            yield package_id, kind, data[start + 8 : end]
            at = end
        self._rest = data[at:]


def _frame_head(data: bytes, at: int) -> int:
    if len(data) < at + 2:
        return 2
    size = data[at + 1] & 0x7F
    return 2 if size < 126 else 4 if size == 126 else 10


class Client:
    """One connection, logged in. Blocking; `socket` may be used directly once nothing is expected any more."""

    def __init__(self, target: Target, websocket: bool = False) -> None:
        self.websocket = websocket
        self.pack = websocket_package if websocket else native_package
        self.socket = socket.create_connection((target.host, target.websocket if websocket else target.native), WAIT)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.wire = Wire(websocket)
        self._frames: list[tuple[int, int, bytes]] = []
        if websocket:
            self._shake_hands()
        self.scope = target.scope
        self.request(AUTH, [target.user, target.password])

    def _shake_hands(self) -> None:
        self.socket.sendall(
            b"GET / HTTP/1.1\r\nHost: bench\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==\r\nSec-WebSocket-Version: 13\r\n\r\n"
        )
        answer = b""
        while not answer.endswith(b"\r\n\r\n"):
            more = self.socket.recv(1)
            if not more:
                break
            answer += more
        if not answer.startswith(b"HTTP/1.1 101"):
            raise RuntimeError(f"the server speaks no WebSocket: {answer[:80]!r}")

    def frame(self) -> tuple[int, int, bytes]:
        """The next package: its id, type and body."""
        while not self._frames:
            data = self.socket.recv(65536)
            if not data:
                raise RuntimeError("the server has closed the connection")
            self._frames += self.wire.feed(data)
        return self._frames.pop(0)

    def request(self, kind: int, data: Any) -> Any:
        """The reply's value; events that come before it are dropped. RuntimeError for an error."""
        self.socket.sendall(self.pack(kind, data))
        while True:
            package_id, answer, body = self.frame()
            if package_id == EVENT_ID:
                continue
            value = msgpack.unpackb(body, strict_map_key=False) if body else None
            if answer == ERROR:
                raise RuntimeError(f"{data}: {value}")
            return value

    def query(self, code: str, variables: dict[str, Any] | None = None) -> Any:
        """The result of a query."""
        return self.request(QUERY, [self.scope, code, variables or {}])

    def subscribe(self, kind: int, first: int, *ids: int) -> None:
        """Watch things (WATCH) or join rooms (JOIN), and wait for the event that comes first of each (INIT, ROOM_JOIN).
        TimeoutError from a server that does not send it."""
        self.request(kind, [self.scope, *ids])
        for _ in ids:
            while self.frame()[1] != first:
                pass

    def fileno(self) -> int:
        return self.socket.fileno()

    def close(self) -> None:
        self.socket.close()
