"""Which server, as whom: the options, the environment, and what is said when it fails."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from shell.output import say

if TYPE_CHECKING:
    import ssl as tls

    from livethings import Database

__all__ = ["FAILED", "INTERRUPTED", "OK", "UNREACHABLE", "USAGE", "Login", "UsageError", "add_options", "connected"]

OK, FAILED, USAGE, UNREACHABLE, INTERRUPTED = 0, 1, 2, 3, 130
"""Exit statuses: it worked; the server answered with an error; the command makes no sense; there is no server, or it
does not let us in; ended by Ctrl-C."""

EXIT_STATUSES = "The exit status is 0 for success, 1 for an error of the server, 2 for a command that makes no sense, \
and 3 when no server answers or the login fails."

DEFAULT_URL = "tcp://127.0.0.1:9200"
DEFAULT_USER = "admin"
LOCAL_SCHEMES = ("tcp", "ws")


class UsageError(Exception):
    """The command can't be carried out as it was given; the message says what would be right."""


@dataclass(frozen=True, slots=True)
class Login:
    """Where to connect and as whom. Either `token`, or `user` and `password`."""

    url: str
    user: str | None = None
    password: str | None = field(default=None, repr=False)
    token: str | None = field(default=None, repr=False)
    authorities: Path | None = None

    def context(self) -> tls.SSLContext | None:
        """What to trust in TLS, when it is not the system's authorities. Raises UsageError."""
        if self.authorities is None:
            return None
        import ssl as tls

        try:
            return tls.create_default_context(cafile=str(self.authorities))
        except OSError as error:
            raise UsageError(
                f"the certificates in {self.authorities} can't be used: {error.strerror or error}"
            ) from None


def add_options(parser: ArgumentParser) -> None:
    """The options that name a server and a user."""
    parser.epilog = EXIT_STATUSES
    group = parser.add_argument_group(
        "connection",
        "The password is read from LIVETHINGS_PASSWORD, or asked for; it is never part of the command, where others "
        "could see it.",
    )
    group.add_argument(
        "--url",
        help="tcp://, tcps:// (with TLS), ws:// or wss:// and a host, or unix:// and the path of a Unix socket "
        f"(LIVETHINGS_URL; default: {DEFAULT_URL})",
    )
    group.add_argument("-H", "--host", help="another host than the URL's")
    group.add_argument("-P", "--port", type=int, help="another port than the URL's")
    group.add_argument("-u", "--user", help=f"who logs in (LIVETHINGS_USER; default: {DEFAULT_USER})")
    group.add_argument(
        "-p", "--password", action="store_true", help="ask for the password, whatever the environment says"
    )
    group.add_argument("--token", help="log in with a token; better in LIVETHINGS_TOKEN, where others can't see it")
    group.add_argument("--tls-ca", type=Path, metavar="FILE", help="PEM file of the authorities to trust with TLS")


def login(parsed: Namespace, environment: Mapping[str, str]) -> Login:
    """The options as a login; asks for a password that is missing. Raises UsageError."""
    url = _url(parsed.url or environment.get("LIVETHINGS_URL") or DEFAULT_URL, parsed.host, parsed.port)
    if parsed.token is not None and (parsed.user is not None or parsed.password):
        raise UsageError("log in with --token, or with --user and a password, not with both")
    token = parsed.token or environment.get("LIVETHINGS_TOKEN")
    if token and parsed.user is None and not parsed.password:
        return Login(url, token=token, authorities=parsed.tls_ca)
    user = parsed.user or environment.get("LIVETHINGS_USER") or DEFAULT_USER
    password = None if parsed.password else environment.get("LIVETHINGS_PASSWORD")
    if password is None:
        password = _ask(f"Password of {user}: ")
    return Login(url, user=user, password=password, authorities=parsed.tls_ca)


def _url(url: str, host: str | None, port: int | None) -> str:
    """The URL with the host and the port that are given instead of its own."""
    try:
        parts = urlsplit(url)
        old_host, old_port = parts.hostname or "", parts.port
    except ValueError as error:
        raise UsageError(f"the URL {url!r} makes no sense: {error}") from None
    if port is not None and not 0 < port < 65536:
        raise UsageError(f"--port must be from 1 to 65535, not {port}")
    if host is None and port is None:
        return url
    if parts.scheme == "unix":
        raise UsageError("a Unix socket has no --host and no --port")
    name = host or old_host
    name = f"[{name}]" if ":" in name and not name.startswith("[") else name
    number = port or old_port
    return parts._replace(netloc=name + (f":{number}" if number else "")).geturl()


def _ask(prompt: str) -> str:
    """A password typed at the terminal. Raises UsageError where there is none."""
    try:
        os.close(os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY))
    except OSError:
        raise UsageError(
            "there is no password, and no terminal to ask for one: set LIVETHINGS_PASSWORD or LIVETHINGS_TOKEN"
        ) from None
    import getpass

    try:
        return getpass.getpass(prompt)
    except EOFError:
        raise UsageError("no password was given") from None


def connected(
    parsed: Namespace,
    work: Callable[[Database], Awaitable[int]],
    *,
    reconnect: bool = False,
    interruptible: bool = True,
) -> int:
    """Connect, do the work, disconnect; the exit status. What goes wrong is said on standard error.

    With `interruptible`, Ctrl-C and SIGTERM end the work; else they are the work's own business.
    """
    try:
        who = login(parsed, os.environ)
        context = who.context()
    except UsageError as error:
        say(str(error))
        return USAGE
    except KeyboardInterrupt:
        print(file=sys.stderr)
        return INTERRUPTED
    from livethings import AuthError, ConnectFailed, LivethingsError, ServerError, connect

    async def main() -> int:
        task = asyncio.current_task()
        if interruptible and task is not None:
            for number in (signal.SIGINT, signal.SIGTERM):
                asyncio.get_running_loop().add_signal_handler(number, task.cancel)
        database = connect(
            who.url,
            user=who.user,
            password=who.password,
            token=who.token,
            ssl=context,
            timeout=None,
            reconnect=reconnect,
        )
        try:
            await database.open()
        except AuthError as error:
            say(f"{who.url} does not let {who.user or 'the token'} in: {error.message}")
            return UNREACHABLE
        except ConnectFailed as error:
            say(_unreachable(who.url, error))
            return UNREACHABLE
        try:
            return await work(database)
        finally:
            await database.close()

    try:
        return asyncio.run(main())
    except (ValueError, OverflowError) as error:
        say(str(error))
        return USAGE
    except (asyncio.CancelledError, KeyboardInterrupt):
        return INTERRUPTED
    except ServerError as error:
        say(f"{error.name} ({error.code}): {error.message}")
        return FAILED
    except LivethingsError as error:
        say(str(error))
        return UNREACHABLE


def _unreachable(url: str, error: Exception) -> str:
    """Why there is no connection, and what to do, in a line."""
    cause = error.__cause__
    why = str(error)
    if isinstance(cause, ConnectionRefusedError | FileNotFoundError) or "Connect call failed" in why:
        why = f"no server answers at {url}"
    scheme, _, place = url.partition("://")
    if scheme == "unix":
        return f"{why}; start one with `livethings serve --unix-socket {place}`"
    if scheme in LOCAL_SCHEMES and place.startswith(("127.0.0.1", "localhost", "[::1]")):
        return f"{why}; start one with `livethings serve`, or name another with --url"
    return f"{why}; is the address right, and the server running there?"
