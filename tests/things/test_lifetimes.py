"""When things are gone, in what order they go, and what is left of them."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable
from typing import Any

import pytest

from engine.engine import Engine
from engine.errors import LookupFailed
from engine.values.thing import Thing

Query = Callable[..., Any]


def test_an_owner_goes_before_what_it_holds(outcome: Query) -> None:
    outcome(".a = {b: {c: {}}, l: [{}, [{}]], s: set({})}; nil")
    gone = outcome(".del('a'); nil").deleted
    assert gone[0] == 2
    assert sorted(gone) == [2, 3, 4, 5, 6, 7]
    assert gone.index(3) < gone.index(4)


@pytest.mark.parametrize(
    "text",
    [
        ".a = {}; id = .a.id(); .del('a'); thing(id)",
        ".a = {}; id = .a.id(); .a = 1; thing(id)",
        ".a = {}; id = .a.id(); .clear(); thing(id)",
        ".a = {}; id = .a.id(); .remove(|k, v| is_thing(v)); thing(id)",
        ".a = {}; id = .a.id(); .set('a', 1); thing(id)",
        ".s = set({}); id = .s.one().id(); .s.clear(); thing(id)",
        ".s = set({}); id = .s.one().id(); .s.remove(.s.one()); thing(id)",
        ".s = set({}); id = .s.one().id(); .s &= set(); thing(id)",
        ".s = set({}); id = .s.one().id(); .s = set(); thing(id)",
        ".l = [{}]; id = .l[0].id(); .l[0] = nil; thing(id)",
        ".l = [{}]; id = .l[0].id(); .l[0:1] = []; thing(id)",
        ".l = [[{}]]; id = .l[0][0].id(); .l = nil; thing(id)",
        ".a = {b: {}}; id = .a.b.id(); .a = nil; thing(id)",
        ".a = {b: {}}; id = .a.b.id(); .a.assign({b: 1}); thing(id)",
        "f = |x| {x.n = 1; nil}; .a = {}; id = .a.id(); f(.a); .del('a'); thing(id)",
    ],
)
def test_gone_in_the_middle_of_the_query(query: Query, text: str) -> None:
    with pytest.raises(LookupFailed, match="no thing with the id"):
        query(text)


@pytest.mark.parametrize(
    "text",
    [
        ".a = {}; v = .a; id = v.id(); .del('a'); thing(id)",
        ".a = {}; id = .a.id(); .l = [.a]; .del('a'); thing(id)",
        ".a = {}; .b = {}; id = .a.id(); .b.a = .del('a'); thing(id)",
        ".a = {}; id = .a.id(); .a = .a; thing(id)",
        ".a = {b: {}}; id = .a.b.id(); .a = .a.b; thing(id)",
        ".l = [{}]; id = .l[0].id(); for (t in .l) {r = (.m = 1); x = thing(id);}; x",
        ".a = {b: 1}; id = .a.id(); .a.each(|| {.del('a'); .b = thing(id);}); .b",
        ".s = set({}); id = .s.one().id(); .t = .s; .s = nil; thing(id)",
    ],
)
def test_kept_by_another_reference(query: Query, text: str) -> None:
    assert query(text)["#"] > 1


def test_detached_and_attached_again(query: Query, outcome: Query) -> None:
    query(".a = {n: 1}; nil")
    done = outcome("t = .a; .del('a'); t.sub = {}; .b = t; [t.id(), t.sub.id()]")
    assert done.value == [2, 3]
    assert done.deleted is None
    assert query("thing(2).sub.id()") == 3


def test_a_detached_thing_goes_with_the_query(outcome: Query) -> None:
    outcome(".a = {n: 1}; nil")
    done = outcome("t = .a; .del('a'); t.sub = {}; t.id()")
    assert (done.value, done.deleted) == (2, [2, 3])
    assert (2, {"set": {"sub": {"#": 3}}}) in done.change.mutations


def test_things_go_with_a_query_that_fails(outcome: Query) -> None:
    outcome(".a = {b: {}}; nil")
    assert outcome("t = .a; .del('a'); raise('stop')").deleted == [2, 3]
    outcome(".a = {b: {}}; nil")
    assert outcome("f = |x| {y = x; .del('a'); z = 1 / 0;}; f(.a)").deleted == [4, 5]
    outcome(".a = {b: {}}; nil")
    assert outcome("try({t = .a; .del('a'); 1 / 0;}); t = nil; 1").deleted == [6, 7]


def test_the_root_stays(query: Query, outcome: Query) -> None:
    query(".me = root(); .s = set(root()); .l = [[root()]]; nil")
    assert outcome(".clear(); nil").deleted is None
    assert query("thing(1).id()") == 1


def test_a_list_outlives_its_owner(query: Query) -> None:
    assert query(".a = {l: [1]}; l = .a.l; .del('a'); l.push({}); [l[0], l[1].id()]") == [1, None]
    assert query(".a = {l: [{}]}; l = .a.l; id = l[0].id(); .del('a'); thing(id).id() == l[0].id()") is True


def test_ids_are_not_used_again(query: Query) -> None:
    query(".a = {b: {}}; .clear(); nil")
    assert query(".a = {}; .a.id()") == 4
    query("x = {y: {}}; nil")
    assert query(".b = {}; .b.id()") == 5
    with pytest.raises(LookupFailed):
        query(".c = {n: 1}; .d = nosuch")
    assert query(".e = {}; .e.id()") == 7


def test_a_long_chain_goes_at_once(query: Query, outcome: Query) -> None:
    query("t = {}; for (i in n) {t = {n: t};}; .t = t; nil", {"n": list(range(60_000))})
    gone = outcome(".t = nil").deleted
    assert gone == list(range(2, 60_003))


TANGLES = [
    "t = {}; t.me = t;",
    "t = {}; t.l = []; t.l.push(t);",
    "t = {}; t.l = [[t]];",
    "t = {}; t.l = [0]; t.l[0] = t;",
    "t = {}; t.l = [0]; t.l[0:1] = [t];",
    "t = {}; t.s = set(); t.s.add(t);",
    "t = {}; t.s = set(); t.s |= set(t);",
    "t = {}; t.set('k k', t);",
    "t = {}; t.assign({a: t, b: {c: t}});",
    "t = {}; u = {t: t}; t.u = u; v = t.copy(4); w = u.dup(9);",
    "t = {}; u = {t: t}; t.u = u; raise('stop');",
    "t = {}; t.t = 1; t.me = t; t.ren('me', 'you'); .x = 5;",
    "f = |x| {x.me = x;}; f({});",
    "[1, 2].map(|i| {t = {}; t.t = t; i;});",
    "t = {}; t.me = t; .t = .s = 5;",
    "x.me = x; x.l = [x];",
    "t = {s: set({})}; t.s.one().up = t; t.s.clear();",
    "t = {}; t.me = t; future(|x| x.len(), [t]);",
    "t = {}; t.me = t; future(|x| {y = {x: x}; y.me = y; y}, [t]);",
    "t = {}; t.me = t; future(|x| 1, [t]); raise('stop');",
]


@pytest.mark.parametrize("text", TANGLES)
@pytest.mark.parametrize("scope", ["//stuff", "@t"])
def test_nothing_is_left_of_tangles(outcome: Query, text: str, scope: str, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[weakref.ref[Thing]] = []
    make = Thing.__init__

    def watched(self: Thing, props: Any) -> None:
        make(self, props)
        made.append(weakref.ref(self))

    monkeypatch.setattr(Thing, "__init__", watched)
    outcome(text, {"x": {"a": 1}}, scope)
    assert made
    assert not [ref() for ref in made if ref() is not None]


def _is_ours(entry: object) -> bool:
    """Is it an object that a query made? Stored things may be in cycles: they are found by the search for garbage."""
    if isinstance(entry, Thing):
        return not entry.id
    return type(entry).__module__.startswith("engine") or callable(entry)


def test_queries_leave_no_cycles(outcome: Query, engine: Engine) -> None:
    gc.unfreeze()
    gc.collect()
    texts = [
        "try(1 / 0); 1",
        "nosuch",
        "f = |n| n < 1 ? 1 : f(n - 1); f(5)",
        "f = |n| f(n); f(1)",
        "try(f = |n| try(g(n))); [1, 2, 3].map(|x| try(x / 0))",
        "t = {a: 1}; t.get('b', {for (i in [1]) {if (i) {return 5;};}; 6})",
        "for (i in [1, 2]) {for (j in [1, 2]) {x = {i: i}; if (j > 1) break;};}; x",
        ".x = {y: {}}; .x.y.up = .x; .s = set(.x, {}); .l = [.x, [.x]]; deep(4); root()",
        "alt_raise(1 / 0, -110, 'no')",
        ".x.search(.x.y, {deep: 5, limit: 100})",
        ".x.copy(9).equals(.x.dup(9), 9)",
        "{a: 1}.find(|k, v| v, 1 / 0); set({}).find(|| false, [1])",
        ".watch(); .emit('a', 1, .x); log('x')",
    ]
    for text in texts:
        outcome(text)
    gc.set_debug(gc.DEBUG_SAVEALL)
    try:
        for text in texts:
            outcome(text)
        gc.collect()
        left = [entry for entry in gc.garbage if _is_ours(entry)]
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
    assert not left


def test_futures_get_things_as_they_were(outcome: Query, query: Query) -> None:
    """What a query made and tied together is whole until its futures have run, and nothing of it is left then."""
    assert query("t = {}; t.sub = {n: 1}; t.me = t; future(|x| [x.sub.n, x.me.sub.n], [t])") == [1, 1]
    text = ".a = {}; t = {}; t.me = t; t.a = .a; future(|x| x.a.id(), [t]); .del('a'); 1"
    done = outcome(text)
    assert done.value == 1
    assert [part.deleted for part in (done, *(done.more or ())) if part.deleted] == [[2]]
    failed = outcome(".b = {}; t = {}; t.me = t; t.b = .b; future(|x| x, [t]); .del('b'); raise('stop')")
    assert failed.deleted == [3]
    nested = outcome("t = {}; t.me = t; future(|x| {u = {}; u.x = x; u.me = u; future(|y| y.x.me.len(), [u]);}, [t])")
    assert nested.error is None
