"""Unreachable things are found, in small steps, however queries come in between; nothing else goes."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable
from typing import Any

from engine.engine import Engine
from engine.outcome import Outcome
from engine.replay import Replay
from tests.conftest import Admin
from tests.things.state import stored

Query = Callable[..., Any]


def collect(engine: Engine, limit: int = 10_000) -> list[Outcome]:
    """A whole search; what it announced."""
    outcomes = [engine.garbage.step(limit)]
    while engine.garbage.busy:
        outcomes.append(engine.garbage.step(limit))
    return [outcome for outcome in outcomes if outcome is not None]


def test_a_cycle_goes_when_it_is_found(query: Query, engine: Engine) -> None:
    query(".a = {l: [{}]}; .a.b = {up: .a, s: set({})}; .del('a'); nil")
    assert query("thing(2).b.up.id()") == 2
    (outcome,) = collect(engine)
    assert outcome.error is None
    assert outcome.deleted == [2, 3, 4, 5]
    assert outcome.change.mutations == [(1, {"sweep": [2, 3, 4, 5]})]
    assert stored(engine) == {1: [False, None, []]}
    assert not engine.gone


def test_what_a_cycle_held_stays_where_something_else_holds_it(query: Query, engine: Engine) -> None:
    query(".a = {n: 1}; .a.me = .a; .a.kept = {m: 2}; .k = .a.kept; .l = [[.a.kept]]; .del('a'); nil")
    (outcome,) = collect(engine)
    assert outcome.deleted == [2]
    assert query("thing(3).m") == 2


def test_members_of_enums_and_what_they_hold_stay(query: Query, outcome: Query, engine: Engine) -> None:
    query("set_enum('E', {A: {l: [{}]}, B: {}}); .a = {e: E{B}}; E{A}.value().me = E{A}.value(); nil")
    before = stored(engine)
    assert len(before) == 5
    assert collect(engine) == []
    assert stored(engine) == before
    assert sorted(outcome(".a = nil; del_enum('E')").deleted) == sorted(before.keys() - {1, 2, 3})
    assert [outcome.deleted for outcome in collect(engine)] == [[2, 3]]


def test_what_only_the_root_reaches_through_others_stays(query: Query, engine: Engine) -> None:
    query(".a = {}; .a.me = .a; .b = {l: [[set(.a)]]}; .s = set({t: {u: {}}}); .f = |x| x; .r = /x/; .e = err(); nil")
    before = stored(engine)
    assert collect(engine) == []
    assert stored(engine) == before


def test_nothing_is_searched_where_nothing_changed(query: Query, engine: Engine) -> None:
    query(".a = {}; .a.me = .a; .del('a'); nil")
    assert len(collect(engine)) == 1
    assert engine.collect_garbage() is None
    assert not engine.garbage.busy
    query("thing(1).id()")
    assert engine.collect_garbage() is None
    assert not engine.garbage.busy
    query(".n = 1")
    assert engine.collect_garbage() is None
    assert engine.garbage.busy


def test_what_is_found_by_its_id_may_be_stored_again(query: Query, engine: Engine) -> None:
    query(".a = {n: 7}; .a.me = .a; .del('a'); nil")
    query(".back = thing(2); nil")
    assert collect(engine) == []
    assert query(".back.n") == 7


def test_queries_between_steps(query: Query, engine: Engine) -> None:
    """What moves behind the back of the search, from where it did not look yet to where it looked already, is kept."""
    query(".a = {}; .z = {deep: {er: {n: 5}}}; .g = {}; .g.me = .g; .del('g'); nil")
    engine.garbage.step(1)
    search = engine.garbage.search
    assert search is not None
    found = None
    for _ in range(100):
        query(".a.x = .z.deep; .z.del('deep'); .del('z'); .z = {deep: .a.x}; .a.del('x'); nil")
        query("n = {}; n.new = .z.deep; .a.new = n; .z.del('deep'); nil")
        found = engine.garbage.step(1)
        if found is not None:
            break
        query(".z.deep = .a.new.new; .a.del('new'); nil")
    while found is None and engine.garbage.busy:
        found = engine.garbage.step(1)
    assert found is not None
    assert found.deleted == [6]
    assert query("root().search(thing(5), {deep: 9}).len()") == 1
    assert query("thing(5).n") == 5


def test_a_thing_that_goes_during_a_search_goes_at_once(query: Query, outcome: Query, engine: Engine) -> None:
    query(".a = {b: {c: {}}}; nil")
    for limit in range(1, 12):
        query(f".t{limit} = {{u: {{}}}}; .n = {limit}; nil")
        engine.garbage.step(limit)
        gone = outcome(f".del('t{limit}'); nil").deleted
        assert len(gone) == 2
    assert collect(engine, 1) == []


def test_collections_are_searched_one_after_the_other(query: Query, engine: Engine) -> None:
    query("new_collection('more')", scope="@t")
    query(".a = {}; .a.me = .a; .del('a'); nil")
    query(".b = {}; .b.me = .b; .del('b'); nil", scope="//more")
    outcomes = collect(engine)
    assert sorted(outcome.change.scope for outcome in outcomes) == sorted(
        collection.id for collection in engine.collections.values()
    )
    assert [outcome.deleted for outcome in outcomes] in ([[3], [4]], [[4], [3]])
    assert [outcome.change.id for outcome in outcomes] == [4, 5]


def test_a_collection_that_goes_during_the_search(query: Query, engine: Engine) -> None:
    query("new_collection('more')", scope="@t")
    query(".b = {}; .b.me = .b; .del('b'); nil", scope="//more")
    engine.garbage.step(1)
    query("del_collection('more')", scope="@t")
    assert collect(engine, 1) == []


def test_replay_removes_the_same(query: Query, outcome: Query, engine: Engine) -> None:
    replica = Engine(clock=lambda: 1_500_000_000.0, seed=1)
    replica.initialise()
    replay = Replay(replica)
    replay.apply(outcome(".a = {l: [{}]}; .a.me = .a; .k = .a.l[0]; .del('a'); nil").change.packed)
    assert 2 in stored(replica)
    (swept,) = collect(engine)
    replay.apply(swept.change.packed)
    assert stored(replica) == stored(engine)
    assert replica.last_change == engine.last_change


def test_a_step_is_bounded(query: Query, engine: Engine) -> None:
    query(".l = t; nil", {"t": [{"n": {}} for _ in range(500)]})
    steps = 1
    engine.garbage.step(10)
    while engine.garbage.busy:
        engine.garbage.step(10)
        steps += 1
    assert steps > 150


def test_gone_rooms_are_told(query: Query, engine: Engine) -> None:
    query(".a = {r: room()}; .a.me = .a; .del('a'); nil")
    (outcome,) = collect(engine)
    assert outcome.closed_rooms == [("@collection:stuff", 3)]


class Other:
    """An object that is no business of the engine."""

    def __init__(self) -> None:
        self.me = self


def test_the_collector_of_python_touches_no_thing(query: Query, engine: Engine) -> None:
    gc.collect()
    query(".keep = 1; nil")
    assert engine.garbage.step() is None  # the search is over with this
    query(".a = {}; .a.me = .a; .b = {}; .b.me = .b; .del('a'); nil")  # unreachable, but not found yet
    other = weakref.ref(Other())
    assert other() is not None
    while engine.garbage._tidy:
        engine.garbage.step()
    assert other() is None
    assert query("thing(2).me.id()") == 2
    (outcome,) = collect(engine)
    assert outcome.deleted == [2]


def test_nobody_may_see_a_thing_without_contents(engine: Engine) -> None:
    """Found things go whole: at no time between two steps is there a thing that lost what it held."""
    admin = Admin(engine)
    for number in range(20):
        text = ".a = {n: 1, b: {n: 2, c: {n: 3}}}; .a.b.c.up = .a; .k = {t: .a}; .del('a'); .del('k'); nil"
        engine.query(admin, "//stuff", text)
        engine.garbage.step(1 + number % 5)
        for thing in stored(engine).values():
            assert thing[2] == [] or thing[2][0][0] == "n" or thing[2][0][0] == "t"
    collect(engine, 3)  # the search under way, which does not look for what came after its beginning
    collect(engine, 3)
    assert len(stored(engine)) == 1


def test_arguments_of_tasks_stay(query: Query, outcome: Query, engine: Engine) -> None:
    query(".t = {l: [{}]}; .t.me = .t; .k = task(datetime(2100, 1, 1), |t, x| x, [[.t]]); .del('t'); nil")
    before = stored(engine)
    assert len(before) == 3
    assert collect(engine) == []
    query(".k.del(); .del('k'); nil")
    assert [outcome.deleted for outcome in collect(engine)] == [[2, 3]]


def test_what_is_wrapped_stays(query: Query, engine: Engine) -> None:
    query("set_type('Slim', {a: 'any'}, WPO); nil")
    query(".w = {a: {n: 1}}.wrap('Slim'); .l = [{a: {}}.wrap('Slim')]; nil")
    before = stored(engine)
    assert len(before) == 5
    assert collect(engine) == []
    assert stored(engine) == before
