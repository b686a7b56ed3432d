"""Watches and rooms over both transports."""

from __future__ import annotations

import asyncio
from typing import Any
from unittest.mock import create_autospec

import pytest
from livethings import Database, Delete, Emitted, EventsLost, Init, LookupFailed, Notice, Stop, Unrouted, Update
from livethings.routes import DELETE, INIT, NOT_WATCHABLE, STOP, UPDATE, WARNING, Routes
from livethings.watches import Watch

from tests.client.conftest import Open
from tests.client.relay import Relay
from tests.server.fakes import within
from tests.serving import Server


async def take(subscription: Any, count: int) -> list[Any]:
    """The next items."""
    return [await within(anext(subscription)) for _ in range(count)]


async def test_a_thing_is_watched_until_it_is_gone(db: Database) -> None:
    song = await db.query("//stuff", ".song = {title: 'a', likes: 0}; .song.id()")
    seen: list[Any] = []
    async for event in db.watch("//stuff", song):
        seen.append(event)
        match event:
            case Init():
                await db.query("//stuff", ".song.likes += 1")
            case Update(jobs=[{"set": {"likes": 1}}]):
                await db.query("//stuff", ".del('song')")
    init, update, delete = seen
    assert init.thing == {"#": song, "title": "a", "likes": 0} and init.collection == "stuff" and not init.restart
    assert update.change > init.change and update.id == song
    assert isinstance(delete, Delete) and delete.id == song


async def test_the_root_is_watched_when_no_id_is_given(db: Database) -> None:
    root = await db.query("//stuff", ".id()")
    async with db.watch("//stuff") as watch:
        (init,) = await take(watch, 1)
        assert init.id == root and watch.ids == [root]
        assert None not in (init.types, init.enums, init.procedures)


async def test_what_can_not_be_watched(db: Database) -> None:
    with pytest.raises(LookupFailed, match="12345678"):
        await anext(db.watch("//stuff", 12345678))
    with pytest.raises(LookupFailed, match="nowhere"):
        async with db.watch("//nowhere", 1):
            pass


async def test_ids_are_ints(db: Database) -> None:
    for wrong in ("3", [1, 2], None, True):
        with pytest.raises(TypeError, match=r"watch\(scope, 3, 4\)"):
            db.watch("//stuff", wrong)  # type: ignore[arg-type]


async def test_several_watches_of_one_thing(db: Database) -> None:
    thing = await db.query("//stuff", ".many = {n: 0}; .many.id()")
    first, second = db.watch("//stuff", thing), db.watch("//stuff", thing)
    await take(first, 1)
    await take(second, 1)
    await db.query("//stuff", ".many.n = 1")
    assert [event.jobs for event in await take(first, 1) + await take(second, 1)] == [[{"set": {"n": 1}}]] * 2
    await first.close()
    await db.query("//stuff", ".many.n = 2")
    assert (await take(second, 1))[0].jobs == [{"set": {"n": 2}}]
    # The last goes and another comes at the same moment: it gets none of what belongs to the one before.
    await second.close()
    third = db.watch("//stuff", thing)
    assert (await take(third, 1))[0].thing["n"] == 2
    await db.query("//stuff", ".many.n = 3")
    assert (await take(third, 1))[0].jobs == [{"set": {"n": 3}}]
    with pytest.raises(StopAsyncIteration):
        await anext(first)


async def test_a_watch_that_opens_while_another_closes_is_not_ended_by_it(db: Database) -> None:
    thing = await db.query("//stuff", ".many = {n: 0}; .many.id()")
    first, second = db.watch("//stuff", thing), db.watch("//stuff", thing)
    await first.start()
    opening = asyncio.create_task(second.start())
    await asyncio.sleep(0)
    await first.close()
    await opening
    await db.query("//stuff", ".many.n = 9")
    assert [type(event) for event in await take(second, 2)] == [Init, Update]


