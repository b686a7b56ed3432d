"""Things that hold themselves: unreachable, but never without a reference (spec/things.md, section 3).

CPython's reference counts tell when a thing is gone (ARCHITECTURE.md, Lifetimes), but for cycles, and its own cyclic
collector is off: when things go is part of what a change does, and of what watchers are told.

Unstored things that a query tied to one another are taken apart when it ends (`untangle`). Stored things are found by
`Garbage`, in quiet moments and in small steps: it marks what can be reached from the roots and then removes what
could not, in a change of its own, so that replay and replicas remove the same. Queries may run between two steps: as
their mutations name every thing that they changed, those things are looked at again.
"""

from __future__ import annotations

import gc
import weakref
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from engine.outcome import Outcome
from engine.values.list import List
from engine.values.set import Set
from engine.values.storing import SCALARS, release
from engine.values.thing import Instance, Thing

if TYPE_CHECKING:
    from engine.change import Change
    from engine.collection import Collection
    from engine.engine import Engine
    from engine.values.thing import Value

__all__ = ["Garbage", "empty", "untangle"]

STEP = 10_000  # values to look at in one step: a few milliseconds
MAX_YOUNG = 200_000  # objects that CPython's collector may look at in one step: some 20 milliseconds


def untangle(things: Iterable[weakref.ref[Thing]]) -> None:
    """Take the things apart that are still not stored now that their query is over: nothing can reach them."""
    for ref in things:
        thing = ref()
        if thing is not None and not thing.id:
            empty(thing)


def empty(thing: Thing) -> None:
    """Take everything out of a thing that nothing can reach."""
    if type(thing) is Instance:
        thing.props = []
        return
    for value in thing.values():
        release(value)
    thing.empty()


class Garbage:
    """The search for unreachable things of an engine, collection by collection.

    `step` does a little of it and gives the outcome that is to be announced, if there is one; while `busy`, the next
    step has work to do. A new search begins only when something has changed since the last one began. Between steps no
    thing is referred to: it could not go when it should.
    """

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.search: _Search | None = None
        self._waiting: list[Collection] = []  # to be searched after the present one
        self._tidy = False  # the search is over, other objects are yet to be looked at
        self._began_at = -1  # the last change before the last search
        self._frozen_id = 0  # things with lower ids are out of the sight of CPython's collector
        _SEARCHES.add(self)

    @property
    def busy(self) -> bool:
        """Is a search under way?"""
        return self.search is not None or bool(self._waiting) or self._tidy

    def step(self, limit: int = STEP) -> Outcome | None:
        """Look at about so many values; the outcome, with a change, when things were removed."""
        engine = self.engine
        if not self.busy:
            if engine.last_change == self._began_at:
                return None
            self._began_at = engine.last_change
            self._waiting = list(engine.collections.values())
        if self.search is None:
            if not self._waiting:
                self._tidy = False
                self._collect_others()
                return None
            self.search = _Search(self._waiting.pop())
        if not self.search.go_on(limit):
            return None
        found, self.search = self.search, None
        self._tidy = not self._waiting
        outcome = None
        if found.suspects and found.collection is engine.collections.get(found.collection.name):
            outcome = self._sweep(found.collection, found.unreachable)
        if outcome is not None and self._began_at == engine.last_change - 1:
            self._began_at = engine.last_change  # nothing but this removal has happened since
        return outcome

    def changed(self, scope: Any, change: Change) -> None:
        """A change is finished: a search under way must look again at what it touched."""
        if self.search is not None and self.search.collection is scope:
            self.search.look_again(thing_id for thing_id, _ in change.mutations)

    def touched(self, scope: Any, ids: Iterable[int]) -> None:
        """What these things hold was changed by something that is no mutation of them."""
        if self.search is not None and self.search.collection is scope:
            self.search.look_again(ids)

    def freeze(self) -> None:
        """Take all objects that there are out of the sight of CPython's collector: what was loaded stays."""
        gc.freeze()
        for garbage in _SEARCHES:
            garbage._frozen_id = garbage.engine.next_id

    def _sweep(self, collection: Collection, ids: list[int]) -> Outcome | None:
        """Remove the things with these ids, which nothing can reach."""
        # The last one in a list goes first when the list does; an owner has a lower id than what was stored with it.
        things = [thing for thing in map(collection.find, sorted(ids, reverse=True)) if thing is not None]
        if not things:
            return None
        engine = self.engine
        change = engine.begin_change(collection)
        collection.record_internal(collection.root.id, {"sweep": [thing.id for thing in reversed(things)]})
        for thing in things:
            empty(thing)
        del thing, things
        collection.change = None
        engine.finish_change(collection, change)
        outcome = Outcome(None, None, change, None, engine.take_gone())
        engine.counters.garbage_collected += len(outcome.deleted or ())
        if engine.gone_rooms:
            outcome.closed_rooms, engine.gone_rooms = engine.gone_rooms, []
        return outcome

    def _collect_others(self) -> None:
        """Free the cycles that CPython's own collector finds among other objects than things, if they are few enough
        for a short pause; then never look at the survivors again."""
        if gc.get_count()[0] <= MAX_YOUNG:
            # As long as these are referred to, they and all that they hold are none of its business.
            kept = [
                thing
                for garbage in _SEARCHES
                for collection in garbage.engine.collections.values()
                for thing in map(collection.find, range(garbage._frozen_id, garbage.engine.next_id))
            ]
            gc.collect()
            del kept
        self.freeze()


