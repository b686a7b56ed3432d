"""Random programs with instances of types, relations and members of enums: what they record gives what they leave."""

from __future__ import annotations

from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.engine import Engine
from engine.replay import Replay
from engine.store.memory import MemoryStore
from tests.things.state import stored
from tests.things.test_programs import fresh, reachable, run

START = """
    new_type('Dog'); new_type('Home');
    set_enum('Colour', {RED: {n: 1}, BLUE: {n: 2}});
    set_type('Dog', {
        name: 'str', age: 'int', home: 'Home?', pals: '{Dog}', toys: '[thing]', c: 'Colour', t: 'thing<int>',
    });
    set_type('Home', {dogs: '{Dog}', best: 'Dog?', any: 'any', other: 'Home?'});
    mod_type('Dog', 'rel', 'home', 'dogs');
    mod_type('Home', 'rel', 'other', 'other');
    .a = Dog{name: 'a'}; .b = Dog{}; .h = Home{}; .g = Home{}; .p = {dog: .a, s: set(.a, .b)};
    .h.dogs.add(.a);
"""

dogs = st.sampled_from(
    [".a", ".b", "Dog{name: 'new'}", ".h.best", ".p.dog", ".h.dogs.one()", "x", ".a.dup()", ".b.dup(3)"]
)
homes = st.sampled_from([".h", ".g", "Home{}", ".a.home", ".b.home", ".h.other", "y", "nil", ".g.copy()"])
plain = st.sampled_from(
    [".p", "{}", ".a.t", "z", ".p.t", "{a: 1}", ".a.copy(2)", "Colour{RED}.value()", ".p.vmap(|v| v)"]
)
lines = st.one_of(
    st.builds("{}.name = 'n'; {}.age += 2".format, dogs, dogs),
    st.builds("{}.home = {}".format, dogs, homes),
    st.builds("{}.other = {}".format, homes, homes),
    st.builds("{}.best = {}".format, homes, dogs),
    st.builds("{}.dogs.add({}, {})".format, homes, dogs, dogs),
    st.builds("{}.dogs.remove({})".format, homes, dogs),
    st.builds("{}.dogs.remove(|d| d.age > 1)".format, homes),
    st.builds("{}.dogs.clear()".format, homes),
    st.builds("{}.dogs {}= set({})".format, homes, st.sampled_from("|&^-"), dogs),
    st.builds("{}.dogs = {}.dogs".format, homes, homes),
    st.builds("{}.pals.add({})".format, dogs, dogs),
    st.builds("{}.pals |= set({}, {})".format, dogs, dogs, plain),
    st.builds("{}.toys.push({})".format, dogs, plain),
    st.builds("{}.toys = [{}]".format, dogs, plain),
    st.builds("{}.t = {}".format, dogs, plain),
    st.builds("{}.t.n = 5".format, dogs),
    st.builds("{}.c = Colour{{BLUE}}".format, dogs),
    st.builds("{}.any = {}".format, homes, st.one_of(dogs, homes, plain)),
    st.builds("{}.assign({{name: 'assigned', toys: [{}]}})".format, dogs, plain),
    st.builds("{}.dog = {}".format, plain, dogs),
    st.builds(".{} = {}".format, st.sampled_from("abp"), st.one_of(dogs, plain)),
    st.builds(".{} = {}".format, st.sampled_from("hg"), homes),
    st.builds(".del('{}')".format, st.sampled_from("abhgp")),
    st.builds("x = {}; y = {}; z = {}".format, dogs, homes, plain),
    st.builds("{}.to_type('Home')".format, plain),
    st.builds("wse({}.to_thing())".format, st.one_of(dogs, homes)),
    st.sampled_from(
        [
            "mod_type('Dog', 'add', 'extra', 'str', 'x')",
            "mod_type('Dog', 'add', 'twin', 'Dog?', |d| d)",
            "mod_type('Dog', 'add', 'box', 'thing', |d| {dog: d.name})",
            "mod_type('Dog', 'del', 'age')",
            "mod_type('Dog', 'ren', 'name', 'called')",
            "mod_type('Dog', 'mod', 'age', 'float', |d| float(d.age))",
            "mod_type('Dog', 'rel', 'home', nil)",
            "mod_type('Home', 'rel', 'dogs', 'home')",
            "mod_type('Home', 'add', 'run', |this| this.best)",
            "rename_type('Dog', 'Hound')",
            "rename_enum('Colour', 'Color')",
            "mod_enum('Colour', 'add', 'GREEN', {up: .a})",
            "mod_enum('Colour', 'mod', 'RED', {})",
            "mod_enum('Colour', 'del', 'BLUE')",
            "mod_enum('Colour', 'def', 'BLUE')",
            "del_enum('Colour')",
            "set_type('New', {n: 'int', dog: 'Dog?'}); .p = New{dog: .a}",
            "del_type('New')",
        ]
    ),
)  # fmt: skip
programs = st.lists(
    st.lists(lines, min_size=1, max_size=7).map(
        lambda lines: (
            "x = Dog{name: 'x'}; y = Home{}; z = {m: 1}; " + "; ".join(f"try({{{line}}})" for line in lines) + "; nil"
        )
    ),
    min_size=1,
    max_size=5,
)
slow = settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def definitions(engine: Engine) -> dict[str, Any]:
    """The types and enums, as watchers are told of them."""
    collection = engine.collections["stuff"]
    return {name: thing for name, thing in collection.initial_event(collection.root, 0).items() if name != "thing"}


def run_one(engine: Engine, text: str) -> Any:
    """Run a query; renamed types make the whole of it fail, which is fine."""
    from tests.conftest import Admin

    outcome = engine.query(Admin(engine), "//stuff", text)
    assert outcome.error is None or outcome.error.code != -1, (text, outcome.error)
    return outcome


@slow
@given(programs)
def test_recorded_mutations_give_the_state(program: list[str]) -> None:
    engine, replica = fresh(), fresh()
    replay = Replay(replica)
    (started,) = run(engine, [START])
    replay.apply(started.change.packed)
    for text in program:
        known = set(stored(engine))
        outcome = run_one(engine, text)
        if outcome.change is not None:
            replay.apply(outcome.change.packed)
        assert stored(replica) == stored(engine)
        assert definitions(replica) == definitions(engine)
        assert set(outcome.deleted or ()) >= known - stored(engine).keys()
    swept = engine.garbage.step(1 << 30)
    if swept is not None:
        replay.apply(swept.change.packed)
    assert stored(replica) == stored(engine)
    assert set(stored(engine)) >= reachable(engine)


@slow
@given(programs, st.integers(0, 5))
def test_saved_state_is_the_state(program: list[str], checkpoints: int) -> None:
    engine = Engine(clock=lambda: 1_500_000_000.0, seed=1)
    store = MemoryStore()
    engine.open(store)
    for number, text in enumerate([START, *program]):
        outcome = run_one(engine, text)
        if outcome.change is not None:
            store.write_batch(outcome.change.id, [outcome.change.packed], outcome.change.at)
        if number < checkpoints:
            store.write_checkpoint(engine.checkpoint())
    loaded = Engine(clock=lambda: 1_500_000_000.0, seed=1)
    loaded.open(store)
    assert stored(loaded) == stored(engine)
    assert definitions(loaded) == definitions(engine)