async def test_leaving_the_loop_ends_the_watch(db: Database) -> None:
    thing = await db.query("//stuff", ".left = {n: 0}; .left.id()")
    async for _ in db.watch("//stuff", thing):
        break
    events = db.events()
    await events.start()
    for _ in range(3):
        await db.query("//stuff", "1")
    await db.query("//stuff", ".left.n = 1; log('last')")
    stop, last = await take(events, 2)
    assert isinstance(stop, Unrouted) and stop.data == {"#": thing}
    assert last == Notice(2, "last")
    assert db._link._subscriptions == {events: None}


async def test_waiting_for_an_event_may_be_cancelled(db: Database) -> None:
    thing = await db.query("//stuff", ".wait = {n: 0}; .wait.id()")
    async with db.watch("//stuff", thing) as watch:
        await take(watch, 1)
        for n in range(5):
            waiting = asyncio.ensure_future(anext(watch))
            await asyncio.sleep(0)
            waiting.cancel()
            await asyncio.wait([waiting])
            await db.query("//stuff", ".wait.n = n", n=n)
            (update,) = await take(watch, 1)
            assert update.jobs == [{"set": {"n": n}}]


async def test_a_full_queue_ends_the_watch_and_nothing_else(db: Database) -> None:
    thing = await db.query("//stuff", ".full = {n: 0}; .full.id()")
    slow, other = db.watch("//stuff", thing, limit=3), db.watch("//stuff", thing)
    await slow.start()
    await other.start()
    for n in range(5):
        await db.query("//stuff", ".full.n = n", n=n)
    assert len(await take(slow, 3)) == 3
    with pytest.raises(EventsLost, match="3 events"):
        await anext(slow)
    assert len(await take(other, 6)) == 6


async def test_first_states_of_more_things_than_may_wait(db: Database) -> None:
    board = await db.query("//stuff", ".many = {cards: range(50).map(|n| {n:})}; .many.id()")
    ids = await db.query("//stuff", ".many.cards.map(|card| card.id())")
    async with db.watch("//stuff", *ids, limit=10) as watch, db.watch("//stuff", board, deep=1, limit=10) as deep:
        await db.query("//stuff", "1")
        await db.query("//stuff", ".many.cards.clear(); nil")
        assert [type(event) for event in await take(watch, 100)] == [Init] * 50 + [Delete] * 50
        assert [type(event) for event in await take(deep, 102)] == [Init] * 51 + [Update] + [Delete] * 50


async def test_a_lossy_watch_goes_on_from_the_present_state(db: Database) -> None:
    thing = await db.query("//stuff", ".lossy = {n: 0}; .lossy.id()")
    async with db.watch("//stuff", thing, limit=3, lossy=True) as watch:
        for n in range(1, 10):
            await db.query("//stuff", ".lossy.n = n", n=n)
        known = None
        while known != 9:
            (event,) = await take(watch, 1)
            if isinstance(event, Init):
                assert event.restart
                known = event.thing["n"]
            else:
                assert known is not None and event.jobs[0]["set"]["n"] == known + 1
                known += 1


async def test_a_watch_ends_when_the_right_is_lost(server: Server, db: Database, opened: Open) -> None:
    thing = await db.query("//stuff", ".right = {}; .right.id()")
    await db.query(
        "@thingsdb", "try(del_user('u')); new_user('u'); set_password('u', 'p'); grant('//stuff', 'u', USER)"
    )
    user = await opened(server, user="u", password="p")
    async with user.watch("//stuff", thing) as watch:
        await take(watch, 1)
        await db.query("@thingsdb", "revoke('//stuff', 'u', JOIN)")
        assert await take(watch, 1) == [Stop(thing)]
        with pytest.raises(StopAsyncIteration):
            await within(anext(watch))


