"""Things as dicts that the events of a watch keep: they are what the server has."""

from __future__ import annotations

import asyncio
from typing import Any

import msgpack
from hypothesis import HealthCheck, given, settings
from livethings import Change, Database, Delete, Init, Stop, Update, apply, tree

from tests.server.fakes import within
from tests.things import test_programs as plain
from tests.watch import test_deep, test_mirrors
from watch.events import WATCH_DELETE, WATCH_INIT, WATCH_STOP, WATCH_UPDATE


class Keeping(test_mirrors.Connection):
    """A connection whose events are applied."""

    def __init__(self, user: Any) -> None:
        super().__init__(user)
        self.things: dict[int, dict[str, Any]] = {}

    def read(self) -> list[tuple[int, Any]]:
        frames = list(self.out)
        events = super().read()
        for frame in frames:
            event = event_of(frame[0], msgpack.unpackb(frame[1:], strict_map_key=False))
            if event is not None:
                apply(event, self.things)
        return events


def event_of(kind: int, data: Any) -> Change | None:
    if kind == WATCH_INIT:
        return Init(data["thing"]["#"], data["event"], data["thing"], data["collection"])
    if kind == WATCH_UPDATE:
        return Update(data["#"], data["event"], data["jobs"])
    if kind in (WATCH_DELETE, WATCH_STOP):
        return (Delete if kind == WATCH_DELETE else Stop)(data["#"], data.get("event"))
    return None


class KeepingWorld(test_deep.DeepWorld):
    def __init__(self, start: str) -> None:
        super().__init__(start, exact=True)
        self.connections = [Keeping(one.user) for one in self.connections]

    def check(self) -> None:
        super().check()
        for one in self.connections:
            assert isinstance(one, Keeping)
            kept = {
                thing_id: {name: test_mirrors.known(value) for name, value in properties.items()}
                for thing_id, properties in one.things.items()
            }
            assert kept == {thing_id: mirror.properties for thing_id, mirror in one.mirrors.items()}


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(test_deep.deep_steps(test_mirrors.attempts(plain.statements, test_deep.START_OF_THINGS)))
def test_what_is_kept_is_what_is_in_reach(program: list[tuple[str, int, Any]]) -> None:
    world = KeepingWorld(plain.START)
    world.step("deep", 0, ([0], 3))
    for step in program:
        world.step(*step)


def test_jobs_on_instances_and_other_values() -> None:
    things: dict[int, dict[str, Any]] = {}
    apply(Init(1, 1, {"#": 1, "a": {"%": [2, 0]}, "gone": 1}, "stuff"), things)
    new: dict[str, Any] = {".": 3, "#": 7, "": [1, {"#": 8}]}
    apply(Update(1, 2, [{"set": {"b": [new, [new]]}}, {"del": "gone"}, {"event": ["x", 1]}]), things)
    apply(Update(1, 3, [{"set": {"w": {"&": [3, {"#": 9, "n": 1}]}}}, {"set": {"s": {"$": [new]}}}]), things)
    assert things == {
        1: {
            "a": {"%": [2, 0]},
            "b": [{"#": 7}, [{"#": 7}]],
            "w": {"&": [3, {"#": 9}]},
            "s": {"$": [{"#": 7}]},
        }
    }
    apply(Update(99, 4, [{"set": {"x": 1}}]), things)  # an event of a watch that has ended
    apply(Stop(1, 4), things)
    apply(Delete(1), things)
    assert things == {}


def test_a_tree_has_cycles_and_what_is_out_of_reach_as_references() -> None:
    things: dict[int, dict[str, Any]] = {
        1: {"a": {"#": 2}, "l": [{"#": 2}, {"#": 9}], "s": {"$": [{"#": 3}]}},
        2: {"up": {"#": 1}, "w": {"&": [4, {"#": 3}]}},
        3: {"n": 1},
    }
    two = {"#": 2, "up": {"#": 1}, "w": {"#": 3, "n": 1}}
    assert tree(things, 1) == {"#": 1, "a": two, "l": [two, {"#": 9}], "s": [{"#": 3, "n": 1}]}
    assert tree(things, 5) == {"#": 5}


async def test_a_list_of_what_is_to_do(db: Database) -> None:
    root = await db.query("//stuff", ".id()")
    await db.query("//stuff", ".lists = [{name: 'home', todos: [{text: 'milk', done: false}]}]")
    things: dict[int, dict[str, Any]] = {}
    changed = asyncio.Condition()

    async def follow() -> None:
        async for event in db.watch("//stuff", deep=3):
            async with changed:
                apply(event, things)
                changed.notify_all()

    following = asyncio.create_task(follow())

    async def until(*expected: tuple[str, bool]) -> None:
        def todos() -> Any:
            lists = tree(things, root).get("lists") or [{}]
            return [(todo.get("text"), todo.get("done")) for todo in lists[0].get("todos", [])]

        async with changed:
            await within(changed.wait_for(lambda: todos() == list(expected)))

    await until(("milk", False))
    await db.query("//stuff", ".lists[0].todos.push({text: 'bread', done: false}); nil")
    await until(("milk", False), ("bread", False))
    await db.query("//stuff", ".lists[0].todos[0].done = true; nil")
    await until(("milk", True), ("bread", False))
    await db.query("//stuff", ".lists[0].todos.remove(|todo| todo.done); nil")
    await until(("bread", False))
    await db.query("//stuff", ".del('lists'); nil")
    async with changed:
        await within(changed.wait_for(lambda: things.keys() == {root}))
    following.cancel()
