"""The hub without sockets: what subscribers are told, and in which order."""

from __future__ import annotations

from typing import Any

import pytest

from engine.engine import Engine
from engine.errors import BadDataError, ForbiddenError, LookupFailed, ValueFailed
from engine.users import FULL, JOIN, QUERY, User
from watch import Hub, Requests

NAMES = {
    1: "init", 2: "update", 3: "delete", 4: "stop", 5: "warning", 6: "join", 7: "leave", 8: "emit", 9: "room gone",
    66: "presence.join", 67: "presence.leave", 68: "presence.end",
}  # fmt: skip


class TreeForm:
    """A form that keeps events as they are, and counts what it encodes."""

    def __init__(self) -> None:
        self.encoded = 0

    def event(self, kind: int, data: Any) -> bytes:
        self.encoded += 1
        return (NAMES.get(kind, kind), data)  # type: ignore[return-value]


class Connection:
    """A subscriber that is its own caller."""

    def __init__(self, user: User, form: TreeForm) -> None:
        self.user = user
        self.form = form
        self.out: list[Any] = []

    @property
    def subscriber(self) -> Connection:
        return self

    def taken(self) -> list[Any]:
        taken, self.out[:] = list(self.out), []
        return taken


class World:
    """An engine with a hub, whose frames arrive at once."""

    def __init__(self) -> None:
        self.engine = Engine(clock=lambda: 1000.0)
        self.engine.initialise()
        self.form = TreeForm()
        self.hub = Hub(self.engine, self.say)
        self.requests = Requests(self.engine, self.hub)

    @staticmethod
    def say(target: Any, frame: Any) -> None:
        for append in getattr(target, "appends", None) or (target.out.append,):
            append(frame)

    def connect(self, name: str = "admin") -> Connection:
        return Connection(self.engine.users[name], self.form)

    def user(self, name: str, mask: int) -> User:
        user = User(self.engine.next_definition_id, name, 0)
        self.engine.next_definition_id += 1
        self.engine.users[name] = user
        self.engine.collections["stuff"].access[user.id] = mask
        return user

    def query(self, connection: Connection, code: str, scope: str = "//stuff", variables: Any = None) -> Any:
        outcome = self.engine.query(connection, scope, code, variables)
        parts = (outcome, *(outcome.more or ()))
        for part in parts:
            self.hub.before_reply(part, connection)
        self.hub.settle()
        connection.out.append(("reply", outcome.error or outcome.value))
        for part in parts:
            self.hub.after_reply(part)
        return outcome.value

    def watch(self, connection: Connection, *ids: Any, scope: str = "//stuff") -> None:
        self.requests.watch(connection, scope, ids).events()

    @property
    def root(self) -> int:
        return self.engine.collections["stuff"].root.id


@pytest.fixture
def world() -> World:
    return World()


def kinds(events: list[Any]) -> list[str]:
    return [name for name, _ in events]


def test_a_watcher_gets_the_state_then_every_mutation_before_the_reply(world: World) -> None:
    one = world.connect()
    world.query(one, ".x = 1; nil")
    one.taken()
    world.watch(one, world.root)
    world.query(one, ".x = 2; .y = 'a'; nil")
    init, update, reply = one.taken()
    assert init == (
        "init",
        {
            "event": 1,
            "thing": {"#": world.root, "x": 1},
            "collection": "stuff",
            "enums": [],
            "types": [],
            "procedures": [],
        },
    )
    assert update == ("update", {"#": world.root, "event": 2, "jobs": [{"set": {"x": 2}}, {"set": {"y": "a"}}]})
    assert reply == ("reply", None)


def test_mutations_are_cut_into_runs_of_one_thing(world: World) -> None:
    one = world.connect()
    world.query(one, ".a = {}; .b = {}; nil")
    a, b = (world.engine.collections["stuff"].root.get(name).id for name in "ab")
    world.watch(one, a)
    one.taken()
    world.query(one, ".a.x = 1; .b.x = 2; .a.y = 3; nil")
    assert [data["jobs"] for name, data in one.taken() if name == "update"] == [
        [{"set": {"x": 1}}],
        [{"set": {"y": 3}}],
    ]
    assert b not in world.hub.things


