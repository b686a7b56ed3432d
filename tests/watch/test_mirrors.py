"""Random programs under random watching: what each watcher makes of its events is what there is.

The promise of watching (watch/hub.py): the first state, then every mutation after it, in order, once. So a mirror of a
thing, made of its first state and kept by its jobs alone, agrees with the thing whenever the server is at rest.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

import msgpack
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.change import Internal
from engine.effects import InstanceJob, Watch
from engine.engine import Engine
from engine.outcome import Outcome
from engine.snapshot import initial
from engine.users import CHANGE, FULL, JOIN, QUERY, RUN, User
from server.forms import pack_event
from tests.things import test_programs as plain
from tests.things import test_typed_programs as typed
from watch import Hub, Requests
from watch.events import WARNING, WATCH_DELETE, WATCH_INIT, WATCH_STOP, WATCH_UPDATE

CONNECTIONS = 3


class BytesForm:
    """Events as they go over the wire, and back."""

    def event(self, kind: int, data: Any) -> bytes:
        return bytes([kind]) + pack_event(data)


FORM = BytesForm()


class Mirror:
    """A thing as a watcher knows it."""

    def __init__(self, init: dict[str, Any]) -> None:
        self.init = init["event"]
        self.number = init["event"]
        self.properties = {name: known(value) for name, value in init["thing"].items() if name != "#"}

    def update(self, data: dict[str, Any]) -> None:
        assert data["event"] > self.init
        assert data["event"] >= self.number
        assert data["jobs"]
        self.number = data["event"]
        for job in data["jobs"]:
            ((name, argument),) = job.items()
            getattr(self, f"_{name}")(argument)

    def _set(self, values: dict[str, Any]) -> None:
        self.properties |= {name: known(value) for name, value in values.items()}

    def _del(self, name: str) -> None:
        del self.properties[name]

    def _splice(self, splices: dict[str, list[Any]]) -> None:
        ((name, (index, count, *items)),) = splices.items()
        mine = self.properties[name]
        assert 0 <= index <= index + count <= len(mine)
        mine[index : index + count] = [known(item) for item in items]

    def _add(self, added: dict[str, list[Any]]) -> None:
        ((name, things),) = added.items()
        ids = {thing["#"] for thing in things}
        assert ids and not ids & self.properties[name]["$"]
        self.properties[name]["$"] |= ids

    def _remove(self, removed: dict[str, list[int]]) -> None:
        ((name, ids),) = removed.items()
        assert ids and set(ids) <= self.properties[name]["$"]
        self.properties[name]["$"] -= set(ids)

    def _event(self, event: list[Any]) -> None:
        assert type(event[0]) is str

    def _to_type(self, type_id: int) -> None:
        assert type(type_id) is int

    def _definitions(self, _: Any) -> None:
        """Nothing that a thing shows."""

    _new_type = _set_type = _del_type = _rename_type = _definitions
    _mod_type_add = _mod_type_mod = _mod_type_del = _mod_type_ren = _definitions
    _mod_type_rel_add = _mod_type_rel_del = _mod_type_wpo = _definitions
    _set_enum = _del_enum = _rename_enum = _mod_enum_add = _mod_enum_mod = _definitions
    _mod_enum_def = _mod_enum_del = _mod_enum_ren = _definitions


def known(tree: Any) -> Any:
    """A value as a first state shows it: things by their ids. Sets have no order."""
    if isinstance(tree, list):
        return [known(item) for item in tree]
    if isinstance(tree, dict):
        if "#" in tree:
            return {"#": tree["#"]}
        if "$" in tree:
            return {"$": {thing["#"] for thing in tree["$"]}}
        if "&" in tree:
            return {"&": [tree["&"][0], known(tree["&"][1])]}
    return tree


class Connection:
    """A client that mirrors what it watches."""

    mirror: type[Mirror] = Mirror
    most_at_once = 1 << 20

    def __init__(self, user: User) -> None:
        self.user = user
        self.form = FORM
        self.out: list[bytes] = []
        self.mirrors: dict[int, Mirror] = {}

    @property
    def subscriber(self) -> Connection:
        return self

    def read(self) -> list[tuple[int, Any]]:
        """Work through the events that have come; gives them."""
        events = [(frame[0], msgpack.unpackb(frame[1:], strict_map_key=False)) for frame in self.out]
        self.out.clear()
        for kind, data in events:
            if kind == WATCH_INIT:
                mirror = self.mirrors.get(data["thing"]["#"])
                # A first state in the middle of a change names the change before, of which more can be known already.
                assert mirror is None or mirror.number <= data["event"] + 1
                self.mirrors[data["thing"]["#"]] = self.mirror(data)
            elif kind == WATCH_UPDATE:
                self.mirrors[data["#"]].update(data)
            elif kind in (WATCH_DELETE, WATCH_STOP):
                del self.mirrors[data["#"]]
            else:
                assert kind == WARNING
        return events


class World:
    """An engine, its hub, and connections: the last one's user is a guest who may lose all rights."""

    def __init__(self, start: str) -> None:
        self.engine = Engine(clock=lambda: 1000.0, seed=1)
        self.engine.initialise()
        self.stuff = self.engine.collections["stuff"]
        self.hub = Hub(self.engine, self.say)
        self.requests = Requests(self.engine, self.hub)
        admin = self.engine.users["admin"]
        self.guest = User(77, "guest", 0)
        self.stuff.access[self.guest.id] = FULL
        self.connections = [Connection(admin) for _ in range(CONNECTIONS - 1)] + [Connection(self.guest)]
        self.publish(self.engine.query(self.connections[0], "//stuff", start), None)

    @staticmethod
    def say(target: Any, frame: bytes) -> None:
        for append in getattr(target, "appends", None) or (target.out.append,):
            append(frame)

    def publish(self, outcome: Outcome, connection: Connection | None) -> None:
        """Tell everybody what there is to tell, and see that they are told it right."""
        before = [set(one.mirrors) for one in self.connections]
        parts = (outcome, *(outcome.more or ()))
        for part in parts:
            assert part.error is None or part.error.code != -1
            self.hub.before_reply(part, connection)
        self.hub.settle()
        for part in parts:
            self.hub.after_reply(part)
        numbers = {part.change.id for part in parts if part.change is not None}
        mutated: dict[int, list[Any]] = {}
        for part in parts:
            for thing_id, job in jobs_of(part):
                mutated.setdefault(thing_id, []).append(job)
        for one, watched in zip(self.connections, before, strict=True):
            events = one.read()
            told: dict[int, list[Any]] = {}
            for kind, data in events:
                if kind == WATCH_UPDATE:
                    assert data["event"] in numbers
                    told.setdefault(data["#"], []).extend(data["jobs"])
            begun = {}
            for place, (kind, data) in enumerate(events):
                if kind == WATCH_INIT:
                    begun[data["thing"]["#"]] = place
            ended = {data["#"] for kind, data in events if kind == WATCH_STOP}
            for thing_id in watched - begun.keys() - ended:
                assert counted(told.get(thing_id, [])) == counted(mutated.get(thing_id, []))
            for thing_id, place in begun.items():
                if one is connection and thing_id not in ended:
                    after = [
                        job
                        for kind, data in events[place:]
                        if kind == WATCH_UPDATE and data["#"] == thing_id
                        for job in data["jobs"]
                    ]
                    assert counted(after) == counted(jobs_after_watching(parts, thing_id))
            assert told.keys() <= watched | begun.keys()

    def check(self) -> None:
        """Every mirror is what its thing is."""
        for one in self.connections:
            assert one.mirrors.keys() == self.hub._watched.get(one, set())
            for thing_id, mirror in one.mirrors.items():
                thing = self.stuff.find(thing_id)
                assert thing is not None
                tree = msgpack.unpackb(pack_event(initial(thing, self.stuff)), strict_map_key=False)
                del thing, tree["#"]
                assert mirror.properties == {name: known(value) for name, value in tree.items()}

    def step(self, kind: str, which: int, argument: Any) -> None:
        connection = self.connections[which]
        if kind == "query":
            self.publish(self.engine.query(connection, "//stuff", argument), connection)
        elif kind == "watch" or kind == "unwatch":
            if connection.user is self.guest and not self.stuff.access[self.guest.id] & JOIN:
                return
            there = sorted(self.stuff.index)
            ids = [there[place % len(there)] if place < 40 else place for place in argument]
            getattr(self.requests, kind)(connection, "//stuff", ids).events()
            connection.read()
        elif kind == "collect":
            outcome = self.engine.collect_garbage()
            if outcome is not None:
                self.publish(outcome, None)
        elif kind == "drop":
            self.hub.drop(connection)
            self.connections[which] = type(connection)(connection.user)
        elif kind == "rights":
            self.stuff.access[self.guest.id] = argument
            self.engine.rights_version += 1
            self.publish(self.engine.query(self.connections[0], "//stuff", "nil"), None)
        self.check()


