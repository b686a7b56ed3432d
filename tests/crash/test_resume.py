"""Watches that go on over crashes: nothing is missed, and nothing comes twice."""

from __future__ import annotations

import random
import signal
from pathlib import Path

from tests.crash.account import Account
from tests.crash.load import connected, shown
from tests.crash.resuming import ResumingWatcher
from tests.server.fakes import within
from tests.serving import Server

ROUNDS = 8


async def test_watches_go_on_over_crashes(tmp_path: Path) -> None:
    server = Server(tmp_path, (Path(__file__).with_name("serve.py"),))
    server.start()
    account = Account()
    account.watchers.pop()  # one is enough beside the one of this test
    chance = random.Random(2)
    watcher = ResumingWatcher()
    try:
        await account.prepare(server.tcp)
        client = await connected(server.tcp)
        await watcher.watch(client, account.ids)
        client.writer.close()
        for number in range(ROUNDS):
            # In some rounds it is there, so that it loses its connection in the middle; in others it is away.
            following = [await watcher.follow_on(server.tcp)] if number % 3 else []
            tasks = await account.load(server.tcp, chance.choice([1, 100, 400]))
            server.stop(signal.SIGKILL)
            for task in [*tasks, *following]:
                await within(task)
            server.start()
            await account.settle(server.tcp)
        await watcher.catch_up(server.tcp)
        for writer, thing_id in zip(account.writers, account.ids, strict=True):
            (done,) = writer.states
            assert watcher.numbers[thing_id] == list(range(1, done + 1))
            assert shown(watcher.mirrors[thing_id]) == writer.states[done]
    finally:
        server.stop()
    assert "Traceback" not in server.said
