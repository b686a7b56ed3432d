"""What the state machines have in common: what clients ask for, and how their mirrors are checked when all is quiet."""

from __future__ import annotations

from functools import partial
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from tests.model.clients import Client, query
from tests.model.wires import Asked

__all__ = ["CLIENTS", "SETUP", "Machine", "sizes", "whos"]

START = """
.seq = 0; .n = 0; .emitted = 0; .room = room(); .room.set_name('room');
new_procedure('fresh', || {seq: 0, l: [], s: set(), n: 0});
.a = fresh(); .b = fresh(); .c = fresh();
.a.l.push(fresh(), fresh()); .a.x = fresh(); .a.x.x = fresh(); .b.s.add(.a.x, fresh()); .c.x = .a;
new_procedure('big', || range(300).map(|_| '0123456789').join(''));
new_procedure('sum', |t| t.l.reduce(|sum, one| sum + one.seq, t.seq));
nil;
"""

SETUP = [
    ("//stuff", START),
    ("@thingsdb", "new_user('guest'); grant('//stuff', 'guest', FULL); [new_token('admin'), new_token('guest')]"),
]
"""Queries, each with its scope; the last one gives the tokens of the two users."""

PATHS = [".a", ".b", ".c", ".a.x", ".a.x.x", ".b.x", ".c.x", ".a.l[0]", ".a.l[-1]", ".b.s.one()", ".b.l[0]", "root()"]
VALUES = ["1", "'text'", "nil", "2.5", "fresh()", "{ f = fresh(); f.x = fresh(); f; }", "[1, fresh()]", *PATHS[:9]]
LIVE = [
    ".a", "return .a, 3", "return root(), 2", "try(.a.l.map(|t| t.seq))", "try(.b.s.map(|t| t.n))", "try(.b.x.n)",
    "sum(.a)", ".c.n", ".emitted", "try(.a.l[0].seq)", ".b.s.len()", "try(.b.s.filter(|t| t.n > 1))", ".b.s",
    "return .c, 2", ".b.l.len()", "run('sum', .b)", "try(.c.x.x)", "[.a.n, .b.n, .c.n]",
    ".a.l.sort(|x, y| y.n - x.n).map(|t| t.n)",
]  # fmt: skip

paths = st.sampled_from(PATHS)
lines = st.one_of(
    st.builds("t.n = {}".format, st.integers(0, 4)),
    st.builds("t.x = {}".format, st.sampled_from(VALUES)),
    st.builds("t.l.push({})".format, st.sampled_from(VALUES)),
    st.builds("t.l.splice({}, {}, {})".format, st.integers(0, 2), st.integers(0, 2), st.sampled_from(VALUES)),
    st.builds("t.s.add({})".format, st.one_of(paths, st.just("fresh()"))),
    st.builds("t.s.remove({})".format, st.one_of(paths, st.just("t.s.one()"))),
    st.sampled_from(
        [
            "t.del('x')",
            "t.x = fresh()",
            "t.l = [fresh()]",
            "t.l.pop()",
            "t.s.clear()",
            "t.l = []",
            "t.x = nil",
            "t.emit('said', 1)",
        ]
    ),
    st.just("t.big = big()"),
)
statements = st.builds("{{ t = {}; t.seq += 1; try({{ {}; }}); }}".format, paths, lines)
emissions = st.just("{ .seq += 1; .emitted += 1; .room.emit('said', .emitted); }")
codes = st.one_of(
    statements,
    statements,
    emissions,
    st.lists(st.one_of(statements, statements, emissions), min_size=2, max_size=5).map("; ".join),
    st.builds("{}; raise('stop'); {}".format, statements, statements),
)
sizes = st.one_of(st.just(1 << 20), st.integers(1, 400))
places = st.integers(0, 30)
whos = st.integers(0, 2)
wires = st.sampled_from(["tcp", "binary", "text"])
CLIENTS = 3


