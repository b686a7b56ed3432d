"""The file of a `SqliteStore`: its format, who may open it, and what is looked at before it is opened.

Nothing in here changes a file that is already there: an unfit file is reported and left as it is, byte by byte.
"""

from __future__ import annotations

import errno
import fcntl
import os
import sqlite3
from contextlib import closing, suppress
from pathlib import Path

from engine.store.interface import StoreError

__all__ = [
    "APPLICATION_ID",
    "FILE_NAME",
    "FORMAT",
    "LOCK_NAME",
    "check_contents",
    "check_header",
    "connect",
    "create_file",
    "explain",
    "sync_directory",
    "sync_file",
    "take_lock",
]

FILE_NAME = "livethings.db"
LOCK_NAME = "livethings.lock"

APPLICATION_ID = 0x4C765468  # "LvTh"
FORMAT = 1

BUSY_SECONDS = 5.0
"""How long to wait for another program, such as sqlite3, that is writing to the file."""

# `changes` and `data` come last in their rows: SQLite then reads the columns before them without following the chain
# of pages that a long blob takes.
_TABLES = {
    "log": (
        "CREATE TABLE log (first INTEGER PRIMARY KEY, last INTEGER NOT NULL, at REAL NOT NULL,"
        " total INTEGER NOT NULL, crc INTEGER NOT NULL, changes BLOB NOT NULL)"
    ),
    "things": (
        "CREATE TABLE things (id INTEGER PRIMARY KEY, collection INTEGER NOT NULL, crc INTEGER NOT NULL,"
        " data BLOB NOT NULL)"
    ),
    "definitions": (
        "CREATE TABLE definitions (kind TEXT NOT NULL, key NOT NULL, crc INTEGER NOT NULL, data BLOB NOT NULL,"
        " PRIMARY KEY (kind, key)) WITHOUT ROWID"
    ),
    "meta": "CREATE TABLE meta (name TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID",
    "checkpoint": "CREATE TABLE checkpoint (one INTEGER PRIMARY KEY CHECK (one = 1), change_id INTEGER NOT NULL)",
}

_MAGIC = b"SQLite format 3\0"
_HEADER_BYTES = 100
_WAL_HEADER_BYTES = 32
_WAL_FRAME_HEADER_BYTES = 24
_PENDING_BYTE = 1 << 30  # SQLite locks the page that holds this byte and never writes it

_RESTORE = "restore livethings.db from a backup"
_SPACE = "free some disk space and start again"
_ACCESS = "give the user who runs the server the right to write there"

_REASONS = {
    sqlite3.SQLITE_FULL: ("the disk, or the quota, is full", _SPACE),
    sqlite3.SQLITE_READONLY: ("it can't be written", _ACCESS),
    sqlite3.SQLITE_PERM: ("access to it is denied", _ACCESS),
    sqlite3.SQLITE_CANTOPEN: ("it can't be opened", "check that the file and its folder can be read and written"),
    sqlite3.SQLITE_CORRUPT: ("it is damaged", _RESTORE),
    sqlite3.SQLITE_NOTADB: ("it is not a Livethings store", "choose another data directory"),
    sqlite3.SQLITE_BUSY: ("another program is writing to it", "end that program and start again"),
    sqlite3.SQLITE_LOCKED: ("another program is writing to it", "end that program and start again"),
    sqlite3.SQLITE_TOOBIG: ("a record is longer than SQLite's limit", "split the change that is so large"),
    sqlite3.SQLITE_IOERR: ("reading or writing it failed", "check the disk and the system's log"),
}


