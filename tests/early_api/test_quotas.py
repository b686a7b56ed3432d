"""Quotas of a collection (spec/early-api.md, section 4)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from engine.engine import Engine
from engine.outcome import Outcome
from engine.store.memory import MemoryStore
from engine.users import CHANGE, QUERY, RUN
from tests.conftest import Admin
from tests.early_api.test_names import As, value_of

Ask = Callable[..., Outcome]

REACHED = -57


def refused(found: Outcome) -> bool:
    """Was it refused because of a quota? It must not fail otherwise."""
    assert found.error is None or found.error.code == REACHED, found.error
    return found.error is not None


def limit(outcome: Ask, which: str, number: int | None) -> None:
    value_of(outcome(f"set_quota('stuff', '{which}', {'nil' if number is None else number})", scope="@t"))


# --- setting and reading ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ("", -62),
        ("'stuff', 'things'", -62),
        ("'stuff', 'things', 1, 1", -62),
        ("nil, 'things', 1", -61),
        ("1.5, 'things', 1", -61),
        ("'none', 1 / 0, 1", -54),
        ("99, 'things', 1", -54),
        ("'stuff', nil, 1 / 0", -61),
        ("'stuff', '', 1 / 0", -54),
        ("'stuff', 'thing', 1", -54),
        ("'stuff', 'things', 1.0", -61),
        ("'stuff', 'things', '1'", -61),
    ],
)
def test_arguments_are_checked_from_left_to_right(outcome: Ask, arguments: str, error: int) -> None:
    found = outcome(f"set_quota({arguments})", scope="@t")
    assert found.error is not None and found.error.code == error, found.error


def test_what_is_set_is_shown(engine: Engine, outcome: Ask) -> None:
    number = engine.collections["stuff"].id
    found = outcome(f"set_quota('stuff', 'properties', 5); set_quota({number}, 'raw_size', -5)", scope="@t")
    assert value_of(found) is None
    assert found.change is not None
    shown = value_of(outcome("collection('stuff')", scope="@t"))
    assert {key: shown[key] for key in shown if key.startswith("quota_")} == {
        "quota_things": None, "quota_properties": 5, "quota_array_size": None, "quota_raw_size": 0,
    }  # fmt: skip
    assert list(shown)[-4:] == ["quota_things", "quota_properties", "quota_array_size", "quota_raw_size"]
    limit(outcome, "raw_size", None)
    assert value_of(outcome("collection('stuff').load().quota_raw_size", scope="@t")) is None


def test_setting_one_needs_the_right(engine: Engine, outcome: Ask) -> None:
    value_of(outcome("new_user('iris'); grant('@t', 'iris', QUERY); nil", scope="@t"))
    iris = As(engine.users["iris"])
    found = outcome("set_quota('stuff', 'things', 5)", scope="@t", caller=iris)
    assert found.error is not None and found.error.code == -55
    engine.server.access[iris.user.id] = QUERY | CHANGE
    value_of(outcome("set_quota('stuff', 'things', 5)", scope="@t", caller=iris))


@pytest.mark.parametrize("checkpoint", [False, True])
def test_they_are_kept_over_restarts_and_renames_and_go_with_the_collection(checkpoint: bool) -> None:
    store = MemoryStore()
    engine = Engine()
    engine.open(store)

    def ask(code: str, scope: str = "@t") -> Any:
        found = engine.query(Admin(engine), scope, code)
        if found.change is not None:
            store.write_batch(found.change.id, [found.change.packed], 1.0)
        return value_of(found)

    ask("new_collection('music'); set_quota('music', 'things', 9); set_quota('music', 'properties', 4)")
    ask("set_quota('music', 'properties', nil); rename_collection('music', 'songs')")
    if checkpoint:
        store.write_checkpoint(engine.checkpoint())
    engine = Engine()
    engine.open(store)
    assert ask("x = collection('songs').load(); [x.quota_things, x.quota_properties]") == [9, None]
    ask("del_collection('songs'); new_collection('songs')")
    assert ask("collection('songs').load().quota_things") is None


# --- things ----------------------------------------------------------------------------------------------------------


MAKING = [
    "{}",
    "T{}",
    "T()",
    ".t.filter(|| true)",
    "{a: {}}",
    "[{}]",
    "|| {}.call(); (|| {}).call()",
    "x = {}; x.len()",
]


@pytest.mark.parametrize("code", MAKING)
def test_no_more_things_are_made(engine: Engine, outcome: Ask, code: str) -> None:
    value_of(outcome("set_type('T', {n: 'int'}); .t = {a: 1}; nil"))
    there = len(engine.collections["stuff"].index)
    limit(outcome, "things", there)
    assert refused(outcome(f"{code}; nil"))
    limit(outcome, "things", there + 1)
    assert not refused(outcome(f"{code}; nil"))


@pytest.mark.parametrize("sent", [{"x": {}}, {"x": [1, {}]}, {"x": [[{"y": 1}]]}])
def test_things_that_are_sent(outcome: Ask, sent: Any) -> None:
    limit(outcome, "things", 1)
    assert refused(outcome("nil", sent))
    assert not refused(outcome("nil", {"x": [1, "a"]}))
    limit(outcome, "things", 2)
    assert not refused(outcome("nil", sent))


def test_things_without_an_id_dont_count(engine: Engine, outcome: Ask) -> None:
    limit(outcome, "things", 2)
    assert not refused(outcome(".x = {a: {b: {}}}; nil"))
    assert len(engine.collections["stuff"].index) == 4
    assert refused(outcome("{}"))
    assert not refused(outcome(".x.a = nil; .del('x'); nil"))
    assert not refused(outcome("[{}, {}, {}]"))


def test_a_thing_is_refused_before_its_properties_are_evaluated(outcome: Ask) -> None:
    limit(outcome, "things", 1)
    assert refused(outcome("{a: .done = true}"))
    assert value_of(outcome(".keys()")) == []


def test_what_was_done_before_stays(outcome: Ask) -> None:
    limit(outcome, "things", 1)
    assert refused(outcome(".n = 1; .x = {}"))
    assert value_of(outcome(".keys()")) == ["n"]
    assert value_of(outcome("try({}).code()")) == REACHED


def test_other_scopes_are_not_bound(outcome: Ask) -> None:
    for which in ("things", "properties", "array_size", "raw_size"):
        limit(outcome, which, 0)
    for scope in ("@t", "@n"):
        assert value_of(outcome("{a: [1, 2, 3].len()}", {"x": {"y": "z"}}, scope=scope)) == {"a": 3}
    value_of(outcome("new_collection('music')", scope="@t"))
    assert value_of(outcome("{a: [1, 2, 3].len()}", scope="//music")) == {"a": 3}


# --- properties ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("code", "is_refused"),
    [
        ("{a: 1, b: 2}", False),
        ("{a: 1, b: 2, c: 3}", True),
        (".x.c = 1", True),
        (".x['c'] = 1", True),
        (".x.set('c', 1)", True),
        (".x.assign({c: 1})", True),
        (".x.ren('a', 'c')", True),
        (".x.rename('a', 'c')", True),
        (".x.rename('a', 'b')", False),
        (".x.a = 2", False),
        (".x.set('a', 2)", False),
        (".x.assign({a: 2})", False),
        (".x.a += 2", False),
        (".y.b = 1", False),
        (".y.b = 1; .y.c = 1", True),
        ("y = {}; y.a = 1; y.b = 1; y.c = 1", True),
        (".x.del('a'); .x.c = 1", False),
        ("T{a: 1, b: 2, c: 3}", False),
        (".t.c = 9", False),
    ],
)
def test_properties(outcome: Ask, code: str, is_refused: bool) -> None:
    value_of(outcome("set_type('T', {a: 'int', b: 'int', c: 'int'}); .x = {a: 1, b: 2}; .y = {a: 1}; .t = T{}; nil"))
    limit(outcome, "properties", 2)
    assert refused(outcome(f"{code}; nil")) is is_refused


def test_a_thing_with_too_many_keeps_them(outcome: Ask) -> None:
    value_of(outcome(".x = {a: 1, b: 2, c: 3}; nil"))
    limit(outcome, "properties", 2)
    assert not refused(outcome(".x.a = 9; .x.del('b'); nil"))
    assert refused(outcome(".x.d = 1"))
    assert value_of(outcome("[.x.a, .x.len()]")) == [9, 2]


# --- arrays ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("code", "is_refused"),
    [
        ("[1, 2, 3]", False),
        ("[1, 2, 3, 4]", True),
        ("n = 1; [n, n, n, n]", True),
        ("[[1, 2, 3, 4]]", True),
        ("x = [1]; x.push(2, 3)", False),
        ("x = [1]; x.push(2, 3, 4)", True),
        (".short.push(1)", False),
        (".short.push(1, 2)", True),
        (".short.unshift(1, 2)", True),
        (".short.extend([1])", False),
        (".short.extend([3, 4])", True),
        (".short.extend_unique([1, 2])", False),
        (".short.extend_unique([3, 4])", True),
        (".short.splice(0, 1, 7, 8)", False),
        (".short.splice(0, 1, 7, 8, 9)", True),
        (".short[0:1] = [7, 8]", False),
        (".short[0:1] = [7, 8, 9]", True),
        # one that is too long may shrink, and may change at its length
        (".long.pop()", False),
        (".long.splice(0, 2, 1)", False),
        (".long.splice(0, 2, 1, 2)", False),
        (".long.splice(0, 2, 1, 2, 3)", True),
        (".long[0] = 9", False),
        (".long = .long", False),
        (".long.push(1)", True),
        # results are looked at where they are stored
        (".long.map(|x| x).len()", False),
        (".long.filter(|| true).len()", False),
        (".new = .long.map(|x| x)", True),
        (".set('new', .long.filter(|| true))", True),
        (".short = .long", True),
        ("{a: .long}", True),
        (".short.push(.long)", True),
        (".short[0] = .long", True),
        (".t.l = .long", True),
        ("T{l: .long}", True),
        ("[.long.map(|x| x)]", True),
        (".new = .short.map(|x| x)", False),
        ("'a b c d'.split(' ')", True),
    ],
)
def test_arrays(outcome: Ask, code: str, is_refused: bool) -> None:
    value_of(outcome("set_type('T', {l: '[]'}); .t = T{}; .short = [1, 2]; .long = [1, 2, 3, 4, 5]; nil"))
    limit(outcome, "array_size", 3)
    assert refused(outcome(f"{code}; nil")) is is_refused


def test_arrays_that_are_sent_are_looked_at_where_they_are_stored(outcome: Ask) -> None:
    limit(outcome, "array_size", 3)
    assert not refused(outcome("x.len()", {"x": [1, 2, 3, 4]}))
    assert refused(outcome(".x = x", {"x": [1, 2, 3, 4]}))
    assert refused(outcome(".x = x", {"x": [[1, 2, 3, 4]]}))
    assert not refused(outcome(".x = x", {"x": [[1, 2, 3]]}))


# --- texts and blobs -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("code", "sent", "is_refused"),
    [
        ("'123456.8'", None, False),
        ("'1234567.9'", None, True),
        ("'éé'  ", None, False),
        ("'éééé'", None, False),
        ("'éééé' ", None, True),
        ("x", {"x": "1234567890"}, False),
        ("x", {"x": "12345678901"}, True),
        ("x", {"x": "éééééé"}, True),
        ("x", {"x": b"12345678901"}, True),
        ("x", {"x": [{"y": [b"12345678901"]}]}, True),
        ("x", {"x": [{"y": [b"1234567890"]}]}, False),
        ("x + x", {"x": "1234567890"}, False),
    ],
)
def test_texts(outcome: Ask, code: str, sent: Any, is_refused: bool) -> None:
    limit(outcome, "raw_size", 10)
    assert refused(outcome(code, sent)) is is_refused


def test_arguments_of_procedures(engine: Engine, outcome: Ask) -> None:
    value_of(outcome("new_procedure('a_long_name', |x| is_nil(x)); nil"))
    limit(outcome, "raw_size", 10)
    admin = Admin(engine)
    for arguments in (["12345678901"], {"x": b"12345678901"}, {"other": {"x": "12345678901"}}):
        assert refused(engine.run(admin, "//stuff", "a_long_name", arguments))
    for fine in (["1234567890"], {"x": b"1234567890"}, None):
        assert not refused(engine.run(admin, "//stuff", "a_long_name", fine))
    limit(outcome, "raw_size", None)
    limit(outcome, "things", 1)
    assert refused(engine.run(admin, "//stuff", "a_long_name", {"x": {}}))
    assert not refused(engine.run(admin, "//stuff", "a_long_name", {"x": []}))


def test_rights_go_first(engine: Engine, outcome: Ask) -> None:
    value_of(outcome("new_procedure('p', |x| x)"))
    value_of(outcome("new_user('iris')", scope="@t"))
    limit(outcome, "raw_size", 1)
    iris = As(engine.users["iris"])
    found = outcome("too long", caller=iris)
    assert found.error is not None and found.error.code == -55
    run = engine.run(iris, "//stuff", "p", ["too long"])
    assert run.error is not None and run.error.code == -55
    engine.collections["stuff"].access[iris.user.id] = RUN
    assert refused(engine.run(iris, "//stuff", "p", ["too long"]))
