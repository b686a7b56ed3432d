"""The thread that makes changes durable, many at a time.

A commit costs about a fifth of a millisecond however much is in it. So whatever arrives while a commit runs goes
into the next one, and durability costs a little latency and no throughput.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from engine.counters import BOUNDS, Durations
from engine.store.interface import Checkpoint, Retention, Store, StoreError

__all__ = ["MAX_BATCH_BYTES", "Committer"]

MAX_BATCH_BYTES = 4 << 20
"""A batch ends with the change that reaches this; what one commit takes, all changes in it wait for."""

TRIM_SECONDS = 10.0

GIVE_WAY_SECONDS = 200e-6
GIVE_WAY_GAP = 1e-3
GIVE_WAY_LONGEST_GAP = 4e-3
"""How long `give_way` lets the thread run, how long after that it does nothing, and how long when that was in vain."""


class Committer:
    """Gathers changes into batches and writes them on a thread of its own.

    `on_durable(change_id)` says, in order, that all changes up to this one are on disk; `on_checkpoint(change_id)`
    that a checkpoint is. `on_failure(error)` is called once, when a write fails: from then on nothing is written,
    announced or accepted, for what failed may or may not be on disk. All three are called on the committer's thread
    and should return at once. If one of the first two raises, that is a failure too.

    The queue has no bound of its own, for a change that is executed can't be taken back: whoever executes changes
    looks at `backlog_bytes` before.

    The methods may be called from any thread but the committer's; `append` and `give_way` from one at a time.
    """

    def __init__(
        self,
        store: Store,
        on_durable: Callable[[int], None],
        on_failure: Callable[[Exception], None],
        *,
        on_checkpoint: Callable[[int], None] | None = None,
        retention: Retention | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """`retention` None leaves the log untrimmed. `clock` gives Unix time in seconds."""
        self._store = store
        self._on_durable = on_durable
        self._on_failure = on_failure
        self._on_checkpoint = on_checkpoint
        self._retention = retention
        self._clock = clock
        self._lock = threading.Lock()  # guards all that follows, but for what only the thread uses
        self._work = threading.Condition(self._lock)
        self._progress = threading.Condition(self._lock)
        self._asleep = False
        self._queue: list[bytes] = []
        self._queue_bytes = 0
        self._batch_bytes = 0
        self._next = store.last_change + 1
        self._durable = store.last_change
        self._checkpoint: Checkpoint | None = None  # to be written, or being written
        self._unannounced: Checkpoint | None = None  # the same, until on_checkpoint has returned
        self._replacement: Checkpoint | None = None  # to be written in the place of a change,
        self._before = 0  # after so many changes of the queue
        self._failure: StoreError | None = None
        self._closing = False
        self._way = threading.Lock()  # locked, but while the thread tells give_way to go on
        self._way.acquire()
        self._way_wanted = False
        self._way_gap = GIVE_WAY_GAP
        self._way_at = 0.0
        self.commits = 0
        self.commit_seconds = 0.0
        self.durations = Durations()
        """How many batches were written, and how long that took."""
        self._trim_at = 0.0  # only for the thread, as is:
        self._trimming = False
        self._thread = threading.Thread(target=self._run, name="committer", daemon=True)
        self._thread.start()

    @property
    def backlog_bytes(self) -> int:
        """Bytes of changes that are appended and not yet durable."""
        return self._queue_bytes + self._batch_bytes

    @property
    def durable(self) -> int:
        """Change id of the last change that was announced as durable."""
        return self._durable

    @property
    def checkpointing(self) -> bool:
        """Whether a checkpoint is waiting or being written."""
        return self._checkpoint is not None

    def append(self, change_id: int, packed: bytes) -> None:
        """Take the next change. Raises StoreError after a failure, when closed, or when ids don't increase by one."""
        with self._lock:
            if change_id != self._next or self._failure is not None or self._closing:
                self._refuse(change_id)
            self._next = change_id + 1
            self._queue.append(packed)
            self._queue_bytes += len(packed)
            if self._asleep:
                self._work.notify()

    def checkpoint(self, checkpoint: Checkpoint) -> None:
        """Have a checkpoint written once all changes it contains are; no batch is written meanwhile.

        Its iterables are read on the committer's thread. Raises StoreError as `append` does, and while another
        checkpoint is under way.
        """
        with self._lock:
            self._check_accepting()
            if self._checkpoint is not None:
                raise StoreError(
                    "checkpoint", f"one at change {self._checkpoint.change_id} is under way", "wait for on_checkpoint"
                )
            if checkpoint.change_id >= self._next:
                raise StoreError(
                    "checkpoint", f"change {checkpoint.change_id} is not appended yet", "append its change before"
                )
            self._checkpoint = self._unannounced = checkpoint
            if self._asleep:
                self._work.notify()

    def replace(self, checkpoint: Checkpoint) -> None:
        """Take the next change, one that replaces the whole state by a checkpoint (`Checkpoint.replaces`).

        Its iterables are read on the committer's thread. Raises StoreError as `append` does, and while another
        replacement is under way.
        """
        with self._lock:
            if checkpoint.change_id != self._next or self._failure is not None or self._closing:
                self._refuse(checkpoint.change_id)
            if self._replacement is not None:
                raise StoreError("committer", "the state is being replaced", "wait until that is durable")
            self._next = checkpoint.change_id + 1
            self._replacement, self._before = checkpoint, len(self._queue)
            if self._asleep:
                self._work.notify()

    def give_way(self) -> None:
        """Let the thread run, if it has something to do, until it is off to the disk or asleep again.

        To be called once a turn by a main thread that is always busy. A commit takes the GIL several times, and the
        interpreter does not see to it that a thread gets it: while the main thread makes a system call more often
        than `sys.getswitchinterval()`, giving up the GIL for a moment each time, the other thread is woken too late
        each time and can wait for seconds. Here the main thread waits for it, 0.2 ms at most. Costs nothing while
        nothing is under way or when it was called less than a millisecond ago.
        """
        if not (self._queue or self._batch_bytes or self._checkpoint or self._replacement):
            return
        if time.perf_counter() < self._way_at:
            return
        self._way.acquire(blocking=False)  # the thread may have come just after the last wait ended
        self._way_wanted = True
        if self._way.acquire(timeout=GIVE_WAY_SECONDS) or self._checkpoint is not None:
            self._way_gap = GIVE_WAY_GAP
        else:  # at the disk all the time: ask less often
            self._way_wanted = False
            self._way_gap = min(self._way_gap * 2, GIVE_WAY_LONGEST_GAP)
        self._way_at = time.perf_counter() + self._way_gap

    def _give_back(self) -> None:
        if self._way_wanted:
            self._way_wanted = False
            self._way.release()

    def flush(self) -> None:
        """Return when all that was appended before, changes and checkpoint, is durable and announced.

        Raises StoreError when writing fails, or has failed.
        """
        with self._lock:
            last, checkpoint = self._next - 1, self._unannounced
            while self._failure is None and (
                self._durable < last or (checkpoint is not None and self._unannounced is checkpoint)
            ):
                self._progress.wait()
            if self._failure is not None:
                raise self._failure

    def close(self) -> None:
        """Write what is left and end the thread; the store stays open. After a failure, only end the thread.

        Does not raise: what could not be written, `on_failure` has said. Closing twice is allowed.
        """
        with self._lock:
            self._closing = True
            self._work.notify()
        if threading.current_thread() is not self._thread:
            self._thread.join()

    def _check_accepting(self) -> None:
        if self._failure is not None:
            raise StoreError("committer", "it has stopped after a failure", "restart the server") from self._failure
        if self._closing:
            raise StoreError("committer", "it is closed", "open a new one")

    def _refuse(self, change_id: int) -> None:
        self._check_accepting()
        raise StoreError(
            "committer", f"change {change_id} can't follow change {self._next - 1}", "change ids increase by one"
        )

    def _run(self) -> None:
        try:
            while self._turn():
                pass
        except Exception as error:
            self._fail(error)

    def _turn(self) -> bool:
        """A batch, and what else is due; False when there will be no more."""
        batch = self._next_batch()
        if batch is None:
            return False
        if batch:
            first = self._durable + 1
            self._give_back()
            began = time.perf_counter()
            self._store.write_batch(first, batch, self._clock())
            self._count(time.perf_counter() - began)
            last = first + len(batch) - 1
            self._on_durable(last)
            with self._lock:
                self._durable = last
                self._batch_bytes = 0
                self._progress.notify_all()
        checkpoint = self._checkpoint
        if checkpoint is not None and checkpoint.change_id <= self._durable:
            self._store.write_checkpoint(checkpoint)
            with self._lock:
                self._checkpoint = None
            if self._on_checkpoint is not None:
                self._on_checkpoint(checkpoint.change_id)
            with self._lock:
                if self._unannounced is checkpoint:
                    self._unannounced = None
                self._progress.notify_all()
            self._trim_at = 0.0  # now more may go
        replacement = self._replacement
        if replacement is not None and replacement.change_id == self._durable + 1:
            self._store.write_checkpoint(replacement)
            self._on_durable(replacement.change_id)
            with self._lock:
                self._durable = replacement.change_id
                self._replacement = None
                self._progress.notify_all()
        self._trim()
        self._store.tidy()
        return True

    def _count(self, seconds: float) -> None:
        self.commits += 1
        self.commit_seconds += seconds
        if seconds > BOUNDS[0]:
            self.durations.add(seconds)

    def _next_batch(self) -> list[bytes] | None:
        """What to write now, waiting for something to do; empty when that is not a batch, None at the end."""
        with self._lock:
            while not self._queue and self._checkpoint is None and self._replacement is None:
                if self._closing:
                    return None
                if self._trimming:
                    return []
                self._asleep = True
                self._give_back()
                timeout = None if self._retention is None else max(self._trim_at - time.monotonic(), 0.0)
                woken = self._work.wait(timeout)
                self._asleep = False
                if not woken:
                    return []
            batch = self._queue
            most = len(batch) if self._replacement is None else self._before
            if self._queue_bytes <= MAX_BATCH_BYTES and most == len(batch):
                self._queue = []
                size = self._queue_bytes
            else:
                size = count = 0
                for packed in batch[:most]:
                    size += len(packed)
                    count += 1
                    if size >= MAX_BATCH_BYTES:
                        break
                self._queue = batch[count:]
                batch = batch[:count]
            self._before -= len(batch) if self._replacement is not None else 0
            self._batch_bytes = size
            self._queue_bytes -= size
            return batch

    def _trim(self) -> None:
        if self._retention is None or (not self._trimming and time.monotonic() < self._trim_at):
            return
        self._trimming = self._store.trim(self._retention, self._clock())
        self._trim_at = time.monotonic() + TRIM_SECONDS

    def _fail(self, error: Exception) -> None:
        if isinstance(error, StoreError):
            failure = error
        else:
            failure = StoreError("committer", f"it failed: {error!r}", "report this as a bug")
            failure.__cause__ = error
        with self._lock:
            self._failure = failure
            self._queue = []
            self._queue_bytes = self._batch_bytes = 0
            self._checkpoint = self._unannounced = None
            self._progress.notify_all()
        self._on_failure(failure)
