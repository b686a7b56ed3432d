"""Coming back to watches: the time from asking, on a new connection, to having all that was missed."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from typing import Any

import msgpack

from bench.client import AUTH, HEADER, QUERY, UPDATE, native_package
from bench.lab import Lab
from bench.processes import Target
from bench.table import Row

__all__ = ["rows"]

WATCH_WITH = 48
WATCHED = 100
"""Things that are watched; the changes are spread over them and as many others."""


def resumed(target: Target, missed: int) -> float:
    """The seconds until so many events that were missed have come."""
    return asyncio.run(_resumed(target, missed))


async def _resumed(target: Target, missed: int) -> float:
    reader, writer = await asyncio.open_connection(target.host, target.native)

    async def package() -> tuple[int, bytes]:
        length, _, kind, _ = HEADER.unpack(await reader.readexactly(HEADER.size))
        return kind, await reader.readexactly(length)

    async def ask(kind: int, body: Any) -> Any:
        writer.write(native_package(kind, body))
        _, data = await package()
        return msgpack.unpackb(data) if data else None

    await ask(AUTH, [target.user, target.password])
    await ask(QUERY, [target.scope, f".back = range({2 * WATCHED}).map(|i| {{n: i}}); nil"])
    ids = await ask(QUERY, [target.scope, ".back.map(|t| t.id())"])
    since = await ask(QUERY, [target.scope, ".n = 0; last_change()"])
    for start in range(0, 2 * missed, 1000):
        many = range(start, min(start + 1000, 2 * missed))
        body = {"n": 0}
        writer.write(b"".join(
            native_package(QUERY, [target.scope, ".back[i].n = n; nil", body | {"i": n % (2 * WATCHED), "n": n}])
            for n in many
        ))  # fmt: skip
        for _ in many:
            await package()
    began = time.perf_counter()
    reply = await ask(WATCH_WITH, [target.scope, {"ids": ids[:WATCHED], "since": since}])
    assert reply["resumed"], reply
    left = missed
    while left:
        kind, _ = await package()
        assert kind == UPDATE, kind
        left -= 1
    took = time.perf_counter() - began
    writer.close()
    return took


def rows(lab: Lab) -> Iterator[Row]:
    missed = 1000 if lab.sizes.seconds < 1 else 10_000
    with lab.targets() as targets:
        ours = next(one for one in targets if one.name == "livethings")
        took = lab.load(resumed, ours, missed)
    note = f"{WATCHED} things among {2 * missed:,} changes; {missed / took:,.0f} events a second"
    yield Row(f"coming back after {missed:,} missed events", "µs", {"livethings": took * 1e6}, note=note)
