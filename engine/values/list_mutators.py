"""Methods that change lists (spec/lists.md, sections 7.3 to 7.5).

Each changes nothing when it fails, and records one job when the list belongs to a stored thing. Before they run, it
was checked that the list may be changed (`Context.allow`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from engine.errors import LookupFailed
from engine.functions.registry import method
from engine.limits import INT_MAX
from engine.snapshot import pack
from engine.values.closure import Closure
from engine.values.list import List
from engine.values.list_walks import Walk, results
from engine.values.searching import Seen
from engine.values.storing import nested

if TYPE_CHECKING:
    from engine.context import Context
    from engine.values.thing import Value

__all__ = ["accepted", "splice_items"]


def accepted(array: List, items: Sequence[Value]) -> list[Value]:
    """The items in the form in which an array holds them; TypeError or ValueError when the list takes one not."""
    spec = array.spec
    if spec is not None and array.holder() is not None:
        for item in items:
            spec.check(item)
    return [nested(item) for item in items]


def splice_items(ctx: Context, array: List, index: int, count: int, items: list[Value]) -> list[Value]:
    """Replace items of a list by others and record it; gives those that went."""
    ctx.check_growth(array, len(items) - count)
    holder = array.holder()
    packed = None
    if holder is not None and holder.id:
        packed = [pack(item, ctx.scope, 1) for item in items]  # type: ignore[arg-type]
    removed = array[index : index + count]
    array[index : index + count] = items
    if packed is not None and holder is not None:
        ctx.record(holder.id, {"splice": {array.key: [index, count, *packed]}})
    return removed


@method(
    "list", "push", "values+: any", mutates=True, doc="Appends values; gives the new length.", example="[1].push(2)"
)
def push(ctx: Context, array: List, *values: Value) -> int:
    splice_items(ctx, array, len(array), 0, accepted(array, values))
    return len(array)


@method("list", "unshift", "values+: any", mutates=True, doc="Puts values in front; gives the new length.",
        example="[1].unshift(0)")  # fmt: skip
def unshift(ctx: Context, array: List, *values: Value) -> int:
    splice_items(ctx, array, 0, 0, accepted(array, values))
    return len(array)


@method("list", "pop", mutates=True, doc="Removes the last item and gives it.", example="[1, 2].pop()")
def pop(ctx: Context, array: List) -> Value:
    if not array:
        raise LookupFailed("an empty list has no last item to remove")
    return splice_items(ctx, array, len(array) - 1, 1, [])[0]


@method("list", "shift", mutates=True, doc="Removes the first item and gives it.", example="[1, 2].shift()")
def shift(ctx: Context, array: List) -> Value:
    if not array:
        raise LookupFailed("an empty list has no first item to remove")
    return splice_items(ctx, array, 0, 1, [])[0]


@method("list", "splice", "index: int, count: int, values*: any", mutates=True,
        doc="Removes a number of items from an index on and puts values there; gives a list of the removed.",
        example="[1, 2, 3].splice(1, 1, 'two')")  # fmt: skip
def splice(ctx: Context, array: List, index: int, count: int, *values: Value) -> List:
    length = len(array)
    if index < 0:
        index += length
        if index < 0:
            count += index
            index = 0
    index = min(index, length)
    count = max(0, min(count, length - index))
    items = accepted(array, values)
    if not count and not items:
        return List()
    return List(splice_items(ctx, array, index, count, items))


@method("list", "extend", "items: list|tuple", mutates=True, doc="Appends the items of an array; gives the new length.",
        example="[1].extend([2, 3])")  # fmt: skip
def extend(ctx: Context, array: List, items: Sequence[Value]) -> int:
    added = accepted(array, list(items))
    if added:
        splice_items(ctx, array, len(array), 0, added)
    return len(array)


@method("list", "extend_unique", "items: list|tuple", mutates=True,
        doc="Appends those items of an array that the list has not yet; gives the new length.",
        example="[1].extend_unique([1, 2])")  # fmt: skip
def extend_unique(ctx: Context, array: List, items: Sequence[Value]) -> int:
    seen = Seen(array)
    added = accepted(array, [item for item in items if seen.add(item)])
    if added:
        splice_items(ctx, array, len(array), 0, added)
    return len(array)


@method("list", "fill", "value: any", mutates=True, doc="Sets every item to a value; gives the list.",
        example="[1, 2].fill(0)")  # fmt: skip
def fill(ctx: Context, array: List, value: Value) -> List:
    items = accepted(array, [value]) * len(array)
    if items:
        splice_items(ctx, array, 0, len(array), items)
    return array


@method("list", "clear", mutates=True, doc="Removes all items.", example="[1].clear()")
def clear(ctx: Context, array: List) -> None:
    if array:
        splice_items(ctx, array, 0, len(array), [])


@method("list", "remove", "closure: closure, limit?: int", mutates=True,
        doc="Removes the items that make a closure true, at most a number of them; gives a list of the removed.",
        example="[1, 2, 3].remove(|x| x > 1)")  # fmt: skip
def remove(ctx: Context, array: List, closure: Closure, limit: int = INT_MAX) -> List:
    found: list[int] = []
    wanted = min(len(closure.code.params), 2)
    with Walk(ctx, closure, array) as run:
        if limit > 0:
            for index, result in enumerate(results(ctx, closure, run, array)):
                if result:
                    found.append(index)
                    if len(found) >= limit:
                        break
        elif limit < 0:
            for index in range(len(array) - 1, -1, -1):
                if run(ctx, *(array[index], index)[:wanted]):
                    found.append(index)
                    if len(found) >= -limit:
                        break
            found.reverse()
    removed = List([array[index] for index in found])
    if not found:
        return removed
    holder = array.holder()
    if holder is not None and holder.id:
        for index in reversed(found):
            ctx.record(holder.id, {"splice": {array.key: [index, 1]}})
    gone = set(found)
    array[:] = [item for index, item in enumerate(array) if index not in gone]
    return removed
