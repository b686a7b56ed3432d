"""The plain status pages of the HTTP port: `/healthy`, `/ready`, `/status`. No login, GET only, one request each.

Source: the specification's page on administration and protocol, section 7.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import cast

__all__ = ["StatusConnection", "answer"]

MAX_HEAD = 8 << 10
"""Bytes of a request line and its headers."""

MAX_TIME = 10.0
"""Seconds in which the request must come and the reply be read."""

MAX_OPEN = 256
"""Connections at once; more are closed."""

_REASONS = {200: "OK", 400: "Bad Request", 404: "Not Found", 405: "Method Not Allowed", 503: "Service Unavailable"}
_READY = ("READY", "AWAY", "AWAY_SOON")


def answer(head: bytes, status: str) -> bytes:
    """The whole reply to a request, of which only the first line counts, given the node's status word."""
    parts = head.split(b"\r\n", 1)[0].split(b" ")
    if len(parts) != 3 or not parts[2].startswith(b"HTTP/1."):
        return _reply(400, "BAD REQUEST")
    method, path, _ = parts
    if method != b"GET":
        return _reply(405, "METHOD NOT ALLOWED", "Allow: GET\r\n")
    if path == b"/healthy":
        return _reply(200, "OK")
    if path == b"/ready":
        return _reply(200, "OK") if status in _READY else _reply(503, "NOK")
    if path in (b"/status", b"/"):
        return _reply(200, status)
    return _reply(404, "NOT FOUND")


def _reply(code: int, text: str, header: str = "") -> bytes:
    body = f"{text}\n"
    return (
        f"HTTP/1.1 {code} {_REASONS[code]}\r\n{header}Content-Type: text/plain\r\nContent-Length: {len(body)}\r\n"
        f"Connection: close\r\n\r\n{body}"
    ).encode()


class StatusConnection(asyncio.Protocol):
    """One request and its reply. `status` gives the node's status word; `siblings` are those that are open."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, status: Callable[[], str], siblings: set[StatusConnection]
    ) -> None:
        self._loop = loop
        self._siblings = siblings
        self._status = status
        self._head = b""
        self._transport: asyncio.Transport | None = None
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        if len(self._siblings) >= MAX_OPEN:
            self._transport.abort()
            return
        self._siblings.add(self)
        self._timer = self._loop.call_later(MAX_TIME, self._transport.abort)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._transport = self._timer = None
        self._siblings.discard(self)

    def data_received(self, data: bytes) -> None:
        transport = self._transport
        if transport is None or transport.is_closing():
            return
        self._head += data
        end = self._head.find(b"\r\n\r\n")
        if end < 0 and len(self._head) <= MAX_HEAD:
            return
        transport.write(answer(self._head if end >= 0 else b"", self._status()))
        transport.close()
