"""Types: ordered fields with definitions, and methods; how instances are made and set (spec/types.md, sections 1 to
4)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from engine.errors import LookupFailed, NumArgumentsError, OperationError, TypeFailed
from engine.functions.registry import type_name
from engine.language.callees import ClosureCall
from engine.language.runtime import describe
from engine.limits import MAX_DEFAULT_THINGS
from engine.quota import check_new_thing, check_stored
from engine.snapshot import pack
from engine.types.definition import MISSING, Definition
from engine.values.set import Set
from engine.values.storing import OWNED, SCALARS
from engine.values.thing import Instance, Thing

if TYPE_CHECKING:
    from engine.collection import Collection
    from engine.context import Context
    from engine.types.enum import Enum
    from engine.types.relations import Relation
    from engine.types.restriction import Restriction
    from engine.values.closure import Closure
    from engine.values.thing import Value

__all__ = ["Builder", "Type"]


class Type:
    """A type. `fields` are definitions by name, in order; `positions` the place of each field in an instance's values,
    `row` the definitions by place, `start` what a new instance begins with by place; `methods` closures that get the
    instance first; `relations` those of its fields that have one; `id_name` the name under which results show the id,
    None: `#`.

    `pending` is the definition that a field is about to get; `locked` counts what forbids changing the type; `ids` are
    those of the stored instances, and of some that are gone, if it has an index. Times in whole seconds since 1970.
    """

    def __init__(self, home: Collection | None, type_id: int, name: str, created_at: int) -> None:
        self.home = home
        self.id = type_id
        self.name = name
        self.created_at = created_at
        self.modified_at: int | None = None
        self.wrap_only = False
        self.hide_id = False
        self.fields: dict[str, Definition] = {}
        self.positions: dict[str, int] = {}
        self.row: tuple[Definition, ...] = ()
        self.start: list[Value] = []
        self.unsettled = False  # is a default to be made for each instance?
        self.methods: dict[str, Closure] = {}
        self.relations: dict[str, Relation] = {}
        self.id_name: str | None = None
        self.pending: Definition | None = None
        self.locked = 0
        self.ids: set[int] | None = None
        self.stale = 0  # from so many ids on, those of instances that are gone are looked for

    # --- fields ------------------------------------------------------------------------------------------------------

    @property
    def shown_id(self) -> str | None:
        """The key under which a result shows the id of an instance; None when it is hidden."""
        return None if self.hide_id else (self.id_name or "#")

    def number(self) -> None:
        """The fields have changed: count their positions anew."""
        self.positions = {name: place for place, name in enumerate(self.fields)}
        self.row = tuple(self.fields.values())
        self.start = [definition.fixed_default() for definition in self.row]
        self.unsettled = MISSING in self.start

    def has_name(self, name: str) -> bool:
        """Is it the name of a field, a method or the id?"""
        return name in self.fields or name in self.methods or name == self.id_name

    def item_restriction(self, name: str) -> Restriction | None:
        """What the items of the list or set in a field must be."""
        return self.fields[name].spec

    def definitions(self) -> list[Definition]:
        """The definitions of its fields, and the one that a field is about to get."""
        return [*self.row, self.pending] if self.pending is not None else [*self.row]

    def uses(self, subject: Type | Enum) -> bool:
        """Does a definition name the type or enum?"""
        return any(subject in definition.subjects() for definition in self.definitions())

    def mentions(self, name: str) -> bool:
        """Does a definition name the type or enum of that name?"""
        return any(subject.name == name for definition in self.definitions() for subject in definition.subjects())

    def check_unlocked(self) -> None:
        """OperationError while something forbids changing the type."""
        if self.locked:
            raise OperationError(f"the type {self.name} can't be changed while it is in use")

    # --- an index of its instances -----------------------------------------------------------------------------------

    @property
    def auto_index(self) -> bool:
        """Does it know the ids of its instances?"""
        return self.ids is not None

    @auto_index.setter
    def auto_index(self, wanted: bool) -> None:
        if not wanted:
            self.ids = None
        elif self.ids is None:
            things = self.home.things() if self.home is not None else ()
            self.ids = {thing.id for thing in things if thing.kind is self}
            self.stale = 2 * len(self.ids) + 1000

    def enter(self, thing: Thing) -> None:
        """An instance got an id, or a stored thing became an instance."""
        ids = self.ids
        if ids is not None:
            ids.add(thing.id)
            if len(ids) > self.stale and self.home is not None:
                find = self.home.find
                self.ids = {known for known in ids if getattr(find(known), "kind", None) is self}
                self.stale = 2 * len(self.ids) + 1000

    # --- making instances --------------------------------------------------------------------------------------------

    def check_instantiable(self) -> None:
        """TypeError when the type only wraps."""
        if self.wrap_only:
            raise TypeFailed(f"the type {self.name} only wraps things: it has no instances")

    def blank(self, home: Collection) -> Instance:
        """A new instance with those defaults that are always the same."""
        if home.quotas:
            check_new_thing(home, 0)  # its fields are no properties that somebody added
        return Instance(self, self.start.copy())

    def new_default(self, home: Collection, made: list[int] | None = None) -> Instance:
        """A new instance with a default in every field; `made` counts those that are made together."""
        instance = self.blank(home)
        if self.unsettled:
            self.settle(home, instance, made)
        return instance

    def settle(self, home: Collection, instance: Instance, made: list[int] | None = None) -> None:
        """Put fresh defaults into the fields of a new instance that have no value yet."""
        if made is None:
            made = [0]
        made[0] += 1
        if made[0] > MAX_DEFAULT_THINGS:
            raise OperationError(f"the defaults of a value can be at most {MAX_DEFAULT_THINGS} things")
        values = instance.props
        for name, place in self.positions.items():
            if values[place] is MISSING:
                definition = self.row[place]
                value = definition.default(home, made)
                values[place] = value if type(value) in SCALARS else definition.put(value, instance, name)

    def fit(self, ctx: Context, instance: Instance, place: int, name: str, value: Value) -> Value:
        """The value for a field of a new instance as it stands there; checked."""
        definition = self.row[place]
        definition.check(value)
        if ctx.scope.quotas:
            check_stored(ctx.scope, value)
        if name in self.relations:
            self.relations[name].check_stored(instance, value)
        adopt(ctx, definition, value)
        return definition.put(value, instance, name)

    def make(self, ctx: Context, names: tuple[str, ...], values: tuple[Value, ...]) -> Instance:
        """`Name{…}` with its values; those for other names than fields are ignored."""
        self.check_instantiable()
        home: Any = ctx.scope
        instance = self.blank(home)
        positions, row, props = self.positions, self.row, instance.props
        for name, value in zip(names, values, strict=True):
            place = positions.get(name)
            if place is not None:
                plain = type(value) in row[place].plain
                props[place] = value if plain else self.fit(ctx, instance, place, name, value)
        if self.unsettled:
            self.settle(home, instance)
        return instance

    def from_thing(self, ctx: Context, source: Thing) -> Instance:
        """A new instance with the properties of an untyped thing; those that are no fields are left out."""
        names = tuple(name for name in self.positions if source.has(name))
        return self.make(ctx, names, tuple(map(source.get, names)))

    # --- setting fields ----------------------------------------------------------------------------------------------

    def set_field(self, ctx: Context, thing: Instance, name: str, value: Value) -> Value:
        """Set a field of an instance that may be changed now; gives the value as stored."""
        place = self.positions.get(name)
        if place is None:
            raise LookupFailed(f"{describe(thing)} has no property {name[:80]!r}")
        definition = self.row[place]
        props = thing.props
        plain = type(value) in definition.plain
        if not plain:
            definition.check(value)
            plain = type(value) in SCALARS and name not in self.relations
        if plain and type(props[place]) not in OWNED:
            props[place] = value
            if thing.id:
                ctx.change.mutations.append((thing.id, {"set": {name: value}}))  # type: ignore[union-attr]
            return value
        old = props[place]
        if type(old) in OWNED and old.lock:
            raise OperationError(f"the property {name} can't be replaced while it is in use")
        if name in self.relations:
            return self.relations[name].set(ctx, thing, place, value)
        return self.place(ctx, thing, place, name, definition, value)

    def place(
        self, ctx: Context, thing: Instance, place: int, name: str, definition: Definition, value: Value
    ) -> Value:
        """Put a value that was checked by a definition into a field, and record it. On error nothing is changed."""
        if ctx.scope.quotas:
            check_stored(ctx.scope, value, thing.props[place])
        adopted = adopt(ctx, definition, value)
        stored = tree = definition.put(value, thing, name)
        if type(stored) not in SCALARS:
            if thing.id:
                try:
                    tree = pack(stored, ctx.scope)  # type: ignore[arg-type]
                except BaseException:
                    if adopted:
                        value.kind = None
                    raise
            else:
                ctx.watch_loose(thing)
        ctx.release(thing.props[place])
        thing.props[place] = stored
        if thing.id:
            ctx.record(thing.id, {"set": {name: tree}})
        return stored

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

    # --- the sets in fields ------------------------------------------------------------------------------------------

    def change_members(
        self, ctx: Context, holder: Instance, target: Set, added: list[Thing], removed: list[Thing]
    ) -> bool:
        """Put things that fit into the set of a field, and take others out of it, where the field has a relation that
        must follow; False, and nothing is done, where it has none."""
        relation = self.relations.get(target.key)
        if relation is None:
            return False
        relation.change_members(ctx, holder, target, added, removed)  # type: ignore[arg-type]
        return True

    def replace_members(self, ctx: Context, holder: Instance, target: Set, wanted: Set) -> Set:
        """`set op= …` on the set of a field."""
        if target.spec is not None:
            for thing in wanted.items:
                if thing not in target.items:
                    target.spec.check(thing)
        relation = self.relations.get(target.key)
        if relation is not None:
            return relation.replace_members(ctx, holder, target, wanted)
        if holder.id:
            tree = pack(wanted, ctx.scope)  # type: ignore[arg-type]
            ctx.record(holder.id, {"set": {target.key: tree}})
        else:
            ctx.watch_loose(holder)
        target.items = dict(wanted.items)
        return target

    # --- calls -------------------------------------------------------------------------------------------------------

    def builder(self, ctx: Context, lock: bool) -> Builder:
        """What collects the values of `Name{…}`; the type is locked until its `close`, if it is to be."""
        self.check_instantiable()
        builder = Builder(self, ctx.scope)  # type: ignore[arg-type]
        if lock:
            self.locked += 1
        return builder

    def as_function(self, ctx: Context, count: int) -> TypeCall:
        """What `Name(…)` calls."""
        if count > 1:
            raise NumArgumentsError(f"{self.name}() takes at most 1 argument, not {count}")
        self.check_instantiable()
        return TypeCall(self)

    def method_call(self, closure: Closure, thing: Value) -> MethodCall:
        """What `thing.method(…)` calls."""
        return MethodCall(self, closure, thing)


def adopt(ctx: Context, definition: Definition, value: Value) -> bool:
    """A thing is put into a field `thing<X>`, which was checked: it takes on the restriction. Was it without one?"""
    wanted = definition.demanded
    if wanted is None or type(value) is not Thing or (value.kind is not None and value.kind.demanded):
        return False
    ctx.allow(value)
    fresh = value.kind is None
    value.kind = wanted
    if value.id:
        ctx.scope.record_internal(value.id, {"restrict": wanted.packed})  # type: ignore[union-attr]
    return fresh


class Builder:
    """A new instance being made."""

    __slots__ = ("made", "type")

    def __init__(self, type_: Type, home: Collection) -> None:
        self.type = type_
        self.made = type_.blank(home)

    def wants(self, name: str) -> bool:
        """Is there a field of that name?"""
        return name in self.type.positions

    def put(self, ctx: Context, name: str, value: Value) -> None:
        """Check a value for a field."""
        type_ = self.type
        place = type_.positions[name]
        plain = type(value) in type_.row[place].plain
        self.made.props[place] = value if plain else type_.fit(ctx, self.made, place, name, value)

    def close(self) -> None:
        """The values are evaluated: the type is locked no longer."""
        self.type.locked -= 1

    def finish(self, ctx: Context) -> Instance:
        """The instance; fields that were given no value get a default."""
        if self.type.unsettled:
            self.type.settle(ctx.scope, self.made)  # type: ignore[arg-type]
        return self.made


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
                raise LookupFailed(f"there is no thing with the id {source}")
            if found.kind is not type_:
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
