"""What a store on disk keeps: changes, state, retention, backups."""

from __future__ import annotations

import threading
import zlib
from collections.abc import Iterator
from pathlib import Path

import msgpack
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.store import ChangesNotKept, Checkpoint, Retention, SqliteStore, StoreError
from engine.store import sqlite as sqlite_store
from engine.store.batch import checksum, join_changes, split_changes


def change(change_id: int, content: object = "x") -> bytes:
    packed: bytes = msgpack.packb([change_id, content])
    return packed


def changes(first: int, last: int) -> list[bytes]:
    return [change(change_id, "x" * (change_id % 7)) for change_id in range(first, last + 1)]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqliteStore]:
    store = SqliteStore.open(tmp_path / "data", create=True)
    yield store
    store.close()


def reopened(store: SqliteStore) -> SqliteStore:
    store.close()
    return SqliteStore.open(store.path.parent, create=False)


def state_of(store: SqliteStore) -> tuple[int, list[object], list[object], dict[str, bytes]]:
    with store.read_state() as state:
        return state.change_id, list(state.things), list(state.definitions), state.meta


def test_a_new_store_is_empty(store: SqliteStore) -> None:
    assert (store.last_change, store.first_kept, store.checkpoint_change, store.log_bytes) == (0, 1, 0, 0)
    assert list(store.read_changes(0)) == []
    assert state_of(store) == (0, [], [], {})


def test_changes_come_back_as_they_were_after_reopening(store: SqliteStore) -> None:
    store.write_batch(1, changes(1, 3), 10.0)
    store.write_batch(4, changes(4, 4), 11.5)
    store = reopened(store)
    assert (store.first_kept, store.last_change) == (1, 4)
    assert list(store.read_changes(0)) == list(zip(range(1, 5), changes(1, 4), strict=True))
    store.write_batch(5, changes(5, 6), 12.0)
    assert list(store.read_changes(2)) == list(zip(range(3, 7), changes(3, 6), strict=True))
    assert list(store.read_changes(2, until=4)) == list(zip(range(3, 5), changes(3, 4), strict=True))
    assert list(store.read_changes(6)) == []
    store.close()


def test_a_change_keeps_every_byte(store: SqliteStore) -> None:
    contents = [b"\x00\xff" * 40_000, "é\n", {"a": [1, None]}, -(2**63), 1.5, msgpack.ExtType(7, b"z")]
    store.write_batch(1, [change(i, content) for i, content in enumerate(contents, 1)], 0.0)
    assert [msgpack.unpackb(packed)[1] for _, packed in store.read_changes(0)] == contents


@pytest.mark.parametrize("first", [0, 1, 2, 4, 5, -1])
def test_ids_increase_by_one(store: SqliteStore, first: int) -> None:
    store.write_batch(1, changes(1, 2), 0.0)
    with pytest.raises(StoreError, match=f"change {first} can't follow change 2"):
        store.write_batch(first, [change(first)], 0.0)
    assert store.last_change == 2


@pytest.mark.parametrize(
    ("batch", "says"),
    [
        ([], "no changes"),
        ([change(2)], "change 2 where change 1"),
        ([change(1), change(3)], "change 3 where change 2"),
        ([b"\xc0"], "first item"),
        ([b""], "first item"),
        ([msgpack.packb(["1"])], "first item"),
        ([msgpack.packb([])], "first item"),
        ([msgpack.packb([True])], "first item"),
    ],
)
def test_a_batch_that_is_none_is_refused_whole(store: SqliteStore, batch: list[bytes], says: str) -> None:
    with pytest.raises(StoreError, match=says):
        store.write_batch(1, batch, 0.0)
    assert store.last_change == 0
    store.write_batch(1, [change(1)], 0.0)


def test_reading_from_a_change_that_never_was_is_an_error(store: SqliteStore) -> None:
    store.write_batch(1, changes(1, 2), 0.0)
    for after in (3, -1):
        with pytest.raises(StoreError, match=f"no change {after}"):
            store.read_changes(after)


def test_changes_may_be_read_while_others_are_written(store: SqliteStore) -> None:
    store.write_batch(1, changes(1, 1000), 0.0)
    reading = store.read_changes(0)
    assert next(reading)[0] == 1
    store.write_batch(1001, changes(1001, 1001), 0.0)
    assert [change_id for change_id, _ in reading] == list(range(2, 1001))


