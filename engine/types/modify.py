"""`mod_type`: what each of its actions does (spec/types.md, section 5)."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from engine.effects import InstanceJob
from engine.errors import LanguageError, LookupFailed, NumArgumentsError, OperationError, TypeFailed, ValueFailed
from engine.functions.procedures import detached
from engine.functions.registry import type_name
from engine.names import is_name
from engine.snapshot import pack
from engine.types.defining import (
    add_field,
    change_field,
    check_circles,
    check_self_fields,
    define,
    drop_field,
    rename_field,
    renamed,
    without,
)
from engine.types.definition import Definition
from engine.types.info import written
from engine.types.instances import (
    all_instances,
    instances_of,
    loose_things,
    removed_by,
    stored_instances,
    touched,
)
from engine.types.loosening import loosens
from engine.types.parsing import parse_definition
from engine.types.relations import Relation, fill_in, join, part
from engine.types.type import Type, adopt
from engine.values.closure import Closure
from engine.values.equality import equal
from engine.values.storing import SCALARS
from engine.values.thing import Instance, Thing

if TYPE_CHECKING:
    from engine.change import Job
    from engine.collection import Collection
    from engine.context import Context
    from engine.types.restriction import Restriction
    from engine.values.thing import Value

    Thunk = Callable[[], Value]

__all__ = ["ACTIONS", "modify"]


class Modification:
    """One call of `mod_type`: the type, which is locked, and the arguments that are still to be evaluated."""

    def __init__(self, ctx: Context, type_: Type, arguments: tuple[Thunk, ...]) -> None:
        self.ctx = ctx
        self.type = type_
        self.arguments = arguments
        self.home: Collection = ctx.scope  # type: ignore[assignment]

    def instances(self) -> list[Instance]:
        """The instances that the query sees."""
        return instances_of(self.ctx, self.type)

    def all_instances(self) -> list[Instance]:
        """Every instance there is: a change of the layout must reach them all."""
        found = all_instances(self.home, self.type)
        if self.ctx.journal is not None:
            self.ctx.journal.save_all(found)
        return found

    def restrict(self, thing: Thing, restriction: Restriction | None) -> None:
        """Give a thing another restriction, since what a field demands has changed."""
        if self.ctx.journal is not None:
            self.ctx.journal.save(thing)
        thing.kind = restriction
        if thing.id:
            packed = None if restriction is None else restriction.packed
            self.home.record_internal(thing.id, {"restrict": packed})

    def count(self, least: int, most: int) -> None:
        """NumArgumentsError unless `mod_type` got so many arguments."""
        given = len(self.arguments) + 2
        if not least <= given <= most:
            raise NumArgumentsError(f"mod_type() with this action takes {least} to {most} arguments, not {given}")

    def name(self) -> str:
        """The third argument, a name."""
        name = self.arguments[0]()
        if type(name) is not str:
            raise TypeFailed(f"the name of a field is a str, not {type_name(name)}")
        if not is_name(name):
            raise ValueFailed(f"{name[:80]!r} can't be the name of a field: it must follow the name rule")
        return name

    def touch(self) -> dict[str, Any]:
        """The type is modified now; what jobs begin with."""
        self.type.modified_at = int(self.ctx.now)
        return self.head()

    def head(self) -> dict[str, Any]:
        return {"type_id": self.type.id, "modified_at": self.type.modified_at}

    def tell_at_once(self, instances: list[Instance], job: Job) -> None:
        """Tell the watchers of stored instances of what happens to them."""
        ids = [thing.id for thing in instances if thing.id]
        if ids:
            self.ctx.say(InstanceJob(ids, job, self.home.noted))
            self.home.record_internal(self.home.root.id, {"instances": [ids, job]})

    def unrelated(self, name: str) -> None:
        if name in self.type.relations:
            raise TypeFailed(f"the field {name} has a relation: end it first")


def modify(ctx: Context, type_: Type, action: str, arguments: tuple[Thunk, ...]) -> None:
    """Run an action on a type; the arguments after it are thunks."""
    ACTIONS[action](Modification(ctx, type_, arguments))


# --- add -------------------------------------------------------------------------------------------------------------


def _add(mod: Modification) -> None:
    name = mod.name()
    if mod.type.has_name(name):
        raise LookupFailed(f"the type {mod.type.name} has {name} already")
    mod.count(4, 5)
    definition = mod.arguments[1]()
    if type(definition) is Closure:
        mod.count(4, 4)
        mod.type.methods[name] = detached(definition)
        mod.home.record({"mod_type_add": {**mod.head(), "name": name, "closure": {"/": definition.code.compact}}})
        return
    if definition == "#" and type(definition) is str:
        mod.count(4, 4)
        if mod.type.id_name is not None:
            raise LookupFailed(f"the type {mod.type.name} has a name for the id already")
        mod.type.id_name = name
        mod.home.record_internal(mod.home.root.id, {"type_id_name": {**mod.touch(), "name": name}})
        return
    if mod.type.wrap_only:
        mod.count(4, 4)
    initial = mod.arguments[2]() if len(mod.arguments) > 2 else None
    has_initial = len(mod.arguments) > 2
    parsed = define(mod.type, name, definition)
    assert parsed is not None
    _check_new(mod.type, name, parsed)
    if mod.type.wrap_only:
        _append(mod, name, parsed, None)
        return
    if has_initial and type(initial) is not Closure:
        parsed.check(initial)
        value = initial
    else:
        value = parsed.default(mod.home)
    _append(mod, name, parsed, value)
    if type(initial) is Closure:
        _initialise(mod, name, parsed, initial)


def _check_new(type_: Type, name: str, definition: Definition) -> None:
    """ValueError or MaxQuotaError when the type can't have the field."""
    old = type_.fields.get(name)
    type_.fields[name] = definition
    try:
        check_circles(type_)
        check_self_fields(type_)
    finally:
        if old is None:
            del type_.fields[name]
        else:
            type_.fields[name] = old


