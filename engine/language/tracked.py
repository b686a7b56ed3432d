"""Code that notes what it reads: queries of live evaluation, and the closures that they call (ARCHITECTURE.md, "The way
of a live query").

It is compiled from the same nodes as other code, with two differences. Every value that an expression gives goes
through `seen`, which notes a thing as read and has a closure replaced by one that notes, too. And what looks further
than at the values it is given (a copy to a depth, a search, all instances of a type) says what it reads before it runs.
It is better to note too much than to miss a read: the evaluation is then repeated once too often.

Other code is not touched by this, and knows nothing of it.
"""

from __future__ import annotations

import ast
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from engine.errors import OperationError
from engine.functions.registry import FUNCTIONS, METHODS, Function, Method
from engine.language import callees
from engine.language import nodes as n
from engine.language.callees import ClosureCall, FunctionCall, Site
from engine.language.compiler import GLOBALS, CompiledFunction, Unit
from engine.language.python_ast import CTX, py_call, py_const
from engine.recent import ANYTHING
from engine.result import SHOW
from engine.types.enum import Member
from engine.types.instances import stored_instances
from engine.types.type import TypeCall
from engine.values.closure import Closure
from engine.values.future import Future
from engine.values.list import List
from engine.values.set import Set
from engine.values.storing import SCALARS
from engine.values.task import Task
from engine.values.thing import Instance, Thing
from engine.values.wrapped import Wrapped

if TYPE_CHECKING:
    from engine.live import LiveContext
    from engine.values.thing import Value

__all__ = ["TRACKED", "TrackedUnit", "reach", "seen"]


# --- noting ----------------------------------------------------------------------------------------------------------


def seen(ctx: LiveContext, value: Value) -> Value:
    """Note that a value is at hand, and so may be looked into; gives it."""
    kind = value.__class__
    if kind is Thing or kind is Instance:
        if value.id:
            ctx.things.add(value.id)
    elif kind in _SEEN:
        _SEEN[kind](ctx, value)
    return value


def _seen_closure(ctx: LiveContext, closure: Closure) -> None:
    ctx.arm(closure.code)


def _seen_wrapped(ctx: LiveContext, value: Wrapped) -> None:
    seen(ctx, value.thing)
    type_ = value.type
    if type_ is not None:
        for closure in type_.methods.values():
            ctx.arm(closure.code)


def _seen_member(ctx: LiveContext, member: Member) -> None:
    seen(ctx, member.value)
    for closure in member.enum.methods.values():
        ctx.arm(closure.code)


def _seen_task(ctx: LiveContext, task: Task) -> None:
    ctx.read_tasks()
    if task.closure is not None:
        ctx.arm(task.closure.code)


def _seen_future(ctx: LiveContext, future: Future) -> None:
    raise OperationError("a live query can't wait for a future: what it gives must be there at once")


_SEEN: dict[type, Callable[[Any, Any], None]] = {
    Closure: _seen_closure,
    Wrapped: _seen_wrapped,
    Member: _seen_member,
    Task: _seen_task,
    Future: _seen_future,
}


def reach(ctx: LiveContext, value: Value, deep: int) -> None:
    """Note the things that a value leads to, within so many levels of things."""
    waiting: list[tuple[Value, int]] = [(value, deep)]
    walked: dict[int, int] = {}  # how many levels the walk from a value went, by its id()
    while waiting:
        value, deep = waiting.pop()
        kind = type(value)
        if kind in SCALARS or deep <= 0 or walked.get(id(value), 0) >= deep:
            continue
        walked[id(value)] = deep
        if kind is Thing or kind is Instance:
            if value.id:
                ctx.things.add(value.id)
            waiting += [(held, deep - 1) for held in value.values()]
        elif kind is List or kind is tuple:
            waiting += [(held, deep) for held in value]
        elif kind is Set:
            waiting += [(held, deep) for held in value.items]
        elif kind is Wrapped:
            waiting.append((value.thing, deep))
        elif kind is Member:
            waiting.append((value.value, deep))


def _deep_of(arguments: tuple[Value, ...]) -> int:
    """The depth among the arguments of a method, by default 1."""
    return next((value for value in reversed(arguments) if type(value) is int), 1)


# --- methods that look further ---------------------------------------------------------------------------------------

Before = Callable[[Any, Any, tuple[Any, ...]], None]
"""What notes the reads of a call, before it runs: it takes the context, the receiver and the arguments."""


def _before_copy(ctx: LiveContext, receiver: Value, arguments: tuple[Value, ...]) -> None:
    deep = _deep_of(arguments)
    if type(receiver) is Wrapped:  # a copy is what a result would show
        SHOW[Wrapped](receiver, ctx.shown(0), deep)
    reach(ctx, receiver, deep)


