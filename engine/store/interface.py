"""What a store promises, and the few shapes that go in and out of it.

A store keeps two things. The *log* is every change, in the order of its change id, without a gap. The *state* is
what the things and definitions were at one change id, the *checkpoint*. Starting up is loading the state and
replaying the log after it; a resumed watch is reading the log.

A store never looks into the bytes it keeps, save that a change is one msgpack array whose first item is its change
id.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

__all__ = [
    "TRIM_BATCHES",
    "TRIM_BYTES",
    "ChangesNotKept",
    "Checkpoint",
    "DefinitionRow",
    "Retention",
    "State",
    "Store",
    "StoreError",
    "ThingRow",
    "tail",
]

ThingRow = tuple[int, int, bytes]
"""(thing id, id of its collection, packed thing)"""

DefinitionRow = tuple[str, int | str, bytes]
"""(kind, key, packed definition)"""

TRIM_BATCHES = 256
TRIM_BYTES = 8 << 20
"""One call of `Store.trim` stops at the batch that reaches either bound, so that no commit waits long for it."""


class StoreError(Exception):
    """A store can't do what was asked. The message says which file, what is wrong, and what to do."""

    def __init__(self, where: object, problem: str, remedy: str) -> None:
        super().__init__(f"{where}: {problem}; {remedy}")
        self.where = str(where)
        self.problem = problem
        self.remedy = remedy


class ChangesNotKept(StoreError):
    """Changes were asked for that the log no longer keeps: who asked has to start from fresh state."""

    def __init__(self, where: object, wanted: int, first_kept: int) -> None:
        super().__init__(
            where, f"change {wanted} is no longer kept, the first one kept is {first_kept}", "start from fresh state"
        )
        self.wanted = wanted
        self.first_kept = first_kept


@dataclass(frozen=True, slots=True)
class Retention:
    """How much of the log to keep. None is no limit.

    A batch of changes goes as a whole, oldest first, when without it there are still `max_changes` changes or
    `max_bytes` bytes of them, or when it is older than `max_age` seconds. No limit removes a change that the
    checkpoint does not contain.
    """

    max_changes: int | None = None
    max_age: float | None = None
    max_bytes: int | None = 1 << 30

    def releases(self, changes_after: int, bytes_after: int, age: float) -> bool:
        """Whether a batch may go that is `age` seconds old and is followed by so many changes and bytes."""
        return (
            (self.max_changes is not None and changes_after >= self.max_changes)
            or (self.max_bytes is not None and bytes_after >= self.max_bytes)
            or (self.max_age is not None and age > self.max_age)
        )


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """What is different at `change_id` from the state of the checkpoint before.

    The iterables are read once, later, and on the committer's thread: they must not look at live things.
    `gone` is applied before `things`. A definition or a meta value that is None is removed.

    One that `replaces` is the whole state and a change of its own, whose id it has: nothing of the state before stays,
    and the log begins anew after it.
    """

    change_id: int
    things: Iterable[ThingRow] = ()
    gone: Iterable[int] = ()
    definitions: Iterable[tuple[str, int | str, bytes | None]] = ()
    meta: Mapping[str, bytes | None] = field(default_factory=dict)
    replaces: bool = False


@dataclass(frozen=True, slots=True)
class State:
    """The state at `change_id`: things by ascending id, to be read once; definitions by kind and key."""

    change_id: int
    things: Iterator[ThingRow]
    definitions: list[DefinitionRow]
    meta: dict[str, bytes]


class Store(Protocol):
    """A log and a state.

    Reading (`read_changes`, `read_state`, `backup` and the properties) is allowed from any thread at any time.
    Writing is done by one thread at a time, as a rule the committer's. Every method may raise StoreError.
    """

    @property
    def last_change(self) -> int:
        """Change id of the last durable change; 0 in a new store."""

    @property
    def first_kept(self) -> int:
        """Change id of the first change in the log; `last_change + 1` when the log is empty."""

    @property
    def checkpoint_change(self) -> int:
        """Change id that the state is true at; 0 before the first checkpoint."""

    @property
    def log_bytes(self) -> int:
        """Bytes of packed changes in the log."""

    def write_batch(self, first: int, changes: Sequence[bytes], at: float) -> None:
        """Append packed changes with the ids `first`, `first + 1`, …; they are durable when this returns.

        `first` must be `last_change + 1`. `at` is Unix time in seconds. On error nothing is appended.
        """

    def read_changes(self, after: int, until: int | None = None) -> Iterator[tuple[int, bytes]]:
        """The changes after `after` up to `until` (default: the last one durable now), as (change id, packed).

        Raises ChangesNotKept at once or, when the log is trimmed meanwhile, on the way.
        """

    def trim(self, retention: Retention, now: float) -> bool:
        """Remove what `retention` releases of the log's oldest batches; True when there is more to remove."""

    def write_checkpoint(self, checkpoint: Checkpoint) -> None:
        """Bring the state up to `checkpoint.change_id`, all or nothing, durably.

        That change must be in the log already, and not before the state's own; one that replaces the state must come
        after all that the log holds.
        """

    def read_state(self) -> AbstractContextManager[State]:
        """The state as it is now, readable within the `with` block, whatever is written meanwhile."""

    def tidy(self) -> None:
        """Housekeeping that may wait until after a batch is announced, such as bounding a journal."""

    def backup(self, path: Path, progress: Callable[[int, int], None] | None = None) -> int:
        """Copy the whole store to the new file `path` while others write; returns the copy's last change id.

        `progress(done, total)` is called now and then, in units of the store's own. What it raises ends the backup
        and leaves no file.
        """

    def close(self) -> None:
        """Let go of the store. Closing twice is allowed."""


def tail(store: Store, until: int, changes: int, size: int) -> int:
    """After which change the tail of a log begins that ends with the change `until` and has at most so many changes,
    and about so many bytes."""
    kept = store.last_change + 1 - store.first_kept
    if kept > 0 and store.log_bytes > 0:
        changes = min(changes, size * kept // store.log_bytes)
    return max(store.first_kept - 1, until - changes)
