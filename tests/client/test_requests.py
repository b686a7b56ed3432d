"""Connecting, queries, procedures, errors, timeouts and cancelling, against a real server over both transports."""

from __future__ import annotations

import asyncio
import gc
import socket

import livethings
import pytest
from livethings import (
    AuthError,
    ChangedError,
    Closed,
    ConnectFailed,
    ConnectionLost,
    CustomError,
    Database,
    LookupFailed,
    NoReply,
    OperationError,
    SyntaxFailed,
    ZeroDivisionFailed,
    connect,
)

from engine import errors as engine_errors
from tests.client.conftest import Open, url_of
from tests.serving import Server


async def test_queries_and_values(db: Database) -> None:
    assert await db.query("@thingsdb", "1 + 1") == 2
    values = {"text": "höhe", "number": -(2**63), "float": 0.5, "bytes": b"\xff\0", "list": [None, True, {"a": 1}]}
    assert await db.query("//stuff", "[text, number, float, bytes, list]", **values) == list(values.values())
    await db.query("@thingsdb", "nil")
    assert (
        await db.query("//stuff", "scope + timeout + code + self", scope="a", timeout="b", code="c", self="d") == "abcd"
    )


async def test_procedures(db: Database) -> None:
    await db.query("//stuff", "try(del_procedure('twice')); new_procedure('twice', |a, b| [a, b]);")
    assert await db.run("//stuff", "twice", 1, "x") == [1, "x"]
    assert await db.run("//stuff", "twice", b=1, a=2) == [2, 1]
    with pytest.raises(ValueError, match="all by position or all by name"):
        await db.run("//stuff", "twice", 1, b=2)


async def test_errors_have_the_class_of_their_code(db: Database) -> None:
    with pytest.raises(LookupFailed) as raised:
        await db.query("//nowhere", "1")
    assert raised.value.code == -54 and "nowhere" in raised.value.message
    with pytest.raises(SyntaxFailed):
        await db.query("//stuff", "1 +")
    with pytest.raises(CustomError, match="mine") as custom:
        await db.query("//stuff", "raise(err(-101, 'mine'))")
    assert custom.value.code == -101
    assert await db.query("//stuff", "1") == 1


def test_the_errors_are_those_of_the_engine() -> None:
    for name, cls in vars(engine_errors).items():
        code = getattr(cls, "code", None)
        if isinstance(code, int) and cls.__module__ == engine_errors.__name__ and "code" in vars(cls):
            if cls in (engine_errors.EngineError, engine_errors.CustomError):
                continue
            ours = getattr(livethings, name)
            assert (ours.code, ours.name) == (code, cls.name)


async def test_atomic_requests_change_everything_or_nothing(db: Database) -> None:
    await db.query("//stuff", ".atomic = 1")
    with pytest.raises(ZeroDivisionFailed):
        await db.using(atomic=True).query("//stuff", ".atomic = n; 1 / zero", n=3, zero=0)
    assert await db.query("//stuff", ".atomic") == 1
    await db.query(
        "//stuff", "try(del_procedure('fails')); new_procedure('fails', |n| {.atomic = n; 1 / 0; .atomic = 0;});"
    )
    for arguments, named in (([4], {}), ([], {"n": 4})):
        with pytest.raises(ZeroDivisionFailed):
            await db.using(atomic=True).run("//stuff", "fails", *arguments, **named)
    assert await db.query("//stuff", ".atomic") == 1
    assert await db.using(atomic=True).query("//stuff", ".atomic = 5") == 5


async def test_what_was_decided_on_an_older_state_is_refused(db: Database) -> None:
    change, a, b = await db.query("//stuff", ".a = {n: 0}; .b = {n: 0}; [change_id(), .a.id(), .b.id()]")
    await db.query("//stuff", ".b.n = 1")
    assert await db.using(decided_at=change, things=[a]).query("//stuff", ".a.n = n", n=7) == 7
    for things in ([a], [b], [a, b], None):
        with pytest.raises(ChangedError) as raised:
            await db.using(decided_at=change, things=things).query("//stuff", ".a.n = 8")
        assert isinstance(raised.value, OperationError)
    assert await db.query("//stuff", ".a.n") == 7
    latest = await db.query("//stuff", "last_change()")
    assert await db.using(decided_at=latest).query("//stuff", ".a.n = 9") == 9
    with pytest.raises(ValueError, match="goes with decided_at="):
        db.using(things=[a])


