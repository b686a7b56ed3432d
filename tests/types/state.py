"""What the tests of types look at: everything that an engine would keep on disk, as plain data to compare, and the
rules that hold for stored instances at any time."""

from __future__ import annotations

import itertools
from typing import Any

from engine.encoding import log_unpack
from engine.engine import Engine
from engine.replay import Replay
from engine.state import StateWriter, load
from engine.store.interface import Checkpoint, State, ThingRow
from engine.values.list import List
from engine.values.set import Set
from engine.values.thing import Instance, Thing
from tests.conftest import engine_without_password

__all__ = ["Disk", "check_rules", "fresh", "kept", "replayed"]


def fresh() -> Engine:
    """An engine as after its first start; its clock goes one second further each time it is asked."""
    ticks = itertools.count(1_500_000_000)
    return engine_without_password(clock=lambda: next(ticks), seed=1)


def kept(engine: Engine) -> dict[Any, Any]:
    """All that is stored: things by id and definitions by kind and key, as trees."""
    dirty = {name: set(home.dirty) for name, home in engine.collections.items()}
    checkpoint = StateWriter(engine).checkpoint(whole=True)
    for name, home in engine.collections.items():
        home.dirty |= dirty[name]
    state: dict[Any, Any] = {
        ("thing", thing_id): (home_id, log_unpack(data)) for thing_id, home_id, data in checkpoint.things
    }
    state |= {(kind, key): log_unpack(data or b"") for kind, key, data in checkpoint.definitions}
    for home in engine.collections.values():
        for thing in home.things():
            state["specs", thing.id] = _specs(thing)
    return state


def _specs(thing: Thing) -> dict[str, str | None]:
    """What the lists and sets of a thing ask of their items."""
    specs = {}
    for name, value in thing.items():
        if type(value) in (List, Set):
            assert value.holder() is thing
            assert value.key == name
            assert value.lock == 0
            specs[name] = None if value.spec is None else value.spec.text
    return specs


def replayed(changes: list[bytes]) -> Engine:
    """A new engine to which the records of changes were applied."""
    engine = fresh()
    replay = Replay(engine)
    for packed in changes:
        replay.apply(packed)
    return engine


class Disk:
    """What checkpoints leave on disk, when each writes only what differs from the last one."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.things: dict[int, ThingRow] = {}
        self.definitions: dict[tuple[str, int | str], bytes] = {}
        engine.writer = StateWriter(engine)
        self._write(engine.writer.checkpoint(whole=True))

    def checkpoint(self) -> None:
        """Write what has changed."""
        self._write(self.engine.checkpoint())

    def _write(self, checkpoint: Checkpoint) -> None:
        self.change = checkpoint.change_id
        for thing_id in checkpoint.gone:
            self.things.pop(thing_id, None)
        for row in checkpoint.things:
            self.things[row[0]] = row
        for kind, key, data in checkpoint.definitions:
            if data is None:
                del self.definitions[kind, key]
            else:
                self.definitions[kind, key] = data

    def loaded(self) -> Engine:
        """A new engine with what is on disk."""
        copy = Engine(clock=self.engine.clock, seed=1)
        definitions = [(kind, key, data) for (kind, key), data in self.definitions.items()]
        load(copy, State(self.change, iter(sorted(self.things.values())), definitions, {}))
        return copy


def check_rules(engine: Engine) -> None:
    """Every value of every instance fits its field, the sides of relations agree, nothing is left locked."""
    for home in engine.collections.values():
        for thing in home.things():
            assert thing.lock == 0
            if type(thing) is Instance:
                _check_instance(thing)


def _check_instance(thing: Instance) -> None:
    type_ = thing.kind
    assert thing.kind.home.types[type_.name] is type_
    assert not type_.locked
    assert len(thing.props) == len(type_.fields)
    assert list(thing.keys()) == list(type_.fields)
    for name, definition in type_.fields.items():
        value = thing.get(name)
        definition.check(value)
        if definition.demanded is not None and value is not None:
            assert value.kind.demanded
    for name, relation in type_.relations.items():
        for other in _held(thing.get(name)):
            assert thing in _held(other.get(relation.other_field)), (thing.id, name, other.id)


def _held(value: Any) -> list[Any]:
    """The things that a side of a relation refers to."""
    if value is None:
        return []
    return list(value.items) if type(value) is Set else [value]
