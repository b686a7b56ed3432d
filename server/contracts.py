"""What the server asks of the other rooms, and they of it.

`engine/` and `watch/` never import this module; they fit these protocols by shape, and the type checker sees both
sides where `server/app.py` brings them together.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol, TypeAlias

from engine.counters import Durations
from engine.errors import EngineError
from watch import Resumption

__all__ = [
    "Answer",
    "Audience",
    "Caller",
    "Change",
    "Committer",
    "Engine",
    "Form",
    "Hub",
    "Login",
    "Outcome",
    "Presence",
    "Requests",
    "RoomHistory",
    "Say",
    "SlowReaders",
    "Subscriber",
    "Target",
    "Tree",
    "User",
]

Tree: TypeAlias = Any
"""None, bool, int, float, str, bytes, list, tuple, dict with str keys, and the engine's leaf objects."""


class User(Protocol):
    """A user of the engine. The server only passes it around; it must not be callable (see `Login`)."""


class Form(Protocol):
    """How events become bytes for one kind of connection. One object a kind: compare with `is`."""

    def event(self, kind: int, data: Tree) -> bytes:
        """The complete frame, ready for the socket."""
        ...


class Subscriber(Protocol):
    """A connection, as `watch/` sees it. Hashed and compared by identity."""

    @property
    def form(self) -> Form: ...

    @property
    def out(self) -> list[bytes]:
        """Frames that leave with the next flush. The list stays the same object as long as the connection lives."""
        ...


class Audience(Protocol):
    """Connections that get the same frame. `appends[i]` is `connections[i].out.append`."""

    @property
    def connections(self) -> tuple[Any, ...]: ...

    @property
    def appends(self) -> tuple[Callable[[bytes], None], ...]: ...


Target: TypeAlias = Any
"""An `Audience`, or one connection."""

Say: TypeAlias = Callable[[Target, bytes], None]
"""Puts a frame for a target at the end of the outbox."""


class Caller(Protocol):
    """Who asks: the user (None before login) and the connection (None over HTTP)."""

    @property
    def user(self) -> Any: ...

    @property
    def subscriber(self) -> Any: ...


class Change(Protocol):
    @property
    def id(self) -> int: ...

    @property
    def packed(self) -> bytes: ...


class Outcome(Protocol):
    """What a request came to. `effects` and `deleted` are for `watch/`; empty or None when there are none."""

    @property
    def value(self) -> Tree: ...

    @property
    def error(self) -> EngineError | None: ...

    @property
    def change(self) -> Change | None: ...

    @property
    def effects(self) -> Any: ...

    @property
    def deleted(self) -> Any: ...

    @property
    def more(self) -> Any:
        """The outcomes of what ran after the query as its consequence, in order: announced before the reply too."""
        ...

    @property
    def pending(self) -> Any:
        """While the query waits for modules: an `engine.futures.Pending`, whose `progress` gets what comes next."""
        ...


Login: TypeAlias = Any
"""A user at once, or a callable without arguments: the slow check of a password, to be run off the loop.

The callable returns whether the password is right, touches nothing of the engine, and goes back to
`Engine.login_done` with its answer. While it has not, the same login may give the same one again: it is run once.
"""


class Engine(Protocol):
    """The engine, called on the loop's thread only, one request at a time.

    `code`, `procedure`, `variables` and `arguments` come as the client sent them, None when left out. What could not
    be decoded comes as an `EngineError` in its place, to be raised where the specification has that item checked.
    """

    @property
    def last_change(self) -> int:
        """The id of the last change that was executed, 0 at first."""
        ...

    @property
    def executing(self) -> int:
        """Odd while a request runs, even otherwise; never the same for two requests."""
        ...

    @property
    def default_password(self) -> bool:
        """Whether the user `admin` still has the password of a fresh store."""
        ...

    @property
    def collecting(self) -> bool:
        """Whether the search for garbage is under way, so that its next step has something to do."""
        ...

    def collect_garbage(self) -> Outcome | None:
        """A step of the search, of a few milliseconds, or the beginning of a new one if anything changed since the
        last; an outcome to be published when things were removed. For when no request is under way."""
        ...

    def note_for_node(self, job: Any) -> Outcome:
        """Log what the process around the engine did; the outcome's change is to be made durable."""
        ...

    def query(
        self,
        caller: Any,
        scope: str,
        code: Any,
        variables: Any,
        conditions: Any = None,
        fits: Callable[[Tree], Any] | None = None,
    ) -> Outcome:
        """`fits` raises when the result can't be told: asked of an atomic query while it can still be undone."""
        ...

    def run(
        self,
        caller: Any,
        scope: str,
        procedure: Any,
        arguments: Any,
        conditions: Any = None,
        fits: Callable[[Tree], Any] | None = None,
    ) -> Outcome: ...

    def count_refused(self) -> None:
        """Count a query or run that was refused before it came to `query` or `run`."""
        ...

    def login(self, name: str, password: str) -> Login:
        """May raise AuthError at once, when there is nothing to check."""
        ...

    def login_token(self, token: str) -> User:
        """Raises AuthError for an unknown or expired token."""
        ...

    def login_done(self, check: Callable[[], bool], verified: bool) -> User:
        """The user of a finished check. Raises AuthError when not verified, or when user or password changed since."""
        ...

    def login_renewed(self, check: Callable[[], bool]) -> Outcome | None:
        """After `login_done`: what is to be published of it, None for nothing."""
        ...


