"""Watches that are taken up again: what is told of the time between is what was told to those who watched."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgpack
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.change import INTERNAL, Internal
from engine.engine import Engine
from engine.errors import BadDataError, EngineError, ForbiddenError, LookupFailed
from engine.outcome import Outcome
from engine.recent import Recent
from engine.store import Retention
from engine.store.memory import MemoryStore
from server.jsonvalues import encode
from tests.conftest import Admin
from tests.things import test_programs as plain
from tests.things import test_typed_programs as typed
from tests.watch.test_mirrors import FORM, attempts
from watch import Hub, Requests, Resumption
from watch.events import WARNING, WATCH_DELETE, WATCH_INIT, WATCH_UPDATE
from watch.resume import Missed

IDS = range(1, 60)


class Watcher(Admin):
    """A connection."""

    def __init__(self, engine: Engine) -> None:
        super().__init__(engine)
        self.form = FORM
        self.out: list[bytes] = []

    @property
    def subscriber(self) -> Watcher:
        return self


def events(watcher: Watcher) -> list[Any]:
    """What has come, by name."""
    names = {WATCH_INIT: "init", WATCH_UPDATE: "update", WATCH_DELETE: "delete", WARNING: "warning"}
    told = [(names[frame[0]], msgpack.unpackb(frame[1:], strict_map_key=False)) for frame in watcher.out]
    watcher.out.clear()
    return told


def history(frames: list[bytes]) -> dict[int, list[Any]]:
    """What was told of each thing: each job with its change, and the end."""
    told: dict[int, list[Any]] = {}
    for frame in frames:
        data = msgpack.unpackb(frame[1:], strict_map_key=False)
        if frame[0] == WATCH_INIT:
            told.setdefault(data["thing"]["#"], []).append("init")
        elif frame[0] == WATCH_UPDATE:
            told.setdefault(data["#"], []).extend((data["event"], job) for job in data["jobs"])
        else:
            assert frame[0] == WATCH_DELETE
            told.setdefault(data["#"], []).append("gone")
    return told


class World:
    """An engine over a store in memory, and somebody who watches all things from the start."""

    def __init__(self, start: str, store: MemoryStore | None = None) -> None:
        self.store = store or MemoryStore()
        self.engine = Engine(clock=lambda: 1000.0, seed=1)
        self.engine.open(self.store)
        self.stuff = self.engine.collections["stuff"]
        self.hub = Hub(self.engine, self.say)
        self.requests = Requests(self.engine, self.hub, self.store)
        self.watcher = Watcher(self.engine)
        self.query(start)

    @staticmethod
    def say(target: Any, frame: bytes) -> None:
        for append in getattr(target, "appends", None) or (target.out.append,):
            append(frame)

    def query(self, code: str, scope: str = "//stuff") -> int:
        """Run it; the id of the last change."""
        self.publish(self.engine.query(Admin(self.engine), scope, code))
        return self.engine.last_change

    def publish(self, outcome: Outcome) -> None:
        parts = (outcome, *(outcome.more or ()))
        for part in parts:
            if part.change is not None:
                self.store.write_batch(part.change.id, [part.change.packed], 1000.0)
                for _, job in part.change.mutations:
                    assert (type(job) is Internal) == (next(iter(job)) in INTERNAL)
            self.hub.before_reply(part, None)
        for part in parts:
            self.hub.after_reply(part)

    def watch_all(self) -> None:
        watched = self.hub._watched.get(self.watcher, set())
        self.requests.watch(self.watcher, "//stuff", sorted(self.stuff.index.keys() - watched)).events()

    def resume(self, ids: list[Any], since: int, **options: Any) -> tuple[bool, list[Any]]:
        """Watch with since, as a new connection: was it resumed, and what came."""
        watcher = Watcher(self.engine)
        resumption = self.requests.watch_with(watcher, "//stuff", {"ids": ids, "since": since, **options})
        assert isinstance(resumption, Resumption)
        finish(resumption.proceed)
        answer = resumption.answer()
        assert answer.value.keys() == {"change", "resumed"}
        assert answer.value["change"] == self.engine.last_change
        answer.events()
        return answer.value["resumed"], events(watcher)

    def again(self) -> World:
        """A server that starts with what this one has on disk."""
        return World("nil", self.store)

    def missed(self, ids: Any, since: int) -> Missed:
        missed = Missed(self.engine, self.store, self.stuff, ids, since, FORM)
        finish(missed.proceed)
        return missed


def finish(proceed: Callable[[], Callable[[], None] | None]) -> None:
    work = proceed()
    while work is not None:
        work()
        work = proceed()


def check(start: str, programs: list[str], recent: Recent) -> None:
    """Take up, at the end, all watches that there were after each program."""
    world = World(start)
    world.engine.recent = recent
    recent.reset(world.engine.last_change, world.engine.next_id)
    points = []
    for program in programs:
        world.watch_all()
        points.append((world.engine.last_change, set(world.hub._watched[world.watcher]), len(world.watcher.out)))
        world.query(program)
    for since, ids, place in points:
        told = history([frame for frame in world.watcher.out[place:] if frame[0] != WATCH_INIT])
        missed = world.missed(ids, since)
        again = history(missed.frames)
        if missed.fresh:
            assert any(word in program for program in programs for word in ("mod_type", "_type"))
            continue
        for thing_id in ids:
            late = ["gone"] if world.stuff.find(thing_id) is None and thing_id not in missed.gone else []
            assert again.get(thing_id, []) + late == told.get(thing_id, [])
        assert again.keys() <= ids


slow = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
bounds = st.builds(Recent, max_changes=st.sampled_from([0, 1, 3, 100]))


@slow
@given(
    st.lists(
        attempts(plain.statements, "a = {s: set({})}; b = {p: a, l: [a, 2], s: set(a, {})}; c = thing(); "),
        min_size=2, max_size=8,
    ),
    bounds,
)  # fmt: skip
def test_what_was_missed_of_things(programs: list[str], recent: Recent) -> None:
    check(plain.START, programs, recent)


@slow
@given(
    st.lists(
        attempts(typed.lines, "x = Dog{name: 'x'}; y = Home{}; z = {m: 1}; a = .a; b = .b; c = .h; "),
        min_size=2, max_size=8,
    ),
    bounds,
)  # fmt: skip
def test_what_was_missed_of_instances(programs: list[str], recent: Recent) -> None:
    check(typed.START, programs, recent)


# --- requests --------------------------------------------------------------------------------------------------------


@pytest.fixture(params=["recent", "log", "restart"])
def old(request: pytest.FixtureRequest) -> Callable[[World], World]:
    """Where what was missed is to be found: in the record of recent changes, in the log, or after a start."""

    def old(world: World) -> World:
        if request.param == "log":
            world.engine.recent.reset(world.engine.last_change, world.engine.next_id)
        return world.again() if request.param == "restart" else world

    return old


@pytest.fixture
def world() -> World:
    return World(".a = {n: 1}; .b = {n: 1}; nil")


def update(thing: int, change: int, *jobs: Any) -> Any:
    return "update", {"#": thing, "event": change, "jobs": list(jobs)}


def test_exactly_the_missed_events_come(world: World, old: Callable[[World], World]) -> None:
    since = world.query(".a.n = 2; .b.n = 2")
    one = world.query(".a.n = 3; .b.n = 3; .a.emit('hi', 1); .a.n = 4; nil")
    two = world.query(".a.n = 5; .a.m = 6; .c = {}; nil")
    world = old(world)
    resumed, told = world.resume([2], since)
    assert resumed
    assert told == [
        update(2, one, {"set": {"n": 3}}),
        update(2, one, {"event": ["hi", 1]}, {"set": {"n": 4}}),
        update(2, two, {"set": {"n": 5}}, {"set": {"m": 6}}),
    ]
    assert world.resume([2], two) == (True, [])
    assert world.resume([2, 3], two - 1)[1] == told[2:]


def test_who_missed_nothing_is_answered_without_a_look_at_what_others_did(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    since = world.query(".a = {n: 1}; .b = {n: 1}; nil")
    a, b = (world.stuff.root.get(name).id for name in "ab")
    world.query(".b.n = 2; nil")

    def look(change: int) -> Any:
        raise AssertionError("all changes are looked at")

    monkeypatch.setattr(world.engine.recent, "after", look)
    assert world.resume([a], since) == (True, [])
    monkeypatch.undo()
    told = {"#": b, "event": since + 1, "jobs": [{"set": {"n": 2}}]}
    assert world.resume([a, b], since) == (True, [("update", told)])


def test_it_goes_on_from_there(world: World, old: Callable[[World], World]) -> None:
    since = world.query(".a.n = 2")
    one = world.query(".a.n = 3")
    world = old(world)
    watcher = world.watcher
    resumption = world.requests.watch_with(watcher, "//stuff", {"ids": [2], "since": since})
    assert isinstance(resumption, Resumption)
    finish(resumption.proceed)
    resumption.answer().events()
    two = world.query(".a.n = 4")
    assert events(watcher) == [update(2, one, {"set": {"n": 3}}), update(2, two, {"set": {"n": 4}})]


def test_changes_while_it_is_read_come_too(world: World) -> None:
    since = world.query(".a.n = 2")
    world.query(".a.n = 3")
    world.engine.recent.reset(world.engine.last_change, world.engine.next_id)
    resumption = world.requests.watch_with(world.watcher, "//stuff", {"ids": [2], "since": since})
    assert isinstance(resumption, Resumption)
    n = 4
    work = resumption.proceed()
    while work is not None:
        if n < 8:
            world.query(f".a.n = {n}")
            n += 1
        work()
        work = resumption.proceed()
    resumption.answer().events()
    assert [data["jobs"] for _, data in events(world.watcher)] == [[{"set": {"n": n}}] for n in range(3, n)]


def test_what_is_gone_is_told_and_what_never_was_is_warned_of(world: World, old: Callable[[World], World]) -> None:
    since = world.query(".a.n = 2")
    one = world.query(".a.n = 3; .del('a'); .c = {}; nil")
    world = old(world)
    resumed, told = world.resume([1, 2, 4, 99], since)
    assert resumed
    assert told[:3] == [
        update(2, one, {"set": {"n": 3}}),
        update(1, one, {"del": "a"}, {"set": {"c": {"#": 4}}}),
        ("delete", {"#": 2}),
    ]
    assert [kind for kind, _ in told[3:]] == ["warning", "init"]  # 4 is new since: nobody knows it
    assert world.resume([2], one) == (True, [("delete", {"#": 2})])


def test_what_is_no_longer_kept_starts_anew(world: World) -> None:
    for n in range(10):
        world.query(f".a.n = {n}")
    world.store.write_checkpoint(world.engine.checkpoint())
    world.store.trim(Retention(max_changes=3), 1000.0)
    last = world.engine.last_change
    world = world.again()
    assert world.resume([2], last - 3)[0]
    resumed, told = world.resume([2], last - 4)
    assert not resumed
    assert told == [("init", {"event": last, "thing": {"#": 2, "n": 9}, "collection": "stuff"})]


@pytest.mark.parametrize("since", [4, 100])
def test_a_client_that_is_ahead_starts_anew(world: World, since: int) -> None:
    world.query(".a.n = 2")
    resumed, told = world.resume([2, 3], since)
    assert not resumed
    assert [data["thing"]["#"] for _, data in told] == [3, 2]


def test_who_missed_too_much_starts_anew(world: World) -> None:
    since = world.query("nil; .a.n = 2")
    for _ in range(3):
        world.query(f".a.text = '{'x' * 1000}'")
    missed = Missed(world.engine, world.store, world.stuff, [2], since, FORM, 2500)
    finish(missed.proceed)
    assert missed.fresh
    assert not missed.frames


def test_an_import_starts_anew(world: World) -> None:
    world.query("new_collection('other'); nil", "@t")
    world.publish(world.engine.query(Admin(world.engine), "//stuff", ".a = nil; .b = nil; .clear(); nil"))
    since = world.engine.last_change
    dump = world.engine.query(Admin(world.engine), "//other", "export({dump: true})").value
    outcome = world.engine.query(Admin(world.engine), "//stuff", "import(dump)", {"dump": dump})
    assert outcome.error is None
    world.publish(outcome)
    resumed, told = world.resume([1], since)
    assert not resumed
    assert [kind for kind, _ in told] == ["init"]


def test_instances_are_told_by_the_names_of_their_fields() -> None:
    class Form:
        def event(self, kind: int, data: Any) -> bytes:
            return b"%d %s" % (kind, encode(data).encode())

    world = World("set_type('T', {n: 'int', d: 'datetime', r: 'room'}); .list = []; nil")
    since = world.engine.last_change
    world.query(".list.push(T{n: 5}); .room = room(); .list[0].r.set_name('hall'); nil")
    missed = Missed(world.engine, None, world.stuff, [1], since, Form())
    finish(missed.proceed)
    (frame,) = missed.frames
    assert '{"#":2,"n":5,"d":{' in frame.decode()
    assert '"room":"room:' in frame.decode()
    world.query("mod_type('T', 'add', 'more', 'int'); nil")
    missed = Missed(world.engine, None, world.stuff, [1], since, Form())
    finish(missed.proceed)
    assert missed.fresh


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"since": "1"}, BadDataError),
        ({"since": -1}, BadDataError),
        ({"since": True}, BadDataError),
        ({"since": 1, "ids": 5}, BadDataError),
        ({"since": 1, "ids": ["a"]}, BadDataError),
        ({"since": 1, "what": 5}, BadDataError),
        ({"since": 1, "x" * 10_000: 5}, BadDataError),
    ],
)
def test_requests_that_are_refused(world: World, options: dict[str, Any], error: type[EngineError]) -> None:
    with pytest.raises(error) as refused:
        world.requests.watch_with(world.watcher, "//stuff", {"ids": [2], **options})
    assert len(refused.value.message) < 200
    assert not world.hub.things


def test_a_right_that_is_lost_meanwhile(world: World) -> None:
    since = world.query(".a.n = 2")
    world.query("new_user('guest'); grant('//stuff', 'guest', JOIN); nil", "@t")
    guest = Watcher(world.engine)
    guest.user = world.engine.users["guest"]
    resumption = world.requests.watch_with(guest, "//stuff", {"ids": [2], "since": since})
    assert isinstance(resumption, Resumption)
    world.query("revoke('//stuff', 'guest', JOIN); nil", "@t")
    finish(resumption.proceed)
    with pytest.raises(ForbiddenError):
        resumption.answer()
    resumption = world.requests.watch_with(world.watcher, "//stuff", {"ids": [2], "since": since})
    assert isinstance(resumption, Resumption)
    world.query("del_collection('stuff'); nil", "@t")
    finish(resumption.proceed)
    with pytest.raises(LookupFailed):
        resumption.answer()
    assert not world.hub.things
