"""Readers that are too slow for all their events, and asked for fresh state instead of being disconnected.

The promise: what was said before a connection fell behind reaches it as it was. Events after that are left out, and
noted by what they were about; when the reader has caught up, it gets each thing that was touched as it is then, each
live query's result, what is kept of rooms that were joined with history, and who came and went; and is told in which
rooms, and of which things, events of users are lost.
From there on all goes on as before. Ends (stop, delete, end) are never left out.

A connection that falls behind gets another form: a `Lag`, which makes no frame of an event but notes it. So whoever
says events need not know of it, and no note is taken while nobody is slow. Tests: tests/watch/test_lag.py.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Protocol

from engine.errors import EngineError
from watch.audience import Channel, Form, Subscriber
from watch.events import (
    LIVE_END,
    LIVE_UPDATE,
    PRESENCE_END,
    PRESENCE_JOIN,
    PRESENCE_LEAVE,
    ROOM_EMIT,
    WARN_NOT_WATCHABLE,
    WARNING,
    WATCH_DELETE,
    WATCH_INIT,
    WATCH_STOP,
    WATCH_UPDATE,
    left_out,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from watch.hub import Hub
    from watch.live import Live

__all__ = ["Lag", "SlowReaders"]

log = logging.getLogger("livethings.watch")

MAX_WARNINGS = 1000
"""Ids that can't be watched of which a connection that is behind is told in their place; of further ones at once."""

TOO_SLOW = "you read too slowly: events that were emitted are left out, and what changed is told as it is now"


class Lag:
    """The form of a connection that has fallen behind. `form` is the one that it has otherwise."""

    def __init__(self, form: Form) -> None:
        self.form = form
        self.things: dict[Any, Any] = {}
        """The ids of those to be told as they are. Among them, each under a key of its own, the bodies of warnings that
        an id can't be watched: only by their place among first states is it known which request they answer."""
        self._warnings = 0
        self.live: dict[int, None] = {}
        """Live queries whose result is to be told."""
        self.presence: dict[tuple[int, int], tuple[bool, int, Any]] = {}
        """By room or thing and connection: was it known to be there, and the last event about it."""
        self.emitted: dict[int, None] = {}
        self.rooms: dict[int, None] = {}
        """Things and rooms in which something was emitted that is lost."""
        self.numbered: dict[int, int] = {}
        """Rooms that were joined with history, each with the number after which events were left out."""

    def event(self, kind: int, data: Any) -> bytes:
        """The frame of an event that has to be told now, else nothing: it is noted."""
        if kind == WATCH_UPDATE:
            self.things[data["#"]] = None
            if any("event" in job for job in data["jobs"]):
                self.emitted[data["#"]] = None
        elif kind == WATCH_INIT:
            self.things[data["thing"]["#"]] = None
        elif kind == WARNING and data["warn_code"] == WARN_NOT_WATCHABLE and self._warnings < MAX_WARNINGS:
            self._warnings += 1
            self.things[object()] = data
        elif kind == LIVE_UPDATE:
            self.live[data["subscription"]] = None
        elif kind == ROOM_EMIT:
            if "number" in data:
                before = data["number"] - 1
                self.numbered[data["id"]] = min(before, self.numbered.get(data["id"], before))
            else:
                self.rooms[data["id"]] = None
        elif kind in (PRESENCE_JOIN, PRESENCE_LEAVE):
            key = _subject(data), data["connection"]
            noted = self.presence.pop(key, None)
            known = kind == PRESENCE_LEAVE if noted is None else noted[0]
            if known or kind == PRESENCE_JOIN:
                self.presence[key] = known, kind, data
        else:
            if kind in (WATCH_DELETE, WATCH_STOP):
                self.things.pop(data["#"], None)
            elif kind == LIVE_END:
                self.live.pop(data["subscription"], None)
            elif kind == PRESENCE_END:
                self.forget_presence(_subject(data))
            return self.form.event(kind, data)
        return b""

    def forget_presence(self, subject: int) -> None:
        """The reader is told anew who is there, or it is over."""
        for key in [key for key in self.presence if key[0] == subject]:
            del self.presence[key]


def _subject(data: Any) -> int:
    number: int = data["room"] if "room" in data else data["thing"]
    return number


class SlowReader(Subscriber, Protocol):
    """A connection whose form can be another for a time."""

    form: Form


class SlowReaders:
    """Takes connections out of the stream of events, and brings them back."""

    def __init__(self, hub: Hub, live: Live) -> None:
        self.hub = hub
        self.live = live

    def fall_behind(self, reader: SlowReader) -> None:
        """Leave out the reader's events from here on."""
        self._change_form(reader, Lag(reader.form))

    def catch_up(self, reader: SlowReader, size: int) -> bool:
        """Say what the reader has missed as it is now, up to about so many bytes. False when there is more of it. Until
        it comes back, further events are left out and noted all the same."""
        lag = reader.form
        if not isinstance(lag, Lag):
            return True
        for kind, data in self._missed(reader, lag):
            frame = lag.form.event(kind, data)
            size -= len(frame)
            self.hub.say(reader, frame)
            if size < 0 and (lag.things or lag.live or lag.presence or lag.numbered):
                return False
        return True

    def come_back(self, reader: SlowReader) -> None:
        """The reader, to whom all is told, gets events again as they come."""
        lag = reader.form
        if isinstance(lag, Lag):
            self._change_form(reader, lag.form)

    def _change_form(self, reader: SlowReader, form: Form) -> None:
        reader.form = form
        for channels in (self.hub.channels_of(reader), self.live.channels_of(reader)):
            for channel in channels:
                channel.renew()

    def _missed(self, reader: SlowReader, lag: Lag) -> Iterator[tuple[int, Any]]:
        """The events that take the place of those left out; each is no more noted when it is given."""
        history = self.hub.history
        for room_id, since in list(lag.numbered.items()):
            if not history.tells_numbers(reader, room_id):
                del lag.numbered[room_id]
            elif not history.is_whole(room_id, since):
                lag.rooms[room_id] = None
        if lag.emitted or lag.rooms:
            yield WARNING, left_out(TOO_SLOW, list(lag.rooms), list(lag.emitted))
            lag.emitted.clear()
            lag.rooms.clear()
        while lag.things:
            thing_id = next(iter(lag.things))
            warning = lag.things.pop(thing_id)
            if warning is not None:
                yield WARNING, warning
                continue
            state = self._state(reader, thing_id)
            if state is not None:
                yield WATCH_INIT, state
        while lag.live:
            number = next(iter(lag.live))
            del lag.live[number]
            result = self.live.result(reader, number)
            if result is not None:
                yield LIVE_UPDATE, result
        while lag.numbered:
            room_id, since = next(iter(lag.numbered.items()))
            for data in history.missed([room_id], since):
                lag.numbered[room_id] = data["number"]
                yield ROOM_EMIT, data
            del lag.numbered[room_id]
        while lag.presence:
            key = next(iter(lag.presence))
            _, kind, data = lag.presence.pop(key)
            yield kind, data

    def _state(self, reader: SlowReader, thing_id: int) -> Any:
        """The first event of a thing that the reader watches; None when it does not, or when it can't be told."""
        channel: Channel | None = self.hub.things.get(thing_id)
        if channel is None or reader not in channel.members:
            return None
        collection = channel.members[reader][0]
        thing = collection.find(thing_id)
        if thing is None:  # its end is about to be told
            return None
        try:
            return collection.initial_event(thing, self.hub.engine.last_change)
        except EngineError:
            log.exception("the state of the thing %d could not be told again", thing_id)
            self.hub.stop(reader, thing_id)
            return None
