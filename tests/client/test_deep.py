"""Deep watches against a real server: a thing with what it contains, as it comes into reach and leaves."""

from __future__ import annotations

import asyncio
import signal
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from livethings import Change, Database, Delete, Init, LookupFailed, OperationError, Stop, Update, Watch, apply, connect

from tests.client.conftest import QUICK, Open, url_of
from tests.client.relay import Relay, tried
from tests.client.test_reconnecting import restart
from tests.client.test_watches import take
from tests.server.fakes import within
from tests.serving import Server


async def test_what_comes_into_reach_and_leaves(db: Database) -> None:
    board, card = await db.query(
        "//stuff", ".board = {title: 'a', cards: [{text: 'one'}]}; [.board.id(), .board.cards[0].id()]"
    )
    async with db.watch("//stuff", board, deep=2) as watch:
        events = await take(watch, 2)
        assert {(type(event), event.id) for event in events} == {(Init, board), (Init, card)}
        assert watch.watches(card) and set(watch.ids) == {board, card}
        change, new = await db.query("//stuff", ".board.cards.push({text: 'two'}); [change_id(), .board.cards[1].id()]")
        pushed = await take(watch, 2)
        assert {type(event) for event in pushed} == {Init, Update}
        assert {event.id for event in pushed} == {board, new} and {event.change for event in pushed} == {change}
        await db.query("//stuff", ".board.cards[1].text = 'three'")
        (update,) = await take(watch, 1)
        assert isinstance(update, Update) and update.jobs == [{"set": {"text": "three"}}]
        change = await db.query("//stuff", ".kept = .board.cards.pop(); change_id()")
        popped = await take(watch, 2)
        assert Stop(new, change) in popped
        await db.query("//stuff", ".kept.text = 'unseen'; .board.cards.pop(); .board.title = 'b'; nil")
        seen = await take(watch, 1)
        while Delete(card) not in seen:
            seen += await take(watch, 1)
        assert watch.ids == [board] and new not in [event.id for event in seen]
        await db.query("//stuff", ".del('board')")
        assert await up_to_the_end(watch) == [Delete(board)]


async def up_to_the_end(watch: Watch) -> list[Change]:
    """What there is to come."""
    return [event async for event in watch]


async def test_the_root_of_the_collection(db: Database) -> None:
    await db.query("//stuff", ".deep = {inner: {}}; nil")
    async with db.watch("//stuff", deep=1) as watch:
        root = await db.query("//stuff", ".id()")
        inits = await take(watch, 1)
        while len(inits) < len(watch.ids):
            inits += await take(watch, 1)
        assert root in watch.ids and await db.query("//stuff", ".deep.id()") in watch.ids
        assert await db.query("//stuff", ".deep.inner.id()") not in watch.ids
    await db.query("//stuff", ".del('deep')")


async def test_what_can_not_be_watched_deep(db: Database) -> None:
    with pytest.raises(LookupFailed, match="12345678"):
        await within(anext(db.watch("//stuff", 12345678, deep=2)))
    with pytest.raises(ValueError, match="lossy"):
        db.watch("//stuff", deep=1, lossy=True)
    assert not db._link.children


async def test_one_that_grows_too_much_ends(own_server: Server, opened: Open) -> None:
    own_server.stop()
    own_server._more = ("--max-deep-things", "10")
    own_server.start()
    db = await opened(own_server)
    board = await db.query("//stuff", ".board = {cards: range(20).map(|i| {i:})}; .board.id()")
    with pytest.raises(OperationError, match="10"):
        await within(anext(db.watch("//stuff", board, deep=1)))
    await db.query("//stuff", ".board.cards = []")
    async with db.watch("//stuff", board, deep=1) as watch:
        await take(watch, 1)
        await db.query("//stuff", ".board.cards = range(20).map(|i| {i:}); nil")
        with pytest.raises(OperationError, match="10"):
            await within(up_to_the_end(watch))
    assert await db.query("//stuff", "1") == 1


