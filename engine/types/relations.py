"""Relations: two fields that keep each other (spec/types.md, section 6).

A relation stands at both of its fields. When the value of one changes, the other side follows; watchers are told only
what the query did, so what follows is recorded for the log alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from engine.change import Internal
from engine.errors import TypeFailed
from engine.snapshot import pack
from engine.values.set import Set
from engine.values.thing import Instance

if TYPE_CHECKING:
    from engine.context import Context
    from engine.types.type import Type
    from engine.values.thing import Value

__all__ = ["Relation", "relate"]


class Relation:
    """One side: the field `field` of `type` is kept with `other_field` of `other`."""

    __slots__ = ("field", "other", "other_field", "type")

    def __init__(self, type_: Type, field: str, other: Type, other_field: str) -> None:
        self.type = type_
        self.field = field
        self.other = other
        self.other_field = other_field

    def changed(self, ctx: Context, thing: Instance, before: Value, after: Value) -> None:
        """The field of a stored thing had the value `before` (a list of things for a set) and has `after` now."""
        old = before if type(before) is list else ([] if before is None else [before])
        new: list[Any] = list(after.items) if type(after) is Set else ([] if after is None else [after])
        for other in old:
            if other not in new:
                self._unlink(ctx, other, thing)
        for other in new:
            if other not in old or type(after) is not Set:
                self._link(ctx, other, thing)

    def _link(self, ctx: Context, other: Instance, thing: Instance) -> None:
        """Let the other side refer to the thing."""
        place = self.other.positions[self.other_field]
        held = other.props[place]
        if type(held) is Set:
            if thing not in held.items:
                held.items[thing] = None
                _note(ctx, other, self.other_field)
            if type(thing.props[self.type.positions[self.field]]) is Set:
                return
            return
        if held is thing:
            return
        if held is not None:
            _forget(ctx, held, self.field, self.type, other)
        other.props[place] = thing
        _note(ctx, other, self.other_field)

    def _unlink(self, ctx: Context, other: Instance, thing: Instance) -> None:
        """Let the other side no longer refer to the thing."""
        if other.kind is not self.other:
            return
        place = self.other.positions[self.other_field]
        held = other.props[place]
        if type(held) is Set:
            if thing in held.items:
                del held.items[thing]
                _note(ctx, other, self.other_field)
        elif held is thing:
            other.props[place] = None
            _note(ctx, other, self.other_field)


def _forget(ctx: Context, owner: Instance, field: str, type_: Type, member: Instance) -> None:
    """An owner that the member belonged to no longer has it."""
    place = type_.positions[field]
    held = owner.props[place]
    if type(held) is Set:
        if member in held.items:
            del held.items[member]
            _note(ctx, owner, field)
    elif held is member:
        owner.props[place] = None
        _note(ctx, owner, field)


def _note(ctx: Context, thing: Instance, field: str) -> None:
    if thing.id and ctx.change is not None:
        value = thing.props[thing.kind.positions[field]]
        ctx.change.mutations.append((thing.id, Internal({"set": {field: pack(value, ctx.scope)}})))  # type: ignore[arg-type]


# --- making one ------------------------------------------------------------------------------------------------------


def relate(ctx: Context, first: Relation, second: Relation, instances: Any) -> None:
    """Fill in both sides of a new relation on the data that is there; TypeError, and nothing changed, when they
    contradict each other. `instances(type)` gives all instances of a type."""
    one_is_set = first.type.fields[first.field].core == "set"
    two_is_set = first.other.fields[first.other_field].core == "set"
    ones: list[Instance] = instances(first.type)
    twos: list[Instance] = ones if first.other is first.type else instances(first.other)
    for thing in (*ones, *twos):
        if not thing.id:
            raise TypeFailed("all instances must be stored before a relation is made")
    if one_is_set and two_is_set:
        _join_sets(ctx, ones, first)
        _join_sets(ctx, twos, second)
    elif one_is_set or two_is_set:
        owners, relation = (ones, first) if one_is_set else (twos, second)
        members = twos if one_is_set else ones
        _join_owners(ctx, owners, members, relation)
    else:
        _join_pairs(ctx, ones, first)
        if second is not first:
            _join_pairs(ctx, twos, second)


def _value(thing: Instance, field: str) -> Value:
    return thing.props[thing.kind.positions[field]]


def _join_sets(ctx: Context, things: list[Instance], relation: Relation) -> None:
    for thing in things:
        for other in list(_value(thing, relation.field).items):
            held = _value(other, relation.other_field)
            if thing not in held.items:
                held.items[thing] = None
                _note(ctx, other, relation.other_field)


def _join_owners(ctx: Context, owners: list[Instance], members: list[Instance], relation: Relation) -> None:
    owned: dict[int, Instance] = {}
    for owner in owners:
        for member in _value(owner, relation.field).items:
            if owned.setdefault(id(member), owner) is not owner:
                raise TypeFailed(f"a thing is in the sets {relation.field} of two owners")
            wanted = _value(member, relation.other_field)
            if wanted is not None and wanted is not owner:
                raise TypeFailed(f"a thing in a set {relation.field} refers to another owner")
    for owner in owners:
        for member in _value(owner, relation.field).items:
            if _value(member, relation.other_field) is None:
                member.props[member.kind.positions[relation.other_field]] = owner
                _note(ctx, member, relation.other_field)
    for member in members:
        owner = _value(member, relation.other_field)
        if owner is not None and member not in _value(owner, relation.field).items:
            _value(owner, relation.field).items[member] = None
            _note(ctx, owner, relation.field)


def _join_pairs(ctx: Context, things: list[Instance], relation: Relation) -> None:
    claimed: dict[int, Instance] = {}
    for thing in things:
        other = _value(thing, relation.field)
        if other is None:
            continue
        back = _value(other, relation.other_field)
        if (back is not None and back is not thing) or claimed.setdefault(id(other), thing) is not thing:
            raise TypeFailed(f"two things are paired with the same one by {relation.field}")
    for thing in things:
        other = _value(thing, relation.field)
        if other is not None and _value(other, relation.other_field) is None:
            other.props[other.kind.positions[relation.other_field]] = thing
            _note(ctx, other, relation.other_field)
