"""Modules: their definitions (spec/admin-and-protocol.md, section 9). `engine.modules` makes requests to them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from engine.errors import LookupFailed, TypeFailed
from engine.functions.registry import function, lazy, type_name
from engine.modules import CONF_DEEP, Module, check_source, find_module, packed
from engine.names import check_name
from engine.replay import Replay, replays
from engine.state import loads, saves
from engine.users import CHANGE
from engine.values.list import List
from engine.values.mpdata import Mpdata

if TYPE_CHECKING:
    from engine.context import Context
    from engine.engine import Engine
    from engine.values.thing import Value

    Thunk = Callable[[], Value]


@function(
    "new_module",
    "name: str, source: lazy str, conf?: lazy any",
    scopes="T",
    changes="T",
    final=True,
    doc="Adds a module: a program, in the folder of its name, that futures ask; `conf` configures it.",
    example="new_module('hello', 'hello.py', {greeting: 'hi'})",
)
def new_module(ctx: Context, name: str, source: Thunk, conf: Thunk | None = None) -> None:
    check_name(name, "a module")
    file = lazy("new_module", 1, source)
    check_source(file)
    if name in ctx.engine.modules:
        raise LookupFailed(f"there is a module {name} already")
    module = Module(name, file, int(ctx.now), _conf(ctx, None if conf is None else conf()))
    ctx.engine.modules[name] = module
    ctx.record(0, {"new_module": _fields(module)})
    ctx.engine.host.modules.added(module)


def _conf(ctx: Context, value: Value) -> bytes | None:
    return None if value is None else packed(ctx, value, CONF_DEEP)


@function(
    "del_module",
    "name: str",
    scopes="T",
    changes="T",
    final=True,
    doc="Stops and removes a module.",
    example="del_module('hello')",
)
def del_module(ctx: Context, name: str) -> None:
    module = find_module(ctx, name)
    del ctx.engine.modules[name]
    ctx.record(0, {"del_module": name})
    ctx.engine.host.modules.removed(module)


@function(
    "rename_module",
    "name: str, new_name: str",
    scopes="T",
    changes="T",
    final=True,
    doc="Gives a module another name.",
    example="rename_module('hello', 'greeter')",
)
def rename_module(ctx: Context, name: str, new_name: str) -> None:
    module = find_module(ctx, name)
    check_name(new_name, "a module")
    if new_name in ctx.engine.modules:
        raise LookupFailed(f"there is a module {new_name} already")
    _rename(ctx.engine, module, new_name)
    ctx.record(0, {"rename_module": {"old": name, "name": new_name}})
    ctx.engine.host.modules.renamed(module, name)


def _rename(engine: Engine, module: Module, name: str) -> None:
    del engine.modules[module.name]
    module.name = name
    engine.modules[name] = module


@function(
    "set_module_conf",
    "name: str, conf: lazy any",
    scopes="T",
    changes="T",
    final=True,
    doc="Configures a module anew.",
    example="set_module_conf('hello', {greeting: 'hello'})",
)
def set_module_conf(ctx: Context, name: str, conf: Thunk) -> None:
    module = find_module(ctx, name)
    module.conf = _conf(ctx, conf())
    ctx.record(0, {"set_module_conf": {"name": name, "conf": module.conf}})
    ctx.engine.host.modules.configure(module)


@function(
    "set_module_scope",
    "name: str, scope: lazy str|nil",
    scopes="T",
    changes="T",
    final=True,
    doc="Lets a module be used in one scope only, or with nil in all.",
    example="set_module_scope('hello', '//stuff')",
)
def set_module_scope(ctx: Context, name: str, scope: Thunk) -> None:
    module = find_module(ctx, name)
    text = lazy("set_module_scope", 1, scope)
    module.scope = None if text is None else ctx.engine.scope(text).id
    ctx.record(0, {"set_module_scope": {"name": name, "scope": module.scope}})


@function(
    "deploy_module",
    "name: str, data: lazy any",
    scopes="T",
    changes="T",
    final=True,
    doc="Writes a module's file, text for Python or bytes, and restarts it; with nil it only restarts.",
    example="deploy_module('hello', nil)",
)
def deploy_module(ctx: Context, name: str, data: Thunk) -> None:
    module = find_module(ctx, name)
    value = data()
    modules = ctx.engine.host.modules
    if value is None:
        modules.restart(module)
    elif type(value) is bytes:
        modules.deploy(module, value)
    elif type(value) is str and module.source.endswith(".py"):
        modules.deploy(module, value.encode("utf-8", "surrogateescape"))
    else:
        wanted = "str, bytes or nil" if module.source.endswith(".py") else "bytes or nil"
        raise TypeFailed(f"deploy_module() takes {wanted} as argument 2, not {type_name(value)}")


@function(
    "refresh_module",
    "name: str",
    scopes="T",
    changes="T",
    final=True,
    doc="Downloads a module's repository again, or looks for its file again, and restarts it.",
    example="refresh_module('hello')",
)
def refresh_module(ctx: Context, name: str) -> None:
    ctx.engine.host.modules.refresh(find_module(ctx, name))


@function(
    "restart_module",
    "name: str",
    scopes="N",
    right=CHANGE,
    doc="Restarts a module on this node, also one that ended too often.",
    example="restart_module('hello')",
)
def restart_module(ctx: Context, name: str) -> None:
    ctx.engine.host.modules.restart(find_module(ctx, name))


@function("has_module", "name: str", doc="Is there a module of that name?", example="has_module('hello')")
def has_module(ctx: Context, name: str) -> bool:
    return name in ctx.engine.modules


@function("module_info", "name: str", doc="What is known of a module.", example="module_info('hello').load().status")
def module_info(ctx: Context, name: str) -> Mpdata:
    return Mpdata.of(_tree(ctx, find_module(ctx, name)))


@function("modules_info", doc="What is known of each module, in order of their names.", example="modules_info().len()")
def modules_info(ctx: Context) -> List:
    return List([Mpdata.of(_tree(ctx, module)) for _, module in sorted(ctx.engine.modules.items())])


def _tree(ctx: Context, module: Module) -> dict[str, Any]:
    """What `module_info` shows."""
    engine = ctx.engine
    host = engine.host.modules
    shown: dict[str, Any] = {
        "name": module.name,
        "created_at": module.created_at,
        "status": host.status(module),
        "scope": _scope_title(engine, module),
    }
    user = ctx.caller.user
    if user is not None and engine.server.access.get(user.id, 0) & CHANGE:
        shown["conf"] = None if module.conf is None else Mpdata(module.conf).tree()
    file = host.file(module)
    if file is not None:
        shown["file"] = file
    manifest = host.manifest(module)
    if manifest is not None:
        shown["version"], shown["doc"] = manifest.version, manifest.doc
        shown["exposes"] = {name: exposed.doc for name, exposed in manifest.exposes.items()}
    if ctx.scope.kind == "N":
        shown["tasks"], shown["restarts"] = host.counts(module)
    return shown


def _scope_title(engine: Engine, module: Module) -> str | None:
    if module.scope is None:
        return None
    try:
        return engine.scope_by_id(module.scope).title
    except LookupFailed:  # the collection is gone; another one never gets its id
        return "@collection:"


# --- the log and the state -------------------------------------------------------------------------------------------


def _fields(module: Module) -> list[Any]:
    return [module.name, module.source, module.created_at, module.conf, module.scope]


@replays("new_module")
def _new_module(replay: Replay, _: None, fields: list[Any]) -> None:
    replay.engine.modules[fields[0]] = Module(*fields)


@replays("del_module")
def _del_module(replay: Replay, _: None, name: str) -> None:
    del replay.engine.modules[name]


@replays("rename_module")
def _rename_module(replay: Replay, _: None, names: dict[str, str]) -> None:
    _rename(replay.engine, replay.engine.modules[names["old"]], names["name"])


@replays("set_module_conf")
def _set_module_conf(replay: Replay, _: None, made: dict[str, Any]) -> None:
    replay.engine.modules[made["name"]].conf = made["conf"]


@replays("set_module_scope")
def _set_module_scope(replay: Replay, _: None, made: dict[str, Any]) -> None:
    replay.engine.modules[made["name"]].scope = made["scope"]


@saves
def _save_modules(engine: Engine) -> Iterator[tuple[str, int | str, Any]]:
    for module in engine.modules.values():
        yield "module", module.name, _fields(module)


@loads("module")
def _load_module(replay: Replay, name: str, fields: list[Any]) -> None:
    replay.engine.modules[name] = Module(*fields)
