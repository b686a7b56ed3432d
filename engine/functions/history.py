"""Commits and the history of commits (spec/enums-and-wrap.md, section 7)."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from engine.errors import LookupFailed, OperationError, TypeFailed, ValueFailed
from engine.functions.registry import FUNCTIONS, function, type_name
from engine.replay import Replay, replays
from engine.users import CHANGE, QUERY, require
from engine.values.list import List
from engine.values.mpdata import Mpdata
from engine.values.regex import Regex
from engine.values.text import encoded
from engine.values.thing import Thing

if TYPE_CHECKING:
    from engine.context import Context
    from engine.engine import Engine
    from engine.scopes import Scope
    from engine.values.thing import Value

__all__ = ["record_commit"]

Record = dict[str, Any]


@function(
    "commit",
    "message: str",
    scopes="CT",
    doc="Says what the changes of this query are for; kept in the scope's history.",
    example="commit('add a field for the colour')",
)
def commit(ctx: Context, message: str) -> None:
    if ctx.scope.history is None:
        raise OperationError(f"{ctx.scope.title} keeps no history: see set_history()")
    if ctx.by_request or ctx.task is not None:
        raise OperationError("a commit is made by a query, not by a procedure that is run, a future or a task")
    if ctx.change is None:
        raise OperationError("a commit needs a query that is a change: use wse(…)")
    if not message:
        raise ValueFailed("the message of a commit can't be empty")
    if ctx.commit is not None:
        raise OperationError("a query can commit once")
    ctx.commit = message
    ctx.ends_specially = True


def record_commit(ctx: Context, code: str, error: str | None) -> None:
    """At the end of a query that committed: keep the record, and log it with the change."""
    assert ctx.change is not None
    assert ctx.caller.user is not None
    record: Record = {
        "id": ctx.change.id,
        "created_on": int(ctx.change.at),
        "by": ctx.caller.user.name,
        "message": ctx.commit,
        "code": code,
    }
    if error is not None:
        record["err_msg"] = error
    if ctx.scope.history is not None:
        ctx.scope.history.append(record)
        ctx.engine.record_internal(ctx.change, {"commit": record})


@function(
    "set_history",
    "scope: str, on: lazy bool",
    scopes="T",
    changes="T",
    doc="Begins to keep the commits of a scope, or stops and forgets them.",
    example="set_history('//stuff', true)",
)
def set_history(ctx: Context, scope: str, on: Callable[[], Value]) -> None:
    where = ctx.engine.scope(scope)
    wanted: bool = FUNCTIONS["set_history"].check_lazy(1, on)
    if where.kind == "N":
        raise OperationError("@node keeps no history")
    _require(ctx, where)
    if (where.history is not None) != wanted:
        where.history = [] if wanted else None
        ctx.record(0, {"set_history": {"scope": where.id, "on": wanted}})


def _require(ctx: Context, where: Scope) -> None:
    require(ctx.caller.user, where, QUERY | CHANGE)  # type: ignore[arg-type]


_KINDS: dict[str, tuple[str, type | tuple[type, ...]]] = {
    "scope": ("str", str),
    "first": ("int", int),
    "last": ("int", int),
    "contains": ("str", str),
    "match": ("regex", Regex),
    "id": ("int", int),
    "has_err": ("bool", bool),
    "detail": ("bool", bool),
}


class _Selection:
    """What the options of `history` and `del_history` select."""

    def __init__(self, ctx: Context, options: Thing, *, detail: bool) -> None:
        given = {name: value for name, value in options.items() if value is not None}
        for name, value in given.items():
            self._check(name, value, detail)
        self.where = self._scope(ctx, given.pop("scope", None))
        _require(ctx, self.where)
        self.detail: bool = given.pop("detail", False)
        if not given:
            raise LookupFailed("say which commits: by before, after, first, last, contains, match, id or has_err")
        self.given = given

    @staticmethod
    def _check(name: str, value: Value, detail: bool) -> None:
        if name in ("before", "after"):
            if type_name(value) not in ("datetime", "timeval"):
                raise TypeFailed(f"the option {name} is a datetime or timeval, not {type_name(value)}")
            return
        if name not in _KINDS or (name == "detail" and not detail):
            raise ValueFailed(f"there is no option {name[:80]}")
        kind, cls = _KINDS[name]
        if type(value) is not cls:
            raise TypeFailed(f"the option {name} is {kind}, not {type_name(value)}")
        if (type(value) is int and value < 0) or value == "":
            raise ValueFailed(f"the option {name} can't be {value!r}")

    @staticmethod
    def _scope(ctx: Context, text: str | None) -> Scope:
        if text is not None:
            where = ctx.engine.scope(text)
            if where.kind == "N":
                raise OperationError("@node keeps no history")
            if where.history is None:
                raise OperationError(f"{where.title} keeps no history: see set_history()")
            return where
        scopes: list[Scope] = [ctx.engine.server, *ctx.engine.collections.values()]
        kept = [scope for scope in scopes if scope.history is not None]
        if len(kept) != 1:
            raise LookupFailed("say which scope: " + ("several keep" if kept else "none keeps") + " a history")
        return kept[0]

    def records(self) -> list[Record]:
        """The records, oldest first."""
        given = self.given
        found: list[Record] = list(self.where.history or ())
        if "before" in given:
            found = [record for record in found if record["created_on"] < given["before"].seconds]
        if "after" in given:
            found = [record for record in found if record["created_on"] > given["after"].seconds]
        if "last" in given:
            found = found[max(0, len(found) - given["last"]) :]
        if "first" in given:
            found = found[: given["first"]]
        if "id" in given:
            found = [record for record in found if record["id"] == given["id"]]
        if "has_err" in given:
            found = [record for record in found if ("err_msg" in record) == given["has_err"]]
        if "contains" in given:
            found = [record for record in found if any(given["contains"] in text for text in _texts(record))]
        if "match" in given:
            found = [
                record for record in found if any(given["match"].matches(encoded(text)) for text in _texts(record))
            ]
        return found


def _texts(record: Record) -> list[str]:
    return [record[name] for name in ("message", "code", "by", "err_msg") if name in record]


def _shown(record: Record, detail: bool) -> Mpdata:
    made = datetime.fromtimestamp(record["created_on"], UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    shown = {"id": record["id"], "created_on": made, "by": record["by"], "message": record["message"]}
    if detail:
        shown["code"] = record["code"]
    if "err_msg" in record:
        shown["err_msg"] = record["err_msg"]
    return Mpdata.of(shown)


@function(
    "history",
    "options: thing",
    scopes="T",
    doc="The commits of a scope that options select, oldest first; with the option id that one, or nil.",
    example="history({scope: '//stuff', last: 10})",
)
def history(ctx: Context, options: Thing) -> Value:
    selection = _Selection(ctx, options, detail=True)
    found = [_shown(record, selection.detail) for record in selection.records()]
    if "id" in selection.given:
        return found[0] if found else None
    return List(found)


@function(
    "del_history",
    "options: thing",
    scopes="T",
    changes="T",
    doc="Forgets the commits of a scope that options select; gives how many.",
    example="del_history({scope: '//stuff', first: 10})",
)
def del_history(ctx: Context, options: Thing) -> int:
    selection = _Selection(ctx, options, detail=False)
    gone = [record["id"] for record in selection.records()]
    _forget(selection.where, gone)
    if gone:
        ctx.record(0, {"del_history": {"scope": selection.where.id, "ids": gone}})
    return len(gone)


def _forget(where: Scope, ids: list[int]) -> None:
    gone = set(ids)
    where.history = [record for record in where.history or () if record["id"] not in gone]


# --- replay ----------------------------------------------------------------------------------------------------------


@replays("commit")
def _commit(replay: Replay, _: Any, record: Record) -> None:
    where: Any = replay.home if replay.home is not None else replay.engine.server
    if where.history is not None:
        where.history.append(record)


@replays("set_history")
def _set_history(replay: Replay, _: Any, made: dict[str, Any]) -> None:
    scope_history(replay.engine, made["scope"], [] if made["on"] else None)


def scope_history(engine: Engine, scope_id: int, records: list[Record] | None) -> None:
    """Set the history of a scope."""
    engine.scope_by_id(scope_id).history = records


@replays("del_history")
def _del_history(replay: Replay, _: Any, made: dict[str, Any]) -> None:
    _forget(replay.engine.scope_by_id(made["scope"]), made["ids"])
