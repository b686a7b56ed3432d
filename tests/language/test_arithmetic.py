"""Operators compiled inline give what the operators give that are called, in the same order."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.errors import LanguageError
from engine.language.operators import BINARY, UNARY
from engine.limits import INT_MAX, INT_MIN

Outcome = Callable[..., Any]

thorough = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=300, deadline=None)

values = (
    st.integers(-5, 5)
    | st.sampled_from([INT_MIN, INT_MIN + 1, INT_MAX, INT_MAX - 1, 2**31, 2**32, -(2**31), 2**62, 3037000500])
    | st.sampled_from([True, False, 1.5, -0.5, 0.0, 1e300, float("inf"), "a", "", None])
)

NAMES = ("a", "b", "c")
ARITHMETIC = ("+", "-", "*", "/", "%", "&", "^", "|", "<<", ">>")
COMPARISONS = ("==", "!=", "<", "<=", ">", ">=")

# A tree is a tuple: ("name", n), ("int", text), ("property", n), ("call", n), ("prefix", operators, tree),
# ("group", tree), (operator, tree, tree).
leaves = st.one_of(
    st.tuples(st.just("name"), st.sampled_from(NAMES)),
    st.tuples(st.just("name"), st.sampled_from(NAMES)),
    st.tuples(st.just("int"), st.sampled_from(["0", "1", "2", "7", "-3", str(INT_MAX), "'a'", "nil", "1.5"])),
    st.tuples(st.just("property"), st.sampled_from(NAMES)),
    st.tuples(st.just("call"), st.sampled_from(NAMES)),
)  # fmt: skip


def _nodes(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.one_of(
        st.tuples(st.sampled_from(ARITHMETIC), inner, inner),
        st.tuples(st.sampled_from(ARITHMETIC), inner, inner),
        st.tuples(st.sampled_from(COMPARISONS), inner, inner),
        st.tuples(st.just("prefix"), st.sampled_from(["-", "+", "~", "~-", "!"]), inner),
    )


trees = st.recursive(leaves, _nodes, max_leaves=9)


def text_of(tree: Any) -> str:
    match tree:
        case ("name", name):
            return str(name)
        case ("int", text):
            return f"({text})" if text.startswith("-") else str(text)
        case ("property", name):
            return f".{name}"
        case ("call", name):
            return f"f('{name}', {name})"
        case ("prefix", operators, inner):
            return f"{operators} ({text_of(inner)})"
        case (operator, left, right):
            return f"({text_of(left)} {operator} {text_of(right)})"
    raise AssertionError(tree)


def evaluate(tree: Any, variables: dict[str, Any], log: list[str]) -> Any:
    match tree:
        case ("name", name) | ("property", name):
            return variables[name]
        case ("int", text):
            return {"'a'": "a", "nil": None, "1.5": 1.5}[text] if text[0] in "'n" or "." in text else int(text)
        case ("call", name):
            log.append(name)
            return variables[name]
        case ("prefix", operators, inner):
            value = evaluate(inner, variables, log)
            for operator in reversed(operators):
                value = (not value) if operator == "!" else UNARY[operator](value)
            return value
        case (operator, left, right):
            first = evaluate(left, variables, log)
            return BINARY[operator](first, evaluate(right, variables, log))
    raise AssertionError(tree)


def expected(tree: Any, variables: dict[str, Any]) -> tuple[str, list[str]]:
    log: list[str] = []
    try:
        return repr(evaluate(tree, variables, log)), log
    except LanguageError as error:
        return error.name, log


PLACES = {
    "query": "v = try({});",
    "closure": "g = |a, b, c| {}; v = try(g(a, b, c));",
    "called by a walk": "g = |a| {}; v = try([a].map(g)); v = is_err(v) ? v : v[0];",
    "loop": "v = nil; for (i in [1, 2]) {{ r = []; v = try({}); }};",
    "test": "v = try({{ if ({}) true else false }});",
    "logical": "v = try({{ true && ({}) }});",
    "own locals": "g = |x, y, z| {{ a = x; b = y; c = z; {} }}; v = try(g(a, b, c));",
    "argument": "v = try([({})].first());",
}


@thorough
@given(tree=trees, place=st.sampled_from(sorted(PLACES)), a=values, b=values, c=values)
def test_inline_as_called(outcome: Outcome, tree: Any, place: str, a: Any, b: Any, c: Any) -> None:
    result, log = expected(tree, {"a": a, "b": b, "c": c})
    code = f"r = []; f = |n, v| {{ r.push(n); v }}; {PLACES[place].format(text_of(tree))}"
    outcome(".a = a; .b = b; .c = c; nil", {"a": a, "b": b, "c": c})
    done = outcome(f"{code} [is_err(v) ? v.code() : v, is_err(v), r];", {"a": a, "b": b, "c": c})
    assert done.error is None, done.error
    value, failed, made = done.value
    assert made == log
    if failed:
        assert value in [error.code for error in LanguageError.__subclasses__() if error.name == result]
    elif place == "test":
        assert value == bool(eval(result, {"inf": float("inf"), "nan": float("nan")}))
    else:
        assert repr(value) == result


@thorough
@given(
    tree=trees,
    operator=st.sampled_from(["+", "-", "*", "/", "%", "&", "|", "^"]),
    place=st.sampled_from(
        ["{}", "(|| {{ {}; nil }}).call()", "g = |a| {{ {}; a }}; a = g(a)", "(|a| {{ {}; a }}).call(a)"]
    ),
    a=values,
    b=values,
    c=values,
)  # fmt: skip
def test_compound_assignment(outcome: Outcome, tree: Any, operator: str, place: str, a: Any, b: Any, c: Any) -> None:
    variables = {"a": a, "b": b, "c": c}
    log: list[str] = []
    result: Any = a
    error = None
    try:
        value = evaluate(tree, variables, log)
        result = BINARY[operator](a, value)
    except LanguageError as failure:
        error = failure.code
    if place.startswith("(|a|"):
        result = a
    outcome(".a = a; .b = b; .c = c; nil", variables)
    code = f"f = |n, v| {{ r.push(n); v }}; e = try({{ {place.format(f'a {operator}= {text_of(tree)}')}; nil }});"
    done = outcome(f"r = []; a = a; {code} [is_err(e) ? e.code() : nil, a, r]", variables)
    assert done.error is None, done.error
    assert repr(done.value) == repr([error, result, log])


def test_operands_are_evaluated_once_and_before_what_follows(outcome: Outcome) -> None:
    start = "r = []; f = |v| { r.push(v); v };"
    assert outcome(f"{start} [f(1) + f(2) * f(3) == f(7), r]").value == [True, [1, 2, 3, 7]]
    assert outcome("x = 1; f = || { x += 10; x }; x + f()").value == 12
    assert outcome("x = 1; f = || { x += 10; x }; x * 2 + f() + x").value == 24
    assert outcome("x = 1; x += (x = 10)").value == 20
    assert outcome("x = 1; [x + 1, x += 5, x + 1]").value == [2, 6, 7]


@pytest.mark.parametrize("count", [15, 16, 17, 40, 400])
def test_long_expressions(outcome: Outcome, count: int) -> None:
    assert outcome("x = 2; " + " + ".join(["x"] * count)).value == 2 * count
    assert outcome("x = 2; f = |x| " + " - ".join(["x"] * count) + "; f(x)").value == 2 - 2 * (count - 1)
    assert outcome("x = 'a'; " + " + ".join(["x"] * count)).value == "a" * count


def test_overflow_in_the_middle(outcome: Outcome) -> None:
    for code in ("x = INT_MAX; x + 1 - 1", "x = INT_MAX; x * 2 / 4", "x = INT_MIN; -x + x", "x = INT_MIN; x / -1"):
        assert outcome(code).error.name == "OverflowError"
    assert outcome("x = INT_MAX; (x + -1) + 1 == INT_MAX").value is True


def test_sets_and_things(outcome: Outcome) -> None:
    assert outcome("a = {}; s = set(a); t = set(a, {}); [(s | t).len(), (t - s).len(), s < t, s == t]").value == [
        2,
        1,
        True,
        False,
    ]
    assert outcome("s = set({}); t = s; s |= set({}); s -= t; [s.len(), t.len()]").value == [0, 0]
    assert outcome("x = {}; [x == nil, nil == x, x != nil, nil == nil, x == x, x == 'a', 'a' == x]").value == [
        False, False, True, True, True, False, False,
    ]  # fmt: skip
    assert outcome("x = bytes('a'); [x == 'a', 'a' == x, x != 'a', x == 'b']").value == [True, True, False, False]
