"""Users, their rights, and how they prove who they are (spec/admin-and-protocol.md, sections 2, 8 and 9)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from engine.errors import ForbiddenError

if TYPE_CHECKING:
    from engine.scopes import Scope

__all__ = [
    "CHANGE",
    "FULL",
    "GRANT",
    "JOIN",
    "QUERY",
    "RUN",
    "USER",
    "Token",
    "User",
    "name_allowed",
    "pack_whitelists",
    "require",
    "unpack_whitelists",
]

QUERY, CHANGE, GRANT, JOIN, RUN = 1, 2, 4, 8, 16
USER = QUERY | CHANGE | JOIN | RUN
FULL = USER | GRANT

_WORDS = {QUERY: "QUERY", CHANGE: "CHANGE", GRANT: "GRANT", JOIN: "JOIN", RUN: "RUN"}


@dataclass(slots=True, eq=False)
class Token:
    """A secret that stands for a user. Only a digest is kept; `hint` names it in lists."""

    digest: bytes
    hint: str
    created_on: int
    expires: int | None = None
    description: str = ""


@dataclass(slots=True, eq=False)
class User:
    """A user; what it may do is kept with each scope (`scope.access`)."""

    id: int
    name: str
    created_at: int
    password: bytes | None = None  # a salted, memory-hard hash; None: no password
    tokens: list[Token] = field(default_factory=list)
    whitelists: dict[str, list[object]] = field(default_factory=dict)
    deleted: bool = False


def require(user: User, scope: Scope, mask: int) -> None:
    """ForbiddenError unless the user has all the rights of the mask on the scope."""
    missing = mask & ~scope.access.get(user.id, 0)
    if missing or user.deleted:
        words = " and ".join(word for bit, word in _WORDS.items() if missing & bit) or "any"
        raise ForbiddenError(f"the user {user.name} lacks the right {words} on {scope.title}")


def name_allowed(user: User, whitelist: str, name: str | None) -> bool:
    """Does the user's whitelist (`"procedures"` or `"rooms"`), if there is one, allow the name? None never matches."""
    from engine.values.regex import Regex

    rules = user.whitelists.get(whitelist)
    if rules is None:
        return True
    return name is not None and any(
        rule.matches(name.encode()) if isinstance(rule, Regex) else rule == name for rule in rules
    )


def pack_whitelists(user: User) -> dict[str, list[Any]]:
    """A user's whitelists as a tree."""
    from engine.values.regex import Regex

    return {
        name: [{"*": [rule.pattern, rule.flags]} if isinstance(rule, Regex) else rule for rule in rules]
        for name, rules in user.whitelists.items()
    }


def unpack_whitelists(tree: dict[str, list[Any]]) -> dict[str, list[object]]:
    """What `pack_whitelists` packed."""
    from engine.values.regex import compiled_regex

    return {
        name: [compiled_regex(*rule["*"]) if isinstance(rule, dict) else rule for rule in rules]
        for name, rules in tree.items()
    }
