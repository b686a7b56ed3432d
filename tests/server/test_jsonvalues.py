"""Values as JSON and back."""

from __future__ import annotations

import json
from base64 import b64decode
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import ResultTooLarge
from server.jsonvalues import MAX_SAFE_INT, decode, encode


class Compact(dict[str, Any]):
    """As `engine.snapshot.Compact`: a new instance, its values in the order of its type's fields."""

    def __init__(self, type_id: int, thing_id: int, **fields: Any) -> None:
        super().__init__({".": type_id, "#": thing_id, "": list(fields.values())})
        self.names = tuple(fields)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "null"),
        (True, "true"),
        (MAX_SAFE_INT, "9007199254740991"),
        (-MAX_SAFE_INT, "-9007199254740991"),
        (MAX_SAFE_INT + 1, '"9007199254740992"'),
        (-(2**63), '"-9223372036854775808"'),
        ([10**15, 10**16], '[1000000000000000,"10000000000000000"]'),
        (0.1 + 0.2, "0.30000000000000004"),
        (1e16, "1e+16"),
        (1e300, "1e+300"),
        (-12345678901234567.0, "-1.2345678901234568e+16"),
        (float("nan"), '"NaN"'),
        ([float("inf"), -float("inf")], '["Infinity","-Infinity"]'),
        (b"", '""'),
        (b"\x00\xff", '"AP8="'),
        ("déjà ✓", '"déjà ✓"'),
        ("a\udcff", '"a\ufffd"'),
        ({"a\udcff": [b"x", 2**60]}, '{"a\ufffd":["eA==","1152921504606846976"]}'),
        ((1, (2, "1234567890123456789")), '[1,[2,"1234567890123456789"]]'),
        ('{".":', '"{\\".\\":"'),
        (Compact(3, 7, tune="x", n=2**60), '{"#":7,"tune":"x","n":"1152921504606846976"}'),
        (
            {"set": {"song": Compact(3, 7, inner=Compact(4, 8, b=b"x"), plain={"#": 1})}},
            '{"set":{"song":{"#":7,"inner":{"#":8,"b":"eA=="},"plain":{"#":1}}}}',
        ),
    ],
)
def test_encode(value: Any, text: str) -> None:
    assert encode(value) == text


values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats() | st.text() | st.binary(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(values)
def test_whatever_it_is_the_text_is_json_and_says_the_same(value: Any) -> None:
    def same(told: Any, value: Any) -> bool:
        if isinstance(value, bytes):
            return bool(b64decode(told) == value)
        if isinstance(value, float) and value != value:
            return bool(told == "NaN")
        if isinstance(value, float) and value in (float("inf"), -float("inf")):
            return bool(float(told) == value)
        if isinstance(value, int) and not isinstance(value, bool) and abs(value) > MAX_SAFE_INT:
            return bool(told == str(value))
        if isinstance(value, list):
            return len(told) == len(value) and all(map(same, told, value))
        if isinstance(value, dict):
            return told.keys() == value.keys() and all(same(told[key], value[key]) for key in value)
        return type(told) is type(value) and bool(told == value)

    def strict(name: str) -> None:
        raise AssertionError(f"{name} is no JSON")

    text = encode(value)
    text.encode()
    assert same(json.loads(text, parse_constant=strict), value)


@pytest.mark.parametrize("leafs", [1, b"x", 2**60, float("nan")])
def test_nested_too_deep(leafs: Any) -> None:
    for _ in range(100_000):
        leafs = [leafs]
    with pytest.raises(ResultTooLarge):
        encode(leafs)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "NaN",
        "[Infinity]",
        "-Infinity",
        "[1,]",
        "[" * 100_000,
        '"\\ud800"',
        '{"\\uDfff": 1}',
        "1" * 5000,
        "1 2",
    ],
)
def test_no_json(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        decode(text)


def test_decode() -> None:
    assert decode('{"a": [1, 1.0, "\\ud83d\\ude00", null, 9223372036854775808]}') == {
        "a": [1, 1.0, "\U0001f600", None, 2**63]
    }
    assert decode('"\\\\ud800"') == "\\ud800"