def jobs_of(part: Outcome, after: int = 0) -> list[tuple[int, Any]]:
    """The jobs that watchers are told of an outcome, each with its thing: those after so many of its effects."""
    effects = part.effects or []
    jobs = [
        (thing_id, effect.job)
        for effect in effects[after:]
        if type(effect) is InstanceJob
        for thing_id in effect.things
    ]
    if part.change is not None:
        position = effects[after - 1].position if after else 0  # type: ignore[union-attr]
        jobs += [one for one in part.change.mutations[position:] if type(one[1]) is not Internal]
    return jobs


def jobs_after_watching(parts: tuple[Outcome, ...], thing_id: int) -> list[Any]:
    """The jobs of a thing since the parts last had it watched."""
    jobs: list[tuple[int, Any]] = []
    for part in reversed(parts):
        effects = part.effects or []
        watched = [place for place, effect in enumerate(effects) if type(effect) is Watch and effect.thing == thing_id]
        jobs += jobs_of(part, watched[-1] + 1 if watched else 0)
        if watched:
            break
    return [job for changed, job in jobs if changed == thing_id]


def counted(jobs: list[Any]) -> Counter[bytes]:
    """The jobs, each as often as it comes."""
    return Counter(pack_event(job) for job in jobs)


def steps(queries: Any) -> Any:
    """Steps of a world, with programs from a strategy."""
    which = st.integers(0, CONNECTIONS - 1)
    ids = st.lists(st.integers(0, 42), max_size=6)
    watching = st.tuples(st.just("watch"), which, ids)
    other = st.sampled_from(
        [
            *[watching] * 4,
            st.tuples(st.just("unwatch"), which, ids),
            st.tuples(st.just("collect"), st.just(0), st.none()),
            st.tuples(st.just("drop"), which, st.none()),
            st.tuples(st.just("rights"), st.just(0), st.sampled_from([FULL, JOIN, QUERY | CHANGE, RUN, 0])),
        ]
    ).flatmap(lambda strategy: strategy)
    # A query in each round and something else before it, for most of what happens is left to chance.
    rounds = st.tuples(other, st.tuples(st.just("query"), which, queries))
    return st.lists(rounds, min_size=3, max_size=8).map(lambda rounds: [step for pair in rounds for step in pair])


