"""Searches in a process of their own (`worker.py`), which is started when first needed and ends with this one."""

from __future__ import annotations

import atexit
import contextlib
import subprocess
import sys
from array import array
from pathlib import Path
from typing import IO

from engine.regex.pcre import Spans, unflattened
from engine.regex.worker import ANSWER, REQUEST

__all__ = ["MatchingProcess", "TookTooLong"]

_ROOT = str(Path(__file__).resolve().parents[2])
_START = f"import sys; sys.path.append({_ROOT!r}); from engine.regex.worker import main; main()"


class TookTooLong(Exception):
    """A search used up its time, or its process could not be had."""


class MatchingProcess:
    """A process that searches. `seconds` is the processor time that one call of `search_all` may take."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._process: subprocess.Popen[bytes] | None = None
        atexit.register(self.stop)

    def search_all(self, pattern: bytes, options: int, subject: bytes, most: int) -> list[Spans]:
        """As `Code.search_all`, with a pattern that compiles. TookTooLong when the time is used up."""
        header = REQUEST.pack(len(pattern), options, len(subject), most, self.seconds)
        try:
            process = self._process or self._start()
            assert process.stdin is not None
            assert process.stdout is not None
            process.stdin.write(header + pattern)
            process.stdin.write(subject)
            process.stdin.flush()
            (count,) = ANSWER.unpack(_read(process.stdout, ANSWER.size))
            numbers = array("q", _read(process.stdout, 8 * count))
        except (OSError, EOFError):
            self.stop()
            raise TookTooLong from None
        except BaseException:
            self.stop()  # half of an answer must not be taken for the next one
            raise
        return unflattened(numbers.tolist())

    def _start(self) -> subprocess.Popen[bytes]:
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-c", _START], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        return self._process

    def stop(self) -> None:
        """End the process; the next search starts another."""
        process, self._process = self._process, None
        if process is None:
            return
        process.kill()
        for pipe in (process.stdin, process.stdout):
            assert pipe is not None
            with contextlib.suppress(OSError):  # what was still to be written can't be
                pipe.close()
        process.wait()


def _read(pipe: IO[bytes], size: int) -> bytes:
    data = pipe.read(size)
    if len(data) < size:
        raise EOFError
    return data
