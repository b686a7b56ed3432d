"""The shell itself: one prompt, commands and queries one after the other, events as they come."""

from __future__ import annotations

import asyncio
import logging
import re
import signal
import sys
from collections.abc import Coroutine, Mapping
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

from livethings import DeepWatch, LivethingsError, Notice, ServerError, Unrouted
from prompt_toolkit import PromptSession
from prompt_toolkit.application import run_in_terminal
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent
from prompt_toolkit.lexers import PygmentsLexer

from engine.limits import MAX_DEEP
from shell.completion import COMMANDS, LiveNames, ShellCompleter
from shell.connecting import OK
from shell.highlighting import QueryLexer
from shell.history import history
from shell.output import as_json, coloured, is_terminal, printable
from shell.scanning import is_unfinished
from shell.watch import event_tree

if TYPE_CHECKING:
    from livethings import Database, Watch

__all__ = ["Shell"]

HELP = """\
A query runs when Enter is pressed and it is complete; Alt-Enter begins a new line anywhere, Tab completes.
    help [NAME]      this, or the reference of a function or method
    @SCOPE           go to another scope: @//stuff, @thingsdb (@t), @node (@n); //stuff alone does too
    @SCOPE QUERY     run one query there
    watch [WHAT]     print what happens to things: ids, or code that gives things or ids; by default the root
    watch deep N …   the same, with what they contain, so many steps down
    unwatch [ID…]    stop that, for some or for all
    exit             leave, as Ctrl-D does
Ctrl-C clears the line, or stops waiting for a result."""

INDENT = "    "
RED, DIM = "31", "2"

_COMMAND = re.compile(rf"({'|'.join((*COMMANDS, 'quit'))}|\?)(?:\s+(?![=(])(.*))?", re.DOTALL)
_SCOPE = re.compile(r"@\s*([^\s;]+)(?:\s+(.+))?", re.DOTALL)
_DEEP = re.compile(r"deep\s+([0-9]{1,9})(?:\s+|\Z)")
_COLLECTION = re.compile(r"//[A-Za-z_][0-9A-Za-z_]*")


