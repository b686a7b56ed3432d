"""Batches: packed changes one after the other in one blob, and back.

A change is one msgpack document, an array whose first item is the change id, so the blob needs no index: the
documents say where they end.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from zlib import crc32

import msgpack

__all__ = ["BadBatch", "change_id_of", "checksum", "join_changes", "split_changes"]

# zlib gives up the GIL for longer buffers, and with a busy main thread it costs milliseconds to have it back.
_CRC_STRIDE = 5 * 1024


class BadBatch(ValueError):
    """Bytes that are not the batch they are said to be; the message completes "a batch …"."""


def checksum(data: bytes) -> int:
    """CRC-32 of `data`, computed without giving up the GIL."""
    if len(data) <= _CRC_STRIDE:
        return crc32(data)
    view = memoryview(data)
    crc = 0
    for start in range(0, len(data), _CRC_STRIDE):
        crc = crc32(view[start : start + _CRC_STRIDE], crc)
    return crc


def change_id_of(packed: bytes) -> int:
    """The change id that a packed change begins with."""
    unpacker = msgpack.Unpacker(max_buffer_size=64)
    unpacker.feed(packed[:16])
    try:
        unpacker.read_array_header()
        change_id = unpacker.unpack()
    except Exception:
        change_id = None
    if type(change_id) is not int:
        raise BadBatch("has a change that is no msgpack array with the change id as its first item")
    return change_id


def join_changes(first: int, changes: Sequence[bytes]) -> bytes:
    """The batch of `changes`, whose ids are `first` and on.

    Only the id of the first and the last are compared with the bytes: they catch a numbering that is off, at a price
    that does not grow with the batch.
    """
    if not changes:
        raise BadBatch("has no changes")
    for expected, packed in ((first, changes[0]), (first + len(changes) - 1, changes[-1])):
        found = change_id_of(packed)
        if found != expected:
            raise BadBatch(f"has change {found} where change {expected} belongs")
    return b"".join(changes)


def split_changes(first: int, last: int, blob: bytes) -> Iterator[tuple[int, bytes]]:
    """(change id, packed change) for each of the changes `first` to `last` in `blob`."""
    unpacker = msgpack.Unpacker(max_buffer_size=max(len(blob), 1))
    unpacker.feed(blob)
    start = 0
    for change_id in range(first, last + 1):
        try:
            unpacker.skip()
        except Exception:
            raise BadBatch(f"ends within change {change_id}, though it should hold {first} to {last}") from None
        end = unpacker.tell()
        yield change_id, blob[start:end]
        start = end
    if start != len(blob):
        raise BadBatch(f"holds more than its changes {first} to {last}")
