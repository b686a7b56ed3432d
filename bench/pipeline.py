"""Load: requests in a pipeline, so many in flight on each of a few connections."""

from __future__ import annotations

import itertools
import select
import socket
import time
from base64 import b64encode
from collections.abc import Callable
from dataclasses import dataclass

from bench.client import DATA, QUERY, Client, Wire, native_package, websocket_package
from bench.processes import Target, cpu_seconds

__all__ = ["Rate", "http_requests", "pipeline"]

BUFFER = 1 << 18
WARM_UP = 0.2
"""The share of the time that is not counted."""

STALL = 30.0


@dataclass(frozen=True)
class Rate:
    """How many a second, what each cost the server's processor (seconds; 0 when unknown), and how busy the load was."""

    per_second: float
    cost: float
    busy: float


_numbers = itertools.count(10_000_000)
NUMBER = "12345678"
"""In the code of a query, what a number of the same length replaces that is another one each time."""


class _Lane:
    """One connection, and what is still to come of the reply that has begun."""

    __slots__ = ("part", "receive", "send", "socket")

    def __init__(self, connection: socket.socket) -> None:
        self.socket = connection
        self.part = 0
        self.receive = connection.recv_into
        self.send = connection.sendall


def pipeline(
    target: Target, code: str, connections: int, in_flight: int, seconds: float, websocket: bool = False
) -> Rate:
    """Run a query again and again; to the baseline go the same bytes."""
    request = (websocket_package if websocket else native_package)(QUERY, [target.scope, code])
    if target.bare:
        sockets, reply, size = _connect_bare(target, request, connections)
    else:
        sockets, reply, size = _connect(target, code, request, connections, websocket)
    return _drive(target, request, sockets, reply, size, in_flight, seconds)


def http_requests(target: Target, body: bytes, media: str, connections: int, seconds: float) -> Rate:
    """Post a body to our server's scope again and again, one request at a time on each connection."""
    credentials = b64encode(f"{target.user}:{target.password}".encode()).decode()
    request = (
        f"POST {target.scope} HTTP/1.1\r\nHost: bench\r\nAuthorization: Basic {credentials}\r\n"
        f"Content-Type: {media}\r\nContent-Length: {len(body)}\r\n\r\n"
    ).encode() + body
    if target.bare:
        sockets, reply, size = _connect_bare(target, request, connections)
    else:
        sockets = [socket.create_connection((target.host, target.http)) for _ in range(connections)]
        reply, size = b"HTTP/1.1 200", _http_size(sockets[0], request)
    return _drive(target, request, sockets, reply, size, 1, seconds)


def _http_size(connection: socket.socket, request: bytes) -> int:
    """Bytes of the reply to a request."""
    connection.sendall(request)
    reply = b""
    while True:
        piece = connection.recv(BUFFER)
        if not piece:
            raise RuntimeError(f"the server has closed the connection: {reply!r}")
        reply += piece
        head, end, body = reply.partition(b"\r\n\r\n")
        if end:
            length = int(head.lower().partition(b"content-length:")[2].split()[0])
            if len(body) == length:
                return len(reply)


def _drive(
    target: Target, request: bytes, sockets: list[socket.socket], reply: bytes, size: int, in_flight: int,
    seconds: float,
) -> Rate:  # fmt: skip
    """Send a request again and again, to which each reply begins with some bytes and has a size."""
    make = _maker(request, in_flight)
    buffer = bytearray(BUFFER)
    poller = select.epoll()
    lanes = {}
    for connection in sockets:
        lanes[connection.fileno()] = _Lane(connection)
        poller.register(connection.fileno(), select.EPOLLIN)
    clock = time.perf_counter
    counting = clock() + seconds * WARM_UP
    ends = counting + seconds
    done = 0
    counted_from = -1
    used = cpu = 0.0
    head = memoryview(buffer)[: len(reply)]
    for lane in lanes.values():
        lane.send(make(in_flight))
    while True:
        ready = poller.poll(STALL)
        if not ready:
            raise RuntimeError(f"{target.name} has stopped answering {request[-200:]!r}")
        for fd, _ in ready:
            lane = lanes[fd]
            count = lane.receive(buffer)
            if not count or (not lane.part and count >= len(reply) and head != reply):
                raise RuntimeError(f"{target.name} answers {request[-200:]!r} with {bytes(buffer[:200])!r}")
            complete, lane.part = divmod(lane.part + count, size)
            if complete:
                done += complete
                lane.send(make(complete))
        now = clock()
        if counted_from < 0 and now >= counting:
            counted_from, counting, ends = done, now, now + seconds
            used, cpu = time.process_time(), cpu_seconds(target.pid) if target.pid else 0.0
        if now >= ends:
            break
    wall = now - counting
    used = time.process_time() - used
    cpu = cpu_seconds(target.pid) - cpu if target.pid else 0.0
    for connection in sockets:
        connection.close()
    return Rate((done - counted_from) / wall, cpu / max(1, done - counted_from), used / wall)


def _connect_bare(target: Target, request: bytes, count: int) -> tuple[list[socket.socket], bytes, int]:
    """The connections, how each reply begins, and the size of a reply."""
    sockets = [socket.create_connection((target.host, target.echo)) for _ in range(count)]
    for connection in sockets:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return sockets, request[:8], len(request)


def _connect(
    target: Target, code: str, request: bytes, count: int, websocket: bool
) -> tuple[list[socket.socket], bytes, int]:
    """The same, with the size of the reply to a first request."""
    clients = [Client(target, websocket) for _ in range(count)]
    clients[0].socket.sendall(request)
    wire = Wire(websocket)
    reply = b""
    while True:
        piece = clients[0].socket.recv(BUFFER)
        if not piece:
            raise RuntimeError(f"{target.name} has closed the connection")
        reply += piece
        for _, kind, body in wire.feed(piece):
            if kind != DATA:
                raise RuntimeError(f"{target.name} answers {code!r} with {body!r}")
            return [client.socket for client in clients], reply[: 10 if websocket else 8], len(reply)


def _maker(request: bytes, most: int) -> Callable[[int], bytes]:
    """What makes so many requests as bytes."""
    before, number, after = request.partition(NUMBER.encode())
    if not number:
        ready = [request * count for count in range(most + 1)]
        return ready.__getitem__

    def make(count: int) -> bytes:
        return b"".join([b"%s%08d%s" % (before, next(_numbers), after) for _ in range(count)])

    return make
