"""Watches taken up again over the wire, in both encodings, also over a restart and a kill."""

from __future__ import annotations

import asyncio
import json
import signal
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.client import connect

from engine.store import SqliteStore
from server.native import AUTH, DATA, ERROR, EVENT_ID, INIT, OK, QUERY, UPDATE, WATCH, WATCH_WITH
from tests.server.fakes import Client, bytes_of, within
from tests.serving import Server


async def _tcp(server: Server) -> Client:
    client = Client(*await asyncio.open_connection("127.0.0.1", server.tcp))
    assert await client.request(AUTH, ["admin", "pass"]) == (OK, None)
    return client


async def _ask(client: Client, code: str) -> Any:
    kind, value = await client.request(QUERY, ["//stuff", code])
    assert kind == DATA, value
    return value


async def _resume(client: Client, since: int, *ids: int) -> tuple[bool, int]:
    kind, reply = await client.request(WATCH_WITH, ["//stuff", {"ids": list(ids), "since": since}])
    assert kind == DATA, reply
    assert reply.keys() == {"change", "resumed"}
    return reply["resumed"], reply["change"]


@pytest.mark.parametrize("end", [None, signal.SIGTERM, signal.SIGKILL])
async def test_missed_events_in_both_encodings(tmp_path: Path, end: signal.Signals | None) -> None:
    with Server(tmp_path) as server:
        writer, watcher = await _tcp(server), await _tcp(server)
        root = await _ask(writer, ".x = 0; .id()")
        watcher.send(bytes_of(WATCH, ["//stuff", root]))
        assert (await watcher.read())[1] == OK
        _, kind, init = await watcher.read()
        assert kind == INIT
        since = init["event"]
        watcher.writer.close()
        changes = [await _ask(writer, f".x = {n}; change_id()") for n in range(1, 301)]
        writer.writer.close()
        if end is not None:
            server.stop(end)
            server.start()
        again, writer = await _tcp(server), await _tcp(server)
        assert await _resume(again, since, root) == (True, changes[-1])
        for n, change in enumerate(changes, 1):
            assert await again.read() == (
                EVENT_ID, UPDATE, {"#": root, "event": change, "jobs": [{"set": {"x": n}}]},
            )  # fmt: skip
        last = await _ask(writer, ".x = 'live'; change_id()")
        assert await again.read() == (EVENT_ID, UPDATE, {"#": root, "event": last, "jobs": [{"set": {"x": "live"}}]})
        await _json(server, root, changes[-2], [changes[-1], last])
        writer.writer.close()
        again.writer.close()


async def _json(server: Server, root: int, since: int, changes: list[int]) -> None:
    async with connect(f"ws://127.0.0.1:{server.ws}") as socket:

        async def call(method: str, **params: Any) -> Any:
            await socket.send(json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}))
            return json.loads(await within(socket.recv()))

        await call("auth", user="admin", password="pass")
        reply = await call("watch", scope="//stuff", ids=[root], since=since)
        assert reply["result"] == {"change": changes[-1], "resumed": True}
        for change in changes:
            said = json.loads(await within(socket.recv()))
            assert (said["method"], said["params"]["event"]) == ("watch.update", change)
        reply = await call("watch", scope="//stuff", ids=[root], since=changes[-1] + 1)
        assert reply["result"] == {"change": changes[-1], "resumed": False}
        said = json.loads(await within(socket.recv()))
        assert (said["method"], said["params"]["event"]) == ("watch.init", changes[-1])
        reply = await call("watch", scope="//stuff", ids=[root], since="x")
        assert reply["error"]["data"] == {"class": "BadDataError"}


async def test_requests_behind_it_wait_for_it(tmp_path: Path) -> None:
    """The first changes are no longer recent: they are read in a thread."""
    with Server(tmp_path, more=("--max-outgoing", "100000000")) as server:
        writer = await _tcp(server)
        root = await _ask(writer, ".x = 0; .id()")
        since = await _ask(writer, ".big = nil; change_id()")
        last = 0
        for _ in range(60):  # more than the record of recent changes keeps
            last = await _ask(writer, ".big = range(100000).map(|x| 1000000 + x); change_id()")
        await _ask(writer, ".a = {}; nil")
        client = await _tcp(server)
        client.send(
            bytes_of(WATCH_WITH, ["//stuff", {"ids": [root], "since": last - 5}], 1),
            bytes_of(QUERY, ["//stuff", "1"], 2),
            bytes_of(WATCH_WITH, ["//stuff", {"ids": [2], "since": since}], 3),
            bytes_of(QUERY, ["//stuff", "2"], 4),
            bytes_of(WATCH_WITH, ["//none", {"ids": [2], "since": since}], 5),
        )
        said = [(await client.read())[:2] for _ in range(12)]
        assert said[:1] == [(1, DATA)]
        assert said[1:7] == [(EVENT_ID, UPDATE)] * 6
        assert said[7:9] == [(2, DATA), (3, DATA)]
        assert said[-2:] == [(4, DATA), (5, ERROR)]
        writer.writer.close()
        client.writer.close()


async def test_the_log_keeps_what_is_configured(tmp_path: Path) -> None:
    with Server(tmp_path, more=("--keep-changes", "50")) as server:
        client = await _tcp(server)
        root = await _ask(client, ".id()")
        changes = [await _ask(client, f".x = {n}; change_id()") for n in range(300)]
        client.writer.close()
        server.stop()  # with a checkpoint of them all
        server.start()  # which removes them
        server.stop()
        store = SqliteStore.open(server.data, create=False)
        assert store.last_change - 50 <= store.first_kept <= store.last_change
        store.close()
        server.start()
        client = await _tcp(server)
        assert (await _resume(client, changes[100], root))[0] is False
        assert (await client.read())[1] == INIT
        client.writer.close()