def _before_equals(ctx: LiveContext, thing: Value, arguments: tuple[Value, ...]) -> None:
    for one in (thing, arguments[0]):
        reach(ctx, one, _deep_of(arguments[1:]))


def _before_search(ctx: LiveContext, thing: Value, arguments: tuple[Value, ...]) -> None:
    deep = arguments[1].get("deep", 1) if len(arguments) > 1 else 1
    reach(ctx, thing, deep if type(deep) is int else 1)


def _before_map_type(ctx: LiveContext, items: Value, arguments: tuple[Value, ...]) -> None:
    for item in items:
        if type(item) is int:
            ctx.look_up(item)
        else:
            reach(ctx, item, _CONVERTED)


_CONVERTED = 3
"""The levels of things that making an instance of something looks at."""


def _before_saying(ctx: LiveContext, receiver: Value, arguments: tuple[Value, ...]) -> None:
    raise OperationError("a live query can't begin or end a watch: it only reads")


BEFORE_METHODS: dict[str, Before] = {
    "watch": _before_saying,
    "unwatch": _before_saying,
    "copy": _before_copy,
    "dup": _before_copy,
    "equals": _before_equals,
    "search": _before_search,
    "map_type": _before_map_type,
}
"""By name of the method."""


def _noting(method: Method, before: Before) -> Method:
    def run(ctx: LiveContext, receiver: Value, *arguments: Value) -> Value:
        before(ctx, receiver, arguments)
        return method.run(ctx, receiver, *arguments)

    return replace(method, run=run)


_NOTING: dict[int, Method] = {
    id(method): _noting(method, before) for name, before in BEFORE_METHODS.items() for method in METHODS[name].values()
}


# --- functions that look further -------------------------------------------------------------------------------------


def _before_thing(ctx: LiveContext, ids: tuple[Value, ...]) -> None:
    for value in ids:
        if type(value) is int:
            ctx.look_up(value)


def _before_extent(ctx: LiveContext, arguments: tuple[Value, ...]) -> None:
    type_ = ctx.scope.types.get(arguments[0])
    if type_ is not None:
        ctx.read_extent(type_.id)
        ctx.things.update(-thing.id for thing in stored_instances(ctx.scope, type_))  # type: ignore[arg-type]


def _before_json_dump(ctx: LiveContext, arguments: tuple[Value, ...]) -> None:
    options = arguments[1] if len(arguments) > 1 else None
    deep = ctx.deep if options is None else options.get("deep", ctx.deep)
    ctx.shown(0).show(arguments[0], deep if type(deep) is int else ctx.deep)


def _before_run(ctx: LiveContext, arguments: tuple[Value, ...]) -> None:
    procedure = ctx.scope.procedures.get(arguments[0])
    if procedure is not None:
        ctx.arm(procedure.closure.code)


def _before_all(ctx: LiveContext, arguments: tuple[Value, ...]) -> None:
    ctx.read_everything()


def _before_any_change(ctx: LiveContext, arguments: tuple[Value, ...]) -> None:
    ctx.extents.add(ANYTHING)


def _before_users(ctx: LiveContext, arguments: tuple[Value, ...]) -> None:
    ctx.read_server()


def _before_tasks(ctx: LiveContext, arguments: tuple[Value, ...]) -> None:
    ctx.read_tasks()


def _before_refs(ctx: LiveContext, arguments: tuple[Value, ...]) -> None:
    raise OperationError("a live query can't count references: they come and go without a change")


BEFORE_FUNCTIONS: dict[str, Callable[[Any, tuple[Any, ...]], None]] = {
    "thing": _before_thing,
    "t": _before_thing,
    "type_count": _before_extent,
    "type_all": _before_extent,
    "json_dump": _before_json_dump,
    "run": _before_run,
    "export": _before_all,
    "refs": _before_refs,
    "collection_info": _before_all,
    "collections_info": _before_all,
    "collection": _before_all,
    "collections": _before_all,
    "history": _before_all,
    "user_info": _before_users,
    "has_module": _before_users,
    "module_info": _before_users,
    "modules_info": _before_users,
    "last_change": _before_any_change,
    "tasks": _before_tasks,
}
"""By name of the function; holds for its early names too."""


def _noting_function(function: Function, before: Callable[[Any, tuple[Any, ...]], None]) -> Function:
    def run(ctx: LiveContext, *arguments: Value) -> Value:
        before(ctx, arguments)
        return function.run(ctx, *arguments)

    return replace(function, run=run)


