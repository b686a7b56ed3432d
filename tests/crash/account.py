"""The account of a round: what was asked for, acknowledged and seen, against what is there after the restart."""

from __future__ import annotations

import asyncio

from tests.crash.load import BEGINNING, Spoiler, Watcher, Writer, ask, connected, shown

__all__ = ["Account"]

WRITERS = 3
WATCHERS = 2


class Account:
    """Writers and watchers over the lives of a server's data. Between rounds, `last` is the id of its last change."""

    def __init__(self) -> None:
        self.writers = [Writer(which) for which in range(WRITERS)]
        self.watchers = [Watcher() for _ in range(WATCHERS)]
        self.spoiler = Spoiler([writer.name for writer in self.writers])
        self.ids: list[int] = []  # of the writers' things
        self.last = 0
        self.acknowledged = self.unacknowledged = 0  # operations that were done, over all rounds

    async def prepare(self, port: int) -> None:
        """Make the writers' things."""
        client = await connected(port)
        for writer in self.writers:
            self.ids.append(await ask(client, f".{writer.name} = {BEGINNING}; .{writer.name}.id();"))
        self.last = await ask(client, ".round = 0; change_id();")
        client.writer.close()

    async def load(self, port: int, enough: int) -> list[asyncio.Task[None]]:
        """Connect everybody and wait until so many operations are acknowledged; those at work."""
        tasks = []
        for watcher in self.watchers:
            client = await connected(port)
            await watcher.watch(client, self.ids)
            tasks.append(asyncio.create_task(watcher.follow(client)))
        working = [await connected(port) for _ in self.writers]
        for writer, client in zip(self.writers, working, strict=True):
            tasks.append(asyncio.create_task(writer.work(client)))
        tasks.append(asyncio.create_task(self.spoiler.work(await connected(port))))
        while sum(len(writer.acknowledged) for writer in self.writers) < enough:
            await asyncio.sleep(0)
            for task in tasks:
                assert not task.done(), task.exception()
        return tasks

    async def settle(self, port: int) -> None:
        """See that what is there is what it must be."""
        client = await connected(port)
        done = 0
        for writer, thing_id in zip(self.writers, self.ids, strict=True):
            found = shown(await ask(client, f"return .{writer.name}, 3;"))
            found["set"].sort(key=lambda thing: thing["n"])
            found["set"] = [thing["n"] for thing in found["set"]]
            number = found["n"]
            before = min(writer.states)
            # All that was acknowledged is there, and nothing that was not asked for: whole operations, in order.
            assert max(writer.acknowledged, default=before) <= number <= writer.asked
            assert found == writer.states[number]
            done += number - before
            self.acknowledged += len(writer.acknowledged)
            self.unacknowledged += number - before - len(writer.acknowledged)
            for watcher in self.watchers:
                self._check_seen(watcher, thing_id, writer, before, number)
        # Change ids go on where they were: one for each operation, none left out, none used again.
        changes = [change for writer in self.writers for change in writer.acknowledged.values()]
        seen = {change for watcher in self.watchers for thing_id in self.ids for change in watcher.changes[thing_id]}
        assert len(set(changes)) == len(changes)
        present = await ask(client, ".round += 1; change_id();")
        assert present == self.last + done + 1
        assert all(self.last < change < present for change in {*changes, *seen})
        self.last = present
        for writer in self.writers:
            writer.settle(await ask(client, f".{writer.name}.n;"))
        client.writer.close()

    @staticmethod
    def _check_seen(watcher: Watcher, thing_id: int, writer: Writer, before: int, number: int) -> None:
        """A watcher has seen operations in order, none that is not there, and its mirror is what they made."""
        changes = watcher.changes[thing_id]
        assert len(changes) <= number - before
        assert changes == sorted(set(changes))
        assert shown(watcher.mirrors[thing_id]) == writer.states[before + len(changes)]
        for done, change in zip(range(before + 1, number + 1), changes, strict=False):
            assert writer.acknowledged.get(done, change) == change
