"""Things that hold themselves: unreachable, but never without a reference (spec/things.md, section 3).

CPython's reference counts tell when a thing is gone (ARCHITECTURE.md, Lifetimes), but for cycles. Unstored things that
a query tied to one another are taken apart when it ends (`untangle`).
"""

from __future__ import annotations

import weakref
from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from engine.values.thing import Thing

__all__ = ["untangle"]


def untangle(things: Iterable[weakref.ref[Thing]]) -> None:
    """Take the things apart that are still not stored now that their query is over: nothing can reach them."""
    for ref in things:
        thing = ref()
        if thing is not None and not thing.id:
            thing.props = type(thing.props)(())
