"""Live queries over the wire, in both encodings."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any, ClassVar, cast

import msgpack
import pytest
from websockets.asyncio.client import connect

from server.live import LiveRounds
from server.native import AUTH, DATA, ERROR, HEADER, LIVE_END, LIVE_UPDATE, OK, QUERY, SUBSCRIBE, UNSUBSCRIBE, package
from server.outbox import Outbox
from tests.crash.load import connected
from tests.server.fakes import FakeOutcome, build, bytes_of
from tests.serving import Server
from watch import Live


def test_live_queries_in_both_encodings(tmp_path: Path) -> None:
    server = Server(tmp_path)
    server.start()
    try:
        asyncio.run(asyncio.wait_for(_native(server.tcp), 20))
        asyncio.run(asyncio.wait_for(_rpc(server.ws), 20))
    finally:
        assert server.process is not None
        server.process.terminate()
        server.process.wait()
        assert server.process.stdout is not None
        server.process.stdout.close()


async def _native(port: int) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)

    async def package_in() -> tuple[int, int, Any]:
        length, package_id, kind, _ = HEADER.unpack(await reader.readexactly(HEADER.size))
        data = await reader.readexactly(length)
        return package_id, kind, msgpack.unpackb(data) if data else None

    async def ask(package_id: int, kind: int, body: Any) -> None:
        writer.write(package(package_id, kind, msgpack.packb(body)))

    await ask(1, AUTH, ["admin", "pass"])
    assert (await package_in())[1] == OK
    await ask(2, QUERY, ["//stuff", ".list = range(50).map(|i| {n: i}); nil"])
    assert (await package_in())[1] == DATA
    await ask(3, SUBSCRIBE, ["//stuff", {"code": ".list.filter(|x| x.n >= low)", "vars": {"low": 10}}])
    _, kind, reply = await package_in()
    assert kind == DATA
    assert len(reply["value"]) == 40
    await ask(4, QUERY, ["//stuff", ".list[20].n = 1; change_id()"])
    _, kind, change = await package_in()
    package_id, kind, update = await package_in()
    assert (package_id, kind) == (0xFFFF, LIVE_UPDATE)
    number = reply["subscription"]
    assert update == {"subscription": number, "change": change, "patch": [{"op": "remove", "path": "/10"}]}
    await ask(5, SUBSCRIBE, ["//stuff", {"code": ".n = 1"}])
    assert (await package_in())[1] == ERROR
    await ask(6, QUERY, ["//stuff", ".list[30].n = 'text'; nil"])
    assert (await package_in())[:2] == (6, DATA)
    _, kind, end = await package_in()
    assert kind == LIVE_END
    assert end["subscription"] == number
    assert end["error_code"] == -61
    endless = "for (a in range(100000)) { for (b in range(100000)) { a + b; }; }; 1"
    await ask(8, SUBSCRIBE, ["//stuff", {"code": endless}])
    _, kind, error = await package_in()
    assert (kind, error["error_code"]) == (ERROR, -5)
    await ask(7, UNSUBSCRIBE, [number])
    assert (await package_in())[:2] == (7, OK)
    writer.close()


async def _rpc(port: int) -> None:
    async with connect(f"ws://127.0.0.1:{port}") as socket:

        async def call(method: str, **params: Any) -> None:
            await socket.send(json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}))

        async def said() -> Any:
            return json.loads(await socket.recv())

        await call("auth", user="admin", password="pass")
        await said()
        await call("subscribe", scope="//stuff", code="try(.count)")
        reply = (await said())["result"]
        await call("query", scope="//stuff", code=".count = 5")
        assert (await said())["result"] == 5
        update = await said()
        assert update["method"] == "live.update"
        assert update["params"]["value"] == 5
        await call("subscribe", scope="//stuff", code="try(.count)", since=update["params"]["change"])
        again = (await said())["result"]
        assert again["resumed"] is True
        assert again["subscription"] != reply["subscription"]
        await call("unsubscribe", subscriptions=[reply["subscription"], again["subscription"]])
        assert (await said())["result"] is None
        await call("query", scope="//stuff", code=".count = 6")
        assert (await said())["result"] == 6


async def test_limits_and_a_restored_backup(tmp_path: Path) -> None:
    backup = tmp_path / "backup.tar.gz"
    limits = ("--max-live-queries", "2", "--max-live-result", "100", "--live-query-time", "0.2")
    with Server(tmp_path, more=limits) as server:
        client = await connected(server.tcp)
        assert await client.request(QUERY, ["@n", f"new_backup('{backup}'); nil"]) == (DATA, None)
        while (await client.request(QUERY, ["@n", "backups_info().map(|b| b.load().result_code)"]))[1] != [0]:
            pass
        kind, first = await client.request(SUBSCRIBE, ["//stuff", {"code": ".len()"}])
        assert (kind, first["value"]) == (DATA, 0)
        kind, error = await client.request(SUBSCRIBE, ["//stuff", {"code": "range(1000)"}])
        assert (kind, error["error_code"]) == (ERROR, -6)
        kind, slow = await client.request(SUBSCRIBE, ["//stuff", {"code": SLOW, "vars": {"often": 1}}])
        assert kind == DATA
        kind, error = await client.request(SUBSCRIBE, ["//stuff", {"code": ".len() + 1"}])
        assert (kind, error["error_code"]) == (ERROR, -63)
        assert await client.request(UNSUBSCRIBE, [slow["subscription"]]) == (OK, None)
        kind, error = await client.request(SUBSCRIBE, ["//stuff", {"code": SLOW, "vars": {"often": 50000}}])
        assert (kind, error["error_code"]) == (ERROR, -5)
        kind, of_server = await client.request(SUBSCRIBE, ["@t", {"code": "has_user('admin')"}])
        assert kind == DATA
        client.send(bytes_of(QUERY, ["@t", f"restore('{backup}')"]))
        assert (await client.read())[1:] == (DATA, None)
        ended = set()
        while len(ended) < 2:
            _, kind, data = await client.read()
            assert kind == LIVE_END
            assert data["error_msg"]
            ended.add(data["subscription"])
        assert ended == {first["subscription"], of_server["subscription"]}


SLOW = "sum = 0; for (i in range(often)) { for (j in range(often)) { sum += j; }; }; sum"


async def test_queries_that_are_due_run_though_another_one_failed(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("server.live.AGAIN", 0.0)
    done = asyncio.Event()

    class Queries:
        """Two that are due, the first of which fails in a way that was not thought of."""

        due: ClassVar = {"bad": None, "good": None}

        def changed(self, outcome: Any) -> None:
            pass

        def run(self, seconds: float, durable: int) -> None:
            query = next(iter(self.due))
            del self.due[query]
            if query == "bad":
                raise ZeroDivisionError
            done.set()

    loop = asyncio.get_running_loop()
    LiveRounds(cast(Live, Queries()), Outbox(loop.call_soon), loop).changed(None)
    await asyncio.wait_for(done.wait(), 10)
    assert "live queries could not be run" in caplog.text


async def test_queries_become_due_though_the_end_of_a_watch_could_not_be_told(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    house = await build()
    try:
        changed: list[Any] = []

        class Rounds:
            def changed(self, outcome: Any) -> None:
                changed.append(outcome)

        def after_reply(outcome: Any) -> None:
            raise ZeroDivisionError

        house.core.live = cast(LiveRounds, Rounds())
        monkeypatch.setattr(house.hub, "after_reply", after_reply)
        outcome = FakeOutcome()
        house.core.publish(outcome, None, None)
        assert changed == [outcome]
        assert "events could not be made" in caplog.text
    finally:
        await house.close()
