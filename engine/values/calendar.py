"""Moments as calendar fields and back, in any year that a 64-bit count of seconds reaches (spec/time-and-procedures.md,
section 1).

The proleptic Gregorian calendar repeats every 400 years, and so do the rules of time zones beyond the years that their
database lists: years that Python's `datetime` does not know are looked up in an equal one that it does.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from importlib.resources import files
from zoneinfo import ZoneInfo

from engine.errors import OverflowFailed, ValueFailed
from engine.limits import INT_MAX, INT_MIN

__all__ = ["Fields", "days_in_month", "fields_of", "offset_minutes", "seconds_of", "zone_names", "zone_of"]

_CYCLE_YEARS = 400
_CYCLE_SECONDS = 146_097 * 86_400
_FIRST = -62_104_060_800  # 0002-01-01, a little after the first moment that `datetime` knows
_LAST = 13_569_465_600  # 2400-01-01
MAX_YEAR = 2**31


@dataclass(slots=True, frozen=True)
class Fields:
    """A wall clock. `offset` in seconds east of UTC; `summer`: is daylight saving in force?; `abbreviation` such as
    `CET`; `weekday` 0 for Sunday; `yday` 0 for 1 January."""

    year: int
    month: int
    day: int
    hour: int
    minute: int
    second: int
    weekday: int
    yday: int
    offset: int
    summer: bool
    abbreviation: str


@lru_cache(maxsize=1)
def zone_names() -> tuple[str, ...]:
    """The time zones, by the numbers that the protocol gives them: UTC, Europe/Amsterdam, then the others by name."""
    names = sorted(files("tzdata").joinpath("zones").read_text().split())
    first = ["UTC", "Europe/Amsterdam"]
    return tuple(first + [name for name in names if name not in first])


@lru_cache(maxsize=1)
def zone_numbers() -> dict[str, int]:
    """The number of each time zone."""
    return {name: number for number, name in enumerate(zone_names())}


@lru_cache(maxsize=1024)
def _zone(name: str) -> ZoneInfo:
    return ZoneInfo(name)


def zone_of(name: str) -> str:
    """The name, if it is one of a time zone; ValueError otherwise."""
    if name in zone_numbers():
        return name
    raise ValueFailed(f"there is no time zone {name[:80]!r}")


def offset_minutes(text: str) -> int:
    """The minutes of an offset like `+01` or `-0330`, at most twelve hours; ValueError otherwise."""
    digits = text[1:]
    if text[:1] in ("+", "-") and len(digits) in (2, 4) and digits.isascii() and digits.isdigit():
        hours, minutes = int(digits[:2]), int(digits[2:] or "0")
        total = hours * 60 + minutes
        if minutes < 60 and total <= 720:
            return -total if text[0] == "-" else total
    raise ValueFailed(f"an offset is written +hh or +hhmm, at most 12 hours, not {text[:80]!r}")


def _days(year: int, month: int, day: int) -> int:
    """Days from 1970-01-01 to a date, whose month lies in 1 to 12; the day may be any."""
    year -= month <= 2
    era = year // 400
    of_era = year - era * 400
    of_year = (153 * (month - 3 if month > 2 else month + 9) + 2) // 5
    return era * 146_097 + of_era * 365 + of_era // 4 - of_era // 100 + of_year + day - 1 - 719_468


def _date(days: int) -> tuple[int, int, int]:
    """The date so many days from 1970-01-01."""
    days += 719_468
    era = days // 146_097
    of_era = days - era * 146_097
    year_of_era = (of_era - of_era // 1460 + of_era // 36_524 - of_era // 146_096) // 365
    of_year = of_era - (365 * year_of_era + year_of_era // 4 - year_of_era // 100)
    shifted = (5 * of_year + 2) // 153
    day = of_year - (153 * shifted + 2) // 5 + 1
    month = shifted + 3 if shifted < 10 else shifted - 9
    return year_of_era + era * 400 + (month <= 2), month, day


def days_in_month(year: int, month: int) -> int:
    """How many days a month has."""
    following = (year + 1, 1) if month == 12 else (year, month + 1)
    return _days(*following, 1) - _days(year, month, 1)


def _known(seconds: int) -> int:
    """A moment with the same rules that `datetime` knows."""
    if seconds < _FIRST:
        return _FIRST
    if seconds > _LAST:
        return (seconds - _LAST) % _CYCLE_SECONDS + _LAST - _CYCLE_SECONDS
    return seconds


def _rules(seconds: int, zone: str | None, offset: int) -> tuple[int, bool, str]:
    """Offset in seconds, summer time and abbreviation at a moment, in a zone or with a fixed offset in minutes."""
    if zone == "UTC" or (zone is None and offset == 0):
        return 0, False, "UTC"
    if zone is None:
        return offset * 60, False, f"{'-' if offset < 0 else '+'}{abs(offset) // 60:02}{abs(offset) % 60:02}"
    local = (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=_known(seconds))).astimezone(_zone(zone))
    east, summer = local.utcoffset(), local.dst()
    assert east is not None
    return int(east.total_seconds()), bool(summer), local.tzname() or ""


def fields_of(seconds: int, zone: str | None, offset: int) -> Fields:
    """The wall clock of a moment in a zone, or with a fixed offset in minutes; ValueError when its year is beyond what
    can be computed."""
    east, summer, abbreviation = _rules(seconds, zone, offset)
    days, rest = divmod(seconds + east, 86_400)
    year, month, day = _date(days)
    if abs(year) > MAX_YEAR:
        raise ValueFailed("the year of this moment is too far away")
    hour, rest = divmod(rest, 3600)
    minute, second = divmod(rest, 60)
    return Fields(
        year, month, day, hour, minute, second, (days + 4) % 7, days - _days(year, 1, 1), east, summer, abbreviation
    )


def _naive(year: int, month: int, day: int, hour: int, minute: int, second: int) -> int:
    """Seconds from 1970 of a wall clock taken as UTC; every part may be beyond its bounds and carries over."""
    more, month = divmod(month - 1, 12)
    return _days(year + more, month + 1, 1) * 86_400 + (day - 1) * 86_400 + hour * 3600 + minute * 60 + second


def seconds_of(
    year: int, month: int, day: int, hour: int, minute: int, second: int, zone: str | None, offset: int,
    *, summer: bool | None = False,
) -> int:  # fmt: skip
    """The moment of a wall clock in a zone, or with a fixed offset in minutes.

    `summer`: is the clock one of standard time (False), of summer time (True), or whatever is in force then (None)?
    Parts beyond their bounds carry over. OverflowError when the moment does not fit.
    """
    naive = _naive(year, month, day, hour, minute, second)
    if zone is None or zone == "UTC":
        return _checked(naive - (offset * 60 if zone is None else 0))
    if summer is None:
        east = _offset_of_clock(naive, zone)
        return _checked(naive - east)
    east, is_summer, _ = _rules(naive - _offset_of_clock(naive, zone), zone, 0)
    saving = _saving(naive, zone)
    standard = east - (saving if is_summer else 0)
    return _checked(naive - standard - ((saving or 3600) if summer else 0))


def _offset_of_clock(naive: int, zone: str) -> int:
    """The offset in force at a wall clock; of the clocks that a change skips, the one before it."""
    clock = datetime(1970, 1, 1) + timedelta(seconds=_known(naive))
    east = clock.replace(tzinfo=_zone(zone)).utcoffset()
    assert east is not None
    return int(east.total_seconds())


def _saving(naive: int, zone: str) -> int:
    """What summer time adds in the zone around a clock, in seconds; 0 where there is none."""
    clock = datetime(1970, 1, 1) + timedelta(seconds=_known(naive))
    for months in (0, 6, -6):
        moment = clock + timedelta(days=30 * months)
        saved = moment.replace(tzinfo=_zone(zone)).dst()
        if saved:
            return int(saved.total_seconds())
    return 0


def _checked(seconds: int) -> int:
    if INT_MIN <= seconds <= INT_MAX:
        return seconds
    raise OverflowFailed("the moment is too far away")
