"""Slow readers without sockets: what is left out, and what takes its place."""

from __future__ import annotations

from typing import Any

import msgpack
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.outcome import Outcome
from engine.users import FULL, JOIN
from tests.things import test_programs as plain
from tests.watch import test_mirrors
from tests.watch.test_hub import Connection, World
from tests.watch.test_mirrors import attempts
from watch import Lag, Live, Resumption, SlowReaders
from watch.events import WATCH_DELETE, WATCH_STOP


class SlowWorld(World):
    """A world with live queries, in which connections can be slow."""

    def __init__(self) -> None:
        super().__init__()
        self.live = Live(self.engine, self.say)
        self.slow = SlowReaders(self.hub, self.live)
        self.one, self.other = self.connect(), self.connect()
        self.query(self.other, ".a = {n: 1}; .b = {n: 1}; .room = room(); .room.set_name('room'); nil")
        self.a, self.b = (self.engine.collections["stuff"].root.get(name).id for name in "ab")
        self.room = self.engine.collections["stuff"].find_room("room").id
        self.other.taken()

    def query(self, connection: Connection, code: str, scope: str = "//stuff", variables: Any = None) -> Any:
        outcome = self.engine.query(connection, scope, code, variables)
        assert outcome.error is None, outcome.error
        self.hub.before_reply(outcome, connection)
        self.hub.after_reply(outcome)
        self.live.changed(outcome)
        self.live.run(10.0, self.engine.last_change)
        return outcome.value

    def catch_up(self, connection: Connection) -> None:
        """The connection has read what waits."""
        assert self.slow.catch_up(connection, 1000)
        self.slow.come_back(connection)

    def told(self, connection: Connection) -> list[Any]:
        """What has been said to a connection since the last look, that what makes no frame left out."""
        return [frame for frame in connection.taken() if frame != b""]


def test_a_thing_is_told_as_it_is_and_then_goes_on() -> None:
    world = SlowWorld()
    world.watch(world.one, world.a, world.b)
    world.query(world.other, ".a.n = 2; nil")
    world.slow.fall_behind(world.one)
    world.query(world.other, ".a.n = 3; nil")
    world.query(world.other, ".a.n = 4; nil")
    assert [name for name, _ in world.told(world.one)] == ["init", "init", "update"]
    world.catch_up(world.one)
    change = world.engine.last_change
    assert world.told(world.one) == [
        ("init", {"event": change, "thing": {"#": world.a, "n": 4}, "collection": "stuff"})
    ]
    world.query(world.other, ".a.n = 5; nil")
    assert world.told(world.one) == [("update", {"#": world.a, "event": change + 1, "jobs": [{"set": {"n": 5}}]})]
    assert world.one.form is world.form


def test_that_an_id_cant_be_watched_comes_after_the_first_states_asked_for_before() -> None:
    world = SlowWorld()
    world.slow.fall_behind(world.one)
    world.watch(world.one, world.a)
    world.watch(world.one, 999)
    world.watch(world.one, world.b)
    world.query(world.other, ".a.n = 2; nil")
    assert world.told(world.one) == []
    world.catch_up(world.one)
    told = world.told(world.one)
    assert [name for name, _ in told] == ["init", "warning", "init"]
    assert [data["thing"]["#"] for name, data in told if name == "init"] == [world.a, world.b]
    assert "999" in told[1][1]["warn_msg"]


def test_what_waits_of_ids_that_cant_be_watched_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("watch.lag.MAX_WARNINGS", 2)
    world = SlowWorld()
    world.slow.fall_behind(world.one)
    world.watch(world.one, *range(900, 905))
    assert [name for name, _ in world.told(world.one)] == ["warning"] * 3
    world.catch_up(world.one)
    assert [name for name, _ in world.told(world.one)] == ["warning"] * 2


def test_others_notice_nothing() -> None:
    world = SlowWorld()
    two = world.connect()
    for connection in (world.one, two):
        world.watch(connection, world.a)
    world.slow.fall_behind(world.one)
    world.query(world.other, ".a.n = 3; nil")
    assert [name for name, _ in world.told(two)] == ["init", "update"]


def test_ends_are_never_left_out() -> None:
    world = SlowWorld()
    world.watch(world.one, world.a, world.b)
    world.requests.join(world.one, "//stuff", ["room"]).events()
    world.told(world.one)
    world.slow.fall_behind(world.one)
    world.query(world.other, ".a.n = 2; .b.n = 2; nil")
    world.query(world.other, ".del('a'); .del('room'); nil")
    world.requests.unwatch(world.one, "//stuff", [world.b]).events()
    assert world.told(world.one) == [
        ("delete", {"#": world.a}),
        ("room gone", {"scope": "@collection:stuff", "id": world.room}),
        ("stop", {"#": world.b}),
    ]
    world.catch_up(world.one)
    assert world.told(world.one) == []


