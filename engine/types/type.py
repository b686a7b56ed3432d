"""Types: ordered fields with definitions, and methods (spec/types.md, sections 1 and 4)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from engine.errors import LookupFailed, NumArgumentsError, OperationError, TypeFailed
from engine.functions.registry import register_kind, type_name
from engine.language.runtime import ClosureCall, describe
from engine.snapshot import pack
from engine.values.list import List
from engine.values.set import Set
from engine.values.storing import OWNED, release
from engine.values.thing import Instance, Thing

if TYPE_CHECKING:
    from engine.collection import Collection
    from engine.context import Context
    from engine.types.definition import Definition
    from engine.types.enum import Enum
    from engine.types.relations import Relation
    from engine.values.closure import Closure
    from engine.values.thing import Value

__all__ = ["Builder", "Type", "instances_of"]


class Type:
    """A type. `fields` are definitions by name, in order; `positions` the place of each field in an instance's values;
    `methods` closures that get the instance first; `id_name` the name under which results show the id, None: `#`.

    `locked` counts what forbids changing it; times in whole seconds since 1970.
    """

    def __init__(self, home: Collection | None, type_id: int, name: str, created_at: int) -> None:
        self.home = home
        self.id = type_id
        self.name = name
        self.created_at = created_at
        self.modified_at: int | None = None
        self.wrap_only = False
        self.hide_id = False
        self.auto_index = False
        self.fields: dict[str, Definition] = {}
        self.positions: dict[str, int] = {}
        self.methods: dict[str, Closure] = {}
        self.relations: dict[str, Relation] = {}
        self.id_name: str | None = None
        self.locked = 0

    # --- fields ------------------------------------------------------------------------------------------------------

    @property
    def shown_id(self) -> str | None:
        """The key under which a result shows the id of an instance; None when it is hidden."""
        return None if self.hide_id else (self.id_name or "#")

    def number(self) -> None:
        """The fields have changed: count their positions anew."""
        self.positions = {name: place for place, name in enumerate(self.fields)}

    def has_name(self, name: str) -> bool:
        """Is it the name of a field, a method or the id?"""
        return name in self.fields or name in self.methods or name == self.id_name

    def item_restriction(self, name: str) -> Any:
        """What the items of the list or set in a field must be."""
        definition = self.fields[name]
        return definition.item if definition.core in ("list", "set") else None

    def mentions(self, name: str) -> bool:
        """Does a definition name the type or enum?"""
        return any(subject.name == name for field in self.fields.values() for subject in field.subjects())

    def definition_renamed(self, old: str, new: str) -> None:
        """Definitions write types and enums by their present names."""

    def member_renamed(self, enum: Enum, old: str, new: str) -> None:
        """Definitions write members by their present names."""

    def check_unlocked(self) -> None:
        """OperationError while something forbids changing the type."""
        if self.locked:
            raise OperationError(f"the type {self.name} can't be changed while it is in use")

    # --- instances ---------------------------------------------------------------------------------------------------

    def enter(self, thing: Instance) -> None:
        """An instance got an id."""

    def new_default(self, home: Collection) -> Instance:
        """A new instance with a fresh default in every field."""
        made = Instance(self, [None] * len(self.fields))
        for place, (name, definition) in enumerate(self.fields.items()):
            made.props[place] = definition.put(definition.default(home), made, name)
        return made

    def from_thing(self, ctx: Context, source: Thing) -> Instance:
        """A new instance with the properties of an untyped thing; those that are no fields are left out."""
        made = Instance(self, [None] * len(self.fields))
        home: Any = ctx.scope
        for place, (name, definition) in enumerate(self.fields.items()):
            if source.has(name):
                value = source.get(name)
                definition.check(value)
                self.check_unrelated(made, name, value)
            else:
                value = definition.default(home)
            made.props[place] = definition.put(value, made, name)
        return made

    def check_instantiable(self) -> None:
        """TypeError when the type only wraps."""
        if self.wrap_only:
            raise TypeFailed(f"the type {self.name} only wraps things: it has no instances")

    def check_unrelated(self, thing: Thing, name: str, value: Value) -> None:
        """TypeError when a relation would have to be kept for a thing that is not stored."""
        if name in self.relations and not thing.id and value is not None and not (type(value) is Set and not value):
            raise TypeFailed(f"{describe(thing)} must be stored before the relation of {name} can be set")

    def set_field(self, ctx: Context, thing: Instance, name: str, value: Value) -> Value:
        """Set a field of an instance that may be changed now; gives the value as stored."""
        definition = self.fields.get(name)
        if definition is None:
            raise LookupFailed(f"{describe(thing)} has no property {name[:80]!r}")
        definition.check(value)
        place = self.positions[name]
        old = thing.props[place]
        if type(old) in OWNED and old.lock:
            raise OperationError(f"the property {name} can't be replaced while it is in use")
        relation = self.relations.get(name)
        if relation is not None:
            self.check_unrelated(thing, name, value)
            before = list(old.items) if type(old) is Set else old
        stored = definition.put(value, thing, name)
        if stored is not old:
            release(old)
        thing.props[place] = stored
        if relation is not None:
            relation.changed(ctx, thing, before, stored)  # first: a new thing is told with its side of it
        if thing.id:
            ctx.record(thing.id, {"set": {name: pack(stored, ctx.scope)}})  # type: ignore[arg-type]
            if definition.core == "things" and type(stored) is Thing and stored.kind is not None:
                ctx.scope.record_internal(stored.id, {"restrict": stored.kind.packed})  # type: ignore[union-attr]
        return stored

    def replace_members(self, ctx: Context, holder: Instance, target: Set, wanted: Set) -> Set:
        """`set op= …` on the set of a field."""
        if target.spec is not None:
            for thing in wanted.items:
                target.spec.check(thing)
        name = target.key
        relation = self.relations.get(name)
        if relation is not None:
            self.check_unrelated(holder, name, wanted)
        before = list(target.items)
        target.items = dict(wanted.items)
        if holder.id:
            ctx.record(holder.id, {"set": {name: pack(target, ctx.scope)}})  # type: ignore[arg-type]
        if relation is not None:
            relation.changed(ctx, holder, before, target)
        return target

    def members_changed(
        self, ctx: Context, holder: Instance, target: Set, added: list[Instance], removed: list[Instance]
    ) -> None:
        """Things were put into the set of a field, or taken out of it: a relation follows."""
        relation = self.relations.get(target.key)
        if relation is not None:
            self.check_unrelated(holder, target.key, target)
            before = [thing for thing in target.items if thing not in added] + removed
            relation.changed(ctx, holder, before, target)

    def assign(self, ctx: Context, thing: Instance, source: Thing) -> None:
        """Copy the properties of a thing into an instance that may be changed; nothing is changed on error."""
        if type(source) is Instance and source.kind is not self:
            raise TypeFailed(f"{describe(source)} is no {self.name}")
        items = list(source.items())
        for name, value in items:
            definition = self.fields.get(name)
            if definition is None:
                raise LookupFailed(f"{describe(thing)} has no property {name[:80]!r}")
            if name in self.relations:
                raise TypeFailed(f"the property {name} has a relation: set it by itself")
            definition.check(value)
            held = thing.props[self.positions[name]]
            if type(held) in OWNED and held.lock:
                raise OperationError(f"the property {name} can't be replaced while it is in use")
        for name, value in items:
            self.set_field(ctx, thing, name, value)

    # --- calls -------------------------------------------------------------------------------------------------------

    def builder(self, ctx: Context) -> Builder:
        """What collects the values of `Name{…}`."""
        self.check_instantiable()
        return Builder(self)

    def as_function(self, ctx: Context, count: int) -> TypeCall:
        """What `Name(…)` calls."""
        if count > 1:
            raise NumArgumentsError(f"{self.name}() takes at most 1 argument, not {count}")
        self.check_instantiable()
        return TypeCall(self)

    def method_call(self, closure: Closure, thing: Value) -> MethodCall:
        """What `thing.method(…)` calls."""
        return MethodCall(self, closure, thing)


class Builder:
    """A new instance being made; the type is locked meanwhile."""

    __slots__ = ("type", "values")

    def __init__(self, type_: Type) -> None:
        self.type = type_
        self.values: dict[str, Value] = {}
        type_.locked += 1

    def wants(self, name: str) -> bool:
        """Is there a field of that name?"""
        return name in self.type.fields

    def put(self, ctx: Context, name: str, value: Value) -> None:
        """Check a value for a field."""
        self.type.fields[name].check(value)
        self.values[name] = value

    def close(self) -> None:
        self.type.locked -= 1

    def finish(self, ctx: Context) -> Instance:
        """The instance; fields that were given no value get a default."""
        type_, values = self.type, self.values
        made = Instance(type_, [None] * len(type_.fields))
        home: Any = ctx.scope
        for place, (name, definition) in enumerate(type_.fields.items()):
            if name in values:
                value = values[name]
                if type_.relations:
                    type_.check_unrelated(made, name, value)
            else:
                value = definition.default(home)
            made.props[place] = definition.put(value, made, name)
        return made


class TypeCall:
    """A call `Name()` or `Name(x)`."""

    __slots__ = ("takes", "type")

    def __init__(self, type_: Type) -> None:
        self.type = type_
        self.takes = 1

    def check(self, index: int, value: Value) -> Value:
        return value

    def accept(self, index: int, thunk: Any) -> Value:
        return thunk()

    def lock(self, receiver: Value) -> None:
        self.type.locked += 1

    def unlock(self, receiver: Value) -> None:
        self.type.locked -= 1

    def run(self, ctx: Context, receiver: Value, *values: Value) -> Value:
        type_ = self.type
        if not values:
            return type_.new_default(ctx.scope)  # type: ignore[arg-type]
        source = values[0]
        if type(source) is int:
            found = ctx.scope.find(source)  # type: ignore[union-attr]
            if found is None:
                raise LookupFailed(f"there is no thing {source}")
            if type(found) is not Instance or found.kind is not type_:
                raise TypeFailed(f"{describe(found)} is no {type_.name}")
            return found
        if type(source) is Instance:
            if source.kind is type_:
                return source
            raise TypeFailed(f"{describe(source)} is no {type_.name}")
        if type(source) is not Thing:
            raise TypeFailed(f"{type_.name}() takes a thing or the id of one, not {type_name(source)}")
        return type_.from_thing(ctx, source)


class MethodCall(ClosureCall):
    """A call of a type's method; the type is locked meanwhile."""

    __slots__ = ("type",)

    def __init__(self, type_: Type, closure: Closure, thing: Value) -> None:
        super().__init__(closure, (thing,))
        self.type = type_

    def run(self, ctx: Context, receiver: Value, *arguments: Value) -> Value:
        self.type.locked += 1
        try:
            return super().run(ctx, receiver, *arguments)
        finally:
            self.type.locked -= 1


register_kind("type", Type, names="type")


def instances_of(ctx: Context, type_: Type) -> list[Instance]:
    """All instances of a type: those that are stored, then those that only the query's variables reach."""
    home: Any = ctx.scope
    found = [thing for thing in home.things() if type(thing) is Instance and thing.kind is type_]
    known = {id(thing) for thing in found}
    for thing in _reachable(ctx):
        if type(thing) is Instance and thing.kind is type_ and id(thing) not in known:
            known.add(id(thing))
            found.append(thing)
    return found


def _reachable(ctx: Context) -> Iterator[Thing]:
    """The unstored things that the variables of the query reach."""
    stack: list[Any] = [value for frame in ctx.frames for value in frame.values()]
    seen: set[int] = set()
    while stack:
        value = stack.pop()
        kind = type(value)
        if kind is List or kind is tuple:
            if id(value) not in seen:
                seen.add(id(value))
                stack += value
        elif kind is Set:
            stack += value.items
        elif isinstance(value, Thing) and id(value) not in seen:
            seen.add(id(value))
            yield value
            stack += value.values()
