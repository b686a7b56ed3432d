"""A program in a pseudo-terminal, with somebody who types and reads the screen."""

from __future__ import annotations

import os
import select
import signal
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import ptyprocess
import pyte
import pytest

__all__ = ["Terminal"]

LONGEST = 60.0
"""Seconds after which what is waited for will not come."""

ROUND = 0.02
"""Seconds between two looks at what the screen does not tell."""

ROWS, COLUMNS = 40, 110


class _Screen(pyte.HistoryScreen):  # type: ignore[misc]
    """A screen that answers what programs ask of terminals, such as where the cursor is."""

    answer: Callable[[str], None]

    def write_process_input(self, data: str) -> None:
        self.answer(data)


class Terminal:
    """One program. `home` is its home folder, for what it keeps there."""

    def __init__(self, command: Sequence[str | Path], home: Path, **variables: str) -> None:
        environment = {name: value for name, value in os.environ.items() if not name.startswith("LIVETHINGS_")}
        for name in ("XDG_STATE_HOME", "XDG_CONFIG_HOME", "NO_COLOR"):
            environment.pop(name, None)
        self._process = ptyprocess.PtyProcess.spawn(
            [str(part) for part in command],
            env=environment | {"HOME": str(home), "TERM": "xterm-256color"} | variables,
            dimensions=(ROWS, COLUMNS),
        )
        self.screen = _Screen(COLUMNS, ROWS, history=5000, ratio=0.5)
        self.screen.answer = self.type
        self._stream = pyte.ByteStream(self.screen)
        self._ended = False

    def type(self, text: str) -> None:
        """Press keys. A newline is the Enter key."""
        self._process.write(text.replace("\n", "\r").encode())

    def press(self, key: str) -> None:
        """Press a letter together with Control."""
        self.type(chr(ord(key.upper()) - 64))

    @property
    def lines(self) -> list[str]:
        """What can be read, from the first line that ran off the top to the last, without the blanks at their ends."""
        above = ["".join(row[column].data for column in range(COLUMNS)) for row in self.screen.history.top]
        return [line.rstrip() for line in (*above, *self.screen.display)]

    @property
    def text(self) -> str:
        return "\n".join(self.lines).rstrip("\n")

    @property
    def line(self) -> str:
        """The line that the cursor is in."""
        line: str = self.screen.display[self.screen.cursor.y]
        return line.rstrip()

    def colours(self, word: str) -> set[str]:
        """The colours in which a word stands on the screen, wherever it does."""
        found = set()
        for number, line in enumerate(self.screen.display):
            at = line.find(word)
            if at >= 0:
                found |= {self.screen.buffer[number][at + offset].fg for offset in range(len(word))}
        return found

    def send(self, number: int) -> None:
        """Send it a signal."""
        self._process.kill(number)

    @property
    def is_cooked(self) -> bool:
        """It is as programs find it: no program reads single keys, Control-C is a signal."""
        echo: bool = self._process.getecho()
        return echo

    def until(self, seen: str | Callable[[], bool]) -> None:
        """Read on until a text is on the screen, or something is so."""
        holds = seen if callable(seen) else lambda: seen in self.text
        end = time.monotonic() + LONGEST
        while not holds():
            if not self._read(min(end, time.monotonic() + ROUND)) and (self._ended or time.monotonic() > end):
                pytest.fail(f"{seen!r} didn't come; there was:\n{self.text}")

    def end(self) -> int:
        """Read until it ends; its exit status, or the negated signal."""
        end = time.monotonic() + LONGEST
        while self._read(end):
            pass
        assert self._ended, f"it goes on:\n{self.text}"
        self._process.wait()
        status: int | None = self._process.exitstatus
        return -self._process.signalstatus if status is None else status

    def close(self) -> None:
        """Have it gone, whatever it does."""
        if self._process.isalive():
            self._process.kill(signal.SIGKILL)
            self._process.wait()
        self._process.close()

    def _read(self, end: float) -> bool:
        """Read what has come; False when it has ended, or the time has."""
        ready, _, _ = select.select([self._process.fd], [], [], max(0.0, end - time.monotonic()))
        if not ready:
            return False
        try:
            self._stream.feed(os.read(self._process.fd, 65536))
        except OSError:  # how Linux says that the other end is closed
            self._ended = True
            return False
        return True
