"""Files that are no whole store of ours: one clear error, and every byte as it was."""

from __future__ import annotations

import os
import random
import resource
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import msgpack
import pytest

from engine.store import Checkpoint, SqliteStore, StoreError

ROOT = Path(__file__).resolve().parents[2]


def change(change_id: int, content: object = "x") -> bytes:
    packed: bytes = msgpack.packb([change_id, content])
    return packed


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return tmp_path / "data"


@pytest.fixture
def file(data: Path) -> Path:
    """A closed store with 100 batches and 500 things."""
    store = SqliteStore.open(data, create=True)
    fill(store)
    store.close()
    return data / "livethings.db"


def fill(store: SqliteStore) -> None:
    for change_id in range(1, 101):
        store.write_batch(change_id, [change(change_id, "x" * 500)], float(change_id))
        if change_id == 50:
            store.write_checkpoint(Checkpoint(50, things=[(i, 7, b"thing %d" % i * 10) for i in range(500)]))


@pytest.fixture
def crashed(data: Path, tmp_path: Path) -> Path:
    """The same as a killed server leaves it: most of it in the write-ahead log."""
    store = SqliteStore.open(tmp_path / "living", create=True)
    fill(store)
    data.mkdir()
    for name in ("livethings.db", "livethings.db-wal"):
        shutil.copy(tmp_path / "living" / name, data / name)
    store.close()
    return data / "livethings.db"


@contextmanager
def refused(data: Path, says: str, *, create: bool = False) -> Iterator[None]:
    """Opening is refused with one StoreError, and nothing is different afterwards."""

    def bytes_of_all() -> dict[str, bytes]:
        # The lock, the index of the write-ahead log, and that log while it is empty hold nothing that lasts.
        passing = ("livethings.lock", "livethings.db-shm")
        files = {path: path.read_bytes() for path in data.rglob("*") if path.is_file() and path.name not in passing}
        return {str(path): content for path, content in files.items() if content or not path.name.endswith("-wal")}

    yield
    before = bytes_of_all()
    for _ in range(2):
        with pytest.raises(StoreError, match=says) as caught:
            SqliteStore.open(data, create=create)
        assert str(data) in str(caught.value)
        assert caught.value.problem
        assert caught.value.remedy
    assert bytes_of_all() == before


def test_missing(data: Path) -> None:
    with pytest.raises(StoreError, match="there is no store"):
        SqliteStore.open(data, create=False)
    assert not data.exists()


def test_a_file_for_a_directory(tmp_path: Path) -> None:
    (tmp_path / "data").write_bytes(b"hello")
    for create in (False, True):
        with pytest.raises(StoreError):
            SqliteStore.open(tmp_path / "data", create=create)
    assert (tmp_path / "data").read_bytes() == b"hello"


def test_a_directory_for_a_file(data: Path) -> None:
    (data / "livethings.db").mkdir(parents=True)
    with refused(data, "can't be used", create=True):
        pass


def test_create_opens_what_is_there(file: Path) -> None:
    store = SqliteStore.open(file.parent, create=True)
    assert store.last_change == 100
    store.close()


def test_a_creation_that_was_interrupted_is_begun_anew(data: Path) -> None:
    data.mkdir()
    (data / "livethings.db.new").write_bytes(b"half a store")
    store = SqliteStore.open(data, create=True)
    assert store.last_change == 0
    store.close()
    assert not (data / "livethings.db.new").exists()


@pytest.mark.parametrize("length", [0, 1, 16, 99, 100, 4095, 4096, 20_000, -4096, -1])
def test_truncated(file: Path, length: int) -> None:
    os.truncate(file, length if length >= 0 else file.stat().st_size + length)
    with refused(file.parent, "truncated|damaged", create=True):
        pass


