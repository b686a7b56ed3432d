"""Members of enums as values (spec/enums-and-wrap.md, sections 1.3 and 1.4)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from engine.errors import NumArgumentsError
from engine.functions.registry import METHODS, Method, method
from engine.language.callees import FALLBACKS, ClosureCall
from engine.result import Result, shows
from engine.snapshot import Tree
from engine.types.enum import Member
from engine.values.as_bytes import BYTES, as_bytes
from engine.values.as_text import TEXT, as_text
from engine.values.numbers import FLOAT, INT, as_float, as_int

if TYPE_CHECKING:
    from engine.context import Context
    from engine.values.thing import Value

__all__: list[str] = []

TEXT[Member] = lambda member: as_text(member.value)
INT[Member] = lambda member: as_int(member.value)
FLOAT[Member] = lambda member: as_float(member.value)
BYTES[Member] = lambda member: as_bytes(member.value)


@shows(Member)
def _show_member(member: Member, made: Result, deep: int) -> Tree:
    return made.show(member.value, deep)


@method("enum", "name", doc="The name of the member.", example="Colour{RED}.name()")
def name(ctx: Context, member: Member) -> str:
    return member.name


@method("enum", "value", doc="The value of the member.", example="Colour{RED}.value()")
def value(ctx: Context, member: Member) -> Value:
    return member.value


class _Length:
    """`member.len()`, for values that have a length."""

    __slots__ = ("method", "takes")

    def __init__(self, method: Method) -> None:
        self.method = method
        self.takes = 0

    def check(self, index: int, value: Value) -> Value:
        raise NumArgumentsError("len() takes no arguments")

    accept = check

    def lock(self, receiver: Value) -> None:
        pass

    unlock = lock

    def run(self, ctx: Context, receiver: Member, *arguments: Value) -> Value:
        self.method.check_count(len(arguments))
        return self.method.run(ctx, receiver.value)


def _member_call(ctx: Context, member: Member, name: str) -> Any:
    if name == "len":
        length = METHODS["len"].get(type(member.value))
        if length is not None:
            return _Length(length)
    closure = member.enum.methods.get(name)
    return None if closure is None else ClosureCall(closure, (member,))


FALLBACKS[Member] = _member_call
