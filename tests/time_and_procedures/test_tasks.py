"""Tasks (spec/time-and-procedures.md, section 4). Their restarts are in test_restarts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from engine.effects import RoomEvent
from engine.engine import Engine
from engine.errors import ForbiddenError, LanguageError, OperationError, RequestTimeout, ValueFailed
from engine.outcome import Outcome
from engine.users import CHANGE, QUERY
from engine.values.closure import Closure

Query = Callable[..., Any]

NOW = 1_500_000_000
DAY = 86_400


class Clock:
    def __init__(self) -> None:
        self.now = float(NOW)

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(engine: Engine) -> Clock:
    clock = Clock()
    engine.clock = clock
    return clock


@pytest.fixture
def run_due(engine: Engine) -> Callable[[], list[Outcome]]:
    """Run what is due; the parts of all outcomes, in order."""

    def run() -> list[Outcome]:
        parts = []
        for scope, task in engine.due_tasks():
            outcome = engine.run_task(scope, task)
            if outcome is not None:
                assert outcome.error is None
                parts += [outcome, *(outcome.more or ())]
        assert engine.futures.count == 0
        return parts

    return run


def said(parts: list[Outcome]) -> list[tuple[str, bool]]:
    """What was said in rooms, and whether it comes with a change."""
    return [
        (effect.event, part.change is not None)
        for part in parts
        for effect in part.effects or ()
        if isinstance(effect, RoomEvent)
    ]


# --- running ---------------------------------------------------------------------------------------------------------


def test_a_task_runs_once_when_its_time_has_come(
    engine: Engine, clock: Clock, query: Query, run_due: Callable[[], list[Outcome]]
) -> None:
    query(".n = 0; task(datetime().move('seconds', 10), |t| .n += 1); task(datetime(0), || .n += 100); nil")
    assert run_due() == []
    clock.now += 9.9
    assert run_due() == []
    clock.now += 0.1
    assert len(run_due()) == 1
    assert query("[.n, tasks().len()]") == [1, 1]  # the start 0 is never
    clock.now += 10 * DAY
    assert run_due() == []


def test_how_it_ends_is_in_its_change(query: Query, clock: Clock, run_due: Callable[[], list[Outcome]]) -> None:
    number = query(".n = 0; .t = task(datetime(), |t| .n += 1); .t.id()")
    (part,) = run_due()
    assert part.change is not None
    assert [job for _, job in part.change.mutations] == [{"set": {"n": 1}}, {"del_task": number}]


def test_what_it_says_comes_with_a_change(query: Query, clock: Clock, run_due: Callable[[], list[Outcome]]) -> None:
    """So that nothing is said before the log knows that it was said."""
    query(".r = room(); .n = 0; nil")
    query("task(datetime(), |t| .r.emit('a')); nil")
    assert said(run_due()) == [("a", True)]
    query("task(datetime(), |t| {.r.emit('a'); future(|| .r.emit('b'))}); nil")
    assert said(run_due()) == [("a", True), ("b", True)]
    query("task(datetime(), |t| {.r.emit('a'); future(|| {.n += 1; .r.emit('c')}); future(|| .r.emit('b'))}); nil")
    parts = run_due()
    assert said(parts) == [("a", True), ("b", True), ("c", True)]
    assert all(part.change is not None for part in parts)
    assert query(".n") == 1


def test_before_futures_change_anything_the_log_knows_of_the_run(
    query: Query, clock: Clock, run_due: Callable[[], list[Outcome]]
) -> None:
    query(".n = 0; .t = task(datetime(), |t| {i = t.id(); future(|i| {.n += 1; task(i).again_in('hours', 1)})}); nil")
    first, future, last = run_due()
    for part in (first, future, last):
        assert part.change is not None
    ((_, job),) = first.change.mutations  # type: ignore[union-attr]
    assert (job["task"]["start"], job["task"]["ran"], job["task"]["error"][0]) == (0, True, -64)
    ((_, job),) = last.change.mutations  # type: ignore[union-attr]
    assert (job["task"]["start"], job["task"]["ran"], job["task"]["error"]) == (NOW + 3600, True, None)
    assert query("[.n, int(.t.at()), .t.err()]") == [1, NOW + 3600, None]


def test_errors_of_any_kind_end_it(
    engine: Engine, query: Query, clock: Clock, run_due: Callable[[], list[Outcome]], monkeypatch: pytest.MonkeyPatch
) -> None:
    query(".n = 0; .t = task(datetime(), |t| {.n += 1; down = |d, n| d(d, n + 1); down(down, 0)}); nil")
    (part,) = run_due()
    assert part.change is not None
    assert query("[.n, .t.at(), .t.err().code()]") == [1, None, -63]
    query(".t = task(datetime(), |t| .n += 1); nil")

    def too_slow(*arguments: Any) -> None:
        raise RequestTimeout("the request ran longer than 5 seconds")

    with monkeypatch.context() as patch:
        patch.setattr(Closure, "call", too_slow)
        (part,) = run_due()
    assert part.change is not None
    assert query("[.n, .t.at(), .t.err().code(), .t.err().msg()]") == [
        1, None, -63, "the request ran longer than 5 seconds",
    ]  # fmt: skip
    assert engine.counters.tasks_failed == 2


def test_one_task_may_take_another_away(query: Query, clock: Clock, run_due: Callable[[], list[Outcome]]) -> None:
    query("""
        .n = 0;
        .b = task(datetime(), |t| .n += 1);
        .c = task(datetime(), |t| .n += 1);
        .a = task(datetime().move('seconds', -1), |t| {.b.del(); .c.cancel()});
        nil
    """)
    run_due()
    assert query("[.n, .b, .c.at(), .c.err().code(), tasks().len()]") == [0, "task:nil", None, -64, 1]


def test_a_task_may_delete_its_neighbour_s_collection(
    engine: Engine, query: Query, outcome: Any, clock: Clock, run_due: Callable[[], list[Outcome]]
) -> None:
    query("new_collection('other')", scope="@t")
    query("task(datetime(), |t| wse(raise('never'))); nil", scope="//other")
    query("task(datetime().move('days', -1), |t| del_collection('other')); nil", scope="@t")
    assert len(run_due()) == 1
    assert query("has_collection('other')", scope="@t") is False


def test_it_runs_as_its_owner(engine: Engine, query: Query, clock: Clock, run_due: Callable[[], list[Outcome]]) -> None:
    query("new_user('worker')", scope="@t")
    worker = engine.users["worker"]
    access = engine.collections["stuff"].access
    access[worker.id] = QUERY | CHANGE

    class Worker:
        user = worker
        subscriber = None

    code = ".t = task(datetime(), |t| {.n = user_info().load().name; future(|| .m = 1)}); .m = 0; nil"
    query(code, caller=Worker())
    del access[worker.id]  # without any right it still runs, but for futures that change something
    run_due()
    assert query("[.n, .m, .t.owner(), .t.err().code()]") == ["worker", 0, "worker", -55]
    query("del_user('worker')", scope="@t")
    assert query("[.t, tasks().len()]") == ["task:nil", 0]


def test_in_thingsdb(engine: Engine, query: Query, clock: Clock, run_due: Callable[[], list[Outcome]]) -> None:
    query("task(datetime(), |t, n| new_collection(n), ['made']); nil", scope="@t")
    (part,) = run_due()
    assert part.change is not None
    assert part.change.scope == 0
    assert query("[has_collection('made'), tasks().len()]", scope="@t") == [True, 0]


def test_commits_are_for_queries(query: Query, clock: Clock, run_due: Callable[[], list[Outcome]]) -> None:
    query("set_history('//stuff', true)", scope="@t")
    query(".t = task(datetime(), |t| {wse(); commit('no')}); nil")
    run_due()
    assert query(".t.err().code()") == -63


# --- again -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("start", "again", "expected"),
    [
        (NOW, "'seconds', 1", NOW + 1),
        (NOW - 10, "'seconds', 4", NOW + 2),
        (NOW - 12, "'seconds', 4", NOW),
        (NOW - 7 * DAY, "'days', 1", NOW),
        (NOW - 7 * DAY - 1, "'days', 1", NOW + DAY - 1),
        (1, "'seconds', 1", NOW),
        (1, "'minutes', 7", NOW + 420 - (NOW - 1) % 420),
        (1, "'days', 1", NOW + DAY - (NOW - 1) % DAY),
        (NOW - 3, "'weeks', 2", NOW - 3 + 14 * DAY),
        (1_485_820_800, "'months', 1", 1_501_718_400),  # 31 January is followed by the third of each month from March
        (1_330_473_600, "'years', 1", 1_519_862_400),  # 29 February by the first of March
        (NOW, "'years', 88", NOW + 2_776_982_400),
    ],
)
def test_again_in(
    query: Query, clock: Clock, run_due: Callable[[], list[Outcome]], start: int, again: str, expected: int
) -> None:
    query(f".t = task(timeval(s), |t| t.again_in({again})); nil", {"s": start})
    run_due()
    assert query("[timeval(.t.at()), .t.err()]") == [expected, None]


def test_again_keeps_the_wall_clock(query: Query, clock: Clock, run_due: Callable[[], list[Outcome]]) -> None:
    query("set_time_zone('//stuff', 'Europe/Amsterdam')", scope="@t")
    query(".l = []; .t = task(datetime(2017, 10, 27, 9), |t| {.l.push(str(t.at())); t.again_in('days', 1)}); nil")
    for day in range(6):
        clock.now = 1_509_080_400 + day * DAY + 7200
        run_due()
    assert query(".l[:4]") == [
        "2017-10-27T10:00:00+0200", "2017-10-28T10:00:00+0200", "2017-10-29T10:00:00+0100", "2017-10-30T10:00:00+0100",
    ]  # fmt: skip


@pytest.mark.parametrize(
    "again",
    [
        "again_in('seconds', 0)",
        "again_in('seconds', -1)",
        "again_in('years', 0)",
        "again_in('second', 1)",
        "again_in('years', 100)",
        "again_at(datetime().move('seconds', -1))",
        "again_at(timeval(4294967296))",
    ],
)
def test_again_never(query: Query, clock: Clock, run_due: Callable[[], list[Outcome]], again: str) -> None:
    query(f".t = task(datetime(), |t| t.{again}); nil")
    run_due()
    assert query("[.t.at(), .t.err().code()]") == [None, ValueFailed.code]


def test_again_from_elsewhere(query: Query, clock: Clock, run_due: Callable[[], list[Outcome]]) -> None:
    query(".u = task(datetime(2100, 1, 1), || nil); .t = task(datetime(), |t| .u.again_in('days', 1)); nil")
    run_due()
    assert query("[.t.err().code(), int(.u.at())]") == [OperationError.code, 4_102_444_800]
    for call in ("again_at()", "again_in()", "again_in(1, 2, 3)", "again_at(raise('not reached'))"):
        with pytest.raises(OperationError):
            query(f".t.{call}")


# --- kept ------------------------------------------------------------------------------------------------------------


def test_the_last_one_moves_into_a_gap(query: Query) -> None:
    query("range(5).each(|i| task(datetime(2100, 1, 1), |t, i| i, [i])); tasks()[1].del(); nil")
    shown = "tasks().map(|t| t.args()[0])"
    assert query(shown) == [0, 4, 2, 3]
    assert query(f"tasks()[0].del(); tasks()[0].del(); {shown}") == [2, 4]


def test_what_can_t_be_kept_changes_nothing(query: Query) -> None:
    deep = "x = 1; for (i in range(300)) {x = [x]}; x"
    query(".t = task(datetime(2100, 1, 1), |t, a| a, [7]); nil")
    for code in (
        f"task(datetime(2100, 1, 1), |t, a, b| a, [{{}}, {{{deep}}}])",
        f".t.set_args([{{{deep}}}])",
        ".t.set_closure(|t, a| /(/)",
    ):
        with pytest.raises(LanguageError):
            query(code)
    assert query("[tasks().len(), .t.args(), str(.t.closure())]") == [1, [7], "|t, a| a"]


def test_tasks_keep_things(engine: Engine, query: Query, outcome: Any) -> None:
    number = query(".x = {k: 1}; .t = task(datetime(2100, 1, 1), |t, x| x, [.x]); i = .x.id(); .del('x'); i")
    assert query("thing(i).k", {"i": number}) == 1
    done = outcome(".t.set_args([])")
    assert done.deleted == [number]
    number = query(".t.set_args([{k: 2}]); .t.args()[0].id()")
    assert outcome(".t.del()").deleted == [number]


def test_only_the_owner_s_equals_may_set_the_owner(engine: Engine, query: Query) -> None:
    query("new_user('clerk'); grant('//stuff', 'clerk', QUERY|CHANGE)", scope="@t")

    class Clerk:
        user = engine.users["clerk"]
        subscriber = None

    query(".t = task(datetime(2100, 1, 1), || nil); nil", caller=Clerk())
    with pytest.raises(ForbiddenError):
        query(".t.set_owner('admin')", caller=Clerk())
    query(".t.set_owner('admin')")
    assert query(".t.owner()", caller=Clerk()) == "admin"


def test_a_closure_of_a_procedure_s_own_change(query: Query, clock: Clock, run_due: Any) -> None:
    query("new_procedure('p', |t| t.again_in('days', 1)); .t = task(datetime(), |t| p(t)); nil")
    run_due()
    assert query("[.t.at(), .t.err().code()]") == [None, OperationError.code]  # it would need wse
    query(".t = task(datetime(), |t| wse(p(t))); nil")
    run_due()
    assert query(".t.err()") is None


def test_imported_tasks_belong_to_who_imports_them(engine: Engine, query: Query) -> None:
    query("new_user('clerk'); grant('//stuff', 'clerk', QUERY|CHANGE); new_collection('other')", scope="@t")

    class Clerk:
        user = engine.users["clerk"]
        subscriber = None

    query(
        ".t = task(datetime(2100, 1, 1), |t, x, t2| x, [{k: 1}]); .u = task(datetime(2100, 1, 1), || 1); nil",
        caller=Clerk(),
    )
    query(".t.set_args([.t.args()[0], .u]); .u.cancel()")
    dump = query("export({dump: true})")
    query("import(dump, {import_tasks: true}); nil", {"dump": dump}, scope="//other")
    code = "[.t.owner(), .t.args()[0].k, .t.args()[1] == .u, .u.err().code(), tasks().len(), tasks()[0] == .t]"
    assert query(code, scope="//other") == ["admin", 1, True, -64, 2, True]
    assert query(".t.owner()") == "clerk"
    query("del_collection('other'); new_collection('other')", scope="@t")
    query("import(dump); nil", {"dump": dump}, scope="//other")
    assert query("[.t, .u, tasks()]", scope="//other") == ["task:nil", "task:nil", []]


def test_a_task_made_under_nse_makes_its_change(query: Query, run_due: Callable[[], list[Outcome]]) -> None:
    query("nse(); task(datetime(), || .n = 1); nil")
    run_due()
    assert query(".n") == 1
    assert query("tasks()") == []