_SEARCHES: weakref.WeakSet[Garbage] = weakref.WeakSet()
"""Those of all engines of the process, for they share CPython's collector."""


class _Search:
    """The search for what can be reached in one collection.

    `ids` are those of the things that were there when it began; `marked` are the ids of things that can be reached,
    `grey` those of them whose contents are yet to be looked at. When none are left, `ids` is gone through: `suspects`
    are the things that were not marked then.
    """

    __slots__ = ("collection", "grey", "ids", "marked", "suspects")

    def __init__(self, collection: Collection) -> None:
        self.collection = collection
        self.ids = list(collection.index)
        self.marked: set[int] = set()
        self.grey: list[int] = []
        self.suspects: list[int] = []

    def look_again(self, ids: Iterable[int]) -> None:
        """Look again at things that were changed."""
        self.grey += {thing_id for thing_id in ids if thing_id in self.marked}

    def go_on(self, limit: int) -> bool:
        """Look at about so many values; True when it is over."""
        marked = self.marked
        while limit > 0:
            if not self.grey:
                self._mark_held(_roots(self.collection))
            if self.grey:
                limit = self._mark(limit)
            elif self.ids:
                some = self.ids[-limit:]
                del self.ids[-limit:]
                self.suspects += [thing_id for thing_id in some if thing_id not in marked]
                limit -= len(some)
            else:
                return True
        return False

    @property
    def unreachable(self) -> list[int]:
        """The ids of the things that nothing can reach, once the search is over; some may be gone already."""
        return [thing_id for thing_id in self.suspects if thing_id not in self.marked]

    def _mark(self, limit: int) -> int:
        """Look at about so many values; what is left of them."""
        find = self.collection.find
        grey = self.grey
        while grey and limit > 0:
            thing = find(grey.pop())
            if thing is not None:
                limit -= 1 + len(thing.props)
                self._mark_held(thing.values())
        return limit

    def _mark_held(self, values: Iterable[Value]) -> None:
        """Mark the things among the values and in them."""
        marked = self.marked
        scalars = SCALARS
        for value in values:
            kind = type(value)
            if kind in scalars:
                continue
            if kind is Thing or kind is Instance:
                if value.id not in marked:
                    marked.add(value.id)
                    self.grey.append(value.id)
            elif kind is List or kind is tuple:
                self._mark_held(value)
            elif kind is Set:
                self._mark_held(value.items)
            else:
                self._mark_held(_referents(value))


def _roots(collection: Collection) -> Iterator[Value]:
    """What a collection holds on to by itself: its root, the members of its enums, and its tasks."""
    yield collection.root
    for enum in collection.enums.values():
        for member in enum.members.values():
            yield member.value
    yield from collection.tasks.values()


_HOLDERS = frozenset({Thing, Instance, List, Set, tuple})


def _referents(value: object) -> Iterator[Value]:
    """What any other kind of value refers to: CPython knows it, so no class has to say."""
    for held in gc.get_referents(value):
        if type(held) is dict or type(held) is list:
            for item in held.values() if type(held) is dict else held:
                if type(item) in _HOLDERS:
                    yield item
        elif type(held) in _HOLDERS:
            yield held
