"""Watches that are taken up again: what a subscriber missed since a change, told as if it had watched all the time.

The promise: who knows things as they were at a change gets every mutation of them since, in order, once, and goes on
from there without a gap; or is told that this can't be done, and gets first states instead. What was missed is read
from the record of recent changes (`engine.recent`) or, when it is older than that, from the log.

The loop's thread calls `proceed` until there is nothing to be done in another thread, and then `answer` in the same
turn: what comes between is read, and the subscription begun, in one moment. Tests: tests/watch/test_resume.py.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import msgpack

from engine.change import INTERNAL, Internal, Job, Mutation
from engine.encoding import log_unpack, told_unpack
from engine.recent import DEFINITIONS, TOLD, Key
from engine.store.interface import ChangesNotKept, Store
from watch.events import WATCH_DELETE, WATCH_UPDATE, runs, update

if TYPE_CHECKING:
    from engine.collection import Collection
    from engine.engine import Engine
    from watch.audience import Form

__all__ = ["MAX_MISSED_BYTES", "MAX_MISSED_CHANGES", "Missed", "missed_updates"]

log = logging.getLogger("livethings.watch")

MAX_MISSED_BYTES: Final = 8 << 20
"""Bytes of events that are gathered; who missed more starts anew."""

MAX_MISSED_CHANGES: Final = 500_000
"""Changes, of whatever, that are read; who missed more starts anew."""

AT_ONCE: Final = 200
AT_ONCE_BYTES: Final = 256 << 10
"""Changes, and bytes of their records, whose events are made in one turn of the loop."""

BREATH: Final = 64
"""Changes after which a thread that reads lets the loop's thread in."""

PAUSE: Final = 0.01
"""Seconds after which to look again for what is neither recent nor on disk yet."""

_LAYOUT: Final = frozenset({"mod_type_add", "mod_type_del", "mod_type_ren", "set_type", "del_type"})
"""Jobs after which the fields of a type are others, or in another order."""


def missed_updates(mutations: Sequence[Mutation], watched: Any) -> Iterator[tuple[int, list[Job]]]:
    """The updates that a change made for things in `watched`, in the order in which watchers were told: what a change
    of a type did to its instances first, after what had been done to these before."""
    told: dict[int, int] = {}  # by thing, how many mutations of the change it was told

    def jobs_of(thing_id: int, first: int, end: int) -> list[Job]:
        return [job for number, job in mutations[first:end] if number == thing_id and type(job) is not Internal]

    for position, (_, job) in enumerate(mutations):
        if "instances" in job and type(job) is Internal:
            ids, instance_job = job["instances"]
            for thing_id in ids:
                if thing_id in watched:
                    before = jobs_of(thing_id, told.get(thing_id, 0), position)
                    if before:
                        yield thing_id, before
                    yield thing_id, [instance_job]
                    told[thing_id] = position
    for first, thing_id, jobs in runs(list(mutations), watched):
        if thing_id in told:
            # The run's jobs are those from `first` on: of these, what comes after the position that was told.
            skipped = len(jobs_of(thing_id, first, max(first, told[thing_id])))
            jobs = jobs[skipped:]
        if jobs:
            yield thing_id, jobs


