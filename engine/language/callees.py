"""What a call means, and calling it: built-in methods, closures in properties, methods of types, procedures, early
names (spec/language.md, section 6). Called by generated code."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NoReturn

from engine.errors import LookupFailed, NumArgumentsError, TypeFailed
from engine.functions.registry import FUNCTIONS, METHODS, STEPWISE, Function, Method
from engine.language.runtime import describe
from engine.users import require
from engine.values.closure import Closure
from engine.values.storing import OWNED
from engine.values.thing import Instance, Thing

if TYPE_CHECKING:
    from engine.context import Context
    from engine.values.thing import Value

__all__ = ["CALLED", "FALLBACKS", "ClosureCall", "FunctionCall", "Site", "site_of"]


class ClosureCall:
    """A call of a closure in the place of a method: as a property of a thing, or as a method of a type, which gets
    what it is called on as its first argument."""

    __slots__ = ("closure", "takes", "this")

    def __init__(self, closure: Closure, this: tuple[Value, ...] = ()) -> None:
        self.closure = closure
        self.this = this
        self.takes = len(closure.code.params) - len(this)

    def check(self, index: int, value: Value) -> Value:
        return value

    def accept(self, index: int, thunk: Callable[[], Value]) -> Value:
        """An argument that the caller didn't evaluate: evaluated here, if the closure takes it."""
        return thunk() if index < self.takes else None

    def lock(self, receiver: Value) -> None:
        pass

    unlock = lock

    def run(self, ctx: Context, receiver: Value, *arguments: Value) -> Value:
        return self.closure.call(ctx, *self.this, *arguments)


def _property_call(ctx: Context, thing: Thing, name: str) -> Any:
    props = thing.props
    if name not in props:
        return None
    value = props[name]
    if type(value) is Closure:
        return ClosureCall(value)
    raise TypeFailed(f"the property {name} is no closure: {describe(value)} can't be called")


def _instance_call(ctx: Context, thing: Instance, name: str) -> Any:
    position = thing.kind.positions.get(name)
    if position is not None:
        value = thing.props[position]
        if type(value) is Closure:
            return ClosureCall(value)
        raise TypeFailed(f"the property {name} is no closure: {describe(value)} can't be called")
    method = thing.kind.methods.get(name)
    return None if method is None else thing.kind.method_call(method, thing)


def _closure_call(ctx: Context, closure: Closure, name: str) -> Any:
    return ClosureCall(closure) if name == "call" else None


FALLBACKS: dict[type, Callable[[Context, Any, str], Any]] = {
    Thing: _property_call,
    Instance: _instance_call,
    Closure: _closure_call,
}
"""What `value.name(…)` means where `name` is no built-in method of the value: a callee such as `ClosureCall`, or
None."""


CALLED: dict[type, Callable[[Any], Any]] = {}
"""What `name(…)` means where `name` is a variable that holds a value of the class: a callee. Closures aside."""


class Site:
    """A place where a method is called by name, with a number of arguments: what is known of it beforehand.

    `found` are the methods, by the class of the receiver, that take so many arguments; `ready` how they run once all
    arguments are evaluated, which checks what is not known of those. `kinds` are the classes of the arguments, None
    where they don't show.
    """

    __slots__ = ("count", "found", "name", "ready", "ready_for", "table")

    def __init__(self, table: dict[type, Method], name: str, kinds: tuple[type | None, ...]) -> None:
        self.table = table
        self.name = name
        self.count = count = len(kinds)
        self.found = {
            cls: method
            for cls, method in table.items()
            if not method.alias and count >= method.least and (method.most is None or count <= method.most)
        }
        self.ready = {cls: _ready(cls, method, kinds) for cls, method in self.found.items()}
        self.ready_for = self.ready.get


@lru_cache(maxsize=2048)
def site_of(name: str, kinds: tuple[type | None, ...], stepwise: bool) -> Site:
    """The places where a method is called by a name, with arguments of some classes; `stepwise`: each argument is to
    see what the earlier ones did."""
    return Site((STEPWISE if stepwise else METHODS).get(name, {}), name, kinds)


def _ready(cls: type, method: Method, kinds: tuple[type | None, ...]) -> Callable[..., Value]:
    """How a method runs on a receiver of a class, with evaluated arguments of some classes."""
    run = method.run
    checks = [
        (index, classes)
        for index, kind in enumerate(kinds)
        if (classes := method.classes(index)) is not None and kind not in classes
    ]

    def checked(ctx: Context, receiver: Value, *arguments: Value) -> Value:
        if method.mutates:
            ctx.allow(receiver)
        for index, classes in checks:
            if type(arguments[index]) not in classes:
                method.refuse(index, arguments[index])
        return run(ctx, receiver, *arguments)

    def allowed(ctx: Context, receiver: Value, *arguments: Value) -> Value:
        ctx.allow(receiver)
        return run(ctx, receiver, *arguments)

    def allowed_if_owned(ctx: Context, receiver: Value, *arguments: Value) -> Value:
        if receiver.owner is not None or receiver.lock:
            ctx.allow(receiver)
        return run(ctx, receiver, *arguments)

    if checks:
        return checked
    if method.mutates:
        return allowed_if_owned if cls in OWNED else allowed
    return run


