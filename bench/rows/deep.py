"""Deep watches: what a change costs while somebody watches it with all around it, by how much that is. The time from
the first change of many that are sent at once to the last event, divided by their number."""

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

WATCH_WITH = 48
INIT, DELETE = 1, 3

CHANGES = {
    "a value": (".deep[i].n += 1; nil", 0),
    "a thing for another": (".deep[i].sub = {}; nil", DELETE),  # one comes, one goes
}
"""What is changed, and the event that follows the reply; 0: none."""


def change_times(target: Target, things: int, watched: bool, changes: int, rounds: int) -> dict[str, float]:
    """Seconds a change, by what is changed: the median of the rounds. There are so many things, each with one inside;
    all in reach of a deep watch, or none."""
    return asyncio.run(_measure(target, things, watched, changes, rounds))


async def _measure(target: Target, things: int, watched: bool, changes: int, rounds: int) -> dict[str, float]:
    reader, writer = await asyncio.open_connection(target.host, target.native)

    async def package() -> tuple[int, Any]:
        length, _, kind, _ = HEADER.unpack(await reader.readexactly(HEADER.size))
        data = await reader.readexactly(length)
        return kind, msgpack.unpackb(data) if data else None

    async def ask(kind: int, body: Any) -> Any:
        writer.write(native_package(kind, body))
        return (await package())[1]

    await ask(AUTH, [target.user, target.password])
    half = things // 2
    root = await ask(QUERY, [target.scope, f".deep = range({half}).map(|i| {{n: i, sub: {{}}}}); .id()"])
    if watched:
        await ask(WATCH_WITH, [target.scope, {"ids": [root], "deep": 3}])
        for _ in range(1 + 2 * half):
            assert (await package())[0] == INIT
    found: dict[str, list[float]] = {name: [] for name in CHANGES}
    for _ in range(rounds):
        for name, (code, last) in CHANGES.items():
            data = b"".join(
                native_package(QUERY, [target.scope, code, {"i": number * 7 % half}]) for number in range(changes)
            )
            expected = last if watched and last else 18
            began = time.perf_counter()
            writer.write(data)
            left = changes
            while left:
                kind, _ = await package()
                left -= kind == expected
            found[name].append((time.perf_counter() - began) / changes)
    await ask(QUERY, [target.scope, ".del('deep'); nil"])
    writer.close()
    return {name: statistics.median(times) for name, times in found.items()}


def rows(lab: Lab) -> Iterator[Row]:
    sizes = lab.sizes
    quick = sizes.seconds < 1
    changes = 100 if quick else 2000
    cases = [(100, False), (100, True), (200 if quick else 10_000, False), (200 if quick else 10_000, True)]
    with lab.targets() as targets:
        target = next(one for one in targets if one.name == "livethings")
        for things, watched in cases:
            times = lab.load(change_times, target, things, watched, changes, sizes.rounds)
            how = "watched deep" if watched else "not watched"
            for name, seconds in times.items():
                yield Row(f"change of {name} among {things}, {how}", "µs", {"livethings": seconds * 1e6})
