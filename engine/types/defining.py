"""Making and changing what a type consists of, and keeping its instances in step (spec/types.md, sections 2 to 5 and
8). Used by the functions and by replay alike: nothing here is recorded."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, TypeVar

from engine.errors import LookupFailed, MaxQuotaError, TypeFailed, ValueFailed
from engine.functions.registry import KINDS, type_name
from engine.limits import MAX_FIELDS_TO_SELF, MAX_TYPES
from engine.names import is_name
from engine.types.definition import Definition
from engine.types.instances import touched
from engine.types.parsing import parse_definition
from engine.types.type import Type
from engine.values.closure import Closure
from engine.values.list import List
from engine.values.storing import OWNED, SCALARS, release
from engine.values.thing import Instance, Thing

if TYPE_CHECKING:
    from engine.collection import Collection
    from engine.values.thing import Value

__all__ = [
    "add_field", "become_plain", "change_field", "check_circles", "check_self_fields", "define", "drop_field",
    "drop_type", "make_type", "nested_definition", "rename_field", "reserve",
]  # fmt: skip


# --- types -----------------------------------------------------------------------------------------------------------


def reserve(home: Collection, name: str) -> int:
    """The id of a new type of that name: the one reserved for the name, or the next one."""
    known = home.reserved_type_ids.get(name)
    if known is not None:
        return known
    if home.next_type_id >= MAX_TYPES:
        raise MaxQuotaError(f"a collection can have at most {MAX_TYPES} types")
    home.reserved_type_ids[name] = home.next_type_id
    home.next_type_id += 1
    return home.reserved_type_ids[name]


def make_type(home: Collection, type_id: int, name: str, created_at: int) -> Type:
    """Add an empty type."""
    home.reserved_type_ids[name] = type_id
    home.next_type_id = max(home.next_type_id, type_id + 1)
    type_ = home.types[name] = home.types_by_id[type_id] = Type(home, type_id, name, created_at)
    return type_


def rename_type(home: Collection, type_: Type, name: str) -> None:
    """Give a type another name; a reservation of the new name goes to the old one."""
    old = type_.name
    home.types = {name if held is type_ else known: held for known, held in home.types.items()}
    type_.name = name
    handed = home.reserved_type_ids.pop(name, None)
    home.reserved_type_ids[name] = type_.id
    if handed is None:
        home.reserved_type_ids.pop(old, None)
    else:
        home.reserved_type_ids[old] = handed


def drop_type(home: Collection, type_: Type, things: Iterable[Thing]) -> None:
    """Remove a type: its instances among the things become plain, restrictions to it are lifted."""
    del home.types[type_.name]
    del home.types_by_id[type_.id]
    changed = []
    for thing in things:
        if thing.kind is type_:
            become_plain(thing)
        elif type(thing) is Thing and thing.kind is not None and thing.kind.subject is type_:
            thing.kind = None
        else:
            continue
        changed.append(thing)
    touched(home, changed)


def become_plain(thing: Thing) -> None:
    """Turn an instance into a plain thing, in place."""
    props = dict(zip(thing.kind.positions, thing.props, strict=False))  # one taken apart has no values any more
    thing.__class__ = Thing
    thing.kind = None
    thing.props = props
    for value in props.values():
        if type(value) in OWNED:
            value.spec = None


def become_instance(thing: Thing, type_: Type) -> None:
    """Turn a plain thing into an instance, in place; its properties are the fields of the type, with values that
    fit."""
    values = [thing.props[name] for name in type_.fields]
    thing.__class__ = Instance
    thing.kind = type_
    thing.props = values
    for definition, value in zip(type_.row, values, strict=True):
        if type(value) in OWNED:
            value.spec = definition.spec
    if thing.id:
        type_.enter(thing)


# --- definitions -----------------------------------------------------------------------------------------------------


def define(type_: Type, name: str, definition: Any, *, anonymous: bool = False) -> Definition | None:
    """The definition that a value means for a field of the type: a text, or in wrap-only types a thing or a list with
    one thing. None for `#`, which names the id."""
    if type(definition) is str:
        parsed = parse_definition(definition, type_.home, anonymous=anonymous)
        if parsed.core == "id":
            return None
        strict = parsed.strict_type()
        if strict is not None and strict.wrap_only and not type_.wrap_only:
            raise TypeFailed(f"the type {strict.name} only wraps: {type_.name} can't require it")
        for subject in parsed.subjects():
            if subject is not type_ and type(subject) is Type:
                subject.check_unlocked()
        return parsed
    if (
        isinstance(definition, Thing)
        or type(definition) in (List, tuple)
        or (anonymous and type(definition) in _anonymous())
    ):
        if not type_.wrap_only:
            raise ValueFailed(f"nested definitions need a type that only wraps: {name}")
        return nested_definition(type_, name, definition, anonymous=anonymous)
    raise TypeFailed(f"the definition of {name} is a str or a closure, not {type_name(definition)}")


def _anonymous() -> frozenset[type]:
    """The class of anonymous types, which may stand for the thing of a nested definition inside one another."""
    return KINDS.get("anonymous", frozenset())


def nested_definition(type_: Type, name: str, definition: Any, *, anonymous: bool = False) -> Definition:
    """A definition `{…}` or `[{…}]`."""
    many = type(definition) in (List, tuple)
    if many:
        if len(definition) != 1:
            raise ValueFailed(f"a nested definition for a list holds one thing: {name}")
        definition = definition[0]
        if not isinstance(definition, Thing) and not (anonymous and type(definition) in _anonymous()):
            raise TypeFailed(f"a nested definition for a list holds a thing, not {type_name(definition)}")
    if not isinstance(definition, Thing):
        parsed = Definition("nested")
        parsed.inner, parsed.many = definition.type, many
        return parsed
    inner = Type(type_.home, -1, f"{type_.name}.{name}", 0)
    inner.wrap_only = True
    fill_type(inner, definition.items(), anonymous=anonymous)
    inner.hide_id = inner.id_name is None
    parsed = Definition("nested")
    parsed.inner = inner
    parsed.many = many
    return parsed


def fill_type(type_: Type, items: Iterable[tuple[str, Value]], *, anonymous: bool = False) -> None:
    """Give an empty type its fields and methods; on error it is left without."""
    fields: dict[str, Definition] = {}
    methods: dict[str, Closure] = {}
    id_name: str | None = None
    for name, value in items:
        if not is_name(name):
            raise ValueFailed(f"{name[:80]!r} can't be the name of a field: it must follow the name rule")
        if type(value) is Closure:
            methods[name] = Closure(value.code)
            methods[name].store()
            continue
        definition = define(type_, name, value, anonymous=anonymous)
        if definition is not None:
            fields[name] = definition
        elif id_name is None:
            id_name = name
        else:
            raise LookupFailed(f"the type {type_.name} has two names for the id")
    type_.fields, type_.methods, type_.id_name = fields, methods, id_name
    try:
        check_circles(type_)
        check_self_fields(type_)
    except Exception:
        type_.fields, type_.methods, type_.id_name = {}, {}, None
        raise
    type_.number()


def check_self_fields(type_: Type) -> None:
    """MaxQuotaError when too many fields refer to the type itself."""
    count = sum(type_ in field.subjects() for field in type_.fields.values())
    if count > MAX_FIELDS_TO_SELF:
        raise MaxQuotaError(f"a type can have at most {MAX_FIELDS_TO_SELF} fields that refer to itself")


def check_circles(type_: Type) -> None:
    """ValueError when an instance of the type would need another instance of it, and so on for ever."""
    if type_.wrap_only:
        return
    stack = [type_]
    seen: set[int] = set()
    while stack:
        for field in stack.pop().fields.values():
            needed = field.strict_type()
            if needed is type_:
                raise ValueFailed(f"an instance of {type_.name} would need another one, without end: use ? or a list")
            if needed is not None and id(needed) not in seen:
                seen.add(id(needed))
                stack.append(needed)


# --- fields ----------------------------------------------------------------------------------------------------------


def add_field(type_: Type, name: str, definition: Definition, value: Value, instances: Iterable[Instance]) -> None:
    """Append a field; all instances get the value (lists and sets copies of it)."""
    type_.fields[name] = definition
    type_.number()
    if type(value) in SCALARS:
        for thing in instances:
            thing.props.append(value)
        return
    for thing in instances:
        thing.props.append(definition.put(value, thing, name))


def drop_field(type_: Type, name: str, instances: Iterable[Instance]) -> list[Value]:
    """Remove a field; the last one moves to its place. Gives the values that went, which live as long as that list."""
    place = type_.positions[name]
    type_.fields = without(type_.fields, name)
    type_.number()
    gone = []
    for thing in instances:
        value = thing.props[place]
        last = thing.props.pop()
        if place < len(thing.props):
            thing.props[place] = last
        release(value)
        gone.append(value)
    return gone


V = TypeVar("V")


def without(named: dict[str, V], name: str) -> dict[str, V]:
    """The same without a name, the last one in its place."""
    names = list(named)
    place, last = names.index(name), names.pop()
    if place < len(names):
        names[place] = last
    return {each: named[each] for each in names}


def renamed(named: dict[str, V], name: str, new_name: str) -> dict[str, V]:
    """The same with another name in the place of one."""
    return {new_name if each == name else each: held for each, held in named.items()}


def rename_field(type_: Type, name: str, new_name: str, instances: Iterable[Instance]) -> None:
    """Give a field another name, in its place."""
    definition = type_.fields[name]
    type_.fields = renamed(type_.fields, name, new_name)
    type_.number()
    if definition.core in ("any", "list", "set"):
        place = type_.positions[new_name]
        for thing in instances:
            value = thing.props[place]
            if type(value) in OWNED:
                value.key = new_name
    relation = type_.relations.get(name)
    if relation is not None:
        type_.relations = renamed(type_.relations, name, new_name)
        relation.field = new_name
        relation.back.other_field = new_name


def change_field(type_: Type, name: str, definition: Definition, instances: Iterable[Instance]) -> None:
    """Give a field another definition; the lists and sets in it obey it from now on."""
    type_.fields[name] = definition
    type_.number()
    place = type_.positions[name]
    spec = definition.spec
    for thing in instances:
        value = thing.props[place]
        if type(value) in OWNED:
            value.spec = spec
