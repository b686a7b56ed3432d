"""Native packages: 8 bytes of header, then MessagePack. Bytes in, packages out; no sockets.

Header, little endian: u32 length of the data, u16 package id, u8 type, u8 type xor 0xFF.
Source: the specification's page on administration and protocol, section 1.
"""

from __future__ import annotations

from struct import Struct
from typing import Final, TypeAlias

__all__ = ["EVENT_ID", "HEADER", "MAX_LENGTH", "Decoder", "Package", "PackageError", "alone", "package"]

HEADER: Final = Struct("<IHBB")
HEADER_SIZE: Final = HEADER.size

MAX_LENGTH: Final = 1 << 30
"""The most bytes that the data of one package may have."""

EVENT_ID: Final = 0xFFFF
"""The package id of every event."""

PING, AUTH, QUERY, WATCH, UNWATCH, RUN, JOIN, LEAVE, EMIT, EMIT_PEER = range(32, 42)
WATCH_WITH, SUBSCRIBE, UNSUBSCRIBE = 48, 49, 50
PRESENCE, UNPRESENCE, OPTIONS, JOIN_WITH, QUERY_WITH, RUN_WITH = range(51, 57)
PONG, OK, DATA, ERROR = range(16, 20)
NODE_STATUS, INIT, UPDATE, DELETE, STOP, WARNING, ROOM_JOIN, ROOM_LEAVE, ROOM_EMIT, ROOM_DELETE = range(10)
LIVE_UPDATE, LIVE_END = 64, 65
PRESENCE_JOIN, PRESENCE_LEAVE, PRESENCE_END = 66, 67, 68

Package: TypeAlias = "tuple[int, int, bytes | bytearray]"
"""Package id, type, data."""


class PackageError(ValueError):
    """The bytes are no packages; the connection can't go on, since where the next one starts is unknown."""


def package(package_id: int, kind: int, data: bytes = b"") -> bytes:
    """One package as bytes."""
    return HEADER.pack(len(data), package_id, kind, kind ^ 0xFF) + data


def alone(message: bytes | bytearray) -> Package:
    """The package that is a WebSocket message of its own. What follows it in the message is ignored.

    Raises PackageError for a wrong header and for less data than the header promises.
    """
    if len(message) < HEADER_SIZE:
        raise PackageError(f"a package has at least {HEADER_SIZE} bytes, not {len(message)}")
    length, package_id, kind, check = HEADER.unpack_from(message)
    if kind ^ check != 0xFF:
        raise PackageError(f"check byte {check:#04x} does not fit type {kind}")
    end = HEADER_SIZE + length
    if end > len(message):
        raise PackageError(f"the header promises {length} bytes of data, the message has {len(message) - HEADER_SIZE}")
    return package_id, kind, message[HEADER_SIZE:end]


class Decoder:
    """Cuts a stream of bytes, however it was split, into packages.

    `max_length` bounds the data of a package, in bytes; a header that states more is an error at once. `max_waiting`
    bounds what is kept of a package that is not complete yet; it may be changed at any time.
    """

    __slots__ = ("_buffer", "_needed", "error", "max_length", "max_waiting")

    def __init__(self, max_length: int = MAX_LENGTH, max_waiting: int = MAX_LENGTH + HEADER_SIZE) -> None:
        self.max_length = max_length
        self.max_waiting = max_waiting
        self.error: PackageError | None = None
        """Why the stream ended. The packages before the offending bytes have been given out."""
        self._buffer: bytearray | None = None
        self._needed = 0

    @property
    def waiting(self) -> int:
        """Bytes kept of a package that is not complete yet."""
        return len(self._buffer) if self._buffer is not None else 0

    def feed(self, data: bytes | bytearray) -> list[Package]:
        """The packages that `data` completes, in order. Look at `error` afterwards."""
        packages: list[Package] = []
        if self.error is not None:
            return packages
        start = 0
        if (buffer := self._buffer) is not None:
            if len(buffer) < HEADER_SIZE:
                data = buffer + data
            else:
                start = self._needed - len(buffer)
                if len(data) < start:
                    buffer += data
                    self._check_waiting(len(buffer))
                    return packages
                buffer += data[:start]
                _, package_id, kind, _ = HEADER.unpack_from(buffer)
                del buffer[:HEADER_SIZE]
                packages.append((package_id, kind, buffer))
            self._buffer = None
        size = len(data)
        max_length = self.max_length
        unpack_from = HEADER.unpack_from
        needed = HEADER_SIZE
        while start + HEADER_SIZE <= size:
            length, package_id, kind, check = unpack_from(data, start)
            if kind ^ check != 0xFF:
                self._fail(f"check byte {check:#04x} does not fit type {kind}")
                return packages
            if length > max_length:
                self._fail(f"a package of {length} bytes, the limit is {max_length}")
                return packages
            end = start + HEADER_SIZE + length
            if end > size:
                needed = HEADER_SIZE + length
                break
            packages.append((package_id, kind, data[start + HEADER_SIZE : end]))
            start = end
        if start < size:
            self._buffer = bytearray(data[start:])
            self._needed = needed
            self._check_waiting(size - start)
        return packages

    def _check_waiting(self, size: int) -> None:
        if size > self.max_waiting:
            self._fail(f"more than {self.max_waiting} bytes of one package")

    def _fail(self, why: str) -> None:
        self.error = PackageError(why)
        self._buffer = None
