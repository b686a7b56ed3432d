"""Presence without sockets: the list and the events after it are who is there."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.errors import AuthError, BadDataError, ForbiddenError, LookupFailed, OperationError
from engine.users import FULL, JOIN, QUERY
from tests.watch.test_hub import Connection, World


@pytest.fixture
def world() -> World:
    world = World()
    world.query(world.connect(), ".lobby = room(); .lobby.set_name('lobby'); .a = {}; nil")
    return world


def room(world: World, name: str = "lobby") -> int:
    number = world.engine.collections["stuff"].find_room(name).id
    assert type(number) is int
    return number


def ask(world: World, connection: Connection, **asked: Any) -> dict[str, Any]:
    return world.hub.presence.ask(connection, "//stuff", asked)


def join(world: World, connection: Connection, *rooms: Any) -> None:
    world.requests.join(connection, "//stuff", rooms or ["lobby"]).events()


def leave(world: World, connection: Connection, *rooms: Any) -> None:
    world.requests.leave(connection, "//stuff", rooms or ["lobby"]).events()


def told(connection: Connection) -> list[Any]:
    """Events of presence since the last look, each as its kind and the connection's number."""
    return [
        (name[9:], data.get("connection")) for name, data in connection.taken() if str(name).startswith("presence.")
    ]


def test_the_list_and_then_who_comes_and_goes(world: World) -> None:
    one, two, observer = world.connect(), world.connect(), world.connect()
    join(world, one)
    reply = ask(world, observer, room="lobby")
    assert reply == {"room": room(world), "connection": 2, "present": [{"connection": 1, "user": "admin"}]}
    join(world, two)
    join(world, two)
    leave(world, one)
    leave(world, one)
    head = {"scope": "@collection:stuff", "room": room(world)}
    assert observer.taken() == [
        ("presence.join", head | {"connection": 3, "user": "admin"}),
        ("presence.leave", head | {"connection": 1, "user": "admin"}),
    ]
    assert ask(world, observer, room=room(world))["present"] == [{"connection": 3, "user": "admin"}]
    world.hub.presence.end(observer, "//stuff", {"room": "lobby"})
    world.hub.presence.end(observer, "//stuff", {"room": "lobby"})
    world.hub.drop(two)
    assert told(observer) == []
    assert not world.hub.presence.observed


def test_a_watcher_is_there_once_however_it_came_to_watch(world: World) -> None:
    one, observer = world.connect(), world.connect()
    assert ask(world, observer, thing=world.root)["present"] == []
    world.watch(one, world.root)
    world.watch(one, world.root)
    world.query(one, ".watch(); nil")
    assert told(observer) == [("join", 2)]
    world.query(one, ".unwatch(); nil")
    world.hub.drop(one)
    assert told(observer) == [("leave", 2)]


def test_a_connection_is_told_of_itself_but_not_of_its_end(world: World) -> None:
    one = world.connect()
    ask(world, one, room="lobby")
    join(world, one)
    assert told(one) == [("join", 1)]
    world.hub.drop(one)
    assert told(one) == []
    presence = world.hub.presence
    assert not presence.observed and not presence._of and not presence._numbers


def test_what_is_gone_ends_it(world: World) -> None:
    one, observer = world.connect(), world.connect()
    thing = world.engine.collections["stuff"].root.get("a").id
    world.watch(one, thing)
    join(world, one)
    ask(world, observer, thing=thing)
    ask(world, observer, room="lobby")
    lobby = room(world)
    world.query(one, ".a = nil; .lobby = nil;")
    assert [data for name, data in observer.taken() if name == "presence.end"] == [
        {"scope": "@collection:stuff", "thing": thing},
        {"scope": "@collection:stuff", "room": lobby},
    ]
    assert not world.hub.presence.observed


def test_a_deleted_collection_ends_it(world: World) -> None:
    one, observer = world.connect(), world.connect()
    ask(world, observer, thing=world.root)
    ask(world, observer, room="lobby")
    world.query(one, "del_collection('stuff');", "@t")
    assert [name for name, _ in told(observer)] == ["end", "end"]
    assert not world.hub.presence.observed


@pytest.mark.parametrize(
    ("scope", "asked", "error"),
    [
        ("@t", {"room": 1}, LookupFailed),
        ("@n", {"room": 1}, LookupFailed),
        ("//nothing", {"room": 1}, LookupFailed),
        ("//stuff", {"room": "nowhere"}, LookupFailed),
        ("//stuff", {"thing": 99}, LookupFailed),
        ("//stuff", {"thing": "lobby"}, BadDataError),
        ("//stuff", {"room": True}, BadDataError),
        ("//stuff", {"room": 1, "thing": 1}, BadDataError),
        ("//stuff", {}, BadDataError),
        ("//stuff", None, BadDataError),
    ],
)
def test_a_refused_request_observes_nothing(world: World, scope: str, asked: Any, error: type) -> None:
    with pytest.raises(error):
        world.hub.presence.ask(world.connect(), scope, asked)
    assert not world.hub.presence.observed


def test_it_takes_the_right_to_join(world: World) -> None:
    world.user("reader", QUERY)
    guest = world.user("guest", JOIN)
    with pytest.raises(ForbiddenError):
        ask(world, world.connect("reader"), room="lobby")
    ask(world, world.connect("guest"), room="lobby")
    guest.whitelists["rooms"] = ["hall"]
    with pytest.raises(ForbiddenError):
        ask(world, world.connect("guest"), room="lobby")
    ask(world, world.connect("guest"), thing=world.root)
    nobody = world.connect()
    nobody.user = None  # type: ignore[assignment]
    with pytest.raises(AuthError):
        ask(world, nobody, room="lobby")


