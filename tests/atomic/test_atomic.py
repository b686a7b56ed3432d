"""What atomic queries and conditions are to those who ask for them, in the engine."""

from __future__ import annotations

from typing import Any

import pytest

from engine.engine import Engine
from engine.errors import (
    BadDataError,
    ChangedError,
    EngineError,
    LookupFailed,
    OperationError,
    ResultTooLarge,
    ValueFailed,
)
from engine.outcome import Outcome
from tests.atomic.state import state
from tests.conftest import Admin

ATOMIC = {"atomic": True}


class Listener:
    """A caller who can be told events."""

    def __init__(self, engine: Engine) -> None:
        self.user = engine.users["admin"]
        self.subscriber = object()


def ask(engine: Engine, code: str, conditions: Any = ATOMIC, scope: str = "//stuff", caller: Any = None) -> Outcome:
    return engine.query(caller or Admin(engine), scope, code, None, conditions)


def value(engine: Engine, code: str, conditions: Any = None, scope: str = "//stuff") -> Any:
    outcome = ask(engine, code, conditions, scope)
    if outcome.error is not None:
        raise outcome.error
    return outcome.value


def refused(engine: Engine, code: str, conditions: Any = ATOMIC, scope: str = "//stuff") -> EngineError:
    """The error of a query that leaves nothing behind."""
    before = state(engine)
    outcome = ask(engine, code, conditions, scope, Listener(engine))
    assert outcome.error is not None
    assert outcome.value is outcome.change is outcome.effects is outcome.deleted is outcome.closed_rooms is None
    assert state(engine) == before
    return outcome.error


@pytest.mark.parametrize(
    "code",
    [
        ".a = 1; .b = {c: [1]}; 1/0",
        ".list.push(4); .list[0] = 9; l = .list; .list = []; l.push(5); 1/0",
        ".thing.del('x'); .del('thing'); .clear(); 1/0",
        "x = .thing; .del('thing'); x.x = 5; x['a key'] = 1; 1/0",
        ".set.clear(); .set |= set({n: 1}); 1/0",
        ".room.set_name('hall'); .del('room'); .room = room(); .room.set_name('lobby'); .room.emit('hello'); 1/0",
        "log('x'); .emit('x'); .watch(); .unwatch(); 1/0",
        "wse({.a = 1;}); 1/0",
        "try(.a = 1/0); .thing.x = 5; raise('no')",
        "nothing = {|| .a = 1}(); 1/0",
        "set_type('T', {n: 'int'}); .t = T{}; .thing.to_type('X'); 1/0",
        "new_procedure('p', || 1); task(datetime(), || nil); set_enum('E', {A: 1}); .e = E{A}; 1/0",
        ".thing.x = 1; assert(false)",
        "return(1/0)",
        "me = {}; me.me = me; .me = me; .thing.me = me; 1/0",
        "commit('a'); .a = 1; 1/0",
    ],
)
def test_on_error_nothing_has_changed(engine: Engine, code: str) -> None:
    value(engine, ".list = [1, 2, [3]]; .thing = {x: {y: 1}}; .set = set({n: 1}, {n: 2}); .room = room();")
    value(engine, "set_type('X', {x: 'any'}); .room.set_name('lobby');")
    value(engine, "set_history('//stuff', true)", scope="@t")
    changes = engine.counters.changes_committed
    refused(engine, code)
    assert engine.counters.changes_committed == changes
    assert engine.collections["stuff"].history == []


def test_without_error_all_has_changed(engine: Engine) -> None:
    done = ask(engine, ".a = [1]; .a.push(2); .b = {}; .b.id()")
    assert done.error is None and done.change is not None
    assert done.value == value(engine, ".b.id()")
    assert value(engine, ".a") == [1, 2]
    gone = ask(engine, ".del('b')")
    assert gone.deleted == [done.value]


def test_an_error_that_was_caught_is_none(engine: Engine) -> None:
    assert value(engine, ".a = 1; try(.b = 1/0); .c = 2", ATOMIC) == 2
    assert value(engine, ".keys()") == ["a", "c"]


def test_ids_are_given_out_anew(engine: Engine) -> None:
    first = value(engine, ".a = {}; .a.id()")
    refused(engine, ".b = {}; .c = {d: room()}; 1/0")
    assert value(engine, ".b = {}; .b.id()") == first + 1
    assert value(engine, ".c = room(); .c.id()") == first + 2


def test_what_is_removed_goes_when_the_query_ends(engine: Engine) -> None:
    thing = value(engine, ".a = {}; .a.id()")
    assert value(engine, f".del('a'); thing({thing}).id()", ATOMIC) == thing
    with pytest.raises(LookupFailed):
        value(engine, f"thing({thing})")


