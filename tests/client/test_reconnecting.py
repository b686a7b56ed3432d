"""What survives when the server or the connection goes: subscriptions and waiting requests; and what is said of the
rest."""

from __future__ import annotations

import asyncio
import signal
from typing import Any

import pytest
from livethings import (
    AuthError,
    Backoff,
    ConnectionLost,
    Database,
    Delete,
    Emitted,
    Init,
    NodeStatus,
    Update,
)
from livethings.model import Thing

from tests.client.conftest import QUICK, Open
from tests.client.relay import Relay
from tests.client.test_watches import take
from tests.server.fakes import within
from tests.serving import Server

SLOW = "range(1000).map(|i| range(1000).map(|j| j)).len()"


@pytest.fixture(params=["ws", "tcp"])
async def own(request: pytest.FixtureRequest, own_server: Server, opened: Open) -> Database:
    return await opened(own_server, request.param)


async def restart(server: Server, number: int = signal.SIGKILL) -> None:
    await asyncio.to_thread(server.stop, number)
    await asyncio.to_thread(server.start)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
async def test_requests_wait_for_the_server_to_come_back(own_server: Server, own: Database, number: int) -> None:
    await own.query("//stuff", ".n = 1")
    await asyncio.to_thread(own_server.stop, number)
    while own.connected:
        await asyncio.sleep(0.01)
    waiting = [asyncio.create_task(own.query("//stuff", ".n += 1")) for _ in range(3)]
    await asyncio.to_thread(own_server.start)
    assert await within(asyncio.gather(*waiting)) == [2, 3, 4]


async def test_what_was_sent_fails_unless_asked_to_be_sent_again(own_server: Server, own: Database) -> None:
    await own.query("//stuff", ".n = 1")
    sent = asyncio.create_task(own.query("//stuff", SLOW + "; .n += 1"))
    again = asyncio.create_task(own.using(retry=True).query("//stuff", SLOW + "; .x = 'once or twice'"))
    await asyncio.sleep(0.05)
    await restart(own_server)
    with pytest.raises(ConnectionLost, match="whether the request was carried out is unknown"):
        await sent
    assert await within(again) == "once or twice"


async def test_watches_and_rooms_go_on(own_server: Server, own: Database) -> None:
    thing, gone, room_id = await own.query(
        "//stuff", ".a = {n: 1}; .b = {}; .chat = room(); .chat.set_name('chat'); [.a.id(), .b.id(), .chat.id()]"
    )
    async with own.watch("//stuff", thing, gone) as watch, own.room("//stuff", "chat") as room:
        await take(watch, 2)
        assert room.id == room_id
        seen: Any = 1
        for number in (signal.SIGKILL, signal.SIGTERM):
            await own.query("//stuff", ".a.n += 1")
            await restart(own_server, number)
            await within(own.query("//stuff", ".a.n += 1"))
            while seen != await own.query("//stuff", ".a.n"):
                (event,) = await take(watch, 1)
                if isinstance(event, Update):
                    seen = event.jobs[0]["set"]["n"]
                elif event.id == thing:
                    assert isinstance(event, Init) and event.restart
                    seen = event.thing["n"]
            await room.emit("after", number)
            assert await take(room, 1) == [Emitted("after", [number])]
        await own.query("//stuff", ".del('b')")
        events = await take(watch, 1)
        while not isinstance(events[-1], Delete):
            events += await take(watch, 1)
        assert events[-1].id == gone


async def test_what_is_gone_when_the_connection_comes_back_is_told(own_server: Server, opened: Open) -> None:
    other = await opened(own_server)
    thing = await other.query("//stuff", ".going = {r: room()}; .going.r.set_name('going'); .going.id()")
    async with Relay(own_server.tcp) as relay:
        db = await opened(relay.port)
        async with db.watch("//stuff", thing) as watch, db.room("//stuff", "going") as room:
            await take(watch, 1)
            relay.cut()
            await other.query("//stuff", ".del('going')")
            relay.mend()
            assert [type(event) for event in await take(watch, 1)] == [Delete]
            for subscription in (watch, room):
                with pytest.raises(StopAsyncIteration):
                    await within(anext(subscription))


async def test_a_login_that_does_not_work_any_more_ends_everything(own_server: Server, opened: Open) -> None:
    admin = await opened(own_server)
    thing = await admin.query("//stuff", ".a = {}; .a.id()")
    await admin.query("@thingsdb", "new_user('u'); set_password('u', 'p'); grant('//stuff', 'u', USER)")
    user = await opened(own_server, user="u", password="p")
    mirror = user.mirror("//stuff", Thing, thing)
    async with mirror as mirrored, user.watch("//stuff", thing) as watch:
        await take(watch, 1)
        changes = asyncio.ensure_future(anext(mirrored.changes()))
        await admin.query("@thingsdb", "set_password('u', 'other')")
        await restart(own_server)
        with pytest.raises(AuthError):
            await take(watch, 2)
        for waiting in (mirror.finished(), mirror.settled(), changes):
            with pytest.raises(AuthError):
                await within(waiting)
    with pytest.raises(AuthError):
        await user.query("//stuff", "1")


async def test_without_reconnecting_everything_ends_with_the_connection(own_server: Server, opened: Open) -> None:
    db = await opened(own_server, reconnect=False)
    watch = db.watch("//stuff")
    await take(watch, 1)
    await asyncio.to_thread(own_server.stop)
    for _ in range(2):
        with pytest.raises(ConnectionLost):
            await within(db.query("//stuff", "1"))
    with pytest.raises(ConnectionLost):
        await within(anext(watch))


async def test_a_server_that_falls_silent_is_noticed(own_server: Server, opened: Open) -> None:
    db = await opened(own_server, "tcp", heartbeat=0.1, backoff=QUICK)
    own_server.send(signal.SIGSTOP)
    try:
        with pytest.raises(ConnectionLost, match=r"silent for 0\.2 seconds"):
            await within(db.query("//stuff", "1"))
    finally:
        own_server.send(signal.SIGCONT)
    assert await within(db.query("//stuff", "2")) == 2


async def test_a_server_that_stops_says_so(own_server: Server, own: Database) -> None:
    events = own.events()
    await events.start()
    own_server.send(signal.SIGTERM)
    assert await take(events, 2) == [NodeStatus("SHUTTING_DOWN"), NodeStatus("OFFLINE")]


def test_waits_grow_up_to_a_limit_and_differ() -> None:
    backoff = Backoff(first=1, factor=2, longest=8, jitter=0.5)
    for whole, delay in zip([1, 2, 4, 8, 8, 8], backoff.delays(), strict=False):
        assert whole / 2 <= delay <= whole
    assert len({next(backoff.delays()) for _ in range(10)}) > 1
