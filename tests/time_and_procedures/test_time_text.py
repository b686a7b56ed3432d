"""Moments as text and back (spec/time-and-procedures.md, sections 1.2 and 1.3)."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import ValueFailed
from engine.values.calendar import fields_of, seconds_of
from engine.values.datetime import Datetime
from engine.values.time_text import Parsed, format_fields, parse_text
from tests.time_and_procedures.zones import clock_at, zones

Query = Callable[..., Any]

four_digits = st.integers(-30_610_224_000, 253_402_300_799)
"""Moments in the years 1000 to 9999, in UTC."""

PORTABLE = list("aAbBcdHIjmMpSUwWxXyYzZ%GVu")
"""Specifiers that Python documents, or C has everywhere."""

WHOLE = [
    "%Y-%m-%d %H:%M:%S",
    "%c",
    "%A, %d %B %Y, %r",
    "%a %e %h %Y%t%T",
    "%C%y %j %H%M%S",
    "%Y %U %w %T",
    "%Y, W %W, %a %I.%M.%S %p",
    "%s",
    "%D %C %Y %R:%S",
    "%%%n%Y|%m|%d|%T%%",
    "%Y%m%d%H%M%S",
    "%Y-%m-%dT%H:%M:%S%z",
    "%Y-%m-%d %T %Z",
]
"""Formats that say all of a moment."""


def parsed(text: str, pattern: str) -> int:
    found = parse_text(text, pattern)
    if found.seconds is not None:
        return found.seconds
    return seconds_of(found.year, found.month, found.day, found.hour, found.minute, found.second, "UTC", 0)


@given(four_digits, st.lists(st.sampled_from(PORTABLE), min_size=1, max_size=8), zones)
def test_formats_are_those_of_c(moment: int, letters: list[str], name: str) -> None:
    known = clock_at(min(max(moment, -30_000_000_000), 253_000_000_000), name).replace(microsecond=0)
    moment = int(known.timestamp())
    fields = fields_of(moment, name, 0)
    if fields.offset % 60:
        letters = [letter for letter in letters if letter != "z"]  # Python shows seconds of an offset
    pattern = " ".join(f"%{letter}" for letter in letters)
    assert format_fields(pattern, fields, moment) == known.strftime(pattern)


@given(four_digits, st.sampled_from(WHOLE))
def test_a_text_is_read_with_the_format_that_made_it(moment: int, pattern: str) -> None:
    if pattern == "%s":
        moment = abs(moment)
    text = format_fields(pattern, fields_of(moment, "UTC", 0), moment)
    assert parsed(text, pattern) == moment
    assert parsed(text.upper() if "Z" not in pattern else text, pattern) == moment


@given(st.integers(0, 59), st.integers(0, 23), st.integers(0, 99))
def test_numbers_may_lack_leading_zeros(minute: int, hour: int, year: int) -> None:
    whole = year + (1900 if year >= 69 else 2000)
    expected = Parsed(whole, 1, 1, hour, minute)
    assert parse_text(f"{year} {hour}:{minute}", "%y %H:%M") == expected
    assert parse_text(f" {year:4}  {hour:3}: {minute:4}", "%y %H:%M") == expected


@given(st.text(max_size=20), st.text(alphabet="%aAbBcCdDeHhIjMmnprRsStTUwWyYzZ -:/x", max_size=12))
def test_any_text_with_any_format_is_read_or_refused(text: str, pattern: str) -> None:
    try:
        found = parse_text(text, pattern)
    except ValueFailed:
        return
    seconds_of(found.year, found.month, found.day, found.hour, found.minute, found.second, "UTC", 0)


@given(st.integers(-(2**63), 2**63 - 1), st.text(max_size=30), zones)
def test_any_format_gives_a_text(moment: int, pattern: str, name: str) -> None:
    try:
        fields = fields_of(moment, name, 0)
    except ValueFailed:
        return
    assert isinstance(format_fields(pattern, fields, moment), str)


@given(four_digits, st.integers(-720, 720))
def test_results_are_read_back(moment: int, offset: int) -> None:
    text = Datetime(moment, None, offset).text()
    shown = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=moment)
    if offset == 0:
        assert text == shown.strftime("%Y-%m-%dT%H:%M:%SZ")
    year = fields_of(moment, None, offset).year
    if 1000 <= year <= 9999:
        found = parse_text(text, "%Y-%m-%dT%H:%M:%S%z" if offset else "%Y-%m-%dT%H:%M:%SZ")
        clock = found.year, found.month, found.day, found.hour, found.minute, found.second
        assert seconds_of(*clock, None, offset) == moment


@pytest.mark.parametrize(
    ("text", "pattern", "expected"),
    [
        ("2013 37", "%Y %j", "2013-02-06T00:00:00Z"),
        ("37", "%j", "1900-01-01T00:00:00Z"),  # without a year it says nothing
        ("2020 366", "%Y %j", "2020-12-31T00:00:00Z"),
        ("2021 366", "%Y %j", "2022-01-01T00:00:00Z"),
        ("2020 10 5", "%Y %U %w", "2020-03-13T00:00:00Z"),
        ("2020 0 3", "%Y %W %w", "2020-01-01T00:00:00Z"),
        ("2020 10", "%Y %U", "2020-01-01T00:00:00Z"),  # a week without a weekday says nothing
        ("19", "%C", "1900-01-01T00:00:00Z"),
        ("21", "%C", "2100-01-01T00:00:00Z"),
        ("1999 21", "%Y %C", "2100-01-01T00:00:00Z"),
        ("21 1999", "%C %Y", "1999-01-01T00:00:00Z"),
        ("20 69", "%C %y", "2069-01-01T00:00:00Z"),
        ("15 PM", "%H %p", "1900-01-01T15:00:00Z"),  # only a clock of twelve hours has halves
        ("3 PM", "%I %p", "1900-01-01T15:00:00Z"),
        ("PM 3", "%p %I", "1900-01-01T15:00:00Z"),
        ("45", "%d%m", "1900-05-04T00:00:00Z"),  # the day ends where it would become too large
        ("2020CET", "%Y%Z", "2020-01-01T00:00:00Z"),
        ("2020 CET 3", "%Y %Z %m", "2020-03-01T00:00:00Z"),
        ("+01:30 2020", "%z %Y", "2020-01-01T00:00:00Z"),
        ("Z 2020", "%z %Y", "2020-01-01T00:00:00Z"),
        ("may 2020", "%B %Y", "2020-05-01T00:00:00Z"),
        ("Sept 2020", "%B %Y", None),
        ("Monda 2020", "%A %Y", None),
        ("32", "%d", None),
        ("0", "%m", None),
        ("24", "%H", None),
        ("62", "%S", None),
        ("5", "%F", None),
        ("5", "%k", None),
        ("x", "%", None),
        ("", "%d", None),
        ("١٢", "%d", None),
        ("12 ", "%d", None),
        ("9223372036854775808", "%s", None),
    ],
)
def test_what_formats_read(text: str, pattern: str, expected: str | None) -> None:
    if expected is None:
        with pytest.raises(ValueFailed):
            parse_text(text, pattern)
    else:
        assert Datetime(parsed(text, pattern)).text() == expected


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("datetime('1000000000', '%s')", "2001-09-09T01:46:40Z"),
        ("datetime('1000000000 +0200', '%s %z')", "2001-09-09T03:46:40+0200"),
        ("datetime('2020-01-01 +0200', '%Y-%m-%d %z')", "2020-01-01T00:00:00+0200"),
        ("datetime('2020-01-01 UTC', '%Y-%m-%d %Z').zone()", "UTC"),
        ("datetime(0).format('%Y%')", "1970%"),
        ("datetime(0).format('%E%Q')", "%E%Q"),
        ("datetime(253402300800).format('%C|%y|%G')", "100|00|9999"),
        ("datetime(-62198755200).format('%Y|%F')", "-1|-1-01-01"),
        ("datetime(0).to('-0130').format('%Z')", "-0130"),
        ("datetime('2020-9-14x', '%Y-%m-%d%nx')", "2020-09-14T00:00:00Z"),
    ],
)
def test_texts_in_queries(query: Query, code: str, expected: str) -> None:
    assert query(code) == expected


@pytest.mark.parametrize(
    "code",
    [
        "datetime(0).format('')",
        "datetime(0).format('x')",
        "datetime(0).format(range(80).map(|| 'x').reduce(|a, b| a + b))",
        "datetime(0).format(range(20).map(|| '%A').reduce(|a, b| a + b))",
        "datetime('2020-01-01T00:00:00+0100 ', '%Y-%m-%dT%H:%M:%S%z')",
        "datetime('2020-01-01 x01', '%Y-%m-%d %z')",
        "datetime('2020-01-01T00:00:00+01:0')",
        "datetime('2020-01-01t00')",
        "datetime('٢٠٢٠')",
        "datetime('2020-13')",
        "datetime('2020-00')",
        "datetime('2020-01-00')",
    ],
)
def test_texts_that_are_refused(query: Query, code: str) -> None:
    with pytest.raises(ValueFailed):
        query(code)
