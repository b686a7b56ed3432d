"""The reference of the functions and methods, made from their declarations: for a terminal and as Markdown.

python -m engine.functions.reference > docs/functions.md
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from difflib import get_close_matches
from textwrap import fill

import engine.engine  # noqa: F401  (registers every function and method)
from engine.functions.registry import FUNCTIONS, METHODS, Argument, Declaration, Function, Method
from engine.language.analysis import analyse
from engine.language.parser import parse
from engine.users import CHANGE, GRANT, JOIN, QUERY, RUN

__all__ = ["Entry", "close_names", "describe", "entries", "find", "markdown", "overview"]

PAGES = {
    "Flow of a query": ("flow",),
    "About the query and its values": ("introspection",),
    "Errors": ("errors",),
    "Conversions": ("conversion",),
    "Tests of values": ("tests",),
    "Numbers and random values": ("math", "random"),
    "JSON and base64": ("json", "base64"),
    "Lists and closures": ("lists",),
    "Things and sets": ("things",),
    "Types": ("types", "anonymous"),
    "Enums": ("enums",),
    "Time": ("time",),
    "Futures, tasks and rooms": ("future", "task", "room"),
    "Procedures": ("procedures",),
    "History": ("history",),
    "Collections": ("collections", "exporting"),
    "Users and rights": ("users",),
    "Modules": ("modules",),
    "The node": ("node", "backups"),
}
"""The modules that declare the global functions of each page."""

VALUES = {
    "Methods of str and bytes": ("str", "bytes"),
    "Methods of regexes": ("regex",),
    "Methods of numbers": ("int", "float"),
    "Methods of lists and tuples": ("list", "tuple"),
    "Methods of sets": ("set",),
    "Methods of things": ("thing", "plain", "instance"),
    "Methods of wrapped things": ("wrapped",),
    "Methods of members of enums": ("enum",),
    "Methods of closures": ("closure",),
    "Methods of datetimes and timevals": ("datetime", "timeval", "moment"),
    "Methods of errors": ("error",),
    "Methods of futures": ("future",),
    "Methods of tasks": ("task",),
    "Methods of rooms": ("room",),
    "Methods of packed data": ("mpdata",),
}
"""The kinds of receiver on each page of methods. A method of several kinds is on the page of the first."""

_KINDS = {
    "num": "int|float",
    "raw": "str|bytes|mpdata",
    "array": "list|tuple",
    "moment": "datetime|timeval",
    "plain": "thing without a type",
    "instance": "instance of a type",
    "enum": "member of an enum",
    "wrapped": "wrapped thing",
}
"""How readers know the kinds whose names are the declarations' own."""

_SCOPES = {"C": "collections", "T": "@thingsdb", "N": "@node"}
_OWN = "a variable, a list literal or the result of a function"  # as the analysis has it for RECEIVER_MUTATORS
_RIGHTS = {QUERY: "QUERY", CHANGE: "CHANGE", GRANT: "GRANT", JOIN: "JOIN", RUN: "RUN"}

_YIELDING = frozenset(("atomic", "last_change"))
"""Newer than the programs that may have used the name."""

_NOT_EARLY = frozenset(("call",)) | _YIELDING
"""Looked up last for another reason than being an early name."""

_OF_EVERY_VALUE = frozenset(("ret",))

_EARLY = "an early name: what programs define under it wins"

_INTRODUCTION = """\
# Functions and methods

Made from the declarations in the code by `make docs`; `livethings functions NAME` prints the same in a terminal.

In a signature, `?` marks an argument that may be left out, `*` any number of them, and `+` one or more. After a colon \
are the types that an argument may have; without a colon it takes any. "A change" says in which scopes a query that \
contains a call is a change, so that the caller needs the right CHANGE. An early name comes from an early version of \
the language: it works, but a procedure, type or method that a program defines under it wins.
"""


@dataclass(frozen=True, slots=True)
class Entry:
    """One declaration as readers see it: a function, or a method with all kinds of value that have it."""

    declared: Declaration
    page: str
    receivers: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        return self.declared.name

    @property
    def early(self) -> bool:
        return isinstance(self.declared, Function | Method) and self.declared.alias and self.name not in _NOT_EARLY

    @property
    def signature(self) -> str:
        """The call as a reader may write it, such as `round(number: int|float, places?: int)`."""
        arguments = ", ".join(_argument(argument) for argument in self.declared.arguments)
        return f"{'.' if self.receivers else ''}{self.name}({arguments})"

    def facts(self) -> Iterator[str]:
        """Where it can be called, what it needs, and whether it makes a change; a phrase each."""
        if isinstance(self.declared, Function):
            yield f"in {_scopes(self.declared.scopes)}"
            if self.declared.right:
                rights = [word for right, word in _RIGHTS.items() if self.declared.right & right]
                yield f"needs the right {_either(rights, 'and')}"
        else:
            kinds = _either(_KINDS.get(kind, kind).replace("|", " or ") for kind in self.receivers)
            yield "of every value" if self.name in _OF_EVERY_VALUE else f"of {kinds}"
        changes = self._changes(".x")
        if changes and not self.receivers:
            yield f"a change in {_scopes(changes)}"
        elif changes:
            always = self._changes("x") == changes
            yield f"a change in {_scopes(changes)}" + ("" if always else f", unless called on {_OWN}")
        if self.early:
            yield _EARLY
        elif self.name in _YIELDING:
            yield _EARLY.removeprefix("an early name: ")

    def _changes(self, receiver: str) -> str:
        """The scopes in which the analysis finds that a query with such a call is a change. A task's methods exist
        where tasks do, all others are asked about in collections, where things are stored."""
        if isinstance(self.declared, Function):
            call, scopes = f"{self.name}()", self.declared.scopes
        else:
            call, scopes = f"{receiver}.{self.name}()", "CT" if "task" in self.receivers else "C"
        return "".join(scope for scope in scopes if analyse(parse(call), scope))


