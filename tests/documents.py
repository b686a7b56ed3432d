"""Code in Markdown documents, as their readers would run it."""

from __future__ import annotations

import ast
import asyncio
import inspect
import re
from asyncio import FIRST_COMPLETED
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.serving import ROOT, Server

__all__ = ["Block", "PythonReader", "blocks", "pointed_at"]

LONGEST = 20.0
"""Seconds after which what an example should say will not come."""


@dataclass(frozen=True)
class Block:
    """A fenced block: its language, its text, and the line of the document that it begins in."""

    document: str
    language: str
    text: str
    line: int

    def __str__(self) -> str:
        return f"{self.document}:{self.line}"


def blocks(name: str) -> list[Block]:
    """The blocks of a document of the project. Raises AssertionError for one that names no language, and for indented
    code, which has none."""
    found: list[Block] = []
    opened: tuple[str, int] | None = None
    lines: list[str] = []
    for number, line in enumerate((ROOT / name).read_text().splitlines(), 1):
        if opened is None and line.startswith("```"):
            opened, lines = (line.removeprefix("```").strip(), number), []
            assert opened[0], f"{name}:{number} names no language"
        elif opened is not None and line == "```":
            found.append(Block(name, opened[0], "\n".join(lines), opened[1]))
            opened = None
        elif opened is not None:
            lines.append(line)
        else:
            assert not line.startswith("    "), f"{name}:{number} is indented: fence code with ``` and its language"
    assert opened is None, f"{name}: the last block does not end"
    return found


def pointed_at(server: Server, text: str) -> str:
    """The text with the server's ports for those that documents name."""
    ports = {"9200": server.tcp, "9210": server.http, "9270": server.ws}
    return re.sub(r"(?<=:)(?:9200|9210|9270)\b", lambda found: str(ports[found[0]]), text)


class PythonReader:
    """Runs blocks of Python one after the other, as at a prompt that takes `await`. Those that follow something for
    good (`async for` without `break`) are ended when they have said something, while somebody else does something."""

    def __init__(self, server: Server, **names: Any) -> None:
        self._server = server
        self._said: list[str] = []
        self._heard = asyncio.Event()
        self.names: dict[str, Any] = {"__name__": "example", "print": self._print} | names

    def _print(self, *values: Any) -> None:
        self._said.append(" ".join(map(str, values)))
        self._heard.set()

    async def run(self, block: Block, meanwhile: Callable[[], Awaitable[None]] | None = None) -> list[str]:
        """Run a block; what it has printed. Raises what it raises, or AssertionError for an endless silent one."""
        self._said.clear()
        self._heard = asyncio.Event()  # of the loop that runs this block
        source = "\n" * block.line + pointed_at(self._server, block.text)
        code = compile(source, str(Path(block.document)), "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT, dont_inherit=True)
        if not code.co_flags & inspect.CO_COROUTINE:
            exec(code, self.names)
            return list(self._said)
        task = asyncio.ensure_future(eval(code, self.names))
        heard = asyncio.ensure_future(self._heard.wait())
        other = asyncio.ensure_future(self._go_on(meanwhile))
        endless = "async for" in block.text and "break" not in block.text
        try:
            await asyncio.wait([task, heard] if endless else [task], timeout=LONGEST, return_when=FIRST_COMPLETED)
            if task.done():
                await task
            assert task.done() or (endless and self._said), f"{block} neither ends nor says anything"
        finally:
            for one in (task, heard, other):
                one.cancel()
                with suppress(asyncio.CancelledError):
                    await asyncio.wait([one])
        return list(self._said)

    async def _go_on(self, meanwhile: Callable[[], Awaitable[None]] | None) -> None:
        while meanwhile is not None:
            await meanwhile()
            await asyncio.sleep(0.05)
