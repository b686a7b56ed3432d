"""Load: one thing that is changed again and again, and the many who watch it; or a room and who joined it.

A change is in flight until all watchers have its event. One watcher's bytes are cut into events; the others must get
the very same bytes, so theirs are only counted, and must add up in the end.
"""

from __future__ import annotations

import select
import socket
import time
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from bench.client import INIT, JOIN, QUERY, ROOM_EMIT, ROOM_JOIN, UPDATE, WATCH, Client, Wire
from bench.limits import raise_open_files
from bench.pipeline import WARM_UP, Rate
from bench.processes import Target, cpu_seconds

__all__ = ["ROOM", "THING", "Fanout", "Source", "fanout"]

BUFFER = 1 << 18
STALL = 30.0
AT_ONCE = 256  # sockets to read from before new changes are looked at

ANSWER = 3.0  # seconds for another server to send the first event, if it sends any


@dataclass(frozen=True)
class Source:
    """Where events come from: how it is made, giving its id; how it is subscribed to, and the event that comes first;
    the code that causes an event, and the event's type."""

    make: str
    subscribe: int
    first: int
    cause: str
    event: int


THING = Source(".bench = {value: 0}; .bench.id();", WATCH, INIT, ".bench.value = 123456789;", UPDATE)
ROOM = Source(".room = room(); .room.id();", JOIN, ROOM_JOIN, ".room.emit('moved', 123456789);", ROOM_EMIT)


@dataclass
class Fanout:
    """What a run gave: for each target, for each number of changes in flight, a rate a round and every latency seen,
    in seconds from a change to its last event (one in flight only)."""

    rates: dict[str, dict[int, list[Rate]]] = field(default_factory=dict)
    latencies: dict[str, list[float]] = field(default_factory=dict)


