"""`livethings query`: a query, and its result as JSON."""

from __future__ import annotations

import asyncio
import json
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any

from shell.connecting import OK, USAGE, UsageError, add_options, connected
from shell.output import say, write

if TYPE_CHECKING:
    from livethings import Database

__all__ = ["DEFAULT_SCOPE", "add", "add_scope", "run", "variables"]

DEFAULT_SCOPE = "//stuff"


def add_scope(parser: ArgumentParser) -> None:
    """The option that names a scope."""
    parser.add_argument(
        "-s",
        "--scope",
        default=DEFAULT_SCOPE,
        help="where it runs: //COLLECTION, @thingsdb or @node (default: %(default)s)",
    )


def add(parser: ArgumentParser) -> None:
    """The arguments of the command."""
    parser.description = (
        "Run a query and print its result as JSON: indented and coloured on a terminal, else in one line. What the "
        "query logs, and errors, go to standard error."
    )
    add_scope(parser)
    parser.add_argument(
        "code", nargs="?", metavar="CODE", help="the query; left out, or -: read it from standard input"
    )
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        dest="variables",
        help="a variable of the query, as often as there are any; the value is JSON, or else text",
    )
    parser.add_argument(
        "--atomic", action="store_true", help="change nothing when it fails; else what it did before that stays done"
    )
    parser.add_argument("-r", "--raw", action="store_true", help="print text and bytes as they are, not as JSON")
    add_options(parser)


def run(parsed: Namespace) -> int:
    """Run the command; the exit status."""
    try:
        given = variables(parsed.variables)
        code = _code(parsed.code)
    except UsageError as error:
        say(str(error))
        return USAGE

    async def work(database: Database) -> int:
        async with logging(database):
            value = await database.using(atomic=parsed.atomic).query(parsed.scope, code, **given)
        write(value, raw=parsed.raw)
        return OK

    return connected(parsed, work)


def variables(assignments: Iterable[str]) -> dict[str, Any]:
    """Variables from `name=value`; a value that is no JSON is text. Raises UsageError."""
    found: dict[str, Any] = {}
    for assignment in assignments:
        name, equals, text = assignment.partition("=")
        if not equals or not name.isascii() or not name.isidentifier():
            raise UsageError(f"--set takes name=value, where the name is a variable's, not {assignment[:80]!r}")
        try:
            found[name] = json.loads(text, parse_constant=_no_constant)
        except (ValueError, RecursionError):
            found[name] = text
    return found


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON")


def _code(given: str | None) -> str:
    if given is not None and given != "-":
        return given
    if sys.stdin.isatty():
        print("The query, ended by Ctrl-D in a line of its own:", file=sys.stderr)
    try:
        return sys.stdin.buffer.read().decode()
    except UnicodeDecodeError:
        raise UsageError("the query on standard input is not UTF-8") from None


@asynccontextmanager
async def logging(database: Database) -> AsyncIterator[None]:
    """Say what queries log meanwhile."""
    from livethings import Notice

    async with database.events() as events:

        async def listen() -> None:
            async for event in events:
                if isinstance(event, Notice):
                    say(event.message)

        listening = asyncio.create_task(listen())
        try:
            yield
        finally:
            listening.cancel()
            with suppress(asyncio.CancelledError):
                await listening
