"""Watching things from a query, and the jobs that operations younger than watching have (spec/watch.md, 4, 7, 10)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from engine.change import Internal
from engine.effects import Unwatch, Watch
from engine.engine import Engine
from engine.errors import (
    ForbiddenError,
    LookupFailed,
    NumArgumentsError,
    OperationError,
    TypeFailed,
    ValueFailed,
)
from engine.users import JOIN, QUERY, RUN
from tests.conftest import Admin

Query = Callable[..., Any]


class Connection(Admin):
    """A caller that can be told events."""

    subscriber = object()


def jobs(outcome: Any) -> list[Any]:
    """What watchers are told of an outcome."""
    return [mutation for mutation in outcome.change.mutations if type(mutation[1]) is not Internal]


# --- watch and unwatch -----------------------------------------------------------------------------------------------


def test_watch_gives_the_state_at_that_point(outcome: Query, engine: Engine) -> None:
    caller = Connection(engine)
    outcome(".a = {n: 1, l: [{}], s: set({}), t: {}}; nil")
    done = outcome(".a.n = 2; .a.watch(); .a.n = 3; nil", caller=caller)
    (effect,) = done.effects
    assert type(effect) is Watch
    assert (effect.thing, effect.scope, effect.position) == (2, engine.collections["stuff"], 1)
    assert effect.state == {
        "event": 1,
        "thing": {"#": 2, "n": 2, "l": [{"#": 3}], "s": {"$": [{"#": 4}]}, "t": {"#": 5}},
        "collection": "stuff",
    }
    assert outcome(".a.watch()", caller=caller).effects[0].state["event"] == 2


def test_watching_the_root_comes_with_the_definitions(outcome: Query, engine: Engine) -> None:
    done = outcome(".watch()", caller=Connection(engine))
    assert done.change is None
    assert list(done.effects[0].state) == ["event", "thing", "collection", "enums", "types", "procedures"]


def test_what_can_not_be_watched(query: Query, outcome: Query, engine: Engine) -> None:
    for text, scope in (("{}.watch()", "//stuff"), ("{}.watch()", "@t"), ("{}.watch()", "@n")):
        with pytest.raises(ValueFailed, match="no id"):
            query(text, scope=scope)
    for text in ("[].watch()", "watch()", "set().unwatch()", "nil.emit('x')"):
        with pytest.raises(LookupFailed):
            query(text)
    for text in (".watch(1)", ".unwatch(1)", ".emit()"):
        with pytest.raises(NumArgumentsError):
            query(text)
    assert outcome("{}.unwatch()", caller=Connection(engine)).effects is None


def test_who_can_not_be_told_watches_nothing(outcome: Query) -> None:
    done = outcome(".watch(); .unwatch()")
    assert (done.value, done.error, done.effects) == (None, None, None)


def test_watching_needs_no_more_than_the_query(outcome: Query, engine: Engine) -> None:
    caller = Connection(engine)
    engine.collections["stuff"].access[caller.user.id] = QUERY  # type: ignore[union-attr]
    done = outcome(".watch(); .unwatch()", caller=caller)
    assert done.error is None
    assert [type(effect) for effect in done.effects] == [Watch, Unwatch]


# --- emit ------------------------------------------------------------------------------------------------------------


def test_emit_keeps_its_place_among_the_mutations(outcome: Query) -> None:
    outcome(".a = {}; nil")
    done = outcome(".a.x = 1; t = .a; t.emit(2, 'hi', {b: {c: {}}}, [set({})], |x| x); .a.y = 2; nil")
    assert jobs(done) == [
        (2, {"set": {"x": 1}}),
        (2, {"event": ["hi", {"b": {"c": {}}}, [[{}]], "|x| x"]}),
        (2, {"set": {"y": 2}}),
    ]


def test_emit_turns_the_query_into_a_change(outcome: Query, engine: Engine) -> None:
    outcome(".a = {}; nil")
    done = outcome("t = .a; before = change_id(); t.emit('hi'); [before, change_id()]")
    assert done.value == [None, 2]
    assert done.change.id == 2
    assert engine.last_change == 2
    assert done.change.packed


def test_emit_without_the_right_to_change(query: Query, engine: Engine) -> None:
    query(".a = {}; new_procedure('say', |x| .a.emit('said', x)); nil")
    user = Admin(engine)
    engine.collections["stuff"].access[user.user.id] = QUERY | JOIN | RUN  # type: ignore[union-attr]
    for text in (".emit('x')", ".a.emit('x')", "t = .a; t.emit('x')", "{}.emit('x')", "say(1)"):
        with pytest.raises(ForbiddenError):
            query(text)
    assert type(engine.run(user, "//stuff", "say", [1]).error) is ForbiddenError
    assert engine.last_change == 1


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ("", NumArgumentsError),
        ("1", NumArgumentsError),
        ("-1, 'x'", ValueFailed),
        ("128, 'x'", ValueFailed),
        ("1.0, 'x'", TypeFailed),
        ("true, 'x'", TypeFailed),
        ("bytes('x')", TypeFailed),
        ("1, 1, 'x'", TypeFailed),
        ("nil", TypeFailed),
    ],
)
def test_wrong_arguments_of_emit(query: Query, arguments: str, error: type[Exception]) -> None:
    with pytest.raises(error):
        query(f".emit({arguments})")


def test_emitting_stores_nothing(outcome: Query, engine: Engine) -> None:
    done = outcome("t = {a: {}}; .emit('x', t); t.emit('y'); [t.id(), t.a.id()]")
    assert done.value == [None, None]
    assert engine.next_id == 2
    assert jobs(done) == [(1, {"event": ["x", {"a": {}}]})]


# --- jobs ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (".ren('n', 'm')", [(1, {"del": "n"}), (1, {"set": {"m": 1}})]),
        (".ren('t', 'u')", [(1, {"del": "t"}), (1, {"set": {"u": {"#": 2}}})]),
        (".ren('l', 'a b')", [(1, {"del": "l"}), (1, {"set": {"a b": [1, {"#": 3}]}})]),
        (".t.clear()", []),
        (".s.clear()", [(1, {"remove": {"s": [4, 5]}})]),
        (".s.add({n: 1}, .t, .t)", [(1, {"add": {"s": [{"#": 6, "n": 1}, {"#": 2}]}})]),
        (".s.add(.s.one())", []),
        (".s.remove(.t)", []),
        (".s.remove(|| false)", []),
        (".s |= set(.t)", [(1, {"set": {"s": {"$": [{"#": 4}, {"#": 5}, {"#": 2}]}}})]),
        (".n = .n", [(1, {"set": {"n": 1}})]),
        (".set('n', 1)", [(1, {"set": {"n": 1}})]),
        (".assign({})", []),
        (".assign({a: {b: {}}, n: 2})", [(1, {"set": {"a": {"#": 6, "b": {"#": 7}}}}), (1, {"set": {"n": 2}})]),
        (".remove(|k| k < 'm')", [(1, {"del": "l"})]),
        (".remove(|| true, 0)", []),
        (".restrict('any')", []),
        (".t.restrict('int')", []),
        (".x = {y: {z: 1}}; .x.y.z = 2; .l[0] = .x", [
            (1, {"set": {"x": {"#": 6, "y": {"#": 7, "z": 1}}}}),
            (7, {"set": {"z": 2}}),
            (1, {"splice": {"l": [0, 1, {"#": 6}]}}),
        ]),
        (".x = {}; .x.me = .x; .y = [.x, {}]", [
            (1, {"set": {"x": {"#": 6}}}),
            (6, {"set": {"me": {"#": 6}}}),
            (1, {"set": {"y": [{"#": 6}, {"#": 7}]}}),
        ]),
        ("t = {}; t.me = t; .x = t", [(1, {"set": {"x": {"#": 6, "me": {"#": 6}}}})]),
        ("try(.ren('n', 't')); try(.del('q')); try(.s.add({}, 1)); try(.s.remove(.s.one(), 1))", []),
    ],
)  # fmt: skip
def test_jobs(outcome: Query, text: str, told: list[Any]) -> None:
    outcome(".n = 1; .t = {}; .l = [1, {}]; .s = set({}, {}); nil")
    done = outcome(text)
    assert done.error is None
    assert jobs(done) == told


def test_clearing_a_thing_tells_each_key(outcome: Query) -> None:
    outcome(".t = {a: 1, b: 2, c: 3}; nil")
    assert sorted(job["del"] for _, job in jobs(outcome(".t.clear()"))) == ["a", "b", "c"]


def test_what_is_not_stored_has_no_jobs(outcome: Query) -> None:
    done = outcome("t = {s: set(), l: [1]}; t.a = 1; t.s.add({}); t.l[0] = 2; t.ren('a', 'b'); t.clear(); 1")
    assert jobs(done) == []


def test_a_stored_set_needs_a_change(query: Query) -> None:
    query(".s = set({}); nil")
    for text in ("s = .s; s.add({})", "s = .s; s |= set({})", "nse(); .s.clear()", "s = .s; nse(); s.remove({})"):
        with pytest.raises(OperationError, match="change"):
            query(text)
    assert query(".s.len()") == 1
