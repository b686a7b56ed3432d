from __future__ import annotations

import pytest

from engine.engine import Engine

from .state import fresh


@pytest.fixture
def engine() -> Engine:
    """As the engine of all tests, but made without a password: that takes time, and there are many tests here."""
    return fresh()