class Missed:
    """What somebody missed of things of a collection since a change.

    `fresh`: it can't be told, so that first states are due. `limit` bounds the bytes of what is told. `frames` are the
    events, `gone` the ids for which the last of them is a delete; what has an id from `next_id` on was not there yet.
    """

    def __init__(
        self,
        engine: Engine,
        store: Store | None,
        collection: Collection,
        ids: Iterable[int],
        since: int,
        form: Form,
        limit: int = MAX_MISSED_BYTES,
    ) -> None:
        self.fresh = not 0 <= since <= engine.last_change or engine.last_change - since > MAX_MISSED_CHANGES
        self.frames: list[bytes] = []
        self.gone: set[int] = set()
        self.next_id = 0  # not known yet
        self._engine = engine
        self._store = store
        self._collection = collection
        self._watched = dict.fromkeys(ids)
        self._position = since  # all up to this change is in `frames` or `_events`
        self._form = form
        self._limit = limit
        self._size = 0  # bytes of records
        self._encoded = 0
        self._events: list[tuple[int, dict[str, Any]]] = []
        self._types: set[int] = set()  # those of which there were new instances
        # Of a record of the collection:
        self._head = msgpack.packb(collection.id)
        self._keys: set[Key] = {*self._watched, (DEFINITIONS, collection.id)}
        self._keys.update((TOLD, thing_id) for thing_id in self._watched)

    def proceed(self) -> Callable[[], None] | None:
        """Do a part of it. Gives what is to be done in another thread before the next call; None when all is there."""
        if not self._encode(AT_ONCE):
            return _nothing
        if self.fresh:
            return None
        recent = self._engine.recent
        if self._position >= recent.first - 1:
            if not self.next_id:  # where the change itself is no more kept, take what was there after it as known
                self.next_id = recent.next_id_at(self._position)
            found: list[tuple[int, bytes]] = []
            if recent.changed_since(self._keys, self._position) is not False:  # most who come back missed nothing
                found = [
                    (change_id, packed)
                    for change_id, scope, _, _, packed, keys in recent.after(self._position)
                    if scope == self._collection.id and not self._keys.isdisjoint(keys)
                ]
            if len(found) > AT_ONCE or sum(len(packed) for _, packed in found) > AT_ONCE_BYTES:
                return partial(self._safely, partial(self._take, found, recent.last))
            self._take(found, recent.last)
            if self._encode(len(self._events)):
                return None
            return _nothing
        if self._store is None or self._position > recent.last:
            self.fresh = True
            return None
        until = self._store.last_change
        if until <= self._position:
            return partial(time.sleep, PAUSE)
        return partial(self._safely, partial(self._read, self._store, until))

    # --- in another thread -------------------------------------------------------------------------------------------

    def _safely(self, work: Callable[[], None]) -> None:
        try:
            work()
        except Exception:
            log.exception("what a client missed could not be read")
            self.fresh = True

    def _read(self, store: Store, until: int) -> None:
        """Take the changes up to one from the log."""
        after = self._position
        if not self.next_id and after >= max(store.first_kept, 1):
            after -= 1  # for the id counter after the change that is known
        with suppress(ChangesNotKept):
            self._take(store.read_changes(after, until), until)
            return
        self.fresh = True

    def _take(self, changes: Iterable[tuple[int, bytes]], until: int) -> None:
        """Make events of changes, the last one that there is up to `until`."""
        watched, head = self._watched, self._head
        for change_id, packed in changes:
            if not change_id % BREATH:
                time.sleep(0)
            if change_id <= self._position:
                self.next_id = log_unpack(packed)[3]
                continue
            if packed[1 + _length(packed, 1) :].startswith(head):
                _, _, _, _, mutations, gone = log_unpack(packed)
                if self._concerns(mutations) or not watched.keys().isdisjoint(gone):
                    self._size += len(packed)
                    self._tell(change_id, told_unpack(packed, self._collection, self._types)[4], gone)
                    self._check_layouts(mutations)  # once more: its new instances may be of either
                if self.fresh or self._size > self._limit:
                    self.fresh = True
                    return
        self._position = until

    def _concerns(self, mutations: list[Any]) -> bool:
        """Does a change concern what is watched? If it can't be told, start anew."""
        concerns = False
        for thing_id, job in mutations:
            if thing_id in self._watched:
                concerns = True
            if "import" in job:
                self.fresh = True
            elif "instances" in job and not self._watched.keys().isdisjoint(job["instances"][0]):
                concerns = True
        self._check_layouts(mutations)
        return concerns

    def _check_layouts(self, mutations: list[Any]) -> None:
        """Instances that were made before the layout of their type changed can't be told by the names of their fields:
        start anew."""
        for _, job in mutations:
            ((name, argument),) = job.items()
            if name in _LAYOUT and (argument if name == "del_type" else argument["type_id"]) in self._types:
                self.fresh = True

    def _tell(self, change_id: int, mutations: list[Any], gone: Iterable[int]) -> None:
        marked = [(thing_id, Internal(job) if next(iter(job)) in INTERNAL else job) for thing_id, job in mutations]
        for thing_id, jobs in missed_updates(marked, self._watched):
            self._events.append((WATCH_UPDATE, update(thing_id, change_id, jobs)))
        for thing_id in gone:
            if thing_id in self._watched:
                del self._watched[thing_id]
                self.gone.add(thing_id)
                self._events.append((WATCH_DELETE, {"#": thing_id}))

    # --- on the loop's thread ----------------------------------------------------------------------------------------

    def _encode(self, count: int) -> bool:
        """Make frames of so many events; True when that was all."""
        if self.fresh:
            self._events.clear()
            self.frames.clear()
            return True
        events, self._events = self._events[:count], self._events[count:]
        for kind, data in events:
            try:
                frame = self._form.event(kind, data)
            except Exception:  # who watched then was told that the watch ends
                self.fresh = True
                return True
            self._encoded += len(frame)
            self.frames.append(frame)
        if self._encoded > self._limit:
            self.fresh = True
            self._events.clear()
            self.frames.clear()
        return not self._events


def _length(packed: bytes, place: int) -> int:
    """How many bytes the packed int at a place has."""
    return _LENGTHS.get(packed[place], 1)


_LENGTHS: Final = {0xCC: 2, 0xCD: 3, 0xCE: 5, 0xCF: 9, 0xD0: 2, 0xD1: 3, 0xD2: 5, 0xD3: 9}


def _nothing() -> None:
    """A turn for the others."""