@pytest.mark.parametrize("length", [0, 50, 100, 4096])
def test_truncated_with_a_write_ahead_log(crashed: Path, length: int) -> None:
    """The log has only some of the pages that the file had."""
    SqliteStore.open(crashed.parent, create=False).close()
    store = SqliteStore.open(crashed.parent, create=False)
    store.write_batch(101, [change(101)], 0.0)
    copy = crashed.parent.parent / "copy"
    copy.mkdir()
    for name in ("livethings.db", "livethings.db-wal"):
        shutil.copy(crashed.parent / name, copy / name)
    store.close()
    os.truncate(copy / "livethings.db", length)
    with refused(copy, "truncated|damaged", create=True):
        pass


def test_a_short_file_whose_other_pages_are_in_the_log_is_whole(crashed: Path) -> None:
    """A crash while the log is moved into the file leaves it so."""
    os.truncate(crashed, crashed.stat().st_size - 4096)
    store = SqliteStore.open(crashed.parent, create=False)
    assert len(list(store.read_changes(0))) == 100
    store.close()


@pytest.mark.parametrize("content", [b"hello", b"PK\x03\x04" * 5000, bytes(8192), b"\xff" * 100])
def test_foreign(data: Path, content: bytes) -> None:
    data.mkdir()
    (data / "livethings.db").write_bytes(content)
    with refused(data, "is not a Livethings store", create=True):
        pass


def test_a_database_of_another_program(data: Path) -> None:
    data.mkdir()
    with closing(sqlite3.connect(data / "livethings.db")) as connection:
        connection.execute("CREATE TABLE bills (amount)")
    with refused(data, "database of another program", create=True):
        pass


def test_a_newer_format(file: Path) -> None:
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("PRAGMA user_version = 2")
    with refused(file.parent, "format 2.*newer", create=True):
        pass


def test_a_newer_format_of_a_server_that_was_killed(crashed: Path, tmp_path: Path) -> None:
    with closing(sqlite3.connect(crashed)) as connection:
        connection.execute("PRAGMA user_version = 2")
        copy = tmp_path / "copy"
        copy.mkdir()
        for name in ("livethings.db", "livethings.db-wal"):
            shutil.copy(crashed.parent / name, copy / name)
    assert (copy / "livethings.db-wal").stat().st_size > 0
    with refused(copy, "format 2.*newer"):
        pass


@pytest.mark.parametrize("sql", ["DROP TABLE log", "ALTER TABLE things ADD COLUMN x", "DELETE FROM checkpoint"])
def test_other_tables(file: Path, sql: str) -> None:
    with closing(sqlite3.connect(file)) as connection:
        connection.execute(sql)
        connection.commit()
    with refused(file.parent, "its table (log|things)|does not say"):
        pass


@pytest.mark.parametrize("sql", ["UPDATE checkpoint SET change_id = 101", "DELETE FROM log WHERE first < 60"])
def test_a_log_that_does_not_join_the_state(file: Path, sql: str) -> None:
    with closing(sqlite3.connect(file)) as connection:
        connection.execute(sql)
        connection.commit()
    with refused(file.parent, "does not join"):
        pass


def test_a_log_without_its_file(crashed: Path) -> None:
    crashed.unlink()
    with refused(crashed.parent, "-wal is there", create=True):
        pass


def test_a_gap_in_the_log_is_told_when_it_is_read(file: Path) -> None:
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("DELETE FROM log WHERE first = 70")
        connection.commit()
    store = SqliteStore.open(file.parent, create=False)
    reading = store.read_changes(60)
    assert [next(reading)[0] for _ in range(9)] == list(range(61, 70))
    with pytest.raises(StoreError, match="lacks change 70"):
        next(reading)
    store.close()


@pytest.mark.parametrize(
    ("sql", "says"),
    [
        ("UPDATE log SET changes = zeroblob(length(changes)) WHERE first = 80", "changes 80 to 80 .* checksum"),
        ("UPDATE things SET data = x'00' WHERE id = 250", "thing 250 .* checksum"),
        ("INSERT INTO definitions VALUES ('type', 1, 0, x'ff')", "type 1 .* checksum"),
        ("UPDATE log SET last = 81 WHERE first = 80", "ends within change 81"),
    ],
)
def test_changed_bytes_are_found(file: Path, sql: str, says: str) -> None:
    with closing(sqlite3.connect(file)) as connection:
        connection.execute(sql)
        connection.commit()
    store = SqliteStore.open(file.parent, create=False)

    def read() -> None:
        with store.read_state() as state:
            list(state.things)
        list(store.read_changes(0))

    with pytest.raises(StoreError, match=says):
        read()
    store.close()


