"""Types: making, changing and describing them, and conversions of things (spec/types.md, sections 3, 5, 7 and 8)."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from engine.change import Internal
from engine.errors import LookupFailed, OperationError, TypeFailed, ValueFailed
from engine.functions.enums import check_type_name
from engine.functions.procedures import require_commit
from engine.functions.registry import FUNCTIONS, function, method, type_name
from engine.snapshot import pack
from engine.types import log as _log  # noqa: F401  (registers how types are logged and kept)
from engine.types.defining import (
    become_instance,
    become_plain,
    drop_type,
    fill_type,
    make_type,
    reserve,
)
from engine.types.defining import (
    rename_type as rename_in,
)
from engine.types.info import field_list, info
from engine.types.instances import all_instances, all_things, instances_of, removed_by
from engine.types.modify import ACTIONS, check_not_required, modify
from engine.types.type import Type, adopt
from engine.users import CHANGE
from engine.values.copying import copied
from engine.values.list import List
from engine.values.mpdata import Mpdata
from engine.values.set import Set
from engine.values.thing import Instance, Thing
from engine.values.thing_methods import check_free

if TYPE_CHECKING:
    from engine.collection import Collection
    from engine.context import Context
    from engine.values.closure import Closure
    from engine.values.thing import Value

    Thunk = Callable[[], Value]

__all__ = ["find_type"]

WPO, HID, IDX = 2, 4, 8


def find_type(ctx: Context, name: str) -> Type:
    """The type of that name; LookupError when there is none."""
    type_ = ctx.scope.types.get(name)
    if type_ is None:
        raise LookupFailed(f"there is no type {name[:80]}")
    return type_


def home_of(ctx: Context) -> Collection:
    """The collection that the query runs in; types exist nowhere else."""
    return ctx.scope  # type: ignore[return-value]


def _flags(flags: Thunk | None, hide: Thunk | None, name: str) -> tuple[bool | None, bool | None, bool | None]:
    """What the flag arguments say of wrap-only, hide-id and auto-index; None where they say nothing."""
    if flags is None:
        return None, None, None
    first = flags()
    if type(first) is int and hide is None:
        return (
            True if first & WPO else None,
            True if first & HID else None,
            True if first & IDX else None,
        )
    if type(first) is not bool:
        raise TypeFailed(f"{name}() takes flags that are an int or a bool, not {type_name(first)}")
    if hide is None:
        return first, None, None
    second = hide()
    if type(second) is not bool:
        raise TypeFailed(f"{name}() takes a bool after a bool, not {type_name(second)}")
    return first, second, None


def _flag_job(type_: Type) -> dict[str, Any]:
    return {
        "type_flag": {
            "type_id": type_.id,
            "modified_at": type_.modified_at,
            "hide_id": type_.hide_id,
            "auto_index": type_.auto_index,
        }
    }


def _new_type_job(type_: Type) -> dict[str, Any]:
    return {
        "type_id": type_.id,
        "created_at": type_.created_at,
        "name": type_.name,
        "wrap_only": type_.wrap_only,
    }


@function(
    "new_type",
    "name: str, flags?: lazy any, hide_id?: lazy any",
    scopes="C",
    changes="C",
    doc="Makes a type without fields, so that others can mention it; gives the name.",
    example="new_type('Song')",
)
def new_type(ctx: Context, name: str, flags: Thunk | None = None, hide: Thunk | None = None) -> str:
    require_commit(ctx)
    home = home_of(ctx)
    check_type_name(home, name)
    wrap_only, hide_id, auto_index = _flags(flags, hide, "new_type")
    type_ = make_type(home, reserve(home, name), name, int(ctx.now))
    type_.wrap_only, type_.hide_id, type_.auto_index = bool(wrap_only), bool(hide_id), bool(auto_index)
    home.record({"new_type": _new_type_job(type_)})
    if type_.hide_id or type_.auto_index:
        home.record_internal(home.root.id, _flag_job(type_))
    return name


@function(
    "set_type",
    "name: str, fields: lazy thing, flags?: lazy any, hide_id?: lazy any",
    scopes="C",
    changes="C",
    runs_code=True,
    doc="Gives a type, which it makes if there is none, its fields and methods.",
    example="set_type('Song', {title: 'str', length: 'int<0:>', long: |this| this.length > 300})",
)
def set_type(ctx: Context, name: str, fields: Thunk, flags: Thunk | None = None, hide: Thunk | None = None) -> None:
    require_commit(ctx)
    home = home_of(ctx)
    type_ = home.types.get(name)
    if type_ is None:
        _make_and_fill(ctx, home, name, fields, flags, hide)
        return
    type_.check_unlocked()
    if type_.fields:
        raise OperationError(f"the type {name} has fields already: use mod_type()")
    type_.locked += 1
    try:
        _fill(ctx, type_, fields, flags, hide)
    finally:
        type_.locked -= 1
    type_.modified_at = int(ctx.now)
    _tell_fields(home, type_)


def _make_and_fill(
    ctx: Context, home: Collection, name: str, fields: Thunk, flags: Thunk | None, hide: Thunk | None
) -> None:
    """`set_type` of a type that is not there: it is while its fields are evaluated, and if they are wrong, its id
    stays reserved for its name."""
    check_type_name(home, name)
    type_id = reserve(home, name)
    home.record_internal(home.root.id, {"reserve_type": [name, type_id]})
    type_ = make_type(home, type_id, name, int(ctx.now))
    assert home.change is not None
    mutations = home.change.mutations
    job = _new_type_job(type_)
    home.record({"new_type": job})
    told = len(mutations)
    type_.locked += 1
    try:
        _fill(ctx, type_, fields, flags, hide)
    except BaseException:
        type_.locked -= 1
        drop_type(home, type_, all_things(home))
        if len(mutations) == told:
            mutations.pop()
        else:  # what was done since may mention the type
            home.record({"del_type": type_id})
        raise
    type_.locked -= 1
    job["wrap_only"] = type_.wrap_only
    _tell_fields(home, type_)


def _fill(ctx: Context, type_: Type, fields: Thunk, flags: Thunk | None, hide: Thunk | None) -> None:
    """Give a type without fields what the arguments of `set_type` say. On error it is left as it was."""
    thing: Thing = FUNCTIONS["set_type"].check_lazy(1, fields)
    wrap_only, hide_id, auto_index = _flags(flags, hide, "set_type")
    assert type_.home is not None
    removed = removed_by(ctx)
    for instance in all_instances(type_.home, type_):
        if instance.id not in removed:
            raise OperationError(f"the type {type_.name} has instances already: use mod_type()")
        ctx.allow(instance)
        become_plain(instance)  # it has no part in what follows
    if wrap_only and not type_.wrap_only:
        check_not_required(type_)
    old = type_.wrap_only, type_.methods, type_.id_name
    if wrap_only is not None:
        type_.wrap_only = wrap_only
    try:
        fill_type(type_, list(thing.items()))
        _add_old(type_, old[1], old[2])
    except BaseException:
        type_.wrap_only, type_.methods, type_.id_name = old
        type_.fields = {}
        type_.number()
        raise
    if hide_id is not None:
        type_.hide_id = hide_id
    if auto_index:
        type_.auto_index = True


def _add_old(type_: Type, methods: dict[str, Closure], id_name: str | None) -> None:
    """The type had these methods and this name of the id before it got fields; a new method of a name replaces the old
    one."""
    for name in type_.fields:
        if name in methods or name == id_name:
            raise LookupFailed(f"the type {type_.name} has {name} already")
    if id_name is not None:
        if type_.id_name is not None or id_name in type_.methods:
            raise LookupFailed(f"the type {type_.name} has a name for the id already, {id_name}")
        type_.id_name = id_name
    if type_.id_name in methods:
        raise LookupFailed(f"the type {type_.name} has {type_.id_name} already")
    type_.methods = {**methods, **type_.methods}


def _tell_fields(home: Collection, type_: Type) -> None:
    home.record(
        {
            "set_type": {
                "type_id": type_.id,
                "modified_at": type_.modified_at or 0,
                "wrap_only": type_.wrap_only,
                "fields": field_list(type_),
                "methods": {key: {"/": closure.code.compact} for key, closure in type_.methods.items()},
            }
        }
    )
    if type_.hide_id or type_.auto_index:
        home.record_internal(home.root.id, _flag_job(type_))


@function(
    "mod_type",
    "name: str, action: lazy any, field: lazy any, arguments*: lazy any",
    scopes="C",
    changes="C",
    runs_code=True,
    doc="Changes a type by one of the actions add, del, mod, ren, rel, all, hid, idx and wpo.",
    example="mod_type('Song', 'add', 'year', 'int?')",
)
def mod_type(ctx: Context, name: str, action: Thunk, *arguments: Thunk) -> None:
    require_commit(ctx)
    type_ = find_type(ctx, name)
    type_.check_unlocked()
    if any(thing.lock for thing in all_instances(home_of(ctx), type_)):
        raise OperationError(f"the type {name} can't be changed while an instance is in use")
    type_.locked += 1
    try:
        what = action()
        if type(what) is not str:
            raise TypeFailed(f"mod_type() takes a str as argument 2, not {type_name(what)}")
        if what not in ACTIONS:
            raise ValueFailed(f"mod_type() knows the actions {', '.join(ACTIONS)}, not {what[:80]!r}")
        modify(ctx, type_, what, arguments)
    finally:
        type_.locked -= 1


@function(
    "del_type",
    "name: str",
    scopes="C",
    changes="C",
    doc="Deletes a type that no other type uses; its instances become plain things.",
    example="del_type('Song')",
)
def del_type(ctx: Context, name: str) -> None:
    require_commit(ctx)
    home = home_of(ctx)
    type_ = find_type(ctx, name)
    type_.check_unlocked()
    for other in home.types.values():
        if other is not type_ and other.uses(type_):
            raise OperationError(f"the type {other.name} uses the type {name}")
    things = all_things(home)
    if ctx.journal is not None:
        ctx.journal.save_all(thing for thing in things if thing.kind is not None)
    drop_type(home, type_, things)
    home.record({"del_type": type_.id})


@function(
    "rename_type",
    "name: str, new_name: str",
    scopes="C",
    changes="C",
    doc="Gives a type another name; the definitions of all types follow.",
    example="rename_type('Song', 'Track')",
)
def rename_type(ctx: Context, name: str, new_name: str) -> None:
    require_commit(ctx)
    home = home_of(ctx)
    type_ = find_type(ctx, name)
    type_.check_unlocked()
    check_type_name(home, new_name)
    rename_in(home, type_, new_name)
    home.record({"rename_type": {"id": type_.id, "name": new_name}})


@function("has_type", "name: str", scopes="C", doc="Is there a type of that name?", example="has_type('Song')")
def has_type(ctx: Context, name: str) -> bool:
    return name in ctx.scope.types


def _may_change(ctx: Context) -> bool:
    user = ctx.caller.user
    return user is not None and bool(ctx.scope.access.get(user.id, 0) & CHANGE)


@function(
    "type_info", "name: str", scopes="C", doc="What is known of a type.", example="type_info('Song').load().fields"
)
def type_info(ctx: Context, name: str) -> Mpdata:
    return Mpdata.of(info(find_type(ctx, name), _may_change(ctx)))


@function("types_info", scopes="C", doc="What is known of each type.", example="types_info().len()")
def types_info(ctx: Context) -> List:
    return List([Mpdata.of(info(ctx.scope.types[name], _may_change(ctx))) for name in sorted(ctx.scope.types)])


@function("type_count", "name: str", scopes="C", runs_code=True, doc="How many instances a type has.",
          example="type_count('Song')")  # fmt: skip
def type_count(ctx: Context, name: str) -> int:
    return len(instances_of(ctx, find_type(ctx, name)))


@function("type_all", "name: str", scopes="C", runs_code=True, doc="A set of all instances of a type.",
          example="type_all('Song')")  # fmt: skip
def type_all(ctx: Context, name: str) -> Set:
    return Set(instances_of(ctx, find_type(ctx, name)))


@function(
    "new",
    "type: str, thing?: lazy any",
    scopes="C",
    runs_code=True,
    doc="A new instance of a type: with defaults, from a thing, or a copy of an instance.",
    example="new('Song', {title: 'Waltz'})",
)
def new(ctx: Context, name: str, thing: Thunk | None = None) -> Value:
    type_ = find_type(ctx, name)
    type_.check_instantiable()
    if thing is None:
        return type_.new_default(home_of(ctx))
    type_.locked += 1
    try:
        source = thing()
    finally:
        type_.locked -= 1
    if type(source) is Instance:
        if source.kind is not type_:
            raise TypeFailed(f"new() takes a thing or a {name}, not {type_name(source)}")
        return copied(ctx, source, 1, keep=True)
    if type(source) is not Thing:
        raise TypeFailed(f"new() takes a thing as argument 2, not {type_name(source)}")
    return type_.from_thing(ctx, source)


# --- conversions -----------------------------------------------------------------------------------------------------


@method(
    "plain",
    "to_type",
    "type: str",
    mutates=True,
    doc="Turns the thing itself into an instance of a type.",
    example=".song = {title: 'Waltz'}; .song.to_type('Song')",
)
def to_type(ctx: Context, thing: Thing, name: str) -> None:
    home = home_of(ctx)
    if ctx.root is thing:
        require_commit(ctx)
    type_ = find_type(ctx, name)
    type_.check_unlocked()
    type_.check_instantiable()
    if thing.kind is not None:
        raise ValueFailed("a thing with a restriction can't become an instance")
    for key, value in thing.items():
        definition = type_.fields.get(key)
        if definition is None:
            raise TypeFailed(f"the type {name} has no field {key[:80]!r}")
        if key in type_.relations:
            raise TypeFailed(f"the field {key} has a relation: leave it out and set it afterwards")
        check_free(value, key)
        try:
            definition.check(value)
        except ValueFailed as error:
            raise TypeFailed(error.message) from None
    count = [0]
    added = {
        key: definition.put(definition.default(home, count), thing, key)
        for key, definition in type_.fields.items()
        if not thing.has(key)
    }
    trees = {key: pack(value, home) for key, value in added.items()} if thing.id else {}
    for key, value in thing.items():
        adopt(ctx, type_.fields[key], value)
    for key, value in added.items():
        thing.put(key, value)
    become_instance(thing, type_)
    if thing.id:
        for key, tree in trees.items():
            ctx.record(thing.id, {"set": {key: tree}})
        ctx.record(thing.id, {"to_type": type_.id})


@method(
    "instance",
    "to_thing",
    mutates=True,
    doc="Turns the instance itself into a plain thing.",
    example=".song.to_thing()",
)
def to_thing(ctx: Context, thing: Instance) -> None:
    type_ = thing.kind
    type_.check_unlocked()
    for other in ctx.scope.types.values():
        if other.uses(type_):
            raise OperationError(f"the type {other.name} uses the type {type_.name}")
    become_plain(thing)
    if thing.id:
        ctx.change.mutations.append((thing.id, Internal({"to_thing": True})))  # type: ignore[union-attr]
