"""Modules: programs beside the server that queries ask by futures (spec/admin-and-protocol.md, section 9).

The engine keeps their definitions and makes requests of things. What runs them is the process around it: a
`ModuleHost`, which answers later and so makes a query `Pending` (`engine.futures`).
"""

from __future__ import annotations

import platform
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

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
from engine.functions.registry import register_kind, type_name
from engine.language.callees import CALLED, FALLBACKS, ClosureCall
from engine.limits import INT_MAX
from engine.manifest import MAX_REQUEST_DEEP, REST, Defaults, Exposed, Manifest, check_file
from engine.result import Result, shows
from engine.snapshot import Tree, packs
from engine.values.as_text import TEXT
from engine.values.future import Future
from engine.values.incoming import incoming
from engine.values.mpdata import Mpdata
from engine.values.storing import AS_ITEM, AS_PROPERTY
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
    "Repository",
    "check_source",
    "find_module",
    "packed",
    "request",
    "system",
]

CONF_DEEP = 3

Answer: TypeAlias = "bytes | EngineError"
"""What a module answers: one MessagePack value, or an error."""

_REPOSITORY = re.compile(r"github\.com/([\w.-]+)/([\w.-]+)(?::([^@/]+))?(?:@(.+))?\Z", re.ASCII)


@dataclass(frozen=True, slots=True)
class Repository:
    """Where a module is downloaded from: a repository on GitHub, at a branch or tag, None for its default branch. With
    a token it may be a private one."""

    owner: str
    name: str
    token: str | None = None
    tag: str | None = None

    @classmethod
    def parse(cls, source: str) -> Repository | None:
        """The repository that a source names, None when it names none."""
        match = _REPOSITORY.match(source)
        if match is None or not {match[1], match[2]}.isdisjoint((".", "..")):
            return None
        return cls(*match.groups())

    def __str__(self) -> str:
        """How it is written, without the token."""
        return f"github.com/{self.owner}/{self.name}" + (f"@{self.tag}" if self.tag else "")


def system() -> str:
    """What this machine is to those who build programs for it: `linux/amd64`."""
    machine = platform.machine()
    return f"{platform.system().lower()}/{ {'x86_64': 'amd64', 'aarch64': 'arm64'}.get(machine, machine) }"


@dataclass(slots=True, eq=False)
class Module:
    """A module's definition. `conf` is packed, None for none; `scope` the id of the only scope that may use it, None
    for all."""

    name: str
    source: str
    created_at: int
    conf: bytes | None = None
    scope: int | None = None

    def __str__(self) -> str:
        return f"module:{self.name}"

    def as_function(self, ctx: Context, count: int) -> ModuleCall:
        """What `name(…)` calls."""
        return ModuleCall(self)


register_kind("module", Module)
TEXT[Module] = str
AS_ITEM[Module] = lambda value: None
AS_PROPERTY[Module] = lambda value, thing, key, spec: None


@shows(Module)
def _show(value: Module, made: Result, deep: int) -> Tree:
    return str(value)


@packs(Module)
def _pack(value: Module, home: Any, depth: int) -> Tree:
    return None


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

    def manifest(self, module: Module) -> Manifest | None:
        """What its repository says of it, None while that is not known, or for one that is a file."""

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

    def refresh(self, module: Module) -> None:
        """The same, after its repository was downloaded again."""

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

    def manifest(self, module: Module) -> Manifest | None:
        return None

    def counts(self, module: Module) -> tuple[int, int]:
        return 0, 0

    def added(self, module: Module) -> None:
        pass

    removed = configure = restart = refresh = added

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
    if not source.startswith("github.com/"):
        check_file(source, "the source of a module")
    elif not all(" " <= char <= "~" for char in source) or Repository.parse(source) is None:
        raise ValueFailed("a repository is written github.com/OWNER/NAME, then :TOKEN and @TAG where needed")


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