async def test_fresh_state_of_one_thing_says_nothing_of_another(server: Server, opened: Open) -> None:
    for slow, moves in (("refresh", False), ("disconnect", True)):
        db = await opened(server, slow=slow)
        a, b = await db.query("//stuff", ".fresh = {n: 0}; .stale = {n: 0}; [.fresh.id(), .stale.id()]")
        async with db.watch("//stuff", a, b) as watch:
            change = (await take(watch, 2))[0].change
            assert watch.change == change and db._link.connection is not None
            # As if the server had left events out, and began to tell what is different: what happened to the other
            # thing before that change may be still to come. Taken up now, the watch has to begin before that.
            later = {"event": change + 100, "thing": {"#": a, "n": 1}, "collection": "stuff"}
            db._link.connection.routes.deliver(INIT, later)
            update = {"#": a, "event": change + 200, "jobs": [{"set": {"n": 2}}]}
            db._link.connection.routes.deliver(UPDATE, update)
            assert [event.change - change for event in await take(watch, 2)] == [100, 200]
            assert watch.change == (change + 199 if moves else change)


async def test_who_is_too_slow_may_ask_for_fresh_state(server: Server, db: Database, opened: Open) -> None:
    thing = await db.query("//stuff", ".big = {n: 0}; .hall = room(); .hall.set_name('hall'); .big.id()")
    room_id = await db.query("//stuff", ".hall.id()")
    async with Relay(server.tcp) as relay:
        slow = await opened(relay.port, slow="refresh", heartbeat=600)
        async with (
            slow.watch("//stuff", thing) as watch,
            slow.room("//stuff", room_id) as room,
            slow.live("//stuff", ".big.n") as live,
        ):
            await take(watch, 1)
            await take(live, 1)
            relay.flowing.clear()
            for n in range(1, 60):
                await db.query("//stuff", ".big.text = text; .big.n = n; nil", text=str(n % 10) * 1_000_000, n=n)
                if n > 50:
                    await db.query("//stuff", ".hall.emit('at', n)", n=n)
            relay.flowing.set()
            known, restarted = 0, False
            while known != 59:
                (event,) = await take(watch, 1)
                if isinstance(event, Init):
                    restarted = event.restart
                    known = event.thing["n"]
                else:
                    sets = [job["set"]["n"] for job in event.jobs if "n" in job["set"]]
                    assert sets == [known + 1]
                    known += 1
            assert restarted and slow.connected
            seen = await take(live, 1)
            while seen[-1] != 59:
                seen += await take(live, 1)
            await db.query("//stuff", ".hall.emit('after')")
            assert await take(room, 10) == [*(Emitted("at", [n]) for n in range(51, 60)), Emitted("after", [])]


@pytest.mark.parametrize("end", [DELETE, STOP])
def test_a_first_state_that_was_left_out_is_not_waited_for_once_the_thing_has_ended(end: int) -> None:
    routes = Routes()
    ended, missing = create_autospec(Watch, instance=True), create_autospec(Watch, instance=True)
    for watch, thing_id in ((ended, 3), (missing, 9)):
        routes.claims[thing_id] += 1
        routes.expected.append((watch, thing_id))
        routes.enter(watch, thing_id)
    routes.deliver(end, {"#": 3})
    routes.deliver(WARNING, {"warn_code": NOT_WATCHABLE, "warn_msg": "there is no thing 9"})
    ended.on_end.assert_called_once()
    ended.on_missing.assert_not_called()
    missing.on_missing.assert_called_once_with(9, "there is no thing 9")
    assert not routes.expected
    assert not routes.watches
    assert list(routes.claims) == []


async def test_a_watch_that_is_not_there_takes_nothing_from_others(db: Database) -> None:
    song = await db.query("//stuff", ".song = {likes: 0}; .song.id()")
    async with db.watch("//stuff", song) as watch:
        assert isinstance((await take(watch, 1))[0], Init)
        db.watch("//stuff", song).discard([song])  # it has not begun
        over = db.watch("//stuff", song)
        await over.start()
        await over.close()
        over.discard([song])
        over.add([song])
        await db.query("//stuff", ".song.likes += 1")
        assert isinstance((await take(watch, 1))[0], Update)
        assert db._link.connection is not None
        assert dict(db._link.connection.routes.claims) == {song: 1}