def _append(mod: Modification, name: str, definition: Definition, value: Value) -> None:
    """Append a field with a value, which was checked, for all instances."""
    type_ = mod.type
    if type_.wrap_only:
        add_field(type_, name, definition, None, ())
        mod.home.record({"mod_type_add": {**mod.touch(), "name": name, "spec": written(definition)}})
        return
    adopt(mod.ctx, definition, value)
    shown = definition.put(value, Thing({}), name)
    first = pack(shown, mod.home)
    instances = mod.all_instances()
    add_field(type_, name, definition, shown, instances)
    touched(mod.home, instances)
    mod.tell_at_once(instances, {"set": {name: pack(shown, mod.home)}})
    mod.home.record({"mod_type_add": {**mod.touch(), "name": name, "spec": written(definition), "dval": first}})


def _initialise(mod: Modification, name: str, definition: Definition, closure: Closure) -> None:
    """Let a closure give each instance its value in a new field."""
    type_ = mod.type
    place = type_.positions[name]
    failure: LanguageError | None = None
    for thing in mod.instances():
        try:
            value = closure.call(mod.ctx, thing)
            if value is None or _same(value, thing.props[place]):
                continue
            mod.ctx.allow(thing)
            type_.set_field(mod.ctx, thing, name, value)
        except LanguageError as error:
            failure = failure or _bare(error)
    _raise_after(failure)


def _same(value: Value, present: Value) -> bool:
    """Would setting the value leave what is there?"""
    return value is present or (type(value) is type(present) and type(value) in SCALARS and equal(value, present))


def _bare(error: LanguageError) -> LanguageError:
    """An error that is kept: it lets go of what was under way when it was raised."""
    error.__traceback__ = error.__context__ = error.__cause__ = None
    return error


def _raise_after(failure: LanguageError | None) -> None:
    """The first failure of a closure, once the change is made."""
    if failure is not None:
        raise OperationError(f"the type was changed, but not every instance could be: {failure.message}")


