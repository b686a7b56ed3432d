"""Early names of methods of things (spec/early-api.md, sections 5 and 6). What programs define under them wins."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from engine.functions.registry import method
from engine.language.runtime import missing
from engine.names import check_key
from engine.quota import check_new_property
from engine.values.closure import Closure
from engine.values.thing import Thing
from engine.values.thing_methods import check_free, drop, has, rename
from engine.values.thing_walks import Walking

if TYPE_CHECKING:
    from engine.context import Context
    from engine.values.thing import Value

__all__: list[str] = []


def _allow(ctx: Context, thing: Thing) -> None:
    """The thing may be changed. As the name alone does not make the query a change, this does."""
    if thing.id:
        ctx.become_change()
    ctx.allow(thing)


for _name in ("hasprop", "hasattr"):
    method(
        "thing", _name, "key: str", alias=True, doc="Early name of has().", example=f"{{name: 'Iris'}}.{_name}('age')"
    )(has)


@method(
    "thing",
    "find",
    "closure: closure, alternative?: lazy any",
    locks=True,
    alias=True,
    doc="The value of the first property for whose name and value a closure gives something true; where there is none"
    " an alternative, or nil.",
    example="{a: 1, b: 2}.find(|name, value| value > 1)",
)
def find(ctx: Context, thing: Thing, closure: Closure, alternative: Callable[[], Value] | None = None) -> Value:
    with Walking(ctx, thing, closure):
        for name, value in thing.items():
            if closure.call(ctx, name, value):
                return value
        return None if alternative is None else alternative()


@method(
    "plain",
    "rename",
    "key: str, new: str",
    alias=True,
    doc="Gives a property another name, in place of a property that has it; the query becomes a change if the thing is"
    " stored.",
    example="{nme: 'Iris'}.rename('nme', 'name')",
)
def rename_over(ctx: Context, thing: Thing, key: str, new: str) -> None:
    check_key(new)
    if not thing.has(key):
        missing(thing, key)
    if key == new:
        return
    _allow(ctx, thing)
    check_free(thing.get(key), key)
    if thing.has(new):
        check_free(thing.get(new), new)
        drop(ctx, thing, new)
    elif ctx.scope.quotas:
        check_new_property(ctx.scope, len(thing.props))
    rename(ctx, thing, key, new)


@method(
    "plain",
    "unset",
    "key: str",
    alias=True,
    doc="Removes a property, if there is one; the query becomes a change if the thing is stored.",
    example="{name: 'Iris', age: 6}.unset('age')",
)
def unset(ctx: Context, thing: Thing, key: str) -> None:
    if thing.has(key):
        _allow(ctx, thing)
        check_free(thing.get(key), key)
        drop(ctx, thing, key)
