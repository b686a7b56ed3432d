"""A connection with requests: who is logged in, and the one line in which its requests are served.

Requests are served in order of arrival, each to its end before the next. While one waits (for a password check, for
the disk, for the reader, or for other connections' turn), those behind it wait in `_backlog` and nothing more is read,
so that what waits is bounded by one read.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from time import monotonic
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

from engine.errors import AuthError, BadDataError, EngineError, InternalError
from server.connection import DISK, LOGIN, MISSED, MODULES, TURN, Connection, log
from watch import Resumption, check_names

if TYPE_CHECKING:
    from engine.login import HashFirst
    from server.authenticator import Credentials
    from server.contracts import Answer, Form, Outcome
    from server.core import Core

__all__ = ["NO_HASHES", "PackageFrame", "Session", "Speak", "internal_error", "log_in_first", "untraced"]

Speak: TypeAlias = Callable[["Session", "Iterator[Any]"], None]
"""Serves requests until there are no more or `Session.rest` says so; what is left then goes to `Session.keep`."""


class PackageFrame(Protocol):
    """Makes a complete frame of a package's id, type and data."""

    def __call__(self, package_id: int, kind: int, data: bytes = b"", /) -> bytes: ...


TURN_TIME = 0.01
"""Seconds after which a connection with more requests lets the others have their turn."""

TURN_BYTES = 1 << 20
"""Bytes of replies after which it does."""


MIN_OUTGOING = 16 << 10
"""The fewest bytes that a connection can ask to have wait for it."""

NO_HASHES: Mapping[str, bytes] = MappingProxyType({})
"""Of a caller who wants to know the passwords that a request sets beforehand, and has been told of none."""


def log_in_first() -> AuthError:
    """What a request gets that needs a user and has none."""
    return AuthError("log in first")


def untraced(error: BaseException) -> None:
    """Cut an error off from the frames that it came through: one of them may hold it, and nothing collects cycles."""
    error.__traceback__ = error.__context__ = None


def internal_error() -> EngineError:
    """What a client is told of an exception that should not have been. Called while it is handled."""
    log.exception("a request failed")
    return InternalError("the server failed; its log says how")


