"""The committer: nothing is announced before it is durable, nothing appended is lost, failures stop everything."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import msgpack
import pytest

from engine.store import Checkpoint, Committer, MemoryStore, Retention, SqliteStore, Store, StoreError
from engine.store import committer as committer_module

WAIT = 20.0  # seconds until a test gives up on an event


def change(change_id: int, content: object = "x") -> bytes:
    packed: bytes = msgpack.packb([change_id, content])
    return packed


class GatedStore(MemoryStore):
    """A store whose writes take until the test says so, and fail when it says so."""

    def __init__(self) -> None:
        super().__init__()
        self.begun = threading.Semaphore(0)
        self.gate = threading.Semaphore(0)
        self.error: Exception | None = None
        self.batches: list[tuple[int, int, float]] = []

    def _pass(self) -> None:
        self.begun.release()
        assert self.gate.acquire(timeout=WAIT)
        if self.error is not None:
            raise self.error

    def write_batch(self, first: int, changes: Sequence[bytes], at: float) -> None:
        self._pass()
        super().write_batch(first, changes, at)
        self.batches.append((first, first + len(changes) - 1, at))

    def write_checkpoint(self, checkpoint: Checkpoint) -> None:
        self._pass()
        super().write_checkpoint(checkpoint)

    def wait_until_writing(self) -> None:
        assert self.begun.acquire(timeout=WAIT)

    def open_for_all(self) -> None:
        self.gate.release(1000)


class Heard:
    """What a committer said, in order."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.said: list[tuple[str, int]] = []
        self.failures: list[Exception] = []
        self.failed = threading.Event()

    def durable(self, change_id: int) -> None:
        assert self.store.last_change >= change_id
        self.said.append(("durable", change_id))

    def checkpoint(self, change_id: int) -> None:
        assert self.store.checkpoint_change == change_id
        self.said.append(("checkpoint", change_id))

    def failure(self, error: Exception) -> None:
        self.failures.append(error)
        self.failed.set()

    def commit_to(self, store: Store, retention: Retention | None = None) -> Committer:
        return Committer(
            store,
            self.durable,
            self.failure,
            on_checkpoint=self.checkpoint,
            retention=retention,
            clock=lambda: 1234.5,
        )


@pytest.fixture
def store() -> GatedStore:
    return GatedStore()


@pytest.fixture
def heard(store: GatedStore) -> Heard:
    return Heard(store)


@pytest.fixture
def committer(store: GatedStore, heard: Heard) -> Iterator[Committer]:
    committer = heard.commit_to(store)
    yield committer
    store.open_for_all()
    committer.close()


def test_what_arrives_during_a_commit_goes_into_the_next(store: GatedStore, heard: Heard, committer: Committer) -> None:
    committer.append(1, change(1))
    store.wait_until_writing()
    for change_id in range(2, 12):
        committer.append(change_id, change(change_id))
    assert heard.said == []
    assert committer.backlog_bytes == sum(len(change(i)) for i in range(1, 12))
    store.open_for_all()
    committer.flush()
    assert store.batches == [(1, 1, 1234.5), (2, 11, 1234.5)]
    assert heard.said == [("durable", 1), ("durable", 11)]
    assert (committer.backlog_bytes, committer.durable) == (0, 11)
    assert [packed for _, packed in store.read_changes(0)] == [change(i) for i in range(1, 12)]


