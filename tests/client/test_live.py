"""Live queries against a real server: their results, what ends them, and what survives when the connection goes."""

from __future__ import annotations

import asyncio
import signal
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from livethings import (
    Database,
    ForbiddenError,
    Live,
    LookupFailed,
    OperationError,
    SyntaxFailed,
    TypeFailed,
    ZeroDivisionFailed,
    connect,
)

from tests.client.conftest import QUICK, Open, url_of
from tests.client.relay import Relay, tried
from tests.client.test_reconnecting import restart
from tests.client.test_watches import take
from tests.server.fakes import within
from tests.serving import Server


async def until(live: Live, value: Any) -> list[Any]:
    """Results up to this one."""
    seen: list[Any] = []
    while not seen or seen[-1] != value:
        seen += await take(live, 1)
    return seen


async def test_the_result_and_each_other_one(db: Database) -> None:
    await db.query("//stuff", ".songs = [{title: 'a'}]; .other = 0; nil")
    seen = []
    async for titles in db.live("//stuff", ".songs.map(|song| prefix + song.title)", prefix="-"):
        seen.append(titles)
        if len(titles) == 3:
            break
        await db.query("//stuff", ".other += 1; .songs.push({title: str(n)}); nil", n=len(titles))
    assert seen == [["-a"], ["-a", "-1"], ["-a", "-1", "-2"]]


async def test_a_result_that_was_given_out_stays_as_it_is(db: Database) -> None:
    await db.query("//stuff", ".rows = range(200).map(|i| {n: i, even: i % 2 == 0}); nil")
    async with db.live("//stuff", ".rows.filter(|row| row.even).map(|row| {n: row.n, next: [row.n + 1]})") as live:
        (first,) = await take(live, 1)
        change = await db.query("//stuff", ".rows[2].even = false; .rows[4].n = 5; change_id()")
        (second,) = await take(live, 1)
        assert live.change == change
        assert len(first) == 100 and len(second) == 99
        assert first[1]["n"] == 2 and first[2]["next"] == [5]
        assert (second[1]["n"], second[1]["next"]) == (5, [6])


async def test_a_slow_reader_gets_the_newest_result(db: Database) -> None:
    await db.query("//stuff", ".slow = 0")
    async with db.live("//stuff", ".slow") as slow, db.live("//stuff", ".slow") as quick:
        for n in range(1, 6):
            await db.query("//stuff", ".slow = n", n=n)
        assert (await until(quick, 5))[-1] == 5
        assert slow.change == 0
        assert await take(slow, 1) == [5]
        assert slow.change == quick.change


async def test_procedures(db: Database) -> None:
    await db.query(
        "//stuff", "try(del_procedure('above')); new_procedure('above', |n, of| of.filter(|x| x > n).len() + .extra)"
    )
    await db.query("//stuff", ".extra = 0")
    async with (
        db.live_run("//stuff", "above", 1, [1, 2, 3]) as first,
        db.live_run("//stuff", "above", of=[5], n=2) as second,
    ):
        assert await take(first, 1) + await take(second, 1) == [2, 1]
        await db.query("//stuff", ".extra = 10")
        assert await take(first, 1) + await take(second, 1) == [12, 11]
    with pytest.raises(ValueError, match="all by position or all by name"):
        db.live_run("//stuff", "above", 1, of=[])


async def test_fewer_updates_when_asked_for(db: Database) -> None:
    await db.query("//stuff", ".often = 0")
    async with (
        db.live("//stuff", ".often") as each,
        db.live("//stuff", ".often").every(3600) as hourly,
        db.live("//stuff", ".often").every(0.05) as calm,
    ):
        assert [await take(one, 1) for one in (each, hourly, calm)] == [[0]] * 3
        for n in range(1, 30):
            await db.query("//stuff", ".often = n", n=n)
        await until(each, 29)
        assert len(await until(calm, 29)) <= 29
        assert not hourly._holds()
    for wrong in (-1, float("nan")):
        with pytest.raises(ValueError, match="seconds"):
            db.live("//stuff", "1").every(wrong)