def test_garbage_anywhere_is_found_or_harmless(file: Path) -> None:
    """A page of garbage: an error when opening or reading, or it hit nothing. Never other data, or another error."""
    whole = file.read_bytes()
    store = SqliteStore.open(file.parent, create=False)
    expected = (list(store.read_changes(0)), read_things(store))
    store.close()
    generator = random.Random(5)
    found: list[str] = []
    for page in range(len(whole) // 4096):
        garbage = generator.randbytes(4096)
        if page == 0:  # the 100 bytes of header are for the tests above
            garbage = whole[:100] + garbage[100:]
        file.write_bytes(whole[: page * 4096] + garbage + whole[(page + 1) * 4096 :])
        try:
            store = SqliteStore.open(file.parent, create=False)
        except StoreError as error:
            found.append(str(error))
            continue
        try:
            assert (list(store.read_changes(0)), read_things(store)) == expected
        except StoreError as error:
            found.append(str(error))
        store.close()
    assert all("damaged" in message or "its table" in message for message in found)
    assert len(found) > len(whole) // 4096 // 2


def read_things(store: SqliteStore) -> list[object]:
    with store.read_state() as state:
        return list(state.things)


def test_whatever_a_power_failure_leaves_of_the_log_is_a_whole_beginning(crashed: Path) -> None:
    """Cut anywhere, or torn: each batch is there or not, none follows one that is not, the state is never half."""
    wal = crashed.with_name("livethings.db-wal")
    whole, whole_file = wal.read_bytes(), crashed.read_bytes()
    generator = random.Random(7)
    seen = set()
    for _ in range(60):
        cut = generator.randrange(len(whole))
        crashed.write_bytes(whole_file)
        torn = generator.randbytes(min(5000, len(whole) - cut)) if generator.random() < 0.5 else b""
        wal.write_bytes(whole[:cut] + torn)
        store = SqliteStore.open(crashed.parent, create=False)
        assert [change_id for change_id, _ in store.read_changes(0)] == list(range(1, store.last_change + 1))
        assert (store.checkpoint_change, len(read_things(store))) in ((0, 0), (50, 500))
        assert store.checkpoint_change <= store.last_change
        seen.add(store.last_change)
        store.close()
    assert len(seen) > 10


def test_two_can_not_open_one_store(file: Path) -> None:
    store = SqliteStore.open(file.parent, create=False)
    with pytest.raises(StoreError, match=f"process {os.getpid()} has it open"):
        SqliteStore.open(file.parent, create=True)
    code = f"from engine.store import *; SqliteStore.open({str(file.parent)!r}, create=False)"
    other = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert f"StoreError: {file}: process {os.getpid()} has it open" in other.stderr
    store.write_batch(101, [change(101)], 0.0)
    store.close()
    SqliteStore.open(file.parent, create=False).close()


def test_a_refused_open_gives_the_lock_back(file: Path) -> None:
    whole = file.read_bytes()
    os.truncate(file, 4096)
    with pytest.raises(StoreError, match="truncated"):
        SqliteStore.open(file.parent, create=False)
    file.write_bytes(whole)
    SqliteStore.open(file.parent, create=False).close()


@pytest.mark.parametrize("what", ["file", "directory"])
def test_read_only(what: str) -> None:
    # Outside tmp_path, which nobody but its owner may enter; permissions do not bind root, so act as another user.
    with tempfile.TemporaryDirectory() as name:
        data = Path(name, "data")
        store = SqliteStore.open(data, create=True)
        fill(store)
        store.close()
        file = data / "livethings.db"
        (data / "livethings.lock").chmod(0o666)
        file.chmod(0o444 if what == "file" else 0o666)
        data.chmod(0o555 if what == "directory" else 0o777)
        Path(name).chmod(0o755)
        if what == "directory":
            (data / "livethings.lock").chmod(0o444)
        root = os.geteuid() == 0
        try:
            if root:
                os.seteuid(65534)
            with refused(data, "can't be written"):
                pass
        finally:
            if root:
                os.seteuid(0)
            data.chmod(0o755)


def test_a_full_store_fails_one_write_and_keeps_the_rest(data: Path) -> None:
    store = SqliteStore.open(data, create=True)
    store.write_batch(1, [change(1)], 0.0)
    (pages,) = store._writer.execute("PRAGMA page_count").fetchone()
    store._writer.execute(f"PRAGMA max_page_count = {pages + 2}").fetchone()
    with pytest.raises(StoreError, match="full") as caught:
        store.write_batch(2, [change(2, "x" * 100_000)], 0.0)
    assert "free some disk space" in str(caught.value)
    with pytest.raises(StoreError, match="full"):
        store.write_checkpoint(Checkpoint(1, things=[(i, 7, b"x" * 1000) for i in range(100)]))
    assert (store.last_change, store.checkpoint_change) == (1, 0)
    store.write_batch(2, [change(2)], 0.0)
    store.close()
    store = SqliteStore.open(data, create=False)
    assert list(store.read_changes(0)) == [(1, change(1)), (2, change(2))]
    assert read_things(store) == []
    store.close()


def test_a_write_that_the_system_refuses(data: Path) -> None:
    """The limit on a file's size stands in for a quota."""
    store = SqliteStore.open(data, create=True)
    store.write_batch(1, [change(1)], 0.0)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, hard))
    try:
        with pytest.raises(StoreError, match=r"failed|full"):
            store.write_batch(2, [change(2, "x" * 1_000_000)], 0.0)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert store.last_change == 1
    store.close()
    store = SqliteStore.open(data, create=False)
    assert store.last_change == 1
    store.close()


