"""Atomic queries and conditions against a server: in both encodings, over HTTP, by the Python client, and on disk."""

from __future__ import annotations

import asyncio
import json
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import livethings
import pytest
from websockets.asyncio.client import ClientConnection, connect

from server.native import (
    AUTH,
    DATA,
    ERROR,
    JOIN,
    LIVE_UPDATE,
    OK,
    PING,
    PONG,
    QUERY,
    QUERY_WITH,
    ROOM_EMIT,
    RUN_WITH,
    SUBSCRIBE,
    UNSUBSCRIBE,
    UPDATE,
    WATCH,
)
from tests.server.fakes import Client, bytes_of, within
from tests.serving import Server

ATOMIC = {"atomic": True}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with Server(tmp_path_factory.mktemp("server")) as server:
        yield server


async def native(server: Server, login: bool = True) -> Client:
    reader, writer = await asyncio.open_connection("127.0.0.1", server.tcp)
    client = Client(reader, writer)
    if login:
        assert await client.request(AUTH, ["admin", "pass"]) == (OK, None)
    return client


async def fails(client: Client, kind: int, *body: Any) -> tuple[int, str]:
    """The error of a request: code and message."""
    said, error = await client.request(kind, list(body))
    assert said == ERROR, error
    return error["error_code"], error["error_msg"]


async def test_native_packages(server: Server) -> None:
    client, watcher = await native(server), await native(server)
    code = ".thing = {n: 1}; .room = room(); [.thing.id(), .room.id()]"
    kind, (thing, room) = await client.request(QUERY_WITH, ["//stuff", code, None, ATOMIC])
    assert kind == DATA
    assert await watcher.request(WATCH, ["//stuff", thing]) == (OK, None)
    at = (await watcher.read())[2]["event"]
    assert (await watcher.request(JOIN, ["//stuff", room]))[0] == DATA
    await watcher.read()
    code = ".room.emit('lost'); .thing.n = n; .thing.emit('lost'); log('lost'); 1/0"
    assert (await fails(client, QUERY_WITH, "//stuff", code, {"n": 2}, ATOMIC))[0] == -58
    assert await client.request(QUERY_WITH, ["//stuff", ".room.emit('told'); .thing.n += 10"]) == (DATA, 11)
    _, kind, said = await watcher.read()
    assert (kind, said["event"]) == (ROOM_EMIT, "told")
    _, kind, update = await watcher.read()
    assert (kind, update["event"], update["jobs"]) == (UPDATE, at + 1, [{"set": {"n": 11}}])
    refused = [".thing.n = 3", None, {"decided_at": at, "things": [thing]}]
    kind, error = await client.request(QUERY_WITH, ["//stuff", *refused])
    assert (kind, error["error_code"], error["things"]) == (ERROR, -7, [thing])
    conditions = {"decided_at": at + 1, "things": [thing]}
    assert await client.request(QUERY_WITH, ["//stuff", ".thing.n = 3", None, conditions]) == (DATA, 3)
    assert (await client.request(QUERY, ["//stuff", "new_procedure('p', |x| {.p = x; 1/x});"]))[0] == DATA
    assert (await fails(client, RUN_WITH, "//stuff", "p", [0], ATOMIC))[0] == -58
    assert await client.request(RUN_WITH, ["//stuff", "p", {"x": 2}, ATOMIC]) == (DATA, 0)
    assert await client.request(QUERY, ["//stuff", ".p"]) == (DATA, 2)


async def test_native_packages_that_are_wrong(server: Server) -> None:
    client = await native(server, login=False)
    assert (await fails(client, QUERY_WITH, "//stuff", "1", None, ATOMIC))[0] == -56
    assert await client.request(AUTH, ["admin", "pass"]) == (OK, None)
    for wrong in ("atomic", [True], {"atomic": 1}, {"atom": True}, {"things": [1]}):
        assert (await fails(client, QUERY_WITH, "//stuff", ".wrong = 1", None, wrong))[0] == -53
    broken = bytes_of(QUERY_WITH, b"\x94\xa7//stuff\xaa.wrong = 1\xc0\x81\xc1")
    client.send(broken, bytes_of(QUERY_WITH, ["//stuff", "1 + x", {"x": 2}, ATOMIC], 2), bytes_of(PING, None, 3))
    assert (await client.read())[1] == ERROR
    assert await client.read() == (2, DATA, 3)
    assert await client.read() == (3, PONG, None)
    assert await client.request(QUERY_WITH, ["//stuff", "1"]) == (DATA, 1)
    assert await client.request(QUERY, ["//stuff", ".has('wrong')"]) == (DATA, False)


