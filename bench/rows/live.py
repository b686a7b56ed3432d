"""Live queries: 1,000 distinct ones over 10,000 things, and 1,000 changes a second that each touch one thing: the time
from sending a change to having the new result, and how many results came for it."""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Iterator
from typing import Any

import msgpack

from bench.client import AUTH, HEADER, QUERY, native_package
from bench.lab import Lab
from bench.processes import Target
from bench.table import Row

__all__ = ["rows"]

SUBSCRIBE, LIVE_UPDATE = 49, 64
CHANGES_A_SECOND = 1000


def live_latencies(target: Target, things: int, queries: int, seconds: float) -> tuple[list[float], int]:
    """The times from change to result, in seconds, and the number of changes that a query had read."""
    return asyncio.run(_measure(target, things, queries, seconds))


async def _measure(target: Target, things: int, queries: int, seconds: float) -> tuple[list[float], int]:
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
    for number in range(int(seconds * CHANGES_A_SECOND)):
        await asyncio.sleep(max(0.0, began + number / CHANGES_A_SECOND - time.perf_counter()))
        place = number * 7 % things
        read += place < queries
        sent[place] = time.perf_counter()
        writer.write(native_package(QUERY, [target.scope, ".live[i].n = -n; nil", {"i": place, "n": number + 1}]))
    await asyncio.sleep(0.5)
    reading.cancel()
    writer.close()
    return seen, read


def rows(lab: Lab) -> Iterator[Row]:
    sizes = lab.sizes
    quick = sizes.seconds < 1
    with lab.targets() as targets:
        target = next(one for one in targets if one.name == "livethings")
        seen, read = lab.load(
            live_latencies, target, 200 if quick else 10_000, 20 if quick else 1000, 1 if quick else 10
        )
    cuts = statistics.quantiles(seen, n=100)
    for percent in (50, 99):
        note = f"{len(seen)} results of {read} changes that a query had read"
        yield Row(f"change to live result, p{percent}", "µs", {"livethings": cuts[percent - 1] * 1e6}, note=note)
