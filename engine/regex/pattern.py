"""Patterns, and where their searches run.

PCRE2 limits the steps of one attempt, not the time of a search: an attempt is made at every byte of the subject, and a
step may look at all of the subject. So a search runs in this process only where that product is small, the subject
being short or the pattern without repetition; others run in a process that can be ended.
"""

from __future__ import annotations

import re
from typing import Final

from engine.regex.pcre import Code, CostLimit, Spans
from engine.regex.process import MatchingProcess

__all__ = ["MAX_PATTERN_BYTES", "MAX_SEARCH_SECONDS", "Pattern"]

MAX_PATTERN_BYTES: Final = 65_536
MAX_SEARCH_SECONDS: Final = 2.0  # of processor time, for all matches of one subject
QUICK_SUBJECT_BYTES: Final = 1024
QUICK_STEPS: Final = 5000  # an attempt in this process
QUICK_HEAP: Final = 4096  # KiB
PLAIN_SUBJECT_BYTES: Final = 1_048_576
PLAIN_PATTERN_BYTES: Final = 256

_is_plain = re.compile(rb"(?:[^*+?{(\\]|\\[^0-9A-Za-z]|\\[dDwWsSbBAzZnrtf])*\Z", re.DOTALL).match
"""Without anything that repeats or refers back: each attempt looks at no more bytes than the pattern has."""

_process = MatchingProcess(MAX_SEARCH_SECONDS)


class Pattern:
    """A compiled pattern. Raises PatternFailed when it does not compile; options as in `pcre.py`.

    All searches raise TookTooLong when one took more time than it may. Where PCRE2 gives up, there is no match.
    """

    __slots__ = ("_code", "_options", "_quick_subject", "_source")

    def __init__(self, source: bytes, options: int) -> None:
        self._source = source
        self._options = options
        self._code = Code(source, options, match_limit=QUICK_STEPS, heap_limit=QUICK_HEAP)
        plain = len(source) <= PLAIN_PATTERN_BYTES and _is_plain(source) is not None
        self._quick_subject = PLAIN_SUBJECT_BYTES if plain else QUICK_SUBJECT_BYTES

    def matches(self, subject: bytes) -> bool:
        """Is there a match?"""
        if len(subject) <= self._quick_subject:
            try:
                return self._code.matches(subject)
            except CostLimit:
                pass
        return bool(self._search_elsewhere(subject, 1))

    def search(self, subject: bytes) -> Spans | None:
        """The first match."""
        if len(subject) <= self._quick_subject:
            try:
                return self._code.search(subject, 0)
            except CostLimit:
                pass
        found = self._search_elsewhere(subject, 1)
        return found[0] if found else None

    def search_all(self, subject: bytes, most: int) -> list[Spans]:
        """Up to `most` matches, each searched from the end of the one before; an empty match where its search began
        is the last."""
        if len(subject) <= self._quick_subject:
            try:
                return self._code.search_all(subject, most, patient=False)
            except CostLimit:
                pass
        return self._search_elsewhere(subject, most)

    def _search_elsewhere(self, subject: bytes, most: int) -> list[Spans]:
        return _process.search_all(self._source, self._options, subject, most)
