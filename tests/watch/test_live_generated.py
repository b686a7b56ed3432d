"""Live queries of random code under random changes: what a subscriber knows is what the code gives."""

from __future__ import annotations

import os

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.errors import EngineError
from tests.watch.living import World, copied
from tests.watch.reading import START, changes, queries

EXAMPLES = int(os.environ.get("LIVETHINGS_EXAMPLES", "100"))
"""How many programs are tried."""


@settings(deadline=None, max_examples=EXAMPLES, suppress_health_check=list(HealthCheck))
@given(st.lists(queries(), min_size=4, max_size=12), st.lists(changes(), min_size=4, max_size=12))
def test_no_update_is_missed(codes: list[str], statements: list[str]) -> None:
    world = World(START)
    held: dict[int, str] = {}

    def subscribe() -> None:
        for code in codes:
            if code in held.values():
                continue
            plain = world.engine.query(world.client, "//stuff", code)
            assert plain.change is None
            if plain.error is not None:
                with pytest.raises(EngineError) as caught:
                    world.subscribe(code)
                assert caught.value.code == plain.error.code, (code, plain.error)
                continue
            number = world.subscribe(code)
            assert world.client.values[number] == copied(plain.value), code
            held[number] = code

    subscribe()
    for statement in statements:
        world.change(statement)
        world.run()
        for number, code in list(held.items()):
            plain = world.engine.query(world.client, "//stuff", code)
            if number in world.client.ended:
                assert plain.error is not None, (code, world.client.ended[number])
                del held[number]
                continue
            assert plain.error is None, (code, statement, plain.error)
            assert world.client.values[number] == copied(plain.value), (code, statement)
        subscribe()
