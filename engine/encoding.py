"""How trees become bytes in the log and in the state on disk, and what encoders make of leaves.

The log is MessagePack. A leaf, a value without a form in the watch protocol (`engine.snapshot`), is an extension type
there; every leaf class registers its code and its two conversions with `leaf`. Encoders of results and events call
`wire` for leaves: what a result would show.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import msgpack

from engine.result import SHOW, Result
from engine.snapshot import PACK, Compact, Tree

if TYPE_CHECKING:
    from engine.replay import Replay

__all__ = ["LEAVES", "Leaf", "leaf", "log_packer", "log_unpack", "read_leaf", "told_unpack", "wire", "write_leaf"]

Leaf = tuple[int, Callable[[Any], bytes], Callable[[bytes, Any], Any]]

LEAVES: dict[type, Leaf] = {}
_READ: dict[int, Callable[[bytes, Any], Any]] = {}
_TELL: dict[int, Callable[[bytes, Any], Any]] = {}


def leaf(
    cls: type,
    code: int,
    write: Callable[[Any], bytes],
    read: Callable[[bytes, Any], Any],
    tell: Callable[[bytes, Any], Any] | None = None,
) -> None:
    """Register a leaf: `write(value)` gives the bytes, `read(bytes, replay)` the value again.

    `tell(bytes, home)` gives what watchers are told when they hear of it later, as a tree or a leaf: of what may be
    gone by then, and may not come to life again; by default what `read` gives, which then has no use for a replay.
    """
    assert code not in _READ, code
    LEAVES[cls] = (code, write, read)
    _READ[code] = read
    _TELL[code] = read if tell is None else tell
    PACK[cls] = lambda value, home, depth: value


def write_leaf(value: Any) -> msgpack.ExtType:
    """A leaf as the log has it: a packer's `default` hook."""
    entry = LEAVES.get(type(value))
    if entry is None:
        raise TypeError(f"{type(value).__name__} has no form in the log")
    return msgpack.ExtType(entry[0], entry[1](value))


def log_packer(default: Callable[[Any], Any] = write_leaf) -> msgpack.Packer:
    """A packer for change records and state; one per thread. `default` gives a tree for what MessagePack has no form
    for."""
    return msgpack.Packer(default=default, unicode_errors="surrogateescape", use_bin_type=True)


def log_unpack(data: bytes) -> Tree:
    """Decode what a `log_packer` packed; leaves stay `msgpack.ExtType`, for `read_leaf`."""
    return msgpack.unpackb(data, raw=False, unicode_errors="surrogateescape", strict_map_key=False)


def told_unpack(data: bytes, home: Any, types: set[int]) -> Tree:
    """Decode a record of the collection `home` as watchers are told of it. `types` gets the ids of those types of which
    there are new instances in it: these are told by the names that the fields have now."""

    def tell(code: int, leaf: bytes) -> Any:
        return _TELL[code](leaf, home)

    def named(tree: dict[str, Tree]) -> dict[str, Tree]:
        if "." not in tree or "" not in tree:
            return tree
        type_ = home.types_by_id.get(tree["."])
        types.add(tree["."])
        compact = Compact(tree)
        compact.names = () if type_ is None else tuple(type_.positions)
        return compact

    return msgpack.unpackb(
        data, raw=False, unicode_errors="surrogateescape", strict_map_key=False, ext_hook=tell, object_hook=named
    )


def read_leaf(packed: msgpack.ExtType, replay: Replay) -> Any:
    """The value of a leaf that was read from the log or the state."""
    return _READ[packed.code](packed.data, replay)


def wire(value: Any) -> Tree:
    """A leaf in a result or an event, as a tree of plain values: an encoder's `default` hook."""
    return SHOW[type(value)](value, Result(None), 1)
