"""The requests WATCH, UNWATCH, JOIN, LEAVE, EMIT and EMIT_PEER (spec/watch.md, section 3; spec/admin-and-protocol.md,
section 3), and watching with options: checks in the specification's order, then the reply, then the events that follow
it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from collections.abc import Set as AnySet
from typing import TYPE_CHECKING, Any, Final

from engine.collection import Collection
from engine.errors import AuthError, BadDataError, ForbiddenError, LookupFailed, OperationError
from engine.functions.registry import type_name
from engine.recent import DEFINITIONS, TOLD, Key
from engine.result import Result
from engine.scopes import NodeScope, Scope, ServerScope
from engine.users import JOIN, name_allowed, require
from engine.values.incoming import incoming
from watch.audience import Form, Subscriber
from watch.deep import MAX_DEEP
from watch.events import ROOM_EMIT, ROOM_JOIN, ROOM_LEAVE, WARNING, WATCH_DELETE, WATCH_INIT, WATCH_STOP, not_watchable
from watch.hub import Hub
from watch.lag import Lag
from watch.options import check_names
from watch.resume import MAX_MISSED_BYTES, Missed

if TYPE_CHECKING:
    from engine.context import Caller
    from engine.engine import Engine
    from engine.store.interface import Store

__all__ = ["Answer", "Requests", "Resumption"]

MAX_FIRST_BYTES: Final = 16 << 20
"""Bytes of first states that a deep watch may begin with, for a subscriber without a bound of its own."""


class Answer:
    """The reply's value, and what is said after it."""

    __slots__ = ("_events", "value")

    def __init__(self, value: Any = None, events: Callable[[], None] | None = None) -> None:
        self.value = value
        self._events = events

    def events(self) -> None:
        """Say the events that follow the reply."""
        if self._events is not None:
            self._events()


class Resumption:
    """A request whose answer may take time: when `proceed` gives something, that is to be done in another thread before
    it is called again; when it gives None, `answer` is due in the same turn, which may raise an EngineError."""

    __slots__ = ("answer", "proceed")

    def __init__(self, proceed: Callable[[], Callable[[], None] | None], answer: Callable[[], Answer]) -> None:
        self.proceed = proceed
        self.answer = answer


