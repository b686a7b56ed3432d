"""Datetimes and timevals as values (spec/time-and-procedures.md, section 1)."""

from __future__ import annotations

import calendar
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.encoding import LEAVES, log_packer, log_unpack
from engine.engine import Engine
from engine.errors import LanguageError, LookupFailed, OverflowFailed, TypeFailed, ValueFailed
from engine.limits import INT_MAX, INT_MIN
from engine.outcome import Outcome
from engine.replay import Replay
from engine.snapshot import pack
from engine.values import datetime as moments
from engine.values.datetime import UNITS, Datetime, Moment, Timeval, moved
from engine.values.equality import equal
from tests.time_and_procedures.zones import zones

Query = Callable[..., Any]
Run = Callable[..., Outcome]

in_queries = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
years_1_to_9999 = st.integers(-62_135_596_800, 253_402_300_799)


def naive(moment: int) -> datetime:
    return datetime(1970, 1, 1) + timedelta(seconds=moment)


def rolled_over(year: int, month: int, day: int) -> datetime:
    """A date whose month may lie beyond the year, and whose day beyond the month."""
    year, month = year + (month - 1) // 12, (month - 1) % 12 + 1
    return datetime(year, month, 1) + timedelta(days=day - 1)


# --- arithmetic ------------------------------------------------------------------------------------------------------


@given(
    years_1_to_9999, st.sampled_from(["weeks", "days", "hours", "minutes", "seconds"]), st.integers(-100_000, 100_000)
)
def test_moving_by_what_is_of_one_length(moment: int, unit: str, count: int) -> None:
    try:
        expected = naive(moment) + timedelta(**{unit: count})
    except OverflowError:
        return
    assert naive(moved(Datetime(moment), unit, count).seconds) == expected


@given(years_1_to_9999, st.integers(-3000, 3000), st.sampled_from(["years", "months"]))
def test_moving_by_months_and_years(moment: int, count: int, unit: str) -> None:
    begin = naive(moment)
    months = count * 12 if unit == "years" else count
    try:
        date = rolled_over(begin.year, begin.month + months, begin.day)
    except (ValueError, OverflowError):
        return
    found = naive(moved(Timeval(moment), unit, count).seconds)
    assert found == datetime.combine(date.date(), begin.time())


@given(st.integers(0, 2**32), zones, st.sampled_from(UNITS), st.integers(-500, 500))
def test_moving_keeps_the_wall_clock(moment: int, zone: str, unit: str, count: int) -> None:
    begin = Datetime(moment, zone)
    end = moved(begin, unit, count)
    assert (type(end), end.zone) == (Datetime, zone)
    if unit in ("hours", "minutes", "seconds"):
        assert end.seconds - moment == count * {"hours": 3600, "minutes": 60, "seconds": 1}[unit]
        return
    first, last = begin.fields(), end.fields()
    expected = moved(Datetime(moment + first.offset), unit, count).fields()
    clocks = [(f.month, f.day, f.hour, f.minute, f.second) for f in (expected, last)]
    if clocks[0] != clocks[1]:  # the clock was skipped
        before = Datetime(end.seconds - 7200 - 86_400, zone).fields().offset
        skipped = last.offset - before
        later = Datetime(end.seconds - skipped, zone).fields()
        assert skipped > 0 or later.offset != last.offset


