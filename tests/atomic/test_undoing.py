"""An atomic query that fails leaves nothing behind: the engine goes on like one that never saw it. One that succeeds
does what it would have done otherwise."""

from __future__ import annotations

import sys
from types import FrameType, TracebackType
from typing import Any

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from engine.encoding import log_unpack
from engine.engine import Engine, Outcome
from engine.errors import InternalError, RequestTimeout
from engine.language.compiler import GENERATED
from engine.users import FULL, User
from tests.atomic.programs import SERVER_SETUP, SETUP, programs
from tests.atomic.state import state
from tests.conftest import Admin

ATOMIC = {"atomic": True}


def fresh() -> Engine:
    """An engine as after its first start, with something to work on; its clock stands."""
    engine = Engine(clock=lambda: 1_500_000_000.0, timer=lambda: 0.0, seed=1)
    engine.users["admin"] = User(1, "admin", 1_500_000_000, None)
    engine.next_definition_id = 2
    stuff = engine.new_collection("stuff", 1_500_000_000)
    for scope in (engine.server, engine.node, stuff):
        scope.access[1] = FULL
    admin = Admin(engine)
    for text in SETUP:
        assert engine.query(admin, "//stuff", text).error is None
    for text in SERVER_SETUP:
        assert engine.query(admin, "@t", text).error is None
    return engine


class Interrupted:
    """Within the block, code made from queries is stopped after so many instructions, as the watchdog stops it."""

    def __init__(self, after: int) -> None:
        self.left = after

    def __enter__(self) -> None:
        self.old = sys.gettrace()
        sys.settrace(self._call)

    def __exit__(self, kind: type[BaseException] | None, error: object, trace: TracebackType | None) -> None:
        sys.settrace(self.old)

    def _call(self, frame: FrameType, event: str, argument: Any) -> Any:
        if frame.f_code.co_filename != GENERATED:
            return None
        frame.f_trace_opcodes, frame.f_trace_lines = True, False
        return self._step

    def _step(self, frame: FrameType, event: str, argument: Any) -> Any:
        if event == "opcode":
            self.left -= 1
            if self.left == 0:
                raise RequestTimeout("stopped")
        return self._step


def seen(outcome: Outcome) -> list[Any]:
    """What came of a query, but for the order in which things went."""
    error = outcome.error
    change = outcome.change
    told: Any = None
    if change is not None:
        told = log_unpack(change.packed)
        told[-1] = sorted(told[-1])
        told = repr(told)
    return [
        repr(outcome.value),
        None if error is None else (error.code, error.message),
        told,
        repr(outcome.effects),
        sorted(outcome.deleted or ()),
        outcome.closed_rooms,
    ]


def failed_whole(engine: Engine, before: dict[Any, Any], outcome: Outcome) -> None:
    """A query that failed has left nothing behind."""
    assert not isinstance(outcome.error, InternalError)
    assert outcome.value is None
    assert outcome.change is outcome.effects is outcome.deleted is outcome.closed_rooms is outcome.more is None
    assert state(engine) == before


@settings(
    max_examples=40,
    deadline=None,
    phases=(Phase.explicit, Phase.reuse, Phase.generate),
    suppress_health_check=list(HealthCheck),
)
@given(st.lists(st.tuples(st.booleans(), st.integers(1, 400), st.booleans()), min_size=1, max_size=4), st.data())
def test_what_failed_was_never_there(steps: list[tuple[bool, int, bool]], data: st.DataObject) -> None:
    """Each query runs atomically in one engine, stopped somewhere in its midst; where it succeeds, then in the other
    one too. What follows does the same in both."""
    engine, other = fresh(), fresh()
    for server, stop, stopped in steps:
        scope = "@t" if server else "//stuff"
        text = data.draw(programs(server=server))
        before = state(engine)
        if stopped:
            with Interrupted(stop):
                outcome = engine.query(Admin(engine), scope, text, None, ATOMIC)
        else:
            outcome = engine.query(Admin(engine), scope, text, None, ATOMIC)
        if outcome.error is not None:
            failed_whole(engine, before, outcome)
        follow = data.draw(programs(server=server, longest=3))
        if outcome.error is None:
            other.query(Admin(other), scope, text)
            if state(engine) != state(other):  # it looked at what it had removed, which atomically is there longer
                return
        came = []
        for each in (engine, other):
            each.random.seed(1)  # what failed has used some
            came.append(seen(each.query(Admin(each), scope, follow)))
        assert came[0] == came[1]
        assert state(engine) == state(other)
