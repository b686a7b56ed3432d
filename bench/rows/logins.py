"""Logins after a restart: as many users as there are clients, each with a password of its own, all at once; and what a
query of somebody else takes meanwhile."""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeAlias

import msgpack

from bench.client import AUTH, HEADER, OK, QUERY, Client, native_package
from bench.lab import Lab
from bench.processes import Target, serve
from bench.table import Row

__all__ = ["rows"]

Connection: TypeAlias = tuple[asyncio.StreamReader, asyncio.StreamWriter]

AT_ONCE = 50
"""Users that are made in one query."""

PAUSE = 0.005
"""Seconds between two queries of the one who works on."""


def make_users(target: Target, count: int) -> str:
    """Add users with passwords; a token of the user `admin`."""
    client = Client(target)
    code = "range(a, b).each(|i| { name = `user{i}`; new_user(name); grant('//stuff', name, QUERY); });"
    for first in range(0, count, AT_ONCE):
        last = min(first + AT_ONCE, count)
        passwords = "".join(f"set_password('user{i}', 'password {i}');" for i in range(first, last))
        client.request(QUERY, ["@t", code + passwords, {"a": first, "b": last}])
    token: str = client.request(QUERY, ["@t", "new_token('admin')"])
    client.close()
    return token


def log_in_all(target: Target, count: int, token: str) -> tuple[float, list[float]]:
    """Seconds until all are logged in, and those that each query took meanwhile."""
    return asyncio.run(_log_in_all(target, count, token))


async def _log_in_all(target: Target, count: int, token: str) -> tuple[float, list[float]]:
    async def connect() -> Connection:
        return await asyncio.open_connection(target.host, target.native)

    async def ask(connection: Connection, kind: int, body: Any) -> tuple[int, Any]:
        reader, writer = connection
        writer.write(native_package(kind, body))
        length, _, answer, _ = HEADER.unpack(await reader.readexactly(HEADER.size))
        return answer, msgpack.unpackb(await reader.readexactly(length)) if length else None

    async def log_in(number: int, client: Connection) -> None:
        answer, value = await ask(client, AUTH, [f"user{number}", f"password {number}"])
        if answer != OK:
            raise RuntimeError(f"a login was refused: {value}")

    async def work() -> None:
        while True:
            began = time.perf_counter()
            await ask(worker, QUERY, [target.scope, "1 + 1"])
            took.append(time.perf_counter() - began)
            await asyncio.sleep(PAUSE)

    worker = await connect()
    await ask(worker, AUTH, token)
    clients = [await connect() for _ in range(count)]
    took: list[float] = []
    working = asyncio.create_task(work())
    while len(took) < 2:
        await asyncio.sleep(PAUSE)
    began = time.perf_counter()
    await asyncio.gather(*(log_in(number, client) for number, client in enumerate(clients)))
    seconds = time.perf_counter() - began
    working.cancel()
    for _, writer in (worker, *clients):
        writer.close()
    return seconds, took


def rows(lab: Lab) -> Iterator[Row]:
    users = lab.sizes.users
    with TemporaryDirectory(prefix="livethings-bench-") as folder:
        with serve(Path(folder)) as target:
            token = lab.load(make_users, target, users)
        with serve(Path(folder)) as target:  # which has seen nobody yet
            seconds, took = lab.load(log_in_all, target, users, token)
    note = f"{users:,} different passwords at once, after a restart"
    yield Row("logins", "1/s", {"livethings": users / seconds}, note=f"{note}: {seconds:.1f} s")
    cuts = statistics.quantiles(took, n=100)
    for percent in (50, 99):
        yield Row(f"query during logins, p{percent}", "µs", {"livethings": cuts[percent - 1] * 1e6})
