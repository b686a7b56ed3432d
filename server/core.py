"""What all connections share: the engine and its neighbours, the outbox, who is connected, and the clock's rounds."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from engine.store import StoreError
from server import native
from server.authenticator import Authenticator
from server.config import Config
from server.connection import LOGIN
from server.contracts import Answer, Change, Committer, Engine, Hub, Outcome, Requests, SlowReaders
from server.forms import JSON_RPC
from server.live import LiveRounds
from server.outbox import Outbox
from watch import Lag

if TYPE_CHECKING:
    from engine.change import Job
    from server.connection import Connection
    from server.session import Session

__all__ = ["Core"]

log = logging.getLogger("livethings.server")

READERS = 2
"""Threads that read what clients missed."""

ROUND = 1.0
"""Seconds between two looks at the connections."""

MAX_BACKLOG = 256 << 20
"""Bytes of changes waiting for the disk above which no more requests are served."""


class Core:
    """One for the server.

    The outbox is the one whose `durable` the committer calls back (on the loop) and whose `say` the hub speaks by.
    """

    def __init__(
        self,
        engine: Engine,
        committer: Committer,
        hub: Hub,
        requests: Requests,
        outbox: Outbox,
        config: Config,
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        self.engine = engine
        self.committer = committer
        self.hub = hub
        self.requests = requests
        self.outbox = outbox
        self.config = config
        self.loop = loop
        self.authenticator = Authenticator(engine, loop, lambda outcome: self.publish(outcome, None, None))
        self.readers = ThreadPoolExecutor(READERS, "reader")
        """For what reads the log."""
        self.live: LiveRounds | None = None
        self.slow: SlowReaders | None = None
        self.status = "READY"
        """The node's status word."""
        self.received = 0
        self.sent = 0
        """Bytes that came in and went out on TCP and WebSocket connections, those of TLS not counted."""
        self.sessions: set[Session] = set()
        """The connections that have logged in."""
        self._connections: set[Connection] = set()
        self._early: dict[Connection, float] = {}  # not logged in: until when they may stay so, soonest first
        self._rings: list[set[Session]] = [set() for _ in range(max(1, round(config.ping_interval / ROUND)))]
        self._ring = 0
        self._rounds = 0
        self._refused = 0
        self._giving_way = False
        self._refusing = False

    # --- requests ---------------------------------------------------------------------------------------------------

    def publish(self, outcome: Outcome, subscriber: Session | None, frame: bytes | None) -> None:
        """Make an outcome's change durable and say all that it came to, in order, the caller's reply included."""
        outcomes = (outcome, *outcome.more) if outcome.more else (outcome,)
        for part in outcomes:
            if part.change is not None and not self._keep(part.change):
                return
        self.tell(outcomes, subscriber, frame)

    def tell(self, outcomes: Sequence[Outcome], subscriber: Session | None = None, frame: bytes | None = None) -> None:
        """Say all that outcomes came to whose changes are being made durable, in order, with the caller's reply."""
        for part in outcomes:
            try:
                self.hub.before_reply(part, subscriber)
            except Exception:  # what was done is done, and its reply is due
                log.exception("events could not be made")
        try:
            self.hub.settle()
        except Exception:
            log.exception("events could not be made")
        if frame is not None:
            self.outbox.say(subscriber, frame)
        try:
            for part in outcomes:
                self.hub.after_reply(part)
        except Exception:
            log.exception("events could not be made")
        if self.live is not None:
            try:
                for part in outcomes:
                    self.live.changed(part)
            except Exception:
                log.exception("it could not be found which live queries are due")

    def note(self, job: Job) -> None:
        """Make something durable that changes nothing, in a change of its own."""
        change = self.engine.note_for_node(job).change
        assert change is not None
        self._keep(change)

    def _keep(self, change: Change) -> bool:
        """Have a change made durable. False when that can't be: then nothing that knows of it may leave."""
        self.outbox.executed(change.id)
        try:
            self.committer.append(change.id, change.packed)
        except StoreError as error:  # the server is about to be stopped for what it failed at before
            if not self._refusing:
                self._refusing = True
                log.critical("no change is kept any more: %s", error)
            return False
        if not self._giving_way:
            self._giving_way = True
            self.loop.call_soon(self._give_way)
        return True

    def follow(
        self,
        outcome: Outcome,
        last: Callable[[Outcome], None],
        subscriber: Callable[[], Session | None] = lambda: None,
    ) -> None:
        """Publish what a query that waits for modules came to so far, and what comes of each answer. Its last outcome,
        the one with its value or error, goes to `last` to be published. `subscriber` gives the connection that asked,
        None when it is gone."""

        def progress(part: Outcome) -> None:
            if part.pending is None:
                last(part)
            else:
                self.publish(part, subscriber(), None)

        outcome.pending.progress = progress
        self.publish(outcome, subscriber(), None)

    def _give_way(self) -> None:
        """Once a turn of the loop: let the committer's thread in, which this one could shut out for long."""
        self._giving_way = False
        self.committer.give_way()

    def follow_up(self, answer: Answer) -> None:
        """Say the events that come after a reply."""
        try:
            answer.events()
        except Exception:
            log.exception("events could not be made")

    @property
    def congested(self) -> bool:
        """Whether so much waits for the disk that no more requests should be served."""
        return self.outbox.full or self.committer.backlog_bytes > MAX_BACKLOG

    # --- connections ------------------------------------------------------------------------------------------------

    @property
    def connections(self) -> Sequence[Connection]:
        """All that are open, logged in or not."""
        return tuple(self._connections)

    def opened(self, connection: Connection) -> bool:
        """A new connection. False when it must be refused."""
        if self.status != "READY":
            return False
        if len(self._connections) >= self.config.max_connections:
            self._refused += 1
            return False
        self._connections.add(connection)
        self._early[connection] = self.loop.time() + self.config.login_time
        return True

    def logged_in(self, session: Session, before: Any = None) -> None:
        """The connection has a user now. It had the user `before`, if any."""
        if self._early.pop(session, None) is not None:
            self.sessions.add(session)
        if before is not None and before is not session.user:
            self.hub.user_changed(session, before)

    def ended(self, connection: Connection) -> None:
        """The connection gets nothing any more, though it may not be closed yet."""
        self._early.pop(connection, None)
        if connection in self.sessions:
            self.sessions.discard(connection)
            self.hub.drop(connection)
            if self.live is not None:
                self.live.drop(connection)

    def lost(self, connection: Connection) -> None:
        """The connection is closed."""
        self.ended(connection)
        self._connections.discard(connection)
        for ring in self._rings:
            ring.discard(connection)

    def look_after(self, session: Session) -> None:
        """Ask the connection for signs of life from now on (`Session.look`)."""
        self._ring = (self._ring + 1) % len(self._rings)
        self._rings[self._ring].add(session)

    # --- rounds -----------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Begin the rounds."""
        self.loop.call_later(ROUND, self._round)

    def _round(self) -> None:
        now = self.loop.time()
        while self._early:
            connection, until = next(iter(self._early.items()))
            if until > now:
                break
            if connection.blocked & LOGIN:  # it has said who it is, and waits for us
                del self._early[connection]
                self._early[connection] = now + self.config.login_time
                continue
            connection.disconnect(f"no login within {self.config.login_time:g} seconds")
            self._early.pop(connection, None)
        # One ring a round, so that the work is spread over the interval.
        self._rounds += 1
        for session in list(self._rings[self._rounds % len(self._rings)]):
            session.look()
        if self._refused:
            log.warning(
                "%d connections refused: %d are open, the limit is %d",
                self._refused, len(self._connections), self.config.max_connections,
            )  # fmt: skip
            self._refused = 0
        self.authenticator.forget(now)
        self.loop.call_later(ROUND, self._round)

    # --- status -----------------------------------------------------------------------------------------------------

    def announce(self, status: str) -> None:
        """Change the node's status and tell every connection that has logged in."""
        self.status = status
        frames: dict[Any, bytes] = {}
        for session in list(self.sessions):
            form = session.form.form if isinstance(session.form, Lag) else session.form
            # Watchers of the node scope are clients of the old protocol, which knew the bare word only.
            bare = form is not JSON_RPC and self.hub.watches_node(session)
            frame = frames.get((form, bare))
            if frame is None:
                data = status if bare else {"id": 0, "status": status}
                frame = frames[form, bare] = form.event(native.NODE_STATUS, data)
            self.outbox.say(session, frame)
