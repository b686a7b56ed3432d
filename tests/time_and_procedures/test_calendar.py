"""Moments as wall clocks and back, against Python's own `datetime` (spec/time-and-procedures.md, section 1)."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from engine.errors import OverflowFailed, ValueFailed
from engine.limits import INT_MAX, INT_MIN
from engine.values.calendar import (
    MAX_YEAR,
    MIN_YEAR,
    Fields,
    days_in_month,
    fields_of,
    offset_minutes,
    seconds_of,
    zone_names,
    zone_of,
)
from tests.time_and_procedures.zones import clock_at, seconds, zones

CYCLE = 146_097 * 86_400  # seconds in 400 years
FAR = st.integers(INT_MIN, INT_MAX)


def clock(fields: Fields) -> tuple[int, int, int, int, int, int]:
    return fields.year, fields.month, fields.day, fields.hour, fields.minute, fields.second


@given(seconds, zones)
def test_the_wall_clock_of_a_moment(moment: int, name: str) -> None:
    fields = fields_of(moment, name, 0)
    known = clock_at(moment, name)
    offset, saved = known.utcoffset(), known.dst()
    assert offset is not None
    assert clock(fields) == (known.year, known.month, known.day, known.hour, known.minute, known.second)
    assert (fields.weekday, fields.yday) == (known.isoweekday() % 7, known.timetuple().tm_yday - 1)
    assert (fields.offset, fields.abbreviation) == (offset.total_seconds(), known.tzname())
    assert fields.summer == bool(saved)


@given(seconds, zones)
def test_back_from_a_wall_clock(moment: int, name: str) -> None:
    fields = fields_of(moment, name, 0)
    assert seconds_of(*clock(fields), name, 0, summer=None, near=fields.offset) == moment


@given(seconds, st.integers(-720, 720))
def test_with_an_offset(moment: int, offset: int) -> None:
    fields = fields_of(moment, None, offset)
    shifted = datetime(1970, 1, 1) + timedelta(seconds=moment + offset * 60)
    assert clock(fields) == (shifted.year, shifted.month, shifted.day, shifted.hour, shifted.minute, shifted.second)
    assert fields.offset == offset * 60
    assert not fields.summer
    assert seconds_of(*clock(fields), None, offset) == moment


@given(FAR, zones)
def test_any_moment_has_a_wall_clock_or_is_too_far_away(moment: int, name: str) -> None:
    try:
        fields = fields_of(moment, name, 0)
    except ValueFailed:
        assert abs(moment) > 67_767_000_000_000_000  # some 2**31 years
        return
    assert MIN_YEAR <= fields.year <= MAX_YEAR
    assert 1 <= fields.month <= 12
    assert 1 <= fields.day <= days_in_month(fields.year, fields.month)
    assert seconds_of(*clock(fields), name, 0, summer=None, near=fields.offset) == moment


@given(st.integers(253_402_300_800, 253_402_300_800 + CYCLE), st.integers(1, 1000), zones)
def test_far_years_repeat_every_400(moment: int, times: int, name: str) -> None:
    near, far = fields_of(moment, name, 0), fields_of(moment + times * CYCLE, name, 0)
    far.year -= 400 * times
    assert near == far


@given(st.integers(-5000, 5000), st.integers(-30, 30), st.integers(-400, 400), st.integers(-50, 50))
def test_parts_beyond_their_bounds_carry_over(year: int, month: int, day: int, hour: int) -> None:
    first = seconds_of(year, 1, 1, 0, 0, 0, "UTC", 0)
    expected = first + hour * 3600
    step = 1 if month > 1 else -1
    at_year, at_month = year, 1
    for _ in range(abs(month - 1)):
        if step < 0:
            at_year, at_month = (at_year, at_month - 1) if at_month > 1 else (at_year - 1, 12)
            expected -= days_in_month(at_year, at_month) * 86_400
        else:
            expected += days_in_month(at_year, at_month) * 86_400
            at_year, at_month = (at_year, at_month + 1) if at_month < 12 else (at_year + 1, 1)
    assert seconds_of(year, month, day, hour, 0, 0, "UTC", 0) == expected + (day - 1) * 86_400


@given(seconds, zones)
def test_a_clock_read_as_standard_time(moment: int, name: str) -> None:
    fields = fields_of(moment, name, 0)
    read = seconds_of(*clock(fields), name, 0)
    again = fields_of(read, name, 0)
    if not fields.summer:
        assert (clock(again), again.summer) == (clock(fields), False)
        return
    if not again.summer and clock(again) == clock(fields):
        return  # the clock came twice
    near = [fields_of(moment + week * 604_800, name, 0) for week in range(-60, 61)]
    standard = {there.offset for there in near if not there.summer}
    assume(standard)
    assert moment + fields.offset - read in standard


@pytest.mark.parametrize(
    ("parts", "name", "summer", "expected"),
    [
        ((2021, 7, 1, 12, 0, 0), "Europe/Amsterdam", False, "2021-07-01T13:00:00+02:00"),
        ((2021, 7, 1, 12, 0, 0), "Europe/Amsterdam", True, "2021-07-01T12:00:00+02:00"),
        ((2021, 7, 1, 12, 0, 0), "Europe/Amsterdam", None, "2021-07-01T12:00:00+02:00"),
        ((2021, 1, 1, 12, 0, 0), "Europe/Amsterdam", True, "2021-01-01T11:00:00+01:00"),
        ((2021, 3, 28, 2, 30, 0), "Europe/Amsterdam", False, "2021-03-28T03:30:00+02:00"),
        ((2021, 3, 28, 2, 30, 0), "Europe/Amsterdam", None, "2021-03-28T03:30:00+02:00"),
        ((2021, 10, 31, 2, 30, 0), "Europe/Amsterdam", False, "2021-10-31T02:30:00+01:00"),
        ((2021, 10, 31, 2, 30, 0), "Europe/Amsterdam", True, "2021-10-31T02:30:00+02:00"),
        ((2021, 7, 5, 23, 30, 0), "Europe/Amsterdam", False, "2021-07-06T00:30:00+02:00"),
        ((2021, 12, 1, 12, 0, 0), "America/New_York", True, "2021-12-01T11:00:00-05:00"),
        ((2021, 1, 1, 12, 0, 0), "Australia/Lord_Howe", False, "2021-01-01T12:30:00+11:00"),
        ((2021, 7, 1, 12, 0, 0), "Asia/Tokyo", False, "2021-07-01T12:00:00+09:00"),
    ],
)
def test_standard_and_summer_time(
    parts: tuple[int, int, int, int, int, int], name: str, summer: bool | None, expected: str
) -> None:
    assert clock_at(seconds_of(*parts, name, 0, summer=summer), name).isoformat() == expected


def test_too_far_away() -> None:
    assert fields_of(seconds_of(MAX_YEAR, 12, 31, 23, 59, 59, "UTC", 0), "UTC", 0).year == MAX_YEAR
    assert fields_of(seconds_of(MIN_YEAR, 1, 1, 0, 0, 0, "UTC", 0), "UTC", 0).year == MIN_YEAR
    for year in (MAX_YEAR + 1, MIN_YEAR - 1):
        with pytest.raises(OverflowFailed):
            seconds_of(year, 1, 1, 0, 0, 0, "UTC", 0)


def test_the_names_of_zones() -> None:
    names = zone_names()
    assert names[:2] == ("UTC", "Europe/Amsterdam")
    assert list(names[2:]) == sorted(set(names) - {"UTC", "Europe/Amsterdam"})
    assert len(names) >= 597
    assert {"EST", "US/Pacific", "Europe/Kiev", "GMT", "America/Argentina/Ushuaia"} <= set(names)
    for name in names:
        assert zone_of(name) == name
        fields_of(0, name, 0)
    for name in ("", "utc", "Factory", "+01", "Europe", "../UTC", "Europe/Nowhere"):
        with pytest.raises(ValueFailed):
            zone_of(name)


@given(st.integers(-720, 720))
def test_offsets(minutes: int) -> None:
    sign, size = "-" if minutes < 0 else "+", abs(minutes)
    assert offset_minutes(f"{sign}{size // 60:02}{size % 60:02}") == minutes
    if not size % 60:
        assert offset_minutes(f"{sign}{size // 60:02}") == minutes


@pytest.mark.parametrize(
    "text", ["", "+", "+1", "+01:00", "+1201", "+13", "+0160", "01", "+١٢", "+010", "+01000", " +01"]
)
def test_what_is_no_offset(text: str) -> None:
    with pytest.raises(ValueFailed):
        offset_minutes(text)
