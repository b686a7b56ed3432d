"""The methods of things that read and change properties (spec/things.md, section 2).

Those that walk over the properties are in `thing_walks`, copies and comparison in `thing_copies`. What an instance does
otherwise than a plain thing is the business of its type.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from engine.errors import LookupFailed, OperationError, ValueFailed
from engine.functions.registry import method, type_name
from engine.language.runtime import missing, set_key, store
from engine.names import check_key
from engine.quota import check_new_property
from engine.snapshot import pack
from engine.values.list import List
from engine.values.storing import OWNED, SCALARS
from engine.values.thing import Instance, Thing

if TYPE_CHECKING:
    from engine.context import Context
    from engine.values.thing import Value

__all__ = ["check_free", "drop", "rename"]


# --- reading ---------------------------------------------------------------------------------------------------------


@method("thing", "len", doc="The number of properties.", example="{name: 'Iris', age: 6}.len()")
def length(ctx: Context, thing: Thing) -> int:
    return len(thing.props)


@method("thing", "id", doc="The id, or nil when the thing was never stored.", example=".id()")
def id_of(ctx: Context, thing: Thing) -> int | None:
    return thing.id or None


@method("thing", "keys", doc="A list of the names of all properties.", example="{name: 'Iris', age: 6}.keys()")
def keys(ctx: Context, thing: Thing) -> List:
    return List(thing.keys())


@method("thing", "values", doc="A list of the values of all properties.", example="{name: 'Iris', age: 6}.values()")
def values(ctx: Context, thing: Thing) -> List:
    return List(thing.values())


@method("thing", "has", "key: str", doc="Is there a property of a name?", example="{name: 'Iris'}.has('age')")
def has(ctx: Context, thing: Thing, key: str) -> bool:
    return thing.has(key)


@method(
    "thing",
    "get",
    "key: str, alternative?: lazy any",
    doc="The value of a property; where there is none an alternative, or nil.",
    example="{name: 'Iris'}.get('age', 0)",
)
def get(ctx: Context, thing: Thing, key: str, alternative: Callable[[], Value] | None = None) -> Value:
    if thing.has(key):
        return thing.get(key)
    if type(thing) is Instance and key in thing.kind.methods:
        return thing.kind.methods[key]
    return None if alternative is None else alternative()


# --- changing --------------------------------------------------------------------------------------------------------


@method(
    "thing",
    "set",
    "key: str, value: any",
    mutates=True,
    doc="Sets a property, under any key; gives the value as stored.",
    example=".set('first name', 'Iris')",
)
def set_(ctx: Context, thing: Thing, key: str, value: Value) -> Value:
    return set_key(ctx, thing, key, value)


@method(
    "thing",
    "assign",
    "source: thing",
    mutates=True,
    doc="Copies all properties of another thing; gives the thing itself.",
    example="{name: 'Iris'}.assign({age: 6})",
)
def assign(ctx: Context, thing: Thing, source: Thing) -> Thing:
    if type(thing) is Instance:
        thing.kind.assign(ctx, thing, source)
        return thing
    items = list(source.items())
    restriction = thing.kind
    for key, value in items:
        if restriction is not None:
            restriction.check_property(value)
        check_free(thing.get(key), key)
    if source.is_sorted and not thing.is_sorted:
        thing.sort()
        if thing.id:
            ctx.scope.record_internal(thing.id, {"sorted": True})  # type: ignore[union-attr]
    for key, value in items:
        if ctx.scope.quotas and not thing.has(key):
            check_new_property(ctx.scope, len(thing.props))
        store(ctx, thing, key, value)
    return thing


@method(
    "plain",
    "del",
    "key: str",
    mutates=True,
    doc="Removes a property; gives the value it had.",
    example="{name: 'Iris', age: 6}.del('age')",
)
def delete(ctx: Context, thing: Thing, key: str) -> Value:
    if not thing.has(key):
        missing(thing, key)
    check_free(thing.get(key), key)
    return drop(ctx, thing, key)


@method(
    "plain",
    "ren",
    "key: str, new: str",
    mutates=True,
    doc="Gives a property another name.",
    example="{nme: 'Iris'}.ren('nme', 'name')",
)
def ren(ctx: Context, thing: Thing, key: str, new: str) -> None:
    check_key(new)
    if thing.has(new):
        raise LookupFailed(f"there is a property {new[:80]!r} already")
    if not thing.has(key):
        missing(thing, key)
    check_free(thing.get(key), key)
    if ctx.scope.quotas:
        check_new_property(ctx.scope, len(thing.props))
    rename(ctx, thing, key, new)


@method("plain", "clear", mutates=True, doc="Removes all properties.", example="{name: 'Iris', age: 6}.clear()")
def clear(ctx: Context, thing: Thing) -> None:
    for key, value in thing.items():
        check_free(value, key)
    if thing.id:
        # Last one first: replayed one by one, in list form no other key has to move.
        for key in reversed(list(thing.keys())):
            ctx.record(thing.id, {"del": key})
    for value in thing.values():
        ctx.release(value)
    thing.empty()


@method(
    "plain",
    "restrict",
    "spec: str|nil",
    mutates=True,
    doc="From now on takes only values of a kind, such as 'int', or, with nil, all; gives the thing itself.",
    example="{}.restrict('int')",
)
def restrict(ctx: Context, thing: Thing, spec: str | None) -> Thing:
    from engine.types.restriction import restriction_of

    restriction = None if spec is None else restriction_of(spec, ctx.scope)
    present = thing.kind
    if restriction == present:
        return thing
    if present is not None and present.demanded:
        raise OperationError(f"a type demands that the values are restricted to {present.text}")
    if restriction is not None:
        for key, value in thing.items():
            if not restriction.fits(value):
                raise ValueFailed(
                    f"the property {key[:80]!r} is {type_name(value)} and does not fit {restriction.text}"
                )
    thing.kind = restriction
    if thing.id:
        ctx.scope.record_internal(  # type: ignore[union-attr]
            thing.id, {"restrict": None if restriction is None else restriction.packed}
        )
    return thing


@method(
    "plain",
    "restriction",
    doc="The kind of values that it takes, or nil when it takes all.",
    example="{}.restrict('int').restriction()",
)
def restriction(ctx: Context, thing: Thing) -> str | None:
    return None if thing.kind is None else thing.kind.text


# --- what several of them do -----------------------------------------------------------------------------------------


def check_free(value: Value, key: str) -> None:
    """OperationError when a property holds a list or set that is in use, so that it can't be taken away."""
    if type(value) in OWNED and value.lock:
        raise OperationError(f"the property {key[:80]!r} can't be replaced or removed while it is in use")


def drop(ctx: Context, thing: Thing, key: str) -> Value:
    """Remove a property that exists and may go; its value."""
    value = thing.drop(key)
    ctx.release(value)
    if thing.id:
        ctx.record(thing.id, {"del": key})
    return value


def rename(ctx: Context, thing: Thing, key: str, new: str) -> None:
    """Move the value of a property to a new one: the same value, not a copy."""
    value = thing.drop(key)
    sorted_before = thing.is_sorted
    thing.put(new, value)
    if type(value) in OWNED:
        value.key = new
    if thing.id:
        ctx.record(thing.id, {"del": key})
        tree = value if type(value) in SCALARS else pack(value, ctx.scope)  # type: ignore[arg-type]
        ctx.record(thing.id, {"set": {new: tree}})
        if thing.is_sorted and not sorted_before:
            ctx.scope.record_internal(thing.id, {"sorted": True})  # type: ignore[union-attr]
