"""Running futures after their query (spec/time-and-procedures.md, section 3).

Those created last start first. A future whose closure needs a change gets one of its own, and runs after all that need
none, in order of starting.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from engine.context import Context
from engine.errors import EngineError, OperationError
from engine.users import CHANGE, require
from engine.values.future import Future
from engine.values.list import List
from engine.values.set import Set
from engine.values.storing import nested
from engine.values.thing import Thing

if TYPE_CHECKING:
    from engine.engine import Engine, Outcome

__all__ = ["run_futures", "value_of"]


def value_of(value: Any) -> Any:
    """The value of a future that ran, or the value itself."""
    while type(value) is Future:
        if value.then is None:
            return List([nested(value_of(argument)) for argument in value.arguments])
        value = value.value
    return value


def run_futures(engine: Engine, query: Context, outcome: Outcome) -> None:
    """Run the futures of a query that succeeded, and those that they create; their outcomes go into `outcome.more`.
    The first error becomes that of the query."""
    waiting: list[Future] = []
    ready: list[Future] = list(query.futures or ())  # the next one to start is the last
    query.futures = None
    more: list[Outcome] = []
    error: EngineError | None = None
    while (ready and error is None) or waiting:
        if ready and error is None:
            future = ready.pop()
            if future.then is not None and future.then.code.has_effects:
                waiting.append(future)
                continue
        else:
            future = waiting.pop(0)
        part, created = _run(engine, query, future)
        if part is not None:
            more.append(part)
            if part.error is not None and error is None:
                error = part.error
                part.error = None
        ready += created
    outcome.more = more
    if error is not None:
        outcome.error = error
        outcome.value = None


def _run(engine: Engine, query: Context, future: Future) -> tuple[Outcome | None, list[Future]]:
    """Run one future; its outcome, and the futures that it created."""
    closure = future.then
    future.done = True
    if closure is None:
        return None, []
    ctx = Context(engine, query.scope, query.caller, query.root)
    ctx.deep = query.deep
    ctx.by_request = ctx.is_future = True
    ctx.task = query.task
    arguments = future.arguments[: len(closure.code.params)]
    future.arguments = ()

    def run(ctx: Context, frame: dict[str, Any]) -> Any:
        if closure.code.has_effects:
            user = ctx.caller.user
            assert user is not None
            require(user, ctx.scope, CHANGE)
            if any(map(_is_stored, arguments)):
                raise OperationError("a future that needs a change can't take stored things: pass their ids")
        future.value = closure.call(ctx, *arguments)
        return None

    part = engine.run_part(ctx, run, closure.code.has_effects)
    if ctx.loose is not None:
        query.loose = [*(query.loose or ()), *ctx.loose]
    return part, list(ctx.futures or ())


def _is_stored(value: Any) -> bool:
    """Does a value hold a thing, room or task with an id, at any depth?"""
    stack = [value]
    seen: set[int] = set()
    while stack:
        value = stack.pop()
        if getattr(value, "id", 0) and not isinstance(value, str | bytes):
            return True
        if id(value) in seen:
            continue
        seen.add(id(value))
        if type(value) is List or type(value) is tuple:
            stack += value
        elif type(value) is Set:
            stack += value.items
        elif isinstance(value, Thing):
            stack += value.values()
    return False
