"""Running tasks whose time has come (spec/time-and-procedures.md, section 4).

The promise: no task is lost, and none is run twice for one time, wherever the server stops. How a run ended is part of
the change that it made; where it made several, or none, the first of them says that it was interrupted, and one more
says how it ended (`Task.tree`). What a task that makes no change says in rooms is said with the change that tells its
end. Tests: tests/time_and_procedures/.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from engine.context import Context
from engine.errors import EngineError, LanguageError, OperationError
from engine.outcome import Outcome, failed
from engine.values.error import Error
from engine.values.task import Task, forget, note

if TYPE_CHECKING:
    from engine.engine import Engine
    from engine.users import User

__all__ = ["due_tasks", "run_task"]


class Owner:
    """The caller of a task: its owner, who can't be told events."""

    subscriber = None

    def __init__(self, user: User | None) -> None:
        self.user = user


def due_tasks(engine: Engine) -> list[tuple[Any, Task]]:
    """The tasks whose time has come, each with its scope, the earliest first."""
    now = engine.clock()
    scopes: list[Any] = [engine.server, *engine.collections.values()]
    due = [
        (scope, task) for scope in scopes for task in scope.tasks.values() if 0 < task.start <= now and not task.running
    ]
    return sorted(due, key=lambda item: (item[1].start, item[1].id))


def run_task(engine: Engine, scope: Any, task: Task) -> Outcome:
    """Run a task once, as its owner."""
    return _Run(engine, scope, task).outcome()


class _Run:
    """One run of a task. `told`: the log knows already that the task is running. `asked`: the start that it asked for
    before it failed and was undone."""

    def __init__(self, engine: Engine, scope: Any, task: Task) -> None:
        self.engine = engine
        self.scope = scope
        self.task = task
        self.owner = task.owner
        self.error: EngineError | None = None
        self.told = False
        self.asked: int | None = None

    def outcome(self) -> Outcome:
        """Run it; what it came to."""
        task, engine = self.task, self.engine
        closure = task.closure
        assert closure is not None
        task.running, task.again, task.cancelled = True, None, False
        ctx = self.context()
        ctx.by_request = True
        ctx.task = task
        outcome = engine.run_part(ctx, self.run, closure.code.has_effects)
        if ctx.futures is not None:
            engine.run_futures(ctx, outcome, self.before_change)
        if outcome.pending is None:
            return self.conclude(outcome)
        outcome.pending.conclude = self.conclude
        joined = _joined([outcome, *(outcome.more or ())])
        joined.pending, outcome.pending = outcome.pending, None
        return joined

    def conclude(self, outcome: Outcome) -> Outcome:
        """It has run, with all its futures: how that ended, and all that it came to."""
        task, engine = self.task, self.engine
        self.error = self.error or outcome.error
        outcome.error = None
        parts = [outcome, *(outcome.more or ())]
        if task.running and task.id:
            if self.asked is not None:
                task.again = self.asked
            parts.append(engine.run_part(self.context(), self.finish, True))
        task.running = False
        if self.error is None:
            engine.counters.tasks_succeeded += 1
        else:
            engine.counters.tasks_failed += 1
        return _joined(parts)

    def context(self) -> Context:
        ctx = Context(self.engine, self.scope, Owner(self.owner), self.scope.root)
        ctx.deep = self.scope.deep
        return ctx

    def run(self, ctx: Context, frame: dict[str, Any]) -> None:
        """Call the closure; how that ended becomes part of the change, if there is one."""
        task = self.task
        assert task.closure is not None
        try:
            task.closure.call(ctx, task, *task.arguments)
        except Exception as failure:
            if ctx.journal is not None:
                self.asked = task.again
                raise  # to be undone
            self.error = failed(failure)
            self.engine.futures.finish(ctx.futures or ())
            ctx.futures = None
        if ctx.change is not None:
            if ctx.futures is None:
                self.finish(ctx, frame)
            elif task.id:
                note(self.scope, task)
                self.told = True

    def before_change(self) -> Outcome | None:
        """A future is about to make a change: tell the log that the task is running, if it does not know."""
        if self.told or not self.task.id:
            return None

        def tell(ctx: Context, frame: dict[str, Any]) -> None:
            note(self.scope, self.task)

        return self.engine.run_part(self.context(), tell, True)

    def finish(self, ctx: Context, frame: dict[str, Any]) -> None:
        """Keep the task, schedule it anew, or delete it."""
        task, error = self.task, self.error
        if ctx.journal is not None:
            ctx.journal.save_definitions()
        task.running = False
        if not task.id:
            return  # it deleted itself
        if error is None and task.again is None:
            forget(self.scope, task)
            return
        task.start, task.again, task.ran = task.again or 0, None, True
        if error is not None and not isinstance(error, LanguageError):
            error = OperationError(error.message)  # no value has the code of an error that can't be caught
        task.error = None if error is None else Error.caught(error)
        note(self.scope, task)


def _joined(parts: list[Outcome]) -> Outcome:
    """One outcome of several. What is said without a change is said with the next one: it must not be heard before
    that is durable, or it might be heard twice."""
    joined: list[Outcome] = []
    said: Outcome | None = None
    for part in parts:
        if said is not None:
            part.effects = [*(said.effects or ()), *(part.effects or ())] or None
            part.deleted = [*(said.deleted or ()), *(part.deleted or ())] or None
            part.closed_rooms = [*(said.closed_rooms or ()), *(part.closed_rooms or ())] or None
            said = None
        if part.change is None:
            said = part
        else:
            joined.append(part)
    if said is not None:
        joined.append(said)
    first, *more = joined
    first.more = more or None
    return first
