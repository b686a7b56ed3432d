"""Logins: slow checks off the loop, few at a time, and a brake for addresses that guess.

A verified login that the engine remembers, and a token, cost nothing here. A password that must be hashed is hashed in
a thread that gives way to the loop, while the connection's later requests wait, and nobody else's; connections that
come with the same one meanwhile share the hash. Only failures count against an address: after
`FREE_FAILURES` of them in short order each further attempt from there waits a little longer, up to `MAX_DELAY`.
"""

from __future__ import annotations

import asyncio
import logging
import os
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeAlias

from engine.errors import AuthError, EngineError, InternalError, NodeError
from engine.login import HashFirst
from server.contracts import Engine, Outcome

__all__ = ["Authenticator", "Credentials"]

log = logging.getLogger("livethings.server")

Credentials: TypeAlias = "str | tuple[str, str]"
"""A token, or user and password."""

Done: TypeAlias = Callable[["Any | None", "EngineError | None"], None]

MAX_WAITING = 4096
"""Password checks under way or waiting; beyond it a login gets a NodeError, after which clients try again."""

FREE_FAILURES = 30
FORGIVEN_A_SECOND = 0.5
DELAY_A_FAILURE = 0.1
MAX_DELAY = 5.0
MAX_ADDRESSES = 10_000


class Authenticator:
    """One for the server."""

    def __init__(self, engine: Engine, loop: asyncio.AbstractEventLoop, publish: Callable[[Outcome], None]) -> None:
        """`publish` gets the change that a login makes when it has the password hashed anew."""
        self._engine = engine
        self._publish = publish
        self._loop = loop
        self._pool = ThreadPoolExecutor(os.cpu_count() or 2, "password", _give_way)
        self._under_way: dict[Callable[[], bool], list[tuple[str, Credentials, Done]]] = {}  # who waits for a check
        self._waiting = 0
        self.refused = 0
        """How many logins had a wrong password or token."""
        self._failures: dict[str, float] = {}
        self._forgotten_at = loop.time()

    @property
    def waiting(self) -> int:
        """How many logins are being checked, wait for that, or are braked."""
        return self._waiting

    def login(self, address: str, credentials: Credentials, done: Done) -> bool:
        """Check credentials that came from an address, and call `done` with the user or the error.

        Returns False when that has happened already, True when it will happen later.
        """
        over = self._failures.get(address, 0.0) - FREE_FAILURES
        if over > 0:
            if self._waiting >= MAX_WAITING:
                done(None, NodeError("too many logins are under way, try again later"))
                return False
            self._waiting += 1
            self._loop.call_later(min(over * DELAY_A_FAILURE, MAX_DELAY), self._delayed, address, credentials, done)
            return True
        return self._check(address, credentials, done)

    def _delayed(self, address: str, credentials: Credentials, done: Done) -> None:
        self._waiting -= 1
        self._check(address, credentials, done)

    def _check(self, address: str, credentials: Credentials, done: Done) -> bool:
        try:
            if isinstance(credentials, str):
                result = self._engine.login_token(credentials)
            else:
                result = self._engine.login(*credentials)
        except EngineError as error:
            self._failed(address, credentials, error)
            done(None, error)
            return False
        if not callable(result):
            done(result, None)
            return False
        if self._waiting >= MAX_WAITING:
            done(None, NodeError("too many logins are under way, try again later"))
            return False
        self._waiting += 1
        waiting = self._under_way.get(result)
        if waiting is not None:
            waiting.append((address, credentials, done))
            return True
        self._under_way[result] = [(address, credentials, done)]
        future = self._loop.run_in_executor(self._pool, result)
        future.add_done_callback(lambda checked: self._checked(result, checked))
        return True

    def _checked(self, check: Callable[[], bool], checked: asyncio.Future[bool]) -> None:
        waiting = self._under_way.pop(check)
        self._waiting -= len(waiting)
        if checked.cancelled():
            return
        failure = checked.exception()
        if failure is not None:
            log.error("a password could not be checked", exc_info=failure)
            for _, _, done in waiting:
                done(None, InternalError("the password could not be checked"))
            return
        for address, credentials, done in waiting:
            try:
                user = self._engine.login_done(check, checked.result())
            except EngineError as error:
                self._failed(address, credentials, error)
                done(None, error)
            else:
                done(user, None)
        renewed = self._engine.login_renewed(check)
        if renewed is not None:
            self._publish(renewed)

    def hash_first(self, passwords: HashFirst, done: Callable[[dict[str, bytes]], None]) -> None:
        """Hash the passwords that a request is going to set, and call `done` with them, none if that failed."""

        def hashed(future: asyncio.Future[dict[str, bytes]]) -> None:
            if future.cancelled():
                return
            failure = future.exception()
            if failure is not None:
                log.error("a password could not be hashed", exc_info=failure)
            done({} if failure is not None else future.result())

        self._loop.run_in_executor(self._pool, passwords).add_done_callback(hashed)

    def _failed(self, address: str, credentials: Credentials, error: EngineError) -> None:
        if not isinstance(error, AuthError):
            return
        self.refused += 1
        failures = self._failures
        if address in failures or len(failures) < MAX_ADDRESSES:
            failures[address] = failures.get(address, 0.0) + 1
        who = "a token" if isinstance(credentials, str) else f"user {credentials[0][:127]!r}"
        log.warning("%s: login refused for %s", address, who)

    def forget(self, now: float) -> None:
        """Forgive what the time since the last call allows."""
        forgiven = (now - self._forgotten_at) * FORGIVEN_A_SECOND
        self._forgotten_at = now
        if self._failures:
            self._failures = {
                address: left for address, count in self._failures.items() if (left := count - forgiven) > 0
            }

    def close(self) -> None:
        """Take no more."""
        self._pool.shutdown(wait=False, cancel_futures=True)


def _give_way() -> None:
    """Have this thread get the processor only when the others don't want it."""
    if sys.platform == "linux":  # elsewhere it would be the whole process
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), 10)
