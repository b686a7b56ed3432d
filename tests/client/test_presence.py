"""Presence against a real server: who is in a room, or watches a thing."""

from __future__ import annotations

import asyncio
import signal

import pytest
from livethings import Database, Emitted, ForbiddenError, Joined, Left, LookupFailed, Presence

from tests.client.conftest import Open
from tests.client.relay import Relay
from tests.client.test_reconnecting import restart
from tests.client.test_watches import take
from tests.server.fakes import within
from tests.serving import Server


async def make_room(db: Database, name: str) -> int:
    """A room with a name; its id."""
    code = "room_of = room(); .set(name, room_of); room_of.set_name(name); room_of.id()"
    room: int = await db.query("//stuff", code, name=name)
    return room


async def ann(admin: Database, server: Server, opened: Open) -> Database:
    """A second user's database."""
    await admin.query(
        "@thingsdb", "try(del_user('ann')); new_user('ann'); set_password('ann', 'p'); grant('//stuff', 'ann', USER)"
    )
    return await opened(server, user="ann", password="p")


async def test_who_is_in_a_room(server: Server, db: Database, opened: Open) -> None:
    await make_room(db, "hall")
    other = await ann(db, server, opened)
    async with db.room("//stuff", "hall"), db.presence("//stuff", room="hall") as people:
        me = people.connection
        assert me is not None
        assert await take(people, 1) == [Joined(me, "admin", already=True)]
        async with other.room("//stuff", "hall"):
            (joined,) = await take(people, 1)
            assert isinstance(joined, Joined) and joined.user == "ann" and not joined.already
            assert people.users == ["admin", "ann"]
            assert people.present == {me: "admin", joined.connection: "ann"}
        assert await take(people, 1) == [Left(joined.connection, "ann")]
        await other.close()


async def test_who_watches_a_thing(server: Server, db: Database, opened: Open) -> None:
    thing = await db.query("//stuff", ".seen = {}; .seen.id()")
    other = await opened(server)
    async with db.presence("//stuff", thing=thing) as people:
        assert people.present == {} and people.id == thing
        watch = other.watch("//stuff", thing)
        await watch.start()
        (joined,) = await take(people, 1)
        await other.close()
        assert await take(people, 1) == [Left(joined.connection, "admin")]
        await db.query("//stuff", ".del('seen')")
        with pytest.raises(StopAsyncIteration):
            await within(anext(people))


async def test_where_nobody_can_be(db: Database) -> None:
    with pytest.raises(LookupFailed, match="no room nowhere"):
        await anext(db.presence("//stuff", room="nowhere"))
    with pytest.raises(LookupFailed, match="12345678"):
        async with db.presence("//stuff", thing=12345678):
            pass
    for wrong in ({}, {"room": "a", "thing": 1}):
        with pytest.raises(ValueError, match="either room= or thing="):
            db.presence("//stuff", **wrong)  # type: ignore[call-overload]


async def test_the_right_to_see_it(server: Server, db: Database, opened: Open) -> None:
    await make_room(db, "private")
    other = await ann(db, server, opened)
    async with other.presence("//stuff", room="private") as people:
        await db.query("@thingsdb", "revoke('//stuff', 'ann', JOIN)")
        with pytest.raises(StopAsyncIteration):
            await within(anext(people))
    with pytest.raises(ForbiddenError):
        await anext(other.presence("//stuff", room="private"))


async def test_several_of_one_room_on_one_connection(server: Server, db: Database, opened: Open) -> None:
    room = await make_room(db, "shared")
    other = await opened(server)
    first, second = db.presence("//stuff", room=room), db.presence("//stuff", room="shared")
    await first.start()
    # One goes while another of the same is on its way.
    opening = asyncio.create_task(second.start())
    await asyncio.sleep(0)
    await first.close()
    await opening
    async with other.room("//stuff", room):
        (joined,) = await take(second, 1)
        assert isinstance(joined, Joined)
    assert await take(second, 1) == [Left(joined.connection, joined.user)]
    third = db.presence("//stuff", room=room)
    await third.start()
    await second.close()
    async with other.room("//stuff", room):
        assert isinstance((await take(third, 1))[0], Joined)
    await third.close()
    events = db.events()
    await events.start()
    async with other.room("//stuff", room):
        await db.query("//stuff", "1")
        assert not events._holds()


async def test_a_room_that_is_joined_while_it_is_left_stays_joined(db: Database) -> None:
    room = await make_room(db, "again")
    first, second = db.room("//stuff", room), db.room("//stuff", "again")
    await first.start()
    opening = asyncio.create_task(second.start())
    await asyncio.sleep(0)
    await first.close()
    await opening
    await second.emit("hello")
    assert await take(second, 1) == [Emitted("hello", [])]
    await second.close()
    async with db.presence("//stuff", room=room) as people:
        assert people.users == []


def followed(events: list[Joined | Left]) -> dict[int, str]:
    """Who is there after these events; each of them must have been possible."""
    there: dict[int, str] = {}
    for event in events:
        if isinstance(event, Joined):
            assert there.get(event.connection) != event.user
            there[event.connection] = event.user
        else:
            assert there.pop(event.connection) == event.user
    return there


async def up_to(people: Presence, events: list[Joined | Left], count: int) -> None:
    """Read on until so many are there."""
    while len(followed(events)) != count or people._holds():
        events += await take(people, 1)


async def test_who_came_and_went_while_the_connection_was_lost(own_server: Server, opened: Open) -> None:
    other, third = await opened(own_server), await opened(own_server)
    room = await make_room(other, "hall")
    async with Relay(own_server.tcp) as relay:
        db = await opened(relay.port)
        async with db.presence("//stuff", room="hall") as people, db.room("//stuff", room):
            events: list[Joined | Left] = []
            joined = other.room("//stuff", room)
            await joined.start()
            await up_to(people, events, 2)
            before = people.present
            relay.cut()
            await other.query("//stuff", ".hall.set_name('yard')")
            await joined.close()
            async with third.room("//stuff", room):
                relay.mend()
                await db.using(retry=True).query("//stuff", "1")
                await up_to(people, events, 2)
                assert followed(events) == people.present != before
                relay.cut()
                await other.query("//stuff", ".del('hall')")
                relay.mend()
                with pytest.raises(StopAsyncIteration):
                    await within(anext(people))


async def test_a_server_that_is_killed_under_it(own_server: Server, opened: Open) -> None:
    db, other = await opened(own_server), await opened(own_server, "tcp")
    room = await make_room(db, "hall")
    async with db.room("//stuff", room), other.room("//stuff", room), db.presence("//stuff", room=room) as people:
        events: list[Joined | Left] = []
        await up_to(people, events, 2)
        await restart(own_server, signal.SIGKILL)
        await within(asyncio.gather(db.query("//stuff", "1"), other.query("//stuff", "1")))
        await db.query("//stuff", "1")
        await up_to(people, events, 2)
        assert followed(events) == people.present
        assert people.connection in people.present
