"""Slow readers that asked for fresh state: over sockets, in both encodings."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection, connect

from server.native import (
    AUTH,
    DATA,
    ERROR,
    INIT,
    JOIN,
    OK,
    OPTIONS,
    PING,
    PONG,
    QUERY,
    ROOM_EMIT,
    SUBSCRIBE,
    UPDATE,
    WARNING,
    WATCH,
)
from tests.server.fakes import Client, House, bytes_of, within
from tests.serving import Server

MakeHouse = Callable[..., Awaitable[House]]

TEXT = 128 << 10
"""Bytes of each change."""

CHANGES = 120
"""Enough of them that sockets do not hold them all."""


async def _connect(server: Server) -> Client:
    sock = socket.create_connection(("127.0.0.1", server.tcp))
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 64 << 10)
    client = Client(*await asyncio.open_connection(sock=sock, limit=64 << 10))
    assert await client.request(AUTH, ["admin", "pass"]) == (OK, None)
    return client


async def _change(client: Client, count: int) -> None:
    for number in range(count):
        variables = {"text": "x" * TEXT, "n": number}
        assert (await client.request(QUERY, ["//stuff", ".text = text; .n = n; .room.emit('n', n); nil", variables]))[
            0
        ] == DATA


def test_a_slow_reader_comes_to_the_state_as_it_is(tmp_path: Path) -> None:
    with Server(tmp_path) as server:
        asyncio.run(asyncio.wait_for(_native(server), 60))
        asyncio.run(asyncio.wait_for(_rpc(server), 60))
        asyncio.run(asyncio.wait_for(_bounds(server), 60))


async def _native(server: Server) -> None:
    slow, talker = await _connect(server), await _connect(server)
    kind, root = await talker.request(
        QUERY, ["//stuff", ".n = 0; .text = ''; .room = room(); .room.set_name('room'); .id()"]
    )
    assert kind == DATA
    answer = await slow.request(OPTIONS, {"slow": "refresh", "bytes": 256 << 10})
    assert answer == (DATA, {"slow": "refresh", "bytes": 256 << 10})
    _, live = await slow.request(SUBSCRIBE, ["//stuff", {"code": ".n"}])
    slow.send(bytes_of(WATCH, ["//stuff", root]), bytes_of(JOIN, ["//stuff", "room"]), bytes_of(PING, None, 7))
    while (await slow.read())[:2] != (7, PONG):
        pass
    slow.stop_reading()
    await _change(talker, CHANGES)
    slow.send(bytes_of(QUERY, ["//stuff", ".n"], 8))  # is served when it has read what waits
    slow.read_on()
    mirror: dict[str, Any] = {"n": 0}
    emitted: list[Any] = []
    result, warned, on_time = live["value"], 0, asyncio.Event()

    async def go_on() -> None:
        """Change things until events come as they happen again, and then once more."""
        request = ["//stuff", ".n += 1; .room.emit('n', .n); nil"]
        while not on_time.is_set():
            assert await talker.request(QUERY, request) == (DATA, None)
        request[1] = ".n = 'last'; .room.emit('n', 'last'); nil"
        assert await talker.request(QUERY, request) == (DATA, None)

    going_on: asyncio.Task[None] | None = None
    while mirror["n"] != "last" or result != "last" or emitted[-1:] != ["last"]:
        package_id, kind, data = await slow.read()
        if kind == INIT:
            assert data["thing"]["n"] >= CHANGES - 1
            mirror = data["thing"]
        elif kind == UPDATE:
            for job in data["jobs"]:
                mirror |= job["set"]
            if going_on is not None:
                on_time.set()
        elif kind == ROOM_EMIT:
            emitted += data["args"]
        elif kind == WARNING:
            assert data["warn_code"] == 5
            warned += 1
        elif package_id == 8:
            assert (kind, data) == (DATA, CHANGES - 1)
            going_on = asyncio.create_task(go_on())
        elif kind == 64:
            result = data["value"] if "value" in data else data["patch"][0]["value"]
    assert going_on is not None
    await going_on
    assert warned >= 1
    # Those before it fell behind came whole, and so did those since it is on time again.
    first = next(place for place, word in enumerate(emitted) if word != place)
    assert first < CHANGES
    later = emitted[first:-1]
    assert later == list(range(later[0], later[0] + len(later))) if later else True
    for client in (slow, talker):
        client.writer.close()


async def _rpc(server: Server) -> None:
    talker = await _connect(server)
    _, root = await talker.request(QUERY, ["//stuff", ".id()"])
    async with connect(f"ws://127.0.0.1:{server.ws}", max_queue=1, max_size=None) as client:

        async def call(method: str, **params: Any) -> Any:
            await client.send(json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}))
            return await said(client)

        assert (await call("options", slow="refresh"))["error"]["code"] == -56
        await call("auth", user="admin", password="pass")
        assert (await call("options", slow="sometimes"))["error"]["code"] == -53
        assert (await call("options", bytes=1))["error"]["code"] == -53
        assert (await call("options"))["result"] == {"slow": "disconnect", "bytes": 16 << 20}
        assert (await call("options", slow="refresh", bytes=65536))["result"] == {"slow": "refresh", "bytes": 65536}
        await call("watch", scope="//stuff", ids=[root])
        await _change(talker, CHANGES)
        seen, inits = None, 0
        while seen != CHANGES - 1:
            event = await said(client)
            if event["method"] == "watch.init":
                seen = event["params"]["thing"]["n"]
                inits += 1
            else:
                assert event["method"] == "watch.update"
                for job in event["params"]["jobs"]:
                    seen = job["set"].get("n", seen)
        assert inits >= 2
    talker.writer.close()


async def said(client: ClientConnection) -> Any:
    return json.loads(await within(client.recv()))


async def _bounds(server: Server) -> None:
    client = await _connect(server)
    for wrong in ({"slow": 1}, {"fast": True}, [], {"bytes": 10}, {"bytes": True}, {"bytes": 1 << 30}):
        kind, error = await client.request(OPTIONS, wrong)
        assert (kind, error["error_code"]) == (ERROR, -53), wrong
    assert (await client.request(OPTIONS, b"\xc1"))[0] == ERROR
    # With a bound of its own, a reader that did not ask for more is disconnected by it.
    assert (await client.request(OPTIONS, {"slow": "disconnect", "bytes": 64 << 10}))[0] == DATA
    talker = await _connect(server)
    _, root = await talker.request(QUERY, ["//stuff", ".id()"])
    client.send(bytes_of(WATCH, ["//stuff", root]), bytes_of(PING, None, 7))
    while (await client.read())[:2] != (7, PONG):
        pass
    client.stop_reading()
    await _change(talker, CHANGES)
    client.read_on()
    warning = await _last(client)
    assert warning["warn_code"] == 3 and "too slow" in warning["warn_msg"]
    for one in (client, talker):
        one.writer.close()


async def _last(client: Client) -> Any:
    """The data of the last package before the end of the connection."""
    last = None
    while True:
        try:
            _, _, last = await client.read()
        except asyncio.IncompleteReadError:
            return last


class Behind:
    """Notes who falls behind, and leaves nothing out."""

    def __init__(self) -> None:
        self.readers: list[Any] = []

    def fall_behind(self, reader: Any) -> None:
        self.readers.append(reader)

    def catch_up(self, reader: Any, size: int) -> bool:
        return True

    def come_back(self, reader: Any) -> None:
        pass


async def test_what_can_not_be_left_out_is_bounded_too(house_with: MakeHouse, caplog: pytest.LogCaptureFixture) -> None:
    house = await house_with(max_outgoing=1 << 20)
    house.core.slow = behind = Behind()
    slow, talker = await house.tcp(), await house.tcp()
    assert (await slow.request(OPTIONS, {"slow": "refresh", "bytes": 512 << 10}))[0] == DATA
    assert await slow.request(WATCH, ["//stuff"]) == (OK, None)
    slow.stop_reading()
    text = "x" * (100 << 10)
    sent = 0
    while house.hub.subscribers:
        assert sent < 500
        assert (await talker.request(QUERY, ["@t", f"say {text}"]))[0] == DATA
        sent += 1
    assert len(behind.readers) == 1
    assert "the limit is 1048576" in caplog.text
    slow.read_on()
    assert "too slow" in (await _last(slow))["warn_msg"]
