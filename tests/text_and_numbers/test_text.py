"""Methods of strings, against the same on bytes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.errors import OperationError, OverflowFailed, ValueFailed
from engine.limits import INT_MIN
from engine.values.text import decoded, encoded
from tests.text_and_numbers.strategies import ints, strs

Query = Callable[..., Any]

fast = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60, deadline=None)

WHITE_SPACE = b" \t\n\v\f\r"


@fast
@given(strs)
def test_methods_without_arguments(query: Query, text: str) -> None:
    data = encoded(text)
    code = "[t.len(), t.upper(), t.lower(), t.trim(), t.trim_left(), t.trim_right(), is_ascii(t), is_utf8(t)]"
    assert query(code, {"t": text}) == [
        len(data),
        decoded(data.upper()),
        decoded(data.lower()),
        decoded(data.strip(WHITE_SPACE)),
        decoded(data.lstrip(WHITE_SPACE)),
        decoded(data.rstrip(WHITE_SPACE)),
        data.isascii() and 0 not in data,
        _is_utf8(data),
    ]


def _is_utf8(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True


@fast
@given(strs, strs)
def test_search_looks_at_bytes(query: Query, text: str, part: str) -> None:
    data, wanted = encoded(text), encoded(part)
    assert query("[t.contains(p), t.starts_with(p), t.ends_with(p)]", {"t": text, "p": part}) == [
        wanted in data,
        data.startswith(wanted),
        data.endswith(wanted),
    ]


@fast
@given(strs, strs)
def test_joining_halves_of_characters_gives_characters(query: Query, left: str, right: str) -> None:
    whole = decoded(encoded(left) + encoded(right))
    assert query("[l + r, `{l}{r}`]", {"l": left, "r": right}) == [whole, whole]


@fast
@given(strs, strs.filter(bool), st.none() | ints.filter(lambda limit: limit != INT_MIN))
def test_split_by_text(query: Query, text: str, apart: str, limit: int | None) -> None:
    data, between = encoded(text), encoded(apart)
    if limit is None:
        parts, got = data.split(between), query("t.split(a)", {"t": text, "a": apart})
    else:
        parts = data.split(between, limit) if limit >= 0 else data.rsplit(between, -limit)
        got = query("t.split(a, n)", {"t": text, "a": apart, "n": limit})
    assert got == [decoded(part) for part in parts]


@fast
@given(st.text(" \t\nab", max_size=10), st.integers(-5, 5))
def test_split_by_white_space_keeps_the_ends(query: Query, text: str, limit: int) -> None:
    runs: list[tuple[int, int]] = []
    for position, character in enumerate(text):
        if character not in " \t\n":
            continue
        if runs and runs[-1][1] == position:
            runs[-1] = (runs[-1][0], position + 1)
        else:
            runs.append((position, position + 1))
    runs = runs[:limit] if limit >= 0 else runs[limit:]
    starts, ends = [0, *(end for _, end in runs)], [*(start for start, _ in runs), len(text)]
    assert query("t.split(n)", {"t": text, "n": limit}) == [
        text[start:end] for start, end in zip(starts, ends, strict=True)
    ]


@fast
@given(strs, strs.filter(bool), strs, st.integers(-4, 4))
def test_replace_text(query: Query, text: str, old: str, new: str, limit: int) -> None:
    data, gone, put = encoded(text), encoded(old), encoded(new)
    expected = decoded(data.replace(gone, put, limit) if limit >= 0 else put.join(data.rsplit(gone, -limit)))
    variables = {"t": text, "o": old, "n": new, "l": limit}
    assert query("t.replace(o, n, l)", variables) == expected
    assert query("t.replace(o, |s, e, all| { assert(all == t && all[s:e] == o); n; }, l)", variables) == expected


def test_the_closure_gets_true_positions_from_the_end_too(query: Query) -> None:
    assert query("'abcabc'.replace('bc', |s, e| `<{s}-{e}>`, -2)") == "a<1-3>a<4-6>"


def test_the_closure_sees_parts_of_a_match(query: Query) -> None:
    code = "'k=v, x'.replace(/([a-z])(=([a-z]))?/, |a, b, c, d, e, f, g| `[{a},{b},{c},{d},{e},{f},{g}]`)"
    assert query(code) == "[k,=v,v,k=v,0,3,k=v, x], [x,x,5,6,k=v, x,nil,nil]"


@pytest.mark.parametrize(
    "code",
    ["'a'.split('', 1/0)", "'a'.replace('', 'b')", "''.replace('', 'b')", "'a'.split(/a/, INT_MIN)"],
)
def test_value_errors(query: Query, code: str) -> None:
    with pytest.raises(ValueFailed):
        query(code)


@pytest.mark.parametrize("code", ["'a'.split(INT_MIN)", "'a'.split('a', INT_MIN)", "'a'.replace('a', 'b', INT_MIN)"])
def test_limits_too_small(query: Query, code: str) -> None:
    with pytest.raises(OverflowFailed):
        query(code)


@pytest.mark.parametrize(
    "code",
    [
        "a.replace('a', a)", "a.replace(/a/, a)", "a.replace('a', || a)", "a.replace(/a/, || a)", "`{a}{b}`",
        "a.replace('a', a, -50)", "b.replace('é', b)", "b.replace('é', b, -50)", "a + a + a", "b + b + b + b",
        "bytes(a) + a + a", "base64_encode(a)", "json_dump([a, a])",
    ],
)  # fmt: skip
def test_texts_have_a_largest_size(query: Query, monkeypatch: pytest.MonkeyPatch, code: str) -> None:
    for name in (
        "values.text", "values.replace", "language.operators", "functions.base64", "functions.json",
    ):  # fmt: skip
        monkeypatch.setattr(f"engine.{name}.MAX_TEXT_BYTES", 100)
    with pytest.raises(OperationError):
        query(code, {"a": "a" * 80, "b": "é" * 60})


@fast
@given(
    strs,
    st.none() | st.integers(-15, 15) | ints,
    st.none() | st.integers(-15, 15) | ints,
    st.none() | (st.integers(-4, 4) | ints).filter(bool),
)
def test_slices_of_text_and_bytes(
    query: Query, text: str, start: int | None, stop: int | None, step: int | None
) -> None:
    data = encoded(text)
    expected = bytes(data[i] for i in _positions(len(data), start, stop, step or 1))
    got = query("[t[a:b:c], d[a:b:c]]", {"t": text, "d": data, "a": start, "b": stop, "c": step})
    assert got == [decoded(expected), expected]


def _positions(length: int, start: int | None, stop: int | None, step: int) -> range:
    """As the specification words it; walked, so that nothing is taken from how it is done."""
    if start is None:
        start = 0 if step > 0 else length - 1
    elif start < 0:
        start = max(0, start + length)
    start = min(start, length) if step > 0 else min(start, length - 1)
    if stop is None:
        stop = length if step > 0 else -1
    elif stop < 0:
        stop = max(0, stop + length)
    return range(start, min(stop, length), step)


@fast
@given(strs, st.integers(-14, 14))
def test_index_gives_one_byte(query: Query, text: str, index: int) -> None:
    data = encoded(text)
    if -len(data) <= index < len(data):
        byte = data[index % len(data) : index % len(data) + 1]
        assert query("[t[i], d[i]]", {"t": text, "d": data, "i": index}) == [decoded(byte), byte]
    else:
        assert query("[try(t[i]).code(), try(d[i]).code()]", {"t": text, "d": data, "i": index}) == [-54, -54]


@pytest.mark.parametrize("code", ["x = {}; x[k] = 1", ".x = {}; .x[k] = 1", "x = {k: 1}; x[k] = 1", "raise(k)"])
def test_names_and_messages_must_be_valid_utf8(query: Query, code: str) -> None:
    with pytest.raises(ValueFailed):
        query(code, {"k": "\udcc3"})


def test_keys_from_clients_must_be_valid_utf8(query: Query) -> None:
    with pytest.raises(ValueFailed):
        query("x", {"x": {"\udcc3": 1}})
    assert query("x", {"x": {"é": 1}}) == {"é": 1}