FULL_DISK = """
import os, sys, subprocess
sys.path.insert(0, sys.argv[2])
from engine.store import SqliteStore, StoreError, Checkpoint
import msgpack
disk = sys.argv[1]
subprocess.run(["mount", "-t", "tmpfs", "-o", "size=6m", "tmpfs", disk], check=True)
filler = disk + "/filler"
def fill(name):
    with open(name, "wb", buffering=0) as file:
        try:
            while file.write(b"x" * 512): pass
        except OSError: pass
def refused(act):
    try: act()
    except StoreError as error:
        assert "full" in str(error), error
        return
    raise AssertionError("no error")
fill(filler)
refused(lambda: SqliteStore.open(disk + "/data", create=True))
os.unlink(filler)
with open(filler, "wb") as file:
    file.write(bytes(4 << 20))
store = SqliteStore.open(disk + "/data", create=True)
written = 0
def write_all():
    global written
    while True:
        store.write_batch(written + 1, [msgpack.packb([written + 1, "x" * 20_000])], 0.0)
        written += 1
refused(write_all)
assert written > 10
refused(lambda: store.write_checkpoint(Checkpoint(1, things=[(i, 7, b"x" * 1000) for i in range(1000)])))
store.close()
filler_too = filler + "2"
fill(filler_too)
refused(lambda: SqliteStore.open(disk + "/data", create=False))
os.unlink(filler)
store = SqliteStore.open(disk + "/data", create=False)
assert store.last_change == written
assert [i for i, _ in store.read_changes(0)] == list(range(1, written + 1))
store.close()
print("well")
"""


def test_a_disk_that_is_really_full(tmp_path: Path) -> None:
    # In a mount namespace of the child's own, so that nothing stays mounted.
    unshare = ["unshare", "--mount", "--map-root-user", "--user"]
    if shutil.which("unshare") is None or subprocess.run([*unshare, "true"], capture_output=True).returncode != 0:
        pytest.skip("this system lets no test mount a small disk")
    done = subprocess.run(
        [*unshare, sys.executable, "-c", FULL_DISK, tmp_path, ROOT], capture_output=True, text=True, check=False
    )
    assert (done.stdout, done.stderr) == ("well\n", "")
