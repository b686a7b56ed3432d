"""Anonymous types: `&{ … }` and `ano({ … })` (spec/enums-and-wrap.md, section 4)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgpack

from engine.encoding import leaf
from engine.errors import LookupFailed
from engine.functions.registry import function, register_kind
from engine.result import Result, shows
from engine.snapshot import Tree
from engine.types.defining import fill_type
from engine.types.info import field_list
from engine.types.type import Type
from engine.values.as_text import TEXT
from engine.values.closure import Closure
from engine.values.equality import EQUAL
from engine.values.list import List
from engine.values.thing import Thing

if TYPE_CHECKING:
    from engine.context import Context
    from engine.replay import Replay
    from engine.values.thing import Value

__all__ = ["AnonymousType", "anonymous_type"]


class AnonymousType:
    """A type without a name, which only wraps; equal to another one with the same definition."""

    __slots__ = ("type",)

    def __init__(self, type_: Type) -> None:
        self.type = type_

    def definition(self) -> dict[str, Tree]:
        """What it is made of, closures as text."""
        shown: dict[str, Tree] = dict(field_list(self.type))
        return shown | {name: closure.code.compact for name, closure in self.type.methods.items()}

    def __eq__(self, other: object) -> bool:
        return type(other) is AnonymousType and other.definition() == self.definition()

    def __hash__(self) -> int:
        return hash(tuple(self.type.fields))


register_kind("anonymous", AnonymousType, names="<anonymous>")
TEXT[AnonymousType] = lambda value: "<anonymous>"
EQUAL[AnonymousType] = lambda left, right: left == right


@shows(AnonymousType)
def _show(value: AnonymousType, made: Result, deep: int) -> Tree:
    return value.definition()


def anonymous_type(ctx: Context, definitions: dict[str, Value]) -> AnonymousType:
    """The anonymous type with those definitions."""
    if ctx.scope.kind != "C":
        raise LookupFailed("anonymous types exist in collections only")
    return _made(list(definitions.items()))


def _made(items: Any) -> AnonymousType:
    type_ = Type(None, -1, "<anonymous>", 0)
    type_.wrap_only = True
    fill_type(type_, items, anonymous=True)
    type_.hide_id = type_.id_name is None
    return AnonymousType(type_)


@function(
    "ano",
    "definition: thing",
    scopes="C",
    doc="An anonymous type, which shows of a thing what its definition names.",
    example="ano({title: 'str'})",
)
def ano(ctx: Context, definition: Thing) -> AnonymousType:
    return anonymous_type(ctx, dict(definition.items()))


# --- log -------------------------------------------------------------------------------------------------------------


def _written(definition: Any) -> Any:
    if isinstance(definition, str):
        return Closure.from_source(definition) if definition.startswith("|") else definition
    if isinstance(definition, list):
        return List([_written(item) for item in definition])
    return Thing({name: _written(item) for name, item in definition.items()})


def _write(value: AnonymousType) -> bytes:
    packed: bytes = msgpack.packb(list(value.definition().items()), unicode_errors="surrogateescape")
    return packed


def _read(data: bytes, replay: Replay) -> AnonymousType:
    items = msgpack.unpackb(data, unicode_errors="surrogateescape")
    return _made([(name, _written(definition)) for name, definition in items])


leaf(AnonymousType, 4, _write, _read)
