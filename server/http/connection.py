"""A connection that speaks HTTP/1.1 (RFC 9112): uvicorn's protocol on h11, bounded in time and number.

uvicorn bounds the head of a request in bytes and the time between two requests. What it leaves open is bounded here:
the time in which a request must have arrived whole, the time in which a response must be read, and how many
connections there are at once.
"""

from __future__ import annotations

import asyncio
import sys
import weakref
from email.utils import formatdate
from time import time
from typing import Any

import h11
from uvicorn import Config as UvicornConfig
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState

from server.session import untraced

__all__ = ["MAX_HEAD", "HttpConnection", "HttpLimits"]

MAX_HEAD = 16 << 10
"""Bytes of a request line and its headers."""

READ_TIME = 300.0
"""Seconds in which a reader must have taken enough of a response that more can be written."""

GRACE = 2.0
"""Seconds that the application has, when a request's time is over, to say so itself."""


class HttpLimits:
    """What all connections share. `request_time` is in seconds, for a whole request; `connections` are at once."""

    def __init__(self, request_time: float, connections: int) -> None:
        self.request_time = request_time
        self.connections = connections
        self.state = ServerState()
        self.received = 0
        self.sent = 0
        """Bytes that came in and went out, those of TLS and of event streams not counted."""
        self._second = 0

    def stamp(self) -> None:
        """Renew the Date header of responses (RFC 9110, section 6.6.1)."""
        now = int(time())
        if now != self._second:
            self._second = now
            self.state.default_headers = [(b"date", formatdate(now, usegmt=True).encode())]


class _Counting(h11.Connection):
    """What makes the bytes of responses, and counts them."""

    def __init__(self, limits: HttpLimits, largest: int) -> None:
        super().__init__(h11.SERVER, largest)
        self._limits = limits

    def send(self, event: h11.Event) -> bytes | None:  # type: ignore[override]  # overloads of the same
        data = super().send(event)
        if data:
            self._limits.sent += len(data)
        return data


class HttpConnection(H11Protocol):
    """One connection. Its requests are served one at a time."""

    transport: asyncio.Transport

    def __init__(self, config: UvicornConfig, limits: HttpLimits, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(config, limits.state, {"connection": weakref.proxy(self)}, loop)
        self._limits = limits
        self.conn = _Counting(limits, config.h11_max_incomplete_event_size or MAX_HEAD)
        self._arriving: asyncio.TimerHandle | None = None
        self._reading: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)  # type: ignore[arg-type]
        if len(self.connections) > self._limits.connections:
            self.transport.abort()
            return
        self._arrives()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_timers()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self.transport.is_closing():
            return
        self._limits.stamp()
        self._limits.received += len(data)
        super().data_received(data)
        self._look()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._look()

    def _look(self) -> None:
        """A request may have begun or arrived."""
        if self.conn.their_state in (h11.SEND_BODY, h11.IDLE):
            if self.timeout_keep_alive_task is None or self.conn.their_state is h11.SEND_BODY:
                self._arrives()
        elif self._arriving is not None:
            self._arriving.cancel()
            self._arriving = None

    def _arrives(self) -> None:
        if self._arriving is None and not self.transport.is_closing():
            self._arriving = self.loop.call_later(self._limits.request_time + GRACE, self.transport.abort)

    def _stop_timers(self) -> None:
        for timer in (self._arriving, self._reading):
            if timer is not None:
                timer.cancel()
        self._arriving = self._reading = None
        self._unset_keepalive_if_required()

    def hand_over(self) -> asyncio.Transport | None:
        """Give the transport away, for another protocol to answer the request under way. None when it is closed."""
        transport = self.transport
        if self.cycle.disconnected or transport.is_closing():
            self.drop()
            return None
        self._stop_timers()
        self.connections.discard(self)
        self.flow.resume_reading()
        self.cycle.disconnected = True  # for this protocol
        self.cycle.message_event.set()
        return transport

    def drop(self) -> None:
        """Close the connection at once, and leave the request under way without a response."""
        self.cycle.disconnected = True
        self.transport.abort()

    def pause_writing(self) -> None:
        super().pause_writing()
        if self._reading is None:
            self._reading = self.loop.call_later(READ_TIME, self.transport.abort)

    def resume_writing(self) -> None:
        if self._reading is not None:
            self._reading.cancel()
            self._reading = None
        super().resume_writing()

    def send_400_response(self, msg: str) -> None:
        """Answer what is no HTTP, and close. The base class fails when a response was begun already."""
        error = sys.exception()
        if error is not None:
            untraced(error)  # h11 raises it from a frame that holds it
        del error
        body = b"BAD REQUEST\r\n"
        if self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            headers: list[Any] = [
                (b"content-type", b"text/plain"),
                (b"content-length", str(len(body)).encode()),
                (b"connection", b"close"),
            ]
            for event in (
                h11.Response(status_code=400, headers=headers, reason=b"Bad Request"),
                h11.Data(data=body),
                h11.EndOfMessage(),
            ):
                self.transport.write(self.conn.send(event) or b"")
        if self.cycle is not None:
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        self.transport.close()
