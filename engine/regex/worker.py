"""The process that runs long searches: requests on standard input, answers on standard output (`process.py`).

It ends itself, by a signal that nothing in it handles, when a search takes more processor time than it may. So the
limit holds within PCRE2 as well, which can't be interrupted.
"""

from __future__ import annotations

import signal
import struct
import sys
from array import array
from collections import OrderedDict
from typing import BinaryIO

from engine.regex.pcre import Code, flattened

__all__ = ["ANSWER", "REQUEST", "main", "serve"]

REQUEST = struct.Struct("<IIQQd")
"""Bytes of the pattern, options, bytes of the subject, most matches, seconds; then the pattern and the subject."""

ANSWER = struct.Struct("<Q")
"""The number of 64-bit ints that follow: those of `flattened`, in the machine's byte order."""

HEAP_LIMIT = 256 * 1024  # KiB; a step back over a character takes some 150 bytes
CACHED_PATTERNS = 64


def serve(requests: BinaryIO, answers: BinaryIO) -> None:
    """Answer requests until there are no more."""
    compiled: OrderedDict[tuple[bytes, int], Code] = OrderedDict()
    while len(header := requests.read(REQUEST.size)) == REQUEST.size:
        pattern_size, options, subject_size, most, seconds = REQUEST.unpack(header)
        pattern, subject = requests.read(pattern_size), requests.read(subject_size)
        _limit(seconds)
        key = pattern, options
        code = compiled.get(key)
        if code is None:
            code = Code(pattern, options, match_limit=None, heap_limit=HEAP_LIMIT, jit=True)
            compiled[key] = code
            if len(compiled) > CACHED_PATTERNS:
                compiled.popitem(last=False)
        else:
            compiled.move_to_end(key)
        numbers = array("q", flattened(code.search_all(subject, most)))
        _limit(0)
        answers.write(ANSWER.pack(len(numbers)))
        answers.write(numbers)
        answers.flush()


def _limit(seconds: float) -> None:
    """End this process after so much processor time; 0: don't. Systems without such timers keep the other limits."""
    if hasattr(signal, "setitimer"):
        signal.setitimer(signal.ITIMER_PROF, seconds)


def main() -> None:
    """The process."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # it ends with its parent, not with an interrupt meant for that
    serve(sys.stdin.buffer, sys.stdout.buffer)
