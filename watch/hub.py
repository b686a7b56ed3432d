"""The hub: the channels of things and rooms, and what an outcome says in them.

The promise: for each thing, a subscriber gets its first state, then every mutation made after that state, in order,
once. Events are made when the query ran, so that their audience is who watched then; the outbox behind `say` holds
them until the change is durable. Tests: tests/watch/.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from engine.change import Internal
from engine.effects import InstanceJob, Log, RoomEvent, Unwatch, Watch
from engine.users import QUERY
from watch.audience import Channel, Say, Subscriber
from watch.events import (
    ROOM_DELETE,
    ROOM_EMIT,
    WARNING,
    WATCH_DELETE,
    WATCH_INIT,
    WATCH_STOP,
    WATCH_UPDATE,
    logged,
    runs,
    update,
)

if TYPE_CHECKING:
    from engine.change import Change
    from engine.engine import Engine, Outcome
    from engine.scopes import Scope

__all__ = ["Hub"]


class Hub:
    """One for the server. Everything it says goes through `say`."""

    def __init__(self, engine: Engine, say: Say) -> None:
        self.engine = engine
        self.say = say
        self.things: dict[int, Channel] = {}
        self.rooms: dict[int, Channel] = {}
        self.node = Channel()
        self._watched: dict[Subscriber, set[int]] = {}
        self._joined: dict[Subscriber, set[int]] = {}
        self._rights = engine.rights_version
        # Who began to watch a thing in the middle of the change being told, and after how many of its mutations.
        self._late: dict[int, dict[Subscriber, int]] = {}

    # --- subscriptions -----------------------------------------------------------------------------------------------

    def watch(self, subscriber: Subscriber, thing_id: int, scope: Scope, right: int) -> None:
        """Subscribe to a thing of a scope, for as long as the subscriber's user has the right there."""
        channel = self.things.get(thing_id)
        if channel is None:
            channel = self.things[thing_id] = Channel()
        channel.add(subscriber, (scope, right))
        self._watched.setdefault(subscriber, set()).add(thing_id)

    def unwatch(self, subscriber: Subscriber, thing_id: int) -> bool:
        """End a subscription to a thing; False when there was none."""
        channel = self.things.get(thing_id)
        if channel is None or not channel.discard(subscriber):
            return False
        if not channel.members:
            del self.things[thing_id]
        self._watched[subscriber].discard(thing_id)
        return True

    def join(self, subscriber: Subscriber, room_id: int) -> bool:
        """Subscribe to a room; False when it was subscribed already."""
        channel = self.rooms.get(room_id)
        if channel is None:
            channel = self.rooms[room_id] = Channel()
        self._joined.setdefault(subscriber, set()).add(room_id)
        return channel.add(subscriber, None)

    def leave(self, subscriber: Subscriber, room_id: int) -> bool:
        """End a subscription to a room; False when there was none."""
        channel = self.rooms.get(room_id)
        if channel is None or not channel.discard(subscriber):
            return False
        if not channel.members:
            del self.rooms[room_id]
        self._joined[subscriber].discard(room_id)
        return True

    def watches_node(self, subscriber: Subscriber) -> bool:
        """Does it get the node's status as a bare word?"""
        return subscriber in self.node.members

    def drop(self, subscriber: Subscriber) -> None:
        """The connection is gone: all its subscriptions end, without a word."""
        for thing_id in list(self._watched.get(subscriber, ())):
            self.unwatch(subscriber, thing_id)
        for room_id in list(self._joined.get(subscriber, ())):
            self.leave(subscriber, room_id)
        self._watched.pop(subscriber, None)
        self._joined.pop(subscriber, None)
        self.node.discard(subscriber)

    # --- outcomes ----------------------------------------------------------------------------------------------------

    def before_reply(self, outcome: Outcome, subscriber: Subscriber | None) -> None:
        """Say what the query said while it ran, then the updates of its change."""
        change = outcome.change
        if outcome.effects:
            for effect in outcome.effects:
                self._effect(effect, change, subscriber)
        if change is not None and self.things and change.mutations:
            self._updates(change)
        if self._late:
            self._late.clear()

    def after_reply(self, outcome: Outcome) -> None:
        """Say what is gone, and end subscriptions that their users may no longer have."""
        if outcome.deleted:
            for thing_id in outcome.deleted:
                if thing_id in self.things:
                    self._delete(thing_id)
        if outcome.closed_rooms:
            for scope, room_id in outcome.closed_rooms:
                self._close_room(scope, room_id)
        if self.engine.rights_version != self._rights:
            self._rights = self.engine.rights_version
            self._check_rights()

    def _updates(self, change: Change) -> None:
        things = self.things
        mutations = change.mutations
        if len(mutations) == 1:
            thing_id, job = mutations[0]
            channel = things.get(thing_id)
            if channel is not None and type(job) is not Internal and not self._late:
                channel.say(self.say, WATCH_UPDATE, update(thing_id, change.id, [job]))
                return
        for first, thing_id, jobs in runs(mutations, things):
            late = self._late.get(thing_id)
            if late is None:
                things[thing_id].say(self.say, WATCH_UPDATE, update(thing_id, change.id, jobs))
            else:
                self._split_update(change, thing_id, first, len(jobs), late)

    def _split_update(self, change: Change, thing_id: int, first: int, count: int, late: dict[Subscriber, int]) -> None:
        """An update of a thing that some began to watch in the same query: they get what came after that."""
        positions: list[int] = []
        position = first
        while len(positions) < count:
            if change.mutations[position][0] == thing_id and type(change.mutations[position][1]) is not Internal:
                positions.append(position)
            position += 1
        for member in list(self.things[thing_id].members):
            since = late.get(member, 0)
            jobs = [change.mutations[position][1] for position in positions if position >= since]
            if jobs:
                self.say(member, member.form.event(WATCH_UPDATE, update(thing_id, change.id, jobs)))

    def _effect(self, effect: Any, change: Change | None, subscriber: Subscriber | None) -> None:
        kind = type(effect)
        if kind is RoomEvent:
            channel = self.rooms.get(effect.room)
            if channel is not None:
                data = {
                    "scope": effect.scope,
                    "id": effect.room,
                    "event": effect.event,
                    "args": effect.arguments,
                }
                channel.say_except(self.say, subscriber if effect.peers else None, ROOM_EMIT, data)
        elif kind is InstanceJob:
            assert change is not None
            for thing_id in effect.things:
                channel = self.things.get(thing_id)
                if channel is not None:
                    channel.say(self.say, WATCH_UPDATE, update(thing_id, change.id, [effect.job]))
        elif subscriber is None:
            return
        elif kind is Log:
            self.say(subscriber, subscriber.form.event(WARNING, logged(effect.text)))
        elif kind is Watch:
            self.watch(subscriber, effect.thing, effect.scope, QUERY)
            if effect.position:
                self._late.setdefault(effect.thing, {})[subscriber] = effect.position
            self.say(subscriber, subscriber.form.event(WATCH_INIT, effect.state))
        elif kind is Unwatch and self.unwatch(subscriber, effect.thing):
            self.say(subscriber, subscriber.form.event(WATCH_STOP, {"#": effect.thing}))

    def _delete(self, thing_id: int) -> None:
        channel = self.things.pop(thing_id)
        channel.say(self.say, WATCH_DELETE, {"#": thing_id})
        for member in channel.members:
            self._watched[member].discard(thing_id)

    def _close_room(self, scope: str, room_id: int) -> None:
        channel = self.rooms.pop(room_id, None)
        if channel is None:
            return
        channel.say(self.say, ROOM_DELETE, {"scope": scope, "id": room_id})
        for member in channel.members:
            self._joined[member].discard(room_id)

    def _check_rights(self) -> None:
        """End, with a stop event, the watches of users who lost the right to them."""
        for thing_id, channel in list(self.things.items()):
            for member, (scope, right) in list(channel.members.items()):
                user = member.user
                if user is None or user.deleted or not scope.access.get(user.id, 0) & right:
                    self.unwatch(member, thing_id)
                    self.say(member, member.form.event(WATCH_STOP, {"#": thing_id}))
