"""What every connection has, whatever it speaks: a bounded way out, and an end.

Frames gather in `out`; the outbox has them written once a turn of the event loop. A reader that does not keep up with
its replies is served no more requests until it has read them. Events can't be held back that way: when more than
`max_outgoing` bytes wait for a reader, it is disconnected with a stated reason, and nobody else notices. Or, if it has
asked for that, further events are left out, and it gets fresh state once it has read what waits (`watch/lag.py`).
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, ClassVar, cast

if TYPE_CHECKING:
    from server.contracts import Form
    from server.core import Core

__all__ = ["HIGH_WATER", "LINGER", "Connection"]

log = logging.getLogger("livethings.server")

HIGH_WATER = 1 << 20
"""Bytes in the transport above which no more requests of the connection are served."""

BEHIND = 1.0
"""Seconds that a slow reader's events are left out at least. To begin with that and to end it takes a look at all that
the reader watches, which must not happen at every few bytes."""

REFRESH = 0.1
"""Seconds between two times that it is told what it missed in the meantime."""

LINGER = 5.0
"""Seconds that a disconnected peer has to read what is left and to close its side."""

# Close codes of WebSocket (RFC 6455, section 7.4).
GOING_AWAY, UNSUPPORTED, INVALID_TEXT, POLICY, TOO_BIG, TRY_LATER = 1001, 1003, 1007, 1008, 1009, 1013

# Why a connection's requests wait.
LOGIN, TURN, DISK, READER, CLOSED, MODULES, MISSED = 1, 2, 4, 8, 16, 32, 64


class Connection(asyncio.Protocol):
    """One connection: its transport, what waits to be written, and how it ends.

    Subclasses give `data_received`, `goodbye` and `kind`, what the connection speaks.
    """

    kind: ClassVar[str]

    __slots__ = (
        "__weakref__", "_behind_until", "_refreshing", "address", "blocked", "core", "draining", "ended", "form",
        "heard", "lags", "max_outgoing", "out", "refreshes", "transport",
    )  # fmt: skip

    def __init__(self, core: Core, form: Form) -> None:
        self.core = core
        self.form = form
        """The form of this connection's events."""
        self.out: list[bytes] = []
        """Complete frames that leave with the next flush."""
        self.transport: asyncio.Transport | None = None
        self.address = "?"
        """The peer's address, without its port."""
        self.blocked = 0
        """Why requests wait, as bits; 0 when they don't."""
        self.draining = False
        """Whether nothing more is read for good, since the server goes down."""
        self.ended = False
        """Whether the peer has said that it will send no more."""
        self.heard = True
        """Whether anything has come in since the last look."""
        self.max_outgoing = core.config.max_outgoing
        """Bytes that may wait for the reader."""
        self.refreshes = False
        """Whether it gets fresh state when more would wait; otherwise it is disconnected."""
        self.lags = False
        """Whether events are being left out."""
        self._refreshing = False  # whether a part of the fresh state is on its way, or the next one has its time
        self._behind_until = 0.0

    # --- asyncio ----------------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        peer = transport.get_extra_info("peername")
        self.address = str(peer[0]) if isinstance(peer, tuple) else "a Unix socket"
        self.transport.set_write_buffer_limits(high=HIGH_WATER)
        if not self.core.opened(self):
            self.blocked |= CLOSED
            self.transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        self.blocked |= CLOSED
        self.transport = None
        self.out.clear()
        self.core.lost(self)

    def pause_writing(self) -> None:
        self.block(READER)

    def resume_writing(self) -> None:
        if self.lags:
            self._refresh()
        self.unblock(READER)

    # --- the way out ------------------------------------------------------------------------------------------------

    def flush(self) -> None:
        """Write what has gathered."""
        out = self.out
        if not out:
            return
        transport = self.transport
        if transport is None or self.blocked & CLOSED or transport.is_closing():
            out.clear()
            return
        # A frame on its own goes as it is, so that a large event takes its memory once for all its readers.
        data = out[0] if len(out) == 1 else b"".join(out)
        out.clear()
        transport.write(data)
        self.core.sent += len(data)
        if self.blocked & READER and (waiting := transport.get_write_buffer_size()) > self.max_outgoing:
            self._too_slow(waiting)

    # --- slow readers -----------------------------------------------------------------------------------------------

    def bound(self, size: int) -> None:
        """Let so many bytes wait for the reader."""
        self.max_outgoing = size
        if self.transport is not None:
            self.transport.set_write_buffer_limits(high=min(size, HIGH_WATER))

    @property
    def most_at_once(self) -> int:
        """Bytes that can be said to the reader before it is disconnected. Of one that gets fresh state: what was said
        before it fell behind still comes, and replies and ends are never left out."""
        return max(2 * self.max_outgoing, self.core.config.max_outgoing) if self.refreshes else self.max_outgoing

    def _too_slow(self, waiting: int) -> None:
        """So many bytes wait, which is too much."""
        limit, slow = self.most_at_once, self.core.slow
        if not self.refreshes or slow is None or waiting > limit:
            self.disconnect(f"too slow: {waiting} bytes wait to be read, the limit is {limit}", TRY_LATER)
        elif not self.lags:
            log.info("%s: too slow for its events, %d bytes wait to be read", self.address, waiting)
            self.lags = True
            self._behind_until = self.core.loop.time() + BEHIND
            slow.fall_behind(self)

    def _refresh(self) -> None:
        """The reader has read what waited: tell it what it missed, a part at a time."""
        slow = self.core.slow
        if self.closed or self._refreshing or slow is None:
            return
        if not slow.catch_up(self, self.max_outgoing // 2):
            self._refreshing = True
            self.core.outbox.when_said(self._part_said)
        elif self.core.loop.time() < self._behind_until:
            self._refreshing = True
            self.core.loop.call_later(REFRESH, self._refresh_more)
        else:
            self.lags = False
            slow.come_back(self)

    def _part_said(self) -> None:
        self.core.loop.call_soon(self._refresh_more)  # after the write of this turn

    def _refresh_more(self) -> None:
        self._refreshing = False
        if not self.blocked & READER:  # otherwise `resume_writing` goes on
            self._refresh()

    # --- waiting ----------------------------------------------------------------------------------------------------

    def block(self, reason: int) -> None:
        """Serve no further requests, and read none, until `unblock` was called for each reason."""
        before = self.blocked
        self.blocked = before | reason
        if not before and self.transport is not None and not self.transport.is_closing():
            self.transport.pause_reading()

    def unblock(self, reason: int) -> None:
        """The reason is over."""
        self.blocked &= ~reason
        if self.blocked:
            return
        self.proceed()
        transport = self.transport
        if not self.blocked and not self.draining and transport is not None and not transport.is_closing():
            transport.resume_reading()

    def proceed(self) -> None:
        """Serve the requests that have waited."""

    # --- the end ----------------------------------------------------------------------------------------------------

    @property
    def unsent(self) -> int:
        """Bytes that the peer's side has not taken yet."""
        return 0 if self.transport is None else self.transport.get_write_buffer_size()

    @property
    def closed(self) -> bool:
        """Whether it is over, or about to be."""
        return bool(self.blocked & CLOSED)

    def goodbye(self, reason: str, code: int, told: bool = False) -> bytes:
        """The last frame of a connection that the server ends for a reason that the client should know; or, when the
        client was told already, what the protocol needs all the same."""
        return b""

    def disconnect(self, reason: str, code: int = POLICY) -> None:
        """End the connection and say why: to the peer, as far as it reads, and in the log.

        `code` is the close code of a WebSocket (RFC 6455, section 7.4).
        """
        if self.closed:
            return
        # Anybody can make us disconnect strangers, so that is no warning.
        known = self in self.core.sessions
        log.log(logging.WARNING if known else logging.INFO, "%s: disconnected, %s", self.address, reason)
        self.flush()
        self._finish(self.goodbye(reason, code))

    def hang_up(self, reason: str) -> None:
        """End the connection without a word to the peer; what was said before still goes out."""
        if self.closed:
            return
        log.info("%s: hung up, %s", self.address, reason)
        self.flush()
        self._finish(b"")

    def finish(self, farewell: bytes = b"") -> None:
        """End the connection in an orderly way: what was said before goes out, then `farewell`."""
        if self.closed:
            return
        self.flush()
        self._finish(farewell)

    def abort(self) -> None:
        """End the connection at once; what is not sent yet is lost."""
        self.blocked |= CLOSED
        self.core.ended(self)
        if self.transport is not None:
            self.transport.abort()

    def stop_reading(self) -> None:
        """Take no more requests; those that have come are served."""
        self.draining = True
        if self.transport is not None and not self.transport.is_closing():
            self.transport.pause_reading()

    def _finish(self, farewell: bytes) -> None:
        self.blocked |= CLOSED
        self.core.ended(self)
        transport = self.transport
        if transport is None or transport.is_closing():
            return
        if farewell:
            transport.write(farewell)
        loop = self.core.loop
        if transport.can_write_eof() and not self.ended:
            # Half-closed, so that what the peer still sends is read and thrown away: closing now with bytes unread
            # would reset the connection, and the peer might never see our last words.
            transport.write_eof()
            transport.resume_reading()
        else:
            transport.close()
        loop.call_later(LINGER, transport.abort)
