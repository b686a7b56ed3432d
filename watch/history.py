"""What was emitted in rooms of late, for those who come back.

Kept is a room that somebody has joined with history, for as long as somebody is in it so, and for some time after. Its
events are numbered: the numbers grow over all rooms, and over restarts, since they begin with the clock. The promise:
who has all events up to a number, and joins with it, is told exactly those that it missed, in order, and then goes on;
or that some of them are kept no more. Each event is a record in the log before it is told, so that it outlives the
server; a start reads them back (`take_up`).

What nobody asks the history of costs nothing. Tests: tests/watch/test_history.py.
"""

from __future__ import annotations

import time
from collections import OrderedDict, deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from heapq import merge
from typing import Any

from engine.change import Job
from engine.emitted import DROPPED, EVENT, KEPT, START, Emitted
from engine.encoding import log_packer, log_unpack, wire
from watch.audience import Channel, Say, Subscriber
from watch.events import ROOM_EMIT

__all__ = ["RoomHistory"]

_pack: Callable[[Any], bytes] = log_packer(wire).pack

OVERHEAD = 200
"""Bytes that an event takes besides its arguments, about."""


class _Kept:
    """A room. `floor` is the number up to which its events may be lost; `numbered` are those who are told numbers."""

    __slots__ = ("floor", "left_at", "numbered", "numbers", "plain", "scope")

    def __init__(self, floor: int, scope: str) -> None:
        self.floor = floor
        self.scope = scope
        self.numbers: deque[int] = deque()
        self.numbered = Channel()
        self.plain = Channel()
        self.left_at: float | None = None


