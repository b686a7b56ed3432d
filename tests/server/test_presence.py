"""Presence over the wire: native packages, JSON-RPC and event streams see one another."""

from __future__ import annotations

import asyncio
import json
import signal
from pathlib import Path
from typing import Any

from websockets.asyncio.client import connect

from server.native import (
    AUTH,
    DATA,
    ERROR,
    JOIN,
    OK,
    PRESENCE,
    PRESENCE_END,
    PRESENCE_JOIN,
    PRESENCE_LEAVE,
    QUERY,
    ROOM_JOIN,
    UNPRESENCE,
    WATCH,
)
from tests.server.fakes import Client, bytes_of, within
from tests.serving import Server


def test_presence_in_all_encodings(tmp_path: Path) -> None:
    with Server(tmp_path) as server:
        asyncio.run(asyncio.wait_for(_see_one_another(server), 30))
        asyncio.run(asyncio.wait_for(_the_server_stops(server), 30))


async def _tcp(server: Server) -> Client:
    client = Client(*await asyncio.open_connection("127.0.0.1", server.tcp))
    assert await client.request(AUTH, ["admin", "pass"]) == (OK, None)
    return client


async def _see_one_another(server: Server) -> None:
    one, two = await _tcp(server), await _tcp(server)
    kind, found = await one.request(
        QUERY, ["//stuff", ".lobby = room(); .lobby.set_name('lobby'); [.lobby.id(), .id()]"]
    )
    assert kind == DATA
    lobby, root = found
    head: dict[str, Any] = {"scope": "@collection:stuff", "room": lobby}

    async with connect(f"ws://127.0.0.1:{server.ws}") as socket:

        async def said() -> Any:
            return json.loads(await within(socket.recv()))

        async def call(method: str, **params: Any) -> Any:
            await socket.send(json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}))
            return await said()

        await call("auth", user="admin", password="pass")
        reply = await call("presence", scope="//stuff", room="lobby")
        assert reply["result"] == {"room": lobby, "connection": 1, "present": []}
        assert (await call("presence", scope="//stuff"))["error"]["code"] == -53

        assert await two.request(JOIN, ["//stuff", "lobby"]) == (DATA, [lobby])
        assert (await two.read())[1] == ROOM_JOIN
        assert await said() == {
            "jsonrpc": "2.0", "method": "presence.join", "params": head | {"connection": 2, "user": "admin"},
        }  # fmt: skip
        kind, seen = await one.request(PRESENCE, ["//stuff", {"room": lobby}])
        assert (kind, seen) == (DATA, {"room": lobby, "connection": 3, "present": [{"connection": 2, "user": "admin"}]})

        # an event stream is there like any other connection, until it is closed
        _, writer = await asyncio.open_connection("127.0.0.1", server.http)
        writer.write(
            f"GET /events?scope=//stuff&room=lobby&thing={root} HTTP/1.1\r\nHost: here\r\n"
            "Authorization: Basic YWRtaW46cGFzcw==\r\n\r\n".encode()
        )
        assert await one.read() == (0xFFFF, PRESENCE_JOIN, head | {"connection": 4, "user": "admin"})
        assert (await said())["params"]["connection"] == 4
        kind, seen = await one.request(PRESENCE, ["//stuff", {"thing": root}])
        assert seen["present"] == [{"connection": 4, "user": "admin"}]
        writer.close()
        gone = sorted([(await one.read())[1:], (await one.read())[1:]], key=lambda told: "room" in told[1])
        assert [kind for kind, _ in gone] == [PRESENCE_LEAVE, PRESENCE_LEAVE]
        assert gone[1][1] == head | {"connection": 4, "user": "admin"}
        assert (await said())["method"] == "presence.leave"

        # so is one that is lost
        two.writer.transport.abort()
        assert await one.read() == (0xFFFF, PRESENCE_LEAVE, head | {"connection": 2, "user": "admin"})
        assert (await said())["params"]["connection"] == 2

        assert (await call("unpresence", scope="//stuff", room="lobby"))["result"] is None
        assert await one.request(UNPRESENCE, ["//stuff", {"thing": root}]) == (OK, None)
        three = await _tcp(server)
        three.send(bytes_of(WATCH, ["//stuff", root]), bytes_of(JOIN, ["//stuff", "lobby"]))
        assert (await one.read())[2]["connection"] == 5
        kind, refused = await one.request(PRESENCE, ["//stuff", {"room": "nowhere"}])
        assert (kind, refused["error_code"]) == (ERROR, -54)
        kind, refused = await one.request(PRESENCE, ["//stuff", "lobby"])
        assert (kind, refused["error_code"]) == (ERROR, -53)
        one.send(bytes_of(QUERY, ["//stuff", ".lobby = nil;"]))
        assert [(await one.read())[1] for _ in range(2)] == [DATA, PRESENCE_END]
        assert (await call("ping"))["result"] == "pong"
        three.writer.close()
    one.writer.close()


async def _the_server_stops(server: Server) -> None:
    clients = [await _tcp(server) for _ in range(5)]
    _, root = await clients[0].request(QUERY, ["//stuff", ".id()"])
    for client in clients:
        client.send(bytes_of(WATCH, ["//stuff", root]), bytes_of(PRESENCE, ["//stuff", {"thing": root}], 2))
        while (await client.read())[0] != 2:
            pass
    server.send(signal.SIGTERM)
    for place, client in enumerate(clients):
        told = [(await client.read())[1:] for _ in range(len(clients) - 1 - place + 2)]
        joins, status = told[:-2], told[-2:]
        assert [kind for kind, _ in joins] == [PRESENCE_JOIN] * len(joins)
        assert [data["status"] for _, data in status] == ["SHUTTING_DOWN", "OFFLINE"]
        assert await client.closed() == b""
        client.writer.close()