def _argument(argument: Argument) -> str:
    mark = ("*" if argument.optional else "+") if argument.variadic else "?" * argument.optional
    kinds = "|".join(_KINDS.get(kind, kind) for kind in argument.kinds)
    return f"{argument.name}{mark}" + (f": {kinds}" if kinds != "any" else "")


def _scopes(scopes: str) -> str:
    return "every scope" if len(scopes) == len(_SCOPES) else _either((_SCOPES[scope] for scope in scopes), "and")


def _either(words: Iterable[str], before_last: str = "or") -> str:
    *first, last = words
    return f"{', '.join(first)} {before_last} {last}" if first else last


def _page(pages: dict[str, tuple[str, ...]], key: str) -> str:
    return next((title for title, keys in pages.items() if key in keys), key.capitalize())


def entries() -> list[Entry]:
    """Every declaration, in the order of the reference: by page, early names last, by name."""
    found = [
        Entry(function, _page(PAGES, function.run.__module__.rpartition(".")[2])) for function in FUNCTIONS.values()
    ]
    for by_class in METHODS.values():
        # a kind a declaration, as a declaration for several kinds is entered once for each
        declared: dict[object, dict[str, Method]] = {}
        for method in by_class.values():
            declared.setdefault(method.run, {})[method.receiver] = method
        for by_kind in declared.values():
            order = [kind for kinds in VALUES.values() for kind in kinds]
            kinds = sorted(by_kind, key=lambda kind: order.index(kind) if kind in order else len(order))
            found.append(Entry(by_kind[kinds[0]], _page(VALUES, kinds[0]), tuple(kinds)))
    pages = [*PAGES, *VALUES]

    def place(entry: Entry) -> tuple[int, str, bool, str]:
        known = pages.index(entry.page) if entry.page in pages else len(pages)
        return known, entry.page, entry.early, entry.name

    return sorted(found, key=place)


def _by_page() -> dict[str, list[Entry]]:
    pages: dict[str, list[Entry]] = {}
    for entry in entries():
        pages.setdefault(entry.page, []).append(entry)
    return pages


def _elsewhere(page: str) -> list[Entry]:
    """The methods that the values of a page have too, but that are described on another."""
    kinds = VALUES.get(page, ())
    return [entry for entry in entries() if entry.page != page and any(kind in kinds for kind in entry.receivers)]


def find(name: str) -> list[Entry]:
    """The function and the methods of a name; `push`, `push()` and `.push` are the same to it."""
    wanted = name.strip().removeprefix(".").partition("(")[0]
    return [entry for entry in entries() if entry.name == wanted]


def close_names(name: str) -> list[str]:
    """Up to five names that look like one that is unknown, the closest first."""
    wanted = name.strip().removeprefix(".").partition("(")[0].lower()
    return get_close_matches(wanted, sorted({entry.name for entry in entries()}), n=5)


def describe(entry: Entry) -> str:
    """One entry for a terminal, without a newline at its end."""
    facts = "; ".join(entry.facts())
    lines = (entry.signature, fill(facts, 76), fill(entry.declared.doc, 76), f"Example: {entry.declared.example}")
    return "\n    ".join(line.replace("\n", "\n    ") for line in lines)


def overview(width: int = 80) -> str:
    """The names of all functions and methods by page, for a terminal, without a newline at its end."""
    blocks = []
    for page, on_it in _by_page().items():
        names = sorted(entry.name for entry in (*on_it, *_elsewhere(page)) if not entry.early)
        early = [entry.name for entry in on_it if entry.early]
        lines = [page]
        if names:
            lines.append(_listed(", ".join(names), width))
        if early:
            lines.append(_listed("early names: " + ", ".join(early), width))
        blocks.append("\n".join(lines))
    return "\n\n".join(blocks)


def _listed(text: str, width: int) -> str:
    return fill(text, width, initial_indent="    ", subsequent_indent="    ", break_long_words=False)


def markdown() -> str:
    """The whole reference as Markdown, with a newline at its end."""
    pages = _by_page()
    blocks = [_INTRODUCTION.rstrip(), "\n".join(f"- [{page}](#{_anchor(page)})" for page in pages)]
    for page, on_it in pages.items():
        blocks.append(f"## {page}")
        also = _elsewhere(page)
        if also:
            named = ", ".join(f"`{entry.name}` ({_linked(entry.page)})" for entry in also)
            blocks.append(f"Described elsewhere: {named}.")
        for entry in on_it:
            facts = "; ".join(entry.facts())
            blocks.append(f"### `{entry.signature}`")
            blocks.append(f"{entry.declared.doc} *{facts[0].upper()}{facts[1:]}.*")
            blocks.append(f"```\n{entry.declared.example}\n```")
    return "\n\n".join(blocks) + "\n"


def _anchor(page: str) -> str:
    return page.lower().replace(",", "").replace(" ", "-")


def _linked(page: str) -> str:
    return f"[{page[0].lower()}{page[1:]}](#{_anchor(page)})"


if __name__ == "__main__":
    sys.stdout.write(markdown())
