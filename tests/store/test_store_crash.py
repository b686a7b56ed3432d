"""What was said to be durable is there after SIGKILL, whenever it comes."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

from engine.store import SqliteStore

sys.path.insert(0, str(Path(__file__).parent))
from crash_child import change_of, things_changed

ROUNDS = 32
ROOT = Path(__file__).resolve().parents[2]


def killed_round(directory: Path, seed: int) -> int:
    """Run the child, kill it at a moment that `seed` chooses; returns the last change id it said to be durable."""
    generator = random.Random(seed)
    child = subprocess.Popen(
        [sys.executable, str(Path(__file__).with_name("crash_child.py")), str(directory), str(seed)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert child.stdout is not None
    assert child.stderr is not None
    if seed % 8 == 7:  # while it starts: creates, takes the lock, recovers
        time.sleep(generator.uniform(0.0, 0.15))
    else:
        for _ in range(generator.choice((1, 2, 10, 60, 150))):
            assert child.stdout.readline(), child.stderr.read()
        time.sleep(generator.uniform(0.0, 0.003))
    child.send_signal(signal.SIGKILL)
    said, errors = child.communicate()
    assert errors == b""
    lines = said.split(b"\n")[:-1]
    return int(lines[-1]) if lines else 0


def test_every_acknowledged_change_survives(tmp_path: Path) -> None:
    directory = tmp_path / "data"
    acknowledged = checkpoints = 0
    for seed in range(ROUNDS):
        acknowledged = max(acknowledged, killed_round(directory, seed))
        # At once: the lock must have gone with the process.
        store = SqliteStore.open(directory, create=seed % 8 == 7)
        assert store.last_change >= acknowledged
        # What was written and not said is kept too, and from now on counts.
        acknowledged = store.last_change
        assert store.first_kept <= store.checkpoint_change + 1
        changes = list(store.read_changes(store.first_kept - 1))
        assert changes == [(i, change_of(i)) for i in range(store.first_kept, store.last_change + 1)]
        with store.read_state() as state:
            expected = things_changed(max(0, state.change_id - 50), state.change_id)
            assert dict(state.meta) == ({"at": b"%d" % state.change_id} if state.change_id else {})
            found = {thing_id: data for thing_id, _, data in state.things}
        assert found == {thing_id: data for thing_id, data in expected.items() if data}
        checkpoints += state.change_id > 0
        store.close()
    assert acknowledged > 1000
    assert checkpoints > ROUNDS // 2
