"""JSON: what is written, what is read, what is refused."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.errors import BadDataError, LookupFailed, OperationError, TypeFailed, ValueFailed
from engine.limits import INT_MAX, INT_MIN
from engine.names import RESERVED_KEYS
from tests.text_and_numbers.strategies import ints, texts

Query = Callable[..., Any]

fast = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=80, deadline=None)

keys = st.text(max_size=4).filter(lambda key: key not in RESERVED_KEYS)
finite = st.floats(allow_nan=False, allow_infinity=False).map(lambda value: value + 0.0)
scalars = st.none() | st.booleans() | ints | finite | texts
trees = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(keys, inner, max_size=4), max_leaves=12
)


def _same(left: Any, right: Any) -> bool:
    if isinstance(left, dict):
        return isinstance(right, dict) and left.keys() == right.keys() and all(_same(left[k], right[k]) for k in left)
    if isinstance(left, list):
        return len(left) == len(right) and all(map(_same, left, right))
    return type(left) is type(right) and left == right


@fast
@given(trees)
def test_what_was_written_is_read(query: Query, tree: Any) -> None:
    for beautify in (False, True):
        text = query("json_dump(x, {deep: 127, beautify: b})", {"x": tree, "b": beautify})
        assert _same(json.loads(text), tree)
        assert _same(query("return json_load(t), 127", {"t": text}), tree)


@fast
@given(trees)
def test_it_reads_what_others_write(query: Query, tree: Any) -> None:
    for text in (json.dumps(tree), json.dumps(tree, ensure_ascii=False, indent=3)):
        assert _same(query("return json_load(t), 127", {"t": text}), tree)


@fast
@given(st.text('[]{}",:0123456789.eE+-truefalsn \t\n\\u\x0b/*aD8', max_size=16))
def test_it_refuses_what_is_no_json(query: Query, text: str) -> None:
    try:
        expected = json.loads(text, parse_constant=lambda name: 1 / 0)
    except (ValueError, ZeroDivisionError):
        if text.strip(" \t\n\r"):
            with pytest.raises((ValueFailed, OperationError)):
                query("json_load(t)", {"t": text})
        else:
            assert query("json_load(t)", {"t": text}) is None
        return
    if _acceptable(expected):
        assert _same(query("return json_load(t), 127", {"t": text}), expected)
    else:
        with pytest.raises(ValueFailed):
            query("json_load(t)", {"t": text})


def _acceptable(tree: Any) -> bool:
    if isinstance(tree, dict):
        return all(key not in RESERVED_KEYS and _acceptable(key) and _acceptable(value) for key, value in tree.items())
    if isinstance(tree, list):
        return all(map(_acceptable, tree))
    if type(tree) is int:
        return INT_MIN <= tree <= INT_MAX
    if type(tree) is float:
        return math.isfinite(tree)
    if type(tree) is str:
        return not any(0xD800 <= ord(character) < 0xE000 for character in tree)
    return True


@pytest.mark.parametrize(
    "text",
    [
        "[1,2", '"ab', "{", "[", '{"a"', '{"a":', "1 2", "-", "tru", "nul", "[1e400]", "-1e999",
        "[9223372036854775808]", "9" * 5000, '"\t"', '"\x00"', '"\\ud800"', '"\\udc80"', '["\\ud83d x"]',
        '{"\\udfff": 1}', '"\\x41"', "\ufeff1",
        "NaN", "-Infinity", "'a'", "[1,]", "// c\n1", "٣", "[1٣]", "\u00a01", '"\udcff"', '{"#": 1}', '{"/": 1}',
    ],
)  # fmt: skip
def test_what_is_refused(query: Query, text: str) -> None:
    with pytest.raises(ValueFailed):
        query("json_load(t)", {"t": text})


def test_numbers(query: Query) -> None:
    text = "[-0, -0.0, 1e-400, 9223372036854775807, -9223372036854775808, 1E2]"
    values = query("json_load(t)", {"t": text})
    assert values == [0, 0.0, 0.0, INT_MAX, INT_MIN, 100.0]
    assert [type(value) for value in values] == [int, float, float, int, int, float]
    assert math.copysign(1, values[1]) == 1
    assert query("json_load('1')") == 1


@pytest.mark.parametrize(("opening", "closing"), [("[", "]"), ('{"a":', "}")])
def test_nesting(query: Query, opening: str, closing: str) -> None:
    text = opening * 127 + "1" + closing * 127
    assert query("type(json_load(t))", {"t": text}) in ("list", "thing")
    for depth in (128, 1000, 100_000):
        with pytest.raises(OperationError):
            query("json_load(t)", {"t": opening * depth + "1" + closing * depth})
    with pytest.raises((ValueFailed, OperationError)):
        query("json_load(t)", {"t": opening * 100_000})


def test_writing_nested_lists(query: Query) -> None:
    grow = "x = []; for (i in range(n)) { x = [x]; }; json_dump(x)"
    assert query(grow, {"n": 126}) == "[" * 127 + "]" * 127
    with pytest.raises(OperationError):
        query(grow, {"n": 127})


def test_keys_work_after_a_dot_and_in_brackets(query: Query) -> None:
    assert query("""t = json_load('{"name": 1, "": 2, "a b": 3}'); [t.name, t[''], t['a b']]""") == [1, 2, 3]


def test_laid_out(query: Query) -> None:
    assert query("json_dump({a: [1, {}], b: []}, {beautify: 1, deep: 2})") == (
        '{\n    "a": [\n        1,\n        {\n\n        }\n    ],\n    "b": [\n\n    ]\n}\n'
    )
    assert query("json_dump('x', {beautify: true})") == '"x"\n'


@pytest.mark.parametrize(
    ("code", "error"),
    [
        ("json_dump(bytes())", TypeFailed),
        ("json_dump([bytes()])", TypeFailed),
        ("json_dump(inf)", TypeFailed),
        ("json_dump({a: nan})", TypeFailed),
        ("json_dump(1, {deep: 128})", ValueFailed),
        ("json_dump(1, {flags: true})", TypeFailed),
        ("json_dump(1, {Deep: 1})", LookupFailed),
        ("json_dump(1, nil)", TypeFailed),
        ("json_load(bytes('1'))", TypeFailed),
    ],
)
def test_errors(query: Query, code: str, error: type[Exception]) -> None:
    with pytest.raises(error):
        query(code)


def test_values_from_a_client_can_be_nested_too_deeply_as_well(query: Query) -> None:
    tree: Any = 1
    for _ in range(300):
        tree = [tree]
    with pytest.raises(BadDataError):
        query("x", {"x": tree})