def test_a_failing_query_tells_what_it_did(world: World) -> None:
    one = world.connect()
    world.watch(one, world.root)
    one.taken()
    world.query(one, ".x = 1; .y = 1 / 0;")
    assert kinds(one.taken()) == ["update", "reply"]


def test_an_event_is_encoded_once_for_all_watchers(world: World) -> None:
    connections = [world.connect() for _ in range(50)]
    for connection in connections:
        world.watch(connection, world.root)
        connection.taken()
    world.form.encoded = 0
    world.query(connections[0], ".x = 1; nil")
    assert world.form.encoded == 1
    frames = [connection.out[0] for connection in connections]
    assert all(frame is frames[0] for frame in frames)


def test_init_order_warnings_and_repetition(world: World) -> None:
    one = world.connect()
    world.query(one, ".a = {}; nil")
    a = world.engine.collections["stuff"].root.get("a").id
    one.taken()
    world.watch(one, a, 99, world.root, a)
    assert [(name, data.get("thing", {}).get("#")) for name, data in one.taken()] == [
        ("init", a), ("init", world.root), ("warning", None), ("init", a),
    ]  # fmt: skip
    world.query(one, ".a.n = 1; nil")
    assert kinds(one.taken()) == ["update", "reply"]


def test_unwatch_stops_once(world: World) -> None:
    one = world.connect()
    world.watch(one, world.root)
    one.taken()
    world.requests.unwatch(one, "//stuff", [world.root, world.root, 77]).events()
    assert one.taken() == [("stop", {"#": world.root})]
    world.query(one, ".x = 1; nil")
    assert kinds(one.taken()) == ["reply"]
    assert not world.hub.things


def test_what_is_gone_is_told_last_and_the_owner_first(world: World) -> None:
    one = world.connect()
    world.query(one, ".a = {b: {}}; nil")
    a = world.engine.collections["stuff"].root.get("a")
    ids = [a.id, a.get("b").id]
    del a
    world.watch(one, *ids, world.root)
    one.taken()
    world.query(one, ".a = nil;")
    assert one.taken()[-3:] == [("reply", None), ("delete", {"#": ids[0]}), ("delete", {"#": ids[1]})]
    assert list(world.hub.things) == [world.root]


@pytest.mark.parametrize(
    ("scope", "ids", "error"),
    [
        ("stuff", [1], ValueFailed),
        ("@thingsdb", [1], LookupFailed),
        ("//nothing", [1], LookupFailed),
        ("@n:5", [], LookupFailed),
        ("//stuff", [1, "1"], BadDataError),
        ("//stuff", [True], BadDataError),
        ("//stuff", [1.0], BadDataError),
    ],
)
def test_a_refused_request_subscribes_nothing(world: World, scope: str, ids: list[Any], error: type) -> None:
    one = world.connect()
    with pytest.raises(error):
        world.watch(one, *ids, scope=scope)
    assert not world.hub.things and not one.out


def test_a_collection_can_be_named_by_its_id(world: World) -> None:
    one = world.connect()
    world.watch(one, world.root, scope=f"@c:{world.engine.collections['stuff'].id}")
    assert kinds(one.taken()) == ["init"]


def test_watching_needs_the_join_right_alone(world: World) -> None:
    world.user("reader", QUERY)
    world.user("watcher", JOIN)
    with pytest.raises(ForbiddenError):
        world.watch(world.connect("reader"), world.root)
    watcher = world.connect("watcher")
    world.watch(watcher, world.root)
    assert kinds(watcher.taken()) == ["init"]


def test_a_lost_right_ends_the_watch_with_a_stop(world: World) -> None:
    user = world.user("guest", FULL)
    one, guest = world.connect(), world.connect("guest")
    world.watch(guest, world.root)
    guest.taken()
    world.engine.collections["stuff"].access[user.id] = QUERY
    world.engine.rights_version += 1
    world.query(one, "nil")
    world.query(one, ".x = 1; nil")
    assert guest.taken() == [("stop", {"#": world.root})]


def test_a_dropped_connection_leaves_nothing_behind(world: World) -> None:
    one = world.connect()
    world.watch(one, world.root)
    world.requests.watch(one, "@n", [])
    world.hub.drop(one)
    assert not world.hub.things and not world.hub.node.members and not world.hub._watched
