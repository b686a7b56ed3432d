"""Room history over the wire, in both encodings, and over a restart."""

from __future__ import annotations

import asyncio
import json
import signal
from pathlib import Path
from typing import Any

from websockets.asyncio.client import connect

from server.native import AUTH, DATA, ERROR, JOIN_WITH, OK, QUERY, ROOM_EMIT, ROOM_JOIN
from tests.server.fakes import Client, within
from tests.serving import Server


def test_room_history_in_both_encodings(tmp_path: Path) -> None:
    with Server(tmp_path, more=("--room-history", "3")) as server:
        number = asyncio.run(asyncio.wait_for(_missed(server), 30))
        server.stop(signal.SIGKILL)
        server.start()
        asyncio.run(asyncio.wait_for(_after_a_restart(server, number), 30))


async def _client(server: Server) -> Client:
    client = Client(*await asyncio.open_connection("127.0.0.1", server.tcp))
    assert await client.request(AUTH, ["admin", "pass"]) == (OK, None)
    return client


async def _emit(client: Client, *words: str) -> None:
    for word in words:
        request = ["//stuff", ".hall.emit('said', word); nil", {"word": word}]
        assert await client.request(QUERY, request) == (DATA, None)


async def _missed(server: Server) -> int:
    talker, one = await _client(server), await _client(server)
    _, hall = await talker.request(QUERY, ["//stuff", ".hall = room(); .hall.set_name('hall'); .hall.id()"])
    kind, joined = await one.request(JOIN_WITH, ["//stuff", {"rooms": ["hall", "nowhere"]}])
    number: int = joined["number"]
    assert (kind, joined) == (DATA, {"rooms": [hall, None], "number": number})
    assert (await one.read())[1] == ROOM_JOIN
    await _emit(talker, "a")
    head: dict[str, Any] = {"scope": "@collection:stuff", "id": hall, "event": "said"}
    assert await one.read() == (0xFFFF, ROOM_EMIT, head | {"args": ["a"], "number": number + 1})
    one.writer.close()
    await _emit(talker, "b", "c")

    two = await _client(server)
    kind, joined = await two.request(JOIN_WITH, ["//stuff", {"rooms": [hall], "since": number + 1}])
    assert joined == {"rooms": [hall], "number": number + 3, "resumed": True}
    assert (await two.read())[1] == ROOM_JOIN
    for place, word in enumerate("bc", number + 2):
        assert await two.read() == (0xFFFF, ROOM_EMIT, head | {"args": [word], "number": place})
    assert (await two.request(JOIN_WITH, ["//stuff", {"rooms": "hall"}]))[0] == ERROR
    assert (await two.request(JOIN_WITH, ["//stuff"]))[0] == ERROR

    async with connect(f"ws://127.0.0.1:{server.ws}") as socket:

        async def said() -> Any:
            return json.loads(await within(socket.recv()))

        async def call(method: str, **params: Any) -> Any:
            await socket.send(json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}))
            return await said()

        await call("auth", user="admin", password="pass")
        await _emit(talker, "d")
        reply = (await call("join", scope="//stuff", rooms=["hall"], since=number))["result"]
        assert reply == {"rooms": [hall], "number": number + 4, "resumed": False}
        assert (await said())["method"] == "room.join"
        for place, word in enumerate("bcd", number + 2):  # what is kept comes all the same
            assert (await said())["params"] == head | {"args": [word], "number": place}
        assert (await call("join", scope="//stuff", rooms=["hall"]))["result"] == [hall]
        reply = (await call("join", scope="//stuff", rooms=["hall"], history=True))["result"]
        assert reply == {"rooms": [hall], "number": number + 4}
        assert (await call("join", scope="//stuff", rooms=["hall"], history=1))["error"]["code"] == -32602
        assert (await call("join", scope="//stuff", rooms=["hall"], since="1"))["error"]["code"] == -53
    for client in (talker, two):
        client.writer.close()
    return number + 4


async def _after_a_restart(server: Server, number: int) -> None:
    one = await _client(server)
    kind, joined = await one.request(JOIN_WITH, ["//stuff", {"rooms": ["hall"], "since": number - 3}])
    assert (kind, joined["resumed"]) == (DATA, True)
    assert joined["number"] >= number
    assert (await one.read())[1] == ROOM_JOIN
    for place, word in enumerate("bcd", number - 2):
        _, event, data = await one.read()
        assert (event, data["number"], data["args"]) == (ROOM_EMIT, place, [word])
    talker = await _client(server)
    await _emit(talker, "e")
    _, event, data = await one.read()
    assert (event, data["args"]) == (ROOM_EMIT, ["e"])
    assert data["number"] > joined["number"]
    kind, joined = await one.request(JOIN_WITH, ["//stuff", {"rooms": ["hall"], "since": number - 3}])
    assert (kind, joined["resumed"]) == (DATA, False)
    for client in (talker, one):
        client.writer.close()
