"""`ret`: the early way to reply with nothing, whatever the value is (spec/early-api.md, section 6)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.functions.registry import method
from engine.types import anonymous as _anonymous  # noqa: F401  (registers its kind)
from engine.types import enum as _enum  # noqa: F401

if TYPE_CHECKING:
    from engine.context import Context
    from engine.values.thing import Value

__all__ = ["EVERY_KIND"]

EVERY_KIND = (
    "nil", "bool", "int", "float", "str", "bytes", "regex", "list", "tuple", "set", "plain", "instance", "wrapped",
    "anonymous", "enum", "closure", "error", "datetime", "timeval", "future", "task", "room", "mpdata",
)  # fmt: skip
"""The kinds of value of which every value has one."""


@method("|".join(EVERY_KIND), "ret", alias=True, doc="Nil, to spare the reply a value.", example=".ret()")
def ret(ctx: Context, value: Value) -> None:
    return None