def test_a_checkpoint_changes_only_what_it_names(store: SqliteStore) -> None:
    store.write_batch(1, changes(1, 9), 0.0)
    store.write_checkpoint(
        Checkpoint(
            4,
            things=[(1, 7, b"one"), (2, 7, b"two"), (3, 8, b"")],
            definitions=[("type", 1, b"T"), ("type", "a", b"A"), ("enum", 1, b"E")],
            meta={"next": b"4", "old": b"x"},
        )
    )
    store.write_checkpoint(
        Checkpoint(
            9,
            things=iter([(2, 7, b"zwei"), (5, 7, b"five")]),
            gone=iter([1, 99]),
            definitions=[("type", 1, None), ("enum", 1, b"E2"), ("enum", 5, None)],
            meta={"next": b"6", "old": None},
        )
    )
    store = reopened(store)
    assert store.checkpoint_change == 9
    assert state_of(store) == (
        9,
        [(2, 7, b"zwei"), (3, 8, b""), (5, 7, b"five")],
        [("enum", 1, b"E2"), ("type", "a", b"A")],
        {"next": b"6"},
    )
    store.close()


def test_a_thing_in_both_gone_and_things_stays(store: SqliteStore) -> None:
    store.write_checkpoint(Checkpoint(0, things=[(1, 7, b"a")]))
    store.write_checkpoint(Checkpoint(0, things=[(1, 7, b"b")], gone=[1]))
    assert state_of(store)[1] == [(1, 7, b"b")]


@pytest.mark.parametrize("count", [1, 199, 200, 201, 1000])
def test_checkpoints_of_any_size(store: SqliteStore, count: int) -> None:
    rows = [(thing_id, thing_id % 3, b"%d" % thing_id) for thing_id in range(1, count + 1)]
    store.write_checkpoint(Checkpoint(0, things=iter(rows)))
    assert state_of(store)[1] == rows
    store.write_checkpoint(Checkpoint(0, gone=range(1, count)))
    assert state_of(store)[1] == rows[-1:]


def test_a_checkpoint_lies_between_the_last_one_and_the_last_change(store: SqliteStore) -> None:
    store.write_batch(1, changes(1, 5), 0.0)
    store.write_checkpoint(Checkpoint(3))
    for change_id in (2, 6):
        with pytest.raises(StoreError, match=f"checkpoint at change {change_id} is impossible"):
            store.write_checkpoint(Checkpoint(change_id))
    assert store.checkpoint_change == 3


def test_a_checkpoint_that_fails_on_the_way_changes_nothing(store: SqliteStore) -> None:
    store.write_batch(1, changes(1, 2), 0.0)
    store.write_checkpoint(Checkpoint(1, things=[(1, 7, b"one")], definitions=[("type", 1, b"T")]))
    before = state_of(store)

    def rows() -> Iterator[tuple[int, int, bytes]]:
        for thing_id in range(1, 1000):
            yield thing_id, 7, b"new"
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        store.write_checkpoint(Checkpoint(2, things=rows(), gone=[1], definitions=[("type", 1, None)]))
    with pytest.raises(StoreError):
        store.write_checkpoint(Checkpoint(2, things=[(1, None, b"new")]))  # type: ignore[list-item]
    assert state_of(store) == before
    assert store.checkpoint_change == 1
    store.write_batch(3, [change(3)], 0.0)


def test_the_state_is_a_snapshot_while_others_write(store: SqliteStore) -> None:
    store.write_batch(1, changes(1, 2), 0.0)
    store.write_checkpoint(Checkpoint(1, things=[(thing_id, 7, b"old") for thing_id in range(2000)]))
    with store.read_state() as state:
        assert next(state.things) == (0, 7, b"old")
        store.write_checkpoint(Checkpoint(2, things=[(thing_id, 7, b"new") for thing_id in range(3000)]))
        store.tidy()
        assert [row[2] for row in state.things] == [b"old"] * 1999
        assert state.change_id == 1


