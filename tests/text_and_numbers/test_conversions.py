"""Values as numbers, bytes and text."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.errors import OverflowFailed, TypeFailed, ValueFailed
from engine.limits import INT_MAX, INT_MIN
from engine.values.numbers import float_of_text, int_of_text
from engine.values.text import decoded, encoded
from tests.text_and_numbers.strategies import any_bytes, floats, ints, strs

Query = Callable[..., Any]

fast = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=80, deadline=None)

number_like = st.lists(
    st.sampled_from(
        [" ", "\t", "+", "-", "0", "1", "8", "9", "x", "X", "a", "F", ".", "e", "E", "p", "inf", "nan", "\0"]
    )
).map("".join)


def _scanned_int(text: str) -> int | None:
    """The rule of the specification, character by character; None: out of range."""
    rest = text.lstrip(" \t\n\v\f\r")
    sign = 1
    if rest[:1] in ("+", "-") and rest[:1]:
        sign, rest = (-1 if rest[0] == "-" else 1), rest[1:]
    base = 10
    if rest[:2].lower() == "0x" and rest[2:3] and rest[2] in "0123456789abcdefABCDEF":
        base, rest = 16, rest[2:]
    elif rest[:1] == "0":
        base = 8
    value = 0
    for character in rest:
        digit = "0123456789abcdef".find(character.lower())
        if not 0 <= digit < base:
            break
        value = value * base + digit
    value *= sign
    return value if INT_MIN <= value <= INT_MAX else None


@fast
@given(number_like | ints.map(str) | strs | st.integers(-(10**30), 10**30).map(str))
def test_int_of_text(text: str) -> None:
    expected = _scanned_int(text)
    if expected is None:
        with pytest.raises(OverflowFailed):
            int_of_text(text)
    else:
        assert int_of_text(text) == expected


@fast
@given(number_like | floats.map(repr) | floats.map(float.hex) | strs)
def test_float_of_text_is_the_longest_number_it_begins_with(text: str) -> None:
    body = text.lstrip(" \t\n\v\f\r")
    expected = 0.0
    for end in range(len(body), 0, -1):
        beginning = body[:end]
        if not re.fullmatch(r"[-+0-9a-zA-Z.]+", beginning):
            continue
        try:
            expected = float(beginning)
            break
        except ValueError:
            pass
        if re.match(r"[-+]?0[xX]", beginning):
            try:
                expected = float.fromhex(beginning)
                break
            except ValueError:
                pass
            except OverflowError:
                expected = -math.inf if beginning[0] == "-" else math.inf
                break
    result = float_of_text(text)
    assert result == expected or (math.isnan(result) and math.isnan(expected))
    assert math.copysign(1, result) == 1 or result != 0


def test_very_long_numbers(query: Query) -> None:
    assert query("float(t)", {"t": "1" * 100_000}) == math.inf
    assert query("float(t)", {"t": "0." + "0" * 5000 + "1"}) == 0.0
    assert query("int(t)", {"t": "0" * 100_000 + "12"}) == 10
    with pytest.raises(OverflowFailed):
        query("int(t)", {"t": "9" * 100_000})
    with pytest.raises(OverflowFailed):
        query("int(t)", {"t": "0x" + "f" * 100_000})
    assert query("int(t)", {"t": "0x" + "0" * 100_000 + "ff"}) == 255


@fast
@given(floats)
def test_int_of_float(query: Query, value: float) -> None:
    if math.isfinite(value) and INT_MIN <= int(value) <= INT_MAX:
        assert query("int(x)", {"x": value}) == int(value)
    else:
        with pytest.raises(OverflowFailed):
            query("int(x)", {"x": value})


@fast
@given(floats)
def test_text_of_a_float(query: Query, value: float) -> None:
    assert query("[str(x), `{x}`]", {"x": value}) == [f"{value:.6g}".replace("-nan", "nan")] * 2


@fast
@given(any_bytes)
def test_bytes_and_text(query: Query, data: bytes) -> None:
    text = decoded(data)
    assert query("bytes(t)", {"t": text}) == data
    assert query("[b == t, t == b, b < t, b >= t]", {"b": data, "t": text}) == [True, True, False, True]
    try:
        expected = data.decode()
    except UnicodeDecodeError:
        with pytest.raises(ValueFailed):
            query("str(b)", {"b": data})
    else:
        assert query("str(b)", {"b": data}) == expected


@fast
@given(any_bytes)
def test_base64_goes_there_and_back(query: Query, data: bytes) -> None:
    code = "e = base64_encode(b); u = e.replace('+', '-').replace('/', '_').replace('=', ''); [e, base64_decode(e), "
    code += "base64_decode(u), base64_decode(bytes(e))]"
    assert query(code, {"b": data})[1:] == [data] * 3


@pytest.mark.parametrize("text", ["Z", "Zg===", "Zg=v", "Z g", "Zg\n", "=", "Zm9v!", "é"])
def test_base64_refuses_what_is_none(query: Query, text: str) -> None:
    if text == "=":
        assert query("base64_decode(t)", {"t": text}) == b""
        return
    with pytest.raises(ValueFailed):
        query("base64_decode(t)", {"t": text})


@fast
@given(strs | ints | floats | st.booleans() | st.none() | any_bytes)
def test_truth(query: Query, value: Any) -> None:
    assert query("[bool(x), !!x]", {"x": value}) == [bool(value)] * 2


@pytest.mark.parametrize("value", ["nil", "[]", "{}", "/a/", "|x| x", "bytes('1')"])
def test_what_is_no_number(query: Query, value: str) -> None:
    for name in ("int", "float"):
        with pytest.raises(TypeFailed):
            query(f"{name}({value})")


def test_encoded_and_decoded_are_inverse() -> None:
    everything = bytes(range(256)) * 2
    assert encoded(decoded(everything)) == everything
