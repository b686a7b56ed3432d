"""The command `livethings`."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version

from server.config import ConfigError, load, option_help

__all__ = ["main"]


def _version() -> str:
    try:
        return version("livethings")
    except PackageNotFoundError:
        return "unknown (not installed)"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="livethings", description="A realtime server for live things.")
    parser.add_argument("-v", "--version", action="version", version=f"livethings {_version()}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
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
    parsed = vars(_parser().parse_args(arguments))
    if parsed.pop("command") == "functions":
        return _functions(parsed["name"])
    try:
        config = load(parsed, os.environ)
    except ConfigError as error:
        print(f"livethings: {error}", file=sys.stderr)
        return 2
    from server.app import serve  # late, so that --help needs no engine

    return serve(config)


if __name__ == "__main__":
    sys.exit(main())