@given(st.integers(INT_MIN, INT_MAX), zones, st.sampled_from(UNITS), st.integers(INT_MIN, INT_MAX))
def test_any_move_gives_a_moment_or_an_error(moment: int, zone: str, unit: str, count: int) -> None:
    try:
        found = moved(Datetime(moment, zone), unit, count)
    except (OverflowFailed, ValueFailed):
        return
    assert INT_MIN <= found.seconds <= INT_MAX
    if unit not in ("hours", "minutes", "seconds"):
        found.fields()  # its year can be computed


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("datetime(2021, 1, 31).move('months', 1)", "2021-03-03T00:00:00Z"),
        ("datetime(2020, 1, 31).move('months', 1)", "2020-03-02T00:00:00Z"),
        ("datetime(2020, 2, 29).move('years', -1)", "2019-03-01T00:00:00Z"),
        ("datetime(2021, 10, 29, 2, 30, 'Europe/Amsterdam').move('days', 3)", "2021-11-01T03:30:00+0100"),
        # An ambiguous clock stays in the half of the hour that it came from.
        ("datetime(1635640200).to('Europe/Amsterdam').move('days', 0)", "2021-10-31T02:30:00+0200"),
        ("datetime(1635643800).to('Europe/Amsterdam').move('days', 0)", "2021-10-31T02:30:00+0100"),
        ("datetime(2021, 6, 1, 23, 30, 'Europe/Amsterdam')", "2021-06-02T00:30:00+0200"),
        ("datetime(2021, 6, 1, 22, 'Europe/Amsterdam').replace({hour: 23, minute: 30})", "2021-06-01T23:30:00+0200"),
        ("datetime(0).to('+00').move('days', 1).zone()", None),
    ],
)
def test_moves_and_replacements(query: Query, code: str, expected: str | None) -> None:
    assert query(code) == expected


@pytest.mark.parametrize(
    ("code", "error"),
    [
        ("datetime(0).move('hours', 9223372036854775807)", OverflowFailed),
        ("datetime(0).move('minutes', -9223372036854775807)", OverflowFailed),
        ("datetime(0).move('months', 2147483647)", OverflowFailed),
        ("datetime(0).move('years', 2147483647)", OverflowFailed),
        ("datetime(0).move('weeks', 2147483647)", OverflowFailed),
        ("datetime(2147483647, 1, 1)", ValueFailed),
        ("timeval(INT_MIN).to('Europe/Amsterdam').week()", OverflowFailed),
        ("datetime(2020, 1, 1, 'Nowhere/Land')", ValueFailed),
        ("datetime(2020, 1, 1, '')", ValueFailed),
        ("datetime(2020, 1, 1, 'UTC', raise('not reached'))", TypeFailed),
        ("datetime(2020, 13, raise('not reached'))", ValueFailed),
        ("datetime(5, raise('not reached'))", TypeFailed),
        ("datetime(0).to('Factory')", ValueFailed),
        ("set_time_zone('//stuff', 'UTC')", LookupFailed),
    ],
)
def test_errors(query: Query, code: str, error: type[LanguageError]) -> None:
    with pytest.raises(error):
        query(code)


# --- parts -----------------------------------------------------------------------------------------------------------


