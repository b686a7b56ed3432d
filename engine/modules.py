"""Modules: programs beside the server that queries ask by futures (spec/admin-and-protocol.md, section 9).

The engine keeps their definitions and makes requests of things. What runs them is the process around it: a
`ModuleHost`, which answers later and so makes a query `Pending` (`engine.futures`).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, TypeAlias

from engine.errors import (
    BadDataError,
    EngineError,
    ForbiddenError,
    LookupFailed,
    NumArgumentsError,
    OperationError,
    TypeFailed,
    ValueFailed,
)
from engine.functions.registry import type_name
from engine.limits import INT_MAX
from engine.result import Result
from engine.values.future import Future
from engine.values.incoming import incoming
from engine.values.mpdata import Mpdata
from engine.values.thing import Thing

if TYPE_CHECKING:
    from engine.context import Context
    from engine.values.thing import Value

__all__ = [
    "Answer",
    "Module",
    "ModuleHost",
    "ModuleRequest",
    "NoModules",
    "check_source",
    "find_module",
    "packed",
    "request",
]

CONF_DEEP = 3
MAX_DEEP = 127

Answer: TypeAlias = "bytes | EngineError"
"""What a module answers: one MessagePack value, or an error."""

_REPOSITORY = re.compile(r"github\.com/[\w.-]+/[\w.-]+(:[^@/]+)?(@.+)?\Z")


@dataclass(slots=True, eq=False)
class Module:
    """A module's definition. `conf` is packed, None for none; `scope` the id of the only scope that may use it, None
    for all."""

    name: str
    source: str
    created_at: int
    conf: bytes | None = None
    scope: int | None = None

    def as_function(self, ctx: Context, count: int) -> ModuleCall:
        """What `name(…)` calls."""
        return ModuleCall(self)


@dataclass(slots=True, eq=False)
class ModuleRequest:
    """What a future asks a module: the request packed; with `load` the answer becomes a value."""

    module: Module
    data: bytes
    load: bool

    def response(self, data: bytes) -> Value:
        """The value of what was answered. BadDataError when it is not one MessagePack value."""
        answer = Mpdata(data)
        try:
            tree = answer.tree()
        except Exception:
            raise BadDataError(f"the module {self.module.name} did not answer with one MessagePack value") from None
        return incoming(tree) if self.load else answer


class ModuleHost(Protocol):
    """What runs modules. All of it is called on the engine's thread and returns at once."""

    def status(self, module: Module) -> str:
        """`running`, or why not."""

    def file(self, module: Module) -> str | None:
        """The file that is run, None while it is not there."""

    def counts(self, module: Module) -> tuple[int, int]:
        """How many requests are open, and how often it was started again."""

    def added(self, module: Module) -> None:
        """There is a new module: start it."""

    def removed(self, module: Module) -> None:
        """Stop it."""

    def renamed(self, module: Module, old: str) -> None:
        """It has another name."""

    def configure(self, module: Module) -> None:
        """Send it what it is configured with."""

    def restart(self, module: Module) -> None:
        """Stop it, start it, and forget how often it was started again."""

    def deploy(self, module: Module, data: bytes) -> None:
        """Write its file and restart it. OperationError when that can't be."""

    def send(self, module: Module, data: bytes, done: Callable[[Answer], None]) -> None:
        """Ask it; `done` is called once, later. OperationError when it is not running."""


class NoModules:
    """An engine that runs by itself, as in tests, runs no modules."""

    def status(self, module: Module) -> str:
        return "module not loaded"

    def file(self, module: Module) -> str | None:
        return None

    def counts(self, module: Module) -> tuple[int, int]:
        return 0, 0

    def added(self, module: Module) -> None:
        pass

    removed = configure = restart = added

    def renamed(self, module: Module, old: str) -> None:
        pass

    def deploy(self, module: Module, data: bytes) -> None:
        raise OperationError("an engine that runs by itself runs no modules")

    def send(self, module: Module, data: bytes, done: Callable[[Answer], None]) -> None:
        raise OperationError(f"the module {module.name} is not running: {self.status(module)}")


def find_module(ctx: Context, name: str) -> Module:
    """LookupError when there is none of that name."""
    found = ctx.engine.modules.get(name)
    if found is None:
        raise LookupFailed(f"there is no module {name[:80]}")
    return found


def check_source(source: str) -> None:
    """ValueError unless the source is a file below the module's folder, or a repository."""
    if not source or not all(" " <= char <= "~" for char in source):
        raise ValueFailed("the source of a module is a file name in printable ASCII characters")
    if source.startswith("github.com/"):
        if not _REPOSITORY.match(source):
            raise ValueFailed("a repository is written github.com/OWNER/NAME, then :TOKEN and @TAG where needed")
    elif source.startswith("/") or ".." in source or "./" in source:
        raise ValueFailed(f"the source of a module is a file in its own folder, not {source[:80]!r}")


def packed(ctx: Context, value: Value, deep: int) -> bytes:
    """A value as MessagePack, things shown so many levels."""
    return Mpdata.of(Result(ctx, 0, ctx.engine.max_result_bytes).show(value, deep)).data


def request(ctx: Context, thing: Thing) -> ModuleRequest:
    """The request that a thing is, to the module that its property `module` names."""
    if not thing.has("module"):
        raise LookupFailed("the request of a future has no property module, which names the module")
    name = thing.get("module")
    if type(name) is not str:
        raise TypeFailed(f"the property module of a request is a str, not {type_name(name)}")
    return _request_to(ctx, find_module(ctx, name), thing)


def _request_to(ctx: Context, module: Module, thing: Thing) -> ModuleRequest:
    if module.scope is not None and module.scope != ctx.scope.id:
        raise ForbiddenError(f"the module {module.name} may not be used in {ctx.scope.title}")
    deep = ctx.scope.deep
    if thing.has("deep"):
        deep = thing.get("deep")
        if type(deep) is not int:
            raise TypeFailed(f"the property deep of a request is an int, not {type_name(deep)}")
        if not 0 <= deep <= MAX_DEEP:
            raise ValueFailed(f"the property deep of a request lies between 0 and {MAX_DEEP}")
    return ModuleRequest(module, packed(ctx, thing, deep), bool(thing.get("load")))


class ModuleCall:
    """A call of a module by its name: `name(request, extra…)`."""

    __slots__ = ("module",)

    takes = INT_MAX

    def __init__(self, module: Module) -> None:
        self.module = module

    def check(self, index: int, value: Value) -> Value:
        if index == 0 and not isinstance(value, Thing):
            raise TypeFailed(f"a module takes its request, a thing, as argument 1, not {type_name(value)}")
        return value

    def accept(self, index: int, thunk: Callable[[], Value]) -> Value:
        return self.check(index, thunk())

    def lock(self, receiver: Value) -> None:
        pass

    unlock = lock

    def run(self, ctx: Context, receiver: Value, *arguments: Value) -> Future:
        if not arguments:
            raise NumArgumentsError("a module takes its request, a thing, as argument 1")
        thing, *extra = arguments
        return Future.create(ctx, (None, *extra), request=_request_to(ctx, self.module, thing))
