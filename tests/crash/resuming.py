"""A watcher that takes up its watches again after each crash, and mirrors all the time."""

from __future__ import annotations

import asyncio
from typing import Any

from server.native import DATA, EVENT_ID, INIT, QUERY, UPDATE, WATCH_WITH
from tests.crash.load import Watcher, connected
from tests.server.fakes import Client, bytes_of

__all__ = ["ResumingWatcher"]

ALL = 1 << 30


class ResumingWatcher(Watcher):
    """Its first states come once, at the beginning.

    What it has of the change that it saw last may be a part of it, for a change can make more than one update: so it
    asks from the change before, and leaves out what it has.
    """

    def __init__(self) -> None:
        super().__init__()
        self.known: dict[int, tuple[int, int]] = {}  # by thing: the last change, and how many of its jobs
        self.numbers: dict[int, list[int]] = {}  # by thing: the operations seen, in order
        self._again: dict[int, int] = {}  # by thing: how many jobs of the last change have come again

    async def follow_on(self, port: int) -> asyncio.Task[None]:
        """Come back, and keep the mirrors until the connection ends."""
        client = await self._back(port)
        return asyncio.create_task(self.follow(client))

    async def catch_up(self, port: int) -> None:
        """Come back for what was missed."""
        client = await self._back(port)
        client.send(bytes_of(QUERY, ["//stuff", "nil"], 7))
        while True:
            package_id, kind, data = await client.read()
            if package_id == 7:
                break
            self._take(package_id, kind, data)
        client.writer.close()

    async def _back(self, port: int) -> Client:
        client = await connected(port)
        self._again = dict.fromkeys(self.known, 0)
        since = max(change for change, _ in self.known.values()) - 1
        kind, reply = await client.request(WATCH_WITH, ["//stuff", {"ids": list(self.known), "since": since}])
        assert (kind, reply["resumed"]) == (DATA, True), reply
        return client

    def _take(self, package_id: int, kind: int, data: Any) -> None:
        if package_id == EVENT_ID and kind == INIT:
            assert data["thing"]["#"] not in self.known
            self.known[data["thing"]["#"]] = data["event"], ALL
        elif package_id == EVENT_ID and kind == UPDATE:
            self._update(data)
            return
        super()._take(package_id, kind, data)

    def _update(self, data: Any) -> None:
        thing, change, jobs = data["#"], data["event"], data["jobs"]
        last, count = self.known[thing]
        assert change >= last - 1
        if change < last:
            return
        if change == last:
            again = self._again.get(thing, 0)
            self._again[thing] = again + len(jobs)
            jobs = jobs[max(0, count - again) :]
            self.known[thing] = last, max(count, self._again[thing])
        else:
            self._again.pop(thing, None)
            self.known[thing] = change, len(jobs)
        for job in jobs:
            self._apply(self.mirrors[thing], job)
            if "n" in job.get("set", {}):
                self.numbers.setdefault(thing, []).append(job["set"]["n"])
