"""`livethings shell`: type queries, see results, and meanwhile what happens to things that are watched."""

from __future__ import annotations

import os
import sys
from argparse import ArgumentParser, Namespace
from typing import TYPE_CHECKING

from shell.connecting import USAGE, add_options, connected
from shell.output import say
from shell.query import add_scope

if TYPE_CHECKING:
    from livethings import Database

__all__ = ["add", "run"]


def add(parser: ArgumentParser) -> None:
    """The arguments of the command."""
    parser.description = "Type queries, with completion (Tab), history and highlighting; `help` in it says the rest."
    add_scope(parser)
    add_options(parser)


def run(parsed: Namespace) -> int:
    """Run the command; the exit status."""
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        say("the shell is for a terminal; `livethings query` runs a query from elsewhere")
        return USAGE

    async def work(database: Database) -> int:
        from shell.interactive import Shell  # with all that draws and completes

        return await Shell(database, parsed.scope, os.environ).run()

    return connected(parsed, work, reconnect=True, interruptible=False)
