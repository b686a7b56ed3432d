"""Running futures after their query (spec/time-and-procedures.md, section 3).

Those created last start first. A future whose closure needs a change gets one of its own, and runs after all that need
none, in order of starting. A future that a future creates starts as soon as that one has run. One that asks a module
runs when the answer comes: the query is `Pending` until then, and other queries run.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from functools import partial
from typing import TYPE_CHECKING, Any

from engine.context import Context
from engine.errors import EngineError, LanguageError, MaxQuotaError, OperationError
from engine.limits import MAX_FUTURES, MAX_FUTURES_PER_CLOSURE
from engine.users import CHANGE, require
from engine.values.error import Error
from engine.values.future import Future
from engine.values.list import List
from engine.values.room import Room
from engine.values.set import Set
from engine.values.storing import SCALARS
from engine.values.task import Task
from engine.values.thing import Thing
from engine.values.wrapped import Wrapped

if TYPE_CHECKING:
    from engine.engine import Engine
    from engine.modules import Answer, ModuleRequest
    from engine.outcome import Outcome
    from engine.values.closure import ClosureCode
    from engine.values.thing import Value

__all__ = ["Futures", "Pending", "Unfinished", "run_futures", "value_of"]


class Unfinished:
    """How many futures of a node have not finished yet: in all, and by the code of their `then`."""

    def __init__(self) -> None:
        self.count = 0
        self.by_code: dict[ClosureCode, int] = {}

    def add(self, future: Future) -> None:
        """There is one more. MaxQuotaError or OperationError when there are too many."""
        if self.count >= MAX_FUTURES:
            raise MaxQuotaError(f"a node can have at most {MAX_FUTURES} unfinished futures")
        if future.then is not None:
            self.occupy(future.then.code)
        self.count += 1

    def occupy(self, code: ClosureCode) -> None:
        """One more will run the code. OperationError when there are too many."""
        known = self.by_code.get(code, 0)
        if known >= MAX_FUTURES_PER_CLOSURE:
            raise OperationError(f"a closure can have at most {MAX_FUTURES_PER_CLOSURE} unfinished futures")
        self.by_code[code] = known + 1

    def finish(self, futures: Iterable[Future]) -> None:
        """These have run, or never will."""
        for future in futures:
            future.finished = True
            self.count -= 1
            if future.then is not None:
                code = future.then.code
                self.by_code[code] -= 1
                if not self.by_code[code]:
                    del self.by_code[code]


def value_of(value: Value) -> Value:
    """The value of a future that ran, or the value itself."""
    while type(value) is Future:
        if value.runs is None:
            return List([value_of(argument) for argument in value.arguments])
        value = value.value
    return value


def run_futures(
    engine: Engine, query: Context, outcome: Outcome, before_change: Callable[[], Outcome | None] | None = None
) -> None:
    """Run the futures of a query that succeeded, and those that they create; what they come to goes into
    `outcome.more`. The first error becomes that of the query: then nothing starts any more. While modules are asked,
    the outcome is `pending`.

    `before_change` is called once, before the first change of a future or request to a module; its outcome precedes
    that of the future.
    """
    futures = Futures(engine, query, before_change)
    futures.value = outcome.value
    futures.run()
    futures.report(outcome)


class Pending:
    """A query whose futures wait for modules. When one answers, `progress` gets an outcome of what came of that: the
    last one, which is not pending, has the query's value or error."""

    def __init__(self, futures: Futures) -> None:
        self._futures = futures
        self.progress: Callable[[Outcome], None] = lambda outcome: None
        self.conclude: Callable[[Outcome], Outcome] = lambda outcome: outcome
        """What is done to the last outcome before it goes to `progress`."""

    def answered(self, future: Future, answer: Answer) -> None:
        """A module has answered."""
        outcome = self._futures.engine.go_on(self._futures, future, answer)
        if outcome.pending is None:
            outcome = self.conclude(outcome)
        self.progress(outcome)


