"""Values as results: what a client gets for a query (spec/language.md, section 11).

A result is a tree of plain Python values, cut to a depth. Each value class registers how it is shown with `shows`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from engine.errors import OperationError, ResultTooLarge
from engine.limits import MAX_RESULT_BYTES, MAX_VALUE_NESTING
from engine.snapshot import Tree
from engine.values.closure import Closure
from engine.values.error import Error
from engine.values.list import List
from engine.values.set import Set
from engine.values.storing import SCALARS
from engine.values.thing import Instance, Thing

if TYPE_CHECKING:
    from engine.context import Context
    from engine.types.type import Type
    from engine.values.thing import Value

__all__ = ["NO_IDS", "SHOW", "Result", "result", "shows"]

ARRAYS_BEYOND = 4
"""So many times the limit may a result without things be; what arrays share on many levels is larger than it looks."""

NO_IDS = 32
"""The flag that leaves ids out of a result."""

S = TypeVar("S", bound=Callable[..., Tree])

SHOW: dict[type, Callable[[Any, Any, int], Tree]] = {}
"""How a value of each class that is no scalar is shown: `(value, result, deep)`."""


def shows(*classes: type) -> Callable[[S], S]:
    """Register how values of the classes are shown."""

    def register(show: S) -> S:
        for cls in classes:
            SHOW[cls] = show
        return show

    return register


class Result:
    """A result being made: the flags that hold, the things being shown further up, and how large it is so far.

    `size` is about the number of bytes of the result in msgpack; when a thing is about to be shown beyond the limit,
    ResultTooLarge is raised.
    """

    __slots__ = ("ctx", "limit", "nesting", "no_ids", "path", "size")

    def __init__(self, ctx: Context | None, flags: int = 0, limit: int = MAX_RESULT_BYTES) -> None:
        self.ctx = ctx
        self.no_ids = bool(flags & NO_IDS)
        self.path: set[int] = set()  # id() of the things being shown
        self.size = 0
        self.nesting = 0
        self.limit = limit

    def show(self, value: Value, deep: int) -> Tree:
        """The value, with things shown `deep` levels."""
        kind = type(value)
        if kind in SCALARS:
            self.size += 9 if kind is not str and kind is not bytes else len(value) + 3
            return value
        return SHOW[kind](value, self, deep)

    def id_only(self, thing_id: int, key: str = "#") -> Tree:
        """A thing of which only the id is shown."""
        return {key: thing_id} if thing_id and not self.no_ids else {}

    def enter(self, thing: Thing, deep: int, through: Type | None = None) -> None:
        """A thing is about to be shown `deep` levels, as the type `through` shows it. ResultTooLarge when no further
        one fits."""
        if self.size > self.limit:
            raise ResultTooLarge(f"the result is larger than {self.limit} bytes")

    def task(self) -> None:
        """The state of a task is about to be shown."""


def result(value: Value, ctx: Context) -> Tree:
    """The value of a query as its client gets it."""
    if type(value) in SCALARS:
        return value
    made = Result(ctx, ctx.flags, ctx.engine.max_result_bytes)
    tree = made.show(value, ctx.deep)
    counters = ctx.engine.counters
    if made.size > counters.largest_result:
        counters.largest_result = made.size
    return tree


@shows(List, tuple)
def _show_array(value: list[Value], made: Result, deep: int) -> Tree:
    for item in value:
        if type(item) not in SCALARS or type(item) is str or type(item) is bytes:
            break
    else:
        made.size += 9 * len(value) + 5
        return list(value)
    made.size += 5
    if made.size > made.limit * ARRAYS_BEYOND:
        raise ResultTooLarge(f"the result is larger than {made.limit} bytes")
    if made.nesting >= MAX_VALUE_NESTING:
        raise OperationError(f"a result can nest arrays at most {MAX_VALUE_NESTING} deep")
    made.nesting += 1
    show = made.show
    tree = [show(item, deep) for item in value]
    made.nesting -= 1
    return tree


@shows(Set)
def _show_set(value: Set, made: Result, deep: int) -> Tree:
    return [made.show(thing, deep) for thing in list(value.items)]


@shows(Thing)
def _show_thing(thing: Thing, made: Result, deep: int) -> Tree:
    return show_properties(thing, made, deep, "#", thing.items())


def show_properties(thing: Thing, made: Result, deep: int, id_key: str | None, items: Any, only_key: str = "#") -> Tree:
    """A thing with the given properties; its id under `id_key`, or left out where that is None. Where only the id is
    shown, it is under `only_key`."""
    made.enter(thing, deep)
    if deep <= 0 or id(thing) in made.path:
        return made.id_only(thing.id, only_key)
    tree: dict[str, Tree] = {}
    if thing.id and id_key is not None and not made.no_ids:
        tree[id_key] = thing.id
        made.size += 12
    made.path.add(id(thing))
    deep -= 1
    for name, value in items:
        made.size += len(name) + 2
        if type(value) in SCALARS:
            tree[name] = value
            made.size += len(value) + 3 if type(value) is str or type(value) is bytes else 9
        else:
            tree[name] = SHOW[type(value)](value, made, deep)
    made.path.discard(id(thing))
    return tree


@shows(Instance)
def _show_instance(thing: Instance, made: Result, deep: int) -> Tree:
    type_ = thing.kind
    return show_properties(thing, made, deep, type_.shown_id, thing.items(), type_.id_name or "#")


@shows(Closure)
def _show_closure(value: Closure, made: Result, deep: int) -> Tree:
    return value.text


@shows(Error)
def _show_error(value: Error, made: Result, deep: int) -> Tree:
    return value.message
