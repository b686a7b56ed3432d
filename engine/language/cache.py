"""Compiled queries, kept by their text, bounded by the bytes they are estimated to take."""

from __future__ import annotations

from engine.language.compiler import Compiled, compile_query
from engine.limits import CACHED_QUERIES_BYTES, CACHED_QUERY_TEXT

__all__ = ["QueryCache"]

_BYTES_A_CHARACTER = 60  # what a compiled query takes in memory, measured on typical queries


class QueryCache:
    """Two generations: a hit in the old one moves to the young one; when the young one is full it becomes the old
    one. So what is used stays, and a hit in the young generation costs one dict lookup."""

    __slots__ = ("compiled", "dropped", "limit", "old", "size", "young")

    def __init__(self, limit: int = CACHED_QUERIES_BYTES) -> None:
        self.limit = limit
        self.young: dict[tuple[str, str], Compiled] = {}
        self.old: dict[tuple[str, str], Compiled] = {}
        self.size = 0
        self.compiled = 0
        """How many queries had to be compiled."""
        self.dropped = 0
        """How many were given up because they were not used any more."""

    def __len__(self) -> int:
        return len(self.young) + len(self.old)

    def get(self, scope: str, text: str) -> Compiled:
        """The compiled query; SyntaxFailed when the text does not parse."""
        key = (scope, text)
        compiled = self.young.get(key)
        if compiled is not None:
            return compiled
        return self._find(key)

    def _find(self, key: tuple[str, str]) -> Compiled:
        compiled = self.old.pop(key, None)
        if compiled is None:
            compiled = compile_query(key[1], key[0])
            self.compiled += 1
            if len(key[1]) > CACHED_QUERY_TEXT:
                return compiled
        self.size += 2000 + _BYTES_A_CHARACTER * len(key[1])
        if self.size > self.limit // 2:
            self.dropped += len(self.old)
            self.old, self.young, self.size = self.young, {}, 0
        self.young[key] = compiled
        return compiled