def test_a_member_of_an_enum_that_nothing_uses_any_more_can_be_deleted(engine: Engine) -> None:
    value(engine, "set_enum('E', {A: 1, B: 2}); .e = E{B};")
    refused(engine, "mod_enum('E', 'del', 'B')")
    refused(engine, ".e = nil; mod_enum('E', 'del', 'B'); 1/0")
    value(engine, ".e = nil; mod_enum('E', 'del', 'B')", ATOMIC)
    assert value(engine, "enum_map('E')")["A"] == 1


@pytest.mark.parametrize(
    ("code", "result"),
    [
        ("type_count('T')", 5),
        (".del('a'); [type_count('T'), type_all('T').len()]", [3, 3]),
        ("x = .a; .del('a'); type_count('T')", 5),
        (".list.clear(); .in = nil; type_count('T')", 2),
        (".clear(); [type_count('T'), type_count('N')]", [0, 0]),
        (".set.remove(|x| x.n == 0); type_count('T')", 5),
        (".del('n'); set_type('N', {f: 'int'}); N{}.f", 0),
        ("x = .n; .del('n'); set_type('N', {f: 'int'})", OperationError),
        (".n.to_thing(); set_type('N', {f: 'int'}); N{}.f", 0),
        (".clear(); mod_type('T', 'wpo', true)", None),
        (".del('a'); mod_type('T', 'wpo', true)", OperationError),
        (".del('a'); .list[0].other = nil; mod_type('T', 'rel', 'other', 'one'); .list[0].one", None),
        (".one = .a; .del('a'); mod_type('T', 'rel', 'other', 'one'); .one.other.one.n", 0),
        (".clear(); mod_enum('E', 'del', 'B')", None),
        (".del('a'); mod_enum('E', 'del', 'B')", OperationError),
        (".clear(); del_type('T'); del_enum('E')", None),
        (".del('room'); .other = room(); .other.set_name('lobby')", None),
        ("x = .room; .del('room'); .other = room(); .other.set_name('lobby')", LookupFailed),
    ],
)
def test_what_is_removed_does_not_count_as_used(engine: Engine, code: str, result: Any) -> None:
    """As in a query that is not atomic, in which it is gone at once."""
    other = Engine(clock=engine.clock, seed=1)
    other.initialise()
    for each, conditions in ((engine, ATOMIC), (other, None)):
        value(each, "set_enum('E', {A: 1, B: 2}); new_type('N'); .n = N{}; .room = room(); .room.set_name('lobby');")
        value(each, "new_type('T'); set_type('T', {n: 'int', e: 'E', other: 'T?', one: 'T?'}); .set = set();")
        value(each, ".a = T{other: T{}}; .list = [T{e: E{B}}, [T{}]]; .in = {in: {t: T{}}};")
        if isinstance(result, type):
            with pytest.raises(result):
                value(each, code, conditions)
        else:
            assert value(each, code, conditions) == result


@pytest.mark.parametrize(
    ("code", "scope"),
    [
        ("future(|| nil)", "//stuff"),
        ("future(nil)", "//stuff"),
        ("import(bytes('x'))", "//stuff"),
        ("new_module('m', 'm.py')", "@t"),
        ("restore('/tmp/x.tar.gz')", "@t"),
        ("1", "@node"),
    ],
)
def test_what_can_not_be_undone_is_refused(engine: Engine, code: str, scope: str) -> None:
    error = refused(engine, code, scope=scope)
    assert type(error) is OperationError
    assert "atomic" in error.message


def test_a_user_who_was_made_or_deleted(engine: Engine) -> None:
    value(engine, "new_user('iris'); new_token('iris'); grant('//stuff', 'iris', USER);", scope="@t")
    iris = engine.users["iris"]
    refused(engine, "new_user('ivy'); del_user('iris'); new_collection('a'); 1/0", scope="@t")
    assert engine.users["iris"] is iris and not iris.deleted
    assert engine.query(Admin(engine), "//a", "1").error is not None
    value(engine, "new_collection('a'); new_user('ivy'); grant('//a', 'ivy', QUERY)", ATOMIC, "@t")
    assert value(engine, "1", scope="//a") == 1


def test_a_collection_that_was_deleted(engine: Engine) -> None:
    value(engine, ".a = {b: [{}]}; .me = .a; .a.me = .a; .room = room(); set_type('T', {n: 'int'}); .t = T{};")
    thing = value(engine, ".a.id()")
    refused(engine, "del_collection('stuff'); new_collection('stuff'); 1/0", scope="@t")
    assert value(engine, f"thing({thing}).me.id()") == thing
    assert value(engine, ".t.n += 1; type_count('T')") == 1
    assert value(engine, f"room({value(engine, '.room.id()')}).id()") == value(engine, ".room.id()")
    value(engine, "del_collection('stuff')", ATOMIC, "@t")
    assert list(engine.collections) == []


