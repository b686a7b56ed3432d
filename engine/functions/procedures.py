"""Procedures: named closures of a collection or of `@thingsdb` (spec/time-and-procedures.md, section 5)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from engine.collection import Procedure
from engine.encoding import log_packer
from engine.errors import LookupFailed, OperationError
from engine.functions.registry import FUNCTIONS, function
from engine.names import check_name
from engine.replay import Replay, replays
from engine.state import loads, saves
from engine.users import CHANGE
from engine.values.closure import Closure

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from engine.context import Context
    from engine.engine import Engine
    from engine.scopes import Scope
    from engine.values.thing import Value

__all__: list[str] = []


def find_procedure(ctx: Context, name: str) -> Procedure:
    """The procedure of that name in the query's scope; ValueError when malformed, LookupError when unknown."""
    procedure = ctx.scope.procedures.get(name)
    if procedure is None:
        check_name(name, "a procedure")
        raise LookupFailed(f"there is no procedure {name}")
    return procedure


def require_commit(ctx: Context) -> None:
    """OperationError when the scope keeps a commit history and the query has not committed."""
    if ctx.scope.history is not None and ctx.commit is None:
        raise OperationError(f"{ctx.scope.title} keeps a history: call commit(…) first")


def tell(ctx: Context, job: dict[str, Any]) -> None:
    """Record a job of the scope: watchers of a collection's root see it."""
    ctx.record(ctx.root.id if ctx.root is not None else 0, job)


def _job(procedure: Procedure) -> dict[str, Any]:
    return {
        "new_procedure": {
            "name": procedure.name,
            "created_at": procedure.created_at,
            "closure": {"/": procedure.closure.code.compact},
        }
    }


@function(
    "new_procedure",
    "name: str, closure: lazy closure",
    scopes="CT",
    changes="CT",
    runs_code=True,
    doc="Stores a closure as a procedure; gives its name.",
    example="new_procedure('add', |a, b| a + b)",
)
def new_procedure(ctx: Context, name: str, closure: Callable[[], Value]) -> str:
    require_commit(ctx)
    check_name(name, "a procedure")
    code: Closure = NEW_PROCEDURE.check_lazy(1, closure)
    if name in ctx.scope.procedures:
        raise LookupFailed(f"there is a procedure {name} already")
    procedure = Procedure(name, detached(code), int(ctx.now))
    ctx.scope.procedures[name] = procedure
    tell(ctx, _job(procedure))
    return name


def detached(closure: Closure) -> Closure:
    """A closure of its own with the same code. ValueError where a regex in it is wrong."""
    copy = Closure(closure.code)
    copy.store()
    return copy


@function(
    "mod_procedure",
    "name: str, closure: lazy closure",
    scopes="CT",
    changes="CT",
    runs_code=True,
    doc="Replaces the closure of a procedure.",
    example="mod_procedure('add', |a, b, c| a + b + c)",
)
def mod_procedure(ctx: Context, name: str, closure: Callable[[], Value]) -> None:
    require_commit(ctx)
    procedure = find_procedure(ctx, name)
    code: Closure = MOD_PROCEDURE.check_lazy(1, closure)
    procedure.closure = detached(code)
    procedure.created_at = int(ctx.now)
    tell(ctx, {"del_procedure": name})
    tell(ctx, _job(procedure))


@function(
    "rename_procedure",
    "name: str, new_name: lazy str",
    scopes="CT",
    changes="CT",
    doc="Gives a procedure another name.",
    example="rename_procedure('add', 'sum_of')",
)
def rename_procedure(ctx: Context, name: str, new: Callable[[], Value]) -> None:
    require_commit(ctx)
    procedure = find_procedure(ctx, name)
    new_name: str = FUNCTIONS["rename_procedure"].check_lazy(1, new)
    check_name(new_name, "a procedure")
    if new_name in ctx.scope.procedures:
        raise LookupFailed(f"there is a procedure {new_name} already")
    del ctx.scope.procedures[name]
    procedure.name = new_name
    ctx.scope.procedures[new_name] = procedure
    tell(ctx, {"rename_procedure": {"old": name, "name": new_name}})


