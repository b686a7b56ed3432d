"""The hub: the channels of things and rooms, and what an outcome says in them.

The promise: for each thing, a subscriber gets its first state, then every mutation made after that state, in order,
once. Events are made when the query ran, so that their audience is who watched then; the outbox behind `say` holds
them until the change is durable. Tests: tests/watch/.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import TYPE_CHECKING, Any

from engine.change import Internal
from engine.effects import Gone, InstanceJob, Log, Renewed, RoomEvent, Unwatch, Watch
from engine.users import JOIN, QUERY, RUN
from watch.audience import Channel, Say, Subscriber
from watch.deep import MAX_DEEP_THINGS, DeepWatches
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
from watch.history import RoomHistory
from watch.presence import Presence

if TYPE_CHECKING:
    from engine.change import Change
    from engine.engine import Engine
    from engine.outcome import Outcome
    from engine.scopes import Scope

__all__ = ["Hub"]

log = logging.getLogger("livethings.watch")


class Hub:
    """One for the server. Everything it says goes through `say`.

    `deep_things` bounds what the deep watches of one connection may reach; `history` is that of rooms.
    """

    def __init__(
        self, engine: Engine, say: Say, deep_things: int = MAX_DEEP_THINGS, history: RoomHistory | None = None
    ) -> None:
        self.engine = engine
        self.say = say
        self.things: dict[int, Channel] = {}
        self.rooms: dict[int, Channel] = {}
        self.node = Channel()
        self.presence = Presence(engine, say, self.things, self.rooms)
        self.history = RoomHistory(say) if history is None else history
        self.deep = DeepWatches(self, deep_things)
        self._watched: dict[Subscriber, set[int]] = {}
        self._joined: dict[Subscriber, set[int]] = {}
        self._rights = engine.rights_version
        # Of the change being told: who began to watch a thing in the middle of it, and after how many of its mutations;
        # and how many were told of a thing already, to all.
        self._late: dict[int, dict[Subscriber, int]] = {}
        self._told: dict[int, int] = {}

    @property
    def subscriptions(self) -> tuple[int, int]:
        """How many watches of things and how many joins of rooms there are, each counted once a subscriber."""
        return sum(map(len, self._watched.values())), sum(map(len, self._joined.values()))

    # --- subscriptions -----------------------------------------------------------------------------------------------

    def watch(self, subscriber: Subscriber, thing_id: int, scope: Scope, right: int) -> None:
        """Subscribe to a thing of a scope, for as long as the subscriber's user has the right there, or one of them."""
        self._watch(subscriber, thing_id, (scope, right, True))

    def reach(self, subscriber: Subscriber, thing_id: int, scope: Scope) -> bool:
        """Subscribe to a thing since a deep watch reaches it; False when it was subscribed to already."""
        channel = self.things.get(thing_id)
        if channel is not None and subscriber in channel.members:
            return False
        self._watch(subscriber, thing_id, (scope, JOIN, False))
        return True

    def _watch(self, subscriber: Subscriber, thing_id: int, note: tuple[Scope, int, bool]) -> None:
        """Enter or renew a subscription: with the right that keeps it, and whether the thing is watched by itself."""
        channel = self.things.get(thing_id)
        if channel is None:
            channel = self.things[thing_id] = Channel()
        self._watched.setdefault(subscriber, set()).add(thing_id)
        if channel.add(subscriber, note) and thing_id in self.presence.observed:
            self.presence.came(subscriber, thing_id)

    def leave_reach(self, subscriber: Subscriber, thing_id: int) -> bool:
        """No deep watch reaches a thing any more: end the subscription, unless it is there for itself too, or the thing
        is gone and that is yet to be told. False when nothing ended."""
        channel = self.things.get(thing_id)
        if channel is None or subscriber not in channel.members:
            return False
        scope, _, by_itself = channel.members[subscriber]
        return not by_itself and scope.find(thing_id) is not None and self.unwatch(subscriber, thing_id)

    def end(self, subscriber: Subscriber, thing_id: int) -> None:
        """End what was asked for of a thing, with a word: its watch, and its deep watch with all that only that
        reached. A thing that another deep watch reaches is still watched."""
        if not self.deep.has(subscriber):
            self.stop(subscriber, thing_id)
            return
        channel = self.things.get(thing_id)
        if channel is not None and subscriber in channel.members:
            scope, _, _ = channel.members[subscriber]
            channel.members[subscriber] = (scope, JOIN, False)
        self.deep.stop(subscriber, self.deep.unwatch(subscriber, thing_id) or [thing_id])

    def watches(self, subscriber: Subscriber, thing_id: int) -> bool:
        """Is there a subscription to a thing, whatever it is there for?"""
        return thing_id in self._watched.get(subscriber, ())

    def watched(self, subscriber: Subscriber) -> list[int]:
        """The ids of all things that there are subscriptions to."""
        return list(self._watched.get(subscriber, ()))

    def unwatch(self, subscriber: Subscriber, thing_id: int) -> bool:
        """End a subscription to a thing, whatever it is there for; False when there was none."""
        channel = self.things.get(thing_id)
        if channel is None or not channel.discard(subscriber):
            return False
        if not channel.members:
            del self.things[thing_id]
        self._watched[subscriber].discard(thing_id)
        if thing_id in self.presence.observed:
            self.presence.left(subscriber, thing_id)
        return True

    def stop(self, subscriber: Subscriber, thing_id: int) -> None:
        """End a subscription to a thing with a word, if there is one."""
        if self.unwatch(subscriber, thing_id):
            self.say(subscriber, subscriber.form.event(WATCH_STOP, {"#": thing_id}))

    def join(self, subscriber: Subscriber, room_id: int) -> bool:
        """Subscribe to a room; False when it was subscribed already."""
        channel = self.rooms.get(room_id)
        if channel is None:
            channel = self.rooms[room_id] = Channel()
        self._joined.setdefault(subscriber, set()).add(room_id)
        if not channel.add(subscriber, None):
            return False
        if room_id in self.history.rooms:
            self.history.joined(subscriber, room_id)
        if room_id in self.presence.observed:
            self.presence.came(subscriber, room_id)
        return True

    def join_with_history(self, subscriber: Subscriber, room_id: int, scope: str) -> bool:
        """As `join`, and the room's events are kept, and told with their numbers, from here on."""
        new = self.join(subscriber, room_id)
        self.history.with_history(subscriber, room_id, scope, self.rooms[room_id].members)
        return new

    def emit(self, room_id: int, data: dict[str, Any], left_out: Subscriber | None) -> None:
        """Say an event in a room, to all who joined it but one."""
        self.tell(room_id, data, left_out, self.record(room_id, data))

    def record(self, room_id: int, data: dict[str, Any]) -> int | None:
        """Keep an event of a room with history, before `tell`; its number, None if there is none."""
        return self.history.record(room_id, data) if room_id in self.history.rooms else None

    def tell(self, room_id: int, data: dict[str, Any], left_out: Subscriber | None, number: int | None) -> None:
        """Say an event in a room, to all who joined it but one."""
        if number is not None:
            self.history.tell(room_id, data, left_out, number)
            return
        channel = self.rooms.get(room_id)
        if channel is not None:
            channel.say_except(self.say, left_out, ROOM_EMIT, data)

    def leave(self, subscriber: Subscriber, room_id: int) -> bool:
        """End a subscription to a room; False when there was none."""
        channel = self.rooms.get(room_id)
        if channel is None or not channel.discard(subscriber):
            return False
        if not channel.members:
            del self.rooms[room_id]
        self._joined[subscriber].discard(room_id)
        if room_id in self.history.rooms:
            self.history.left(subscriber, room_id)
        if room_id in self.presence.observed:
            self.presence.left(subscriber, room_id)
        return True

    def watches_node(self, subscriber: Subscriber) -> bool:
        """Does it get the node's status as a bare word?"""
        return subscriber in self.node.members

    def drop(self, subscriber: Subscriber) -> None:
        """The connection is gone: all its subscriptions end, without a word to it."""
        self.presence.drop(subscriber)
        self.deep.drop(subscriber)
        for thing_id in list(self._watched.get(subscriber, ())):
            self.unwatch(subscriber, thing_id)
        for room_id in list(self._joined.get(subscriber, ())):
            self.leave(subscriber, room_id)
        self._watched.pop(subscriber, None)
        self._joined.pop(subscriber, None)
        self.node.discard(subscriber)
        self.presence.forget(subscriber)

    def user_changed(self, subscriber: Subscriber, before: Any) -> None:
        """The connection has logged in as another user than before; what it watches stays."""
        self.presence.user_changed(subscriber, before)

    def channels_of(self, subscriber: Subscriber) -> Iterable[Channel]:
        """All that the connection is a member of, and gets events by."""
        yield from (self.things[thing_id] for thing_id in self._watched.get(subscriber, ()))
        for room_id in self._joined.get(subscriber, ()):
            yield self.rooms[room_id]
            yield from self.history.channels_of(room_id)
        yield from self.presence.channels_of(subscriber)

    # --- outcomes ----------------------------------------------------------------------------------------------------

    def before_reply(self, outcome: Outcome, subscriber: Subscriber | None) -> None:
        """Say what the query said while it ran, then the updates of its change."""
        change = outcome.change
        if outcome.effects:
            for effect in outcome.effects:
                self._effect(effect, change, subscriber)
        if change is not None and self.things and change.mutations:
            self._updates(change)
        if self.deep.reaches:
            self.deep.note(outcome)
        if self._late:
            self._late.clear()
        if self._told:
            self._told.clear()

    def settle(self) -> None:
        """All outcomes of a request have been to `before_reply`: say what it brought into reach of deep watches, and
        what left it."""
        if self.deep.reaches:
            try:
                self.deep.settle()
            except Exception:
                log.exception("what deep watches reach could not be found")
                self.deep.abandon()

    def after_reply(self, outcome: Outcome) -> None:
        """Say what is gone, and end subscriptions that their users may no longer have."""
        if outcome.deleted:
            for thing_id in outcome.deleted:
                if thing_id in self.things:
                    self._delete(thing_id)
                if thing_id in self.presence.observed:
                    self.presence.gone(thing_id)
        if outcome.closed_rooms:
            for scope, room_id in outcome.closed_rooms:
                self._close_room(scope, room_id)
        if self.engine.rights_version != self._rights:
            self._rights = self.engine.rights_version
            self._check_rights()

    def _updates(self, change: Change) -> None:
        mutations = change.mutations
        if len(mutations) == 1:
            thing_id, job = mutations[0]
            if thing_id in self.things and type(job) is not Internal and not self._late and not self._told:
                self._update(thing_id, update(thing_id, change.id, [job]))
                return
        for first, thing_id, jobs in runs(mutations, self.things):
            if thing_id in self._late or thing_id in self._told:
                self._split_update(change, thing_id, first, len(jobs))
            else:
                self._update(thing_id, update(thing_id, change.id, jobs))

    def _update(self, thing_id: int, data: dict[str, Any]) -> None:
        """Say an update of a thing to those who watch it."""
        try:
            self.things[thing_id].say(self.say, WATCH_UPDATE, data)
        except Exception:
            # Those who miss a mutation don't know the thing any more: they are told that they don't watch it.
            log.exception("an update of the thing %d could not be encoded", thing_id)
            for member in list(self.things[thing_id].members):
                self.stop(member, thing_id)

    def _split_update(self, change: Change, thing_id: int, first: int, count: int) -> None:
        """An update of a thing of which some know a part of the change already: they get what came after that."""
        told, late = self._told.get(thing_id, 0), self._late.get(thing_id, {})
        positions = list(islice(self._positions(change, thing_id, first), count))
        for member in list(self.things[thing_id].members):
            since = max(told, late.get(member, 0))
            jobs = [change.mutations[position][1] for position in positions if position >= since]
            if jobs:
                self.say(member, member.form.event(WATCH_UPDATE, update(thing_id, change.id, jobs)))

    @staticmethod
    def _positions(change: Change, thing_id: int, first: int, until: int | None = None) -> Iterator[int]:
        """The positions of the mutations of a thing that its watchers are told, from one position on, up to another."""
        for position in range(first, len(change.mutations) if until is None else until):
            if change.mutations[position][0] == thing_id and type(change.mutations[position][1]) is not Internal:
                yield position

    def _instance_job(self, change: Change, effect: InstanceJob) -> None:
        """Say what a change of a type did to its instances. What the change did to them before comes first."""
        changed = {thing_id for thing_id, _ in change.mutations[: effect.position]}
        for thing_id in effect.things:
            if thing_id not in self.things:
                continue
            if thing_id in changed:
                before = sum(1 for _ in self._positions(change, thing_id, 0, effect.position))
                self._split_update(change, thing_id, 0, before)
                self._told[thing_id] = effect.position
            self._update(thing_id, update(thing_id, change.id, [effect.job]))

    def _effect(self, effect: Any, change: Change | None, subscriber: Subscriber | None) -> None:
        kind = type(effect)
        if kind is RoomEvent:
            if effect.room in self.rooms or effect.room in self.history.rooms:
                data = {
                    "scope": effect.scope,
                    "id": effect.room,
                    "event": effect.event,
                    "args": effect.arguments,
                }
                self.emit(effect.room, data, subscriber if effect.peers else None)
        elif kind is InstanceJob:
            assert change is not None
            self._instance_job(change, effect)
        elif kind is Renewed:
            channel = self.things.get(effect.thing)
            if channel is not None:
                channel.say(self.say, WATCH_INIT, effect.state)
                self._told[effect.thing] = effect.position
        elif kind is Gone:
            for thing_id in effect.things:
                if thing_id in self.things:
                    self._delete(thing_id)
                if thing_id in self.presence.observed:
                    self.presence.gone(thing_id)
        elif subscriber is None:
            return
        elif kind is Log:
            self.say(subscriber, subscriber.form.event(WARNING, logged(effect.text)))
        elif kind is Watch:
            self.watch(subscriber, effect.thing, effect.scope, JOIN | QUERY | RUN)
            if effect.position:
                self._late.setdefault(effect.thing, {})[subscriber] = effect.position
            self.say(subscriber, subscriber.form.event(WATCH_INIT, effect.state))
        elif kind is Unwatch:
            self.end(subscriber, effect.thing)

    def _delete(self, thing_id: int) -> None:
        channel = self.things.pop(thing_id)
        channel.say(self.say, WATCH_DELETE, {"#": thing_id})
        for member in channel.members:
            self._watched[member].discard(thing_id)

    def _close_room(self, scope: str, room_id: int) -> None:
        channel = self.rooms.pop(room_id, None)
        if channel is not None:
            channel.say(self.say, ROOM_DELETE, {"scope": scope, "id": room_id})
            for member in channel.members:
                self._joined[member].discard(room_id)
        self.history.forget(room_id)
        self.presence.gone(room_id)

    @staticmethod
    def may_watch(subscriber: Subscriber, scope: Scope) -> bool:
        """Has the subscriber's user the right to watch things of a scope by request?"""
        return _has(subscriber, scope, JOIN)

    def _check_rights(self) -> None:
        """End, with a stop event, the watches of users who lost the right to them."""
        self.deep.check_rights()
        for thing_id, channel in list(self.things.items()):
            for member, (scope, right, _) in list(channel.members.items()):
                if not _has(member, scope, right):
                    self.stop(member, thing_id)
        for member in list(self.node.members):
            if not _has(member, self.engine.node, JOIN):
                self.node.discard(member)
        self.presence.check_rights()


def _has(subscriber: Subscriber, scope: Scope, right: int) -> bool:
    """Has the subscriber's user the right, or one of them?"""
    user = subscriber.user
    return user is not None and not user.deleted and bool(scope.access.get(user.id, 0) & right)
