"""The methods of lists and tuples that run a closure (spec/lists.md, section 7.1).

The closure is checked and counted once for all its calls, and called with as many arguments as it has parameters. The
list can't be changed meanwhile.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import compress, repeat
from itertools import count as count_up
from typing import TYPE_CHECKING, Any

from engine.errors import LookupFailed, TypeFailed
from engine.functions.registry import method, type_name
from engine.language.operators import integer
from engine.language.rows import chosen_by, results_of
from engine.limits import INT_MAX, INT_MIN
from engine.values import searching
from engine.values.closure import Closure
from engine.values.list import List
from engine.values.storing import nested_items

if TYPE_CHECKING:
    from engine.context import Context
    from engine.values.thing import Value

__all__ = ["Locked", "Walk", "results"]

Array = List | tuple[Any, ...]
Thunk = Callable[[], Any]

ARRAY = "list|tuple"


class Locked:
    """An array that can't be changed meanwhile."""

    __slots__ = ("array",)

    def __init__(self, array: Array) -> None:
        self.array = array

    def __enter__(self) -> None:
        if type(self.array) is List:
            self.array.lock += 1

    def __exit__(self, *_: object) -> None:
        if type(self.array) is List:
            self.array.lock -= 1


class Walk:
    """A row of calls of a closure over an array, which is locked; gives the closure's Python function.

    Over an empty array no call is to come, so the closure may be active as often as it can be.
    """

    __slots__ = ("array", "closure")

    def __init__(self, ctx: Context, closure: Closure, array: Array) -> None:
        closure.check_effects(ctx)
        self.closure = closure
        self.array = array

    def __enter__(self) -> Callable[..., Value]:
        if not self.array:
            return self.closure.code.run
        run = self.closure.enter()
        if type(self.array) is List:
            self.array.lock += 1
        return run

    def __exit__(self, *_: object) -> None:
        if self.array:
            self.closure.leave()
            if type(self.array) is List:
                self.array.lock -= 1


def results(ctx: Context, closure: Closure, run: Callable[..., Value], array: Array) -> Iterable[Value]:
    """What the closure gives for each item and its index, one by one."""
    count = len(closure.code.params)
    if count == 1:
        return map(run, repeat(ctx), array)
    if count == 0:
        return map(run, repeat(ctx, len(array)))
    return map(run, repeat(ctx), array, range(len(array)))


def all_results(ctx: Context, closure: Closure, run: Callable[..., Value], array: Array) -> list[Value]:
    """What the closure gives for each item and its index."""
    if closure.code.repeatable:
        made = results_of(ctx, closure.code, array)
        if made is not None:
            return made
    return list(results(ctx, closure, run, array))


@method(ARRAY, "each", "closure: closure", locks=True, doc="Calls a closure with each item and its index.",
        example="[1, 2].each(|x| log(x))")  # fmt: skip
def each(ctx: Context, array: Array, closure: Closure) -> None:
    with Walk(ctx, closure, array) as run:
        for _ in results(ctx, closure, run, array):
            pass


@method(ARRAY, "map", "closure: closure", locks=True, doc="A list of what a closure gives for each item and its index.",
        example="[1, 2].map(|x| x * x)")  # fmt: skip
def map_(ctx: Context, array: Array, closure: Closure) -> List:
    with Walk(ctx, closure, array) as run:
        return nested_items(all_results(ctx, closure, run, array))


@method(ARRAY, "filter", "closure: closure", locks=True, doc="A list of the items that make a closure true.",
        example="[1, 2, 3].filter(|x| x > 1)")  # fmt: skip
def filter_(ctx: Context, array: Array, closure: Closure) -> List:
    with Walk(ctx, closure, array) as run:
        if closure.code.repeatable:
            chosen = chosen_by(ctx, closure.code, array)
            if chosen is not None:
                return List(chosen)
        return List(compress(array, results(ctx, closure, run, array)))


@method(ARRAY, "find", "closure: closure, alternative?: lazy any", locks=True,
        doc="The first item that makes a closure true, else an alternative or nil.",
        example="[1, 2, 3].find(|x| x > 1)")  # fmt: skip
def find(ctx: Context, array: Array, closure: Closure, alternative: Thunk | None = None) -> Value:
    with Locked(array):
        with Walk(ctx, closure, array) as run:
            for item in compress(array, results(ctx, closure, run, array)):
                return item
        return None if alternative is None else alternative()


@method(ARRAY, "find_index", "closure: closure", locks=True,
        doc="The index of the first item that makes a closure true, or nil.",
        example="[1, 2, 3].find_index(|x| x > 1)")  # fmt: skip
def find_index(ctx: Context, array: Array, closure: Closure) -> int | None:
    with Walk(ctx, closure, array) as run:
        return next(compress(count_up(), results(ctx, closure, run, array)), None)


@method(ARRAY, "some", "closure: closure", locks=True, doc="Does an item make a closure true?",
        example="[1, 2].some(|x| x > 1)")  # fmt: skip
def some(ctx: Context, array: Array, closure: Closure) -> bool:
    with Walk(ctx, closure, array) as run:
        return any(results(ctx, closure, run, array))


@method(ARRAY, "every", "closure: closure", locks=True, doc="Do all items make a closure true?",
        example="[1, 2].every(|x| x > 1)")  # fmt: skip
def every(ctx: Context, array: Array, closure: Closure) -> bool:
    with Walk(ctx, closure, array) as run:
        return all(results(ctx, closure, run, array))


@method(ARRAY, "count", "value: any", doc="How many items are equal to a value, or make a closure true.",
        example="[1, 2, 2].count(2)")  # fmt: skip
def count(ctx: Context, array: Array, value: Value) -> int:
    if type(value) is not Closure:
        return searching.count(array, value)
    with Walk(ctx, value, array) as run:
        return sum(map(bool, all_results(ctx, value, run, array)))


@method(ARRAY, "sum", "closure?: closure", doc="The sum of the items, or of what a closure gives for them.",
        example="[1, 2.5].sum()")  # fmt: skip
def sum_(ctx: Context, array: Array, closure: Closure | None = None) -> Value:
    if closure is None:
        return _total(array)
    with Walk(ctx, closure, array) as run:
        return _total(all_results(ctx, closure, run, array))


def _total(values: Iterable[Value]) -> Value:
    total: Value = 0
    whole = True  # an int so far
    for value in values:
        if type(value) is float:
            whole = False
        elif type(value) is not int and type(value) is not bool:
            raise TypeFailed(f"sum() adds numbers, not {type_name(value)}")
        total += value
        if whole and not INT_MIN <= total <= INT_MAX:
            integer(total)
    return total


_ABSENT = object()


@method(ARRAY, "reduce", "closure: closure, initial?: any", locks=True,
        doc="Folds the items into one value with a closure that takes what it gave last, an item and its index.",
        example="[1, 2, 3].reduce(|total, x| total + x, 0)")  # fmt: skip
def reduce(ctx: Context, array: Array, closure: Closure, initial: Value = _ABSENT) -> Value:
    with Walk(ctx, closure, array) as run:
        items = iter(array)
        result = initial
        first = 0
        if initial is _ABSENT:
            if not array:
                raise LookupFailed(f"an empty {type_name(array)} can't be reduced without an initial value")
            result = next(items)
            first = 1
        count = len(closure.code.params)
        if count == 2:
            for item in items:
                result = run(ctx, result, item)
        elif count < 2:
            for _ in items:
                result = run(ctx, result) if count else run(ctx)
        else:
            for index, item in enumerate(items, first):
                result = run(ctx, result, item, index)
        return result
