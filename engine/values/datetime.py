"""Moments: datetimes and timevals (spec/time-and-procedures.md, section 1).

The two are the same value in two flavours, which differ in how a result shows them.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import TYPE_CHECKING, Any, TypeVar

from engine.encoding import leaf, read_leaf
from engine.errors import OverflowFailed, TypeFailed, ValueFailed
from engine.functions.registry import KINDS, METHODS, method, register_kind, type_name
from engine.language.operators import ORDERED
from engine.language.runtime import make_thing
from engine.limits import INT_MAX, INT_MIN
from engine.replay import Replay, unpacks
from engine.result import Result, shows
from engine.snapshot import Tree, packs
from engine.types.definition import DEFAULTS
from engine.values.as_text import TEXT
from engine.values.calendar import (
    Fields,
    days_in_month,
    fields_of,
    is_zone,
    offset_minutes,
    seconds_of,
    zone_numbers,
    zone_of,
)
from engine.values.equality import EQUAL
from engine.values.numbers import FLOAT, INT
from engine.values.text import byte_length
from engine.values.thing import Thing
from engine.values.time_text import format_fields, offset_text

if TYPE_CHECKING:
    from engine.collection import Collection
    from engine.context import Context
    from engine.values.thing import Value

__all__ = ["Datetime", "Moment", "Timeval", "checked_pattern"]

M = TypeVar("M", bound="Moment")


class Moment:
    """A moment in whole seconds since 1970; read in a named zone, or with a fixed offset in minutes (`zone` is None
    then). Immutable."""

    __slots__ = ("offset", "seconds", "zone")

    def __init__(self, seconds: int, zone: str | None = "UTC", offset: int = 0) -> None:
        self.seconds = seconds
        self.zone = zone
        self.offset = offset

    def fields(self) -> Fields:
        """Its wall clock."""
        return fields_of(self.seconds, self.zone, self.offset)

    def at(self: M, seconds: int) -> M:
        """Another moment, read in the same zone."""
        return type(self)(seconds, self.zone, self.offset)

    def text(self) -> str:
        fields = self.fields()
        clock = (
            f"{fields.year}-{fields.month:02}-{fields.day:02}T{fields.hour:02}:{fields.minute:02}:{fields.second:02}"
        )
        plain = self.zone == "UTC" or (self.zone is None and self.offset == 0)
        return clock + ("Z" if plain else offset_text(fields.offset))


class Datetime(Moment):
    """A moment that results show as text."""

    __slots__ = ()


class Timeval(Moment):
    """A moment that results show as seconds."""

    __slots__ = ()


register_kind("datetime", Datetime)
register_kind("timeval", Timeval)
KINDS["moment"] = frozenset({Datetime, Timeval})
FLAVOURS = frozenset({Datetime, Timeval})

for _cls in (Datetime, Timeval):
    TEXT[_cls] = lambda value: value.text()
    INT[_cls] = lambda value: value.seconds
    FLOAT[_cls] = lambda value: float(value.seconds)
    EQUAL[_cls] = lambda left, right: type(right) in FLAVOURS and left.seconds == right.seconds
    ORDERED[_cls] = (FLAVOURS, lambda value: value.seconds)


def _now(cls: type[Moment]) -> Callable[[Collection], Moment]:
    def now(home: Collection) -> Moment:
        engine: Any = home.engine
        return cls(int(engine.clock()), home.time_zone)

    return now


DEFAULTS["datetime"] = _now(Datetime)
DEFAULTS["timeval"] = _now(Timeval)


@shows(Datetime)
def _show_datetime(value: Datetime, made: Result, deep: int) -> Tree:
    try:
        return value.text()
    except ValueFailed:
        return "1970-01-01T00:00:00Z"


@shows(Timeval)
def _show_timeval(value: Timeval, made: Result, deep: int) -> Tree:
    return value.seconds


class Zone:
    """A zone in a packed moment: its number for watchers, its name in the log and on disk, because the numbers change
    when the database gets another zone."""

    __slots__ = ("name", "number")

    def __init__(self, name: str) -> None:
        self.name = name
        self.number = zone_numbers().get(name)


_packed_zone = lru_cache(maxsize=1024)(Zone)
leaf(
    Zone,
    5,
    lambda zone: zone.name.encode(),
    lambda data, replay: data.decode(),
    lambda data, home: _packed_zone(data.decode()),
)


@shows(Zone)
def _show_zone(value: Zone, made: Result, deep: int) -> int | None:
    return value.number


@packs(Datetime, Timeval)
def _pack(value: Moment, home: Collection, depth: int) -> Tree:
    mark = "'" if type(value) is Datetime else '"'
    if value.zone is None:
        return {mark: [value.seconds, value.offset, None]}
    return {mark: [value.seconds, _shown_offset(value), _packed_zone(value.zone)]}


def _shown_offset(value: Moment) -> int:
    """The minutes of the offset in force."""
    try:
        return int(value.fields().offset / 60)
    except ValueFailed:
        return 0


def _unpack(replay: Replay, cls: type[Moment], packed: list[Any]) -> Moment:
    seconds, offset, zone = packed
    if zone is not None:
        name = read_leaf(zone, replay)
        if is_zone(name):
            return cls(seconds, name)
    return cls(seconds, None, offset)


@unpacks("'")
def _unpack_datetime(replay: Replay, tree: dict[str, Any]) -> Moment:
    return _unpack(replay, Datetime, tree["'"])


@unpacks('"')
def _unpack_timeval(replay: Replay, tree: dict[str, Any]) -> Moment:
    return _unpack(replay, Timeval, tree['"'])


# --- methods ---------------------------------------------------------------------------------------------------------

BOTH = "datetime|timeval"


@method(BOTH, "to", "zone: str", doc="The same moment, read in another zone or with another offset.",
        example="datetime(0).to('Europe/Amsterdam')")  # fmt: skip
def to(ctx: Context, value: Moment, zone: str) -> Moment:
    if zone[:1] in ("+", "-"):
        return type(value)(value.seconds, None, offset_minutes(zone))
    return type(value)(value.seconds, zone_of(zone))


@method(BOTH, "zone", doc="The name of the zone, nil with a fixed offset.", example="datetime(0).zone()")
def zone(ctx: Context, value: Moment) -> str | None:
    return value.zone


UNITS = ("years", "months", "weeks", "days", "hours", "minutes", "seconds")
_SECONDS = {"hours": 3600, "minutes": 60, "seconds": 1}
_INT32 = 2**31


def moved(value: M, unit: str, count: int) -> M:
    """The moment so many units later: of days and more by the wall clock, else exactly. OverflowError when it is too
    far away, ValueError when its year can't be computed."""
    if unit in _SECONDS:
        seconds = value.seconds + count * _SECONDS[unit]
        if not INT_MIN <= seconds <= INT_MAX:
            raise OverflowFailed("the moment is too far away")
        return value.at(seconds)
    if not -_INT32 <= count < _INT32:
        raise OverflowFailed(f"a moment can't be moved by {count} {unit}")
    fields = value.fields()
    year, month, day = fields.year, fields.month, fields.day
    if unit == "years":
        year += count
    elif unit == "months":
        month += count
    else:
        day += 7 * count if unit == "weeks" else count
    if not all(-_INT32 <= part < _INT32 for part in (year, month, day)):
        raise OverflowFailed(f"a moment can't be moved by {count} {unit}")
    clock = fields.hour, fields.minute, fields.second
    return value.at(seconds_of(year, month, day, *clock, value.zone, value.offset, summer=None, near=fields.offset))


