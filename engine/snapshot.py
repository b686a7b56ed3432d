"""Values as trees: how they stand in mutations, in the initial state of a watch, and in the log (spec/watch.md,
section 6).

A tree is made of None, bool, int, float, str, bytes, lists and dicts with str keys. A stored thing is `{"#": id}`; a
thing that is new is stored by packing it and stands in full. What the watch protocol has no form for (rooms, tasks, …)
stays in the tree as the immutable value itself, a *leaf*, for each encoder to write in its own way.

Each value class registers how it is packed with `packs`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

from engine.change import Internal
from engine.errors import OperationError
from engine.limits import MAX_ARRAY_ITEMS, MAX_VALUE_NESTING
from engine.values.closure import Closure
from engine.values.error import Error
from engine.values.list import List
from engine.values.set import Set
from engine.values.storing import SCALARS
from engine.values.thing import Instance, Thing

if TYPE_CHECKING:
    from engine.collection import Collection
    from engine.values.thing import Value

__all__ = ["PACK", "Compact", "Tree", "initial", "pack", "packs"]

Tree: TypeAlias = Any

P = TypeVar("P", bound=Callable[..., Tree])

PACK: dict[type, Callable[[Any, Any, int], Tree]] = {}
"""How to pack a value of each class that is no scalar: `(value, collection, depth)`; depth is how many arrays and new
things it is in."""


def packs(*classes: type) -> Callable[[P], P]:
    """Register how values of the classes are packed."""

    def register(packer: P) -> P:
        for cls in classes:
            PACK[cls] = packer
        return packer

    return register


class Compact(dict[str, Tree]):
    """A new instance, `{".": type id, "#": id, "": [values in field order]}`, with the names of its fields for
    encodings that spell them out."""

    __slots__ = ("names",)

    names: tuple[str, ...]


class _Room:
    """How many items arrays may have that are packed: what they share on many levels is larger than it looks."""

    left: int


_UNBOUNDED = 1 << 62  # what is packed for the state on disk was bounded when it was stored
_room = _Room()
_room.left = _UNBOUNDED


def pack(value: Value, home: Collection, depth: int = 0) -> Tree:
    """The value as a tree. Things in it that have no id become part of the collection; on an error none does, so that
    what packs a value before it stores it changes nothing then."""
    if type(value) in SCALARS:
        return value
    noted = home.noted
    _room.left = MAX_ARRAY_ITEMS
    try:
        tree = PACK[type(value)](value, home, depth)
        while home.unfilled:
            thing = home.unfilled.pop()
            home.record_internal(thing.id, {"fill": _fields(thing, home, 1)})
    except BaseException:
        home.reject(noted)
        raise
    finally:
        _room.left = _UNBOUNDED
    if home.fresh:
        home.fresh.clear()
    return tree


def initial(thing: Thing, home: Collection) -> Tree:
    """A stored thing one level deep, as the first event of a watch shows it."""
    tree: dict[str, Tree] = {"#": thing.id}
    for name, value in thing.items():
        tree[name] = value if type(value) in SCALARS else PACK[type(value)](value, home, 1)
    return tree


def _too_deep(depth: int) -> None:
    if depth > MAX_VALUE_NESTING:
        raise OperationError(f"values can be nested at most {MAX_VALUE_NESTING} deep")


@packs(List, tuple)
def _pack_array(value: list[Value] | tuple[Value, ...], home: Collection, depth: int) -> Tree:
    _room.left -= len(value)
    if _room.left < 0:
        raise OperationError(f"a value can have at most {MAX_ARRAY_ITEMS} items in its arrays")
    for item in value:
        if type(item) not in SCALARS:
            break
    else:
        return list(value)
    if depth >= MAX_VALUE_NESTING:
        _too_deep(depth + 1)
    depth += 1
    return [item if type(item) in SCALARS else PACK[type(item)](item, home, depth) for item in value]


@packs(Set)
def _pack_set(value: Set, home: Collection, depth: int) -> Tree:
    return {"$": [_pack_thing(thing, home, depth + 1) for thing in list(value.items)]}


@packs(Thing, Instance)
def _pack_thing(thing: Thing, home: Collection, depth: int) -> Tree:
    if thing.id:
        return {"#": thing.id}
    home.adopt(thing)
    if thing.kind is not None or thing.is_sorted:
        note_form(thing, home)
    if depth >= MAX_VALUE_NESTING:
        # Too deep for the encodings: it is told apart from what holds it, and filled in by a mutation of its own.
        home.unfilled.append(thing)
        return {"#": thing.id}
    return _fields(thing, home, depth + 1)


def _fields(thing: Thing, home: Collection, depth: int) -> Tree:
    if type(thing) is Instance:
        compact = Compact({".": thing.kind.id, "#": thing.id})
        compact.names = tuple(thing.kind.positions)
        compact[""] = [
            value if type(value) in SCALARS else PACK[type(value)](value, home, depth) for value in thing.props
        ]
        return compact
    tree: dict[str, Tree] = {"#": thing.id}
    for name, value in thing.items():
        tree[name] = value if type(value) in SCALARS else PACK[type(value)](value, home, depth)
    return tree


def note_form(thing: Thing, home: Collection) -> None:
    """Tell the log what the watch form of a plain thing doesn't: its restriction and that its keys are sorted."""
    if type(thing) is Instance:
        return
    if thing.is_sorted:
        home.record_internal(thing.id, Internal({"sorted": True}))
    if thing.kind is not None:
        home.record_internal(thing.id, Internal({"restrict": thing.kind.packed}))


@packs(Closure)
def _pack_closure(value: Closure, home: Collection, depth: int) -> Tree:
    return {"/": value.code.compact}


@packs(Error)
def _pack_error(value: Error, home: Collection, depth: int) -> Tree:
    return {"!": value.title, "error_msg": value.message, "error_code": value.code}
