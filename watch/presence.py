"""Presence: who is in a room or watches a thing, for those who ask.

The promise: the list that the answer gives, kept up by the joins and leaves that follow, is who is there, at any
moment between two requests; until it ends with a word. A connection is there once, however it came to watch.
What nobody asks about costs nothing. Tests: tests/watch/test_presence.py.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from engine.collection import Collection
from engine.errors import AuthError, BadDataError, ForbiddenError, LookupFailed, OperationError
from engine.users import JOIN, name_allowed, require
from watch.audience import Channel, Say, Subscriber
from watch.events import PRESENCE_END, PRESENCE_JOIN, PRESENCE_LEAVE
from watch.lag import Lag

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from engine.context import Caller
    from engine.engine import Engine

__all__ = ["Presence"]


class _Observed:
    """A room or thing that somebody asked about: which one, as an event names it, and who gets the events."""

    __slots__ = ("channel", "collection", "id", "word")

    def __init__(self, collection: Collection, word: str, number: int) -> None:
        self.collection = collection
        self.word = word
        self.id = number
        self.channel = Channel()

    @property
    def head(self) -> dict[str, Any]:
        """What every event about it begins with. Collections can be renamed."""
        return {"scope": self.collection.title, self.word: self.id}

    def check(self, user: Any) -> None:
        """Raise ForbiddenError for who may not see who is there: it takes what watching or joining takes."""
        require(user, self.collection, JOIN)
        if self.word == "room":
            ref = self.collection.rooms.get(self.id)
            room = None if ref is None else ref()
            if not name_allowed(user, "rooms", None if room is None else room.name):
                raise ForbiddenError(f"the whitelist of the user {user.name} does not allow the room {self.id}")


class Presence:
    """One for the server. `things` and `rooms` are the hub's channels; the hub says who comes and goes.

    `per_connection` bounds what one connection may ask about, `per_subject` how many may ask about the same.
    """

    def __init__(
        self,
        engine: Engine,
        say: Say,
        things: Mapping[int, Channel],
        rooms: Mapping[int, Channel],
        *,
        per_connection: int = 1000,
        per_subject: int = 2000,
    ) -> None:
        self.engine = engine
        self.say = say
        self.per_connection = per_connection
        self.per_subject = per_subject
        self.observed: dict[int, _Observed] = {}
        """By id: things and rooms share one row of numbers."""
        self._channels = {"thing": things, "room": rooms}
        self._of: dict[Subscriber, set[int]] = {}
        self._numbers: dict[Subscriber, int] = {}
        self._last_number = 0

    # --- requests ----------------------------------------------------------------------------------------------------

    def ask(self, caller: Caller, scope: str, asked: Any) -> dict[str, Any]:
        """Who is there now, and the events from here on; gives the reply. Raises an EngineError when there is none."""
        collection, word, found = self._find(caller, scope, asked)
        subscriber, user = caller.subscriber, caller.user
        if subscriber is None:
            raise BadDataError("only a connection that takes events can ask for presence")
        if found is None:
            raise LookupFailed(f"there is no {word} {str(asked[word])[:80]} in the collection {collection.name}")
        observed = self.observed.get(found) or _Observed(collection, word, found)
        observed.check(user)
        if subscriber not in observed.channel.members:
            mine = self._of.setdefault(subscriber, set())
            if len(mine) >= self.per_connection:
                raise OperationError(f"a connection can ask for the presence of at most {self.per_connection}")
            if len(observed.channel.members) >= self.per_subject:
                raise OperationError(f"at most {self.per_subject} connections can ask for the presence of the same")
            mine.add(found)
            observed.channel.add(subscriber, None)
            self.observed[found] = observed
        elif isinstance(subscriber.form, Lag):
            subscriber.form.forget_presence(found)
        there = self._channels[word].get(found)
        present = [] if there is None else [self._entry(member) for member in there.members]
        return {word: found, "connection": self._number(subscriber), "present": present}

    def end(self, caller: Caller, scope: str, asked: Any) -> None:
        """Tell the caller no more of it. Nothing happens when it was not told anyway."""
        _, _, found = self._find(caller, scope, asked)
        if found is not None:
            subscriber = caller.subscriber
            self._stop(subscriber, found)
            if isinstance(subscriber.form, Lag):
                subscriber.form.forget_presence(found)

    def _find(self, caller: Caller, scope: str, asked: Any) -> tuple[Collection, str, int | None]:
        """The collection, whether a room or a thing is asked about, and its id; None when it is not there."""
        if caller.user is None:
            raise AuthError("log in first")
        collection = self.engine.watch_scope(scope)
        if not isinstance(collection, Collection):
            raise LookupFailed(f"{collection.title} has neither things nor rooms: they are in collections")
        require(caller.user, collection, JOIN)
        if not isinstance(asked, dict) or len(asked) != 1 or not asked.keys() <= self._channels.keys():
            raise BadDataError('presence is asked for with {"room": id or name} or {"thing": id}')
        ((word, which),) = asked.items()
        if word == "thing":
            if type(which) is not int:
                raise BadDataError("a thing is asked for by its id, an int")
            return collection, word, None if collection.find(which) is None else which
        if type(which) is not int and type(which) is not str:
            raise BadDataError("a room is asked for by its id, an int, or its name, a str")
        room = collection.find_room(which)
        return collection, word, None if room is None else room.id

    # --- who comes and goes ------------------------------------------------------------------------------------------

    def came(self, subscriber: Subscriber, number: int) -> None:
        """A connection has joined a room or begins to watch a thing."""
        self._tell(PRESENCE_JOIN, subscriber, number)

    def left(self, subscriber: Subscriber, number: int) -> None:
        """A connection is there no more."""
        self._tell(PRESENCE_LEAVE, subscriber, number)

    def _tell(self, kind: int, subscriber: Subscriber, number: int) -> None:
        observed = self.observed.get(number)
        if observed is not None:
            observed.channel.say(self.say, kind, observed.head | self._entry(subscriber))

    def user_changed(self, subscriber: Subscriber, before: Any) -> None:
        """A connection has logged in as somebody else: that one is there now, and what it may see has to be looked at.
        `before` is the user that it had."""
        for number in self._of.get(subscriber, set()).copy():
            self._check(self.observed[number], subscriber)
        for number, observed in self.observed.items():
            there = self._channels[observed.word].get(number)
            if there is not None and subscriber in there.members:
                left = observed.head | self._entry(subscriber) | {"user": before.name}
                observed.channel.say(self.say, PRESENCE_LEAVE, left)
                self.came(subscriber, number)

    def check_rights(self) -> None:
        """Somebody may have lost a right."""
        for observed in list(self.observed.values()):
            for member in list(observed.channel.members):
                self._check(observed, member)

    def gone(self, number: int) -> None:
        """A room or thing is gone."""
        observed = self.observed.get(number)
        if observed is not None:
            observed.channel.say(self.say, PRESENCE_END, observed.head)
            for member in list(observed.channel.members):
                self._stop(member, number)

    def close(self) -> None:
        """The server goes down: nobody is told who leaves for that."""
        self.observed.clear()
        self._of.clear()

    def drop(self, subscriber: Subscriber) -> None:
        """The connection is gone: it is told nothing any more. Its own leaves are still to come, then `forget`."""
        for number in self._of.pop(subscriber, set()).copy():
            self._stop(subscriber, number)

    def forget(self, subscriber: Subscriber) -> None:
        """Nothing will be said of the connection again."""
        self._numbers.pop(subscriber, None)

    def channels_of(self, subscriber: Subscriber) -> Iterable[Channel]:
        """Those by which a connection gets events of presence."""
        return (self.observed[number].channel for number in self._of.get(subscriber, ()))

    # -----------------------------------------------------------------------------------------------------------------

    def _check(self, observed: _Observed, subscriber: Subscriber) -> None:
        """End it, with a word, for a connection whose user may not see it any more."""
        try:
            observed.check(subscriber.user)
        except ForbiddenError:
            self.say(subscriber, subscriber.form.event(PRESENCE_END, observed.head))
            self._stop(subscriber, observed.id)

    def _stop(self, subscriber: Subscriber, number: int) -> None:
        observed = self.observed.get(number)
        if observed is not None and observed.channel.discard(subscriber):
            if not observed.channel.members:
                del self.observed[number]
            if mine := self._of.get(subscriber):
                mine.discard(number)

    def _entry(self, subscriber: Subscriber) -> dict[str, Any]:
        return {"connection": self._number(subscriber), "user": subscriber.user.name}

    def _number(self, subscriber: Subscriber) -> int:
        """A connection's number, given when it is first spoken of: the same for all who are told."""
        number = self._numbers.get(subscriber)
        if number is None:
            self._last_number += 1
            number = self._numbers[subscriber] = self._last_number
        return number
