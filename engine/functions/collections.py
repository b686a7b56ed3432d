"""Collections: making, deleting and describing them (spec/admin-and-protocol.md, section 9)."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from engine.effects import Gone
from engine.errors import ForbiddenError, LookupFailed, TypeFailed, ValueFailed
from engine.functions.registry import FUNCTIONS, function
from engine.limits import MAX_DEEP
from engine.names import check_name
from engine.quota import QUOTAS
from engine.replay import Replay, replays
from engine.users import CHANGE, FULL, QUERY, RUN, require
from engine.values.list import List
from engine.values.mpdata import Mpdata

if TYPE_CHECKING:
    from engine.collection import Collection
    from engine.context import Context
    from engine.engine import Engine
    from engine.scopes import Scope
    from engine.values.thing import Value

__all__: list[str] = []


def find_collection(ctx: Context, which: str | int) -> Collection:
    """A collection by its name or its id."""
    for collection in ctx.engine.collections.values():
        if collection.name == which or collection.id == which:
            return collection
    raise LookupFailed(f"there is no collection {which}")


@function(
    "new_collection",
    "name: str",
    scopes="T",
    changes="T",
    doc="Makes an empty collection; gives its name.",
    example="new_collection('music')",
)
def new_collection(ctx: Context, name: str) -> str:
    check_name(name, "a collection")
    if name in ctx.engine.collections:
        raise LookupFailed(f"there is a collection {name} already")
    collection = ctx.engine.new_collection(name, int(ctx.now))
    assert ctx.caller.user is not None
    collection.access[ctx.caller.user.id] = FULL
    collection.deep = ctx.engine.server.deep
    collection.time_zone = ctx.engine.server.time_zone
    ctx.record(
        0,
        {
            "new_collection": {
                "id": collection.id,
                "name": name,
                "created_at": collection.created_at,
                "root": collection.root.id,
                "access": list(collection.access.items()),
                "deep": collection.deep,
                "time_zone": collection.time_zone,
            }
        },
    )
    return name


@function(
    "del_collection",
    "collection: str|int",
    scopes="T",
    changes="T",
    doc="Deletes a collection with everything in it.",
    example="del_collection('music')",
)
def del_collection(ctx: Context, collection: str | int) -> None:
    found = find_collection(ctx, collection)
    if ctx.journal is not None:
        ctx.journal.save_collection(found)
    ctx.say(Gone(ctx.engine.drop_collection(found)))
    ctx.record(0, {"del_collection": found.id})


@function(
    "rename_collection",
    "collection: str|int, name: lazy str",
    scopes="T",
    changes="T",
    doc="Gives a collection another name.",
    example="rename_collection('music', 'songs')",
)
def rename_collection(ctx: Context, collection: str | int, name: Callable[[], Value]) -> None:
    found = find_collection(ctx, collection)
    new_name: str = FUNCTIONS["rename_collection"].check_lazy(1, name)
    check_name(new_name, "a collection")
    if new_name in ctx.engine.collections:
        raise LookupFailed(f"there is a collection {new_name} already")
    _rename(ctx.engine, found, new_name)
    ctx.record(0, {"rename_collection": {"id": found.id, "name": new_name}})


def _rename(engine: Engine, collection: Collection, name: str) -> None:
    # The order of collections is that of their making, whatever they are called.
    engine.collections = {name if held is collection else known: held for known, held in engine.collections.items()}
    collection.name = name
    engine.forget_scopes()


@function(
    "has_collection",
    "collection: str|int",
    scopes="T",
    doc="Is there a collection of that name or id?",
    example="has_collection('stuff')",
)
def has_collection(ctx: Context, which: str | int) -> bool:
    return any(found.name == which or found.id == which for found in ctx.engine.collections.values())


def _may_see(ctx: Context, collection: Collection) -> bool:
    me = ctx.caller.user
    assert me is not None
    return bool(collection.access.get(me.id, 0) & (QUERY | RUN) or ctx.engine.server.access.get(me.id, 0) & CHANGE)


def _tree(collection: Collection) -> dict[str, Any]:
    return {
        "collection_id": collection.id,
        "name": collection.name,
        "created_at": collection.created_at,
        "things": len(collection.index),
        "time_zone": collection.time_zone,
        "default_deep": collection.deep,
        "next_free_id": collection.engine.next_id,
        "commit_history": "disabled" if collection.history is None else len(collection.history),
        "ano_types": 0,
    }


@function(
    "collection_info",
    "collection: str|int",
    scopes="T",
    doc="What is known of a collection.",
    example="collection_info('stuff').load().things",
)
def collection_info(ctx: Context, collection: str | int) -> Mpdata:
    return Mpdata.of(_tree(_visible(ctx, collection)))


def _visible(ctx: Context, collection: str | int) -> Collection:
    found = find_collection(ctx, collection)
    if not _may_see(ctx, found):
        raise ForbiddenError(f"you have no right to see the collection {found.name}")
    return found


@function(
    "collections_info",
    scopes="T",
    doc="What is known of each collection that you may see.",
    example="collections_info().len()",
)
def collections_info(ctx: Context) -> List:
    return List([Mpdata.of(_tree(found)) for found in ctx.engine.collections_in_order() if _may_see(ctx, found)])


def target_scope(ctx: Context, text: str | int) -> Scope:
    """The scope that a setting is for: a scope text, where any node stands for all, or a collection by its bare name
    or id."""
    engine = ctx.engine
    if isinstance(text, int):
        for collection in engine.collections.values():
            if collection.id == text:
                return collection
        raise TypeFailed(f"a scope is a text, or the id of a collection, which {text} is not")
    found = engine.collections.get(text)
    return found if found is not None else engine.watch_scope(text)


@function(
    "set_default_deep",
    "scope: str, deep: lazy int",
    scopes="T",
    changes="T",
    doc="Sets how many levels of things results of a scope show when a query doesn't say.",
    example="set_default_deep('//stuff', 2)",
)
def set_default_deep(ctx: Context, scope: str, deep: Callable[[], Value]) -> None:
    where = target_scope(ctx, scope)
    require(ctx.caller.user, where, CHANGE)  # type: ignore[arg-type]
    level: int = FUNCTIONS["set_default_deep"].check_lazy(1, deep)
    if not 0 <= level <= MAX_DEEP:
        raise ValueFailed(f"deep is between 0 and {MAX_DEEP}, not {level}")
    where.deep = level
    ctx.record(0, {"set_default_deep": {"scope": where.id, "deep": level}})


# --- quotas, and early names (spec/early-api.md, sections 3 and 4) ----------------------------------------------------


@function(
    "set_quota",
    "collection: str|int, quota_type: lazy str, quota: lazy int|nil",
    scopes="T",
    changes="T",
    alias=True,
    doc="Sets how many `things` a collection may hold, how many `properties` a thing in it, how many items an array"
    " (`array_size`), or how many bytes a text or blob sent to it (`raw_size`); nil removes the limit.",
    example="set_quota('stuff', 'things', 100000)",
)
def set_quota(ctx: Context, collection: str | int, quota_type: Callable[[], Value], quota: Callable[[], Value]) -> None:
    found = find_collection(ctx, collection)
    declared = FUNCTIONS["set_quota"]
    which: str = declared.check_lazy(1, quota_type)
    if which not in QUOTAS:
        raise LookupFailed(f"the quotas are {', '.join(QUOTAS)}; there is none called {which[:80]!r}")
    limit: int | None = declared.check_lazy(2, quota)
    if limit is not None:
        limit = max(limit, 0)
    _apply_quota(found, which, limit)
    ctx.record(0, {"set_quota": {"id": found.id, "quota": which, "limit": limit}})


def _apply_quota(collection: Collection, which: str, limit: int | None) -> None:
    if limit is None:
        collection.quotas.pop(which, None)
    else:
        collection.quotas[which] = limit


def _tree_with_quotas(collection: Collection) -> dict[str, Any]:
    return _tree(collection) | {f"quota_{which}": collection.quotas.get(which) for which in QUOTAS}


@function(
    "collection",
    "collection: str|int",
    scopes="T",
    alias=True,
    doc="What collection_info() tells of a collection, and its quotas.",
    example="collection('stuff').load().quota_things",
)
def early_collection(ctx: Context, collection: str | int) -> Mpdata:
    return Mpdata.of(_tree_with_quotas(_visible(ctx, collection)))


@function(
    "collections",
    scopes="T",
    alias=True,
    doc="What collections_info() tells of each collection, and its quotas.",
    example="collections().len()",
)
def early_collections(ctx: Context) -> List:
    seen = [found for found in ctx.engine.collections_in_order() if _may_see(ctx, found)]
    return List([Mpdata.of(_tree_with_quotas(found)) for found in seen])


# --- replay ----------------------------------------------------------------------------------------------------------


@replays("rename_collection")
def _rename_collection(replay: Replay, _: None, names: dict[str, Any]) -> None:
    _rename(replay.engine, replay.engine.collection_by_id(names["id"]), names["name"])


@replays("set_default_deep")
def _set_default_deep(replay: Replay, _: None, made: dict[str, Any]) -> None:
    replay.engine.scope_by_id(made["scope"]).deep = made["deep"]


@replays("set_quota")
def _set_quota(replay: Replay, _: None, made: dict[str, Any]) -> None:
    _apply_quota(replay.engine.collection_by_id(made["id"]), made["quota"], made["limit"])