class Committer(Protocol):
    """Makes changes durable, in a thread of its own, and says so through the callback that it was made with."""

    @property
    def backlog_bytes(self) -> int:
        """Bytes of changes that are appended and not yet durable."""
        ...

    @property
    def commits(self) -> int:
        """How many times it has written to the disk."""
        ...

    @property
    def commit_seconds(self) -> float:
        """How long all that took."""
        ...

    @property
    def durations(self) -> Durations:
        """How often it took how long."""
        ...

    def append(self, change_id: int, packed: bytes) -> None: ...

    def give_way(self) -> None:
        """Let the committer's thread run for a moment, if it wants to."""
        ...


class Answer(Protocol):
    """What a watch or room request came to: reply first, then the events that follow it."""

    @property
    def value(self) -> Tree:
        """The data of the reply; unused where the reply is OK."""
        ...

    def events(self) -> None:
        """Says the events that follow the reply."""
        ...


class Requests(Protocol):
    """The requests that `watch/` answers. Items come as the client sent them, the scope aside, which is a str.

    Raises `EngineError`: nothing has been subscribed then, and no event follows.
    """

    resumed: int
    restarted: int
    """How often watches that were taken up went on, and how often they began anew."""

    @property
    def store(self) -> Any:
        """Where changes are kept, None for nowhere."""
        ...

    def watch(self, caller: Any, scope: str, ids: Sequence[Any]) -> Answer: ...

    def watch_with(self, caller: Any, scope: str, options: Any) -> Answer | Resumption:
        """`options` is a map with `ids`."""
        ...

    def unwatch(self, caller: Any, scope: str, ids: Sequence[Any]) -> Answer: ...

    def join(self, caller: Any, scope: str, rooms: Sequence[Any]) -> Answer: ...

    def join_with(self, caller: Any, scope: str, options: Any) -> Answer:
        """With history; `options` is a map with `rooms`."""
        ...

    def leave(self, caller: Any, scope: str, rooms: Sequence[Any]) -> Answer: ...

    def emit(self, caller: Any, scope: str, items: Sequence[Any], peers: bool) -> Answer:
        """`items` is room, event and arguments; `peers` leaves the caller's own connection out."""
        ...


class Presence(Protocol):
    """Who is where, for those who ask. Raises `EngineError` when nothing was done."""

    def ask(self, caller: Any, scope: str, asked: Any) -> Tree:
        """The reply: who is in a room or watches a thing. Who comes and goes from here on is told by events."""
        ...

    def end(self, caller: Any, scope: str, asked: Any) -> None:
        """No more events."""
        ...

    def close(self) -> None:
        """No more events to anybody: the server goes down."""
        ...


class RoomHistory(Protocol):
    """What is kept of rooms that were joined with history."""

    @property
    def number(self) -> int:
        """That of the last event."""
        ...

    @property
    def kept_bytes(self) -> int: ...


class SlowReaders(Protocol):
    """Connections that get fresh state in the place of events that they are too slow for."""

    def fall_behind(self, reader: Any) -> None:
        """Leaves out the connection's events from here on."""
        ...

    def catch_up(self, reader: Any, size: int) -> bool:
        """Says what it missed, as it is now, up to about so many bytes. True: that was all."""
        ...

    def come_back(self, reader: Any) -> None:
        """After all was said: its events come again."""
        ...


class Hub(Protocol):
    """Who watches what. It says what it has to say through the `Say` that it was made with."""

    def before_reply(self, outcome: Any, subscriber: Any) -> None:
        """Says effects and updates; `subscriber` is the connection that asked, None over HTTP."""
        ...

    def settle(self) -> None:
        """Says what came into reach of deep watches and what left it, when all outcomes of a request were told."""
        ...

    def after_reply(self, outcome: Any) -> None:
        """Says deletes."""
        ...

    def watches_node(self, subscriber: Any) -> bool:
        """Whether the connection watches the node scope, and so gets status events as a bare string."""
        ...

    @property
    def subscriptions(self) -> tuple[int, int]:
        """How many watches of things and joins of rooms there are."""
        ...

    @property
    def presence(self) -> Presence: ...

    @property
    def history(self) -> RoomHistory: ...

    def user_changed(self, subscriber: Any, before: Any) -> None:
        """A connection has logged in as another user than before."""
        ...

    def drop(self, subscriber: Any) -> None:
        """Forgets a connection that is gone."""
        ...
