"""The record of recent changes: which of them touched what, and each as it was packed for the log.

It answers "has any of these changed since change N?" without running or reading anything: for requests that state the
change they were decided on, for live queries and watches that are taken up again. It holds ids and bytes only, so it
keeps no thing alive, within bounds of count, age and size; after a start it begins with the tail of the log.

What is touched has a *key*, an int or a tuple, the same that a live evaluation notes for what it reads
(`engine.live`): the id of a thing whose contents changed, or that came or went; its negative when it came, went or got
another type; and a pair or triple that begins with one of the words below. Tests: tests/engine/test_recent.py.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterable
from itertools import islice
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from engine.encoding import log_unpack
from engine.store.interface import tail

if TYPE_CHECKING:
    from engine.change import Change
    from engine.store.interface import Store

__all__ = ["ANYTHING", "BORN", "DEFINITIONS", "EVERYTHING", "EXTENT", "GONE", "SERVER", "TASKS", "TOLD", "Key",
           "Recent", "RecentChange", "keys_of"]  # fmt: skip

Key: TypeAlias = "int | tuple[Any, ...]"

DEFINITIONS: Final = "definitions"  # of a scope: types, enums, procedures, names of rooms
TASKS: Final = "tasks"  # of a scope
EXTENT: Final = "extent"  # of a scope and a type: which instances there are
BORN: Final = "born"  # of a scope: things that there are none of yet
EVERYTHING: Final = "everything"  # in a scope
TOLD: Final = "told"  # of a thing: its watchers were told something that changes nothing, such as an emitted event
GONE: Final = ("gone",)  # things, from wherever; also from the extent of a type
SERVER: Final = ("server",)  # users, rights, collections, settings
ANYTHING: Final = ("anything",)  # on the whole server

MAX_CHANGES: Final = 50_000
MAX_AGE: Final = 3600.0
MAX_BYTES: Final = 32 << 20
"""How many changes are kept, how old in seconds, and how large: packed, with `KEY_BYTES` for each key."""

KEY_BYTES: Final = 120
READ_AT_START: Final = 10_000
"""Changes before the checkpoint that a start reads."""

_CONTENTS: Final = frozenset(
    {"set", "del", "splice", "add", "remove", "follow", "fill", "restrict", "sorted", "to_type", "to_thing"}
)
"""Jobs that change the contents of the thing that they are of. The others are of the scope's definitions."""


RecentChange: TypeAlias = "tuple[int, int, float, int, bytes, Collection[Key]]"
"""A change as it is kept: its id, its scope, when it was made, the id counter after it, its record for the log, and the
keys that it touched."""


def keys_of(scope: int, mutations: Iterable[Any], born: bool) -> set[Key]:
    """The keys that a change touches, but for things that went with it, its whole scope, and anything. `born`:
    something got an id by it."""
    if not scope:
        return {SERVER, (DEFINITIONS, 0), (TASKS, 0)}
    keys: set[Key] = set()
    for thing_id, job in mutations:
        name = next(iter(job))
        if name in _CONTENTS:
            keys.add(thing_id)
            if name == "to_type":
                keys.add(-thing_id)
                keys.add((EXTENT, scope, job[name]))
                keys.add(GONE)
            elif name == "to_thing":
                keys.add(-thing_id)
                keys.add(GONE)
        elif name == "event":
            keys.add((TOLD, thing_id))
        elif name == "instances":
            keys.update(job[name][0])
        elif name == "task" or name == "del_task":
            keys.add((TASKS, scope))
        elif name != "commit":
            keys.add((DEFINITIONS, scope))
    if born:
        keys.add((BORN, scope))
    return keys


