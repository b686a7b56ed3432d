"""Making and changing types, and what it does to instances, wherever they are."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from engine.engine import Engine
from engine.errors import LookupFailed, OperationError, TypeFailed, ValueFailed
from engine.outcome import Outcome

from .state import check_rules

Query = Callable[..., Any]


# --- set_type --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fields", ["{a: 'int', m: || 1, b: 'nope'}", "{a: 'int', m: || 1, c: 'T'}", "{a: 1/0}", "5"])
def test_a_set_type_that_fails_leaves_nothing(query: Query, outcome: Query, fields: str) -> None:
    done = outcome(f"set_type('T', {fields})")
    assert done.error is not None
    assert [type(job).__name__ for _, job in done.change.mutations] == ["Internal"]
    assert query("[has_type('T'), types_info()]") == [False, []]
    query("new_type('T', HID)")
    before = query("type_info('T').load()")
    with pytest.raises(type(done.error)):
        query(f"set_type('T', {fields}, IDX)")
    assert query("type_info('T').load()") == before


def test_a_type_is_there_while_its_fields_are_evaluated(query: Query) -> None:
    query("set_type('T', {x: {.n = type_info('T').load().fields.len(); 'int'}, t: 'T?'})")
    assert query("[.n, T{}]") == [0, {"x": 0, "t": None}]
    with pytest.raises(OperationError):
        query("set_type('U', {x: {.u = U{}; 'int'}})")
    assert query("[type(.u), has_type('U')]") == ["thing", False]
    for inner in ("del_type('V')", "rename_type('V', 'X')", "set_type('V', {})", "set_type('X', {v: 'V'})"):
        with pytest.raises(OperationError):
            query(f"set_type('V', {{x: {{{inner}; 'int'}}}})")
    assert query("has_type('V')") is False


def test_the_names_of_a_type_are_one_namespace(query: Query) -> None:
    query("new_type('T'); mod_type('T', 'add', 'm', || 1); mod_type('T', 'add', 'id', '#');")
    for field in ("m: 'int'", "id: 'int'", "id: || 1", "key: '#'"):
        with pytest.raises(LookupFailed):
            query(f"set_type('T', {{{field}}})")
    query("set_type('T', {m: || 2, n: 'int'})")
    assert query("[T{}.m(), type_info('T').load().fields]") == [2, [["id", "#"], ["n", "int"]]]


# --- instances that only a value under way refers to ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "shown"),
    [
        ("mod_type('T', 'add', 'z', 'str', 'q')", {"x": 1, "l": [2], "z": "q"}),
        ("mod_type('T', 'add', 'z', '[int]', [5])", {"x": 1, "l": [2], "z": [5]}),
        ("mod_type('T', 'del', 'x')", {"l": [2]}),
        ("mod_type('T', 'ren', 'l', 'k')", {"x": 1, "k": [2]}),
        ("mod_type('T', 'mod', 'x', 'str', || nil)", {"x": "", "l": [2]}),
        ("del_type('T')", {"x": 1, "l": [2]}),
        ("rename_type('T', 'U')", {"x": 1, "l": [2]}),
    ],
)
def test_every_instance_follows(query: Query, engine: Engine, change: str, shown: Any) -> None:
    query("set_type('T', {x: 'int', l: '[int]'}); .kept = T{x: 1, l: [2]}; nil")
    made = query(f"v = T{{x: 1, l: [2]}}; [T{{x: 1, l: [2]}}, try({change}), v];")
    assert [made[0], made[2]] == [shown, shown]
    assert query("return .kept, 2, NO_IDS") == shown
    check_rules(engine)


def test_an_instance_under_way_forbids_a_change(query: Query) -> None:
    query("set_type('T', {x: 'int'}); .t = T{}; nil")
    for text in (
        "T{}.each(|k| mod_type('T', 'add', 'y', 'int'))",
        "for (k in T{}) mod_type('T', 'add', 'y', 'int')",
        "[T{}][0].x = {mod_type('T', 'add', 'y', 'int'); 3}",
        "T{x: {set_type('U', {t: 'T'}); 3}}",
        "T{x: {{}.to_type('T'); 3}}",
        "T{x: {.t.to_thing(); 3}}",
        "mod_type('T', 'all', |t| {t.to_thing();})",
        "mod_type('T', 'add', 'y', 'int', |t| {mod_type('T', 'del', 'y');})",
    ):
        with pytest.raises(OperationError):
            query(text)
    assert query("type_info('T').load().fields.filter(|f| f[0] != 'y')") == [["x", "int"]]


def test_what_counts_as_an_instance(query: Query) -> None:
    query("set_type('T', {t: 'T?'}); .t = T{t: T{}}; new_type('W', WPO); nil")
    assert query("type_count('T')") == 2
    assert query("v = [{a: [T{t: T{}}]}, set(T{})]; w = .t; x = T{}.wrap('W'); type_count('T')") == 6
    assert query("|a| a; wse({f = |a| type_count('T'); f(T{})})") == 3
    query("mod_type('T', 'idx', true); .u = T{}; nil")
    assert query("[type_count('T'), type_all('T').len()]") == [3, 3]
    query(".del('t'); nil")
    assert query("[type_count('T'), type_all('T').len()]") == [1, 1]
    query("mod_type('T', 'idx', false); .t = {}; .t.to_type('T'); nil")
    assert query("type_count('T')") == 2


# --- fields ----------------------------------------------------------------------------------------------------------


def test_the_last_field_takes_the_place_of_a_removed_one(query: Query) -> None:
    query(
        "set_type('T', {a: 'int', b: '[]', c: 'int', d: '[int]', m: || 1, n: || 2, o: || 3}); .t = T{a: 1, d: [4]}; nil"
    )
    query("mod_type('T', 'del', 'b'); mod_type('T', 'del', 'm')")
    assert query("[.t.keys(), .t.values(), type_info('T').load().methods.keys()]") == [
        ["a", "d", "c"], [1, [4], 0], ["o", "n"],
    ]  # fmt: skip
    query(".t.d.push(5); .t.c = 6; nil")
    assert query(".t.values()") == [1, [4, 5], 6]


def test_a_removed_list_is_free(query: Query) -> None:
    query("set_type('T', {l: '[int]', x: 'int'}); .t = T{l: [1]}; nil")
    assert query("l = .t.l; mod_type('T', 'del', 'l'); l.push('x'); l") == [1, "x"]


@pytest.mark.parametrize(
    ("definition", "closure", "kept"),
    [
        ("str", "|t| str(t.x)", ["1", "2", "new"]),
        ("str", "|t| {t.x = 'set'; nil}", ["set", "set", "new"]),
        ("str", "|t| t.x == 1 ? 'one' : 5", ["one", "", "new"]),
        ("str", "|t| t.x == 1 ? 1/0 : 'two'", ["", "two", "new"]),
        ("int?", "|t| nil", [1, 2, None]),
        ("[int]", "|t| [t.x]", [[1], [2], [7]]),
        ("thing<int>", "|t| {v: t.x}", [{"v": 1}, {"v": 2}, {"v": 3}]),
    ],
)
def test_a_migration(query: Query, engine: Engine, definition: str, closure: str, kept: list[Any]) -> None:
    query("set_type('T', {x: 'int'}); .a = T{x: 1}; .b = T{x: 2}; nil")
    new = {"str": "'new'", "int?": "nil", "[int]": "[7]", "thing<int>": "{v: 3}"}[definition]
    query(f"try(mod_type('T', 'mod', 'x', '{definition}', {closure})); .c = T{{x: {new}}}; nil")
    assert query("return [.a.x, .b.x, .c.x], 2, NO_IDS") == kept
    check_rules(engine)


def test_a_migration_puts_instances_right_that_its_closure_made(query: Query, engine: Engine) -> None:
    query("set_type('T', {x: 'int'}); .a = T{x: 1}; .made = []; nil")
    with pytest.raises(OperationError):
        query("mod_type('T', 'mod', 'x', 'str', |t| {.made.push(T{x: 5}, T{x: 'fits'}); 'q'})")
    assert query("[.a.x, .made.map(|t| t.x)]") == ["q", ["", "fits"]]
    check_rules(engine)


def test_a_definition_under_way_is_in_use(query: Query) -> None:
    query("set_type('T', {x: 'int'}); new_type('U'); set_enum('E', {A: 1, B: 2}); .a = T{}; nil")
    for definition, inner in (("U?", "del_type('U')"), ("E{B}", "mod_enum('E', 'del', 'B')"), ("E", "del_enum('E')")):
        with pytest.raises(OperationError):
            query(f"mod_type('T', 'mod', 'x', '{definition}', |t| {{e = try({inner}); .e = e.msg(); nil}})")
        assert "use" in query(".e")
        query("mod_type('T', 'mod', 'x', 'int', || 0)")


@pytest.mark.parametrize(
    ("old", "new", "restriction"),
    [("thing<int>", "thing<number>", "number"), ("thing<int>", "thing", None), ("thing<int>", "any", None)],
)
def test_loosening_what_a_thing_may_hold(
    query: Query, engine: Engine, old: str, new: str, restriction: str | None
) -> None:
    query("set_type('T', {k: d}); set_type('U', {k: 'thing<int>'}); nil", {"d": old})
    query(".a = T{k: {n: 1}}; .b = T{k: {n: 2}}; .u = U{k: .b.k}; nil")
    query("mod_type('T', 'mod', 'k', d)", {"d": new})
    assert query("[.a.k.restriction(), .b.k.restriction()]") == [restriction, "int"]
    query(".a.k.n = 0.5; .u.k = .u.k; nil")
    with pytest.raises(TypeFailed):
        query(".u.k.n = 0.5")


# --- conversions -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("made", ["o", ".o"])
def test_to_type_changes_nothing_when_it_fails(query: Query, made: str) -> None:
    query("set_type('T', {l: '[int]', k: 'thing<int>', x: 'uint'})")
    for text, error in (
        ("{l: ['a']}", TypeFailed), ("{x: -1}", TypeFailed), ("{k: {a: 1}, x: 'q'}", TypeFailed),
        ("{z: 1}", TypeFailed),
        ("{l: [1], k: {a: 'q'}}", TypeFailed), ("{k: {}.restrict('str')}", TypeFailed), ("T{}", LookupFailed),
        ("{}.restrict('int')", ValueFailed),
    ):  # fmt: skip
        with pytest.raises(error):
            query(f"{made} = {text}; {made}.to_type('T')")
        query(f"{made} = {text}; try({made}.to_type('T')); .l = {made}.get('l'); .l && .l.push('free'); nil")
    with pytest.raises(OperationError):
        query(f"{made} = {{l: [1]}}; {made}.l.each(|x| {made}.to_type('T'))")
    assert query(f"{made} = {{l: [1], k: {{a: 2}}}}; {made}.to_type('T'); {made}.k.restriction()") == "int"


def test_to_type_and_back(query: Query, engine: Engine) -> None:
    query("set_type('T', {x: 'int', l: '[int]', s: '{}'}); .o = {l: [1], x: 2}; .p = .o; nil")
    query(".o.to_type('T'); nil")
    assert query("[.p.keys(), type(.p), .p == .o]") == [["x", "l", "s"], "T", True]
    with pytest.raises(TypeFailed):
        query(".p.l.push('a')")
    query(".p.to_thing(); .o.l.push('a'); .o.new = 1; nil")
    assert query(".p.keys()") == ["x", "l", "s", "new"]
    check_rules(engine)


# --- type ids --------------------------------------------------------------------------------------------------------


def test_ids_stay_with_names(query: Query) -> None:
    def ids() -> dict[str, int]:
        return {each["name"]: each["type_id"] for each in query("types_info().map(|t| t.load())")}

    query("new_type('A'); new_type('B'); del_type('A'); new_type('C')")
    assert ids() == {"B": 1, "C": 2}
    query("rename_type('C', 'A'); new_type('C')")
    assert ids() == {"A": 2, "B": 1, "C": 0}
    query("try(set_type('D', {x: 'nope'})); new_type('E'); new_type('D')")
    assert ids() == {"A": 2, "B": 1, "C": 0, "D": 3, "E": 4}


# --- jobs ------------------------------------------------------------------------------------------------------------


def _jobs(done: Outcome) -> list[Any]:
    """The jobs of a change that watchers see, without times."""
    assert done.change is not None
    return [json.loads(json.dumps(job)) for _, job in done.change.mutations if type(job) is dict]


def test_the_jobs_of_changes_of_types(outcome: Query, query: Query) -> None:
    now: Any = pytest.approx(1_500_000_500, abs=500)
    created = {"type_id": 0, "created_at": now, "name": "T", "wrap_only": False}
    head = {"type_id": 0, "modified_at": now}
    assert _jobs(outcome("set_type('T', {x: 'int', m: |a| a . b})")) == [
        {"new_type": created},
        {"set_type": {"type_id": 0, "modified_at": 0, "wrap_only": False, "fields": [["x", "int"]],
                      "methods": {"m": {"/": "|a|a.b"}}}},
    ]  # fmt: skip
    query(".a = T{}; nil")
    assert _jobs(outcome("mod_type('T', 'add', 'k', 'thing', {n: 1})")) == [
        {"mod_type_add": {**head, "name": "k", "spec": "thing", "dval": {"#": 3, "n": 1}}}
    ]
    assert _jobs(outcome("mod_type('T', 'add', 'y', 'int', |t| t.x + 3)")) == [
        {"mod_type_add": {**head, "name": "y", "spec": "int", "dval": 0}}, {"set": {"y": 3}},
    ]  # fmt: skip
    assert _jobs(outcome("mod_type('T', 'mod', 'x', 'str', |t| 'v')")) == [
        {"mod_type_mod": {**head, "name": "x", "spec": "any"}}, {"set": {"x": "v"}},
        {"mod_type_mod": {**head, "name": "x", "spec": "str"}},
    ]  # fmt: skip
    assert _jobs(outcome("mod_type('T', 'mod', 'x', 'str?')")) == [
        {"mod_type_mod": {**head, "name": "x", "spec": "str?"}}
    ]
    assert _jobs(outcome("mod_type('T', 'ren', 'x', 'z')")) == [{"mod_type_ren": {**head, "name": "x", "to": "z"}}]
    assert _jobs(outcome("mod_type('T', 'del', 'z')")) == [{"mod_type_del": {**head, "name": "z"}}]
    assert _jobs(outcome(".b = {y: 4}; .b.to_type('T')"))[1:] == [{"set": {"k": {"#": 5}}}, {"to_type": 0}]
    for text in (
        "mod_type('T', 'ren', 'y', 'y')", "mod_type('T', 'wpo', false)", "mod_type('T', 'hid', true)",
        "mod_type('T', 'idx', true)", "mod_type('T', 'add', 'id', '#')", "mod_type('T', 'all', || nil)",
        ".b.to_thing()",
        "try(mod_type('T', 'mod', 'y', 'str'))", "try(del_type('X'))", "try(mod_type('T', 'add', 'q', 'nope'))",
    ):  # fmt: skip
        assert _jobs(outcome(text)) == [], text
    assert _jobs(outcome("rename_type('T', 'U'); del_type('U')")) == [{"rename_type": {"id": 0, "name": "U"}},
                                                                     {"del_type": 0}]  # fmt: skip


def test_what_watchers_of_instances_are_told_at_once(outcome: Query, query: Query) -> None:
    query("set_type('T', {x: 'int'}); .a = T{}; .b = T{}; v = T{}; nil")
    told = outcome(
        "v = T{}; mod_type('T', 'add', 'k', 'thing'); mod_type('T', 'ren', 'k', 'z'); mod_type('T', 'del', 'z')"
    )
    assert [(effect.things, effect.job) for effect in told.effects] == [
        ([2, 3], {"set": {"k": {"#": 4}}}), ([2, 3], {"del": "z"}),
    ]  # fmt: skip
