"""What a request asks for besides what its code does: to be atomic, and that nothing has changed since it was decided
on (docs/protocol.md, "Atomic queries")."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from engine.errors import BadDataError, ChangedError, EngineError
from engine.recent import EVERYTHING, Key

if TYPE_CHECKING:
    from engine.engine import Engine
    from engine.scopes import Scope

__all__ = ["CONDITIONS", "Conditions"]

MAX_THINGS = 10_000

CONDITIONS = ("atomic", "decided_at", "things")


class Conditions:
    """Those of one request.

    `atomic`: when it fails, nothing has changed. `decided_at` is the id of a change, or None; `things` are the ids of
    those that must not have changed after it, None: the whole scope. `fits` is tried on the result of an atomic query
    before that is final, and raises what makes it fail yet: that the result can't be told.
    """

    __slots__ = ("atomic", "decided_at", "fits", "things")

    def __init__(self, tree: Any, fits: Callable[[Any], Any] | None = None) -> None:
        """`tree` as the client sent it: `{"atomic"?: bool, "decided_at"?: int, "things"?: [int, …]}` or None. Raises
        BadDataError."""
        if isinstance(tree, EngineError):
            raise tree  # it could not be decoded
        if tree is None:
            tree = {}
        if not isinstance(tree, dict):
            raise BadDataError("the conditions of a request are a map")
        given = {name: value for name, value in tree.items() if value is not None}
        for name in given:
            if name not in CONDITIONS:
                raise BadDataError(f"there is no condition {str(name)[:80]!r}; there are: {', '.join(CONDITIONS)}")
        self.atomic: bool = given.get("atomic", False)
        self.decided_at: int | None = given.get("decided_at")
        self.things: list[int] | None = given.get("things")
        self.fits = fits
        if type(self.atomic) is not bool:
            raise BadDataError("atomic is true or false")
        if self.decided_at is not None and (type(self.decided_at) is not int or self.decided_at < 0):
            raise BadDataError("decided_at is the id of a change, an int")
        if self.things is not None:
            if self.decided_at is None:
                raise BadDataError("things are named together with decided_at, the change that they were seen at")
            if not isinstance(self.things, list) or not all(type(thing) is int for thing in self.things):
                raise BadDataError("things is a list of ids, ints")
            if not 1 <= len(self.things) <= MAX_THINGS:
                raise BadDataError(f"things names from 1 to {MAX_THINGS} things; without it, the whole scope is meant")

    def check(self, engine: Engine, scope: Scope) -> None:
        """ChangedError when what the request was decided on has changed since, or may have; BadDataError when it names
        things where there are none."""
        decided_at, things = self.decided_at, self.things
        if decided_at is None:
            return
        if things is not None and scope.kind != "C":
            raise BadDataError(f"there are no things in {scope.title}: leave things out")
        recent = engine.recent
        keys: list[Key] = [(EVERYTHING, scope.id)] if things is None else [*things]
        gone = [thing for thing in things or () if scope.find(thing) is None]  # type: ignore[union-attr]
        changed = recent.changed_since(keys, decided_at)
        if changed is None and decided_at > recent.last:
            raise ChangedError(f"the change {decided_at} is not made: the last one is {recent.last}", things or ())
        if changed is None:
            kept = recent.first - 1
            raise ChangedError(
                f"the change {decided_at} is too long ago: changes are known from {kept} on", things or ()
            )
        if things is None and changed:
            raise ChangedError(f"{scope.title} has changed since the change {decided_at}")
        if gone or changed:
            found = [each for each in things or () if each in gone or recent.changed_since((each,), decided_at)]
            raise ChangedError(f"{_named(found)} changed since the change {decided_at}, or gone", found)


def _named(things: list[int]) -> str:
    if len(things) == 1:
        return f"the thing {things[0]} has"
    shown = ", ".join(map(str, things[:10]))
    return f"the things {shown}{' and more' if len(things) > 10 else ''} have"
