"""js-demo/livethings.js on its own: its tests run under node."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from .conftest import needed

TESTS = sorted(Path(__file__).parent.glob("*.test.mjs"))


@pytest.mark.parametrize("tests", TESTS, ids=lambda tests: tests.name)
def test_the_module_keeps_its_promises(tests: Path) -> None:
    ran = subprocess.run([needed("node"), "--test", str(tests)], capture_output=True, text=True, timeout=120)
    assert ran.returncode == 0, ran.stdout + ran.stderr