# --- del, ren --------------------------------------------------------------------------------------------------------


def _del(mod: Modification) -> None:
    mod.count(3, 3)
    name = mod.name()
    type_ = mod.type
    if name == type_.id_name:
        type_.id_name = None
        mod.home.record_internal(mod.home.root.id, {"type_id_name": {**mod.touch(), "name": None}})
        return
    if name in type_.methods:
        type_.methods = without(type_.methods, name)
        mod.home.record({"mod_type_del": {**mod.touch(), "name": name}})
        return
    if name not in type_.fields:
        raise LookupFailed(f"the type {type_.name} has no field or method {name}")
    mod.unrelated(name)
    instances = mod.all_instances()
    mod.tell_at_once(instances, {"del": name})
    mod.home.record({"mod_type_del": {**mod.touch(), "name": name}})
    touched(mod.home, instances)
    drop_field(type_, name, instances)


def _ren(mod: Modification) -> None:
    mod.count(4, 4)
    name = mod.name()
    type_ = mod.type
    if not type_.has_name(name):
        raise LookupFailed(f"the type {type_.name} has no field or method {name}")
    new_name = mod.arguments[1]()
    if type(new_name) is not str:
        raise TypeFailed(f"the new name of a field is a str, not {type_name(new_name)}")
    if new_name == name:
        return
    if not is_name(new_name) or type_.has_name(new_name):
        raise ValueFailed(f"a field can't be renamed to {new_name[:80]!r}: it is taken or breaks the name rule")
    if name == type_.id_name:
        type_.id_name = new_name
        mod.home.record_internal(mod.home.root.id, {"type_id_name": {**mod.touch(), "name": new_name}})
        return
    if name in type_.methods:
        type_.methods = renamed(type_.methods, name, new_name)
    else:
        rename_field(type_, name, new_name, mod.all_instances())
    mod.home.record({"mod_type_ren": {**mod.touch(), "name": name, "to": new_name}})


# --- mod -------------------------------------------------------------------------------------------------------------


def _mod(mod: Modification) -> None:
    name = mod.name()
    type_ = mod.type
    if not type_.has_name(name):
        raise LookupFailed(f"the type {type_.name} has no field or method {name}")
    if name == type_.id_name:
        raise TypeFailed("the name of the id can't be modified: delete it")
    mod.count(4, 5)
    definition = mod.arguments[1]()
    if name in type_.methods:
        if type(definition) is not Closure:
            raise TypeFailed(f"the method {name} can't become a field")
        mod.count(4, 4)
        type_.methods[name] = detached(definition)
        mod.home.record({"mod_type_mod": {**mod.touch(), "name": name, "closure": {"/": definition.code.compact}}})
        return
    if type(definition) is Closure:
        raise TypeFailed(f"the field {name} can't become a method")
    if type(definition) is str and definition == "#":
        raise TypeFailed(f"the field {name} can't become the name of the id")
    mod.unrelated(name)
    if type_.wrap_only:
        mod.count(4, 4)
    closure = mod.arguments[2]() if len(mod.arguments) > 2 else None
    if len(mod.arguments) > 2 and type(closure) is not Closure:
        raise TypeFailed(f"mod_type() takes a closure as argument 5, not {type_name(closure)}")
    parsed = define(type_, name, definition)
    assert parsed is not None
    _check_new(type_, name, parsed)
    old = type_.fields[name]
    if type_.wrap_only:
        change_field(type_, name, parsed, ())
        mod.home.record({"mod_type_mod": {**mod.touch(), "name": name, "spec": written(parsed)}})
    elif closure is not None:
        _migrate(mod, name, old, parsed, closure)
    elif loosens(parsed, old):
        instances = mod.all_instances()
        change_field(type_, name, parsed, instances)
        _loosen_things(mod, name, old, parsed, instances)
        mod.home.record({"mod_type_mod": {**mod.touch(), "name": name, "spec": written(parsed)}})
    else:
        raise OperationError(f"not every value that fits {old.text} fits {parsed.text}: give a closure")


