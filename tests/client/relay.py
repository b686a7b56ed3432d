"""A way to a server that can be cut at any byte, and mended."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterable

__all__ = ["Relay", "tried"]


def tried(statements: Iterable[str]) -> str:
    """Code that runs statements of a generated program, whether or not those before have failed."""
    return "; ".join(f"try({{{statement}}})" for statement in statements)


class Relay:
    """Carries bytes from its own port to another. `cut` ends all connections and takes no new ones until `mend`.

    `leave_after` bytes to the client it cuts by itself, when set, wherever that is in a package.
    """

    def __init__(self, target: int) -> None:
        self.leave_after: int | None = None
        self._target = target
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self.port = 0
        self._open = True
        self.flowing = asyncio.Event()
        """While it is not set, nothing is read that goes to the client."""
        self.flowing.set()

    async def __aenter__(self) -> Relay:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *exception: object) -> None:
        assert self._server is not None
        self._server.close()
        self.cut()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def cut(self) -> None:
        """End all connections."""
        self._open = False
        for writer in self._writers:
            writer.transport.abort()
        self._writers.clear()

    def mend(self) -> None:
        """Take connections again."""
        self._open = True

    def take(self, step: int | str) -> None:
        """A step of a generated program: so many bytes until it cuts, or "cut", or "mend"."""
        if isinstance(step, int):
            self.leave_after = step
        elif step == "cut":
            self.cut()
        else:
            assert step == "mend"
            self.mend()

    def heal(self) -> None:
        """A program is over: carry all that comes."""
        self.leave_after = None
        self.mend()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if not self._open:
            writer.transport.abort()
            return
        their_reader, their_writer = await asyncio.open_connection("127.0.0.1", self._target)
        self._writers |= {writer, their_writer}
        if not self._open:
            self.cut()
        for pair in ((reader, their_writer, False), (their_reader, writer, True)):
            task = asyncio.create_task(self._carry(*pair))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, counted: bool) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(1 << 16):
                if counted:
                    await self.flowing.wait()
                if counted and self.leave_after is not None:
                    data, rest = data[: self.leave_after], data[self.leave_after :]
                    self.leave_after -= len(data)
                    if rest:
                        self.leave_after = None
                        writer.write(data)
                        await writer.drain()
                        writer.write_eof()
                        self.cut()
                        return
                writer.write(data)
                await writer.drain()
        writer.close()