class Machine(RuleBasedStateMachine):
    """Three clients, the last one's user may lose its rights. A world fills in how bytes go to and fro."""

    intervals = (1.0, 5.0)
    """Of live queries, in seconds."""

    # --- the world ---------------------------------------------------------------------------------------------------

    def open_world(self) -> list[str]:
        """Start a server on which `SETUP` was run; the tokens that it gave, of `admin` and `guest`."""
        raise NotImplementedError

    def plug(self, client: Client, wire: str) -> None:
        """Give a client a connection: set its `send`."""
        raise NotImplementedError

    def unplug(self, client: Client) -> None:
        """End a client's connection; nothing more reaches it."""
        raise NotImplementedError

    def quiet(self) -> None:
        """Have everything that is under way arrive."""
        raise NotImplementedError

    @property
    def running(self) -> bool:
        """Is there a server?"""
        raise NotImplementedError

    # --- setting up --------------------------------------------------------------------------------------------------

    @initialize(
        kinds=st.lists(wires, min_size=CLIENTS, max_size=CLIENTS),
        followed=st.lists(st.tuples(whos, st.sampled_from([*[0, 0, 1, 2, 3] * 3, *LIVE])), min_size=2, max_size=10),
    )
    def begin(self, kinds: list[str], followed: list[tuple[int, Any]]) -> None:
        """Start, each client following a few things: to a depth, or as live queries."""
        tokens = self.open_world()
        self.lowest = 0  # the last change that anybody heard of
        self.ids: list[int] = []
        self.token = tokens[0]
        self.clients = [Client(tokens[which == CLIENTS - 1], which == CLIENTS - 1) for which in range(CLIENTS)]
        for client, wire in zip(self.clients, kinds, strict=True):
            self.plug(client, wire)
            client.come_back(wire, "forget")
        self.check()
        for who, what in followed:
            client = self.clients[who]
            if type(what) is int:
                client.watch_with(self.ids[what : 7 - what], what or None)
            elif not any(what in str(asked.body) for asked, _ in client.waiting.values()):
                client.subscribe({"code": what})
        self.check()

    def newcomer(self) -> Client:
        """Somebody who has heard nothing yet."""
        client = Client(self.token)
        self.plug(client, "tcp")
        client.log_in()
        return client

    def answer(self, client: Client, asked: Asked) -> Any:
        """The answer to a request, once all is quiet."""
        answers: list[Any] = []
        client.ask(asked, answers.append)
        self.quiet()
        assert answers, client.errors
        return answers[0]

    def pick(self, places: list[int]) -> list[int]:
        """Ids of things that are there, or were."""
        return list(dict.fromkeys(self.ids[place % len(self.ids)] for place in places))

    def connected(self, who: int) -> Client | None:
        """A client, if it has a connection."""
        client = self.clients[who]
        return client if client.send is not None else None

    # --- what clients ask for ----------------------------------------------------------------------------------------

    @rule(asked=st.lists(st.tuples(whos, codes), min_size=1, max_size=4))
    def changes(self, asked: list[tuple[int, str]]) -> None:
        for who, code in asked:
            if client := self.connected(who):
                client.ask(query(code + "; nil"))

    @rule(who=whos, code=codes, fails=st.booleans())
    def changes_at_once(self, who: int, code: str, fails: bool) -> None:
        """An atomic query; of one that fails nothing is ever seen."""
        if client := self.connected(who):
            client.query("t = .a; t.n = 99; " + code + ("; raise('stop')" if fails else "; .a.n = 1; nil"), atomic=True)

    @rule(who=whos, which=places)
    def changes_what_it_knows(self, who: int, which: int) -> None:
        """A query that was decided on what the client knows of a thing is done then only."""
        client = self.connected(who)
        if client is not None and client.mirrors:
            thing_id = sorted(client.mirrors)[which % len(client.mirrors)]
            expected = client.mirrors[thing_id].properties["seq"] + 1
            client.query(
                f"t = thing({thing_id}); t.seq += 1; t.seq;",
                partial(must_be, expected),
                decided_at=max(client.change - 1, 0),
                things=[thing_id],
            )

    @rule(who=whos, paths=st.lists(paths, min_size=1, max_size=6))
    def counts(self, who: int, paths: list[str]) -> None:
        """Small changes, in requests of their own."""
        if client := self.connected(who):
            for path in paths:
                client.ask(query(f"t = {path}; t.seq += 1; t.n = (t.n + 1) % 5"))

    @rule(who=whos, chosen=st.lists(places, min_size=1, max_size=4))
    def watches(self, who: int, chosen: list[int]) -> None:
        if client := self.connected(who):
            client.watch(self.pick(chosen))

    @rule(who=whos, chosen=st.lists(places, min_size=1, max_size=2), deep=st.integers(0, 3))
    def watches_deep(self, who: int, chosen: list[int], deep: int) -> None:
        if client := self.connected(who):
            client.watch_with(self.pick(chosen), deep)

    @rule(who=whos, chosen=st.lists(places, min_size=1, max_size=3))
    def unwatches(self, who: int, chosen: list[int]) -> None:
        if client := self.connected(who):
            client.unwatch(self.pick(chosen))

    @rule(who=whos, code=st.sampled_from(LIVE), interval=st.sampled_from([None, None, None, 0, 1]))
    def subscribes(self, who: int, code: str, interval: int | None) -> None:
        client = self.connected(who)
        asked = {"code": code} | ({} if interval is None else {"interval": self.intervals[interval]})
        if (
            client is not None
            and code not in client.lives
            and not any(code in str(asked.body) for asked, _ in client.waiting.values())
        ):
            client.subscribe(asked)

    @rule(who=whos, which=places)
    def unsubscribes(self, who: int, which: int) -> None:
        client = self.connected(who)
        if client is not None and client.lives:
            client.unsubscribe(list(client.lives)[which % len(client.lives)])

    @rule(who=whos, history=st.booleans())
    def joins_or_leaves(self, who: int, history: bool) -> None:
        client = self.connected(who)
        if client is not None and not client.waiting:
            client.leave() if client.joined else client.join(history)

    @rule(who=whos, which=places, room=st.booleans())
    def asks_for_presence(self, who: int, which: int, room: bool) -> None:
        if client := self.connected(who):
            client.ask_presence(("room", "room") if room else ("thing", self.pick([which])[0]))

    @rule(may=st.sampled_from([True, True, False]))
    def rights(self, may: bool) -> None:
        client = self.connected(0)
        if client is not None:
            self.clients[-1].lost = self.clients[-1].lost or not may
            word = "grant" if may else "revoke"
            client.ask(query(f"{word}('//stuff', 'guest', FULL); nil", "@thingsdb"))

    # --- connections -------------------------------------------------------------------------------------------------

    @rule(who=whos)
    def loses_connection(self, who: int) -> None:
        if client := self.connected(who):
            self.unplug(client)

    @precondition(lambda self: self.running)
    @rule(who=whos, wire=wires, how=st.sampled_from(["again", "resume", "resume", "forget"]))
    def comes_back(self, who: int, wire: str, how: str) -> None:
        client = self.clients[who]
        if client.send is None:
            self.plug(client, wire)
            client.come_back(wire, how)

    @precondition(lambda self: self.running)
    @rule(who=whos, by=whos, asked=st.lists(codes, max_size=4), wire=wires, how=st.sampled_from(["again", "resume"]))
    def misses(self, who: int, by: int, asked: list[str], wire: str, how: str) -> None:
        """A client is gone while others change things."""
        self.loses_connection(who)
        for code in asked:
            self.changes([(by, code)])
        self.comes_back(who, wire, how)

    # --- checking ----------------------------------------------------------------------------------------------------

    @precondition(lambda self: self.running)
    @rule()
    def check(self) -> None:
        """Everybody's mirrors are what there is."""
        self.quiet()
        auditor = self.newcomer()
        subjects = {subject for client in self.clients for subject in client.presence if client.send is not None}
        for subject in sorted(subjects, key=str):
            auditor.ask_presence(subject)
        may = self.answer(auditor, query("user_info('guest').load().access.len()", "@thingsdb")) > 0
        if not may and self.clients[-1].send is not None:
            assert not self.clients[-1].mirrors and not self.clients[-1].lives
        for client in self.clients:
            if client.send is not None:
                assert not client.waiting, client.waiting
                self.check_watches(auditor, client)
                self.check_lives(auditor, client)
                self.check_room(auditor, client)
                for subject, there in client.presence.items():
                    if subject in auditor.presence:
                        assert auditor.presence[subject] == there, subject
        self.check_states(auditor)
        self.ids = sorted(ids_in(self.answer(auditor, query("return root(), 9"))) | set(self.ids[-10:]))
        self.unplug(auditor)
        self.quiet()

    def check_watches(self, auditor: Client, client: Client) -> None:
        """It watches what it should."""
        there = [thing_id for thing_id in sorted(client.plain | client.deep.keys() | client.mirrors.keys())
                 if self.answer(auditor, query(f"is_thing(try(thing({thing_id})))"))]  # fmt: skip
        expected = client.plain & set(there)
        for root, depth in client.deep.items():
            if root in there:
                expected |= ids_in(self.answer(auditor, query(f"return thing({root}), {depth}")))
        assert client.mirrors.keys() == expected

    def check_states(self, auditor: Client) -> None:
        """Things are what everybody knows of them."""
        connected = [client for client in self.clients if client.send is not None]
        watched = sorted({thing_id for client in connected for thing_id in client.mirrors})
        if watched:
            auditor.watch(watched)
            self.quiet()
        for client in connected:
            for thing_id, mirror in client.mirrors.items():
                assert mirror.properties == auditor.mirrors[thing_id].properties, thing_id
                assert mirror.properties["n"] != 99
        self.lowest = max([self.lowest, auditor.change, *(client.change for client in self.clients)])

    def check_lives(self, auditor: Client, client: Client) -> None:
        """Its results are what the queries give."""
        assert not self.disagreeing(auditor, client)

    def disagreeing(self, auditor: Client, client: Client) -> list[Any]:
        """Live queries with the result that it holds and the one that the query gives, where these differ."""
        fresh = {code: self.answer(auditor, query(code)) for code in list(client.lives)}
        return [(code, held.value, fresh[code]) for code, held in client.lives.items() if held.value != fresh[code]]

    def check_room(self, auditor: Client, client: Client) -> None:
        """It has heard the last that was said."""
        if client.joined and client.room not in (None, -1):
            assert client.room == self.answer(auditor, query(".emitted"))


def must_be(expected: int, number: int) -> None:
    """A thing was changed as often as was known."""
    assert number == expected, (number, expected)


def ids_in(tree: Any) -> set[int]:
    """The ids of the things in a result."""
    if isinstance(tree, dict):
        own = {tree["#"]} if "#" in tree else set()
        return own.union(*(ids_in(value) for value in tree.values()))
    if isinstance(tree, list):
        return set().union(*(ids_in(item) for item in tree))
    return set()