class Session(Connection):
    """The requests of one connection."""

    __slots__ = ("_backlog", "_turn_ends", "allowance", "hashes", "package", "said", "speak", "user")

    def __init__(self, core: Core, form: Form, speak: Speak, package: PackageFrame) -> None:
        super().__init__(core, form)
        self.speak = speak
        """What serves the requests."""
        self.package = package
        """Makes a frame of a package."""
        self.user: Any = None
        """The user who is logged in, None before."""
        self.allowance = core.config.max_requests_before_login
        self.said = 0
        """Bytes of replies in this turn."""
        self.hashes: Mapping[str, bytes] | None = NO_HASHES
        """Those of passwords that the next request sets."""
        self._turn_ends = 0.0
        self._backlog: deque[Any] | None = None

    @property
    def subscriber(self) -> Session:
        """A session is the engine's caller and the hub's subscriber in one."""
        return self

    # --- the line ---------------------------------------------------------------------------------------------------

    def receive(self, requests: Iterable[Any]) -> None:
        """Serve requests, in order, now or when those before them are done."""
        if self._backlog is not None:
            self._backlog.extend(requests)
        elif self.blocked:
            self._backlog = deque(requests)
        else:
            self._turn_ends = monotonic() + TURN_TIME
            self.said = 0
            self.speak(self, iter(requests))

    def rest(self) -> bool:
        """Asked after each request: whether to stop here, and `keep` what is left."""
        if self.said > TURN_BYTES or monotonic() > self._turn_ends:
            self.block(TURN)
            self.core.loop.call_soon(self.unblock, TURN)
        if not self.core.outbox.open and self.core.congested:
            self.block(DISK)
            self.core.outbox.when_drained(partial(self.unblock, DISK))
        return self.blocked != 0

    def keep(self, requests: Iterable[Any]) -> None:
        """Put back what `rest` left over."""
        left = deque(requests)
        if left:
            self._backlog = left

    @property
    def waiting(self) -> bool:
        """Whether requests wait to be served."""
        return self._backlog is not None

    def proceed(self) -> None:
        backlog = self._backlog
        if backlog is not None:
            self._backlog = None
            self.receive(backlog)
        if self.ended and not self.blocked:
            self._end_when_said()

    def wait_for(self, outcome: Outcome, reply: Callable[[Outcome], bytes | None]) -> None:
        """A query waits for modules: publish what it came to so far; its reply and the requests behind it wait."""

        def here() -> Session | None:
            return None if self.closed else self

        def last(part: Outcome) -> None:
            self.core.publish(part, here(), None if self.closed else reply(part))
            if self.blocked & MODULES:
                self.unblock(MODULES)

        self.block(MODULES)
        self.core.follow(outcome, last, here)

    def answer(self, answer: Answer | Resumption, reply: Callable[[Answer | EngineError], None]) -> None:
        """Reply to a request, at once or when what it takes is read; the requests behind it wait until then."""
        if not isinstance(answer, Resumption):
            reply(answer)
            return
        if self.closed:
            return
        outcome: Answer | EngineError
        try:
            work = answer.proceed()
            if work is not None:
                reading = self.core.loop.run_in_executor(self.core.readers, work)
                self.block(MISSED)
                reading.add_done_callback(lambda done: None if done.cancelled() else self.answer(answer, reply))
                return
            outcome = answer.answer()
        except EngineError as error:
            outcome = error
        except Exception:
            outcome = internal_error()
        reply(outcome)
        if self.blocked & MISSED:
            self.unblock(MISSED)

    # --- login ------------------------------------------------------------------------------------------------------

    def early(self) -> bool:
        """Count a request that came before login. False when there were too many: it must not be served."""
        self.allowance -= 1
        if self.allowance < 0:
            self.disconnect(f"more than {self.core.config.max_requests_before_login} requests before login")
        return not self.closed

    def login(self, credentials: Credentials, answer: Callable[[EngineError | None], None]) -> None:
        """Log in, then answer. Requests behind it wait."""

        def done(user: Any, error: EngineError | None) -> None:
            if self.closed:
                return
            if error is None:
                before, self.user = self.user, user
                self.core.logged_in(self, before)
                self.on_login()
            answer(error)
            if self.blocked & LOGIN:
                self.unblock(LOGIN)

        if self.core.authenticator.login(self.address, credentials, done):
            self.block(LOGIN)

    def hash_first(self, passwords: HashFirst, requests: Iterable[Any]) -> None:
        """Serve requests, the first of which sets passwords, once these are hashed."""

        def done(hashes: dict[str, bytes]) -> None:
            self.hashes = hashes or None  # None: hashed where they are set
            self.unblock(LOGIN)
            self.hashes = NO_HASHES

        self.keep(requests)
        self.block(LOGIN)
        self.core.authenticator.hash_first(passwords, done)

    def on_login(self) -> None:
        """A user has logged in: limits may be wider from now on."""

    # --- options ----------------------------------------------------------------------------------------------------

    def set_options(self, asked: Any) -> dict[str, Any]:
        """Set what the connection wants to be otherwise; gives all options as they are then.

        `slow` says what happens to a slow reader, `"disconnect"` or `"refresh"`; `bytes` how much may wait for it.
        Raises BadDataError.
        """
        if not isinstance(asked, dict):
            raise BadDataError("options are a map, such as {'slow': 'refresh'}")
        check_names(asked, ("slow", "bytes"), "the options are")
        policy, size = asked.get("slow"), asked.get("bytes")
        if policy not in (None, "disconnect", "refresh"):
            raise BadDataError("slow is 'disconnect' or 'refresh'")
        most = self.core.config.max_outgoing
        if size is not None and (type(size) is not int or not MIN_OUTGOING <= size <= most):
            raise BadDataError(f"bytes is an int from {MIN_OUTGOING} to {most}")
        if policy is not None:
            self.refreshes = policy == "refresh"
        if size is not None:
            self.bound(size)
        return {"slow": "refresh" if self.refreshes else "disconnect", "bytes": self.max_outgoing}

    # --- the end ----------------------------------------------------------------------------------------------------

    def eof_received(self) -> bool | None:
        """The peer will send no more; it is still told what it asked for."""
        self.ended = True
        if self.closed or self.transport is None or not self.transport.can_write_eof():
            return None
        if not self.blocked:
            self._end_when_said()
        return True

    def _end_when_said(self) -> None:
        self.core.outbox.when_said(self.finish)

    def look(self) -> None:
        """Called once in a ping interval: ask for a sign of life, or give up on a peer that gave none."""
