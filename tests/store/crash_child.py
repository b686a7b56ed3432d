"""A process that commits under load until it is killed, for test_store_crash.py.

Arguments: the data directory and a seed. On stdout it says each change id that is durable, a line each, when the
committer says so.

Every byte it writes follows from the change id: change n sets thing n % 50 to its content.
"""

from __future__ import annotations

import os
import random
import sys

import msgpack

from engine.store import Checkpoint, Committer, Retention, SqliteStore

THINGS = 50


def content_of(change_id: int) -> bytes:
    generator = random.Random(change_id)
    return generator.randbytes(generator.choice((0, 10, 10, 10, 200, 200, 9000)))


def change_of(change_id: int) -> bytes:
    packed: bytes = msgpack.packb([change_id, content_of(change_id)])
    return packed


def things_changed(after: int, until: int) -> dict[int, bytes]:
    """What the things are that changed after `after`, at change `until`; every 7th change removes its thing."""
    return {
        change_id % THINGS: b"" if change_id % 7 == 0 else content_of(change_id)
        for change_id in range(after + 1, until + 1)
    }


def main() -> None:
    generator = random.Random(sys.argv[2])
    store = SqliteStore.open(sys.argv[1], create=True)

    def say(change_id: int) -> None:
        os.write(1, b"%d\n" % change_id)

    def stop(error: Exception) -> None:
        print(error, file=sys.stderr, flush=True)
        os._exit(1)

    committer = Committer(
        store,
        say,
        stop,
        retention=Retention(max_changes=2000),
    )
    change_id, saved = store.last_change, store.checkpoint_change
    say(change_id)
    while True:
        for _ in range(generator.choice((1, 1, 3, 30))):
            change_id += 1
            committer.append(change_id, change_of(change_id))
        committer.give_way()
        if committer.backlog_bytes > 500_000:
            committer.flush()
        if change_id - saved > generator.randrange(100, 1000) and not committer.checkpointing:
            changed = things_changed(saved, change_id)
            committer.checkpoint(
                Checkpoint(
                    change_id,
                    things=[(thing_id, 7, data) for thing_id, data in changed.items() if data],
                    gone=[thing_id for thing_id, data in changed.items() if not data],
                    meta={"at": b"%d" % change_id},
                )
            )
            saved = change_id


if __name__ == "__main__":
    main()
