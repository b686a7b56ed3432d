"""The embedded store: one SQLite file in a data directory. docs/storage.md describes it to the column."""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from itertools import islice
from pathlib import Path
from typing import Any

from engine.store.batch import BadBatch, checksum, join_changes, split_changes
from engine.store.interface import (
    TRIM_BATCHES,
    TRIM_BYTES,
    ChangesNotKept,
    Checkpoint,
    DefinitionRow,
    Retention,
    State,
    StoreError,
    ThingRow,
)
from engine.store.sqlite_file import (
    FILE_NAME,
    FORMAT,
    check_contents,
    check_header,
    connect,
    create_file,
    explain,
    sync_directory,
    take_lock,
)

__all__ = ["SqliteStore"]

WAL_BYTES = 8 << 20
"""The write-ahead log is moved into the file when about so much of it has gathered since the last time."""

WAL_FILE_BYTES = 64 << 20
"""A write-ahead log that grew longer, in a large checkpoint or behind a long read, is cut to this afterwards."""

ROWS_A_STATEMENT = 200
"""Rows that one statement writes. Each statement gives up the GIL and has to get it back: with a row a statement, a
busy main thread and a checkpoint halve each other's speed. 200 rows stay below the 999 parameters of old SQLites."""

ROWS_A_READ = 500

BACKUP_PAGES = 512

_PAGE_BYTES = 4096


