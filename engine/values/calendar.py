"""Moments as calendar fields and back, in any year that a 64-bit count of seconds reaches (spec/time-and-procedures.md,
section 1).

The proleptic Gregorian calendar repeats every 400 years, and so do the rules of time zones beyond the years that their
database lists: a moment that Python's `datetime` can't hold is looked up in an equal year that it can.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from importlib.resources import files
from zoneinfo import ZoneInfo

from engine.errors import OverflowFailed, ValueFailed

__all__ = [
    "Fields",
    "days_from_epoch",
    "days_in_month",
    "fields_of",
    "is_zone",
    "offset_minutes",
    "seconds_of",
    "zone_names",
    "zone_numbers",
    "zone_of",
]

_DAY = 86_400
_CYCLE = 146_097 * _DAY  # seconds in 400 years
_FIRST = -62_104_060_800  # 0002-01-01
_LAST = 253_370_764_800  # 9999-01-01
_EPOCH = datetime(1970, 1, 1)
_EPOCH_UTC = datetime(1970, 1, 1, tzinfo=UTC)
_STRIDE = 601_200  # no summer or winter is shorter
_STRIDES = 450  # to look for another summer or winter in: more than eight years

MIN_YEAR, MAX_YEAR = 1900 - 2**31, 1899 + 2**31  # what C's `struct tm` can hold
_NO_ZONES = frozenset({"Factory"})  # what the database lists besides: a computer whose zone is not set yet


@dataclass(slots=True)
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


# --- zones -----------------------------------------------------------------------------------------------------------


@lru_cache(maxsize=1)
def zone_names() -> tuple[str, ...]:
    """The time zones, by the numbers that the protocol gives them: UTC, Europe/Amsterdam, then the others by name.

    The numbers change with the database, so what is kept for long has the names.
    """
    names = sorted(set(files("tzdata").joinpath("zones").read_text().split()) - _NO_ZONES)
    first = ["UTC", "Europe/Amsterdam"]
    return tuple(first + [name for name in names if name not in first])


@lru_cache(maxsize=1)
def zone_numbers() -> dict[str, int]:
    """The number of each time zone."""
    return {name: number for number, name in enumerate(zone_names())}


@lru_cache(maxsize=1024)
def _zone(name: str) -> ZoneInfo:
    # The database of the package, not of the machine: the list of names is its, too.
    folder, _, file = name.rpartition("/")
    with files("tzdata").joinpath("zoneinfo", *folder.split("/") if folder else (), file).open("rb") as source:
        return ZoneInfo.from_file(source, key=name)


def is_zone(name: str) -> bool:
    """Is it the name of a time zone?"""
    return name in zone_numbers()


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


# --- the calendar ----------------------------------------------------------------------------------------------------


def days_from_epoch(year: int, month: int, day: int) -> int:
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
    return days_from_epoch(*following, 1) - days_from_epoch(year, month, 1)


_MIN_CLOCK = days_from_epoch(MIN_YEAR, 1, 1) * _DAY
_MAX_CLOCK = days_from_epoch(MAX_YEAR + 1, 1, 1) * _DAY - 1


# --- moments and wall clocks -----------------------------------------------------------------------------------------


def _known(seconds: int) -> int:
    """Seconds with the same rules that `datetime` can hold. Before the database begins, what it begins with holds."""
    if seconds < _FIRST:
        return _FIRST
    if seconds >= _LAST:
        return (seconds - _LAST) % _CYCLE + _LAST - _CYCLE
    return seconds


def _rules(seconds: int, zone: str) -> tuple[int, bool, str]:
    """Offset in seconds, summer time and abbreviation at a moment in a zone."""
    local = (_EPOCH_UTC + timedelta(seconds=_known(seconds))).astimezone(_zone(zone))
    east = local.utcoffset()
    assert east is not None
    return east.days * _DAY + east.seconds, bool(local.dst()), local.tzname() or ""


def fields_of(seconds: int, zone: str | None, offset: int) -> Fields:
    """The wall clock of a moment in a zone, or with a fixed offset in minutes; ValueError when its year is beyond what
    can be computed."""
    east, summer, abbreviation = 0, False, "UTC"
    if zone is None:
        if offset:
            east, abbreviation = offset * 60, f"{'-' if offset < 0 else '+'}{abs(offset) // 60:02}{abs(offset) % 60:02}"
    elif zone != "UTC":
        east, summer, abbreviation = _rules(seconds, zone)
    clock = seconds + east
    if not _MIN_CLOCK <= clock <= _MAX_CLOCK:
        raise ValueFailed("the moment is so far away that its year can't be computed")
    days, rest = divmod(clock, _DAY)
    year, month, day = _date(days)
    hour, rest = divmod(rest, 3600)
    minute, second = divmod(rest, 60)
    yday = days - days_from_epoch(year, 1, 1)
    return Fields(year, month, day, hour, minute, second, (days + 4) % 7, yday, east, summer, abbreviation)


def seconds_of(
    year: int, month: int, day: int, hour: int, minute: int, second: int, zone: str | None, offset: int,
    *, summer: bool | None = False, near: int = 0,
) -> int:  # fmt: skip
    """The moment of a wall clock in a zone, or with a fixed offset in minutes.

    `summer`: is the clock one of standard time (False), of summer time (True), or whatever is in force then (None)?
    With None, a clock that a change skips comes out later by what it skips, and of a clock that comes twice the one
    with the offset `near` (in seconds) is taken, else the first. Parts beyond their bounds carry over. OverflowError
    when the moment is too far away.
    """
    more, month = divmod(month - 1, 12)
    clock = (days_from_epoch(year + more, month + 1, 1) + day - 1) * _DAY + hour * 3600 + minute * 60 + second
    if not _MIN_CLOCK <= clock <= _MAX_CLOCK:
        raise OverflowFailed("the moment is too far away")
    if zone is None:
        return clock - offset * 60
    if zone == "UTC":
        return clock
    return clock - _offset_at_clock(clock, zone, summer, near)


def _offset_at_clock(clock: int, zone: str, summer: bool | None, near: int) -> int:
    """The offset in seconds with which a wall clock is read."""
    local = (_EPOCH + timedelta(seconds=_known(clock))).replace(tzinfo=_zone(zone))
    other = local.replace(fold=1)
    first, second = local.utcoffset(), other.utcoffset()
    assert first is not None
    assert second is not None
    early, late = first.days * _DAY + first.seconds, second.days * _DAY + second.seconds
    if summer is None:
        # `early` is also what was in force before a change that skips the clock.
        return late if near == late < early else early
    if bool(other.dst()) is summer:
        return late
    if bool(local.dst()) is summer:
        return early
    # As C's `mktime`: the nearest time of the year that is of the kind.
    for stride in range(_STRIDE, _STRIDE * _STRIDES, _STRIDE):
        for moment in (clock - early - stride, clock - early + stride):
            east, is_summer, _ = _rules(moment, zone)
            if is_summer is summer:
                return east
    return early + 3600 if summer else early
