"""The methods of lists and tuples that read them without running a closure (spec/lists.md, section 7.1)."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from engine.errors import LookupFailed, OperationError, TypeFailed
from engine.functions.registry import METHODS, method, type_name
from engine.limits import MAX_ARRAY_ITEMS, MAX_TEXT_BYTES
from engine.values import searching
from engine.values.copying import copied
from engine.values.list import List
from engine.values.ordering import keys
from engine.values.text import joined

if TYPE_CHECKING:
    from engine.context import Context
    from engine.values.thing import Value

__all__: list[str] = []

Array = List | tuple[Any, ...]


@method("list|tuple", "len", doc="The number of items.", example="[1, 2, 3].len()")
def length(ctx: Context, array: Array) -> int:
    return len(array)


# --- single items ----------------------------------------------------------------------------------------------------


def _item(array: Array, index: int, alternative: Callable[[], Value] | None, name: str) -> Value:
    if array:
        return array[index]
    if alternative is None:
        raise LookupFailed(f"an empty {type_name(array)} has no {name} item")
    return alternative()


@method(
    "list|tuple",
    "first",
    "alternative?: lazy any",
    doc="The first item, or an alternative where there is none.",
    example="[1, 2, 3].first()",
)
def first(ctx: Context, array: Array, alternative: Callable[[], Value] | None = None) -> Value:
    return _item(array, 0, alternative, "first")


@method(
    "list|tuple",
    "last",
    "alternative?: lazy any",
    doc="The last item, or an alternative where there is none.",
    example="[1, 2, 3].last()",
)
def last(ctx: Context, array: Array, alternative: Callable[[], Value] | None = None) -> Value:
    return _item(array, -1, alternative, "last")


@method("list|tuple", "choice", doc="A random item.", example="['heads', 'tails'].choice()")
def choice(ctx: Context, array: Array) -> Value:
    if not array:
        raise LookupFailed(f"an empty {type_name(array)} has no item to choose")
    return ctx.random.choice(array)


def _extreme(array: Array, name: str, *, greatest: bool) -> Value:
    """The last item, unless one of the others, from the first on, is less or greater."""
    if not array:
        raise LookupFailed(f"an empty {type_name(array)} has no {name}")
    compared = keys(array)
    best, place = compared[-1], len(array) - 1
    for index, key in enumerate(compared[:-1]):
        if (best < key) if greatest else (key < best):
            best, place = key, index
    return array[place]


@method("list|tuple", "min", doc="The smallest item.", example="[3, 1, 2].min()")
def min_(ctx: Context, array: Array) -> Value:
    return _extreme(array, "smallest item", greatest=False)


@method("list|tuple", "max", doc="The largest item.", example="[3, 1, 2].max()")
def max_(ctx: Context, array: Array) -> Value:
    return _extreme(array, "largest item", greatest=True)


# --- searching -------------------------------------------------------------------------------------------------------


@method("list|tuple", "has", "value: any", doc="Is one of the items equal to a value?", example="[1, 2, 3].has(2)")
def has(ctx: Context, array: Array, value: Value) -> bool:
    return searching.has(array, value)


@method(
    "list|tuple",
    "index_of",
    "value: any",
    doc="The index of the first item that is equal to a value, or nil.",
    example="['a', 'b', 'c'].index_of('b')",
)
def index_of(ctx: Context, array: Array, value: Value) -> int | None:
    return searching.position(array, value)


@method("list|tuple", "is_unique", doc="Are no two items equal?", example="[1, 2, 1].is_unique()")
def is_unique(ctx: Context, array: Array) -> bool:
    return all(map(searching.Seen().add, array))


# --- new lists -------------------------------------------------------------------------------------------------------


@method("list|tuple", "unique", doc="A new list in which, of equal items, only the first is.",
        example="[1, 2, 1].unique()")  # fmt: skip
def unique(ctx: Context, array: Array) -> List:
    return List(filter(searching.Seen().add, array))


@method("list|tuple", "reverse", doc="A new list of the items, the last one first.", example="[1, 2, 3].reverse()")
def reverse(ctx: Context, array: Array) -> List:
    return List(reversed(array))


@method(
    "list|tuple",
    "flat",
    "depth?: int",
    doc="A new list in which the items of nested tuples take the place of those, as many levels deep as a depth says.",
    example="[1, [2, [3, 4]]].flat(2)",
)
def flat(ctx: Context, array: Array, depth: int = 1) -> List:
    made: list[Value] = list(array)
    while depth > 0 and tuple in map(type, made):
        size = sum(len(item) if type(item) is tuple else 1 for item in made)
        if size > MAX_ARRAY_ITEMS:
            raise OperationError(f"a list can have at most {MAX_ARRAY_ITEMS} items")
        level: list[Value] = []
        for item in made:
            if type(item) is tuple:
                level += item
            else:
                level.append(item)
        made = level
        depth -= 1
    return List(made)


@method(
    "list|tuple",
    "copy",
    "deep?: int",
    doc="A new list of the items; with a depth, of copies of the things in it, so many levels deep.",
    example="[{name: 'Iris'}].copy(1)",
)
def copy(ctx: Context, array: Array, deep: int = 0) -> List:
    return _as_list(copied(ctx, array, deep, keep=False), array)


@method(
    "list|tuple",
    "dup",
    "deep?: int",
    doc="As copy(), but copies of things keep their types and restrictions.",
    example="[{name: 'Iris'}].dup(1)",
)
def dup(ctx: Context, array: Array, deep: int = 0) -> List:
    return _as_list(copied(ctx, array, deep, keep=True), array)


def _as_list(made: Value, array: Array) -> List:
    return made if type(made) is List and made is not array else List(made)


# --- other results ---------------------------------------------------------------------------------------------------


@method(
    "list|tuple",
    "join",
    "separator?: lazy str",
    doc="The items, which must be str, as one text, with a separator between them.",
    example="['a', 'b', 'c'].join(', ')",
)
def join(ctx: Context, array: Array, separator: Callable[[], Value] | None = None) -> str:
    between = ""
    if separator is not None and len(array) > 1:
        between = METHODS["join"][List].check_lazy(0, separator)
    size = len(between) * (len(array) - 1)
    for item in array:
        if type(item) is not str:
            raise TypeFailed(f"join() takes items that are str, not {type_name(item)}")
        size += len(item)
    if size > MAX_TEXT_BYTES:
        raise OperationError(f"a text can be at most {MAX_TEXT_BYTES} bytes long")
    return joined(between.join(array))


@method(
    "list",
    "restriction",
    doc="The kind of values that the list takes, or nil when it takes all.",
    example="[1, 2, 3].restriction()",
)
def restriction(ctx: Context, array: List) -> str | None:
    spec = array.restriction()
    return None if spec is None else spec.text


@method(
    "list|tuple",
    "map_id",
    doc="A list of the ids of the items, nil for those that have none.",
    example="[{}, {}].map_id()",
)
def map_id(ctx: Context, array: Array) -> List:
    methods = METHODS["id"]
    ids = List()
    for item in array:
        found = methods.get(type(item))
        if found is None:
            raise LookupFailed(f"{type_name(item)} has no method id()")
        ids.append(found.run(ctx, item))
    return ids
