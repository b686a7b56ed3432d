"""Logins: who waits, and what guessing costs."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest

from engine.errors import AuthError, EngineError, InternalError, NodeError
from server import authenticator
from server.authenticator import Authenticator
from tests.server.fakes import FakeEngine


class Attempt:
    """A login under way."""

    def __init__(self, guard: Authenticator, credentials: Any, address: str = "10.0.0.1") -> None:
        self.user: Any = None
        self.error: EngineError | None = None
        self.finished = asyncio.Event()
        self.waits = guard.login(address, credentials, self.done)

    def done(self, user: Any, error: EngineError | None) -> None:
        self.user, self.error = user, error
        self.finished.set()


@pytest.fixture
def engine() -> FakeEngine:
    return FakeEngine()


async def made(engine: FakeEngine) -> Authenticator:
    return Authenticator(engine, asyncio.get_running_loop(), lambda outcome: None)


async def test_a_remembered_login_and_a_token_are_answered_at_once(engine: FakeEngine) -> None:
    guard = await made(engine)
    for credentials in (("admin", "pass"), "token"):
        attempt = Attempt(guard, credentials)
        assert not attempt.waits
        assert attempt.user is engine.user


async def test_a_password_is_checked_off_the_loop(engine: FakeEngine) -> None:
    guard = await made(engine)
    engine.cached = False
    right, wrong = Attempt(guard, ("admin", "pass")), Attempt(guard, ("admin", "no"))
    assert right.waits
    assert wrong.waits
    await asyncio.gather(right.finished.wait(), wrong.finished.wait())
    assert right.user is engine.user
    assert isinstance(wrong.error, AuthError)


async def test_a_check_that_breaks_is_an_internal_error(engine: FakeEngine, caplog: pytest.LogCaptureFixture) -> None:
    guard = await made(engine)
    engine.login = lambda name, password: lambda: 1 / 0  # type: ignore[method-assign]
    attempt = Attempt(guard, ("admin", "pass"))
    await attempt.finished.wait()
    assert isinstance(attempt.error, InternalError)
    assert "ZeroDivisionError" in caplog.text


async def test_only_failures_slow_an_address_down_and_time_forgives(
    engine: FakeEngine, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    monkeypatch.setattr(authenticator, "FREE_FAILURES", 3)
    guard = await made(engine)
    for _ in range(100):
        assert not Attempt(guard, ("admin", "pass")).waits
    for _ in range(4):
        assert not Attempt(guard, ("admin\n", "no")).waits
    assert caplog.text.count("login refused") == 4
    assert "admin\\n" in caplog.text
    late = Attempt(guard, "token")
    assert late.waits
    assert not Attempt(guard, "token", "10.0.0.2").waits
    await late.finished.wait()
    assert late.user is engine.user
    guard.forget(asyncio.get_running_loop().time() + 3600)
    assert not Attempt(guard, "token").waits


async def test_too_many_at_once_are_told_to_try_again(engine: FakeEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(authenticator, "MAX_WAITING", 2)
    guard = await made(engine)
    engine.cached = False
    attempts = [Attempt(guard, ("admin", "pass")) for _ in range(3)]
    assert [attempt.waits for attempt in attempts] == [True, True, False]
    assert isinstance(attempts[2].error, NodeError)
    await asyncio.gather(*(attempt.finished.wait() for attempt in attempts))
    assert Attempt(guard, ("admin", "pass")).waits


async def test_addresses_that_failed_are_bounded(engine: FakeEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(authenticator, "MAX_ADDRESSES", 5)
    guard = await made(engine)
    for number in range(20):
        Attempt(guard, "wrong", f"10.0.0.{number}")
    assert len(guard._failures) == 5
