"""`livethings backup` and `livethings restore`: archives of everything that a server holds."""

from __future__ import annotations

import asyncio
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from shell.connecting import FAILED, INTERRUPTED, OK, USAGE, add_options, connected
from shell.output import say

if TYPE_CHECKING:
    from livethings import Database

__all__ = ["add_backup", "add_restore", "run_backup", "run_restore"]

SUFFIX = ".tar.gz"
ROUND = 0.25
"""Seconds between two questions whether the server has finished."""

Report = Callable[[int, int], None]
"""Gets how much is done, and how much there is to do."""


def add_backup(parser: ArgumentParser) -> None:
    """The arguments of `livethings backup`."""
    parser.description = (
        "Have a running server write a backup of everything: it goes on serving, and FILE is on the server's machine. "
        "With --data-dir, back up the data of a server that is not running."
    )
    parser.add_argument(
        "file",
        metavar="FILE",
        help=f"where to, ending in {SUFFIX}; in it a server replaces {{DATE}}, {{TIME}} and {{CHANGE_ID}}",
    )
    parser.add_argument("--data-dir", type=Path, metavar="DIR", help="back up this data directory, without a server")
    parser.add_argument("--force", action="store_true", help="with --data-dir: replace a file that is there")
    add_options(parser)


def add_restore(parser: ArgumentParser) -> None:
    """The arguments of `livethings restore`."""
    parser.description = (
        "Restore a backup into the data directory of a server that is not running. What is there is replaced at once "
        "or not at all. (In a server that is running and empty, the query restore('FILE') in @thingsdb does it.)"
    )
    parser.add_argument("file", metavar="FILE", type=Path, help="a backup that a server or `livethings backup` made")
    parser.add_argument(
        "--data-dir", type=Path, metavar="DIR", required=True, help="where to; made when it is not there"
    )
    parser.add_argument("--force", action="store_true", help="replace what the data directory holds")
    parser.add_argument("--without-tasks", action="store_true", help="leave the tasks out")


def run_backup(parsed: Namespace) -> int:
    """Run `livethings backup`; the exit status."""
    if not parsed.file.endswith(SUFFIX):
        say(f"the file of a backup ends in {SUFFIX}, unlike {parsed.file}")
        return USAGE
    if parsed.data_dir is not None:
        return _offline(Path(parsed.file), parsed.data_dir, parsed.force)
    # A server may run anywhere; that it has our working directory is the least likely.
    template = str(Path(parsed.file).absolute())

    async def work(database: Database) -> int:
        with _spinner(f"The server writes {template}"):
            info = await _backup(database, template)
        if info["result_code"]:
            say(f"the server could not write {template}: {info['result_message']}")
            return FAILED
        print(f"The server has written {info['files'][-1]}.")
        return OK

    return connected(parsed, work)


async def _backup(database: Database, template: str) -> dict[str, Any]:
    """Have the server make a backup once; what it knows of it in the end."""
    number = await database.query("@node", "new_backup(template)", template=template)
    try:
        while True:
            info: dict[str, Any] = await database.query("@node", "backup_info(number)", number=number)
            if "result_code" in info:
                return info
            await asyncio.sleep(ROUND)
    finally:
        # The file stays; only the schedule of the server forgets it.
        await database.query("@node", "del_backup(number)", number=number)


def _offline(file: Path, directory: Path, force: bool) -> int:
    from engine.store import SqliteStore, StoreError
    from engine.store.archive import write_archive

    if file.exists() and not force:
        say(f"{file} is there already; choose another name, or replace it with --force")
        return FAILED
    try:
        store = SqliteStore.open(directory, create=False)
        try:
            with _bar("Backing up") as progress:
                change = write_archive(store, file, progress)
        finally:
            store.close()
    except StoreError as error:
        served = "has it open" in error.problem
        say(f"{error}" + ("; or leave --data-dir out, and it makes the backup" if served else ""))
        return FAILED
    except OSError as error:
        say(f"{file} can't be written: {error.strerror or error}")
        return FAILED
    except KeyboardInterrupt:
        return INTERRUPTED
    print(f"{file} holds everything up to change {change}.")
    return OK


def run_restore(parsed: Namespace) -> int:
    """Run `livethings restore`; the exit status."""
    from engine.restoring import restore_directory
    from engine.store import StoreError

    try:
        with _bar("Restoring") as progress:
            change = restore_directory(
                parsed.file, parsed.data_dir, tasks=not parsed.without_tasks, replace=parsed.force, progress=progress
            )
    except StoreError as error:
        kept = "is to be replaced" in error.remedy
        say(f"{parsed.data_dir} is not empty; replace what it holds with --force" if kept else f"{error}")
        return FAILED
    except OSError as error:
        say(f"{parsed.data_dir} can't be written: {error.strerror or error}")
        return FAILED
    except KeyboardInterrupt:
        return INTERRUPTED
    print(f"{parsed.data_dir} holds what was in {parsed.file}, as change {change}.")
    return OK


# --- progress, on standard error, where somebody looks ---------------------------------------------------------------


@contextmanager
def _spinner(text: str) -> Iterator[None]:
    if not sys.stderr.isatty():
        yield
        return
    from rich.console import Console
    from rich.markup import escape

    with Console(stderr=True).status(escape(text)):
        yield


@contextmanager
def _bar(title: str) -> Iterator[Report | None]:
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as shown:
        task = shown.add_task(title, total=None)
        yield lambda done, total: shown.update(task, completed=done, total=total)
