"""Conversions between scalar values (spec/text-and-numbers.md, sections 2, 4, 9 and 10)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.functions.registry import function
from engine.values.as_bytes import as_bytes
from engine.values.as_text import as_text
from engine.values.numbers import FLOAT, INT, as_float, as_int
from engine.values.regex import Regex, compiled_regex

if TYPE_CHECKING:
    from engine.context import Context
    from engine.values.thing import Value

__all__: list[str] = []


@function("int", "value?: any", doc="A value as an int: 0 without one.", example="int('90 minutes')")
def to_int(ctx: Context, value: Value = 0) -> int:
    convert = INT.get(type(value))
    return as_int(value) if convert is None else convert(value)


@function("float", "value?: any", doc="A value as a float: 0.0 without one.", example="float('2.5 km')")
def to_float(ctx: Context, value: Value = 0) -> float:
    convert = FLOAT.get(type(value))
    return as_float(value) if convert is None else convert(value)


@function("bool", "value?: any", doc="True or false for a value, false without one.", example="bool('text')")
def to_bool(ctx: Context, value: Value = None) -> bool:
    return bool(value)


@function("str", "value?: any", doc="A value as text: empty without one.", example="str(1.5)")
def to_str(ctx: Context, value: Value = "") -> str:
    return value if type(value) is str else as_text(value)


@function("bytes", "value?: any", doc="A text or packed data as bytes: empty without one.", example="bytes('text')")
def to_bytes(ctx: Context, value: Value = b"") -> bytes:
    return as_bytes(value)


@function(
    "regex",
    "pattern: str, flags?: str",
    doc="A regex made of a pattern and flags: i, m, s and g.",
    example="regex('^[a-z]+$', 'i')",
)
def to_regex(ctx: Context, pattern: str, flags: str = "") -> Regex:
    return compiled_regex(pattern, flags)
