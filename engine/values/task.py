"""Tasks: closures that the server runs at a given time (spec/time-and-procedures.md, section 4). `engine.tasks` runs
them."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

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
from engine.functions.registry import function, method, register_kind, type_name
from engine.functions.users import find_user
from engine.limits import MAX_TASKS
from engine.replay import Replay, replays
from engine.result import Result, shows
from engine.snapshot import PACK, Tree, packs
from engine.state import loads, saves
from engine.types.definition import DEFAULTS
from engine.users import CHANGE, User, require
from engine.values.as_text import TEXT
from engine.values.closure import Closure
from engine.values.datetime import Datetime, Moment, Timeval, moved
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

__all__ = ["CANCELLED", "Task", "forget", "note"]

LAST_START = 4_294_967_295
CANCELLED = Error(-64, "the task was cancelled")


class Task:
    """A task; the empty task has the id 0, and so has one that was deleted.

    `start` is when it runs, in seconds, 0 while it is not scheduled. `arguments` are those after the first, which is
    the task itself. `error` is that of the last run, `ran`: has there been one?
    """

    __slots__ = ("again", "arguments", "cancelled", "closure", "error", "id", "lock", "owner", "ran", "start")

    def __init__(self) -> None:
        self.id = 0
        self.start = 0
        self.owner: User | None = None
        self.closure: Closure | None = None
        self.arguments: tuple[Value, ...] = ()
        self.error: Error | None = None
        self.ran = False
        self.lock = 0
        self.again: int | None = None  # the start that this run asked for
        self.cancelled = False  # in this run

    def __bool__(self) -> bool:
        return bool(self.id and self.start)

    def __str__(self) -> str:
        return f"task:{self.id or 'nil'}"

    def tree(self, home: Any) -> dict[str, Tree]:
        """How it stands in the log and on disk."""
        assert self.closure is not None
        return {
            "id": self.id,
            "start": self.start,
            "owner": self.owner.id if self.owner is not None else 0,
            "closure": self.closure.code.compact,
            "arguments": [
                value if type(value) in SCALARS else PACK[type(value)](value, home, 1) for value in self.arguments
            ],
            "error": None if self.error is None else [self.error.code, self.error.message],
            "ran": self.ran,
        }

    def fill(self, replay: Replay, tree: dict[str, Any], kind: str) -> None:
        """Take up what `tree` gave."""
        self.id = replay.leaf_id(tree["id"])
        self.start = tree["start"]
        self.owner = next((user for user in replay.engine.users.values() if user.id == tree["owner"]), None)
        self.closure = Closure.from_source(tree["closure"], kind)
        self.arguments = tuple(replay.value(argument) for argument in tree["arguments"])
        self.error = None if tree["error"] is None else Error(*tree["error"])
        self.ran = tree["ran"]


register_kind("task", Task)
TEXT[Task] = str
DEFAULTS["task"] = lambda home: Task()


@shows(Task)
def _show(value: Task, made: Result, deep: int) -> Tree:
    if not value.id:
        return "task:nil"
    when = Datetime(value.start).text() if value.start else "nil"
    status = "nil" if not value.ran else ("ok" if value.error is None else "err")
    owner = value.owner.name if value.owner is not None else "nil"
    return f"<task:{value.id} owner:{owner} run_at:{when} status:{status}>"


def _read(data: bytes, replay: Replay) -> Task:
    number = int.from_bytes(data, "big")
    if not number:
        return Task()
    scope: Any = replay.home if replay.home is not None else replay.engine.server
    known = scope.tasks.get(replay.leaf_id(number)) or replay.awaited_tasks.get(replay.leaf_id(number))
    if known is None:
        known = replay.awaited_tasks[replay.leaf_id(number)] = Task()
    return known


leaf(Task, 3, lambda task: task.id.to_bytes(8, "big"), _read)


@packs(Task)
def _pack(value: Task, home: Any, depth: int) -> Task:
    return value


# --- keeping them ----------------------------------------------------------------------------------------------------


def note(engine: Engine, scope: Scope, task: Task) -> None:
    """Record a task as it is now in the change that is being made."""
    assert scope.change is not None
    engine.record_internal(scope.change, {"task": task.tree(scope)})


def forget(engine: Engine, scope: Scope, task: Task) -> None:
    """Delete a task, in the change that is being made; every reference to it becomes the empty task."""
    assert scope.change is not None
    engine.record_internal(scope.change, {"del_task": task.id})
    drop(scope, task)


def drop(scope: Scope, task: Task) -> None:
    """Take a task out of its scope; the last one moves into its place."""
    ids = list(scope.tasks)  # type: ignore[union-attr]
    place, last = ids.index(task.id), ids.pop()
    if place < len(ids):
        ids[place] = last
    scope.tasks = {number: scope.tasks[number] for number in ids}  # type: ignore[union-attr]
    task.id = task.start = 0
    task.owner = task.closure = task.error = None
    task.arguments = ()


# --- functions -------------------------------------------------------------------------------------------------------


@function(
    "task",
    "start?: lazy any, closure?: lazy any, arguments?: lazy any",
    scopes="CT",
    changes="CT",
    runs_code=True,
    doc="A task that runs a closure at a time; or the task with an id; or the empty task.",
    example="task(datetime().move('hours', 1), |task| log('an hour later'))",
)
def task_(ctx: Context, *given: Thunk) -> Task:
    if not given:
        return Task()
    start = given[0]()
    if len(given) == 1:
        if type(start) is not int:
            raise TypeFailed(f"a task is found by its id, an int, not by {type_name(start)}")
        found: Task | None = ctx.scope.tasks.get(start)  # type: ignore[union-attr]
        if found is None:
            raise LookupFailed(f"there is no task {start}")
        return found
    if not isinstance(start, Moment):
        raise TypeFailed(f"a task starts at a datetime or timeval, not at {type_name(start)}")
    if len(ctx.scope.tasks) >= MAX_TASKS:  # type: ignore[union-attr]
        raise MaxQuotaError(f"a scope can have at most {MAX_TASKS} tasks")
    if not 0 <= start.seconds <= LAST_START:
        raise ValueFailed(f"a task starts between 0 and {LAST_START} seconds after 1970")
    closure = given[1]()
    if type(closure) is not Closure:
        raise TypeFailed(f"task() takes closure as argument 2, not {type_name(closure)}")
    arguments = _arguments(ctx, closure, given[2]() if len(given) > 2 else List())
    closure.store()
    made = Task()
    made.id = ctx.engine.next_id
    ctx.engine.next_id += 1
    made.start, made.owner, made.closure, made.arguments = start.seconds, ctx.caller.user, closure, arguments
    ctx.scope.tasks[made.id] = made  # type: ignore[union-attr]
    note(ctx.engine, ctx.scope, made)
    return made


def _arguments(ctx: Context, closure: Closure, given: Value) -> tuple[Value, ...]:
    if type(given) is not List and type(given) is not tuple:
        raise TypeFailed(f"the arguments of a task are a list, not {type_name(given)}")
    room = max(len(closure.code.params) - 1, 0)
    if len(given) > room:
        raise NumArgumentsError(f"the closure takes {room} arguments after the task, not {len(given)}")
    values = [nested(value) for value in given]
    if ctx.scope.kind == "T":
        for value in values:
            if type(value) not in SCALARS and type(value) not in (Regex, Datetime, Timeval):
                raise TypeFailed(f"a task of @thingsdb can't take {type_name(value)}")
    return tuple(values) + (None,) * (room - len(values))


@function("tasks", scopes="CT", doc="A list of the tasks of the scope.", example="tasks().len()")
def tasks(ctx: Context) -> List:
    return List(ctx.scope.tasks.values())  # type: ignore[union-attr]


# --- methods ---------------------------------------------------------------------------------------------------------


def _full(task: Task) -> None:
    if not task.id:
        raise ValueFailed("the empty task has nothing of the kind")


def _free(ctx: Context, task: Task) -> None:
    if ctx.change is None:
        raise OperationError("a task can only be changed by a query that is a change: use wse(…)")
    if task.lock:
        raise OperationError("the task can't be changed while it is in use")


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


@method("task", "set_args", "arguments: lazy any", doc="Replaces its arguments.",
        example="tasks().each(|t| t.set_args([]))")  # fmt: skip
def set_args(ctx: Context, task: Task, arguments: Thunk) -> None:
    _full(task)
    _free(ctx, task)
    assert task.closure is not None
    task.arguments = _arguments(ctx, task.closure, _evaluated(task, arguments))
    note(ctx.engine, ctx.scope, task)


@method("task", "set_closure", "closure: lazy any", doc="Replaces its closure.",
        example="tasks().each(|t| t.set_closure(|| nil))")  # fmt: skip
def set_closure(ctx: Context, task: Task, closure: Thunk) -> None:
    _full(task)
    _free(ctx, task)
    code = _evaluated(task, closure)
    if type(code) is not Closure:
        raise TypeFailed(f"set_closure() takes closure as argument 1, not {type_name(code)}")
    code.store()
    task.closure = code
    room = max(len(code.code.params) - 1, 0)
    task.arguments = (task.arguments + (None,) * room)[:room]
    note(ctx.engine, ctx.scope, task)


@method("task", "set_owner", "user: lazy any", doc="Lets another user own it.",
        example="tasks().each(|t| t.set_owner('admin'))")  # fmt: skip
def set_owner(ctx: Context, task: Task, user: Thunk) -> None:
    _full(task)
    _free(ctx, task)
    name = _evaluated(task, user)
    if type(name) is not str:
        raise TypeFailed(f"set_owner() takes str as argument 1, not {type_name(name)}")
    found = find_user(ctx, name)
    require(found, ctx.scope, CHANGE)
    me = ctx.caller.user
    assert me is not None
    if ctx.scope.access.get(found.id, 0) & ~ctx.scope.access.get(me.id, 0):
        raise ForbiddenError(f"the user {name} has rights on {ctx.scope.title} that you lack")
    task.owner = found
    note(ctx.engine, ctx.scope, task)


@method("task", "cancel", doc="Takes it off the schedule.", example="task().cancel()")
def cancel(ctx: Context, task: Task) -> None:
    _free(ctx, task)
    if ctx.task is task:
        task.cancelled = True
        task.again = None
    if task:
        task.start = 0
        task.error = CANCELLED
        task.ran = True
        note(ctx.engine, ctx.scope, task)


@method("task", "del", doc="Deletes it; every reference becomes the empty task.", example="task().del()")
def del_(ctx: Context, task: Task) -> None:
    _free(ctx, task)
    if task.id:
        forget(ctx.engine, ctx.scope, task)


def _running(ctx: Context, task: Task, given: tuple[Any, ...], count: int) -> None:
    _full(task)
    if ctx.task is not task or task.cancelled:
        raise OperationError("only a task that is running can run again")
    if len(given) != count:
        raise NumArgumentsError(f"this takes {count} argument{'s' * (count != 1)}, not {len(given)}")


@method("task", "again_at", "start*: lazy any", doc="Lets the running task run again at a time.",
        example="task(datetime(), |t| t.again_at(datetime().move('days', 1)))")  # fmt: skip
def again_at(ctx: Context, task: Task, *given: Thunk) -> None:
    _running(ctx, task, given, 1)
    start = given[0]()
    if not isinstance(start, Moment):
        raise TypeFailed(f"again_at() takes datetime or timeval as argument 1, not {type_name(start)}")
    task.again = _checked_start(ctx, start.seconds)


@method("task", "again_in", "wait*: lazy any", doc="Lets the running task run again a time after its start.",
        example="task(datetime(), |t| t.again_in('days', 1))")  # fmt: skip
def again_in(ctx: Context, task: Task, *given: Thunk) -> None:
    from engine.values.datetime import UNITS

    _running(ctx, task, given, 2)
    unit = given[0]()
    if type(unit) is not str:
        raise TypeFailed(f"again_in() takes str as argument 1, not {type_name(unit)}")
    if unit not in UNITS:
        raise ValueFailed(f"a task is moved by {', '.join(UNITS)}, not {unit[:80]!r}")
    count = given[1]()
    if type(count) is not int:
        raise TypeFailed(f"again_in() takes int as argument 2, not {type_name(count)}")
    old = Datetime(task.start, ctx.scope.time_zone)
    new = moved(old, unit, count)
    now = int(ctx.now)
    rounds = 0
    while old.seconds < new.seconds < now and rounds < 1_000_000:
        if unit in ("hours", "minutes", "seconds"):  # these are all of one length
            step = new.seconds - old.seconds
            new = new.at(new.seconds + -(-(now - new.seconds) // step) * step)
            break
        new = moved(new, unit, count)
        rounds += 1
    task.again = _checked_start(ctx, new.seconds)


def _checked_start(ctx: Context, seconds: int) -> int:
    if not int(ctx.now) <= seconds <= LAST_START:
        raise ValueFailed("a task can only run again in the future")
    return seconds


# --- log and state ---------------------------------------------------------------------------------------------------


@replays("task")
def _replay_task(replay: Replay, _: Any, tree: dict[str, Any]) -> None:
    scope: Any = replay.home if replay.home is not None else replay.engine.server
    task = scope.tasks.get(tree["id"]) or replay.awaited_tasks.pop(tree["id"], None) or Task()
    task.fill(replay, tree, scope.kind)
    scope.tasks[task.id] = task


@replays("del_task")
def _replay_del(replay: Replay, _: Any, task_id: int) -> None:
    scope: Any = replay.home if replay.home is not None else replay.engine.server
    drop(scope, scope.tasks[task_id])


@saves
def _save(engine: Engine) -> Iterator[tuple[str, int | str, Any]]:
    scopes: list[Any] = [engine.server, *engine.collections.values()]
    for scope in scopes:
        for place, task in enumerate(scope.tasks.values()):
            yield "task", f"{scope.id}:{task.id}", {**task.tree(scope), "place": place}


@loads("task")
def _load(replay: Replay, key: str, tree: dict[str, Any]) -> None:
    scope: Any = replay.home if replay.home is not None else replay.engine.server
    number = replay.leaf_id(tree["id"])
    task = replay.awaited_tasks.pop(number, None) or Task()
    task.fill(replay, tree, scope.kind)
    places = {**{held.id: index for index, held in enumerate(scope.tasks.values())}, task.id: tree["place"]}
    scope.tasks[task.id] = task
    scope.tasks = dict(sorted(scope.tasks.items(), key=lambda item: places.get(item[0], 0)))