def _loosen_things(mod: Modification, name: str, old: Definition, new: Definition, instances: list[Instance]) -> None:
    """What a field `thing<X>` demands was changed: so is the restriction of its things, but not of those that another
    field demands."""
    if old.demanded is None or old.demanded == new.demanded:
        return
    place = mod.type.positions[name]
    found = {thing for thing in (instance.props[place] for instance in instances) if type(thing) is Thing}
    for type_ in mod.home.types.values():
        for other, definition in enumerate(type_.row):
            if found and definition.demanded == old.demanded:
                found.difference_update(
                    value
                    for value in (instance.props[other] for instance in all_instances(mod.home, type_))
                    if type(value) is Thing
                )
    for thing in found:
        mod.restrict(thing, new.demanded)


def _migrate(mod: Modification, name: str, old: Definition, new: Definition, closure: Closure) -> None:
    """Change a field with a closure that makes the new values. Meanwhile the field takes anything."""
    type_ = mod.type
    change_field(type_, name, parse_definition("any", mod.home), mod.all_instances())
    mod.home.record({"mod_type_mod": {**mod.touch(), "name": name, "spec": "any"}})
    place = type_.positions[name]
    failure: LanguageError | None = None
    type_.pending = new
    try:
        for thing in mod.instances():
            try:
                value = closure.call(mod.ctx, thing)
                if value is not None:
                    new.check(value)
                    mod.ctx.allow(thing)
                    type_.place(mod.ctx, thing, place, name, new, value)
            except LanguageError as error:
                failure = failure or _bare(error)
    finally:
        type_.pending = None
        instances = mod.all_instances()
        for thing in instances:
            failure = _put_right(mod, thing, place, name, old, new) or failure
        change_field(type_, name, new, instances)
        mod.home.record({"mod_type_mod": {**mod.touch(), "name": name, "spec": written(new)}})
    _raise_after(failure)


def _put_right(
    mod: Modification, thing: Instance, place: int, name: str, old: Definition, new: Definition
) -> LanguageError | None:
    """Keep the present value of a field if it fits, else use the default; the error that says the latter."""
    value = thing.props[place]
    demanded = type(value) is Thing and value.kind is not None and value.kind == old.demanded
    if demanded and value.kind != new.demanded:
        mod.restrict(value, None)  # only this field demanded it
    if new.accepts(value):
        adopt(mod.ctx, new, value)
        return None
    type_ = mod.type
    type_.place(mod.ctx, thing, place, name, new, new.default(mod.home))
    return OperationError(f"the value of {name} did not fit and was replaced by the default")


# --- rel -------------------------------------------------------------------------------------------------------------


def _rel(mod: Modification) -> None:
    mod.count(4, 4)
    name = mod.name()
    type_ = mod.type
    if name not in type_.fields:
        raise LookupFailed(f"the type {type_.name} has no field {name}")
    other_name = mod.arguments[1]()
    if other_name is None:
        relation = type_.relations.get(name)
        if relation is None:
            raise TypeFailed(f"the field {name} has no relation")
        part(relation)
        head = mod.touch()
        relation.other.modified_at = type_.modified_at
        mod.home.record({"mod_type_rel_del": {"modified_at": head["modified_at"], "type_id": type_.id, "name": name}})
        return
    if type(other_name) is not str:
        raise TypeFailed(f"the other field of a relation is a str or nil, not {type_name(other_name)}")
    other = _relatable(type_, name)
    if other_name not in other.fields:
        raise LookupFailed(f"the type {other.name} has no field {other_name[:80]}")
    if _relatable(other, other_name) is not type_:
        raise TypeFailed(f"the field {other_name} of {other.name} does not refer back to {type_.name}")
    if name in type_.relations or other_name in other.relations:
        raise TypeFailed("a field can have one relation")
    if any(type(thing) is Instance and thing.kind in (type_, other) for thing in loose_things(mod.ctx)):
        raise TypeFailed("all instances must be stored before a relation is made")
    relation = join(type_, name, other, other_name)
    try:
        _check_strays(mod, relation)
        removed = removed_by(mod.ctx)
        ones, others = (
            [thing for thing in stored_instances(mod.home, side) if thing.id not in removed] for side in (type_, other)
        )
        fill_in(mod.ctx, relation, ones, others)
    except BaseException:
        part(relation)
        raise
    head = mod.touch()
    other.modified_at = type_.modified_at
    mod.home.record(
        {
            "mod_type_rel_add": {
                "modified_at": head["modified_at"],
                "type1_id": type_.id,
                "name1": name,
                "type2_id": other.id,
                "name2": other_name,
            }
        }
    )


