"""Tests of what a value is: the functions that begin with `is_` (spec/text-and-numbers.md, section 13)."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import TYPE_CHECKING

from engine.errors import TypeFailed
from engine.functions.registry import KINDS, early_name, function, type_name
from engine.values.calendar import is_zone
from engine.values.mpdata import Mpdata
from engine.values.text import is_utf8

if TYPE_CHECKING:
    from engine.context import Context
    from engine.values.thing import Value

__all__: list[str] = []

_NONE: frozenset[type] = frozenset()


def _test(name: str, kind: str, noun: str, example: str) -> None:
    """Declare the test for a kind of value, which may be registered later."""

    def test(ctx: Context, value: Value) -> bool:
        return type(value) in KINDS.get(kind, _NONE)

    function(name, "value: any", doc=f"Is a value {noun}?", example=example)(test)


for _name, _kind, _noun, _example in (
    ("is_nil", "nil", "nil", "is_nil(nil)"),
    ("is_bool", "bool", "a bool", "is_bool(true)"),
    ("is_int", "int", "an int", "is_int(17)"),
    ("is_float", "float", "a float", "is_float(1.5)"),
    ("is_str", "str", "a str", "is_str('text')"),
    ("is_bytes", "bytes", "bytes", "is_bytes(bytes('text'))"),
    ("is_regex", "regex", "a regex", "is_regex(/[a-z]+/)"),
    ("is_mpdata", "mpdata", "packed data", "is_mpdata('text')"),
    ("is_raw", "raw", "a str, bytes or packed data", "is_raw('text')"),
    ("is_list", "list", "a list", "is_list([1, 2])"),
    ("is_tuple", "tuple", "a tuple", "is_tuple([1, 2])"),
    ("is_array", "array", "a list or a tuple", "is_array([1, 2])"),
    ("is_set", "set", "a set", "is_set([1, 2])"),
    ("is_thing", "thing", "a thing, of a type or without", "is_thing({})"),
    ("is_enum", "enum", "a member of an enum", "is_enum(1)"),
    ("is_closure", "closure", "a closure", "is_closure(|x| x + 1)"),
    ("is_err", "error", "an error", "is_err(try(1 / 0))"),
    ("is_datetime", "datetime", "a datetime", "is_datetime(0)"),
    ("is_timeval", "timeval", "a timeval", "is_timeval(0)"),
    ("is_room", "room", "a room", "is_room({})"),
    ("is_task", "task", "a task", "is_task({})"),
    ("is_future", "future", "a future", "is_future(nil)"),
    ("is_module", "module", "a module", "is_module(nil)"),
):
    _test(_name, _kind, _noun, _example)

KINDS["raw"] = frozenset({str, bytes, Mpdata})


@function("is_inf", "value: any", doc="Is a number infinite?", example="is_inf(inf)")
def is_inf(ctx: Context, value: Value) -> bool:
    if type(value) is float:
        return math.isinf(value)
    if type(value) is int or type(value) is bool:
        return False
    raise TypeFailed(f"is_inf() takes a number, not {type_name(value)}")


@function("is_nan", "value: any", doc="Is a value not a number?", example="is_nan(nan)")
def is_nan(ctx: Context, value: Value) -> bool:
    if type(value) is float:
        return value != value
    return type(value) is not int and type(value) is not bool


@function("is_ascii", "value: any", doc="Is a value a text of ASCII characters only?", example="is_ascii('text')")
def is_ascii(ctx: Context, value: Value) -> bool:
    return type(value) is str and value.isascii() and "\0" not in value


@function("is_utf8", "value: any", doc="Is a value a text that is valid UTF-8?", example="is_utf8('text')")
def is_valid_utf8(ctx: Context, value: Value) -> bool:
    return type(value) is str and is_utf8(value)


@function("is_time_zone", "value: any", doc="Is a value the name of a time zone?", example="is_time_zone('Asia/Tokyo')")
def is_time_zone(ctx: Context, value: Value) -> bool:
    return type(value) is str and is_zone(value)


def _text_test(name: str, noun: str, pattern: str, example: str) -> None:
    """Declare the test for a form of text."""
    matches: Callable[[str], re.Match[str] | None] = re.compile(rf"(?:{pattern})\n?\Z", re.ASCII).match

    def test(ctx: Context, value: Value) -> bool:
        return type(value) is str and matches(value) is not None

    function(name, "value: any", doc=f"Is a value a text in the form of {noun}?", example=example)(test)


_text_test(
    "is_email",
    "an email address",
    r"[A-Za-z0-9.!#$%&*+/=?^_`{|}~-]+@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)*",
    "is_email('joe@example.com')",
)
_text_test(
    "is_tel",
    "a telephone number",
    r"\+?(?:\([0-9]{1,4}\)[-. \t\n\v\f\r]?){0,2}(?:[0-9]{1,4}[- \t\n\v\f\r]?){3,5}",
    "is_tel('+31 6 1234 5678')",
)
_text_test(
    "is_url",
    "a URL of http, https or ftp",
    r"(?:https?|ftp)://[-A-Za-z0-9@:%._+~#=]{1,256}\b[-A-Za-z0-9@:%._+~#=?&/]*",
    "is_url('https://example.com/')",
)


for _name in (
    "array", "ascii", "bool", "float", "inf", "int", "list", "nan", "nil", "raw", "set", "str", "thing", "tuple",
    "utf8",
):  # fmt: skip
    early_name(f"is{_name}", f"is_{_name}")
