"""Watches and mirrors that go on where they were: what came is all there was, each change once."""

from __future__ import annotations

import asyncio
import signal
from collections import defaultdict
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from livethings import Change, ConnectionLost, Database, Delete, Init, Update, Watch, connect
from livethings.model import Thing

from tests.client.conftest import QUICK, Open, url_of
from tests.client.relay import Relay, tried
from tests.client.test_watches import take
from tests.server.fakes import within
from tests.serving import Server


class Account:
    """What was told of each thing: its first state, then its jobs with their changes, in order."""

    def __init__(self) -> None:
        self.inits: dict[int, Init] = {}
        self.jobs: dict[int, list[tuple[int, dict[str, Any]]]] = defaultdict(list)
        self.gone: set[int] = set()

    def take(self, event: Change) -> None:
        assert event.id not in self.gone
        if isinstance(event, Init):
            assert event.id not in self.inits, "what was missed was kept, so there is no need to begin anew"
            self.inits[event.id] = event
        elif isinstance(event, Update):
            self.jobs[event.id] += [(event.change, job) for job in event.jobs]
        else:
            assert isinstance(event, Delete)
            self.gone.add(event.id)

    async def follow(self, watch: Watch) -> None:
        async for event in watch:
            self.take(event)


async def test_exactly_what_was_missed_comes(server: Server, opened: Open) -> None:
    other = await opened(server)
    a, b = await other.query("//stuff", ".a = {n: 0}; .b = {n: 0}; [.a.id(), .b.id()]")
    async with Relay(server.tcp) as relay:
        db = await opened(relay.port)
        async with db.watch("//stuff", a, b) as watch:
            account = Account()
            for event in await take(watch, 2):
                account.take(event)
            for n in range(1, 9):
                if n % 2:
                    relay.cut()
                await other.query("//stuff", ".a.n = n; .b.n = -n; .a.emit('at', n)", n=n)
                relay.mend()
                while len(account.jobs[a]) < 2 * n or len(account.jobs[b]) < n:
                    account.take((await take(watch, 1))[0])
            jobs = [job for n in range(1, 9) for job in ({"set": {"n": n}}, {"event": ["at", n]})]
            assert [job for _, job in account.jobs[a]] == jobs
            assert [job for _, job in account.jobs[b]] == [{"set": {"n": -n}} for n in range(1, 9)]
            relay.cut()
            await other.query("//stuff", ".a.n = 'last'; .del('a'); .del('b')")
            relay.mend()
            last = [event async for event in watch]
            assert [type(event) for event in last if event.id == a] == [Update, Delete]
            assert [type(event) for event in last if event.id == b] == [Delete]


async def test_going_on_in_another_program(db: Database) -> None:
    thing = await db.query("//stuff", ".later = {n: 0}; .later.id()")
    async with db.watch("//stuff", thing) as watch:
        await take(watch, 1)
        for n in range(1, 6):
            await db.query("//stuff", ".later.n = n", n=n)
        await take(watch, 2)
        assert len(watch._queue) == 3
        since = watch.change  # what waits in the queue has not been given out
    async with db.watch("//stuff", thing, since=since) as watch:
        assert [event.jobs[0]["set"]["n"] for event in await take(watch, 3)] == [3, 4, 5]
        await db.query("//stuff", ".later.n = 6")
        assert [event.jobs[0]["set"]["n"] for event in await take(watch, 1)] == [6]
    await db.query("//stuff", ".later.n = 7")
    root = await db.query("//stuff", ".id()")
    since = await db.query("//stuff", ".x = 1; change_id()")
    await db.query("//stuff", ".x = 2")
    async with db.watch("//stuff", since=since) as watch:
        (update,) = await take(watch, 1)
        assert isinstance(update, Update) and update.id == root and update.jobs == [{"set": {"x": 2}}]
    async with db.watch("//stuff", thing, since=10**15) as watch:  # which has not been
        (init,) = await take(watch, 1)
        assert isinstance(init, Init) and init.restart and init.thing["n"] == 7


async def test_what_is_no_longer_kept_is_said(own_server: Server, opened: Open) -> None:
    own_server.stop()
    own_server._more = ("--keep-changes", "0")
    own_server.start()
    other = await opened(own_server)
    thing = await other.query("//stuff", ".a = {text: ''}; .a.id()")
    async with Relay(own_server.tcp) as relay:
        db = await opened(relay.port)
        async with db.watch("//stuff", thing) as watch:
            await take(watch, 1)
            relay.cut()
            for n in range(10):  # more than 8 MiB of events
                await other.query("//stuff", ".a.text = text; nil", text=str(n) * 1_000_000)
            relay.mend()
            (init,) = await take(watch, 1)
            assert isinstance(init, Init) and init.restart and init.thing["text"][0] == "9"
            await other.query("//stuff", ".a.text = 'short'")
            assert [event.jobs for event in await take(watch, 1)] == [[{"set": {"text": "short"}}]]


class Counter(Thing):
    n: int

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._seen: list[int] = []

    def on_load(self) -> None:
        self._seen.append(self.n)

    def on_change(self, names: frozenset[str]) -> None:
        self._seen.append(self.n)


