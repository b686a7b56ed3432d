"""Who gets which event of a connection."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

from livethings.errors import OperationError
from livethings.events import Delete, NodeStatus, Notice, Stop, Unrouted, Update

if TYPE_CHECKING:
    from livethings.live import Live
    from livethings.presence import Presence
    from livethings.rooms import Room
    from livethings.watches import Watch

__all__ = ["Registered", "Routes"]

S = TypeVar("S")

NODE_STATUS, INIT, UPDATE, DELETE, STOP, WARNING, ROOM_JOIN, ROOM_LEAVE, ROOM_EMIT, ROOM_DELETE = range(10)
LIVE_UPDATE, LIVE_END, PRESENCE_JOIN, PRESENCE_LEAVE, PRESENCE_END = range(64, 69)

NOT_WATCHABLE: Final = 1
"""The code of the warning that an id can't be watched."""

TOO_MUCH: Final = 4
"""The code of the warning that a deep watch reached too much and has ended."""

LEFT_OUT: Final = 5
"""The code of the warning that events of rooms and things were left out."""


class Registered(Generic[S]):
    """Subscriptions by the id of what they are about. The server knows one of each id for a connection, so the last to
    leave ends it there; but not while a request is under way that may be about the same, since it would end that too.
    """

    def __init__(self) -> None:
        self._members: dict[int, dict[S, None]] = {}
        self._under_way = 0
        self._ends: dict[int, Callable[[], None]] = {}

    def of(self, number: int) -> list[S]:
        """The subscriptions to what has this id."""
        return list(self._members.get(number, ()))

    def asked(self) -> None:
        """A request is under way. Its reply is followed by `answered`, after `enter`."""
        self._under_way += 1

    def answered(self) -> None:
        """A reply has come."""
        self._under_way -= 1
        if not self._under_way:
            ends, self._ends = self._ends, {}
            for number, end in ends.items():
                if number not in self._members:
                    end()

    def enter(self, number: int, subscription: S) -> None:
        """What comes from now on is for this subscription too."""
        self._members.setdefault(number, {})[subscription] = None

    def leave(self, number: int, subscription: S, end: Callable[[], None]) -> None:
        """Nothing more is for this subscription; `end` ends it on the server, when no other one is left."""
        members = self._members.get(number, {})
        if subscription not in members:
            return
        del members[subscription]
        if members:
            return
        del self._members[number]
        if self._under_way:
            self._ends[number] = end
        else:
            end()

    def ended(self, number: int) -> list[S]:
        """The server has ended it: whom it was for."""
        self._ends.pop(number, None)
        return list(self._members.pop(number, ()))


