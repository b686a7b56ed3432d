"""Watching things from a query (spec/watch.md, section 4).

The names are older than the present language, so what programs define under them wins.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.effects import Unwatch, Watch
from engine.errors import NumArgumentsError, TypeFailed, ValueFailed
from engine.functions.registry import method, type_name
from engine.language.runtime import checked_deep
from engine.result import Result
from engine.users import CHANGE, require

if TYPE_CHECKING:
    from engine.collection import Collection
    from engine.context import Context
    from engine.values.thing import Thing, Value

__all__: list[str] = []


@method(
    "thing",
    "watch",
    alias=True,
    doc="From now on, the connection that asks is told what changes on the thing.",
    example=".watch()",
)
def watch(ctx: Context, thing: Thing) -> None:
    if not thing.id:
        raise ValueFailed("only a stored thing can be watched: this one has no id")
    if ctx.caller.subscriber is None:
        return
    # The state shows what the running change did so far; its jobs up to here are left out of the first update.
    position = 0 if ctx.change is None else len(ctx.change.mutations)
    finished = ctx.engine.last_change if ctx.change is None else ctx.change.id - 1
    collection: Collection = ctx.scope  # type: ignore[assignment]
    ctx.say(Watch(thing.id, collection, collection.initial_event(thing, finished), position))


@method("thing", "unwatch", alias=True, doc="The connection that asks is no longer told of the thing.",
        example=".unwatch()")  # fmt: skip
def unwatch(ctx: Context, thing: Thing) -> None:
    if thing.id and ctx.caller.subscriber is not None:
        ctx.say(Unwatch(thing.id))


@method(
    "thing",
    "emit",
    "event: str|int, arguments*: any",
    alias=True,
    doc="Tells an event, with values, to those who watch the thing; an int before the name says how deep things in the"
    " values are shown.",
    example=".emit('greeting', 'hello')",
)
def emit(ctx: Context, thing: Thing, event: str | int, *arguments: Value) -> None:
    deep = 1
    if type(event) is int:
        deep = checked_deep(event)
        if not arguments:
            raise NumArgumentsError("emit() takes the name of the event after the depth")
        event, *arguments = arguments  # type: ignore[assignment]
    if type(event) is not str:
        raise TypeFailed(f"the name of an event is a str, not {type_name(event)}")
    if thing.id:
        ctx.become_change()
        made = Result(ctx, 0, ctx.engine.max_result_bytes)
        ctx.record(thing.id, {"event": [event, *(made.show(value, deep) for value in arguments)]})
    elif ctx.change is None and ctx.caller.user is not None:
        require(ctx.caller.user, ctx.scope, CHANGE)
