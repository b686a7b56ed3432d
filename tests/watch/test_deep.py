"""Deep watches: what is in reach is watched, what is not is not, and each coming and going is told."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.effects import Unwatch, Watch
from engine.errors import BadDataError, ForbiddenError, OperationError
from engine.outcome import Outcome
from engine.snapshot import initial
from engine.users import CHANGE, FULL, JOIN, QUERY, RUN
from tests.things import test_programs as plain
from tests.things import test_typed_programs as typed
from tests.watch import test_mirrors as mirrors
from tests.watch.test_hub import Connection, World, kinds


@pytest.fixture
def world() -> World:
    return World()


def deep(world: World, one: Connection, depth: int, *ids: int) -> Any:
    """Watch deeply; the reply."""
    answer = world.requests.watch_with(one, "//stuff", {"ids": list(ids) or [world.root], "deep": depth})
    answer.events()
    return answer.value


def shown(events: list[Any]) -> list[Any]:
    """Events in short: the kind, and the id or the jobs."""
    return [
        (kind, data["thing"]["#"] if kind == "init" else data["jobs"] if kind == "update" else data.get("#", data))
        if kind in ("init", "update", "stop", "delete")
        else kind
        for kind, data in events
    ]


def ids_of(world: World, one: Connection, *paths: str) -> list[int]:
    return [world.query(one, f"{path}.id()") for path in paths]


def test_the_first_states_come_nearest_first_down_to_the_depth(world: World) -> None:
    one = world.connect()
    world.query(one, ".a = {b: {c: {}}}; .l = [[{n: 1}]]; .s = set({}); nil")
    a, b, item, member = ids_of(world, one, ".a", ".a.b", ".l[0][0]", ".s.one()")
    one.taken()
    assert deep(world, one, 2) == {"change": 1}
    assert shown(one.taken()) == [("init", thing) for thing in (world.root, a, item, member, b)]


def test_depth_nought_is_the_thing_alone(world: World) -> None:
    one = world.connect()
    world.query(one, ".a = {}; nil")
    deep(world, one, 0)
    assert shown(one.taken()) == ["reply", ("init", world.root)]


def test_what_comes_into_reach_is_told_after_the_update_that_brought_it_and_before_the_reply(world: World) -> None:
    one = world.connect()
    deep(world, one, 2)
    one.taken()
    world.query(one, ".a = {b: {c: {}}}; .a.b.n = 1; nil")
    a, b = ids_of(world, one, ".a", ".a.b")
    update, first, second, *_ = events = one.taken()
    assert kinds(events)[:4] == ["update", "init", "init", "reply"]
    assert update[1]["jobs"][0]["set"]["a"]["#"] == a
    assert [first[1]["thing"]["#"], second[1]["thing"]["#"]] == [a, b]
    assert first[1]["event"] == update[1]["event"]
    assert second[1]["thing"]["n"] == 1  # as the thing is when the request is over
    world.query(one, ".a.b.n = 2; .a.b.c.n = 3; nil")
    assert shown(one.taken()) == [("update", [{"set": {"n": 2}}]), "reply"]


def test_what_leaves_is_stopped_when_it_is_still_there_and_deleted_when_not(world: World) -> None:
    one = world.connect()
    world.query(one, ".kept = {}; .keeper = {thing: .kept}; .a = {l: [.kept, {}]}; nil")
    a, kept, other = ids_of(world, one, ".a", ".kept", ".a.l[1]")
    deep(world, one, 2, a)
    one.taken()
    world.query(one, ".a.l.clear(); nil")
    events = one.taken()
    assert shown(events) == [("update", [{"splice": {"l": [0, 2]}}]), ("stop", kept), "reply", ("delete", other)]
    assert events[1][1] == {"#": kept, "event": world.engine.last_change}
    world.query(one, ".kept.n = 1; nil")
    assert shown(one.taken()) == ["reply"]


def test_a_stop_names_the_change_that_caused_it_whatever_was_emitted_by_it(world: World) -> None:
    one = world.connect()
    world.query(one, ".a = {}; .b = {held: .a}; .hall = room(); .hall.set_name('hall'); nil")
    world.hub.history.keep = lambda job: world.engine.note_for_node(job) and None
    world.requests.join_with(one, "//stuff", {"rooms": ["hall"]}).events()
    (a,) = ids_of(world, one, ".a")
    deep(world, one, 1)
    one.taken()
    world.query(one, ".del('a'); .hall.emit('said', 'bye'); nil")
    (emitted, _), (_, update), (stop, data), *_ = one.taken()
    assert (emitted, stop, data) == ("emit", "stop", {"#": a, "event": update["event"]})
    assert update["event"] < world.engine.last_change


def test_a_move_within_reach_is_no_coming_and_going(world: World) -> None:
    one = world.connect()
    world.query(one, ".todo = [{n: 1}]; .done = []; nil")
    deep(world, one, 1)
    one.taken()
    world.query(one, ".done.push(.todo.pop()); .done[0].n = 2; nil")
    assert kinds(one.taken()) == ["update", "update", "update", "reply"][1:]


def test_the_least_depth_counts_with_cycles_and_several_ways(world: World) -> None:
    one = world.connect()
    world.query(one, ".a = {b: {c: {d: {}}}}; .a.b.c.up = root(); .short = .a.b.c; nil")
    c, d = ids_of(world, one, ".short", ".short.d")
    one.taken()
    deep(world, one, 2)
    assert ("init", d) in shown(one.taken())
    world.query(one, ".del('short'); nil")
    assert shown(one.taken()) == [("update", [{"del": "short"}]), ("stop", c), ("stop", d), "reply"]
    world.query(one, ".a.short = .a.b.c; nil")
    assert shown(one.taken())[1:] == [("init", c), "reply"]


def test_a_cycle_that_is_cut_off_leaves_whole(world: World) -> None:
    one = world.connect()
    world.query(one, ".box = {x: {}}; .box.x.y = {back: .box.x}; .other = {keeps: .box.x}; nil")
    box, x, y = ids_of(world, one, ".box", ".box.x", ".box.x.y")
    deep(world, one, 9, box)
    one.taken()
    world.query(one, ".box.x = nil; nil")
    assert shown(one.taken())[1:] == [("stop", x), ("stop", y), "reply"]


def test_a_thing_that_two_watches_reach_is_told_once_and_stays_for_the_other(world: World) -> None:
    one = world.connect()
    world.query(one, ".t = {n: 1}; .a = {t: .t}; .b = {t: .t}; .c = {}; nil")
    t, a, b, c = ids_of(world, one, ".t", ".a", ".b", ".c")
    deep(world, one, 1, a, b)
    one.taken()
    world.query(one, ".t.n = 2; nil")
    assert shown(one.taken()) == [("update", [{"set": {"n": 2}}]), "reply"]
    world.query(one, ".a.t = nil; nil")
    assert kinds(one.taken()) == ["update", "reply"]
    deep(world, one, 1, c)
    one.taken()
    world.query(one, ".c.t = .t; .b.t = nil; nil")
    assert kinds(one.taken()) == ["update", "update", "reply"]
    world.query(one, ".c.t = nil; nil")
    assert shown(one.taken())[1:] == [("stop", t), "reply"]


def test_a_thing_watched_by_itself_stays_watched_out_of_reach(world: World) -> None:
    one = world.connect()
    world.query(one, ".t = {n: 1}; .a = {t: .t}; nil")
    t, a = ids_of(world, one, ".t", ".a")
    world.watch(one, t)
    deep(world, one, 1, a)
    one.taken()
    world.query(one, ".a.t = nil; .t.n = 2; nil")
    assert kinds(one.taken()) == ["update", "update", "reply"]
    world.query(one, ".a.t = .t; nil")
    assert kinds(one.taken()) == ["update", "reply"]
    world.requests.unwatch(one, "//stuff", [t]).events()
    assert one.taken() == []  # it is in reach
    world.query(one, ".a.t = nil; nil")
    assert shown(one.taken())[1:] == [("stop", t), "reply"]


def test_unwatching_the_root_stops_all_that_nothing_else_wants(world: World) -> None:
    one = world.connect()
    world.query(one, ".a = {b: {}}; nil")
    a, b = ids_of(world, one, ".a", ".a.b")
    world.watch(one, b)
    deep(world, one, 2)
    one.taken()
    world.requests.unwatch(one, "//stuff", [world.root]).events()
    assert shown(one.taken()) == [("stop", world.root), ("stop", a)]
    world.query(one, ".a.b.n = 1; .a.n = 1; nil")
    assert kinds(one.taken()) == ["update", "reply"]
    assert not world.hub.deep.graph.nodes


def test_code_can_end_a_deep_watch(world: World) -> None:
    one = world.connect()
    world.query(one, ".a = {}; nil")
    deep(world, one, 2)
    one.taken()
    world.query(one, ".a.b = {}; .unwatch(); nil")
    assert [kind for kind in kinds(one.taken()) if kind != "update"] == ["stop", "stop", "reply"]
    assert not world.hub.things


def test_watching_again_replaces_the_depth(world: World) -> None:
    one = world.connect()
    world.query(one, ".a = {b: {}}; nil")
    a, b = ids_of(world, one, ".a", ".a.b")
    deep(world, one, 2)
    one.taken()
    deep(world, one, 1)
    assert shown(one.taken()) == [("init", world.root), ("init", a), ("stop", b)]
    deep(world, one, 2)
    assert shown(one.taken()) == [("init", world.root), ("init", a), ("init", b)]


def test_an_id_that_is_not_there_is_warned_of_and_the_others_are_watched(world: World) -> None:
    one = world.connect()
    deep(world, one, 1, 999, world.root)
    assert kinds(one.taken()) == ["init", "warning"]


def test_a_root_that_is_gone_takes_its_reach_along(world: World) -> None:
    one = world.connect()
    world.query(one, ".t = {}; .a = {t: .t}; nil")
    t, a = ids_of(world, one, ".t", ".a")
    deep(world, one, 1, a)
    one.taken()
    world.query(one, ".del('a'); nil")
    assert shown(one.taken()) == [("stop", t), "reply", ("delete", a)]
    assert not world.hub.deep.reaches and not world.hub.deep.graph.nodes


def test_a_collection_that_is_deleted_takes_its_watches_along(world: World) -> None:
    one = world.connect()
    world.query(one, "new_collection('other'); nil", scope="@t")
    world.query(one, ".a = {}; nil", scope="//other")
    root = world.engine.collections["other"].root.id
    world.requests.watch_with(one, "//other", {"ids": [root], "deep": 3}).events()
    one.taken()
    world.query(one, "del_collection('other'); nil", scope="@t")
    assert sorted(kinds(one.taken())) == ["delete", "delete", "reply"]
    assert not world.hub.deep.reaches and not world.hub.things


def test_lost_rights_end_it(world: World) -> None:
    world.user("guest", FULL)
    one, guest = world.connect(), world.connect("guest")
    world.query(one, ".a = {}; nil")
    deep(world, guest, 1)
    guest.taken()
    world.query(one, "revoke('//stuff', 'guest', JOIN); nil", scope="@t")
    assert kinds(guest.taken()) == ["stop", "stop"]
    world.query(one, ".a.b = {}; .b = {}; nil")
    assert guest.taken() == []
    with pytest.raises(ForbiddenError):
        deep(world, guest, 1)


def test_who_logged_in_as_somebody_without_the_right_is_told_of_nothing_new(world: World) -> None:
    guest = world.user("guest", QUERY)
    one = world.connect()
    deep(world, one, 2)
    one.user = guest
    one.taken()
    world.query(world.connect(), ".a = {}; nil")
    assert kinds(one.taken()) == ["update", "stop"]


def test_futures_are_told_of_when_the_request_is_over(world: World) -> None:
    one = world.connect()
    deep(world, one, 3)
    one.taken()
    world.query(one, ".a = {b: {}}; future(|| { .a.b.n = 1; .a.c = {}; }); nil")
    events = one.taken()
    assert kinds(events) == ["update", "init", "init", "init", "reply"]
    assert events[2][1]["thing"]["n"] == 1 or events[3][1]["thing"].get("n") == 1


def test_what_a_type_changes_of_its_instances_moves_things(world: World) -> None:
    one = world.connect()
    world.query(one, "set_type('T', {n: 'int'}); .t = T{}; nil")
    deep(world, one, 2)
    one.taken()
    world.query(one, "mod_type('T', 'add', 'box', 'thing'); nil")
    box = ids_of(world, one, ".t.box")[0]
    assert ("init", box) in shown(one.taken())
    world.query(one, "mod_type('T', 'del', 'box'); nil")
    assert ("delete", box) in shown(one.taken())


def test_the_other_side_of_a_relation_moves_too(world: World) -> None:
    one = world.connect()
    world.query(
        one,
        "new_type('U'); set_type('P', {us: '{U}'}); set_type('U', {p: 'P?'}); mod_type('P', 'rel', 'us', 'p');"
        ".p = P{}; .u = U{}; nil",
    )
    p, u = ids_of(world, one, ".p", ".u")
    deep(world, one, 1, p)
    one.taken()
    world.query(one, ".u.p = .p; nil")
    assert shown(one.taken())[-2:] == [("init", u), "reply"]
    world.query(one, ".u.p = nil; nil")
    assert shown(one.taken())[-2:] == [("stop", u), "reply"]


def test_enum_members_and_wrapped_things_are_contained(world: World) -> None:
    one = world.connect()
    world.query(
        one,
        "set_enum('E', {A: {n: 1}}); set_type('W', {n: 'int'}); .box = {}; .w = {n: 1};"
        ".box.e = E{A}; .box.w = .w.wrap('W'); nil",
    )
    box, w, member = ids_of(world, one, ".box", ".w", ".box.e.value()")
    one.taken()
    deep(world, one, 1, box)
    assert {thing for _, thing in shown(one.taken())} == {box, w, member}
    world.query(one, "mod_enum('E', 'mod', 'A', {n: 2}); nil")
    (new,) = ids_of(world, one, ".box.e.value()")
    assert {("init", new), ("delete", member)} <= {event for event in shown(one.taken()) if event != "reply"}


def test_collected_cycles_leave(world: World) -> None:
    one = world.connect()
    world.query(one, ".a = {kept: {}}; .b = .a.kept; .a.me = .a; nil")
    a, kept = ids_of(world, one, ".a", ".b")
    deep(world, one, 2, a)
    world.query(one, ".del('a'); nil")
    one.taken()
    while True:
        outcome = world.engine.collect_garbage()
        if outcome is not None:
            world.hub.before_reply(outcome, None)
            world.hub.settle()
            world.hub.after_reply(outcome)
        if not world.engine.collecting:
            break
    assert shown(one.taken())[-2:] == [("stop", kept), ("delete", a)]


def test_too_much_is_refused_and_nothing_is_watched(world: World) -> None:
    world.hub.deep.limit = 10
    one = world.connect()
    world.query(one, ".l = range(20).map(|n| {n: n}); .m = [{}, {}]; nil")
    one.taken()
    with pytest.raises(OperationError, match="at most 10 things"):
        deep(world, one, 1)
    assert one.taken() == []
    assert not world.hub.things and not world.hub.deep.graph.nodes and not world.hub.deep.has(one)
    deep(world, one, 0)
    with pytest.raises(OperationError):
        deep(world, one, 1)
    assert list(world.hub.things) == [world.root]


def test_first_states_that_are_too_large_are_refused_and_nothing_is_watched(world: World) -> None:
    one, other = mirrors.Connection(world.engine.users["admin"]), world.connect()
    world.query(other, ".a = {t: range(100).map(|i| str(i))}; .b = {}; nil")
    a, b = ids_of(world, other, ".a", ".b")
    one.most_at_once = 200
    world.requests.watch_with(one, "//stuff", {"ids": [b], "deep": 1}).events()
    one.out.clear()
    with pytest.raises(OperationError, match="more bytes"):
        world.requests.watch_with(one, "//stuff", {"ids": [b, a], "deep": 1})
    assert set(world.hub.things) == set(world.hub.deep.graph.nodes) == {b}
    assert one.out == []


def test_a_watch_that_outgrows_the_limit_ends_with_a_warning(world: World) -> None:
    world.hub.deep.limit = 10
    one, other = world.connect(), world.connect()
    world.query(one, ".l = [{}, {}]; .m = {}; nil")
    (m,) = ids_of(world, one, ".m")
    deep(world, one, 1)
    deep(world, other, 1)
    deep(world, other, 1, m)
    world.watch(one, m)
    one.taken()
    other.taken()
    world.query(one, ".l.extend([{}, {}, {}, {}, {}, {}]); nil")  # ten things: too many for who watches one more
    assert kinds(one.taken()) == ["update", *["init"] * 6, "reply"]
    assert kinds(other.taken()) == ["update", "warning", *["stop"] * 3]
    world.query(one, ".l.push({}); nil")
    events = one.taken()
    assert kinds(events) == ["update", "warning", *["stop"] * 9, "reply"]
    assert events[1][1]["warn_code"] == 4
    assert set(world.hub.things) == {m}
    assert set(world.hub.deep.graph.nodes) == {m}


def test_what_goes_wrong_ends_deep_watches_with_a_word(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    one = world.connect()
    world.query(one, ".a = {}; nil")
    (a,) = ids_of(world, one, ".a")
    world.watch(one, a)
    deep(world, one, 2)
    one.taken()
    monkeypatch.setattr(world.hub.deep.graph, "read", lambda thing_id, thing: 1 // 0)
    world.query(one, ".b = {}; nil")
    assert shown(one.taken())[1:] == [("stop", world.root), "reply"]
    assert set(world.hub.things) == {a}
    deep(world, one, 2)
    assert kinds(one.taken()) == ["init"] * 3


def test_many_who_watch_the_same_share_the_work(world: World) -> None:
    many = [world.connect() for _ in range(50)]
    for one in many:
        deep(world, one, 3)
    world.form.encoded = 0
    world.query(many[0], ".a = {b: {}}; nil")
    assert world.form.encoded == 3
    assert all(kinds(one.taken())[1:4] == ["update", "init", "init"] for one in many)
    for one in many:
        world.hub.drop(one)
    assert not world.hub.deep.reaches and not world.hub.deep.graph.nodes and not world.hub.things


def test_only_what_was_touched_is_looked_at(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    one = world.connect()
    world.query(one, ".l = range(1000).map(|n| {n: n, sub: {}}); nil")
    deep(world, one, 3)
    read: list[int] = []
    graph = world.hub.deep.graph
    plainly = graph.read
    monkeypatch.setattr(graph, "read", lambda thing_id, thing: (read.append(thing_id), plainly(thing_id, thing))[1])
    world.query(one, ".l[7].n = 1; .counter = 5; nil")
    assert read == []
    world.query(one, ".l[7].sub = {}; nil")
    seventh, sub = ids_of(world, one, ".l[7]", ".l[7].sub")
    assert set(read) == {seventh, sub} or len(read) <= 3


@pytest.mark.parametrize(
    "options",
    [
        None,
        [],
        {},
        {"ids": 1},
        {"ids": ["1"]},
        {"ids": [1], "deep": -1},
        {"ids": [1], "deep": 128},
        {"ids": [1], "deep": True},
        {"ids": [1], "deep": "2"},
        {"ids": [1], "since": -1},
        {"ids": [1], "depth": 2},
    ],
)
def test_options_that_can_not_be_understood(world: World, options: Any) -> None:
    one = world.connect()
    with pytest.raises(BadDataError):
        world.requests.watch_with(one, "//stuff", options)
    assert not world.hub.things


# --- random programs -------------------------------------------------------------------------------------------------


class Rough(mirrors.Mirror):
    """What is known of a thing, but not what it holds: relations change their other side without a job."""

    def update(self, data: dict[str, Any]) -> None:
        assert data["event"] > self.init
        assert data["event"] >= self.number
        self.number = data["event"]


class RoughConnection(mirrors.Connection):
    mirror = Rough


class DeepWorld(mirrors.World):
    """A world whose connections watch deeply too. `direct` and `roots` are what each asked for: things watched by
    themselves, with the rights that may keep them, and the depths of deep watches by their roots."""

    def __init__(self, start: str, exact: bool) -> None:
        self.exact = exact
        self.direct: list[dict[int, int]] = [{} for _ in range(mirrors.CONNECTIONS)]
        self.roots: list[dict[int, int]] = [{} for _ in range(mirrors.CONNECTIONS)]
        super().__init__(start)
        if not exact:
            self.connections = [RoughConnection(one.user) for one in self.connections]

    def publish(self, outcome: Outcome, connection: mirrors.Connection | None) -> None:
        parts = (outcome, *(outcome.more or ()))
        for part in parts:
            assert part.error is None or part.error.code != -1
            self.hub.before_reply(part, connection)
            for effect in part.effects or ():
                if connection is not None and type(effect) is Watch:
                    self.direct[self.connections.index(connection)][effect.thing] = JOIN | QUERY | RUN
                elif connection is not None and type(effect) is Unwatch:
                    self.forget(self.connections.index(connection), effect.thing)
        self.hub.settle()
        for part in parts:
            self.hub.after_reply(part)
            for thing_id in part.deleted or ():
                for which in range(mirrors.CONNECTIONS):
                    self.forget(which, thing_id)
        for one in self.connections:
            one.read()

    def forget(self, which: int, thing_id: int) -> None:
        self.direct[which].pop(thing_id, None)
        self.roots[which].pop(thing_id, None)

    def step(self, kind: str, which: int, argument: Any) -> None:
        there = sorted(self.stuff.index)
        if kind == "deep" or kind == "watch" or kind == "unwatch":
            if self.connections[which].user is self.guest and not self.stuff.access[self.guest.id] & JOIN:
                return
            places, depth = argument
            argument = places
            ids = [there[place % len(there)] if place < 40 else place for place in places]
            for thing_id in ids:
                if kind == "unwatch":
                    self.forget(which, thing_id)
                elif thing_id in there:
                    (self.roots if kind == "deep" else self.direct)[which][thing_id] = depth if kind == "deep" else JOIN
            if kind == "deep":
                connection = self.connections[which]
                answer = self.requests.watch_with(connection, "//stuff", {"ids": ids, "deep": depth})
                answer.events()
                told = [data["thing"]["#"] for kind, data in connection.read() if kind == mirrors.WATCH_INIT]
                assert len(told) == len(set(told))
                assert set(told) == self.reach({thing_id: depth for thing_id in ids if thing_id in there})
                self.check()
                return
        if kind == "drop":
            self.direct[which].clear()
            self.roots[which].clear()
        super().step(kind, which, argument)

    def reach(self, roots: dict[int, int]) -> set[int]:
        """What is in reach of the roots, each with its depth, found anew."""
        found: set[int] = set()
        for root, depth in roots.items():
            level = {root}
            seen = {root}
            for _ in range(depth):
                level = {child for thing_id in level for child in self.children(thing_id)} - seen
                seen |= level
            found |= seen
        return found

    def children(self, thing_id: int) -> Iterator[int]:
        thing = self.stuff.find(thing_id)
        assert thing is not None
        for value in list(initial(thing, self.stuff).items()):
            if value[0] != "#":
                yield from self.ids_in(value[1])

    def ids_in(self, tree: Any) -> Iterator[int]:
        """The things in a value, as the protocol shows it."""
        if isinstance(tree, list):
            for item in tree:
                yield from self.ids_in(item)
        elif isinstance(tree, dict):
            for mark, held in tree.items():
                if mark == "#":
                    yield held
                elif mark in "$&":
                    yield from self.ids_in(held)
                elif mark == "%":
                    member = list(self.stuff.enum_by_id(held[0]).members.values())[held[1]]
                    yield member.value.id

    def check(self) -> None:
        deep = self.hub.deep
        for one in self.connections:
            mine = deep._of.get(one, {}).values()  # type: ignore[call-overload]
            assert deep._sizes.get(one, 0) == sum(len(reach.levels) for reach in mine)  # type: ignore[call-overload]
        guest_rights = self.stuff.access.get(self.guest.id, 0)
        for which, one in enumerate(self.connections):
            if one.user is self.guest:
                if not guest_rights & JOIN:
                    self.roots[which].clear()
                for thing_id, right in list(self.direct[which].items()):
                    if not guest_rights & right:
                        del self.direct[which][thing_id]
            assert one.mirrors.keys() == self.direct[which].keys() | self.reach(self.roots[which])
        graph = self.hub.deep.graph
        assert bool(graph.nodes) == any(self.roots)
        if self.exact:
            super().check()


def deep_steps(queries: Any) -> Any:
    which = st.integers(0, mirrors.CONNECTIONS - 1)
    asked = st.tuples(st.lists(st.integers(0, 41), min_size=1, max_size=4), st.integers(0, 4))
    other = st.sampled_from(
        [
            *[st.tuples(st.just("deep"), which, asked)] * 4,
            st.tuples(st.just("watch"), which, asked),
            st.tuples(st.just("unwatch"), which, asked),
            st.tuples(st.just("collect"), st.just(0), st.none()),
            st.tuples(st.just("drop"), which, st.none()),
            st.tuples(st.just("rights"), st.just(0), st.sampled_from([FULL, JOIN, QUERY | CHANGE, RUN, 0])),
        ]
    ).flatmap(lambda strategy: strategy)
    rounds = st.tuples(other, st.tuples(st.just("query"), which, queries))
    return st.lists(rounds, min_size=3, max_size=10).map(lambda rounds: [step for pair in rounds for step in pair])


def run(start: str, program: list[tuple[str, int, Any]], exact: bool) -> None:
    world = DeepWorld(start, exact)
    world.step("deep", 0, ([0], 3))
    world.step("deep", 1, ([0], 2))
    for step in program:
        world.step(*step)
    for which in range(mirrors.CONNECTIONS):
        world.step("drop", which, None)
    assert not world.hub.things and not world.hub.deep.graph.nodes and not world.hub.deep.reaches


START_OF_THINGS = "a = {s: set({})}; b = {p: a, l: [a, 2], s: set(a, {})}; c = thing(); "
START_OF_INSTANCES = "x = Dog{name: 'x'}; y = Home{}; z = {m: 1}; a = .a; b = .b; c = .h; "

slow = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@slow
@given(deep_steps(mirrors.attempts(plain.statements, START_OF_THINGS)))
def test_mirrors_of_what_is_in_reach(program: list[tuple[str, int, Any]]) -> None:
    run(plain.START, program, exact=True)


@slow
@given(
    deep_steps(
        mirrors.attempts(
            typed.lines.filter(lambda line: not any(word in line for word in mirrors.UNKNOWN)), START_OF_INSTANCES
        )
    )
)
def test_mirrors_of_instances_in_reach(program: list[tuple[str, int, Any]]) -> None:
    run(mirrors.TYPED_START, program, exact=True)


@slow
@given(deep_steps(mirrors.attempts(typed.lines, START_OF_INSTANCES)))
def test_reach_with_types_relations_and_enums(program: list[tuple[str, int, Any]]) -> None:
    run(typed.START, program, exact=False)


# --- taking it up again ----------------------------------------------------------------------------------------------


def resume(world: Any, one: Any, depth: int, since: int, known: list[int] | None, *ids: int) -> Any:
    """Watch deeply from a change on; the reply."""
    root = world.engine.collections["stuff"].root.id
    options = {"ids": list(ids) or [root], "deep": depth, "since": since}
    answer = world.requests.watch_with(one, "//stuff", options if known is None else options | {"known": known})
    while (work := answer.proceed()) is not None:
        work()
    outcome = answer.answer()
    outcome.events()
    return outcome.value


def away(world: World, one: Connection) -> tuple[int, list[int], Connection]:
    """The connection ends: the last change, what was watched, and a new connection."""
    known = sorted(world.hub._watched.get(one, set()))
    world.hub.drop(one)
    one.taken()
    return world.engine.last_change, known, world.connect()


def test_who_comes_back_is_told_what_was_missed_what_came_and_what_left(world: World) -> None:
    one, other = world.connect(), world.connect()
    world.query(one, ".a = {b: {n: 1}}; .l = [{}, {}]; .kept = {x: .l[1]}; nil")
    b, first, second = ids_of(world, one, ".a.b", ".l[0]", ".l[1]")
    deep(world, one, 2)
    since, known, again = away(world, one)
    world.query(other, ".a.b.n = 2; .l[0].n = 1; .l[1].n = 1; .del('kept'); nil")
    world.query(other, ".hidden = [[[1]]]; .far = {a: {b: {c: .l.pop()}}}; .l = []; .new = {n: 1}; nil")
    (new,) = ids_of(world, other, ".new")
    reply = resume(world, again, 2, since, known)
    assert reply == {"change": world.engine.last_change, "resumed": True}
    events = again.taken()
    assert [(kind, data["#"]) for kind, data in events if kind == "update" and data["#"] != world.root] == [
        ("update", b),
    ]
    assert ("init", new) in shown(events)
    assert ("stop", second) in shown(events)
    assert ("delete", first) in shown(events)
    assert kinds(events) == sorted(kinds(events), key=["update", "init", "stop", "delete"].index)
    world.query(other, ".new.n = 2; .a.b.n = 3; nil")
    assert [data["#"] for kind, data in again.taken() if kind == "update"] == [new, b]


def test_who_says_not_what_was_known_goes_on_when_nothing_has_changed_and_begins_anew_otherwise(world: World) -> None:
    one, other = world.connect(), world.connect()
    world.query(one, ".a = {}; nil")
    deep(world, one, 2, *ids_of(world, one, ".a"))
    (a,) = ids_of(world, one, ".a")
    since, _, again = away(world, one)
    world.query(other, ".b = {}; nil")
    assert resume(world, again, 2, since, None, a)["resumed"]
    assert again.taken() == []
    world.query(other, ".a.n = 1; nil")
    assert kinds(again.taken()) == ["update"]
    _, _, again = away(world, again)
    assert not resume(world, again, 2, since, None, a)["resumed"]
    assert shown(again.taken()) == [("init", a)]


def test_what_is_no_longer_kept_begins_anew_and_tells_what_left(world: World) -> None:
    one, other = world.connect(), world.connect()
    world.query(one, ".a = {}; .b = {}; nil")
    a, b = ids_of(world, one, ".a", ".b")
    deep(world, one, 2)
    since, known, again = away(world, one)
    world.query(other, ".a = nil; nil")
    world.engine.recent.reset(world.engine.last_change, world.engine.next_id)
    assert not resume(world, again, 2, since, known)["resumed"]
    assert shown(again.taken()) == [("init", world.root), ("init", b), ("delete", a)]


def test_a_root_that_went_meanwhile(world: World) -> None:
    one, other = world.connect(), world.connect()
    world.query(one, ".a = {b: {}}; .b = .a.b; nil")
    a, b = ids_of(world, one, ".a", ".b")
    deep(world, one, 2, a)
    since, known, again = away(world, one)
    world.query(other, ".del('a'); nil")
    assert resume(world, again, 2, since, known, a)["resumed"]
    assert shown(again.taken()) == [("stop", b), ("delete", a)]


def test_taking_up_needs_the_right_and_bounds_what_is_reached(world: World) -> None:
    world.user("guest", QUERY)
    world.query(world.connect(), ".l = [{}, {}]; nil")
    one = world.connect("guest")
    with pytest.raises(ForbiddenError):
        resume(world, one, 2, 0, [])
    world.hub.deep.limit = 2
    with pytest.raises(OperationError):
        resume(world, world.connect(), 2, 0, [])
    assert not world.hub.deep.graph.nodes
    with pytest.raises(BadDataError):
        world.requests.watch_with(world.connect(), "//stuff", {"ids": [1], "known": [1]})


class ReturningWorld(mirrors.World):
    """A world in which one connection comes and goes, with a deep watch of the root."""

    def __init__(self, start: str, depth: int, kept: int) -> None:
        super().__init__(start)
        self.engine.recent.max_changes = kept
        self.depth = depth
        self.watcher = mirrors.Connection(self.engine.users["admin"])
        self.connections.append(self.watcher)
        self.requests.watch_with(self.watcher, "//stuff", {"ids": [self.stuff.root.id], "deep": depth}).events()
        self.watcher.read()
        self.resumed = 0

    def publish(self, outcome: Outcome, connection: mirrors.Connection | None) -> None:
        parts = (outcome, *(outcome.more or ()))
        for part in parts:
            self.hub.before_reply(part, None)
        self.hub.settle()
        for part in parts:
            self.hub.after_reply(part)
        for one in self.connections:
            one.read()

    def round(self, missed: list[str], seen: list[str]) -> None:
        """The watcher is away for some queries, then there for others."""
        since = self.engine.last_change
        self.hub.drop(self.watcher)
        for text in missed:
            self.publish(self.engine.query(self.connections[0], "//stuff", text), None)
        reply = resume(self, self.watcher, self.depth, since, list(self.watcher.mirrors))
        self.resumed += reply["resumed"]
        for kind, data in self.watcher.read():
            assert not reply["resumed"] or kind != mirrors.WATCH_UPDATE or data["event"] > since
        self.check()
        for text in seen:
            self.publish(self.engine.query(self.connections[0], "//stuff", text), None)
            self.check()


@slow
@given(
    st.integers(1, 4),
    st.sampled_from([1000, 2]),
    st.lists(
        st.tuples(
            st.lists(mirrors.attempts(plain.statements, START_OF_THINGS), max_size=3),
            st.lists(mirrors.attempts(plain.statements, START_OF_THINGS), max_size=2),
        ),
        min_size=1,
        max_size=5,
    ),
)
def test_who_comes_back_has_what_is_in_reach(depth: int, kept: int, rounds: list[tuple[list[str], list[str]]]) -> None:
    world = ReturningWorld(plain.START, depth, kept)
    for missed, seen in rounds:
        world.round(missed, seen)
    if kept == 1000:
        assert world.resumed == len(rounds)
