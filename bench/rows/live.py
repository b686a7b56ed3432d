"""Live queries.

Many distinct ones over many things, and changes that each touch one thing: the time from sending a change to having the
new result, and how many queries ran for it. And many subscriptions to the same one: how often it ran, and what a
subscriber costs.
"""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Iterator
from typing import Any, NamedTuple
from urllib.request import urlopen

import msgpack

from bench.client import AUTH, EVENT_ID, HEADER, QUERY, Wire, native_package
from bench.lab import Lab
from bench.processes import Target, cpu_seconds
from bench.table import Row

__all__ = ["rows"]

SUBSCRIBE, LIVE_UPDATE = 49, 64
CHANGES_A_SECOND = 1000


def runs_of(target: Target) -> int:
    """How often live queries have run so far."""
    with urlopen(f"http://{target.host}:{target.http}/metrics") as reply:
        for line in reply.read().decode().splitlines():
            if line.startswith("livethings_live_runs_total "):
                return int(float(line.split()[1]))
    raise RuntimeError("the server counts no runs of live queries")


# --- distinct ones ---------------------------------------------------------------------------------------------------


class Distinct(NamedTuple):
    """The times from change to result, in seconds; the number of changes, of those that a query had read, of runs."""

    seen: list[float]
    changes: int
    read: int
    runs: int


def distinct(target: Target, things: int, queries: int, seconds: float) -> Distinct:
    """Measure so many queries over so many things."""
    return asyncio.run(_distinct(target, things, queries, seconds))


async def _distinct(target: Target, things: int, queries: int, seconds: float) -> Distinct:
    reader, writer = await asyncio.open_connection(target.host, target.native)

    async def package() -> tuple[int, Any]:
        length, _, kind, _ = HEADER.unpack(await reader.readexactly(HEADER.size))
        return kind, msgpack.unpackb(await reader.readexactly(length)) if length else None

    async def ask(kind: int, body: Any) -> Any:
        writer.write(native_package(kind, body))
        return (await package())[1]

    await ask(AUTH, [target.user, target.password])
    await ask(QUERY, [target.scope, f".live = range({things}).map(|i| {{n: i}}); nil"])
    places = {}
    for index in range(queries):
        reply = await ask(SUBSCRIBE, [target.scope, {"code": f".live[{index}].n"}])
        places[reply["subscription"]] = index
    before = runs_of(target)
    sent: dict[int, float] = {}
    seen: list[float] = []
    read = 0

    async def results() -> None:
        while True:
            kind, data = await package()
            if kind == LIVE_UPDATE:
                seen.append(time.perf_counter() - sent[places[data["subscription"]]])

    reading = asyncio.create_task(results())
    began = time.perf_counter()
    changes = int(seconds * CHANGES_A_SECOND)
    for number in range(changes):
        await asyncio.sleep(max(0.0, began + number / CHANGES_A_SECOND - time.perf_counter()))
        place = number * 7 % things
        read += place < queries
        sent[place] = time.perf_counter()
        writer.write(native_package(QUERY, [target.scope, ".live[i].n = -n; nil", {"i": place, "n": number + 1}]))
    await asyncio.sleep(0.5)
    reading.cancel()
    writer.close()
    return Distinct(seen, changes, read, runs_of(target) - before)


# --- identical ones --------------------------------------------------------------------------------------------------


class Identical(NamedTuple):
    """The times from a change to its result at the last subscriber, and the server's processor time for all of them, in
    seconds; the number of runs."""

    seen: list[float]
    cpu: float
    runs: int


class _Subscriber(asyncio.Protocol):
    """Counts its results; `on_result` is called for each."""

    def __init__(self, target: Target, on_result: Any) -> None:
        self.transport: Any = None
        self.ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._target = target
        self._wire = Wire(False)
        self._on_result = on_result

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        target = self._target
        self.transport.write(
            native_package(AUTH, [target.user, target.password])
            + native_package(SUBSCRIBE, [target.scope, {"code": SAME}], 2)
        )

    def data_received(self, data: bytes) -> None:
        for package_id, kind, _ in self._wire.feed(data):
            if package_id == EVENT_ID and kind == LIVE_UPDATE:
                self._on_result()
            elif package_id == 2:
                self.ready.set_result(None)


SAME = ".list.filter(|x| x.n >= 50)"


def identical(target: Target, subscribers: int, changes: int) -> Identical:
    """Measure so many subscriptions to one query, each on a connection of its own; one change at a time."""
    return asyncio.run(_identical(target, subscribers, changes))


async def _identical(target: Target, subscribers: int, changes: int) -> Identical:
    loop = asyncio.get_running_loop()
    left, all_have_it = 0, loop.create_future()

    def on_result() -> None:
        nonlocal left
        left -= 1
        if not left:
            all_have_it.set_result(None)

    reader, writer = await asyncio.open_connection(target.host, target.native)

    async def ask(kind: int, body: Any) -> None:
        writer.write(native_package(kind, body))
        length, *_ = HEADER.unpack(await reader.readexactly(HEADER.size))
        await reader.readexactly(length)

    await ask(AUTH, [target.user, target.password])
    await ask(QUERY, [target.scope, ".list = range(100).map(|i| {n: i}); nil"])
    connected = []
    for _ in range(subscribers):
        _, one = await loop.create_connection(lambda: _Subscriber(target, on_result), target.host, target.native)
        await one.ready
        connected.append(one)
    assert target.pid is not None
    seen, cpu, runs = [], cpu_seconds(target.pid), runs_of(target)
    for number in range(changes):
        left, all_have_it = subscribers, loop.create_future()
        began = time.perf_counter()
        await ask(QUERY, [target.scope, ".list[99].n = n; nil", {"n": 100 + number}])
        await all_have_it
        seen.append(time.perf_counter() - began)
    cpu, runs = cpu_seconds(target.pid) - cpu, runs_of(target) - runs
    for one in connected:
        one.transport.close()
    writer.close()
    return Identical(seen, cpu, runs)


# --- rows ------------------------------------------------------------------------------------------------------------


def rows(lab: Lab) -> Iterator[Row]:
    quick = lab.sizes.seconds < 1
    with lab.targets() as targets:
        ours = next(one for one in targets if one.name == "livethings")
        made = lab.load(distinct, ours, 200 if quick else 10_000, 20 if quick else 1000, 1 if quick else 10)
        cuts = statistics.quantiles(made.seen, n=100)
        note = (
            f"{made.changes} changes, {made.read} of what a query had read; {made.runs} runs, {len(made.seen)} results"
        )
        for percent in (50, 99):
            yield Row(f"change to live result, p{percent}", "µs", {"livethings": cuts[percent - 1] * 1e6}, note=note)
        subscribers, changes = (20, 20) if quick else (1000, 300)
        same = lab.load(identical, ours, subscribers, changes)
        note = f"{changes} changes, {same.runs} runs, {subscribers * changes} results"
        cuts = statistics.quantiles(same.seen, n=100)
        name = f"change to live result at the last of {subscribers:,} identical subscriptions, p50"
        yield Row(name, "µs", {"livethings": cuts[49] * 1e6}, note=note)
        name = f"result for one of {subscribers:,} identical subscriptions, server CPU"
        yield Row(name, "µs", {"livethings": same.cpu / (subscribers * changes) * 1e6}, note=note)
