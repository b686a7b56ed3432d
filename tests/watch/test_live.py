"""Live queries: what a subscriber knows is what the query gives, and only what a change touched runs again."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.errors import EngineError
from engine.language.compiler import compile_closure
from engine.language.tracked import TrackedUnit
from engine.users import FULL, QUERY, User
from server.forms import pack
from tests.watch.living import Client, World, copied, patched
from watch.patch import difference

START = """
new_type('P'); set_type('P', {n: 'int', near: '[]'});
set_enum('E', {A: 1, B: 2});
new_procedure('count', || .list.len());
.list = range(4).map(|i| {n: i, deep: {n: i}});
.all = set(.list); .p = P{n: 1}; .q = P{n: 2}; .map = {a: 1}; .map.set('b/c', 2); .f = |x| x.n + 1; .e = E{A};
.w = .p.wrap('P'); .nested = {one: {two: {three: 3}}}; nil;
"""

QUERIES = [
    ".list.filter(|x| x.n > 1)", ".list.map(|x| x.n)", ".list.len()", "return .list, 2", ".all", ".all.len()",
    "return ., 3", ".list.map(|x| .f(x))", ".list.reduce(|a, x| a + x.n, 0)", "type_count('P')", "type_all('P')",
    "count()", "run('count')", ".w", "json_dump(.nested, {deep: 4})", ".nested.copy(3).one.two", ".map", ".map.keys()",
    "try(.gone.n)", "try(thing(60).n)", "try(P(61).n)", ".list.sort(|a, b| b.n - a.n).map(|x| x.n)", ".e", ".e.value()",
    "enums_info().len()", ".nested.equals({one: 1}, 3)", ".p.n + .q.n", ".nested.one ? 1 : 2", "!.map",
    "x = []; for (i in .list) { x.push(i.deep.n); }; x", ".list.find(|x| x.n == 2)", ".search(.p, {deep: 2}).len()",
    "&{x: .p.n}", "has_procedure('count')", ".p.n is_str", ".list.every(|x| x.n < 3)", "[.p].map_wrap('P')",
    ".keys().map(|k| k)", ".get('map')", "try(.p.near.len())", ".list.last().deep", "return .list, 0", "P{n: .p.n}",
]  # fmt: skip

CHANGES = [
    ".list[0].n += 1", ".list.push({n: 9, deep: {n: 9}})", ".list.pop()", ".list.shift()", ".list[-1].deep.n = 7",
    ".p.n = 5", ".q = P{n: 8}", ".del('q')", ".set('q', P{n: 3})", ".all.add({n: 5})", ".all.remove(.all.one())",
    ".map.a = 2", ".map.del('a')", ".map.clear()", ".map.set('~x/', [1, 2])", ".map.ren('b/c', 'd')",
    ".f = |x| x.n * 2",
    "mod_procedure('count', || 5)", "del_procedure('count')", "mod_enum('E', 'mod', 'A', 10)", ".e = E{B}",
    "mod_type('P', 'add', 'more', 'int', 3)", "mod_type('P', 'del', 'more')", ".nested.one.two.three = 4",
    ".nested.one.two = {three: [1, 2, {x: 1}]}", ".nested.del('one')", ".gone = {n: 1}", ".del('gone')",
    ".list[1] = .p", ".list.splice(1, 1)", ".p.near.push(P{n: 4})", ".list[0].to_type('P')", ".list.unshift({n: 1})",
    ".map.a = 1.0", ".map.a = true", ".map.a = 1", ".list = []", ".list = [{n: 2, deep: {n: 1}}]", ".p = .q", "nil",
    ".x = {}; .x.y = .x; .del('x')",
]  # fmt: skip


@settings(deadline=None, max_examples=120, suppress_health_check=list(HealthCheck))
@given(
    st.lists(st.sampled_from(QUERIES), min_size=1, max_size=6),
    st.lists(st.sampled_from(CHANGES), min_size=1, max_size=15),
)
def test_what_a_subscriber_knows_is_what_the_query_gives(queries: list[str], changes: list[str]) -> None:
    world = World(START)
    held: dict[int, str] = {}
    over: set[int] = set()
    for code in queries:
        try:
            held[world.subscribe(code)] = code
        except EngineError:
            assert world.engine.query(world.client, "//stuff", code).error is not None
    for change in changes:
        world.change(change)
        world.run()
        for number, code in held.items():
            fresh = world.engine.query(world.client, "//stuff", code)
            if number in world.client.ended:
                if number not in over:
                    assert fresh.error is not None, (code, world.client.ended[number])
                    over.add(number)
                continue
            assert fresh.error is None, (code, fresh.error)
            assert pack(world.client.values[number]) and world.client.values[number] == copied(fresh.value), code


trees = st.recursive(
    st.none() | st.booleans() | st.integers(0, 3) | st.sampled_from([0.0, 1.0, "a", "b/~"]),
    lambda inner: (
        st.lists(inner, max_size=5)
        | st.dictionaries(st.sampled_from(["a", "b/c", "~", "#"]), inner, max_size=4)
        | st.lists(st.builds(lambda i, v: {"#": i, "v": v}, st.integers(1, 5), inner), max_size=5)
    ),
    max_leaves=12,
)


@given(trees, trees)
def test_a_difference_makes_the_new_value_of_the_old(old: Any, new: Any) -> None:
    operations = copied(difference(old, new, pack))
    made = patched(copied(old), operations)
    assert difference(made, new, pack) == []
    assert made == copied(new)


def test_only_what_a_change_touched_runs_again() -> None:
    world = World(".things = range(200).map(|i| {n: i});")
    for index in range(100):
        world.subscribe(f".things[{index}].n")
    before = world.live.evaluations
    for index in (3, 50, 150):
        world.change(f".things[{index}].n = -1;")
        world.run()
    assert world.live.evaluations - before == 2
    assert world.client.updates == 2


def test_changes_of_one_batch_cost_one_evaluation() -> None:
    world = World(".n = 0;")
    number = world.subscribe(".n")
    before = world.live.evaluations
    for _ in range(10):
        world.change(".n += 1;")
    world.live.run(1.0, world.engine.last_change - 10)
    world.change(".n += 1;")
    world.live.run(1.0, world.engine.last_change - 10)  # its result waits for the disk
    assert world.live.evaluations == before + 1
    world.run()
    assert world.live.evaluations == before + 2
    assert world.client.values[number] == 11


def test_identical_subscriptions_share_an_evaluation_and_its_bytes() -> None:
    world = World(".n = 0;")
    clients = [Client(world.client.user) for _ in range(1000)]
    before = world.live.evaluations
    for client in clients:
        world.subscribe(".n", client)
    world.change(".n = 1;")
    world.run()
    assert world.live.evaluations == before + 2
    assert {id(client.out[0]) for client in clients} == {id(clients[0].out[0])}


def test_an_interval_holds_updates_back() -> None:
    world = World(".n = 0;")
    number = world.subscribe(".n", interval=5)
    world.change(".n = 1;")
    world.run()
    assert world.client.values[number] == 0
    assert world.live.run(1.0, world.engine.last_change) == 5
    world.now = 5.0
    world.run()
    assert world.client.values[number] == 1


def test_a_query_that_fails_ends_with_a_word_and_no_other_does() -> None:
    world = World(".n = 1; .m = 1;")
    failing, other = world.subscribe("10 / .n"), world.subscribe(".n + .m")
    world.change(".n = 0;")
    world.run()
    assert "zero" in world.client.ended[failing]
    assert world.client.values[other] == 1
    assert len(world.client.ended) == 1


def test_a_lost_right_ends_it() -> None:
    world = World(".n = 1;")
    guest = User(77, "guest", 0)
    stuff = world.engine.collections["stuff"]
    stuff.access[77] = FULL
    client = Client(guest)
    number = world.subscribe(".n", client)
    stuff.access[77] = FULL & ~QUERY
    world.engine.rights_version += 1
    world.change("nil")
    client.read()
    assert "lacks" in client.ended[number]
    assert not world.live.active


@pytest.mark.parametrize(
    "code", [".n = 1", "wse(.n)", "log('x')", "future(nil)", ".r.emit('x')", "1 +", ".gone", "refs(.n)"]
)
def test_what_can_not_be_live_is_refused(code: str) -> None:
    world = World(".n = 1; .r = room();")
    with pytest.raises(EngineError):
        world.subscribe(code)
    assert not world.live.active


def test_the_number_and_size_are_bounded() -> None:
    world = World(".n = 1;")
    world.live.per_connection, world.live.result_bytes = 1, 100
    with pytest.raises(EngineError, match="100 bytes"):
        world.subscribe("range(1000)")
    number = world.subscribe(".n")
    with pytest.raises(EngineError, match="at most 1"):
        world.subscribe(".n + 1")
    world.live.unsubscribe(world.client, [number])
    assert not world.live.active
    assert not world.live._readers


def test_a_procedure_can_be_subscribed() -> None:
    world = World(".n = 1; new_procedure('plus', |x| .n + x);")
    reply = world.live.subscribe(world.client, "//stuff", {"procedure": "plus", "args": [2]})
    assert reply["value"] == 3
    world.client.values[reply["subscription"]] = 3
    world.change("mod_procedure('plus', |x| .n + x * 10)")
    world.run()
    assert world.client.values[reply["subscription"]] == 21
    world.change("del_procedure('plus')")
    world.run()
    assert reply["subscription"] in world.client.ended


def test_closures_of_live_queries_do_not_run_as_rows() -> None:
    """Rows read properties without noting them."""
    assert compile_closure("|x| x.a").repeatable
    assert not compile_closure("|x| x.a", make_unit=TrackedUnit).repeatable


def user(world: World, number: int, name: str, mask: int = FULL) -> Client:
    """A client of a user of its own, with rights on the collection."""
    one = User(number, name, 0)
    world.engine.users[name] = one
    world.engine.collections["stuff"].access[number] = mask
    return Client(one)


def test_users_share_a_query_that_does_not_ask_who_is_asking() -> None:
    world = World(".n = 0;")
    clients = [user(world, 50 + number, f"user{number}") for number in range(20)]
    before = world.live.evaluations
    for client in clients:
        world.subscribe(".n", client)
    world.change(".n = 1;")
    world.run()
    assert world.live.evaluations == before + 2
    assert {id(client.out[0]) for client in clients} == {id(clients[0].out[0])}


def test_a_query_that_asks_who_is_asking_runs_for_each_user() -> None:
    code = ".n > 0 ? user_info().load().name : 'nobody'"
    world = World(".n = 0;")
    clients = [user(world, 50 + number, f"user{number}") for number in range(3)]
    clients += [Client(client.user) for client in clients]
    numbers = {world.subscribe(code, client) for client in clients}
    assert len(numbers) == 1
    (number,) = numbers
    before = world.live.evaluations
    for n in (1, 0, 2):
        world.change(f".n = {n};")
        world.run()
        world.run()
        for client in clients:
            client.read()
            assert client.values[number] == (client.user.name if n else "nobody")
    assert world.live.evaluations == before + 9
    late = Client(clients[0].user)
    assert world.subscribe(code, late) == number
    assert world.live.evaluations == before + 9
    assert late.values[number] == "user0"
    for client in (*clients, late):
        world.live.drop(client)
    assert not world.live.active
    assert not world.live._readers


def test_who_loses_a_right_ends_alone_and_who_leaves_is_not_missed() -> None:
    world = World(".n = 0;")
    first, second, third = (user(world, 50 + number, f"user{number}") for number in range(3))
    number = world.subscribe(".n", first)
    world.subscribe(".n", second)
    world.subscribe(".n", third)
    world.live.unsubscribe(first, [number])
    world.engine.collections["stuff"].access[50] = world.engine.collections["stuff"].access[51] = 0
    world.engine.rights_version += 1
    world.change(".n = 1")
    world.run()
    second.read()
    third.read()
    assert "lacks" in second.ended[number]
    assert third.values[number] == 1
    assert not third.ended


def test_a_right_that_only_one_user_lacks_ends_only_his() -> None:
    code = "has_collection('more') ? history({scope: '//stuff', last: 1}).len() : 0"
    world = World(".n = 0;")
    world.change("set_history('//stuff', true)", "@thingsdb")
    server = world.engine.server
    clients = [user(world, 50 + number, f"user{number}", FULL) for number in range(3)]
    for client in clients:
        server.access[client.user.id] = FULL
        number = world.subscribe(code, client, "@t")
    world.engine.collections["stuff"].access[50] = 0  # as it was from the start, for all that the queries know
    world.change("new_collection('more')", "@thingsdb")
    world.run()
    world.run()
    for client in clients:
        client.read()
    assert clients[0].ended.keys() == {number}
    assert [client.ended for client in clients[1:]] == [{}, {}]
