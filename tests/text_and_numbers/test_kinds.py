"""The tests `is_…`, against examples and against a second way to say the same."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.errors import TypeFailed

Query = Callable[..., Any]

fast = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=80, deadline=None)

KINDS = ("nil", "bool", "int", "float", "str", "bytes", "regex", "list", "tuple", "closure", "thing")
VALUES = {
    "nil": "nil", "bool": "true", "int": "1", "float": "1.5", "str": "'a'", "bytes": "bytes('a')", "regex": "/a/",
    "list": "[1]", "tuple": "[[1]][0]", "closure": "|| 1", "thing": "{}",
}  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_is_one_of_them(query: Query, kind: str) -> None:
    tests = ", ".join(f"is_{other}({VALUES[kind]})" for other in KINDS)
    assert query(f"[{tests}]") == [other == kind for other in KINDS]
    assert query(f"type({VALUES[kind]})") == kind


def test_groups(query: Query) -> None:
    assert query("[is_array([1]), is_array([[1]][0]), is_array('a'), is_raw('a'), is_raw(bytes()), is_raw(1)]") == [
        True, True, False, True, True, False,
    ]  # fmt: skip
    assert query("[is_err(try(1 / 0)), is_err(1), is_enum(1), is_task(1), is_module(nil)]") == [
        True, False, False, False, False,
    ]  # fmt: skip


def test_infinite_and_not_a_number(query: Query) -> None:
    assert query("[is_inf(inf), is_inf(-inf), is_inf(nan), is_inf(true), is_inf(1)]") == [
        True, True, False, False, False,
    ]  # fmt: skip
    assert query("[is_nan(nan), is_nan(inf), is_nan('1'), is_nan(nil), is_nan(false)]") == [
        True, False, True, True, False,
    ]  # fmt: skip
    with pytest.raises(TypeFailed):
        query("is_inf('inf')")


_LOCAL = "abcXYZ019.!#$%&*+/=?^_`{|}~-"


@fast
@given(st.text(_LOCAL + "@'\" é(", max_size=8), st.text("aZ0-._@ é[", max_size=8), st.sampled_from(["", "\n", "\n\n"]))
def test_email(query: Query, local: str, domain: str, end: str) -> None:
    labels = domain.split(".")
    expected = (
        local != ""
        and set(local) <= set(_LOCAL)
        and all(label and set(label) <= set("aZ0-") for label in labels)
        and end in ("", "\n")
    )
    assert query("is_email(t)", {"t": f"{local}@{domain}{end}"}) is expected


@fast
@given(st.text("0123456789()+-. \n", max_size=24))
def test_tel(query: Query, text: str) -> None:
    body = text[1:] if text.startswith("+") else text
    for _ in range(2):
        bracket = re.match(r"\(\d{1,4}\)", body)
        if bracket:
            body = body[bracket.end() :]
            body = body[1:] if body[:1] in ("-", ".", " ", "\n") else body
    end = body.endswith("\n")
    groups = re.split(r"[-\s]", body.removesuffix("\n"))
    if groups[-1] == "" and len(groups) > 1:
        groups.pop()
    possible = all(group.isdigit() and group.isascii() for group in groups)
    least = sum(-(-len(group) // 4) for group in groups)  # runs of digits are cut into groups of 1 to 4
    most = sum(map(len, groups))
    expected = possible and least <= 5 and most >= 3
    if "(" not in text or text.count("(") <= 2:
        assert query("is_tel(t)", {"t": text}) is expected, (groups, end)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("http://a", True), ("ftp://a.b:21/x?y=z&q#f", True), ("https://user@host/%20~", True), ("http://_", True),
        ("http://-a", True), ("http://a\n", True), ("http://a\n\n", False), ("HTTP://a", False), ("http://", False),
        ("http:///a", False), ("http://?a", False), ("http://-", False), ("http://é", False), ("http://a b", False),
        ("http://a/(b)", False), ("ws://a", False), ("http://" + "-" * 255 + "a", True),
        ("http://" + "-" * 300 + "a", False), ("http://" + "a" * 256 + "/", True), ("http://" + "a" * 257 + "/", False),
        ("http://" + "-" * 100_000, False), ("http://a/" + "b" * 100_000, True),
    ],
)  # fmt: skip
def test_url(query: Query, text: str, expected: bool) -> None:
    assert query("is_url(t)", {"t": text}) is expected


def test_time_zones(query: Query) -> None:
    zones = ["UTC", "EST", "Asia/Tokyo", "Europe/Amsterdam", "utc", "asia/tokyo", "", "Mars/Base", "+02:00", "../UTC"]
    assert [query("is_time_zone(z)", {"z": zone}) for zone in zones] == [True] * 4 + [False] * 6
    assert query("is_time_zone(bytes('UTC'))") is False
