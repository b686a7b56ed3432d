"""Deep watches over the wire: native packages, JSON-RPC and event streams."""

from __future__ import annotations

import asyncio
import json
import signal
from pathlib import Path
from typing import Any

from websockets.asyncio.client import connect

from server.native import AUTH, DATA, DELETE, ERROR, INIT, OK, QUERY, STOP, UNWATCH, UPDATE, WATCH_WITH
from tests.server.fakes import Client, within
from tests.serving import Server

NAMES = {INIT: "init", UPDATE: "update", STOP: "stop", DELETE: "delete"}
LOGIN = "Authorization: Basic YWRtaW46cGFzcw=="


def test_deep_watches_in_all_encodings(tmp_path: Path) -> None:
    with Server(tmp_path) as server:
        asyncio.run(asyncio.wait_for(_watch(server), 30))


def test_the_bound_is_configured(tmp_path: Path) -> None:
    with Server(tmp_path, more=("--max-deep-things", "3")) as server:
        asyncio.run(asyncio.wait_for(_too_much(server), 30))


def test_coming_back_after_a_crash(tmp_path: Path) -> None:
    with Server(tmp_path) as server:
        asyncio.run(asyncio.wait_for(_come_back(server), 60))


async def _come_back(server: Server) -> None:
    one = await _tcp(server)
    code = ".box = {list: [{n: 0}, {n: 1}]}; .kept = .box.list[0]; [.box.id(), .kept.id(), .box.list[1].id()]"
    _, (box, kept, second) = await one.request(QUERY, ["//stuff", code])
    code = ".box.list[1].n = 5; .box.list.shift(); .box.list.push({n: 2}); [change_id(), .box.list[1].id()]"
    _, (change, third) = await one.request(QUERY, ["//stuff", code])
    await asyncio.to_thread(server.stop, signal.SIGKILL)
    await asyncio.to_thread(server.start)
    known = [box, kept, second]
    expected = [("update", second), ("update", box), ("init", third), ("stop", kept)]

    two = await _tcp(server)
    options = {"ids": [box], "deep": 1, "since": change - 1, "known": known}
    assert await two.request(WATCH_WITH, ["//stuff", options]) == (DATA, {"change": change, "resumed": True})
    events = [(await two.read())[1:] for _ in range(4)]
    assert [(NAMES[kind], _id(data)) for kind, data in events] == expected

    async with connect(f"ws://127.0.0.1:{server.ws}") as socket:
        params: Any = {"user": "admin", "password": "pass"}
        await socket.send(json.dumps({"jsonrpc": "2.0", "id": 1, "method": "auth", "params": params}))
        await socket.send(
            json.dumps({"jsonrpc": "2.0", "id": 2, "method": "watch", "params": options | {"scope": "//stuff"}})
        )
        said = [json.loads(await within(socket.recv())) for _ in range(6)]
        assert said[1]["result"] == {"change": change, "resumed": True}
        assert [(one["method"], _id(one["params"])) for one in said[2:]] == [(f"watch.{n}", i) for n, i in expected]

    other = await _tcp(server)
    for last, names in ((change, []), (change - 1, ["watch.init"] * 3)):  # streams don't say what they knew
        reader, writer = await asyncio.open_connection("127.0.0.1", server.http)
        writer.write(
            f"GET /events?scope=//stuff&thing={box}&deep=1 HTTP/1.1\r\nHost: here\r\n{LOGIN}\r\n"
            f"Last-Event-ID: {last}\r\n\r\n".encode()
        )
        await within(reader.readuntil(b"retry: 2000\n\n"))
        await other.request(QUERY, ["//stuff", ".box.list[1].n += 1; nil"])
        told: list[str] = []
        while not told or told[-1] != "watch.update":
            line = (await within(reader.readline())).decode().strip()
            if line.startswith("event: "):
                told.append(line.removeprefix("event: "))
        assert told == [*names, "watch.update"]
        writer.close()


def _id(data: Any) -> int:
    thing_id: int = data["thing"]["#"] if "thing" in data else data["#"]
    return thing_id


async def _tcp(server: Server) -> Client:
    client = Client(*await asyncio.open_connection("127.0.0.1", server.tcp))
    assert await client.request(AUTH, ["admin", "pass"]) == (OK, None)
    return client