class Requests:
    """Answers the requests of subscribers. Raises an EngineError when nothing was done.

    `store` is where changes are read that somebody missed and that are not recent.
    """

    def __init__(self, engine: Engine, hub: Hub, store: Store | None = None) -> None:
        self.engine = engine
        self.hub = hub
        self.store = store
        self.resumed = self.restarted = 0
        """How often watches that were taken up went on where they were, and how often they began anew."""

    # --- watching ----------------------------------------------------------------------------------------------------

    def watch(self, caller: Caller, scope: str, ids: Sequence[Any]) -> Answer:
        """Watch things of a collection, or the node."""
        where, subscriber = self._watchable(caller, scope), caller.subscriber
        if isinstance(where, NodeScope):
            self.hub.node.add(subscriber, None)
            return Answer()
        self._check_ids(ids)
        return self._begin(subscriber, where, ids)

    def watch_with(self, caller: Caller, scope: str, options: Any) -> Answer | Resumption:
        """Watch things of a collection with options, a map: the `ids`; optional `deep`, how many steps from a thing
        to one that it contains are watched too; optional `since`, the last change that is known of them; and, with
        both, optional `known`, the ids of all that was in reach then."""
        where, subscriber = self._watchable(caller, scope), caller.subscriber
        if not isinstance(where, Collection):
            raise BadDataError("only things of collections can be watched with options")
        if not isinstance(options, dict):
            raise BadDataError("watch takes a map of options, with ids")
        check_names(options, ("ids", "deep", "since", "known"), "watch knows")
        ids, deep, since = options.get("ids"), options.get("deep"), options.get("since")
        if not isinstance(ids, list):
            raise BadDataError("ids is a list of the ids of things")
        self._check_ids(ids)
        if deep is not None and (type(deep) is not int or not 0 <= deep <= MAX_DEEP):
            raise BadDataError(f"deep is a number of steps from 0 to {MAX_DEEP}")
        if since is not None and (type(since) is not int or since < 0):
            raise BadDataError("since is the id of a change")
        known = options.get("known")
        if known is not None:
            if deep is None or since is None:
                raise BadDataError("known goes with deep and since")
            if not isinstance(known, list):
                raise BadDataError("known is a list of the ids of things")
            self._check_ids(known)
        if since is not None:
            if deep is not None:
                return self._resume_deep(caller, scope, where, ids, deep, since, known)
            return self._resume(caller, scope, where, ids, since)
        value: dict[str, Any] = {"change": self.engine.last_change}
        if deep is not None:
            return Answer(value, self._watch_deep(subscriber, where, ids, deep))
        return self._begin(subscriber, where, ids, value)

    def _begin(self, subscriber: Subscriber, where: Collection, ids: Sequence[int], value: Any = None) -> Answer:
        """Watch things from their first states on."""

        def events() -> None:
            for thing_id in reversed(ids):
                self.watch_thing(subscriber, where, thing_id)

        return Answer(value, events)

    def _resume(self, caller: Caller, scope: str, where: Collection, ids: Sequence[int], since: int) -> Resumption:
        """Take up the watches of things that a subscriber knows as they were at a change."""
        subscriber = caller.subscriber
        form = subscriber.form
        missed = self._missed(subscriber, where, ids, since)

        def answer() -> Answer:
            now = self._watchable(caller, scope)
            resumed = now is where and not missed.fresh and self._was_on_time(subscriber, form)
            value = {"change": self.engine.last_change, "resumed": resumed}
            self._count(resumed)
            if not resumed:
                assert isinstance(now, Collection)
                return self._begin(subscriber, now, ids, value)
            return Answer(value, events)

        def events() -> None:
            for frame in missed.frames:
                self.hub.say(subscriber, frame)
            for thing_id in dict.fromkeys(reversed(ids)):
                if where.find(thing_id) is None:
                    if 0 < thing_id < missed.next_id and thing_id not in missed.gone:
                        self.hub.say(subscriber, subscriber.form.event(WATCH_DELETE, {"#": thing_id}))
                    elif thing_id not in missed.gone:
                        self._warn(subscriber, where, thing_id)
                elif thing_id < missed.next_id:
                    self.hub.watch(subscriber, thing_id, where, JOIN)
                else:  # it was not there at that change
                    self.watch_thing(subscriber, where, thing_id)

        return Resumption(missed.proceed, answer)

    def _count(self, resumed: bool) -> None:
        if resumed:
            self.resumed += 1
        else:
            self.restarted += 1

    @staticmethod
    def _was_on_time(subscriber: Subscriber, form: Form) -> bool:
        """Has a subscriber kept up with its events since it had this form, and when it had it?"""
        return subscriber.form is form and not isinstance(form, Lag)

    def _missed(self, subscriber: Subscriber, where: Collection, ids: Iterable[int], since: int) -> Missed:
        limit = min(MAX_MISSED_BYTES, getattr(subscriber, "most_at_once", MAX_MISSED_BYTES) // 2)
        return Missed(self.engine, self.store, where, ids, since, subscriber.form, limit)

    def _resume_deep(
        self,
        caller: Caller,
        scope: str,
        where: Collection,
        ids: Sequence[int],
        depth: int,
        since: int,
        known: Sequence[int] | None,
    ) -> Resumption:
        """Take up a deep watch. Of what was known and is in reach, what was missed is told; what came into reach is
        told as it is now, and of what is out of it the end. Who does not say what was known is told nothing if nothing
        in reach has changed, and begins anew otherwise."""
        subscriber = caller.subscriber
        form = subscriber.form
        with self.hub.deep.planned(subscriber, where, ids, depth) as planned:
            near = {thing_id for reach in planned.values() for thing_id in reach.levels}
        if known is None:
            keys: list[Key] = [*near, (DEFINITIONS, where.id)]
            keys += [(TOLD, thing_id) for thing_id in near]
            known = list(near) if self.engine.recent.changed_since(keys, since) is False else None
        kept = [] if known is None else [thing_id for thing_id in dict.fromkeys(known) if thing_id in near]
        missed = self._missed(subscriber, where, kept, since)

        def answer() -> Answer:
            now = self._watchable(caller, scope)
            assert isinstance(now, Collection)
            resumed = known is not None and now is where and not missed.fresh and self._was_on_time(subscriber, form)
            value = {"change": self.engine.last_change, "resumed": resumed}
            self._count(resumed)
            told = (missed.frames, kept, missed.gone) if resumed else ([], [], set[int]())
            return Answer(value, self._watch_deep(subscriber, now, ids, depth, known or (), *told))

        return Resumption(missed.proceed, answer)

    def _watch_deep(
        self,
        subscriber: Subscriber,
        collection: Collection,
        ids: Sequence[int],
        depth: int,
        known: Sequence[int] = (),
        missed: Sequence[bytes] = (),
        kept: Sequence[int] = (),
        told_gone: AnySet[int] = frozenset(),
    ) -> Callable[[], None]:
        """Watch things with what they contain; gives what says the first states of each root and what is in its reach,
        nearest first. Of the things in `known`, what is out of reach is told to have ended; of those in `kept` the
        frames in `missed` are all that is to be told; they say of those in `told_gone` that they are gone."""
        deep, form = self.hub.deep, subscriber.form
        frames = list(missed)
        told = set(kept)
        expected = dict.fromkeys(known)
        room: int = getattr(subscriber, "most_at_once", MAX_FIRST_BYTES)
        roots = list(dict.fromkeys(reversed(ids)))
        with deep.planned(subscriber, collection, roots, depth) as planned:
            for root in roots:
                if root not in planned and root not in expected:
                    frames.append(form.event(WARNING, not_watchable(root, collection.name)))
                for thing_id in planned[root].nearest() if root in planned else ():
                    if thing_id in told:
                        continue
                    told.add(thing_id)
                    frames.append(self._state(form, collection, thing_id))
                    room -= len(frames[-1])
                    if room < 0:
                        raise OperationError(
                            "the first states of what is in reach have more bytes than may wait for a reader: "
                            "watch less deep, or fewer things"
                        )
            before = deep.begin(subscriber, planned)
        change = self.engine.last_change
        stops, deletes = [], []
        for thing_id in expected:
            if not self.hub.watches(subscriber, thing_id):
                if collection.find(thing_id) is not None:
                    stops.append(form.event(WATCH_STOP, {"#": thing_id, "event": change}))
                elif thing_id not in told_gone:
                    deletes.append(form.event(WATCH_DELETE, {"#": thing_id}))

        def events() -> None:
            for frame in frames:
                self.hub.say(subscriber, frame)
            deep.stop(subscriber, before)
            for frame in stops + deletes:
                self.hub.say(subscriber, frame)

        return events

    def watch_thing(self, subscriber: Subscriber, collection: Collection, thing_id: int) -> None:
        """Subscribe to a thing and say its state, or warn that there is none."""
        if collection.find(thing_id) is None:
            self._warn(subscriber, collection, thing_id)
            return
        self.hub.watch(subscriber, thing_id, collection, JOIN)
        self._say_state(subscriber, collection, thing_id)

    def _warn(self, subscriber: Subscriber, collection: Collection, thing_id: int) -> None:
        data = not_watchable(thing_id, collection.name)
        self.hub.say(subscriber, subscriber.form.event(WARNING, data))

    def _say_state(self, subscriber: Subscriber, collection: Collection, thing_id: int) -> None:
        self.hub.say(subscriber, self._state(subscriber.form, collection, thing_id))

    def _state(self, form: Form, collection: Collection, thing_id: int) -> bytes:
        thing = collection.find(thing_id)
        assert thing is not None
        return form.event(WATCH_INIT, collection.initial_event(thing, self.engine.last_change))

    def unwatch(self, caller: Caller, scope: str, ids: Sequence[Any]) -> Answer:
        """End watches."""
        where, subscriber = self._watchable(caller, scope), caller.subscriber
        if isinstance(where, NodeScope):
            self.hub.node.discard(subscriber)
            return Answer()
        self._check_ids(ids)

        def events() -> None:
            for thing_id in reversed(ids):
                if thing_id in where.index:
                    self.hub.end(subscriber, thing_id)

        return Answer(None, events)

    def _watchable(self, caller: Caller, scope: str) -> Collection | NodeScope:
        if caller.user is None:
            raise AuthError("log in first")
        where = self.engine.watch_scope(scope)
        if isinstance(where, ServerScope):
            raise LookupFailed("@thingsdb can't be watched: things are in collections")
        require(caller.user, where, JOIN)
        if isinstance(where, NodeScope):
            self.engine.this_node(scope)
        return where

    @staticmethod
    def _check_ids(ids: Sequence[Any]) -> None:
        for thing_id in ids:
            if type(thing_id) is not int:
                raise BadDataError(f"the ids of things to watch are ints, not {_kind(thing_id)}")

    # --- rooms -------------------------------------------------------------------------------------------------------

    def join(self, caller: Caller, scope: str, rooms: Sequence[Any]) -> Answer:
        """Join rooms; the value is the list of their ids, nil where there is none."""
        return self._join(caller, self._collection(caller, scope), rooms, False)

    def join_with(self, caller: Caller, scope: str, options: Any) -> Answer:
        """Join rooms with their history: `options` is a map with `rooms` and, optionally, `since`, the number up to
        which the caller has all of their events. The value is a map with the `rooms` as for `join`, the `number` of the
        last event so far and, with `since`, whether all that was missed is told."""
        collection = self._collection(caller, scope)
        if not isinstance(options, dict) or not isinstance(options.get("rooms"), list):
            raise BadDataError("join with history takes a map with rooms, a list")
        check_names(options, ("rooms", "since"), "join knows")
        rooms, since = options["rooms"], options.get("since")
        if since is not None and (type(since) is not int or since < 0):
            raise BadDataError("since is the number of an event, an int")
        for asked in rooms:
            self._room(collection, asked)
        joined = self._join(caller, collection, rooms, True)
        history, subscriber = self.hub.history, caller.subscriber
        ids = dict.fromkeys(room_id for room_id in joined.value if room_id is not None)
        value: dict[str, Any] = {"rooms": joined.value, "number": history.number}
        if since is None:
            return Answer(value, joined.events)
        value["resumed"] = all(history.is_whole(room_id, since) for room_id in ids)

        def events() -> None:
            joined.events()
            for data in history.missed(ids, since):
                self.hub.say(subscriber, subscriber.form.event(ROOM_EMIT, data))

        return Answer(value, events)

    def _join(self, caller: Caller, collection: Collection, rooms: Sequence[Any], with_history: bool) -> Answer:
        user, subscriber = caller.user, caller.subscriber
        assert user is not None
        joined: list[int] = []
        ids: list[int | None] = []

        def events() -> None:
            for room_id in joined:
                self.hub.say(subscriber, subscriber.form.event(ROOM_JOIN, {"scope": collection.title, "id": room_id}))

        for asked in rooms:
            if type(asked) is not int and type(asked) is not str:
                events()  # rooms before it have been joined
            room = self._room(collection, asked)
            if room is not None and not name_allowed(user, "rooms", room.name):
                if len(rooms) == 1:
                    raise self._not_allowed(caller, asked)
                room = None
            if room is not None and (
                self.hub.join_with_history(subscriber, room.id, collection.title)
                if with_history
                else self.hub.join(subscriber, room.id)
            ):
                joined.append(room.id)
            ids.append(None if room is None else room.id)
        return Answer(ids, events)

    def leave(self, caller: Caller, scope: str, rooms: Sequence[Any]) -> Answer:
        """Leave rooms; the value as for `join`."""
        collection, subscriber = self._collection(caller, scope), caller.subscriber
        left: list[int] = []
        ids: list[int | None] = []

        def events() -> None:
            for room_id in left:
                self.hub.say(subscriber, subscriber.form.event(ROOM_LEAVE, {"scope": collection.title, "id": room_id}))

        for asked in rooms:
            room = self._room(collection, asked)
            if room is not None and self.hub.leave(subscriber, room.id):
                left.append(room.id)
            ids.append(None if room is None else room.id)
        return Answer(ids, events)

    def emit(self, caller: Caller, scope: str, items: Sequence[Any], peers: bool) -> Answer:
        """Say an event in a room: `items` are the room, the event and its arguments."""
        collection = self._collection(caller, scope)
        if len(items) < 2:
            raise BadDataError("emit takes a room, an event and the event's arguments")
        asked, event, *arguments = items
        if type(asked) is int and asked < 0:
            raise BadDataError("the id of a room is not negative")
        room = self._room(collection, asked)
        if room is None:
            raise LookupFailed(f"there is no room {asked} in the collection {collection.name}")
        if type(event) is not str:
            raise BadDataError(f"the name of an event is a str, not {_kind(event)}")
        shown = Result(None)
        trees = [shown.show(incoming(argument), 127) for argument in arguments]
        data = {"scope": collection.title, "id": room.id, "event": event, "args": trees}
        room_id = room.id
        number = self.hub.record(room_id, data)  # before the reply, which says that it is kept
        return Answer(None, lambda: self.hub.tell(room_id, data, caller.subscriber if peers else None, number))

    def _collection(self, caller: Caller, scope: str) -> Collection:
        if caller.user is None:
            raise AuthError("log in first")
        where: Scope = self.engine.scope(scope)
        if not isinstance(where, Collection):
            raise BadDataError(f"{where.title} has no rooms: they are in collections")
        require(caller.user, where, JOIN)
        return where

    @staticmethod
    def _room(collection: Collection, asked: Any) -> Any:
        if type(asked) is int or type(asked) is str:
            return collection.find_room(asked)
        raise BadDataError(f"a room is asked for by its id or name, not by {_kind(asked)}")

    @staticmethod
    def _not_allowed(caller: Caller, asked: Any) -> ForbiddenError:
        return ForbiddenError(f"the whitelist of the user {caller.user.name} does not allow the room {asked}")  # type: ignore[union-attr]


def _kind(sent: Any) -> str:
    """The kind of a value that a client sent, as the language calls it."""
    return "thing" if isinstance(sent, dict) else "list" if isinstance(sent, list | tuple) else type_name(sent)
