"""Collections: making, deleting and describing them (spec/admin-and-protocol.md, section 9)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.errors import LookupFailed, ValueFailed
from engine.functions.registry import function
from engine.names import is_name
from engine.users import FULL

if TYPE_CHECKING:
    from engine.collection import Collection
    from engine.context import Context

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
    if not is_name(name):
        raise ValueFailed(f"a collection can't have the name {name[:80]!r}: it must follow the name rule")
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
    ctx.engine.gone += ctx.engine.drop_collection(found)
    ctx.record(0, {"del_collection": found.id})
