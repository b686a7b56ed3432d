"""What can happen to a live query while it is subscribed: it ends with a word, or goes on with what is there now."""

from __future__ import annotations

from typing import Any

import pytest

from engine.errors import EngineError
from tests.watch.living import Client, World
from watch import live

START = """
set_type('P', {n: 'int', twice: |this| this.n * 2}); .p = P{n: 1}; .n = 0; .list = [];
new_procedure('count', |x| .n + x); new_procedure('change', || .n = 1);
set_enum('E', {A: 1});
"""


@pytest.fixture
def world() -> World:
    return World(START)


@pytest.mark.parametrize(
    ("code", "change", "scope", "said"),
    [
        ("10 / .n + .p.n", ".n = 0", "//stuff", "zero"),
        (".p.n", ".del('p')", "//stuff", "no property"),
        ("range(.n).len()", ".n = 10000000", "//stuff", "range"),
        (".list", ".list = range(20000)", "//stuff", "1000 bytes"),
        ("type_count('P')", ".p = nil; del_type('P')", "//stuff", "no type"),
        ("P(.p).n", "rename_type('P', 'Q')", "//stuff", "no function"),
        ("E{A}", "rename_enum('E', 'F')", "//stuff", "E"),
        ("count(1)", "rename_procedure('count', 'more')", "//stuff", "count"),
        ("run('count', 1)", "del_procedure('count')", "//stuff", "count"),
        ("run('count', 1)", "mod_procedure('count', |x| .n = x)", "//stuff", "side effects"),
        ("count(1)", "mod_procedure('count', |x| .m = x)", "//stuff", "effects"),
        (".n > 5 ? run('change') : 0", ".n = 6", "//stuff", "side effects"),
        (".n > 5 ? .f() : 0", ".f = || .m = 1; .n = 6", "//stuff", "effects"),
        (".n > 5 ? log('x') : 0", ".n = 6", "//stuff", "only reads"),
        (".n > 5 ? future(|| 1) : 0", ".n = 6", "//stuff", "future"),
        (".n", "del_collection('stuff')", "@thingsdb", "deleted"),
        (".n > 5 ? .n.x : 0", ".n = 6", "//stuff", "propert"),
    ],
)
def test_it_ends_with_the_reason(world: World, code: str, change: str, scope: str, said: str) -> None:
    world.change(".n = 1")
    world.live.result_bytes = 1000
    other = world.subscribe("1 + 1")
    number = world.subscribe(code)
    outcome = world.change(change, scope)
    assert outcome.error is None, outcome.error
    world.run()
    assert said in world.client.ended[number]
    assert (other in world.client.ended) == (scope == "@thingsdb")
    assert len(world.live._shared) == (scope != "@thingsdb")


@pytest.mark.parametrize(
    ("code", "change", "scope", "value"),
    [
        ("count(1)", "mod_procedure('count', |x| x * 100)", "//stuff", 100),
        ("run('count', 1)", "mod_procedure('count', |x| x * 100)", "//stuff", 100),
        (".p.twice()", "mod_type('P', 'mod', 'twice', |this| 5)", "//stuff", 5),
        (".p.wrap('P')", "mod_type('P', 'mod', 'twice', |this| 5)", "//stuff", {"#": 2, "n": 1, "twice": 5}),
        ("return root()", "set_default_deep('//stuff', 0)", "@thingsdb", None),
        ("E{A}.value()", "mod_enum('E', 'mod', 'A', 9)", "//stuff", 9),
        ("has_procedure('count')", "rename_procedure('count', 'more')", "//stuff", False),
        (".n", "rename_collection('stuff', 'things')", "@thingsdb", 0),
        ("type_count('P')", ".q = P{}", "//stuff", 2),
        ("try(.q.n)", ".q = P{n: 4}", "//stuff", 4),
    ],
)
def test_it_goes_on(world: World, code: str, change: str, scope: str, value: Any) -> None:
    number = world.subscribe(code)
    assert world.change(change, scope).error is None
    world.run()
    assert number not in world.client.ended
    assert value is None or world.client.values[number] == value


def test_a_collection_that_is_renamed_is_followed_on(world: World) -> None:
    number = world.subscribe(".n")
    world.change("rename_collection('stuff', 'things')", "@thingsdb")
    world.run()
    world.change(".n = 7", "//things")
    world.run()
    assert world.client.values[number] == 7


def test_one_that_runs_too_long_later_ends(world: World) -> None:
    number, other = world.subscribe(".n"), world.subscribe("1 + 1")
    world.live.seconds = -1.0
    world.change(".n = 1")
    world.run()
    assert "may take" in world.client.ended[number]
    assert other not in world.client.ended


def test_a_connection_can_have_so_many(world: World) -> None:
    for _ in range(world.live.per_connection):
        world.subscribe(".n")
    with pytest.raises(EngineError, match="at most 1000"):
        world.subscribe(".n")
    before = world.live.evaluations
    world.change(".n = 5")
    world.run()
    assert set(world.client.values.values()) == {5}
    assert world.live.evaluations == before + 1000  # the same one, a thousand times over
    world.live.drop(world.client)
    assert not world.live.active and not world.live._readers


def test_what_a_connection_reads_is_bounded(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "MAX_READ", 100)
    world.change(".list = range(40).map(|i| {n: i})")
    other = Client(world.client.user)
    first, second = world.subscribe(".list.map(|x| x.n)"), world.subscribe(".list.len()")
    world.subscribe(".list.map(|x| x.n)", other)
    third = world.subscribe(".list.map(|x| x.n + 1)")
    with pytest.raises(EngineError, match="at most 100 things"):
        world.subscribe(".list.map(|x| x.n + 2)")
    assert world.live.shared == 3
    world.change(".list.extend(range(20).map(|i| {n: i}))")
    world.run()
    other.read()
    (ended,) = world.client.ended
    assert ended in (first, third)
    assert "100 things" in world.client.ended[ended]
    assert not other.ended and len(other.values[first]) == 60
    assert world.client.values[second] == 60


def test_the_shortest_way_is_told(world: World) -> None:
    """A patch or the whole result."""
    world.change(".list = range(100).map(|i| {n: i})")
    number = world.subscribe(".list")
    world.change(".list[50].n = -1")
    world.live.run(1.0, world.engine.last_change)
    (small,) = world.client.out
    world.client.read()
    world.change(".list = range(100).map(|i| {n: i + 1000})")
    world.live.run(1.0, world.engine.last_change)
    (whole,) = world.client.out
    world.client.read()
    assert len(small) < 80 < len(whole)
    assert b"patch" in small and b"value" in whole[:60]
    assert [one["n"] for one in world.client.values[number]] == list(range(1000, 1100))
