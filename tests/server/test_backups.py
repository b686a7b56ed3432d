"""Backups of a running store, and their schedule."""

from __future__ import annotations

import asyncio
import tarfile
from pathlib import Path

from engine.engine import Engine
from engine.outcome import Outcome
from engine.store import SqliteStore
from server.backups import BackupRunner


class Admin:
    subscriber = None

    def __init__(self, engine: Engine) -> None:
        self.user = engine.users["admin"]


async def test_a_backup_unpacks_as_a_data_folder(tmp_path: Path) -> None:
    now = [1_700_000_000.0]
    engine = Engine(clock=lambda: now[0])
    store = SqliteStore.open(tmp_path / "data", create=True)
    engine.open(store)
    admin = Admin(engine)

    def publish(outcome: Outcome) -> Outcome:
        assert outcome.change is not None
        store.write_batch(outcome.change.id, [outcome.change.packed], now[0])
        return outcome

    publish(engine.query(admin, "//stuff", ".x = {y: 42}; nil"))
    made = engine.query(admin, "@n", f"new_backup('{tmp_path}/out/{{CHANGE_ID}}.tar.gz', nil, 60, 2)")
    assert publish(made).value == 0
    runner = BackupRunner(engine, store, asyncio.get_running_loop(), publish)
    for _ in range(4):
        await runner._run()
        now[0] += 60
        publish(engine.query(admin, "//stuff", ".z = 1; nil"))
    kept = engine.backups.by_id[0].files
    assert [Path(file).name for file in kept] == ["6.tar.gz", "8.tar.gz"]
    assert sorted(file.name for file in (tmp_path / "out").iterdir()) == ["6.tar.gz", "8.tar.gz"]
    assert engine.query(admin, "@n", "backups_ok()").value is True
    shown = engine.query(admin, "@n", "backups_info()").value
    publish(engine.query(admin, "@n", "del_backup(new_backup('x.tar.gz'))"))
    started = Engine(clock=lambda: now[0])
    started.open(store)  # as after a crash: nothing but the log tells of the schedule
    assert started.query(Admin(started), "@n", "backups_info()").value == shown
    assert started.backups.next_id == 2
    store.close()
    with tarfile.open(kept[-1]) as archive:
        archive.extractall(tmp_path / "restored", filter="data")
    again = Engine()
    restored = SqliteStore.open(tmp_path / "restored", create=False)
    again.open(restored)
    assert again.query(Admin(again), "//stuff", ".x.y").value == 42
    restored.close()


async def test_a_backup_that_fails_says_why_and_the_schedule_goes_on(tmp_path: Path) -> None:
    engine = Engine(clock=lambda: 1_700_000_000.0)
    store = SqliteStore.open(tmp_path / "data", create=True)
    engine.open(store)
    admin = Admin(engine)
    (tmp_path / "file").write_text("in the way")
    engine.query(admin, "@n", f"new_backup('{tmp_path}/file/x.tar.gz', nil, 60)")
    published: list[Outcome] = []
    await BackupRunner(engine, store, asyncio.get_running_loop(), published.append)._run()
    assert len(published) == 1
    shown = engine.query(admin, "@n", "backup_info(0)")
    assert engine.backups.by_id[0].result_code == -1
    assert engine.backups.by_id[0].next_run == 1_700_000_060
    assert shown.error is None
    assert engine.query(admin, "@n", "backups_ok()").value is False
    store.close()
