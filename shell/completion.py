"""What may follow at the cursor: functions and methods by the registry, names by the collection as it is now."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncGenerator, Callable, Iterable, Iterator
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from prompt_toolkit.completion import CompleteEvent, Completer, Completion
from prompt_toolkit.document import Document

from shell import scanning

if TYPE_CHECKING:
    from livethings import Database

    from engine.functions.reference import Entry

__all__ = ["COMMANDS", "LiveNames", "ShellCompleter"]

COMMANDS = {
    "help": "the commands, or a function or method of the language",
    "watch": "print what happens to things, while you go on",
    "unwatch": "stop that",
    "exit": "leave",
}

PATIENCE = 2.0
"""Seconds to wait for names that the server is asked for."""

MAX_NAMES = 2000
"""Property names of a thing that are offered."""

_WORD = re.compile(r"[A-Za-z_][0-9A-Za-z_]*\Z")
_PATH = re.compile(r"(?:\.[A-Za-z_][0-9A-Za-z_]*|\[-?[0-9]{1,9}\])*\Z")
_SCOPE = re.compile(r"\s*(@[^\s]*|//[0-9A-Za-z_]*)\Z")

_PROPERTIES = """
    path = {path};
    kind = type(path);
    [kind, is_thing(path) ? path.keys()[:{most}] : []];
"""

_DEFINITIONS = """
    [
        procedures_info().map(|info| info.load().name),
        types_info().map(|info| info.load().name),
        enums_info().map(|info| info.load().name),
    ];
"""


class LiveNames:
    """Names that the server knows now. They are asked for once, and again after `forget`.

    What can't be known, for want of rights or time, is empty.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._known: dict[tuple[str, str], Any] = {}

    def forget(self) -> None:
        """Something may have changed."""
        self._known.clear()

    async def properties(self, scope: str, path: str) -> tuple[str, list[str]]:
        """The type of what is at a path such as `.cards[0]` (empty: the root), and its properties when it is a thing.

        Only for paths: they can be evaluated without a change.
        """
        kind, names = await self._ask(scope, _properties(path)) or ("", [])
        return kind, names

    async def definitions(self, scope: str) -> dict[str, str]:
        """The procedures, types and enums, and which of these each is."""
        found: list[list[str]] = await self._ask(scope, _DEFINITIONS) or [[], [], []]
        return {name: kind for kind, names in zip(("procedure", "type", "enum"), found, strict=True) for name in names}

    async def scopes(self) -> list[str]:
        """The scopes that there are, as far as the user may know."""
        names = await self._ask("@thingsdb", "collections_info().map(|info| info.load().name)") or []
        return ["@thingsdb", "@node", *(f"//{name}" for name in names)]

    async def _ask(self, scope: str, code: str) -> Any:
        from livethings import LivethingsError

        if (scope, code) not in self._known:
            try:
                answer = await self._database.using(timeout=PATIENCE).query(scope, code)
            except LivethingsError:
                answer = None
            self._known[scope, code] = answer
        return self._known[scope, code]


def _properties(path: str) -> str:
    return _PROPERTIES.replace("{path}", path or "root()").replace("{most}", str(MAX_NAMES))


class ShellCompleter(Completer):
    """Completes in the scope that `scope` gives at the time."""

    def __init__(self, names: LiveNames, scope: Callable[[], str]) -> None:
        self._names = names
        self._scope = scope

    def get_completions(self, document: Document, complete_event: CompleteEvent) -> Iterable[Completion]:
        """Nothing: names have to be waited for."""
        return ()

    async def get_completions_async(
        self, document: Document, complete_event: CompleteEvent
    ) -> AsyncGenerator[Completion, None]:
        """What may follow, first what programs have defined."""
        text = document.text_before_cursor
        if scope := _SCOPE.match(text):
            for completion in _scopes(scope[1], await self._names.scopes()):
                yield completion
            return
        found = _WORD.search(text)
        word = found[0] if found is not None else ""
        before = text[: len(text) - len(word)]
        if _in_text(text):
            return
        if before.rstrip().endswith("."):
            async for completion in self._members(before.rstrip()[:-1], word):
                yield completion
            return
        if word:
            async for completion in self._globals(before, word):
                yield completion

    async def _members(self, before: str, word: str) -> AsyncGenerator[Completion, None]:
        path = _PATH.search(before)
        known = path[0] if path is not None else ""
        if known.startswith("[") or (not known and before[-1:] not in ("", *" \t\n;({[,|=:!?+-*/%&<>")):
            kind, names = "", list[str]()  # a method's result, a variable, text: who knows
        else:
            kind, names = await self._names.properties(self._scope(), known)
        for name in names:
            if _fits(name, word):
                yield Completion(name, -len(word), display_meta="property")
        entries = await asyncio.to_thread(_methods, kind)
        for completion in _called(entries, word):
            yield completion

    async def _globals(self, before: str, word: str) -> AsyncGenerator[Completion, None]:
        if not before.strip():
            for name, text in COMMANDS.items():
                if _fits(name, word):
                    yield Completion(name, -len(word), display_meta=text)
        scope = self._scope()
        if scope.startswith(("//", "@:", "@c", "/")):
            for name, kind in (await self._names.definitions(scope)).items():
                if _fits(name, word):
                    mark = "(" if kind == "procedure" else "{"
                    yield Completion(name + mark, -len(word), display=name, display_meta=kind)
        for completion in _called(await asyncio.to_thread(_functions, scope), word):
            yield completion
        for name in sorted(scanning.KEYWORDS | scanning.CONSTANTS):
            if _fits(name, word):
                yield Completion(name, -len(word), display_meta="keyword")


def _fits(name: str, word: str) -> bool:
    """May the word become the name? One who has typed it already needs no help."""
    return name.startswith(word) and name != word and name.isidentifier()


def _in_text(text: str) -> bool:
    """Is the cursor in a string, a comment or a template, where words are no names?"""
    pieces = scanning.scan(text)
    if not pieces:
        return False
    last = pieces[-1]
    return last.cut or last.kind == scanning.TEMPLATE or (last.kind == scanning.COMMENT and last.text.startswith("//"))


def _scopes(typed: str, known: Iterable[str]) -> Iterator[Completion]:
    name = typed[1:] if typed.startswith("@/") else typed
    for scope in known:
        if scope.startswith(name) and scope != name:
            yield Completion(scope, -len(name), display_meta="scope")


def _called(entries: Iterable[Entry], word: str) -> Iterator[Completion]:
    for entry in entries:
        if _fits(entry.name, word):
            called = f"{entry.name}({'' if entry.declared.arguments else ')'}"
            yield Completion(called, -len(word), display=entry.signature, display_meta=entry.declared.doc)


@lru_cache(maxsize=16)
def _functions(scope: str) -> list[Entry]:
    """The functions that can be called in a scope."""
    from engine.functions import reference
    from engine.functions.registry import Function

    letter = "T" if scope.startswith("@t") else "N" if scope.startswith("@n") else "C"
    return [
        entry
        for entry in reference.entries()
        if isinstance(entry.declared, Function) and letter in entry.declared.scopes and not entry.early
    ]


@lru_cache(maxsize=64)
def _methods(kind: str) -> list[Entry]:
    """The methods of values of a type, by its name; of all values when it is unknown."""
    from engine.functions import reference
    from engine.functions.registry import KINDS, Method

    methods = [entry for entry in reference.entries() if isinstance(entry.declared, Method) and not entry.early]
    if not kind:
        return methods
    classes = KINDS.get(kind, KINDS["instance"])
    return [entry for entry in methods if any(classes & KINDS[receiver] for receiver in entry.receivers)]
