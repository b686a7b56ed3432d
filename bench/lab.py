"""What rows are measured with: sizes, targets, and the process that the load comes from."""

from __future__ import annotations

import multiprocessing
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import ParamSpec, TypeVar

from bench.processes import Target, baseline, serve

__all__ = ["FULL", "QUICK", "Lab", "Sizes"]

P = ParamSpec("P")
T = TypeVar("T")


@dataclass(frozen=True)
class Sizes:
    """How much is measured. `seconds` is for one measurement, of which each row makes `rounds`;
    `settle` is waited before memory is looked at, until the server has done all that was asked of it."""

    seconds: float
    rounds: int
    watchers: tuple[int, ...]
    connections: int
    watching: int
    watches: int
    settle: float
    things: int
    stored: int
    iterations: int
    people: int
    built: int
    users: int


FULL = Sizes(
    seconds=1.5,
    rounds=3,
    watchers=(100, 1000, 4000),
    connections=6000,
    watching=800,
    watches=100,
    settle=0.3,
    things=200_000,
    stored=1_000_000,
    iterations=100_000,
    people=10_000,
    built=100_000,
    users=1000,
)
QUICK = Sizes(
    seconds=0.05,
    rounds=1,
    watchers=(5,),
    connections=20,
    watching=8,
    watches=2,
    settle=0.02,
    things=2000,
    stored=3000,
    iterations=1000,
    people=100,
    built=1000,
    users=10,
)


class Lab:
    """One for a run. `other` is a further server to measure."""

    def __init__(self, sizes: Sizes, other: Target | None = None) -> None:
        self.sizes = sizes
        self.other = other
        self._pool = ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn"))

    def load(self, run: Callable[P, T], *arguments: P.args, **options: P.kwargs) -> T:
        """Run a function in the load's process."""
        return self._pool.submit(run, *arguments, **options).result()

    @contextmanager
    def targets(self, *, exact_memory: bool = False) -> Iterator[list[Target]]:
        """Our server, fresh; the bare one; and the other one, if there is one."""
        with serve(exact_memory=exact_memory) as ours, baseline(exact_memory=exact_memory) as bare:
            yield [ours, bare, *([] if self.other is None else [self.other])]

    def say(self, text: str) -> None:
        """Tell how far it is."""
        print(text, file=sys.stderr, flush=True)

    def close(self) -> None:
        self._pool.shutdown()
