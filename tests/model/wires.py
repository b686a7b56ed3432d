"""The protocol in its three forms, from the client's side and without sockets: requests to bytes, bytes to replies and
events that look the same whatever they came in."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, NamedTuple

import msgpack

from server import native
from server.forms import EVENT_METHODS, binary_frame, text_frame

__all__ = ["OPENED", "WIRES", "Asked", "Heard", "Wire"]


class Asked(NamedTuple):
    """A request: what it is in either encoding."""

    kind: int
    body: Any
    method: str
    params: dict[str, Any]


class Heard(NamedTuple):
    """A reply, to the request `number`, or an event of a kind."""

    number: int | None
    kind: int | None
    data: Any
    error: Any


OPENED = Heard(None, None, None, None)
"""Requests may be sent from here on."""

_KINDS = {method: kind for kind, method in EVENT_METHODS.items()}


class Wire:
    """A connection's bytes."""

    greeting = b""
    open = True

    def __init__(self) -> None:
        self.rest = b""

    def asks(self, number: int, asked: Asked) -> bytes:
        """A request."""
        return native.package(number, asked.kind, msgpack.packb(asked.body))

    def hears(self, data: bytes) -> Iterator[Heard]:
        """What has come whole with these bytes."""
        self.rest += data
        if not self.open and self._handshake():
            yield OPENED
        while (message := self._next()) is not None:
            yield self._heard(message)

    def _handshake(self) -> bool:
        """Has the connection just opened?"""
        return False

    def _next(self) -> bytes | None:
        """The next package."""
        if len(self.rest) < native.HEADER_SIZE:
            return None
        return self._cut(native.HEADER_SIZE + native.HEADER.unpack_from(self.rest)[0])

    def _cut(self, length: int, head: int = 0) -> bytes | None:
        if len(self.rest) < head + length:
            return None
        message, self.rest = self.rest[head : head + length], self.rest[head + length :]
        return message

    def _heard(self, message: bytes) -> Heard:
        number, kind, body = native.alone(message)
        data = msgpack.unpackb(body, strict_map_key=False) if body else None
        if number == native.EVENT_ID:
            return Heard(None, kind, data, None)
        return Heard(number, None, None, data) if kind == native.ERROR else Heard(number, None, data, None)


class _Messages(Wire):
    """Messages of a WebSocket. The reply to its handshake is passed over."""

    greeting = (
        b"GET / HTTP/1.1\r\nHost: here\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n"
    )
    open = False

    def _handshake(self) -> bool:
        head, end, rest = self.rest.partition(b"\r\n\r\n")
        if end:
            assert b" 101 " in head
            self.open, self.rest = True, rest
        return self.open

    def _next(self) -> bytes | None:
        if not self.open or len(self.rest) < 2:
            return None
        opcode, length, head = self.rest[0] & 15, self.rest[1], 2
        if length > 125:
            head = 4 if length == 126 else 10
            length = int.from_bytes(self.rest[2:head], "big")
            if len(self.rest) < head:
                return None
        message = self._cut(length, head)
        if message is not None and opcode > 2:  # of the protocol itself: what follows
            return self._next()
        return message


class _Binary(_Messages):
    def asks(self, number: int, asked: Asked) -> bytes:
        return binary_frame(super().asks(number, asked))


class _Text(_Messages):
    def asks(self, number: int, asked: Asked) -> bytes:
        return text_frame(json.dumps({"jsonrpc": "2.0", "id": number, "method": asked.method, "params": asked.params}))

    def _heard(self, message: bytes) -> Heard:
        data = json.loads(message)
        if "id" in data:
            return Heard(data["id"], None, data.get("result"), data.get("error"))
        return Heard(None, _KINDS[data["method"]], data["params"], None)


WIRES: dict[str, type[Wire]] = {"tcp": Wire, "binary": _Binary, "text": _Text}
"""By name: packages over TCP, and over WebSocket; JSON-RPC."""