def test_only_what_the_checkpoint_contains_is_trimmed(store: SqliteStore) -> None:
    for first in (1, 11, 21):
        store.write_batch(first, changes(first, first + 9), 0.0)
    everything = Retention(max_changes=0)
    assert store.trim(everything, 1.0) is False
    assert store.first_kept == 1
    store.write_checkpoint(Checkpoint(25))
    assert store.trim(everything, 1.0) is False
    assert (store.first_kept, store.last_change) == (21, 30)
    assert store.log_bytes == sum(map(len, changes(21, 30)))
    with pytest.raises(ChangesNotKept) as caught:
        store.read_changes(19)
    assert (caught.value.wanted, caught.value.first_kept) == (20, 21)
    assert next(store.read_changes(20))[0] == 21


def test_a_log_that_is_trimmed_empty_continues(store: SqliteStore) -> None:
    store.write_batch(1, changes(1, 5), 0.0)
    store.write_checkpoint(Checkpoint(5))
    store.trim(Retention(max_age=10.0), 100.0)
    store = reopened(store)
    assert (store.first_kept, store.last_change, store.checkpoint_change, store.log_bytes) == (6, 5, 5, 0)
    store.write_batch(6, changes(6, 6), 0.0)
    assert [change_id for change_id, _ in store.read_changes(5)] == [6]
    store.close()


@pytest.mark.parametrize(
    ("retention", "first_kept"),
    [
        (Retention(), 1),
        (Retention(max_changes=15), 11),
        (Retention(max_changes=20), 11),
        (Retention(max_changes=21), 1),
        (Retention(max_age=95.0), 11),
        (Retention(max_age=80.0), 21),
        (Retention(max_bytes=sum(map(len, changes(21, 30)))), 21),
        (Retention(max_bytes=sum(map(len, changes(21, 30))) + 1), 11),
        (Retention(max_changes=15, max_age=80.0), 21),
    ],
)
def test_retention(store: SqliteStore, retention: Retention, first_kept: int) -> None:
    for first in (1, 11, 21):
        store.write_batch(first, changes(first, first + 9), float(first))
    store.write_checkpoint(Checkpoint(30))
    store.trim(retention, 100.0)
    assert store.first_kept == first_kept


def test_trimming_takes_steps(store: SqliteStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite_store, "TRIM_BATCHES", 3)
    for change_id in range(1, 9):
        store.write_batch(change_id, [change(change_id)], 0.0)
    store.write_checkpoint(Checkpoint(8))
    steps = []
    while store.trim(Retention(max_changes=1), 0.0):
        steps.append(store.first_kept)
    assert [*steps, store.first_kept] == [4, 7, 8]
    monkeypatch.setattr(sqlite_store, "TRIM_BYTES", 1)
    store.write_batch(9, [change(9)], 0.0)
    store.write_batch(10, [change(10)], 0.0)
    store.write_checkpoint(Checkpoint(10))
    assert store.trim(Retention(max_changes=0), 0.0) is True
    assert store.first_kept == 9


def test_a_reader_overtaken_by_trimming_is_told(store: SqliteStore) -> None:
    for change_id in range(1, 6):
        store.write_batch(change_id, [change(change_id)], 0.0)
    reading = store.read_changes(0)
    assert next(reading)[0] == 1
    store.write_checkpoint(Checkpoint(5))
    store.trim(Retention(max_changes=1), 0.0)
    with pytest.raises(ChangesNotKept):
        next(reading)


@pytest.fixture
def small_wal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SqliteStore]:
    monkeypatch.setattr(sqlite_store, "WAL_BYTES", 1 << 20)
    monkeypatch.setattr(sqlite_store, "WAL_FILE_BYTES", 4 << 20)
    store = SqliteStore.open(tmp_path / "data", create=True)
    yield store
    store.close()


def wal_size(store: SqliteStore) -> int:
    return store.path.with_name("livethings.db-wal").stat().st_size


def test_the_write_ahead_log_stays_bounded(small_wal: SqliteStore) -> None:
    store = small_wal
    largest = 0
    for change_id in range(1, 101):
        store.write_batch(change_id, [change(change_id, b"x" * 100_000)], 0.0)
        store.tidy()
        largest = max(largest, wal_size(store))
    assert largest < 2 << 20
    store.write_checkpoint(Checkpoint(100, things=[(thing_id, 7, b"x" * 100_000) for thing_id in range(100)]))
    assert wal_size(store) > 8 << 20
    store.tidy()
    store.write_batch(101, [change(101)], 0.0)
    assert wal_size(store) <= 4 << 20


