"""The events of the protocol and their bodies (spec/watch.md, section 5; spec/admin-and-protocol.md, section 4).

A body is a tree: keys stand in the order in which they go over the wire.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

from engine.change import Internal, Job, Mutation

__all__ = [
    "LIVE_END", "LIVE_UPDATE",
    "NODE_STATUS", "PRESENCE_END", "PRESENCE_JOIN", "PRESENCE_LEAVE",
    "ROOM_DELETE", "ROOM_EMIT", "ROOM_JOIN", "ROOM_LEAVE", "WARNING", "WARN_NOT_WATCHABLE", "WATCH_DELETE",
    "WATCH_INIT", "WATCH_STOP", "WATCH_UPDATE", "left_out", "not_watchable", "outgrown", "runs", "update",
]  # fmt: skip

NODE_STATUS: Final = 0
WATCH_INIT: Final = 1
WATCH_UPDATE: Final = 2
WATCH_DELETE: Final = 3
WATCH_STOP: Final = 4
WARNING: Final = 5
ROOM_JOIN: Final = 6
ROOM_LEAVE: Final = 7
ROOM_EMIT: Final = 8
ROOM_DELETE: Final = 9
LIVE_UPDATE: Final = 64
LIVE_END: Final = 65
PRESENCE_JOIN: Final = 66
PRESENCE_LEAVE: Final = 67
PRESENCE_END: Final = 68

WARN_NOT_WATCHABLE: Final = 1
WARN_LOG: Final = 2
WARN_OUTGROWN: Final = 4
WARN_LEFT_OUT: Final = 5


def update(thing_id: int, change_id: int, jobs: list[Job]) -> dict[str, Any]:
    """The body of an update."""
    return {"#": thing_id, "event": change_id, "jobs": jobs}


def runs(mutations: list[Mutation], watched: Any) -> Iterator[tuple[int, int, list[Job]]]:
    """The updates that a change makes: its mutations cut into runs of consecutive ones of the same thing.

    Gives, for runs of things in `watched`, the position of the run's first mutation, the thing and its jobs. What is
    for the log only neither shows nor cuts a run.
    """
    current = 0
    first = 0
    jobs: list[Job] = []
    for position, (thing_id, job) in enumerate(mutations):
        if type(job) is Internal:
            continue
        if thing_id == current:
            jobs.append(job)
            continue
        if jobs and current in watched:
            yield first, current, jobs
        current, first, jobs = thing_id, position, [job]
    if jobs and current in watched:
        yield first, current, jobs


def not_watchable(thing_id: Any, collection: str) -> dict[str, Any]:
    """The body of the warning for an id that can't be watched."""
    return {"warn_code": WARN_NOT_WATCHABLE, "warn_msg": f"there is no thing {thing_id} in the collection {collection}"}


def left_out(text: str, rooms: list[int], things: Sequence[int] = ()) -> dict[str, Any]:
    """The body of the warning that a connection is not told of all that was emitted in these rooms and things, and
    why."""
    return {"warn_code": WARN_LEFT_OUT, "warn_msg": text, "rooms": rooms, "things": list(things)}


def outgrown(root: int, limit: int) -> dict[str, Any]:
    """The body of the warning that a deep watch has ended, since it reached too much."""
    text = (
        f"the deep watch of the thing {root} has ended: the deep watches of a connection reach at most {limit} things"
    )
    return {"warn_code": WARN_OUTGROWN, "warn_msg": text, "thing": root}


def logged(text: str) -> dict[str, Any]:
    """The body of the warning that `log()` sends."""
    return {"warn_code": WARN_LOG, "warn_msg": text}
