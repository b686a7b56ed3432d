"""Random changes, watches, deep watches, live queries, disconnects and crashes on a server in this process, whose every
turn, commit and byte is a step of its own: so that rare orders are found."""

from __future__ import annotations

import gc
import os
from copy import deepcopy
from functools import cache, partial

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule, run_state_machine_as_test

from engine.engine import Engine
from engine.store.memory import MemoryStore
from tests.conftest import Admin
from tests.model.clients import Client
from tests.model.house import House, Transport
from tests.model.machine import SETUP, Machine, sizes, whos

EXAMPLES = int(os.environ.get("LIVETHINGS_EXAMPLES", "200"))
"""How many runs; of up to so many steps."""

STEPS = int(os.environ.get("LIVETHINGS_STEPS", "40"))


@cache
def prepared() -> tuple[MemoryStore, list[str]]:
    """A disk after `SETUP`, and the tokens that it gave."""
    engine = Engine(clock=lambda: 1000.0, seed=1)
    engine.open(store := MemoryStore())
    for scope, code in SETUP:
        outcome = engine.query(Admin(engine), scope, code)
        assert outcome.error is None, outcome.error
        assert outcome.change is not None
        store.write_batch(outcome.change.id, [outcome.change.packed], outcome.change.at)
    store.write_checkpoint(engine.checkpoint())
    return store, outcome.value


class Orders(Machine):
    """Bytes, commits and turns of the loop happen one by one."""

    runs = 0

    def __init__(self) -> None:
        super().__init__()
        self.lines: dict[Client, Transport] = {}
        self.direct = True

    # --- the world ---------------------------------------------------------------------------------------------------

    def open_world(self) -> list[str]:
        store, tokens = prepared()
        Orders.runs += 1
        if not Orders.runs % 20:
            gc.collect()  # engines hold themselves, and the engine turns collection off
        self.house = House(deepcopy(store))
        return tokens

    @property
    def running(self) -> bool:
        return self.house.running

    def plug(self, client: Client, wire: str) -> None:
        line = self.lines[client] = self.house.connect(wire)
        client.begin(wire)
        client.send = partial(self.send, line)

    def send(self, line: Transport, data: bytes) -> None:
        line.inbox += data
        if self.direct:
            line.take(len(line.inbox))

    def unplug(self, client: Client) -> None:
        line = self.lines.pop(client)
        client.cut()
        line.lose()

    def quiet(self) -> None:
        house, busy = self.house, True
        while busy:
            busy = house.turn() or bool(house.committer.waiting)
            house.commit(1 << 30)
            for client, line in list(self.lines.items()):
                if line.inbox:
                    busy = True
                    line.take(len(line.inbox))
                if line.outbox:
                    busy = True
                    client.receive(line.arrive(len(line.outbox)))
                assert not line.lost
            if not busy and house.live.due:
                house.loop.now += 1.0
                busy = True

    # --- what happens in it ------------------------------------------------------------------------------------------

    @rule(direct=st.booleans())
    def hurries(self, direct: bool) -> None:
        """Whether requests are served as they are sent."""
        self.direct = direct

    @rule(who=whos, size=sizes)
    def arrives_there(self, who: int, size: int) -> None:
        """A part of what a client sent arrives."""
        client = self.clients[who]
        if client in self.lines:
            self.lines[client].take(size)

    @rule(who=whos, size=sizes)
    def arrives_here(self, who: int, size: int) -> None:
        """A part of what the server sent arrives."""
        client = self.clients[who]
        if client in self.lines:
            client.receive(self.lines[client].arrive(size))

    @rule(recent=st.sampled_from([0, 3, 1000]))
    def remembers(self, recent: int) -> None:
        """How many changes the server has at hand."""
        self.house.recent = self.house.engine.recent.max_changes = recent

    @rule(count=st.integers(1, 3))
    def turns(self, count: int) -> None:
        for _ in range(count):
            self.house.turn()

    @rule(count=st.integers(1, 4))
    def commits(self, count: int) -> None:
        if self.running:
            self.house.commit(count)

    @rule(seconds=st.sampled_from([0.1, 1.0, 10.0]))
    def waits(self, seconds: float) -> None:
        self.house.loop.now += seconds

    @rule(who=whos, policy=st.sampled_from(["refresh", "disconnect"]))
    def is_slow(self, who: int, policy: str) -> None:
        if (client := self.connected(who)) and policy == "refresh":
            client.set_slow(policy, 64 << 10)

    @precondition(lambda self: self.running)
    @rule(survives=st.integers(0, 5), checkpoint=st.booleans())
    def crashes(self, survives: int, checkpoint: bool) -> None:
        if checkpoint:
            self.house.checkpoint()
        self.house.crash(survives)
        for client in list(self.lines):
            del self.lines[client]
            client.cut()

    @precondition(lambda self: not self.running)
    @rule()
    def starts(self) -> None:
        self.house.start()
        assert self.house.engine.last_change >= max(client.change for client in self.clients)

    def teardown(self) -> None:
        if not hasattr(self, "house"):
            return
        if not self.running:
            self.starts()
        self.check()
        for client in list(self.lines):
            self.unplug(client)
        self.quiet()
        hub = self.house.hub
        assert not hub.things and not hub.rooms and not hub.deep.reaches and not hub.presence.observed
        assert not self.house.live.active
        self.house.crash(0)


def test_every_mirror_is_what_there_is() -> None:
    run_state_machine_as_test(
        Orders,
        settings=settings(
            max_examples=EXAMPLES,
            stateful_step_count=STEPS,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
