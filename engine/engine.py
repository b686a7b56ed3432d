"""The engine: requests in, outcomes out. Synchronous; one request at a time."""

from __future__ import annotations

import gc
import logging
import random
import re
import time
from collections.abc import Callable
from math import inf
from operator import itemgetter
from typing import Any

from engine import functions as _functions  # noqa: F401  (registers every function)
from engine import values as _values  # noqa: F401  (registers every kind of value, with its methods)
from engine.change import Change, Internal, Job
from engine.collection import Collection
from engine.conditions import Conditions
from engine.context import Caller, Context
from engine.counters import Counters
from engine.encoding import log_packer
from engine.errors import (
    AuthError,
    BadDataError,
    EngineError,
    ForbiddenError,
    LookupFailed,
    TypeFailed,
)
from engine.functions.backups import Backups
from engine.functions.history import record_commit
from engine.futures import Futures, Unfinished, run_futures, value_of
from engine.garbage import Garbage, untangle
from engine.host import Host, NoHost
from engine.journal import Journal
from engine.language.cache import QueryCache
from engine.language.compiler import Compiled
from engine.language.formatter import parse_closure
from engine.language.passwords import passwords_in, texts
from engine.limits import MAX_RESULT_BYTES
from engine.login import HashFirst, Logins, hash_password, verify_password
from engine.modules import Answer, Module
from engine.outcome import Outcome, failed, procedure_arguments, sent
from engine.quota import check_sent
from engine.recent import Recent
from engine.replay import Replay
from engine.result import result
from engine.scopes import NodeScope, Scope, ServerScope, parse_scope
from engine.state import StateWriter, load
from engine.store.interface import Checkpoint, Store
from engine.tasks import due_tasks, run_task
from engine.users import CHANGE, FULL, QUERY, RUN, Token, User, name_allowed, require
from engine.values.future import Future
from engine.values.incoming import variables as incoming_variables
from engine.values.storing import SCALARS
from engine.values.task import drop as drop_task

__all__ = ["Engine", "Outcome"]

_NUMBERED = re.compile(r"(?:@(?=[a-z]*:)|/(?=[a-z]*/))([a-z]*)[:/]([0-9]{1,18})\Z", re.ASCII)

DEFAULT_PASSWORD = "pass"

log = logging.getLogger("livethings.engine")


