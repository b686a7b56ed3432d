"""Sets of things, by identity (spec/things.md, section 6). They are walked in the order in which things were added."""

from __future__ import annotations

import weakref
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from engine.functions.registry import register_kind

if TYPE_CHECKING:
    from engine.types.restriction import Restriction
    from engine.values.thing import Thing

__all__ = ["Set"]


class Set:
    """A set of things; `owner`, `key`, `spec` and `lock` as those of a list."""

    __slots__ = ("items", "key", "lock", "owner", "spec")

    owner: weakref.ref[Thing] | None
    key: str
    spec: Restriction | None

    def __init__(self, things: Iterable[Thing] = ()) -> None:
        self.items: dict[Thing, None] = dict.fromkeys(things)
        self.owner = None
        self.lock = 0
        self.spec = None

    def __len__(self) -> int:
        return len(self.items)

    def __iter__(self) -> Iterator[Thing]:
        return iter(self.items)

    def __contains__(self, thing: object) -> bool:
        return thing in self.items

    def holder(self) -> Thing | None:
        """The thing that holds it, if there is one."""
        owner = self.owner
        return None if owner is None else owner()

    def release(self) -> None:
        """It no longer belongs to a property."""
        self.owner = None
        self.spec = None


register_kind("set", Set)
