from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
import uvloop

from tests.server.fakes import House, build


def pytest_asyncio_loop_factories(
    config: pytest.Config, item: pytest.Item
) -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Both event loops that a server may run on; where the server is a process, one is enough for its client."""
    factories = {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}
    if item.path.name == "test_serve.py":
        del factories["uvloop"]
    return factories


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
