"""Restores a backup while the server serves: reads it in a thread, then has the engine take it over between two
requests (`engine.restoring`)."""

from __future__ import annotations

import asyncio
import logging
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from engine.engine import Engine
from engine.errors import BadDataError, EngineError, OperationError
from engine.outcome import Outcome
from engine.restoring import FOLDER_PREFIX, Backup, restore
from engine.store import Checkpoint, StoreError
from engine.store.archive import check_archive

if TYPE_CHECKING:
    from engine.users import User

__all__ = ["Restorer"]

log = logging.getLogger("livethings.server")


class Announce(Protocol):
    """Makes a replaced state durable and says what it came to; `written` is called when it is on disk."""

    def __call__(self, outcome: Outcome, checkpoint: Checkpoint, /) -> None: ...


class Restorer:
    """One for the server; one backup at a time."""

    def __init__(
        self,
        engine: Engine,
        directory: Path,
        loop: asyncio.AbstractEventLoop,
        announce: Announce,
        flush: Callable[[], None],
    ) -> None:
        """Archives are unpacked within `directory`. `announce(outcome, checkpoint)` makes a replaced state durable and
        says what it came to; `flush()`, in a thread, waits until all that was announced is on disk."""
        self._engine = engine
        self._directory = directory
        self._loop = loop
        self._announce = announce
        self._flush = flush
        self._task: asyncio.Task[None] | None = None
        self._taken = False
        for left in directory.glob(f"{FOLDER_PREFIX}*"):
            shutil.rmtree(left, ignore_errors=True)

    @property
    def busy(self) -> bool:
        """Is a backup being restored?"""
        return self._task is not None

    @staticmethod
    def check(file: str) -> None:
        """BadDataError unless the file is there and looks like a backup."""
        if not file or "\0" in file:
            raise BadDataError("the file of a backup has a name")
        try:
            check_archive(Path(file))
        except StoreError as error:
            raise BadDataError(str(error)) from None

    def begin(self, file: str, keeping: User | None, tasks: bool) -> None:
        """Restore a backup soon. OperationError while another one is being restored."""
        if self._task is not None:
            raise OperationError("a backup is being restored already")
        self._taken = False
        self._task = self._loop.create_task(self._run(Path(file), keeping, tasks))

    async def close(self) -> None:
        """Give up a backup that is being read; wait for one that was taken over."""
        task = self._task
        if task is not None:
            if not self._taken:
                task.cancel()
            await asyncio.wait([task])

    async def _run(self, file: Path, keeping: User | None, tasks: bool) -> None:
        log.info("reading the backup %s", file)
        backup: Backup | None = None

        def read() -> Backup:
            return Backup(file, self._directory, tasks=tasks, clock=self._engine.clock)

        try:
            reading = self._loop.run_in_executor(None, read)
            try:
                backup = await asyncio.shield(reading)
            except asyncio.CancelledError:
                reading.add_done_callback(_close)
                raise
            outcome, checkpoint = restore(self._engine, backup, keeping)
            self._taken = True
            self._announce(outcome, checkpoint)
            await self._loop.run_in_executor(None, self._flush)
            log.warning("the backup %s is restored", file)
        except (EngineError, StoreError, OSError) as error:
            log.error("the backup %s is not restored: %s", file, getattr(error, "message", error))
        finally:
            self._task = None
            if backup is not None:
                backup.close()


def _close(reading: asyncio.Future[Backup]) -> None:
    if not reading.cancelled() and reading.exception() is None:
        reading.result().close()