def test_a_result_that_can_not_be_told_is_an_error(engine: Engine) -> None:
    def fits(_: Any) -> None:
        raise ResultTooLarge("no")

    before = state(engine)
    done = engine.query(Admin(engine), "//stuff", ".a = 1", None, ATOMIC, fits)
    assert isinstance(done.error, ResultTooLarge) and done.change is None and done.value is None
    assert state(engine) == before
    assert engine.query(Admin(engine), "//stuff", ".a = 1", None, {}, fits).error is None


def test_a_procedure_can_be_run_atomically(engine: Engine) -> None:
    value(engine, "new_procedure('p', |x| {.a = x; 1/x})")
    before = state(engine)
    assert engine.run(Admin(engine), "//stuff", "p", [0], ATOMIC).error is not None
    assert state(engine) == before
    assert engine.run(Admin(engine), "//stuff", "p", {"x": 1}, ATOMIC).value == 1
    assert value(engine, ".a") == 1


def test_what_only_reads(engine: Engine) -> None:
    assert value(engine, "1 + 1", ATOMIC) == 2
    refused(engine, ".x")


# --- conditions ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("conditions", "wrong"),
    [
        ([], "map"),
        ({"atomik": True}, "atomik"),
        ({"atomic": 1}, "atomic"),
        ({"decided_at": True}, "decided_at"),
        ({"decided_at": -1}, "decided_at"),
        ({"decided_at": "3"}, "decided_at"),
        ({"things": [1]}, "decided_at"),
        ({"decided_at": 0, "things": []}, "things"),
        ({"decided_at": 0, "things": 1}, "things"),
        ({"decided_at": 0, "things": ["1"]}, "things"),
        ({"decided_at": 0, "things": [True]}, "things"),
        ({"decided_at": 0, "things": [1] * 10_001}, "things"),
        (ValueFailed("broken"), "broken"),
    ],
)
def test_conditions_that_are_none(engine: Engine, conditions: Any, wrong: str) -> None:
    error = refused(engine, ".a = 1", conditions)
    assert wrong in error.message
    assert isinstance(error, BadDataError | ValueFailed)


def test_things_that_have_changed_since(engine: Engine) -> None:
    one, two = value(engine, ".one = {n: 1}; .two = {n: 1}; [.one.id(), .two.id()]")
    at = engine.last_change
    value(engine, ".two.n = 2")
    assert value(engine, ".one.n += 1", {"decided_at": at, "things": [one]}) == 2
    for things in ([one], [two], [one, two]):
        error = refused(engine, ".one.n += 1", {"decided_at": at, "things": things})
        assert isinstance(error, ChangedError) and error.code == -7
        assert error.things == things
        assert ", ".join(map(str, things)) in error.message
    assert value(engine, ".one.n += 1", {"decided_at": value(engine, "last_change()"), "things": [one, two]}) == 3


def test_the_whole_scope(engine: Engine) -> None:
    value(engine, "new_collection('other')", scope="@t")
    at = engine.last_change
    value(engine, ".a = 1", scope="//other")
    assert value(engine, ".b = 1", {"decided_at": at, "atomic": True}) == 1
    assert isinstance(refused(engine, ".b = 2", {"decided_at": at}), ChangedError)
    assert value(engine, "new_user('a')", {"decided_at": engine.last_change}, "@t") == "a"
    assert isinstance(refused(engine, "new_user('b')", {"decided_at": at}, "@t"), ChangedError)
    assert isinstance(refused(engine, "1", {"decided_at": at, "things": [1]}, "@t"), BadDataError)


def test_a_thing_that_is_gone_or_never_was(engine: Engine) -> None:
    thing = value(engine, ".a = {}; .a.id()")
    at = value(engine, ".del('a'); last_change()")
    for which in (thing, 1 << 40, 0, -1):
        error = refused(engine, ".b = 1", {"decided_at": at, "things": [which, value(engine, ".id()")]})
        assert isinstance(error, ChangedError) and error.things == [which]


def test_what_is_not_known_is_refused(engine: Engine) -> None:
    root = value(engine, ".id()")
    value(engine, ".a = 1")
    later = refused(engine, ".a = 2", {"decided_at": engine.last_change + 1, "things": [root]})
    assert isinstance(later, ChangedError) and "last" in later.message and later.things == [root]
    engine.recent.max_changes = 2
    for number in range(4):
        value(engine, f".other = {number}")
    earlier = refused(engine, ".a = 2", {"decided_at": 1})
    assert isinstance(earlier, ChangedError) and "too long ago" in earlier.message