@pytest.mark.parametrize(
    ("scope", "code", "error"),
    [
        ("//stuff", ".x = 1", OperationError),
        ("//stuff", "1 +", SyntaxFailed),
        ("//stuff", "1 / 0", ZeroDivisionFailed),
        ("//nowhere", "1", LookupFailed),
        ("//stuff", "log('said')", OperationError),
    ],
)
async def test_what_can_not_be_live(db: Database, scope: str, code: str, error: type[Exception]) -> None:
    with pytest.raises(error):
        await within(anext(db.live(scope, code)))
    with pytest.raises(error):
        async with db.live(scope, code):
            pass
    assert not db._link._subscriptions


async def test_a_query_that_fails_ends_with_its_error(db: Database) -> None:
    await db.query("//stuff", ".fails = 1")
    live = db.live("//stuff", "12 / .fails")
    assert await take(live, 1) == [12]
    await db.query("//stuff", ".fails = 0")
    with pytest.raises(ZeroDivisionFailed):
        await within(anext(live))


async def test_what_came_before_the_error_is_given_out_first(db: Database) -> None:
    await db.query("//stuff", ".number = 1")
    async with db.live("//stuff", ".number + 1") as live, db.live("//stuff", "type(.number)") as kind:
        await db.query("//stuff", ".number = 2")
        await db.query("//stuff", ".number = 'text'")
        await until(kind, "str")
        assert (await take(live, 1))[0] in (2, 3)  # what the server had run when the second change came
        with pytest.raises(TypeFailed):
            await within(anext(live))
        with pytest.raises(TypeFailed):
            await within(anext(live))


async def test_a_right_that_is_lost_ends_it(server: Server, db: Database, opened: Open) -> None:
    await db.query("//stuff", ".secret = 1")
    await db.query(
        "@thingsdb", "try(del_user('l')); new_user('l'); set_password('l', 'p'); grant('//stuff', 'l', USER)"
    )
    user = await opened(server, user="l", password="p")
    async with user.live("//stuff", ".secret") as live:
        await take(live, 1)
        await db.query("@thingsdb", "revoke('//stuff', 'l', QUERY)")
        with pytest.raises(ForbiddenError):
            await within(anext(live))


async def test_left_ones_are_ended_on_the_server(db: Database) -> None:
    # A connection can have 1000.
    for n in range(60):
        lives = [db.live("//stuff", f"{n * 20 + i}") for i in range(20)]
        await asyncio.gather(*(live.start() for live in lives))
        await asyncio.gather(*(live.close() for live in lives))
    async for value in db.live("//stuff", "'still'"):
        assert value == "still"
        break