class RoomHistory:
    """One for the server, of all rooms.

    `count` bounds the events that are kept of a room, `seconds` how long, `size` the bytes of all together. `start` is
    the number before the first, by default the clock's, in microseconds.
    `keep` has a job logged, as a change of its own.
    """

    def __init__(
        self,
        say: Say,
        *,
        count: int = 1000,
        seconds: float = 3600.0,
        size: int = 8 << 20,
        start: int | None = None,
        clock: Callable[[], float] = time.monotonic,
        keep: Callable[[Job], None] | None = None,
    ) -> None:
        self.say = say
        self.keep = keep
        self.count = count
        self.seconds = seconds
        self.size = size
        self.clock = clock
        self.number = time.time_ns() // 1000 if start is None else start
        """The last one that was given."""
        self.rooms: dict[int, _Kept] = {}
        self.kept_bytes = 0
        self._events: OrderedDict[int, tuple[int, float, bytes]] = OrderedDict()  # by number: room, when, packed

    def take_up(self, records: Iterable[Emitted], whole: bool, titles: Mapping[int, str], now: float) -> Job | None:
        """Go on from the records of earlier runs, the last ones of the log, for the rooms that there still are: those
        in `titles`, each with its scope. `whole`: there were none before. `now` is by the clock that they have.

        What comes of it is to be logged: else a later start could see more of the records, and miss what is lost now.
        """
        clock = self.clock()
        first: int | None = None
        for at, name, (room_id, number, *packed) in records:
            first = number if first is None else first
            self.number = max(self.number, number)
            if name == START:
                for other in [other for other in self.rooms if other not in packed[0]]:
                    self.forget(other)
            if room_id not in titles:
                continue
            if name == EVENT:
                kept = self.rooms.get(room_id)
                if kept is None:  # since before the records begin: what was emitted up to there is not known
                    kept = self._begin(room_id, first - 1, titles[room_id])
                self._add(room_id, kept, number, clock - max(now - at, 0.0), packed[0])
            else:
                self.forget(room_id)
                if name == KEPT:
                    self._begin(room_id, number, titles[room_id])
        self._trim(clock)
        if not self.count:
            whole = whole and first is None
            self.rooms.clear()
        if whole:
            return None
        self.number += 1
        return {START: [0, self.number, list(self.rooms)]}

    def _begin(self, room_id: int, floor: int, scope: str) -> _Kept:
        kept = self.rooms[room_id] = _Kept(floor, scope)
        kept.left_at = self.clock()
        return kept

    # --- members -----------------------------------------------------------------------------------------------------

    def joined(self, subscriber: Subscriber, room_id: int) -> None:
        """A room that is kept has a new member."""
        kept = self.rooms[room_id]
        if subscriber not in kept.numbered.members:
            kept.plain.add(subscriber, None)

    def with_history(self, subscriber: Subscriber, room_id: int, scope: str, members: Iterable[Subscriber]) -> None:
        """Tell one of a room's members numbers from here on, and keep what is emitted there."""
        kept = self.rooms.get(room_id)
        if kept is None:
            # A number of its own, so that who knows the one before does not take what was emitted unkept for nothing.
            self.number += 1
            kept = self._begin(room_id, self.number, scope)
            self._log(KEPT, room_id)
            for member in members:
                kept.plain.add(member, None)
        kept.scope = scope  # collections can be renamed
        kept.plain.discard(subscriber)
        kept.numbered.add(subscriber, None)

    def left(self, subscriber: Subscriber, room_id: int) -> None:
        """A member has left a room that is kept."""
        kept = self.rooms[room_id]
        kept.plain.discard(subscriber)
        if kept.numbered.discard(subscriber) and not kept.numbered.members:
            kept.left_at = self.clock()

    def forget(self, room_id: int) -> None:
        """Keep a room no more, as when it is gone."""
        kept = self.rooms.pop(room_id, None)
        if kept is not None:
            for number in kept.numbers:
                self._drop(number)

    def channels_of(self, room_id: int) -> Iterable[Channel]:
        """Those by which the members of a room get its events, if the room is kept."""
        kept = self.rooms.get(room_id)
        return () if kept is None else (kept.numbered, kept.plain)

    # --- events ------------------------------------------------------------------------------------------------------

    def record(self, room_id: int, data: dict[str, Any]) -> int | None:
        """Keep an event of a room that is kept, in the log too: its number, which `tell` wants. None when the room is
        kept no more."""
        kept, now = self.rooms[room_id], self.clock()
        self.number += 1
        number = self.number
        if not kept.numbered.members and kept.left_at is not None and now - kept.left_at > self.seconds:
            self.forget(room_id)
            self._log(DROPPED, room_id)
            return None
        kept.scope = data["scope"]
        try:
            packed = _pack([data["event"], data["args"]])
        except (ValueError, OverflowError):  # nested too deep to be sent, too
            self._lose(room_id, kept, number)
        else:
            self._log(EVENT, room_id, packed)
            self._add(room_id, kept, number, now, packed)
        self._trim(now)
        return number

    def tell(self, room_id: int, data: dict[str, Any], left_out: Subscriber | None, number: int) -> None:
        """Say an event that was recorded to the members of its room."""
        kept = self.rooms.get(room_id)
        if kept is None:
            return
        kept.numbered.say_except(self.say, left_out, ROOM_EMIT, data | {"number": number})
        if kept.plain.members:
            kept.plain.say_except(self.say, left_out, ROOM_EMIT, data)

    def _add(self, room_id: int, kept: _Kept, number: int, at: float, packed: bytes) -> None:
        self._events[number] = room_id, at, packed
        self.kept_bytes += len(packed) + OVERHEAD
        kept.numbers.append(number)
        if len(kept.numbers) > self.count:
            self._drop_first(kept)

    def _lose(self, room_id: int, kept: _Kept, number: int) -> None:
        """An event can't be kept, and so none before it is of use."""
        while kept.numbers:
            self._drop_first(kept)
        kept.floor = number
        self._log(KEPT, room_id)

    def _log(self, name: str, room_id: int, *packed: bytes) -> None:
        if self.keep is not None and self.count:
            self.keep({name: [room_id, self.number, *packed]})

    def tells_numbers(self, subscriber: Subscriber, room_id: int) -> bool:
        """Is it a member of a room with history?"""
        kept = self.rooms.get(room_id)
        return kept is not None and subscriber in kept.numbered.members

    def is_whole(self, room_id: int, since: int) -> bool:
        """Is all that was emitted in a room since that number still kept?"""
        self._trim(self.clock())
        kept = self.rooms.get(room_id)
        return kept is not None and kept.floor <= since <= self.number

    def missed(self, rooms: Iterable[int], since: int) -> Iterator[dict[str, Any]]:
        """What is kept of these rooms' events after a number, in order, as the bodies of events."""
        found = [self._missed(room_id, since) for room_id in rooms]
        return found[0] if len(found) == 1 else merge(*found, key=lambda data: data["number"])

    def _missed(self, room_id: int, since: int) -> Iterator[dict[str, Any]]:
        kept = self.rooms.get(room_id)
        if kept is None:
            return
        later = []
        for number in reversed(kept.numbers):
            if number <= since:
                break
            later.append(number)
        for number in reversed(later):
            event, arguments = log_unpack(self._events[number][2])
            yield {"scope": kept.scope, "id": room_id, "event": event, "args": arguments, "number": number}

    # --- bounds ------------------------------------------------------------------------------------------------------

    def _trim(self, now: float) -> None:
        """Let go of what is too old, and of the oldest while all together is too large."""
        while self._events:
            room_id, at, _ = next(iter(self._events.values()))
            if self.kept_bytes <= self.size and now - at <= self.seconds:
                return
            self._drop_first(self.rooms[room_id])

    def _drop_first(self, kept: _Kept) -> None:
        kept.floor = kept.numbers.popleft()
        self._drop(kept.floor)

    def _drop(self, number: int) -> None:
        _, _, packed = self._events.pop(number)
        self.kept_bytes -= len(packed) + OVERHEAD
