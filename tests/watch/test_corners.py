"""Where what the protocol asks for, what clients can follow, and what a change did have to be made to agree."""

from __future__ import annotations

from typing import Any

import pytest

from engine.users import FULL, JOIN, QUERY, RUN
from tests.watch.test_hub import Connection, World, kinds


@pytest.fixture
def world() -> World:
    return World()


def updates(events: list[Any], thing_id: int) -> list[Any]:
    """The jobs of the updates of a thing, an update a list."""
    return [data["jobs"] for name, data in events if name == "update" and data["#"] == thing_id]


def instance(world: World, one: Connection) -> int:
    world.query(one, "set_type('T', {n: 'int', m: 'int'}); .i = T{n: 1, m: 2}; nil")
    thing_id: int = world.query(one, ".i.id()")
    world.watch(one, thing_id)
    one.taken()
    return thing_id


def test_what_a_query_did_to_an_instance_comes_before_what_a_change_of_its_type_did(world: World) -> None:
    one = world.connect()
    thing_id = instance(world, one)
    world.query(one, ".i.n = 5; .x = 1; .i.m = 6; mod_type('T', 'del', 'm'); .i.n = 7; nil")
    events = one.taken()
    assert updates(events, thing_id) == [
        [{"set": {"n": 5}}, {"set": {"m": 6}}],
        [{"del": "m"}],
        [{"set": {"n": 7}}],
    ]
    assert kinds(events)[-1] == "reply"


def test_watching_between_changes_of_a_type(world: World) -> None:
    one, other = world.connect(), world.connect()
    thing_id = instance(world, one)
    world.query(other, ".i.n = 5; .i.watch(); mod_type('T', 'del', 'm'); mod_type('T', 'add', 'k', 'int'); nil")
    init = other.taken()[0][1]
    assert init["thing"] == {"#": thing_id, "n": 5, "m": 2}
    assert updates(one.taken(), thing_id) == [[{"set": {"n": 5}}], [{"del": "m"}], [{"set": {"k": 0}}]]
    world.query(other, ".i.n = 6; .i.watch(); .i.n = 7; mod_type('T', 'del', 'k'); nil")
    assert [(name, data.get("jobs")) for name, data in other.taken()[:-1]] == [
        ("init", None),
        ("update", [{"set": {"n": 7}}]),
        ("update", [{"del": "k"}]),
    ]


def test_a_collection_that_is_deleted_is_told_before_the_reply_the_root_first(world: World) -> None:
    one = world.connect()
    ids = world.query(one, ".a = {}; .b = {}; [.a.id(), .b.id()]")
    world.watch(one, *ids, world.root)
    one.taken()
    root = world.root
    world.query(one, "del_collection('stuff')", "@t")
    events = one.taken()
    assert kinds(events) == ["delete", "delete", "delete", "reply"]
    assert events[0][1] == {"#": root}
    assert not world.hub.things


def test_an_import_is_a_new_first_state(world: World) -> None:
    one = world.connect()
    dump = world.query(one, ".a = 1; new_procedure('f', || 1); nil") or world.query(one, "export({dump: true})")
    world.query(one, "new_collection('copy')", "@t")
    copy = world.engine.collections["copy"].root.id
    world.watch(one, copy, scope="//copy")
    one.taken()
    world.query(one, "import(dump); .b = 2; nil", "//copy", {"dump": dump})
    init, update, reply = one.taken()
    assert init[1]["thing"] == {"#": copy, "a": 1}
    assert init[1]["procedures"][0]["name"] == "f"
    assert update[1]["jobs"] == [{"set": {"b": 2}}]
    assert init[1]["event"] == update[1]["event"] - 1
    assert reply == ("reply", None)


def test_who_misses_an_update_is_told_that_the_watch_is_over(world: World, caplog: pytest.LogCaptureFixture) -> None:
    one, other = world.connect(), world.connect()
    world.query(one, ".a = {}; .b = {}; nil")
    a, b = (world.query(one, f".{name}.id()") for name in "ab")
    world.watch(one, a, b)
    world.watch(other, a)
    one.taken(), other.taken()
    encode = world.form.event

    def fail(kind: int, data: Any) -> bytes:
        if data.get("jobs") == [{"set": {"x": 1}}]:
            raise ValueError("no form for it")
        return encode(kind, data)

    world.form.event = fail  # type: ignore[method-assign]
    world.query(one, ".a.x = 1; .b.y = 2; nil")
    assert kinds(one.taken()) == ["stop", "update", "reply"]
    assert other.taken() == [("stop", {"#": a})]
    assert "could not be encoded" in caplog.text
    world.query(one, ".a.y = 3; nil")
    assert not other.taken()


def test_a_procedure_that_watches_needs_the_right_to_run_only(world: World) -> None:
    admin = world.connect()
    world.query(admin, "new_procedure('follow', || root().watch()); nil")
    user = world.user("runner", RUN)
    runner = world.connect("runner")
    outcome = world.engine.run(runner, "//stuff", "follow", [])
    world.hub.before_reply(outcome, runner)
    assert kinds(runner.taken()) == ["init"]
    access = world.engine.collections["stuff"].access
    access[world.user("other", FULL).id] = 0
    world.engine.rights_version += 1
    world.query(admin, ".x = 1; nil")
    assert kinds(runner.taken()) == ["update"]
    access[user.id] = 0
    world.engine.rights_version += 1
    world.query(admin, ".x = 2; nil")
    assert kinds(runner.taken()) == ["update", "stop"]


def test_who_loses_the_right_to_the_node_gets_its_status_like_others(world: World) -> None:
    user = world.user("operator", QUERY)
    world.engine.node.access[user.id] = JOIN
    operator = world.connect("operator")
    world.requests.watch(operator, "@n", [])
    assert world.hub.watches_node(operator)
    world.engine.node.access[user.id] = QUERY
    world.engine.rights_version += 1
    world.query(world.connect(), "nil")
    assert not world.hub.watches_node(operator)


def test_what_a_procedure_let_go_is_told_though_it_came_as_an_argument(world: World) -> None:
    one = world.connect()
    world.query(one, "new_procedure('pass', |a| {.x = a; .x.watch(); .x.n = 2; .del('x'); nil}); nil")
    one.taken()
    for arguments in [{"n": 1}], {"a": {"n": 1}}:
        outcome = world.engine.run(one, "//stuff", "pass", arguments)
        world.hub.before_reply(outcome, one)
        world.hub.after_reply(outcome)
        assert kinds(one.taken()) == ["init", "update", "delete"]
    outcome = world.engine.query(one, "//stuff", ".x = a; .x.watch(); .del('x'); nil", {"a": {"n": 1}})
    world.hub.before_reply(outcome, one)
    world.hub.after_reply(outcome)
    assert kinds(one.taken()) == ["init", "delete"]