async def test_cancelling_at_any_moment_leaves_nothing(db: Database) -> None:
    await db.query("//stuff", ".cancel = 0")

    async def follow() -> None:
        async for _ in db.live("//stuff", ".cancel"):
            pass

    async def enter() -> None:
        async with db.live("//stuff", ".cancel") as live:
            async for _ in live:
                pass

    async def once() -> None:
        async with db.watch("//stuff"), db.live("//stuff", ".cancel"):
            await asyncio.sleep(60)

    for what in (follow, enter, once):
        for turns in range(25):
            task = asyncio.create_task(what())
            for _ in range(turns):
                await asyncio.sleep(0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert not db._link._subscriptions
    await db.query("//stuff", ".cancel = 1")
    assert db._link.connection is not None
    assert not db._link.connection.routes.live
    assert await take(db.live("//stuff", ".cancel"), 1) == [1]


async def test_waiting_for_a_result_may_be_cancelled(db: Database) -> None:
    await db.query("//stuff", ".wait = 0")
    async with db.live("//stuff", ".wait") as live:
        await take(live, 1)
        for n in range(1, 5):
            waiting = asyncio.ensure_future(anext(live))
            await asyncio.sleep(0)
            waiting.cancel()
            await asyncio.wait([waiting])
            await db.query("//stuff", ".wait = n", n=n)
            assert await take(live, 1) == [n]


async def test_it_ends_with_the_database(server: Server) -> None:
    async with connect(url_of(server), user="admin", password="pass") as db:
        live = db.live("//stuff", "1")
        assert await take(live, 1) == [1]
    with pytest.raises(StopAsyncIteration):
        await within(anext(live))


async def test_another_result_after_a_gap_and_none_when_it_is_the_same(own_server: Server, opened: Open) -> None:
    other = await opened(own_server)
    await other.query("//stuff", ".a = 1; .b = 1")
    async with Relay(own_server.tcp) as relay:
        db = await opened(relay.port)
        async with db.live("//stuff", ".a") as first, db.live("//stuff", ".b") as second:
            assert await take(first, 1) + await take(second, 1) == [1, 1]
            for value in (2, "2", True, 1, 1.0):  # some of which Python takes for equal
                relay.cut()
                await other.query("//stuff", ".a = value", value=value)
                relay.mend()
                (result,) = await take(first, 1)
                assert result == value and type(result) is type(value)
            await other.query("//stuff", ".b = 2")
            assert await take(second, 1) == [2]


@pytest.mark.parametrize("scheme", ["ws", "tcp"])
async def test_a_server_that_is_killed_under_it(own_server: Server, opened: Open, scheme: str) -> None:
    db = await opened(own_server, scheme)
    await db.query("//stuff", ".n = 0; .still = 'here'")
    async with db.live("//stuff", ".n") as live, db.live("//stuff", ".still") as same:
        await take(live, 1)
        await take(same, 1)
        seen = [0]
        for number in (signal.SIGKILL, signal.SIGTERM, signal.SIGKILL):
            await db.query("//stuff", ".n += 1")
            await restart(own_server, number)
            expected = await within(db.query("//stuff", ".n += 1"))
            seen += await until(live, expected)
        assert seen == sorted(set(seen))
        await db.query("//stuff", ".still = 'there'")
        assert await take(same, 1) == ["there"]


async def test_a_query_that_is_refused_after_a_gap_ends(own_server: Server, opened: Open) -> None:
    other = await opened(own_server)
    await other.query("//stuff", ".going = 1")
    async with Relay(own_server.tcp) as relay:
        db = await opened(relay.port)
        async with db.live("//stuff", ".going") as live:
            await take(live, 1)
            relay.cut()
            await other.query("//stuff", ".del('going')")
            relay.mend()
            with pytest.raises(LookupFailed, match="going"):
                await within(anext(live))


# --- any changes, and a connection that breaks anywhere ---------------------------------------------------------------

rows = st.integers(0, 5).map(".live.rows[{}]".format)
statements = st.one_of(
    st.builds("{}.n = {}".format, rows, st.integers(0, 9)),
    st.builds("{}.tags.{}".format, rows, st.sampled_from(["push('x')", "pop()", "clear()", "splice(0, 1, 'y', 'z')"])),
    st.builds(".live.rows.push({{n: {}, tags: []}})".format, st.integers(0, 9)),
    st.builds(".live.rows.splice({}, {})".format, st.integers(0, 5), st.integers(0, 2)),
    st.sampled_from([".live.low = 3", ".live.low = 0", ".live.rows = .live.rows.reverse()"]),
)
steps = st.lists(
    st.one_of(st.lists(statements, min_size=1, max_size=4), st.sampled_from(["cut", "mend"]), st.integers(0, 300)),
    min_size=3,
    max_size=20,
)
CODE = ".live.rows.filter(|row| row.n >= .live.low).map(|row| {n: row.n, tags: row.tags})"


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(program=steps)
def test_the_last_result_is_what_the_query_gives(server: Server, program: list[Any]) -> None:
    asyncio.run(run(server, program))


async def run(server: Server, program: list[Any]) -> None:
    login = {"user": "admin", "password": "pass"}
    async with (
        Relay(server.tcp) as relay,
        connect(url_of(server, "tcp"), **login) as other,
        connect(url_of(relay.port), backoff=QUICK, **login) as db,
    ):
        await other.query("//stuff", ".live = {low: 2, rows: range(6).map(|i| {n: i, tags: ['a', 'b']})}; nil")
        async with db.live("//stuff", "[" + CODE + ", try(.live.mark)]") as live:
            for step in program:
                if isinstance(step, list):
                    code = tried(step)
                    await other.query("//stuff", code + "; nil")
                else:
                    relay.take(step)
            relay.heal()
            await other.query("//stuff", ".live.mark = 'end'")
            results, changes = [await within(anext(live))], [live.change]
            while results[-1][1] != "end":
                results.append(await within(anext(live)))
                changes.append(live.change)
            assert results[-1] == await other.query("//stuff", "[" + CODE + ", .live.mark]")
            assert all(one != other for one, other in pairwise(results))
            assert changes == sorted(changes)
