"""Futures: code that runs after its query (spec/time-and-procedures.md, section 3). `engine.futures` runs them."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from engine.errors import NumArgumentsError, OperationError, TypeFailed
from engine.functions.registry import METHODS, function, method, register_kind, type_name
from engine.language.runtime import read_variable
from engine.result import Result, shows
from engine.snapshot import Tree, packs
from engine.values.closure import Closure
from engine.values.list import List
from engine.values.storing import AS_ITEM, AS_PROPERTY
from engine.values.thing import Thing

if TYPE_CHECKING:
    from engine.context import Context
    from engine.modules import ModuleRequest
    from engine.values.thing import Value

    Thunk = Callable[[], Value]

__all__ = ["Future"]


class Future:
    """A future: the closure that it runs (`then`), and the arguments.

    `value` is what the closure gave, once the future has `finished`. `arguments` come by reference; a future may be
    among them. One with a `request` asks a module first: the answer takes the place of the first argument, and when
    the module fails, `otherwise` that of `then`. `runs` is what runs, once that is known.
    """

    __slots__ = ("arguments", "finished", "otherwise", "request", "runs", "then", "value")

    def __init__(
        self, arguments: tuple[Value, ...], then: Closure | None = None, request: ModuleRequest | None = None
    ) -> None:
        self.arguments = arguments
        self.then = self.runs = then
        self.otherwise: Closure | None = None
        self.request = request
        self.value: Value = None
        self.finished = False

    @classmethod
    def create(
        cls,
        ctx: Context,
        arguments: tuple[Value, ...],
        then: Closure | None = None,
        request: ModuleRequest | None = None,
    ) -> Future:
        """A future of the query. MaxQuotaError or OperationError when there are too many."""
        if ctx.journal is not None:
            raise OperationError(
                "an atomic query can't make a future, which would run after it and may fail then: make a task instead"
            )
        made = cls(arguments, then, request)
        ctx.engine.futures.add(made)
        if ctx.futures is None:
            ctx.futures = []
        ctx.futures.append(made)
        return made


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
    "start: any, arguments*: lazy any",
    runs_code=True,
    doc="Code that runs after the query: a closure, nil, or a module's request; the query's answer waits for it.",
    example="future(|| .count += 1)",
)
def future(ctx: Context, start: Value, *arguments: Thunk) -> Future:
    if type(start) is Closure:
        return Future.create(ctx, _closure_arguments(ctx, start, arguments), start)
    if start is None:
        return Future.create(ctx, (None, *[argument() for argument in arguments]))
    if isinstance(start, Thing):
        from engine.modules import request

        asked = request(ctx, start)
        return Future.create(ctx, (None, *[argument() for argument in arguments]), request=asked)
    raise TypeFailed(f"future() takes a closure, nil or a thing as argument 1, not {type_name(start)}")


def _closure_arguments(ctx: Context, closure: Closure, given: tuple[Thunk, ...]) -> tuple[Value, ...]:
    """What the parameters of a closure get: the items of a list, or variables of the same names."""
    params = closure.code.params
    if not given:
        return tuple([read_variable(ctx, name) for name in params])
    if len(given) > 1:
        raise NumArgumentsError(f"future() takes a closure and a list of its arguments, not {len(given) + 1} arguments")
    values = given[0]()
    if type(values) is not List and type(values) is not tuple:
        raise TypeFailed(f"future() takes the arguments of the closure as a list, not {type_name(values)}")
    if len(values) != len(params):
        raise NumArgumentsError(f"the closure of the future takes {len(params)} arguments, not {len(values)}")
    return tuple(values)


@method(
    "future",
    "then",
    "closure: lazy closure",
    doc="Runs a closure with the future's values; gives the future.",
    example="future(nil, 1).then(|_, x| x + 1)",
)
def then(ctx: Context, value: Future, closure: Thunk) -> Future:
    _check_free(value, value.then)
    code: Closure = THEN.check_lazy(0, closure)
    _check_free(value, value.then)  # the argument may have given it one
    ctx.engine.futures.occupy(code.code)
    value.then = value.runs = code
    return value


def _check_free(value: Future, place: Closure | None) -> None:
    """OperationError when a future takes no closure in the place."""
    if place is not None:
        raise OperationError("the future has such a closure already")
    if value.finished:
        raise OperationError("the future has run already")


@method(
    "future",
    "else",
    "closure: lazy closure",
    doc="Runs a closure when a module fails; gives the future.",
    example="future(nil).else(|err| err.msg())",
)
def else_(ctx: Context, value: Future, closure: Thunk) -> Future:
    _check_free(value, value.otherwise)
    value.otherwise = ELSE.check_lazy(0, closure)
    return value


THEN = METHODS["then"][Future]
ELSE = METHODS["else"][Future]
