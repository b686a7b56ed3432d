"""Backups: when they are made, and what became of them (spec/admin-and-protocol.md, section 10). The process around
the engine makes them: `engine.backups.due` says which."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from engine.errors import LookupFailed, OperationError, TypeFailed, ValueFailed
from engine.functions.registry import FUNCTIONS, function, type_name
from engine.replay import Replay, replays
from engine.state import loads, saves
from engine.users import CHANGE, FULL
from engine.values.datetime import Moment
from engine.values.list import List
from engine.values.mpdata import Mpdata

if TYPE_CHECKING:
    from engine.context import Context
    from engine.engine import Engine
    from engine.values.thing import Thing, Value

    Thunk = Callable[[], Value]

__all__ = ["Backup", "Backups"]

DEFAULT_FILES = 7


@dataclass(slots=True)
class Backup:
    """One schedule. `next_run` in seconds since 1970, None when none is due any more; `repeat` in seconds, 0: once;
    `files` are those that it made and that are still there."""

    id: int
    created_at: int
    template: str
    next_run: int | None
    repeat: int = 0
    max_files: int = DEFAULT_FILES
    result_code: int | None = None
    result_message: str = ""
    files: list[str] = field(default_factory=list)

    def fields(self) -> list[Any]:
        """All that is known of it, as it is kept."""
        return [getattr(self, name) for name in Backup.__slots__]

    def tree(self, now: float) -> dict[str, Any]:
        """What `backup_info` shows."""
        shown: dict[str, Any] = {"id": self.id, "created_at": self.created_at, "file_template": self.template}
        if self.next_run is not None:
            when = datetime.fromtimestamp(self.next_run, UTC).strftime("%Y-%m-%d %H:%M:%SZ")
            shown["next_run"] = "pending" if self.next_run <= now else when
        if self.repeat:
            shown["repeat"] = self.repeat
            shown["max_files"] = self.max_files
        if self.result_code is not None:
            shown["result_message"] = self.result_message
            shown["result_code"] = self.result_code
        shown["files"] = self.files
        return shown

    def path(self, now: float, change_id: int) -> str:
        """The file that a run makes."""
        moment = datetime.fromtimestamp(now, UTC)
        return (
            self.template.replace("{DATE}", moment.strftime("%Y%m%d"))
            .replace("{TIME}", moment.strftime("%H%M%S"))
            .replace("{CHANGE_ID}", str(change_id))
        )

    def finished(self, now: float, path: str, error: str | None) -> list[str]:
        """A run has ended; gives the files that are to be deleted because there are too many."""
        self.result_code = 0 if error is None else -1
        self.result_message = "success" if error is None else error
        if self.repeat and self.next_run is not None:
            missed = max(0, int(now) - self.next_run) // self.repeat
            self.next_run += (missed + 1) * self.repeat
        else:
            self.next_run = None
        if error is None:
            self.files = [known for known in self.files if known != path] + [path]
        surplus = self.files[: -self.max_files] if self.repeat else []
        self.files = self.files[len(surplus) :]
        return surplus


class Backups:
    """The schedules of this node."""

    def __init__(self) -> None:
        self.by_id: dict[int, Backup] = {}
        self.next_id = 0
        self.unwanted: list[str] = []  # files that the process is to delete

    def due(self, now: float) -> list[Backup]:
        """Those whose time has come."""
        return [backup for backup in self.by_id.values() if backup.next_run is not None and backup.next_run <= now]


def _find(ctx: Context, backup_id: int) -> Backup:
    if backup_id < 0:
        raise ValueFailed("the id of a backup is not negative")
    found = ctx.engine.backups.by_id.get(backup_id)
    if found is None:
        raise LookupFailed(f"there is no backup {backup_id}")
    return found


@function(
    "new_backup",
    "template: str, start?: lazy datetime|timeval|nil, repeat?: lazy int, max_files?: lazy int",
    scopes="N",
    right=CHANGE,
    doc="Schedules a backup, now or at a time, once or again and again; gives its id.",
    example="new_backup('/backups/{DATE}_{TIME}.tar.gz', datetime('2030-01-01'), 86400)",
)
def new_backup(
    ctx: Context, template: str, start: Thunk | None = None, repeat: Thunk | None = None, files: Thunk | None = None
) -> int:
    if template.startswith("gs://"):
        raise OperationError("this server makes backups in files only")
    if not template.endswith(".tar.gz"):
        raise ValueFailed("the file of a backup ends in .tar.gz")
    declared = FUNCTIONS["new_backup"]
    moment: Moment | None = None if start is None else declared.check_lazy(1, start)
    again = 0 if repeat is None else declared.check_lazy(2, repeat)
    most = DEFAULT_FILES if files is None else declared.check_lazy(3, files)
    now = int(ctx.now)
    backups = ctx.engine.backups
    made = Backup(
        backups.next_id,
        now,
        template,
        now if moment is None else max(moment.seconds, now),
        max(again, 0),
        max(most, 1),
    )
    backups.next_id += 1
    backups.by_id[made.id] = made
    ctx.record_for_node({"backup": made.fields()})
    return made.id


@function(
    "del_backup",
    "id: int, delete_files?: lazy bool",
    scopes="N",
    right=CHANGE,
    doc="Ends the schedule of a backup, and deletes its files when told to.",
    example="del_backup(0)",
)
def del_backup(ctx: Context, backup_id: int, delete_files: Thunk | None = None) -> None:
    found = _find(ctx, backup_id)
    wanted = False if delete_files is None else delete_files()
    if type(wanted) is not bool:
        raise TypeFailed(f"del_backup() takes bool as argument 2, not {type_name(wanted)}")
    if wanted:
        ctx.engine.backups.unwanted += found.files
    del ctx.engine.backups.by_id[backup_id]
    ctx.record_for_node({"del_backup": backup_id})


@function("backup_info", "id: int", scopes="N", doc="What is known of a backup.", example="backup_info(0)")
def backup_info(ctx: Context, backup_id: int) -> Mpdata:
    return Mpdata.of(_find(ctx, backup_id).tree(ctx.now))


@function("backups_info", scopes="N", doc="What is known of each backup.", example="backups_info().len()")
def backups_info(ctx: Context) -> List:
    return List([Mpdata.of(backup.tree(ctx.now)) for backup in ctx.engine.backups.by_id.values()])


@function("has_backup", "id: int", scopes="N", doc="Is there a backup with that id?", example="has_backup(0)")
def has_backup(ctx: Context, backup_id: int) -> bool:
    if backup_id < 0:
        raise ValueFailed("the id of a backup is not negative")
    return backup_id in ctx.engine.backups.by_id


@function("backups_ok", scopes="N", doc="Did the last run of each backup go well?", example="backups_ok()")
def backups_ok(ctx: Context) -> bool:
    return all(not backup.result_code for backup in ctx.engine.backups.by_id.values())


@function(
    "restore",
    "file: str, options?: thing",
    scopes="T",
    changes="T",
    final=True,
    right=FULL,
    doc="Replaces everything on the server, which must be empty, by what is in a backup; it follows after the reply.",
    example="restore('/backups/20300101_000000.tar.gz', {take_access: true})",
)
def restore(ctx: Context, file: str, options: Thing | None = None) -> None:
    from engine.restoring import check_empty

    wanted = {"take_access": False, "restore_tasks": False}
    for name, value in () if options is None else options.items():
        if name not in wanted:
            raise ValueFailed(f"restore() has no option {name[:80]}")
        if type(value) is not bool:
            raise TypeFailed(f"the option {name} is a bool, not {type_name(value)}")
        wanted[name] = value
    if all(wanted.values()):
        raise ValueFailed("take_access and restore_tasks exclude each other: the tasks' owners would be gone")
    host = ctx.engine.host
    host.check_backup(file)
    check_empty(ctx.engine)
    host.restore(file, ctx.caller.user if wanted["take_access"] else None, wanted["restore_tasks"])


@saves
def _save(engine: Engine) -> Iterator[tuple[str, int | str, Any]]:
    yield "backups", 0, engine.backups.next_id
    for backup in engine.backups.by_id.values():
        yield "backup", backup.id, backup.fields()


@loads("backups")
def _load_next(replay: Replay, key: int, tree: int) -> None:
    replay.engine.backups.next_id = tree


@loads("backup")
def _load(replay: Replay, key: int, tree: list[Any]) -> None:
    replay.engine.backups.by_id[key] = Backup(*tree)


@replays("backup")
def _backup(replay: Replay, _: None, tree: list[Any]) -> None:
    backup, backups = Backup(*tree), replay.engine.backups
    backups.by_id[backup.id] = backup
    backups.next_id = max(backups.next_id, backup.id + 1)


@replays("del_backup")
def _del_backup(replay: Replay, _: None, backup_id: int) -> None:
    del replay.engine.backups.by_id[backup_id]
