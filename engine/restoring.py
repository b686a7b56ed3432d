"""Restoring a backup: an engine, or a data directory, takes up the state of an archive in the place of its own
(spec/admin-and-protocol.md, section 9; spec/enums-and-wrap.md, section 8).

The archive is unpacked aside and read by an engine of its own (`Backup`), which may be done in another thread while
requests are served. Then, between two requests, the engine takes over what that one holds (`restore`). For the log
that is a change of its own: a checkpoint that replaces the whole state in one transaction of the store. So after a
crash the store has either all of the old state or all of the new one, and change ids go on.
"""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from engine.effects import Gone
from engine.engine import Engine
from engine.errors import EngineError, ForbiddenError, LookupFailed, OperationError
from engine.garbage import Garbage
from engine.login import Logins
from engine.outcome import Outcome
from engine.state import StateWriter
from engine.store import Checkpoint, SqliteStore, StoreError
from engine.store.archive import unpack_archive
from engine.store.interface import ThingRow
from engine.users import FULL, User
from engine.values.task import drop as drop_task

__all__ = ["FOLDER_PREFIX", "Backup", "check_empty", "restore", "restore_directory"]

FOLDER_PREFIX = ".restore-"
"""How the folder begins in which an archive is unpacked. One that is left was in use when the process ended."""

Progress = Callable[[int, int], None]


class Backup:
    """An unpacked archive: the store in it, and an engine that holds its state. To be closed.

    It belongs to one thread at a time.
    """

    def __init__(
        self,
        archive: Path,
        directory: Path,
        *,
        tasks: bool,
        clock: Callable[[], float],
        progress: Progress | None = None,
    ) -> None:
        """Unpack and read an archive in a folder within `directory`; without `tasks`, all tasks are dropped.

        `progress(done, total)` is in bytes unpacked. Raises StoreError when the archive is no such thing or damaged.
        """
        self._folder = Path(tempfile.mkdtemp(dir=directory, prefix=FOLDER_PREFIX))
        self._store: SqliteStore | None = None
        self.engine = Engine(clock=clock)
        try:
            unpack_archive(archive, self._folder, progress)
            store = self._store = SqliteStore.open(self._folder, create=False)
            with store.read_state() as state:
                if not state.definitions:
                    raise StoreError(archive, "the store in it is empty", "choose another backup")
            self.engine.open(store)
            if not tasks:
                self._drop_tasks()
            self.last_change = self.engine.last_change
            store.write_checkpoint(self.engine.checkpoint())
        except BaseException as error:
            self.close()
            if isinstance(error, Exception) and not isinstance(error, StoreError | OSError):
                raise StoreError(archive, f"its contents are damaged ({error!r})", "choose another backup") from error
            raise

    def _drop_tasks(self) -> None:
        scopes: list[Any] = [self.engine.server, *self.engine.collections.values()]
        for scope in scopes:
            for task in list(scope.tasks.values()):
                drop_task(scope, task)

    def things(self) -> Iterator[ThingRow]:
        """The things as they stand on disk, read bit by bit."""
        assert self._store is not None
        with self._store.read_state() as state:
            yield from state.things

    def close(self) -> None:
        """Remove what was unpacked. Closing twice is allowed."""
        if self._store is not None:
            self._store.close()
        shutil.rmtree(self._folder, ignore_errors=True)
        engine = self.engine  # it is full of cycles, and nothing collects them
        for collection in vars(engine).get("collections", {}).values():
            if collection.engine is engine:
                collection.clear()
        vars(engine).clear()


def check_empty(engine: Engine) -> None:
    """Refuse to restore where something would be lost: LookupError for modules, and tasks in `@thingsdb`;
    OperationError for a collection that holds anything."""
    if engine.modules:
        raise LookupFailed("delete the modules before a backup is restored")
    if engine.server.tasks:
        raise LookupFailed("delete the tasks in @thingsdb before a backup is restored")
    for collection in engine.collections.values():
        if (
            collection.root.props
            or len(collection.index) > 1
            or collection.types
            or collection.enums
            or collection.procedures
            or collection.tasks
        ):
            raise OperationError(
                f"the collection {collection.name} is not empty; delete what must go before a backup is restored"
            )


