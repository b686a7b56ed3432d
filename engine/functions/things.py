"""Getting hold of things and making sets (spec/things.md, sections 3 and 6)."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from engine.errors import LookupFailed, TypeFailed
from engine.functions.registry import function, type_name
from engine.language.runtime import make_thing
from engine.values.list import List
from engine.values.set import Set
from engine.values.thing import Thing

if TYPE_CHECKING:
    from engine.context import Context
    from engine.values.thing import Value

__all__: list[str] = []


def _find(ctx: Context, thing_id: int) -> Thing:
    """The stored thing with that id."""
    scope = ctx.scope
    found: Thing | None = scope.find(thing_id) if scope.kind == "C" else None  # type: ignore[union-attr]
    if found is None:
        raise LookupFailed(f"there is no thing with the id {thing_id} in {scope.title}")
    return found


@function(
    "thing",
    "value?: int|thing",
    doc="The stored thing with an id; without an argument, a new empty thing.",
    example="thing(.id())",
)
def thing(ctx: Context, value: int | Thing | None = None) -> Thing:
    if value is None:
        return make_thing(ctx, {})
    return value if isinstance(value, Thing) else _find(ctx, value)


@function("root", doc="The root thing of the collection.", example="root().keys()")
def root(ctx: Context) -> Thing | None:
    return ctx.root


@function(
    "set", "things*: lazy any", doc="A new set of the things given, or of those in a list.", example="set({}, {})"
)
def set_(ctx: Context, *things: Callable[[], Value]) -> Set:
    if len(things) != 1:
        return Set([_member(thing()) for thing in things])
    value = things[0]()
    if type(value) is Set:
        return value
    return Set([_member(item) for item in (value if type(value) in (List, tuple) else (value,))])


def _member(value: Value) -> Thing:
    """The value, as a member of a set."""
    if isinstance(value, Thing):
        return value
    raise TypeFailed(f"a set holds things only, not {type_name(value)}")


@function(
    "t",
    "id: int, more*: int",
    scopes="C",
    alias=True,
    doc="The stored thing with an id, or a list of several; an early name of thing().",
    example="t(.id())",
)
def things_by_id(ctx: Context, thing_id: int, *more: int) -> Thing | List:
    first = _find(ctx, thing_id)
    return List([first, *(_find(ctx, another) for another in more)]) if more else first
