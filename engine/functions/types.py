"""Types: making, changing and describing them, and conversions of things (spec/types.md, sections 3, 5, 7 and 8)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from engine.change import Internal
from engine.errors import LookupFailed, OperationError, TypeFailed, ValueFailed
from engine.functions.enums import check_type_name
from engine.functions.procedures import require_commit
from engine.functions.registry import FUNCTIONS, function, method, type_name
from engine.replay import Replay, replays
from engine.snapshot import pack
from engine.state import loads, saves
from engine.types.defining import (
    add_field,
    become_instance,
    become_plain,
    change_field,
    define,
    drop_field,
    drop_type,
    fill_type,
    make_type,
    rename_field,
    reserve,
)
from engine.types.defining import (
    rename_type as rename_in,
)
from engine.types.info import described, field_list, info
from engine.types.modify import ACTIONS, check_not_required, end_relation, modify
from engine.types.relations import Relation
from engine.types.type import Type, instances_of
from engine.users import CHANGE
from engine.values.closure import Closure
from engine.values.copying import copied
from engine.values.list import List
from engine.values.mpdata import Mpdata
from engine.values.set import Set
from engine.values.storing import OWNED
from engine.values.thing import Instance, Thing

if TYPE_CHECKING:
    from engine.collection import Collection
    from engine.context import Context
    from engine.engine import Engine
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


def _create(ctx: Context, home: Collection, name: str) -> Type:
    return make_type(home, reserve(home, name), name, int(ctx.now))


def _tell_new(home: Collection, type_: Type) -> None:
    home.record(
        {
            "new_type": {
                "type_id": type_.id,
                "created_at": type_.created_at,
                "name": type_.name,
                "wrap_only": type_.wrap_only,
            }
        }
    )
    if type_.hide_id or type_.auto_index:
        home.record_internal(home.root.id, _flag_job(type_))


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
    type_ = _create(ctx, home, name)
    type_.wrap_only, type_.hide_id, type_.auto_index = bool(wrap_only), bool(hide_id), bool(auto_index)
    _tell_new(home, type_)
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
    made = type_ is None
    if type_ is None:
        check_type_name(home, name)
        type_id = reserve(home, name)
        home.record_internal(home.root.id, {"reserve_type": [name, type_id]})
        type_ = make_type(home, type_id, name, int(ctx.now))
    type_.check_unlocked()
    type_.locked += 1
    before = (type_.wrap_only, type_.hide_id, type_.auto_index)
    try:
        thing: Thing = FUNCTIONS["set_type"].check_lazy(1, fields)
        if not made and type_.fields:
            raise OperationError(f"the type {name} has fields already: use mod_type()")
        if not made and instances_of(ctx, type_):
            raise OperationError(f"the type {name} has instances already: use mod_type()")
        wrap_only, hide_id, auto_index = _flags(flags, hide, "set_type")
        if wrap_only and not type_.wrap_only:
            check_not_required(type_)
        if wrap_only is not None:
            type_.wrap_only = wrap_only
        if hide_id is not None:
            type_.hide_id = hide_id
        if auto_index:
            type_.auto_index = True
        old_methods = dict(type_.methods)
        old_id = type_.id_name
        try:
            fill_type(type_, list(thing.items()))
            if old_id is not None and type_.id_name is not None and old_id != type_.id_name:
                raise LookupFailed(f"the type {name} has a name for the id already")
        except Exception:
            type_.fields, type_.methods, type_.id_name = {}, old_methods, old_id
            type_.number()
            raise
        type_.methods = {**old_methods, **type_.methods}
        type_.id_name = type_.id_name or old_id
    except BaseException:
        type_.wrap_only, type_.hide_id, type_.auto_index = before
        if made:
            del home.types[name]
        raise
    finally:
        type_.locked -= 1
    if made:
        _tell_new(home, type_)
    else:
        type_.modified_at = int(ctx.now)
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
    if not made and (type_.hide_id or type_.auto_index):
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
    if any(thing.lock for thing in instances_of(ctx, type_)):
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
        if other is not type_ and any(type_ in field.subjects() for field in other.fields.values()):
            raise OperationError(f"the type {other.name} uses the type {name}")
    drop_type(home, type_, [thing for thing in instances_of(ctx, type_) if not thing.id])
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
    values: dict[str, Value] = {}
    for key, value in thing.items():
        definition = type_.fields.get(key)
        if definition is None:
            raise TypeFailed(f"the type {name} has no field {key[:80]!r}")
        if key in type_.relations:
            raise TypeFailed(f"the field {key} has a relation: leave it out and set it afterwards")
        if type(value) in OWNED and value.lock:
            raise OperationError(f"the property {key} can't be changed while it is in use")
        try:
            definition.check(value)
        except ValueFailed as error:
            raise TypeFailed(error.message) from None
        values[key] = value
    added = [key for key in type_.fields if key not in values]
    for key in added:
        values[key] = type_.fields[key].default(home)
    become_instance(thing, type_, values)
    if thing.id:
        for key in added:
            value = thing.props[type_.positions[key]]
            ctx.record(thing.id, {"set": {key: pack(value, home)}})
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
        if any(type_ in field.subjects() for field in other.fields.values()):
            raise OperationError(f"the type {other.name} uses the type {type_.name}")
    become_plain(thing)
    if thing.id:
        ctx.change.mutations.append((thing.id, Internal({"to_thing": True})))  # type: ignore[union-attr]


# --- replay ----------------------------------------------------------------------------------------------------------


def _by_id(replay: Replay, made: dict[str, Any]) -> Type:
    """The type of a job, modified when it says."""
    type_: Type = replay.home.type_by_id(made["type_id"])
    if made.get("modified_at"):
        type_.modified_at = made["modified_at"]
    return type_


def _stored(replay: Replay, type_: Type) -> list[Instance]:
    return [thing for thing in replay.home.things() if type(thing) is Instance and thing.kind is type_]


@replays("new_type")
def _new_type(replay: Replay, _: Any, made: dict[str, Any]) -> None:
    make_type(replay.home, made["type_id"], made["name"], made["created_at"]).wrap_only = made["wrap_only"]


@replays("reserve_type")
def _reserve_type(replay: Replay, _: Any, made: list[Any]) -> None:
    home = replay.home
    home.reserved_type_ids[made[0]] = made[1]
    home.next_type_id = max(home.next_type_id, made[1] + 1)


@replays("type_flag")
def _type_flag(replay: Replay, _: Any, made: dict[str, Any]) -> None:
    type_ = _by_id(replay, made)
    type_.hide_id = made.get("hide_id", type_.hide_id)
    type_.auto_index = made.get("auto_index", type_.auto_index)


@replays("type_id_name")
def _type_id_name(replay: Replay, _: Any, made: dict[str, Any]) -> None:
    _by_id(replay, made).id_name = made["name"]


def _written(definition: Any) -> Any:
    """A definition from its written form: nested ones become things again."""
    if isinstance(definition, str):
        return Closure.from_source(definition) if definition.startswith("|") else definition
    if isinstance(definition, list):
        return List([_written(item) for item in definition])
    return Thing({name: _written(item) for name, item in definition.items()})


def _fill(type_: Type, fields: list[list[Any]], methods: dict[str, Closure]) -> None:
    fill_type(type_, [(name, _written(definition)) for name, definition in fields])
    type_.methods = methods


@replays("set_type")
def _set_type(replay: Replay, _: Any, made: dict[str, Any]) -> None:
    type_ = _by_id(replay, made)
    type_.wrap_only = made["wrap_only"]
    _fill(type_, made["fields"], {name: Closure.from_source(tree["/"]) for name, tree in made["methods"].items()})


@replays("mod_type_add")
def _mod_type_add(replay: Replay, _: Any, made: dict[str, Any]) -> None:
    type_ = _by_id(replay, made)
    if "closure" in made:
        type_.methods[made["name"]] = Closure.from_source(made["closure"]["/"])
        return
    definition = define(type_, made["name"], _written(made["spec"]))
    assert definition is not None
    instances = _stored(replay, type_)
    add_field(type_, made["name"], definition, replay.value(made.get("dval")), instances)
    replay.home.dirty.update(thing.id for thing in instances)


@replays("mod_type_del")
def _mod_type_del(replay: Replay, _: Any, made: dict[str, Any]) -> None:
    type_ = _by_id(replay, made)
    name = made["name"]
    if name in type_.methods:
        names = list(type_.methods)
        place, last = names.index(name), names.pop()
        if place < len(names):
            names[place] = last
        type_.methods = {each: type_.methods[each] for each in names}
        return
    instances = _stored(replay, type_)
    replay.kept += drop_field(type_, name, instances)
    replay.home.dirty.update(thing.id for thing in instances)


@replays("mod_type_ren")
def _mod_type_ren(replay: Replay, _: Any, made: dict[str, Any]) -> None:
    type_ = _by_id(replay, made)
    name, to = made["name"], made["to"]
    if name in type_.methods:
        type_.methods = {to if each == name else each: held for each, held in type_.methods.items()}
    else:
        rename_field(type_, name, to, _stored(replay, type_))


@replays("mod_type_mod")
def _mod_type_mod(replay: Replay, _: Any, made: dict[str, Any]) -> None:
    type_ = _by_id(replay, made)
    if "closure" in made:
        type_.methods[made["name"]] = Closure.from_source(made["closure"]["/"])
        return
    definition = define(type_, made["name"], _written(made["spec"]))
    assert definition is not None
    change_field(type_, made["name"], definition, _stored(replay, type_))


@replays("mod_type_wpo")
def _mod_type_wpo(replay: Replay, _: Any, made: dict[str, Any]) -> None:
    _by_id(replay, made).wrap_only = made["wrap_only"]


@replays("mod_type_rel_add")
def _mod_type_rel_add(replay: Replay, _: Any, made: dict[str, Any]) -> None:
    one, two = replay.home.type_by_id(made["type1_id"]), replay.home.type_by_id(made["type2_id"])
    one.modified_at = two.modified_at = made["modified_at"]
    _relate(one, made["name1"], two, made["name2"])


def _relate(one: Type, name: str, two: Type, other: str) -> None:
    one.relations[name] = Relation(one, name, two, other)
    if one is not two or name != other:
        two.relations[other] = Relation(two, other, one, name)


@replays("mod_type_rel_del")
def _mod_type_rel_del(replay: Replay, _: Any, made: dict[str, Any]) -> None:
    type_ = replay.home.type_by_id(made["type_id"])
    relation = type_.relations[made["name"]]
    type_.modified_at = relation.other.modified_at = made["modified_at"]
    end_relation(relation)


@replays("del_type")
def _del_type(replay: Replay, _: Any, type_id: int) -> None:
    drop_type(replay.home, replay.home.type_by_id(type_id))


@replays("rename_type")
def _rename_type(replay: Replay, _: Any, made: dict[str, Any]) -> None:
    rename_in(replay.home, replay.home.type_by_id(made["id"]), made["name"])


@replays("to_type")
def _to_type(replay: Replay, thing: Thing, type_id: int) -> None:
    type_ = replay.home.type_by_id(type_id)
    become_instance(thing, type_, {name: thing.get(name) for name in type_.fields})


@replays("to_thing")
def _to_thing(replay: Replay, thing: Instance, _: bool) -> None:
    become_plain(thing)


# --- state -----------------------------------------------------------------------------------------------------------


@saves
def _save(engine: Engine) -> Iterator[tuple[str, int | str, Any]]:
    for home in engine.collections.values():
        if home.reserved_type_ids:
            yield "type_ids", f"{home.id}:ids", {"next": home.next_type_id, "reserved": home.reserved_type_ids}
        for type_ in home.types.values():
            yield (
                "type",
                f"{home.id}:{type_.id}",
                {
                    **described(type_),
                    "methods": {name: closure.code.compact for name, closure in type_.methods.items()},
                    "relations": [
                        [name, relation.other.id, relation.other_field] for name, relation in type_.relations.items()
                    ],
                    "hide_id": type_.hide_id,
                    "auto_index": type_.auto_index,
                },
            )


@loads("type_ids")
def _load_ids(replay: Replay, key: str, tree: dict[str, Any]) -> None:
    replay.home.next_type_id = tree["next"]
    replay.home.reserved_type_ids = tree["reserved"]


@loads("type")
def _load(replay: Replay, key: str, tree: dict[str, Any]) -> None:
    type_ = make_type(replay.home, tree["type_id"], tree["name"], tree["created_at"])
    type_.modified_at = tree["modified_at"]
    type_.wrap_only, type_.hide_id, type_.auto_index = tree["wrap_only"], tree["hide_id"], tree["auto_index"]
    home = replay.home
    replay.later.append(lambda: _load_fields(home, type_, tree))


def _load_fields(home: Collection, type_: Type, tree: dict[str, Any]) -> None:
    """The fields of a loaded type, once all types and enums are there."""
    _fill(type_, tree["fields"], {name: Closure.from_source(source) for name, source in tree["methods"].items()})
    for name, other, field in tree["relations"]:
        type_.relations[name] = Relation(type_, name, home.type_by_id(other), field)