def test_a_query_that_failed_has_changed_nothing_since(engine: Engine) -> None:
    root = value(engine, ".a = {}; .id()")
    at = engine.last_change
    refused(engine, ".a = 5; 1/0")
    assert value(engine, ".a = 6", {"decided_at": at, "things": [root], "atomic": True}) == 6


def test_last_change_gives_way_to_what_programs_define(engine: Engine) -> None:
    assert value(engine, ".a = 1; last_change() == change_id()") is True
    value(engine, "new_procedure('last_change', || 'mine')")
    assert value(engine, "last_change()") == "mine"


# --- atomic() --------------------------------------------------------------------------------------------------------


def test_code_can_make_its_query_atomic(engine: Engine) -> None:
    refused(engine, "atomic(); .a = 1; .b = {}; 1/0", None)
    refused(engine, "x = {}; x.x = x; atomic(); .a = x; 1/0", None)
    refused(engine, "wse(atomic()); .a = 1; 1/0", None)
    refused(engine, "atomic(); atomic(); .a = 1; future(|| nil)", None)
    refused(engine, "atomic(); x = thing(.id()); wse(x.a = 1); 1/0", None)
    assert value(engine, "atomic(); .a = 1; try(1/0); .b = {}; .b.id() > 0") is True
    assert value(engine, "log('x'); try(atomic()); .c = 1", ATOMIC) == 1


def test_atomic_comes_before_the_first_change(engine: Engine) -> None:
    for code in (".a = 1; atomic()", "future(|| nil); atomic()", ".b = room(); atomic()", "new_type('T'); atomic()"):
        with pytest.raises(OperationError, match="before"):
            value(engine, code)
    with pytest.raises(OperationError, match="@node"):
        value(engine, "atomic()", scope="@n")
    assert value(engine, ".a") == 1


def test_procedures_say_that_they_are_atomic(engine: Engine) -> None:
    value(engine, ".n = 0; new_procedure('p', |x| {atomic(); .n += 1; 1/x})")
    before = state(engine)
    assert engine.run(Admin(engine), "//stuff", "p", [0]).error is not None
    assert state(engine) == before
    assert engine.run(Admin(engine), "//stuff", "p", [1]).value == 1
    refused(engine, "p(0)", None)
    with pytest.raises(OperationError, match="before"):
        value(engine, ".other = 1; p(1)")
    value(engine, "new_user('iris'); new_procedure('q', || {atomic(); new_user('ivy'); 1/0})", scope="@t")
    before = state(engine)
    assert engine.run(Admin(engine), "@t", "q").error is not None
    assert state(engine) == before


def test_a_program_that_uses_the_name_keeps_it(engine: Engine) -> None:
    value(engine, "new_procedure('atomic', || 'mine')")
    assert value(engine, ".a = 1; atomic()") == "mine"


def test_futures_can_be_atomic(engine: Engine) -> None:
    value(engine, ".n = 0")
    with pytest.raises(EngineError):
        value(engine, "future(|| {atomic(); .n = 1; 1/0}); nil")
    assert value(engine, ".n") == 0
    value(engine, "future(|| {atomic(); .n = 1;}); nil")
    assert value(engine, ".n") == 1


def run_tasks(engine: Engine) -> list[Outcome]:
    return [engine.run_task(scope, task) for scope, task in engine.due_tasks()]  # type: ignore[misc]


def test_a_task_that_is_atomic(engine: Engine) -> None:
    engine.clock = lambda: 1_500_000_000.0
    code = ".n = 0; .x = 0; task(datetime(), |t| {atomic(); t.again_in('days', 1); .n += 1; .made = {}; 1/.x});"
    value(engine, code)
    made = engine.next_id
    (outcome,) = run_tasks(engine)
    assert outcome.error is None and outcome.change is not None
    # The failure is kept with the task, which runs again as it asked for; nothing else has happened.
    assert value(engine, "[.n, .has('made'), tasks()[0].err().code()]") == [0, False, -58]
    assert engine.next_id == made
    assert value(engine, "tasks()[0].at() > datetime()") is True
    engine.clock = lambda: 1_500_090_000.0
    value(engine, ".x = 1")
    run_tasks(engine)
    assert value(engine, "[.n, .has('made'), tasks()[0].err()]") == [1, True, None]


def test_a_task_that_is_atomic_and_ends(engine: Engine) -> None:
    engine.clock = lambda: 1_500_000_000.0
    value(engine, ".n = 0; task(datetime(), || {atomic(); .n += 1;}); task(datetime(), |t| {atomic(); t.del(); 1/0});")
    run_tasks(engine)
    assert value(engine, "[.n, tasks().map(|t| t.err().code())]") == [1, [-58]]
    assert run_tasks(engine) == []