async def test_a_password_in_an_atomic_query(server: Server) -> None:
    client = await native(server)
    code = "new_user('iris'); set_password('iris', password); grant('//stuff', 'iris', QUERY); "
    secret = {"password": "a long sentence"}
    assert (await fails(client, QUERY_WITH, "@t", code + "1/0", secret, ATOMIC))[0] == -58
    login = ["iris", "a long sentence"]
    assert (await fails(await native(server, login=False), AUTH, *login))[0] == -56
    assert await client.request(QUERY_WITH, ["@t", code, secret, ATOMIC]) == (DATA, None)
    iris = await native(server, login=False)
    assert await iris.request(AUTH, login) == (OK, None)
    assert await iris.request(QUERY, ["//stuff", "1"]) == (DATA, 1)


async def call(socket: ClientConnection, method: str, params: Any) -> Any:
    await socket.send(json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}))
    return json.loads(await within(socket.recv()))


async def test_json_rpc(server: Server) -> None:
    async with connect(f"ws://127.0.0.1:{server.ws}/") as socket:
        await call(socket, "auth", ["admin", "pass"])
        asked = {"scope": "//stuff", "code": ".json = n; 1/0", "vars": {"n": 1}, "atomic": True}
        assert (await call(socket, "query", asked))["error"]["code"] == -58
        assert (await call(socket, "query", ["//stuff", ".has('json')"]))["result"] is False
        code = ".json = {n: 1}; [.json.id(), last_change()]"
        thing, at = (await call(socket, "query", ["//stuff", code, None, True]))["result"]
        conditions = {"decided_at": at, "things": [thing]}
        asked = {"scope": "//stuff", "code": ".json.n += 1", **conditions}
        assert (await call(socket, "query", asked))["result"] == 2
        refused = (await call(socket, "query", asked))["error"]
        assert refused["code"] == -7 and refused["data"] == {"class": "ChangedError", "things": [thing]}
        assert f"thing {thing}" in refused["message"]
        await call(socket, "query", ["//stuff", "new_procedure('json', |n| {.json.n = n; n/n});"])
        asked = {"scope": "//stuff", "procedure": "json", "args": [0], "atomic": True}
        assert (await call(socket, "run", asked))["error"]["code"] == -58
        assert (await call(socket, "query", ["//stuff", ".json.n"]))["result"] == 2
        asked |= {"args": {"n": 5}, "decided_at": at}
        assert (await call(socket, "run", asked))["error"]["code"] == -7
        for wrong in ({"atomic": "yes"}, {"decided_at": []}, {"things": [1]}):
            asked = {"scope": "//stuff", "code": "1", **wrong}
            assert (await call(socket, "query", asked))["error"]["code"] == -53


async def test_http(server: Server) -> None:
    async with httpx.AsyncClient(auth=("admin", "pass"), trust_env=False) as client:

        async def post(**body: Any) -> httpx.Response:
            return await client.post(f"http://127.0.0.1:{server.http}//stuff", json=body)

        failed = await post(type="query", code=".http = 1; 1/0", atomic=True)
        assert (failed.status_code, "(-58)" in failed.text) == (422, True)
        assert (await post(type="query", code=".has('http')")).json() is False
        # A result that JSON has no form for comes too late, unless the query is atomic.
        assert (await post(type="query", code=".http = 1; bytes('x')", atomic=True)).status_code == 422
        assert (await post(type="query", code=".has('http')")).json() is False
        assert (await post(type="query", code=".http = 1; bytes('x')")).status_code == 422
        assert (await post(type="query", code=".has('http')")).json() is True
        thing, at = (await post(type="query", code=".http = {n: 1}; [.http.id(), last_change()]", atomic=True)).json()
        await post(type="query", code="new_procedure('http', |n| .http.n = n)")
        run = {"type": "run", "name": "http", "args": [2], "atomic": True, "decided_at": at, "things": [thing]}
        assert (await post(**run)).json() == 2
        refused = await post(**run)
        assert (refused.status_code, "(-7)" in refused.text) == (409, True)
        assert (await post(type="query", code="1", atomic="yes")).status_code == 400
        assert (await post(type="query", code="1", atomic=None, things=None)).json() == 1


