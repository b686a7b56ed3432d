"""Live queries that are taken up again: a result that is said to be the same, is."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.engine import Engine
from engine.errors import EngineError
from engine.store.memory import MemoryStore
from server.forms import pack
from tests.watch.living import Client, World
from tests.watch.test_live import CHANGES, QUERIES, START
from watch import Live


@pytest.mark.parametrize("restart", [False, True])
def test_a_result_that_has_not_changed_is_not_told_again(restart: bool) -> None:
    store = MemoryStore()
    engine = Engine(clock=lambda: 1000.0, seed=1)
    engine.open(store)

    def change(code: str, scope: str = "//stuff") -> int:
        outcome = engine.query(Client(engine.users["admin"]), scope, code)
        assert outcome.error is None and outcome.change is not None
        store.write_batch(outcome.change.id, [outcome.change.packed], 1000.0)
        return outcome.change.id

    def again(since: int, code: str) -> bool:
        """Is the result of a new connection's subscription said to be the same?"""
        client = Client(engine.users["admin"])
        reply = Live(engine, lambda target, frame: None).subscribe(client, "//stuff", {"code": code, "since": since})
        assert ("value" in reply) != ("resumed" in reply)
        return "resumed" in reply

    change("set_type('T', {n: 'int'}); .a = {n: 1, l: [{n: 2}]}; .b = {n: 1}; .t = T{n: 1}; nil")
    since = change(".x = 1; nil")
    change(".b.n = 2; .b.c = {}; nil")
    if restart:
        engine = Engine(clock=lambda: 1000.0, seed=1)
        engine.open(store)
    assert again(since, ".a.n")
    assert again(since, ".a.l.map(|x| x.n)")
    assert not again(since, ".b.n")
    assert not again(since, ".b.c")
    assert again(engine.last_change, ".b.c")
    assert again(since, "thing(2).n")
    assert not again(engine.last_change + 1, ".a.n")
    assert not again(-1, ".a.n")
    kept = change(".a.l[0].n = 3; nil")
    assert not again(since, ".a.l.map(|x| x.n)")
    change("grant('//stuff', 'admin', QUERY); nil", "@t")
    assert not again(kept, ".a.n")


def test_a_result_that_depends_on_who_asks_is_told_again() -> None:
    world = World()
    world.change("new_user('iris'); grant('//stuff', 'iris', QUERY | RUN)", "@t")
    iris = Client(world.engine.users["iris"])
    for code, told in (("user_info().load().name", "iris"), ("2 + 2", None)):
        change = world.live.subscribe(world.client, "//stuff", {"code": code})["change"]
        # The connection was lost, and the client has logged in as somebody else since.
        reply = world.live.subscribe(iris, "//stuff", {"code": code, "since": change})
        assert (reply.get("value"), reply.get("resumed")) == (told, None if told else True)


@settings(deadline=None, max_examples=30, suppress_health_check=list(HealthCheck))
@given(programs=st.lists(st.lists(st.sampled_from(CHANGES), min_size=1, max_size=4), min_size=1, max_size=6))
def test_what_is_said_to_be_the_same_is_the_same(programs: list[list[str]]) -> None:
    engine = Engine(clock=lambda: 1000.0, seed=1)
    engine.initialise()
    client = Client(engine.users["admin"])
    engine.query(client, "//stuff", START)

    def results() -> dict[str, Any]:
        found: dict[str, Any] = {}
        for code in QUERIES:
            reply = subscribed(code)
            if reply is not None:
                found[code] = reply["value"]
        return found

    def subscribed(code: str, since: int | None = None) -> Any:
        live = Live(engine, lambda target, frame: None, seconds=1000.0)
        try:
            return live.subscribe(Client(engine.users["admin"]), "//stuff", {"code": code, "since": since})
        except EngineError:
            return None

    known = {engine.last_change: results()}
    for lines in programs:
        engine.query(client, "//stuff", "; ".join(f"try({{{line}}})" for line in lines) + "; nil")
        known[engine.last_change] = results()
    now = results()
    for change, found in known.items():
        for code, value in found.items():
            reply = subscribed(code, change)
            if reply is not None and "resumed" in reply:
                assert pack(value) == pack(now[code])
