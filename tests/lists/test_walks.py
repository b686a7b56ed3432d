"""Methods that run a closure over a list: order, arguments, locks, counting."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from engine.errors import EngineError, NumArgumentsError, OperationError, TypeFailed

Query = Callable[..., Any]

WALKS = ("map", "each", "filter", "find", "find_index", "some", "every", "reduce", "remove", "count", "sum")


@pytest.mark.parametrize(
    ("code", "result"),
    [
        ("[5, 6].map(CLOSURE)", [[5, 0], [6, 1]]),
        ("[5, 6].each(CLOSURE)", [[5, 0], [6, 1]]),
        ("[5, 6].filter(CLOSURE)", [[5, 0], [6, 1]]),
        ("[5, 6].find(CLOSURE)", [[5, 0]]),
        ("[5, 6].find_index(CLOSURE)", [[5, 0]]),
        ("[5, 6].some(CLOSURE)", [[5, 0]]),
        ("[5, 6].every(CLOSURE)", [[5, 0], [6, 1]]),
        ("[5, 6].count(CLOSURE)", [[5, 0], [6, 1]]),
        ("[5, 6].remove(CLOSURE)", [[5, 0], [6, 1]]),
        ("[5, 6].remove(CLOSURE, 1)", [[5, 0]]),
        ("[5, 6].remove(CLOSURE, -1)", [[6, 1]]),
        ("[5, 6].remove(CLOSURE, 0)", []),
    ],
)
def test_items_are_visited_in_order_with_their_index(query: Query, code: str, result: Any) -> None:
    assert query(f"r = []; {code.replace('CLOSURE', '|x, i| { r.push([x, i]); true }')}; r") == result
    assert query(f"r = []; {code.replace('CLOSURE', '|x| { r.push(x); true }')}; r") == [x for x, _ in result]
    assert query(f"r = []; {code.replace('CLOSURE', '|| { r.push(1); true }')}; r") == [1] * len(result)
    surplus = f"r = []; {code.replace('CLOSURE', '|x, i, y, z| { r.push([y, z]); true }')}; r"
    assert query(surplus) == [[None, None]] * len(result)


@pytest.mark.parametrize("method", WALKS)
@pytest.mark.parametrize("change", ["l.push(1)", "l.pop()", "l[0] = 1", "l[:] = []", "l.clear()", "l.fill(1)"])
def test_the_list_is_locked(query: Query, method: str, change: str) -> None:
    with pytest.raises(OperationError):
        query(f"l = [1, 2]; l.{method}(|a, x| {{ {change}; 1 }})")
    code = f"l = [1, 2]; try(l.{method}(|a, x| {{ {change}; 1 }})); x = l.copy(); l.push(3); [x, l]"
    assert query(code) == [[1, 2], [1, 2, 3]]


def test_arguments_of_walks_run_under_the_lock(query: Query) -> None:
    for method in set(WALKS) - {"count", "sum"}:
        with pytest.raises(OperationError):
            query(f"l = [1]; l.{method}({{ l.push(2); |x| x }})")
    assert query("l = [1]; [l.sum({ l.push(2); |x| x }), l.count({ l.push(1); |x| x == 1 })]") == [3, 2]
    with pytest.raises(OperationError):
        query("l = [1]; l.find(|| false, l.push(2))")
    with pytest.raises(OperationError):
        query("l = [1]; l.reduce(|a| a, l.push(2))")
    assert query("l = [1]; try(l.find(|| false, raise('x'))); l.push(2)") == 2


def test_a_property_in_use_stays(query: Query) -> None:
    query(".l = [1, 2]")
    for change in (".l = []", ".del('l')", ".set('l', [])", ".remove(|| true)", ".clear()", ".ren('l', 'm')"):
        with pytest.raises(OperationError):
            query(f".l.map(|| {{ {change}; 1 }})")
    assert query(".l.map(|x| { .m = x; x }); [.l, .m]") == [[1, 2], 2]


def test_nested_walks(query: Query) -> None:
    assert query("l = [1, 2]; l.map(|x| l.map(|y| x * y))") == [[1, 2], [2, 4]]
    assert query("l = [1, 2]; l.map(|x| l.find(|y| y > 1)); l.push(3)") == 3


def test_results_become_items(query: Query) -> None:
    assert query("r = [1].map(|| [1]); type(r[0])") == "tuple"
    assert query("r = [1].map(|| set({})); type(r[0])") == "tuple"
    assert query("[1].map(|x| || 1   +  x)") == ["||1+x"]
    assert query("x = [[2]]; type(x.filter(|| true)[0])") == "tuple"


def test_an_alternative_sees_no_parameters(query: Query) -> None:
    assert query("x = 5; [1].find(|x| false, x)") == 5
    assert query("x = 5; [1].reduce(|x, y| x + y, x)") == 6


def test_a_closure_may_be_active_24_times(query: Query) -> None:
    assert query("f = |n| n < 1 ? 0 : 1 + [1].map(|x| f(n - 1))[0]; f(23)") == 23
    with pytest.raises(OperationError):
        query("f = |n| n < 1 ? 0 : 1 + [1].map(|x| f(n - 1))[0]; f(24)")
    assert query("f = |n| n < 1 ? [].map(f).len() : f(n - 1); f(23)") == 0
    assert query("f = |n| n < 1 ? [1].find(|x| false, 7) : f(n - 1); f(23)") == 7
    assert query("f = |n| n < 1 ? try([1].map(f)) : f(n - 1); try(f(23)); f(22)") is not None
    assert query("g = |n| n < 1 ? 0 : g(n - 1); f = |n| [1].find(|| false, g(22)); f(1)") == 0


def test_errors_end_the_walk_and_its_count(query: Query) -> None:
    code = "f = |x| x > 1 ? raise('no') : x; for (i in range(30)) { try([1, 2].map(f)); }; [1].map(f)"
    assert query(code) == [1]


@pytest.mark.parametrize("method", [*WALKS, "sort"])
def test_side_effects_are_checked_before_anything_runs(query: Query, method: str) -> None:
    query(".c = |x| .x = 5; .d = || .x = 5; nil")
    for array in ("[]", "[2, 1]"):
        if method == "remove" or (method == "sort" and array == "[]"):
            continue
        with pytest.raises(OperationError):
            query(f"{array}.{method}(.c)")
    assert not query(".has('x')")


@pytest.mark.parametrize("method", WALKS)
@pytest.mark.parametrize("argument", ["1", "nil", "'x'", "[]"])
def test_anything_but_a_closure(query: Query, method: str, argument: str) -> None:
    if method == "count":
        assert query(f"[].count({argument})") == 0
        return
    with pytest.raises(TypeFailed):
        query(f"[].{method}({argument})")


@pytest.mark.parametrize("method", WALKS)
def test_arguments_are_counted_first(query: Query, method: str) -> None:
    for arguments in ("" if method != "sum" else "raise('x'), 1", "raise('x'), 1, 2"):
        with pytest.raises(NumArgumentsError):
            query(f"[1].{method}({arguments})")


@pytest.mark.parametrize(
    ("code", "error"),
    [
        ("[1, 2].sort(1)", -61),
        ("[1, 2].sort(nil)", -61),
        ("[1, 2].sort(true, true)", -61),
        ("[1, 2].sort(|x| x, 1)", -61),
        ("[1, 2].sort(|x, y| 1, 1)", -61),
        ("[1, 2].sort(|x, y| 1, true)", -62),
        ("[1, 2].sort(|| 1)", -62),
        ("[1, 2].sort(|x, y, z| 1)", -62),
        ("[1, 2].sort(|x, y| 1.0)", -61),
        ("[1, 2].sort(|x, y| true)", -61),
        ("[1, 2].sort(raise('x'))", -100),
        ("[1, 2].sort(|x| x, raise('x'))", -100),
        ("[].sort(1, 2, 3)", -62),
    ],
)
def test_arguments_of_sort(outcome: Query, code: str, error: int) -> None:
    failure: EngineError = outcome(code).error
    assert failure.code == error
