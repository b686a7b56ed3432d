"""Room history without sockets: who comes back is told what it missed, or that some of it is lost."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.emitted import Emitted
from engine.encoding import log_packer, log_unpack
from engine.engine import Engine
from engine.errors import BadDataError, ForbiddenError
from engine.users import JOIN, QUERY
from tests.watch.test_hub import Connection, TreeForm, World
from watch import Hub, Live, Requests, RoomHistory, SlowReaders

START = 1000


class Rooms(World):
    """A world with two rooms, whose clock stands still."""

    def __init__(self, **bounds: Any) -> None:
        self.engine = Engine(clock=lambda: 1000.0)
        self.engine.initialise()
        self.form = TreeForm()
        self.now = 0.0
        self.bounds = bounds
        self.logged: list[Emitted] = []
        self.talker = self.connect()
        self.restart(START)
        self.query(
            self.talker,
            ".hall = room(); .hall.set_name('hall'); .yard = room(); .yard.set_name('yard'); nil",
        )

    def restart(self, start: int, log: int = 0) -> None:
        """All connections, and what was kept in memory, are gone; of the log so many records at its end are there."""
        self.history = RoomHistory(self.say, start=start, clock=lambda: self.now, keep=self.log, **self.bounds)
        stuff = self.engine.collections["stuff"]
        records = self.logged[-log:] if log else []
        titles = dict.fromkeys(stuff.rooms, stuff.title)
        made = self.history.take_up(records, len(records) == len(self.logged), titles, self.now)
        if made is not None:
            self.log(made)
        self.hub = Hub(self.engine, self.say, history=self.history)
        self.requests = Requests(self.engine, self.hub)

    pack = staticmethod(log_packer().pack)

    def log(self, job: Any) -> None:
        self.logged += [(self.now, name, log_unpack(self.pack(made))) for name, made in job.items()]

    def join(self, connection: Connection, *rooms: Any, **since: int) -> Any:
        answer = self.requests.join_with(connection, "//stuff", {"rooms": list(rooms), **since})
        answer.events()
        return answer.value

    def emit(self, word: Any, room: str = "hall", code: bool = True) -> None:
        """Emit by code or by a request."""
        if code:
            self.query(self.talker, f".{room}.emit('said', word); nil", variables={"word": word})
        else:
            self.requests.emit(self.talker, "//stuff", [room, "said", word], False).events()

    @property
    def hall(self) -> int:
        number: int = self.engine.collections["stuff"].find_room("hall").id
        return number


def heard(connection: Connection) -> list[tuple[Any, Any]]:
    """What was emitted since the last look: the number, if there is one, and the word."""
    return [(data.get("number"), data["args"][0]) for name, data in connection.taken() if name == "emit"]


def test_what_was_missed_is_told_of_the_collection_as_it_is_called_now() -> None:
    world = Rooms()
    one = world.connect()
    since = world.join(one, "hall")["number"]
    world.emit("a")
    world.hub.drop(one)
    world.query(world.talker, "rename_collection('stuff', 'things')", "@t")
    again = world.connect()
    world.requests.join_with(again, "//things", {"rooms": ["hall"], "since": since}).events()
    assert [data["scope"] for _, data in again.taken()] == ["@collection:things"] * 2


def test_who_comes_back_is_told_what_it_missed_and_then_goes_on() -> None:
    world = Rooms()
    one, plain = world.connect(), world.connect()
    world.requests.join(plain, "//stuff", ["hall"]).events()
    world.emit("nobody keeps this")
    joined = world.join(one, "hall")
    assert joined == {"rooms": [world.hall], "number": START + 1}
    world.emit("a")
    world.emit("b", code=False)
    assert heard(one) == [(START + 2, "a"), (START + 3, "b")]
    assert heard(plain) == [(None, "nobody keeps this"), (None, "a"), (None, "b")]
    world.hub.drop(one)
    world.emit("c")
    world.emit("elsewhere", "yard")
    world.emit("d", code=False)
    again = world.connect()
    assert world.join(again, "hall", since=START + 3) == {
        "rooms": [world.hall], "number": START + 5, "resumed": True,
    }  # fmt: skip
    world.emit("e")
    assert [name for name, _ in again.out] == ["join", "emit", "emit", "emit"]
    assert heard(again) == [(START + 4, "c"), (START + 5, "d"), (START + 6, "e")]
    assert heard(plain)[-1] == (None, "e")


def test_rooms_are_told_in_one_order() -> None:
    world = Rooms()
    one, two = world.connect(), world.connect()
    number = world.join(one, "hall", "yard")["number"]
    for index in range(6):
        world.emit(index, "yard" if index % 3 else "hall")
    assert world.join(two, "yard", "hall", "nowhere", since=number)["rooms"][2] is None
    assert [word for _, word in heard(two)] == list(range(6))
    assert heard(one) == [(number + 1 + index, index) for index in range(6)]


def test_what_is_kept_no_more_is_told() -> None:
    world = Rooms(count=2, seconds=60.0)
    one = world.connect()
    number = world.join(one, "hall")["number"]
    for word in "abc":
        world.emit(word)
    assert not world.join(world.connect(), "hall", since=number)["resumed"]
    late = world.connect()
    assert world.join(late, "hall", since=number + 1)["resumed"]
    assert heard(late) == [(number + 2, "b"), (number + 3, "c")]
    world.now = 61.0
    late = world.connect()
    assert not world.join(late, "hall", since=number + 2)["resumed"]
    assert heard(late) == []
    assert world.join(late, "hall", since=number + 3)["resumed"]
    assert not world.join(late, "hall", since=number + 4)["resumed"]  # from the future
    assert not world.join(late, "hall", since=0)["resumed"]
    assert world.history.kept_bytes == 0


def test_all_of_what_is_kept_comes_to_who_knows_nothing() -> None:
    world = Rooms()
    world.join(world.connect(), "hall")
    world.emit("a")
    one = world.connect()
    assert world.join(one, "hall", since=0)["resumed"] is False
    assert [word for _, word in heard(one)] == ["a"]


def test_bytes_are_bounded_over_all_rooms() -> None:
    world = Rooms(size=10_000)
    one = world.connect()
    number = world.join(one, "hall", "yard")["number"]
    for index in range(20):
        world.emit("x" * 1000, "yard" if index % 2 else "hall")
    assert 5_000 < world.history.kept_bytes <= 10_000
    world.emit("x" * 20_000)
    assert world.history.kept_bytes == 0
    assert not world.join(world.connect(), "yard", since=number)["resumed"]


def test_a_room_is_kept_for_a_while_after_the_last_has_left() -> None:
    world = Rooms(seconds=60.0)
    one, plain = world.connect(), world.connect()
    world.requests.join(plain, "//stuff", ["hall"]).events()
    number = world.join(one, "hall")["number"]
    world.requests.leave(one, "//stuff", ["hall"]).events()
    world.now = 50.0
    world.emit("a")
    assert world.join(one, "hall", since=number)["resumed"]
    world.hub.drop(one)
    world.now = 120.0
    world.emit("b")
    assert not world.history.rooms and not world.history.kept_bytes
    assert heard(plain) == [(None, "a"), (None, "b")]
    assert not world.join(one, "hall", since=number + 1)["resumed"]


def test_who_comes_back_after_a_restart_is_told_what_it_missed() -> None:
    world = Rooms()
    one, two = world.connect(), world.connect()
    number = world.join(one, "hall", "yard")["number"]
    world.emit("a")
    world.emit("elsewhere", "yard")
    world.emit("b", code=False)
    world.restart(START, log=100)  # the clock was set back
    plain = world.connect()
    world.requests.join(plain, "//stuff", ["hall"]).events()
    joined = world.join(two, "hall", since=number)
    assert joined["resumed"] and joined["number"] == number + 3
    assert heard(two) == [(number + 1, "a"), (number + 3, "b")]
    world.emit("c")
    assert heard(two) == [(number + 4, "c")]
    assert heard(plain) == [(None, "c")]
    world.restart(START, log=2)
    assert not world.join(two, "hall", since=number + 1)["resumed"]
    assert heard(two) == [(number + 3, "b"), (number + 4, "c")]
    assert world.join(world.connect(), "hall", since=number + 2)["resumed"]
    assert not world.join(world.connect(), "yard", since=number + 2)["resumed"]


def test_what_was_kept_no_more_is_not_after_a_restart_either() -> None:
    world = Rooms(seconds=60.0)
    one = world.connect()
    number = world.join(one, "hall")["number"]
    world.hub.drop(one)
    world.now = 61.0
    world.emit("nobody keeps this")
    world.restart(START, log=100)
    assert not world.join(world.connect(), "hall", since=number)["resumed"]


def test_a_restart_without_records_is_told() -> None:
    world = Rooms()
    number = world.join(world.connect(), "hall")["number"]
    world.restart(number + 1000)
    one = world.connect()
    joined = world.join(one, "hall", since=number)
    assert joined["resumed"] is False
    assert joined["number"] > number + 1000


def test_a_room_that_is_gone_leaves_nothing() -> None:
    world = Rooms()
    one = world.connect()
    world.join(one, "hall")
    world.emit("a")
    world.query(world.talker, ".del('hall'); nil")
    assert not world.history.rooms and not world.history.kept_bytes


def test_others_than_the_sender_and_deep_arguments() -> None:
    world = Rooms()
    one = world.connect()
    world.join(one, "hall")
    world.requests.emit(one, "//stuff", ["hall", "said", {"a": [1, b"\xff", 2.5, None]}], True).events()
    assert heard(one) == []
    two = world.connect()
    world.join(two, "hall", since=0)
    assert heard(two) == [(world.history.number, {"a": [1, b"\xff", 2.5, None]})]


@pytest.mark.parametrize(
    "asked",
    [None, {}, {"rooms": 1}, {"rooms": [1.5]}, {"rooms": [], "since": "1"}, {"rooms": [], "since": -1},
     {"rooms": [], "since": True}, {"rooms": [], "until": 1}],
)  # fmt: skip
def test_a_refused_request_joins_nothing(asked: Any) -> None:
    world = Rooms()
    with pytest.raises(BadDataError):
        world.requests.join_with(world.connect(), "//stuff", asked)
    assert not world.hub.rooms and not world.history.rooms


def test_it_takes_the_right_to_join() -> None:
    world = Rooms()
    world.user("reader", QUERY)
    guest = world.user("guest", JOIN)
    guest.whitelists["rooms"] = ["yard"]
    for name in ("reader", "guest"):
        with pytest.raises(ForbiddenError):
            world.join(world.connect(name), "hall", since=0)
    assert world.join(world.connect("guest"), "hall", "yard", since=0)["rooms"][0] is None
    assert list(world.history.rooms) == [world.engine.collections["stuff"].find_room("yard").id]


def test_a_slow_reader_gets_what_is_kept() -> None:
    world = Rooms(count=3)
    slow = SlowReaders(world.hub, Live(world.engine, world.say))
    one = world.connect()
    world.join(one, "hall", "yard")
    world.emit("a")
    slow.fall_behind(one)
    for word in "bcd":
        world.emit(word)
    for _ in range(5):
        world.emit("much", "yard")
    assert slow.catch_up(one, 1000)
    slow.come_back(one)
    out = [frame for frame in one.out if frame]
    warnings = [data for name, data in out if name == "warning"]  # type: ignore[misc]
    assert [data["rooms"] for data in warnings] == [[world.engine.collections["stuff"].find_room("yard").id]]
    one.out[:] = out
    assert [word for _, word in heard(one)] == ["a", "b", "c", "d", "much", "much", "much"]
    world.emit("e")
    assert heard(one) == [(world.history.number, "e")]


def test_who_joins_while_it_is_behind_gets_what_it_asked_for() -> None:
    world = Rooms()
    slow = SlowReaders(world.hub, Live(world.engine, world.say))
    one = world.connect()
    number = world.join(one, "hall")["number"]
    world.emit("a")
    slow.fall_behind(one)
    world.emit("b")
    assert heard_frames(one) == ["a"]
    assert world.join(one, "hall", since=number)["resumed"]
    assert slow.catch_up(one, 1000)
    assert heard_frames(one) == ["a", "b"]


def heard_frames(connection: Connection) -> list[Any]:
    """As `heard`, of a connection for which some events made no frame; the words alone."""
    connection.out[:] = [frame for frame in connection.out if frame]
    return [word for _, word in heard(connection)]


# --- any order -------------------------------------------------------------------------------------------------------


class Visitor:
    """Who comes and goes, and knows up to which number it has everything."""

    def __init__(self) -> None:
        self.connection: Connection | None = None
        self.since: int | None = None
        self.words: list[int] = []
        self.joined_at = 0


steps = st.one_of(
    st.tuples(st.just("emit"), st.sampled_from(["hall", "yard"])),
    st.tuples(st.just("visit"), st.integers(0, 2)),
    st.tuples(st.just("drop"), st.integers(0, 2)),
    st.tuples(st.just("wait"), st.integers(1, 80)),
    st.tuples(st.just("restart"), st.integers(0, 9) | st.just(1000)),
)


@settings(max_examples=200, deadline=None)
@given(program=st.lists(steps, max_size=50), count=st.integers(0, 5), size=st.sampled_from([0, 700, 10_000]))
def test_who_is_told_that_it_resumed_has_missed_nothing(program: list[tuple[str, Any]], count: int, size: int) -> None:
    world = Rooms(count=count, size=size, seconds=60.0)
    visitors = [Visitor() for _ in range(3)]
    said: list[int] = []  # in the hall

    def listen(visitor: Visitor) -> None:
        assert visitor.connection is not None
        for number, word in heard(visitor.connection):
            assert visitor.since is not None and number > visitor.since
            visitor.since = number
            visitor.words.append(word)

    for kind, argument in program:
        if kind == "emit":
            world.emit(len(said), argument)
            if argument == "hall":
                said.append(len(said))
        elif kind == "wait":
            world.now += argument
        elif kind == "restart":
            for visitor in visitors:
                visitor.connection = None
            world.restart(world.history.number + 10, argument)
        else:
            visitor = visitors[argument]
            if kind == "drop" and visitor.connection is not None:
                world.hub.drop(visitor.connection)
                visitor.connection = None
            elif kind == "visit" and visitor.connection is None:
                visitor.connection = world.connect()
                before, visitor.since = visitor.since, visitor.since or 0
                joined = world.join(visitor.connection, "hall", since=visitor.since)
                if not joined["resumed"]:
                    visitor.words = said[:]  # it looks elsewhere what was said
                    heard(visitor.connection)
                    visitor.since = joined["number"]
                else:
                    assert before is not None
        for visitor in visitors:
            if visitor.connection is not None:
                listen(visitor)
                assert visitor.words == said
