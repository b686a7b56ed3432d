"""`livethings watch`: what happens to things, as a line of JSON each."""

from __future__ import annotations

import asyncio
import logging
import sys
from argparse import ArgumentParser, ArgumentTypeError, Namespace
from dataclasses import fields
from typing import TYPE_CHECKING, Any

from engine.limits import MAX_DEEP
from shell.connecting import OK, add_options, connected
from shell.output import as_json, coloured, is_terminal

if TYPE_CHECKING:
    from livethings import Change, Database

__all__ = ["add", "event_tree", "run"]


def add(parser: ArgumentParser) -> None:
    """The arguments of the command."""
    parser.description = (
        "Print what happens to things, as a line of JSON each: their first states, then every change to them, until "
        "Ctrl-C. When the connection is lost it comes back, and what was missed comes then, or where that is not known "
        "any more first states again, with restart set."
    )
    parser.add_argument("scope", metavar="SCOPE", help="the collection, such as //stuff")
    parser.add_argument("ids", nargs="*", type=int, metavar="ID", help="ids of things (default: the collection's root)")
    parser.add_argument(
        "--deep", type=_depth, default=0, metavar="N", help="watch what they contain too, so many steps down"
    )
    add_options(parser)


def _depth(text: str) -> int:
    if not text.isdecimal() or int(text) > MAX_DEEP:
        raise ArgumentTypeError(f"it is a number from 0 to {MAX_DEEP}")
    return int(text)


def run(parsed: Namespace) -> int:
    """Run the command; the exit status."""
    # The client tells here that the connection was lost, and is back.
    logging.basicConfig(level=logging.INFO, format="livethings: %(message)s", stream=sys.stderr)
    colours = is_terminal(sys.stdout)

    async def work(database: Database) -> int:
        try:
            async for event in database.watch(parsed.scope, *parsed.ids, deep=parsed.deep):
                text = as_json(event_tree(event))
                print(coloured(text) if colours else text, flush=True)
        except asyncio.CancelledError:
            pass  # Ctrl-C is how it ends
        return OK

    return connected(parsed, work, reconnect=True)


def event_tree(event: Change) -> dict[str, Any]:
    """An event as a map: its kind (`init`, `update`, `delete`, `stop`), and what it says."""
    tree: dict[str, Any] = {"event": type(event).__name__.lower()}
    for field in fields(event):
        value = getattr(event, field.name)
        if value is not None and value is not False:
            tree[field.name] = value
    return tree