@pytest.mark.parametrize("scheme", ["ws", "tcp"])
async def test_the_python_client(server: Server, scheme: str) -> None:
    port = server.ws if scheme == "ws" else server.tcp
    async with livethings.connect(f"{scheme}://127.0.0.1:{port}", user="admin", password="pass") as db:
        with pytest.raises(livethings.ZeroDivisionFailed):
            await db.using(atomic=True).query("//stuff", ".python = n; 1/0", n=1)
        assert await db.query("//stuff", ".has('python')") is False
        thing, at = await db.query("//stuff", ".python = {n: 1}; [.python.id(), last_change()]")
        asked = db.using(atomic=True, decided_at=at, things=[thing])
        assert await asked.query("//stuff", ".python.n += n", n=1) == 2
        for refused in (asked, db.using(decided_at=at)):
            with pytest.raises(livethings.ChangedError, match=str(at)) as error:
                await refused.query("//stuff", ".python.n += n", n=1)
            assert error.value.things == ([thing] if refused is asked else [])
        await db.query("//stuff", ".del('python')")
        with pytest.raises(ValueError, match="decided_at"):
            db.using(things=[thing])


async def test_on_disk_is_what_was_told(tmp_path: Path) -> None:
    """What failed is not on disk either, and what succeeded is, with the same ids."""
    with Server(tmp_path) as server:
        client = await native(server)
        seen = []
        for number in range(30):
            code = ".list = []; set_type('T' + str(n), {a: 'int'}); .set('k' + str(n), {list: [room()]}); " + (
                "1/0" if number % 3 else "[.id(), .keys(), last_change()]"
            )
            kind, said = await client.request(QUERY_WITH, ["//stuff", code, {"n": number}, ATOMIC])
            assert (kind == ERROR) == bool(number % 3)
            if kind == DATA:
                seen.append(said)
        code = "[.id(), .keys(), last_change()]"
        last = await client.request(QUERY, ["//stuff", code])
        assert last == (DATA, seen[-1])
        assert server.stop(signal.SIGKILL) == -signal.SIGKILL
        server.start()
        client = await native(server)
        assert await client.request(QUERY, ["//stuff", code]) == last
        at = last[1][-1]
        # Conditions hold over a restart.
        assert (await fails(client, QUERY_WITH, "//stuff", "1", None, {"decided_at": at - 1}))[0] == -7
        assert await client.request(QUERY_WITH, ["//stuff", "1", None, {"decided_at": at}]) == (DATA, 1)


async def test_a_live_query_does_not_see_what_was_undone(server: Server) -> None:
    client, follower = await native(server), await native(server)
    _, at = await client.request(QUERY, ["//stuff", ".live = [{n: 1}]; last_change()"])
    code = ".live.map(|each| each.n)"
    kind, reply = await follower.request(SUBSCRIBE, ["//stuff", {"code": code}])
    assert (kind, reply["value"], reply["change"]) == (DATA, [1], at)
    for text in (".live.push({n: 2}); 1/0", ".live[0].n = 5; 1/0", ".del('live'); 1/0"):
        assert (await fails(client, QUERY_WITH, "//stuff", text, None, ATOMIC))[0] == -58
    # Taken up again, it has not changed.
    again = await follower.request(SUBSCRIBE, ["//stuff", {"code": code, "since": at}])
    assert again == (DATA, {"subscription": again[1]["subscription"], "change": at, "resumed": True})
    await follower.request(UNSUBSCRIBE, [again[1]["subscription"]])
    assert (await client.request(QUERY_WITH, ["//stuff", ".live[0].n = 7", None, ATOMIC])) == (DATA, 7)
    _, kind, update = await follower.read()
    assert (kind, update["change"]) == (LIVE_UPDATE, at + 1)
    assert update.get("value", [7]) == [7]
    assert update.get("patch", []) in ([], [{"op": "replace", "path": "/0", "value": 7}])