def test_what_users_emitted_is_lost_with_a_warning() -> None:
    world = SlowWorld()
    world.watch(world.one, world.a)
    world.requests.join(world.one, "//stuff", ["room"]).events()
    world.told(world.one)
    world.slow.fall_behind(world.one)
    world.query(world.other, ".a.emit('greet', 1); .room.emit('hello', 2); nil")
    world.catch_up(world.one)
    (_, warning), (name, _) = world.told(world.one)
    assert name == "init"
    assert (warning["warn_code"], warning["rooms"], warning["things"]) == (5, [world.room], [world.a])


def test_a_live_query_is_told_whole() -> None:
    world = SlowWorld()
    number = world.live.subscribe(world.one, "//stuff", {"code": ".a.n"})["subscription"]
    two = world.live.subscribe(world.one, "//stuff", {"code": ".b.n"})["subscription"]
    world.slow.fall_behind(world.one)
    world.query(world.other, ".a.n = 2; nil")
    world.query(world.other, ".a.n = 3; .b.n = 3; nil")
    assert world.told(world.one) == []
    world.live.unsubscribe(world.one, [two])
    world.catch_up(world.one)
    change = world.engine.last_change
    assert world.told(world.one) == [(64, {"subscription": number, "change": change, "value": 3})]
    world.query(world.other, ".a.n = 'text'; nil")
    assert [kind for kind, _ in world.told(world.one)] == [64]


def test_presence_comes_to_what_has_changed() -> None:
    world = SlowWorld()
    stays, goes, returns, comes, passes = (world.connect() for _ in range(5))

    def join(*connections: Connection) -> None:
        for connection in connections:
            world.requests.join(connection, "//stuff", ["room"]).events()

    join(stays, goes, returns)
    reply = world.hub.presence.ask(world.one, "//stuff", {"room": "room"})
    there = {entry["connection"] for entry in reply["present"]}
    world.slow.fall_behind(world.one)
    world.hub.drop(goes)
    world.requests.leave(returns, "//stuff", ["room"]).events()
    join(returns, comes, passes)
    world.hub.drop(passes)
    assert world.told(world.one) == []
    world.catch_up(world.one)
    for name, data in world.told(world.one):
        if name == "presence.join":
            there.add(data["connection"])
        else:
            there.remove(data["connection"])
    numbers = world.hub.presence._numbers
    assert there == {numbers[one] for one in (stays, returns, comes)}


def test_to_ask_again_while_behind_begins_anew() -> None:
    world = SlowWorld()
    two = world.connect()
    world.hub.presence.ask(world.one, "//stuff", {"room": "room"})
    world.slow.fall_behind(world.one)
    world.requests.join(two, "//stuff", ["room"]).events()
    assert len(world.hub.presence.ask(world.one, "//stuff", {"room": "room"})["present"]) == 1
    world.hub.drop(two)
    world.catch_up(world.one)
    assert [name for name, _ in world.told(world.one)] == ["presence.leave"]


def test_presence_that_ended_while_behind_leaves_nothing_to_tell() -> None:
    world = SlowWorld()
    two = world.connect()
    world.requests.join(two, "//stuff", ["room"]).events()
    world.hub.presence.ask(world.one, "//stuff", {"room": "room"})
    world.slow.fall_behind(world.one)
    world.requests.leave(two, "//stuff", ["room"]).events()
    world.hub.presence.end(world.one, "//stuff", {"room": "room"})
    world.requests.join(two, "//stuff", ["room"]).events()
    assert len(world.hub.presence.ask(world.one, "//stuff", {"room": "room"})["present"]) == 1
    world.catch_up(world.one)
    assert world.told(world.one) == []


@pytest.mark.parametrize("more", [{}, {"deep": 1}])
def test_watches_taken_up_while_behind_begin_anew(more: dict[str, Any]) -> None:
    world = SlowWorld()
    since = world.engine.last_change
    world.query(world.other, ".a.n = 2; nil")
    world.slow.fall_behind(world.one)
    if more:
        more = more | {"known": [world.a]}
    resumption = world.requests.watch_with(world.one, "//stuff", {"ids": [world.a], "since": since, **more})
    assert isinstance(resumption, Resumption)
    while (work := resumption.proceed()) is not None:
        work()
    world.catch_up(world.one)
    answer = resumption.answer()
    assert answer.value["resumed"] is False
    answer.events()
    assert [(name, data["thing"]["n"]) for name, data in world.told(world.one)] == [("init", 2)]


