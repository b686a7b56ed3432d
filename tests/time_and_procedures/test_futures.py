"""Futures (spec/time-and-procedures.md, section 3)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.effects import RoomEvent
from engine.engine import Engine
from engine.errors import (
    CustomError,
    ForbiddenError,
    LanguageError,
    LookupFailed,
    MaxQuotaError,
    NumArgumentsError,
    OperationError,
    TypeFailed,
)
from engine.limits import MAX_FUTURES, MAX_FUTURES_PER_CLOSURE
from engine.outcome import Outcome
from engine.replay import Replay
from engine.users import QUERY

Query = Callable[..., Any]
Run = Callable[..., Outcome]


@pytest.fixture(autouse=True)
def nothing_is_left(engine: Engine) -> Any:
    """After each test, no future counts as unfinished."""
    yield
    assert (engine.futures.count, engine.futures.by_code) == (0, {})


def changes(outcome: Outcome) -> list[int]:
    """The ids of the changes of an outcome, in order."""
    parts = [outcome, *(outcome.more or ())]
    return [part.change.id for part in parts if part.change is not None]


# --- order -----------------------------------------------------------------------------------------------------------


def test_a_change_for_each_future_that_needs_one(engine: Engine, outcome: Run) -> None:
    begin = engine.last_change
    done = outcome(".n = 0; future(|| .n += 1); future(|| 5); future(|| .n += 10)")
    assert done.error is None
    assert done.value == 10
    assert changes(done) == [begin + 1, begin + 2, begin + 3]
    assert [job for part in done.more or () for _, job in part.change.mutations] == [  # type: ignore[union-attr]
        {"set": {"n": 10}}, {"set": {"n": 11}},
    ]  # fmt: skip


def test_nested_futures_run_before_the_answer(query: Query) -> None:
    code = """
        .l = []; .r = room();
        future(|| {.l.push('a'); future(|| {.l.push('a1'); future(|| .l.push('a2'))}); future(|| .l.push('a3'))});
        future(|| .l.push('b'));
        nil
    """
    query(code)
    assert query(".l") == ["b", "a", "a3", "a1", "a2"]


def test_what_a_future_says_comes_after_what_the_query_said(outcome: Run) -> None:
    outcome(".r = room()")
    done = outcome(".r.emit('one'); future(|| {.r.emit('three'); .n = 1}); future(|| .r.emit('two')); .r.emit('and')")
    parts = [done, *(done.more or ())]
    said = [[effect.event for effect in part.effects or () if type(effect) is RoomEvent] for part in parts]
    assert said == [["one", "and"], ["two"], ["three"]]


def test_a_long_chain_of_futures_does_not_nest(query: Query) -> None:
    query("new_procedure('down', |n| n && future(|n| down(n - 1))); nil")
    assert query("down(3000)") == 0


# --- values ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("future(|| future(|| future(nil, 1)))", [None, 1]),
        ("future(nil, future(|| 2), [1, [2]])", [None, 2, [1, [2]]]),
        ("future(|| [future(|| 1), 2])", [None, 2]),
        ("f = future(|| 3); future(|f| f)", 3),
        ("future(|| {a: future(|| 1)})", {"a": None}),
        ("return future(|| {a: {b: {}}}), 2", {"a": {"b": {}}}),
        ("return future(|| .r), 1, NO_IDS", {"x": {}}),
        ("x = [1]; f = future(nil, x); x.push(2); f", [None, [1, 2]]),
        ("f = future(|| {x = [1]; x}); [type(f), f == f, f == future(nil), bool(f)]", ["future", True, False, True]),
        ("future(|a, a| a, [1, 2])", 2),
        ("future(nil, 1).then(|_, a| {b = a + 1; future(|b| b + 1)})", 3),
    ],
)
def test_values(query: Query, code: str, expected: Any) -> None:
    query(".r = {x: {}}; nil")
    assert query(code) == expected


@given(
    st.recursive(
        st.integers(-(2**63), 2**63 - 1) | st.text(max_size=3) | st.none(), lambda inner: st.lists(inner, max_size=3)
    )
)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_what_goes_in_comes_out(query: Query, value: Any) -> None:
    assert query("future(|v| v)", {"v": value}) == value
    assert query("future(nil, v)", {"v": value}) == [None, value]
    assert query("future(|a, b| [b, a], [v, 1])", {"v": value}) == [1, value]


# --- errors ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("code", "error"),
    [
        ("future()", NumArgumentsError),
        ("future(5)", TypeFailed),
        ("future(|x| x, [1], raise('not reached'))", NumArgumentsError),
        ("future({})", LookupFailed),
        ("future({module: 1})", TypeFailed),
        ("future({module: 'none'})", LookupFailed),
        ("future(|| 1).then(raise('not reached'))", OperationError),
        ("future(nil).then({f = future(|| 1); f})", TypeFailed),
        ("f = future(nil); future(nil, f).then(|_, f| f.then(|| 1)); nil", None),
        ("f = future(nil); f.then(|| 1); f.then({|| 2})", OperationError),
        ("future(nil).len()", LookupFailed),
        ("future(nil).x", TypeFailed),
        ("future(nil) + 1", TypeFailed),
        ("future(nil) < future(nil)", TypeFailed),
        ("str(future(nil))", TypeFailed),
        ("list(future(nil))", TypeFailed),
        ("{}.x = future(nil)", None),
        ("set(future(nil))", TypeFailed),
        ("future(|| 1 / 0)", LanguageError),
        ("try(future(|| raise(err(-111)))); 5", CustomError),
        ("future(|| raise(err(-111))).else(|| 5)", CustomError),
        ("x = {i: .r}; future(|x| {wse(); x})", OperationError),
        ("new_type('T'); x = .r.wrap('T'); future(|x| {wse(); x})", OperationError),
    ],
)
def test_errors(query: Query, code: str, error: type[LanguageError] | None) -> None:
    query(".r = {x: {}}; nil")
    if error is None:
        query(code)
    else:
        with pytest.raises(error):
            query(code)


def test_the_first_error_counts_and_what_waits_still_runs(query: Query) -> None:
    query(".l = []; nil")
    with pytest.raises(CustomError) as caught:
        query("""
            future(|| .l.push('skipped'));
            future(|| raise(err(-111)));
            future(|| {.l.push('third'); raise(err(-113)); });
            future(|| {.l.push('second'); raise(err(-112)); });
            future(|| {.l.push('first'); future(|| .l.push('never')); });
        """)
    assert caught.value.code == -111
    assert query(".l") == ["first", "second", "third"]


def test_futures_of_a_failed_query_are_dropped(query: Query) -> None:
    query(".n = 0; nil")
    with pytest.raises(CustomError):
        query("future(|| .n += 1); raise(err(-111))")
    assert query(".n") == 0


def test_who_may_not_change_makes_no_change(engine: Engine, outcome: Run, query: Query) -> None:
    query("new_user('reader')", scope="@t")
    reader = engine.users["reader"]
    engine.collections["stuff"].access[reader.id] = QUERY

    class Reader:
        user = reader
        subscriber = None

    before = engine.last_change
    done = outcome("future(|| .n = 1)", caller=Reader())
    assert isinstance(done.error, ForbiddenError)
    assert engine.last_change == before
    assert query("future(|| 5)", caller=Reader()) == 5


# --- limits ----------------------------------------------------------------------------------------------------------


def test_limits(query: Query) -> None:
    each = MAX_FUTURES_PER_CLOSURE
    assert query(f"c = || 1; range({each}).each(|| future(c)); 5") == 5
    assert query(f"c = || 1; range({each}).each(|| future(nil).then(c)); 5") == 5
    for create in ("future(c)", "future(nil).then(c)", "future(|| 1)"):
        with pytest.raises(OperationError):
            query(f"c = || 1; range({each + 1}).each(|| {create}); 5")
    assert query(f"range({MAX_FUTURES}).each(|| future(nil)); 5") == 5
    with pytest.raises(MaxQuotaError):
        query(f"range({MAX_FUTURES + 1}).each(|| future(nil)); 5")
    # Those that have run no longer count.
    many = f"range({each - 1}).each(|| future(|| 1))"
    query(f"new_procedure('p', |n| n && {{n -= 1; f = future(|n| p(n)); {many}; f}}); nil")
    assert query("p(20)") == 0


# --- kept ------------------------------------------------------------------------------------------------------------


def test_changes_of_futures_are_replayed(engine: Engine, outcome: Run, query: Query) -> None:
    twin = Engine()
    twin.initialise()
    replay = Replay(twin)
    for code in (
        ".l = []; x = {a: 1}; future(|x| .x = x); future(|| {.l.push({}); future(|| .l.push(.x))}); nil",
        "future(|| .del('x')); future(|| .t = datetime(5)); nil",
    ):
        done = outcome(code)
        assert done.error is None
        for part in (done, *(done.more or ())):
            if part.change is not None:
                replay.apply(part.change.packed)
    shown = "return [.l, .keys(), .t], 4"
    mine = query(shown)
    theirs = twin.query(type("Caller", (), {"user": twin.users["admin"], "subscriber": None})(), "//stuff", shown)
    assert theirs.value == mine
    assert twin.last_change == engine.last_change


def test_things_go_when_the_futures_that_held_them_have_run(engine: Engine, outcome: Run, query: Query) -> None:
    number = query(".x = {k: 1}; .x.id()")
    done = outcome("x = .x; future(|x| x.k); .del('x'); nil")
    parts = [done, *(done.more or ())]
    assert [thing for part in parts for thing in part.deleted or ()] == [number]
    assert engine.collections["stuff"].find(number) is None