def restore(engine: Engine, backup: Backup, keeping: User | None) -> tuple[Outcome, Checkpoint]:
    """Replace everything in the engine, between two requests, by what is in a backup; its engine is used up.

    `keeping`: this user stays, as the only one and with all rights, in the place of the users of the backup. Whoever
    is logged in has no rights from now on.

    The outcome is to be announced, and the checkpoint to be written in the place of its change; only then may the
    backup be closed. Raises EngineError, having changed nothing, when that would lose something (`check_empty`).
    """
    check_empty(engine)
    if keeping is not None and keeping.deleted:
        raise ForbiddenError(f"the user {keeping.name}, who was to keep the access, is deleted")
    old, new = engine, backup.engine
    if keeping is not None:
        _keep_only(new, keeping)
    gone: list[int] = []
    for collection in list(old.collections.values()):
        gone += old.drop_collection(collection)
    for user in old.users.values():
        user.deleted = True
    zone = old.node.zone
    for scope, source in ((old.server, new.server), (old.node, new.node)):
        vars(scope).update(vars(source))
    old.node.zone = zone
    old.users, old.tokens, old.collections = new.users, new.tokens, new.collections
    old.modules.update(new.modules)
    for collection in old.collections.values():
        collection.engine = old
    old.next_id = max(old.next_id, new.next_id)
    old.next_definition_id = max(old.next_definition_id, new.next_definition_id)
    old.dropped = []
    old.logins = Logins(old)
    old.garbage = Garbage(old)
    old.garbage.freeze()
    old.forget_scopes()
    old.rights_version += 1
    change = old.begin_change(old.server)
    old.server.change = None
    old.finish_change(old.server, change)
    old.recent.reset(change.id, old.next_id)
    outcome = Outcome(None, None, change, [Gone(gone)], old.take_gone())
    outcome.closed_rooms, old.gone_rooms = old.gone_rooms, []
    old.writer = StateWriter(old)
    definitions = old.checkpoint().definitions
    return outcome, Checkpoint(change.id, backup.things(), definitions=definitions, replaces=True)


def _keep_only(engine: Engine, user: User) -> None:
    """Leave a copy of the user as the only one, with all rights."""
    for other in list(engine.users.values()):
        engine.drop_user(other)
    kept = User(engine.next_definition_id, user.name, user.created_at, user.password)
    engine.next_definition_id += 1
    kept.tokens = list(user.tokens)
    kept.whitelists = dict(user.whitelists)
    engine.users[kept.name] = kept
    engine.tokens = {token.digest: (kept, token) for token in kept.tokens}
    scopes: list[Any] = [engine.server, engine.node, *engine.collections.values()]
    for scope in scopes:
        scope.access = {kept.id: FULL}


def restore_directory(
    archive: Path, directory: Path, *, tasks: bool = True, replace: bool = False, progress: Progress | None = None
) -> int:
    """Restore an archive into a data directory that no server is using; the id of the last change.

    Without `replace`, a store that is there must hold no more than a fresh one does. The directory is made when it is
    missing. Without `tasks`, all tasks are dropped. `progress(done, total)` is in bytes unpacked. Raises StoreError
    when the archive or the directory can't be used; what is in the directory is then as it was.
    """
    store = SqliteStore.open(directory, create=True)
    backup: Backup | None = None
    try:
        engine = Engine()
        engine.open(store)
        if replace:
            for collection in list(engine.collections.values()):
                engine.drop_collection(collection)
            engine.modules.clear()
            engine.server.tasks.clear()
        try:
            check_empty(engine)
        except EngineError as error:
            raise StoreError(directory, error.message, "or say that the store is to be replaced") from None
        backup = Backup(archive, directory, tasks=tasks, clock=time.time, progress=progress)
        if store.last_change < backup.last_change:
            # Who has heard of a later change of the backup's server is not to take this one's for it.
            engine.last_change = backup.last_change
        outcome, checkpoint = restore(engine, backup, None)
        store.write_checkpoint(checkpoint)
        assert outcome.change is not None
        return outcome.change.id
    finally:
        if backup is not None:
            backup.close()
        store.close()
