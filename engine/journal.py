"""What an atomic query has changed, as it was before, so that all of it can be undone.

A query that is not atomic has no journal and keeps what it changed before it failed. With one, whatever is about to
change something that was there before the query has it noted first, once: `save` for the contents of things, lists
and sets (`Context.allow` and `Context.release` do that for most), `save_definitions` for everything else. What the
query itself made needs no note: `undo` takes it away. The notes hold on to what they name; so what an atomic query
removes goes when the query ends, not before. Who asks whether something is used asks `removed` or `held`.
"""

from __future__ import annotations

import weakref
from collections import Counter
from collections.abc import Callable, Iterable
from gc import get_referents, is_tracked
from itertools import chain
from sys import getrefcount
from typing import TYPE_CHECKING, Any

from engine.errors import OperationError
from engine.garbage import empty
from engine.values.list import List
from engine.values.set import Set
from engine.values.storing import OWNED
from engine.values.thing import Instance, SortedProperties, Thing

if TYPE_CHECKING:
    from engine.collection import Collection
    from engine.engine import Engine
    from engine.scopes import Scope

__all__ = ["Journal"]

_SCOPE = ("deep", "time_zone", "access", "procedures", "tasks", "history")
_COLLECTION = (
    *_SCOPE, "name", "types", "types_by_id", "enums", "reserved_type_ids", "next_type_id", "quotas",
)  # fmt: skip
_NODE = ("deep", "time_zone", "access")
_ENGINE = ("users", "tokens", "collections", "next_definition_id")
_TASK = ("id", "start", "owner", "closure", "arguments", "error", "ran", "again", "cancelled")
_RUNNING = frozenset({"home", "locked", "pending"})
"""Attributes of types and enums that belong to the code that runs, and are right again when it has ended."""

_PLAIN = (dict, list, set)


class _ThingBefore:
    """A thing: what it held, and where the lists and sets among that belonged."""

    __slots__ = ("contents", "kind", "owned", "sorted", "thing")

    def __init__(self, thing: Thing) -> None:
        self.thing = thing
        self.kind = thing.kind
        self.sorted = thing.is_sorted
        self.contents: dict[str, Any] | list[Any]
        if type(thing) is Instance:
            self.contents = list(thing.props)
        else:
            self.contents = dict(thing.items())
        self.owned = [
            (value, value.key, value.spec)
            for value in self.values()
            if type(value) in OWNED and value.owner is not None
        ]

    def values(self) -> Iterable[Any]:
        return self.contents if type(self.contents) is list else self.contents.values()  # type: ignore[union-attr]

    def references(self) -> Iterable[Any]:
        yield self.thing
        yield self.kind
        yield from self.values()
        for value, _, spec in self.owned:
            yield value
            yield spec

    def restore(self) -> None:
        thing = self.thing
        if type(self.contents) is list:
            was_plain = type(thing) is Thing
            thing.__class__ = Instance
            thing.kind, thing.props = self.kind, self.contents
            if was_plain:
                self.kind.enter(thing)
        else:
            if type(thing) is Instance and thing.kind.ids is not None:
                thing.kind.ids.discard(thing.id)
            thing.__class__ = Thing
            thing.kind = self.kind
            thing.props = SortedProperties(self.contents) if self.sorted else self.contents
        for value, key, spec in self.owned:
            value.owner, value.key, value.spec = weakref.ref(thing), key, spec


class _ListBefore:
    """A list: its items."""

    __slots__ = ("items", "list")

    def __init__(self, array: List) -> None:
        self.list = array
        self.items = list(array)

    def references(self) -> Iterable[Any]:
        yield self.list
        yield from self.items

    def restore(self) -> None:
        self.list[:] = self.items


class _SetBefore:
    """A set: its things."""

    __slots__ = ("items", "set")

    def __init__(self, target: Set) -> None:
        self.set = target
        self.items = dict(target.items)

    def references(self) -> Iterable[Any]:
        yield self.set
        yield from self.items

    def restore(self) -> None:
        self.set.items = self.items


