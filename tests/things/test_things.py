"""Properties of things: their order, what may not be taken away, restrictions, copies, early names."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.engine import Engine
from engine.errors import (
    ForbiddenError,
    LookupFailed,
    NumArgumentsError,
    OperationError,
    TypeFailed,
    ValueFailed,
)
from engine.users import QUERY
from engine.values import copying
from engine.values.thing import LARGE, SwappedProperties, Thing
from tests.conftest import Admin
from tests.things.state import stored

Query = Callable[..., Any]

# --- order -----------------------------------------------------------------------------------------------------------

NAMES = [f"n{number}" for number in range(2 * LARGE)]
steps = st.lists(
    st.one_of(
        st.tuples(st.just("put"), st.sampled_from(NAMES)),
        st.tuples(st.just("drop"), st.sampled_from(NAMES)),
        st.just(("walk", "")),
    ),
    max_size=80,
)


@given(steps)
def test_the_last_key_fills_a_gap_however_large_a_thing_is(steps: list[tuple[str, str]]) -> None:
    order = NAMES[: LARGE + 20]
    thing = Thing({name: index for index, name in enumerate(order)})
    expected = {name: index for index, name in enumerate(order)}
    for number, (step, name) in enumerate(steps):
        if step == "put":
            thing.put(name, number)
            if name not in expected:
                order.append(name)
            expected[name] = number
        elif step == "walk":
            assert list(thing.keys()) == order
        elif name in expected:
            assert thing.drop(name) == expected.pop(name)
            order[order.index(name)] = order[-1]
            order.pop()
    assert list(thing.items()) == [(name, expected[name]) for name in order]
    assert list(thing.values()) == [expected[name] for name in order]


def test_deleting_from_a_large_thing_does_not_walk_over_it(query: Query, engine: Engine) -> None:
    query(".t = t; nil", {"t": {f"n{number}": number for number in range(200)}})
    assert query(".t.del('n0')") == 0
    props = engine.collections["stuff"].root.get("t").props
    assert type(props) is SwappedProperties
    assert props.disordered
    assert query(".t.del('n7'); .t.n7 = 'new'; k = .t.keys(); [k[0], k[7], k[-1], .t.len()]") == [
        "n199", "n198", "n7", 199,
    ]  # fmt: skip
    query(".t['no name'] = 1; nil")
    assert query(".t.keys()[0]") == "n1"
    query(".t.clear()")
    assert query(".t") == {"#": 2}


# --- taking away what is in use --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "change",
    [
        "box.clear()",
        "box.ren('l', 'm')",
        "box.assign({l: [2]})",
        "box.rename('m', 'l')",
        "box.rename('l', 'n')",
        "box.unset('l')",
        "box.set('l', 1)",
        "box['l'] = 1",
    ],
)
def test_a_list_that_is_walked_stays_where_it_is(query: Query, change: str) -> None:
    text = f"box = {{m: 1, l: [1]}}; e = try({{for (item in box.l) {{{change};}};}}); [is_err(e), box]"
    assert query(text) == [True, {"m": 1, "l": [1]}]
    assert query(f".box = {{m: 1, l: [1]}}; box = .box; try({{for (i in box.l) {{{change};}};}}); .box.values()") == [
        1, [1],
    ]  # fmt: skip


def test_a_rename_within_a_walk_of_another_property(query: Query) -> None:
    assert query("box = {m: 1, l: [1]}; for (item in box.l) {box.ren('m', 'n');}; box") == {"l": [1], "n": 1}


# --- restrictions ----------------------------------------------------------------------------------------------------


def test_a_restriction_holds_for_compound_assignment(query: Query) -> None:
    with pytest.raises(TypeFailed):
        query(".t = {n: 1}.restrict('int'); .t.n += 1.5")
    assert query(".t.n += 1; .t.n") == 2


def test_a_restriction_may_accept_nil(query: Query) -> None:
    assert query("{a: nil}.restrict('int?').restriction()") == "int?"
    assert query("t = {}.restrict('int?'); t.a = nil; t.b = 1; t") == {"a": None, "b": 1}
    with pytest.raises(TypeFailed):
        query("t = {}.restrict('int?'); t.a = 'x'")
    assert query("{}.restrict('any?').restriction()") is None


@pytest.mark.parametrize("spec", ["int!", "int??", "Int", " int", "thing<int>", "/x/", "E{A}"])
def test_what_is_no_restriction(query: Query, spec: str) -> None:
    with pytest.raises(ValueFailed, match="restriction"):
        query("{}.restrict(spec)", {"spec": spec})


@pytest.mark.parametrize(
    ("spec", "good", "bad"),
    [
        ("utf8", "'é'", "bytes('x')"),
        ("email", "'a@b.c'", "'a'"),
        ("email", "''", "1"),
        ("tel", "'+31 6 1234 5678'", "'x'"),
        ("url", "'https://x.y'", "'x'"),
        ("number", "1.5", "true"),
        ("raw", "bytes('x')", "1"),
        ("error", "err()", "'x'"),
        ("thing", "{}", "[]"),
    ],
)
def test_kinds(query: Query, spec: str, good: str, bad: str) -> None:
    assert query(f"t = {{}}.restrict('{spec}'); t.a = {good}; t.len()") == 1
    with pytest.raises(TypeFailed):
        query(f"t = {{}}.restrict('{spec}'); t.a = {bad}")
    with pytest.raises(ValueFailed, match=spec):
        query(f"{{a: {bad}}}.restrict('{spec}')")


# --- copies, comparison, search --------------------------------------------------------------------------------------

TANGLE = "t = {}; for (i in n) {t = {l: t, r: t};}; "
NESTED = "l = {m: 1}; for (i in n) {l = [l];}; "


def test_what_is_shared_on_every_level_is_compared_and_searched_once(query: Query) -> None:
    hundred = {"n": list(range(100))}
    assert query(TANGLE + "t.equals(t, 127)", hundred) is True
    assert query(TANGLE + "t.search({}, {deep: 127, limit: 255})", hundred) == []


def test_a_copy_has_a_limit(query: Query, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(copying, "MAX_COPIED_THINGS", 1000)
    with pytest.raises(OperationError, match="at most 1000 things"):
        query(TANGLE + "t.copy(100)", {"n": list(range(100))})


def test_a_search_tells_each_place_once_and_leaves_cycles(query: Query) -> None:
    text = """
        t = {}; sub = {here: t}; box = {a: sub, b: sub, l: [[sub, t]]}; sub.up = box;
        box.search(t, {deep: 9, limit: 99}).map(|place| place.key)
    """
    assert query(text) == ["here", "l"]


def test_nan_equals_nothing(query: Query) -> None:
    assert query("t = {n: nan}; [t.equals(t), t.equals(t, 0), t.equals(1, 0)]") == [False, True, False]


def test_a_copy_of_a_thing_whose_parts_hold_it(query: Query) -> None:
    text = "t = {s: set(), l: []}; t.s.add(t); u = t.copy(2); [u.s.has(u), u.s.has(t), u.s.len()]"
    assert query(text) == [True, False, 1]


# --- storing all or nothing ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "store",
    [
        ".x = l",
        ".x = {y: l}",
        ".t.x = l",
        ".set('x', l)",
        ".assign({x: l})",
        ".t['x y'] = l",
        ".l[0] = l",
        ".s |= set(l0)",
    ],
)
def test_what_nests_too_deep_is_not_stored_at_all(query: Query, engine: Engine, store: str) -> None:
    query(".t = {}; .l = [1]; .s = set({}); nil")
    before = stored(engine)
    with pytest.raises(OperationError, match="nested"):
        query(f"{NESTED} l0 = {{l: l}}; {store}", {"n": list(range(300))})
    assert stored(engine) == before
    assert query(".n = {}; .n.id() < 2000") is True


def test_things_may_nest_without_a_limit(query: Query, outcome: Callable[..., Any], engine: Engine) -> None:
    query("t = {}; for (i in n) {t = {n: t};}; .t = t; nil", {"n": list(range(5000))})
    assert len(stored(engine)) == 5002
    assert len(outcome(".t = nil").deleted) == 5001


# --- early names -----------------------------------------------------------------------------------------------------


def test_early_names(query: Query) -> None:
    assert query("t = {a: 1, b: 2}; [t.hasprop('a'), t.hasattr('c'), t.find(|n, v| v > 1), t.find(|| false, 7)]") == [
        True, False, 2, 7,
    ]  # fmt: skip
    assert query("t = {a: 1, b: 2}; [t.rename('a', 'b'), t.rename('b', 'b'), t]") == [None, None, {"b": 1}]
    assert query("t = {a: 1}; [t.unset('a'), t.unset('a'), t]") == [None, None, {}]
    with pytest.raises(LookupFailed):
        query("{a: 1}.rename('x', 'y')")
    with pytest.raises(NumArgumentsError):
        query("{a: 1}.hasprop()")


@pytest.mark.parametrize("name", ["rename", "hasprop", "hasattr", "unset", "find", "watch", "unwatch", "emit"])
def test_what_a_program_defines_wins_over_an_early_name(query: Query, name: str) -> None:
    assert query(f"{{{name}: |x| [x, 'mine']}}.{name}(5)") == [5, "mine"]
    with pytest.raises(TypeFailed):
        query(f"{{{name}: 1}}.{name}(5)")


@pytest.mark.parametrize("call", ["rename(set(), 'b')", "rename(list(), 'b')", "rename('a', now())", "unset(set())"])
def test_early_names_check_what_calls_give_them(query: Query, call: str) -> None:
    with pytest.raises(TypeFailed, match="takes str as argument"):
        query("{a: 1}." + call)


def test_early_names_change_only_what_they_may(query: Query, outcome: Callable[..., Any], engine: Engine) -> None:
    query(".t = {a: 1}; nil")
    assert outcome(".t.hasprop('a')").change is None
    assert outcome(".t.unset('b')").change is None
    reader = Admin(engine)
    engine.collections["stuff"].access[reader.user.id] = QUERY  # type: ignore[union-attr]
    for change in (".t.unset('a')", ".t.rename('a', 'b')"):
        with pytest.raises(ForbiddenError):
            query(change)
    assert query(".t.a") == 1


def test_several_things_by_id(query: Query) -> None:
    query(".a = {n: 1}; .b = {n: 2}; nil")
    assert query("t(.a.id()).n") == 1
    assert query("t(.b.id(), .a.id())[0].n") == 2
    with pytest.raises(LookupFailed):
        query("t(1, 999)")
    with pytest.raises(LookupFailed):
        query("t(1)", scope="@t")
    assert query("t = |x| x; t(7)") == 7