class Shell:
    """A session with a server, in a terminal. `environment` names places for what is kept, such as the history."""

    def __init__(self, database: Database, scope: str, environment: Mapping[str, str]) -> None:
        self._database = database
        self._scope = scope
        self._names = LiveNames(database)
        self._watches: dict[Watch, asyncio.Task[None]] = {}
        self._colours = is_terminal(sys.stdout)
        self._unprinted: list[str] = []
        self._work: asyncio.Future[bool] | None = None
        self._session: PromptSession[str] = PromptSession(
            message=lambda: f"{self._scope}> ",
            prompt_continuation=lambda width, line, wrapped: "." * (width - 1) + " ",
            multiline=True,
            history=history(environment),
            lexer=PygmentsLexer(QueryLexer) if self._colours else None,
            completer=ShellCompleter(self._names, lambda: self._scope),
            complete_while_typing=False,
            key_bindings=_keys(),
        )

    async def run(self) -> int:
        """Go on until Ctrl-D or `exit`; the exit status."""
        await self._go(self._scope)
        loop, this = asyncio.get_running_loop(), asyncio.current_task()
        assert this is not None
        loop.add_signal_handler(signal.SIGINT, self._interrupt)
        for number in (signal.SIGTERM, signal.SIGHUP):  # or the terminal would be left as the prompt has set it
            loop.add_signal_handler(number, this.cancel)
        self._listen_to_client()
        listening = asyncio.create_task(self._listen())
        # The registry takes a moment to load; the first Tab should not.
        warming = asyncio.create_task(asyncio.to_thread(_warm_up))
        self._print(f"Livethings {_version()}. `help` says what can be done here; Ctrl-D leaves.")
        try:
            while True:
                try:
                    text = await self._session.prompt_async(handle_sigint=False)
                except KeyboardInterrupt:
                    continue
                except EOFError:
                    return OK
                if not await self._interruptible(self._take(text.strip())):
                    return OK
        finally:
            listening.cancel()
            for task in self._watches.values():
                task.cancel()
            await asyncio.gather(listening, warming, *self._watches.values(), return_exceptions=True)

    # --- what was typed ----------------------------------------------------------------------------------------------

    async def _interruptible(self, work: Coroutine[Any, Any, bool]) -> bool:
        """Do the work; Ctrl-C stops waiting for it. What the work gives, or True."""
        self._work = asyncio.ensure_future(work)
        try:
            return await self._work
        except asyncio.CancelledError:
            current = asyncio.current_task()
            if current is not None and current.cancelling():
                raise
            self._say("Not waited for any longer; the server carries on with what it was asked.", DIM)
            return True
        finally:
            self._work = None

    def _interrupt(self) -> None:
        """Ctrl-C while something is done; in the prompt it is a key."""
        if self._work is not None:
            self._work.cancel()

    async def _take(self, text: str) -> bool:
        """Carry out what was typed; False when that is to leave."""
        if not text:
            return True
        try:
            if command := _COMMAND.fullmatch(text):
                return await self._command(command[1], (command[2] or "").strip())
            if _COLLECTION.fullmatch(text):
                await self._go(text)
            elif scope := _SCOPE.fullmatch(text):
                name = scope[1] if scope[1].startswith("/") else f"@{scope[1].removeprefix('@')}"
                if scope[2] is None:
                    await self._go(name)
                else:
                    await self._query(name, scope[2])
            else:
                await self._query(self._scope, text)
        except ServerError as error:
            self._say(f"{error.name} ({error.code}): {error.message}", RED)
        except (LivethingsError, ValueError, OverflowError) as error:
            self._say(str(error), RED)
        return True

    async def _query(self, scope: str, code: str) -> None:
        try:
            value = await self._database.query(scope, code)
        finally:
            self._names.forget()
        text = as_json(value, indent=True)
        self._print(coloured(text) if self._colours else text)

    async def _go(self, scope: str) -> None:
        """Change to a scope, if it is there and open to the user."""
        await self._database.query(scope, "nil")
        self._scope = scope

    async def _command(self, name: str, rest: str) -> bool:
        if name in ("exit", "quit"):
            return False
        if name == "watch":
            await self._watch(rest)
        elif name == "unwatch":
            await self._unwatch(rest)
        elif rest:
            self._print(await asyncio.to_thread(_described, rest))
        else:
            self._print(HELP)
        return True

    # --- watching ----------------------------------------------------------------------------------------------------

    async def _watch(self, what: str) -> None:
        """Watch things that are named by their ids or by code, alone or with what they contain."""
        deep = 0
        if match := _DEEP.match(what):
            deep, what = int(match[1]), what[match.end() :]
            if deep > MAX_DEEP:
                self._say(f"deep is a number of steps from 0 to {MAX_DEEP}", RED)
                return
        words = what.replace(",", " ").split()
        if all(word.isdigit() for word in words):
            ids = [int(word) for word in words]
        else:
            ids = _ids(await self._database.query(self._scope, what))
            if not ids:
                self._say("That gives no things with an id, so there is nothing to watch.", RED)
                return
        watch = self._database.watch(self._scope, *ids, deep=deep)
        await watch.start()
        self._watches[watch] = asyncio.create_task(self._print_events(watch))

    async def _print_events(self, watch: Watch) -> None:
        try:
            async for event in watch:
                self._say_json(event_tree(event))
        except LivethingsError as error:
            self._say(f"Watching has ended: {error}", RED)
        finally:
            self._watches.pop(watch, None)

    async def _unwatch(self, what: str) -> None:
        words = what.replace(",", " ").split()
        if not all(word.isdigit() for word in words):
            self._say("unwatch takes ids, or nothing for all that is watched", RED)
            return
        ids = {int(word) for word in words}
        if watched := ids.difference(*(watch.ids for watch in self._watches)):
            self._say(f"Not watched: {', '.join(map(str, sorted(watched)))}", RED)
        for watch in list(self._watches):
            mine = [thing_id for thing_id in watch.ids if thing_id in ids]
            if mine and not isinstance(watch, DeepWatch):
                watch.discard(mine)
            if not ids or not watch.ids or (mine and isinstance(watch, DeepWatch)):
                await watch.close()

    # --- what comes by itself ----------------------------------------------------------------------------------------

    async def _listen(self) -> None:
        """Print what belongs to no watch of ours: what queries log, the server's news, things that code watches."""
        with suppress(LivethingsError):
            async for event in self._database.events():
                if isinstance(event, Notice):
                    self._say(event.message, DIM)
                elif isinstance(event, Unrouted):
                    self._say_json(event.data)
                else:
                    self._say(f"The server is {event.status.replace('_', ' ').lower()}.", DIM)

    def _listen_to_client(self) -> None:
        """Have it told here that the connection was lost, and is back."""
        handler = logging.Handler(logging.INFO)
        handler.emit = lambda record: self._say(record.getMessage(), DIM)  # type: ignore[method-assign]
        logger = logging.getLogger("livethings")
        logger.addHandler(handler)
        logger.setLevel(logging.INFO)
        logger.propagate = False

    # --- output ------------------------------------------------------------------------------------------------------

    def _say(self, text: str, colour: str) -> None:
        text = printable(text)
        self._print(f"\x1b[{colour}m{text}\x1b[0m" if self._colours else text)

    def _say_json(self, tree: Any) -> None:
        text = as_json(tree)
        self._print(coloured(text) if self._colours else text)

    def _print(self, text: str) -> None:
        """Print lines: above the prompt while there is one, which is drawn again once for all that came."""
        self._unprinted.append(text)
        if not self._session.app.is_running:
            self._flush()
        elif len(self._unprinted) == 1:
            run_in_terminal(self._flush)

    def _flush(self) -> None:
        lines, self._unprinted = self._unprinted, []
        for line in lines:
            print(line)
        sys.stdout.flush()


