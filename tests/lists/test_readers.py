"""Methods that read lists, against the operators `==` and `<` applied one by one."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine import snapshot
from engine.engine import Engine
from engine.errors import LookupFailed, OperationError, ResultTooLarge, TypeFailed, ValueFailed
from engine.language.operators import less
from engine.limits import INT_MAX, INT_MIN
from engine.values import copying, list_readers
from engine.values.equality import equal
from engine.values.text import decoded
from tests.lists.model import Items, bounds, frozen, items, lists

Query = Callable[..., Any]

fast = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=80, deadline=None)

numbers = (
    st.integers(-4, 4)
    | st.booleans()
    | st.floats(-4, 4).map(lambda value: round(value) / 2 + 0.0)
    | st.sampled_from([INT_MIN, INT_MAX, 2**53, 2**53 + 1, 2.0**53, 1e300, math.inf, -math.inf])
)
texts = st.binary(max_size=4) | st.sampled_from(["a", "Z", "ä", "é", "€", "𝄞"]) | st.binary(max_size=4).map(decoded)


def same(left: Any, right: Any) -> bool:
    return equal(frozen(left), frozen(right))


@fast
@given(lists, items)
def test_searches_agree_with_equality(query: Query, values: Items, wanted: Any) -> None:
    hits = [place for place, value in enumerate(values) if same(value, wanted)]
    code = "w = l.first(nil); [l.has(v), l.index_of(v), l.count(v)]"
    assert query(code, {"l": values, "v": wanted}) == [bool(hits), hits[0] if hits else None, len(hits)]


@fast
@given(st.lists(items | texts | numbers, max_size=8))
def test_unique_keeps_the_first_of_equals(query: Query, values: Items) -> None:
    kept: Items = []
    for value in values:
        if not any(same(value, known) for known in kept):
            kept.append(value)
    made = query("[l.unique(), l.is_unique()]", {"l": values})
    assert repr(made) == repr([kept, len(kept) == len(values)])


def test_nan_is_not_found(query: Query) -> None:
    assert query("x = [nan, [nan], 1]; [x.has(nan), x.index_of(nan), x.count(nan), x.has([nan]), x == x]") == [
        False,
        None,
        0,
        False,
        False,
    ]
    assert query("x = nan; [x, x, [x], [x]].unique().len()") == 4


def test_identity(query: Query) -> None:
    code = "a = {}; c = || 1; e = err(-100, 'x'); l = [a, {}, c, || 1, e, err(-100, 'y'), [a], [a]];"
    assert query(f"{code} [l.count(a), l.index_of(c), l.count(e), l.has(|| 1)]") == [1, 2, 2, False]
    assert query(f"{code} [l.unique().len(), l.index_of([a]), l.has({{}})]") == [6, 6, False]


@fast
@given(st.lists(numbers, max_size=9) | st.lists(texts, max_size=9))
def test_sort_and_extremes_agree_with_less(query: Query, values: Items) -> None:
    def compare(left: Any, right: Any) -> int:
        return -1 if less(left, right) else int(less(right, left))

    ascending = sorted(values, key=functools.cmp_to_key(compare))
    code = "[l.sort(), l.sort(true), l.sort(|x| x), l.sort(|x| x, true), l.sort(|x, y| x < y ? -1 : y < x ? 1 : 0)]"
    made = query(code, {"l": values})
    transitive = not any(isinstance(value, float) for value in values) or all(
        isinstance(value, float) or abs(value) <= 2**53 for value in values
    )
    if transitive:
        descending = sorted(values, key=functools.cmp_to_key(compare), reverse=True)
        assert repr(made) == repr([ascending, descending, ascending, descending, ascending])
    if not values:
        return
    least = greatest = values[-1]
    for value in values[:-1]:
        if less(value, least):
            least = value
        if less(greatest, value):
            greatest = value
    assert repr(query("[l.min(), l.max()]", {"l": values})) == repr([least, greatest])


@pytest.mark.parametrize("code", ["sort()", "sort(|x| x)", "min()", "max()"])
@pytest.mark.parametrize(
    "values", ["[1, 'a']", "[nil, nil]", "[1, nil, 2]", "[{}, {}]", "[[1], [2]]", "[set(), set()]", "[|| 1, || 2]"]
)
def test_what_has_no_order(query: Query, code: str, values: str) -> None:
    with pytest.raises(TypeFailed):
        query(f"{values}.{code}")


def test_members_are_ordered_by_value(query: Query) -> None:
    query("set_enum('E', {B: 2, A: 1, C: 3}); set_enum('T', {X: {}, Y: {n: 1}}); nil;")
    assert query("[E{B}, E{A}, E{C}].sort(true).map(|m| m.name())") == ["C", "B", "A"]
    assert query("[E{B}, E{A}, E{C}].min().name()") == "A"
    with pytest.raises(TypeFailed):
        query("[T{X}, T{Y}].sort()")


def test_a_sort_that_sorts(query: Query) -> None:
    with pytest.raises(OperationError):
        query("[2, 1].sort(|x| { [].sort(); x })")
    assert query("try([2, 1].sort(|x| [].sort())); [2, 1].sort(|x| x)") == [1, 2]


def test_what_a_sort_does_to_its_list_comes_too_late(query: Query) -> None:
    assert query("l = [3, 1, 2]; r = l.sort(|x| { l.clear(); x }); [r, l]") == [[1, 2, 3], []]
    assert query("l = [3, 1, 2]; r = l.sort({ l.pop(); |x| x }); [r, l]") == [[1, 3], [3, 1]]


@fast
@given(st.lists(numbers, max_size=6))
def test_sum_adds_from_the_left(query: Query, values: Items) -> None:
    plain, closure, model = (
        query(code, {"l": values}) for code in ("try(l.sum())", "try(l.sum(|x| x))", "try([0].reduce(|a| a, 0) + 0)")
    )
    total: Any = 0
    for value in values:
        total = total + (float(value) if isinstance(total, float) else value)
        if isinstance(total, int) and not INT_MIN <= total <= INT_MAX:
            assert "64-bit" in plain == closure if isinstance(plain, str) else False
            return
    assert model == 0
    assert repr(plain) == repr(closure) == repr(total + 0)


@fast
@given(st.lists(st.sampled_from(["", "a", "ä"]) | st.binary(max_size=3).map(decoded), max_size=5), st.text(max_size=2))
def test_join_joins_bytes(query: Query, values: Items, between: str) -> None:
    def data(text: str) -> bytes:
        return text.encode("utf-8", "surrogateescape")

    joined: str = query("l.join(s)", {"l": values, "s": between})
    assert data(joined) == data(between).join(map(data, values))
    assert joined == decoded(data(joined))


@fast
@given(lists, st.integers(-1, 4))
def test_flat(query: Query, values: Items, depth: int) -> None:
    def flat(array: Items, levels: int) -> Items:
        made: Items = []
        for item in array:
            made += flat(item, levels - 1) if isinstance(item, list) and levels > 0 else [item]
        return made

    assert repr(query("l.flat(d)", {"l": values, "d": depth})) == repr(flat(values, depth))


def test_flat_stops_before_it_is_too_much(query: Query, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(list_readers, "MAX_ARRAY_ITEMS", 100)
    with pytest.raises(OperationError):
        query("x = [1, 2, 3, 4]; for (i in range(60)) { x = [x, x]; }; x.flat(99)")


@fast
@given(lists | st.binary(max_size=8), bounds, bounds, bounds)
def test_slices(query: Query, values: Any, first: int | None, stop: int | None, step: int | None) -> None:
    length = len(values)
    if step == 0 and length:
        with pytest.raises(ValueFailed):
            query("l[i:j:k]", {"l": values, "i": first, "j": stop, "k": step})
        return
    begin, end = first, stop
    if begin is not None and begin < 0:
        begin = max(begin + length, 0)
    if end is not None and end < 0:
        end = max(end + length, 0)  # even where the step is negative: item 0 can't be reached by a stop
    expected = values[begin:end:step] if length else values
    assert repr(query("l[i:j:k]", {"l": values, "i": first, "j": stop, "k": step})) == repr(expected)


def test_parts_of_a_slice_of_nothing_are_not_evaluated(query: Query) -> None:
    assert query("[][raise('x'):'y':0]") == []
    with pytest.raises(TypeFailed):
        query("[1]['y':raise('x')]")


@pytest.mark.parametrize(
    ("code", "error"),
    [
        ("[].first()", LookupFailed),
        ("[].choice()", LookupFailed),
        ("[].max()", LookupFailed),
        ("[].reduce(|a| a)", LookupFailed),
        ("[1].map_id()", LookupFailed),
        ("[1].copy(128)", ValueFailed),
        ("['a', 1].join()", TypeFailed),
        ("['a', 'b'].join(1)", TypeFailed),
        ("[[1]][0].restriction()", LookupFailed),
    ],
)
def test_errors(query: Query, code: str, error: type[Exception]) -> None:
    with pytest.raises(error):
        query(code)


def test_new_lists_are_lists_of_their_own(query: Query) -> None:
    for method in ("copy()", "dup()", "copy(1)", "sort()", "reverse()", "unique()", "flat()", "map(|x| x)",
                   "filter(|x| true)"):  # fmt: skip
        assert query(f"a = [1]; b = a.{method}; b.push(2); a") == [1]
        assert query(f"a = [[1]]; b = a[0].{method}; [type(b), b.len()]") == ["list", 1]


def test_a_choice_is_one_of_the_items(query: Query) -> None:
    assert {query("[1, 2, 3].choice()") for _ in range(60)} == {1, 2, 3}


SHARED = "x = [1, 2]; y = [1, 2]; for (i in range(60)) { x = [x, x]; y = [y, y]; };"


@pytest.mark.parametrize(
    ("code", "result"), [("x == y", True), ("x == [y, y]", False), ("[x, y].unique().len()", 1), ("[y].has(x)", True)]
)
def test_what_is_shared_on_every_level_is_compared_once(query: Query, code: str, result: Any) -> None:
    assert query(f"{SHARED} {code}") == result


@pytest.mark.parametrize("code", ["x", "json_dump(x)", ".x = x", ".x = {a: x}", "x.copy(1)", "[{}, x]"])
def test_what_is_shared_on_every_level_is_not_spelled_out(
    query: Query, engine: Engine, monkeypatch: pytest.MonkeyPatch, code: str
) -> None:
    monkeypatch.setattr(snapshot, "MAX_ARRAY_ITEMS", 1000)
    monkeypatch.setattr(copying, "MAX_ARRAY_ITEMS", 1000)
    engine.max_result_bytes = 1000
    with pytest.raises((OperationError, ResultTooLarge)):
        query(f"{SHARED} {code}")


@pytest.mark.parametrize("code", ["x == y", "[x].has(y)", "[x, y].unique()", "x.copy(1)", ".x = x", "x"])
def test_what_nests_too_deep(query: Query, code: str) -> None:
    with pytest.raises(OperationError):
        query(f"x = []; y = []; for (i in range(20000)) {{ x = [x]; y = [y]; }}; {code}")
