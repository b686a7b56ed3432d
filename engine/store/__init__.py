"""Where changes become durable and state is kept.

`Store` is all that the rest of the engine sees. `SqliteStore` is the embedded default, `MemoryStore` the model that
tests compare it with, `Committer` the thread that gathers changes into batches. docs/storage.md describes the file.
"""

from engine.store.committer import Committer
from engine.store.interface import (
    ChangesNotKept,
    Checkpoint,
    DefinitionRow,
    Retention,
    State,
    Store,
    StoreError,
    ThingRow,
)
from engine.store.memory import MemoryStore
from engine.store.sqlite import SqliteStore

__all__ = [
    "ChangesNotKept",
    "Checkpoint",
    "Committer",
    "DefinitionRow",
    "MemoryStore",
    "Retention",
    "SqliteStore",
    "State",
    "Store",
    "StoreError",
    "ThingRow",
]
