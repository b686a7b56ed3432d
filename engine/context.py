"""What a running query knows: one `Context` per query, handed to everything it calls."""

from __future__ import annotations

import random
import weakref
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

from engine.change import Internal
from engine.errors import OperationError
from engine.journal import Journal
from engine.limits import MAX_ARRAY_ITEMS
from engine.quota import check_array
from engine.users import CHANGE, require
from engine.values.list import List
from engine.values.set import Set
from engine.values.storing import OWNED
from engine.values.thing import Thing

if TYPE_CHECKING:
    from engine.change import Change, Job
    from engine.effects import Effect
    from engine.engine import Engine
    from engine.scopes import Scope
    from engine.users import User
    from engine.values.thing import Value

__all__ = ["Caller", "Context"]


class Caller(Protocol):
    """Who asks: `user` is None until logged in; `subscriber` is the connection as `watch/` knows it, None for a
    caller that can't be told events (HTTP, tasks)."""

    @property
    def user(self) -> User | None: ...

    @property
    def subscriber(self) -> Any: ...


class Context:
    """The state of one query.

    `frames` are the variables: the query's own first, then a dict for each closure that is running and needs one.
    Attributes that most queries leave alone are class attributes, so that making a context is cheap.
    """

    change: Change | None = None
    journal: Journal | None = None  # of a query that is atomic
    ends_specially: bool = False  # it has a journal, or a commit message
    guarded: bool = True  # stored things may change only after `allow`: there is no change yet, or a journal
    deep: int = 1
    flags: int = 0
    effects: list[Effect] | None = None
    futures: list[Any] | None = None
    awaited: Any = None  # the future that is the value of the query
    task: Any = None  # the task that is running
    commit: Any = None  # the commit message given in this query
    sorting: bool = False  # a closure that sorts is running
    by_request: bool = False  # it is a procedure run by a request, a future or a task
    is_future: bool = False  # it is a future, which leaves loose things to its query
    held_back: bool = False  # by `nse`, from turning into a change
    loose: list[weakref.ref[Thing]] | None = None  # unstored things that may hold themselves

    def __init__(self, engine: Engine, scope: Scope, caller: Caller, root: Thing | None) -> None:
        self.engine = engine
        self.scope = scope
        self.caller = caller
        self.root = root
        self.frames: list[dict[str, Value]] = []

    @property
    def random(self) -> random.Random:
        return self.engine.random

    @property
    def now(self) -> float:
        """Seconds since 1970, by the engine's clock."""
        return self.engine.clock()

    def say(self, effect: Effect) -> None:
        """Something to tell connections, in order, before the reply."""
        if self.effects is None:
            self.effects = []
        self.effects.append(effect)

    # --- may it change? ------------------------------------------------------------------------------------------

    def stored_id(self, container: Thing | List | Set) -> int:
        """The id of the thing that a mutation of the container belongs to, 0 when it is not stored."""
        if isinstance(container, Thing):
            return container.id
        holder = container.holder()
        return 0 if holder is None else holder.id

    def allow(self, container: Thing | List | Set) -> None:
        """OperationError unless the query may change the container now: a stored one needs a change, and it must not
        be in use."""
        thing = container if isinstance(container, Thing) else container.holder()
        if thing is not None:
            if not thing.id:
                self.watch_loose(thing)
            elif self.guarded:
                if self.change is None:
                    raise OperationError("a stored value can only be changed by a query that is a change: use wse(…)")
                self.journal.save(container)  # type: ignore[union-attr]
        if container.lock:
            raise OperationError("it can't be changed while it is in use")

    def release(self, value: Value) -> None:
        """A property no longer holds the value."""
        if type(value) in OWNED:
            if self.journal is not None:
                self.journal.save(value)
            value.release()

    def keep_journal(self, fits: Callable[[Any], Any] | None = None) -> None:
        """It is atomic; `fits` as in `Conditions`."""
        self.journal = Journal(self.engine, self.scope, fits)
        self.guarded = self.ends_specially = True

    def become_atomic(self) -> None:
        """If it fails, nothing of what it does from here on, which is all it does, has happened. OperationError when it
        has changed something already, or in `@node`."""
        if self.journal is not None:
            return
        Journal.check(self.scope)
        change = self.scope.change
        if self.futures or (change is not None and (change.mutations or change.first_id != self.engine.next_id)):
            raise OperationError("a query becomes atomic before it changes anything or makes a future, not afterwards")
        self.keep_journal()

    def hold_back(self) -> None:
        """`nse`: from here on, nothing turns the query into a change."""
        self.held_back = True

    def become_change(self) -> None:
        """From here on the query is a change, if it wasn't. OperationError after `nse`, ForbiddenError when its user
        may make none."""
        if self.change is None:
            if self.held_back:
                raise OperationError(
                    "a stored value can only be changed by a query that is a change, which nse forbids"
                )
            assert self.caller.user is not None
            require(self.caller.user, self.scope, CHANGE)
            self.change = self.engine.begin_change(self.scope)
            self.guarded = self.journal is not None

    def watch_loose(self, thing: Thing) -> None:
        """An unstored thing is changed: it may hold itself afterwards, and must be taken apart when the query ends
        (`engine.garbage.untangle`)."""
        if self.loose is None:
            self.loose = []
        elif self.loose[-1]() is thing:
            return
        self.loose.append(weakref.ref(thing))

    def check_growth(self, array: List, more: int) -> None:
        """OperationError or MaxQuotaError when a list would become too long by so many items."""
        if more > 0:
            length = len(array) + more
            if length > MAX_ARRAY_ITEMS:
                raise OperationError(f"a list can have at most {MAX_ARRAY_ITEMS} items")
            if self.scope.quotas:
                check_array(self.scope, length)

    # --- recording mutations -------------------------------------------------------------------------------------

    def record(self, thing_id: int, job: Job) -> None:
        """Note a mutation of a stored thing. The caller has made sure that the query is a change (`allow`)."""
        self.change.mutations.append((thing_id, job))  # type: ignore[union-attr]

    def record_for_node(self, job: Job) -> None:
        """Note what a query in `@node` did to what the node keeps. For the language that is no change, and the caller
        has checked the right; for the log it is one."""
        if self.change is None:
            self.change = self.engine.begin_change(self.scope)
            self.guarded = False
        self.change.mutations.append((0, Internal(job)))

    def record_of(self, container: List | Set, make_job: Callable[[str], Job]) -> None:
        """Note a mutation of a list or set, if it belongs to a stored thing; the job is made from its key."""
        holder = container.holder()
        if holder is not None and holder.id:
            self.change.mutations.append((holder.id, make_job(container.key)))  # type: ignore[union-attr]
