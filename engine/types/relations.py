"""Relations: two fields that keep each other (spec/types.md, section 6).

Each of the two fields has its side of the relation. Whatever a query does to one side, the other follows. Watchers are
told only what the query did; what follows is recorded for the log alone. A new thing that gets its id by becoming
related is told with its own side already filled in.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from engine.change import Internal
from engine.errors import OperationError, TypeFailed
from engine.language.runtime import describe
from engine.limits import MAX_ARRAY_ITEMS
from engine.snapshot import pack
from engine.values.set import Set
from engine.values.thing import Instance

if TYPE_CHECKING:
    from engine.change import Job
    from engine.context import Context
    from engine.types.type import Type
    from engine.values.thing import Value

__all__ = ["Relation", "fill_in", "join", "part"]


class Relation:
    """One side: the field `field` of `type` is kept with `other_field` of `other`; `back` is the other side, which is
    the same one where a field is related to itself. `is_set`: the field is a `{T}`, not a `T?`."""

    __slots__ = ("back", "field", "other", "other_field", "type")

    back: Relation

    def __init__(self, type_: Type, field: str, other: Type, other_field: str) -> None:
        self.type = type_
        self.field = field
        self.other = other
        self.other_field = other_field

    @property
    def is_set(self) -> bool:
        return self.type.fields[self.field].core == "set"

    def of(self, thing: Instance) -> Value:
        """What a thing has on this side: another thing or nil, or a set."""
        return thing.props[self.type.positions[self.field]]

    def related(self, thing: Instance) -> Iterable[Instance]:
        """The things that a thing refers to on this side."""
        held = self.of(thing)
        if type(held) is Set:
            return held.items  # type: ignore[return-value]
        return () if held is None else (held,)

    # --- before ------------------------------------------------------------------------------------------------------

    def check_stored(self, thing: Instance, value: Value) -> None:
        """TypeError when a thing that is not stored would be related."""
        if not thing.id and (value if type(value) is Set else value is not None):
            raise TypeFailed(f"{describe(thing)} must be stored before its property {self.field} is set: it is related")

    def _check_free(self, added: Iterable[Instance], removed: Iterable[Instance]) -> None:
        """OperationError when a set that must follow is in use."""
        back = self.back
        follow: list[Value] = []
        if back.is_set:
            follow += [back.of(other) for other in (*added, *removed)]
        elif self.is_set:
            follow += [self.of(owner) for owner in map(back.of, added) if owner is not None]
        for held in follow:
            if held.lock:
                raise OperationError(f"a set that a relation of {self.field} must change is in use")

    # --- one side follows the other ----------------------------------------------------------------------------------

    def _tie(self, ctx: Context, thing: Instance, other: Instance) -> None:
        """Let a thing refer to another one on this side; what it referred to before lets go of it."""
        held = self.of(thing)
        if type(held) is Set:
            if other not in held.items:
                _save(ctx, held)
                held.items[other] = None
                _note(ctx, thing, {"add": {self.field: [{"#": other.id}]}})
        elif held is not other:
            if held is not None:
                self.back._cut(ctx, held, thing)
            _save(ctx, thing)
            thing.props[self.type.positions[self.field]] = other
            _note(ctx, thing, {"set": {self.field: {"#": other.id}}})

    def _cut(self, ctx: Context, thing: Instance, other: Instance) -> None:
        """Let a thing no longer refer to another one on this side."""
        held = self.of(thing)
        if type(held) is Set:
            if other in held.items:
                _save(ctx, held)
                del held.items[other]
                _note(ctx, thing, {"remove": {self.field: [other.id]}})
        elif held is other:
            _save(ctx, thing)
            thing.props[self.type.positions[self.field]] = None
            _note(ctx, thing, {"set": {self.field: None}})

    def _pack(self, ctx: Context, owner: Instance, added: list[Instance], value: Value) -> Any:
        """The value to be told, when those that are new in it have their side filled in."""
        new = [other for other in added if not other.id]
        for other in new:
            self.back._tie(ctx, other, owner)
        try:
            return pack(value, ctx.scope)  # type: ignore[arg-type]
        except BaseException:
            for other in new:
                self.back._cut(ctx, other, owner)
            raise

    def _follow(self, ctx: Context, owner: Instance, added: list[Instance], removed: list[Instance]) -> None:
        """Let the other side follow; this side is as it shall be."""
        for other in removed:
            self.back._cut(ctx, other, owner)
        for other in added:
            self.back._tie(ctx, other, owner)

    # --- what queries do ---------------------------------------------------------------------------------------------

    def set(self, ctx: Context, owner: Instance, place: int, value: Value) -> Value:
        """Set the field of an instance to a value that fits; gives the value as stored."""
        self.check_stored(owner, value)
        if type(value) is Set:
            return self._set_members(ctx, owner, place, value)
        old = owner.props[place]
        if not owner.id:
            return None
        added = [] if value is None or value is old else [value]
        removed = [] if old is None or value is old else [old]
        self._check_free(added, removed)
        tree = self._pack(ctx, owner, added, value)
        self._follow(ctx, owner, added, removed)
        owner.props[place] = value
        ctx.record(owner.id, {"set": {self.field: tree}})
        return value

    def _set_members(self, ctx: Context, owner: Instance, place: int, value: Set) -> Set:
        old: Set = owner.props[place]
        stored: Set = self.type.row[place].put(value, owner, self.field)
        added, removed = _difference(old, stored)
        self._check_free(added, removed)
        owner.props[place] = stored
        if owner.id:
            try:
                tree = self._pack(ctx, owner, added, stored)
            except BaseException:
                owner.props[place] = old
                raise
            self._follow(ctx, owner, added, removed)
            ctx.record(owner.id, {"set": {self.field: tree}})
        ctx.release(old)
        return stored

    def replace_members(self, ctx: Context, owner: Instance, target: Set, wanted: Set) -> Set:
        """Give the set of an instance other members, which fit."""
        self.check_stored(owner, wanted)
        if not owner.id:
            target.items = {}
            return target
        added, removed = _difference(target, wanted)
        self._check_free(added, removed)
        tree = self._pack(ctx, owner, added, wanted)
        target.items = dict(wanted.items)
        self._follow(ctx, owner, added, removed)
        ctx.record(owner.id, {"set": {self.field: tree}})
        return target

    def change_members(
        self, ctx: Context, owner: Instance, target: Set, added: list[Instance], removed: list[Instance]
    ) -> None:
        """Put things into the set of an instance that are not in it, or take out some that are."""
        if added and not owner.id:
            raise TypeFailed(f"{describe(owner)} must be stored before its property {self.field} is set: it is related")
        self._check_free(added, removed)
        trees = self._pack(ctx, owner, added, tuple(added)) if added else []
        for other in added:
            target.items[other] = None
        for other in removed:
            del target.items[other]
        self._follow(ctx, owner, added, removed)
        if added:
            ctx.record(owner.id, {"add": {self.field: trees}})
        if removed and owner.id:
            ctx.record(owner.id, {"remove": {self.field: [other.id for other in removed]}})


def _difference(old: Set, new: Set) -> tuple[list[Instance], list[Instance]]:
    """What is only in the new set, and what is only in the old one."""
    return (
        [thing for thing in new.items if thing not in old.items],  # type: ignore[misc]
        [thing for thing in old.items if thing not in new.items],  # type: ignore[misc]
    )


def _save(ctx: Context, container: Instance | Set) -> None:
    """What follows changes a thing or set that the query did not name."""
    if ctx.journal is not None:
        ctx.journal.save(container)


def _note(ctx: Context, thing: Instance, job: Job) -> None:
    """A mutation that follows from another: for the log alone."""
    if thing.id:
        ctx.record(thing.id, Internal({"follow": job}))


# --- making and ending one -------------------------------------------------------------------------------------------


def join(type_: Type, field: str, other: Type, other_field: str) -> Relation:
    """Relate two fields; what is in them is left as it is. Gives the first field's side."""
    first = Relation(type_, field, other, other_field)
    if other is type_ and other_field == field:
        first.back = first
    else:
        first.back = Relation(other, other_field, type_, field)
        first.back.back = first
        other.relations[other_field] = first.back
    type_.relations[field] = first
    return first