class Root(Thing):
    counter: Counter


async def write(url: str, until: asyncio.Event, rows: list[int]) -> None:
    """Count up without end, whatever happens to the server; what was certainly written goes into the rows."""
    async with connect(url, user="admin", password="pass", backoff=QUICK) as db:
        n = 0
        while not until.is_set():
            try:
                n = await db.query("//stuff", ".counter.n += 1")
                rows.append(n)
            except ConnectionLost:
                continue


@pytest.mark.parametrize("scheme", ["ws", "tcp"])
async def test_a_server_that_is_killed_under_all_of_them(own_server: Server, opened: Open, scheme: str) -> None:
    db = await opened(own_server, scheme)
    thing = await db.query("//stuff", ".counter = {n: 0}; .counter.id()")
    account, done, rows, results = Account(), asyncio.Event(), list[int](), list[int]()
    watch, live = db.watch("//stuff", thing), db.live("//stuff", ".counter.n")

    async def follow_live() -> None:
        async for n in live:
            results.append(n)

    async with db.mirror("//stuff", Root) as root:
        counter = root.counter
        tasks = [asyncio.create_task(one) for one in (account.follow(watch), follow_live())]
        writer = asyncio.create_task(write(url_of(own_server), done, rows))
        for number in (signal.SIGKILL, signal.SIGKILL, signal.SIGTERM):
            count = len(rows)
            while len(rows) < count + 20:
                await asyncio.sleep(0.01)
            await asyncio.to_thread(own_server.stop, number)
            await asyncio.to_thread(own_server.start)
        done.set()
        await within(writer)
        last = await db.using(retry=True).query("//stuff", ".counter.n")
        while not (results and results[-1] == last and counter.n == last and len(account.jobs[thing]) == last):
            await asyncio.sleep(0.01)
        assert [job["set"]["n"] for _, job in account.jobs[thing]] == list(range(1, last + 1))
        changes = [change for change, _ in account.jobs[thing]]
        assert changes == sorted(set(changes))
        assert counter._seen == list(range(last + 1))
        assert results == sorted(set(results))
        await watch.close()
        await live.close()
        await asyncio.gather(*tasks)


# --- any changes, and a connection that breaks anywhere ---------------------------------------------------------------

names = st.sampled_from(["a", "b", "c"])
statements = st.one_of(
    st.builds(".{}.n = {}".format, names, st.integers(0, 9)),
    st.builds(".{}.list.push({})".format, names, st.integers(0, 9)),
    st.builds(".{}.list.splice(0, 1)".format, names),
    st.builds(".{}.emit('at', {})".format, names, st.integers(0, 9)),
)
steps = st.lists(
    st.one_of(
        st.lists(statements, min_size=1, max_size=6),
        st.lists(statements, min_size=1, max_size=6),
        st.sampled_from(["cut", "mend", "add"]),
        st.integers(0, 400),  # bytes until the connection breaks
    ),
    min_size=3,
    max_size=30,
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(program=steps)
def test_what_comes_is_what_somebody_is_told_who_never_leaves(server: Server, program: list[Any]) -> None:
    asyncio.run(run(server, program))


async def run(server: Server, program: list[Any]) -> None:
    login = {"user": "admin", "password": "pass"}
    async with (
        Relay(server.tcp) as relay,
        connect(url_of(server, "tcp"), **login) as other,
        connect(url_of(relay.port), backoff=QUICK, **login) as db,
    ):
        code = ".a = {n: 0, list: []}; .b = {n: 0, list: []}; .c = {n: 0, list: []}; [.a.id(), .b.id(), .c.id()]"
        ids = await other.query("//stuff", code)
        ours, again, theirs = Account(), Account(), Account()
        async with (
            db.watch("//stuff", *ids[:2]) as watch,
            db.watch("//stuff", ids[0]) as second,  # of one that the first has too
            other.watch("//stuff", *ids) as steady,
        ):
            for step in program:
                if isinstance(step, list):
                    await other.query("//stuff", tried(step) + "; nil")
                elif step == "add":
                    watch.add(ids[2:])
                else:
                    relay.take(step)
            relay.heal()
            watch.add(ids[2:])
            await other.query("//stuff", ".a.n = 'end'; .b.n = 'end'; .c.n = 'end'; nil")
            await within(up_to_the_end(steady, theirs, ids))
            await within(up_to_the_end(watch, ours, ids))
            await within(up_to_the_end(second, again, ids[:1]))
        for account in (ours, again):
            for thing_id, init in account.inits.items():
                assert account.jobs[thing_id] == [job for job in theirs.jobs[thing_id] if job[0] > init.change]


async def up_to_the_end(watch: Watch, account: Account, ids: list[int]) -> None:
    """Read until each of the things is at its end."""

    def at_end(thing_id: int) -> bool:
        init, jobs = account.inits.get(thing_id), account.jobs[thing_id]
        return (init is not None and init.thing["n"] == "end") or (bool(jobs) and jobs[-1][1] == {"set": {"n": "end"}})

    while not all(map(at_end, ids)):
        account.take(await anext(watch))