def test_the_write_ahead_log_starts_over_after_a_long_read(small_wal: SqliteStore) -> None:
    store = small_wal
    store.write_batch(1, [change(1)], 0.0)
    with store.read_state():
        for change_id in range(2, 50):
            store.write_batch(change_id, [change(change_id, b"x" * 100_000)], 0.0)
            store.tidy()
        assert wal_size(store) > 4 << 20
    for change_id in range(50, 80):
        store.write_batch(change_id, [change(change_id, b"x" * 100_000)], 0.0)
        store.tidy()
    assert wal_size(store) <= 4 << 20


def test_what_is_promised_of_durability_is_set(store: SqliteStore) -> None:
    writer = store._writer
    pragmas = {name: writer.execute(f"PRAGMA {name}").fetchone()[0] for name in ("journal_mode", "synchronous")}
    assert pragmas == {"journal_mode": "wal", "synchronous": 2}


def test_closing_leaves_one_file_and_no_use(store: SqliteStore) -> None:
    store.write_batch(1, [change(1)], 0.0)
    reading = store.read_changes(0)
    store.close()
    store.close()
    assert sorted(path.name for path in store.path.parent.iterdir()) == ["livethings.db", "livethings.lock"]
    with pytest.raises(StoreError, match="closed"):
        next(reading)
    with pytest.raises(StoreError, match="closed"):
        store.write_batch(2, [change(2)], 0.0)
    with pytest.raises(StoreError, match="closed"), store.read_state():
        pass


def test_a_backup_while_writing_is_a_store_of_one_moment(store: SqliteStore, tmp_path: Path) -> None:
    store.write_batch(1, changes(1, 10), 0.0)
    store.write_checkpoint(Checkpoint(8, things=[(thing_id, 7, b"x" * 3000) for thing_id in range(1000)]))
    store.write_batch(11, changes(11, 20), 0.0)
    reports: list[tuple[int, int]] = []

    def progress(done: int, total: int) -> None:
        reports.append((done, total))
        change_id = store.last_change + 1
        writer = threading.Thread(target=store.write_batch, args=(change_id, [change(change_id)], 0.0))
        writer.start()
        writer.join()

    target = tmp_path / "copy" / "livethings.db"
    target.parent.mkdir()
    assert store.backup(target, progress) == 20
    assert len(reports) > 1
    assert reports[-1][0] == reports[-1][1] > 0
    assert [path.name for path in target.parent.iterdir()] == ["livethings.db"]
    assert store.last_change == 20 + len(reports)
    copy = SqliteStore.open(target.parent, create=False)
    assert (copy.first_kept, copy.last_change, copy.checkpoint_change) == (1, 20, 8)
    assert list(copy.read_changes(0)) == list(store.read_changes(0, until=20))
    assert state_of(copy) == state_of(store)
    copy.write_batch(21, [change(21)], 0.0)
    copy.close()


def test_a_backup_overwrites_nothing_and_leaves_nothing_half(store: SqliteStore, tmp_path: Path) -> None:
    there = tmp_path / "there"
    there.write_bytes(b"precious")
    with pytest.raises(StoreError, match="there is a file of this name"):
        store.backup(there)
    assert there.read_bytes() == b"precious"

    def give_up(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        store.backup(tmp_path / "new", give_up)
    with pytest.raises(StoreError, match="no/such"):
        store.backup(tmp_path / "no/such/folder")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data", "there"]
    assert store.backup(tmp_path / "new") == 0


@given(st.lists(st.binary(max_size=12_000), min_size=1, max_size=8), st.integers(1, 2**62))
@settings(max_examples=50, deadline=None)
def test_batches_split_as_they_were_joined(contents: list[bytes], first: int) -> None:
    packed = [change(first + i, content) for i, content in enumerate(contents)]
    blob = join_changes(first, packed)
    assert list(split_changes(first, first + len(packed) - 1, blob)) == list(enumerate(packed, first))


@given(st.binary(max_size=30_000))
@settings(max_examples=50, deadline=None)
def test_the_checksum_is_crc_32(data: bytes) -> None:
    assert checksum(data) == zlib.crc32(data)
