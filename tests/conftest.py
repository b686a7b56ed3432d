"""Fixtures for tests of the engine: one with its first user and collection, and queries as that user."""

from __future__ import annotations

import gc
from collections.abc import Callable
from functools import cache
from typing import Any

import pytest

from engine.engine import Engine
from engine.login import hash_password
from engine.outcome import Outcome
from engine.users import FULL, User


@pytest.fixture(autouse=True, scope="module")
def _forgotten() -> None:
    """Engines look through all objects that Python's collector knows for instances of a type, and have it switched off:
    what the modules before have left is put out of their sight."""
    gc.freeze()


class Admin:
    """A caller who may do everything and gets no events."""

    subscriber = None

    def __init__(self, engine: Engine) -> None:
        self.user: User | None = engine.users["admin"]


def engine_without_password(**options: Any) -> Engine:
    """An engine as after its first start, but that its user has no password, whose making is slow and gives another
    hash each time; with these options of `Engine`."""
    engine = Engine(**options)
    engine.users["admin"] = User(1, "admin", 1_500_000_000, None)
    engine.next_definition_id = 2
    stuff = engine.new_collection("stuff", 1_500_000_000)
    for scope in (engine.server, engine.node, stuff):
        scope.access[1] = FULL
    return engine


hashed = cache(hash_password)  # slow by design, and the same for every test


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> Engine:
    """An engine as it is after its first start; its clock stands at 1,500,000,000 seconds, its randomness repeats."""
    monkeypatch.setattr("engine.engine.hash_password", hashed)
    engine = Engine(clock=lambda: 1_500_000_000.0, seed=1)
    engine.initialise()
    return engine


@pytest.fixture
def outcome(engine: Engine) -> Callable[..., Outcome]:
    """Run a query, as `admin` in the collection `stuff` unless said otherwise; its outcome."""
    admin = Admin(engine)

    def run(code: str, variables: Any = None, scope: str = "//stuff", caller: Any = None) -> Outcome:
        return engine.query(caller or admin, scope, code, variables)

    return run


@pytest.fixture
def query(outcome: Callable[..., Outcome]) -> Callable[..., Any]:
    """As `outcome`, but gives the value or raises the error."""

    def run(*arguments: Any, **options: Any) -> Any:
        done = outcome(*arguments, **options)
        if done.error is not None:
            raise done.error
        return done.value

    return run