@method(BOTH, "move", "unit: str, count: lazy int", doc="The moment a number of years, months, … seconds later.",
        example="datetime(0).move('days', 7)")  # fmt: skip
def move(ctx: Context, value: Moment, unit: str, count: Callable[[], Value]) -> Moment:
    name = checked_unit(unit)
    number: int = METHODS["move"][Datetime].check_lazy(1, count)
    return moved(value, name, number)


def checked_unit(unit: str) -> str:
    """A unit of time; ValueError when it is none."""
    if unit in UNITS:
        return unit
    raise ValueFailed(f"a unit of time is one of {', '.join(UNITS)}, not {unit[:80]!r}")


PARTS = {
    "year": (1, 9999),
    "month": (1, 12),
    "day": (1, 31),
    "hour": (0, 23),
    "minute": (0, 59),
    "second": (0, 59),
}
"""The parts of a wall clock and their bounds."""


def check_part(name: str, value: int) -> int:
    """ValueError when a part lies outside its bounds."""
    least, most = PARTS[name]
    if least <= value <= most:
        return value
    raise ValueFailed(f"the {name} lies between {least} and {most}, not at {value}")


def check_day(year: int, month: int, day: int) -> None:
    """ValueError when the month has no such day."""
    if day > days_in_month(year, month):
        raise ValueFailed(f"the month {year}-{month:02} has no day {day}")


