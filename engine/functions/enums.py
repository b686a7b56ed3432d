"""Enums: making, changing and describing them (spec/enums-and-wrap.md, section 1)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from engine.errors import LookupFailed, MaxQuotaError, NumArgumentsError, OperationError, TypeFailed, ValueFailed
from engine.functions.procedures import require_commit
from engine.functions.registry import FUNCTIONS, function, type_name
from engine.limits import MAX_ENUMS
from engine.names import RESERVED_TYPE_NAMES, is_name
from engine.replay import Replay, replays
from engine.snapshot import pack
from engine.state import loads, saves
from engine.types.enum import Enum, Member
from engine.values.closure import Closure
from engine.values.list import List
from engine.values.mpdata import Mpdata
from engine.values.thing import Thing

if TYPE_CHECKING:
    from engine.collection import Collection
    from engine.context import Context
    from engine.engine import Engine
    from engine.values.thing import Value

    Thunk = Callable[[], Value]

__all__ = ["check_type_name", "find_enum"]


def find_enum(ctx: Context, name: str) -> Enum:
    """The enum of that name; LookupError when there is none."""
    enum = ctx.scope.enums.get(name)
    if enum is None:
        raise LookupFailed(f"there is no enum {name[:80]}")
    return enum


def check_type_name(home: Collection, name: str) -> None:
    """ValueError unless a type or enum can have the name, LookupError when one has it."""
    if not is_name(name):
        raise ValueFailed(f"{name[:80]!r} can't be the name of a type or enum: it must follow the name rule")
    if name in RESERVED_TYPE_NAMES:
        raise ValueFailed(f"the name {name} is reserved")
    if name in home.types or name in home.enums:
        raise LookupFailed(f"the name {name} is taken already")


def home_of(ctx: Context) -> Collection:
    """The collection that the query runs in; enums exist nowhere else."""
    return ctx.scope  # type: ignore[return-value]


def _methods_job(enum: Enum) -> dict[str, Any]:
    methods = {name: {"/": closure.code.compact} for name, closure in enum.methods.items()}
    return {"enum_methods": {"enum_id": enum.id, "modified_at": enum.modified_at, "methods": methods}}


@function(
    "set_enum",
    "name: str, members: lazy thing",
    scopes="C",
    changes="C",
    runs_code=True,
    doc="Makes an enum from the properties of a thing: values become members, closures methods.",
    example="set_enum('Colour', {RED: '#f00', GREEN: '#0f0'})",
)
def set_enum(ctx: Context, name: str, members: Thunk) -> None:
    require_commit(ctx)
    home = home_of(ctx)
    check_type_name(home, name)
    taken = {enum.id for enum in home.enums.values()}
    enum_id = next(number for number in range(MAX_ENUMS + 1) if number not in taken)
    if enum_id >= MAX_ENUMS:
        raise MaxQuotaError(f"a collection can have at most {MAX_ENUMS} enums")
    enum = Enum(enum_id, name, int(ctx.now))
    enum.locked += 1
    home.enums[name] = enum
    try:
        thing: Thing = FUNCTIONS["set_enum"].check_lazy(1, members)
        if not thing.props:
            raise ValueFailed("an enum needs a member")
        for key, value in list(thing.items()):
            enum.check_name(key)
            if type(value) is Closure:
                value.store()
                enum.methods[key] = value
            else:
                enum.check_value(value)
                enum.add(key, value)
        packed = [[member.name, pack(member.value, home, 1)] for member in enum.members.values()]
    except BaseException:
        del home.enums[name]
        raise
    finally:
        enum.locked -= 1
    home.record({"set_enum": {"enum_id": enum.id, "created_at": enum.created_at, "name": name, "members": packed}})
    if enum.methods:
        home.record_internal(home.root.id, _methods_job(enum))


def _name_argument(what: str, value: Value) -> str:
    if type(value) is not str:
        raise TypeFailed(f"mod_enum() takes a str as {what}, not {type_name(value)}")
    if not is_name(value):
        raise ValueFailed(f"{value[:80]!r} can't be {what}: it must follow the name rule")
    return value


@function(
    "mod_enum",
    "name: str, action: lazy any, member: lazy any, value*: lazy any",
    scopes="C",
    changes="C",
    runs_code=True,
    doc="Changes an enum by one of the actions add, def, mod, ren and del.",
    example="mod_enum('Colour', 'add', 'BLUE', '#00f')",
)
def mod_enum(ctx: Context, name: str, action: Thunk, member: Thunk, *value: Thunk) -> None:
    require_commit(ctx)
    enum = find_enum(ctx, name)
    enum.check_unlocked()
    enum.locked += 1
    try:
        what = _name_argument("action", action())
        run = _ACTIONS.get(what)
        if run is None:
            raise ValueFailed(f"mod_enum() knows the actions {', '.join(_ACTIONS)}, not {what[:80]}")
        which = _name_argument("the name of a member", member())
        wanted = 1 if what in ("add", "mod", "ren") else 0
        if len(value) != wanted:
            raise NumArgumentsError(
                f"mod_enum() with the action {what} takes {3 + wanted} arguments, not {3 + len(value)}"
            )
        given = value[0]() if value else None
    finally:
        enum.locked -= 1
    run(ctx, enum, which, given)


def _changed(ctx: Context, enum: Enum, job: str, fields: dict[str, Any]) -> None:
    enum.modified_at = int(ctx.now)
    home_of(ctx).record({job: {"enum_id": enum.id, "modified_at": enum.modified_at, **fields}})


def _methods_changed(ctx: Context, enum: Enum) -> None:
    enum.modified_at = int(ctx.now)
    home_of(ctx).record_internal(home_of(ctx).root.id, _methods_job(enum))


def _add(ctx: Context, enum: Enum, name: str, value: Value) -> None:
    enum.check_name(name)
    if type(value) is Closure:
        value.store()
        enum.methods[name] = value
        _methods_changed(ctx, enum)
        return
    enum.check_value(value)
    enum.add(name, value)
    _changed(ctx, enum, "mod_enum_add", {"name": name, "value": pack(value, home_of(ctx), 1)})


def _def(ctx: Context, enum: Enum, name: str, _: Value) -> None:
    member = enum.member(name)
    index = member.index
    if index:
        enum.swap_first(name)
        _changed(ctx, enum, "mod_enum_def", {"index": index})


def _mod(ctx: Context, enum: Enum, name: str, value: Value) -> None:
    if name in enum.methods:
        if type(value) is not Closure:
            raise TypeFailed(f"the method {name} of the enum {enum.name} can't become {type_name(value)}")
        value.store()
        enum.methods[name] = value
        _methods_changed(ctx, enum)
        return
    member = enum.member(name)
    from engine.values.equality import equal

    if equal(member.value, value):
        return
    if type(value) is Closure:
        raise TypeFailed(f"the member {name} of the enum {enum.name} can't become a closure")
    enum.check_value(value, member)
    index = member.index
    packed = pack(value, home_of(ctx), 1)
    member.value = value
    _changed(ctx, enum, "mod_enum_mod", {"index": index, "value": packed})


def _ren(ctx: Context, enum: Enum, name: str, new_name: Value) -> None:
    if name not in enum.methods and name not in enum.members:
        raise LookupFailed(f"the enum {enum.name} has no member or method {name}")
    if type(new_name) is not str:
        raise TypeFailed(f"the new name of a member is a str, not {type_name(new_name)}")
    if new_name == name:
        return
    enum.check_name(new_name)
    if name in enum.methods:
        enum.rename(name, new_name)
        _methods_changed(ctx, enum)
        return
    index = enum.members[name].index
    enum.rename(name, new_name)
    _changed(ctx, enum, "mod_enum_ren", {"index": index, "name": new_name})


def _del(ctx: Context, enum: Enum, name: str, _: Value) -> None:
    if name in enum.methods:
        del enum.methods[name]
        _methods_changed(ctx, enum)
        return
    if name not in enum.members:
        raise LookupFailed(f"the enum {enum.name} has no member or method {name}")
    if len(enum.members) == 1:
        raise LookupFailed(f"the enum {enum.name} must keep its last member")
    if _in_use(ctx, enum, name):
        raise OperationError(f"the member {name} of the enum {enum.name} is in use")
    index = enum.members[name].index
    enum.drop(name)
    _changed(ctx, enum, "mod_enum_del", {"index": index})


def _in_use(ctx: Context, enum: Enum, name: str) -> bool:
    member = enum.members[name]
    return member.in_use(0 if ctx.journal is None else ctx.journal.held(member))


_ACTIONS: dict[str, Callable[[Context, Enum, str, Value], None]] = {
    "add": _add,
    "def": _def,
    "mod": _mod,
    "ren": _ren,
    "del": _del,
}


@function(
    "del_enum",
    "name: str",
    scopes="C",
    changes="C",
    doc="Deletes an enum that nothing uses.",
    example="del_enum('Colour')",
)
def del_enum(ctx: Context, name: str) -> None:
    home = home_of(ctx)
    enum = find_enum(ctx, name)
    enum.check_unlocked()
    for type_ in home.types.values():
        if type_.mentions(name):
            raise OperationError(f"the type {type_.name} uses the enum {name}")
    for member in list(enum.members):
        if _in_use(ctx, enum, member):
            raise OperationError(f"the member {member} of the enum {name} is in use")
    del home.enums[name]
    enum.members.clear()  # they refer to the enum: without this, what they hold would stay
    home.record({"del_enum": enum.id})


@function(
    "rename_enum",
    "name: str, new_name: str",
    scopes="C",
    changes="C",
    doc="Gives an enum another name; definitions of types follow.",
    example="rename_enum('Colour', 'Color')",
)
def rename_enum(ctx: Context, name: str, new_name: str) -> None:
    require_commit(ctx)
    home = home_of(ctx)
    enum = find_enum(ctx, name)
    enum.check_unlocked()
    check_type_name(home, new_name)
    _rename(home, enum, new_name)
    home.record({"rename_enum": {"id": enum.id, "name": new_name}})


def _rename(home: Collection, enum: Enum, name: str) -> None:
    del home.enums[enum.name]
    enum.name = name
    home.enums[name] = enum


@function(
    "enum",
    "name: str, value?: lazy any",
    scopes="C",
    runs_code=True,
    doc="The default member of an enum, or the one with a value.",
    example="enum('Colour', '#f00')",
)
def enum_(ctx: Context, name: str, value: Thunk | None = None) -> Member:
    enum = find_enum(ctx, name)
    if value is None:
        return enum.default()
    enum.locked += 1
    try:
        return enum.find(value())
    finally:
        enum.locked -= 1


@function("has_enum", "name: str", scopes="C", doc="Is there an enum of that name?", example="has_enum('Colour')")
def has_enum(ctx: Context, name: str) -> bool:
    return name in ctx.scope.enums


@function("enum_info", "name: str", scopes="C", doc="What is known of an enum.", example="enum_info('Colour')")
def enum_info(ctx: Context, name: str) -> Mpdata:
    return Mpdata(find_enum(ctx, name).info())


@function("enums_info", scopes="C", doc="What is known of each enum.", example="enums_info()")
def enums_info(ctx: Context) -> List:
    return List([Mpdata(ctx.scope.enums[name].info()) for name in sorted(ctx.scope.enums)])


@function(
    "enum_map",
    "name: str",
    scopes="C",
    doc="A thing with the names of an enum's members and their values.",
    example="enum_map('Colour')",
)
def enum_map(ctx: Context, name: str) -> Thing:
    from engine.language.runtime import make_thing

    return make_thing(ctx, {member.name: member.value for member in find_enum(ctx, name).members.values()})


# --- log and state ---------------------------------------------------------------------------------------------------


@replays("set_enum")
def _set_enum(replay: Replay, _: Any, made: dict[str, Any]) -> None:
    enum = Enum(made["enum_id"], made["name"], made["created_at"])
    replay.home.enums[enum.name] = enum
    for name, tree in made["members"]:
        enum.add(name, replay.value(tree))


@replays("enum_methods")
def _enum_methods(replay: Replay, _: Any, made: dict[str, Any]) -> None:
    enum = replay.home.enum_by_id(made["enum_id"])
    enum.modified_at = made["modified_at"]
    enum.methods = {name: Closure.from_source(tree["/"]) for name, tree in made["methods"].items()}


def _modified(replay: Replay, made: dict[str, Any]) -> tuple[Enum, str]:
    """The enum, and the name of the member at the job's index."""
    enum: Enum = replay.home.enum_by_id(made["enum_id"])
    enum.modified_at = made["modified_at"]
    names = list(enum.members)
    return enum, names[made["index"]] if "index" in made else ""


