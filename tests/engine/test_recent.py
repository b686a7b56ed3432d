"""The record of recent changes: what it says has changed, has; what it says has not, has not."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.engine import Engine
from engine.recent import BORN, DEFINITIONS, EVERYTHING, EXTENT, SERVER, TASKS, Recent
from engine.snapshot import initial
from engine.store import Retention
from engine.store.memory import MemoryStore
from tests.conftest import Admin
from tests.things import test_programs as plain


class World:
    """An engine over a store in memory."""

    def __init__(self, store: MemoryStore | None = None) -> None:
        self.store = store or MemoryStore()
        self.now = 1000.0
        self.engine = Engine(clock=lambda: self.now, seed=1)
        self.engine.open(self.store)
        self.stuff = self.engine.collections["stuff"]

    def query(self, code: str, scope: str = "//stuff") -> int:
        """Run it; the id of the last change."""
        outcome = self.engine.query(Admin(self.engine), scope, code)
        for part in (outcome, *(outcome.more or ())):
            if part.change is not None:
                self.store.write_batch(part.change.id, [part.change.packed], self.now)
        return self.engine.last_change

    def changed(self, change: int, *keys: Any) -> bool | None:
        return self.engine.recent.changed_since(keys, change)


@pytest.fixture
def world() -> World:
    return World()


def test_a_thing_has_changed_since_the_changes_before_its_last_one(world: World) -> None:
    one = world.query(".a = {n: 1}; .b = {}; nil")
    two = world.query(".a.n = 2")
    three = world.query(".b.n = 2")
    assert [world.changed(one, which) for which in (1, 2, 3)] == [False, True, True]
    assert [world.changed(two, which) for which in (1, 2, 3)] == [False, False, True]
    assert [world.changed(three, which) for which in (1, 2, 3)] == [False, False, False]
    assert world.changed(two, 1, 2) is False
    assert world.changed(two, 2, 3) is True
    assert world.changed(0, 2) is True
    assert world.changed(three + 1, 2) is None
    assert world.changed(-1, 2) is None


def test_what_came_or_went_has_changed(world: World) -> None:
    one = world.query(".a = {}; nil")
    two = world.query(".b = {}; nil")
    assert world.changed(one, 3) is True
    assert world.changed(two, 3) is False
    assert world.changed(one, -3, -2) is True
    assert world.changed(one, 2, -2, 9, -9) is False
    world.query(".del('a'); nil")
    assert world.changed(two, 2) is True
    assert world.changed(two, -2) is True
    assert world.changed(two + 1, 2) is False


def test_an_emitted_event_is_no_change(world: World) -> None:
    one = world.query(".a = {}; nil")
    world.query(".a.emit('x'); wse(nil)")
    assert world.changed(one, 2) is False


def test_what_is_no_thing(world: World) -> None:
    stuff = world.stuff.id
    one = world.query("set_type('T', {n: 'int'}); .t = T{}; nil")
    two = world.query(".x = 1")
    assert world.changed(two - 1, (EVERYTHING, stuff)) is True
    assert world.changed(one, (DEFINITIONS, stuff), (TASKS, stuff), (BORN, stuff), (EXTENT, stuff, 0), SERVER) is False
    world.query(".u = T{}; nil")
    assert world.changed(two, (EXTENT, stuff, 0)) is True
    three = world.query("mod_type('T', 'add', 'm', 'int', 5); nil")
    assert world.changed(three - 1, (DEFINITIONS, stuff)) is True
    assert world.changed(three - 1, 2) is True
    assert world.changed(three - 1, 1) is False
    world.query("new_user('u')", "@t")
    assert world.changed(three, SERVER) is True
    assert world.changed(three, (DEFINITIONS, stuff)) is False


@pytest.mark.parametrize("bound", [{"max_changes": 3}, {"max_bytes": 2000}, {"max_age": 2.5}])
def test_what_is_older_than_the_bounds_is_not_known(world: World, bound: dict[str, Any]) -> None:
    recent = world.engine.recent = Recent(**bound)
    for n in range(40):
        world.now += 1
        world.query(f".n = {n}; .t = {{}}; nil")
    first, last = recent.first, recent.last
    assert (last, first > 30) == (40, True)
    assert world.changed(first - 2, 1) is None
    assert world.changed(first - 1, 1) is True
    assert world.changed(first - 1, 2) is False
    assert world.changed(last, 1) is False
    assert len(recent._touched) < 40
    assert [change_id for change_id, *_ in recent.after(last - 2)] == [last - 1, last]


def test_a_change_larger_than_the_bound_leaves_nothing(world: World) -> None:
    recent = world.engine.recent = Recent(max_bytes=100)
    world.query(f".s = '{'x' * 1000}'")
    assert (recent.first, recent.last, recent._size, recent._touched) == (2, 1, 0, {})
    assert world.changed(1, 1) is False
    assert world.changed(0, 1) is None


@pytest.mark.parametrize("checkpoint", [None, 0, 2, 5])
def test_a_start_begins_with_the_tail_of_the_log(world: World, checkpoint: int | None) -> None:
    for n in range(5):
        if n == checkpoint:
            world.store.write_checkpoint(world.engine.checkpoint())
        world.query(f".a{n} = {{}}; nil")
    if checkpoint == 5:
        world.store.write_checkpoint(world.engine.checkpoint())
    again = World(world.store)
    assert again.engine.recent.last == 5
    for change in range(2, 6):
        for thing in range(2, 7):
            assert again.changed(change, thing) is (thing > change + 1)
        assert again.changed(change, 1) is (change < 5)
    assert again.changed(0, 1) in (None, True)


def test_a_start_knows_nothing_of_what_the_log_does_not_keep(world: World) -> None:
    for n in range(5):
        world.query(f".n = {n}")
    world.store.write_checkpoint(world.engine.checkpoint())
    world.store.trim(Retention(max_changes=2), world.now)
    again = World(world.store)
    assert [again.changed(change, 1) for change in (2, 3, 4, 5)] == [None, None, True, False]
    world.store.trim(Retention(max_changes=0), world.now)
    again = World(world.store)
    assert [again.changed(change, 1) for change in (4, 5, 6)] == [None, False, None]
    again.query(".n = 6")
    assert [again.changed(change, 1) for change in (4, 5, 6)] == [None, True, False]


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.lists(plain.statements, min_size=1, max_size=4), min_size=2, max_size=8), st.booleans())
def test_what_has_not_changed_is_the_same(programs: list[list[str]], again: bool) -> None:
    world = World()
    world.query(plain.START)
    states: dict[int, dict[int, Any]] = {}
    for lines in programs:
        text = "a = {s: set({})}; b = {p: a, l: [a, 2], s: set(a, {})}; c = thing(); "
        world.query(text + "; ".join(f"try({{{line}}})" for line in lines) + "; nil")
        states[world.engine.last_change] = state(world)
    if again:
        world = World(world.store)
    now = state(world)
    for change, then in states.items():
        for thing_id in range(1, world.engine.next_id):
            changed = world.changed(change, thing_id)
            assert changed is not None
            if not changed:
                assert then.get(thing_id) == now.get(thing_id)


def state(world: World) -> dict[int, Any]:
    """What each thing holds."""
    return {thing.id: repr(initial(thing, world.stuff)) for thing in world.stuff.things()}
