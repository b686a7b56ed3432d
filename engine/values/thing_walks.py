"""The methods of things that walk over the properties with a closure (spec/things.md, section 2).

A thing is locked while it is walked, from before the arguments are evaluated.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.functions.registry import method
from engine.language.runtime import make_thing
from engine.values.closure import Closure
from engine.values.list import List
from engine.values.storing import nested_items
from engine.values.thing import SortedProperties, Thing
from engine.values.thing_methods import check_free, drop

if TYPE_CHECKING:
    from engine.context import Context
    from engine.values.set import Set
    from engine.values.thing import Value

__all__ = ["Walking"]


class Walking:
    """A walk with a closure: it may run in this query, and what is walked can't be changed meanwhile."""

    __slots__ = ("walked",)

    def __init__(self, ctx: Context, walked: Thing | Set, closure: Closure) -> None:
        closure.check_effects(ctx)
        self.walked = walked

    def __enter__(self) -> None:
        self.walked.lock += 1

    def __exit__(self, *_: object) -> None:
        self.walked.lock -= 1


def _made(ctx: Context, like: Thing, props: dict[str, Value]) -> Thing:
    """A new plain thing with the properties, in the form of another one."""
    return make_thing(ctx, SortedProperties(props) if like.is_sorted else props)


@method(
    "thing",
    "each",
    "closure: closure",
    locks=True,
    doc="Calls a closure with the name and the value of each property.",
    example="{a: 1, b: 2}.each(|name, value| log(name))",
)
def each(ctx: Context, thing: Thing, closure: Closure) -> None:
    with Walking(ctx, thing, closure):
        for name, value in thing.items():
            closure.call(ctx, name, value)


@method(
    "thing",
    "map",
    "closure: closure",
    locks=True,
    doc="A list of what a closure gives for the name and the value of each property.",
    example="{a: 1, b: 2}.map(|name, value| value * 10)",
)
def map_(ctx: Context, thing: Thing, closure: Closure) -> List:
    with Walking(ctx, thing, closure):
        return nested_items([closure.call(ctx, name, value) for name, value in thing.items()])


@method(
    "thing",
    "vmap",
    "closure: closure",
    locks=True,
    doc="A new thing with the same names, and what a closure gives for each value.",
    example="{a: 1, b: 2}.vmap(|value| value * 10)",
)
def vmap(ctx: Context, thing: Thing, closure: Closure) -> Thing:
    with Walking(ctx, thing, closure):
        props = {name: closure.call(ctx, value) for name, value in thing.items()}
    return _made(ctx, thing, props)


@method(
    "thing",
    "filter",
    "closure: closure",
    locks=True,
    doc="A new thing with the properties for whose name and value a closure gives something true.",
    example="{a: 1, b: 2}.filter(|name, value| value > 1)",
)
def filter_(ctx: Context, thing: Thing, closure: Closure) -> Thing:
    with Walking(ctx, thing, closure):
        props = {name: value for name, value in thing.items() if closure.call(ctx, name, value)}
    return _made(ctx, thing, props)


@method(
    "plain",
    "remove",
    "closure: closure, limit?: int",
    mutates=True,
    doc="Removes the properties for whose name and value a closure gives something true, at most as many as a limit"
    " says; gives a list of their values.",
    example="{a: 1, b: 2}.remove(|name, value| value > 1)",
)
def remove(ctx: Context, thing: Thing, closure: Closure, limit: int = -1) -> List:
    found: list[str] = []
    with Walking(ctx, thing, closure):
        for name, value in thing.items():
            if len(found) == limit:
                break
            if closure.call(ctx, name, value):
                found.append(name)
    for name in found:
        check_free(thing.get(name), name)
    return nested_items([drop(ctx, thing, name) for name in found])
