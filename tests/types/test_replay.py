"""Whatever is done with types: the log, replayed, and the state, loaded, give the engine that did it."""

from __future__ import annotations

from hypothesis import HealthCheck, given, settings

from engine.engine import Engine
from engine.errors import InternalError
from tests.conftest import Admin

from .programs import programs
from .state import Disk, check_rules, fresh, kept, replayed


def run(program: list[str]) -> tuple[Engine, Disk, list[bytes]]:
    """Run the queries in a new engine; the engine, its state on disk and the records of its changes. No query may fail
    by our fault."""
    engine = fresh()
    admin = Admin(engine)
    disk = Disk(engine)
    changes = []
    for text in program:
        done = engine.query(admin, "//stuff", text)
        assert not isinstance(done.error, InternalError), text
        if done.change is not None:
            changes.append(done.change.packed)
        del done
        swept = engine.garbage.step(40)
        if swept is not None and swept.change is not None:
            changes.append(swept.change.packed)
        check_rules(engine)
        disk.checkpoint()
    return engine, disk, changes


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(programs())
def test_what_the_log_and_the_state_keep(program: list[str]) -> None:
    engine, disk, changes = run(program)
    assert kept(replayed(changes)) == kept(engine)
    assert kept(disk.loaded()) == kept(engine)