@method(BOTH, "replace", "parts: thing", doc="The moment with some parts of its wall clock replaced.",
        example="datetime(0).replace({year: 2020})")  # fmt: skip
def replace(ctx: Context, value: Moment, parts: Thing) -> Moment:
    fields = value.fields()
    given = {}
    for name in PARTS:
        if parts.has(name):
            part = parts.get(name)
            if type(part) is not int:
                raise TypeFailed(f"the {name} is an int, not {type_name(part)}")
            given[name] = check_part(name, part)
    clock = {name: given.get(name, getattr(fields, name)) for name in PARTS}
    check_day(clock["year"], clock["month"], clock["day"])
    return value.at(seconds_of(**clock, zone=value.zone, offset=value.offset, summer=fields.summer))


@method(BOTH, "extract", "part?: str", doc="A thing with the parts of the wall clock, or one of them.",
        example="datetime(0).extract('year')")  # fmt: skip
def extract(ctx: Context, value: Moment, part: str | None = None) -> Value:
    fields = value.fields()
    parts: dict[str, Any] = {name: getattr(fields, name) for name in PARTS}
    parts["gmt_offset"] = fields.offset
    if part is None:
        return make_thing(ctx, parts)
    if part not in parts:
        raise ValueFailed(f"the parts are {', '.join(parts)}, not {part[:80]!r}")
    return parts[part]


def checked_pattern(pattern: str) -> str:
    """A format; ValueError when it is too short or too long."""
    if 2 <= byte_length(pattern) <= 79:
        return pattern
    raise ValueFailed("a format has 2 to 79 bytes")


@method(BOTH, "format", "format: str", doc="The moment as text, by a format of strftime.",
        example="datetime(0).format('%Y-%m-%d')")  # fmt: skip
def format_(ctx: Context, value: Moment, pattern: str) -> str:
    text = format_fields(checked_pattern(pattern), value.fields(), value.seconds)
    if not 1 <= byte_length(text) <= 119:
        raise ValueFailed("a formatted moment has 1 to 119 bytes")
    return text


def _near(value: Moment) -> Fields:
    try:
        return value.fields()
    except ValueFailed as error:
        raise OverflowFailed(error.message) from None


@method(BOTH, "week", doc="The week of the year, beginning on Sunday; 0 before the first Sunday.",
        example="datetime(0).week()")  # fmt: skip
def week(ctx: Context, value: Moment) -> int:
    fields = _near(value)
    return (fields.yday + 7 - fields.weekday) // 7


@method(BOTH, "weekday", doc="The day of the week, 0 for Sunday.", example="datetime(0).weekday()")
def weekday(ctx: Context, value: Moment) -> int:
    return _near(value).weekday


@method(BOTH, "yday", doc="The day of the year, 0 for 1 January.", example="datetime(0).yday()")
def yday(ctx: Context, value: Moment) -> int:
    return _near(value).yday
