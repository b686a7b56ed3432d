"""The time limit: generated code is interrupted, the engine's own is not."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import pytest

from engine.errors import RequestTimeout
from server.watchdog import Watchdog

GENERATED = "<query>"


def generated(source: str) -> Callable[..., object]:
    names: dict[str, Callable[..., object]] = {}
    exec(compile(source, GENERATED, "exec"), names)
    return names["run"]


class Running:
    """What `Engine.executing` is."""

    def __init__(self) -> None:
        self.number = 0

    def __enter__(self) -> None:
        self.number += 1

    def __exit__(self, *exc: object) -> None:
        self.number += 1


@pytest.fixture
def running() -> Iterator[Running]:
    running = Running()
    watchdog = Watchdog(lambda: running.number, 0.05, GENERATED)
    watchdog.start()
    yield running
    watchdog.stop()


forever = generated("def run():\n while True:\n  pass")


def test_a_query_that_never_ends_is_ended(running: Running) -> None:
    for _ in range(2):
        with pytest.raises(RequestTimeout, match=r"longer than 0.05 seconds"), running:
            forever()


def test_the_engine_is_not_interrupted_but_the_query_after_it_is(running: Running) -> None:
    whole = []

    def mutate() -> None:
        end = time.monotonic() + 0.3
        while time.monotonic() < end:
            pass
        whole.append(True)

    run = generated("def run(mutate, after):\n mutate()\n for _ in range(10**9):\n  pass\n after()")
    after: list[int] = []
    with pytest.raises(RequestTimeout), running:
        run(mutate, lambda: after.append(1))
    assert whole == [True]
    assert after == []


def test_many_short_queries_are_left_alone(running: Running) -> None:
    short = generated("def run():\n return sum(range(1000))")
    end = time.monotonic() + 0.3
    while time.monotonic() < end:
        with running:
            short()


def test_outside_of_a_query_nothing_is_interrupted(running: Running) -> None:
    end = time.monotonic() + 0.2
    while time.monotonic() < end:
        pass


def test_a_live_query_has_a_limit_of_its_own() -> None:
    running, live = Running(), Running()
    watchdog = Watchdog(lambda: running.number, 60.0, GENERATED, lambda: live.number % 2, 0.05)
    watchdog.start()
    try:
        with pytest.raises(RequestTimeout, match=r"longer than 0.05 seconds"), running, live:
            forever()
    finally:
        watchdog.stop()
