"""Types in the log and in the state on disk (spec/types.md, section 9)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from engine.replay import Replay, replays
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
    rename_type,
    renamed,
    without,
)
from engine.types.info import described, in_order
from engine.types.instances import stored_instances, touched
from engine.types.relations import join, part
from engine.types.type import Type
from engine.values.closure import Closure
from engine.values.list import List
from engine.values.thing import Instance, Thing

if TYPE_CHECKING:
    from engine.collection import Collection
    from engine.engine import Engine

__all__: list[str] = []


# --- replay ----------------------------------------------------------------------------------------------------------


def _by_id(replay: Replay, made: dict[str, Any]) -> Type:
    """The type of a job, modified when it says."""
    type_: Type = replay.home.type_by_id(made["type_id"])
    if made.get("modified_at"):
        type_.modified_at = made["modified_at"]
    return type_


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
    value = replay.value(made.get("dval"))
    instances = stored_instances(replay.home, type_)  # those in the value, new ones too, get the field like all others
    add_field(type_, made["name"], definition, value, instances)
    touched(replay.home, instances)


@replays("mod_type_del")
def _mod_type_del(replay: Replay, _: Any, made: dict[str, Any]) -> None:
    type_ = _by_id(replay, made)
    name = made["name"]
    if name in type_.methods:
        type_.methods = without(type_.methods, name)
        return
    instances = stored_instances(replay.home, type_)
    replay.kept += drop_field(type_, name, instances)
    touched(replay.home, instances)


@replays("mod_type_ren")
def _mod_type_ren(replay: Replay, _: Any, made: dict[str, Any]) -> None:
    type_ = _by_id(replay, made)
    name, to = made["name"], made["to"]
    if name in type_.methods:
        type_.methods = renamed(type_.methods, name, to)
    else:
        rename_field(type_, name, to, stored_instances(replay.home, type_))


@replays("mod_type_mod")
def _mod_type_mod(replay: Replay, _: Any, made: dict[str, Any]) -> None:
    type_ = _by_id(replay, made)
    if "closure" in made:
        type_.methods[made["name"]] = Closure.from_source(made["closure"]["/"])
        return
    definition = define(type_, made["name"], _written(made["spec"]))
    assert definition is not None
    change_field(type_, made["name"], definition, stored_instances(replay.home, type_))


@replays("mod_type_wpo")
def _mod_type_wpo(replay: Replay, _: Any, made: dict[str, Any]) -> None:
    _by_id(replay, made).wrap_only = made["wrap_only"]


@replays("mod_type_rel_add")
def _mod_type_rel_add(replay: Replay, _: Any, made: dict[str, Any]) -> None:
    one, two = replay.home.type_by_id(made["type1_id"]), replay.home.type_by_id(made["type2_id"])
    one.modified_at = two.modified_at = made["modified_at"]
    join(one, made["name1"], two, made["name2"])


@replays("mod_type_rel_del")
def _mod_type_rel_del(replay: Replay, _: Any, made: dict[str, Any]) -> None:
    type_ = replay.home.type_by_id(made["type_id"])
    relation = type_.relations[made["name"]]
    type_.modified_at = relation.other.modified_at = made["modified_at"]
    part(relation)


@replays("del_type")
def _del_type(replay: Replay, _: Any, type_id: int) -> None:
    drop_type(replay.home, replay.home.type_by_id(type_id), replay.home.things())


@replays("rename_type")
def _rename_type(replay: Replay, _: Any, made: dict[str, Any]) -> None:
    rename_type(replay.home, replay.home.type_by_id(made["id"]), made["name"])


@replays("to_type")
def _to_type(replay: Replay, thing: Thing, type_id: int) -> None:
    type_ = replay.home.type_by_id(type_id)
    become_instance(thing, type_)


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
                        [relation.field, relation.other.id, relation.other_field] for relation in in_order(type_)
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
        if name not in type_.relations:  # else it was loaded with the other side
            join(type_, name, home.type_by_id(other), field)
