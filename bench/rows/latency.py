"""Time from sending a change to having its event, at the last of so many watchers; one change at a time."""

from __future__ import annotations

import sqlite3
import statistics
import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

from bench.fanout import THING, fanout
from bench.lab import Lab
from bench.table import Row

__all__ = ["rows"]

COMMITS = 500


def commit_seconds() -> list[float]:
    """How long SQLite takes to make one small row durable, as the store does it: what a change waits for."""
    made = []
    with TemporaryDirectory(prefix="livethings-bench-") as folder:
        connection = sqlite3.connect(Path(folder) / "rows.db", isolation_level=None)
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("CREATE TABLE log (first INTEGER PRIMARY KEY, changes BLOB)")
        for number in range(COMMITS):
            began = time.perf_counter()
            connection.execute("INSERT INTO log VALUES (?, ?)", (number, bytes(60)))
            made.append(time.perf_counter() - began)
        connection.close()
    return made


def rows(lab: Lab) -> Iterator[Row]:
    sizes = lab.sizes
    with lab.targets() as targets:
        for watchers in (1, sizes.watchers[0]):
            made = lab.load(fanout, targets, THING, watchers, False, (1,), sizes.seconds, sizes.rounds, True)
            cuts = {name: statistics.quantiles(seen, n=100) for name, seen in made.latencies.items()}
            for percent in (50, 99):
                values = {name: cut[percent - 1] * 1e6 for name, cut in cuts.items()}
                ratios = {name: value / values["baseline"] for name, value in values.items() if name != "baseline"}
                name = f"change to event, {watchers} watcher{'s' if watchers > 1 else ''}, p{percent}"
                yield Row(name, "µs", values, ratios)
    commits = statistics.quantiles(lab.load(commit_seconds), n=100)
    for percent in (50, 99):
        yield Row(f"for comparison: a row committed, p{percent}", "µs", {"baseline": commits[percent - 1] * 1e6},
                  note="baseline: sqlite3 on this disk")  # fmt: skip
