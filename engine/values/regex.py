"""Regular expressions as values, and their methods (spec/text-and-numbers.md, section 10)."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

from engine.errors import OperationError, ValueFailed
from engine.functions.registry import method, register_kind
from engine.limits import MAX_ARRAY_ITEMS
from engine.regex.pattern import MAX_PATTERN_BYTES, MAX_SEARCH_SECONDS, Pattern
from engine.regex.pcre import DOT_ALL, IGNORE_CASE, MULTI_LINE, PatternFailed, Spans
from engine.regex.process import TookTooLong
from engine.replay import Replay, unpacks
from engine.result import shows
from engine.snapshot import Tree, packs
from engine.values.as_text import TEXT
from engine.values.equality import EQUAL
from engine.values.list import List
from engine.values.text import decoded, encoded, joined

if TYPE_CHECKING:
    from engine.context import Context

__all__ = ["Regex", "compiled_regex"]

_OPTIONS = {"i": IGNORE_CASE, "m": MULTI_LINE, "s": DOT_ALL, "g": 0}


class Regex:
    """A regular expression: its pattern and flags as they were written."""

    __slots__ = ("_pattern", "flags", "pattern")

    def __init__(self, pattern: str, flags: str) -> None:
        options = 0
        for flag in flags:
            if flag not in _OPTIONS:
                raise ValueFailed(f"a regex can have the flags g, i, m and s, not {flag!r}")
            options |= _OPTIONS[flag]
        source = encoded(pattern)
        if len(source) > MAX_PATTERN_BYTES:
            raise ValueFailed(f"the pattern of a regex can be at most {MAX_PATTERN_BYTES} bytes long")
        try:
            self._pattern = Pattern(source, options)
        except PatternFailed as error:
            raise ValueFailed(f"the pattern is wrong at byte {error.position}: {error.reason}") from None
        self.pattern = pattern
        self.flags = flags

    def __str__(self) -> str:
        return joined(f"/{self.pattern}/{self.flags}")

    def __eq__(self, other: object) -> bool:
        return type(other) is Regex and other.pattern == self.pattern and other.flags == self.flags

    def __hash__(self) -> int:
        return hash((self.pattern, self.flags))

    def matches(self, subject: bytes) -> bool:
        """Is there a match? OperationError when looking for it takes too long."""
        try:
            return self._pattern.matches(subject)
        except TookTooLong:
            raise _took_too_long() from None

    def search(self, subject: bytes) -> Spans | None:
        """The first match. OperationError when looking for it takes too long."""
        try:
            return self._pattern.search(subject)
        except TookTooLong:
            raise _took_too_long() from None

    def search_all(self, subject: bytes, most: int = MAX_ARRAY_ITEMS) -> list[Spans]:
        """Up to `most` matches, each searched from the end of the one before; an empty match where its search began
        is the last. OperationError when that takes too long."""
        try:
            return self._pattern.search_all(subject, min(most, MAX_ARRAY_ITEMS))
        except TookTooLong:
            raise _took_too_long() from None


def _took_too_long() -> OperationError:
    return OperationError(f"matching a regex took longer than {MAX_SEARCH_SECONDS:g} seconds")


@lru_cache(1024)
def compiled_regex(pattern: str, flags: str = "") -> Regex:
    """The regex with a pattern and flags; ValueError for a pattern that doesn't compile and for unknown flags."""
    return Regex(pattern, flags)


register_kind("regex", Regex)
TEXT[Regex] = str
EQUAL[Regex] = Regex.__eq__


@shows(Regex)
def _show_regex(value: Regex, made: Any, deep: int) -> Tree:
    return str(value)


@packs(Regex)
def _pack_regex(value: Regex, home: Any, depth: int) -> Tree:
    return {"*": str(value)}


@unpacks("*")
def _unpack_regex(replay: Replay, tree: dict[str, Tree]) -> Regex:
    pattern, _, flags = tree["*"][1:].rpartition("/")
    return compiled_regex(pattern, flags)


@method(
    "regex", "test", "text: str", doc="Does the pattern match anywhere in a text?", example="/ab+/.test('a cabbage')"
)
def test(ctx: Context, regex: Regex, text: str) -> bool:
    return regex.matches(encoded(text))


@method(
    "regex",
    "match",
    "text: str",
    doc="The first match in a text followed by its groups, or nil; with the flag g a list of all matches.",
    example="/([a-z]+)@([a-z]+)/.match('write to joe@home')",
)
def match(ctx: Context, regex: Regex, text: str) -> List | None:
    data = encoded(text)
    if "g" in regex.flags:
        return List([decoded(data[start:end]) for (start, end), *_ in regex.search_all(data)])
    spans = regex.search(data)
    if spans is None:
        return None
    return List([decoded(data[start:end]) if start >= 0 else "" for start, end in spans])