async def _too_much(server: Server) -> None:
    one = await _tcp(server)
    root = (await one.request(QUERY, ["//stuff", ".l = [{}, {}, {}]; .id()"]))[1]
    kind, error = await one.request(WATCH_WITH, ["//stuff", {"ids": [root], "deep": 1}])
    assert kind == ERROR
    assert error["error_code"] == -63
    assert await one.request(WATCH_WITH, ["//stuff", {"ids": [root], "deep": 0}]) == (DATA, {"change": 1})


async def _watch(server: Server) -> None:
    one, two = await _tcp(server), await _tcp(server)
    _, (root, box) = await one.request(QUERY, ["//stuff", ".box = {list: []}; [.id(), .box.id()]"])

    async def told(count: int) -> list[tuple[int, Any]]:
        return [(await one.read())[1:] for _ in range(count)]

    for broken in ([], ["//stuff"], ["//stuff", 1], ["//stuff", {"ids": [box], "deep": "all"}], [1, {}]):
        kind, error = await one.request(WATCH_WITH, broken)
        assert (kind, error["error_code"]) == (ERROR, -53)
    assert await one.request(WATCH_WITH, ["//stuff", {"ids": [box], "deep": 1}]) == (DATA, {"change": 1})
    assert await told(1) == [(INIT, {"event": 1, "thing": {"#": box, "list": []}, "collection": "stuff"})]

    async with connect(f"ws://127.0.0.1:{server.ws}") as socket:

        async def call(method: str, **params: Any) -> Any:
            await socket.send(json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}))
            return json.loads(await within(socket.recv()))

        async def said(method: str) -> Any:
            message = json.loads(await within(socket.recv()))
            assert message["method"] == method
            return message["params"]

        await call("auth", user="admin", password="pass")
        assert (await call("watch", scope="//stuff", ids=[root], deep=200))["error"]["code"] == -53
        reply = await call("watch", scope="//stuff", ids=[root], deep=2)
        assert reply["result"] == {"change": 1}
        assert [(await said("watch.init"))["thing"]["#"] for _ in range(2)] == [root, box]

        reader, writer = await asyncio.open_connection("127.0.0.1", server.http)
        writer.write(f"GET /events?scope=//stuff&thing={box}&deep=1 HTTP/1.1\r\nHost: here\r\n{LOGIN}\r\n\r\n".encode())
        assert b" 200 " in await within(reader.readline())

        async def streamed() -> tuple[str, Any]:
            name = ""
            while True:
                key, _, value = (await within(reader.readline())).decode().strip().partition(": ")
                if key == "event":
                    name = value
                elif key == "data":
                    return name, json.loads(value)

        assert (await streamed())[0] == "watch.init"

        code = ".box.list.push({n: 1}); .kept = {}; .box.kept = .kept; [.box.list[0].id(), .kept.id()]"
        _, (new, kept) = await two.request(QUERY, ["//stuff", code])
        kinds = [(kind, data["thing"]["#"] if kind == INIT else data["#"]) for kind, data in await told(4)]
        assert kinds == [(UPDATE, box), (UPDATE, box), (INIT, new), (INIT, kept)]
        assert [await said("watch.update") for _ in range(3)]
        assert {(await said("watch.init"))["thing"]["#"] for _ in range(2)} == {new, kept}
        assert [(await streamed())[0] for _ in range(4)] == ["watch.update"] * 2 + ["watch.init"] * 2

        _, change = await two.request(QUERY, ["//stuff", ".box.del('kept'); .box.list.clear(); change_id()"])
        assert (await told(3))[1:] == [(STOP, {"#": kept, "event": change}), (DELETE, {"#": new})]
        assert (await said("watch.update"))["#"] == box
        assert await said("watch.delete") == {"#": new}  # to the root's watcher, the kept one is in reach
        assert [(await streamed())[0] for _ in range(3)] == ["watch.update", "watch.stop", "watch.delete"]

        assert await one.request(UNWATCH, ["//stuff", box]) == (OK, None)
        assert await told(1) == [(STOP, {"#": box})]
        assert (await call("unwatch", scope="//stuff", ids=[root]))["result"] is None
        assert {(await said("watch.stop"))["#"] for _ in range(3)} == {root, box, kept}
        writer.close()