@function(
    "del_procedure",
    "name: str",
    scopes="CT",
    changes="CT",
    doc="Deletes a procedure.",
    example="del_procedure('add')",
)
def del_procedure(ctx: Context, name: str) -> None:
    require_commit(ctx)
    find_procedure(ctx, name)
    del ctx.scope.procedures[name]
    tell(ctx, {"del_procedure": name})


@function(
    "has_procedure", "name: str", scopes="CT", doc="Is there a procedure of that name?", example="has_procedure('add')"
)
def has_procedure(ctx: Context, name: str) -> bool:
    return name in ctx.scope.procedures


@function(
    "procedure_doc",
    "name: str",
    scopes="CT",
    doc="The documentation that a procedure's code begins with, else an empty text.",
    example="procedure_doc('add')",
)
def procedure_doc(ctx: Context, name: str) -> str:
    return find_procedure(ctx, name).closure.code.doc


def _info(ctx: Context, procedure: Procedure) -> Value:
    from engine.values.mpdata import Mpdata

    code = procedure.closure.code
    info: dict[str, Any] = {
        "doc": procedure.closure.code.doc,
        "name": procedure.name,
        "created_at": procedure.created_at,
    }
    user = ctx.caller.user
    if user is not None and ctx.scope.access.get(user.id, 0) & CHANGE:
        info["definition"] = procedure.closure.code.pretty
    info["with_side_effects"] = code.has_effects
    info["arguments"] = list(code.params)
    return Mpdata(log_packer().pack(info))


@function(
    "procedure_info",
    "name: str",
    scopes="CT",
    doc="What is known of a procedure.",
    example="procedure_info('add')",
)
def procedure_info(ctx: Context, name: str) -> Value:
    return _info(ctx, find_procedure(ctx, name))


@function(
    "procedures_info", scopes="CT", doc="What is known of each procedure of the scope.", example="procedures_info()"
)
def procedures_info(ctx: Context) -> Value:
    from engine.values.list import List

    return List([_info(ctx, ctx.scope.procedures[name]) for name in sorted(ctx.scope.procedures)])


@function(
    "run",
    "name: str, arguments*: lazy any",
    scopes="CT",
    runs_code=True,
    doc="Calls a procedure by its name.",
    example="run('add', 1, 2)",
)
def run(ctx: Context, name: str, *arguments: Callable[[], Value]) -> Value:
    procedure = find_procedure(ctx, name)
    taken = arguments[: len(procedure.closure.code.params)]  # surplus arguments are not evaluated
    return procedure.closure.call(ctx, *[argument() for argument in taken])


NEW_PROCEDURE = FUNCTIONS["new_procedure"]
MOD_PROCEDURE = FUNCTIONS["mod_procedure"]


# --- log and state ---------------------------------------------------------------------------------------------------


def _scope(replay: Replay) -> Any:
    return replay.home if replay.home is not None else replay.engine.server


@replays("new_procedure")
def _new_procedure(replay: Replay, _: Any, made: dict[str, Any]) -> None:
    closure = Closure.from_source(made["closure"]["/"], _scope(replay).kind)
    _scope(replay).procedures[made["name"]] = Procedure(made["name"], closure, made["created_at"])


@replays("del_procedure")
def _del_procedure(replay: Replay, _: Any, name: str) -> None:
    del _scope(replay).procedures[name]


@replays("rename_procedure")
def _rename_procedure(replay: Replay, _: Any, names: dict[str, str]) -> None:
    procedures = _scope(replay).procedures
    procedure = procedures.pop(names["old"])
    procedure.name = names["name"]
    procedures[procedure.name] = procedure


@saves
def _save(engine: Engine) -> Iterator[tuple[str, int | str, Any]]:
    scopes: list[Scope] = [engine.server, *engine.collections.values()]
    for scope in scopes:
        for procedure in scope.procedures.values():
            yield (
                "procedure",
                f"{scope.id}:{procedure.name}",
                {"created_at": procedure.created_at, "closure": procedure.closure.code.compact},
            )


@loads("procedure")
def _load(replay: Replay, key: str, tree: dict[str, Any]) -> None:
    name = key.partition(":")[2]
    _scope(replay).procedures[name] = Procedure(
        name, Closure.from_source(tree["closure"], _scope(replay).kind), tree["created_at"]
    )
