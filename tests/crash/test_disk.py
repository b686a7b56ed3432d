"""A disk that fails: what it did not take was acknowledged to nobody and seen by nobody."""

from __future__ import annotations

import asyncio
import resource
from pathlib import Path
from typing import Any

import pytest

from engine.store import SqliteStore, StoreError
from server import app
from server.config import Config
from tests.crash.account import Account
from tests.server.fakes import free_ports, within
from tests.serving import Server

FILE_SIZE = 1 << 20
"""Bytes that a file may have where the disk is full."""


async def test_a_full_disk(tmp_path: Path) -> None:
    server = Server(tmp_path)
    server.start()
    account = Account()
    try:
        await account.prepare(server.tcp)
        server.stop()
        server.start(preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (FILE_SIZE, FILE_SIZE)))
        tasks = await account.load(server.tcp, 100)
        for task in tasks:
            await within(task)
        assert server.process is not None
        assert server.process.wait() == 1
        assert "Traceback" not in server.said
        assert str(server.data) in server.said.splitlines()[-1]
        server.stop()
        server.start()
        await account.settle(server.tcp)
    finally:
        server.stop()
    assert account.acknowledged > 100


async def serving(config: Config) -> tuple[asyncio.Task[None], app.App]:
    """A server in this process that is ready."""
    ready = asyncio.Event()
    made = app.App(config, asyncio.get_running_loop())
    running = asyncio.create_task(made.run(lambda line: ready.set()))
    await within(ready.wait())
    return running, made


@pytest.mark.parametrize("written", [False, True])
async def test_a_batch_that_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, written: bool) -> None:
    """It fails before it is written; or it is written and the disk's word for it is lost."""
    write = SqliteStore.write_batch
    left = 20

    def fail(store: SqliteStore, *arguments: Any) -> None:
        nonlocal left
        left -= 1
        if left > 0 or written:
            write(store, *arguments)
        if left <= 0:
            raise StoreError("the store", "the disk has failed", "get another")

    tcp, ws, http = free_ports(3)
    config = Config(data_dir=tmp_path / "data", tcp_port=tcp, ws_port=ws, http_port=http)
    account = Account()
    running, _ = await serving(config)
    await account.prepare(tcp)
    with monkeypatch.context() as patch:
        patch.setattr(SqliteStore, "write_batch", fail)
        for task in await account.load(tcp, 1):
            await within(task)
        with pytest.raises(StoreError, match="the disk has failed"):
            await within(running)
    running, again = await serving(config)
    await account.settle(tcp)
    again.stop()
    await within(running)
    assert account.acknowledged > 10
    assert not written or account.unacknowledged
