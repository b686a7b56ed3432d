"""`mod_type`: what each of its actions does (spec/types.md, section 5)."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from engine.change import Internal
from engine.effects import InstanceJob
from engine.errors import LanguageError, LookupFailed, NumArgumentsError, OperationError, TypeFailed, ValueFailed
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
)
from engine.types.definition import Definition, parse_definition
from engine.types.loosening import loosens
from engine.types.relations import Relation, relate
from engine.types.type import Type, instances_of
from engine.values.closure import Closure
from engine.values.equality import equal
from engine.values.thing import Instance, Thing

if TYPE_CHECKING:
    from engine.collection import Collection
    from engine.context import Context
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
        return instances_of(self.ctx, self.type)

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

    def tell(self, thing: Instance, name: str, value: Value) -> None:
        """A mutation of an instance that watchers see."""
        if thing.id:
            self.ctx.record(thing.id, {"set": {name: pack(value, self.home)}})

    def note(self, thing: Instance, name: str) -> None:
        """A mutation of an instance that only the log sees."""
        if thing.id:
            value = thing.props[self.type.positions[name]]
            self.home.record_internal(thing.id, Internal({"set": {name: pack(value, self.home)}}))

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
        definition.store()
        mod.type.methods[name] = definition
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
        _append(mod, name, parsed, None, [])
        return
    by_closure = has_initial and type(initial) is Closure
    if has_initial and not by_closure:
        parsed.check(initial)
        value = initial
    else:
        value = parsed.default(mod.home)
    instances = mod.instances()
    _append(mod, name, parsed, value, instances)
    if type(initial) is Closure:
        _initialise(mod, name, parsed, initial, instances)


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


def _append(mod: Modification, name: str, definition: Definition, value: Value, instances: list[Instance]) -> None:
    from engine.types.info import written

    add_field(mod.type, name, definition, value, instances)
    job: dict[str, Any] = {**mod.touch(), "name": name, "spec": written(definition)}
    if not mod.type.wrap_only:
        shown = instances[0].props[-1] if instances else definition.put(value, Thing({}), name)
        job["dval"] = pack(shown, mod.home)
        known = pack(shown, mod.home)
        for thing in instances:
            if thing.id:
                mod.ctx.say(InstanceJob(thing.id, {"set": {name: known}}))
    mod.home.record({"mod_type_add": job})
    for thing in instances[1:]:
        if type(thing.props[-1]) is Thing or isinstance(thing.props[-1], Instance):
            break
        if thing.id:
            pack(thing.props[-1], mod.home)


def _initialise(
    mod: Modification, name: str, definition: Definition, closure: Closure, instances: list[Instance]
) -> None:
    failure: LanguageError | None = None
    for thing in instances:
        try:
            value = closure.call(mod.ctx, thing)
            present = thing.props[mod.type.positions[name]]
            if value is None or value is present:
                continue
            definition.check(value)
        except LanguageError as error:
            failure = failure or error
            continue
        stored = definition.put(value, thing, name)
        thing.props[mod.type.positions[name]] = stored
        if not equal(stored, present):
            mod.tell(thing, name, stored)
    _raise_after(failure)


def _raise_after(failure: LanguageError | None) -> None:
    """The first failure of a closure, once the change is made."""
    if failure is not None:
        message = failure.message
        failure = None
        raise OperationError(f"the type was changed, but not every instance could be: {message}")


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
        names = list(type_.methods)
        place, last = names.index(name), names.pop()
        if place < len(names):
            names[place] = last
        type_.methods = {each: type_.methods[each] for each in names}
        mod.home.record({"mod_type_del": {**mod.touch(), "name": name}})
        return
    if name not in type_.fields:
        raise LookupFailed(f"the type {type_.name} has no field or method {name}")
    mod.unrelated(name)
    instances = mod.instances()
    for thing in instances:
        if thing.id:
            mod.ctx.say(InstanceJob(thing.id, {"del": name}))
    drop_field(type_, name, instances)
    mod.home.record({"mod_type_del": {**mod.touch(), "name": name}})


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
        type_.methods = {new_name if each == name else each: held for each, held in type_.methods.items()}
    else:
        rename_field(type_, name, new_name, mod.instances())
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
        definition.store()
        type_.methods[name] = definition
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
    from engine.types.info import written

    spec = written(parsed)
    if type_.wrap_only:
        type_.fields[name] = parsed
        mod.home.record({"mod_type_mod": {**mod.touch(), "name": name, "spec": spec}})
    elif closure is None:
        if not loosens(parsed, type_.fields[name]):
            raise OperationError(
                f"not every value that fits {type_.fields[name].text} fits {parsed.text}: give a closure"
            )
        change_field(type_, name, parsed, mod.instances())
        mod.home.record({"mod_type_mod": {**mod.touch(), "name": name, "spec": spec}})
    else:
        _migrate(mod, name, parsed, closure)


def _migrate(mod: Modification, name: str, definition: Definition, closure: Closure) -> None:
    """Change a field with a closure that makes the new values."""
    type_ = mod.type
    change_field(type_, name, parse_definition("any", mod.home), mod.instances())
    mod.home.record({"mod_type_mod": {**mod.touch(), "name": name, "spec": "any"}})
    place = type_.positions[name]
    failure: LanguageError | None = None
    done: set[int] = set()
    for thing in mod.instances():
        done.add(id(thing))
        failure = _migrate_one(mod, thing, name, definition, closure) or failure
    for thing in mod.instances():
        if id(thing) not in done:  # made by the closure
            failure = _put_right(mod, thing, name, definition) or failure
    change_field(type_, name, definition, mod.instances())
    for thing in mod.instances():
        value = thing.props[place]
        if type(value) is Thing and definition.core == "things" and value.kind is None and definition.item is not None:
            value.kind = definition.demanded
    mod.home.record({"mod_type_mod": {**mod.touch(), "name": name, "spec": definition.text}})
    _raise_after(failure)


def _migrate_one(
    mod: Modification, thing: Instance, name: str, definition: Definition, closure: Closure
) -> LanguageError | None:
    failure: LanguageError | None = None
    value: Value = None
    try:
        value = closure.call(mod.ctx, thing)
    except LanguageError as error:
        failure = error
    if value is not None:
        try:
            definition.check(value)
        except LanguageError as error:
            failure = error
        else:
            place = mod.type.positions[name]
            thing.props[place] = definition.put(value, thing, name)
            mod.tell(thing, name, thing.props[place])
            return failure
    return _put_right(mod, thing, name, definition) or failure


def _put_right(mod: Modification, thing: Instance, name: str, definition: Definition) -> LanguageError | None:
    """Keep the present value if it fits, else use the default; the error that says the latter."""
    place = mod.type.positions[name]
    if definition.accepts(thing.props[place]):
        return None
    thing.props[place] = definition.put(definition.default(mod.home), thing, name)
    mod.tell(thing, name, thing.props[place])
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
        end_relation(relation)
        relation.other.modified_at = int(mod.ctx.now)
        head = mod.touch()
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
    first = Relation(type_, name, other, other_name)
    second = first if other is type_ and other_name == name else Relation(other, other_name, type_, name)
    relate(mod.ctx, first, second, lambda wanted: instances_of(mod.ctx, wanted))
    type_.relations[name] = first
    other.relations[other_name] = second
    other.modified_at = int(mod.ctx.now)
    mod.home.record(
        {
            "mod_type_rel_add": {
                "modified_at": mod.touch()["modified_at"],
                "type1_id": type_.id,
                "name1": name,
                "type2_id": other.id,
                "name2": other_name,
            }
        }
    )


def _relatable(type_: Type, name: str) -> Type:
    """The type that a field refers to in a form that can have a relation: `T?` or `{T}`."""
    definition = type_.fields[name]
    if definition.core == "type" and definition.nilable:
        return definition.subject  # type: ignore[no-any-return]
    if definition.core == "set" and definition.item is not None and not definition.nilable:
        return definition.item.subject  # type: ignore[return-value]
    raise TypeFailed(f"a relation is between fields like T? and {{T}}, not {definition.text}")


def end_relation(relation: Relation) -> None:
    """The two sides no longer keep each other."""
    relation.type.relations.pop(relation.field, None)
    relation.other.relations.pop(relation.other_field, None)


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
            check_wrap_only(mod.type, wanted, mod.instances())
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