async def test_cancelling_at_any_moment_leaves_nothing(db: Database) -> None:
    await db.query("//stuff", ".cancel = {inner: {}}; nil")

    async def follow() -> None:
        async for _ in db.watch("//stuff", deep=2):
            pass

    async def enter() -> None:
        async with db.watch("//stuff", deep=2) as watch:
            async for _ in watch:
                pass

    for what in (follow, enter):
        for turns in range(0, 60, 3):
            task = asyncio.create_task(what())
            for _ in range(turns):
                await asyncio.sleep(0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert not db._link.children
    await db.query("//stuff", ".del('cancel')")


# --- what survives ----------------------------------------------------------------------------------------------------


class Kept:
    """What somebody knows who keeps each thing from its init to its stop or delete, and applies the updates. Checks
    that nothing is told twice, and nothing of what is not known."""

    def __init__(self) -> None:
        self.things: dict[int, dict[str, Any]] = {}
        self.changes: dict[int, int] = {}

    def take(self, event: Change) -> None:
        if isinstance(event, Init):
            assert event.restart == (event.id in self.things)
            self.changes[event.id] = event.change
        else:
            assert event.id in self.things
        if isinstance(event, Update):
            assert event.change >= self.changes[event.id]
            self.changes[event.id] = event.change
        apply(event, self.things)


async def test_a_server_that_is_killed_under_it(own_server: Server, opened: Open) -> None:
    db = await opened(own_server)
    board = await db.query("//stuff", ".board = {n: 0, cards: [{n: 0}, {n: 0}]}; .board.id()")
    kept, seen = Kept(), []

    async def read() -> None:
        (event,) = await take(watch, 1)
        kept.take(event)
        assert not isinstance(event, Init) or not event.restart
        if isinstance(event, Update) and event.id == board:
            seen.extend(job["set"]["n"] for job in event.jobs if "n" in job.get("set", {}))

    async with db.watch("//stuff", board, deep=2) as watch:
        for _ in range(3):
            await read()
        for number in (signal.SIGKILL, signal.SIGTERM, signal.SIGKILL):
            await db.query("//stuff", ".board.cards.push({n: 0}); .board.cards.shift(); .board.n += 1; nil")
            await restart(own_server, number)
            await within(db.query("//stuff", ".board.cards[0].n += 1; .board.n += 1; nil"))
            cards = await db.query("//stuff", ".board.cards.map(|card| card.id())")
            while set(kept.things) != {board, *cards}:
                await read()
        while len(seen) < 6:
            await read()
        assert seen == [1, 2, 3, 4, 5, 6]


async def test_going_on_in_another_program(db: Database) -> None:
    code = ".board = {n: 0, cards: [{n: 0}, {n: 0}, {n: 0}]}; .first = .board.cards[0]; .board.id()"
    board = await db.query("//stuff", code)
    kept = Kept()
    async with db.watch("//stuff", board, deep=1) as watch:
        while len(kept.things) < 4:
            kept.take((await take(watch, 1))[0])
        change, known = watch.change, watch.ids
    code = ".board.cards[1].n = 1; .board.cards.shift(); .board.cards.pop(); .board.cards.push({n: 2}); nil"
    await db.query("//stuff", code)
    first, last = await db.query("//stuff", "[.first.id(), .board.cards[-1].id()]")
    async with db.watch("//stuff", board, deep=1, since=change, known=known) as watch:
        while set(kept.things) != {board, known[2], last}:
            (event,) = await take(watch, 1)
            kept.take(event)
            assert not isinstance(event, Init) or event.id == last
            assert not isinstance(event, Stop) or event.id == first
        assert set(watch.ids) == set(kept.things)
        assert kept.things[known[2]] == {"n": 1}
    for wrong in ({"deep": 1, "since": change}, {"deep": 1, "known": known}, {"since": change, "known": known}):
        with pytest.raises(ValueError, match="known="):
            db.watch("//stuff", board, **wrong)
    await db.query("//stuff", ".del('first')")


things = st.sampled_from(["d.a", "d.b", "d.a.next", "d.list[0]", "d.list[-1].next", "d"])
places = st.sampled_from(["d.a", "d.b", "d.a.next", "d.b.next", "d.list[0].next"])
statements = st.one_of(
    st.builds("{} = {}".format, places, st.one_of(things, st.sampled_from(["{n: 1}", "{n: 2, next: {n: 3}}", "nil"]))),
    st.builds("d.list.push({})".format, st.one_of(things, st.just("{n: 4, next: {n: 5, next: {n: 6}}}"))),
    st.sampled_from(["d.list.pop()", "d.list.shift()", "d.list = d.list.reverse()", "d.del('b')", "d.b = d.list[0]"]),
    st.builds("{}.n = {}".format, things, st.integers(0, 9)),
)
queries = st.lists(statements, min_size=1, max_size=4)
steps = st.lists(
    st.one_of(queries, queries, st.sampled_from(["cut", "mend"]), st.integers(0, 300)), min_size=3, max_size=20
)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(program=steps, deep=st.integers(1, 4))
def test_who_keeps_what_is_told_has_what_is_in_reach(server: Server, program: list[Any], deep: int) -> None:
    asyncio.run(run(server, program, deep))


async def run(server: Server, program: list[Any], deep: int) -> None:
    login = {"user": "admin", "password": "pass"}
    async with (
        Relay(server.tcp) as relay,
        connect(url_of(server, "tcp"), **login) as other,
        connect(url_of(relay.port), backoff=QUICK, **login) as db,
    ):
        root = await other.query("//stuff", ".d = {a: {n: 0, next: {n: 1}}, b: {n: 2}, list: [{n: 3}]}; .d.id()")
        kept = Kept()
        async with db.watch("//stuff", root, deep=deep) as watch:
            for step in program:
                if isinstance(step, list):
                    code = tried(step)
                    await other.query("//stuff", f"d = .d; {code}; nil")
                else:
                    relay.take(step)
            relay.heal()
            await other.query("//stuff", ".d.mark = 'end'")
            while kept.things.get(root, {}).get("mark") != "end":
                kept.take((await take(watch, 1))[0])
            # What was told before a reply has come with it, and the last reconnection ends with one.
            await watch._link.request(32, None, 5, True)
            while watch._holds():
                kept.take((await take(watch, 1))[0])
            fresh = Kept()
            async with other.watch("//stuff", root, deep=deep) as again:
                await again._link.request(32, None, 5)
                while again._holds():
                    fresh.take((await take(again, 1))[0])
            assert kept.things == fresh.things