def _check_strays(mod: Modification, relation: Relation) -> None:
    """TypeError when an instance that only a value under way refers to would be related without being stored."""
    for side in (relation, relation.back):
        for thing in all_instances(mod.home, side.type):
            side.check_stored(thing, side.of(thing))


def _relatable(type_: Type, name: str) -> Type:
    """The type that a field refers to in a form that can have a relation: `T?` or `{T}`."""
    definition = type_.fields[name]
    if definition.core == "type" and definition.nilable:
        return definition.subject  # type: ignore[no-any-return]
    if definition.core == "set" and definition.item is not None and not definition.nilable:
        return definition.item.subject  # type: ignore[return-value]
    raise TypeFailed(f"a relation is between fields like T? and {{T}}, not {definition.text}")


# --- all, hid, idx, wpo ----------------------------------------------------------------------------------------------


def _all(mod: Modification) -> None:
    mod.count(3, 3)
    closure = mod.arguments[0]()
    if type(closure) is not Closure:
        raise TypeFailed(f"mod_type() with the action all takes a closure, not {type_name(closure)}")
    for thing in mod.instances():
        closure.call(mod.ctx, thing)


def _flag(attribute: str) -> Callable[[Modification], None]:
    def set_flag(mod: Modification) -> None:
        mod.count(3, 3)
        wanted = mod.arguments[0]()
        if type(wanted) is not bool:
            raise TypeFailed(f"mod_type() takes a bool here, not {type_name(wanted)}")
        if getattr(mod.type, attribute) == wanted:
            return
        if attribute == "wrap_only":
            removed = removed_by(mod.ctx)
            check_wrap_only(mod.type, wanted, [thing for thing in mod.all_instances() if thing.id not in removed])
        setattr(mod.type, attribute, wanted)
        head = mod.touch()
        if attribute == "wrap_only":
            mod.home.record({"mod_type_wpo": {**head, "wrap_only": wanted}})
        else:
            mod.home.record_internal(mod.home.root.id, {"type_flag": {**head, attribute: wanted}})

    return set_flag


def check_wrap_only(type_: Type, wanted: bool, instances: list[Instance]) -> None:
    """OperationError when wrap-only can't be switched so."""
    assert type_.home is not None
    if wanted:
        if instances:
            raise OperationError(f"the type {type_.name} has instances, so it can't become wrap-only")
        check_not_required(type_)
        return
    for name, definition in type_.fields.items():
        strict = definition.strict_type()
        if definition.inner is not None or (strict is not None and (strict.wrap_only or strict is type_)):
            raise OperationError(f"the field {name} needs {type_.name} to be wrap-only")


def check_not_required(type_: Type) -> None:
    """OperationError when a type that is not wrap-only requires the type."""
    assert type_.home is not None
    for other in type_.home.types.values():
        if not other.wrap_only and other is not type_:
            for definition in other.fields.values():
                if definition.strict_type() is type_:
                    raise OperationError(f"the type {other.name} requires {type_.name}, which can't become wrap-only")


ACTIONS: dict[str, Callable[[Modification], None]] = {
    "add": _add,
    "del": _del,
    "mod": _mod,
    "ren": _ren,
    "rel": _rel,
    "all": _all,
    "hid": _flag("hide_id"),
    "idx": _flag("auto_index"),
    "wpo": _flag("wrap_only"),
}