class _AttributesBefore:
    """Attributes of an object; dicts, lists and sets among them with what they held."""

    __slots__ = ("attributes", "contents", "object")

    def __init__(self, thing: Any, names: Iterable[str]) -> None:
        self.object = thing
        self.attributes = [(name, getattr(thing, name)) for name in names]
        self.contents = [(value, value.copy()) for _, value in self.attributes if type(value) in _PLAIN]

    def references(self) -> Iterable[Any]:
        yield self.object
        for _, value in self.attributes:
            yield value
        for value, copy in self.contents:
            yield value
            yield from copy.values() if type(copy) is dict else copy

    def restore(self) -> None:
        for name, value in self.attributes:
            setattr(self.object, name, value)
        for value, copy in self.contents:
            value.clear()
            value.extend(copy) if type(value) is list else value.update(copy)


class _CollectionBefore:
    """A collection that is about to be deleted, with all that is in it."""

    __slots__ = ("attributes", "things")

    def __init__(self, collection: Collection) -> None:
        self.attributes = _AttributesBefore(collection, ("index", "rooms", "root", "_on_gone"))
        self.things = [(thing, thing.id) for thing in collection.things()]

    def references(self) -> Iterable[Any]:
        return ()  # what is in it is nobody's business while a query runs in @thingsdb

    def restore(self) -> None:
        self.attributes.restore()
        for thing, thing_id in self.things:
            thing.id = thing_id


