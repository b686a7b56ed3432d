"""Programs of the grammar, run: none fails by our fault, and from an equal state a program gives the same twice."""

from __future__ import annotations

from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.engine import Engine
from engine.errors import InternalError
from engine.outcome import Outcome
from tests.conftest import Admin, engine_without_password
from tests.language.trees import sources

# The names that generated programs use mean something, so that more of a program runs before it fails.
SETUP = """
    new_type('a'); set_type('a', {a: 'any', b: '[]', total: 'int', x1: '{a}', _: 'a?', iffy: |this, a| this.total + a});
    set_enum('b', {a: 1, b: 2, total: 3, x1: 4});
    new_procedure('total', |a, b| .a = [a, b]);
    .a = {a: 1, b: [1, 2, {a: 3}], total: 'text', x1: set({}), _: |a| a, iffy: 1.5};
    .b = [1, 'two', {a: 3}, [4, 5]]; .total = 7; .x1 = a{}; ._ = set(.a, {}); .iffy = |a, b| b; .nilly = room();
"""
FRAME = """
    a = {a: .a, b: .b, total: 1}; b = [3, 1, 2, a]; total = 10; x1 = 'some text'; _ = |a, b| a; iffy = .x1; nilly = .a;
"""
# `refs` is left out: it counts what the process holds, the same for no two runs
CALLS = """
    abs all assert bool bytes closure commit datetime deep del_type enum err float future import int is_nil
    json_dump json_load list log mod_type new new_type raise rand randint randstr range regex room round run set
    set_type str t task tasks thing timeval try type type_assert type_count type_info user_info value_err wse
""".split()  # noqa: SIM905
METHODS = """
    add assign at call choice clear code copy count del doc dup each emit equals every extend filter find first
    flat format get has id index_of join keys last len load lower map max min move msg name one pop push reduce
    remove ren replace restrict reverse search set set_name shift some sort splice split sum test then to_thing
    to_type trim unique unshift unwrap upper value values vmap wrap
""".split()  # noqa: SIM905


@st.composite
def programs(draw: st.DrawFn) -> str:
    """A statement of the grammar, in which some of the names that are called are those of functions and methods."""
    text = draw(sources())
    for name in ("a", "b", "total", "x1", "iffy", "nilly"):
        if draw(st.booleans()):
            text = text.replace(f".{name} (", f".{draw(st.sampled_from(METHODS))} (")
        for space in " \n\t":
            text = text.replace(f" {name}{space}(", f" {draw(st.sampled_from(CALLS))}{space}(")
    return FRAME + text if draw(st.booleans()) else text


def fresh() -> Engine:
    """An engine as after its first start, with something to work on."""
    engine = engine_without_password(clock=lambda: 1_500_000_000.0, timer=lambda: 0.0, seed=1)
    assert engine.query(Admin(engine), "//stuff", SETUP).error is None
    return engine


def seen(outcome: Outcome) -> list[Any]:
    """What came of a query, to compare: nan equals itself in texts."""
    error = outcome.error
    assert not isinstance(error, InternalError)
    change = outcome.change
    parts = [
        repr(outcome.value),
        None if error is None else (error.code, error.message),
        None if change is None else change.packed,
        outcome.deleted,
        outcome.closed_rooms,
    ]
    for more in outcome.more or ():
        parts += seen(more)
    return parts


def run(lines: list[str]) -> list[Any]:
    """What came of each query of a program, in a fresh engine, and of the tasks that were due after it."""
    engine = fresh()
    admin = Admin(engine)
    came = [seen(engine.query(admin, "//stuff", line)) for line in lines]
    outcomes = [engine.run_task(scope, task) for scope, task in engine.due_tasks()[:20]]
    came += [seen(outcome) for outcome in outcomes if outcome is not None]
    for home in engine.collections.values():
        assert not any(thing.lock for thing in home.things())
    return came


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(programs(), min_size=1, max_size=4))
def test_programs_of_the_grammar(lines: list[str]) -> None:
    assert run(lines) == run(lines)
