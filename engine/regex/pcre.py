"""The binding to PCRE2, reduced to what is needed: compile, and find matches (spec/text-and-numbers.md, section 10).

The package's public functions read some escapes in the way of JavaScript and know no limits. So this module uses the
layer below, which takes PCRE2's own options, and sets limits by the settings that PCRE2 reads at a pattern's start.
"""

from __future__ import annotations

from itertools import chain
from typing import Any

import pcre2
from pcre2 import _cy

__all__ = [
    "DOT_ALL",
    "IGNORE_CASE",
    "MULTI_LINE",
    "Code",
    "CostLimit",
    "PatternFailed",
    "Spans",
    "flattened",
    "unflattened",
]

IGNORE_CASE = int(pcre2.I)
MULTI_LINE = int(pcre2.M)
DOT_ALL = int(pcre2.S)

_ALT_BSUX = 0x0000_0002  # the binding always sets it: `\x{41}` would not be a character's code
_CONTEXT = _cy.create_match_context()
_match = _cy.match
_span = _cy.match_substring_span_bynumber

_MATCH_LIMIT = -47
_DEPTH_LIMIT = -53
_HEAP_LIMIT = -63
_STACK_LIMIT = -46  # of compiled machine code
_COST_LIMITS = frozenset({_MATCH_LIMIT, _DEPTH_LIMIT, _HEAP_LIMIT})

Spans = tuple[tuple[int, int], ...]
"""Where a match begins and ends, in bytes, then each of its groups up to the last that took part; (-1, -1) for one
that took none."""


class PatternFailed(Exception):
    """A pattern does not compile: why, and at which byte."""

    def __init__(self, reason: str, position: int) -> None:
        super().__init__(reason)
        self.reason = reason
        self.position = position


class CostLimit(Exception):
    """A search came to the limit on steps or memory."""


class Code:
    """A compiled pattern with limits: on steps (`match_limit`, PCRE2's count; None: PCRE2's own limit of ten million)
    and on memory (`heap_limit`, KiB).

    `jit`: make machine code of it, which pays for long subjects.
    """

    __slots__ = ("_code", "_groups", "_interpreted")

    def __init__(
        self, pattern: bytes, options: int, *, match_limit: int | None, heap_limit: int, jit: bool = False
    ) -> None:
        limits = b"(*LIMIT_HEAP=%d)" % heap_limit
        if match_limit is not None:
            limits += b"(*LIMIT_MATCH=%d)" % match_limit
        self._interpreted = self._code = _compile(limits + pattern, options, len(limits))
        self._groups: int = _cy.pattern_capture_count(self._code)
        if jit:
            machine = _compile(limits + pattern, options, len(limits))
            try:
                _cy.jit_compile(machine)
            except pcre2.LibraryError:
                return  # this machine, or this pattern, has no machine code
            self._code = machine

    def matches(self, subject: bytes) -> bool:
        """Is there a match? As `search`."""
        try:
            return _match(self._code, subject, len(subject), 0, _CONTEXT)[0] is not None
        except pcre2.LibraryError as error:
            return self._instead(error.code, subject, 0) is not None

    def search(self, subject: bytes, start: int) -> Spans | None:
        """The first match from `start` on. None as well when PCRE2 gives up for another reason than the cost.

        CostLimit when the limits are reached.
        """
        try:
            found = _match(self._code, subject, len(subject), start, _CONTEXT)[0]
        except pcre2.LibraryError as error:
            found = self._instead(error.code, subject, start)
        if found is None:
            return None
        if not self._groups:
            return (_span(found, subject, 0),)
        spans = [_span(found, subject, group) for group in range(self._groups + 1)]
        while spans[-1][0] < 0:
            spans.pop()
        return tuple(spans)

    def _instead(self, error: int, subject: bytes, start: int) -> Any:
        """What comes of a search that failed with an error of PCRE2."""
        if error == _STACK_LIMIT and self._code is not self._interpreted:
            try:
                return _match(self._interpreted, subject, len(subject), start, _CONTEXT)[0]
            except pcre2.LibraryError as failed:
                error = failed.code
        if error in _COST_LIMITS:
            raise CostLimit
        return None

    def search_all(self, subject: bytes, most: int, *, patient: bool = True) -> list[Spans]:
        """Up to `most` matches, each searched from the end of the one before; an empty match where its search began
        is the last. Where the limits are reached there is no further match; CostLimit unless `patient`."""
        found: list[Spans] = []
        start = 0
        search = self.search
        while len(found) < most:
            try:
                spans = search(subject, start)
            except CostLimit:
                if patient:
                    break
                raise
            if spans is None:
                break
            found.append(spans)
            end = spans[0][1]
            if end <= start:
                break
            start = end
        return found


def _compile(pattern: bytes, options: int, skip: int) -> Any:
    try:
        return _cy.compile(pattern, options, _ALT_BSUX)
    except pcre2.PatternError as error:
        reason = error.msg.partition("; ")[2] or error.msg
        raise PatternFailed(reason, max(error.pos - skip, 0)) from None


def flattened(found: list[Spans]) -> list[int]:
    """Matches as one list of ints: for each the number of its spans, then these."""
    numbers: list[int] = []
    for spans in found:
        numbers.append(len(spans))
        numbers += chain.from_iterable(spans)
    return numbers


def unflattened(numbers: list[int]) -> list[Spans]:
    """The matches of `flattened`."""
    found: list[Spans] = []
    position = 0
    while position < len(numbers):
        end = position + 1 + 2 * numbers[position]
        found.append(tuple(zip(numbers[position + 1 : end : 2], numbers[position + 2 : end : 2], strict=True)))
        position = end
    return found
