"""A node whose process may stop at any moment: an engine, its store, and a clock to turn."""

from __future__ import annotations

import copy
from functools import cache
from typing import Any

from engine.encoding import log_packer
from engine.engine import Engine
from engine.outcome import Outcome
from engine.store.memory import MemoryStore
from tests.conftest import Admin
from tests.things.state import stored

__all__ = ["NOW", "Node", "tasks_of"]

NOW = 1_500_000_000


@cache
def _new_store() -> MemoryStore:
    """The store of an engine after its first start, made once: a password is slow to hash."""
    store = MemoryStore()
    Engine(clock=lambda: float(NOW)).open(store)
    return store


def tasks_of(engine: Engine) -> dict[str, list[Any]]:
    """All tasks as plain data, in order, by scope."""
    scopes: list[Any] = [engine.server, *engine.collections.values()]
    return {scope.title: [task.tree(scope) for task in scope.tasks.values()] for scope in scopes}


class Node:
    """`query` and `turn` make what they did durable; `crash` in the middle of it is up to the caller."""

    def __init__(self) -> None:
        self.now = float(NOW)
        self.store = copy.deepcopy(_new_store())
        self.start()

    def start(self) -> None:
        """Start from what the store holds; whatever else there was is lost."""
        self.engine = Engine(clock=lambda: self.now)
        self.engine.open(self.store)

    def write(self, outcome: Outcome, most: int | None = None) -> bool:
        """Make the changes of an outcome durable, but no more than so many; True when these were all."""
        parts = [outcome, *(outcome.more or ())]
        changes = [part.change for part in parts if part.change is not None]
        for change in changes[:most]:
            self.store.write_batch(change.id, [change.packed], self.now)
        return most is None or most >= len(changes)

    def checkpoint(self) -> None:
        self.store.write_checkpoint(self.engine.checkpoint())

    def query(self, code: str, variables: Any = None, scope: str = "//stuff") -> Any:
        outcome = self.engine.query(Admin(self.engine), scope, code, variables)
        self.write(outcome)
        if outcome.error is not None:
            raise outcome.error
        return outcome.value

    def turn(self, crash_at: int | None = None, changes_kept: int = 0) -> None:
        """Run what is due. With `crash_at`, the process stops while that one of the tasks is run (from 0), and only so
        many of its changes reach the store."""
        for place, (scope, task) in enumerate(self.engine.due_tasks()):
            outcome = self.engine.run_task(scope, task)
            if outcome is None:
                continue
            if place == crash_at:
                self.write(outcome, changes_kept)
                self.start()
                return
            self.write(outcome)

    def check_that_nothing_would_be_lost(self) -> None:
        """What another start would find is what there is."""
        other = Engine(clock=lambda: self.now)
        other.open(self.store)
        assert tasks_of(other) == tasks_of(self.engine)
        pack = log_packer().pack
        assert pack(sorted(stored(other).items())) == pack(sorted(stored(self.engine).items()))
        assert (other.last_change, other.next_id) == (self.engine.last_change, self.engine.next_id)
