"""What the server has to say, in the order in which it came about, held until it may be said.

The promise: nothing leaves before the changes that it could have seen are durable. Every reply and event goes through
here, in order of execution. While all changes executed so far are durable, frames go straight to their connections;
otherwise they wait, each with the id of the last change executed before it, until `durable` names that id or a later
one. Since it is one queue, each connection is answered in order. Tests: tests/server/test_outbox.py.

Frames gather in the connections' `out` lists; one flush a turn of the event loop writes them.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from typing import Protocol

from server.contracts import Target

__all__ = ["Outbox", "Outgoing", "on_loop"]

log = logging.getLogger("livethings.server")


class Outgoing(Protocol):
    """A connection, as the outbox sees it."""

    out: list[bytes]

    def flush(self) -> None:
        """Write what is in `out`, and empty it."""
        ...


class _Marker:
    """A place in the queue. It has the shape of an audience, so that delivering a frame needs to know but two."""

    __slots__ = ("appends",)
    connections = ()

    def __init__(self, callback: Callable[[], None]) -> None:
        self.appends = (lambda _frame: callback(),)


class Outbox:
    """One for the server.

    `max_held` bounds what may wait for the disk: in bytes of frames and, at one frame a kilobyte, in frames. It is a
    bound for reading more requests (`full`), not for what those under way have to say.
    """

    def __init__(
        self, call_soon: Callable[[Callable[[], None]], object], durable: int = 0, max_held: int = 64 << 20
    ) -> None:
        self._call_soon = call_soon
        self._held: deque[tuple[int, Target, bytes]] = deque()
        self._held_bytes = 0
        self._max_held = max_held
        self._durable = durable
        self._executed = durable
        self._dirty: set[Outgoing] = set()
        self._flushing = False
        self._waiting: list[Callable[[], None]] = []
        self.delivered = 0
        """How many frames audiences got, counted once for each connection."""
        self.open = True
        """Whether frames may leave at once: nothing is held and every executed change is durable."""

    @property
    def full(self) -> bool:
        """Whether so much waits for the disk that no more requests should be read; then use `when_drained`."""
        return self._held_bytes > self._max_held or len(self._held) > self._max_held >> 10

    @property
    def durable_change(self) -> int:
        """The id of the last change that is known to be durable."""
        return self._durable

    @property
    def held(self) -> int:
        """How many frames wait."""
        return len(self._held)

    @property
    def held_bytes(self) -> int:
        """How many bytes of frames wait."""
        return self._held_bytes

    def executed(self, change_id: int) -> None:
        """A change was executed and given to the committer: what is said from here on could have seen it."""
        self._executed = change_id
        if change_id > self._durable:
            self.open = False

    def durable(self, change_id: int) -> None:
        """All changes up to this one are durable. Called on the loop's thread."""
        if change_id <= self._durable:
            return
        self._durable = change_id
        held = self._held
        while held and held[0][0] <= change_id:
            _, target, frame = held.popleft()
            self._held_bytes -= len(frame)
            self._deliver(target, frame)
        if not held:
            self.open = self._executed <= change_id
        if self._waiting and not self.full:
            waiting, self._waiting = self._waiting, []
            for resume in waiting:
                resume()

    def say(self, target: Target, frame: bytes) -> None:
        """Queue a complete frame for an audience or a connection."""
        if self.open:
            self._deliver(target, frame)
        else:
            self._held.append((self._executed, target, frame))
            self._held_bytes += len(frame)

    def when_drained(self, resume: Callable[[], None]) -> None:
        """Call `resume` once, when `full` is over."""
        self._waiting.append(resume)

    def when_said(self, callback: Callable[[], None]) -> None:
        """Call back once, when everything said so far has been put into the connections' `out`."""
        self.say(_Marker(callback), b"")

    def touch(self, connection: Outgoing) -> None:
        """See to it that what somebody put into the connection's `out` is written in this turn."""
        self._dirty.add(connection)
        if not self._flushing:
            self._schedule()

    def _deliver(self, target: Target, frame: bytes) -> None:
        appends = getattr(target, "appends", None)
        if appends is not None:
            for append in appends:
                append(frame)
            self.delivered += len(target.connections)
            self._dirty.update(target.connections)
        else:
            target.out.append(frame)
            self._dirty.add(target)
        if not self._flushing:
            self._schedule()

    def _schedule(self) -> None:
        # The callback runs in the next turn of the loop, before that turn's reads and after all of this turn's. So
        # one write carries all that this turn's requests say to a connection.
        self._flushing = True
        self._call_soon(self.flush)

    def flush(self) -> None:
        """Write every connection's frames."""
        self._flushing = False
        dirty, self._dirty = self._dirty, set()
        for connection in dirty:
            try:
                connection.flush()
            except Exception:  # one connection's trouble must not cost the others their frames
                log.exception("a connection could not be written to")


def on_loop(loop: asyncio.AbstractEventLoop, outbox: Outbox) -> Callable[[int], None]:
    """`outbox.durable` as a callback for the committer's thread."""

    def on_durable(change_id: int) -> None:
        loop.call_soon_threadsafe(outbox.durable, change_id)

    return on_durable
