"""Packed data that is handed on unread (spec/text-and-numbers.md, section 11)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgpack

from engine.encoding import leaf
from engine.functions.registry import method, register_kind
from engine.result import shows
from engine.snapshot import Tree
from engine.values.as_bytes import BYTES
from engine.values.incoming import incoming

if TYPE_CHECKING:
    from engine.context import Context
    from engine.values.thing import Value

__all__ = ["Mpdata"]


class Mpdata:
    """Data in MessagePack form; `data` are its bytes. Equal only to itself."""

    __slots__ = ("data",)

    def __init__(self, data: bytes) -> None:
        self.data = data

    @classmethod
    def of(cls, tree: Tree) -> Mpdata:
        """A tree of plain values, packed."""
        return cls(msgpack.packb(tree, unicode_errors="surrogateescape"))

    def tree(self) -> Tree:
        """The data as a tree of plain values, made anew."""
        return msgpack.unpackb(self.data, raw=False, unicode_errors="surrogateescape", strict_map_key=False)


register_kind("mpdata", Mpdata)
BYTES[Mpdata] = lambda value: value.data
leaf(Mpdata, 1, lambda value: value.data, lambda data, replay: Mpdata(data))


@shows(Mpdata)
def _show_mpdata(value: Mpdata, made: Any, deep: int) -> Tree:
    made.size += len(value.data)
    return value.tree()


@method("mpdata", "len", doc="The size of the packed data in bytes.", example="user_info().len()")
def length(ctx: Context, value: Mpdata) -> int:
    return len(value.data)


@method("mpdata", "load", doc="The data as a value: maps become things, arrays lists.", example="user_info().load()")
def load(ctx: Context, value: Mpdata) -> Value:
    return incoming(value.tree())
