"""No task is lost and none is run twice, wherever the process stops (spec/time-and-procedures.md, section 4)."""

from __future__ import annotations

from collections import Counter
from random import Random
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from tests.time_and_procedures.node import NOW, Node, tasks_of

RAN = ".runs.push([t.id(), int(t.at())])"

KINDS = {
    "once": f"|t| {RAN}",
    "again": f"|t| {{{RAN}; t.again_in('minutes', 7)}}",
    "again at": f"|t| {{t.again_at(datetime().move('seconds', 1234)); {RAN}}}",
    "fails": f"|t| {{{RAN}; raise('as it should')}}",
    "fails again": f"|t| {{{RAN}; t.again_in('hours', 1); 1 / 0}}",
    "fails without a change": "|t| 1 / 0",
    "says only": "|t| .room.emit('hello')",
    "deletes itself": f"|t| {{{RAN}; t.del()}}",
    "cancels itself": f"|t| {{{RAN}; t.again_in('days', 1); t.cancel()}}",
    "changes itself": f"|t, a| {{{RAN}; t.set_args([{{a: a}}]); t.again_in('minutes', 30); future(|| .late += 1)}}",
    "with a future": f"|t| {{{RAN}; i = t.id(); future(|i| {{.late += 1; task(i).again_in('minutes', 5)}})}}",
    "then a failing future": f"|t| {{{RAN}; t.again_in('hours', 2); future(|| {{.late += 1; 1 / 0}})}}",
    "makes others": f"|t| {{{RAN}; task(datetime().move('minutes', 3), |t| {RAN})}}",
    "only futures": "|t| {i = t.id(); s = int(t.at()); future(|i, s| .runs.push([i, s])); future(|| .late += 1)}",
}
SILENT = {"fails without a change", "says only"}


def begin() -> Node:
    node = Node()
    node.query(".runs = []; .late = 0; .room = room(); nil")
    return node


def runs(node: Node) -> list[tuple[int, int]]:
    return [(task, start) for task, start in node.query("return .runs, 2")]


class Restarts(RuleBasedStateMachine):
    """Tasks are made, changed and run, and the process stops now and then; a list in the collection tells which task
    has run for which time."""

    def __init__(self) -> None:
        super().__init__()
        self.node = begin()
        self.kinds: dict[int, str] = {}
        self.due: set[tuple[int, int]] = set()  # whose time has come, but for those that were taken away

    def tasks(self) -> list[dict[str, Any]]:
        return tasks_of(self.node.engine)["@collection:stuff"]

    @rule(kind=st.sampled_from(sorted(KINDS)), delay=st.integers(-5000, 20_000))
    def create(self, kind: str, delay: int) -> None:
        code = f".last = task(datetime().move('seconds', delay), {KINDS[kind]}); .last.id()"
        self.kinds[self.node.query(code, {"delay": delay})] = kind

    @rule(place=st.integers(0, 20), what=st.sampled_from(["cancel()", "del()", "set_args([])", "set_owner('admin')"]))
    def change(self, place: int, what: str) -> None:
        tasks = self.tasks()
        if tasks:
            number = tasks[place % len(tasks)]["id"]
            self.node.query(f"task(i).{what}; nil", {"i": number})
            if what in ("cancel()", "del()"):
                self.due = {known for known in self.due if known[0] != number or known in runs(self.node)}

    @rule(seconds=st.integers(1, 10_000), crash_at=st.none() | st.integers(0, 5), kept=st.integers(0, 3))
    def turn(self, seconds: int, crash_at: int | None, kept: int) -> None:
        self.node.now += seconds
        self.due |= {(task.id, task.start) for _, task in self.node.engine.due_tasks()}
        self.node.turn(crash_at, kept)

    @rule()
    def restart(self) -> None:
        self.node.start()

    @rule()
    def checkpoint(self) -> None:
        self.node.checkpoint()

    @invariant()
    def nothing_ran_twice(self) -> None:
        found = runs(self.node)
        assert len(set(found)) == len(found)
        assert not [start for _, start in found if start > self.node.now]

    @invariant()
    def nothing_is_lost(self) -> None:
        found = set(runs(self.node))
        tasks = {task["id"]: task for task in self.tasks()}
        for number, start in self.due:
            if (number, start) in found or self.kinds.get(number) in SILENT:
                continue
            task = tasks[number]  # not yet, or it was interrupted: then it is there, and says so
            assert task["start"] == start or task["error"][0] == -64

    @invariant()
    def the_store_has_it_all(self) -> None:
        self.node.check_that_nothing_would_be_lost()

    def teardown(self) -> None:
        self.node.turn()
        for number, start in self.due:
            if self.kinds.get(number) not in SILENT and (number, start) not in runs(self.node):
                assert any(task["id"] == number and task["error"][0] == -64 for task in self.tasks())