def _check_scope(ctx: Context, module: Module) -> None:
    """ForbiddenError unless the module may be used in this scope."""
    if module.scope is not None and module.scope != ctx.scope.id:
        raise ForbiddenError(f"the module {module.name} may not be used in {ctx.scope.title}")


def _options(ctx: Context, thing: Thing | None, defaults: Defaults) -> tuple[int, bool]:
    """How deep a request is sent, and whether its answer becomes a value: as its thing says, else the defaults."""
    deep: Value = ctx.scope.deep if defaults.deep is None else defaults.deep
    load: Value = defaults.load
    if thing is not None:
        if thing.has("deep"):
            deep = thing.get("deep")
            if type(deep) is not int:
                raise TypeFailed(f"the property deep of a request is an int, not {type_name(deep)}")
            if not 0 <= deep <= MAX_REQUEST_DEEP:
                raise ValueFailed(f"the property deep of a request lies between 0 and {MAX_REQUEST_DEEP}")
        if thing.has("load"):
            load = thing.get("load")
    return deep, bool(load)


def _request_to(ctx: Context, module: Module, thing: Thing) -> ModuleRequest:
    """The request that a thing is."""
    _check_scope(ctx, module)
    manifest = ctx.engine.host.modules.manifest(module)
    defaults = Defaults() if manifest is None else manifest.defaults
    deep, load = _options(ctx, thing, defaults)
    if not defaults.keys:
        return ModuleRequest(module, packed(ctx, thing, deep), load)
    return _merged(ctx, module, defaults, ((REST, thing),), deep, load)


def _merged(
    ctx: Context, module: Module, defaults: Defaults, given: Iterable[tuple[str, Value]], deep: int, load: bool
) -> ModuleRequest:
    """A request of defaults and of values under keys; a thing under `*` gives all that it shows."""
    made = Result(ctx, 0, ctx.engine.max_result_bytes)
    tree = dict(defaults.keys)
    for key, value in given:
        if key == REST:
            tree |= made.show(value, deep)
        else:
            tree[key] = made.show(value, max(deep - 1, 0))
    return ModuleRequest(module, Mpdata.of(tree).data, load)


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


class ExposedCall(ModuleCall):
    """A call of what a module exposes: `module.name(…)`."""

    __slots__ = ("exposed", "name")

    def __init__(self, module: Module, name: str, exposed: Exposed) -> None:
        super().__init__(module)
        self.name = name
        self.exposed = exposed

    def check(self, index: int, value: Value) -> Value:
        argmap = self.exposed.argmap
        if index < len(argmap) and argmap[index] == REST and value is not None and not isinstance(value, Thing):
            raise TypeFailed(
                f"{self.module.name}.{self.name}() takes a thing as argument {index + 1}, not {type_name(value)}"
            )
        return value

    def run(self, ctx: Context, receiver: Value, *arguments: Value) -> Future:
        _check_scope(ctx, self.module)
        exposed = self.exposed
        given = [(key, value) for key, value in zip(exposed.argmap, arguments, strict=False)
                 if key != REST or value is not None]  # fmt: skip
        deep, load = _options(ctx, next((value for key, value in given if key == REST), None), exposed.defaults)
        asked = _merged(ctx, self.module, exposed.defaults, given, deep, load)
        return Future.create(ctx, (None, *arguments[len(exposed.argmap) :]), request=asked)


def _find_exposed(ctx: Context, module: Module, name: str) -> ClosureCall | ExposedCall:
    """What `module.name(…)` calls. LookupError when the module exposes nothing of that name."""
    manifest = ctx.engine.host.modules.manifest(module)
    exposed = None if manifest is None else manifest.exposes.get(name)
    if exposed is None:
        raise LookupFailed(f"the module {module.name} does not expose {name}()")
    if exposed.source is not None:
        return ClosureCall(exposed.closure(ctx.scope.kind), (module,))
    return ExposedCall(module, name, exposed)


FALLBACKS[Module] = _find_exposed
CALLED[Module] = ModuleCall
