"""The methods of sets (spec/things.md, section 6)."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from engine.errors import LookupFailed, NumArgumentsError, OperationError, TypeFailed
from engine.functions.registry import method, type_name
from engine.limits import MAX_ARRAY_ITEMS
from engine.snapshot import pack
from engine.values.closure import Closure
from engine.values.copying import copied
from engine.values.list import List
from engine.values.set import Set
from engine.values.storing import nested_items
from engine.values.thing import Instance, Thing
from engine.values.thing_walks import Walking

if TYPE_CHECKING:
    from engine.context import Context
    from engine.values.thing import Value

__all__ = ["add_members", "remove_members"]


# --- reading ---------------------------------------------------------------------------------------------------------


@method("set", "len", doc="The number of things in the set.", example="set({}, {}).len()")
def length(ctx: Context, target: Set) -> int:
    return len(target)


@method("set", "has", "thing: thing", doc="Is a thing in the set?", example="set().has({})")
def has(ctx: Context, target: Set, thing: Thing) -> bool:
    return thing in target


@method("set", "one", doc="Any thing of the set.", example="set({name: 'Iris'}).one()")
def one(ctx: Context, target: Set) -> Thing:
    for thing in target:
        return thing
    raise LookupFailed("an empty set has nothing to give")


@method(
    "set", "map_id", doc="A list of the ids of the things, nil for those that have none.", example="set({}).map_id()"
)
def map_id(ctx: Context, target: Set) -> List:
    return List([thing.id or None for thing in target])


@method("set", "restriction", doc="The type whose instances it takes, or nil when it takes all things.",
        example="set().restriction()")  # fmt: skip
def restriction(ctx: Context, target: Set) -> str | None:
    return None if target.spec is None else target.spec.text


@method(
    "set",
    "copy",
    "deep?: int",
    doc="A new set of the same things, or of copies of them where deep is more than 0.",
    example="set({name: 'Iris'}).copy(1)",
)
def copy(ctx: Context, target: Set, deep: int = 0) -> Set:
    made = copied(ctx, target, deep, keep=False)
    return Set(target) if made is target else made


@method(
    "set",
    "dup",
    "deep?: int",
    doc="As copy(), but copies of things keep their types and restrictions.",
    example="set({name: 'Iris'}).dup(1)",
)
def dup(ctx: Context, target: Set, deep: int = 0) -> Set:
    made = copied(ctx, target, deep, keep=True)
    return Set(target) if made is target else made


# --- walking ---------------------------------------------------------------------------------------------------------


@method(
    "set",
    "each",
    "closure: closure",
    locks=True,
    doc="Calls a closure with each thing and its id.",
    example="set({name: 'Iris'}).each(|thing| log(thing.name))",
)
def each(ctx: Context, target: Set, closure: Closure) -> None:
    with Walking(ctx, target, closure):
        for thing in target:
            closure.call(ctx, thing, thing.id or None)


@method(
    "set",
    "map",
    "closure: closure",
    locks=True,
    doc="A list of what a closure gives for each thing and its id.",
    example="set({name: 'Iris'}).map(|thing| thing.name)",
)
def map_(ctx: Context, target: Set, closure: Closure) -> List:
    with Walking(ctx, target, closure):
        return nested_items([closure.call(ctx, thing, thing.id or None) for thing in target])


@method(
    "set",
    "filter",
    "closure: closure",
    locks=True,
    doc="A new set of the things for which a closure gives something true.",
    example="set({age: 6}, {age: 7}).filter(|thing| thing.age > 6)",
)
def filter_(ctx: Context, target: Set, closure: Closure) -> Set:
    with Walking(ctx, target, closure):
        return Set([thing for thing in target if closure.call(ctx, thing, thing.id or None)])


@method(
    "set",
    "find",
    "closure: closure, alternative?: lazy any",
    locks=True,
    doc="A thing for which a closure gives something true; where there is none an alternative, or nil.",
    example="set({age: 6}, {age: 7}).find(|thing| thing.age > 6)",
)
def find(ctx: Context, target: Set, closure: Closure, alternative: Callable[[], Value] | None = None) -> Value:
    with Walking(ctx, target, closure):
        for thing in target:
            if closure.call(ctx, thing, thing.id or None):
                return thing
        return None if alternative is None else alternative()


@method(
    "set",
    "every",
    "closure: closure",
    locks=True,
    doc="Does a closure give something true for all things?",
    example="set({age: 6}, {age: 7}).every(|thing| thing.age > 5)",
)
def every(ctx: Context, target: Set, closure: Closure) -> bool:
    with Walking(ctx, target, closure):
        return all(closure.call(ctx, thing, thing.id or None) for thing in target)


@method(
    "set",
    "some",
    "closure: closure",
    locks=True,
    doc="Does a closure give something true for at least one thing?",
    example="set({age: 6}, {age: 7}).some(|thing| thing.age > 6)",
)
def some(ctx: Context, target: Set, closure: Closure) -> bool:
    with Walking(ctx, target, closure):
        return any(closure.call(ctx, thing, thing.id or None) for thing in target)


_ABSENT = object()


@method(
    "set",
    "reduce",
    "closure: closure, initial?: any",
    locks=True,
    doc="Folds the things into one value with a closure that takes what it gave last, a thing and its id; begins with"
    " an initial value, or with one of the things.",
    example="set({age: 6}, {age: 7}).reduce(|sum, thing| sum + thing.age, 0)",
)
def reduce(ctx: Context, target: Set, closure: Closure, initial: Value = _ABSENT) -> Value:
    with Walking(ctx, target, closure):
        things = iter(target)
        result = initial
        if initial is _ABSENT:
            result = next(things, None)
            if result is None:
                raise LookupFailed("an empty set without an initial value can't be reduced")
        for thing in things:
            result = closure.call(ctx, result, thing, thing.id or None)
        return result


# --- changing --------------------------------------------------------------------------------------------------------


@method(
    "set",
    "add",
    "things+: thing",
    mutates=True,
    doc="Puts things into the set; gives how many of them were not in it.",
    example="set().add({name: 'Iris'})",
)
def add(ctx: Context, target: Set, *things: Thing) -> int:
    if target.spec is not None:
        for thing in things:
            target.spec.check(thing)
    added = [thing for thing in dict.fromkeys(things) if thing not in target]
    add_members(ctx, target, added)
    return len(added)


@method("set", "clear", mutates=True, doc="Takes all things out of the set.", example="set({}).clear()")
def clear(ctx: Context, target: Set) -> None:
    remove_members(ctx, target, list(target))


@method(
    "set",
    "remove",
    "what: closure|thing, more*: any",
    mutates=True,
    doc="Takes things out of the set: those given, or those for which a closure gives something true, at most as many"
    " as a limit says; gives a list of them.",
    example="set({age: 6}, {age: 7}).remove(|thing| thing.age > 6)",
)
def remove(ctx: Context, target: Set, what: Closure | Thing, *more: Value) -> List:
    removed: list[Thing]
    if isinstance(what, Closure):
        limit = _limit(more)
        removed = []
        with Walking(ctx, target, what):
            for thing in target:
                if len(removed) == limit:
                    break
                if what.call(ctx, thing, thing.id or None):
                    removed.append(thing)
    else:
        for index, value in enumerate(more, 2):
            if not isinstance(value, Thing):
                raise TypeFailed(f"remove() takes a thing as argument {index}, not {type_name(value)}")
        removed = [thing for thing in dict.fromkeys((what, *more)) if thing in target]
    remove_members(ctx, target, removed)
    return List(removed)


def _limit(more: tuple[Value, ...]) -> int:
    """The second argument after a closure: how many to remove at most, -1 without a limit."""
    if not more:
        return -1
    if len(more) > 1:
        raise NumArgumentsError(f"remove() takes a closure and a limit, not {1 + len(more)} arguments")
    if type(more[0]) is not int:
        raise TypeFailed(f"remove() takes int as argument 2, not {type_name(more[0])}")
    return more[0]


def add_members(ctx: Context, target: Set, things: list[Thing]) -> None:
    """Put things that are not in it, and fit, into a set that may be changed."""
    if not things:
        return
    if len(target) + len(things) > MAX_ARRAY_ITEMS:
        raise OperationError(f"a set can have at most {MAX_ARRAY_ITEMS} things")
    holder = target.holder()
    if type(holder) is Instance and holder.kind.change_members(ctx, holder, target, things, []):
        return
    if holder is not None and holder.id:
        trees = pack(tuple(things), ctx.scope)  # type: ignore[arg-type]
        ctx.record(holder.id, {"add": {target.key: trees}})
    for thing in things:
        target.items[thing] = None


def remove_members(ctx: Context, target: Set, things: list[Thing]) -> None:
    """Take members out of a set that may be changed."""
    if not things:
        return
    holder = target.holder()
    if type(holder) is Instance and holder.kind.change_members(ctx, holder, target, [], things):
        return
    for thing in things:
        del target.items[thing]
    if holder is not None and holder.id:
        ctx.record(holder.id, {"remove": {target.key: [thing.id for thing in things]}})