TestRestarts = Restarts.TestCase
TestRestarts.settings = settings(max_examples=25, stateful_step_count=25, deadline=None)


@pytest.mark.parametrize("seed", [1, 2])
def test_a_day(seed: int) -> None:
    """A day of hourly, yearly and other tasks, in which the process is stopped now and then."""
    random = Random(seed)
    node = begin()
    node.query("set_time_zone('//stuff', 'Europe/Amsterdam')", scope="@t")
    hourly = f"|t| {{{RAN}; t.again_in('hours', 1)}}"
    minutely = f"|t| {{{RAN}; t.again_in('minutes', 1)}}"
    ids = [node.query(f"task(datetime(), {code}).id()") for code in (hourly, minutely, hourly)]
    once: dict[int, int] = {}
    for _ in range(40):
        start = NOW + random.randrange(86_400)
        once[node.query(f"task(timeval(s), |t| {RAN}).id()", {"s": start})] = start
    server = node.query(
        "task(datetime(), |t| {t.again_in('hours', 3); set_default_deep('//stuff', 1)}).id()", scope="@t"
    )

    stops = 0
    while node.now < NOW + 86_400:
        node.now += random.choice([0.5, 1, 30, 60, 300])
        chance = random.random()
        if chance < 0.02:
            node.start()
            stops += 1
        elif chance < 0.08:
            node.checkpoint()
        crash_at = random.randrange(4) if random.random() < 0.1 else None
        stops += crash_at is not None
        node.turn(crash_at, random.randrange(2))
    node.turn()

    assert stops > 60
    found = runs(node)
    assert len(found) == len(set(found))
    by_task = Counter(number for number, _ in found)
    assert by_task[ids[0]] == by_task[ids[2]] == 25
    # What was missed while nothing looked is caught up once, so there may be fewer of these, but each in its minute.
    starts = [start for number, start in found if number == ids[1]]
    assert all((start - NOW) % 60 == 0 for start in starts)
    assert {number: start for number, start in found if number in once} == once
    assert node.query("tasks().map(|t| [t.id(), int(t.at())])") == [
        [ids[0], NOW + 25 * 3600], [ids[1], node.query("int(tasks()[1].at())")], [ids[2], NOW + 25 * 3600],
    ]  # fmt: skip
    assert node.query("tasks().map(|t| [t.id(), int(t.at())])", scope="@t") == [[server, NOW + 27 * 3600]]
    node.check_that_nothing_would_be_lost()


def test_a_run_that_was_cut_short_is_told() -> None:
    """The log has what the closure did, but not its future: the task is kept, and says that it was interrupted."""
    node = begin()
    node.query(f".t = task(datetime(), {KINDS['with a future']}); nil")
    node.turn(0, 1)
    assert node.query("[.runs.len(), .late, .t.at(), .t.err().code(), tasks().len()]") == [1, 0, None, -64, 1]
    node.turn()
    assert node.query("[.runs.len(), .late]") == [1, 0]
    # A task that was to run again does so.
    node.query(f".t = task(datetime(), {KINDS['then a failing future']}); nil")
    node.turn(0, 1)
    assert node.query("[.runs.len(), .late, int(.t.at()), .t.err().code()]") == [2, 0, NOW + 7200, -64]


def test_references_to_tasks_survive() -> None:
    node = begin()
    node.query(
        ".t = task(datetime(2100, 1, 1), |t, x, u| x, [{k: 1}]); .u = task(datetime(2100, 1, 1), |t, a| a, [.t]); nil"
    )
    node.query(".t.set_args([.t.args()[0], .u]); .l = [.t, .u]; .gone = task(datetime(2100, 1, 1), || 1); nil")
    node.checkpoint()
    node.query(".gone.del()")
    code = "[.t == .l[0], .u == .t.args()[1], .u.args()[0] == .t, .t.args()[0].k, .gone.id(), str(.gone)]"
    for _ in range(3):
        assert node.query(code) == [True, True, True, 1, None, "task:nil"]
        node.start()
        assert node.query(code) == [True, True, True, 1, None, "task:nil"]
        node.checkpoint()
