"""Making moments, and time zones (spec/time-and-procedures.md, sections 1.1, 1.2 and 1.4)."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from engine.errors import TypeFailed, ValueFailed
from engine.functions.collections import target_scope
from engine.functions.registry import FUNCTIONS, function, type_name
from engine.replay import Replay, replays
from engine.users import CHANGE, require
from engine.values.calendar import offset_minutes, seconds_of, zone_names, zone_of
from engine.values.datetime import Datetime, Moment, Timeval, check_day, check_part, checked_pattern
from engine.values.mpdata import Mpdata
from engine.values.numbers import int_of_float
from engine.values.text import byte_length
from engine.values.time_text import parse_text

if TYPE_CHECKING:
    from engine.context import Context
    from engine.values.thing import Value

    Thunk = Callable[[], Value]

__all__: list[str] = []

_PARTS = ("year", "month", "day", "hour", "minute", "second")

_PATTERNS = {
    4: "%Y",
    7: "%Y-%m",
    10: "%Y-%m-%d",
    13: "%Y-%m-%d{}%H",
    16: "%Y-%m-%d{}%H:%M",
    19: "%Y-%m-%d{}%H:%M:%S",
    20: "%Y-%m-%d{}%H:%M:%SZ",
    22: "%Y-%m-%d{}%H:%M:%S%z",
    24: "%Y-%m-%d{}%H:%M:%S%z",
}
"""The format of a text by its length; the hole takes what stands between date and time."""


def _moment(ctx: Context, cls: type[Moment], arguments: tuple[Thunk, ...]) -> Moment:
    zone = ctx.scope.time_zone
    if not arguments:
        return cls(int(ctx.now), zone)
    first = arguments[0]()
    if len(arguments) >= 3:
        return _by_parts(ctx, cls, first, arguments[1:])
    if len(arguments) == 2:
        _check_text(first)
        pattern = arguments[1]()
        _check_text(pattern)
        return _by_format(cls, first, checked_pattern(pattern), zone)
    if type(first) is int:
        return cls(first, zone)
    if type(first) is float:
        return cls(int_of_float(first), zone)
    if isinstance(first, Moment):
        return first if type(first) is cls else cls(first.seconds, first.zone, first.offset)
    if type(first) is str:
        return _by_length(cls, first, zone)
    raise TypeFailed(f"a moment can't be made of {type_name(first)}")


def _check_text(value: Value) -> None:
    if type(value) is not str:
        raise TypeFailed(f"two arguments are a text and its format, each a str, not {type_name(value)}")


def _by_parts(ctx: Context, cls: type[Moment], first: Value, rest: tuple[Thunk, ...]) -> Moment:
    values: dict[str, int] = {}
    zone: str | None = ctx.scope.time_zone
    offset = 0
    value = first
    for index in range(len(rest) + 1):
        if index:
            value = rest[index - 1]()
        if type(value) is str and index >= 3:
            if index != len(rest):
                raise TypeFailed("the time zone is the last argument")
            if value[:1] in ("+", "-"):
                zone, offset = None, offset_minutes(value)
            else:
                zone = zone_of(value)
        elif index == 6 or type(value) is not int:
            raise TypeFailed(f"a part of a moment can't be {type_name(value)}")
        else:
            name = _PARTS[index]
            values[name] = check_part(name, value)
    check_day(values["year"], values["month"], values["day"])
    clock = [values.get(name, 0) for name in _PARTS]
    return cls(seconds_of(*clock, zone, offset), zone, offset)  # type: ignore[call-arg,arg-type]


def _by_length(cls: type[Moment], text: str, zone: str) -> Moment:
    pattern = _PATTERNS.get(byte_length(text))
    if pattern is None or not text.isascii():
        raise ValueFailed(f"{text[:80]!r} is no moment: write 2020-01-31, 2020-01-31T12:00:00Z, or give a format")
    return _by_format(cls, text, pattern.format("T" if text[10:11] == "T" else " "), zone)


def _by_format(cls: type[Moment], text: str, pattern: str, zone: str) -> Moment:
    if byte_length(text) > 119:
        raise ValueFailed("a text that is a moment has at most 119 bytes")
    parsed = parse_text(text, pattern)
    kept: str | None = zone
    offset = 0
    if pattern.endswith("Z"):
        kept = "UTC"
    elif pattern.endswith("z"):
        sign = max(text.rfind("+"), text.rfind("-"))
        kept, offset = None, offset_minutes(text[sign:] if sign >= 0 else "")
    if parsed.seconds is not None:
        return cls(parsed.seconds, kept, offset)
    seconds = seconds_of(parsed.year, parsed.month, parsed.day, parsed.hour, parsed.minute, parsed.second, kept, offset)
    return cls(seconds, kept, offset)


_ARGUMENTS = ", ".join(
    f"{name}?: lazy any" for name in ("year_or_moment", "month_or_format", "day", "hour", "minute", "second", "zone")
)


@function(
    "datetime",
    _ARGUMENTS,
    runs_code=True,
    doc="A moment that results show as text: now, or from seconds, a text (and its format), or its parts and a zone.",
    example="datetime(2020, 1, 31, 'Europe/Amsterdam')",
)
def datetime_(ctx: Context, *arguments: Thunk) -> Moment:
    return _moment(ctx, Datetime, arguments)


@function(
    "timeval",
    _ARGUMENTS,
    runs_code=True,
    doc="A moment that results show as seconds; made like a datetime.",
    example="timeval('2020-01-31')",
)
def timeval(ctx: Context, *arguments: Thunk) -> Moment:
    return _moment(ctx, Timeval, arguments)


@function("time_zones_info", doc="The names of the time zones.", example="time_zones_info().load().len()")
def time_zones_info(ctx: Context) -> Mpdata:
    return Mpdata.of(list(zone_names()))


@function(
    "set_time_zone",
    "scope: str|int, zone: lazy str",
    scopes="T",
    changes="T",
    doc="Sets the time zone in which a scope reads clocks.",
    example="set_time_zone('//stuff', 'Europe/Amsterdam')",
)
def set_time_zone(ctx: Context, scope: str | int, zone: Thunk) -> None:
    where = target_scope(ctx, scope)
    require(ctx.caller.user, where, CHANGE)  # type: ignore[arg-type]
    where.time_zone = zone_of(FUNCTIONS["set_time_zone"].check_lazy(1, zone))
    ctx.record(0, {"set_time_zone": {"scope": where.id, "zone": where.time_zone}})


@replays("set_time_zone")
def _set_time_zone(replay: Replay, _: None, made: dict[str, Any]) -> None:
    replay.engine.scope_by_id(made["scope"]).time_zone = made["zone"]
