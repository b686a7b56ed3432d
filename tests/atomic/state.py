"""What an atomic query that failed must leave as it was: more than goes to the disk."""

from __future__ import annotations

from typing import Any

from engine.engine import Engine
from engine.state import StateWriter
from engine.values.list import List
from engine.values.set import Set
from engine.values.thing import Instance

__all__ = ["state"]


def state(engine: Engine) -> dict[Any, Any]:
    """Everything that is stored, as bytes; the counters that ids come from; what is kept beside the things."""
    dirty = {home.id: set(home.dirty) for home in engine.collections.values()}
    dropped = list(engine.dropped)
    checkpoint = StateWriter(engine).checkpoint(whole=True)
    engine.dropped = dropped
    found: dict[Any, Any] = {("thing", number): (home, data) for number, home, data in checkpoint.things}
    found |= {(kind, key): data for kind, key, data in checkpoint.definitions}
    found["engine"] = (
        engine.next_id, engine.next_definition_id, engine.last_change, engine.recent.last, list(engine.gone),
        engine.gone_rooms, sorted(engine.dropped), list(engine.users), sorted(engine.tokens), list(engine.collections),
        engine.futures.count,
    )  # fmt: skip
    for scope in (engine.server, *engine.collections.values()):
        assert scope.change is None
        found["scope", scope.id] = (list(scope.procedures), [(each.id, each.start) for each in scope.tasks.values()])
    for home in engine.collections.values():
        home.dirty |= dirty[home.id]
        assert not home.fresh and not home.unfilled
        rooms = {number: ref() for number, ref in home.rooms.items()}
        assert all(room is not None and room.id == number for number, room in rooms.items())
        found["rooms", home.id] = {number: room.name for number, room in rooms.items()}
        found["types", home.id] = [
            (type_.name, type_.positions, type_.modified_at, sorted(type_.ids or ()), sorted(type_.relations),
             type_.locked, type_.pending)
            for type_ in home.types.values()
        ]  # fmt: skip
        assert {type_.id: type_ for type_ in home.types.values()} == home.types_by_id
        found["enums", home.id] = [(enum.name, list(enum.members), enum.locked) for enum in home.enums.values()]
        for number in home.index:
            thing = home.find(number)
            assert thing is not None and thing.id == number and not thing.lock
            if type(thing) is Instance:
                assert home.types[thing.kind.name] is thing.kind
            for name, value in thing.items():
                if type(value) is List or type(value) is Set:
                    assert value.holder() is thing and value.key == name and not value.lock
                    found["spec", number, name] = None if value.spec is None else value.spec.text
    return found
