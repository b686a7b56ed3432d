"""The command `livethings`."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from typing import Any

from server.config import ConfigError, load, option_help
from shell import archives, prompt, query, status, watch
from shell.connecting import FAILED, INTERRUPTED, USAGE

__all__ = ["main"]

COMMANDS = {
    "query": ("run a query and print its result", query.add, query.run),
    "watch": ("print what happens to things, as it happens", watch.add, watch.run),
    "shell": ("type queries, with completion and history", prompt.add, prompt.run),
    "status": ("say how a server is doing", status.add, status.run),
    "backup": (
        "back up everything that a server holds",
        archives.add_backup,
        archives.run_backup,
    ),
    "restore": ("restore a backup into a data directory", archives.add_restore, archives.run_restore),
}
"""What needs no more than arguments and gives an exit status; it imports what it needs when it runs."""


class _Version(argparse.Action):
    """Prints the version, which is looked for only then: that takes as long as the rest of a query's start."""

    def __call__(self, parser: argparse.ArgumentParser, *ignored: Any) -> None:
        from importlib.metadata import PackageNotFoundError, version

        try:
            print(f"livethings {version('livethings')}")
        except PackageNotFoundError:
            print("livethings, not installed, so of an unknown version")
        parser.exit()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="livethings",
        description="A realtime server for live things.",
        epilog="`livethings COMMAND --help` says more of each. To begin: `livethings serve`, and `livethings shell` in "
        "another terminal.",
    )
    parser.add_argument("-v", "--version", action=_Version, nargs=0, help="print the version and exit")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")
    serve = commands.add_parser(
        "serve",
        help="run a server",
        description="Run a server until it gets SIGTERM or SIGINT. Each option can also be set by an environment "
        "variable, such as LIVETHINGS_TCP_PORT for --tcp-port, or in a TOML file, as tcp-port = 9200. "
        "A flag wins over a variable, a variable over the file.",
    )
    serve.add_argument("-c", "--config", metavar="FILE", help="TOML file with settings (LIVETHINGS_CONFIG)")
    for name, text in option_help().items():
        serve.add_argument(f"--{name.replace('_', '-')}", metavar=name.split("_")[-1].upper(), help=text)
    for name, (text, add, _) in COMMANDS.items():
        add(commands.add_parser(name, help=text))
    functions = commands.add_parser(
        "functions",
        help="describe the functions and methods of the language",
        description="Print the reference of the query language: one name, or all names by subject.",
    )
    functions.add_argument("name", nargs="?", metavar="NAME", help="a function or method, such as range or push")
    return parser


def _functions(name: str | None) -> int:
    """Print the reference of a name, or all names; the exit status."""
    from engine.functions import reference  # late, so that --help needs no engine

    if name is None:
        print(reference.overview())
        return 0
    found = reference.find(name)
    if not found:
        close = reference.close_names(name)
        hint = f"did you mean {', '.join(close)}?" if close else "`livethings functions` lists all"
        print(f"livethings: there is no function or method {name[:80]!r}; {hint}", file=sys.stderr)
        return 1
    print("\n\n".join(reference.describe(entry) for entry in found))
    return 0


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; the exit status."""
    try:
        parser = _parser()
        parsed = parser.parse_args(arguments)
        if parsed.command is None:
            parser.print_help(sys.stderr)
            return USAGE
        return _run(parsed)
    except BrokenPipeError:
        # Who read our output has enough. Nothing more may be flushed to it when the interpreter ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    except KeyboardInterrupt:
        return INTERRUPTED


def _run(parsed: argparse.Namespace) -> int:
    if parsed.command == "functions":
        return _functions(parsed.name)
    if parsed.command in COMMANDS:
        return COMMANDS[parsed.command][2](parsed)
    try:
        config = load(vars(parsed), os.environ)
    except ConfigError as error:
        print(f"livethings: {error}", file=sys.stderr)
        return 2
    from server.app import serve  # late, so that --help needs no engine

    return serve(config)


if __name__ == "__main__":
    sys.exit(main())