@pytest.mark.parametrize(
    "code", ["revoke('//stuff', 'guest', JOIN);", "whitelist_add('guest', 'rooms', 'hall');", "del_user('guest');"]
)
def test_who_loses_the_right_is_told_and_hears_no_more(world: World, code: str) -> None:
    world.user("guest", FULL)
    admin, guest = world.connect(), world.connect("guest")
    ask(world, guest, room="lobby")
    world.query(admin, code, "@t")
    join(world, admin)
    assert told(guest) == [("end", None)]


def test_a_login_as_somebody_else_is_told(world: World) -> None:
    guest, reader = world.user("guest", JOIN), world.user("reader", QUERY)
    one, observer = world.connect(), world.connect()
    join(world, one)
    ask(world, one, room="lobby")
    ask(world, observer, room="lobby")
    one.user = guest
    world.hub.user_changed(one, world.engine.users["admin"])
    assert [(name, data["user"]) for name, data in observer.taken()[-2:]] == [
        ("presence.leave", "admin"),
        ("presence.join", "guest"),
    ]
    assert told(one) == [("leave", 1), ("join", 1)]
    one.user = reader
    world.hub.user_changed(one, guest)
    assert told(one) == [("end", None)]


def test_the_bounds(world: World) -> None:
    world.hub.presence.per_connection = world.hub.presence.per_subject = 2
    one, two, three = (world.connect() for _ in range(3))
    world.query(one, ".b = {}; .c = {}; nil")
    a, b, c = (world.engine.collections["stuff"].root.get(name).id for name in "abc")
    ask(world, one, thing=a)
    ask(world, one, thing=b)
    ask(world, one, thing=b)
    with pytest.raises(OperationError):
        ask(world, one, thing=c)
    ask(world, two, thing=a)
    with pytest.raises(OperationError):
        ask(world, three, thing=a)
    world.hub.drop(one)
    ask(world, three, thing=a)


# --- any order -------------------------------------------------------------------------------------------------------

CONNECTIONS = 3

actions = st.tuples(
    st.integers(0, CONNECTIONS - 1),
    st.sampled_from(
        [
            "join",
            "leave",
            "watch",
            "watch in code",
            "unwatch",
            "ask room",
            "ask thing",
            "end",
            "drop",
            "renew",
            "revoke",
        ]
    ),
)


class Observer:
    """What a connection makes of what it is told."""

    def __init__(self, world: World) -> None:
        self.connection = world.connect("guest")
        self.sets: dict[str, dict[int, str]] = {}

    def asked(self, word: str, reply: dict[str, Any]) -> None:
        self.take()
        self.sets[word] = {entry["connection"]: entry["user"] for entry in reply["present"]}
        assert len(self.sets[word]) == len(reply["present"])

    def take(self) -> None:
        for name, data in self.connection.taken():
            if not str(name).startswith("presence."):
                continue
            word = "room" if "room" in data else "thing"
            if name == "presence.end":
                del self.sets[word]
            elif name == "presence.join":
                assert data["connection"] not in self.sets[word]
                self.sets[word][data["connection"]] = data["user"]
            else:
                assert self.sets[word].pop(data["connection"]) == data["user"]


@settings(max_examples=150, deadline=None)
@given(program=st.lists(actions, max_size=40))
def test_an_observers_set_is_the_truth(program: list[tuple[int, str]]) -> None:
    world = World()
    hub = world.hub
    world.user("guest", FULL)
    admin = world.connect()
    world.query(admin, ".lobby = room(); .lobby.set_name('lobby'); .r = room(); nil")
    observers = [Observer(world) for _ in range(CONNECTIONS)]
    for who, action in program:
        observer = observers[who]
        connection = observer.connection
        if action == "join":
            join(world, connection)
        elif action == "leave":
            leave(world, connection)
        elif action == "watch":
            world.watch(connection, world.root, world.root)
        elif action == "watch in code":
            world.query(connection, ".watch(); nil")
        elif action == "unwatch":
            world.requests.unwatch(connection, "//stuff", [world.root]).events()
        elif action == "ask room":
            observer.asked("room", ask(world, connection, room="lobby"))
        elif action == "ask thing":
            observer.asked("thing", ask(world, connection, thing=world.root))
        elif action == "end":
            observer.take()
            hub.presence.end(connection, "//stuff", {"room": "lobby"})
            observer.sets.pop("room", None)
        elif action == "drop":
            hub.drop(connection)
            observers[who] = Observer(world)
        elif action == "renew":
            world.query(admin, ".lobby = nil; .lobby = room(); .lobby.set_name('lobby'); nil")
        elif action == "revoke":
            world.query(admin, "revoke('//stuff', 'guest', JOIN); grant('//stuff', 'guest', JOIN);", "@t")
        numbers = hub.presence._numbers
        truth = {
            "room": {numbers.get(one) for one in getattr(hub.rooms.get(room(world)), "members", ())},
            "thing": {numbers.get(one) for one in getattr(hub.things.get(world.root), "members", ())},
        }
        for each in observers:
            each.take()
            for word, there in each.sets.items():
                assert there.keys() == truth[word]
    for each in observers:
        hub.drop(each.connection)
    presence = hub.presence
    assert not presence.observed and not presence._of and not presence._numbers
