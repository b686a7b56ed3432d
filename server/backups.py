"""Makes the backups whose time has come, while the server serves: a gzipped tar of a data folder with a copy of the
store, to unpack as a data folder."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable
from pathlib import Path

from engine.engine import Engine
from engine.outcome import Outcome
from engine.store import Store
from engine.store.archive import write_archive

__all__ = ["BackupRunner"]

log = logging.getLogger("livethings.server")


class BackupRunner:
    """One for the server; one backup at a time."""

    def __init__(
        self, engine: Engine, store: Store, loop: asyncio.AbstractEventLoop, publish: Callable[[Outcome], object]
    ) -> None:
        """`publish` has what a run came to made durable."""
        self._engine = engine
        self._store = store
        self._loop = loop
        self._publish = publish
        self._task: asyncio.Task[None] | None = None

    def look(self) -> None:
        """Called about once a second: begin what is due."""
        if self._task is not None and not self._task.done():
            return
        unwanted = self._engine.backups.unwanted
        if unwanted or self._engine.backups.due(self._engine.clock()):
            self._task = self._loop.create_task(self._run())

    async def _run(self) -> None:
        backups = self._engine.backups
        while backups.unwanted:
            await self._loop.run_in_executor(None, _delete, backups.unwanted.pop())
        for backup in backups.due(self._engine.clock()):
            now = self._engine.clock()
            path = backup.path(now, self._engine.last_change)
            error: str | None = None
            try:
                await self._loop.run_in_executor(None, write_archive, self._store, Path(path))
            except Exception as failure:  # whatever it is, the schedule goes on and tells
                error = _said(failure)
                log.error("the backup %s failed: %s", path, error)
            else:
                log.info("backup written to %s", path)
            surplus = backup.finished(now, path, error)
            if backups.by_id.get(backup.id) is backup:
                self._publish(self._engine.note_for_node({"backup": backup.fields()}))
            for file in surplus:
                await self._loop.run_in_executor(None, _delete, file)


def _said(failure: Exception) -> str:
    """What went wrong, in a line."""
    if isinstance(failure, OSError) and failure.strerror and failure.filename:
        return f"{failure.filename}: {failure.strerror}"
    return str(failure) or type(failure).__name__


def _delete(path: str) -> None:
    try:
        os.unlink(path)
    except FileNotFoundError:
        pass
    except OSError as error:
        log.warning("the old backup %s can't be deleted: %s", path, error)
