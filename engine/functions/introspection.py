"""What a query can find out about itself and its values, and what it can say (spec/text-and-numbers.md, section 14;
spec/things.md, section 9; spec/time-and-procedures.md, section 6)."""

from __future__ import annotations

import logging
import sys
from typing import TYPE_CHECKING

from engine.effects import Log
from engine.functions.registry import function, type_name
from engine.language.runtime import checked_deep
from engine.values.as_text import as_text

if TYPE_CHECKING:
    from engine.context import Context
    from engine.values.thing import Value

__all__: list[str] = []

LOGGED_CHARACTERS = 1000

_log = logging.getLogger("livethings.query")


@function("type", "value: any", doc="The name of a value's type.", example="type([1, 2])")
def type_of(ctx: Context, value: Value) -> str:
    return type_name(value)


@function("log", "value: any", doc="Sends a value as text to the caller, as a warning.", example="log('still here')")
def log(ctx: Context, value: Value) -> None:
    text = value if type(value) is str else as_text(value)
    _log.info("%r", text[:LOGGED_CHARACTERS])
    ctx.say(Log(text))


@function(
    "refs", "value: any", doc="The number of references that the server holds to a value.", example="refs('some text')"
)
def refs(ctx: Context, value: Value) -> int:
    return sys.getrefcount(value)


@function(
    "deep",
    "levels?: int",
    doc="How many levels of things the result shows: sets it, or gives it without an argument.",
    example="deep(2)",
)
def deep(ctx: Context, levels: int | None = None) -> int:
    if levels is not None:
        ctx.deep = checked_deep(levels)
    return ctx.deep


@function("change_id", doc="The id of the change that the query is, or nil.", example="change_id()")
def change_id(ctx: Context) -> int | None:
    return None if ctx.change is None else ctx.change.id


@function(
    "last_change",
    alias=True,
    doc="The id of the last change on the server, this query's own included: what a later request may say that it was"
    " decided at.",
    example="last_change()",
)
def last_change(ctx: Context) -> int:
    return ctx.engine.last_change


@function("now", doc="The seconds since 1970, as a float.", example="now()")
def now(ctx: Context) -> float:
    return ctx.now
