"""Nothing that comes and goes with subscribers is left for the cyclic collector, which is off."""

from __future__ import annotations

import contextlib
import gc
from collections import Counter
from typing import Any

import pytest

from engine.errors import EngineError
from tests.watch.test_lag import SlowWorld


def everything(world: SlowWorld) -> None:
    """Subscribers that ask for all there is, rightly and wrongly, fall behind and leave."""
    one, two = world.connect(), world.connect()
    presence, requests = world.hub.presence, world.requests
    asked: list[Any] = [{"room": "room"}, {"thing": world.a}, {"room": "nowhere"}, {"thing": "a"}, {}, None]
    for connection in (one, two):
        for subject in asked:
            with contextlib.suppress(EngineError):
                presence.ask(connection, "//stuff", subject)
        for options in (
            {"rooms": ["room"]},
            {"rooms": ["room"], "since": 0},
            {"rooms": 1},
            {"rooms": [], "since": "1"},
        ):
            with contextlib.suppress(EngineError):
                requests.join_with(connection, "//stuff", options).events()
        world.live.subscribe(connection, "//stuff", {"code": ".a.n"})
        world.watch(connection, world.a, world.b, 999)
    world.slow.fall_behind(one)
    world.query(two, ".a.n += 1; .b.n += 1; .room.emit('x', 1); .a.emit('y'); nil")
    requests.leave(two, "//stuff", ["room"]).events()
    world.slow.catch_up(one, 10)
    world.catch_up(one)
    world.slow.fall_behind(one)
    world.query(two, ".a.n += 1; nil")
    world.slow.catch_up(one, 0)  # there is more
    for connection in (one, two):
        world.hub.drop(connection)
        world.live.drop(connection)


def test_no_cycles() -> None:
    world = SlowWorld()
    everything(world)  # what happens only the first time
    gc.collect()
    gc.disable()
    try:
        everything(world)
        gc.set_debug(gc.DEBUG_SAVEALL)
        gc.collect()
        found = Counter(
            type(item).__qualname__
            for item in gc.garbage
            if type(item).__module__.startswith(("watch", "engine", "tests.watch"))
        )
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
        gc.enable()
    if found:
        pytest.fail(f"left for the collector: {dict(found)}")
