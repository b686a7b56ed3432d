"""A server that is killed under load, at any moment, loses nothing that it said and has said nothing that it loses."""

from __future__ import annotations

import asyncio
import random
import signal
from pathlib import Path

from engine.store import SqliteStore
from tests.crash.account import Account
from tests.server.fakes import within
from tests.serving import Server

ROUNDS = 12


def checkpoint_of(server: Server) -> int:
    """The change at which the state on disk is."""
    store = SqliteStore.open(server.data, create=False)
    try:
        return store.checkpoint_change
    finally:
        store.close()


async def test_nothing_that_was_said_is_lost(tmp_path: Path) -> None:
    server = Server(tmp_path, (Path(__file__).with_name("serve.py"),))
    server.start()
    account = Account()
    chance = random.Random(1)
    checkpoints = set()
    try:
        await account.prepare(server.tcp)
        for number in range(ROUNDS):
            tasks = await account.load(server.tcp, chance.choice([1, 30, 300, 800]))
            if number % 4 == 3:  # killed while it goes down
                server.send(signal.SIGTERM)
                for _ in range(chance.randint(0, 300)):
                    await asyncio.sleep(0.001)
            status = server.stop(signal.SIGKILL)
            assert status in (-signal.SIGKILL, 0), server.said
            for task in tasks:
                await within(task)
            checkpoints.add(checkpoint_of(server))
            server.start()
            await account.settle(server.tcp)
    finally:
        server.stop()
    assert "Traceback" not in server.said
    assert account.acknowledged > 100 * ROUNDS
    assert account.unacknowledged
    assert account.spoiler.failed > ROUNDS
    assert len(checkpoints) > ROUNDS // 2