class Journal:
    """The notes of one query, from before it changes anything; `fits` is that of its conditions."""

    __slots__ = (
        "_definitions",
        "_engine",
        "_first_id",
        "_gone",
        "_holders",
        "_last_change",
        "_notes",
        "_scope",
        "fits",
    )

    @staticmethod
    def check(scope: Scope) -> None:
        """OperationError when queries in the scope can't be undone."""
        if scope.kind == "N":
            raise OperationError("a query in @node can't be atomic: what is done there can't be taken back")

    def __init__(self, engine: Engine, scope: Scope, fits: Callable[[Any], Any] | None = None) -> None:
        self.fits = fits
        self._engine = engine
        self._scope = scope
        self._first_id = engine.next_id
        self._last_change = engine.last_change if scope.change is None else scope.change.id - 1
        self._gone = (len(engine.gone), len(engine.gone_rooms), len(engine.dropped))
        self._notes: dict[int, _ThingBefore | _ListBefore | _SetBefore | _AttributesBefore | _CollectionBefore] = {}
        self._definitions = False
        self._holders: tuple[Any, ...] = ()  # enums, or collections, that were there

    # --- taking notes ------------------------------------------------------------------------------------------------

    def save(self, container: Thing | List | Set) -> None:
        """The contents of a thing, list or set are about to change; what is newer than the query is left out."""
        if id(container) in self._notes:
            return
        kind = type(container)
        if kind is List or kind is Set:
            holder = container.holder()  # type: ignore[union-attr]
            if holder is not None and 0 < holder.id < self._first_id:
                self._notes[id(container)] = _ListBefore(container) if kind is List else _SetBefore(container)  # type: ignore[arg-type]
        elif 0 < container.id < self._first_id:  # type: ignore[union-attr]
            self._notes[id(container)] = _ThingBefore(container)  # type: ignore[arg-type]

    def save_all(self, things: Iterable[Thing]) -> None:
        """The contents of several things, and of the lists and sets in them, are about to change."""
        for thing in things:
            for value in thing.values():
                if type(value) in OWNED:
                    self.save(value)
            self.save(thing)

    def save_attributes(self, thing: Any, *names: str) -> None:
        """Attributes of an object of another kind are about to change."""
        if id(thing) not in self._notes:
            self._notes[id(thing)] = _AttributesBefore(thing, names)

    def save_definitions(self) -> None:
        """Something is about to change that is no contents of a thing: types, procedures, tasks, users, settings."""
        if self._definitions:
            return
        self._definitions = True
        scope = self._scope
        if scope.kind == "T":
            self._save_server()
            return
        self._holders = tuple(scope.enums.values())
        self.save_attributes(scope, *_COLLECTION)
        for type_ in scope.types.values():
            self._save_all_attributes(type_)
            for relation in type_.relations.values():
                self.save_attributes(relation, "field", "other_field")
        for enum in scope.enums.values():
            self._save_all_attributes(enum)
            for member in enum.members.values():
                self.save_attributes(member, "name", "value", "key")
        self._save_scope(scope)

    def _save_scope(self, scope: Any) -> None:
        for procedure in scope.procedures.values():
            self.save_attributes(procedure, "name", "closure", "created_at")
        for task in scope.tasks.values():
            self.save_attributes(task, *_TASK)

    def _save_all_attributes(self, definition: Any) -> None:
        self.save_attributes(definition, *(vars(definition).keys() - _RUNNING))

    def _save_server(self) -> None:
        engine = self._engine
        self._holders = tuple(engine.collections.values())
        self.save_attributes(engine, *_ENGINE)
        self.save_attributes(engine.server, *_SCOPE)
        self.save_attributes(engine.node, *_NODE)
        self._save_scope(engine.server)
        for user in engine.users.values():
            self.save_attributes(user, "name", "password", "tokens", "whitelists", "deleted")
        for collection in engine.collections.values():
            self.save_attributes(collection, *_COLLECTION)
            self._save_scope(collection)

    def save_collection(self, collection: Collection) -> None:
        """A collection is about to be deleted."""
        note = _CollectionBefore(collection)
        self._notes[id(note)] = note

    # --- what only the notes hold ------------------------------------------------------------------------------------

    def removed(self, kind: type[Any] = Thing) -> set[int]:
        """The ids of the things, or rooms, that the query has removed: but for the notes, they would be gone."""
        _, gone = self._trace()
        return {each.id for each in gone if isinstance(each, kind)}

    def held(self, value: Any) -> int:
        """How often the notes, and what only they hold, refer to a value: for who counts what else does."""
        counts, _ = self._trace()
        return counts[id(value)]

    def _trace(self) -> tuple[Counter[int], list[Any]]:
        """How often the notes, and what only they hold, refer to objects, by `id()`; and what only they hold.

        An object to which there are no more references than those has been let go of, and so has what it holds: what
        CPython would do, looked at without doing it. It costs as much as there are notes, and as was removed.
        """
        counts: Counter[int] = Counter()
        met: dict[int, Any] = {}
        for each in chain(self._holders, *[note.references() for note in self._notes.values()]):
            if is_tracked(each):
                counts[id(each)] += 1
                met[id(each)] = each
        each = None
        waiting = list(met)
        gone: set[int] = set()
        while waiting:
            number = waiting.pop()
            # Besides, `met` refers to it, and the argument does.
            if number in gone or getrefcount(met[number]) > counts[number] + 2:
                continue
            gone.add(number)
            for each in get_referents(met[number]):
                if is_tracked(each) and not isinstance(each, type):
                    counts[id(each)] += 1
                    met[id(each)] = each
                    waiting.append(id(each))
            each = None
        return counts, [met[number] for number in gone]

    # --- undoing -----------------------------------------------------------------------------------------------------

    def undo(self) -> None:
        """All is as before the query; what it made is gone, and ids are given out anew. To be called once."""
        engine, scope = self._engine, self._scope
        self._take_apart()
        for note in self._notes.values():
            if type(note) is _AttributesBefore or type(note) is _CollectionBefore:
                note.restore()
        for note in self._notes.values():
            if type(note) is not _AttributesBefore and type(note) is not _CollectionBefore:
                note.restore()
        new = range(self._first_id, engine.next_id)
        if scope.kind == "C":
            self._forget(scope, new)  # type: ignore[arg-type]
        scope.change = None
        engine.next_id = self._first_id
        engine.last_change = self._last_change
        for list_, length in zip((engine.gone, engine.gone_rooms, engine.dropped), self._gone, strict=True):
            del list_[length:]  # type: ignore[attr-defined]
        if self._definitions and scope.kind == "T":
            engine.forget_scopes()
            engine.rights_version += 1

    def _take_apart(self) -> None:
        """Collections and enums that the query made hold themselves: nothing else would end that."""
        if not self._definitions:
            return
        if self._scope.kind == "T":
            for collection in self._engine.collections.values():
                if collection not in self._holders:
                    collection.clear()
        else:
            for enum in self._scope.enums.values():
                if enum not in self._holders:
                    enum.members.clear()

    def _forget(self, home: Collection, new: range) -> None:
        """Things and rooms with these ids are no part of the collection any more."""
        things = []
        for number in new:
            ref = home.index.pop(number, None)
            thing = None if ref is None else ref()
            if thing is not None:
                things.append(thing)
            room_ref = home.rooms.pop(number, None)
            room = None if room_ref is None else room_ref()
            if room is not None:
                room.id, room.name = 0, None
        for type_ in home.types.values():
            if type_.ids is not None:
                type_.ids.difference_update(new)
        home.dirty.difference_update(new)
        for thing in things:
            thing.id = 0
        while things:
            empty(things.pop())  # they may hold themselves