def explain(where: object, error: sqlite3.Error | OSError) -> StoreError:
    """The StoreError that says what `error` means for the file `where`."""
    if isinstance(error, OSError):
        reason = error.strerror or str(error)
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            return StoreError(where, f"the disk, or the quota, is full ({reason})", _SPACE)
        if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
            return StoreError(where, f"it can't be written ({reason})", _ACCESS)
        return StoreError(where, f"it can't be used ({reason})", "check the file and its folder")
    code = getattr(error, "sqlite_errorcode", None)
    if code is None:
        # Errors of the sqlite3 module itself: a closed connection, a value that SQLite has no type for.
        return StoreError(where, str(error), "nothing was written")
    name = error.sqlite_errorname
    if name == "SQLITE_IOERR_SHMSIZE":  # the index of the write-ahead log finds no room
        code = sqlite3.SQLITE_FULL
    problem, remedy = _REASONS.get(code & 0xFF, ("SQLite refuses", "see the message in brackets"))
    return StoreError(where, f"{problem} ({error}, {name})", remedy)


def take_lock(directory: Path) -> int:
    """A file descriptor that holds the right to open the store in `directory`.

    The kernel drops the lock with the descriptor, so also when the process is killed. The lock file stays behind:
    were it removed, two servers could each lock a file of that name.
    """
    path = directory / LOCK_NAME
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise explain(path, error) from None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        holder = os.pread(descriptor, 20, 0).decode("ascii", "replace").strip()
        os.close(descriptor)
        if error.errno not in (errno.EWOULDBLOCK, errno.EACCES):
            raise explain(path, error) from None
        who = f"process {holder}" if holder else "another process"
        raise StoreError(
            directory / FILE_NAME, f"{who} has it open", "stop that server, or choose another data directory"
        ) from None
    with suppress(OSError):  # only for the message above; on a full disk it is missing
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, b"%d\n" % os.getpid(), 0)
    return descriptor


def sync_directory(directory: Path) -> None:
    """Make a new or renamed file in `directory` outlast a power failure."""
    sync_file(directory)


