"""Any sequence of writes, reads, checkpoints, trims and restarts does to a file what it does to a plain list."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import Any

import msgpack
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from engine.store import Checkpoint, MemoryStore, Retention, SqliteStore, Store, StoreError

contents = st.one_of(st.binary(max_size=20), st.integers(100, 9000).map(bytes), st.text(max_size=9), st.none())
thing_ids = st.integers(1, 30)
limits = st.none() | st.integers(0, 40)


def outcome(act: Any) -> Any:
    """What it returns, or which error it raises; the messages differ in the place they name."""
    try:
        return act()
    except StoreError as error:
        return type(error), error.problem


def whole_state(store: Store) -> Any:
    with store.read_state() as state:
        return state.change_id, list(state.things), state.definitions, state.meta


class SameAsTheModel(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.directory = Path(tempfile.mkdtemp())
        self.store: Store = SqliteStore.open(self.directory, create=True)
        self.model = MemoryStore()
        self.clock = 1000.0

    def teardown(self) -> None:
        self.store.close()
        shutil.rmtree(self.directory)

    def both(self, act: Any) -> Any:
        found, expected = outcome(lambda: act(self.store)), outcome(lambda: act(self.model))
        assert found == expected
        return found

    @rule(items=st.lists(contents, max_size=6), skip=st.sampled_from([0, 0, 0, 0, 0, 1, -1]))
    def write(self, items: list[object], skip: int) -> None:
        self.clock += 1.0
        first = self.model.last_change + 1 + skip
        packed = [msgpack.packb([change_id, item]) for change_id, item in enumerate(items, first)]
        self.both(lambda store: store.write_batch(first, packed, self.clock))

    @rule(after=st.integers(-1, 60), length=st.none() | st.integers(0, 60))
    def read(self, after: int, length: int | None) -> None:
        until = None if length is None else after + length
        self.both(lambda store: list(store.read_changes(after, until)))

    @rule(
        back=st.integers(-1, 5),
        things=st.lists(st.tuples(thing_ids, st.integers(1, 3), st.binary(max_size=30)), unique_by=lambda row: row[0]),
        gone=st.lists(thing_ids),
        definitions=st.lists(
            st.tuples(
                st.sampled_from(["type", "enum", "é"]),
                st.integers(-1, 3) | st.sampled_from(["a", "B", "é", "😀", "1", "\uffff"]),
                st.none() | st.binary(max_size=5),
            )
        ),
        meta=st.dictionaries(st.sampled_from("abc"), st.none() | st.binary(max_size=5)),
        replaces=st.sampled_from([False, False, False, True]),
    )
    def checkpoint(self, back: int, things: Any, gone: Any, definitions: Any, meta: Any, replaces: bool) -> None:
        change_id = self.model.last_change - back if not replaces else self.model.last_change + back
        checkpoint = Checkpoint(change_id, things, gone, definitions, meta, replaces)
        self.both(lambda store: store.write_checkpoint(checkpoint))

    @rule(changes=limits, age=limits, size=st.none() | st.integers(0, 20_000))
    def trim(self, changes: int | None, age: int | None, size: int | None) -> None:
        self.both(lambda store: store.trim(Retention(changes, age, size), self.clock))

    @rule()
    def tidy(self) -> None:
        self.store.tidy()

    @precondition(lambda self: isinstance(self.store, SqliteStore))
    @rule()
    def restart(self) -> None:
        self.store.close()
        self.store = SqliteStore.open(self.directory, create=False)

    @rule()
    def restore_a_backup(self) -> None:
        elsewhere = Path(tempfile.mkdtemp())
        assert self.store.backup(elsewhere / "livethings.db") == self.model.last_change
        self.teardown()
        self.directory = elsewhere
        self.store = SqliteStore.open(elsewhere, create=False)

    @invariant()
    def same(self) -> None:
        for name in ("last_change", "first_kept", "checkpoint_change", "log_bytes"):
            assert getattr(self.store, name) == getattr(self.model, name), name
        assert whole_state(self.store) == whole_state(self.model)
        self.both(lambda store: list(store.read_changes(self.model.first_kept - 1)))


TestSameAsTheModel = SameAsTheModel.TestCase
TestSameAsTheModel.settings = settings(max_examples=40, stateful_step_count=25, deadline=None)
