"""The protocol without sockets: requests in, bytes out; bytes in, replies and events out.

Native packages as in docs/protocol.md: a header of 8 bytes (length, package id, type, type xor 255), then MessagePack.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from struct import Struct
from typing import Any, Final

import msgpack

from livethings.errors import BadDataError, ProtocolError, ServerError, server_error

__all__ = ["MAX_LENGTH", "Event", "Protocol", "Reply", "Request"]

MAX_LENGTH: Final = 1 << 30
"""The most bytes that the data of a package may have."""

_HEADER: Final = Struct("<IHBB")
_EVENT_ID: Final = 0xFFFF
_OK, _DATA, _ERROR, _PONG = 17, 18, 19, 16


class Request:
    """Types of requests."""

    PING, AUTH, QUERY, WATCH, UNWATCH, RUN, JOIN, LEAVE, EMIT, EMIT_PEER = range(32, 42)
    WATCH_WITH, SUBSCRIBE, UNSUBSCRIBE, PRESENCE, UNPRESENCE, OPTIONS, JOIN_FROM, QUERY_WITH, RUN_WITH = range(48, 57)


@dataclass(frozen=True, slots=True)
class Reply:
    """The answer to the request with this package id: a value, or an error."""

    package_id: int
    value: Any
    error: ServerError | None


@dataclass(frozen=True, slots=True)
class Event:
    """An event: its type (docs/protocol.md, "Events") and its data."""

    kind: int
    data: Any


class Protocol:
    """One connection's packages. Gives each request an id that no unanswered one has."""

    def __init__(self, max_length: int = MAX_LENGTH) -> None:
        self._max_length = max_length
        self._buffer = bytearray()
        self._last_id = 0
        self._waiting: set[int] = set()

    @property
    def unanswered(self) -> int:
        """How many requests have no reply yet."""
        return len(self._waiting)

    @property
    def full(self) -> bool:
        """No package id is free."""
        return len(self._waiting) >= _EVENT_ID

    def request(self, kind: int, body: Any = None) -> tuple[int, bytes]:
        """A request as bytes, and the package id that its reply will have.

        Raises TypeError, ValueError or OverflowError for what MessagePack can't hold; nothing is begun then.
        """
        data = b"" if body is None else pack(body)
        if len(data) > self._max_length:
            raise ValueError(f"a request has at most {self._max_length} bytes, not {len(data)}")
        if self.full:
            raise BlockingIOError("no package id is free")
        package_id = self._last_id
        while True:
            package_id = (package_id + 1) % _EVENT_ID
            if package_id not in self._waiting:
                break
        self._last_id = package_id
        self._waiting.add(package_id)
        return package_id, _HEADER.pack(len(data), package_id, kind, kind ^ 0xFF) + data

    def receive(self, data: bytes) -> Iterator[Reply | Event]:
        """What a stream's next bytes complete, in order; take all of it. Raises ProtocolError; the stream is of no
        use after that."""
        self._buffer += data
        buffer, start = self._buffer, 0
        try:
            while start + _HEADER.size <= len(buffer):
                length, package_id, kind, check = _HEADER.unpack_from(buffer, start)
                self._check(length, kind, check)
                end = start + _HEADER.size + length
                if end > len(buffer):
                    break
                body = bytes(buffer[start + _HEADER.size : end])
                start = end
                received = self._received(package_id, kind, body)
                if received is not None:
                    yield received
        finally:
            del buffer[:start]

    def receive_message(self, message: bytes) -> Iterator[Reply | Event]:
        """What a message says that is one package. Raises ProtocolError."""
        if len(message) < _HEADER.size:
            raise ProtocolError(f"a package has at least {_HEADER.size} bytes, not {len(message)}")
        length, package_id, kind, check = _HEADER.unpack_from(message)
        self._check(length, kind, check)
        if len(message) < _HEADER.size + length:
            raise ProtocolError("a message ended before its package did")
        received = self._received(package_id, kind, message[_HEADER.size : _HEADER.size + length])
        if received is not None:
            yield received

    def _check(self, length: int, kind: int, check: int) -> None:
        if kind ^ check != 0xFF:
            raise ProtocolError("the bytes are no packages; is this the port of another protocol?")
        if length > self._max_length:
            raise ProtocolError(f"a package of {length} bytes came, the limit is {self._max_length}")

    def _received(self, package_id: int, kind: int, body: bytes) -> Reply | Event | None:
        value = unpack(body) if body else None
        if package_id == _EVENT_ID:
            return Event(kind, value)
        if package_id not in self._waiting:
            raise ProtocolError(f"a reply came to a request that was not made ({package_id})")
        self._waiting.discard(package_id)
        if kind == _ERROR:
            return Reply(package_id, None, _error(value))
        if kind in (_OK, _DATA, _PONG):
            return Reply(package_id, value, None)
        raise ProtocolError(f"a reply of an unknown type came ({kind})")


def _error(value: Any) -> ServerError:
    try:
        return server_error(int(value["error_code"]), str(value["error_msg"]), value.get("things", ()))
    except (AttributeError, TypeError, KeyError, ValueError):
        return BadDataError("the server answered with an error that has no code")


def pack(value: Any) -> bytes:
    """A value as MessagePack. Text may hold the surrogates that `unpack` makes of bytes that are no UTF-8."""
    try:
        return bytes(msgpack.packb(value, unicode_errors="surrogateescape"))
    except TypeError as error:
        kinds = "None, bool, int, float, str, bytes, lists and dicts"
        raise TypeError(f"{error}; what can be sent is {kinds}") from None


def unpack(data: bytes) -> Any:
    """The value that MessagePack holds. Raises ProtocolError."""
    try:
        return msgpack.unpackb(data, strict_map_key=False, unicode_errors="surrogateescape")
    except Exception as error:
        raise ProtocolError("a package came that is no MessagePack") from error