@replays("mod_enum_add")
def _mod_enum_add(replay: Replay, _: Any, made: dict[str, Any]) -> None:
    enum, _name = _modified(replay, made)
    enum.add(made["name"], replay.value(made["value"]))


@replays("mod_enum_def")
def _mod_enum_def(replay: Replay, _: Any, made: dict[str, Any]) -> None:
    enum, name = _modified(replay, made)
    enum.swap_first(name)


@replays("mod_enum_del")
def _mod_enum_del(replay: Replay, _: Any, made: dict[str, Any]) -> None:
    enum, name = _modified(replay, made)
    enum.drop(name)


@replays("mod_enum_mod")
def _mod_enum_mod(replay: Replay, _: Any, made: dict[str, Any]) -> None:
    enum, name = _modified(replay, made)
    enum.members[name].value = replay.value(made["value"])


@replays("mod_enum_ren")
def _mod_enum_ren(replay: Replay, _: Any, made: dict[str, Any]) -> None:
    enum, name = _modified(replay, made)
    enum.rename(name, made["name"])


@replays("del_enum")
def _del_enum(replay: Replay, _: Any, enum_id: int) -> None:
    enum = replay.home.enums.pop(replay.home.enum_by_id(enum_id).name)
    enum.members.clear()


@replays("rename_enum")
def _rename_enum(replay: Replay, _: Any, made: dict[str, Any]) -> None:
    _rename(replay.home, replay.home.enum_by_id(made["id"]), made["name"])


@saves
def _save(engine: Engine) -> Iterator[tuple[str, int | str, Any]]:
    for home in engine.collections.values():
        for enum in home.enums.values():
            yield (
                "enum",
                f"{home.id}:{enum.id}",
                {
                    "name": enum.name,
                    "created_at": enum.created_at,
                    "modified_at": enum.modified_at,
                    "next_key": enum.next_key,
                    "members": [
                        [member.name, member.key, pack(member.value, home, 1)] for member in enum.members.values()
                    ],
                    "methods": {name: closure.code.compact for name, closure in enum.methods.items()},
                },
            )


@loads("enum")
def _load(replay: Replay, key: str, tree: dict[str, Any]) -> None:
    enum = Enum(int(key.partition(":")[2]), tree["name"], tree["created_at"])
    enum.modified_at = tree["modified_at"]
    for name, number, value in tree["members"]:
        enum.add(name, replay.value(value)).key = number
    enum.next_key = tree["next_key"]
    enum.methods = {name: Closure.from_source(source) for name, source in tree["methods"].items()}
    replay.home.enums[enum.name] = enum
