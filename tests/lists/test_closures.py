"""Closures: calling, scope, recursion, side effects, text."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from engine.engine import Engine
from engine.errors import (
    BadDataError,
    LookupFailed,
    NumArgumentsError,
    OperationError,
    SyntaxFailed,
    TypeFailed,
    ValueFailed,
)
from engine.replay import Replay

Query = Callable[..., Any]

CALLS = ("c(ARGUMENTS)", "c.call(ARGUMENTS)", "t.f(ARGUMENTS)", "t.f.call(ARGUMENTS)", "l[0].call(ARGUMENTS)")


PLACES = ("v = {};", "for (i in [1, 2]) {{ v = {}; }};", "g = || {}; v = g();", "v = [1].map(|i| {})[0];")
"""Once, and where code may run often: that is compiled in another way."""


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize(
    ("arguments", "result"),
    [("", [None, None]), ("1", [1, None]), ("1, 2", [1, 2]), ("1, 2, 3", [1, 2]), ("1, 2, nope, 1 / 0", [1, 2])],
)
def test_ways_to_call(query: Query, place: str, call: str, arguments: str, result: Any) -> None:
    code = place.format(call.replace("ARGUMENTS", arguments))
    assert query(f"c = |a, b| [a, b]; t = {{f: c}}; l = [c]; {code} v") == result


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("call", CALLS)
def test_surplus_arguments_do_nothing(query: Query, place: str, call: str) -> None:
    made = place.format(call.replace("ARGUMENTS", "r.push(1), r.push(2), x = 5, return 7"))
    value, pushed, unknown = query(f"c = |a| a; t = {{f: c}}; l = [c]; r = []; {made} [v, r, is_err(try(x))]")
    assert unknown
    assert set(pushed) == {1}
    assert value == len(pushed)


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize(
    ("call", "result"),
    [
        ("try(n(r.push(1)))", -61),
        ("try(nope(r.push(1)))", -54),
        ("try(flagged(r.push(1)))", -63),
        ("p(4)", 8),
        ("p()", -61),
        ("try(T(r))", -61),
        ("T({x: 4}).x", 4),
        ("try(T(1, 2))", -62),
        ("E(2).name()", "B"),
        ("type(shadow({x: 1}))", "shadow"),
        ("hidden(1)", 1),
        ("len(4)", 5),
        ("f(f(f(1)))", 4),
        ("f(f(1) + f(2)) * f(3)", 24),
        ("inner()", 7),
        ("quits(3)", 3),
        ("none()", None),
    ],
)
def test_what_a_name_calls(query: Query, place: str, call: str, result: Any) -> None:
    query("""
        new_procedure('p', |x| x * 2);
        set_type('T', {x: 'int'}); set_type('shadow', {x: 'int'}); set_enum('E', {A: 1, B: 2});
        .flagged = |x| .x = 5;
    """)
    start = """
        n = 5; r = []; flagged = .flagged; shadow = |x| x; hidden = |x| x; len = |x| x + 1; f = |x| x + 1; none = || {};
        inner = || { h = || 7; h() }; quits = |x| { for (y in [x]) { return y }; 0 }; none = || nil;
    """
    made = query(f"nse(); {start} {place.format(f'try({call})')} is_err(v) ? v.code() : v")
    assert made == result


def test_what_a_name_calls_may_change(query: Query) -> None:
    assert query("f = |x| x; r = []; for (i in [1, 2, 3]) { r.push(f(i)); f = |x| x * 10; }; r") == [1, 20, 30]
    code = "f = |x| x; r = []; for (i in [1, 2, 3]) { r.push(type(f({}))); i == 2 ? set_type('f', {}) : nil; }; r"
    assert query(code) == ["thing", "thing", "f"]
    code = "g = |x| x; r = []; for (i in [1, 2]) { r.push(g(i)); i == 1 ? new_procedure('g', |x| x + 10) : nil; }; r"
    assert query(code) == [1, 12]
    with pytest.raises(TypeFailed):
        query("f = |x| x; for (i in [1, 2]) { f(i); f = 5; }")


def test_a_call_that_fails_ends(query: Query) -> None:
    code = "f = |x| x > 0 ? f(x - 1) : raise('no'); for (i in range(60)) { try(f(20)); }; g = |x| x; g(5)"
    assert query(code) == 5
    code = "f = |x| { x.push(1); raise('no') }; for (i in range(60)) { try(f([])); }; try(f([])).msg()"
    assert query(code) == "no"


def test_call_is_no_property(query: Query) -> None:
    assert query("{call: || 5}.call()") == 5
    assert query("c = |x| x; c.call(c).call(3)") == 3
    with pytest.raises(LookupFailed):
        query("x = 5; x.call()")
    with pytest.raises(TypeFailed):
        query("c = || 1; c.call")
    with pytest.raises(LookupFailed):
        query("c = || 1; c.map(|| 1)")
    with pytest.raises(TypeFailed):
        query("c = || 1; c.x = 1")


@pytest.mark.parametrize(
    ("code", "result"),
    [
        ("c = || zz; d = || { zz = 7; c() }; d()", 7),
        ("c = || zz; d = |zz| c(); d(4)", 4),
        ("c = || { zz += 1 }; d = |zz| { c(); zz }; d(4)", 5),
        ("c = || { zz = 1 }; d = |zz| { c(); zz }; d(4)", 4),
        ("zz = 1; c = || zz; d = || { zz = 2; c() }; [d(), c()]", [2, 1]),
        ("zz = 1; c = || { zz += 1; zz = 9; zz += 1; zz }; [c(), zz]", [10, 2]),
        ("[1, 2].map(|x| { is_err(try(y)) ? { y = x } : { y = 99 }; y })", [1, 2]),
        ("x = 1; [5].each(|x| nil); x", 1),
        ("c = || { for (i in [1, 2]) {}; i }; c()", 2),
        # Equal names in closures that call each other.
        ("e = |n| n == 0 ? true : o(n - 1); o = |n| n == 0 ? false : e(n - 1); [e(10), e(7)]", [True, False]),
        ("a = |n| { r = n > 0 ? b(n - 1) : 0; r * 10 + n }; b = |n| { r = a(n - 1); r * 10 + n }; a(2)", 12),
        ("f = |n| { m = n; n > 0 ? f(n - 1) : 0; m }; f(5)", 5),
    ],
)  # fmt: skip
def test_scope_is_dynamic(query: Query, code: str, result: Any) -> None:
    assert query(code) == result


def test_what_a_closure_made_is_gone(query: Query) -> None:
    for code in ("c = || { x = 1 }; c(); x", "c = |x| x; c(1); x", "c = || { for (i in [1]) {}; 1 }; c(); i"):
        with pytest.raises(LookupFailed):
            query(code)


def test_activity_is_counted_by_closure(query: Query) -> None:
    assert query("f = |n| n == 0 ? 0 : f(n - 1); f(23)") == 0
    with pytest.raises(OperationError):
        query("f = |n| n == 0 ? 0 : f(n - 1); f(24)")
    assert query("f = |n| n == 0 ? 0 : f(n - 1); g = f; for (i in range(30)) { try(g(24)); }; f(23)") == 0
    assert query("a = |n| n == 0 ? 0 : b(n - 1); b = |n| n == 0 ? 0 : a(n - 1); a(47)") == 0
    with pytest.raises(OperationError):
        query("a = |n| n == 0 ? 0 : b(n - 1); b = |n| n == 0 ? 0 : a(n - 1); a(48)")


def test_many_closures_that_call_one_another(outcome: Query) -> None:
    count = 700
    code = "".join(f"f{i} = |n| n > 0 ? f{(i + 1) % count}(n - 1) : 0; " for i in range(count))
    assert outcome(code + "f0(500)").value == 0
    for call in ("f0(count)", "[count].map(f0)", "[count].reduce(|a, n| f0(n), 0)"):
        done = outcome(f"count = {24 * count - 1}; try({call}); 5" + ";" + code)
        assert done.error is None or isinstance(done.error, OperationError)
        done = outcome(f"{code} count = {24 * count - 1}; is_err(try({call}))")
        assert done.error is None or isinstance(done.error, OperationError)
    assert outcome("1 + 1").value == 2


@pytest.mark.parametrize(
    ("closure", "flagged"),
    [
        ("|x| x.push(1)", False),
        ("|x| x.l.push(1)", True),
        ("|| .x = 5", True),
        ("|| { if (false) { .x = 1 }; 7 }", True),
        ("|| { x = [1]; x.push(2); x }", False),
        ("|| { x = [1]; x[0] = 2 }", True),
        ("|| || .x = 1", True),
        ("|| .c()", False),
        ("|| wse(1)", True),
        ("|| { nse(); x = {}; x.a = 1 }", False),
        ("|| future(|| .x = 1)", False),
    ],
)
def test_side_effects_show_in_the_text(query: Query, outcome: Query, closure: str, flagged: bool) -> None:
    for stored in (f".c = {closure}; nil", f'.c = closure("{closure}"); nil'):
        query(stored)
        error = outcome(".c({l: [], push: || 1})").error
        assert (type(error) is OperationError and "side effects" in error.message) == flagged


def test_a_flag_is_not_inherited(query: Query) -> None:
    query(".c = || .x = 5; .d = || .c(); nil")
    with pytest.raises(OperationError):
        query(".d()")
    assert query("wse(.d())") == 5


def test_arguments_are_evaluated_before_the_flag_is_looked_at(query: Query, outcome: Query) -> None:
    query(".c = |x| .x = 5; nil")
    assert outcome(".c(raise(err(-100, 'first')))").error.code == -100
    assert outcome(".c(1)").error.code == -63


@pytest.mark.parametrize(
    ("text", "compact"),
    [
        ("|x,  y| { a = x;  /* note */ return a; }", "|x,y|{a=x;return a;}"),
        ("||  'a  b' + x", "||'a  b'+x"),
        ("|| if (true) 1 else 2", "||if(true)1 else 2"),
        ("|x| `p  {x + 1}  q`", "|x|`p  {x+1}  q`"),
        ("|| /a b/i.test( x )", "||/a b/i.test(x)"),
    ],
)
def test_text(query: Query, text: str, compact: str) -> None:
    assert query(f"c = {text}; c") == text
    assert query(f"c = {text}; d = c; x = |f| f; x(d)") == text
    for kept in (
        f".c = {text}",
        f"[{text}][0]",
        f"{{c: {text}}}.c",
        f"c = {text}; .d = c; c",
        f"[1].map(|| {text})[0]",
    ):
        assert query(kept) == compact
    assert query("closure(s)", {"s": f" {text} ; "}) == compact


def test_a_closure_inside_a_stored_one_is_compact_too(query: Query) -> None:
    query(".c = || |x|  x  + 1; nil")
    assert query(".c()") == "|x|x+1"


@pytest.mark.parametrize(
    ("text", "doc"),
    [
        ("|| { 'Says something.'; 1 }", "Says something."),
        ("|| {'only'}", "only"),
        ('|| {"it""s"; 1}', 'it"s'),
        ("|| { /* no */ 'yes'; 1 }", "yes"),
        ("|| {'d'.len(); 1}", "d"),
        ("|| nil", ""),
        ("|| 'x'", ""),
        ("|| {`x`; 1}", ""),
        ("|| {'a' + 'b'; 1}", ""),
        ("|| {return 'x'}", ""),
        ("|| {x = 'x'; 1}", ""),
        ("|| {('x'); 1}", ""),
        ("|| {{'x'; 1}}", ""),
    ],
)
def test_doc(query: Query, text: str, doc: str) -> None:
    assert query(f"({text}).doc()") == doc
    assert query("closure(s).doc()", {"s": text}) == doc


def test_from_text(query: Query) -> None:
    assert query("closure()") == "||nil"
    assert query("closure('|a, b| a - b').call(9, 4)") == 5
    assert query("c = || 1; closure(c) == c")
    for text, error in (
        ("x", LookupFailed), ("5", LookupFailed), ("", BadDataError), ("|| 1; 2", BadDataError),
        ("|x| {", SyntaxFailed), ("|| {1 2}", SyntaxFailed), ("|| break", SyntaxFailed), ("|| /(/", ValueFailed),
    ):  # fmt: skip
        with pytest.raises(error):
            query("closure(s)", {"s": text})
    for value in ("1", "nil", "[]", "bytes('||1')"):
        with pytest.raises(TypeFailed):
            query(f"closure({value})")
    with pytest.raises(NumArgumentsError):
        query("closure('||1', raise('x'))")


def test_a_closure_that_breaks_can_not_break_its_caller(query: Query) -> None:
    with pytest.raises(SyntaxFailed):
        query("for (i in [1, 2]) { closure('|| break').call(); }")
    with pytest.raises(SyntaxFailed):
        query("for (i in [1, 2]) { (|| break).call(); }")


def test_identity_survives_storing(query: Query) -> None:
    assert query("c = || 1; .c = c; .d = .c; [c == .c, .c == .d, [c][0] == c, c == || 1]") == [True, True, True, False]
    assert query("set_type('C', {c: 'closure', d: 'closure?'}); [C{}.c, C{}.d, C{}.c()]") == ["||nil", None, None]


def test_closures_of_other_scopes(query: Query) -> None:
    for scope in ("@thingsdb", "@node"):
        assert query("f = |n| n == 0 ? 'x' : f(n - 1); [f(23), is_err(try(f(24)))]", scope=scope) == ["x", True]
        assert query("closure('|x| x * 2').call(4)", scope=scope) == 8
        assert query("t = {n: 1}; (|| t.n = 5).call(); t.n", scope=scope) == 5


def test_a_stored_closure_is_there_after_a_restart(query: Query, outcome: Query, engine: Engine) -> None:
    copy = Engine(seed=1)
    copy.initialise()
    Replay(copy).apply(outcome(".c = |x|  x * 2; nil").change.packed)
    closure = copy.collections["stuff"].root.props["c"]
    assert closure.text == "|x|x*2"
    assert closure.code.params == ("x",)
