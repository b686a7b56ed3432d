"""The three forms in which a connection gets its events: a native package on TCP, a native package in a binary
WebSocket frame, and a JSON-RPC notification in a text WebSocket frame. Also MessagePack for replies.
"""

from __future__ import annotations

from collections.abc import Callable
from struct import Struct
from typing import Final

from msgpack import Packer

from engine import engine as _engine  # noqa: F401  (registers every kind of value, which `wire` looks up)
from engine.encoding import wire
from engine.errors import ResultTooLarge
from server import native
from server.contracts import Form, Tree
from server.jsonvalues import encode

__all__ = ["BINARY_FRAME", "EVENT_METHODS", "JSON_RPC", "PACKAGE", "binary_frame", "farewell", "pack",
           "pack_event", "text_frame"]  # fmt: skip

EVENT_METHODS: Final = {
    native.NODE_STATUS: "node.status",
    native.INIT: "watch.init",
    native.UPDATE: "watch.update",
    native.DELETE: "watch.delete",
    native.STOP: "watch.stop",
    native.WARNING: "warning",
    native.ROOM_JOIN: "room.join",
    native.ROOM_LEAVE: "room.leave",
    native.ROOM_EMIT: "room.emit",
    native.ROOM_DELETE: "room.delete",
    native.LIVE_UPDATE: "live.update",
    native.LIVE_END: "live.end",
    native.PRESENCE_JOIN: "presence.join",
    native.PRESENCE_LEAVE: "presence.leave",
    native.PRESENCE_END: "presence.end",
}
"""The JSON-RPC method of each type of event."""

# --- MessagePack -----------------------------------------------------------------------------------------------------


_pack_utf8: Callable[[Tree], bytes] = Packer(default=wire).pack
_pack_bytes: Callable[[Tree], bytes] = Packer(default=wire, unicode_errors="surrogateescape").pack


def pack(tree: Tree) -> bytes:
    """The tree as MessagePack. Raises ResultTooLarge for one that can't be written: nested too deep, too long."""
    try:
        return _pack_utf8(tree)
    except UnicodeEncodeError:
        # Text that is no UTF-8 goes out as the bytes that it came in as. Rare, and the packer is slower with it.
        return _pack_bytes(tree)
    except (ValueError, OverflowError) as error:
        raise ResultTooLarge(f"the value can't be sent: {error}") from None


def pack_event(tree: Tree) -> bytes:
    """The tree of an event as MessagePack. Text that is no UTF-8 goes out as bin: a client that can't decode an event
    would not get those that came with it either."""
    try:
        return _pack_utf8(tree)
    except UnicodeEncodeError:
        return pack(_decodable(tree))


def _decodable(tree: Tree) -> Tree:
    if isinstance(tree, str):
        return tree if tree.isascii() or _is_utf8(tree) else tree.encode("utf-8", "surrogateescape")
    if isinstance(tree, dict):
        return {name: _decodable(value) for name, value in tree.items()}
    if isinstance(tree, (list, tuple)):
        return [_decodable(item) for item in tree]
    return tree


def _is_utf8(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


# --- WebSocket frames (RFC 6455, section 5.2), unmasked and whole, as a server sends them -----------------------------

_small = Struct("!BB").pack
_medium = Struct("!BBH").pack
_large = Struct("!BBQ").pack
_BINARY = 0x82
_TEXT = 0x81


def _head(opcode: int, length: int) -> bytes:
    if length < 126:
        return _small(opcode, length)
    if length < 65536:
        return _medium(opcode, 126, length)
    return _large(opcode, 127, length)


def binary_frame(message: bytes) -> bytes:
    """A binary frame that holds the whole message."""
    return _head(_BINARY, len(message)) + message


def text_frame(text: str) -> bytes:
    """A text frame that holds the whole text, which must be valid UTF-8."""
    message = text.encode()
    return _head(_TEXT, len(message)) + message


# --- forms -----------------------------------------------------------------------------------------------------------


class _Package:
    """A native package, as TCP carries it."""

    def event(self, kind: int, data: Tree) -> bytes:
        return native.package(native.EVENT_ID, kind, pack_event(data))


class _BinaryFrame:
    """A native package in a binary WebSocket frame of its own."""

    def event(self, kind: int, data: Tree) -> bytes:
        return binary_frame(native.package(native.EVENT_ID, kind, pack_event(data)))


class _JsonRpc:
    """A JSON-RPC notification in a text WebSocket frame of its own."""

    def event(self, kind: int, data: Tree) -> bytes:
        return text_frame(f'{{"jsonrpc":"2.0","method":"{EVENT_METHODS[kind]}","params":{encode(data)}}}')


PACKAGE: Final[Form] = _Package()
BINARY_FRAME: Final[Form] = _BinaryFrame()
JSON_RPC: Final[Form] = _JsonRpc()

WARN_DISCONNECTED: Final = 3
"""The code of the warning that is a connection's last event, when the server ends it for a reason."""


def farewell(form: Form, reason: str) -> bytes:
    """The last event of a connection that the server ends."""
    return form.event(native.WARNING, {"warn_code": WARN_DISCONNECTED, "warn_msg": reason})
