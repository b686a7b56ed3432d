"""Live evaluation: code without side effects, run again and again, each time with a note of what it read.

`LiveQuery` is what a client subscribed to; `evaluate` runs it and gives an `Evaluation`: the result, and the keys of
what it depends on. `touched_by` gives the keys that an outcome touches. A result can only have changed when the two
have a key in common; when they have, it need not have changed. What is no data of ours (the clock, randomness)
makes nothing due.

The keys: the id of a thing whose contents were read; its negative where only its being there and its type were looked
at; and for what is no one thing a pair or triple that begins with a word (`engine.recent`). Tests: tests/watch/.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, Final

from engine import functions as _functions  # noqa: F401  (registers every function)
from engine.collection import Collection
from engine.context import Caller, Context
from engine.errors import (
    AuthError,
    BadDataError,
    EngineError,
    ForbiddenError,
    LookupFailed,
    OperationError,
    ResultTooLarge,
    TypeFailed,
)
from engine.language.compiler import compile_closure, compile_query
from engine.language.tracked import TRACKED, TrackedUnit, seen
from engine.outcome import Outcome, procedure_arguments
from engine.quota import check_sent
from engine.recent import ANYTHING, BORN, DEFINITIONS, EVERYTHING, EXTENT, SERVER, TASKS, Key, keys_of
from engine.result import Result
from engine.users import QUERY, RUN, name_allowed, require
from engine.values.incoming import variables as incoming_variables
from engine.values.thing import Instance, Thing

if TYPE_CHECKING:
    from engine.effects import Effect
    from engine.engine import Engine
    from engine.scopes import Scope
    from engine.snapshot import Tree
    from engine.types.type import Type
    from engine.users import User
    from engine.values.closure import ClosureCode

__all__ = ["Evaluation", "Key", "LiveContext", "LiveQuery", "touched_by", "types_born"]

MAX_THINGS_READ: Final = 250_000
"""Of one evaluation. Each is kept as long as the query is."""

MAX_KEPT_CLOSURES: Final = 1000
"""Stored closures whose noting code is kept."""


class LiveContext(Context):
    """The state of one evaluation: it may change nothing and say nothing, and notes what it reads.

    `things` and `extents` are the keys; `personal`: it asked who is asking.
    """

    def __init__(self, engine: Engine, scope: Scope, caller: Caller, kept: dict[tuple[str, str], Any]) -> None:
        self.things: set[int] = set()
        self.extents: set[tuple[Any, ...]] = {(DEFINITIONS, scope.id)}
        self.personal = False
        self._caller = caller
        self._kept = kept
        self._armed: list[tuple[ClosureCode, Callable[..., Any]]] = []
        super().__init__(engine, scope, caller, scope.root)
        self.deep = scope.deep
        if scope.kind == "T":
            self.extents.add(SERVER)

    @property
    def caller(self) -> Caller:
        self.personal = True
        return self._caller

    @caller.setter
    def caller(self, caller: Caller) -> None:
        self._caller = caller

    # --- what is read ------------------------------------------------------------------------------------------------

    def look_up(self, thing_id: int) -> None:
        """A thing is looked for by its id."""
        if thing_id > 0:
            self.things.add(thing_id)
            if thing_id >= self.engine.next_id:
                self.extents.add((BORN, self.scope.id))

    def read_extent(self, type_id: int) -> None:
        """All instances of a type are looked for."""
        self.extents.add((EXTENT, self.scope.id, type_id))

    def read_tasks(self) -> None:
        """The scope's tasks are read."""
        self.extents.add((TASKS, self.scope.id))

    def read_server(self) -> None:
        """Users, rights or settings are read."""
        self.extents.add(SERVER)

    def read_everything(self) -> None:
        """Anything in the scope may be read; from `@thingsdb`, in every scope."""
        self.extents.add((EVERYTHING, self.scope.id) if self.scope.kind == "C" else ANYTHING)

    def shown(self, flags: int) -> Result:
        """A result to be made, that notes what it reads."""
        return LiveResult(self, flags, self.engine.max_result_bytes)

    def arm(self, code: ClosureCode) -> None:
        """Have a closure's code note what it reads, until `disarm`."""
        run = code.run
        if run.__globals__ is not TRACKED:
            self._armed.append((code, run))
            code.run = self._tracked(code)

    def _tracked(self, code: ClosureCode) -> Callable[..., Any]:
        key = (self.scope.kind, code.source)
        known = self._kept.get(key)
        if known is None:
            if len(self._kept) >= MAX_KEPT_CLOSURES:
                del self._kept[next(iter(self._kept))]
            known = self._kept[key] = compile_closure(code.source, self.scope.kind, TrackedUnit).run
        return known

    def disarm(self) -> None:
        """The evaluation is over: closures run as ever."""
        for code, run in self._armed:
            code.run = run
        self._armed.clear()

    # --- what is not allowed -----------------------------------------------------------------------------------------

    def say(self, effect: Effect) -> None:
        raise OperationError(f"a live query can't {_WORDS[type(effect).__name__]}: it only reads")

    def become_change(self) -> None:
        raise OperationError("a live query can change nothing: it only reads")


