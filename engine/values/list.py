"""Lists: mutable arrays that belong to at most one property of one thing (spec/lists.md).

A tuple, the immutable array, is Python's `tuple`. Everything that goes into an array is converted by
`engine.values.storing.nested` first.
"""

from __future__ import annotations

import weakref
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from engine.functions.registry import KINDS, register_kind

if TYPE_CHECKING:
    from engine.types.restriction import Restriction
    from engine.values.thing import Thing, Value

__all__ = ["List"]


class List(list[Any]):
    """A list. `owner` refers weakly to the thing that holds it under the property `key`, or is None; `spec` is the
    restriction that this place puts on the items; `lock` counts what forbids changing it."""

    __slots__ = ("key", "lock", "owner", "spec")

    owner: weakref.ref[Thing] | None
    key: str
    spec: Restriction | None
    lock: int

    def __init__(self, items: Iterable[Value] = ()) -> None:
        super().__init__(items)
        self.owner = None
        self.lock = 0
        self.spec = None

    def holder(self) -> Thing | None:
        """The thing that holds it, if there is one."""
        owner = self.owner
        return None if owner is None else owner()

    def release(self) -> None:
        """It no longer belongs to a property."""
        self.owner = None
        self.spec = None

    def restriction(self) -> Restriction | None:
        """What its place demands of the items, as long as it has not been replaced there."""
        return self.spec


register_kind("list", List)
KINDS["array"] = frozenset({List, tuple})
