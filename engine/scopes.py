"""Scope texts (spec/language.md, section 13) and the scopes that are no collections."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, TypeAlias

from engine.errors import LookupFailed, ValueFailed
from engine.names import is_name

if TYPE_CHECKING:
    from engine.change import Change
    from engine.collection import Collection, Procedure

__all__ = ["NodeScope", "Scope", "ServerScope", "parse_scope"]


class ServerScope:
    """The scope `@thingsdb`: users, collections, nodes, and procedures and tasks of its own."""

    kind = "T"
    id = 0
    title = "@thingsdb"

    def __init__(self) -> None:
        self.deep = 1
        self.time_zone = "UTC"
        self.access: dict[int, int] = {}
        self.procedures: dict[str, Procedure] = {}
        self.tasks: dict[int, Any] = {}
        self.history: list[Any] | None = None
        self.change: Change | None = None
        self.root = None
        self.types: dict[str, Any] = {}  # there are none
        self.enums: dict[str, Any] = {}
        self.quotas: dict[str, int] = {}
        self.dirty: set[int] = set()  # it has no things
        self.index: dict[int, Any] = {}


class NodeScope:
    """The scope `@node`."""

    kind = "N"
    id = -1
    title = "@node"

    def __init__(self) -> None:
        self.zone = 0
        self.history: list[Any] | None = None  # it keeps none
        self.deep = 127
        self.time_zone = "UTC"
        self.access: dict[int, int] = {}
        self.procedures: dict[str, Procedure] = {}
        self.change: Change | None = None
        self.root = None
        self.types: dict[str, Any] = {}
        self.enums: dict[str, Any] = {}
        self.quotas: dict[str, int] = {}
        self.dirty: set[int] = set()  # it has no things
        self.index: dict[int, Any] = {}


Scope: TypeAlias = "Collection | ServerScope | NodeScope"

_parts = re.compile(r"(?:@([a-z]*)(:(.*))?|/([a-z]*)(/(.*))?)\Z", re.DOTALL)


def parse_scope(text: str) -> tuple[str, str | int | None]:
    """The kind of scope (`"T"`, `"N"`, `"C"`) and the node's number (None: this one) or the collection's name.

    ValueError when the text has no valid form.
    """
    match = _parts.match(text)
    if match:
        word = match[1] if match[1] is not None else match[4]
        tail = match[2] if match[1] is not None else match[5]
        rest = match[3] if match[1] is not None else match[6]
        if word and "thingsdb".startswith(word) and tail is None:
            return "T", None
        if word and "node".startswith(word):
            if not rest:
                return "N", None
            if rest.isascii() and rest.isdigit() and int(rest) <= 63:
                return "N", int(rest)
        elif "collection".startswith(word) and tail is not None and is_name(rest):
            return "C", rest
    raise ValueFailed(f"a scope is written @thingsdb, @node, @node:0 or //name, not {text[:80]!r}")


def unknown_scope(text: str) -> LookupFailed:
    return LookupFailed(f"there is no {text}")
