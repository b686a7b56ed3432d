"""Methods that change lists, against a plain model; and what they record."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.encoding import log_unpack
from engine.engine import Engine
from engine.errors import LanguageError
from engine.replay import Replay
from tests.lists.model import Items, Step, lists, steps

Query = Callable[..., Any]

fast = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60, deadline=None)


def expected(step: Step, model: Items) -> tuple[Any, type[Exception] | None]:
    """The value of a step on the model, which it changes, or the class of its error."""
    try:
        return step.apply(model), None
    except LanguageError as error:
        return None, type(error)


def exact(value: Any) -> str:
    """A value so that 1, 1.0 and true differ."""
    return repr(value)


@fast
@given(lists, st.lists(steps, max_size=8))
def test_lists_of_a_query(outcome: Query, start: Items, program: list[Step]) -> None:
    model = list(start)
    for step in program:
        before = list(model)
        value, error = expected(step, model)
        done = outcome(f"r = {step.code.replace('LIST', 'l')}; [r, l]", {"l": before, **step.variables})
        if error is not None:
            assert type(done.error) is error
            assert model == before
        else:
            assert exact(done.value) == exact([value, model])


@fast
@given(lists, st.lists(steps, max_size=8))
def test_stored_lists_and_their_jobs(outcome: Query, start: Items, program: list[Step]) -> None:
    outcome(".l = s; nil", {"s": start})
    model = list(start)
    for step in program:
        before = list(model)
        value, error = expected(step, model)
        done = outcome(step.code.replace("LIST", ".l"), step.variables)
        assert type(done.error) is (error or type(None))
        assert exact(done.value) == exact(value)
        assert exact(outcome(".l").value) == exact(model)
        for _, job in done.change.mutations:
            ((name, (index, count, *items)),) = job["splice"].items()
            assert name == "l"
            assert 0 <= index <= index + count <= len(before)
            before[index : index + count] = items
        assert exact(before) == exact(model)


@settings(parent=fast, max_examples=20)
@given(lists, st.lists(steps, max_size=8))
def test_replay(start: Items, program: list[Step]) -> None:
    live, copy = Engine(seed=1), Engine(seed=1)
    for engine in (live, copy):
        engine.initialise()
    caller = type("Caller", (), {"user": live.users["admin"], "subscriber": None})()
    replay = Replay(copy)
    for code, variables in ((".l = s; nil", {"s": start}), *((step.code, step.variables) for step in program)):
        done = live.query(caller, "//stuff", code.replace("LIST", ".l"), variables)
        assert done.change is not None
        replay.apply(done.change.packed)
    kept, made = (engine.collections["stuff"].root.props["l"] for engine in (live, copy))
    assert exact(kept) == exact(made)
    assert made.holder() is copy.collections["stuff"].root


@pytest.mark.parametrize(
    ("code", "jobs"),
    [
        (".l.push(5, [6])", [[3, 0, 5, [6]]]),
        (".l.push(.l.len(), .l.len())", [[3, 0, 3, 4]]),
        (".l.unshift(5, 6)", [[0, 0, 5, 6]]),
        (".l.pop()", [[2, 1]]),
        (".l.shift()", [[0, 1]]),
        (".l.splice(-2, 9, 5)", [[1, 2, 5]]),
        (".l.splice(9, 1)", []),
        (".l.splice(1, -4)", []),
        (".l.splice(-9, 7)", [[0, 1]]),
        (".l.splice(-9, 6)", []),
        (".l.extend([5, 6])", [[3, 0, 5, 6]]),
        (".l.extend([])", []),
        (".l.extend(.l)", [[3, 0, 1, 2, 3]]),
        (".l.extend_unique([2, 5, 5])", [[3, 0, 5]]),
        (".l.extend_unique([2])", []),
        (".l.fill(7)", [[0, 3, 7, 7, 7]]),
        (".l.clear()", [[0, 3]]),
        (".l.clear(); .l.clear(); .l.fill(1)", [[0, 3]]),
        (".l.remove(|v| v == 2)", [[1, 1]]),
        (".l.remove(|v| v != 2)", [[2, 1], [0, 1]]),
        (".l.remove(|v| v > 5)", []),
        (".l[-1] = 9", [[2, 1, 9]]),
        (".l[0] += 9", [[0, 1, 10]]),
        (".l[1:] = [9]", [[1, 2, 9]]),
        (".l[1:1] = []", [[1, 0]]),
        ("try(.l[5] = 1); try(.l.pop(1)); try(.l.push(1, nope))", []),
    ],
)
def test_one_job_a_call(query: Query, outcome: Query, code: str, jobs: list[Any]) -> None:
    query(".l = [1, 2, 3]")
    assert [job for _, job in outcome(code).change.mutations] == [{"splice": {"l": job}} for job in jobs]


def test_new_things_are_told_in_full_once(query: Query, outcome: Query) -> None:
    root = query(".l = [1]; .id()")
    done = outcome("t = {n: {}}; .l.push(t, t); .l.fill({}); .l[0].id()")
    inner = root + 2
    assert [job["splice"]["l"] for _, job in done.change.mutations] == [
        [1, 0, {"#": root + 1, "n": {"#": inner}}, {"#": root + 1}],
        [0, 3, {"#": inner + 1}, {"#": inner + 1}, {"#": inner + 1}],
    ]
    assert done.value == inner + 1


def test_the_owner_is_told(query: Query, outcome: Query) -> None:
    owner = query(".t = {l: []}; .t.id()")
    assert outcome("x = .t.l; wse(x.push(1))").change.mutations == [(owner, {"splice": {"l": [0, 0, 1]}})]
    assert outcome("x = .t.l; .t.l = [7]; x.push(2); x").change.mutations == [(owner, {"set": {"l": [7]}})]


def test_a_record_can_be_read(outcome: Query) -> None:
    packed = outcome(".l = [1, 2]; .l.splice(0, 1, 5, [6])").change.packed
    jobs = [job for _, job in log_unpack(packed)[4]]
    assert jobs == [{"set": {"l": [1, 2]}}, {"splice": {"l": [0, 1, 5, [6]]}}]


@pytest.mark.parametrize(
    "call",
    [
        "LIST.push(4, raise('no'))",
        "LIST.push(4, nope)",
        "LIST.push(4, LIST.len(), nope)",
        "LIST.unshift(4, raise('no'))",
        "LIST.splice(0, 2, 4, raise('no'))",
        "LIST.extend([4, raise('no')])",
        "LIST.remove(|v| v == 3 ? raise('no') : true)",
        "LIST.fill(raise('no'))",
        "LIST[1] = raise('no')",
        "LIST[0:1] = [4, raise('no')]",
        "LIST[0] += 'text'",
    ],
)
@pytest.mark.parametrize("where", ["l", ".l"])
def test_all_or_nothing(query: Query, outcome: Query, call: str, where: str) -> None:
    query(".l = [1, 2, 3]")
    done = outcome(f"l = [1, 2, 3]; r = try({call.replace('LIST', where)}); [is_err(r), {where}]")
    assert done.value == [True, [1, 2, 3]]
    assert not done.change or not done.change.mutations


def test_what_can_not_be_packed_changes_nothing(query: Query, outcome: Query, engine: Engine) -> None:
    query(".l = [1]")
    stored = len(engine.collections["stuff"].index)
    deep = "x = []; for (i in range(300)) { x = [x]; }; try({});"
    for call in (
        ".l.push({}, x)",
        ".l.push(.l.len(), {}, x)",
        ".l.unshift({}, x)",
        ".l[0] = [{}, x]",
        ".l.fill([{}, x])",
    ):
        done = outcome(deep.format(call) + "[.l]") if "{}" not in call else outcome(deep.replace("{}", call) + "[.l]")
        assert done.value == [[1]]
        assert done.change.mutations == []
    assert len(engine.collections["stuff"].index) == stored


def test_a_list_inside_itself(query: Query) -> None:
    assert query("a = [1]; a.push(a, a); a") == [1, [1], [1, [1]]]
    assert query("a = [1]; a.splice(0, 0, a); a") == [[1], 1]
    assert query("a = [1, 2]; a.unshift(a); a") == [[1, 2], 1, 2]
    assert query("a = [1, 2]; a[0] = a; a") == [[1, 2], 2]
    assert query("a = [1, 2]; a[:1] = a; a") == [1, 2, 2]
    assert query("a = [1, 2]; a.extend(a); a") == [1, 2, 1, 2]


def test_a_stored_list_needs_a_change_before_its_arguments_run(query: Query, outcome: Query) -> None:
    query(".l = [1]")
    for call in ("push(raise('x'))", "unshift(1, raise('x'))", "splice(0, raise('x'))", "extend(raise('x'))", "pop()"):
        assert outcome(f"x = .l; x.{call}").error.code == -63
    assert outcome("x = .l; x.push()").error.code == -62
    assert outcome("x = .l; x.pop(1)").error.code == -62
    assert query(".l") == [1]
