"""Making lists: `list()` and `range()`; and `closure()` (spec/lists.md, sections 6 and 8.5)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.errors import TypeFailed
from engine.functions.registry import function, type_name
from engine.values.closure import Closure
from engine.values.list import List
from engine.values.set import Set

if TYPE_CHECKING:
    from engine.context import Context
    from engine.values.thing import Value

__all__: list[str] = []


@function("list", "array?: any", doc="A new empty list, or an array as it is, or the things of a set as a list.",
          example="list(set({}))")  # fmt: skip
def list_(ctx: Context, *arrays: Value) -> Value:
    if not arrays:
        return List()
    array = arrays[0]
    if type(array) is List or type(array) is tuple:
        return array
    if type(array) is Set:
        return List(array.items)
    raise TypeFailed(f"list() takes an array or a set, not {type_name(array)}")


@function("closure", "closure?: closure|str", doc="A closure as it is, or one made from its text.",
          example="closure('|x| x + 1').call(1)")  # fmt: skip
def closure(ctx: Context, source: Closure | str = "||nil") -> Closure:
    if isinstance(source, Closure):
        return source
    made = Closure.from_source(source, ctx.scope.kind)
    made.code.check_regexes()
    return made
