"""Start of a server that has many things: nine in ten in the state, the others in the log."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

from bench.lab import Lab
from bench.processes import ROOT, resident_bytes, serve, started
from bench.stores import THING, make_store
from bench.table import Row

__all__ = ["rows"]

BARE = """
import sqlite3, sys
import msgpack
connection = sqlite3.connect(sys.argv[1])
held = {}
for number, data in connection.execute("SELECT id, data FROM things"):
    held[number] = msgpack.unpackb(data)
for (blob,) in connection.execute("SELECT changes FROM log"):
    unpacker = msgpack.Unpacker(max_buffer_size=len(blob), strict_map_key=False)
    unpacker.feed(blob)
    for number, record in enumerate(unpacker):
        held["log", number] = record
with open("/proc/self/status") as file:
    print(*[line.split()[1] for line in file if line.startswith("VmRSS:")])
"""
"""What the baseline does: read the rows, and decode them into dicts."""


def bare_load(folder: Path) -> tuple[float, int]:
    """Seconds and resident bytes of a process that only reads the rows and decodes them."""
    began = time.perf_counter()
    path = folder / "livethings.db"
    done = subprocess.run([sys.executable, "-c", BARE, str(path)], cwd=ROOT, capture_output=True, text=True, check=True)
    return time.perf_counter() - began, int(done.stdout) * 1024


def rows(lab: Lab) -> Iterator[Row]:
    count = lab.sizes.stored
    with TemporaryDirectory(prefix="livethings-bench-") as name:
        folder = Path(name) / "data"
        lab.load(make_store, folder, count, THING)
        with sqlite3.connect(folder / "livethings.db") as connection:
            (stored,) = connection.execute("SELECT count(*) FROM things").fetchone()
        lab.say(f"made a store: {stored:,} things in its state, {count - stored:,} in its log")
        with serve(exact_memory=True) as empty:
            assert empty.pid is not None
            before = resident_bytes(empty.pid)
        with started(folder, exact_memory=True) as (server, seconds):
            assert server.pid is not None
            taken = resident_bytes(server.pid) - before
        base_seconds, base_bytes = lab.load(bare_load, folder)
    note = "baseline: reads and decodes the rows"
    yield Row(f"start with {count:,} things", "s", {"livethings": seconds, "baseline": base_seconds},
              {"livethings": seconds / base_seconds}, note=note)  # fmt: skip
    yield Row("a thing after that start", "bytes", {"livethings": taken / count, "baseline": base_bytes / count},
              {"livethings": taken / base_bytes}, note=note)  # fmt: skip