class Futures:
    """The futures of one query. `ready` are to be started, the last one first; `waiting` wait for their change."""

    def __init__(self, engine: Engine, query: Context, before_change: Callable[[], Outcome | None] | None) -> None:
        self.engine = engine
        self.query = query
        self.before_change = before_change
        self.ready: list[Future] = query.futures or []
        self.waiting: deque[Future] = deque()
        self.more: list[Outcome] = []
        self.error: EngineError | None = None
        self.value: Any = None  # of the query's own code, as a tree
        self.asked = 0
        """How many modules have not answered yet."""
        self.pending = Pending(self)
        query.futures = None

    def run(self) -> None:
        """Run all of them."""
        while True:
            if self.error is not None and self.ready:
                self.engine.futures.finish(self.ready)
                self.ready.clear()
            if self.ready:
                self.start(self.ready.pop())
            elif self.waiting:
                self.run_one(self.waiting.popleft())
            else:
                return

    def report(self, outcome: Outcome) -> None:
        """What they came to so far goes into an outcome."""
        if self.more:
            outcome.more, self.more = self.more, []
        if self.asked:
            outcome.pending, outcome.value = self.pending, None
        elif self.error is not None:
            outcome.error, outcome.value = self.error, None

    def start(self, future: Future) -> None:
        """Run a future at once, unless it needs a change or asks a module."""
        if future.request is not None:
            self.ask(future, future.request)
        else:
            self.begin(future)

    def ask(self, future: Future, request: ModuleRequest) -> None:
        """Send a future's request to its module."""
        self.tell_before()
        try:
            self.engine.host.modules.send(request.module, request.data, partial(self.pending.answered, future))
        except EngineError as failure:
            self.settle(future, failure)
        else:
            self.asked += 1

    def answer(self, future: Future, answer: Answer) -> None:
        """A module has answered a future's request."""
        self.asked -= 1
        if self.error is not None:
            self.engine.futures.finish((future,))
        else:
            self.settle(future, answer)

    def settle(self, future: Future, answer: Answer) -> None:
        """The answer to a future's request is known: run what it is for."""
        request, future.request = future.request, None
        assert request is not None
        result: Any = answer
        if not isinstance(answer, EngineError):
            try:
                result = request.response(answer)
            except EngineError as failure:
                result = failure
        if isinstance(result, EngineError):
            if future.otherwise is None or not isinstance(result, LanguageError):
                self.fail(result)
                self.engine.futures.finish((future,))
                return
            future.runs, result = future.otherwise, Error.caught(result)
        future.arguments = (result, *future.arguments[1:])
        self.begin(future)

    def begin(self, future: Future) -> None:
        """Run a future's closure at once, unless it needs a change."""
        if future.runs is None:
            self.engine.futures.finish((future,))
        elif future.runs.code.has_effects:
            try:
                self.check(future)
            except EngineError as failure:
                self.fail(failure)
                self.engine.futures.finish((future,))
            else:
                self.waiting.append(future)
        else:
            self.run_one(future)

    def check(self, future: Future) -> None:
        """ForbiddenError or OperationError when a future must not make a change."""
        user = self.query.caller.user
        assert user is not None
        require(user, self.query.scope, CHANGE)
        if any(map(_is_stored, future.arguments)):
            raise OperationError(
                "a future that needs a change can't take stored things, rooms or tasks: pass their ids"
            )

    def run_one(self, future: Future) -> None:
        """Run a future, in a change of its own if it needs one."""
        closure = future.runs
        assert closure is not None
        changes = closure.code.has_effects
        if changes:
            self.tell_before()
        query = self.query
        ctx = Context(self.engine, query.scope, query.caller, query.root)
        ctx.deep = query.deep
        ctx.by_request = ctx.is_future = True
        ctx.task = query.task
        arguments, future.arguments = future.arguments, ()

        def run(ctx: Context, frame: dict[str, Any]) -> None:
            future.value = closure.call(ctx, *arguments)

        part = self.engine.run_part(ctx, run, changes)
        if ctx.loose is not None:
            query.loose = [*(query.loose or ()), *ctx.loose]
        created = ctx.futures or []
        if part.error is None:
            self.ready += created
        else:
            self.engine.futures.finish(created)
            self.fail(part.error)
            part.error = None
        self.engine.futures.finish((future,))
        if part.change is not None or part.effects or part.deleted or part.closed_rooms:
            self.more.append(part)

    def tell_before(self) -> None:
        """Something is about to be done that must not be done twice."""
        if self.before_change is not None:
            before = self.before_change()
            self.before_change = None
            if before is not None:
                self.more.append(before)

    def fail(self, error: EngineError) -> None:
        """Something has failed; the first failure counts."""
        if self.error is None:
            error.__traceback__ = error.__context__ = None  # they would keep the query's values alive
            self.error = error


def _is_stored(value: Value) -> bool:
    """Is it, or holds it at any depth, a thing, room or task with an id?"""
    stack = [value]
    seen: set[int] = set()
    while stack:
        value = stack.pop()
        kind = type(value)
        if kind in SCALARS or id(value) in seen:
            continue
        seen.add(id(value))
        if kind is List or kind is tuple:
            stack += value
        elif kind is Set:
            stack += value.items
        elif kind is Wrapped:
            stack.append(value.thing)
        elif kind is Room or kind is Task or isinstance(value, Thing):
            if value.id:
                return True
            if isinstance(value, Thing):
                stack += value.values()
    return False
