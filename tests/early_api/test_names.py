"""The names of the earliest published version, row by row (spec/early-api.md, sections 2, 3, 5 and 6)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from engine.engine import Engine
from engine.functions.nothing import EVERY_KIND
from engine.functions.registry import FUNCTIONS
from engine.outcome import Outcome
from engine.store.memory import MemoryStore
from engine.users import CHANGE, QUERY, User
from tests.conftest import Admin

Ask = Callable[..., Outcome]

ARITY, TYPE, VALUE, LOOKUP, NODE, FORBIDDEN, OPERATION = -62, -61, -60, -54, -51, -55, -63


class As:
    """A caller who gets no events."""

    subscriber = None

    def __init__(self, user: User) -> None:
        self.user = user


def value_of(found: Outcome) -> Any:
    assert found.error is None, found.error
    return found.value


# --- section 3: the server -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("scope", "early", "now"),
    [
        ("@t", "user()", "user_info()"),
        ("@t", "user('admin')", "user_info('admin')"),
        ("@t", "users()", "users_info()"),
        ("@n", "node().load().node_name", "node_info().load().node_name"),
        ("@n", "nodes()", "nodes_info()"),
        ("@n", "set_loglevel(INFO)", "set_log_level(INFO)"),
    ],
)
def test_functions_of_the_server(outcome: Ask, scope: str, early: str, now: str) -> None:
    assert value_of(outcome(early, scope=scope)) == value_of(outcome(now, scope=scope))


def test_collections(outcome: Ask) -> None:
    quotas = {"quota_things": None, "quota_properties": None, "quota_array_size": None, "quota_raw_size": None}
    info = value_of(outcome("collection_info('stuff')", scope="@t"))
    assert value_of(outcome("collection('stuff')", scope="@t")) == info | quotas
    assert value_of(outcome(f"collection({info['collection_id']})", scope="@t")) == info | quotas
    assert value_of(outcome("collections()", scope="@t")) == [info | quotas]
    value_of(outcome("set_quota('stuff', 'things', 9)", scope="@t"))
    assert value_of(outcome("collections()", scope="@t")) == [info | quotas | {"quota_things": 9}]
    assert value_of(outcome("collection_info('stuff')", scope="@t")) == info


def test_who_may_see_a_collection(engine: Engine, outcome: Ask) -> None:
    value_of(outcome("new_user('iris'); grant('@t', 'iris', QUERY); nil", scope="@t"))
    iris = As(engine.users["iris"])
    assert value_of(outcome("collections()", scope="@t", caller=iris)) == []
    found = outcome("collection('stuff')", scope="@t", caller=iris)
    assert found.error is not None and found.error.code == FORBIDDEN


def test_the_only_node_stays(outcome: Ask) -> None:
    found = outcome("pop_node()", scope="@t")
    assert found.error is not None and found.error.code == NODE


def test_the_zone_of_the_node_is_kept() -> None:
    store = MemoryStore()
    engine = Engine()
    engine.open(store)
    for zone in (0, 255, 7):
        found = engine.query(Admin(engine), "@n", f"set_zone({zone})")
        assert value_of(found) is None
        assert found.change is not None
        store.write_batch(found.change.id, [found.change.packed], 1.0)
        assert engine.query(Admin(engine), "@n", "node_info().load().zone").value == zone
    again = Engine()
    again.open(store)
    assert again.query(Admin(again), "@n", "[node_info().load().zone, nodes_info()[0].load().zone]").value == [7, 7]
    again.query(Admin(again), "@n", "set_zone(8)")
    store.write_checkpoint(engine.checkpoint())
    third = Engine()
    third.open(store)
    assert third.node.zone == 7


def test_the_early_names_of_the_node_ask_for_the_right_too(engine: Engine, outcome: Ask) -> None:
    value_of(outcome("new_user('iris'); grant('@n', 'iris', QUERY); nil", scope="@t"))
    iris = As(engine.users["iris"])
    for code in ("set_loglevel(0)", "set_zone(1)", "set_zone()"):
        found = outcome(code, scope="@n", caller=iris)
        assert found.error is not None and found.error.code == FORBIDDEN, code
    engine.node.access[iris.user.id] = QUERY | CHANGE
    value_of(outcome("set_zone(1)", scope="@n", caller=iris))


# --- sections 5 and 6: things, texts, tests of values ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("code", "result"),
    [
        ("t(1).id()", 1),
        ("t(1, 1).map(|x| x.id())", [1, 1]),
        # tests of values
        ("[isarray([1]), isarray([[1]][0]), isarray(set()), isarray({})]", [True, True, False, False]),
        ("[islist([1]), islist([[1]][0])]", [True, False]),
        ("[isinf(inf), isinf(1), isinf(true), isinf(1.5)]", [True, False, False, False]),
        ("[isnan(nan), isnan(1), isnan('a'), isnan(nil)]", [True, False, True, True]),
        ("[isascii('a'), isascii('é'), isascii(1)]", [True, False, False]),
        ("[isbool(true), isbool(1)]", [True, False]),
        ("[isfloat(1.5), isfloat(1)]", [True, False]),
        ("[isint(1), isint(1.5)]", [True, False]),
        ("[isstr('a'), isstr(1)]", [True, False]),
        ("[isutf8('é'), isutf8(1)]", [True, False]),
        ("[istuple([[1]][0]), istuple([1])]", [True, False]),
        ("[isnil(nil), isnil(0)]", [True, False]),
        ("[isthing({}), isthing(1)]", [True, False]),
        ("[israw('a'), israw(bytes('a')), israw(1)]", [True, True, False]),
        ("[isset(set()), isset([])]", [True, False]),
        # text
        ("['breakfast'.startswith('br'), 'breakfast'.startswith('fast')]", [True, False]),
        ("['breakfast'.endswith('fast'), 'breakfast'.endswith('br')]", [True, False]),
        # things
        ("x = {a: 1}; [x.hasprop('a'), x.hasprop('b'), x.hasattr('a'), x.hasattr('b')]", [True, False, True, False]),
        ("x = {a: 1}; [x.rename('a', 'b'), x]", [None, {"b": 1}]),
        ("x = {a: 1, b: 2}; x.rename('a', 'b'); x", {"b": 1}),
        ("x = {a: 1}; x.rename('a', 'a'); x", {"a": 1}),
        ("x = {a: 1}; x.rename('a', 'b c'); x", {"b c": 1}),
        ("x = {a: 1, b: 2}; [x.unset('a'), x.unset('a'), x]", [None, None, {"b": 2}]),
        ("{a: 1, b: 2}.find(|name, value| value > 1)", 2),
        ("{a: 1, b: 2}.find(|name| name == 'a')", 1),
        ("{a: 1}.find(|name, value| value > 1)", None),
        ("{a: 1}.find(|name, value| value > 1, 'other')", "other"),
        ("{a: 1}.find(|name, value| value, 1 / 0)", 1),
        # none needed: the name and what it does are the same
        ("[1, 2].find(|x| x > 1)", 2),
        ("{a: 1, b: 2}.filter(|name, value| value > 1)", {"b": 2}),
        ("{a: 1}.map(|name, value| [name, value])", [["a", 1]]),
        ("x = [1]; x.push(2, 3)", 3),
        ("x = [1, 2, 3]; x.splice(1, 1, 'a')", [2]),
        ("[int('365 days'), int('0xFF'), int(-1.9), int(true)]", [365, 255, -1, 1]),
        ("str(1.5)", "1.5"),
        ("['Aé'.lower(), 'aé'.upper()]", ["aé", "Aé"]),
        ("type(now())", "float"),
        ("refs(1) > 0", True),
        ("set([{}]).len()", 1),
        ("x = {a: 1}; x.del('a')", 1),
    ],
)  # fmt: skip
def test_what_the_names_give(outcome: Ask, code: str, result: Any) -> None:
    assert value_of(outcome(f"return {{{code}}}, 3" if ";" in code else code)) == result


@pytest.mark.parametrize(
    ("scope", "code", "error"),
    [
        ("@t", "user(1, 2)", ARITY),
        ("@t", "user('nobody')", LOOKUP),
        ("@t", "users(1)", ARITY),
        ("@t", "collection()", ARITY),
        ("@t", "collection(nil)", TYPE),
        ("@t", "collection('none')", LOOKUP),
        ("@t", "collections(1)", ARITY),
        ("@t", "pop_node(1)", ARITY),
        ("@n", "set_zone(256)", VALUE),
        ("@n", "set_zone(-1)", VALUE),
        ("@n", "set_zone('a')", TYPE),
        ("@n", "set_loglevel('a')", TYPE),
        ("//stuff", "t()", ARITY),
        ("//stuff", "t('1')", TYPE),
        ("//stuff", "t(999)", LOOKUP),
        ("//stuff", "t(1, 999)", LOOKUP),
        ("//stuff", "isinf('a')", TYPE),
        ("//stuff", "isarray()", ARITY),
        ("//stuff", "'a'.startswith(1)", TYPE),
        ("//stuff", "'a'.endswith()", ARITY),
        ("//stuff", "'a'.test('b')", LOOKUP),
        ("//stuff", "'a'.test()", LOOKUP),
        ("//stuff", "{}.hasprop(1)", TYPE),
        ("//stuff", "{}.hasattr()", ARITY),
        ("//stuff", "{}.rename('a', 'b')", LOOKUP),
        ("//stuff", "{a: 1}.rename('a', '#')", VALUE),
        ("//stuff", "{a: 1}.rename('a')", ARITY),
        ("//stuff", "{}.unset(1)", TYPE),
        ("//stuff", "{}.find()", ARITY),
        ("//stuff", "{}.find(1)", TYPE),
        ("//stuff", "nil.ret(1)", ARITY),
        # can't be had
        ("//stuff", "blob(0)", LOOKUP),
        ("//stuff", "id()", LOOKUP),
        ("//stuff", "[{}].fetch()", LOOKUP),
        ("//stuff", "thing(1, 1)", ARITY),
        ("//stuff", "try(1, 2)", TYPE),
        ("@t", "new_user('a', 'b')", ARITY),
        ("@t", "grant(0, 'admin', 1)", TYPE),
        ("@t", "counters()", LOOKUP),
        ("@t", "reset_counters()", LOOKUP),
        ("@t", "del_user('admin')", OPERATION),
        ("@t", "new_node(0, 'secret', 'host', 9220)", ARITY),
    ],
)
def test_errors_are_those_of_today(outcome: Ask, scope: str, code: str, error: int) -> None:
    if code.startswith("try(1, 2"):
        code = "try(1 / 0, 2)"
    found = outcome(code, scope=scope)
    assert found.error is not None
    assert found.error.code == error, found.error


SAMPLES = {
    "nil": "nil", "bool": "true", "int": "(1)", "float": "(1.5)", "str": "'a'", "bytes": "bytes('a')", "regex": "/a/",
    "list": "[1]", "tuple": "([[1]][0])", "set": "set()", "plain": "{}", "instance": "T{}", "wrapped": "({}.wrap('T'))",
    "anonymous": "(&{a: 'int'})", "enum": "E{A}", "closure": "(|x| x)", "error": "err()", "datetime": "datetime()",
    "timeval": "timeval()", "future": "future(nil)", "task": "task()", "room": "room()", "mpdata": "user_info()",
}  # fmt: skip


@pytest.mark.parametrize("kind", EVERY_KIND)
def test_every_value_can_be_kept_out_of_the_reply(outcome: Ask, kind: str) -> None:
    value_of(outcome("set_type('T', {n: 'int'}); set_enum('E', {A: 1}); nil"))
    assert value_of(outcome(f"[{SAMPLES[kind]}.ret()]")) == [None]


# --- section 2: looked up last ---------------------------------------------------------------------------------------

EARLY = {name: function for name, function in FUNCTIONS.items() if function.alias}


@pytest.mark.parametrize("name", sorted(EARLY))
@pytest.mark.parametrize("scope", ["//stuff", "@t", "@n"])
def test_an_early_function_exists_only_in_its_scopes_and_after_variables(outcome: Ask, name: str, scope: str) -> None:
    kind = {"//stuff": "C", "@t": "T", "@n": "N"}[scope]
    found = outcome(f"try({name}(1, 2, 3, 4, 5)).code()", scope=scope)
    if kind in EARLY[name].scopes:
        if name == "t":
            assert found.value == LOOKUP
        else:
            assert found.value == ARITY
    else:
        assert found.value == LOOKUP
    assert value_of(outcome(f"{name} = |a| ['mine', a]; {name}(7)", scope=scope)) == ["mine", 7]
    assert value_of(outcome(f"{name} = 7; {name}", scope=scope)) == 7


@pytest.mark.parametrize("name", sorted(EARLY))
def test_procedures_and_types_go_before_early_functions(outcome: Ask, name: str) -> None:
    value_of(outcome(f"new_procedure('{name}', |a| ['mine', a])", scope="@t"))
    assert value_of(outcome(f"{name}(7)", scope="@t")) == ["mine", 7]
    value_of(outcome(f"set_type('{name}', {{n: 'int'}})"))
    assert value_of(outcome(f"{name}{{n: 3}}.n + {name}().n")) == 3


@pytest.mark.parametrize("name", ["hasprop", "hasattr", "rename", "unset", "find", "ret"])
def test_properties_and_methods_of_types_go_before_early_methods(outcome: Ask, name: str) -> None:
    assert value_of(outcome(f"{{{name}: |a| ['mine', a]}}.{name}(7)")) == ["mine", 7]
    value_of(outcome(f"set_type('T', {{n: 'int', {name}: |this, a| [this.n, a]}})"))
    assert value_of(outcome(f"T{{n: 3}}.{name}(7)")) == [3, 7]


@pytest.mark.parametrize(
    ("code", "changes"),
    [
        (".rename('a', 'b')", True),
        (".rename('a', 'a')", False),
        (".unset('a')", True),
        (".unset('none')", False),
        (".hasprop('a')", False),
        (".find(|k, v| v)", False),
        ("x = {a: 1}; x.rename('a', 'b'); x.unset('b')", False),
        ("isarray([])", False),
        ("t(1)", False),
    ],
)
def test_an_early_name_makes_a_change_where_it_changes_something(
    engine: Engine, outcome: Ask, code: str, changes: bool
) -> None:
    value_of(outcome(".a = 1"))
    found = outcome(f"{code}; nil")
    assert (found.change is not None) is changes
    value_of(outcome("new_user('iris'); grant('//stuff', 'iris', QUERY); nil", scope="@t"))
    value_of(outcome(".a = 1; nil"))
    found = outcome(f"{code}; nil", caller=As(engine.users["iris"]))
    assert (found.error is not None and found.error.code == FORBIDDEN) is changes


@pytest.mark.parametrize(
    ("code", "error"),
    [
        ("nse(); .rename('a', 'b')", OPERATION),
        ("nse(.unset('a'))", OPERATION),
        ("nse(); x = root(); x.unset('a')", OPERATION),
        ("if (true) nse(); x = root(); x.emit('e')", OPERATION),
        ("nse(); wse(); .rename('a', 'b')", None),
        ("nse(); x = {a: 1}; x.rename('a', 'b')", None),
        ("nse(.unset('none'))", None),
    ],
)
def test_nse_holds_them_back(outcome: Ask, code: str, error: int | None) -> None:
    value_of(outcome(".a = 1"))
    found = outcome(code)
    assert (None if found.error is None else found.error.code) == error
    assert (found.change is None) is ("wse" not in code)
