from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from tests.server.fakes import House, build


@pytest.fixture
async def house() -> AsyncIterator[House]:
    """A server on fakes, with the default settings."""
    house = await build()
    yield house
    await house.close()


@pytest.fixture
async def house_with() -> AsyncIterator[Callable[..., Awaitable[House]]]:
    """Makes servers with settings of their own."""
    houses = []

    async def make(**settings: Any) -> House:
        houses.append(await build(**settings))
        return houses[-1]

    yield make
    for house in houses:
        await house.close()


@pytest.fixture(autouse=True)
def _quick_rounds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("server.core.ROUND", 0.05)
