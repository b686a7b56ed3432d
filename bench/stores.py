"""Stores with many things, made through the engine and the store themselves."""

from __future__ import annotations

import time
from pathlib import Path

from engine.engine import Engine
from engine.store import SqliteStore
from engine.users import User

__all__ = ["THING", "TYPED", "make_store"]

CHUNK = 1000

THING = "{name: `name {i}`, at: i, score: i * 0.5, done: false}"
"""A thing of four small properties, made from the variable `i`."""

TYPED = f"Row{THING}"
"""The same of a type."""

TYPE = "set_type('Row', {name: 'str', at: 'int', score: 'float', done: 'bool'});"


class _Admin:
    """A caller."""

    subscriber = None

    def __init__(self, user: User) -> None:
        self.user: User | None = user


def make_store(folder: Path, count: int, code: str) -> None:
    """A store with so many things, in lists of a thousand; nine in ten are in the state, the others in the log."""
    store = SqliteStore.open(folder, create=True)
    engine = Engine()
    engine.open(store)
    admin = _Admin(engine.users["admin"])

    def change(code: str) -> None:
        outcome = engine.query(admin, "//stuff", code)
        if outcome.error is not None or outcome.change is None:
            raise RuntimeError(f"{code}: {outcome.error}")
        store.write_batch(outcome.change.id, [outcome.change.packed], time.time())

    change(TYPE)
    chunks = max(10, count // CHUNK)
    size = count // chunks
    for number in range(chunks):
        change(f".things{number} = range({number * size}, {(number + 1) * size}).map(|i| {code}); nil;")
        if number == chunks * 9 // 10 - 1:
            store.write_checkpoint(engine.checkpoint())
    store.close()