def sync_file(path: Path) -> None:
    """Make what is in a file outlast a power failure."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def connect(path: Path, *, mode: str) -> sqlite3.Connection:
    """A connection in autocommit mode to the file at `path`; `mode` is ro, rw or rwc. Any thread may use it."""
    return sqlite3.connect(
        f"{path.absolute().as_uri()}?mode={mode}",
        uri=True,
        isolation_level=None,
        check_same_thread=False,
        timeout=BUSY_SECONDS,
    )


def create_file(path: Path) -> None:
    """Make an empty store at `path`, where there is none. The caller holds the lock.

    It is made under another name and then renamed, so that a crash never leaves half a store.
    """
    draft = path.with_name(path.name + ".new")
    try:
        for leftover in (draft, draft.with_name(draft.name + "-journal")):
            leftover.unlink(missing_ok=True)
        try:
            with closing(connect(draft, mode="rwc")) as connection:
                connection.execute("PRAGMA page_size = 4096")
                connection.execute("PRAGMA auto_vacuum = NONE")
                connection.execute("PRAGMA synchronous = FULL")
                connection.execute("BEGIN IMMEDIATE")
                connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
                connection.execute(f"PRAGMA user_version = {FORMAT}")
                for statement in _TABLES.values():
                    connection.execute(statement)
                connection.execute("INSERT INTO checkpoint VALUES (1, 0)")
                connection.execute("COMMIT")
            os.rename(draft, path)
        except BaseException:
            draft.unlink(missing_ok=True)
            raise
        sync_directory(path.parent)
    except (sqlite3.Error, OSError) as error:
        raise explain(path, error) from None


def check_header(path: Path) -> None:
    """Refuse what is not a whole Livethings store, as far as its first 100 bytes and its size tell.

    To be called before SQLite has the file open in this process: closing any other descriptor of it would drop
    SQLite's locks.
    """
    wal = path.with_name(path.name + "-wal")
    try:
        with path.open("rb") as file:
            header = file.read(_HEADER_BYTES)
            size = os.fstat(file.fileno()).st_size
        wal_size = wal.stat().st_size if wal.exists() else 0
        os.close(os.open(path, os.O_RDWR))  # can it be written?
    except OSError as error:
        raise explain(path, error) from None
    if header[: len(_MAGIC)] != _MAGIC[: len(header)]:
        raise StoreError(path, "it is not a Livethings store", "choose another data directory")
    if len(header) < _HEADER_BYTES:
        raise StoreError(path, f"it is truncated to {size} bytes", _RESTORE)
    page_size = int.from_bytes(header[16:18], "big")
    page_size = 65536 if page_size == 1 else page_size
    pages = int.from_bytes(header[28:32], "big")
    pages_are_right = header[24:28] == header[92:96]  # by the file format's own rule
    if int.from_bytes(header[68:72], "big") != APPLICATION_ID:
        raise StoreError(
            path, "it is a database of another program, not a Livethings store", "choose another data directory"
        )
    # With a write-ahead log the file may rightly be short; `_check_size` then looks closer.
    if wal_size <= _WAL_HEADER_BYTES and pages_are_right and size < pages * page_size:
        raise StoreError(path, f"it is truncated to {size} of {pages * page_size} bytes", _RESTORE)


def check_contents(connection: sqlite3.Connection, path: Path) -> None:
    """Refuse a store of another format, with missing pages, other tables or a log that does not fit the state.

    Costs the same for every size of store: it reads the schema and the outermost rows of each table. `connection` is
    a read-only one: that never moves the write-ahead log into the file, not even when it is closed. Raises
    sqlite3.Error where SQLite itself finds the damage.
    """
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version > FORMAT:
        raise StoreError(
            path,
            f"it has format {version}, made by a newer Livethings; this one reads format {FORMAT}",
            "run the newer version",
        )
    if version != FORMAT:
        raise StoreError(path, f"it has format {version}, which there never was", _RESTORE)
    (page_size,) = connection.execute("PRAGMA page_size").fetchone()
    (pages,) = connection.execute("PRAGMA page_count").fetchone()
    _check_size(path, page_size, pages)
    found = dict(connection.execute("SELECT name, sql FROM sqlite_master WHERE type = 'table'"))
    for name, sql in _TABLES.items():
        if found.get(name) != sql:
            raise StoreError(path, f"its table {name} is missing or not as it should be", _RESTORE)
    for table, key in (("things", "id"), ("definitions", "kind"), ("meta", "name")):
        for order in ("ASC", "DESC"):
            connection.execute(f"SELECT * FROM {table} ORDER BY {key} {order} LIMIT 1").fetchall()
    state = connection.execute("SELECT change_id FROM checkpoint").fetchall()
    ends = connection.execute(
        "SELECT (SELECT min(first) FROM log), last FROM log ORDER BY first DESC LIMIT 1"
    ).fetchall()
    if len(state) != 1:
        raise StoreError(path, "it does not say which change its state is true at", _RESTORE)
    if ends and not ends[0][0] - 1 <= state[0][0] <= ends[0][1]:
        raise StoreError(
            path,
            f"its log has changes {ends[0][0]} to {ends[0][1]}, which does not join the state at change {state[0][0]}",
            _RESTORE,
        )


def _check_size(path: Path, page_size: int, pages: int) -> None:
    """Every page is in the file or in the write-ahead log.

    While the log is moved into the file, the file may be short for a while, and a crash leaves it so. SQLite takes a
    page that is missing from both for a page of zeros.
    """
    in_file = path.stat().st_size // page_size
    if in_file >= pages:
        return
    missing = set(range(in_file + 1, pages + 1)) - {_PENDING_BYTE // page_size + 1}
    with path.with_name(path.name + "-wal").open("rb") as wal:
        header = wal.read(_WAL_HEADER_BYTES)
        salts = header[16:24]
        while missing:
            frame = wal.read(_WAL_FRAME_HEADER_BYTES)
            # Frames with other salts are left from before the log was last started over.
            if len(frame) < _WAL_FRAME_HEADER_BYTES or frame[8:16] != salts:
                raise StoreError(
                    path, f"it is truncated: it has {in_file} of {pages} pages, and its -wal file lacks some", _RESTORE
                )
            missing.discard(int.from_bytes(frame[:4], "big"))
            wal.seek(page_size, os.SEEK_CUR)
