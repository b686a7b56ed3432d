"""Random programs: what is recorded, saved and counted agrees with what they leave behind."""

from __future__ import annotations

import gc
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.engine import Engine
from engine.replay import Replay
from engine.store.memory import MemoryStore
from engine.values.thing import Instance, Thing
from tests.conftest import Admin
from tests.things.state import stored

START = """
    .p = {p: {s: set({})}, q: {l: [1]}, s: set({}, {}), l: [{}, 1]};
    .q = {s: set(.p), l: [.p, {}]};
    .s = set(.p, .q, {});
    .l = [.p, [{}], 2];
"""

names = st.sampled_from(["p", "q", "r"])
keys = st.sampled_from(["p", "q", "r", "s", "l", "k k", "é", ""])
things = st.one_of(
    st.sampled_from(["root()", "a", "b", "c", ".p", ".q", ".p.p", ".p.q", ".q.p", ".s.one()", ".l[0]", "a.p", "b.p"]),
    st.builds(".{}.{}".format, names, names),
)
sets = st.one_of(st.sampled_from([".s", "b.s", ".p.s", ".q.s", "a.s"]), st.builds("{}.s".format, things))
lists = st.one_of(st.sampled_from([".l", "b.l", ".p.l", ".q.l", "a.l"]), st.builds("{}.l".format, things))
values = st.one_of(
    st.sampled_from(
        [
            "1", "nil", "2.5", "'text'", "bytes('x')", "{}", "{x: 1, y: {}}", "{s: set({}), l: [{}, [{}]]}", "[]",
            "[1, {}, [a, [b]]]", "set()", "set({}, a)", "set(.p, .q)", "|x| x + 1", "err()",
            "json_load('{\"z\": 1, \"y y\": [{\"x\": 2}]}')", "{}.restrict('thing')", "a.copy(3)", "b.dup(2)",
            "c.filter(|k| k != 'p')", ".map(|k, v| v)", ".values()",
        ]
    ),
    things,
    sets,
    lists,
)  # fmt: skip
statements = st.one_of(
    st.builds("{}.{} = {}".format, things, names, values),
    st.builds("{} = {}".format, sets, sets),
    st.builds("{} = {}".format, lists, lists),
    st.builds("{}['{}'] = {}".format, things, keys, values),
    st.builds("{}.set('{}', {})".format, things, keys, values),
    st.builds("{}.del('{}')".format, things, keys),
    st.builds("{}.ren('{}', '{}')".format, things, keys, keys),
    st.builds("wse({}.rename('{}', '{}'))".format, things, keys, keys),
    st.builds("wse({}.unset('{}'))".format, things, keys),
    st.builds("{}.assign({})".format, things, things),
    st.builds("{}.clear()".format, things),
    st.builds("{}.clear()".format, sets),
    st.builds("{}.remove(|k, v| v == {}, {})".format, things, values, st.integers(-1, 2)),
    st.builds("{}.remove(|k| k > 'p')".format, things),
    st.builds("{}.restrict({})".format, things, st.sampled_from(["'int'", "'thing'", "'{}'", "nil"])),
    st.builds("{}.add({}, {})".format, sets, things, things),
    st.builds("{}.remove({})".format, sets, things),
    st.builds("{}.remove(|t| t.len(), {})".format, sets, st.integers(-1, 2)),
    st.builds("{} {}= set({}, {{}})".format, sets, st.sampled_from("|&^-"), things),
    st.builds("{}[0] = {}".format, lists, values),
    st.builds("{}[0:1] = [{}, {}]".format, lists, values, values),
    st.builds("{}.push({})".format, lists, values),
    st.builds("a = {}".format, things),
    st.builds("b = {}.del('{}')".format, things, names),
    st.builds("c = {}".format, things),
    st.builds("{}.emit('event', {})".format, things, values),
    st.builds("{}.{} = {}; raise('stop')".format, things, names, values),
)
queries = st.lists(statements, min_size=1, max_size=8).map(
    lambda lines: (
        "a = {s: set({})}; b = {p: a, l: [a, 2], s: set(a, {})}; c = thing(); "
        + "; ".join(f"try({{{line}}})" for line in lines)
    )
)
programs = st.lists(queries, min_size=1, max_size=6).map(lambda queries: [START, *queries])


