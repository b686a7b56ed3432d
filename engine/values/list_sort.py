"""Sorting lists (spec/lists.md, section 7.2)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cmp_to_key
from typing import TYPE_CHECKING, Any

from engine.errors import NumArgumentsError, OperationError, TypeFailed
from engine.functions.registry import method, type_name
from engine.values.closure import Closure
from engine.values.list import List
from engine.values.list_walks import Walk, results
from engine.values.ordering import keys

if TYPE_CHECKING:
    from engine.context import Context
    from engine.values.thing import Value

__all__: list[str] = []

Thunk = Callable[[], Any]


def _ordered(items: list[Value], values: Sequence[Value], *, descending: bool) -> List:
    """The items in the order of the values that belong to them, stable in both directions."""
    compared = keys(values)
    if compared is items:
        return List(sorted(items, reverse=descending))
    return List([items[place] for place in sorted(range(len(items)), key=compared.__getitem__, reverse=descending)])


@method(
    "list|tuple",
    "sort",
    "by?: lazy any, reverse?: lazy any",
    doc="The items in order: ascending, or by what a closure gives for an item, or as a closure compares two.",
    example="['b', 'a'].sort()",
)
def sort(ctx: Context, array: Any, by: Thunk | None = None, reverse: Thunk | None = None) -> List:
    if ctx.sorting:
        raise OperationError("sort() can't be called by a closure that sorts")
    if len(array) <= 1:
        return List(array)
    closure: Closure | None = None
    descending = False
    if by is not None:
        first = by()
        if type(first) is bool and reverse is None:
            descending = first
        elif type(first) is Closure:
            closure = first
        else:
            raise TypeFailed(f"sort() takes a closure as argument 1, not {type_name(first)}")
    if closure is not None and len(closure.code.params) not in (1, 2):
        raise NumArgumentsError("a closure that sorts takes one item, or two to compare")
    if reverse is not None:
        second = reverse()
        if type(second) is not bool:
            raise TypeFailed(f"sort() takes a bool as argument 2, not {type_name(second)}")
        descending = second
        if closure is not None and len(closure.code.params) == 2:
            raise NumArgumentsError("sort() with a closure that compares takes no second argument")
    items = List(array)
    if closure is None:
        return _ordered(items, items, descending=descending)
    ctx.sorting = True
    try:
        with Walk(ctx, closure, items) as run:
            if len(closure.code.params) == 1:
                return _ordered(items, list(results(ctx, closure, run, items)), descending=descending)

            def compare(left: Value, right: Value) -> int:
                result = run(ctx, left, right)
                if type(result) is not int:
                    raise TypeFailed(f"a closure that compares gives an int, not {type_name(result)}")
                return result

            return List(sorted(items, key=cmp_to_key(compare)))
    finally:
        ctx.sorting = False
