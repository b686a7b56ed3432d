"""What the node counts, and how much it logs (spec/admin-and-protocol.md, section 10)."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import pytest

from engine.engine import Engine
from engine.outcome import Outcome
from tests.conftest import Admin

Ask = Callable[..., Outcome]


def counted(outcome: Ask) -> dict[str, Any]:
    found: dict[str, Any] = outcome("counters()", scope="@n").value
    return found


def test_all_changes_are_counted(engine: Engine, outcome: Ask) -> None:
    outcome("reset_counters()", scope="@n")
    outcome(".n = 0; nil")
    outcome("future(|| .n += 1)")
    outcome("future(|| 1)")
    outcome("task(datetime(), || .n += 1); nil")
    assert counted(outcome)["changes_committed"] == 3
    for due in engine.due_tasks():
        engine.run_task(*due)
    found = counted(outcome)
    assert (found["changes_committed"], found["tasks_success"], found["tasks_with_error"]) == (4, 1, 0)
    assert 0 < found["average_change_duration"] <= found["longest_change_duration"]
    outcome("task(datetime(), || 1 / 0); nil")
    for due in engine.due_tasks():
        engine.run_task(*due)
    assert counted(outcome)["tasks_with_error"] == 1


def test_queries_are_counted_with_those_that_are_refused(engine: Engine, outcome: Ask) -> None:
    outcome("reset_counters()", scope="@n")
    outcome("1")
    outcome("1 / 0")
    outcome("1 +")
    outcome("1", scope="//none")
    found = counted(outcome)
    assert (found["queries_success"], found["queries_with_error"]) == (2, 3)  # the reset, and `1`


def test_queries_from_the_cache_are_counted(engine: Engine, outcome: Ask) -> None:
    outcome("1 + 1")
    outcome("new_procedure('p', || 1)")
    outcome("counters()", scope="@n")
    outcome("reset_counters()", scope="@n")
    assert counted(outcome)["queries_from_cache"] == 1  # this one
    for _ in range(10):
        outcome("1 + 1")
    for refused in ("1 +", "2 + 2"):
        outcome(refused, scope="//none")
    outcome("1 +")
    outcome("2 + 2")
    engine.run(Admin(engine), "//stuff", "p")
    engine.run(Admin(engine), "//stuff", "none")
    engine.count_refused()
    assert counted(outcome)["queries_from_cache"] == 12


def test_the_largest_result_is_known(outcome: Ask) -> None:
    outcome("reset_counters()", scope="@n")
    outcome("range(100)")
    outcome("range(10)")
    assert 100 <= counted(outcome)["largest_result_size"] <= 1000


def test_what_the_cache_drops_is_counted(engine: Engine, outcome: Ask) -> None:
    engine.cache.limit = 100_000
    for number in range(100):
        outcome(f"{number}")
    assert counted(outcome)["wasted_cache"] > 0


@pytest.mark.parametrize(
    ("seconds", "warning", "error", "level"),
    [(1.0, 0.0, 0.0, None), (1.0, 2.0, 3.0, None), (2.5, 2.0, 3.0, "WARNING"), (3.5, 2.0, 3.0, "ERROR"),
     (3.5, 0.0, 3.0, "ERROR"), (2.5, 0.0, 3.0, None), (9.0, 2.0, 0.0, "WARNING")],
)  # fmt: skip
def test_slow_queries_are_logged(
    engine: Engine, outcome: Ask, caplog: pytest.LogCaptureFixture, seconds: float, warning: float, error: float,
    level: str | None,
) -> None:  # fmt: skip
    outcome("new_procedure('slow', |key| 1)")
    engine.log_slow(warning, error)
    times = itertools.count(0.0, seconds)
    engine.timer = lambda: next(times)
    outcome("'quoted'")
    engine.run(Admin(engine), "//stuff", "slow", ["secret"])
    outcome("set_password('admin', 'secret')", scope="@t")
    assert [record.levelname for record in caplog.records] == ([] if level is None else [level] * 3)
    if level is not None:
        assert f"slow: {seconds:.3f} s, in @collection:stuff, by admin: \"'quoted'\"" in caplog.text
        assert "run of slow" in caplog.text
        assert "secret" not in caplog.text


@pytest.mark.parametrize(
    ("level", "name"),
    [
        ("DEBUG", "DEBUG"), ("INFO", "INFO"), ("WARNING", "WARNING"), ("ERROR", "ERROR"), ("CRITICAL", "CRITICAL"),
        ("-1", "DEBUG"), ("5", "CRITICAL"), ("2", "WARNING"),
    ],
)  # fmt: skip
def test_levels_of_the_log(outcome: Ask, level: str, name: str) -> None:
    assert outcome(f"set_log_level({level})", scope="@n").value is None
    assert outcome("node_info().load().log_level", scope="@n").value == name
    for scope in ("//stuff", "@t", "@n"):
        assert outcome("[DEBUG, INFO, WARNING, ERROR, CRITICAL]", scope=scope).value == [0, 1, 2, 3, 4]
