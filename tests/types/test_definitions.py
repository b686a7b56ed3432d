"""The language of field definitions: what they accept, their defaults, which are wrong, which loosen which."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.engine import Engine
from engine.errors import LookupFailed, MaxQuotaError, OperationError, OverflowFailed, TypeFailed, ValueFailed
from engine.types.loosening import loosens
from engine.types.parsing import parse_definition

Query = Callable[..., Any]


@pytest.fixture
def typed(query: Query) -> Query:
    """A collection with the types A and W (which only wraps) and the enum E."""
    query("new_type('A'); new_type('W', WPO); set_enum('E', {A: 1, B: 2}); nil")
    return query


@pytest.mark.parametrize(
    ("definition", "default"),
    [
        ("any", None), ("str", ""), ("utf8", ""), ("raw", ""), ("bytes", b""), ("bool", False), ("int", 0), ("uint", 0),
        ("pint", 1), ("nint", -1), ("float", 0.0), ("number", 0), ("regex", "/.*/"), ("closure", "||nil"),
        ("room", "room:nil"), ("email", ""), ("enum", None), ("E", 1), ("E{B}", 2), ("E{B}?", 2), ("A", {}),
        ("A?", None), ("thing", {}), ("thing<int>", {}), ("[]", []), ("[int]?", None), ("{}", []), ("{A}", []),
        ("str<0:9>", ""), ("str<3:9>", "---"), ("str<0:9:x:y>", "x:y"), ("str<0:5:>", ""), ("str<1:>?", None),
        ("str<1::a>?", "a"), ("int<1:5>", 1), ("int<-5:-2>", -2), ("int<-5:5>", 0), ("int<:>", 0), ("int<::42>", 42),
        ("int<0:5:>", 0), ("int<0x10:0o77:0b100000>", 32), ("float<0.5:1>", 0.5), ("float<:>", 0.0),
        ("float<-inf:inf:1e3>", 1000.0), ("bool<true>", True), ("bool<false>?", False), ("email<a@b>", "a@b"),
        ("url<http://a>?", "http://a"), ("/^a/<a>", "a"), ("/b*/", ""), ("/b+/?", None), ("/B/i<b>?", "b"),
        ("&+^*!any", None),
    ],
)  # fmt: skip
def test_defaults(typed: Query, definition: str, default: Any) -> None:
    typed("set_type('T', {p: d})", {"d": definition})
    value = typed("T{}.p")
    assert (value, type(value)) == (default, type(default))
    assert typed("type_info('T').load().fields") == [["p", definition]]
    if definition != "room":
        assert typed("t = T{}; t.p = t.p; T{p: t.p}.p") == default


@pytest.mark.parametrize(
    ("definition", "error"),
    [
        ("", ValueFailed), ("list", TypeFailed), ("nil", TypeFailed), ("Int", TypeFailed), ("str??", TypeFailed),
        (" str", TypeFailed), ("é", ValueFailed), ("[str", ValueFailed), ("{A", ValueFailed),
        ("thing<int", ValueFailed),
        ("[?]", ValueFailed), ("[]??", ValueFailed), ("[[]]", ValueFailed), ("[{}]", ValueFailed),
        ("[str<1:2>]", ValueFailed), ("[/a/]", ValueFailed), ("[E{A}]", TypeFailed), ("thing<E{A}>", TypeFailed),
        ("{int}", TypeFailed), ("{A?}", TypeFailed), ("{E}", TypeFailed), ("{B}", TypeFailed), ("E{}", TypeFailed),
        ("E{C}", LookupFailed), ("A{A}", TypeFailed), ("W", TypeFailed), ("T", ValueFailed), ("raw<1:2>", ValueFailed),
        ("str<5>", ValueFailed), ("str<5:4>", ValueFailed), ("str<-1:4>", ValueFailed), ("str<1:2:abc>", ValueFailed),
        ("int<a:b>", ValueFailed), ("int<1:2>x>", ValueFailed), ("int<0:9223372036854775808>", OverflowFailed),
        ("int<0:" + "9" * 5000 + ">", OverflowFailed),
        ("int<-9223372036854775808:0>", OverflowFailed), ("float<nan:>", ValueFailed), ("bool<yes>", ValueFailed),
        ("email<a>", ValueFailed), ("email<>", ValueFailed), ("/", ValueFailed), ("/(/", ValueFailed),
        ("/a/g", ValueFailed), ("/a/", ValueFailed), ("/a/<b>", ValueFailed), ("&&int", ValueFailed),
        ("+-any", ValueFailed), ("&", ValueFailed), ("?int", TypeFailed), ("[&A]", TypeFailed), ("&#", TypeFailed),
        ("#?", TypeFailed), ("[#]", TypeFailed),
    ],
)  # fmt: skip
def test_wrong_definitions(typed: Query, definition: str, error: type[Exception]) -> None:
    with pytest.raises(error):
        typed("set_type('T', {p: d})", {"d": definition})
    assert typed("has_type('T')") is False


@pytest.mark.parametrize(
    ("definition", "taken", "type_error", "value_error"),
    [
        ("int", "1 -3 INT_MAX", "1.0 true nil '1'", ""),
        ("uint", "0 5", "1.0 nil", "-1"),
        ("float", "0.5 inf nan", "1 true nil", ""),
        ("number", "1 0.5", "true '1'", ""),
        ("bool", "true false", "0 nil", ""),
        ("raw", "'a' bytes('a') type_info('A')", "1 nil", ""),
        ("utf8", "'é'", "bytes('a')", "str(base64_decode('/w=='))"),
        ("email", "'a@b' ''", "1 nil", "'nope'"),
        ("email<a@b>", "'x@y'", "nil", "'' 'nope'"),
        ("str<2:3>", "'ab' 'é'", "nil 5", "'a' 'abcd' 'éé'"),
        ("int<2:3>", "2 3", "2.0 nil", "1 4"),
        ("float<0:1>", "0.0 1.0", "1", "1.5 nan"),
        ("/^a/i<a>", "'A' 'abc'", "nil 1", "'b'"),
        ("enum", "nil E{A}", "1", ""),
        ("E", "E{A} E{B}", "1 nil", ""),
        ("A", "A{}", "{} nil 1", ""),
        ("A?", "A{} nil", "{} 1", ""),
        ("thing", "{} A{}", "nil [] 1", ""),
        ("thing<int>", "{} {a:1}", "A{} {a:'b'} nil", "{}.restrict('str')"),
        ("[]", "[] [1,nil] (range(3))", "nil set()", ""),
        ("[int?]", "[1,nil]", "['a'] nil", ""),
        ("[pint]", "[1,2]", "['a']", "[1,0]"),
        ("{A}", "set() set(A{})", "[] set({}) nil", ""),
        ("any", "1 nil [] set() {} A{} ||1", "", ""),
    ],
)
def test_what_is_accepted(typed: Query, definition: str, taken: str, type_error: str, value_error: str) -> None:
    typed("set_type('T', {p: d}); .t = T{}; nil", {"d": definition})
    for ways in ("T{{p: {}}}", "T({{p: {}}})", ".t.p = {}", ".t['p'] = {}", ".t.set('p', {})", ".t.assign({{p: {}}})"):
        for value in taken.split():
            typed(f"{ways.format(value)}; nil")
        for value in type_error.split():
            with pytest.raises(TypeFailed):
                typed(ways.format(value))
        for value in value_error.split():
            with pytest.raises(ValueFailed):
                typed(ways.format(value))


@pytest.mark.parametrize(
    ("definition", "values"),
    [("[int]", ("'a'", "nil", "1.0")), ("[A]", ("{}", "nil", "1")), ("[pint?]", ("0", "'a'")), ("[E]", ("1", "nil"))],
)
def test_a_list_in_a_field_keeps_checking(typed: Query, definition: str, values: tuple[str, ...]) -> None:
    typed("set_type('T', {l: d}); .t = T{}; nil", {"d": definition})
    item = {"[int]": "7", "[A]": "A{}", "[pint?]": "nil", "[E]": "E{B}"}[definition]
    typed(f".t.l = [{item}, {item}]; l = .t.l; l.push({item}); .t.l[0] = {item}; .t.l[0:1] = [{item}]; nil")
    before = typed(".t.l")
    for value in values:
        for change in (
            "push({})", "unshift({})", "splice(0, 1, {})", "extend([{}])", "extend_unique([{}])", "fill({})",
        ):  # fmt: skip
            with pytest.raises((TypeFailed, ValueFailed)):
                typed(f".t.l.{change.format(value)}")
        for statement in (f".t.l[0] = {value}", f".t.l[0:2] = [{value}]", f"wse({{l = .t.l; l.push({value})}})"):
            with pytest.raises((TypeFailed, ValueFailed)):
                typed(statement)
    assert typed(".t.l") == before
    typed(f".free = .t.l; .free.push({values[0]}); l = .t.l.copy(); l.push({values[0]})")


def test_compound_assignments_are_checked(typed: Query) -> None:
    typed("set_type('T', {n: 'uint', l: '[int]', s: 'str<1:3>'}); .t = T{n: 1, l: [1]}; nil")
    for statement in (".t.n -= 2", ".t.n += 0.5", ".t.s += 'abc'", ".t.l[0] += 0.5"):
        with pytest.raises((TypeFailed, ValueFailed)):
            typed(statement)
    assert typed(".t.values()") == [1, [1], "-"]


def test_a_demanded_restriction(typed: Query) -> None:
    typed("set_type('T', {k: 'thing<int?>'}); .p = {a: 1}; .t = T{k: .p}; nil")
    assert typed("[.p.restriction(), .t.k == .p]") == ["int?", True]
    assert typed(".p.b = nil; .p.c = 3; .p.keys()") == ["a", "b", "c"]
    with pytest.raises(TypeFailed):
        typed(".p.d = 'x'")
    for thing in (".p", ".t.dup(2).k"):
        with pytest.raises(OperationError):
            typed(f"{thing}.restrict('int')")


def test_taking_on_a_restriction_is_a_change(typed: Query) -> None:
    typed("set_type('T', {k: 'thing<int>'}); .p = {a: 1}; nil")
    with pytest.raises(OperationError):
        typed("T{k: .p}; nil")
    assert typed(".p.restriction()") is None
    with pytest.raises(OperationError):
        typed(".p.map(|k| {.t = T{k: .p};})")


def test_fields_that_refer_to_their_own_type(typed: Query) -> None:
    fields = {f"f{number}": "T?" for number in range(255)}
    typed("set_type('T', d)", {"d": fields})
    with pytest.raises(MaxQuotaError):
        typed("mod_type('T', 'add', 'more', '[T]')")
    typed("mod_type('T', 'add', 'more', 'A')")


def test_defaults_without_end(typed: Query) -> None:
    typed("new_type('T0'); " + "".join(f"set_type('T{n}', {{a: 'T{n - 1}', b: 'T{n - 1}'}});" for n in range(1, 31)))
    with pytest.raises(OperationError, match="at most"):
        typed("T30{}")


_TEXTS = ("", "a", "ab", "abc", "b", "a@b", "x@y", "http://a", "123", "12345")
_VALUES: list[Any] = [
    None,
    True,
    False,
    0,
    1,
    3,
    5,
    -1,
    -7,
    2**63 - 1,
    0.0,
    1.0,
    0.5,
    -2.5,
    math.inf,
    math.nan,
    b"",
    b"x",
]
_VALUES += _TEXTS
_CORES = [
    "any", "str", "utf8", "raw", "bytes", "bool", "int", "uint", "pint", "nint", "float", "number", "email", "url",
    "tel", "str<0:3>", "str<1:2>", "utf8<0:2>", "int<0:5>", "int<1:5>", "int<-5:-1>", "int<-5:5>", "float<0:1>",
    "float<-1:9>", "bool<true>", "email<a@b>", "tel<123>", "/a/<a>", "/b/<b>", "[]", "[int]", "[int?]", "[number]",
    "[str]", "[any]",
]  # fmt: skip
_DEFINITIONS = st.tuples(st.sampled_from(_CORES), st.sampled_from(("", "?"))).map("".join)


@settings(deadline=None)
@given(_DEFINITIONS, _DEFINITIONS)
def test_what_loosens_accepts_all_that_was_accepted(old: str, new: str) -> None:
    engine = Engine(clock=lambda: 1_500_000_000.0, seed=1)
    home = engine.new_collection("stuff", 0)
    was, becomes = parse_definition(old, home), parse_definition(new, home)
    if loosens(becomes, was):
        from engine.values.list import List

        for value in [*_VALUES, *(List([value]) for value in _VALUES), List()]:
            assert not was.accepts(value) or becomes.accepts(value), (old, new, value)
