"""Nothing that comes and goes with connections and requests is left for the cyclic collector, which is off."""

from __future__ import annotations

import gc
from collections import Counter
from types import FrameType

import pytest

from server.native import AUTH, JOIN, QUERY, WATCH
from tests.server.fakes import House, bytes_of, turns
from tests.server.test_pages import http
from tests.server.test_websocket import opened, rpc, shake


def ours(garbage: list[object]) -> Counter[str]:
    """What of the garbage is the server's, by kind."""
    found: Counter[str] = Counter()
    for item in garbage:
        if type(item) is FrameType:
            if "/server/" in item.f_code.co_filename and "/tests/" not in item.f_code.co_filename:
                found[f"frame of {item.f_code.co_qualname}"] += 1
        elif type(item).__module__.startswith(("server", "engine", "websockets.server")):
            found[type(item).__qualname__] += 1
    return found


async def everything(house: House) -> None:
    """Connections of all kinds, good and bad."""
    client = await house.tcp(login=False)
    await client.request(AUTH, ["admin", "wrong"])
    await client.request(AUTH, ["admin", "pass"])
    for code in ("1+1", "fail", "bug", "change", "nest 5000", "say x"):
        await client.request(QUERY, ["//stuff", code])
    for data in (["//stuff"], b"\x93\xa7//stuff\xa4echo\x81\xa1a\xc1", b"\x92\xa7//stuff\xd4\x05\x00", 5):
        await client.request(QUERY, data)
    await client.request(WATCH, ["//forbidden"])
    await client.request(JOIN, b"\x92\xa7//stuff\xc1")
    client.send(b"\x00" * 8)
    await client.closed()
    client = await house.tcp()
    client.writer.transport.abort()
    async with rpc(house, login=False) as calls:
        for method, params in (
            ("auth", ["admin", "wrong"]), ("auth", ["admin", "pass"]), ("query", ["//stuff", "1+1"]), ("nothing", None),
            ("query", ["//stuff", "fail"]), ("query", ["//stuff", "bug"]), ("query", ["//stuff", "nest 100000"]),
            ("query", None), ("watch", ["//forbidden"]), ("auth", [5, 5]), ("watch", ["//stuff", [1]]),
        ):  # fmt: skip
            await calls.call(method, params)
        await calls.read()
        await calls.raw("{")
        await calls.raw("[1]")
    async with opened(house) as socket:
        await socket.send(bytes_of(AUTH, "token"))
        await socket.send("text")
    for bad in (b"\x83\x80abcd", b"\x82\x80abcd", b"\x81\x81\x00\x00\x00\x00\xff"):
        raw, _ = await shake(house)
        raw.writer.write(bad)
        await raw.closed()
    raw, _ = await shake(house)
    raw.writer.transport.abort()
    await http(house.config.ws_port, b"GET / HTTP/1.1\r\n\r\n")
    await http(house.config.ws_port, b"junk\r\n\r\n")
    await http(house.config.http_port, b"GET / HTTP/1.1\r\n\r\n")
    for one in house.clients:
        one.writer.transport.abort()
    house.clients.clear()
    while house.core.connections:
        await turns()


async def test_no_cycles(house: House) -> None:
    house.engine.cached = False
    await everything(house)  # what happens only the first time
    gc.collect()
    gc.disable()
    try:
        await everything(house)
        gc.set_debug(gc.DEBUG_SAVEALL)
        gc.collect()
        found = ours(gc.garbage)
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
        gc.enable()
    if found:
        pytest.fail(f"left for the collector: {dict(found)}")
