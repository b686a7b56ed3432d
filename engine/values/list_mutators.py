"""Methods that change lists (spec/lists.md, sections 7.3 to 7.5).

Each changes nothing when it fails, and records one job when the list belongs to a stored thing. Before they run, it
was checked that the list may be changed (`Context.allow`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import compress, islice
from typing import TYPE_CHECKING

from engine.errors import LookupFailed
from engine.functions.registry import method, stepwise
from engine.limits import INT_MAX, MAX_ARRAY_ITEMS
from engine.quota import check_items
from engine.snapshot import pack
from engine.values.closure import Closure
from engine.values.list import List
from engine.values.list_walks import Walk, results
from engine.values.searching import Seen
from engine.values.storing import SCALARS, nested

if TYPE_CHECKING:
    from engine.context import Context
    from engine.values.thing import Value

__all__ = ["accepted", "splice_items"]


def accepted(array: List, items: Sequence[Value]) -> list[Value]:
    """The items in the form in which an array holds them; TypeError or ValueError when the list does not take one."""
    if array.spec is not None:
        spec = array.restriction()
        if spec is not None:
            for item in items:
                spec.check(item)
    return [nested(item) for item in items]


def splice_items(ctx: Context, array: List, index: int, count: int, items: list[Value]) -> None:
    """Replace `count` items of a list by others, which it takes, and record it."""
    ctx.check_growth(array, len(items) - count)
    if ctx.scope.quotas:
        check_items(ctx.scope, items)
    if array.owner is not None:
        _record(ctx, array, index, count, items)
    array[index : index + count] = items


def _record(ctx: Context, array: List, index: int, count: int, items: list[Value]) -> None:
    holder = array.holder()
    if holder is not None and holder.id:
        trees = pack(tuple(items), ctx.scope) if items else ()  # type: ignore[arg-type]
        ctx.record(holder.id, {"splice": {array.key: [index, count, *trees]}})


@method(
    "list", "push", "values+: any", mutates=True, doc="Appends values; gives the new length.", example="[1].push(2)"
)
def push(ctx: Context, array: List, *values: Value) -> int:
    if len(values) == 1:
        if array.owner is None and len(array) < MAX_ARRAY_ITEMS and not ctx.scope.quotas:
            value = values[0]
            array.append(value if type(value) in SCALARS else nested(value))
            return len(array)
        splice_items(ctx, array, len(array), 0, accepted(array, values))
        return len(array)
    return _append(ctx, array, values)


@stepwise("push")
def push_stepwise(ctx: Context, array: List, *values: Callable[[], Value]) -> int:
    """`push` of values that look at the list."""
    return _append(ctx, array, (value() for value in values))


def _append(ctx: Context, array: List, values: Iterable[Value]) -> int:
    """Append values, each before the next one is evaluated; all or none."""
    length = len(array)
    array.lock += 1
    try:
        for value in values:
            ctx.check_growth(array, 1)
            if ctx.scope.quotas:
                check_items(ctx.scope, (value,))
            array += accepted(array, (value,))
        if array.owner is not None:
            _record(ctx, array, length, 0, array[length:])
    except BaseException:
        del array[length:]
        raise
    finally:
        array.lock -= 1
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
    item = array[-1]
    splice_items(ctx, array, len(array) - 1, 1, [])
    return item


@method("list", "shift", mutates=True, doc="Removes the first item and gives it.", example="[1, 2].shift()")
def shift(ctx: Context, array: List) -> Value:
    if not array:
        raise LookupFailed("an empty list has no first item to remove")
    item = array[0]
    splice_items(ctx, array, 0, 1, [])
    return item


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
    removed = List(array[index : index + count])
    if count or items:
        splice_items(ctx, array, index, count, items)
    return removed


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
    with Walk(ctx, closure, array) as run:
        places = range(len(array))
        passing: Iterable[int]
        if limit >= 0:
            passing = compress(places, results(ctx, closure, run, array))
        else:
            places = places[::-1]
            wanted = len(closure.code.params)
            passing = (place for place in places if run(ctx, *(array[place], place)[:wanted]))
        found = sorted(islice(passing, min(abs(limit), len(array))))
    removed = List([array[place] for place in found])
    if not found:
        return removed
    holder = array.holder()
    if holder is not None and holder.id:
        for place in reversed(found):  # the last one first: those before it keep their places
            ctx.record(holder.id, {"splice": {array.key: [place, 1]}})
    gone = set(found)
    array[:] = [item for place, item in enumerate(array) if place not in gone]
    return removed
