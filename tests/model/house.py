"""A whole server without sockets, disk and clock: every turn of its loop, every commit and every byte that arrives
happens when the test says so, and in the order that it says.

What is real: the engine, the hub, live queries, the outbox, sessions with their protocols. What is not: the event
loop, the transports, and the committer's thread; a `MemoryStore` is the disk.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, cast

from engine.engine import Engine
from engine.store.memory import MemoryStore
from server.config import Config
from server.connection import Connection
from server.core import Core
from server.live import LiveRounds
from server.outbox import Outbox
from server.tcp import TcpConnection
from server.websocket import WebSocketConnection
from watch import Hub, Live, Requests, SlowReaders

__all__ = ["House", "Transport"]


class _Handle:
    def __init__(self, callback: Callable[[], None]) -> None:
        self.callback: Callable[[], None] | None = callback

    def cancel(self) -> None:
        self.callback = None

    def run(self) -> None:
        if self.callback is not None:
            self.callback()


class Loop:
    """An event loop that turns when it is told to."""

    def __init__(self) -> None:
        self.now = 0.0
        self._soon: deque[_Handle] = deque()
        self._later: list[tuple[float, int, _Handle]] = []
        self._count = 0

    def time(self) -> float:
        return self.now

    def call_soon(self, callback: Callable[..., Any], *args: Any) -> _Handle:
        handle = _Handle(lambda: callback(*args))
        self._soon.append(handle)
        return handle

    call_soon_threadsafe = call_soon

    def call_later(self, delay: float, callback: Callable[..., Any], *args: Any) -> _Handle:
        handle = _Handle(lambda: callback(*args))
        self._count += 1
        heapq.heappush(self._later, (self.now + delay, self._count, handle))
        return handle

    def run_in_executor(self, _: Any, work: Callable[[], Any]) -> Future[Any]:
        """What is to be done in a thread is done in a turn of its own."""
        future: Future[Any] = Future()

        def run() -> None:
            try:
                result = work()
            except Exception as error:
                future.set_exception(error)
            else:
                future.set_result(result)

        self.call_soon(self.call_soon, run)
        return future

    def turn(self) -> bool:
        """Run what is to run next; False when that was nothing."""
        while self._later and self._later[0][0] <= self.now:
            self._soon.append(heapq.heappop(self._later)[2])
        count = len(self._soon)
        for _ in range(count):
            self._soon.popleft().run()
        return count > 0


class Transport:
    """A connection's two ways: `inbox` has come and is not taken yet, `outbox` is written and has not arrived."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.inbox = bytearray()
        self.outbox = bytearray()
        self.paused = False
        self.closing = False
        self.lost = False
        self._high, self._full = 1 << 20, False

    # What the server asks of it

    def write(self, data: bytes) -> None:
        if not self.lost:
            self.outbox += data
            if len(self.outbox) > self._high and not self._full:
                self._full = True
                self.connection.pause_writing()

    def get_write_buffer_size(self) -> int:
        return len(self.outbox)

    def set_write_buffer_limits(self, high: int) -> None:
        self._high = high

    def get_extra_info(self, name: str) -> Any:
        return ("127.0.0.1", 1) if name == "peername" else None

    def is_closing(self) -> bool:
        return self.closing

    def can_write_eof(self) -> bool:
        return False

    def pause_reading(self) -> None:
        self.paused = True

    def resume_reading(self) -> None:
        self.paused = False

    def close(self) -> None:
        self.closing = True
        if not self.outbox:
            self.lose()

    def abort(self) -> None:
        self.outbox.clear()
        self.lose()

    # What the test does

    def lose(self) -> None:
        """The connection is gone."""
        if not self.lost:
            self.lost = self.closing = True
            self.connection.connection_lost(None)

    def take(self, size: int) -> None:
        """The server reads up to so many bytes."""
        if self.inbox and not self.paused and not self.closing:
            data = bytes(self.inbox[:size])
            del self.inbox[:size]
            self.connection.data_received(data)

    def arrive(self, size: int) -> bytes:
        """Up to so many bytes reach the client."""
        data = bytes(self.outbox[:size])
        del self.outbox[:size]
        if self._full and len(self.outbox) <= self._high // 4:
            self._full = False
            self.connection.resume_writing()
        if self.closing and not self.outbox:
            self.lose()
        return data


class _Committer:
    """Has changes that wait for the disk."""

    backlog_bytes = 0

    def __init__(self) -> None:
        self.waiting: deque[tuple[int, bytes]] = deque()

    def append(self, change_id: int, packed: bytes) -> None:
        self.waiting.append((change_id, packed))

    def give_way(self) -> None:
        """The thread is elsewhere."""


class House:
    """The server, over its lives. Between `crash` and `start` there is none."""

    def __init__(self, store: MemoryStore) -> None:
        self.store = store
        self.recent = 1000
        """So many changes are kept in memory; earlier ones are read from the store."""
        self.loop = Loop()
        self.transports: list[Transport] = []
        self.running = False
        self.start()

    def start(self) -> None:
        """Start, with what is on disk."""
        loop = self.loop = Loop()
        engine = self.engine = Engine(clock=lambda: 1000.0 + loop.now, seed=1)
        engine.recent.max_changes = self.recent
        engine.open(self.store)
        self.committer = _Committer()
        outbox = self.outbox = Outbox(loop.call_soon, engine.last_change)
        hub = self.hub = Hub(engine, outbox.say)
        core = self.core = Core(
            engine, cast(Any, self.committer), hub, Requests(engine, hub, self.store), outbox, Config(), cast(Any, loop)
        )
        live = self.live = Live(engine, outbox.say, clock=loop.time)
        core.live = LiveRounds(live, outbox, cast(Any, loop))
        core.slow = SlowReaders(hub, live)
        self.running = True

    def connect(self, wire: str) -> Transport:
        """A new connection."""
        connection: Connection
        connection = TcpConnection(self.core) if wire == "tcp" else WebSocketConnection(self.core, cast(Any, None))
        transport = Transport(connection)
        connection.connection_made(cast(Any, transport))
        self.transports.append(transport)
        return transport

    def commit(self, count: int) -> None:
        """The disk takes so many of the changes that wait."""
        waiting = self.committer.waiting
        batch = [waiting.popleft() for _ in range(min(count, len(waiting)))]
        if batch:
            self.store.write_batch(batch[0][0], [packed for _, packed in batch], 1000.0)
            self.loop.call_soon(self.outbox.durable, batch[-1][0])

    def checkpoint(self) -> None:
        """All is on disk, and the state too."""
        self.commit(len(self.committer.waiting))
        self.store.write_checkpoint(self.engine.checkpoint())

    def turn(self) -> bool:
        """A turn of the loop; False when nothing happened."""
        self.transports = [one for one in self.transports if not one.lost]
        return self.loop.turn()

    def crash(self, survives: int) -> None:
        """The end, just after the disk has taken so many of the changes that wait."""
        self.commit(survives)
        self.running = False
        for transport in self.transports:
            transport.lost = transport.closing = True
        self.transports.clear()
        self.core.authenticator.close()