def test_what_was_missed_comes_in_parts() -> None:
    world = SlowWorld()
    world.form.event = lambda kind, data: bytes(100) if kind == 1 else bytes(10)  # type: ignore[method-assign]
    world.watch(world.one, world.a, world.b, world.root)
    world.told(world.one)
    world.slow.fall_behind(world.one)
    world.query(world.other, ".a.n = 2; .b.n = 2; .n = 2; nil")
    assert not world.slow.catch_up(world.one, 150)
    assert len(world.told(world.one)) == 2
    world.query(world.other, ".a.n = 3; nil")  # which is behind the root now
    assert not world.slow.catch_up(world.one, 50)
    world.catch_up(world.one)
    assert len(world.told(world.one)) == 2
    assert not isinstance(world.one.form, Lag)


# --- any program -----------------------------------------------------------------------------------------------------


class Reader(test_mirrors.Connection):
    """A client that mirrors what it watches, and may be slow."""

    def read(self) -> list[tuple[int, Any]]:
        self.out[:] = [frame for frame in self.out if frame]
        for frame in self.out:
            if frame[0] in (WATCH_DELETE, WATCH_STOP):  # it may be the end of what was never told
                data = msgpack.unpackb(frame[1:])
                self.mirrors.setdefault(data["#"], None)  # type: ignore[arg-type]
        return super().read()


class Programs(test_mirrors.World):
    """Random programs, with readers that fall behind and catch up."""

    def __init__(self, start: str) -> None:
        super().__init__(start)
        self.connections = [Reader(one.user) for one in self.connections]
        self.slow = SlowReaders(self.hub, Live(self.engine, self.say))

    def publish(self, outcome: Outcome, connection: test_mirrors.Connection | None) -> None:
        parts = (outcome, *(outcome.more or ()))
        for part in parts:
            self.hub.before_reply(part, connection)
        self.hub.settle()
        for part in parts:
            self.hub.after_reply(part)
        for one in self.connections:
            one.read()

    def check(self) -> None:
        everyone = self.connections
        self.connections = [one for one in everyone if not isinstance(one.form, Lag)]
        super().check()
        self.connections = everyone

    def step(self, kind: str, which: int, argument: Any) -> None:
        reader = self.connections[which]
        if kind == "slow" and not isinstance(reader.form, Lag):
            self.slow.fall_behind(reader)
        elif kind == "read":
            if self.slow.catch_up(reader, argument) and argument != 50:
                self.slow.come_back(reader)
            reader.read()
        elif kind == "deep":
            there = sorted(self.stuff.index)
            if self.stuff.access[reader.user.id] & JOIN:
                asked = {"ids": [there[place % len(there)] for place in argument], "deep": 2}
                self.requests.watch_with(reader, "//stuff", asked).events()
                reader.read()
        elif kind == "drop":
            self.hub.drop(reader)
            self.connections[which] = Reader(reader.user)
        else:
            super().step(kind, which, argument)
            return
        self.check()


def programs(queries: Any) -> Any:
    which = st.integers(0, test_mirrors.CONNECTIONS - 1)
    other = st.one_of(
        st.tuples(st.just("slow"), which, st.none()),
        st.tuples(st.just("read"), which, st.sampled_from([0, 50, 100_000])),
        st.tuples(st.sampled_from(["watch", "deep", "unwatch"]), which, st.lists(st.integers(0, 42), max_size=6)),
        st.tuples(st.just("collect"), st.just(0), st.none()),
        st.tuples(st.just("drop"), which, st.none()),
        st.tuples(st.just("rights"), st.just(0), st.sampled_from([FULL, JOIN, 0])),
    )
    rounds = st.tuples(other, st.tuples(st.just("query"), which, queries), other)
    return st.lists(rounds, min_size=3, max_size=8).map(lambda rounds: [step for each in rounds for step in each])


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(programs(attempts(plain.statements, "a = {s: set({})}; b = {p: a, l: [a, 2], s: set(a, {})}; c = thing(); ")))
def test_mirrors_of_slow_readers(program: list[tuple[str, int, Any]]) -> None:
    world = Programs(plain.START)
    world.step("watch", 0, list(range(40)))
    world.step("deep", 1, [0])
    for step in program:
        world.step(*step)
    for which in range(test_mirrors.CONNECTIONS):
        world.step("read", which, 1 << 20)
    assert not any(isinstance(one.form, Lag) for one in world.connections)
