"""A store that forgets everything when the process ends: for tests, and the model `SqliteStore` is compared with."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path

from engine.store.batch import BadBatch, join_changes, split_changes
from engine.store.interface import (
    TRIM_BATCHES,
    TRIM_BYTES,
    ChangesNotKept,
    Checkpoint,
    Retention,
    State,
    StoreError,
    ThingRow,
)

__all__ = ["MemoryStore"]

_WHERE = "store in memory"


@dataclass(frozen=True, slots=True)
class _Batch:
    first: int
    last: int
    at: float
    blob: bytes


class MemoryStore:
    """Keeps every promise of `Store` but the lasting one."""

    def __init__(self) -> None:
        self._batches: list[_Batch] = []
        self._last = 0
        self._checkpoint = 0
        self._things: dict[int, ThingRow] = {}
        self._definitions: dict[tuple[str, int | str], bytes] = {}
        self._meta: dict[str, bytes] = {}
        self._closed = False

    @property
    def last_change(self) -> int:
        return self._last

    @property
    def first_kept(self) -> int:
        return self._batches[0].first if self._batches else self._last + 1

    @property
    def checkpoint_change(self) -> int:
        return self._checkpoint

    @property
    def log_bytes(self) -> int:
        return sum(len(batch.blob) for batch in self._batches)

    def _check_open(self) -> None:
        if self._closed:
            raise StoreError(_WHERE, "it is closed", "open a new one")

    def write_batch(self, first: int, changes: Sequence[bytes], at: float) -> None:
        self._check_open()
        if first != self._last + 1:
            raise StoreError(_WHERE, f"change {first} can't follow change {self._last}", "change ids increase by one")
        try:
            blob = join_changes(first, changes)
        except BadBatch as error:
            raise StoreError(_WHERE, f"a batch {error}", "nothing of it was written") from None
        last = first + len(changes) - 1
        self._batches.append(_Batch(first, last, at, blob))
        self._last = last

    def read_changes(self, after: int, until: int | None = None) -> Iterator[tuple[int, bytes]]:
        self._check_open()
        if after > self._last or after < 0:
            raise StoreError(_WHERE, f"there is no change {after}", f"the last one is {self._last}")
        if after + 1 < self.first_kept:
            raise ChangesNotKept(_WHERE, after + 1, self.first_kept)
        end = self._last if until is None else min(until, self._last)
        return self._read(after, end, list(self._batches))

    @staticmethod
    def _read(after: int, end: int, batches: list[_Batch]) -> Iterator[tuple[int, bytes]]:
        for batch in batches:
            if batch.last > after:
                for change_id, packed in split_changes(batch.first, batch.last, batch.blob):
                    if change_id > end:
                        return
                    if change_id > after:
                        yield change_id, packed

    def trim(self, retention: Retention, now: float) -> bool:
        self._check_open()
        bytes_after = self.log_bytes
        trimmed = trimmed_bytes = 0
        more = False
        for batch in self._batches:
            bytes_after -= len(batch.blob)
            if batch.last > self._checkpoint or not retention.releases(
                self._last - batch.last, bytes_after, now - batch.at
            ):
                break
            if trimmed == TRIM_BATCHES or trimmed_bytes >= TRIM_BYTES:
                more = True
                break
            trimmed += 1
            trimmed_bytes += len(batch.blob)
        del self._batches[:trimmed]
        return more

    def write_checkpoint(self, checkpoint: Checkpoint) -> None:
        self._check_open()
        first, last = (self._last + 1, None) if checkpoint.replaces else (self._checkpoint, self._last)
        if checkpoint.change_id < first or (last is not None and checkpoint.change_id > last):
            raise StoreError(
                _WHERE,
                f"a checkpoint at change {checkpoint.change_id} is impossible",
                f"it can be at change {first} {'or later' if last is None else f'to {last}'}",
            )
        # Everything is read before anything is kept: an iterable that raises leaves the old state.
        gone, things = list(checkpoint.gone), list(checkpoint.things)
        definitions, meta = list(checkpoint.definitions), dict(checkpoint.meta)
        if checkpoint.replaces:
            self._last = checkpoint.change_id
            for rows in (self._batches, self._things, self._definitions):
                rows.clear()
        for thing_id in gone:
            self._things.pop(thing_id, None)
        for thing in things:
            self._things[thing[0]] = thing
        for kind, key, data in definitions:
            if data is None:
                self._definitions.pop((kind, key), None)
            else:
                self._definitions[kind, key] = data
        for name, value in meta.items():
            if value is None:
                self._meta.pop(name, None)
            else:
                self._meta[name] = value
        self._checkpoint = checkpoint.change_id

    def read_state(self) -> AbstractContextManager[State]:
        self._check_open()
        # Numbers before texts, and texts by their UTF-8, as SQLite orders them.
        order = sorted(
            self._definitions.items(),
            key=lambda item: (item[0][0].encode(), isinstance(item[0][1], str), _sortable(item[0][1])),
        )
        return nullcontext(
            State(
                self._checkpoint,
                iter([self._things[thing_id] for thing_id in sorted(self._things)]),
                [(kind, key, data) for (kind, key), data in order],
                dict(self._meta),
            )
        )

    def tidy(self) -> None:
        pass

    def backup(self, path: Path, progress: Callable[[int, int], None] | None = None) -> int:
        raise StoreError(_WHERE, "it can't be backed up", "use a store on disk")

    def close(self) -> None:
        self._closed = True


def _sortable(key: int | str) -> tuple[int, bytes]:
    return (0, key.encode()) if isinstance(key, str) else (key, b"")