def _new(ctx: LiveContext, name: str, thing: Callable[[], Value] | None = None) -> Value:
    if thing is None:
        return FUNCTIONS["new"].run(ctx, name)

    def reached() -> Value:
        value = thing()
        reach(ctx, value, _CONVERTED)
        return value

    return FUNCTIONS["new"].run(ctx, name, reached)


_BEFORE_RUNS = {FUNCTIONS[name].run: before for name, before in BEFORE_FUNCTIONS.items()}

_NOTING_FUNCTIONS = {
    **{
        name: _noting_function(function, _BEFORE_RUNS[function.run])  # early names run what their successors do
        for name, function in FUNCTIONS.items()
        if function.run in _BEFORE_RUNS
    },
    "new": replace(FUNCTIONS["new"], run=_new),
}


# --- what generated code calls ---------------------------------------------------------------------------------------


class _TypeCall(TypeCall):
    """A call `Name(x)`."""

    def run(self, ctx: Any, receiver: Value, *values: Value) -> Value:
        if values:
            if type(values[0]) is int:
                ctx.look_up(values[0])
            reach(ctx, values[0], _CONVERTED)
        return super().run(ctx, receiver, *values)


def _armed(ctx: LiveContext, callee: Any) -> Any:
    """What a call calls, made to note what it reads."""
    kind = type(callee)
    if kind is Method:
        return _NOTING.get(id(callee), callee)
    if kind is Closure:
        ctx.arm(callee.code)
    elif isinstance(callee, ClosureCall):
        ctx.arm(callee.closure.code)
        for value in callee.this:
            seen(ctx, value)
    elif kind is TypeCall:
        return _TypeCall(callee.type)
    elif kind is FunctionCall:
        callee.function = _NOTING_FUNCTIONS.get(callee.function.name, callee.function)
    return callee


def find_method(ctx: LiveContext, receiver: Value, site: Site) -> Any:
    """As in `callees`."""
    return _armed(ctx, callees.find_method(ctx, receiver, site))


def find_function(ctx: LiveContext, name: str, count: int) -> Any:
    """As in `callees`."""
    return _armed(ctx, callees.find_function(ctx, name, count))


def call_method(ctx: LiveContext, receiver: Value, site: Site, *arguments: Value) -> Value:
    """As in `callees`."""
    callee = find_method(ctx, receiver, site)
    return callee.run(ctx, receiver, *[callee.check(index, value) for index, value in enumerate(arguments)])


def call_function(ctx: LiveContext, name: str, *arguments: Value) -> Value:
    """As in `callees`."""
    callee = find_function(ctx, name, len(arguments))
    return callee.run(ctx, None, *[callee.check(index, value) for index, value in enumerate(arguments)])


TRACKED: dict[str, Any] = {
    **GLOBALS,
    **{function.__name__: function for function in (seen, find_method, find_function, call_method, call_function)},
}
"""What code that notes its reads can name."""


# --- compiling -------------------------------------------------------------------------------------------------------

_GIVING = (n.Name, n.Chain, n.Call, n.Member, n.Root)
"""Nodes whose value may be one that was there before. Others make a new one, or pass on that of a node in them."""


def _noted(value: ast.expr) -> ast.expr:
    if isinstance(value, ast.Constant):
        return value
    if isinstance(value, ast.Call) and isinstance(value.func, ast.Name) and value.func.id == "seen":
        return value
    return py_call("seen", CTX, value)


class _TrackedFunction(CompiledFunction):
    """One Python function, which notes what it reads."""

    def expression(self, node: n.Node) -> ast.expr:
        value = super().expression(node)
        return _noted(value) if isinstance(node, _GIVING) else value

    def root(self, node: n.Root) -> ast.expr:
        return _noted(super().root(node))

    def link(self, value: ast.expr, link: n.Link) -> ast.expr:
        return _noted(super().link(value, link))

    def _call_ready(self, receiver: ast.expr, site: Site, arguments: list[ast.expr]) -> ast.expr:
        return py_call("call_method", CTX, receiver, self.unit.constant(site), *arguments)

    def _call_by_name(self, node: n.Call, locking: bool) -> ast.expr:
        callee = self.spill(py_call("find_function", CTX, py_const(node.name), py_const(len(node.arguments))))
        return self.invoke(callee, py_const(None), node.arguments, set(), locking)

    def call_builtin(self, function: Function, arguments: list[n.Node]) -> ast.expr:
        return super().call_builtin(_NOTING_FUNCTIONS.get(function.name, function), arguments)


class TrackedUnit(Unit):
    """Functions that note what they read."""

    rows = False

    names_in_code = TRACKED

    def function(self, name: str, literal: n.ClosureLiteral | None) -> CompiledFunction:
        return _TrackedFunction(self, name, literal)
