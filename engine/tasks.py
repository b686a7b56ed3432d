"""Running tasks whose time has come (spec/time-and-procedures.md, section 4)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from engine.context import Context
from engine.errors import LanguageError
from engine.futures import run_futures
from engine.values.error import Error
from engine.values.task import Task, forget, note

if TYPE_CHECKING:
    from engine.engine import Engine, Outcome
    from engine.scopes import Scope
    from engine.users import User

__all__ = ["due_tasks", "run_task"]


class Owner:
    """The caller of a task: its owner, who can't be told events."""

    subscriber = None

    def __init__(self, user: User | None) -> None:
        self.user = user


def due_tasks(engine: Engine) -> list[tuple[Scope, Task]]:
    """The tasks whose time has come, the earliest first."""
    now = engine.clock()
    scopes: list[Any] = [engine.server, *engine.collections.values()]
    due = [(scope, task) for scope in scopes for task in scope.tasks.values() if task and task.start <= now]
    return sorted(due, key=lambda item: (item[1].start, item[1].id))


def run_task(engine: Engine, scope: Scope, task: Task) -> Outcome:
    """Run a task once, as its owner. How it ended is part of its change, or of one more."""
    closure = task.closure
    assert closure is not None
    arguments = task.arguments
    ctx = Context(engine, scope, Owner(task.owner), scope.root)
    ctx.deep = scope.deep
    ctx.by_request = True
    ctx.task = task
    task.again, task.cancelled = None, False
    failure: list[LanguageError] = []
    finished: list[bool] = []

    def run(ctx: Context, frame: dict[str, Any]) -> None:
        try:
            closure.call(ctx, task, *arguments)
        except (LanguageError, RecursionError) as error:
            error.__traceback__ = None
            failure.append(error if isinstance(error, LanguageError) else LanguageError(str(error)))
            ctx.futures = None
        if ctx.change is not None and not ctx.futures:
            _finish(engine, scope, task, failure)
            finished.append(True)

    outcome = engine.run_part(ctx, run, closure.code.has_effects)
    if ctx.futures is not None and outcome.error is None:
        run_futures(engine, ctx, outcome)
    if isinstance(outcome.error, LanguageError):
        failure.append(outcome.error)
    elif outcome.error is not None:
        failure.append(_as_language(outcome.error))
    outcome.error = None
    if not finished:
        after = Context(engine, scope, Owner(task.owner), scope.root)

        def end(ctx: Context, frame: dict[str, Any]) -> None:
            _finish(engine, scope, task, failure)

        ended = engine.run_part(after, end, True)
        outcome.more = [*(outcome.more or ()), ended]
    if failure:
        engine.counters.tasks_failed += 1
    else:
        engine.counters.tasks_succeeded += 1
    return outcome


def _as_language(error: Any) -> LanguageError:
    from engine.errors import OperationError

    return OperationError(error.message)


def _finish(engine: Engine, scope: Scope, task: Task, failure: list[LanguageError]) -> None:
    """Keep, schedule anew, or delete a task after its run."""
    if not task.id:
        return  # it deleted itself
    again, task.again = task.again, None
    if not failure and again is None:
        forget(engine, scope, task)
        return
    task.ran = True
    task.error = Error.caught(failure[0]) if failure else None
    task.start = again or 0
    note(engine, scope, task)
