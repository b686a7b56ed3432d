"""An atomic query that fails leaves nothing behind: the engine goes on like one that never saw it. One that succeeds
does what it would have done otherwise."""

from __future__ import annotations

import gc
import sys
from collections import Counter
from contextlib import nullcontext
from dataclasses import replace
from types import FrameType, TracebackType
from typing import Any

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from engine.effects import InstanceJob
from engine.encoding import log_unpack
from engine.engine import Engine
from engine.errors import InternalError, RequestTimeout
from engine.language.compiler import GENERATED
from engine.outcome import Outcome
from engine.values.list import List
from engine.values.room import Room
from engine.values.set import Set
from engine.values.task import Task
from engine.values.thing import Instance, Thing
from tests.atomic.programs import SERVER_SETUP, SETUP, programs
from tests.atomic.state import state
from tests.conftest import Admin, engine_without_password
from tests.engine.test_programs import programs as programs_of_the_grammar
from tests.types.state import Disk, check_rules, kept

ATOMIC = {"atomic": True}


def fresh() -> Engine:
    """An engine as after its first start, with something to work on; its clock stands."""
    engine = engine_without_password(clock=lambda: 1_500_000_000.0, timer=lambda: 0.0, seed=1)
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
    """What came of a query, but for the order in which things went, and in which instances were found."""
    error = outcome.error
    told: Any = None
    if outcome.change is not None:
        told = log_unpack(outcome.change.packed)
        told[-1].sort()
        for _, job in told[-2]:
            if "instances" in job:
                job["instances"][0].sort()
    effects = [
        replace(effect, things=sorted(effect.things)) if type(effect) is InstanceJob else effect
        for effect in outcome.effects or ()
    ]
    return [
        repr(outcome.value),
        None if error is None else (error.code, error.message),
        repr(told),
        repr(effects),
        sorted(outcome.deleted or ()),
        outcome.closed_rooms,
    ]


def alive() -> Counter[type]:
    """How many things, and what else is stored, there are in this process."""
    return Counter(type(each) for each in gc.get_objects() if type(each) in (Thing, Instance, List, Set, Room, Task))


def check_undone(engine: Engine, before: dict[Any, Any], outcome: Outcome) -> None:
    """A query that failed has left nothing behind."""
    assert not isinstance(outcome.error, InternalError)
    assert outcome.value is None
    assert outcome.change is outcome.effects is outcome.deleted is outcome.closed_rooms is outcome.more is None
    assert state(engine) == before


STEPS = st.sampled_from(("//stuff", "//stuff", "//stuff", "@t")).flatmap(
    lambda scope: st.tuples(
        st.just(scope),
        programs(server=True) if scope == "@t" else programs() | programs() | programs_of_the_grammar(),
        st.none() | st.integers(1, 500),
        st.booleans(),
    )
)
"""A query, the instruction at which it is stopped, and whether it is run again, not atomically, if it failed."""


@settings(
    max_examples=20,
    deadline=None,
    phases=(Phase.explicit, Phase.reuse, Phase.generate),
    suppress_health_check=list(HealthCheck),
)
@given(st.lists(STEPS, min_size=1, max_size=4))
def test_what_failed_was_never_there(steps: list[tuple[str, str, int | None, bool]]) -> None:
    """Queries run atomically in one engine, stopped anywhere, and not so in another one, which does not see those that
    failed."""
    engine, other = fresh(), fresh()
    admin, also_admin = Admin(engine), Admin(other)
    disk, _ = Disk(engine), Disk(other)
    for number, (scope, text, stop, again) in enumerate(steps):
        before, objects = state(engine), alive()
        engine.random.seed(number)
        with nullcontext() if stop is None else Interrupted(stop):
            outcome = engine.query(admin, scope, text, None, ATOMIC)
        came, removed, engines = [], False, [engine, other]
        if outcome.error is None:
            came, removed, engines = seen(outcome), bool(outcome.deleted or outcome.closed_rooms), [other]
            del outcome  # its change holds on to rooms
        else:
            check_undone(engine, before, outcome)
            del outcome
            assert alive() == objects
            if not again:
                continue
        for each in engines:
            each.random.seed(number)
            said = seen(each.query(admin if each is engine else also_admin, scope, text))
            came = came or said
            if said != came and removed:
                return  # it looked at what it had removed, which is there until an atomic query ends
            assert said == came
        assert state(engine) == state(other)
    disk.checkpoint()
    assert kept(disk.loaded()) == kept(engine)
    check_rules(engine)