async def test_deciding_on_what_a_watch_and_a_live_query_said(db: Database) -> None:
    stock = await db.query("//stuff", ".stock = {left: 3}; .stock.id()")
    async with db.live("//stuff", ".stock.left") as live, db.watch("//stuff", stock) as watch:
        left = await anext(live)
        await anext(watch)
        when = db.using(decided_at=live.change, things=[stock])
        assert await when.query("//stuff", ".stock.left = left", left=left - 1) == 2
        with pytest.raises(ChangedError):
            await when.query("//stuff", ".stock.left = left", left=left - 1)
        assert await db.using(decided_at=(await anext(watch)).change, things=[stock]).query("//stuff", "'yes'") == "yes"


async def test_many_requests_at_once_are_pipelined_and_answered_each(db: Database) -> None:
    assert await asyncio.gather(*(db.query("//stuff", "n", n=n) for n in range(500))) == list(range(500))


async def test_what_can_not_be_sent_is_said_and_harms_nothing(db: Database) -> None:
    with pytest.raises(TypeError, match=r"object.*what can be sent"):
        await db.query("//stuff", "x", x=object())
    with pytest.raises(OverflowError):
        await db.query("//stuff", "x", x=2**64)
    assert await db.query("//stuff", "1") == 1


async def test_cancelled_requests_disturb_nobody(db: Database) -> None:
    for turns in range(4):
        tasks = [asyncio.create_task(db.query("//stuff", "n", n=n)) for n in range(40)]
        for _ in range(turns):
            await asyncio.sleep(0)
        for task in tasks[::2]:
            task.cancel()
        done = await asyncio.gather(*tasks, return_exceptions=True)
        assert done[1::2] == list(range(1, 40, 2))
        assert all(isinstance(one, asyncio.CancelledError) for one in done[::2])
    assert await db.query("//stuff", "'still here'") == "still here"


async def test_a_token_and_wrong_credentials(server: Server, opened: Open) -> None:
    db = await opened(server)
    token = await db.query("@thingsdb", "new_token('admin')")
    other = await opened(server, token=token)
    assert await other.query("//stuff", "5") == 5
    for wrong in ({"user": "admin", "password": "wrong"}, {"token": "wrong"}):
        with pytest.raises(AuthError):
            await opened(server, **wrong)


async def test_addresses_and_credentials_that_make_no_sense() -> None:
    for url in ("http://host", "ws://", "host:9270", "ws://user:pass@host", "ws://host:99999", "unix://relative"):
        with pytest.raises(ValueError, match=r"address|argument|[Pp]ort"):
            connect(url, user="a", password="b")
    for credentials in ({}, {"user": "a"}, {"user": "a", "token": "b"}):
        with pytest.raises(ValueError, match="either user= and password=, or token="):
            connect("ws://host", **credentials)


async def test_nobody_there() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        for scheme in ("ws", "tcp"):
            with pytest.raises(ConnectFailed, match=r"does not answer within 0\.1 seconds"):
                await connect(f"{scheme}://127.0.0.1:{port}", token="x", connect_timeout=0.1)
    for scheme in ("ws", "tcp"):
        with pytest.raises(ConnectFailed, match="does not answer"):
            await connect(f"{scheme}://127.0.0.1:{port}", token="x")


async def test_the_port_of_another_protocol(server: Server) -> None:
    for url in (f"tcp://127.0.0.1:{server.http}", f"ws://127.0.0.1:{server.tcp}", f"tcp://127.0.0.1:{server.ws}"):
        with pytest.raises(ConnectFailed):
            await connect(url, token="x", connect_timeout=1)


async def test_a_reply_that_does_not_come_in_time(server: Server, opened: Open) -> None:
    db = await opened(server)
    with pytest.raises(NoReply, match="whether") as raised:
        await db.using(timeout=0.01).query("//stuff", "range(1000).map(|i| range(1000).map(|j| j)).len()")
    assert raised.value.sent and isinstance(raised.value, TimeoutError)
    assert await db.query("//stuff", "'next'") == "next"


async def test_closing(server: Server) -> None:
    db = connect(url_of(server, "tcp"), user="admin", password="pass")
    with pytest.raises(Closed):
        await db.query("//stuff", "1")
    assert await db is db
    assert db.connected
    slow = asyncio.create_task(db.query("//stuff", "range(1000).map(|i| range(1000).map(|j| j)).len()"))
    await asyncio.sleep(0.01)
    await db.close()
    with pytest.raises(ConnectionLost, match="whether the request was carried out is unknown"):
        await slow
    with pytest.raises(Closed):
        await db.query("//stuff", "1")
    assert not db.connected
    await db.close()
    gc.collect()
    assert {task.get_name() for task in asyncio.all_tasks() if task.get_name().startswith("livethings")} == set()