class SqliteStore:
    """A `Store` in one SQLite file in WAL mode with `synchronous=FULL`.

    What `write_batch` and `write_checkpoint` wrote is on disk when they return. While one of these is open, no other
    can be, in this or another process.
    """

    def __init__(self, path: Path, lock: int, writer: sqlite3.Connection, reader: sqlite3.Connection) -> None:
        """For `open`, which see."""
        self._path = path
        self._lock: int | None = lock
        self._writer = writer
        self._reader = reader
        self._writing = threading.Lock()
        self._reading = threading.Lock()
        self._wal_bytes = 0
        self._fold_at = WAL_BYTES
        self._checkpoint: int
        (self._checkpoint,) = reader.execute("SELECT change_id FROM checkpoint").fetchone()
        oldest = reader.execute("SELECT first, total - length(changes) FROM log ORDER BY first LIMIT 1").fetchone()
        newest = reader.execute("SELECT last, total FROM log ORDER BY first DESC LIMIT 1").fetchone()
        self._last: int = newest[0] if newest else self._checkpoint
        self._total: int = newest[1] if newest else 0
        self._first_kept: int = oldest[0] if oldest else self._last + 1
        self._trimmed: int = oldest[1] if oldest else self._total  # bytes of what the log no longer keeps

    @classmethod
    def open(cls, directory: Path | str, *, create: bool) -> SqliteStore:
        """Open the store in `directory`; with `create`, make the directory and an empty store if there is none.

        Raises StoreError when it is missing, truncated, damaged, foreign, of a newer format, not writable, on a full
        disk, or open elsewhere; what is there is then as it was.
        """
        directory = Path(directory)
        path = directory / FILE_NAME
        if not create and not path.exists():
            raise StoreError(path, "there is no store", "check the data directory, or let a new store be created")
        try:
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        except FileExistsError:
            raise StoreError(directory, "it is not a directory", "choose another data directory") from None
        except OSError as error:
            raise explain(directory, error) from None
        lock = take_lock(directory)
        connections: list[sqlite3.Connection] = []
        try:
            if not path.exists():
                _check_nothing_left(path)
                create_file(path)
            check_header(path)
            with closing(connect(path, mode="ro")) as connection:
                check_contents(connection, path)
            for mode in ("rw", "ro"):
                connections.append(connect(path, mode=mode))
            _set_up(path, connections[0])
            return cls(path, lock, *connections)
        except BaseException as error:
            for connection in connections:
                connection.close()
            os.close(lock)
            if isinstance(error, sqlite3.Error | OSError):
                raise explain(path, error) from None
            raise

    @property
    def last_change(self) -> int:
        return self._last

    @property
    def first_kept(self) -> int:
        return self._first_kept

    @property
    def checkpoint_change(self) -> int:
        return self._checkpoint

    @property
    def log_bytes(self) -> int:
        return self._total - self._trimmed

    @property
    def path(self) -> Path:
        """The SQLite file."""
        return self._path

    def write_batch(self, first: int, changes: Sequence[bytes], at: float) -> None:
        if first != self._last + 1:
            raise StoreError(
                self._path, f"change {first} can't follow change {self._last}", "change ids increase by one"
            )
        try:
            blob = join_changes(first, changes)
        except BadBatch as error:
            raise StoreError(self._path, f"a batch {error}", "nothing of it was written") from None
        last = first + len(changes) - 1
        total = self._total + len(blob)
        with self._writing, self._explained():
            # One statement is one transaction here, begun, synced and ended within one call that holds no GIL.
            self._writer.execute(
                "INSERT INTO log VALUES (?, ?, ?, ?, ?, ?)", (first, last, at, total, checksum(blob), blob)
            )
        self._last = last
        self._total = total
        self._wal_bytes += len(blob) + 3 * _PAGE_BYTES

    def read_changes(self, after: int, until: int | None = None) -> Iterator[tuple[int, bytes]]:
        last = self._last
        if not 0 <= after <= last:
            raise StoreError(self._path, f"there is no change {after}", f"the last one is {last}")
        if after + 1 < self._first_kept:
            raise ChangesNotKept(self._path, after + 1, self._first_kept)
        return self._read_changes(after, last if until is None else min(until, last))

    def _read_changes(self, after: int, until: int) -> Iterator[tuple[int, bytes]]:
        # A query for each batch: a cursor kept open would stop the write-ahead log from starting over.
        while after < until:
            with self._reading, self._explained():
                rows = self._reader.execute(
                    "SELECT first, last, crc, changes FROM log WHERE first <= ? ORDER BY first DESC LIMIT 1",
                    (after + 1,),
                ).fetchall()
            if not rows or rows[0][1] <= after:
                if after + 1 < self._first_kept:
                    raise ChangesNotKept(self._path, after + 1, self._first_kept)
                raise self._damaged(f"its log lacks change {after + 1}")
            first, last, crc, blob = rows[0]
            if checksum(blob) != crc:
                raise self._damaged(f"the batch of changes {first} to {last} does not have its checksum")
            try:
                for change_id, packed in split_changes(first, last, blob):
                    if change_id > until:
                        return
                    if change_id > after:
                        yield change_id, packed
            except BadBatch as error:
                raise self._damaged(f"a batch {error}") from None
            after = last

    def trim(self, retention: Retention, now: float) -> bool:
        trimmed: tuple[int, int] | None = None
        batches = size = 0
        more = False
        with self._writing, self._explained():
            with closing(
                self._writer.execute(
                    "SELECT last, at, total, length(changes) FROM log WHERE last <= ? ORDER BY first LIMIT ?",
                    (self._checkpoint, TRIM_BATCHES + 1),
                )
            ) as oldest:
                for last, at, total, length in oldest:
                    if not retention.releases(self._last - last, self._total - total, now - at):
                        break
                    if batches == TRIM_BATCHES or size >= TRIM_BYTES:
                        more = True
                        break
                    trimmed = last, total
                    batches += 1
                    size += length
            if trimmed is not None:
                last, total = trimmed
                # Told before it happens, so that a reader who finds a batch gone knows why.
                self._first_kept = last + 1
                self._writer.execute("DELETE FROM log WHERE first <= ?", (last,))
                self._trimmed = total
                self._wal_bytes += batches * _PAGE_BYTES
        return more

    def write_checkpoint(self, checkpoint: Checkpoint) -> None:
        change_id = checkpoint.change_id
        first, last = (self._last + 1, None) if checkpoint.replaces else (self._checkpoint, self._last)
        if change_id < first or (last is not None and change_id > last):
            raise StoreError(
                self._path,
                f"a checkpoint at change {change_id} is impossible",
                f"it can be at change {first} {'or later' if last is None else f'to {last}'}",
            )
        with self._writing, self._explained(), self._transaction() as writer:
            if checkpoint.replaces:
                self._first_kept = change_id + 1  # told before it happens, as in trim
                for table in ("log", "things", "definitions"):
                    writer.execute(f"DELETE FROM {table}")
            _delete_things(writer, checkpoint.gone)
            _write_things(writer, checkpoint.things)
            for kind, key, data in checkpoint.definitions:
                if data is None:
                    writer.execute("DELETE FROM definitions WHERE kind = ? AND key = ?", (kind, key))
                else:
                    writer.execute(
                        "INSERT OR REPLACE INTO definitions VALUES (?, ?, ?, ?)", (kind, key, checksum(data), data)
                    )
            for name, value in checkpoint.meta.items():
                if value is None:
                    writer.execute("DELETE FROM meta WHERE name = ?", (name,))
                else:
                    writer.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (name, value))
            writer.execute("UPDATE checkpoint SET change_id = ?", (change_id,))
        self._checkpoint = change_id
        if checkpoint.replaces:
            self._last = change_id
            self._trimmed = self._total
        self._wal_bytes = self._fold_at  # how much it was is unknown, and often a lot

    @contextmanager
    def read_state(self) -> Iterator[State]:
        self._check_open()
        with self._explained(), closing(connect(self._path, mode="ro")) as connection:
            connection.execute("BEGIN")  # one snapshot for all that follows
            (change_id,) = connection.execute("SELECT change_id FROM checkpoint").fetchone()
            definitions = list(self._read_definitions(connection))
            meta = dict(connection.execute("SELECT name, value FROM meta"))
            yield State(change_id, self._read_things(connection), definitions, meta)

    def _read_definitions(self, connection: sqlite3.Connection) -> Iterator[DefinitionRow]:
        rows = connection.execute("SELECT kind, key, crc, data FROM definitions ORDER BY kind, key")
        for kind, key, crc, data in rows:
            if checksum(data) != crc:
                raise self._damaged(f"the definition {kind} {key!r} does not have its checksum")
            yield kind, key, data

    def _read_things(self, connection: sqlite3.Connection) -> Iterator[ThingRow]:
        with self._explained():
            cursor = connection.execute("SELECT id, collection, data, crc FROM things ORDER BY id")
            while rows := cursor.fetchmany(ROWS_A_READ):
                for thing_id, collection, data, crc in rows:
                    if checksum(data) != crc:
                        raise self._damaged(f"thing {thing_id} does not have its checksum")
                    yield thing_id, collection, data

    def tidy(self) -> None:
        """Move the write-ahead log into the file when enough of it has gathered.

        SQLite would do it by itself, but within a commit, and so before that commit is announced.
        """
        if self._wal_bytes < self._fold_at:
            return
        with self._writing, self._explained():
            _, frames, moved = self._writer.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
        # What a long read or a backup still needs stays; trying again after every batch would be dear.
        self._wal_bytes = (frames - moved) * _PAGE_BYTES
        self._fold_at = self._wal_bytes + WAL_BYTES

    def backup(self, path: Path, progress: Callable[[int, int], None] | None = None) -> int:
        """Copy the store to the new file `path`, a complete store if it is named livethings.db.

        Progress is in pages of 4096 bytes. Writers go on; the write-ahead log grows while a backup runs. Blocks the
        calling thread, mostly without the GIL.
        """
        self._check_open()
        if path.exists():
            raise StoreError(path, "there is a file of this name", "choose another name for the backup")
        draft = path.with_name(path.name + ".part")
        try:
            with closing(connect(self._path, mode="ro")) as source:
                # Within a transaction the source is a snapshot. Without, each write would start the copy over.
                source.execute("BEGIN")
                ((checkpoint, last),) = source.execute(
                    "SELECT change_id, (SELECT max(last) FROM log) FROM checkpoint"
                ).fetchall()
                draft.unlink(missing_ok=True)
                with closing(connect(draft, mode="rwc")) as target:
                    target.execute("PRAGMA journal_mode = OFF")
                    target.execute("PRAGMA synchronous = OFF")
                    report = None if progress is None else lambda _status, left, total: progress(total - left, total)
                    source.backup(target, pages=BACKUP_PAGES, progress=report)
            with draft.open("rb+") as file:
                os.fsync(file.fileno())
            os.rename(draft, path)
            sync_directory(path.parent)
        except BaseException as error:
            with suppress(OSError):
                draft.unlink(missing_ok=True)
            if isinstance(error, sqlite3.Error | OSError):
                raise explain(path, error) from None
            raise
        return int(checkpoint if last is None else last)

    def close(self) -> None:
        with self._writing, self._reading:
            if self._lock is None:
                return
            lock, self._lock = self._lock, None
            try:
                # The last connection to close moves the write-ahead log into the file and removes it. That has to be
                # the one that may write.
                with self._explained():
                    self._reader.close()
                    self._writer.close()
            finally:
                os.close(lock)

    def _damaged(self, problem: str) -> StoreError:
        return StoreError(self._path, f"it is damaged: {problem}", "restore livethings.db from a backup")

    def _check_open(self) -> None:
        if self._lock is None:
            raise StoreError(self._path, "the store is closed", "open it again") from None

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            self._check_open()
            raise explain(self._path, error) from error

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        self._writer.execute("BEGIN IMMEDIATE")
        try:
            yield self._writer
            self._writer.execute("COMMIT")
        except BaseException:
            if self._writer.in_transaction:  # after a full disk SQLite has rolled back by itself
                self._writer.execute("ROLLBACK")
            raise