class Engine:
    """The things, the definitions, and everything that works on them.

    `clock` gives seconds since 1970 and `timer` seconds for measuring; `seed` makes randomness repeatable in tests.
    """

    def __init__(
        self,
        *,
        clock: Callable[[], float] = time.time,
        timer: Callable[[], float] = time.perf_counter,
        seed: int | None = None,
    ) -> None:
        gc.disable()  # unreachable cycles stay until they are collected on purpose (ARCHITECTURE.md, Lifetimes)
        self.clock = clock
        self.timer = timer
        self.random: random.Random = random.SystemRandom() if seed is None else random.Random(seed)
        self.max_result_bytes = MAX_RESULT_BYTES
        self.slow_after = inf  # seconds that a query may take without being logged
        self._slow_error = inf
        self.next_id = 1  # the next id of a thing, room or task
        self.next_definition_id = 1  # the next id of a user or collection
        self.last_change = 0
        self.gone: list[int] = []  # ids of things that are gone since it was last emptied
        self.gone_noted = 0  # how many of them the record of recent changes has
        self.recent = Recent()
        self.gone_rooms: list[tuple[str, int]] = []  # rooms that are gone since, with their scopes
        self.rights_version = 0  # counts up when somebody may have lost a right
        self.dropped: list[int] = []  # ids of the things of collections deleted since the last checkpoint
        self.futures = Unfinished()
        self.executing = 0  # odd while a request runs, even otherwise; never the same for two requests
        self.server = ServerScope()
        self.node = NodeScope()
        self.users: dict[str, User] = {}
        self.tokens: dict[bytes, tuple[User, Token]] = {}  # by digest
        self.logins = Logins(self)
        self.collections: dict[str, Collection] = {}
        self.modules: dict[str, Module] = {}
        self.cache = QueryCache()
        self.live = 0  # 1 while a live query is evaluated
        self.live_closures: dict[
            tuple[str, str], Any
        ] = {}  # code of stored closures that notes its reads (engine.live)
        self.counters = Counters(clock())
        self.cache_counted = (0, 0)  # what the cache had compiled and dropped when the counters began
        self.backups = Backups()
        self.host: Host = NoHost()
        self.started = timer()
        self._scopes: dict[str, Scope] = {}  # scopes by the texts that clients use for them
        self._packer = log_packer()
        self.writer = StateWriter(self)
        self.garbage = Garbage(self)

    # --- scopes ------------------------------------------------------------------------------------------------------

    def scope(self, text: str) -> Scope:
        """The scope that a text names. ValueError when malformed, LookupError when there is none."""
        known = self._scopes.get(text)
        if known is not None:
            return known
        kind, which = parse_scope(text)
        scope: Scope
        if kind == "T":
            scope = self.server
        elif kind == "N":
            if which:
                raise LookupFailed(f"there is no node {which}")
            scope = self.node
        else:
            found = self.collections.get(str(which))
            if found is None:
                raise LookupFailed(f"there is no collection {which}")
            scope = found
        self._scopes[text] = scope
        return scope

    def users_in_order(self) -> list[User]:
        """All users, the oldest first, whatever they are called by now."""
        return sorted(self.users.values(), key=lambda user: user.id)

    def collections_in_order(self) -> list[Collection]:
        """All collections, the oldest first."""
        return sorted(self.collections.values(), key=lambda collection: collection.id)

    def drop_user(self, user: User) -> None:
        """Remove a user with tokens, rights and tasks."""
        user.deleted = True
        del self.users[user.name]
        for token in user.tokens:
            del self.tokens[token.digest]
        scopes: list[Scope] = [self.server, self.node, *self.collections.values()]
        for scope in scopes:
            scope.access.pop(user.id, None)
            for task in [task for task in getattr(scope, "tasks", {}).values() if task.owner is user]:
                drop_task(scope, task)
        self.rights_version += 1

    def scope_by_id(self, scope_id: int) -> Scope:
        """A scope by the id that records name it by: 0 is `@thingsdb`, -1 `@node`."""
        if scope_id == self.server.id:
            return self.server
        return self.node if scope_id == self.node.id else self.collection_by_id(scope_id)

    def watch_scope(self, text: str) -> Scope:
        """As `scope`, where a collection may also be named by its id and a node's number is not looked at."""
        match = _NUMBERED.match(text)
        if match and "collection".startswith(match[1]):
            return self.collection_by_id(int(match[2]))
        kind, _ = parse_scope(text)
        return self.node if kind == "N" else self.scope(text)

    def this_node(self, text: str) -> None:
        """LookupError unless the node scope that the text names is this node's."""
        _, number = parse_scope(text)
        if number:
            raise LookupFailed(f"there is no node {number}")

    def forget_scopes(self) -> None:
        """A collection was renamed or deleted: what texts name must be looked up anew."""
        self._scopes.clear()

    def new_collection(self, name: str, created_at: int) -> Collection:
        """Add an empty collection, with ids of its own for itself and its root."""
        collection = self.add_collection(self.next_definition_id, name, created_at, self.next_id)
        self.next_definition_id += 1
        self.next_id += 1
        return collection

    def add_collection(self, collection_id: int, name: str, created_at: int, root_id: int) -> Collection:
        """Add an empty collection under known ids."""
        collection = Collection(self, collection_id, name, created_at)
        collection.admit(collection.root, root_id)
        self.collections[name] = collection
        return collection

    def drop_collection(self, collection: Collection) -> list[int]:
        """Remove a collection with everything in it; the ids of its things, the root's first."""
        del self.collections[collection.name]
        self.forget_scopes()
        ids = [collection.root.id, *(thing_id for thing_id in collection.index if thing_id != collection.root.id)]
        self.gone_rooms += [(collection.title, room_id) for room_id in collection.rooms]
        dirty = collection.dirty  # what is gone since the last checkpoint is on disk still
        collection.clear()
        self.dropped += {*ids, *dirty}
        return ids

    def collection_by_id(self, collection_id: int) -> Collection:
        """The collection with that id; LookupError when there is none."""
        for collection in self.collections.values():
            if collection.id == collection_id:
                return collection
        raise LookupFailed(f"there is no collection with the id {collection_id}")

    def initialise(self) -> None:
        """What a fresh store starts with: the user `admin`, password `pass`, and the collection `stuff`."""
        now = int(self.clock())
        admin = User(self.next_definition_id, "admin", now, hash_password(DEFAULT_PASSWORD))
        self.next_definition_id += 1
        self.users["admin"] = admin
        stuff = self.new_collection("stuff", now)
        for scope in (self.server, self.node, stuff):
            scope.access[admin.id] = FULL

    # --- logins ------------------------------------------------------------------------------------------------------

    @property
    def default_password(self) -> bool:
        """Does the user `admin` still have the password of a fresh store?"""
        admin = self.users.get("admin")
        return admin is not None and admin.password is not None and verify_password(DEFAULT_PASSWORD, admin.password)

    def login(self, name: str, password: str) -> Any:
        """A user, or the slow check to make off this thread, once for all who got the same one, and to hand back to
        `login_done`."""
        return self.logins.password(name, password)

    def login_done(self, check: Any, verified: bool) -> User:
        """The user of a finished check; AuthError when it failed."""
        return self.logins.done(check, verified)

    def login_renewed(self, check: Any) -> Outcome | None:
        """After `login_done`: the user's hash is replaced if it was of an old kind; the outcome is to be announced."""
        user = self.logins.renew(check)
        if user is None:
            return None
        return self._note(self.server, {"set_password": {"id": user.id, "password": user.password}})

    def login_token(self, token: str) -> User:
        """The user of a token; AuthError when it is unknown or expired."""
        return self.logins.token(token)

    # --- requests ----------------------------------------------------------------------------------------------------

    def query(
        self,
        caller: Caller,
        scope: str,
        code: Any,
        variables: Any = None,
        conditions: Any = None,
        fits: Callable[[Any], Any] | None = None,
    ) -> Outcome:
        """Run a query in a scope for a caller; raises nothing but HashFirst, and that only for one with `hashes`.

        `conditions` as the client sent them, None where it sent none; `fits` as in `Conditions`.
        """
        self.executing += 1
        compiled: Compiled | None = None
        try:
            user = caller.user
            if user is None:
                raise AuthError("log in first")
            where = self._scopes.get(scope) or self.scope(scope)
            if type(code) is not str:
                raise TypeFailed(f"the code of a query is a str, not {sent(code)}")
            if isinstance(variables, EngineError):
                raise variables  # they could not be decoded
            frame = incoming_variables(variables) if variables else {}
            if user.deleted or not where.access.get(user.id, 0) & QUERY:
                require(user, where, QUERY)
            if where.quotas:
                check_sent(where, code, variables)
            compiled = self.cache.get(where.kind, code)
            if compiled.changes:
                require(user, where, CHANGE)
                if compiled.passwords:
                    self._hash_first(caller, texts(compiled.passwords, frame))
            if conditions is not None:
                conditions = self._asked(where, conditions, fits)
        except EngineError as error:
            self.executing += 1
            if compiled is None:
                self.counters.add_refused()
            else:
                self.counters.queries += 1
                self.counters.queries_failed += 1
            return Outcome(None, error)
        return self.execute(where, caller, compiled.run, frame, compiled.changes, code=code, conditions=conditions)

    def run(
        self,
        caller: Caller,
        scope: str,
        procedure: Any,
        arguments: Any = None,
        conditions: Any = None,
        fits: Callable[[Any], Any] | None = None,
    ) -> Outcome:
        """Run a procedure for a caller: `arguments` is a list (by position), a map (by name) or None; the rest is as
        for `query`."""
        self.executing += 1
        try:
            user = caller.user
            if user is None:
                raise AuthError("log in first")
            where = self.scope(scope)
            if type(procedure) is not str:
                raise TypeFailed(f"the name of a procedure is a str, not {sent(procedure)}")
            if where.kind == "N":
                raise BadDataError("@node has no procedures")
            found = where.procedures.get(procedure)
            if found is None:
                raise LookupFailed(f"there is no procedure {procedure[:80]}")
            if not name_allowed(user, "procedures", procedure):
                raise ForbiddenError(f"the whitelist of the user {user.name} does not allow the procedure {procedure}")
            if isinstance(arguments, EngineError):
                raise arguments  # they could not be decoded
            values = procedure_arguments(found.closure.code.params, arguments)
            require(user, where, RUN)
            if where.quotas:
                check_sent(where, "", arguments)
            changes = found.closure.code.has_effects
            if changes:
                require(user, where, CHANGE)
                if where is self.server:
                    code = found.closure.code
                    passwords = passwords_in(code.source, (parse_closure(code.source),))
                    self._hash_first(caller, texts(passwords, dict(zip(code.params, values, strict=False))))
            if conditions is not None:
                conditions = self._asked(where, conditions, fits)
        except EngineError as error:
            self.executing += 1
            self.counters.add_refused()
            return Outcome(None, error)
        self.counters.queries_without_text += 1
        closure = found.closure

        def call(ctx: Context, _: dict[str, Any]) -> Any:
            arguments = tuple(values)
            values.clear()  # what the procedure lets go of must go
            return closure.call(ctx, *arguments)

        return self.execute(
            where, caller, call, {}, changes, by_request=True, procedure=procedure, conditions=conditions
        )

    def _asked(self, scope: Scope, conditions: Any, fits: Callable[[Any], Any] | None) -> Conditions:
        """The conditions of a request, which hold. Raises BadDataError, OperationError or ChangedError."""
        asked = Conditions(conditions, fits)
        if asked.atomic:
            Journal.check(scope)
        asked.check(self, scope)
        return asked

    def _hash_first(self, caller: Caller, passwords: set[str]) -> None:
        """Raise HashFirst when the caller wants to hash passwords elsewhere, and has not done so."""
        hashes = getattr(caller, "hashes", None)
        if hashes is not None and not passwords <= hashes.keys():
            self.executing += 1
            raise HashFirst(passwords)

    def execute(
        self,
        scope: Scope,
        caller: Caller,
        run: Callable[[Context, dict[str, Any]], Any],
        frame: dict[str, Any],
        changes: bool,
        *,
        by_request: bool = False,
        code: str = "",
        conditions: Conditions | None = None,
        procedure: str = "",
    ) -> Outcome:
        """Run compiled code; never raises. `by_request`: it is a `procedure`, run by a request; `code` is the text of a
        query, for the history of commits; `conditions` have been looked at, but for `atomic`."""
        began = self.timer()
        ctx = Context(self, scope, caller, scope.root)
        if conditions is not None and conditions.atomic:
            ctx.keep_journal(conditions.fits)
        if by_request:
            ctx.by_request = True
        ctx.deep = scope.deep
        ctx.frames.append(frame)
        outcome = self.run_part(ctx, run, changes, code=code)
        if ctx.futures is not None:
            self.run_futures(ctx, outcome)
        self.executing += 1
        seconds = self.timer() - began
        self.counters.add_query(seconds, outcome.error is not None)
        if seconds > self.slow_after:
            self._log_slow(seconds, scope, caller, f"run of {procedure}" if by_request else code)
        if outcome.change is not None or outcome.more:
            self.counters.add_change(seconds)
        return outcome

    def log_slow(self, warning: float, error: float) -> None:
        """Log queries that take longer than so many seconds, as warnings or errors; 0: not."""
        self._slow_error = error or inf
        self.slow_after = min(warning or inf, self._slow_error)

    def _log_slow(self, seconds: float, scope: Scope, caller: Caller, what: str) -> None:
        level = logging.ERROR if seconds > self._slow_error else logging.WARNING
        if "password" in what:
            what = "a query about passwords"
        user = caller.user
        log.log(level, "slow: %.3f s, in %s, by %s: %.500r", seconds, scope.title, user.name if user else "?", what)

    def end_live(self, ctx: Context) -> None:
        """A live query was evaluated, and may leave nothing behind."""
        ctx.frames.clear()
        if ctx.futures is not None:
            self.futures.finish(ctx.futures)
            ctx.futures = None
        if ctx.loose is not None:
            untangle(ctx.loose)

    def run_futures(
        self, ctx: Context, outcome: Outcome, before_change: Callable[[], Outcome | None] | None = None
    ) -> None:
        """Run the futures of a query that is over, or drop them if it failed; never raises."""
        if outcome.error is not None:
            self.futures.finish(ctx.futures or ())
            ctx.futures = None
        else:
            run_futures(self, ctx, outcome, before_change)
        self._end_futures(ctx, outcome)

    def _end_futures(self, ctx: Context, outcome: Outcome) -> None:
        """The futures of a query have run, or wait for modules."""
        if outcome.pending is None:
            if ctx.awaited is not None and outcome.error is None:
                try:
                    outcome.value = result(value_of(ctx.awaited), ctx)
                except Exception as failure:
                    outcome.error = failed(failure)
            ctx.awaited = None
            if ctx.loose is not None:
                untangle(ctx.loose)
        self._take_gone(outcome.more[-1] if outcome.more else outcome)

    def go_on(self, futures: Futures, future: Future, answer: Answer) -> Outcome:
        """A module has answered a future: run what waited for that; never raises."""
        self.executing += 1
        futures.answer(future, answer)
        futures.run()
        outcome = Outcome(futures.value)
        futures.report(outcome)
        self._end_futures(futures.query, outcome)
        self.executing += 1
        return outcome

    def run_part(
        self, ctx: Context, run: Callable[[Context, dict[str, Any]], Any], changes: bool, *, code: str = ""
    ) -> Outcome:
        """Run code in a context, in a change of its own if it needs one; never raises."""
        scope = ctx.scope
        if not ctx.frames:
            ctx.frames.append({})
        frame = ctx.frames[0]
        if changes:
            ctx.change = self.begin_change(scope)
            ctx.guarded = ctx.journal is not None
        error: EngineError | None = None
        tree = None
        try:
            value = run(ctx, frame)
            if type(value) in SCALARS:
                tree = value
            elif type(value) is Future:
                ctx.awaited = value
            else:
                tree = result(value, ctx)
        except Exception as failure:
            error = failed(failure)
        value = None
        if ctx.ends_specially:
            tree, error = self._end(ctx, tree, error, code)
        frame.clear()
        ctx.frames.clear()
        if ctx.loose is not None and ctx.futures is None and not ctx.is_future:
            untangle(ctx.loose)
        change = ctx.change
        outcome = Outcome(tree, error, change, ctx.effects)
        if change is not None:
            scope.change = None
            self.finish_change(scope, change)
        if self.gone or self.gone_rooms:
            self._take_gone(outcome)
        return outcome

    def _end(self, ctx: Context, tree: Any, error: EngineError | None, code: str) -> tuple[Any, EngineError | None]:
        """A query has run that is atomic or has committed: undo an atomic one that failed, or whose result can't be
        told; keep the commit. The result and the error."""
        journal, ctx.journal = ctx.journal, None
        if journal is not None:
            if error is None and journal.fits is not None:
                try:
                    journal.fits(tree)
                except Exception as failure:
                    error = failed(failure)
            if error is not None:
                journal.undo()
                ctx.change = ctx.commit = ctx.effects = None
        if ctx.commit is not None:
            record_commit(ctx, code, None if error is None else error.message)
        return (tree if error is None else None), error

    def _take_gone(self, outcome: Outcome) -> None:
        """What is gone since goes into an outcome."""
        if self.gone:
            outcome.deleted = (outcome.deleted or []) + self.take_gone()
        if self.gone_rooms:
            rooms = sorted(self.gone_rooms, key=itemgetter(1))
            outcome.closed_rooms, self.gone_rooms = (outcome.closed_rooms or []) + rooms, []

    def due_tasks(self) -> list[tuple[Any, Any]]:
        """The tasks whose time has come, each with its scope, the earliest first."""
        return due_tasks(self)

    def run_task(self, scope: Any, task: Any) -> Outcome | None:
        """Run a task that was due; None when it is no more, since another one has cancelled it, say."""
        if scope.tasks.get(task.id) is not task or not 0 < task.start <= self.clock():
            return None
        self.executing += 1
        began = self.timer()
        outcome = run_task(self, scope, task)
        self.executing += 1
        self.counters.add_change(self.timer() - began)
        return outcome

    def count_refused(self) -> None:
        """Count a request that could not even be asked."""
        self.counters.add_refused()

    # --- durability --------------------------------------------------------------------------------------------------

    def open(self, store: Store) -> None:
        """Take up what a store holds: its state and the changes since; a new store is initialised."""
        if not self._load(store):
            self.initialise()
            self.writer = StateWriter(self)
            store.write_checkpoint(self.writer.checkpoint(whole=True))
            self.recent.reset(self.last_change, self.next_id)
            return
        self.recent.preload(store, self.last_change, self.next_id)
        replay = Replay(self)
        for _, packed in store.read_changes(self.last_change):
            replay.apply(packed)
        self.forget_scopes()
        self.garbage.freeze()

    def _load(self, store: Store) -> bool:
        """Load the state; False when there is none."""
        with store.read_state() as state:
            if not state.definitions:
                return False
            load(self, state)
            self.writer = StateWriter(self, state.definitions)
        return True

    def checkpoint(self) -> Checkpoint:
        """What the state on disk lacks, as of the last change; nothing counts as changed after it."""
        return self.writer.checkpoint()

    @property
    def dirty_things(self) -> int:
        """How many things differ from the state on disk."""
        return sum(len(collection.dirty) for collection in self.collections.values())

    # --- changes -----------------------------------------------------------------------------------------------------

    def begin_change(self, scope: Scope) -> Change:
        """Start a change: it has the next id."""
        self.last_change += 1
        change = Change(self.last_change, scope.id, self.next_id, self.clock())
        scope.change = change
        return change

    def finish_change(self, scope: Scope, change: Change) -> None:
        """Pack a change for the log and note what it touched."""
        change.next_id = self.next_id
        dirty = scope.dirty
        for thing_id, _ in change.mutations:
            dirty.add(thing_id)
        dirty.discard(0)  # in the place of a thing, where a mutation is of none
        if change.next_id != change.first_id:
            dirty.update(range(change.first_id, change.next_id))
        self.garbage.changed(scope, change)
        change.packed = self._packer.pack(
            (change.id, change.scope, change.at, change.next_id, change.mutations, self.gone)
        )
        self.recent.add(change, self.gone)
        self.gone_noted = len(self.gone)
        self.counters.changes_committed += 1

    def note_for_node(self, job: Job) -> Outcome:
        """Log what the process around the engine did to what the node keeps; the outcome is to be announced."""
        return self._note(self.node, job)

    def _note(self, scope: Scope, job: Job) -> Outcome:
        """A change that no query made."""
        change = self.begin_change(scope)
        scope.change = None
        change.mutations.append((0, Internal(job)))
        self.finish_change(scope, change)
        return Outcome(None, None, change)

    def collect_garbage(self) -> Outcome | None:
        """For quiet moments: a step, some milliseconds, of the search for things that nothing can reach any more; the
        outcome to be announced when some were removed. While `collecting`, the search is not over."""
        return self.garbage.step()

    @property
    def collecting(self) -> bool:
        """Is the search for unreachable things under way?"""
        return self.garbage.busy

    def record_internal(self, change: Change, job: Job) -> None:
        """Note a mutation of a change's scope that only the log sees."""
        scope = self.scope_by_id(change.scope)
        change.mutations.append((scope.root.id if scope.root is not None else 0, Internal(job)))

    def take_gone(self) -> list[int]:
        """The ids of things that are gone, once."""
        gone, self.gone = self.gone, []
        if len(gone) > self.gone_noted:
            self.recent.went(gone[self.gone_noted :])
        self.gone_noted = 0
        return gone