class Routes:
    """The subscriptions of one connection.

    A subscription is entered here when the reply to its request is taken in, not before: events of an earlier one that
    has ended may still be on their way until then.
    """

    def __init__(self) -> None:
        self.watches: dict[int, dict[Watch, None]] = {}
        self.claims: Counter[int] = Counter()
        """How many watches have asked for a thing, entered or not yet: the last to go ends it on the server."""
        self.expected: deque[tuple[Watch, int]] = deque()
        """First states that come next: those of a request follow its reply at once, so they belong to who asked."""
        self.sole: dict[Watch, None] = {}
        """The deep watch that the connection is there for: it gets the events of all things in its reach."""
        self.change = 0
        """All events of changes up to this one have come."""
        self.may_leave_out = False
        """The server leaves events out when we are too slow, and tells fresh state instead."""
        self._left_out = False  # since then, what comes of one thing says nothing of what came of the others
        self.rooms: Registered[Room] = Registered()
        self.presence: Registered[Presence] = Registered()
        self.live: dict[int, Live] = {}
        self.rest: Callable[[NodeStatus | Notice | Unrouted], None] = lambda event: None
        """Gets what is nobody's."""

    def deliver(self, kind: int, data: Any) -> None:
        """Give an event to those whom it is for."""
        if kind == UPDATE:
            change = data["event"]
            if change > self.change + 1 and not self._left_out:
                self.change = change - 1  # another update of this change may follow
            watches = self.watches.get(data["#"]) or self.sole
            if watches:
                update = Update(data["#"], change, data["jobs"])
                for watch in list(watches):
                    watch.on_update(update)
                return
        elif kind == INIT:
            thing_id = data["thing"]["#"]
            for position, (watch, expected) in enumerate(self.expected):
                if expected == thing_id:
                    del self.expected[position]
                    self._up_to(data["event"])
                    watch.on_init(thing_id, data)
                    return
            watches = self.watches.get(thing_id) or self.sole
            if self.may_leave_out and any(watch.knows(thing_id) for watch in watches):
                self._left_out = True
            self._up_to(data["event"])
            if watches:
                for watch in list(watches):
                    watch.on_init(thing_id, data)
                return
        elif kind in (DELETE, STOP):
            event = (Delete if kind == DELETE else Stop)(data["#"], data.get("event"))
            watches = self.watches.pop(event.id, {})
            self.claims[event.id] -= len(watches)
            if not self.claims[event.id]:
                del self.claims[event.id]
            if self.expected:  # a first state that was left out, since we were too slow, comes no more
                self.expected = deque(each for each in self.expected if each[1] != event.id)
            for watch in watches:
                watch.on_end(event)
            for watch in list(self.sole):
                watch.on_end(event)
            if watches or self.sole:
                return
        elif kind == WARNING:
            if data["warn_code"] == NOT_WATCHABLE and self.expected:
                watch, thing_id = self.expected.popleft()
                self.leave(watch, thing_id)
                watch.on_missing(thing_id, data["warn_msg"])
                return
            if data["warn_code"] == TOO_MUCH and self.sole:
                for watch in list(self.sole):
                    watch.fail(OperationError(data["warn_msg"]))
                return
            if data["warn_code"] == LEFT_OUT:
                for room_id in data["rooms"]:
                    for room in self.rooms.of(room_id):
                        room.on_gap()
            self.rest(Notice(data["warn_code"], data["warn_msg"]))
            return
        elif kind == ROOM_EMIT:
            for room in self.rooms.of(data["id"]):
                room.on_emit(data["event"], data["args"], data["number"])
            return
        elif kind == ROOM_DELETE:
            for room in self.rooms.ended(data["id"]):
                room.on_delete()
            return
        elif kind == LIVE_UPDATE:
            live = self.live.get(data["subscription"])
            if live is not None:
                live.on_update(data)
            return
        elif kind == LIVE_END:
            live = self.live.pop(data["subscription"], None)
            if live is not None:
                live.on_end(data)
            return
        elif kind in (PRESENCE_JOIN, PRESENCE_LEAVE):
            for presence in self.presence.of(data["room"] if "room" in data else data["thing"]):
                (presence.on_join if kind == PRESENCE_JOIN else presence.on_leave)(data["connection"], data["user"])
            return
        elif kind == PRESENCE_END:
            for presence in self.presence.ended(data["room"] if "room" in data else data["thing"]):
                presence.on_end()
            return
        elif kind in (ROOM_JOIN, ROOM_LEAVE):
            return
        elif kind == NODE_STATUS:
            self.rest(NodeStatus(data if isinstance(data, str) else data["status"]))
            return
        self.rest(Unrouted(kind, data))

    def _up_to(self, change: int) -> None:
        if change > self.change and not self._left_out:
            self.change = change

    def enter(self, watch: Watch, thing_id: int) -> None:
        """From now on the thing's events are for this watch too."""
        self.watches.setdefault(thing_id, {})[watch] = None

    def leave(self, watch: Watch, thing_id: int) -> bool:
        """The thing's events are not for this watch any more; true when they are for nobody."""
        watches = self.watches.get(thing_id)
        if watches is not None:
            watches.pop(watch, None)
            if not watches:
                del self.watches[thing_id]
        self.claims[thing_id] -= 1
        if self.claims[thing_id] > 0:
            return False
        del self.claims[thing_id]
        return True