def test_a_batch_is_bounded_in_bytes(
    store: GatedStore, heard: Heard, committer: Committer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(committer_module, "MAX_BATCH_BYTES", 1000)
    committer.append(1, change(1))
    store.wait_until_writing()
    for change_id in range(2, 7):
        committer.append(change_id, change(change_id, "x" * 500))
    committer.append(7, change(7, "x" * 5000))
    committer.append(8, change(8))
    store.open_for_all()
    committer.flush()
    assert [(first, last) for first, last, _ in store.batches] == [(1, 1), (2, 3), (4, 5), (6, 7), (8, 8)]
    assert committer.backlog_bytes == 0


def test_ids_continue_after_those_of_the_store() -> None:
    store = MemoryStore()
    store.write_batch(1, [change(1), change(2)], 0.0)
    heard = Heard(store)
    committer = heard.commit_to(store)
    for change_id in (1, 2, 4):
        with pytest.raises(StoreError, match=f"change {change_id} can't follow change 2"):
            committer.append(change_id, change(change_id))
    committer.append(3, change(3))
    with pytest.raises(StoreError, match="change 3 can't follow change 3"):
        committer.append(3, change(3))
    committer.close()
    assert heard.said == [("durable", 3)]


def test_a_checkpoint_waits_for_its_changes_and_others_wait_for_it(
    store: GatedStore, heard: Heard, committer: Committer
) -> None:
    committer.append(1, change(1))
    store.wait_until_writing()
    committer.append(2, change(2))
    committer.checkpoint(Checkpoint(2, things=[(5, 7, b"five")]))
    assert committer.checkpointing
    committer.append(3, change(3))
    with pytest.raises(StoreError, match="under way"):
        committer.checkpoint(Checkpoint(3))
    store.gate.release(2)
    for _ in range(2):
        store.wait_until_writing()  # the second batch, then the checkpoint
    committer.append(4, change(4))
    store.open_for_all()
    committer.flush()
    assert heard.said == [("durable", 1), ("durable", 3), ("checkpoint", 2), ("durable", 4)]
    assert not committer.checkpointing
    with store.read_state() as state:
        assert (state.change_id, list(state.things)) == (2, [(5, 7, b"five")])


def test_a_checkpoint_alone_is_written_and_flushed(store: GatedStore, heard: Heard, committer: Committer) -> None:
    committer.checkpoint(Checkpoint(0, meta={"a": b"1"}))
    store.open_for_all()
    committer.flush()
    assert heard.said == [("checkpoint", 0)]


def test_a_checkpoint_of_a_change_to_come_is_refused(committer: Committer) -> None:
    with pytest.raises(StoreError, match="change 1 is not appended"):
        committer.checkpoint(Checkpoint(1))


@pytest.mark.parametrize("error", [StoreError("f", "full", "free"), OSError("bad"), ValueError("bug")])
def test_a_failure_is_told_once_and_stops_everything(
    store: GatedStore, heard: Heard, committer: Committer, error: Exception
) -> None:
    committer.append(1, change(1))
    store.wait_until_writing()
    committer.append(2, change(2))
    store.error = error
    store.open_for_all()
    with pytest.raises(StoreError):
        committer.flush()
    assert heard.failed.wait(WAIT)
    (told,) = heard.failures
    assert told is error or told.__cause__ is error
    assert isinstance(told, StoreError)
    with pytest.raises(StoreError, match="stopped after a failure"):
        committer.append(3, change(3))
    with pytest.raises(StoreError, match="stopped after a failure"):
        committer.checkpoint(Checkpoint(0))
    with pytest.raises(StoreError):
        committer.flush()
    committer.give_way()
    committer.close()
    assert (heard.said, len(heard.failures), store.last_change) == ([], 1, 0)
    assert committer.backlog_bytes == 0


def test_a_failing_checkpoint_stops_everything(store: GatedStore, heard: Heard, committer: Committer) -> None:
    def rows() -> Iterator[tuple[int, int, bytes]]:
        yield 1, 7, b"one"
        raise ZeroDivisionError

    committer.checkpoint(Checkpoint(0, things=rows()))
    store.open_for_all()
    with pytest.raises(StoreError, match="ZeroDivisionError"):
        committer.flush()
    assert not committer.checkpointing
    assert heard.failed.wait(WAIT)


def test_a_listener_that_raises_is_a_failure(store: GatedStore) -> None:
    heard = Heard(store)

    def gone(change_id: int) -> None:
        raise RuntimeError("the loop is closed")

    committer = Committer(store, gone, heard.failure)
    store.open_for_all()
    committer.append(1, change(1))
    assert heard.failed.wait(WAIT)
    assert "the loop is closed" in str(heard.failures[0])
    committer.close()


def test_closing_writes_what_is_left(store: GatedStore, heard: Heard) -> None:
    committer = heard.commit_to(store)
    for change_id in range(1, 6):
        committer.append(change_id, change(change_id))
    committer.checkpoint(Checkpoint(5))
    store.open_for_all()
    committer.close()
    committer.close()
    assert heard.said[-2:] == [("durable", 5), ("checkpoint", 5)]
    with pytest.raises(StoreError, match="closed"):
        committer.append(6, change(6))
    with pytest.raises(StoreError, match="closed"):
        committer.checkpoint(Checkpoint(5))
    committer.flush()


def test_the_log_is_trimmed_after_a_checkpoint(store: GatedStore, heard: Heard) -> None:
    committer = heard.commit_to(store, Retention(max_changes=2))
    store.open_for_all()
    for change_id in range(1, 1001):
        committer.append(change_id, change(change_id))
        if change_id <= 600:
            committer.flush()  # a batch each: more than one trim takes
    assert store.first_kept == 1
    committer.checkpoint(Checkpoint(600))
    committer.close()
    assert store.first_kept > 200
    # What a short life leaves, the next one trims.
    committer = heard.commit_to(store, Retention(max_changes=2))
    committer.append(1001, change(1001))
    committer.flush()
    committer.append(1002, change(1002))
    committer.close()
    assert store.first_kept == 601


def test_giving_way_with_nothing_to_do_or_a_slow_disk_comes_back(store: GatedStore, committer: Committer) -> None:
    committer.give_way()
    committer.append(1, change(1))
    committer.give_way()
    store.wait_until_writing()
    for _ in range(1000):
        committer.give_way()
    assert committer.durable == 0
    store.open_for_all()
    committer.flush()


def test_a_busy_thread_that_gives_way_sees_its_changes_durable(tmp_path: Path) -> None:
    store = SqliteStore.open(tmp_path, create=True)
    heard = Heard(store)
    committer = heard.commit_to(store)
    for change_id in range(1, 300):
        committer.append(change_id, change(change_id))
        while committer.backlog_bytes > 50:
            committer.give_way()
    committer.close()
    assert heard.said[-1] == ("durable", 299)
    assert not heard.failures
    store.close()


def test_many_changes_under_load_arrive_in_order(tmp_path: Path) -> None:
    store = SqliteStore.open(tmp_path, create=True)
    heard = Heard(store)
    committer = heard.commit_to(store, Retention(max_changes=1))
    for change_id in range(1, 20_001):
        committer.append(change_id, change(change_id))
        if change_id % 1000 == 0 and not committer.checkpointing:
            committer.checkpoint(Checkpoint(change_id, things=[(change_id, 7, b"x")]))
    committer.flush()
    announced = [change_id for what, change_id in heard.said if what == "durable"]
    assert announced == sorted(set(announced))
    assert announced[-1] == store.last_change == 20_000
    committer.close()
    store.close()


def test_flush_may_be_called_from_several_threads(store: GatedStore, committer: Committer) -> None:
    committer.append(1, change(1))
    seen: list[int] = []

    def wait() -> None:
        committer.flush()
        seen.append(committer.durable)

    threads = [threading.Thread(target=wait) for _ in range(4)]
    for thread in threads:
        thread.start()
    store.open_for_all()
    for thread in threads:
        thread.join(WAIT)
    assert seen == [1, 1, 1, 1]


def test_closing_from_a_listener_does_not_lock_up(store: GatedStore) -> None:
    ended = threading.Event()
    holder: list[Committer] = []

    def close(_: object) -> None:
        holder[0].close()
        ended.set()

    action: Callable[[int], None] = close
    holder.append(Committer(store, action, lambda error: None))
    holder[0].append(1, change(1))
    store.open_for_all()
    assert ended.wait(WAIT)
    holder[0].close()


def test_a_replaced_state_is_written_in_its_place(store: GatedStore, heard: Heard, committer: Committer) -> None:
    committer.append(1, change(1))
    store.wait_until_writing()  # what follows waits
    committer.append(2, change(2))
    committer.checkpoint(Checkpoint(2, [(1, 1, b"old")]))
    committer.replace(Checkpoint(3, [(2, 1, b"new")], replaces=True))
    with pytest.raises(StoreError, match="is being replaced"):
        committer.replace(Checkpoint(4, replaces=True))
    committer.append(4, change(4))
    store.open_for_all()
    committer.flush()
    assert [said for said in heard.said if said[0] == "durable"] == [
        ("durable", 1),
        ("durable", 2),
        ("durable", 3),
        ("durable", 4),
    ]
    assert (store.first_kept, store.last_change, store.checkpoint_change) == (4, 4, 3)
    with store.read_state() as state:
        assert list(state.things) == [(2, 1, b"new")]