def fresh() -> Engine:
    engine = Engine(clock=lambda: 1_500_000_000.0, seed=1)
    engine.initialise()
    return engine


def run(engine: Engine, program: list[str]) -> list[Any]:
    """Run the queries; their outcomes. Nothing may fail but the statements, each in its `try`."""
    admin = Admin(engine)
    outcomes = []
    for text in program:
        outcome = engine.query(admin, "//stuff", text)
        assert outcome.error is None, (text, outcome.error)
        assert not engine.gone
        outcomes.append(outcome)
    return outcomes


slow = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@slow
@given(programs)
def test_recorded_mutations_give_the_state(program: list[str]) -> None:
    engine, replica = fresh(), fresh()
    replay = Replay(replica)
    for text in program:
        before = engine.next_id
        known = set(stored(engine))
        (outcome,) = run(engine, [text])
        if outcome.change is not None:
            replay.apply(outcome.change.packed)
        now = stored(engine)
        assert stored(replica) == now
        assert replica.next_id == engine.next_id
        assert all(thing_id >= before for thing_id in now.keys() - known)  # no id is used again
        assert set(outcome.deleted or ()) >= known - now.keys()  # what is gone is told
        assert not set(outcome.deleted or ()) & now.keys()


@slow
@given(programs)
def test_garbage_goes_alike_everywhere(program: list[str]) -> None:
    engine, replica = fresh(), fresh()
    replay = Replay(replica)
    for text in program:
        (outcome,) = run(engine, [text])
        if outcome.change is not None:
            replay.apply(outcome.change.packed)
        swept = engine.garbage.step(limit=3)
        if swept is not None:
            replay.apply(swept.change.packed)
    for _ in range(2):  # the search under way does not find what became unreachable after it began
        begun = False
        while engine.garbage.busy or not begun:
            begun = True
            before = set(stored(engine))
            swept = engine.collect_garbage()
            if swept is not None:
                replay.apply(swept.change.packed)
                assert set(swept.deleted) == before - set(stored(engine))
    assert stored(replica) == stored(engine)
    assert set(stored(engine)) == reachable(engine)


@slow
@given(programs, st.integers(0, 6))
def test_saved_state_is_the_state(program: list[str], checkpoints: int) -> None:
    engine = Engine(clock=lambda: 1_500_000_000.0, seed=1)
    store = MemoryStore()
    engine.open(store)
    for number, text in enumerate(program):
        (outcome,) = run(engine, [text])
        if outcome.change is not None:
            store.write_batch(outcome.change.id, [outcome.change.packed], outcome.change.at)
        if number < checkpoints:
            store.write_checkpoint(engine.checkpoint())
    loaded = Engine(clock=lambda: 1_500_000_000.0, seed=1)
    loaded.open(store)
    assert stored(loaded) == stored(engine)
    assert loaded.next_id == engine.next_id


@slow
@given(programs)
def test_nothing_is_left_over(program: list[str]) -> None:
    gc.unfreeze()
    before = {id(thing) for thing in gc.get_objects() if isinstance(thing, Thing)}
    engine = fresh()
    run(engine, program)
    left = [
        thing
        for thing in gc.get_objects()
        if isinstance(thing, Thing | Instance) and id(thing) not in before and not thing.id
    ]
    assert not left


def reachable(engine: Engine) -> set[int]:
    """The ids of all things that can be reached from the root."""
    found: set[int] = set()
    stack: list[Any] = [engine.collections["stuff"].root]
    while stack:
        value = stack.pop()
        if isinstance(value, Thing):
            if value.id not in found:
                found.add(value.id)
                stack += value.values()
        elif hasattr(value, "__iter__") and not isinstance(value, str | bytes):
            stack += value
    return found