def attempts(lines: Any, beginning: str) -> Any:
    """Queries of lines, each of which may fail; or the first that fails ends the query."""
    watching = st.builds("{}.{}()".format, plain.things, st.sampled_from(["watch", "watch", "unwatch"]))
    later = st.builds("future(|| {{ {} }})".format, lines)
    kind = st.sampled_from([lines] * 7 + [watching] * 2 + [later])
    some = st.lists(kind.flatmap(lambda strategy: strategy), min_size=5, max_size=12)
    return st.one_of(
        some.map(lambda lines: beginning + "; ".join(f"try({{{line}}})" for line in lines)),
        some.map(lambda lines: beginning + "; ".join(lines)),
    )


def run(start: str, program: list[tuple[str, int, Any]]) -> None:
    world = World(start)
    world.step("watch", 0, list(range(40)))
    for step in program:
        world.step(*step)


slow = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@slow
@given(steps(attempts(plain.statements, "a = {s: set({})}; b = {p: a, l: [a, 2], s: set(a, {})}; c = thing(); ")))
def test_mirrors_of_things(program: list[tuple[str, int, Any]]) -> None:
    run(plain.START, program)


# The other side of a relation changes without a job, a renamed field is told to the watchers of the root, and members
# that change places are counted anew by clients: what mirrors of single things can't know.
TYPED_START = "".join(line for line in typed.START.splitlines() if "'rel'" not in line)
UNKNOWN = ("'rel'", "'ren'", "'del', 'BLUE'", "'def'")


@slow
@given(
    steps(
        attempts(
            typed.lines.filter(lambda line: not any(word in line for word in UNKNOWN)),
            "x = Dog{name: 'x'}; y = Home{}; z = {m: 1}; a = .a; b = .b; c = .h; ",
        )
    )
)
def test_mirrors_of_instances(program: list[tuple[str, int, Any]]) -> None:
    run(TYPED_START, program)
