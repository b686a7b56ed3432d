"""Futures: code that runs after its query (spec/time-and-procedures.md, section 3). `engine.futures` runs them."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from engine.errors import LookupFailed, MaxQuotaError, NumArgumentsError, OperationError, TypeFailed
from engine.functions.registry import function, method, register_kind, type_name
from engine.language.runtime import read_variable
from engine.limits import MAX_FUTURES, MAX_FUTURES_PER_CLOSURE
from engine.result import Result, shows
from engine.snapshot import Tree, packs
from engine.values.closure import Closure
from engine.values.list import List
from engine.values.storing import AS_ITEM, AS_PROPERTY
from engine.values.thing import Thing

if TYPE_CHECKING:
    from engine.context import Context
    from engine.values.thing import Value

    Thunk = Callable[[], Value]

__all__ = ["Future"]


class Future:
    """A future: the arguments of its closures, and what it came to.

    `done` when it ran; `value` is then its value. `failed` closures run in the place of a module's failure.
    """

    __slots__ = ("arguments", "closed", "done", "failed", "then", "value")

    def __init__(self, arguments: tuple[Value, ...], then: Closure | None) -> None:
        self.arguments = arguments
        self.then = then
        self.failed: Closure | None = None
        self.closed = then is not None  # it can't be given a `then` any more
        self.done = False
        self.value: Value = None


register_kind("future", Future)
AS_ITEM[Future] = lambda value: None
AS_PROPERTY[Future] = lambda value, thing, key, spec: None


@shows(Future)
def _show(value: Future, made: Result, deep: int) -> Tree:
    return None


@packs(Future)
def _pack(value: Future, home: Any, depth: int) -> Tree:
    return None


@function(
    "future",
    "start: lazy any, arguments*: lazy any",
    runs_code=True,
    doc="Code that runs after the query: a closure, or nil with arguments for `then`; the query's answer waits for it.",
    example="future(|| .count += 1)",
)
def future(ctx: Context, start: Thunk, *arguments: Thunk) -> Future:
    first = start()
    if type(first) is Closure:
        if len(arguments) > 1:
            raise NumArgumentsError("future() takes a closure and a list of its arguments")
        params = first.code.params
        if arguments:
            given = arguments[0]()
            if type(given) is not List and type(given) is not tuple:
                raise TypeFailed(f"the arguments of a future are a list, not {type_name(given)}")
            if len(given) != len(params):
                raise NumArgumentsError(f"the closure has {len(params)} parameters, not {len(given)}")
            values = tuple(given)
        else:
            values = tuple(read_variable(ctx, name) for name in params)
        made = Future(values, first)
        _limit(ctx, first)
    elif first is None:
        made = Future((None, *(argument() for argument in arguments)), None)
    elif isinstance(first, Thing):
        raise _no_module(first)
    else:
        raise TypeFailed(f"future() takes a closure, nil or a thing, not {type_name(first)}")
    if ctx.futures is None:
        ctx.futures = []
    if len(ctx.futures) >= MAX_FUTURES:
        raise MaxQuotaError(f"at most {MAX_FUTURES} futures can run")
    ctx.futures.append(made)
    return made


def _no_module(request: Thing) -> Exception:
    if not request.has("module"):
        return LookupFailed("the request of a future names its module")
    name = request.get("module")
    if type(name) is not str:
        return TypeFailed(f"the name of a module is a str, not {type_name(name)}")
    return LookupFailed(f"there is no module {name[:80]}")


def _limit(ctx: Context, closure: Closure) -> None:
    waiting = sum(1 for other in ctx.futures or () if other.then is not None and other.then.code is closure.code)
    if waiting >= MAX_FUTURES_PER_CLOSURE:
        raise OperationError(f"a closure can have at most {MAX_FUTURES_PER_CLOSURE} unfinished futures")


@method("future", "then", "closure: lazy any", doc="Runs a closure with the future's values; gives the future.",
        example="future(nil, 1).then(|none, x| x + 1)")  # fmt: skip
def then(ctx: Context, value: Future, closure: Thunk) -> Future:
    if value.closed:
        raise OperationError("the future has its then already")
    code = closure()
    if type(code) is not Closure:
        raise TypeFailed(f"then() takes closure as argument 1, not {type_name(code)}")
    value.then = code
    value.closed = True
    return value


@method("future", "else", "closure: lazy any", doc="Runs a closure when a module fails; gives the future.",
        example="future(nil).else(|err| err.msg())")  # fmt: skip
def else_(ctx: Context, value: Future, closure: Thunk) -> Future:
    if value.failed is not None:
        raise OperationError("the future has its else already")
    code = closure()
    if type(code) is not Closure:
        raise TypeFailed(f"else() takes closure as argument 1, not {type_name(code)}")
    value.failed = code
    return value
