"""What was emitted in rooms with history, as the log has it.

Nothing in the engine comes of it, but who comes back after a restart is told what it missed (`watch.history`).

The jobs are of the scope `@node`: `room_kept` and `room_dropped`, each `[room, number]`, say from which number on the
events of a room are there, and after which they are no more; `room_event` is `[room, number, packed]`. `room_start` is
`[0, number, rooms]`: a server has started without having seen all before it, and goes on with these rooms only.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from engine.encoding import log_unpack
from engine.replay import replays
from engine.store.interface import tail

if TYPE_CHECKING:
    from engine.store.interface import Store

__all__ = ["DROPPED", "EVENT", "KEPT", "START", "Emitted", "emitted"]

KEPT: Final = "room_kept"
DROPPED: Final = "room_dropped"
EVENT: Final = "room_event"
START: Final = "room_start"

READ_AT_START: Final = 100_000
READ_BYTES: Final = 64 << 20
"""How many changes at the end of the log are looked through, and about how many bytes: a fraction of a second."""

Emitted: TypeAlias = "tuple[float, str, list[Any]]"
"""When, which of the jobs, and what of it."""

_PREFIX = b"room_"


@replays(KEPT)
@replays(DROPPED)
@replays(EVENT)
@replays(START)
def _nothing(replay: Any, thing: Any, made: Any) -> None:
    """Things and definitions are as before."""


def emitted(store: Store) -> tuple[Iterator[Emitted], bool]:
    """The jobs in the last changes of a store's log, in order; and whether these are all that there ever were."""
    after = tail(store, store.last_change, READ_AT_START, READ_BYTES)
    return _jobs(store, after), after == 0


def _jobs(store: Store, after: int) -> Iterator[Emitted]:
    for _, packed in store.read_changes(after):
        if _PREFIX in packed:
            change = log_unpack(packed)
            for _, job in change[4]:
                for name in (KEPT, DROPPED, EVENT, START):
                    if name in job:
                        yield change[2], name, job[name]