def find_method(ctx: Context, receiver: Value, site: Site) -> Any:
    """What `receiver.name(…)` calls: checks the receiver, the number of arguments, and that a method that mutates
    may."""
    method = site.found.get(type(receiver))
    if method is not None:
        if method.mutates:
            ctx.allow(receiver)
        return method
    return _find_other(ctx, receiver, site)


def _find_other(ctx: Context, receiver: Value, site: Site) -> Any:
    """What is called where no built-in method is, or it takes another number of arguments."""
    name, count = site.name, site.count
    method = site.table.get(type(receiver))
    if method is None or method.alias:
        fallback = FALLBACKS.get(type(receiver))
        callee = fallback(ctx, receiver, name) if fallback is not None else None
        if callee is not None:
            return callee
        if method is None:
            raise LookupFailed(f"{describe(receiver)} has no method {name}()")
    if count < method.least or (method.most is not None and count > method.most):
        method.wrong_count(ctx, receiver, count)
    if method.mutates:
        ctx.allow(receiver)
    return method


def call_method(ctx: Context, receiver: Value, site: Site, *arguments: Value) -> Value:
    """`receiver.name(arguments)` where evaluating the arguments can neither fail nor change anything."""
    run = site.ready.get(type(receiver))
    if run is not None:
        return run(ctx, receiver, *arguments)
    callee = _find_other(ctx, receiver, site)
    return callee.run(ctx, receiver, *[callee.check(index, value) for index, value in enumerate(arguments)])


class FunctionCall:
    """A call of an early name: an alias, found after everything else."""

    __slots__ = ("function", "takes")

    def __init__(self, function: Any) -> None:
        self.function = function
        self.takes = 1 << 30

    def check(self, index: int, value: Value) -> Value:
        return self.function.check(index, value)

    def accept(self, index: int, thunk: Callable[[], Value]) -> Value:
        return self.function.accept(index, thunk)

    def lock(self, receiver: Value) -> None:
        pass

    unlock = lock

    def run(self, ctx: Context, receiver: Value, *arguments: Value) -> Value:
        return self.function.run(ctx, *arguments)


def _closure_with(closure: Closure, count: int) -> Any:
    """A closure as what is called with so many arguments: itself where it takes all of them."""
    return closure if closure.code.count >= count else ClosureCall(closure)


def find_function(ctx: Context, name: str, count: int) -> Any:
    """What `name(…)` calls where `name` is no built-in function: a type or enum, a procedure, a variable that holds
    a closure, or an early name."""
    scope = ctx.scope
    if name in scope.types or name in scope.enums:
        return (scope.types.get(name) or scope.enums[name]).as_function(ctx, count)
    procedure = scope.procedures.get(name)
    if procedure is not None:
        return _closure_with(procedure.closure, count)
    for frame in reversed(ctx.frames):
        if name in frame:
            value = frame[name]
            if type(value) is Closure:
                return _closure_with(value, count)
            called = CALLED.get(type(value))
            if called is not None:
                return called(value)
            raise TypeFailed(f"the variable {name} is no closure: {describe(value)} can't be called")
    module = ctx.engine.modules.get(name)
    if module is not None:
        return module.as_function(ctx, count)
    function = FUNCTIONS.get(name)
    if function is not None and scope.kind in function.scopes:
        if function.right:
            require_right(ctx, function)
        function.check_count(count)
        return FunctionCall(function)
    if function is not None:
        raise LookupFailed(f"the function {name}() does not exist in {scope.title}")
    raise LookupFailed(f"there is no function {name}()")


def call_function(ctx: Context, name: str, *arguments: Value) -> Value:
    """`name(arguments)` where evaluating the arguments can neither fail nor change anything."""
    callee = find_function(ctx, name, len(arguments))
    return callee.run(ctx, None, *[callee.check(index, value) for index, value in enumerate(arguments)])


def wrong_scope(ctx: Context, name: str) -> NoReturn:
    raise LookupFailed(f"the function {name}() does not exist in {ctx.scope.title}")


def require_right(ctx: Context, function: Function) -> None:
    """ForbiddenError unless the caller has the right that the function asks for on the scope."""
    require(ctx.caller.user, ctx.scope, function.right)  # type: ignore[arg-type]


def wrong_count(name: str, count: int) -> NoReturn:
    FUNCTIONS[name].check_count(count)
    raise NumArgumentsError(f"{name}() does not take {count} arguments")
