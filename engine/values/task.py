"""Tasks: closures that the server runs at a given time (spec/time-and-procedures.md, section 4). `engine.tasks` runs
them."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from engine.change import Internal, Job
from engine.encoding import leaf
from engine.errors import (
    ForbiddenError,
    LookupFailed,
    MaxQuotaError,
    NumArgumentsError,
    OperationError,
    TypeFailed,
    ValueFailed,
)
from engine.functions.registry import FUNCTIONS, METHODS, function, method, register_kind, type_name
from engine.functions.users import find_user
from engine.limits import MAX_TASKS
from engine.replay import Replay, replays
from engine.result import Result, shows
from engine.snapshot import PACK, Tree, pack, packs
from engine.state import loads, saves
from engine.types.definition import DEFAULTS
from engine.users import CHANGE, User, require
from engine.values.as_text import TEXT
from engine.values.closure import Closure
from engine.values.datetime import Datetime, Moment, Timeval, checked_unit, moved
from engine.values.error import Error
from engine.values.list import List
from engine.values.regex import Regex
from engine.values.storing import SCALARS, nested

if TYPE_CHECKING:
    from collections.abc import Iterator

    from engine.context import Context
    from engine.engine import Engine
    from engine.scopes import Scope
    from engine.values.thing import Value

    Thunk = Callable[[], Value]

__all__ = ["CANCELLED", "Task", "drop", "forget", "note"]

LAST_START = 4_294_967_295
CANCELLED = Error(-64, "the task was cancelled")
INTERRUPTED = Error(-64, "the server stopped before the futures of the task had run")


class Task:
    """A task; the empty task has the id 0, and so has one that was deleted.

    `start` is when it runs, in seconds, 0 while it is not scheduled. `arguments` are those after the first, which is
    the task itself. `error` is that of the last run, `ran`: has there been one?

    While it runs, `running` is set, and `again` is the start that this run asked for. What the log says of it then is
    how it is to be found should the server stop before the run is over: neither lost nor run once more.
    """

    __slots__ = (
        "again", "arguments", "cancelled", "closure", "error", "id", "lock", "owner", "ran", "running", "start",
    )  # fmt: skip

    def __init__(self) -> None:
        self.id = 0
        self.start = 0
        self.owner: User | None = None
        self.closure: Closure | None = None
        self.arguments: tuple[Value, ...] = ()
        self.error: Error | None = None
        self.ran = False
        self.lock = 0
        self.running = False
        self.again: int | None = None
        self.cancelled = False  # in this run

    def __bool__(self) -> bool:
        return bool(self.id and self.start)

    def __str__(self) -> str:
        return f"task:{self.id or 'nil'}"

    def tree(self, home: Any) -> dict[str, Tree]:
        """How it stands in the log and on disk. Things among the arguments become part of the collection `home`."""
        assert self.closure is not None
        assert self.owner is not None
        start, error, ran = self.start, self.error, self.ran
        if self.running and not self.cancelled:
            start, error, ran = self.again or 0, INTERRUPTED, True
        return {
            "id": self.id,
            "start": start,
            "owner": self.owner.id,
            "closure": self.closure.code.compact,
            "arguments": _packed(self.arguments, home),
            "error": None if error is None else [error.code, error.message],
            "ran": ran,
        }

    def fill(self, replay: Replay, tree: dict[str, Any], scope: Scope) -> None:
        """Take up what `tree` gave."""
        self.id = replay.leaf_id(tree["id"])
        self.start = tree["start"]
        self.owner = next((user for user in replay.engine.users.values() if user.id == tree["owner"]), None)
        self.closure = Closure.from_source(tree["closure"], scope.kind)
        self.arguments = tuple([replay.value(argument) for argument in tree["arguments"]])
        self.error = None if tree["error"] is None else Error(*tree["error"])
        self.ran = tree["ran"]


def _packed(arguments: tuple[Value, ...], home: Any) -> Tree:
    if home.kind == "C":
        return pack(arguments, home)
    return [value if type(value) in SCALARS else PACK[type(value)](value, home, 1) for value in arguments]


register_kind("task", Task)
TEXT[Task] = str
DEFAULTS["task"] = lambda home: Task()


@shows(Task)
def _show(value: Task, made: Result, deep: int) -> Tree:
    if not value.id:
        return "task:nil"
    made.task()
    when = Datetime(value.start).text() if value.start else "nil"
    status = "nil" if not value.ran else ("ok" if value.error is None else "err")
    owner = value.owner.name if value.owner is not None else "nil"
    return f"<task:{value.id} owner:{owner} run_at:{when} status:{status}>"


def _read(data: bytes, replay: Replay) -> Task:
    number = int.from_bytes(data, "big")
    if not number:
        return Task()
    return _task_of(replay, replay.leaf_id(number))


def _tell(data: bytes, home: Any) -> Task | str:
    number = int.from_bytes(data, "big")
    known: Task | None = home.tasks.get(number)
    return known or (f"<task:{number} owner:nil run_at:nil status:nil>" if number else "task:nil")


leaf(Task, 3, lambda task: task.id.to_bytes(8, "big"), _read, _tell)


@packs(Task)
def _pack(value: Task, home: Any, depth: int) -> Task:
    return value


# --- keeping them ----------------------------------------------------------------------------------------------------


def _scope_of(replay: Replay) -> Any:
    return replay.home if replay.home is not None else replay.engine.server


def _task_of(replay: Replay, task_id: int) -> Task:
    """The task with that id; one that is still empty where it is mentioned before it is made, or after it is gone."""
    known: Task | None = _scope_of(replay).tasks.get(task_id)
    if known is None:
        known = replay.awaited_tasks.get(task_id)
    if known is None:
        known = replay.awaited_tasks[task_id] = Task()
    return known


def _record(scope: Any, job: Job) -> None:
    assert scope.change is not None
    scope.change.mutations.append((0, Internal(job)))


def note(scope: Any, task: Task) -> None:
    """Record a task as it is now in the change that is being made in its scope."""
    _record(scope, {"task": task.tree(scope)})


def forget(scope: Any, task: Task) -> None:
    """Delete a task, in the change that is being made; every reference to it becomes the empty task."""
    _record(scope, {"del_task": task.id})
    drop(scope, task)


def drop(scope: Any, task: Task) -> None:
    """Take a task out of its scope; the last one moves into its place."""
    ids = list(scope.tasks)
    place, last = ids.index(task.id), ids.pop()
    if place < len(ids):
        ids[place] = last
    scope.tasks = {number: scope.tasks[number] for number in ids}
    task.id = task.start = 0
    task.owner = task.closure = task.error = None
    task.arguments = ()


def _changed(ctx: Context, task: Task, **changes: Any) -> None:
    """Set attributes of a task and record it; when that fails, it is as it was."""
    before = {name: getattr(task, name) for name in changes}
    for name, value in changes.items():
        setattr(task, name, value)
    try:
        note(ctx.scope, task)
    except BaseException:
        for name, value in before.items():
            setattr(task, name, value)
        raise


_NOTHING = object()  # in the place of an argument that was not given

# --- functions -------------------------------------------------------------------------------------------------------


@function(
    "task",
    "start_or_id?: any, closure?: lazy closure, arguments?: lazy list|tuple",
    scopes="CT",
    changes="CT",
    runs_code=True,
    doc="A new task, which runs a closure at a time; or the task with an id; or the empty task.",
    example="task(datetime().move('hours', 1), |task| log('an hour later'))",
)
def task_(ctx: Context, start: Value = _NOTHING, closure: Thunk | None = None, arguments: Thunk | None = None) -> Task:
    if start is _NOTHING:
        return Task()
    tasks: dict[int, Task] = ctx.scope.tasks  # type: ignore[union-attr]
    if closure is None:
        if type(start) is not int:
            raise TypeFailed(f"task() takes an int, the id of a task, as its only argument, not {type_name(start)}")
        if start not in tasks:
            raise LookupFailed(f"there is no task {start}")
        return tasks[start]
    if not isinstance(start, Moment):
        raise TypeFailed(f"task() takes datetime or timeval as argument 1, not {type_name(start)}")
    if len(tasks) >= MAX_TASKS:
        raise MaxQuotaError(f"{ctx.scope.title} can have at most {MAX_TASKS} tasks")
    if not 0 <= start.seconds <= LAST_START:
        raise ValueFailed(f"a task starts at most {LAST_START} seconds after 1970, and not before")
    code: Closure = TASK.check_lazy(1, closure)
    values = _arguments(ctx, code, List() if arguments is None else TASK.check_lazy(2, arguments))
    code.store()
    made = Task()
    made.id = ctx.engine.next_id
    ctx.engine.next_id += 1
    made.start, made.owner, made.closure, made.arguments = start.seconds, ctx.caller.user, code, values
    note(ctx.scope, made)
    tasks[made.id] = made
    return made


def _arguments(ctx: Context, closure: Closure, given: Value) -> tuple[Value, ...]:
    """The arguments of a task, in the form in which it keeps them."""
    room = max(len(closure.code.params) - 1, 0)
    if len(given) > room:
        raise NumArgumentsError(f"the closure takes {room} arguments after the task itself, not {len(given)}")
    values = [nested(value) for value in given]
    if ctx.scope.kind == "T":
        for value in values:
            if type(value) not in SCALARS and type(value) not in (Regex, Datetime, Timeval):
                raise TypeFailed(f"a task in @thingsdb can't take {type_name(value)} as an argument")
    return tuple(values) + (None,) * (room - len(values))


@function("tasks", scopes="CT", doc="A list of the tasks of the scope.", example="tasks().len()")
def tasks(ctx: Context) -> List:
    return List(ctx.scope.tasks.values())  # type: ignore[union-attr]


TASK = FUNCTIONS["task"]


# --- methods ---------------------------------------------------------------------------------------------------------


def _full(task: Task) -> None:
    if not task.id:
        raise ValueFailed("the empty task has nothing of the kind")


def _free(ctx: Context, task: Task) -> None:
    if ctx.change is None:
        raise OperationError("a task can only be changed by a query that is a change: use wse(…)")
    if task.lock:
        raise OperationError("the task can't be changed while it is in use")
    if ctx.journal is not None:
        ctx.journal.save_definitions()


@method("task", "id", doc="The id of the task, nil for the empty one.", example="task().id()")
def id_(ctx: Context, task: Task) -> int | None:
    return task.id or None


@method("task", "at", doc="When it runs, nil when it is not scheduled.", example="task().at()")
def at(ctx: Context, task: Task) -> Datetime | None:
    return Datetime(task.start, ctx.scope.time_zone) if task else None


@method("task", "err", doc="The error of its last run, or nil.", example="task().err()")
def err(ctx: Context, task: Task) -> Error | None:
    return task.error


@method("task", "owner", doc="The name of the user that it runs as.", example="tasks().map(|t| t.owner())")
def owner(ctx: Context, task: Task) -> str | None:
    _full(task)
    return task.owner.name if task.owner is not None else None


@method("task", "args", doc="Its arguments, without the task itself.", example="tasks().map(|t| t.args())")
def args(ctx: Context, task: Task) -> tuple[Value, ...]:
    _full(task)
    return task.arguments


@method("task", "closure", doc="Its closure.", example="tasks().map(|t| t.closure())")
def closure(ctx: Context, task: Task) -> Closure | None:
    _full(task)
    return task.closure


def _evaluated(task: Task, thunk: Thunk) -> Value:
    """An argument, evaluated while the task is locked."""
    task.lock += 1
    try:
        return thunk()
    finally:
        task.lock -= 1


def _argument(task: Task, name: str, thunk: Thunk) -> Any:
    """The only argument of a method, evaluated while the task is locked, and checked."""
    task.lock += 1
    try:
        return METHODS[name][Task].check_lazy(0, thunk)
    finally:
        task.lock -= 1


@method(
    "task",
    "set_args",
    "arguments: lazy list|tuple",
    doc="Replaces its arguments.",
    example="tasks().each(|t| t.set_args([]))",
)
def set_args(ctx: Context, task: Task, arguments: Thunk) -> None:
    _full(task)
    _free(ctx, task)
    given = _argument(task, "set_args", arguments)
    assert task.closure is not None
    _changed(ctx, task, arguments=_arguments(ctx, task.closure, given))


@method(
    "task",
    "set_closure",
    "closure: lazy closure",
    doc="Replaces its closure.",
    example="tasks().each(|t| t.set_closure(|| nil))",
)
def set_closure(ctx: Context, task: Task, closure: Thunk) -> None:
    _full(task)
    _free(ctx, task)
    code: Closure = _argument(task, "set_closure", closure)
    code.store()
    room = max(len(code.code.params) - 1, 0)
    _changed(ctx, task, closure=code, arguments=(task.arguments + (None,) * room)[:room])


@method(
    "task",
    "set_owner",
    "user: lazy str",
    doc="Makes another user its owner, who may have no more rights than you.",
    example="tasks().each(|t| t.set_owner('admin'))",
)
def set_owner(ctx: Context, task: Task, user: Thunk) -> None:
    _full(task)
    _free(ctx, task)
    found = find_user(ctx, _argument(task, "set_owner", user))
    me = ctx.caller.user
    assert me is not None
    require(found, ctx.scope, CHANGE)
    if ctx.scope.access.get(found.id, 0) & ~ctx.scope.access.get(me.id, 0):
        raise ForbiddenError(f"the user {found.name} has rights on {ctx.scope.title} that you lack")
    _changed(ctx, task, owner=found)


@method("task", "cancel", doc="Takes it off the schedule.", example="tasks().each(|t| t.cancel())")
def cancel(ctx: Context, task: Task) -> None:
    _free(ctx, task)
    if task:
        if task.running:
            task.cancelled, task.again = True, None
        task.start, task.error, task.ran = 0, CANCELLED, True
        note(ctx.scope, task)


@method(
    "task",
    "del",
    doc="Deletes it; every reference to it becomes the empty task.",
    example="tasks().each(|t| t.del())",
)
def del_(ctx: Context, task: Task) -> None:
    _free(ctx, task)
    if task.id:
        forget(ctx.scope, task)


def _check_running(ctx: Context, task: Task) -> None:
    """OperationError unless the task is the one that is running."""
    _full(task)
    if ctx.task is not task or task.cancelled:
        raise OperationError("only the task that is running can run again, and not once it was cancelled")


def _again(ctx: Context, task: Task, seconds: int) -> None:
    if not int(ctx.now) <= seconds <= LAST_START:
        raise ValueFailed(f"a task runs again now or later, and at most {LAST_START} seconds after 1970")
    if ctx.change is None:
        raise OperationError("a task can only be changed by code that is a change: use wse(…)")
    task.again = seconds


@method(
    "task",
    "again_at",
    "start: lazy datetime|timeval",
    doc="Lets the task that is running run again at a time.",
    example="task(datetime(), |t| t.again_at(datetime().move('days', 1)))",
    guard=_check_running,
)
def again_at(ctx: Context, task: Task, start: Thunk) -> None:
    _check_running(ctx, task)
    _again(ctx, task, AGAIN_AT.check_lazy(0, start).seconds)


@method(
    "task",
    "again_in",
    "unit: lazy str, count: lazy int",
    doc="Lets the task that is running run again some time after its start.",
    example="task(datetime(), |t| t.again_in('days', 1))",
    guard=_check_running,
)
def again_in(ctx: Context, task: Task, unit_of: Thunk, count_of: Thunk) -> None:
    _check_running(ctx, task)
    unit = checked_unit(AGAIN_IN.check_lazy(0, unit_of))
    count: int = AGAIN_IN.check_lazy(1, count_of)
    if count <= 0:
        raise ValueFailed(f"a task runs again later, not after {count} {unit}")
    start = Datetime(task.start, ctx.scope.time_zone)
    _again(ctx, task, _next(start, unit, count, int(ctx.now)).seconds)


_UNIT_SECONDS = {"seconds": 1, "minutes": 60, "hours": 3600, "days": 86_400, "weeks": 604_800}


def _next(start: Datetime, unit: str, count: int, now: int) -> Datetime:
    """The first moment that is a multiple of some time after a start and not past."""
    moment = moved(start, unit, count)
    if unit in _UNIT_SECONDS:
        # What was missed in years is not walked through second by second.
        missed = (now - moment.seconds) // (count * _UNIT_SECONDS[unit]) - 1
        if missed > 0:
            moment = moved(moment, unit, count * missed)
    while moment.seconds < now:
        moment = moved(moment, unit, count)
    return moment


AGAIN_AT = METHODS["again_at"][Task]
AGAIN_IN = METHODS["again_in"][Task]


# --- log and state ---------------------------------------------------------------------------------------------------


@replays("task")
def _replay_task(replay: Replay, _: Any, tree: dict[str, Any]) -> None:
    scope = _scope_of(replay)
    task = _task_of(replay, tree["id"])
    replay.kept.append(task.arguments)
    task.fill(replay, tree, scope)
    scope.tasks[task.id] = task
    replay.awaited_tasks.pop(task.id, None)


@replays("del_task")
def _replay_del(replay: Replay, _: Any, task_id: int) -> None:
    scope = _scope_of(replay)
    replay.kept.append(scope.tasks[task_id].arguments)
    drop(scope, scope.tasks[task_id])


@saves
def _save(engine: Engine) -> Iterator[tuple[str, int | str, Any]]:
    scopes: list[Any] = [engine.server, *engine.collections.values()]
    for scope in scopes:
        for place, task in enumerate(scope.tasks.values()):
            yield "task", f"{scope.id}:{task.id}", {**task.tree(scope), "place": place}


@loads("task")
def _load(replay: Replay, key: str, tree: dict[str, Any]) -> None:
    scope = _scope_of(replay)
    task = _task_of(replay, replay.leaf_id(tree["id"]))
    task.fill(replay, tree, scope)
    if not scope.tasks:
        replay.later.append(lambda: _arrange(scope, replay.task_places))
    scope.tasks[task.id] = task
    replay.awaited_tasks.pop(task.id, None)
    replay.task_places[task.id] = tree["place"]


def _arrange(scope: Any, places: dict[int, int]) -> None:
    """Bring the tasks of a scope into their order."""
    scope.tasks = dict(sorted(scope.tasks.items(), key=lambda item: places[item[0]]))