def _keys() -> KeyBindings:
    """Enter runs what is complete; Alt-Enter begins a new line."""
    keys = KeyBindings()

    def new_line(event: KeyPressEvent) -> None:
        buffer = event.current_buffer
        line = buffer.document.current_line_before_cursor
        blanks = line[: len(line) - len(line.lstrip())]
        buffer.insert_text("\n" + blanks + (INDENT if line.rstrip().endswith(("{", "(", "[")) else ""))

    @keys.add("enter")
    def _(event: KeyPressEvent) -> None:
        buffer = event.current_buffer
        state = buffer.complete_state
        if state is not None and state.current_completion is not None:
            buffer.complete_state = None  # it is in the text already
        elif is_unfinished(buffer.text) and not _COMMAND.fullmatch(buffer.text.strip()):
            new_line(event)
        else:
            buffer.validate_and_handle()

    keys.add("escape", "enter")(new_line)
    return keys


def _ids(value: Any) -> list[int]:
    """The ids in what a query gave: an id, a thing, or a list of them."""
    if isinstance(value, list):
        return [thing_id for item in value for thing_id in _ids(item)]
    if isinstance(value, dict):
        value = value.get("#")
    return [value] if isinstance(value, int) and not isinstance(value, bool) else []


def _described(name: str) -> str:
    from engine.functions import reference

    if found := reference.find(name):
        return "\n\n".join(map(reference.describe, found))
    close = reference.close_names(name)
    hint = f"did you mean {', '.join(close)}?" if close else "`livethings functions` lists all"
    return f"There is no function or method {printable(name[:80])}; {hint}"


def _warm_up() -> None:
    from engine.functions import reference

    reference.entries()


def _version() -> str:
    try:
        return version("livethings")
    except PackageNotFoundError:
        return ""