class Recent:
    """One for an engine. `last` is the id of the last change that it knows of, `first` that of the first one it has."""

    def __init__(self, max_changes: int = MAX_CHANGES, max_age: float = MAX_AGE, max_bytes: int = MAX_BYTES) -> None:
        self.max_changes = max_changes
        self.max_age = max_age
        self.max_bytes = max_bytes
        self.last = 0
        self._changes: deque[RecentChange] = deque()
        self._touched: dict[Key, int] = {}  # by key, the last change that touched it
        self._scopes: dict[int, int] = {}  # by scope, its last change
        self._late: set[Key] = set()  # what went after the last change was packed: counted for the next one
        self._size = 0
        self._next_id = 1  # the id counter before the first change

    @property
    def first(self) -> int:
        """The id of the first change that is kept, `last + 1` when there is none."""
        return self.last + 1 - len(self._changes)

    def reset(self, last: int, next_id: int) -> None:
        """Forget all changes: the state is another one since the change `last`, where the id counter was `next_id`."""
        self.last = last
        self._next_id = next_id
        self._size = 0
        self._changes.clear()
        self._touched.clear()
        self._scopes.clear()
        self._late.clear()

    def preload(self, store: Store, until: int, next_id: int) -> None:
        """Take the tail of a store's log up to the change `until`, after which the id counter is `next_id`."""
        after = tail(store, until, READ_AT_START, self.max_bytes)
        self.reset(until, next_id)
        if after >= until:
            return
        for place, (_, packed) in enumerate(store.read_changes(after, until)):
            change_id, scope, at, next_id, mutations, gone = log_unpack(packed)
            if not place:  # only from the second one on is it known which ids were there before
                self.reset(change_id, next_id)
                continue
            self.take(change_id, scope, at, self._counter != next_id, next_id, mutations, gone, packed)

    # --- what happens ------------------------------------------------------------------------------------------------

    def add(self, change: Change, gone: Collection[int]) -> None:
        """A change was packed. `gone` are the things that went with it."""
        mutations = change.mutations
        born = change.next_id != change.first_id
        if len(mutations) == 1 and not (born or gone or self._late) and change.scope > 0:
            thing_id, job = mutations[0]
            if "set" in job or "splice" in job:  # what most changes are
                self._touched[thing_id] = change.id
                self._keep((change.id, change.scope, change.at, change.next_id, change.packed, (thing_id,)))
                return
        self.take(change.id, change.scope, change.at, born, change.next_id, mutations, gone, change.packed)

    def take(
        self,
        change_id: int,
        scope: int,
        at: float,
        born: bool,
        next_id: int,
        mutations: Iterable[Any],
        gone: Iterable[int],
        packed: bytes,
    ) -> None:
        """The same, by the parts of a record."""
        keys = keys_of(scope, mutations, born)
        for thing_id in gone:
            keys.add(thing_id)
            keys.add(-thing_id)
            keys.add(GONE)
        if self._late:
            keys |= self._late
            self._late.clear()
        self._touched.update(dict.fromkeys(keys, change_id))
        self._keep((change_id, scope, at, next_id, packed, keys))

    def _keep(self, change: RecentChange) -> None:
        changes = self._changes
        changes.append(change)
        self.last = self._scopes[change[1]] = change[0]
        self._size += len(change[4]) + KEY_BYTES * len(change[5])
        oldest = change[2] - self.max_age
        while changes and (self._size > self.max_bytes or len(changes) > self.max_changes or changes[0][2] < oldest):
            self._drop()

    def went(self, ids: Iterable[int]) -> None:
        """Things went after the last change was packed, or without one."""
        for thing_id in ids:
            self._late.add(thing_id)
            self._late.add(-thing_id)
            self._late.add(GONE)
        self._touched.update(dict.fromkeys(self._late, self.last + 1))

    def _drop(self) -> None:
        change_id, _, _, self._next_id, packed, keys = self._changes.popleft()
        self._size -= len(packed) + KEY_BYTES * len(keys)
        touched = self._touched
        for key in keys:
            if touched[key] == change_id:
                del touched[key]

    # --- what is asked -----------------------------------------------------------------------------------------------

    def changed_since(self, keys: Iterable[Key], change: int) -> bool | None:
        """Has anything with one of these keys changed after a change? Ids of things are keys.

        False is certain; True where it may have. None when that is not known: the change is older than what is kept,
        or later than all there are.
        """
        if not self.first - 1 <= change <= self.last:
            return None
        touched = self._touched
        next_id = self.next_id_at(change)
        for key in keys:
            at = touched.get(key)
            if at is not None and at > change:
                return True
            if isinstance(key, int):
                if next_id <= abs(key) < self._counter:
                    return True
            elif key[0] == EVERYTHING:
                if self._scopes.get(key[1], 0) > change:
                    return True
            elif key[0] == EXTENT:
                # Of which types the things are that came, and that went, is not kept.
                if touched.get((BORN, key[1]), 0) > change or touched.get(GONE, 0) > change:
                    return True
            elif key == ANYTHING and self.last > change:
                return True
        return False

    def after(self, change: int) -> list[RecentChange]:
        """The changes after one: `first - 1 <= change <= last`."""
        latest = list(islice(reversed(self._changes), self.last - change))  # most who ask were not away for long
        latest.reverse()
        return latest

    @property
    def _counter(self) -> int:
        """The id counter after the last change."""
        return self._changes[-1][3] if self._changes else self._next_id

    def next_id_at(self, change: int) -> int:
        """The id counter after a change that is kept, or the last one before those."""
        place = change - self.first
        return self._next_id if place < 0 else self._changes[place][3]
