"""Math, and ranges of ints (spec/text-and-numbers.md, sections 6 and 7)."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from engine.errors import OperationError, ValueFailed
from engine.functions.registry import function
from engine.language.operators import integer
from engine.limits import MAX_RANGE_ITEMS
from engine.quota import check_array
from engine.values.list import List
from engine.values.numbers import int_of_float

if TYPE_CHECKING:
    from engine.context import Context

__all__: list[str] = []


@function("abs", "number: num", doc="A number without its sign.", example="abs(-5)")
def absolute(ctx: Context, number: int | float) -> int | float:
    return abs(number) if type(number) is float else integer(abs(number))  # type: ignore[arg-type]


@function("ceil", "number: num", doc="The smallest int that is not less than a number.", example="ceil(1.2)")
def ceil(ctx: Context, number: int | float) -> int:
    return number if type(number) is int else int_of_float(_rounded_up(number))


@function("floor", "number: num", doc="The largest int that is not greater than a number.", example="floor(1.8)")
def floor(ctx: Context, number: int | float) -> int:
    return number if type(number) is int else int_of_float(-_rounded_up(-number))


def _rounded_up(number: float) -> float:
    return float(math.ceil(number)) if math.isfinite(number) else number


@function(
    "round",
    "number: num, places?: int",
    doc="A number rounded to so many decimal places, halves away from zero.",
    example="round(2.675, 2)",
)
def to_places(ctx: Context, number: int | float, places: int = 0) -> int | float:
    if type(number) is int:
        return number if places >= 0 else _rounded_int(number, -places)
    return _rounded_float(number, places) + 0.0


def _rounded_int(number: int, zeros: int) -> int:
    if zeros > 19:  # more than half of which no 64-bit int is
        return 0
    unit = 10**zeros
    rounded: int = (abs(number) + unit // 2) // unit * unit
    return integer(-rounded if number < 0 else rounded)


def _rounded_float(number: float, places: int) -> float:
    if not math.isfinite(number) or places > 308:
        return number
    if places < -308:
        return 0.0
    unit = 10.0**places
    scaled = number * unit
    if not math.isfinite(scaled):
        return number
    whole = math.floor(abs(scaled))
    if abs(scaled) - whole >= 0.5:
        whole += 1
    return math.copysign(whole / unit, number)


@function("sqrt", "number: num", doc="The square root of a number.", example="sqrt(2)")
def sqrt(ctx: Context, number: int | float) -> float:
    if number < 0:
        raise ValueFailed(f"sqrt() takes a number that is not negative, not {number:g}")
    return math.sqrt(number)


def _positive(name: str, number: int | float) -> int | float:
    if number <= 0:
        raise ValueFailed(f"{name}() takes a number greater than zero, not {number:g}")
    return number


@function("loge", "number: num", doc="The natural logarithm of a number.", example="loge(MATH_E)")
def loge(ctx: Context, number: int | float) -> float:
    return math.log(_positive("loge", number))


@function("log2", "number: num", doc="The logarithm of a number to base 2.", example="log2(8)")
def log2(ctx: Context, number: int | float) -> float:
    return math.log2(_positive("log2", number))


@function("log10", "number: num", doc="The logarithm of a number to base 10.", example="log10(1000)")
def log10(ctx: Context, number: int | float) -> float:
    return math.log10(_positive("log10", number))


@function("exp", "number: num", doc="The number e raised to a power.", example="exp(1)")
def exp(ctx: Context, number: int | float) -> float:
    try:
        return math.exp(number)
    except OverflowError:
        return math.inf


@function("pow", "base: num, exponent: num", doc="A number raised to a power, as a float.", example="pow(2, 10)")
def power(ctx: Context, base: int | float, exponent: int | float) -> float:
    base, exponent = float(base), float(exponent)
    try:
        return math.pow(base, exponent) + 0.0
    except OverflowError:
        return -math.inf if base < 0 and exponent % 2 == 1 else math.inf
    except ValueError:
        return math.inf if base == 0 else math.nan


def _angle(name: str, number: int | float) -> float:
    if math.isinf(number):
        raise ValueFailed(f"{name}() takes a finite number of radians, not {number:g}")
    return float(number)


@function("sin", "radians: num", doc="The sine of an angle.", example="sin(MATH_PI / 2)")
def sin(ctx: Context, radians: int | float) -> float:
    return math.sin(_angle("sin", radians))


@function("cos", "radians: num", doc="The cosine of an angle.", example="cos(MATH_PI)")
def cos(ctx: Context, radians: int | float) -> float:
    return math.cos(_angle("cos", radians))


@function("tan", "radians: num", doc="The tangent of an angle.", example="tan(MATH_PI / 4)")
def tan(ctx: Context, radians: int | float) -> float:
    return math.tan(_angle("tan", radians))


@function(
    "range",
    "start: int, stop?: int, step?: int",
    doc="The ints from a start, 0 if only the stop is given, up to but not including a stop.",
    example="range(1, 10, 2)",
)
def int_range(ctx: Context, start: int, stop: int | None = None, step: int = 1) -> List:
    if stop is None:
        start, stop = 0, start
    if step == 0:
        raise ValueFailed("range() takes a step that is not zero")
    count = (stop - start + step - (1 if step > 0 else -1)) // step
    if count > MAX_RANGE_ITEMS:
        raise OperationError(f"range() makes at most {MAX_RANGE_ITEMS} ints, not {count}")
    if ctx.scope.quotas:
        check_array(ctx.scope, count)
    return List(range(start, stop, step))
