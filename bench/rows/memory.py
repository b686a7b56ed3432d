"""Memory of the server's process: what so many more connections, watches or things add, divided by their number."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

from bench.client import INIT, WATCH, Client
from bench.lab import Lab
from bench.limits import raise_open_files
from bench.processes import Target, resident_bytes, serve
from bench.stores import THING, TYPED, make_store
from bench.table import Row

__all__ = ["rows"]

WARM = 8
"""One in so many comes before, uncounted: it fills the memory that the start of the process has left free."""


def connection_bytes(target: Target, websocket: bool, count: int, settle: float) -> float:
    """Bytes of a connection that has logged in."""
    assert target.pid is not None
    raise_open_files()
    held: list[Client | socket.socket] = []
    before = 0
    for number in range(count // WARM + count):
        if number == count // WARM:
            time.sleep(settle)
            before = resident_bytes(target.pid)
        if target.bare:
            held.append(socket.create_connection((target.host, target.echo)))
        else:
            held.append(Client(target, websocket))
    time.sleep(settle)
    return _taken(target, before, count, held)


def watch_bytes(target: Target, connections: int, each: int, settle: float) -> float:
    """Bytes of a watch, where each connection watches the same things."""
    assert target.pid is not None
    raise_open_files()
    held = [Client(target) for _ in range(connections)]
    things: list[int] = [held[0].query(f".w{number} = {{n: 0}}; .w{number}.id();") for number in range(each)]
    for client in held[: len(held) // WARM]:
        client.subscribe(WATCH, INIT, *things)
    rest = held[len(held) // WARM :]
    time.sleep(settle)
    before = resident_bytes(target.pid)
    for client in rest:
        client.subscribe(WATCH, INIT, *things)
    time.sleep(settle)
    return _taken(target, before, len(rest) * each, held)


def _taken(target: Target, before: int, count: int, held: list[Client] | list[Client | socket.socket]) -> float:
    assert target.pid is not None
    taken = resident_bytes(target.pid) - before
    for connection in held:
        connection.close()
    return taken / count


def dict_bytes(count: int) -> float:
    """Bytes of a plain Python dict of the same."""

    def make(numbers: range) -> list[dict[str, object]]:
        return [{"name": f"name {i}", "at": i, "score": i * 0.5, "done": False} for i in numbers]

    held = [make(range(count // WARM))]
    before = resident_bytes(os.getpid())
    held.append(make(range(count)))
    return (resident_bytes(os.getpid()) - before) / count


def rows(lab: Lab) -> Iterator[Row]:
    sizes = lab.sizes
    for websocket in (False, True):
        with lab.targets(exact_memory=True) as (ours, bare, *_):
            mine = lab.load(connection_bytes, ours, websocket, sizes.connections, sizes.settle)
            base = lab.load(connection_bytes, bare, False, sizes.connections, sizes.settle)
        name = f"memory of a connection, {'WebSocket' if websocket else 'TCP'}"
        yield Row(name, "bytes", {"livethings": mine, "baseline": base}, _ratio(mine, base))
    with serve(exact_memory=True) as ours:
        mine = lab.load(watch_bytes, ours, sizes.watching, sizes.watches, sizes.settle)
    yield Row("memory of a watch", "bytes", {"livethings": mine})
    base = lab.load(dict_bytes, sizes.things)
    for what, code in (("thing", THING), ("typed thing", TYPED)):
        mine = _thing_bytes(lab, code)
        yield Row(f"memory of a {what}, four properties", "bytes", {"livethings": mine, "baseline": base},
                  _ratio(mine, base), note="baseline: a Python dict")  # fmt: skip


def _thing_bytes(lab: Lab, code: str) -> float:
    """Bytes of a stored thing, after a start, which leaves nothing behind but the things."""
    count = lab.sizes.things
    with TemporaryDirectory(prefix="livethings-bench-") as folder:
        lab.load(make_store, Path(folder), count, code)
        with serve(exact_memory=True) as empty, serve(Path(folder), exact_memory=True) as full:
            assert empty.pid is not None and full.pid is not None
            return (resident_bytes(full.pid) - resident_bytes(empty.pid)) / count


def _ratio(mine: float, base: float) -> dict[str, float]:
    return {"livethings": mine / base} if base > 0 else {}