class _Crowd:
    """A publisher, and the watchers of one thing or the members of one room."""

    def __init__(self, target: Target, source: Source, watchers: int, websocket: bool, event: bytes) -> None:
        self.target = target
        self.source = source
        self.websocket = websocket
        self.poller = select.epoll()
        self.sockets: dict[int, socket.socket] = {}
        self.held: list[Any] = []
        self.event = event
        if target.bare:
            self._connect_bare(watchers)
        else:
            self._connect(watchers)
        self.watchers = watchers
        self.reference = next(iter(self.sockets))
        self.wire = Wire(websocket)
        self.receivers = {fd: watcher.recv_into for fd, watcher in self.sockets.items()}
        self.receivers[self.publisher.fileno()] = self.publisher.recv_into
        for fd in self.receivers:
            self.poller.register(fd, select.EPOLLIN)

    def _connect_bare(self, watchers: int) -> None:
        target = self.target
        self.publisher = socket.create_connection((target.host, target.publish))
        self.publisher.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for _ in range(watchers):
            watcher = socket.create_connection((target.host, target.watch))
            self.sockets[watcher.fileno()] = watcher
        self.change = self.event
        # Its accepting of the last ones can't be seen; publish until everybody has got something.
        silent = set(self.sockets)
        while silent:
            self.publisher.sendall(self.event)
            time.sleep(0.05)
            for fd in list(silent):
                try:
                    if self.sockets[fd].recv(65536, socket.MSG_DONTWAIT):
                        silent.discard(fd)
                except BlockingIOError:
                    pass
        time.sleep(0.1)
        for watcher in self.sockets.values():
            with suppress(BlockingIOError):
                watcher.recv(65536, socket.MSG_DONTWAIT)

    def _connect(self, watchers: int) -> None:
        publisher = Client(self.target)
        source = self.source
        source_id = publisher.query(source.make)
        for _ in range(watchers):
            client = Client(self.target, self.websocket)
            if self.target.pid is None and not self.held:
                client.socket.settimeout(ANSWER)
            client.subscribe(source.subscribe, source.first, source_id)
            self.held.append(client)
            self.sockets[client.fileno()] = client.socket
        self.publisher = publisher.socket
        self.held.append(publisher)
        self.change = publisher.pack(QUERY, [self.target.scope, source.cause])
        self.publisher.sendall(self.change)
        event = b""
        for client in self.held[:-1]:
            _, kind, body = client.frame()
            assert kind == source.event, kind
            event = body
        size = len(event) + 8
        # What the bare server copies has the same size.
        self.event = bytes(size + (0 if not self.websocket else 2 if size < 126 else 4))
        publisher.frame()

    def run(self, in_flight: int, seconds: float, latencies: list[float] | None) -> Rate:
        target, watchers, reference = self.target, self.watchers, self.reference
        publisher = self.publisher.fileno()
        send, change = self.publisher.sendall, self.change
        receivers, poll = self.receivers, self.poller.poll
        buffer = bytearray(BUFFER)
        view = memoryview(buffer)
        clock = time.perf_counter
        one_event = len(self.event)
        sent = complete = events = length = total = 0
        counting = clock() + seconds * WARM_UP
        ends = counting + seconds
        counted_from = -1
        cpu = used = sent_at = now = 0.0
        while True:
            now = clock()
            if counted_from < 0 and now >= counting:
                counted_from, counting, ends = total, now, now + seconds
                used, cpu = time.process_time(), cpu_seconds(target.pid) if target.pid else 0.0
            if now >= ends:
                break
            if latencies is not None and complete == sent and sent:
                latencies.append(now - sent_at)
            room = in_flight - sent + complete
            if room > 0:
                sent_at = now
                send(change * room)
                sent += room
            ready = poll(STALL, AT_ONCE)
            if not ready:
                raise RuntimeError(f"{target.name} sends no more events: {total} bytes of {watchers} watchers came")
            for fd, _ in ready:
                count = receivers[fd](buffer)
                if fd == publisher:
                    continue
                if not count:
                    raise RuntimeError(f"{target.name} has closed the connection of a watcher")
                total += count
                if fd == reference:
                    length += count
                    events = self._events(events, length, one_event, view[:count])
            if length:
                complete = min(sent, events * total // (watchers * length))
        counted, wall = total - counted_from, now - counting
        used = time.process_time() - used
        cpu = cpu_seconds(target.pid) - cpu if target.pid else 0.0
        while events < sent or total < watchers * length:  # the rest must come, or something is lost
            ready = poll(STALL, AT_ONCE)
            if not ready:
                raise RuntimeError(f"{target.name} lost events: {total} bytes came, not {watchers * length}")
            for fd, _ in ready:
                count = receivers[fd](buffer)
                if fd != publisher:
                    total += count
                    if fd == reference:
                        length += count
                        events = self._events(events, length, one_event, view[:count])
        if total != watchers * length:
            raise RuntimeError(f"{target.name} sent {total} bytes to {watchers} watchers, one got {length}")
        deliveries = counted * events / length
        return Rate(deliveries / wall, cpu / max(deliveries, 1), used / wall)

    def _events(self, events: int, length: int, one_event: int, data: memoryview) -> int:
        """How many events have come to the reference."""
        if self.target.bare:
            return length // one_event
        return events + sum(kind == self.source.event for _, kind, _ in self.wire.feed(bytes(data)))

    def close(self) -> None:
        for connection in self.sockets.values():
            connection.close()
        self.publisher.close()


def fanout(
    targets: list[Target],
    source: Source,
    watchers: int,
    websocket: bool,
    in_flights: tuple[int, ...],
    seconds: float,
    rounds: int,
    latency: bool = False,
) -> Fanout:
    """Measure deliveries to so many watchers, the targets by turns. Our server comes first. Another server that has no
    such events is left out."""
    raise_open_files()
    made = Fanout()
    event = b""
    crowds = []
    for target in targets:
        try:
            crowd = _Crowd(target, source, watchers, websocket and not target.bare, event)
        except (TimeoutError, RuntimeError):
            if target.pid is not None:
                raise
            continue
        event = crowd.event
        crowds.append(crowd)
    for _ in range(rounds):
        for crowd in crowds:
            for in_flight in in_flights:
                seen = made.latencies.setdefault(crowd.target.name, []) if latency else None
                rate = crowd.run(in_flight, seconds, seen)
                made.rates.setdefault(crowd.target.name, {}).setdefault(in_flight, []).append(rate)
    for crowd in crowds:
        crowd.close()
    return made
