"""Errors as values, raised and caught (spec/time-and-procedures.md, section 2)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.errors import CLASSES, LanguageError, OperationError, ResultTooLarge, TypeFailed, ValueFailed
from engine.limits import MAX_ERROR_MESSAGE_BYTES
from engine.values.error import CONSTRUCTORS

Query = Callable[..., Any]

CODES = st.integers(-127, -50)
in_queries = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])


@given(CODES, st.text(max_size=50))
@in_queries
def test_what_is_raised_is_caught(query: Query, code: int, message: str) -> None:
    values = {"code": code, "message": message}
    assert query("e = try(raise(err(code, message))); [e.code(), e.msg(), str(e), int(e), bool(e)]", values) == [
        code, message, message, code, False,
    ]  # fmt: skip
    assert query("try(raise(err(code, message)), err(-128 + 1), err(code)) == err(code)", values)
    with pytest.raises(CLASSES.get(code, LanguageError)) as caught:
        query("raise(err(code, message))", values)
    assert (caught.value.code, caught.value.message) == (code, message)


@given(CODES, CODES)
@in_queries
def test_only_the_codes_asked_for_are_caught(query: Query, raised: int, wanted: int) -> None:
    values = {"raised": raised, "wanted": wanted}
    if raised == wanted:
        assert query("try(raise(err(raised, 'a')), err(wanted, 'b')).msg()", values) == "a"
    else:
        with pytest.raises(LanguageError) as caught:
            query("try(raise(err(raised)), err(wanted))", values)
        assert caught.value.code == raised
    with pytest.raises(LanguageError) as caught:
        query("alt_raise(raise(err(raised, 'a')), wanted)", values)
    assert (caught.value.code, caught.value.message) == (wanted, "a")


@given(st.integers(-(2**63), 2**63 - 1).filter(lambda code: not -127 <= code <= -50))
@in_queries
def test_other_codes_can_t_be_made(query: Query, code: int) -> None:
    for made in ("err(code)", "err(code, 'text')", "alt_raise(1 / 0, code)"):
        with pytest.raises(ValueFailed):
            query(made, {"code": code})


@pytest.mark.parametrize("name", CONSTRUCTORS.values())
def test_every_constructor(query: Query, name: str) -> None:
    assert query(f"[{name}('why').msg(), {name}() == err({name}().code()), {name}().msg().len() > 0]") == [
        "why", True, True,
    ]  # fmt: skip


@pytest.mark.parametrize(
    "code",
    ["err(-100, m)", "type_err(m)", "raise(m)", "raise(bytes(m))", "alt_raise(1 / 0, -101, m)", "assert(false, m)"],
)
def test_messages_have_a_limit_and_are_utf_8(query: Query, code: str) -> None:
    for message in ("x" * (MAX_ERROR_MESSAGE_BYTES + 1), "é" * (MAX_ERROR_MESSAGE_BYTES // 2 + 1), "\udcff"):
        with pytest.raises(ValueFailed):
            query(code, {"m": message})
    longest = "x" * MAX_ERROR_MESSAGE_BYTES
    assert query(f"try({code}).msg()", {"m": longest}) == longest


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("try(5, raise('not reached'))", 5),
        ("try(1 / 0, zero_div_err(), raise('not reached')).code()", -58),
        ("alt_raise(5, raise('not reached'))", 5),
        ("assert(true, raise('not reached'))", None),
        ("try(assert(.x > 2)).msg().contains('.x > 2')", True),
        ("f = || {try(return 3); 4}; f()", 3),
        ("for (x in [1, 2, 3]) {try(break); y = x}; y", 3),
        ("for (x in [1, 2, 3]) {try({continue}); y = x}; y", 3),
        ("for (x in [1, 2]) {for (y in [1, 2]) {try({for (z in [1]) {break}; break})}}; [x, y]", [2, 2]),
        ("try({.a = 5; 1 / 0}); .a", 5),
        ("down = |d, n| d(d, n + 1); try(down(down, 0)).code()", -63),
        ("timeit({return 5; 6})", 5),
        ("x = timeit(1 + 1); [x.data, x.time >= 0.0, x.keys()]", [2, True, ["data", "time"]]),
    ],
)
def test_what_runs_and_what_does_not(query: Query, code: str, expected: Any) -> None:
    query(".x = 1; nil")
    assert query(code) == expected


@pytest.mark.parametrize("code", ["try(1 / 0, -58)", "try(1 / 0, 'x')", "try(1 / 0, nil)", "raise(1)", "err() + 1"])
def test_what_is_no_error(query: Query, code: str) -> None:
    with pytest.raises(TypeFailed):
        query(code)


def test_what_can_t_be_caught(query: Query, engine: Any) -> None:
    engine.max_result_bytes = 10
    with pytest.raises(ResultTooLarge):
        query("try([{a: 'some text'}, {b: 'more text'}])")


def test_what_was_done_before_an_error_stays_and_is_logged(outcome: Query) -> None:
    done = outcome(".a = 1; .b = {}; .nowhere.x = 2; .c = 3")
    assert isinstance(done.error, LanguageError)
    assert [list(job["set"]) for _, job in done.change.mutations] == [["a"], ["b"]]
    assert isinstance(outcome("nse(.a = 2)").error, OperationError)
