"""Live queries: who subscribed to what, which of them are due, and what is said of their new results.

The promise: what a subscriber makes of the first result and the updates is what the query gives, whenever nothing is
due. A query runs again only when an outcome touched something that its last evaluation read. Identical subscriptions
share an evaluation and the frames made of it: all of them, until one asks who is asking; then those of each user. One
that can't go on ends with a word, and nobody else notices.

Nothing runs by itself: `changed` is told each outcome and marks what is due; the server calls `run` (server/live.py).
Tests: tests/watch/.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Container, Iterable
from typing import TYPE_CHECKING, Any

from engine.encoding import log_packer, wire
from engine.errors import BadDataError, EngineError, OperationError, RequestTimeout
from engine.live import Key, LiveQuery, touched_by, types_born
from engine.outcome import failed
from engine.recent import DEFINITIONS, SERVER
from watch.audience import Channel, Say, Subscriber
from watch.events import LIVE_END, LIVE_UPDATE
from watch.options import check_names
from watch.patch import difference

if TYPE_CHECKING:
    from engine.context import Caller
    from engine.engine import Engine
    from engine.outcome import Outcome

__all__ = ["Live"]

MAX_SENT = 64 << 10
"""Bytes that code and variables of a subscription may have."""

MAX_INTERVAL = 86400.0

MAX_READ = 1_000_000
"""What the live queries of one connection may have read all together: each thing is kept as long as its query is."""

_pack: Callable[[Any], bytes] = log_packer(wire).pack


class _Asking:
    """Who a live query runs for."""

    subscriber = None

    def __init__(self, user: Any) -> None:
        self.user = user


class _Shared:
    """One query with its subscribers, each noted in the channel with its user; `personal`: they have the same one.
    `keys` is what its last evaluation read, `value` its result, true at the change `evaluated` and the same since the
    change `since`."""

    def __init__(self, number: int, key: Any, query: LiveQuery, user: Any, interval: float) -> None:
        self.id = number
        self.key = key
        self.query = query
        self.asking = _Asking(user)
        self.personal = False
        self.interval = interval
        self.channel = Channel()
        self.users: Counter[Any] = Counter()
        self.keys: set[Key] = set()
        self.value: Any = None
        self.packed = b""
        self.since = 0
        self.evaluated = 0
        self.ready_at = 0.0
        self.settings: Any = None

    def add(self, subscriber: Subscriber, user: Any) -> None:
        """Somebody subscribes, as a user."""
        self.channel.add(subscriber, user)
        self.users[user] += 1

    def discard(self, subscriber: Subscriber) -> Any:
        """Somebody is no subscriber any more; the user that it was one as. It runs for one of those who are left."""
        user = self.channel.members[subscriber]
        self.channel.discard(subscriber)
        self.users[user] -= 1
        if not self.users[user]:
            del self.users[user]
            if self.users and user is self.asking.user:
                self.asking.user = next(iter(self.users))
        return user

    def for_user(self, user: Any) -> _Shared:
        """The same for the subscribers of one user, who leave this one."""
        other = _Shared(self.id, self.key, self.query, user, self.interval)
        other.settings, other.personal = self.settings, True
        for subscriber in [member for member, its in self.channel.members.items() if its is user]:
            self.discard(subscriber)
            other.add(subscriber, user)
        return other


class Live:
    """One for the server. Everything it says goes through `say`.

    `per_connection` bounds the subscriptions of one connection, `result_bytes` a result, `seconds` an evaluation.
    """

    def __init__(
        self,
        engine: Engine,
        say: Say,
        *,
        per_connection: int = 1000,
        result_bytes: int = 1 << 20,
        seconds: float = 1.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.engine = engine
        self.say = say
        self.per_connection = per_connection
        self.result_bytes = result_bytes
        self.seconds = seconds
        self.clock = clock
        self.evaluations = 0
        self.due: dict[_Shared, None] = {}
        self._numbers = 0
        self._shared: dict[_Shared, None] = {}
        self._alike: dict[Any, list[_Shared]] = {}
        self._readers: dict[Key, set[_Shared]] = {}
        self._of: dict[Subscriber, dict[int, _Shared]] = {}
        self._rights = engine.rights_version

    @property
    def active(self) -> bool:
        """Is there any subscription?"""
        return bool(self._shared)

    @property
    def subscriptions(self) -> int:
        """How many there are."""
        return sum(map(len, self._of.values()))

    @property
    def shared(self) -> int:
        """How many queries run for them."""
        return len(self._shared)

    # --- requests ----------------------------------------------------------------------------------------------------

    def subscribe(self, caller: Caller, scope: str, asked: Any) -> dict[str, Any]:
        """Subscribe to a query or procedure; gives the reply. Raises an EngineError when nothing was subscribed."""
        if not isinstance(asked, dict):
            raise BadDataError("subscribe takes a map with code or procedure")
        check_names(asked, ("code", "procedure", "vars", "args", "interval", "since"), "subscribe knows")
        interval, since = asked.get("interval") or 0.0, asked.get("since")
        if type(interval) not in (int, float) or not 0 <= interval <= MAX_INTERVAL:
            raise BadDataError(f"interval is a number of seconds from 0 to {MAX_INTERVAL:g}")
        if since is not None and type(since) is not int:
            raise BadDataError("since is the id of a change")
        by_code = asked.get("procedure") is None
        given = asked.get("vars" if by_code else "args")
        if asked.get("args" if by_code else "vars") is not None:
            raise BadDataError("vars go with code, and args with a procedure")
        subscriber = caller.subscriber
        if subscriber is None:
            raise BadDataError("only a connection that takes events can subscribe")
        user = caller.user
        query = LiveQuery(
            self.engine, user, scope, code=asked.get("code"), procedure=asked.get("procedure"), given=given
        )
        mine = self._of.get(subscriber, ())
        if len(mine) >= self.per_connection:
            raise OperationError(f"a connection can have at most {self.per_connection} live queries")
        packed = _pack([asked.get("code"), asked.get("procedure"), given, interval])
        if len(packed) > MAX_SENT:
            raise BadDataError(f"code and variables of a live query can have at most {MAX_SENT} bytes")
        key = (query.scope.id, packed)
        shared = self._fitting(key, user, mine)
        if shared is not None and shared in self.due:
            self._run(shared)  # its subscribers and this one must know the same result
            shared = self._fitting(key, user, mine)
            if shared in self.due:
                shared = None
        if shared is None:
            self._numbers += 1
            shared = _Shared(self._numbers, key, query, user, float(interval))
            self._evaluate(shared)
            shared.personal = query.personal
            self._enter(shared)
        if self._read_by(subscriber) + len(shared.keys) > MAX_READ:
            if not shared.users:
                self._forget(shared)
            raise _read_too_much()
        shared.add(subscriber, user)
        self._of.setdefault(subscriber, {})[shared.id] = shared
        reply = {"subscription": shared.id, "change": self.engine.last_change}
        if since is not None and self._known_since(shared, since):
            return reply | {"resumed": True}
        return reply | {"value": shared.value}

    def _read_by(self, subscriber: Subscriber) -> int:
        return sum(len(shared.keys) for shared in self._of.get(subscriber, {}).values())

    def _fitting(self, key: Any, user: Any, mine: Container[int]) -> _Shared | None:
        """What a subscriber who has the subscriptions `mine` can share."""
        for one in self._alike.get(key, ()):
            if one.id not in mine and (not one.personal or user in one.users):
                return one
        return None

    def _enter(self, shared: _Shared) -> None:
        self._shared[shared] = None
        self._alike.setdefault(shared.key, []).append(shared)

    def _known_since(self, shared: _Shared, since: int) -> bool:
        """Is the result the same as it was at that change?"""
        if shared.personal:  # the client may have been another user then
            return False
        if shared.since <= since <= self.engine.last_change:
            return True
        keys = {*shared.keys, SERVER}  # rights and settings, too
        if shared in self.due or self.engine.recent.changed_since(keys, since) is not False:
            return False
        shared.since = since
        return True

    def unsubscribe(self, caller: Caller, numbers: Any) -> None:
        """End subscriptions, by their ids; those that there are none of are left out."""
        if not isinstance(numbers, list) or not all(type(number) is int for number in numbers):
            raise BadDataError("unsubscribe takes the ids of subscriptions")
        for number in numbers:
            if number in self._of.get(caller.subscriber, ()):
                self._leave(caller.subscriber, number)

    def drop(self, subscriber: Subscriber) -> None:
        """The connection is gone: its subscriptions end without a word."""
        for number in list(self._of.get(subscriber, ())):
            self._leave(subscriber, number)
        self._of.pop(subscriber, None)

    def channels_of(self, subscriber: Subscriber) -> Iterable[Channel]:
        """Those of a connection's subscriptions."""
        return (shared.channel for shared in self._of.get(subscriber, {}).values())

    def result(self, subscriber: Subscriber, number: int) -> dict[str, Any] | None:
        """The body of an update that tells the whole result; None when there is no such subscription."""
        shared = self._of.get(subscriber, {}).get(number)
        if shared is None:
            return None
        return {"subscription": shared.id, "change": shared.evaluated, "value": shared.value}

    def _leave(self, subscriber: Subscriber, number: int) -> None:
        shared = self._of[subscriber].pop(number)
        shared.discard(subscriber)
        if not shared.channel.members:
            self._forget(shared)

    def _forget(self, shared: _Shared) -> None:
        del self._shared[shared]
        alike = self._alike[shared.key]
        alike.remove(shared)
        if not alike:
            del self._alike[shared.key]
        self.due.pop(shared, None)
        self._index(shared, set())

    def _index(self, shared: _Shared, keys: set[Key]) -> None:
        readers = self._readers
        for key in shared.keys - keys:
            held = readers[key]
            held.discard(shared)
            if not held:
                del readers[key]
        for key in keys - shared.keys:
            readers.setdefault(key, set()).add(shared)
        shared.keys = keys

    # --- what is due -------------------------------------------------------------------------------------------------

    def changed(self, outcome: Outcome) -> None:
        """An outcome was executed, and its events are said: mark what it makes due."""
        if not self._shared:
            self._rights = self.engine.rights_version
            return
        readers = self._readers
        for key in touched_by(outcome):
            if key in readers:
                self.due.update(dict.fromkeys(readers[key]))
        if outcome.change is not None and outcome.change.next_id != outcome.change.first_id:
            for key in types_born(outcome, self.engine):
                if key in readers:
                    self.due.update(dict.fromkeys(readers[key]))
        if outcome.change is not None and not outcome.change.scope:
            for shared in list(self._shared):
                if shared.settings != shared.query.settings:
                    self.due[shared] = None
        if self.engine.rights_version != self._rights or (outcome.change is not None and not outcome.change.scope):
            self._rights = self.engine.rights_version
            for shared in list(self._shared):
                for user in list(shared.users):
                    try:
                        shared.query.check(user)
                    except EngineError as error:
                        self._end(shared, error, user)

    # --- running -----------------------------------------------------------------------------------------------------

    def run(self, seconds: float, durable: int) -> float | None:
        """Run what is due, for about so many seconds. A query whose last result may still wait for the disk, since it
        is of a change later than `durable`, waits for that: so it runs once for all that is committed together.

        Gives in how many seconds there is more to do, None when that is not known: nothing is due, or only what waits
        for the disk.
        """
        now = self.clock()
        end = now + seconds
        soonest: float | None = None
        for shared in list(self.due):
            if shared not in self.due:
                continue
            if shared.evaluated > durable:
                continue
            if shared.ready_at > now:
                soonest = min(soonest or MAX_INTERVAL, shared.ready_at - now)
                continue
            if self.clock() > end:
                return 0.0
            self._run(shared)
        return soonest

    def _run(self, shared: _Shared) -> None:
        """Run a query again, and say its result if that is another one."""
        read = len(shared.keys)
        known = old, packed, _, _ = shared.value, shared.packed, shared.since, shared.evaluated
        try:
            self._evaluate(shared)
        except EngineError as error:
            self._part(shared, known)
            self._end(shared, error)
            return
        self._part(shared, known)
        if len(shared.keys) > max(read, MAX_READ // max(self.per_connection, 1)):
            for subscriber in list(shared.channel.members):
                if self._read_by(subscriber) > MAX_READ:
                    self._end_for([subscriber], shared, _read_too_much())
            if not shared.users:
                self._forget(shared)
                return
        if shared.packed == packed:
            return
        operations = difference(old, shared.value, _pack)
        if not operations:
            return
        shared.since = shared.evaluated
        head = {"subscription": shared.id, "change": shared.evaluated}
        try:
            for form, audience in shared.channel.audiences():
                patch = form.event(LIVE_UPDATE, head | {"patch": operations})
                if len(patch) * 4 > len(shared.packed):
                    patch = min(patch, form.event(LIVE_UPDATE, head | {"value": shared.value}), key=len)
                self.say(audience, patch)
        except EngineError as error:
            self._end(shared, error)

    def _part(self, shared: _Shared, known: tuple[Any, bytes, int, int]) -> None:
        """A query that has just run and asked for whom goes on for that user; for the others, who know what was `known`
        before, it is due on its own."""
        if shared.personal or not shared.query.personal:
            return
        shared.personal = True
        for user in [user for user in shared.users if user is not shared.asking.user]:
            other = shared.for_user(user)
            other.value, other.packed, other.since, other.evaluated = known
            for subscriber in other.channel.members:
                self._of[subscriber][other.id] = other
            self._enter(other)
            self._index(other, set(shared.keys))
            self.due[other] = None

    def _evaluate(self, shared: _Shared) -> None:
        """Run a query and note what it read. Raises an EngineError when it fails or takes too long."""
        self.due.pop(shared, None)
        self.evaluations += 1
        began = self.clock()
        try:
            evaluation = shared.query.evaluate(shared.asking, self.result_bytes)
            packed = _pack(evaluation.value)
        except Exception as failure:
            raise failed(failure) from None
        now = self.clock()
        if now - began > self.seconds:
            raise RequestTimeout(f"a live query may take {self.seconds:g} seconds")
        shared.value, shared.packed = evaluation.value, packed
        shared.evaluated = self.engine.last_change
        shared.settings = shared.query.settings
        shared.ready_at = now + shared.interval
        if not shared.since:
            shared.since = shared.evaluated
        keys: set[Key] = {*evaluation.things, *evaluation.extents, (DEFINITIONS, 0)}
        if shared.query.scope.id:
            keys.discard((DEFINITIONS, 0))
        self._index(shared, keys)

    def _end(self, shared: _Shared, error: EngineError, user: Any = None) -> None:
        """End all subscriptions to a query, or those of a user, and say why."""
        if user is None or len(shared.users) == 1:
            data = {"subscription": shared.id, "error_code": error.code, "error_msg": error.message}
            shared.channel.say(self.say, LIVE_END, data)
            for subscriber in shared.channel.members:
                del self._of[subscriber][shared.id]
            self._forget(shared)
            return
        self._end_for([member for member, its in shared.channel.members.items() if its is user], shared, error)

    def _end_for(self, subscribers: Iterable[Subscriber], shared: _Shared, error: EngineError) -> None:
        """End the subscriptions of some, and say why."""
        data = {"subscription": shared.id, "error_code": error.code, "error_msg": error.message}
        for subscriber in subscribers:
            self.say(subscriber, subscriber.form.event(LIVE_END, data))
            del self._of[subscriber][shared.id]
            shared.discard(subscriber)


def _read_too_much() -> OperationError:
    return OperationError(f"the live queries of a connection can read at most {MAX_READ:,} things all together")