def part(relation: Relation) -> None:
    """End a relation; what is in the fields is left as it is."""
    del relation.type.relations[relation.field]
    relation.other.relations.pop(relation.other_field, None)


def fill_in(ctx: Context, relation: Relation, ones: list[Instance], others: list[Instance]) -> None:
    """Let all instances of the two types agree to a new relation. TypeError, before anything is changed, when what
    they refer to can't be brought together; OperationError when a set that must be changed is in use.

    Between sets, both become the union. A `T?` can refer to one thing only, and only one thing may refer to it.
    """
    back = relation.back
    missing = _missing(relation, ones)
    if back is not relation:
        missing += _missing(back, others)
    for side in {relation, back}:
        if not side.back.is_set:
            _check_single(side, ones if side is relation else others, missing)
    for side, thing, _ in missing:
        if side.is_set and side.of(thing).lock:
            raise OperationError(f"a set of {side.field} is in use")
        if side.is_set and len(side.of(thing)) >= MAX_ARRAY_ITEMS:
            raise OperationError(f"a set can have at most {MAX_ARRAY_ITEMS} things")
    for side, thing, other in missing:
        side._tie(ctx, thing, other)


def _missing(side: Relation, things: list[Instance]) -> list[tuple[Relation, Instance, Instance]]:
    """Where a thing refers to another that does not refer back: the other side, the other thing, and the thing."""
    return [
        (side.back, other, thing)
        for thing in things
        for other in side.related(thing)
        if thing not in side.back.related(other)
    ]


def _check_single(side: Relation, things: list[Instance], missing: list[tuple[Relation, Instance, Instance]]) -> None:
    """TypeError when a thing would be referred to by two on this side, whose other side can hold only one."""
    owners: dict[Instance, Instance] = {}
    referred = [(thing, other) for thing in things for other in side.related(thing)]
    referred += [(thing, other) for filled, thing, other in missing if filled is side]
    for thing, other in referred:
        if owners.setdefault(other, thing) is not thing:
            raise TypeFailed(f"two things refer to {describe(other)} by {side.field}: the relation allows only one")
        held = side.back.of(other)
        if held is not None and held is not thing:
            raise TypeFailed(f"{describe(other)} has another {side.back.field} than what refers to it")