def _check_nothing_left(path: Path) -> None:
    """A write-ahead log without its file may hold changes that were acknowledged: SQLite would delete it."""
    wal = path.with_name(path.name + "-wal")
    if wal.exists() and wal.stat().st_size > 0:
        raise StoreError(
            path, f"it is missing, but its {wal.name} is there", "put the file back, or move that one away to start new"
        )


def _set_up(path: Path, writer: sqlite3.Connection) -> None:
    (mode,) = writer.execute("PRAGMA journal_mode = WAL").fetchone()
    if mode != "wal":
        raise StoreError(path, f"SQLite can't use a write-ahead log there, only {mode}", "use a local file system")
    for pragma in (
        "synchronous = FULL",
        "fullfsync = ON",  # on macOS fsync alone does not reach the disk
        "checkpoint_fullfsync = ON",
        "wal_autocheckpoint = 0",  # see tidy
        f"journal_size_limit = {WAL_FILE_BYTES}",
        "cache_size = -65536",  # KiB
        "secure_delete = OFF",  # some builds overwrite all they delete, which doubles what trimming writes
    ):
        writer.execute(f"PRAGMA {pragma}").fetchall()
    # Writes the version that is there already: a full or read-only disk shows now, and not at the first change.
    writer.execute(f"PRAGMA user_version = {FORMAT}")
    writer.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()


def _delete_things(writer: sqlite3.Connection, gone: Iterable[int]) -> None:
    ids = iter(gone)
    while some := list(islice(ids, ROWS_A_STATEMENT)):
        writer.execute(f"DELETE FROM things WHERE id IN ({', '.join('?' * len(some))})", some)


def _write_things(writer: sqlite3.Connection, things: Iterable[ThingRow]) -> None:
    rows = iter(things)
    while some := list(islice(rows, ROWS_A_STATEMENT)):
        values: list[Any] = []
        for thing_id, collection, data in some:
            values += (thing_id, collection, checksum(data), data)
        writer.execute(f"INSERT OR REPLACE INTO things VALUES {', '.join(['(?, ?, ?, ?)'] * len(some))}", values)
