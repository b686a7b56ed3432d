"""Rooms against a real server: joining, emitting, and what was emitted while the connection was lost."""

from __future__ import annotations

import pytest
from livethings import Database, Emitted, LookupFailed

from tests.client.conftest import Open
from tests.client.relay import Relay
from tests.client.test_watches import take
from tests.server.fakes import within
from tests.serving import Server


async def test_rooms(db: Database, server: Server, opened: Open) -> None:
    await db.query("//stuff", ".chat = room(); .chat.set_name('chat');")
    other = await opened(server)
    async with db.room("//stuff", "chat") as room, other.room("//stuff", "chat") as theirs:
        await room.emit("said", "hello", 1)
        await room.emit("said", "to others", peers=True)
        await db.query("//stuff", ".chat.emit('said', 'by code')")
        assert await take(room, 2) == [Emitted("said", ["hello", 1]), Emitted("said", ["by code"])]
        assert [event.args[0] for event in await take(theirs, 3)] == ["hello", "to others", "by code"]
        await db.query("//stuff", ".del('chat')")
        with pytest.raises(StopAsyncIteration):
            await within(anext(room))
    with pytest.raises(LookupFailed, match="no room"):
        await anext(db.room("//stuff", "nowhere"))
    with pytest.raises(LookupFailed):
        await db.room("//stuff", "nowhere").emit("x")


async def test_what_was_emitted_while_the_connection_was_lost(server: Server, opened: Open) -> None:
    other = await opened(server)
    await other.query("//stuff", ".lost = room(); .lost.set_name('lost');")
    async with Relay(server.tcp) as relay:
        db = await opened(relay.port)
        async with db.room("//stuff", "lost") as first, db.room("//stuff", "lost") as second:
            said: list[Emitted] = []
            for n in range(10):
                if n % 3 == 0:
                    relay.cut()
                elif n % 3 == 2:
                    relay.mend()
                await other.query("//stuff", ".lost.emit('at', n)", n=n)
                if n == 5:
                    said += await take(second, 3)
            relay.mend()
            said += await take(second, 7)
            assert said == await take(first, 10) == [Emitted("at", [n]) for n in range(10)]
            assert [event.number for event in said] == sorted({event.number for event in said})
            assert second.number == said[-1].number
            await other.query("//stuff", ".lost.emit('last')")
            assert await take(first, 1) == await take(second, 1) == [Emitted("last", [])]


async def test_going_on_from_an_earlier_event(db: Database, server: Server, opened: Open) -> None:
    await db.query("//stuff", ".past = room(); .past.set_name('past');")
    other = await opened(server)
    async with other.room("//stuff", "past") as keeper:
        for n in range(5):
            await keeper.emit("at", n)
        async with db.room("//stuff", "past", since=0) as room:
            assert [event.args[0] for event in await take(room, 3)] == [0, 1, 2]
            number = room.number
        async with db.room("//stuff", "past", since=number) as room, db.room("//stuff", "past") as new:
            assert await take(room, 2) == [Emitted("at", [3]), Emitted("at", [4])]
            # One that begins anew does not get what is told again for others, nor they.
            async with db.room("//stuff", "past", since=0) as again:
                await keeper.emit("at", 5)
                assert [event.args[0] for event in await take(again, 6)] == list(range(6))
            assert await take(room, 1) == await take(new, 1) == [Emitted("at", [5])]


async def test_what_the_server_does_not_keep_is_a_gap(own_server: Server, opened: Open) -> None:
    own_server.stop()
    own_server._more = ("--room-history", "3")
    own_server.start()
    other = await opened(own_server)
    await other.query("//stuff", ".brief = room(); .brief.set_name('brief');")
    async with Relay(own_server.tcp) as relay:
        db = await opened(relay.port)
        async with db.room("//stuff", "brief") as room:
            relay.cut()
            for n in range(6):
                await other.query("//stuff", ".brief.emit('at', n)", n=n)
            relay.mend()
            assert await take(room, 3) == [Emitted("at", [3], gap=True), Emitted("at", [4]), Emitted("at", [5])]