_WORDS: Final = {
    "Log": "log",
    "RoomEvent": "emit",
    "Watch": "watch a thing",
    "Unwatch": "stop a watch",
    "InstanceJob": "change a type",
    "Gone": "delete a collection",
    "Renewed": "import",
}


class LiveResult(Result):
    """A result that notes the things that are shown in it."""

    __slots__ = ()

    def enter(self, thing: Thing, deep: int, through: Type | None = None) -> None:
        super().enter(thing, deep)
        ctx: LiveContext = self.ctx  # type: ignore[assignment]
        if deep > 0:
            if thing.id:
                ctx.things.add(thing.id)
            if through is not None:
                # Whether a field is shown depends on its value, and on what that is made of.
                for name in through.fields:
                    if thing.has(name):
                        seen(ctx, thing.get(name))
                for closure in through.methods.values():
                    ctx.arm(closure.code)

    def task(self) -> None:
        self.ctx.read_tasks()  # type: ignore[union-attr]


class Evaluation:
    """What an evaluation came to: the result as a tree, and what it depends on."""

    __slots__ = ("extents", "things", "value")

    def __init__(self, value: Tree, ctx: LiveContext) -> None:
        self.value = value
        self.things = ctx.things
        self.extents = ctx.extents


class LiveQuery:
    """Code with variables, or a procedure with arguments, in a scope.

    What was sent is kept as it was sent, and made into values for each evaluation. Making one raises an EngineError
    when it can't be live: it has side effects, or the user may not run it.
    """

    def __init__(
        self,
        engine: Engine,
        user: User | None,
        scope: str,
        *,
        code: Any = None,
        procedure: Any = None,
        given: Any = None,
    ) -> None:
        if user is None:
            raise AuthError("log in first")
        self.engine = engine
        self.scope: Scope = engine.scope(scope)
        self.procedure = procedure
        self.given = given
        self.personal = False
        """Whether the last evaluation, be it one that failed, asked who is asking."""
        if self.scope.kind == "N":
            raise BadDataError("there are no live queries in @node")
        if (code is None) == (procedure is None):
            raise BadDataError("a subscription takes either code or a procedure")
        if isinstance(given, EngineError):
            raise given  # it could not be decoded
        if given is not None and type(given) is not dict and not (procedure is not None and type(given) is list):
            raise BadDataError("variables are a map, and the arguments of a procedure a list or a map")
        if self.scope.quotas:
            check_sent(self.scope, code, given)
        self._run: Callable[[Context, dict[str, Any]], Any] = self._call
        self.check(user)
        if procedure is None:
            if type(code) is not str:
                raise TypeFailed("the code of a query is a str")
            compiled = compile_query(code, self.scope.kind, TrackedUnit)
            if compiled.changes:
                raise OperationError("a live query can't have side effects, and this code has some")
            self._run = compiled.run

    def check(self, user: User) -> None:
        """LookupError when what it asks of is gone; ForbiddenError when the user may not run it, or not any more."""
        scope, engine = self.scope, self.engine
        if isinstance(scope, Collection) and engine.collections.get(scope.name) is not scope:
            raise LookupFailed(f"the collection {scope.name} was deleted")
        if user.deleted:
            raise ForbiddenError(f"the user {user.name} was deleted")
        if self.procedure is None:
            require(user, scope, QUERY)
            return
        if type(self.procedure) is not str:
            raise TypeFailed("the name of a procedure is a str")
        if self.procedure not in scope.procedures:
            raise LookupFailed(f"there is no procedure {self.procedure[:80]}")
        if not name_allowed(user, "procedures", self.procedure):
            raise ForbiddenError(f"the whitelist of the user {user.name} does not allow the procedure {self.procedure}")
        require(user, scope, RUN)
        if scope.procedures[self.procedure].closure.code.has_effects:
            raise OperationError(f"a live query can't have side effects, and the procedure {self.procedure} has some")

    @property
    def settings(self) -> tuple[Any, ...]:
        """What the scope is set to that a result may depend on."""
        scope = self.scope
        return (scope.title, scope.deep, scope.time_zone, dict(scope.quotas))

    def _call(self, ctx: Context, _: dict[str, Any]) -> Any:
        closure = self.scope.procedures[self.procedure].closure
        ctx.arm(closure.code)  # type: ignore[attr-defined]
        ctx.by_request = True
        return closure.call(ctx, *procedure_arguments(closure.code.params, self.given))

    def evaluate(self, caller: Caller, limit: int) -> Evaluation:
        """Run it for a caller. Raises an EngineError when that fails, or the result is larger than `limit` bytes."""
        assert caller.user is not None
        engine = self.engine
        engine.executing += 1
        engine.live += 1
        ctx = LiveContext(engine, self.scope, caller, engine.live_closures)
        try:
            self.check(caller.user)
            frame = incoming_variables(self.given) if self.procedure is None else {}
            ctx.frames.append(frame)
            value = seen(ctx, self._run(ctx, frame))
            shown = LiveResult(ctx, ctx.flags, limit)
            tree = shown.show(value, ctx.deep)
            if shown.size > limit:
                raise ResultTooLarge(f"the result of a live query can have at most {limit} bytes")
            if len(ctx.things) > MAX_THINGS_READ:
                raise OperationError(f"a live query can read at most {MAX_THINGS_READ} things")
            return Evaluation(tree, ctx)
        finally:
            engine.executing += 1
            engine.live -= 1
            self.personal = ctx.personal
            ctx.disarm()
            engine.end_live(ctx)


def touched_by(outcome: Outcome) -> Iterator[Key]:
    """The keys that an outcome touches, some more than once. Those of the outcomes in `more` are not among them."""
    change = outcome.change
    for thing_id in outcome.deleted or ():
        yield thing_id
        yield -thing_id
    if change is not None:
        yield ANYTHING
        if change.scope:
            yield (EVERYTHING, change.scope)
        yield from keys_of(change.scope, change.mutations, change.next_id != change.first_id)


def types_born(outcome: Outcome, engine: Engine) -> Iterator[Key]:
    """The extents that grew by the things that got an id in an outcome's change."""
    change = outcome.change
    if change is None or not change.scope:
        return
    collection = engine.scope_by_id(change.scope)
    for thing_id in range(change.first_id, change.next_id):
        thing = collection.find(thing_id)  # type: ignore[union-attr]
        if type(thing) is Instance:
            yield (EXTENT, change.scope, thing.kind.id)