@given(
    st.integers(1, 9999), st.integers(1, 12), st.integers(1, 31), st.integers(0, 23), st.integers(0, 59),
    st.integers(0, 59), st.integers(0, 3),
)  # fmt: skip
@in_queries
def test_by_parts(
    query: Query, year: int, month: int, day: int, hour: int, minute: int, second: int, left_out: int
) -> None:
    parts = [year, month, day, hour, minute, second][: 6 - left_out]
    values = dict(zip("abcdef", parts, strict=False))
    code = f"datetime({', '.join(values)})"
    if day > calendar.monthrange(year, month)[1]:
        with pytest.raises(ValueFailed):
            query(code, values)
        return
    expected = datetime(*parts, tzinfo=UTC)  # type: ignore[misc,arg-type]
    assert query(f"int({code})", values) == (expected - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(seconds=1)
    shown = query(f"{code}.extract()", values)
    assert list(shown.items())[:6] == [
        ("year", year), ("month", month), ("day", day), ("hour", expected.hour), ("minute", expected.minute),
        ("second", expected.second),
    ]  # fmt: skip
    assert query(f"datetime(0).replace({code}.extract()) == {code}", values)
    assert query(f"{code}.week()", values) == int(expected.strftime("%U"))
    assert query(f"{code}.weekday()", values) == expected.isoweekday() % 7


@given(st.integers(INT_MIN, INT_MAX), zones)
@in_queries
def test_every_moment_is_shown_and_compared(query: Query, moment: int, zone: str) -> None:
    values = {"t": moment, "zone": zone}
    assert query("timeval(t).to(zone)", values) == moment
    assert type(query("datetime(t).to(zone)", values)) is str
    assert query("[int(datetime(t).to(zone)), datetime(t) == timeval(t).to(zone), bool(datetime(t))]", values) == [
        moment, True, True,
    ]  # fmt: skip


# --- kept ------------------------------------------------------------------------------------------------------------


def test_a_zone_is_told_by_number_and_kept_by_name(engine: Engine, outcome: Run, monkeypatch: Any) -> None:
    change = outcome(".d = datetime(0).to('Asia/Tokyo'); .l = [timeval(5).to('-0130'), datetime(7)]").change
    assert change is not None
    first, second = (job["set"] for _, job in change.mutations)
    ((seconds, offset, zone),) = first["d"].values()
    assert (seconds, offset) == (0, 540)
    assert LEAVES[type(zone)][1](zone) == b"Asia/Tokyo"
    assert [next(iter(tree)) for tree in second["l"]] == ['"', "'"]

    # A database with another zone moves the numbers of those after it.
    monkeypatch.setattr(moments, "zone_numbers", lambda: {"UTC": 0, "Africa/New": 2, "Asia/Tokyo": 99})
    twin = Engine()
    twin.initialise()
    Replay(twin).apply(change.packed)
    kept = twin.collections["stuff"].root.props
    assert (kept["d"].seconds, kept["d"].zone) == (0, "Asia/Tokyo")
    assert [(value.seconds, value.zone, value.offset) for value in kept["l"]] == [(5, None, -90), (7, "UTC", 0)]


def test_a_zone_that_the_database_lacks_becomes_its_offset(engine: Engine, outcome: Run, monkeypatch: Any) -> None:
    change = outcome(".d = datetime(0).to('Asia/Tokyo')").change
    assert change is not None
    monkeypatch.setattr(moments, "is_zone", lambda name: name != "Asia/Tokyo")
    twin = Engine()
    twin.initialise()
    Replay(twin).apply(change.packed)
    kept = twin.collections["stuff"].root.props["d"]
    assert (kept.seconds, kept.zone, kept.offset) == (0, None, 540)


@given(st.integers(INT_MIN, INT_MAX), zones | st.integers(-720, 720), st.sampled_from([Datetime, Timeval]))
@in_queries
def test_moments_go_through_the_log(engine: Engine, moment: int, place: str | int, cls: type[Moment]) -> None:
    home = engine.collections["stuff"]
    value = cls(moment, place) if isinstance(place, str) else cls(moment, None, place)
    found = Replay(engine, home).value(log_unpack(log_packer().pack(pack(value, home))))
    assert equal(found, value)
    assert (type(found), found.zone, found.offset) == (cls, value.zone, value.offset)


def test_the_zone_of_a_scope_is_kept(engine: Engine, outcome: Run, query: Query) -> None:
    changes = [
        outcome("set_time_zone('//stuff', 'Asia/Tokyo')", scope="@t").change,
        outcome(
            "set_time_zone('@n', 'Europe/Kyiv'); set_time_zone('@t', 'EST'); new_collection('c')", scope="@t"
        ).change,
    ]
    twin = Engine()
    twin.initialise()
    for change in changes:
        assert change is not None
        Replay(twin).apply(change.packed)
    for each in (engine, twin):
        scopes = (each.server, each.node, each.collections["stuff"], each.collections["c"])
        assert [scope.time_zone for scope in scopes] == ["EST", "Europe/Kyiv", "Asia/Tokyo", "EST"]
    assert query("[datetime(0), datetime().zone(), future(|| datetime(0))]") == [
        "1970-01-01T09:00:00+0900", "Asia/Tokyo", None,
    ]  # fmt: skip
    assert query("datetime(0).zone()", scope="@n") == "Europe/Kyiv"
