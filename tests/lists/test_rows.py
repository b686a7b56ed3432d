"""A closure over an array as one Python comprehension gives what calling it for each item gives."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.language import rows
from engine.language.rows import compile_rows
from tests.conftest import Admin
from tests.types.state import fresh

SETUP = "set_type('P', {a: 'int', b: 'any'}); set_type('Q', {b: 'any', a: 'int'});"

ITEMS = st.sampled_from(
    (
        "{a: 1, b: 2}", "{a: 31, b: 'x'}", "{a: nil, b: [1]}", "{a: 'text', b: {c: 1}}", "{b: 5}", "P{a: 40}",
        "P{a: 3, b: 7}", "Q{a: 2, b: 9}", "Q{b: 'q'}", "3", "'text'", "nil", "1.5", "[1]", "{a: 1.5, b: true}",
    )
)  # fmt: skip
UNIFORM = ITEMS.flatmap(lambda item: st.lists(st.just(item), min_size=1, max_size=3))
CLOSURES = st.sampled_from(
    (
        "|x| x.a > 30", "|x| x.a", "|x| x.b", "|x| x.a + 1", "|x, i| x.a * i", "|x, i| i", "|x| x", "|x| x.a == x.b",
        "|x| x.a && x.b", "|x| !x.a", "|x| {n: x.a, x: x}", "|x| [x.b, x.a]", "|x| `{x.a} and {x.b}`", "|x| y > 1",
        "|x| x.a > 30 ? x.b : x.a", "|x| x.b.c", "|x| {x.a}", "|x| x", "|x| x > 2", "|x| -x.a", "|x| x.a / x.b",
        "|x| {x.b; x.a}", "|x| return x.a", "|x| x..a", "|x| x.b[0]", "|x, x| x", "|x| |y| x.a", "|x| str(x.a)",
        "|x| .n + x.a", "|x| v + x.a",
    )
)  # fmt: skip
CALLS = st.sampled_from(("map", "filter", "count", "sum"))


def answer(array: str, call: str, closure: str, after: int) -> Any:
    """What the call gives, again and again with the same code; compiled as rows after so many items."""
    engine = fresh()
    admin = Admin(engine)
    assert engine.query(admin, "//stuff", SETUP).error is None
    text = f".n = 3; v = 4; y = 2; .l = {array}; f = {closure}; range(3).map(|| try(.l.{call}(f)))"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rows, "COMPILED_AFTER", after)
        done = engine.query(admin, "//stuff", text)
    return done.value, type(done.error), str(done.error)


@settings(max_examples=120, deadline=None)
@given(st.one_of(UNIFORM, st.lists(ITEMS, max_size=4)), CALLS, CLOSURES)
def test_a_row_gives_what_single_calls_give(items: list[str], call: str, closure: str) -> None:
    array = f"[{', '.join(items)}]"
    assert answer(array, call, closure, 0) == answer(array, call, closure, 1 << 60)


@pytest.mark.parametrize("array", ["[{a: 40}, {a: 2}]", "[P{a: 40}, P{a: 2}]"])
def test_things_of_one_kind_are_read_in_rows(array: str, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = fresh()
    admin = Admin(engine)
    monkeypatch.setattr(rows, "COMPILED_AFTER", 0)
    done = engine.query(admin, "//stuff", f"{SETUP} .f = |x| x.a > 30; .l = {array}; .l.filter(.f).map(|x| x.a);")
    assert done.value == [40]
    code = engine.collections["stuff"].root.props["f"].code
    assert code.rows is not None
    assert code.rows.names == ("a",)


@pytest.mark.parametrize(
    "closure", ["|x| str(x)", "|x| x.map(|y| y)", "|x| {y = x; y}", "|x, y, z| x", "||1", "|x| T{}"]
)
def test_what_calls_or_assigns_is_not_compiled_as_rows(closure: str) -> None:
    assert compile_rows(closure, "C") is None
